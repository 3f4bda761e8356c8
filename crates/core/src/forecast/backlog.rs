//! Whether the passes of a policy with `keep_last` keep up with what comes.
//!
//! Owns: that comparison. Never says how many will be left over: what a pass removes depends on what AWS then holds.

use chrono::{DateTime, TimeDelta, Utc};

use crate::names::{Retention, Tier};
use crate::operations::{MAX_DELETES_PER_PASS, PRUNE_INTERVAL};
use crate::policy::Policy;

use super::Note;

/// Over so long the slots are counted: schedules that repeat with the week are seen whole.
const DAYS: usize = 7;

/// That more come than passes remove, where `clusters` get snapshots by the policy.
pub(super) fn of(policy: &Policy, clusters: usize, now: DateTime<Utc>) -> Option<Note> {
    let keep_last = policy.protection.keep_last?;
    let until = now + TimeDelta::days(DAYS as i64);
    let slots = policy.schedule.slots_between(now, until).count();
    // Of what expires before it is surplus nothing is left for a pass.
    let expires_first = match policy.retention.of(Tier::Base) {
        Retention::Forever => false,
        retention => {
            let days = usize::try_from(retention.days_or_minus_one()).unwrap_or_default();
            slots.saturating_mul(days) / DAYS <= keep_last
        }
    };
    let made = slots.saturating_mul(clusters).div_ceil(DAYS);
    let passes = TimeDelta::days(1).num_seconds() / PRUNE_INTERVAL.num_seconds();
    let removed = usize::try_from(passes).unwrap_or_default() * MAX_DELETES_PER_PASS;
    let is_too_much = made > removed && !expires_first;
    is_too_much.then(|| Note::Backlog(policy.name.clone(), made, removed))
}
