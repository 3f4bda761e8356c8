//! What AWS refuses, as the history tells it, and when that is over.
//!
//! Owns: the one rule by which a refusal is over. Where its cause is common to the account and region, it is over when AWS has
//! accepted a snapshot there since: the slots that wait for it ask again at once, and whatever tells of refusals (page,
//! `status`, `doctor`, alarms, messages) asks here. It is not over because its slot is: the next slot is refused alike, and
//! in between nobody may read that all is well. Also owns which refusals are one, and from when on people are told. Pure.

mod standing;

use chrono::{DateTime, TimeDelta, Utc};

use crate::history::{History, PairState};
use crate::names::ClusterId;
use crate::run::{Reason, Run};
use crate::settings::Config;
use crate::slot::{Pair, Scope};

pub use standing::{PATIENCE, Refusals, Refused, notice_after};

/// The runs of a scope whose refusal is in force until somebody does something about it, the one that was asked for last at
/// the end: one for each pair.
pub fn in_force<'a>(
    config: &Config,
    history: &'a History,
    scope: &Scope,
    now: DateTime<Utc>,
) -> Vec<&'a Run> {
    let pairs = history.runs.pairs_in(scope);
    let refused = pairs.filter_map(|pair| last_refused(config, history, pair));
    let mut refused: Vec<&Run> = refused.collect();
    let answers = Answers::about(history, scope, refused.iter().copied(), now);
    refused.retain(|run| !answers.refute(run));
    refused.sort_by_key(|run| run.asked_at);
    refused
}

/// The run by which AWS has told last whether it lets snapshots of the pair be made, where that is a refusal.
fn last_refused<'a>(config: &Config, history: &'a History, pair: &Pair) -> Option<&'a Run> {
    let tells = |run: &&Run| run.accepted_at.is_some() || run.is_refused_for_good();
    let last = history.of_pair(pair).rev().find(tells)?;
    let is_asked_for = || {
        let state = history.pairs.get(pair);
        let policy = config.policy(&pair.policy);
        state.is_some_and(PairState::is_active) && policy.is_some_and(|policy| policy.enabled)
    };
    let counts = last.is_refused_for_good() && (!last.is_ended() || is_asked_for());
    counts.then_some(last)
}

/// An answer to a create call, and what is looked up because of it, takes no longer.
const LONGEST_ANSWER: TimeDelta = TimeDelta::minutes(1);

/// A snapshot that redkeep asked for and AWS accepted.
#[derive(Debug)]
struct Acceptance<'a> {
    cluster: &'a ClusterId,
    /// What AWS accepted by this request it would not have accepted before.
    asked_at: DateTime<Utc>,
    accepted_at: DateTime<Utc>,
}

/// What AWS has answered in a scope: what it accepted, and what it refused for a cause that is common to the scope.
#[derive(Debug, Default)]
pub struct Answers<'a> {
    now: DateTime<Utc>,
    accepted: Vec<Acceptance<'a>>,
    refused: Vec<(&'a Reason, DateTime<Utc>)>,
}

