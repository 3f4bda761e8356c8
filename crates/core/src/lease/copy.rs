//! A copy of a shared history, against the server that has the history itself: what is to be fetched, and what may be written.
//!
//! Owns: how far a copy is behind, that a server has lost what a copy had, and on whose behalf rows are written. Never
//! fetches or writes anything.

/// How far a copy is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mark {
    /// The last change that it has; 0 where it has none.
    pub change: i64,
    /// That change's id, which tells it from one of the same number in a server that was set back.
    pub id: String,
    /// Whether the server has once lost a change that this copy had.
    pub has_lost: bool,
}

/// What the server has of the line of changes that a mark is on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// How many changes there were.
    pub changes: i64,
    /// Up to which change it has forgotten what was taken out.
    pub floor: i64,
    /// The id of the change that has the mark's number; empty where there is none.
    pub id: String,
}

/// From where on a copy takes changes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Since {
    /// The last change that it keeps.
    pub change: i64,
    /// Whether everything that the copy has is left out first.
    pub is_anew: bool,
    /// Whether the server has lost a change that the copy had.
    pub has_lost: bool,
}

impl Mark {
    /// Whether the server has all that the copy has, and nothing more: only then may rows be written that were made of the
    /// copy. The count alone would not tell a server that was set back and has since come as far again.
    pub fn is_last_of(&self, line: &Line) -> bool {
        self.is_on(line) && line.changes == self.change
    }

    fn is_on(&self, line: &Line) -> bool {
        self.change == 0 || line.id == self.id
    }

    /// What a copy of this mark takes in from the server; `None` where it is up to date.
    pub fn since(&self, line: &Line) -> Option<Since> {
        if self.is_last_of(line) {
            return None;
        }
        let is_same_line = self.is_on(line);
        let is_anew = !is_same_line || self.change < line.floor;
        Some(Since {
            change: if is_anew { 0 } else { self.change },
            is_anew,
            // What this copy had from it, the server would still remember.
            has_lost: self.has_lost || !is_same_line && self.change >= line.floor,
        })
    }
}

/// On whose behalf rows are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fence {
    /// Of a person, who adds rows beside the holder.
    Wish,
    /// Of the holder of the lease, as long as it is that.
    Holder {
        /// The instance's id.
        id: String,
        /// The number of its term.
        epoch: i64,
    },
    /// Of an instance that works without the database: nothing is written.
    Orphan,
}

/// Why the server has written nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unwritten {
    /// The copy is behind: the rows were made of an older state.
    Behind,
    /// The lease is another's.
    LeaseLost,
}

impl Fence {
    /// Whether anything may be handed to the server at all.
    pub fn may_write(&self) -> bool {
        *self != Self::Orphan
    }

    /// Whether the lease is this one's, by its holder and the number of the term; a person needs none.
    pub fn holds(&self, holder: Option<&str>, term: i64) -> bool {
        match self {
            Self::Wish => true,
            Self::Holder { id, epoch } => holder == Some(id.as_str()) && term == *epoch,
            Self::Orphan => false,
        }
    }

    /// Why nothing was written, where the lease stands like this thereafter.
    pub fn unwritten(&self, holder: Option<&str>, term: i64) -> Unwritten {
        match self.holds(holder, term) {
            true => Unwritten::Behind,
            false => Unwritten::LeaseLost,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(change: i64, id: &str) -> Mark {
        Mark {
            change,
            id: id.to_owned(),
            has_lost: false,
        }
    }

    fn line(changes: i64, floor: i64, id: &str) -> Line {
        Line {
            changes,
            floor,
            id: id.to_owned(),
        }
    }

    #[test]
    fn a_copy_takes_in_what_came_since_and_all_of_it_where_the_server_has_forgotten_what_went() {
        assert_eq!(mark(7, "a").since(&line(7, 0, "a")), None);
        let since = |mark: Mark, line: Line| {
            let since = mark.since(&line).unwrap();
            (since.change, since.is_anew, since.has_lost)
        };
        assert_eq!(since(mark(7, "a"), line(9, 0, "a")), (7, false, false));
        assert_eq!(since(mark(0, ""), line(9, 0, "")), (0, false, false));
        assert_eq!(since(mark(7, "a"), line(9, 8, "")), (0, true, false));
    }

    #[test]
    fn a_server_without_a_change_that_a_copy_had_has_lost_records() {
        let since = mark(7, "a").since(&line(5, 0, "")).unwrap();
        assert!(since.is_anew && since.has_lost);
        let since = mark(7, "a").since(&line(7, 0, "b")).unwrap();
        assert!(since.is_anew && since.has_lost);
    }

    #[test]
    fn a_holder_writes_in_its_own_term_only_and_an_orphan_never() {
        let (id, epoch) = ("a".to_owned(), 3);
        let fence = Fence::Holder { id, epoch };
        assert!(fence.holds(Some("a"), 3) && fence.may_write());
        assert_eq!(fence.unwritten(Some("a"), 3), Unwritten::Behind);
        for (holder, term) in [(Some("b"), 3), (Some("a"), 4), (None, 3)] {
            assert_eq!(fence.unwritten(holder, term), Unwritten::LeaseLost);
        }
        assert!(!Fence::Orphan.may_write() && Fence::Wish.holds(None, 9));
    }
}
