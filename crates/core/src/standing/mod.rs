//! What is wrong with a pair now, in words, and the command that helps.
//!
//! Owns: what `status` tells first and `status --check` finds, and what the page tells of a pair: how its newest slot ended
//! (`LastCounting`), what AWS refuses now (`refused`), and for how long it is overdue. `alarm` has the words for alarms. A
//! slot that a blackout, a pause or a disabled policy explains is excused, by the same rule as in `report`. Pure; never
//! looks for the outcome itself.

mod alarm;

use chrono::{DateTime, TimeDelta, Utc};

use crate::explain::span;
use crate::history::History;
use crate::refusals::{Refusals, Refused};
use crate::remedy;
use crate::run::{Missed, Outcome, OutcomeKind, Reason, Run};
use crate::slot::Pair;

pub use alarm::{AlarmWords, over, words};

/// How the newest slot that counts ended: the newest that has ended and is not excused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastCounting {
    /// Its instant.
    pub at: DateTime<Utc>,
    /// Its outcome.
    pub outcome: Outcome,
    /// Whether it brought a snapshot.
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

    /// Of a slot as the history has it in words; `None` where it is excused.
    pub fn of_record(
        at: DateTime<Utc>,
        kind: OutcomeKind,
        reason: Option<&str>,
        message: Option<&str>,
    ) -> Option<Self> {
        let words = reason.unwrap_or_default();
        let outcome = match kind {
            OutcomeKind::Available => Outcome::Available,
            OutcomeKind::Skipped => Outcome::Skipped,
            OutcomeKind::Failed => Outcome::Failed(words.into()),
            OutcomeKind::Expired => Outcome::Expired(words.into()),
            OutcomeKind::Conflict => Outcome::Conflict(words.to_owned()),
            OutcomeKind::Missed => Outcome::Missed(Missed::of_word(words).unwrap_or(Missed::Late)),
        };
        let said: Vec<&str> = reason.into_iter().chain(message).collect();
        (!outcome.is_excused()).then(|| Self {
            at,
            is_good: outcome == Outcome::Available,
            outcome,
            reason: (!said.is_empty()).then(|| said.join(": ")),
        })
    }
}

/// What is wrong, what follows from it, and what helps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Concern {
    /// Since when.
    pub since: Option<DateTime<Utc>>,
    /// What is wrong, in words.
    pub words: String,
    /// What follows from it.
    pub meaning: String,
    /// The command that says more, or mends it.
    pub command: String,
}

