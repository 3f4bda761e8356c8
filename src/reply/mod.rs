//! What follows from an answer of AWS.
//!
//! Owns: taking an answer in, as changes of the history and of what is observed; `look` matches a listing with
//! the runs, `adopt` makes runs of the snapshots that have none. Pure: the daemon makes the call and hands its
//! answer over with the instant at which it came. Never plans: what is to be done next is read off the new history.

mod adopt;
mod keep;
mod look;
mod upkeep;

pub use upkeep::Removed;

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use crate::config::Config;
use crate::history::{Change, Extension, History};
use crate::names::{AccountName, ClusterId, Writer};
use crate::observed::{LISTING_INTERVAL, Listing, Observed, ScopeView, SnapshotListing};
use crate::redshift::{Answer, Cluster, ErrorClass, RedshiftError, SnapshotEvent};
use crate::retry;
use crate::run::{Event, Outcome, Run, RunState};
use crate::slot::{Scope, Slot};
use crate::snapshot::{Generation, Ownership, Snapshot, SnapshotId, ownership};
use crate::upkeep::{Errand, Removal};

/// How often in a row a cluster that AWS does not find is asked for.
const NOT_FOUND_TRIES: u32 = 3;

/// The event of a failed snapshot ("Amazon Redshift event notifications").
const SNAPSHOT_FAILED_EVENT: &str = "3503";

/// The answer to a [`crate::plan::Call`].
#[derive(Debug)]
pub enum Reply {
    /// To [`crate::plan::Call::List`].
    Listed(Box<Listed>),
    /// To [`crate::plan::Call::Create`].
    Created(Slot, Answer<Arc<Snapshot>>),
    /// To [`crate::plan::Call::Describe`].
    Described(Slot, Answer<Vec<Arc<Snapshot>>>),
    /// To [`crate::plan::Call::Extend`].
    Extended(Box<Extension>, Answer<Arc<Snapshot>>),
    /// To [`crate::plan::Call::Explain`].
    Explained(Slot, Answer<Vec<SnapshotEvent>>),
    /// To [`crate::plan::Call::Remove`].
    Removed(Box<Removal>, Answer<Removed>),
    /// To [`crate::plan::Call::Errand`]: the snapshot as it is now, and what is to be said.
    Done(Box<Errand>, Answer<(Arc<Snapshot>, String)>),
}

/// The answers to the requests of one listing.
#[derive(Debug)]
pub struct Listed {
    /// The scope.
    pub scope: Scope,
    /// When the listing began.
    pub began_at: DateTime<Utc>,
    /// All clusters.
    pub clusters: Answer<Vec<Cluster>>,
    /// All manual snapshots.
    pub snapshots: Answer<Vec<Arc<Snapshot>>>,
    /// The account's number, if it was asked for.
    pub account_number: Option<Answer<String>>,
}

/// What is known before an answer.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// The configuration.
    pub config: &'a Config,
    /// The past.
    pub history: &'a History,
    /// This installation.
    pub writer: &'a Writer,
}

/// Takes `reply` in: `observed` is brought up to date, the changes are for the caller to commit and apply.
pub fn take_in(
    reply: Reply,
    known: Known<'_>,
    observed: &mut Observed,
    now: DateTime<Utc>,
) -> Vec<Change> {
    let history = known.history;
    match reply {
        Reply::Listed(listed) => listing_taken_in(*listed, known, observed, now),
        Reply::Created(slot, answer) => {
            one_run(slot, history, observed, &answer, now, |run, view, _| {
                created(run, view, &answer.result, now)
            })
        }
        Reply::Described(slot, answer) => {
            one_run(slot, history, observed, &answer, now, |run, _, account| {
                described(run, history, account, &answer.result, now)
            })
        }
        Reply::Extended(extension, answer) => {
            keep::extended(*extension, answer, history, observed, now)
        }
        Reply::Removed(removal, answer) => {
            upkeep::removed(*removal, answer, history, observed, now)
        }
        Reply::Done(errand, answer) => upkeep::errand_done(*errand, answer, history, observed, now),
        Reply::Explained(slot, answer) => {
            one_run(slot, history, observed, &answer, now, |run, view, _| {
                explained(run, view, &answer.result, now)
            })
        }
    }
}