impl<'a> Answers<'a> {
    /// What the history has of a scope that may tell whether the refusals of these runs are over. What was asked for
    /// later than `now`, before the clock was set back, tells nothing yet.
    pub fn about<'b>(
        history: &'a History,
        scope: &Scope,
        refused: impl Iterator<Item = &'b Run>,
        now: DateTime<Utc>,
    ) -> Self {
        let asked = refused.filter(|run| run.waits_for_acceptance());
        let Some(since) = asked
            .filter_map(|run| run.requested_at.or(run.asked_at))
            .min()
        else {
            return Self::default();
        };
        let mut answers = Self {
            now,
            ..Self::default()
        };
        for pair in history.runs.pairs_in(scope) {
            let runs = history.of_pair(pair).rev();
            for run in runs.take_while(|run| last_asked(run) >= since) {
                answers.note(run);
            }
        }
        answers
    }

    fn note(&mut self, run: &'a Run) {
        if let (Some(accepted_at), Some(asked_at)) = (run.accepted_at, run.asked_at) {
            // What was found later may have been made by another host.
            if accepted_at - asked_at <= LONGEST_ANSWER {
                self.accepted.push(Acceptance {
                    cluster: &run.slot.pair.cluster,
                    asked_at,
                    accepted_at,
                });
            }
        } else if let (Some(why), Some(at)) = (run.refusal(), run.refused_at()) {
            match self.refused.iter_mut().find(|(one, _)| *one == why) {
                Some((_, newest)) => *newest = at.max(*newest),
                None => self.refused.push((why, at)),
            }
        }
    }

    /// Whether AWS has accepted something since that would have been refused for the same, and has not refused anything for
    /// the same after that. IAM may allow one cluster and not another: where others were accepted while this one was
    /// refused, only its own cluster tells; and that another one is refused tells nothing of this one.
    pub fn refute(&self, run: &Run) -> bool {
        let why = run.refusal().filter(|why| why.ends_with_acceptance());
        let Some((why, refused_at)) = why.zip(run.refused_at()) else {
            return false;
        };
        let is_since =
            |one: &&Acceptance<'_>| one.asked_at > refused_at && one.asked_at <= self.now;
        let mut since = self.accepted.iter().filter(is_since);
        if *why == Reason::AccessDenied {
            let is_of_cluster = self.allow_others_meanwhile(run, refused_at);
            return since.any(|one| !is_of_cluster || *one.cluster == run.slot.pair.cluster);
        }
        let again = { self.refused.iter() }.find(|(one, _)| *one == why);
        let is_over = |one: &Acceptance<'_>| again.is_none_or(|(_, at)| one.asked_at > *at);
        since.any(is_over)
    }

    fn allow_others_meanwhile(&self, run: &Run, refused_at: DateTime<Utc>) -> bool {
        let meanwhile = run.requested_at.unwrap_or(refused_at)..=refused_at;
        let mut others =
            { self.accepted.iter() }.filter(|one| *one.cluster != run.slot.pair.cluster);
        others.any(|one| meanwhile.contains(&one.accepted_at))
    }
}

/// Until when AWS may have been asked for the run.
fn last_asked(run: &Run) -> DateTime<Utc> {
    let deadline = run.request.deadline;
    run.asked_at.map_or(deadline, |at| at.max(deadline))
}