/// What is wrong with the pair, what goes on now first. `overdue` is for how long its newest snapshot has been older than
/// `rpo`, and the rpo.
pub fn concerns(
    (history, refusals): (&History, &Refusals<'_>),
    pair: &Pair,
    last: Option<&LastCounting>,
    overdue: Option<(TimeDelta, TimeDelta)>,
    now: DateTime<Utc>,
    show: impl Fn(DateTime<Utc>) -> String,
) -> Vec<Concern> {
    let refused = refusals.of_pair(pair).into_iter();
    let refused = refused.filter_map(|one| self::refused(&one, now, &show));
    let lacking = last.and_then(|last| lacking(pair, last, &show));
    let overdue = overdue.map(|(by, rpo)| Concern {
        since: Some(now - by),
        words: format!(
            "the newest snapshot has been older than rpo ({}) for {}",
            span(rpo),
            span(by)
        ),
        meaning: alarm::OVERDUE.to_owned(),
        command: remedy::of_overdue(history, pair),
    });
    refused.chain(lacking).chain(overdue).collect()
}

/// That the newest slot that counts brought no snapshot.
pub fn lacking(
    pair: &Pair,
    last: &LastCounting,
    show: impl Fn(DateTime<Utc>) -> String,
) -> Option<Concern> {
    if last.is_good {
        return None;
    }
    let why = last.reason.as_ref();
    let why = why.map(|why| format!(": {why}")).unwrap_or_default();
    let (word, at) = (last.outcome.word(), show(last.at));
    Some(Concern {
        since: Some(last.at),
        words: format!("the slot of {at} has no snapshot, {word}{why}"),
        meaning: meaning(&last.outcome).to_owned(),
        command: remedy::of_outcome(&last.outcome, pair),
    })
}

/// What AWS refuses now, where people should see it.
pub fn refused(
    refused: &Refused<'_>,
    now: DateTime<Utc>,
    show: impl Fn(DateTime<Utc>) -> String,
) -> Option<Concern> {
    refused.is_shown(now).then(|| Concern {
        since: Some(refused.since()),
        words: told_refused(refused, now, &show),
        meaning: match (refused.asks_until(now), refused.count()) {
            (Some(until), 1) => format!(
                "It has no snapshot yet. redkeep keeps asking until {}.",
                show(until)
            ),
            (Some(until), _) => format!(
                "They have no snapshots yet. redkeep keeps asking until {} at most.",
                show(until)
            ),
            (None, _) => {
                "redkeep does not ask again, and records the outcome after one more look at AWS."
                    .to_owned()
            }
        },
        command: remedy::of_refused(refused),
    })
}

/// Whose slots AWS refuses: a pair's, or those of an account and region.
pub fn subject(refused: &Refused<'_>) -> String {
    match refused.pair() {
        Some(pair) => pair.to_string(),
        None => refused.scope().to_string(),
    }
}

/// What AWS refuses, for how long, why, and what AWS said last.
fn told_refused(
    refused: &Refused<'_>,
    now: DateTime<Utc>,
    show: impl Fn(DateTime<Utc>) -> String,
) -> String {
    let last = refused.last();
    let slots = match refused.count() {
        1 => format!("the slot of {}", show(last.slot.scheduled_at)),
        count => format!("{count} slots"),
    };
    let said = last.message.as_ref();
    let said = said.map(|said| format!(": {said}")).unwrap_or_default();
    let (why, lasts) = (refused.why, span(now - refused.since()));
    format!("AWS has refused {slots} for {lasts}, {why}{said}")
}

/// What follows from an outcome that is no snapshot.
pub fn meaning(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Available => "",
        Outcome::Skipped => {
            "The previous snapshot was still being made. The next slot starts as planned."
        }
        Outcome::Missed(Missed::Coalesced) => {
            "A newer slot was due too. Of several due slots only the newest starts."
        }
        Outcome::Missed(_) => "It did not start in time. The next slot starts as planned.",
        Outcome::Expired(Reason::Superseded(_)) => {
            "A newer slot was due before AWS had accepted this one. redkeep asks for the newer one instead."
        }
        Outcome::Expired(_) => {
            "AWS had not accepted it when its start window ended. The next slot starts as planned."
        }
        Outcome::Failed(Reason::SnapshotFailed) => {
            "AWS accepted the snapshot but could not complete it. The next slot starts as planned."
        }
        Outcome::Failed(Reason::AccountRemoved) => {
            "Its account was removed from the policy file before it ended."
        }
        Outcome::Failed(Reason::Vanished) => {
            "Somebody deleted the snapshot before it was complete. The next slot starts as planned."
        }
        Outcome::Failed(_) => "AWS refused it permanently. The next slot starts as planned.",
        Outcome::Conflict(_) => {
            "A snapshot of its name exists that is not redkeep's; redkeep does not touch it."
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::{Refusal, RunState};
    use crate::slot::rfc3339;
    use crate::test_fixtures::{at, good, policy};

    fn run() -> Run {
        let retention = "7d".parse::<crate::names::Retention>().unwrap();
        let policy = policy("nightly", "30 2 * * *", &["dw"], retention.into());
        let tier = crate::names::Tier::Base;
        let mut run = good(&policy, "dw", "2026-11-24T01:30:00Z", tier, 7);
        run.requested_at = Some(run.slot.scheduled_at);
        run.request.deadline = at("2026-11-24T05:30:00Z");
        run.message = Some("no".to_owned());
        run
    }

    fn told(outcome: Outcome) -> Vec<Concern> {
        let last = LastCounting {
            at: DateTime::UNIX_EPOCH,
            is_good: outcome == Outcome::Available,
            reason: outcome.reason(),
            outcome,
        };
        let pair = run().slot.pair;
        let now = DateTime::UNIX_EPOCH;
        concerns(
            (&History::default(), &Refusals::default()),
            &pair,
            Some(&last),
            None,
            now,
            rfc3339,
        )
    }

    #[test]
    fn what_somebody_wanted_is_no_concern_and_the_rest_has_its_command() {
        let epoch = DateTime::UNIX_EPOCH;
        assert_eq!(LastCounting::of_missed(epoch, Missed::Paused), None);
        assert_eq!(told(Outcome::Available), []);
        let denied = told(Outcome::Failed(Reason::AccessDenied));
        assert_eq!(denied[0].command, "redkeep iam-policy --account prod");
        let paused = Reason::ClusterState(Some("paused".to_owned()));
        let paused = told(Outcome::Expired(paused));
        assert_eq!(
            paused[0].words,
            "the slot of 1970-01-01T00:00:00Z has no snapshot, expired: cluster paused"
        );
        assert_eq!(
            paused[0].command,
            "aws redshift resume-cluster --cluster-identifier dw --region eu-central-1"
        );
        let superseded = told(Outcome::Expired(Reason::Throttled.superseded()));
        assert!(superseded[0].meaning.starts_with("A newer slot was due"));
        let overdue = Some((TimeDelta::hours(2), TimeDelta::hours(26)));
        let overdue = concerns(
            (&History::default(), &Refusals::default()),
            &run().slot.pair,
            None,
            overdue,
            epoch,
            rfc3339,
        );
        assert_eq!(
            overdue[0].command,
            "redkeep take --policy nightly --cluster dw"
        );
    }

    #[test]
    fn what_aws_refuses_now_is_told_at_once_or_when_it_does_not_pass() {
        let paused = || Reason::ClusterState(Some("paused".to_owned()));
        let modifying = || Reason::ClusterState(Some("modifying".to_owned()));
        for (why, minutes, is_told) in [
            (Reason::AccessDenied, 0, true),
            (Reason::Quota, 0, true),
            (Reason::ClockSkew, 0, true),
            (paused(), 0, true),
            (modifying(), 9, false),
            (modifying(), 54, true),
            (Reason::Throttled, 1, false),
            (Reason::Throttled, 54, true),
        ] {
            let mut run = run();
            let refusal = Refusal {
                why: why.clone(),
                times: 3,
                at: None,
            };
            run.message = Some("no".to_owned());
            let now = run.slot.scheduled_at + TimeDelta::minutes(minutes);
            run.state = RunState::Waiting {
                until: now,
                refusal: refusal.clone(),
            };
            let told = |run: &Run| {
                let mut history = History::default();
                history.insert(run.clone());
                let refusals = Refusals::now(&history, now);
                let pair = &run.slot.pair;
                concerns((&history, &refusals), pair, None, None, now, rfc3339)
            };
            let waiting = told(&run);
            assert_eq!(waiting.len(), usize::from(is_told), "{why}, {minutes}");
            run.state = RunState::Asking {
                refusal: Some(refusal),
            };
            assert_eq!(waiting, told(&run), "{why}");
        }
    }
}
