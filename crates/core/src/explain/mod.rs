//! Why a cluster got its snapshots, did not, or will: the answers of `redkeep explain`, in words.
//!
//! Owns: which policies touch a cluster or nearly do (`relation`), what a run's record says (`words`, `outcome`), and
//! what comes next (`coming`). Pure, like the plan whose decisions it tells; where it foretells one it asks the plan's
//! own predicates, so that the two cannot disagree. Never asks AWS, so what only a listing shows is said to be so.
//!
//! AWS's messages are quoted as they are: whoever shows the words to a terminal escapes them.

mod ended_run;
mod next_slot;
mod open_run;
mod relation;

use chrono::{DateTime, TimeDelta, Utc};

use crate::plan::Facts;
use crate::run::Run;

pub use ended_run::missed_range;
pub use next_slot::{Coming, coming};
pub use open_run::run;
pub use relation::{Near, Part, Relation, relations};

/// What the words about a run are made from.
#[derive(Clone, Copy)]
pub struct Past<'a> {
    /// What the plan would decide from; of what was observed only the history is known here.
    pub facts: Facts<'a>,
    /// The pair's newest runs, oldest first.
    pub recent: &'a [Run],
}

/// A text, and until when what it tells of is waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// For people.
    pub words: String,
    /// The next instant at which something may happen, where one is known.
    pub waits_until: Option<DateTime<Utc>>,
}

impl Explanation {
    fn now(words: String) -> Self {
        Self {
            words,
            waits_until: None,
        }
    }

    fn until(at: DateTime<Utc>, words: String) -> Self {
        Self {
            words,
            waits_until: Some(at),
        }
    }
}

/// A length of time in its two largest units, as the policy file writes them; what is negative is none.
pub fn span(length: TimeDelta) -> String {
    let seconds = length.num_seconds().max(0);
    let (large, unit, small, small_unit) = match seconds {
        0..60 => return format!("{seconds}s"),
        60..3600 => (seconds / 60, "m", seconds % 60, "s"),
        3600..86_400 => (seconds / 3600, "h", seconds % 3600 / 60, "m"),
        _ => (seconds / 86_400, "d", seconds % 86_400 / 3600, "h"),
    };
    match small {
        0 => format!("{large}{unit}"),
        _ => format!("{large}{unit} {small}{small_unit}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_in_its_two_largest_units() {
        let told = [0, 59, 125, 7200, 93_600, 864_000, -5]
            .map(|seconds| span(TimeDelta::seconds(seconds)));
        assert_eq!(told, ["0s", "59s", "2m 5s", "2h", "1d 2h", "10d", "0s"]);
    }
}
