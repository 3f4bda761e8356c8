//! Who of several instances works: the lease, by the counts of each instance's own clock.
//!
//! Owns: when an instance that waits may take the lease (`patience`), for how long one that holds it may trust that nobody
//! else has taken it (`hold`), what leaves only then (`fenced`), and what may be written into the shared history and
//! fetched from it (`copy`). The store and the daemon carry that out, and the simulation over a model. Never compares the clocks of two machines, and never reads one: `now` is time since this machine was started,
//! which no step of a clock moves and which goes on while the process or the machine sleeps (`CLOCK_BOOTTIME`).

mod copy;
mod fenced;
mod hold;
mod patience;

use std::time::Duration;

pub use copy::{Fence, Line, Mark, Since, Unwritten};
pub use fenced::{Fenced, Trust};
pub use hold::{Heard, Hold, Question};
pub use patience::{Look, Patience, Turn};

/// How often the holder renews the lease.
pub const RENEW_EACH: Duration = Duration::from_secs(5);
/// How often an instance that waits looks at the lease.
pub const LOOK_EACH: Duration = Duration::from_secs(1);
/// For how long after the start of the last renewal that succeeded the holder may do what only one may do. It is less than
/// [`TAKEOVER_AFTER`] by more than a call to AWS needs to leave the machine.
pub const TRUST_FOR: Duration = Duration::from_secs(20);
/// For how long an instance that waits must have seen the same lease before it takes it from its holder.
pub const TAKEOVER_AFTER: Duration = Duration::from_secs(30);
/// After how long without an answer an instance that waits begins to count anew: who could not reach the database may not be
/// the only one, and the holder gets its time to renew the lease.
const UNSEEN_FOR: Duration = Duration::from_secs(10);
/// For how long the database must have been out of reach before an instance that has never held the lease works without it.
pub const ORPHAN_AFTER: Duration = Duration::from_secs(300);

/// For how long the instances must have had different configurations before that is told: a change reaches one after another.
pub const DIFFERENT_FOR: Duration = Duration::from_secs(600);

/// For how long the holder must have been unable to do its work before it lets another instance try. Where none can, the
/// lease goes from one to the next at this distance.
pub const UNFIT_FOR: Duration = Duration::from_secs(120);

/// The two numbers of a lease that change with each sign of life of its holder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pulse {
    /// Counts the holders, one after another.
    pub epoch: i64,
    /// Counts the signs of life.
    pub renewals: i64,
}

/// What an instance that waits makes of a look at the lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sight {
    /// The lease may be taken, if it still has this pulse.
    Free(Pulse),
    /// Somebody holds it.
    Held,
}

/// An instance that waits for the lease.
#[derive(Debug, Clone, Default)]
pub struct Watcher {
    seen: Option<Seen>,
}

/// A pulse that was seen.
#[derive(Debug, Clone, Copy)]
struct Seen {
    pulse: Pulse,
    /// When its first answer was there.
    since: Duration,
    /// When its last one was.
    last: Duration,
}

impl Watcher {
    /// Takes in a look at the lease, made between `began` and now: whether somebody holds it, and its pulse.
    ///
    /// The count of a new pulse begins when its answer is there (`ended`), and has run out by when the next question was
    /// sent (`began`): however slow the database is, less is counted than has passed.
    pub fn look(&mut self, is_held: bool, pulse: Pulse, began: Duration, ended: Duration) -> Sight {
        let goes_on =
            |seen: &Seen| seen.pulse == pulse && began.saturating_sub(seen.last) <= UNSEEN_FOR;
        let since = { self.seen }
            .filter(goes_on)
            .map_or(ended, |seen| seen.since);
        self.seen = Some(Seen {
            pulse,
            since,
            last: ended,
        });
        match is_held && began.saturating_sub(since) < TAKEOVER_AFTER {
            true => Sight::Held,
            false => Sight::Free(pulse),
        }
    }

    /// Forgets what was seen: after a time without a look, nothing is known of the holder's signs of life in it.
    pub fn forget(&mut self) {
        self.seen = None;
    }
}

