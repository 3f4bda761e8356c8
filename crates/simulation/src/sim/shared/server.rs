//! The server of a shared history: what PostgreSQL makes of the statements of `crates/store/src/shared`.
//!
//! Owns: the lease's row, the rows, what was ever committed, and who may have written it (I30, I31, I33). Never decides what
//! an instance does with an answer: the product's own code does.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use redkeep_core::history::Change;
use redkeep_core::lease::{Fence, Heard, Line, Mark, Pulse, Question, Unwritten};
use redkeep_core::run::Run;

use super::super::ledger::Ledger;

/// A process of an instance: its host, and which of the host's processes it is.
pub type ProcessKey = (usize, u32);

/// The row of the lease.
#[derive(Debug, Clone, Default)]
pub struct LeaseRow {
    pub holder: Option<String>,
    /// Whose it really is; no instance sees this.
    pub process: Option<ProcessKey>,
    pub epoch: i64,
    pub renewals: i64,
    pub changes: i64,
    pub is_wanted: bool,
}

impl LeaseRow {
    pub fn pulse(&self) -> Pulse {
        Pulse {
            epoch: self.epoch,
            renewals: self.renewals,
        }
    }
}

/// A term as the table has it.
#[derive(Debug, Clone)]
struct TermRow {
    epoch: i64,
    holder: String,
    /// By its holder's clock.
    renewed_at: DateTime<Utc>,
    /// In true time.
    began_at: DateTime<Utc>,
}

/// All that the server has: what a backup of it holds.
#[derive(Debug, Clone, Default)]
pub struct State {
    pub lease: LeaseRow,
    pub ledger: Ledger,
    /// How many of the messages, from the first, are delivered.
    pub delivered: usize,
    commits: BTreeMap<i64, String>,
    terms: Vec<TermRow>,
}

/// Rows on their way.
#[derive(Debug, Clone)]
pub struct Write {
    pub fence: Fence,
    /// The change that they were made after.
    pub after: Mark,
    /// The change's own id.
    pub id: String,
    pub changes: Vec<Change>,
    /// All that led to them, with the term in which each was decided.
    pub journal: Vec<(i64, Change)>,
}

/// What is asked of the server.
#[derive(Debug, Clone)]
pub enum Ask {
    /// How the lease and the copy's line of changes stand.
    View(Mark),
    /// The rows that a copy lacks; whether the writer writes again thereafter.
    Pull(Mark, bool),
    /// All rows, for a term that begins; a loss that the copy has noticed is recorded.
    Load(Mark, Fence),
    /// The holder's question, sent at so much of its boot time; its clock shows this.
    Hold(Question, std::time::Duration, Fence, DateTime<Utc>),
    /// The lease, if it still has this pulse.
    Take(String, Pulse, DateTime<Utc>),
    /// That nobody has the lease.
    Release(Fence, DateTime<Utc>),
    Write(Box<Write>),
}

/// What the server answers.
#[derive(Debug)]
pub enum Said {
    /// Nothing that has come.
    Nothing,
    Seen {
        lease: LeaseRow,
        line: Line,
        /// The id of the last change.
        head: String,
    },
    Loaded(Box<Ledger>, Mark),
    Heard(Heard),
    /// The term, and its forerunner's last sign of life.
    Taken(Option<(i64, Option<DateTime<Utc>>)>),
    Released,
    Written(Result<(i64, Vec<Run>), Unwritten>),
}

/// The server.
#[derive(Debug, Default)]
pub struct Server {
    pub state: State,
    /// For how many milliseconds a commit works, drawn between these.
    pub writes_for: (u64, u64),
    /// Until when the lease's row is locked.
    pub locked_until: DateTime<Utc>,
    /// When it last lost something.
    pub set_back_at: Option<DateTime<Utc>>,
    /// How many ids were made.
    pub(super) made: u64,
}

impl Ask {
    /// For how many milliseconds the server works on it, where commits take between these.
    pub fn works_for(&self, writes_for: (u64, u64)) -> (u64, u64) {
        match self {
            Self::Write(_) => writes_for,
            _ => (1, 30),
        }
    }

