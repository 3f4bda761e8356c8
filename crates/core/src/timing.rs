//! When a slot may start.
//!
//! Owns: start windows, jitter and blackouts put together. Never knows whether anything was started.

use chrono::{DateTime, TimeDelta, Utc};

use crate::policy::Policy;
use crate::schedule::{first_open, jitter};
use crate::slot::Slot;

/// When a slot may start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// The instant after jitter, before blackouts.
    pub ready_at: DateTime<Utc>,
    /// The first instant at which the snapshot may be asked for; `None` when a blackout covers the whole
    /// start window.
    pub starts_at: Option<DateTime<Utc>>,
    /// The instant from which it may no longer be asked for.
    pub deadline: DateTime<Utc>,
    /// From this slot to the next of its schedule.
    pub interval: TimeDelta,
}

/// Past this, a slot of a policy with `catch_up = false` is missed.
const PROMPT_WINDOW: TimeDelta = TimeDelta::minutes(5);
const SHORTEST_DEFAULT_WINDOW: TimeDelta = TimeDelta::seconds(60);
const LONGEST_DEFAULT_WINDOW: TimeDelta = TimeDelta::hours(8);

impl Slot {
    /// The timing of this slot under `policy`.
    ///
    /// The deadline is `scheduled_at + start_window`, by default half the interval, at least 60 s and at
    /// most 8 h. Jitter is a hash of the slot below min(`jitter`, interval, window/2): the same after a
    /// restart, different between clusters.
    pub fn timing(&self, policy: &Policy) -> Timing {
        timing(policy, self.scheduled_at, |limit| {
            jitter(&self.seed(), limit)
        })
    }
}

/// The timing that the slots of every cluster share at an instant, if the policy has no jitter.
pub fn timing_of_all(policy: &Policy, scheduled_at: DateTime<Utc>) -> Option<Timing> {
    policy
        .jitter
        .is_zero()
        .then(|| timing(policy, scheduled_at, |_| TimeDelta::zero()))
}

fn timing(
    policy: &Policy,
    scheduled_at: DateTime<Utc>,
    delay: impl FnOnce(TimeDelta) -> TimeDelta,
) -> Timing {
    let interval = policy
        .schedule
        .next_after(scheduled_at)
        .map_or(LONGEST_DEFAULT_WINDOW * 2, |next| next - scheduled_at);
    let window = start_window(policy, interval);
    let deadline = scheduled_at + window;
    let ready_at = scheduled_at + delay(policy.jitter.min(interval).min(window / 2));
    Timing {
        ready_at,
        starts_at: first_open(&policy.blackouts(), ready_at).filter(|start| *start < deadline),
        deadline,
        interval,
    }
}

fn start_window(policy: &Policy, interval: TimeDelta) -> TimeDelta {
    let window = policy
        .start_window
        .unwrap_or_else(|| (interval / 2).clamp(SHORTEST_DEFAULT_WINDOW, LONGEST_DEFAULT_WINDOW));
    if policy.catch_up {
        window
    } else {
        window.min(PROMPT_WINDOW)
    }
}
