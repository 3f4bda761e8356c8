//! What follows from having removed a snapshot, held it or taken it over, or not having been let.
//!
//! Owns: the record of it. A removal is told as `pruned` only when AWS has said so, or when the snapshot is gone after
//! AWS may have been asked.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use crate::history::{Change, History};
use crate::observed::{Backoff, MAX_LISTING_LAG, Observed};
use crate::operations::{Removal, SnapshotAction, Undone};
use crate::redshift::{Answer, ErrorClass, RedshiftError};
use crate::retry::{LOOK_AGAIN, SLOWLY};
use crate::run::{Gone, GoneReason, Run};
use crate::seen::Seen;
use crate::snapshot::{Snapshot, SnapshotId};

/// For how long a denial is told: until after the next pass, which tries again.
const TELL_DENIAL: TimeDelta = TimeDelta::hours(2);
/// Between two tries of what a person waits for.
const TRY_AGAIN: TimeDelta = TimeDelta::seconds(5);

/// What became of the call that was to remove a snapshot.
#[derive(Debug, Clone, PartialEq)]
pub enum Removed {
    /// AWS has removed it.
    Done,
    /// AWS has no snapshot of that name.
    Absent,
    /// The snapshot is there; nothing was asked for.
    Present,
    /// The snapshot stays, for this reason.
    Refused(String),
}

/// Takes the answer to a call that was to remove a snapshot, or to look for it.
pub(super) fn removed(
    removal: Removal,
    answer: Answer<Removed>,
    history: &History,
    observed: &mut Observed,
    now: DateTime<Utc>,
) -> Vec<Change> {
    observed.in_flight.remove(&removal.slot);
    if let Some(view) = observed.scopes.get_mut(&removal.slot.pair.scope) {
        view.note_date(answer.server_date, now);
        view.want_listing(now);
    }
    note_denial(&removal, &answer, observed, now);
    let was_in_doubt = removal.look_at.is_some();
    let look_at = Some(now + LOOK_AGAIN);
    let in_doubt = Removal {
        look_at,
        ..removal.clone()
    };
    // What is still there so long after its removal was intended was not removed.
    let is_young = now < removal.planned_at + MAX_LISTING_LAG && now >= removal.planned_at;
    let ended = match answer.result {
        Err(error) if error.class == ErrorClass::Unknown || was_in_doubt => in_doubt,
        Err(error) => removal.ended(now, Err(Undone::refused(&error))),
        Ok(Removed::Refused(why)) => removal.ended(now, Err(why.into())),
        Ok(Removed::Done) => return gone(removal, history, observed, now),
        Ok(Removed::Absent) if was_in_doubt => return gone(removal, history, observed, now),
        Ok(Removed::Absent) => removal.ended(now, Err("it was already gone".to_owned().into())),
        Ok(Removed::Present) if is_young => in_doubt,
        Ok(Removed::Present) => removal.ended(now, Err("AWS did not delete it".to_owned().into())),
    };
    vec![Change::Removal(Box::new(ended))]
}

/// A policy that may not delete is told of for as long as each pass finds it so.
fn note_denial(
    removal: &Removal,
    answer: &Answer<Removed>,
    observed: &mut Observed,
    now: DateTime<Utc>,
) {
    let scope = &removal.slot.pair.scope;
    match &answer.result {
        Err(error) if error.class == ErrorClass::AccessDenied => {
            let (until, message) = (now + TELL_DENIAL, error.told());
            let refused = Backoff { until, message };
            observed.delete_denied.insert(scope.clone(), refused);
        }
        Ok(Removed::Done) => drop(observed.delete_denied.remove(scope)),
        _ => {}
    }
}

fn gone(
    removal: Removal,
    history: &History,
    observed: &mut Observed,
    now: DateTime<Utc>,
) -> Vec<Change> {
    let view = observed.scopes.get_mut(&removal.slot.pair.scope);
    if let Some(listing) = view.and_then(|view| view.snapshots.as_mut()) {
        listing.by_id.remove(&removal.id);
    }
    let run = history.runs.get(&removal.slot);
    let run = run.and_then(|run| pruned(run, &removal.id, now));
    let ended = removal.ended(now, Ok("removed".to_owned()));
    let ended = Change::Removal(Box::new(ended));
    [Some(ended), run].into_iter().flatten().collect()
}

/// The run whose snapshot `id` is gone, where that is the one that the run is about.
pub(super) fn pruned(run: &Run, id: &SnapshotId, now: DateTime<Utc>) -> Option<Change> {
    if run.request.snapshot_id != *id || run.gone.is_some() {
        return None;
    }
    let mut run = run.clone();
    run.gone = Some(Gone {
        at: now,
        reason: GoneReason::Pruned,
    });
    Some(Change::Run(Box::new(run)))
}

/// Takes the answer to what a person wanted done.
pub(super) fn action_done(
    action: SnapshotAction,
    answer: Answer<(Arc<Snapshot>, String)>,
    history: &History,
    observed: &mut Observed,
    now: DateTime<Utc>,
) -> Vec<Change> {
    observed.in_flight.remove(&action.slot);
    let view = observed.scopes.get_mut(&action.slot.pair.scope);
    let (snapshot, told) = match answer.result {
        Ok(done) => done,
        Err(error) => {
            if let Some(view) = view {
                view.note_date(answer.server_date, now);
                view.want_listing(now);
            }
            return untold(action, &error, history, observed, now);
        }
    };
    if let Some(view) = view {
        view.note_date(answer.server_date, now);
        view.want_listing(now);
        if let Some(listing) = &mut view.snapshots {
            listing.put(&snapshot);
        }
    }
    observed.action_trouble.remove(&action.id);
    let run = history.runs.get(&action.slot);
    let run = run.filter(|run| run.request.snapshot_id == action.snapshot && run.is_ended());
    let run = run.map(|run| {
        let snapshot = Some(snapshot);
        Change::Run(Box::new(Run {
            snapshot: snapshot.map(Seen::from),
            ..run.clone()
        }))
    });
    let ended = Change::SnapshotAction(Box::new(action.ended(now, Ok(told))));
    [Some(ended), run].into_iter().flatten().collect()
}

/// What passes by itself is tried again while the action's time lasts, and what is half done for as long as it takes.
fn untold(
    action: SnapshotAction,
    error: &RedshiftError,
    history: &History,
    observed: &mut Observed,
    now: DateTime<Utc>,
) -> Vec<Change> {
    let passes = error.class.is_transient() && !action.is_over(now);
    let message = error.told();
    if !passes && action.trouble.is_none() {
        observed.action_trouble.remove(&action.id);
        return vec![Change::SnapshotAction(Box::new(
            action.ended(now, Err(message.into())),
        ))];
    }
    let until = now + if passes { TRY_AGAIN } else { SLOWLY };
    observed
        .action_trouble
        .insert(action.id, Backoff { until, message });
    let is_known = history.actions.get(&action.id) == Some(&action);
    let change = (!is_known).then(|| Change::SnapshotAction(Box::new(action)));
    change.into_iter().collect()
}
