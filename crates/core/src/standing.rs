//! What is wrong with a pair now, in words, and the command that helps.
//!
//! Owns: what `status` tells first and `status --check` finds. A slot that a blackout, a pause or a disabled policy explains
//! is excused, by the same rule as in `report`. Pure; never looks for the outcome itself.

use chrono::{DateTime, TimeDelta, Utc};

use crate::explain::span;
use crate::run::{Missed, Outcome, Reason, Run};
use crate::slot::Pair;

/// How the newest slot that counts ended: the newest that has ended and is not excused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastCounting {
    /// Its instant.
    pub at: DateTime<Utc>,
    /// Its outcome.
    pub outcome: Outcome,
    /// Whether the run brought a snapshot.
    pub is_good: bool,
    /// Why it did not, as the history has it.
    pub reason: Option<String>,
}

impl LastCounting {
    /// Of a run; `None` where it has not ended, or is excused.
    pub fn of(run: &Run) -> Option<Self> {
        let outcome = run.outcome()?;
        let counts = !outcome.is_excused();
        counts.then(|| Self {
            at: run.slot.scheduled_at,
            outcome: outcome.clone(),
            is_good: *outcome == Outcome::Available,
            reason: run.reason(),
        })
    }

    /// Of many slots that were missed in a row, the last of them at this instant; `None` where they are excused.
    pub fn of_missed(at: DateTime<Utc>, why: Missed) -> Option<Self> {
        (!why.is_excused()).then(|| Self {
            at,
            outcome: Outcome::Missed(why),
            is_good: false,
            reason: Some(why.as_str().to_owned()),
        })
    }
}

/// What is wrong, and what helps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Concern {
    /// What is wrong, in words.
    pub words: String,
    /// The command that says more, or mends it.
    pub command: String,
}

/// What is wrong with the pair, the worst first. `overdue` is for how long its newest snapshot has been older than `rpo`.
pub fn concerns(
    pair: &Pair,
    last: Option<&LastCounting>,
    overdue: Option<(TimeDelta, TimeDelta)>,
    show: impl Fn(DateTime<Utc>) -> String,
) -> Vec<Concern> {
    let explain = explain(pair);
    let lacking = last.filter(|last| !last.is_good).map(|last| {
        let why = last.reason.as_ref();
        let why = why.map(|why| format!(": {why}")).unwrap_or_default();
        let (word, at) = (last.outcome.word(), show(last.at));
        Concern {
            words: format!("the slot of {at} brought no snapshot, {word}{why}"),
            command: command(&last.outcome, &explain),
        }
    });
    let overdue = overdue.map(|(by, rpo)| Concern {
        words: format!(
            "the newest snapshot has been older than rpo ({}) for {}",
            span(rpo),
            span(by)
        ),
        command: explain.clone(),
    });
    lacking.into_iter().chain(overdue).collect()
}

/// The command that tells more of a pair.
pub fn explain(pair: &Pair) -> String {
    format!("redkeep explain {} --policy {}", pair.cluster, pair.policy)
}

fn command(outcome: &Outcome, explain: &str) -> String {
    let (Outcome::Failed(reason) | Outcome::Expired(reason)) = outcome else {
        return explain.to_owned();
    };
    match reason.refusal() {
        Reason::Quota => "redkeep forecast".to_owned(),
        Reason::NotFound => "redkeep coverage".to_owned(),
        Reason::Config => "redkeep check".to_owned(),
        Reason::AccessDenied | Reason::Credentials | Reason::Unreachable | Reason::ClockSkew => {
            "redkeep doctor".to_owned()
        }
        _ => explain.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slot::rfc3339;

    fn pair() -> Pair {
        Pair {
            policy: "nightly".parse().unwrap(),
            scope: crate::slot::Scope {
                account: "prod".parse().unwrap(),
                region: "us-east-1".parse().unwrap(),
            },
            cluster: "dw".parse().unwrap(),
        }
    }

    #[test]
    fn what_somebody_wanted_is_no_concern_and_the_rest_has_its_command() {
        let at = DateTime::UNIX_EPOCH;
        assert_eq!(LastCounting::of_missed(at, Missed::Paused), None);
        let told = |outcome: Outcome| {
            let last = LastCounting {
                at,
                is_good: outcome == Outcome::Available,
                reason: outcome.reason(),
                outcome,
            };
            concerns(&pair(), Some(&last), None, rfc3339)
        };
        assert_eq!(told(Outcome::Available), []);
        let denied = told(Outcome::Failed(Reason::AccessDenied));
        assert_eq!(denied[0].command, "redkeep doctor");
        let paused = told(Outcome::Expired(Reason::ClusterState(Some(
            "paused".to_owned(),
        ))));
        assert_eq!(
            paused[0].words,
            "the slot of 1970-01-01T00:00:00Z brought no snapshot, expired: cluster paused"
        );
        assert_eq!(paused[0].command, "redkeep explain dw --policy nightly");
        let overdue = concerns(
            &pair(),
            None,
            Some((TimeDelta::hours(2), TimeDelta::hours(26))),
            rfc3339,
        );
        assert_eq!(overdue.len(), 1);
    }
}