fn listing_taken_in(
    listed: Listed,
    known: Known<'_>,
    observed: &mut Observed,
    now: DateTime<Utc>,
) -> Vec<Change> {
    let (scope, began_at) = (listed.scope.clone(), listed.began_at);
    if observed.outdated.remove(&scope) {
        // With its account's new credentials it is another account, perhaps.
        if let Some(view) = observed.scopes.get_mut(&scope) {
            view.budget = view.budget.spent(further_requests(&listed), now);
            view.listing = Listing::Next {
                at: now,
                failures: 0,
            };
        }
        return Vec::new();
    }
    note_account(&listed, observed);
    observed.bar_scopes(&known.history.account_numbers);
    let account = account_number(&scope.account, known.history, observed);
    let account = account.as_deref();
    let is_told = observed.account_number(&scope.account).is_some();
    let Some(view) = observed.scopes.get_mut(&scope) else {
        return Vec::new();
    };
    // Where no number was ever told there is none to differ from.
    view.is_identified = is_told || account.is_none();
    note_listing(view, listed, known.history, account, now);
    let Some(view) = observed.scopes.get(&scope) else {
        return Vec::new();
    };
    let seen = view.snapshots.as_ref();
    let Some(listing) = seen.filter(|listing| listing.began_at == began_at) else {
        return Vec::new();
    };
    let idle = |run: &&Run| run.slot.pair.scope == scope && !observed.in_flight.contains(&run.slot);
    let runs = known.history.runs.values().filter(idle);
    let sight = look::Sight {
        listing,
        account,
        proves_absence: view.is_identified,
    };
    let runs = runs.flat_map(|run| look::at_run(run, known.history, sight, now));
    let bound = binding(&scope, known.history, observed).into_iter();
    let mut changes: Vec<Change> = bound.chain(runs).collect();
    if view.barred.is_none() && is_told_apart(known.config, &scope, account) {
        changes.extend(adopt::unrecorded(known, &scope, listing, account, now));
    }
    changes
}

/// Whether it is certain that no other scope lists the same snapshots.
fn is_told_apart(config: &Config, scope: &Scope, account: Option<&str>) -> bool {
    let scopes = config.scopes();
    let mut others = scopes.iter().filter(|other| *other != scope);
    account.is_some() || !others.any(|other| other.region == scope.region)
}

fn one_run<T>(
    slot: Slot,
    history: &History,
    observed: &mut Observed,
    answer: &Answer<T>,
    now: DateTime<Utc>,
    event: impl FnOnce(&Run, &mut ScopeView, Option<&str>) -> Option<Event>,
) -> Vec<Change> {
    observed.in_flight.remove(&slot);
    let account = account_number(&slot.pair.scope.account, history, observed);
    let view = observed.scopes.get_mut(&slot.pair.scope);
    let (Some(run), Some(view)) = (history.runs.get(&slot), view) else {
        return Vec::new();
    };
    view.note_date(answer.server_date, now);
    event(run, view, account.as_deref())
        .and_then(|event| change(run, event, now))
        .into_iter()
        .collect()
}

/// The change that an event makes; an event that comes too late makes none.
fn change(run: &Run, event: Event, now: DateTime<Utc>) -> Option<Change> {
    let next = run.clone().apply(event, now)?;
    (next != *run).then(|| Change::Run(Box::new(next)))
}

/// The number of an account, as its credentials tell or as the history remembers.
fn account_number(account: &AccountName, history: &History, observed: &Observed) -> Option<String> {
    let remembered = || history.account_numbers.get(account).map(String::as_str);
    observed
        .account_number(account)
        .or_else(remembered)
        .map(str::to_owned)
}

/// From the first complete listing on, a name stands for the number that was found then.
fn binding(scope: &Scope, history: &History, observed: &Observed) -> Option<Change> {
    let number = observed.account_number(&scope.account)?;
    let is_new = !history.account_numbers.contains_key(&scope.account);
    is_new.then(|| Change::Account(scope.account.clone(), number.to_owned()))
}

