//! What AWS refuses until somebody does something about it, as the history tells it.
//!
//! Owns: when such a refusal is over. It is not over because its slot is: the next slot is refused alike, and in between
//! nobody may read that all is well. It is over when AWS has accepted a snapshot since, or when nothing is asked for there
//! any more. Pure.

use chrono::{DateTime, Utc};

use crate::history::{History, PairState};
use crate::run::{Reason, Run};
use crate::settings::Config;
use crate::slot::{Pair, Scope};

/// The runs of a scope whose refusal is in force, the one that was asked for last at the end: one for each pair.
pub fn in_force<'a>(config: &Config, history: &'a History, scope: &Scope) -> Vec<&'a Run> {
    let pairs = history.runs.pairs_in(scope);
    let refused = pairs.filter_map(|pair| last_refused(config, history, pair));
    let mut refused: Vec<&Run> = refused.collect();
    if !refused.is_empty() {
        let accepted = acceptances(history, scope);
        refused.retain(|run| !run.is_ended() || !is_refuted(run, &accepted));
    }
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

/// When AWS has accepted a snapshot of which pair.
type Acceptance<'a> = (&'a Pair, DateTime<Utc>);

fn acceptances<'a>(history: &'a History, scope: &Scope) -> Vec<Acceptance<'a>> {
    let runs = history.runs.in_scope(scope);
    runs.filter_map(|run| Some((&run.slot.pair, run.accepted_at?)))
        .collect()
}

/// Whether AWS has accepted something since that would have been refused for the same. IAM may allow one cluster and not
/// another: where others were accepted while this one was refused, only its own cluster tells.
fn is_refuted(run: &Run, accepted: &[Acceptance<'_>]) -> bool {
    let Some(asked_at) = run.asked_at else {
        return false;
    };
    let is_its = |pair: &Pair| pair.cluster == run.slot.pair.cluster;
    let meanwhile = run.requested_at.unwrap_or(asked_at)..=asked_at;
    let is_of_cluster = run.refusal() == Some(&Reason::AccessDenied) && { accepted.iter() }
        .any(|(pair, at)| !is_its(pair) && meanwhile.contains(at));
    let mut since = accepted.iter().filter(|(_, at)| *at > asked_at);
    since.any(|(pair, _)| !is_of_cluster || is_its(pair))
}

/// Whether AWS has accepted a snapshot in the scope after `since`.
pub fn has_accepted(history: &History, scope: &Scope, since: DateTime<Utc>) -> bool {
    let mut runs = history.runs.in_scope(scope);
    runs.any(|run| run.accepted_at.is_some_and(|at| at > since))
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::names::Tier;
    use crate::policy::Policy;
    use crate::run::{Outcome, RunState};
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
        let told = in_force(&config, &history, &scope("eu-central-1"));
        let told = told.iter().map(|run| run.slot.pair.cluster.to_string());
        told.collect()
    }

    #[test]
    fn a_refusal_is_over_when_aws_has_accepted_and_not_when_the_next_slot_comes() {
        let policy = hourly();
        let ended = |outcome| RunState::Ended(outcome);
        let denied = || ended(Outcome::Expired(Reason::AccessDenied));
        let full = || ended(Outcome::Expired(Reason::Quota.superseded()));
        let good = || ended(Outcome::Available);
        let of = |cluster, hour, state| {
            run(
                &policy,
                cluster,
                &format!("2026-11-24T0{hour}:00:00Z"),
                state,
            )
        };
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
}
