//! The words for each alarm: of what it is, what is so, what follows from it, and the command that helps.
//!
//! Owns: these words, for the page and for the messages to receivers alike.

use crate::history::History;
use crate::plan::{Alarm, Blocked};
use crate::remedy::{explain, iam_policy, of_overdue};
use crate::slot::{Slot, rfc3339};

/// How an alarm is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlarmWords {
    /// What it has in common with others.
    pub kind: &'static str,
    /// Of what it is.
    pub subject: String,
    /// What is so.
    pub what: String,
    /// What follows from it.
    pub meaning: &'static str,
    /// What tells more, or mends it.
    pub command: String,
}

/// The kind, what is so, what follows from it, and the command that helps.
type Words = (&'static str, String, &'static str, String);

/// How an alarm is told, by the history that it is of.
pub fn words(alarm: &Alarm, history: &History) -> AlarmWords {
    let (kind, what, meaning, command) = pair_words(alarm, history);
    AlarmWords {
        kind,
        subject: subject(alarm),
        what,
        meaning,
        command,
    }
}

/// Of what an alarm is.
fn subject(alarm: &Alarm) -> String {
    match alarm {
        Alarm::StillCreating(slot)
        | Alarm::UnknownStatus(slot)
        | Alarm::GuardRefused(slot)
        | Alarm::LettingGo(slot) => slot.pair.to_string(),
        Alarm::RpoBreach(pair) | Alarm::NoSuchCluster(pair) => pair.to_string(),
        Alarm::QuotaNear(scope)
        | Alarm::QuotaReached(scope)
        | Alarm::AccessDenied(scope)
        | Alarm::ClockSkew(scope)
        | Alarm::Unreachable(scope)
        | Alarm::SameAccount(scope)
        | Alarm::HalfHeld(scope, _)
        | Alarm::Unidentified(scope) => scope.to_string(),
        Alarm::OtherAccount(account) => format!("the account {account}"),
        Alarm::PruneBlocked(policy, _) | Alarm::ConfirmationLapsed(policy) => {
            format!("the policy {policy}")
        }
    }
}

fn pair_words(alarm: &Alarm, history: &History) -> Words {
    match alarm {
        Alarm::RpoBreach(pair) => (
            "overdue",
            "the newest good snapshot is older than the policy's rpo".to_owned(),
            "A restore would lose more than the policy allows.",
            of_overdue(history, pair),
        ),
        Alarm::NoSuchCluster(_) => (
            "no such cluster",
            "the policy names a cluster that AWS does not list".to_owned(),
            "Its slots fail until the cluster is there, or the policy names another.",
            "redkeep coverage".to_owned(),
        ),
        Alarm::StillCreating(slot) => (
            "still creating",
            format!(
                "the {} is still creating after the completion window",
                snapshot(slot)
            ),
            "It is followed on, and holds up no other slot.",
            show(history, slot),
        ),
        Alarm::UnknownStatus(slot) => (
            "unknown status",
            format!(
                "the {} has a status that AWS does not document",
                snapshot(slot)
            ),
            "It counts as still being made.",
            show(history, slot),
        ),
        Alarm::GuardRefused(slot) => (
            "guard refused",
            format!(
                "the {}, one of the last good ones, is about to expire and cannot be kept",
                snapshot(slot)
            ),
            "The cluster may be left without a good snapshot.",
            show(history, slot),
        ),
        Alarm::LettingGo(slot) => (
            "letting go",
            format!(
                "the {} is one of the last of a cluster that is gone for longer than guard_gone",
                snapshot(slot)
            ),
            "It expires soon, unless somebody holds it.",
            of_snapshot(history, slot, "hold"),
        ),
        other => policy_words(other),
    }
}

