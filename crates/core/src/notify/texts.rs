//! What messages say: what is so, of what, why, and which command helps.
//!
//! Owns: the words. Names and AWS's own messages are all that goes in; no credential is known here.

use chrono::{DateTime, Utc};

use crate::digest;
use crate::history::{Extension, MissedRange};
use crate::outbox::{Cause, ConditionKey, Content, Subject, bounded};
use crate::plan::Facts;
use crate::run::{Outcome, Run};
use crate::slot::{Pair, Slot, rfc3339};

/// A content with the parts of a subject.
fn about(facts: Facts<'_>, subject: &Subject) -> Content {
    let run = subject.slot();
    let run = run.and_then(|slot| facts.history.runs.get(&slot));
    let text = |detail: &str| (!detail.is_empty()).then(|| detail.to_owned());
    Content {
        policy: subject.policy.as_ref().map(ToString::to_string),
        account: subject.account.as_ref().map(ToString::to_string),
        region: subject.region.as_ref().map(ToString::to_string),
        cluster: subject.cluster.as_ref().map(ToString::to_string),
        scheduled_at: subject.scheduled_at.map(rfc3339),
        local_time: subject
            .scheduled_at
            .and_then(|at| in_zone(facts, subject, at)),
        snapshot_id: run
            .map(|run| run.request.snapshot_id.to_string())
            .or_else(|| text(&subject.detail).filter(|_| subject.policy.is_none())),
        ..Content::default()
    }
}

fn in_zone(facts: Facts<'_>, subject: &Subject, at: DateTime<Utc>) -> Option<String> {
    let policy = facts.config.policy(subject.policy.as_ref()?)?;
    Some(local_time(policy.schedule.timezone(), at))
}

/// An instant on the clocks of a zone, with the zone's name.
pub fn local_time(zone: &crate::schedule::Zone, at: DateTime<Utc>) -> String {
    let local = zone.local(at).format("%Y-%m-%d %H:%M:%S");
    format!("{local} {}", zone.name())
}

fn explain(pair: &Pair) -> String {
    format!("redkeep explain {}", pair.cluster)
}

/// How a run ended.
pub(super) fn of_run(facts: Facts<'_>, run: &Run, outcome: &Outcome) -> Content {
    let pair = &run.slot.pair;
    let reason = [outcome.reason(), run.message.clone()];
    let mut reason: Vec<String> = reason.into_iter().flatten().collect();
    reason.dedup();
    let action = match outcome {
        Outcome::Available => format!("redkeep show {}", run.request.snapshot_id),
        Outcome::Missed(_) => format!(
            "redkeep take --policy {} --cluster {}",
            pair.policy, pair.cluster
        ),
        _ => explain(pair),
    };
    Content {
        title: format!("{}: {}", pair, outcome.word()),
        reason: bounded(&reason.join(": ")),
        action,
        snapshot_id: Some(run.request.snapshot_id.to_string()),
        ..about(facts, &Subject::from(&run.slot))
    }
}

/// The good snapshot that ends what `begun` told.
pub(super) fn recovered(begun: &Content, good: Content) -> Content {
    Content {
        title: format!("{} again, after: {}", good.title, begun.title),
        reason: String::new(),
        ..good
    }
}

pub(super) fn of_range(facts: Facts<'_>, range: &MissedRange) -> Content {
    let slot = Slot {
        pair: range.pair.clone(),
        scheduled_at: range.last_at,
    };
    let (count, first) = (range.count, rfc3339(range.first_at));
    Content {
        title: format!("{}: {count} slots missed", range.pair),
        reason: format!("{}, since {first}", range.reason.as_str()),
        action: explain(&range.pair),
        ..about(facts, &Subject::from(&slot))
    }
}

pub(super) fn of_extension(facts: Facts<'_>, extension: &Extension) -> Content {
    let pair = &extension.slot.pair;
    let (from, to) = (extension.from, extension.to);
    Content {
        title: format!(
            "{}: one of the last good snapshots is kept from expiring",
            pair
        ),
        reason: bounded(&format!(
            "{}; it is kept for {to} and not for {from}",
            extension.reason
        )),
        action: explain(pair),
        ..about(facts, &Subject::from(&extension.slot))
    }
}

/// The runs of one instant as a job.
pub(super) fn of_job(facts: Facts<'_>, run: &Run) -> Content {
    let policy = &run.slot.pair.policy;
    let subject = Subject::of_job(policy, run.slot.scheduled_at);
    Content {
        title: format!(
            "{policy}: the snapshots of {} begin",
            rfc3339(run.slot.scheduled_at)
        ),
        action: "redkeep status".to_owned(),
        ..about(facts, &subject)
    }
}

