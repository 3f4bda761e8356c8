//! The age of a pair's newest good snapshot, against what its policy allows (`rpo`).
//!
//! Owns: the one rule by which an alarm, `status` and `report` call a pair overdue. Pure.

use chrono::{DateTime, TimeDelta, Utc};

use crate::history::{History, PairState};
use crate::policy::Policy;
use crate::run::Run;
use crate::slot::Pair;

/// Since when the newest good snapshot of the pair has been older than the policy's `rpo`; without any good one,
/// since when the pair has been active for longer than that. `None` where neither is so, or no `rpo` is set.
///
/// A snapshot is as old as the data in it: its age counts from SnapshotCreateTime.
pub fn overdue_since(
    policy: &Policy,
    history: &History,
    pair: &Pair,
    state: &PairState,
    now: DateTime<Utc>,
) -> Option<DateTime<Utc>> {
    let good_at = history.last_good(pair).and_then(Run::created_at);
    breached_since(policy.rpo?, good_at, state.active_from, now)
}

/// The same of a pair whose newest good snapshot is of `good_at`, and which is active from `active_from` on.
pub fn breached_since(
    rpo: TimeDelta,
    good_at: Option<DateTime<Utc>>,
    active_from: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Option<DateTime<Utc>> {
    let young_until = good_at.unwrap_or(active_from).checked_add_signed(rpo)?;
    (young_until < now).then_some(young_until)
}