/// Of alarms that are about what a policy removes.
fn policy_words(alarm: &Alarm) -> Words {
    match alarm {
        Alarm::PruneBlocked(policy, Blocked::Breaker) => (
            "pruning",
            "no snapshots are removed until somebody confirms the plan".to_owned(),
            "It would remove more than ten snapshots, and more than a quarter.",
            format!("redkeep prune --policy {policy}"),
        ),
        Alarm::PruneBlocked(policy, blocked) => (
            "pruning",
            format!("no snapshots are removed ({})", blocked.as_str()),
            "They stay until they expire, and count against the quota.",
            format!("redkeep prune --policy {policy}"),
        ),
        Alarm::ConfirmationLapsed(policy) => (
            "pruning",
            "the confirmation of a plan was not used within a day".to_owned(),
            "It does not hold any more: look at the plan, and confirm it again if it is right.",
            format!("redkeep prune --policy {policy}"),
        ),
        other => scope_words(other),
    }
}

/// Of alarms that are about an account, or an account in a region.
fn scope_words(alarm: &Alarm) -> Words {
    let doctor = || "redkeep doctor".to_owned();
    match alarm {
        Alarm::QuotaNear(_) => (
            "quota near",
            "at least 85 % of the quota of manual snapshots is used".to_owned(),
            "At the quota AWS refuses new ones.",
            "redkeep forecast".to_owned(),
        ),
        Alarm::QuotaReached(_) => (
            "quota",
            "the quota of manual snapshots is reached".to_owned(),
            "AWS refuses new ones: delete some, or have AWS raise the quota and set snapshot_quota.",
            "redkeep forecast".to_owned(),
        ),
        Alarm::AccessDenied(scope) => (
            "access denied",
            "IAM does not allow snapshots to be made".to_owned(),
            "No snapshot is made there until it does.",
            iam_policy(&scope.account),
        ),
        Alarm::ClockSkew(_) => (
            "clock",
            "this machine's clock and AWS's are more than five minutes apart".to_owned(),
            "Nothing is deleted, and no slot begins ahead of AWS's time.",
            doctor(),
        ),
        Alarm::Unreachable(_) => (
            "unreachable",
            "the last listing failed".to_owned(),
            "What is open is followed by its name; it is listed again soon.",
            doctor(),
        ),
        other => account_words(other),
    }
}

/// Of whose account it is, and of holds.
fn account_words(alarm: &Alarm) -> Words {
    let doctor = || "redkeep doctor".to_owned();
    match alarm {
        Alarm::SameAccount(_) => (
            "same account",
            "the same AWS account and region is in the policy file twice".to_owned(),
            "Only the other one works.",
            doctor(),
        ),
        Alarm::Unidentified(_) => (
            "unidentified",
            "whose account this is cannot be asked".to_owned(),
            "Snapshots go on, and nothing that is missing there is taken to be gone.",
            doctor(),
        ),
        Alarm::OtherAccount(_) => (
            "other account",
            "its credentials belong to another AWS account than before".to_owned(),
            "Nothing is done in it: give it a name of its own, or its former credentials back.",
            doctor(),
        ),
        Alarm::HalfHeld(_, snapshot) => (
            "half held",
            format!("{snapshot} has the tag of a hold, and expires all the same"),
            "Hold it again, or release it.",
            format!("redkeep hold {snapshot}"),
        ),
        // They have been told above, by what they are of. Each is named, so that a new alarm is not forgotten.
        other @ (Alarm::RpoBreach(_)
        | Alarm::NoSuchCluster(_)
        | Alarm::StillCreating(_)
        | Alarm::UnknownStatus(_)
        | Alarm::GuardRefused(_)
        | Alarm::LettingGo(_)
        | Alarm::PruneBlocked(..)
        | Alarm::ConfirmationLapsed(_)
        | Alarm::QuotaNear(_)
        | Alarm::QuotaReached(_)
        | Alarm::AccessDenied(_)
        | Alarm::ClockSkew(_)
        | Alarm::Unreachable(_)) => ("alarm", format!("{other:?}"), "", doctor()),
    }
}

fn snapshot(slot: &Slot) -> String {
    format!("snapshot of {}", rfc3339(slot.scheduled_at))
}

fn show(history: &History, slot: &Slot) -> String {
    of_snapshot(history, slot, "show")
}

fn of_snapshot(history: &History, slot: &Slot, command: &str) -> String {
    match history.runs.get(slot) {
        Some(run) => format!("redkeep {command} {}", run.request.snapshot_id),
        None => explain(&slot.pair),
    }
}