/// What an alarm says.
pub(super) fn of_alarm(facts: Facts<'_>, cause: Cause, subject: &Subject, said: &str) -> Content {
    let (what, action) = words(cause);
    let title = format!("{}: {what}", named(subject));
    let content = about(facts, subject);
    let fill = |action: &str| {
        let text = |part: &Option<String>| part.clone().unwrap_or_default();
        action
            .replace("CLUSTER", &text(&content.cluster))
            .replace("POLICY", &text(&content.policy))
            .replace("SNAPSHOT", &text(&content.snapshot_id))
    };
    let reason = match cause {
        Cause::PruneBlocked if said.is_empty() => subject.detail.clone(),
        Cause::PruneBlocked => format!("{}: {said}", subject.detail),
        _ => said.to_owned(),
    };
    Content {
        title,
        reason: bounded(&reason),
        action: fill(action),
        ..content
    }
}

fn named(subject: &Subject) -> String {
    match (
        subject.pair(),
        subject.scope(),
        &subject.policy,
        &subject.account,
    ) {
        (Some(pair), ..) => pair.to_string(),
        (None, Some(scope), ..) => scope.to_string(),
        (None, None, Some(policy), _) => policy.to_string(),
        (None, None, None, Some(account)) => account.to_string(),
        (None, None, None, None) => "redkeep".to_owned(),
    }
}

/// What is said of a cause, and the command that helps.
fn words(cause: Cause) -> (&'static str, &'static str) {
    match cause {
        Cause::StillCreating => (
            "the snapshot is still creating after its completion window",
            "redkeep show SNAPSHOT",
        ),
        Cause::UnknownStatus => (
            "the snapshot has an unknown status",
            "redkeep show SNAPSHOT",
        ),
        Cause::Overdue => (
            "the newest good snapshot is older than the policy's rpo",
            "redkeep take --policy POLICY --cluster CLUSTER",
        ),
        Cause::QuotaNear => (
            "the quota of manual snapshots is nearly reached",
            "redkeep forecast",
        ),
        Cause::QuotaReached => (
            "the quota of manual snapshots is reached: AWS refuses new ones",
            "redkeep forecast",
        ),
        Cause::PruneBlocked => ("no snapshots are removed", "redkeep prune"),
        Cause::ConfirmationLapsed => (
            "the confirmation of a plan was not used in time, and does not hold any more",
            "redkeep prune",
        ),
        Cause::GuardRefused => (
            "one of the last good snapshots is about to expire and cannot be kept",
            "redkeep show SNAPSHOT",
        ),
        Cause::LettingGo => (
            "the last good snapshots of a cluster that is gone expire soon",
            "redkeep hold SNAPSHOT",
        ),
        Cause::HalfHeld => (
            "a snapshot has the tag redkeep:hold, and expires all the same",
            "redkeep hold SNAPSHOT",
        ),
        Cause::Unreachable => ("it cannot be listed", "redkeep doctor"),
        Cause::AccessDenied => (
            "no snapshot can be made without permission",
            "redkeep iam-policy",
        ),
        Cause::OtherAccount => (
            "the credentials belong to another account; nothing is done in it",
            "redkeep doctor",
        ),
        Cause::SameAccount => (
            "it is the same account and region as another; only the other one works",
            "redkeep doctor",
        ),
        Cause::Unidentified => ("whose account it is cannot be asked", "redkeep doctor"),
        Cause::ClockSkew => (
            "this machine's clock and AWS's are more than five minutes apart",
            "redkeep doctor",
        ),
        Cause::NoSuchCluster => (
            "the policy names a cluster that AWS does not list",
            "redkeep coverage",
        ),
        // These are told by what happens to a run.
        Cause::Failed
        | Cause::Expired
        | Cause::Missed
        | Cause::Conflict
        | Cause::GuardWorks
        | Cause::Run => ("", "redkeep status"),
    }
}

/// The id of a job, the same in each of its pings.
pub(super) fn run_id(key: &ConditionKey) -> String {
    let parts = key.subject.parts();
    let parts = std::iter::once(key.receiver.as_str()).chain(parts.iter().map(String::as_str));
    uuid(&digest::hex(&digest::framed(parts), 32))
}

/// 32 hex digits as a UUID of version 8, which is free in its contents (RFC 9562).
pub(super) fn uuid(hex: &str) -> String {
    let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
    format!(
        "{}-{}-8{}-a{}-{}",
        part(0, 8),
        part(8, 12),
        part(13, 16),
        part(17, 20),
        part(20, 32)
    )
}