/// An account has one number, whichever of its scopes has learnt it.
fn note_account(listed: &Listed, observed: &mut Observed) {
    if let Some(Ok(number)) = listed.account_number.as_ref().map(|answer| &answer.result) {
        let account = listed.scope.account.clone();
        observed.account_numbers.insert(account, number.clone());
    }
}

/// A listing's further pages, which nobody could know of when it was made.
fn further_requests(listed: &Listed) -> u32 {
    let further = |sent: u32| sent.saturating_sub(1);
    let account = listed.account_number.as_ref();
    further(listed.clusters.requests)
        + further(listed.snapshots.requests)
        + account.map_or(0, |answer| further(answer.requests))
}

fn note_listing(
    view: &mut ScopeView,
    listed: Listed,
    history: &History,
    account: Option<&str>,
    now: DateTime<Utc>,
) {
    view.budget = view.budget.spent(further_requests(&listed), now);
    let Listed {
        scope,
        began_at,
        clusters,
        snapshots,
        account_number,
    } = listed;
    if let Some(answer) = account_number {
        view.note_date(answer.server_date, now);
    }
    view.note_date(clusters.server_date, now);
    view.note_date(snapshots.server_date, now);
    let trouble = clusters
        .result
        .as_ref()
        .err()
        .or(snapshots.result.as_ref().err());
    let trouble = trouble.map(RedshiftError::told);
    let is_other = view.is_other_account();
    if let (Ok(clusters), false) = (clusters.result, is_other) {
        view.clusters = Some(by_id(clusters));
    }
    // What another account lacks proves nothing.
    if let (Ok(snapshots), false) = (snapshots.result, is_other) {
        let mut listing = listing(began_at, snapshots, account);
        if !history.removed.is_empty() {
            let lingers =
                |id: &SnapshotId| history.is_lingering(&(scope.clone(), id.clone()), began_at);
            listing.by_id.retain(|id, _| !lingers(id));
        }
        view.snapshots = Some(listing);
    }
    view.listing = match (&trouble, view.listing) {
        (None, _) => Listing::Next {
            at: now + LISTING_INTERVAL,
            failures: 0,
        },
        (Some(_), Listing::UnderWay { failures } | Listing::Next { failures, .. }) => {
            let failures = failures + 1;
            Listing::Next {
                at: retry::list_again_at(&scope, failures, now),
                failures,
            }
        }
    };
    if trouble.is_none() {
        view.reached_at = Some(now);
    }
    view.trouble = trouble;
}

fn by_id(clusters: Vec<Cluster>) -> BTreeMap<ClusterId, Cluster> {
    clusters
        .into_iter()
        .map(|cluster| (cluster.id.clone(), cluster))
        .collect()
}

fn listing(
    began_at: DateTime<Utc>,
    snapshots: Vec<Arc<Snapshot>>,
    account: Option<&str>,
) -> SnapshotListing {
    let is_manual = |snapshot: &Arc<Snapshot>| {
        snapshot
            .snapshot_type
            .as_deref()
            .is_none_or(|kind| kind == "manual")
    };
    let by_id = snapshots
        .into_iter()
        .filter(|snapshot| is_manual(snapshot) && !is_shared(snapshot, account))
        .map(|snapshot| {
            (
                SnapshotId::recorded(snapshot.snapshot_identifier.clone()),
                snapshot,
            )
        })
        .collect();
    SnapshotListing { began_at, by_id }
}

/// Whether another account shares the snapshot with this one: names are unique within an account only.
fn is_shared(snapshot: &Snapshot, account: Option<&str>) -> bool {
    account
        .zip(snapshot.account_number())
        .is_some_and(|(ours, owner)| ours != owner)
}

/// The event of having found a snapshot under the run's name.
///
/// What AWS has accepted of us stays ours, whatever becomes of its tags; only another one in its place is not.
fn sighted(
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
fn cluster_created_at(run: &Run, history: &History) -> Option<DateTime<Utc>> {
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

fn created(
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

fn described(
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

fn explained(
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
