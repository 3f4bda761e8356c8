//! What an answer means for the run that asked.
//!
//! Owns: the event that follows from a created, sighted or explained snapshot, and the proof that one found under
//! the run's name is the run's. Never applies it: `RunState` does.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use crate::history::History;
use crate::observed::ScopeView;
use crate::ownership::{Ownership, ownership};
use crate::redshift::{ErrorClass, RedshiftError, SnapshotEvent};
use crate::retry;
use crate::run::{Event, Outcome, Reason, Run, RunState};
use crate::snapshot::{Generation, Snapshot, SnapshotId};

use super::reconcile;

/// How often in a row a cluster that AWS does not find is asked for.
const NOT_FOUND_TRIES: u32 = 3;

/// The event of a failed snapshot ("Amazon Redshift event notifications").
const SNAPSHOT_FAILED_EVENT: &str = "3503";

/// The event of having found a snapshot under the run's name.
///
/// What AWS has accepted of us stays ours, whatever becomes of its tags; only another one in its place is not.
pub(super) fn sighted(
    run: &Run,
    history: &History,
    snapshot: &Arc<Snapshot>,
    account: Option<&str>,
    now: DateTime<Utc>,
) -> Event {
    match ownership(&**snapshot, run, account, cluster_created_at(run, history)) {
        Ownership::Proven | Ownership::ByName => seen(run, snapshot, now),
        Ownership::Foreign(_) if is_the_accepted(run, snapshot) => seen(run, snapshot, now),
        Ownership::Foreign(_) if run.is_creating() => reconcile::not_seen(run, now),
        Ownership::Foreign(what) => Event::Contradicted { what },
    }
}

/// Whether a snapshot under the run's name is the run's, and not another one in its place.
pub(super) fn is_of(
    run: &Run,
    history: &History,
    snapshot: &Snapshot,
    account: Option<&str>,
) -> bool {
    let proof = || ownership(snapshot, run, account, cluster_created_at(run, history));
    is_the_accepted(run, snapshot) || !matches!(proof(), Ownership::Foreign(_))
}

/// The ClusterCreateTime of the run's cluster, where a listing has shown it.
pub(super) fn cluster_created_at(run: &Run, history: &History) -> Option<DateTime<Utc>> {
    history.pairs.get(&run.slot.pair)?.cluster_created_at
}

/// Whether a snapshot is the very one that the run has seen before: two under one name differ in when they were made, or in
/// whose they are.
fn is_the_accepted(run: &Run, snapshot: &Snapshot) -> bool {
    run.snapshot.as_ref().is_some_and(|accepted| {
        let owners = accepted.account_number().zip(snapshot.account_number());
        accepted.identifier() == snapshot.snapshot_identifier
            && owners.is_none_or(|(ours, owner)| ours == owner)
            && accepted.create_time().is_some()
            && accepted.create_time() == snapshot.snapshot_create_time
    })
}

fn seen(run: &Run, snapshot: &Arc<Snapshot>, now: DateTime<Utc>) -> Event {
    Event::Seen {
        snapshot: Arc::clone(snapshot),
        look_at: retry::follow_at(run, now),
    }
}

pub(super) fn created(
    run: &Run,
    history: &History,
    (view, account): (&mut ScopeView, Option<&str>),
    result: &Result<Arc<Snapshot>, RedshiftError>,
    now: DateTime<Utc>,
) -> Option<Event> {
    let error = match result {
        Ok(snapshot) => return Some(accepted(run, history, snapshot, account, now)),
        Err(error) => error,
    };
    let message = error.told();
    Some(match error.class {
        ErrorClass::AlreadyExists => Event::Lost {
            look_at: now,
            message,
        },
        ErrorClass::Unknown => Event::Lost {
            look_at: retry::doubt_look_at(now, now),
            message,
        },
        ErrorClass::Invalid => judged(error),
        class => {
            let why = why(run, view, class, now);
            let times = run.refusals_for(&why) + 1;
            if class == ErrorClass::ClusterNotFound && times >= NOT_FOUND_TRIES {
                return Some(judged(error));
            }
            let retry_at = retry::ask_again_at(class, times, run, now);
            Event::Refused {
                retry_at,
                why,
                message,
            }
        }
    })
}

/// An answer of another snapshot, or of another account's, does not tell what became of this one: it is looked for.
fn accepted(
    run: &Run,
    history: &History,
    snapshot: &Arc<Snapshot>,
    account: Option<&str>,
    now: DateTime<Utc>,
) -> Event {
    match ownership(&**snapshot, run, account, cluster_created_at(run, history)) {
        Ownership::Proven | Ownership::ByName => seen(run, snapshot, now),
        Ownership::Foreign(what) => Event::Lost {
            look_at: now,
            message: format!("AWS answered about another snapshot: {what}"),
        },
    }
}

fn judged(error: &RedshiftError) -> Event {
    Event::Concluding {
        verdict: Outcome::Failed(Reason::from(error.class)),
        message: Some(error.told()),
    }
}

/// What stands in the way, for a cluster with its status; the next listing brings that up to date.
fn why(run: &Run, view: &mut ScopeView, class: ErrorClass, now: DateTime<Utc>) -> Reason {
    if class != ErrorClass::ClusterState {
        return Reason::from(class);
    }
    view.want_listing(now);
    let status = view
        .clusters
        .as_ref()
        .and_then(|clusters| clusters.get(&run.slot.pair.cluster))
        .map(|cluster| cluster.status.as_str())
        .filter(|status| *status != "available");
    Reason::ClusterState(status.map(str::to_owned))
}

pub(super) fn explained(
    run: &Run,
    view: &ScopeView,
    result: &Result<Vec<SnapshotEvent>, RedshiftError>,
    now: DateTime<Utc>,
) -> Option<Event> {
    let RunState::Failing { since, .. } = &run.state else {
        return None;
    };
    let told = result
        .iter()
        .flatten()
        .rev()
        .find(|event| event.id.ends_with(SNAPSHOT_FAILED_EVENT));
    // Another host may have asked for the second one in time: then that is the run's, however late it is found.
    let is_there = holds(view, &run.request.snapshot_id.second());
    let again = run.generation() == Generation::First && (now < run.request.deadline || is_there);
    let is_denied = |error: &RedshiftError| error.class == ErrorClass::AccessDenied;
    let patience = match again || result.as_ref().is_err_and(is_denied) {
        true => retry::SHORT_EXPLANATION,
        false => retry::LONG_EXPLANATION,
    };
    if let (None, Some(ask_at)) = (told, retry::explain_again_at(*since, patience, now)) {
        return Some(Event::Unexplained { ask_at });
    }
    let message = match (told, result) {
        (Some(event), _) => event.message.clone(),
        (None, Ok(_)) => "AWS gave no reason".to_owned(),
        (None, Err(error)) => format!("the reason could not be read: {error}"),
    };
    let retry_at = again.then(|| now + TimeDelta::seconds(1));
    Some(Event::Explained { message, retry_at })
}

fn holds(view: &ScopeView, id: &SnapshotId) -> bool {
    let listing = view.snapshots.as_ref();
    listing.is_some_and(|listing| listing.by_id.contains_key(id))
}
