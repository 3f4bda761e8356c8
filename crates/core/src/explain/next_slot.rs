//! What comes next for a pair.
//!
//! Owns: the next slot with its timing, in words. Never looks at what is open: that is a run's business.

use chrono::{DateTime, Utc};

use super::{Explanation, span};
use crate::names::Namespace;
use crate::policy::Policy;
use crate::slot::{Pair, Slot, rfc3339};
use crate::snapshot::{Generation, SnapshotId};
use crate::timing::Timing;

/// The next slot of a pair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coming {
    /// Which slot.
    pub slot: Slot,
    /// When the slot may start.
    pub timing: Timing,
    /// The name that its snapshot will have.
    pub snapshot_id: SnapshotId,
    /// What is to be said of it.
    pub told: Explanation,
}

/// The first slot of `pair` after `after`, which is its watermark, or `now` where it has none yet.
///
/// `paused_since` is the beginning of the pause that the policy is in. `None` where the policy's schedule has no slot
/// left.
pub fn coming(
    namespace: &Namespace,
    policy: &Policy,
    pair: &Pair,
    after: DateTime<Utc>,
    paused_since: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Option<Coming> {
    let slot = Slot {
        pair: pair.clone(),
        scheduled_at: policy.schedule.next_after(after)?,
    };
    let timing = slot.timing(policy);
    let zone = policy.schedule.timezone();
    let local = zone.local(slot.scheduled_at);
    let local = local.format("%Y-%m-%d %H:%M:%S");
    let scheduled_at = slot.scheduled_at;
    let instant = match scheduled_at > now {
        true => format!(
            "the next slot, {local} in {zone}, is due in {}",
            span(scheduled_at - now)
        ),
        false => format!(
            "the slot of {local} in {zone} was due {} ago and has no record yet: no daemon has run since, or the \
             daemon does not know AWS's time yet",
            span(now - scheduled_at)
        ),
    };
    let outlook = match paused_since {
        None => start(policy, scheduled_at, timing),
        Some(since) => format!(
            "the policy has been paused since {}: the slot will be missed (paused) unless you run `redkeep resume \
             {}` before it",
            rfc3339(since),
            policy.name
        ),
    };
    let words = format!("{instant}; {outlook}");
    let told = match timing.starts_at.unwrap_or(scheduled_at) {
        at if at > now => Explanation::until(at, words),
        _ => Explanation::now(words),
    };
    Some(Coming {
        snapshot_id: SnapshotId::derive(namespace, &slot, Generation::First),
        slot,
        timing,
        told,
    })
}

/// When a slot may start and why not sooner, in words.
pub(super) fn start(policy: &Policy, scheduled_at: DateTime<Utc>, timing: Timing) -> String {
    let delay = timing.ready_at - scheduled_at;
    let jitter = match delay.is_zero() {
        true => String::new(),
        false => format!(", {} after its instant (jitter)", span(delay)),
    };
    let blackout = blackout_at(policy, timing.ready_at).unwrap_or("a blackout");
    let deadline = rfc3339(timing.deadline);
    match timing.starts_at {
        None => format!(
            "the blackout {blackout:?} covers its start window up to {deadline}: the slot will be missed (blackout)"
        ),
        Some(at) if at == timing.ready_at => {
            format!("it may start from {}{jitter} until {deadline}", rfc3339(at))
        }
        Some(at) => format!(
            "it may start from {}, when the blackout {blackout:?} ends, until {deadline}",
            rfc3339(at)
        ),
    }
}

/// The name of a blackout of the policy that `instant` falls into.
pub(super) fn blackout_at(policy: &Policy, instant: DateTime<Utc>) -> Option<&str> {
    let open = policy
        .blackout
        .iter()
        .find(|blackout| blackout.end_at(instant).is_some());
    open.map(|blackout| blackout.name.as_str())
}
