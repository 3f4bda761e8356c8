//! What messages say: what is so, of what, why, and which command helps.
//!
//! Owns: the words. Names and AWS's own messages are all that goes in; no credential is known here.

use chrono::{DateTime, Utc};

use crate::digest;
use crate::history::{Extension, MissedRange};
use crate::outbox::{Cause, ConditionKey, Content, Subject, bounded};
use crate::plan::{Alarm, Facts};
use crate::remedy::{explain, of_outcome};
use crate::run::{Outcome, Run};
use crate::slot::{Slot, rfc3339};
use crate::standing::words;

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

/// How a run ended.
pub(super) fn of_run(facts: Facts<'_>, run: &Run, outcome: &Outcome) -> Content {
    let pair = &run.slot.pair;
    let reason = [outcome.reason(), run.message.clone()];
    let mut reason: Vec<String> = reason.into_iter().flatten().collect();
    reason.dedup();
    let action = match outcome {
        Outcome::Available => format!("redkeep show {}", run.request.snapshot_id),
        _ => of_outcome(outcome, pair),
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
        action: of_outcome(&Outcome::Missed(range.reason), &range.pair),
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
            "{}; it is now kept for {to} instead of {from}",
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
            "{policy}: snapshots of {} have started",
            rfc3339(run.slot.scheduled_at)
        ),
        action: "redkeep status".to_owned(),
        ..about(facts, &subject)
    }
}

/// What an alarm says.
pub(super) fn of_alarm(
    facts: Facts<'_>,
    alarm: &Alarm,
    (cause, subject): (Cause, &Subject),
    said: &str,
) -> Content {
    let words = words(alarm, facts.history);
    let reason = match cause {
        Cause::PruneBlocked if said.is_empty() => subject.detail.clone(),
        Cause::PruneBlocked => format!("{}: {said}", subject.detail),
        _ => said.to_owned(),
    };
    Content {
        title: format!("{}: {}", words.subject, words.what),
        reason: bounded(&reason),
        action: words.command,
        ..about(facts, subject)
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
