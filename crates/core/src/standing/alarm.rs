//! The words for each alarm: of what it is, what is so, what follows from it, the command that helps, and that it is over.
//!
//! Owns: these words, for the log, the page, the commands and the messages to receivers alike. Each function names every
//! alarm, so that a new one cannot be forgotten.

use crate::history::History;
use crate::plan::{Alarm, Blocked};
use crate::remedy::{explain, iam_policy, of_common, of_open, of_overdue};
use crate::slot::{Slot, rfc3339};

/// What follows where the newest good snapshot is older than `rpo`.
pub(super) const OVERDUE: &str = "A restore would lose more than the policy allows.";

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

/// How an alarm is told, by the history that it is of.
pub fn words(alarm: &Alarm, history: &History) -> AlarmWords {
    AlarmWords {
        kind: kind(alarm),
        subject: subject(alarm),
        what: what(alarm),
        meaning: meaning(alarm),
        command: command(alarm, history),
    }
}

/// What is so once an alarm is over; `None` where its end says nothing that a person waits for.
pub fn over(alarm: &Alarm) -> Option<&'static str> {
    match alarm {
        Alarm::RpoBreach(_) => Some("no longer older than the policy's rpo"),
        Alarm::NoSuchCluster(_) => Some("AWS lists the cluster"),
        Alarm::QuotaNear(_) => Some("no longer near the quota of manual snapshots"),
        Alarm::QuotaReached(_) => Some("below the quota of manual snapshots again"),
        Alarm::AccessDenied(_) | Alarm::SlotRefused(_) | Alarm::SlotsRefused(..) => {
            Some("AWS accepts snapshots again")
        }
        Alarm::ClockSkew(_) => Some("the clocks agree again"),
        Alarm::Unreachable(_) => Some("listing works again"),
        Alarm::Unidentified(_) => Some("the account's number is known again"),
        Alarm::HalfHeld(..) => Some("no longer half on hold"),
        Alarm::PruneBlocked(..) => Some("redkeep can delete snapshots again"),
        Alarm::StillCreating(_)
        | Alarm::UnknownStatus(_)
        | Alarm::SameAccount(_)
        | Alarm::GuardRefused(_)
        | Alarm::LettingGo(_)
        | Alarm::ConfirmationLapsed(_)
        | Alarm::OtherAccount(_) => None,
    }
}

/// Of what an alarm is.
fn subject(alarm: &Alarm) -> String {
    let (_, subject) = alarm.cause();
    let pair = subject.pair().map(|pair| pair.to_string());
    let scope = || subject.scope().map(|scope| scope.to_string());
    let account = || Some(format!("the account {}", subject.account.as_ref()?));
    let policy = || Some(format!("the policy {}", subject.policy.as_ref()?));
    let told = pair.or_else(scope).or_else(account).or_else(policy);
    told.unwrap_or_default()
}

fn kind(alarm: &Alarm) -> &'static str {
    match alarm {
        Alarm::RpoBreach(_) => "overdue",
        Alarm::NoSuchCluster(_) => "no such cluster",
        Alarm::StillCreating(_) => "still creating",
        Alarm::UnknownStatus(_) => "unknown status",
        Alarm::GuardRefused(_) => "guard refused",
        Alarm::LettingGo(_) => "letting go",
        Alarm::PruneBlocked(..) | Alarm::ConfirmationLapsed(_) => "pruning",
        Alarm::QuotaNear(_) => "quota near",
        Alarm::QuotaReached(_) => "quota",
        Alarm::AccessDenied(_) => "access denied",
        Alarm::SlotRefused(_) | Alarm::SlotsRefused(..) => "refused",
        Alarm::ClockSkew(_) => "clock",
        Alarm::Unreachable(_) => "unreachable",
        Alarm::SameAccount(_) => "same account",
        Alarm::Unidentified(_) => "unidentified",
        Alarm::OtherAccount(_) => "other account",
        Alarm::HalfHeld(..) => "half held",
    }
}

