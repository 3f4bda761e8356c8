//! Matching a complete listing with the runs.
//!
//! Owns: what presence and absence mean for each state of a run. Absence proves something only when the
//! listing began after what it is to disprove; of what AWS has accepted it only asks for a look by name (`described`).

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::events::{is_of, sighted};
use super::listing::Shown;
use super::{change, operations};
use crate::history::{Change, History};
use crate::observed::{MAX_LISTING_LAG, Missing, SKEW_LIMIT};
use crate::operations::Removal;
use crate::retry;
use crate::run::{Event, Gone, GoneReason, Run, RunState};
use crate::snapshot::{Snapshot, SnapshotId};

/// What a complete listing shows.
#[derive(Clone, Copy)]
pub(super) struct Sight<'a> {
    /// The listing.
    pub(super) listing: &'a Shown,
    /// The number of the account that is listed, as far as it is known.
    pub(super) account: Option<&'a str>,
    /// Whether what the listing lacks is not there: in another account nothing of ours is.
    pub(super) proves_absence: bool,
}

impl Sight<'_> {
    /// Whether the listing is of the right account and has no snapshot of this name that could be ours.
    fn lacks_name(&self, id: &SnapshotId) -> bool {
        let listing = self.listing;
        self.proves_absence && !listing.by_id.contains_key(id) && !listing.unclear.contains(id)
    }

    /// Whether the run's snapshot is not in it; another one in its place is not the run's.
    fn lacks(&self, run: &Run) -> bool {
        self.proves_absence && !self.listing.unclear.contains(&run.request.snapshot_id)
    }

    /// Whether the look shows that a run judged at `since` has no snapshot.
    fn disproves(&self, run: &Run, since: DateTime<Utc>) -> bool {
        self.listing.began_at >= since && self.lacks_name(&run.request.snapshot_id)
    }
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
    if !is_doubtful || !sight.lacks_name(&removal.id) {
        return Vec::new();
    }
    let ended = removal.clone().ended(now, Ok("removed".to_owned()));
    let ended = Some(Change::Removal(Box::new(ended)));
    let run = operations::pruned(run, &removal.id, now);
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
    let found = found(run, history, sight);
    if run.is_ended() && !run.has_snapshot() {
        let seen = (account, listing.began_at);
        return found.and_then(|snapshot| turned_up(run, history, snapshot, seen));
    }
    let event = match (&run.state, found) {
        // To be looked for again, at the pace of a snapshot that is there.
        (RunState::Creating { .. }, None) => not_seen(run, now),
        (RunState::Ended(_), Some(snapshot)) => return described_anew(run, snapshot),
        (RunState::Failing { .. }, _) => return None,
        (_, Some(snapshot)) => sighted(run, history, snapshot, account, now),
        (RunState::Concluding { since, .. }, None) if sight.disproves(run, *since) => Event::Absent,
        (_, None) => return None,
    };
    change(run, event, now)
}

/// The listed snapshot that is the run's. Of one that AWS has accepted, another in its place is not.
fn found<'a>(run: &Run, history: &History, sight: Sight<'a>) -> Option<&'a Arc<Snapshot>> {
    let found = sight.listing.by_id.get(&run.request.snapshot_id)?;
    let is_accepted = run.is_creating() || run.is_ended();
    (!is_accepted || is_of(run, history, found, sight.account)).then_some(found)
}

/// Whether the listing lacks the snapshot of a run that AWS has accepted, and since it has: then it is to be looked for
/// by its name. One that is complete is not looked for before the listing is late enough to prove anything.
pub(super) fn lacks(
    run: &Run,
    history: &History,
    sight: Sight<'_>,
    now: DateTime<Utc>,
) -> Option<Missing> {
    let began_at = sight.listing.began_at;
    let is_late = is_late(run, began_at, now);
    let is_begun = run.is_creating() && began_at >= accepted_at(run, now);
    let is_expected = is_begun || run.has_snapshot() && is_late;
    let is_missing = is_expected && sight.lacks(run) && found(run, history, sight).is_none();
    is_missing.then_some(Missing {
        look_at: now,
        is_late,
        is_absent: false,
    })
}

/// Whether what began then is so late that AWS shows by then what it had accepted.
pub(super) fn is_late(run: &Run, began_at: DateTime<Utc>, now: DateTime<Utc>) -> bool {
    began_at >= accepted_at(run, now) + MAX_LISTING_LAG
}

/// When AWS was last known to have the run's snapshot. An instant that is still to come is of a clock that was wrong.
fn accepted_at(run: &Run, now: DateTime<Utc>) -> DateTime<Utc> {
    let told = [run.accepted_at, run.ended_at].into_iter().flatten();
    let told = told.filter(|at| *at <= now + SKEW_LIMIT).max();
    told.unwrap_or(run.slot.scheduled_at)
}

/// A snapshot of a run that has ended without one, or whose snapshot was gone, and that is there. The outcome stays, since
/// it is what became of the run here: another host may make a slot's snapshot after this one had given the slot up. What
/// was seen before the snapshot was missed says nothing.
pub(super) fn turned_up(
    run: &Run,
    history: &History,
    snapshot: &Arc<Snapshot>,
    (account, seen_at): (Option<&str>, DateTime<Utc>),
) -> Option<Change> {
    let is_older = run.gone.as_ref().is_some_and(|gone| seen_at < gone.at);
    let is_known = run.snapshot.is_some() && run.gone.is_none();
    if is_older || is_known || !is_of(run, history, snapshot, account) {
        return None;
    }
    let mut run = run.clone();
    run.snapshot = Some(Arc::clone(snapshot).into());
    run.gone = None;
    Some(Change::Run(Box::new(run)))
}

/// Keeps what AWS says of a snapshot when somebody has changed it: until when it is kept, who may restore it, its
/// tags. What only counts up or down is not worth a record.
pub(super) fn described_anew(run: &Run, snapshot: &Arc<Snapshot>) -> Option<Change> {
    let known = run.snapshot.as_ref()?;
    (!known.has_terms_of(snapshot)).then(|| {
        let mut run = run.clone();
        run.snapshot = Some(Arc::clone(snapshot).into());
        Change::Run(Box::new(run))
    })
}

/// A snapshot that is proven to be absent is gone.
pub(super) fn gone(run: &Run, now: DateTime<Utc>) -> Option<Change> {
    let mut run = run.clone();
    let reason = match run.expires_at() {
        Some(expiry) if expiry <= now => GoneReason::Expired,
        _ => GoneReason::Deleted,
    };
    run.gone = Some(Gone { at: now, reason });
    Some(Change::Run(Box::new(run)))
}

/// A snapshot that AWS is making and that was not found: that alone never ends its run.
pub(super) fn not_seen(run: &Run, now: DateTime<Utc>) -> Event {
    Event::NotSeen {
        look_at: retry::follow_at(run, now),
    }
}
