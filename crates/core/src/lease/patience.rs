//! An instance that waits for its turn: when it takes the lease, and when it works without the database.
//!
//! Owns: what follows from a look at the lease. Whether a lease is free, [`Watcher`](super::Watcher) says. Never looks
//! itself.

use std::time::Duration;

use super::{ORPHAN_AFTER, Pulse, Sight};

/// For how long an instance that was asked to let another one work leaves the lease to others.
const YIELDED_FOR: Duration = Duration::from_secs(60);

/// What came of a look at the lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// The database could not be reached.
    Unreachable,
    /// It could, and the look failed all the same.
    Failed,
    /// It has no use for an instance as old as this one.
    Outdated,
    /// The lease was seen.
    Seen {
        /// What is to be made of it.
        sight: Sight,
        /// Whether its holder is a command, which works on no slot of a schedule.
        is_of_command: bool,
    },
}

/// What an instance that waits does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Nothing but to look again.
    Wait,
    /// Take the lease, if it still has this pulse.
    Take(Pulse),
    /// Ask the holder to give it up.
    Want,
    /// Work by the copy of the history, without the database.
    Orphan,
}

/// How long an instance has waited, and for what.
#[derive(Debug, Clone, Default)]
pub struct Patience {
    /// Not before this it takes the lease.
    not_before: Duration,
    /// When the database answered last, or the waiting began.
    answered: Duration,
    /// Whether it has no use for this instance, which then has no copy that counts.
    is_outdated: bool,
}

impl Patience {
    /// Begins to wait at `now`.
    pub fn begin(&mut self, now: Duration) {
        self.answered = now;
    }

    /// Leaves the lease to others for a while.
    pub fn yielded(&mut self, now: Duration) {
        self.not_before = now + YIELDED_FOR;
    }

    /// What follows from a look that ended at `now`.
    pub fn after(&mut self, look: Look, now: Duration) -> Turn {
        let Look::Seen {
            sight,
            is_of_command,
        } = look
        else {
            self.is_outdated |= look == Look::Outdated;
            let is_long = now.saturating_sub(self.answered) >= ORPHAN_AFTER && !self.is_outdated;
            return match look == Look::Unreachable && is_long {
                true => Turn::Orphan,
                false => Turn::Wait,
            };
        };
        self.answered = now;
        self.is_outdated = false;
        match sight {
            Sight::Free(pulse) if now >= self.not_before => Turn::Take(pulse),
            Sight::Free(_) => Turn::Wait,
            Sight::Held => {
                // Another one works: what it leaves behind is taken at once.
                self.not_before = Duration::ZERO;
                match is_of_command {
                    true => Turn::Want,
                    false => Turn::Wait,
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FREE: Sight = Sight::Free(Pulse {
        epoch: 1,
        renewals: 2,
    });

    fn seen(sight: Sight) -> Look {
        Look::Seen {
            sight,
            is_of_command: false,
        }
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn without_the_database_it_works_after_five_minutes_in_which_nothing_answered() {
        let mut patience = Patience::default();
        patience.begin(seconds(100));
        assert_eq!(patience.after(Look::Unreachable, seconds(399)), Turn::Wait);
        assert_eq!(patience.after(Look::Failed, seconds(400)), Turn::Wait);
        assert_eq!(
            patience.after(Look::Unreachable, seconds(400)),
            Turn::Orphan
        );
        assert_eq!(patience.after(seen(Sight::Held), seconds(401)), Turn::Wait);
        assert_eq!(patience.after(Look::Unreachable, seconds(700)), Turn::Wait);
    }

    #[test]
    fn one_that_is_too_old_for_the_database_does_not_work_without_it() {
        let mut patience = Patience::default();
        patience.after(Look::Outdated, seconds(1));
        assert_eq!(patience.after(Look::Unreachable, seconds(900)), Turn::Wait);
        patience.after(seen(Sight::Held), seconds(901));
        let later = patience.after(Look::Unreachable, seconds(1_201));
        assert_eq!(later, Turn::Orphan);
    }

    #[test]
    fn one_that_has_yielded_leaves_the_lease_for_a_minute_or_until_another_one_had_it() {
        let mut patience = Patience::default();
        patience.yielded(seconds(10));
        assert_eq!(patience.after(seen(FREE), seconds(69)), Turn::Wait);
        assert!(matches!(
            patience.after(seen(FREE), seconds(70)),
            Turn::Take(_)
        ));
        patience.yielded(seconds(80));
        patience.after(seen(Sight::Held), seconds(81));
        assert!(matches!(
            patience.after(seen(FREE), seconds(82)),
            Turn::Take(_)
        ));
    }
}