    /// Whether it changes the lease's row.
    pub fn locks(&self) -> bool {
        match self {
            Self::View(_) | Self::Pull(..) | Self::Hold(Question::Look, ..) => false,
            Self::Load(..) | Self::Hold(..) | Self::Take(..) | Self::Release(..) => true,
            Self::Write(_) => true,
        }
    }
}

impl Server {
    /// Carries a statement out; `was_held` is what its fence has said before, where it is asked without a lock.
    pub fn carry_out(
        &mut self,
        ask: Ask,
        was_held: Option<bool>,
        process: ProcessKey,
        now: DateTime<Utc>,
    ) -> Said {
        match ask {
            Ask::View(mark) | Ask::Pull(mark, _) => Said::Seen {
                lease: self.state.lease.clone(),
                line: self.line(&mark),
                head: self.head(),
            },
            Ask::Load(mark, fence) => self.load(mark, &fence, now),
            Ask::Hold(question, _, fence, at) => {
                Said::Heard(self.hold(question, &fence, at, process))
            }
            Ask::Take(id, pulse, at) => Said::Taken(self.take(id, pulse, at, process, now)),
            Ask::Release(fence, at) => {
                if self.is_held_by(&fence) {
                    self.note_sign(&fence, at);
                    let lease = &mut self.state.lease;
                    (lease.holder, lease.process) = (None, None);
                    lease.renewals += 1;
                    lease.is_wanted = false;
                }
                Said::Released
            }
            Ask::Write(write) => Said::Written(self.write(&write, was_held, process)),
        }
    }

    pub fn is_held_by(&self, fence: &Fence) -> bool {
        let lease = &self.state.lease;
        fence.holds(lease.holder.as_deref(), lease.epoch)
    }

    fn line(&self, mark: &Mark) -> Line {
        let id = self.state.commits.get(&mark.change).cloned();
        Line {
            changes: self.state.lease.changes,
            floor: 0,
            id: id.unwrap_or_default(),
        }
    }

    fn head(&self) -> String {
        let last = self.state.commits.get(&self.state.lease.changes);
        last.cloned().unwrap_or_default()
    }

    /// A copy that has everything.
    pub fn mark(&self) -> Mark {
        Mark {
            change: self.state.lease.changes,
            id: self.head(),
            has_lost: false,
        }
    }

    fn load(&mut self, mark: Mark, fence: &Fence, now: DateTime<Utc>) -> Said {
        let since = mark.since(&self.line(&mark));
        let has_lost = since.map_or(mark.has_lost, |since| since.has_lost);
        if has_lost && self.is_held_by(fence) {
            let id = self.new_id();
            self.state.ledger.rebuilt_at.get_or_insert(now);
            self.note_commit(id);
        }
        Said::Loaded(Box::new(self.state.ledger.clone()), self.mark())
    }

    fn hold(
        &mut self,
        question: Question,
        fence: &Fence,
        at: DateTime<Utc>,
        process: ProcessKey,
    ) -> Heard {
        if !self.is_held_by(fence) {
            return Heard::Another;
        }
        let holder = self.state.lease.process;
        assert!(
            holder == Some(process),
            "I31: {fence:?} is of {holder:?}, and {process:?} goes on in it"
        );
        if question == Question::Renew {
            self.state.lease.renewals += 1;
            self.note_sign(fence, at);
        }
        let lease = &self.state.lease;
        Heard::Ours {
            changes: lease.changes,
            is_wanted: lease.is_wanted,
        }
    }

    fn note_sign(&mut self, fence: &Fence, at: DateTime<Utc>) {
        let Fence::Holder { id, epoch } = fence else {
            return;
        };
        let mut terms = self.state.terms.iter_mut();
        if let Some(term) = terms.find(|term| term.holder == *id && term.epoch == *epoch) {
            term.renewed_at = at;
        }
    }

    /// The holder has renewed its lease while nobody looked.
    pub fn renew_after_leap(&mut self, at: DateTime<Utc>) {
        let lease = &mut self.state.lease;
        lease.renewals += 1;
        let epoch = lease.epoch;
        let terms = self.state.terms.iter_mut();
        { terms }
            .filter(|term| term.epoch == epoch)
            .for_each(|term| term.renewed_at = at);
    }