fn what(alarm: &Alarm) -> String {
    let of = |slot: &Slot| format!("the snapshot of {}", rfc3339(slot.scheduled_at));
    let fixed = match alarm {
        Alarm::StillCreating(slot) => {
            return format!("{} is still creating after the completion window", of(slot));
        }
        Alarm::UnknownStatus(slot) => {
            return format!("{} has a status that AWS does not document", of(slot));
        }
        Alarm::GuardRefused(slot) => {
            let which = "one of the last good ones, is about to expire and cannot be kept";
            return format!("{}, {which}", of(slot));
        }
        Alarm::LettingGo(slot) => {
            let which =
                "is one of the last of a cluster that has been gone for longer than guard_gone";
            return format!("{} {which}", of(slot));
        }
        Alarm::HalfHeld(_, snapshot) => {
            return format!("{snapshot} has the tag of a hold, but still expires");
        }
        Alarm::PruneBlocked(_, Blocked::Breaker) => {
            "no snapshots are deleted until somebody confirms the plan"
        }
        Alarm::PruneBlocked(_, blocked) => {
            return format!("no snapshots are deleted ({})", blocked.as_str());
        }
        Alarm::RpoBreach(_) => "the newest good snapshot is older than the policy's rpo",
        Alarm::NoSuchCluster(_) => "the policy names a cluster that AWS does not list",
        Alarm::ConfirmationLapsed(_) => "the confirmation of a plan was not used within a day",
        Alarm::QuotaNear(_) => "at least 85 % of the quota of manual snapshots is used",
        Alarm::QuotaReached(_) => "the quota of manual snapshots is reached",
        Alarm::AccessDenied(_) => "IAM does not allow snapshots to be made",
        Alarm::SlotRefused(_) => "AWS still refuses its snapshot",
        Alarm::SlotsRefused(..) => "AWS still refuses snapshots",
        Alarm::ClockSkew(_) => "this machine's clock and AWS's clock are more than 5 minutes apart",
        Alarm::Unreachable(_) => "the last listing failed",
        Alarm::SameAccount(_) => "the same AWS account and region is in the policy file twice",
        Alarm::Unidentified(_) => "sts:GetCallerIdentity does not say which AWS account this is",
        Alarm::OtherAccount(_) => "its credentials belong to another AWS account than before",
    };
    fixed.to_owned()
}

fn meaning(alarm: &Alarm) -> &'static str {
    match alarm {
        Alarm::RpoBreach(_) => OVERDUE,
        Alarm::NoSuchCluster(_) => {
            "Its slots fail until the cluster exists, or the policy names another one."
        }
        Alarm::StillCreating(_) => "redkeep still follows it, and it blocks no other slot.",
        Alarm::UnknownStatus(_) => "It counts as still being made.",
        Alarm::GuardRefused(_) => "The cluster may be left without a good snapshot.",
        Alarm::LettingGo(_) => "It expires soon, unless somebody puts it on hold.",
        Alarm::PruneBlocked(_, Blocked::Breaker) => {
            "The plan would delete more than ten snapshots, and more than a quarter."
        }
        Alarm::PruneBlocked(..) => "They stay until they expire, and count against the quota.",
        Alarm::ConfirmationLapsed(_) => {
            "It is no longer valid: look at the plan, and confirm it again if it is right."
        }
        Alarm::QuotaNear(_) => "At the quota AWS refuses new ones.",
        Alarm::QuotaReached(_) => {
            "AWS refuses new ones: delete some, or have AWS raise the quota and set snapshot_quota."
        }
        Alarm::AccessDenied(_) => "No snapshot is made there until IAM allows it.",
        Alarm::SlotRefused(_) | Alarm::SlotsRefused(..) => {
            "There is no snapshot yet, and redkeep keeps asking until the start window ends."
        }
        Alarm::ClockSkew(_) => {
            "redkeep deletes nothing, and starts no slot before it is due by AWS's time."
        }
        Alarm::Unreachable(_) => {
            "redkeep follows open snapshots by name, and tries the listing again soon."
        }
        Alarm::SameAccount(_) => "redkeep works only in the other one.",
        Alarm::Unidentified(_) => {
            "Snapshots continue, and redkeep treats no missing snapshot there as gone."
        }
        Alarm::OtherAccount(_) => {
            "redkeep does nothing in this account: give it a name of its own, or its former credentials."
        }
        Alarm::HalfHeld(..) => "Put it on hold again, or release it.",
    }
}

fn command(alarm: &Alarm, history: &History) -> String {
    match alarm {
        Alarm::RpoBreach(pair) => of_overdue(history, pair),
        Alarm::NoSuchCluster(_) => "redkeep coverage".to_owned(),
        Alarm::StillCreating(slot) | Alarm::UnknownStatus(slot) | Alarm::GuardRefused(slot) => {
            of_snapshot(history, slot, "show")
        }
        Alarm::LettingGo(slot) => of_snapshot(history, slot, "hold"),
        Alarm::PruneBlocked(policy, _) | Alarm::ConfirmationLapsed(policy) => {
            format!("redkeep prune --policy {policy}")
        }
        Alarm::QuotaNear(_) | Alarm::QuotaReached(_) => "redkeep forecast".to_owned(),
        Alarm::AccessDenied(scope) => iam_policy(&scope.account),
        Alarm::SlotRefused(pair) => of_open(history, pair),
        Alarm::SlotsRefused(scope, why) => of_common(&why.as_str().into(), scope),
        Alarm::HalfHeld(_, snapshot) => format!("redkeep hold {snapshot}"),
        Alarm::ClockSkew(_)
        | Alarm::Unreachable(_)
        | Alarm::SameAccount(_)
        | Alarm::Unidentified(_)
        | Alarm::OtherAccount(_) => "redkeep doctor".to_owned(),
    }
}

fn of_snapshot(history: &History, slot: &Slot, command: &str) -> String {
    match history.runs.get(slot) {
        Some(run) => format!("redkeep {command} {}", run.request.snapshot_id),
        None => explain(&slot.pair),
    }
}
