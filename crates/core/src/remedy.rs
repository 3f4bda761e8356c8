//! The command that helps: one for each thing that may be wrong, wherever it is told.
//!
//! Owns: which command that is. The page, `status`, `explain`, `doctor` and the messages to receivers all ask here, so that
//! they cannot differ. Pure; the options that a command needs to read another policy file than the default are added where
//! it is shown.

use crate::history::History;
use crate::names::{AccountName, PolicyName};
use crate::refusals::Refused;
use crate::run::{Outcome, Reason, Run};
use crate::slot::{Pair, Scope};

/// Tells more of a pair.
pub fn explain(pair: &Pair) -> String {
    format!("redkeep explain {} --policy {}", pair.cluster, pair.policy)
}

/// Takes the snapshot that is missing.
pub fn take(pair: &Pair) -> String {
    format!(
        "redkeep take --policy {} --cluster {}",
        pair.policy, pair.cluster
    )
}

/// Ends the pause of a policy.
pub fn resume(policy: &PolicyName) -> String {
    format!("redkeep resume {policy}")
}

/// Prints what IAM must allow.
pub fn iam_policy(account: &AccountName) -> String {
    format!("redkeep iam-policy --account {account}")
}

/// Wakes a paused cluster; that is the AWS CLI's to do.
pub fn resume_cluster(scope: &Scope, cluster: &str) -> String {
    format!(
        "aws redshift resume-cluster --cluster-identifier {cluster} --region {}",
        scope.region
    )
}

/// For what AWS refuses in an account and region, whatever the cluster is.
pub fn of_common(why: &Reason, scope: &Scope) -> String {
    match why.refusal() {
        Reason::Quota => "redkeep forecast".to_owned(),
        Reason::AccessDenied => iam_policy(&scope.account),
        Reason::Throttled => "redkeep status".to_owned(),
        _ => "redkeep doctor".to_owned(),
    }
}

/// For what AWS refuses a pair, or refused it for.
pub fn of_reason(why: &Reason, pair: &Pair) -> String {
    match why.refusal() {
        Reason::Throttled => explain(pair),
        why if why.is_of_scope() => of_common(why, &pair.scope),
        Reason::NotFound => "redkeep coverage".to_owned(),
        Reason::Config => "redkeep check".to_owned(),
        Reason::SnapshotFailed | Reason::Vanished => take(pair),
        why if why.is_paused_cluster() => resume_cluster(&pair.scope, pair.cluster.as_str()),
        _ => explain(pair),
    }
}

/// For what AWS refuses now: of one pair, or of several for what is common to them.
pub fn of_refused(refused: &Refused<'_>) -> String {
    match refused.pair() {
        Some(pair) => of_reason(refused.why, pair),
        None => of_common(refused.why, refused.scope()),
    }
}

/// For the slot of a pair that AWS refuses now.
pub fn of_open(history: &History, pair: &Pair) -> String {
    let mut open = history.of_pair(pair).rev().filter(|run| !run.is_ended());
    match open.find_map(Run::refusal) {
        Some(why) => of_reason(why, pair),
        None => explain(pair),
    }
}

/// For how a slot ended.
pub fn of_outcome(outcome: &Outcome, pair: &Pair) -> String {
    match outcome {
        Outcome::Failed(why) | Outcome::Expired(why) => of_reason(why, pair),
        Outcome::Missed(_) => take(pair),
        Outcome::Available | Outcome::Skipped | Outcome::Conflict(_) => explain(pair),
    }
}

/// For a pair that has been without a good snapshot for too long: what keeps the next one from coming, if that is known.
pub fn of_overdue(history: &History, pair: &Pair) -> String {
    if history.pauses.since(&pair.policy).is_some() {
        return resume(&pair.policy);
    }
    let since_good = history.of_pair(pair).rev();
    let mut since_good = since_good.take_while(|run| !run.is_good());
    match since_good.find_map(Run::refusal) {
        Some(why) => of_reason(why, pair),
        None => take(pair),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pause::{Pause, Pauses};
    use crate::run::{Refusal, RunState};
    use crate::test_fixtures::{at, good, policy};

    #[test]
    fn an_overdue_pair_is_helped_by_what_lets_the_next_snapshot_come() {
        let retention = "7d".parse::<crate::names::Retention>().unwrap();
        let policy = policy("nightly", "30 2 * * *", &["dw"], retention.into());
        let tier = crate::names::Tier::Base;
        let mut run = good(&policy, "dw", "2026-11-24T01:30:00Z", tier, 7);
        let pair = run.slot.pair.clone();
        let mut history = History::default();
        let take = "redkeep take --policy nightly --cluster dw";
        assert_eq!(of_overdue(&history, &pair), take);
        history.insert(run.clone());
        run.slot.scheduled_at = at("2026-11-25T01:30:00Z");
        run.state = RunState::Waiting {
            until: at("2026-11-25T02:30:00Z"),
            refusal: Refusal {
                why: Reason::ClusterState(Some("paused".to_owned())),
                times: 1,
                at: None,
            },
        };
        history.insert(run);
        assert_eq!(
            of_overdue(&history, &pair),
            "aws redshift resume-cluster --cluster-identifier dw --region eu-central-1"
        );
        let pause = Pause {
            paused_at: at("2026-11-25T01:00:00Z"),
            resumed_at: None,
        };
        history.pauses = Pauses::from_iter([(policy.name.clone(), pause)]);
        assert_eq!(of_overdue(&history, &pair), "redkeep resume nightly");
    }
}