/// Whether AWS has accepted a snapshot in the scope after `since`.
pub fn has_accepted(history: &History, scope: &Scope, since: DateTime<Utc>) -> bool {
    let mut runs = history.runs.in_scope(scope);
    runs.any(|run| run.accepted_at.is_some_and(|at| at > since))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::Tier;
    use crate::policy::Policy;
    use crate::run::{Outcome, Refusal, RunState};
    use crate::test_fixtures::{active, at, config, good, policy, scope};

    fn hourly() -> Policy {
        let retention = "7d".parse::<crate::names::Retention>().unwrap();
        policy("hourly", "0 * * * *", &["dw", "finance"], retention.into())
    }

    /// A run that was asked for from its slot on, for half an hour.
    fn run(policy: &Policy, cluster: &str, slot: &str, state: RunState) -> Run {
        let mut run = good(policy, cluster, slot, Tier::Base, 7);
        let slot = at(slot);
        run.requested_at = Some(slot);
        run.asked_at = Some(slot + TimeDelta::minutes(30));
        run.snapshot = None;
        if state == RunState::Ended(Outcome::Available) {
            run.asked_at = Some(slot);
            run.accepted_at = Some(slot);
        }
        run.state = state;
        run
    }

    fn told(runs: Vec<Run>) -> Vec<String> {
        let policy = hourly();
        let mut history = History::default();
        for cluster in ["dw", "finance"] {
            let pair = run(&policy, cluster, "2026-11-24T00:00:00Z", RunState::Due)
                .slot
                .pair;
            let state = active(&policy, "2026-11-01T00:00:00Z", "2026-11-24T09:00:00Z");
            history.pairs.insert(pair, state);
        }
        for run in runs {
            let pair = run.slot.pair.clone();
            history.insert(run);
            history.forget_old(&pair);
        }
        let config = config(vec![policy]);
        let now = at("2026-11-24T09:00:00Z");
        let told = in_force(&config, &history, &scope("eu-central-1"), now);
        let told = told.iter().map(|run| run.slot.pair.cluster.to_string());
        told.collect()
    }

    #[test]
    fn a_refusal_is_over_when_aws_has_accepted_and_not_when_the_next_slot_comes() {
        let ended = |outcome| RunState::Ended(outcome);
        let denied = || ended(Outcome::Expired(Reason::AccessDenied));
        let full = || ended(Outcome::Expired(Reason::Quota.superseded()));
        let good = || ended(Outcome::Available);
        let missed = || ended(Outcome::Missed(crate::run::Missed::Late));
        let none: Vec<String> = Vec::new();
        for (what, runs, wanted) in [
            (
                "the next slot is due",
                vec![of("dw", 1, denied()), of("dw", 2, RunState::Due)],
                vec!["dw".to_owned()],
            ),
            (
                "slots are missed after it",
                vec![
                    of("dw", 1, full()),
                    of("dw", 2, missed()),
                    of("dw", 3, missed()),
                ],
                vec!["dw".to_owned()],
            ),
            (
                "its pair was accepted",
                vec![of("dw", 1, denied()), of("dw", 2, good())],
                none.clone(),
            ),
            (
                "another cluster was accepted later",
                vec![of("dw", 1, denied()), of("finance", 2, good())],
                none.clone(),
            ),
            (
                "another cluster was accepted before",
                vec![of("finance", 0, good()), of("dw", 1, denied())],
                vec!["dw".to_owned()],
            ),
            (
                "IAM allows the other cluster, and did so while it refused this one",
                vec![
                    of("finance", 1, good()),
                    of("dw", 1, denied()),
                    of("finance", 2, good()),
                ],
                vec!["dw".to_owned()],
            ),
            (
                "a quota is the account's, whichever cluster is accepted",
                vec![
                    of("finance", 1, good()),
                    of("dw", 1, full()),
                    of("finance", 2, good()),
                ],
                none,
            ),
        ] {
            assert_eq!(told(runs), wanted, "{what}");
        }
    }

    /// The run of a cluster for this hour.
    fn of(cluster: &str, hour: u32, state: RunState) -> Run {
        let slot = format!("2026-11-24T0{hour}:00:00Z");
        run(&hourly(), cluster, &slot, state)
    }

    #[test]
    fn a_refusal_is_over_by_what_was_asked_for_here_and_not_refused_again_since() {
        let ended = |outcome| RunState::Ended(outcome);
        let denied = || ended(Outcome::Expired(Reason::AccessDenied));
        let full = || ended(Outcome::Expired(Reason::Quota));
        let good = || ended(Outcome::Available);
        let waiting = || RunState::Waiting {
            until: at("2026-11-24T09:00:00Z"),
            refusal: Refusal {
                why: Reason::Quota,
                times: 1,
                at: Some(at("2026-11-24T01:00:01Z")),
            },
        };
        let adopted = |mut run: Run| {
            run.accepted_at = run.asked_at.map(|at| at + TimeDelta::hours(1));
            run
        };
        for (what, runs, wanted) in [
            (
                "it is refused for its quota again after another one was accepted",
                vec![
                    of("dw", 1, full()),
                    of("finance", 2, good()),
                    of("finance", 3, full()),
                ],
                vec!["dw".to_owned(), "finance".to_owned()],
            ),
            (
                "another host made the snapshot long after it was asked for here",
                vec![of("dw", 1, denied()), adopted(of("finance", 2, good()))],
                vec!["dw".to_owned()],
            ),
            (
                "it still waits, and another one was accepted",
                vec![of("dw", 1, waiting()), of("finance", 2, good())],
                Vec::new(),
            ),
        ] {
            assert_eq!(told(runs), wanted, "{what}");
        }
    }
}
