//! Taking a listing in.
//!
//! Owns: what a complete or failed listing changes of what is observed, and the changes of the history that follow
//! from a complete one; `look` and `adopt` make them. A listing of another account proves nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::config::Config;
use crate::history::{Change, History};
use crate::names::ClusterId;
use crate::observed::{LISTING_INTERVAL, Listing, Observed, ScopeView, SnapshotListing};
use crate::redshift::{Cluster, RedshiftError};
use crate::retry;
use crate::run::Run;
use crate::slot::Scope;
use crate::snapshot::{Snapshot, SnapshotId};

use super::{Known, Listed, account_number, adopt, look};

pub(super) fn taken_in(
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
pub(super) fn is_shared(snapshot: &Snapshot, account: Option<&str>) -> bool {
    account
        .zip(snapshot.account_number())
        .is_some_and(|(ours, owner)| ours != owner)
}
