//! The words for each alarm: what is so, what follows from it, and the command that helps.

use crate::page::fleet::Standing;
use crate::plan::{Alarm, Blocked};
use crate::slot::{Scope, Slot, rfc3339};
use crate::standing::explain;

/// The kind, what is so, what it means, and the command that helps.
type Words = (&'static str, String, &'static str, String);

/// How an alarm is told.
pub(super) fn words(alarm: &Alarm) -> Words {
    match alarm {
        Alarm::RpoBreach(pair) => (
            Standing::Overdue.word(),
            format!("{} is older than the policy's rpo", pair),
            "A restore would lose more than the policy allows.",
            explain(pair),
        ),
        Alarm::NoSuchCluster(pair) => (
            "no such cluster",
            format!("{} names a cluster that AWS does not list", pair),
            "Its slots fail until the cluster is there, or the policy names another.",
            explain(pair),
        ),
        Alarm::StillCreating(slot) => (
            "still creating",
            format!(
                "{} is still creating after the completion window",
                slot_named(slot)
            ),
            "It is followed on, and holds up no other slot.",
            explain(&slot.pair),
        ),
        Alarm::UnknownStatus(slot) => (
            "unknown status",
            format!(
                "{} has a status that AWS does not document",
                slot_named(slot)
            ),
            "It counts as still being made.",
            explain(&slot.pair),
        ),
        Alarm::GuardRefused(slot) => (
            "guard refused",
            format!(
                "{}, one of the last good ones, is about to expire and cannot be kept",
                slot_named(slot)
            ),
            "The cluster may be left without a good snapshot.",
            explain(&slot.pair),
        ),
        Alarm::LettingGo(slot) => (
            "letting go",
            format!(
                "{} is one of the last of a cluster that is gone for longer than guard_gone",
                slot_named(slot)
            ),
            "It expires soon, unless somebody holds it.",
            "redkeep hold ID".to_owned(),
        ),
        other => policy_words(other),
    }
}

/// Of alarms that are about what a policy removes.
fn policy_words(alarm: &Alarm) -> Words {
    match alarm {
        Alarm::PruneBlocked(policy, Blocked::Breaker) => (
            "pruning",
            format!("The policy {policy} removes nothing until somebody confirms the plan"),
            "It would remove more than ten snapshots, and more than a quarter.",
            format!("redkeep prune --policy {policy}"),
        ),
        Alarm::PruneBlocked(policy, blocked) => (
            "pruning",
            format!(
                "The policy {policy} removes no snapshots ({})",
                blocked.as_str()
            ),
            "They stay until they expire, and count against the quota.",
            format!("redkeep prune --policy {policy}"),
        ),
        Alarm::ConfirmationLapsed(policy) => (
            "pruning",
            format!("The confirmation for the policy {policy} was not used within a day"),
            "It does not hold any more: look at the plan, and confirm it again if it is right.",
            format!("redkeep prune --policy {policy}"),
        ),
        other => scope_words(other),
    }
}

/// Of alarms that are about an account, or an account in a region.
fn scope_words(alarm: &Alarm) -> Words {
    let doctor = || "redkeep doctor".to_owned();
    let of = |scope: &Scope, what: &str| format!("{scope}: {what}");
    match alarm {
        Alarm::QuotaNear(scope) => (
            "quota near",
            of(
                scope,
                "at least 85 % of the quota of manual snapshots is used",
            ),
            "At the quota AWS refuses new ones.",
            "redkeep forecast".to_owned(),
        ),
        Alarm::QuotaReached(scope) => (
            "quota",
            of(scope, "the quota of manual snapshots is reached"),
            "AWS refuses new ones: delete some, or have AWS raise the quota and set snapshot_quota.",
            "redkeep forecast".to_owned(),
        ),
        Alarm::AccessDenied(scope) => (
            "access denied",
            of(scope, "IAM does not allow snapshots to be made"),
            "No snapshot is made there until it does.",
            "redkeep iam-policy".to_owned(),
        ),
        Alarm::ClockSkew(scope) => (
            "clock",
            of(
                scope,
                "this machine's clock and AWS's are more than five minutes apart",
            ),
            "Nothing is deleted, and no slot begins ahead of AWS's time.",
            doctor(),
        ),
        Alarm::Unreachable(scope) => (
            "unreachable",
            of(scope, "the last listing failed"),
            "What is open is followed by its name; it is listed again soon.",
            doctor(),
        ),
        other => account_words(other),
    }
}

/// Of whose account it is, and of holds.
fn account_words(alarm: &Alarm) -> Words {
    let doctor = || "redkeep doctor".to_owned();
    let of = |scope: &Scope, what: &str| format!("{scope}: {what}");
    match alarm {
        Alarm::SameAccount(scope) => (
            "same account",
            of(
                scope,
                "the same AWS account and region is in the policy file twice",
            ),
            "Only the other one works.",
            "redkeep check".to_owned(),
        ),
        Alarm::Unidentified(scope) => (
            "unidentified",
            of(scope, "whose account this is cannot be asked"),
            "Snapshots go on, and nothing that is missing there is taken to be gone.",
            doctor(),
        ),
        Alarm::OtherAccount(account) => (
            "other account",
            format!("The account {account} is another one than before"),
            "Nothing is done in it: give it a name of its own, or its former credentials back.",
            doctor(),
        ),
        Alarm::HalfHeld(scope, snapshot) => (
            "half held",
            of(
                scope,
                &format!("{snapshot} has the tag of a hold, and expires all the same"),
            ),
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

fn slot_named(slot: &Slot) -> String {
    format!("{}, snapshot of {}", slot.pair, rfc3339(slot.scheduled_at))
}