/// Whether a holder that last renewed the lease by a question sent at `renewed` may do at `now` what only one may do.
pub fn is_trusted(renewed: Duration, now: Duration) -> bool {
    now.saturating_sub(renewed) < TRUST_FOR
}

/// Something that counts only once it has lasted.
#[derive(Debug, Clone)]
pub struct Lasting {
    at_least: Duration,
    since: Option<Duration>,
    is_told: bool,
}

impl Lasting {
    /// Something that counts once it has lasted for this long.
    pub const fn new(at_least: Duration) -> Self {
        Self {
            at_least,
            since: None,
            is_told: false,
        }
    }

    /// Takes in whether it is so at `now`; `true` once, when it has been for long enough.
    pub fn see(&mut self, is_so: bool, now: Duration) -> bool {
        if !is_so {
            *self = Self::new(self.at_least);
            return false;
        }
        let since = *self.since.get_or_insert(now);
        let is_long = now.saturating_sub(since) >= self.at_least;
        let tells = is_long && !self.is_told;
        self.is_told |= tells;
        tells
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PULSE: Pulse = Pulse {
        epoch: 1,
        renewals: 7,
    };

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_lease_that_nobody_holds_is_free_at_once() {
        let mut watcher = Watcher::default();
        let sight = watcher.look(false, PULSE, seconds(5), seconds(5));
        assert_eq!(sight, Sight::Free(PULSE));
    }

    #[test]
    fn a_holder_without_a_sign_of_life_loses_the_lease_after_thirty_seconds_of_looking() {
        let mut watcher = Watcher::default();
        for second in 0..31 {
            // Each answer takes a second, which is not counted.
            let sight = watcher.look(true, PULSE, seconds(second), seconds(second + 1));
            assert_eq!(sight, Sight::Held, "after {second} s");
        }
        let sight = watcher.look(true, PULSE, seconds(31), seconds(31));
        assert_eq!(sight, Sight::Free(PULSE));
    }

    #[test]
    fn each_sign_of_life_begins_the_count_anew() {
        let mut watcher = Watcher::default();
        let next = Pulse {
            renewals: 8,
            ..PULSE
        };
        watcher.look(true, PULSE, seconds(0), seconds(0));
        assert_eq!(
            watcher.look(true, next, seconds(29), seconds(29)),
            Sight::Held
        );
        assert_eq!(
            watcher.look(true, next, seconds(58), seconds(58)),
            Sight::Held
        );
        watcher.forget();
        assert_eq!(
            watcher.look(true, next, seconds(70), seconds(70)),
            Sight::Held
        );
    }

    #[test]
    fn a_disagreement_is_told_once_when_it_has_lasted() {
        let mut disagreement = Lasting::new(DIFFERENT_FOR);
        assert!(!disagreement.see(true, seconds(5)));
        assert!(!disagreement.see(false, seconds(500)));
        assert!(!disagreement.see(true, seconds(1_000)));
        assert!(!disagreement.see(true, seconds(1_599)));
        assert!(disagreement.see(true, seconds(1_600)));
        assert!(!disagreement.see(true, seconds(1_601)));
    }

    #[test]
    fn one_that_could_not_look_counts_anew_when_it_can() {
        let mut watcher = Watcher::default();
        watcher.look(true, PULSE, seconds(0), seconds(0));
        for second in [9, 18, 27] {
            watcher.look(true, PULSE, seconds(second), seconds(second));
        }
        // Eleven seconds without an answer.
        for second in [38, 48, 58, 67] {
            let sight = watcher.look(true, PULSE, seconds(second), seconds(second));
            assert_eq!(sight, Sight::Held, "at {second} s");
        }
        let sight = watcher.look(true, PULSE, seconds(68), seconds(68));
        assert_eq!(sight, Sight::Free(PULSE));
    }

    #[test]
    fn trust_ends_before_anybody_else_may_have_counted_to_the_end() {
        assert!(is_trusted(seconds(10), seconds(29)));
        assert!(!is_trusted(seconds(10), seconds(30)));
        assert!(TRUST_FOR + seconds(5) < TAKEOVER_AFTER);
    }
}