    fn take(
        &mut self,
        id: String,
        pulse: Pulse,
        at: DateTime<Utc>,
        process: ProcessKey,
        now: DateTime<Utc>,
    ) -> Option<(i64, Option<DateTime<Utc>>)> {
        let State { lease, terms, .. } = &mut self.state;
        if lease.pulse() != pulse {
            return None;
        }
        let last = terms
            .iter()
            .max_by_key(|term| (term.epoch, term.renewed_at));
        let last_sign = last.map(|term| term.renewed_at);
        lease.epoch += 1;
        lease.renewals += 1;
        (lease.holder, lease.process) = (Some(id.clone()), Some(process));
        lease.is_wanted = false;
        let epoch = lease.epoch;
        let is_new = !terms.iter().any(|term| term.epoch == epoch);
        assert!(is_new, "I31: term {epoch} has a holder already");
        terms.push(TermRow {
            epoch,
            holder: id,
            renewed_at: at,
            began_at: now,
        });
        Some((epoch, last_sign))
    }

    fn write(
        &mut self,
        write: &Write,
        was_held: Option<bool>,
        process: ProcessKey,
    ) -> Result<(i64, Vec<Run>), Unwritten> {
        let lease = &self.state.lease;
        let is_held = was_held.unwrap_or(self.is_held_by(&write.fence));
        if !is_held || !write.after.is_last_of(&self.line(&write.after)) {
            let (holder, epoch) = (lease.holder.as_deref(), lease.epoch);
            return Err(write.fence.unwritten(holder, epoch));
        }
        self.check_writer(write, process);
        self.note_commit(write.id.clone());
        let ledger = &mut self.state.ledger;
        // Of an activation that came and went meanwhile the rows tell nothing.
        let segments = std::mem::take(&mut ledger.segments);
        let stay = ledger.commit(&write.changes);
        ledger.segments = segments;
        for (_, change) in &write.journal {
            if let Change::Pair(pair, state) = change {
                ledger.take_segment(pair, state);
            }
        }
        Ok((self.state.lease.changes, stay))
    }

    /// I30, I31 and I33: what an instance writes, it writes as the holder of the lease, and has decided in the same term.
    fn check_writer(&self, write: &Write, process: ProcessKey) {
        let lease = &self.state.lease;
        let Fence::Holder { id, epoch } = &write.fence else {
            panic!(
                "I33: {process:?} writes without the lease: {:?}",
                write.changes
            );
        };
        let is_same_term = lease.holder.as_ref() == Some(id) && lease.epoch == *epoch;
        assert!(
            !is_same_term || lease.process == Some(process),
            "I31: term {epoch} is of {:?}, and {process:?} writes in it",
            lease.process
        );
        assert!(
            lease.process == Some(process) && lease.epoch == *epoch,
            "I30: rows of term {epoch} are written by {process:?} in term {}, of {:?}",
            lease.epoch,
            lease.process
        );
        let foreign = write.journal.iter().find(|(decided, _)| decided != epoch);
        assert!(
            foreign.is_none(),
            "I30: what was decided in another term is written in term {epoch}: {foreign:?}"
        );
    }

    /// A person adds rows beside the holder.
    pub fn wish(&mut self, add: impl FnOnce(&mut Ledger)) {
        add(&mut self.state.ledger);
        let id = self.new_id();
        self.note_commit(id);
    }

    fn note_commit(&mut self, id: String) {
        self.state.lease.changes += 1;
        let change = self.state.lease.changes;
        self.state.commits.insert(change, id);
    }

    pub fn new_id(&mut self) -> String {
        self.made += 1;
        format!("{:016x}", self.made)
    }

    /// Puts an older state in the place of what there is.
    pub fn set_back(&mut self, to: State, now: DateTime<Utc>) {
        self.state = to;
        self.state.ledger.was_set_back = true;
        self.set_back_at = Some(now);
    }

    /// For how long the term of a fence has lasted, in true time.
    pub fn term_age(&self, fence: &Fence, now: DateTime<Utc>) -> Option<TimeDelta> {
        let Fence::Holder { id, epoch } = fence else {
            return None;
        };
        let mut terms = self.state.terms.iter();
        let term = terms.find(|term| term.holder == *id && term.epoch == *epoch)?;
        Some(now - term.began_at)
    }
}
