//! Matching a complete listing with the runs.
//!
//! Owns: what presence and absence mean for each state of a run. Absence proves something only when the
//! listing began after what it is to disprove.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use super::events::{cluster_created_at, sighted};
use super::{change, upkeep};
use crate::history::{Change, History};
use crate::observed::SnapshotListing;
use crate::retry;
use crate::run::{Event, Gone, GoneReason, Run, RunState};
use crate::snapshot::{Ownership, Snapshot, ownership};
use crate::upkeep::Removal;

/// A snapshot that cannot be found so soon after AWS accepted it may still appear.
const PATIENCE: TimeDelta = TimeDelta::minutes(10);

/// What a complete listing shows.
#[derive(Clone, Copy)]
pub(super) struct Sight<'a> {
    /// The listing.
    pub(super) listing: &'a SnapshotListing,
    /// The number of the account that is listed, as far as it is known.
    pub(super) account: Option<&'a str>,
    /// Whether what the listing lacks is not there: in another account nothing of ours is.
    pub(super) proves_absence: bool,
}

/// What the listing changes about a run.
pub(super) fn at_run(
    run: &Run,
    history: &History,
    sight: Sight<'_>,
    now: DateTime<Utc>,
) -> Vec<Change> {
    let place = (run.slot.pair.scope.clone(), run.request.snapshot_id.clone());
    let removal = history.removals.get(&place);
    if let (true, Some(removal)) = (run.has_snapshot(), removal) {
        return under_removal(run, removal, sight, now);
    }
    seen_or_not(run, history, sight, now).into_iter().collect()
}

/// A snapshot that AWS may have been asked to remove, and that is gone, was removed by redkeep.
fn under_removal(
    run: &Run,
    removal: &Removal,
    sight: Sight<'_>,
    now: DateTime<Utc>,
) -> Vec<Change> {
    let listing = sight.listing;
    let is_doubtful = removal.look_at.is_some() && listing.began_at >= removal.planned_at;
    if !is_doubtful || !sight.proves_absence || listing.by_id.contains_key(&removal.id) {
        return Vec::new();
    }
    let ended = removal.clone().ended(now, Ok("removed".to_owned()));
    let ended = Some(Change::Removal(Box::new(ended)));
    let run = upkeep::pruned(run, &removal.id, now);
    ended.into_iter().chain(run).collect()
}

fn seen_or_not(
    run: &Run,
    history: &History,
    sight: Sight<'_>,
    now: DateTime<Utc>,
) -> Option<Change> {
    let Sight {
        listing, account, ..
    } = sight;
    let found = listing.by_id.get(&run.request.snapshot_id);
    if run.is_ended() && !run.has_snapshot() {
        return found.and_then(|snapshot| made_late(run, history, snapshot, account));
    }
    let event = match (&run.state, found) {
        // To be looked for again, at the pace of a snapshot that is there.
        (RunState::Creating { .. }, None) if !sight.proves_absence => Event::NotSeen {
            look_at: retry::follow_at(run, now),
        },
        (_, None) if !sight.proves_absence => return None,
        (RunState::Ended(_), None) => return gone(run, listing, now),
        (RunState::Ended(_), Some(snapshot)) => return described_anew(run, snapshot),
        (RunState::Failing { .. }, _) => return None,
        (_, Some(snapshot)) => sighted(run, history, snapshot, account, now),
        (RunState::Creating { .. }, None) => not_seen(run, now),
        (RunState::Judged { since, .. }, None) if listing.began_at >= *since => Event::Absent,
        (_, None) => return None,
    };
    change(run, event, now)
}

/// Another host may make a slot's snapshot after this one had given the slot up. The outcome stays, since it is what
/// became of the run here; the snapshot is recorded beside it, and is followed until it is gone.
fn made_late(
    run: &Run,
    history: &History,
    snapshot: &Arc<Snapshot>,
    account: Option<&str>,
) -> Option<Change> {
    let proof = ownership(snapshot, run, account, cluster_created_at(run, history));
    if run.snapshot.is_some() || matches!(proof, Ownership::Foreign(_)) {
        return None;
    }
    let mut run = run.clone();
    run.snapshot = Some(Arc::clone(snapshot));
    Some(Change::Run(Box::new(run)))
}

/// Keeps what AWS says of a snapshot when somebody has changed it: until when it is kept, who may restore it, its
/// tags. What only counts up or down is not worth a record.
fn described_anew(run: &Run, snapshot: &Arc<Snapshot>) -> Option<Change> {
    let known = run.snapshot.as_ref()?;
    if Arc::ptr_eq(known, snapshot) {
        return None;
    }
    let same = known.manual_snapshot_retention_period == snapshot.manual_snapshot_retention_period
        && known.snapshot_retention_start_time == snapshot.snapshot_retention_start_time
        && known.accounts_with_restore_access == snapshot.accounts_with_restore_access
        && known.tags == snapshot.tags;
    (!same).then(|| {
        let mut run = run.clone();
        run.snapshot = Some(Arc::clone(snapshot));
        Change::Run(Box::new(run))
    })
}

/// A snapshot that a complete listing lacks is gone; soon after its making that may be a listing that
/// lags behind.
fn gone(run: &Run, listing: &SnapshotListing, now: DateTime<Utc>) -> Option<Change> {
    if listing.began_at < run.ended_at? + PATIENCE {
        return None;
    }
    let mut run = run.clone();
    let reason = match expires_at(&run) {
        Some(expiry) if expiry <= now => GoneReason::Expired,
        _ => GoneReason::Deleted,
    };
    run.gone = Some(Gone { at: now, reason });
    Some(Change::Run(Box::new(run)))
}

/// When AWS lets the snapshot go: the retention period counts from SnapshotRetentionStartTime.
fn expires_at(run: &Run) -> Option<DateTime<Utc>> {
    let snapshot = run.snapshot.as_ref()?;
    let days = snapshot
        .manual_snapshot_retention_period
        .unwrap_or_else(|| run.request.retention.days_or_minus_one());
    let from = snapshot.snapshot_retention_start_time.or(run.ended_at)?;
    let period = (days > 0).then(|| TimeDelta::days(i64::from(days)))?;
    from.checked_add_signed(period)
}

pub(super) fn not_seen(run: &Run, now: DateTime<Utc>) -> Event {
    let accepted = run.accepted_at.unwrap_or(now);
    if now < accepted + PATIENCE {
        Event::NotSeen {
            look_at: retry::follow_at(run, now),
        }
    } else {
        Event::Vanished
    }
}
