//! What an answer means for the run that asked.
//!
//! Owns: the event that follows from a created, described or explained snapshot, and the proof that one found under
//! the run's name is the run's. Never applies it: `RunState` does.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use crate::history::History;
use crate::observed::ScopeView;
use crate::redshift::{ErrorClass, RedshiftError, SnapshotEvent};
use crate::retry;
use crate::run::{Event, Outcome, Run, RunState};
use crate::snapshot::{Generation, Ownership, Snapshot, SnapshotId, ownership};

use super::listing::is_shared;
use super::look;

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
    match ownership(snapshot, run, account, cluster_created_at(run, history)) {
        Ownership::Proven | Ownership::ByName => seen(run, snapshot, now),
        Ownership::Foreign(_) if is_the_accepted(run, snapshot) => seen(run, snapshot, now),
        Ownership::Foreign(_) if run.is_creating() => look::not_seen(run, now),
        Ownership::Foreign(what) => Event::Contradicted { what },
    }
}

/// The ClusterCreateTime of the run's cluster, where a listing has shown it.
pub(super) fn cluster_created_at(run: &Run, history: &History) -> Option<DateTime<Utc>> {
    history.pairs.get(&run.slot.pair)?.cluster_created_at
}

/// Whether it is the very snapshot that the run has seen before: two under one name differ in when they were made.
fn is_the_accepted(run: &Run, snapshot: &Snapshot) -> bool {
    let accepted = run.snapshot.as_ref().filter(|_| run.accepted_at.is_some());
    accepted.is_some_and(|accepted| {
        accepted.snapshot_identifier == snapshot.snapshot_identifier
            && accepted.snapshot_create_time.is_some()
            && accepted.snapshot_create_time == snapshot.snapshot_create_time
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
    view: &mut ScopeView,
    result: &Result<Arc<Snapshot>, RedshiftError>,
    now: DateTime<Utc>,
) -> Option<Event> {
    let error = match result {
        Ok(snapshot) => return Some(seen(run, snapshot, now)),
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

fn judged(error: &RedshiftError) -> Event {
    Event::Judged {
        verdict: Outcome::Failed(error.class.reason().to_owned()),
        message: Some(error.told()),
    }
}

/// What stands in the way, for a cluster with its status; the next listing brings that up to date.
fn why(run: &Run, view: &mut ScopeView, class: ErrorClass, now: DateTime<Utc>) -> String {
    if class != ErrorClass::ClusterState {
        return class.reason().to_owned();
    }
    view.want_listing(now);
    let status = view
        .clusters
        .as_ref()
        .and_then(|clusters| clusters.get(&run.slot.pair.cluster))
        .map(|cluster| cluster.status.as_str())
        .filter(|status| *status != "available");
    match status {
        Some(status) => format!("cluster {status}"),
        None => class.reason().to_owned(),
    }
}

pub(super) fn described(
    run: &Run,
    history: &History,
    account: Option<&str>,
    result: &Result<Vec<Arc<Snapshot>>, RedshiftError>,
    now: DateTime<Utc>,
) -> Option<Event> {
    let ours = |snapshot: &&Arc<Snapshot>| !is_shared(snapshot, account);
    if let Some(snapshot) = result.iter().flatten().find(ours) {
        return Some(sighted(run, history, snapshot, account, now));
    }
    let RunState::InDoubt { since, .. } = &run.state else {
        return None;
    };
    // If looking fails for as long, asking again under the same name does no harm either.
    Some(if now >= retry::doubt_ends_at(run, *since) {
        Event::NotAccepted { retry_at: now }
    } else {
        Event::StillLost {
            look_at: retry::doubt_look_at(*since, now),
        }
    })
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
