//! Taking a listing in.
//!
//! Owns: what a complete or failed listing changes of what is observed, and the changes of the history that follow
//! from a complete one; `look` and `adopt` make them. A listing of another account proves nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use crate::history::{Change, History, Renaming};
use crate::names::{AccountName, ClusterId};
use crate::observed::{
    Barred, LISTING_INTERVAL, Listing, Missing, Observed, ScopeView, SnapshotListing,
};
use crate::redshift::{Cluster, ErrorClass, RedshiftError};
use crate::retry;
use crate::run::Run;
use crate::slot::{Scope, Slot};
use crate::snapshot::{Snapshot, SnapshotId};

use super::named::is_shared;
use super::{Listed, ReplyContext, account_number, adopt, reconcile};

pub(super) fn taken_in(
    listed: Listed,
    known: ReplyContext<'_>,
    observed: &mut Observed,
    now: DateTime<Utc>,
) -> Vec<Change> {
    let scope = listed.scope.clone();
    if observed.outdated.remove(&scope) {
        // With its account's new credentials it is another account, perhaps.
        if let Some(view) = observed.scopes.get_mut(&scope) {
            list_anew(view, &listed, now);
        }
        return Vec::new();
    }
    let told = Told::by(&listed);
    let listed = match told.is_contradictory() {
        true => of_two_accounts(listed),
        false => listed,
    };
    if let Some(number) = told.number() {
        note_number(&scope, number, known.history, observed);
    }
    if let Some(number) = told.number()
        && let Some(renamed) = renamed(&listed, number, known, observed, now)
    {
        return renamed;
    }
    let account = account_number(&scope.account, known.history, observed);
    let account = account.as_deref();
    let Some(view) = observed.scopes.get_mut(&scope) else {
        return Vec::new();
    };
    view.names_account = told.by_clusters.is_some();
    view.asked_account = listed.account_number.is_some();
    // Where no number was ever told there is none to differ from.
    let is_told = told.number().is_some() || account.is_none();
    if !is_told && !view.asked_account && is_complete(&listed) {
        // The clusters do not tell whose they are any more: then STS has to, before anything of it counts.
        list_anew(view, &listed, now);
        return Vec::new();
    }
    view.is_identified = is_told && !view.is_other_account();
    let shown = note_listing(view, listed, known.history, account, now);
    shown.map_or_else(Vec::new, |shown| {
        matched(known, observed, (&scope, &shown), account, now)
    })
}

/// A complete listing while it is taken in, with all that AWS told.
pub(super) struct Shown {
    /// When it began.
    pub(super) began_at: DateTime<Utc>,
    /// As in [`SnapshotListing`].
    pub(super) by_id: BTreeMap<SnapshotId, Arc<Snapshot>>,
    /// As in [`SnapshotListing`].
    pub(super) unclear: BTreeSet<SnapshotId>,
}

/// What a complete listing that was just taken in changes of the history, and what is missing by it.
fn matched(
    known: ReplyContext<'_>,
    observed: &mut Observed,
    (scope, listing): (&Scope, &Shown),
    account: Option<&str>,
    now: DateTime<Utc>,
) -> Vec<Change> {
    let Some(view) = observed.scopes.get(scope) else {
        return Vec::new();
    };
    let idle = |run: &&Run| !observed.in_flight.contains(&run.slot);
    let runs = known.history.runs.in_scope(scope).filter(idle);
    let sight = reconcile::Sight {
        listing,
        account,
        proves_absence: view.is_identified,
    };
    let runs: Vec<&Run> = runs.collect();
    let missing = runs.iter().filter_map(|run| {
        let missing = reconcile::lacks(run, known.history, sight, now)?;
        Some((run.slot.clone(), missing))
    });
    let missing: BTreeMap<Slot, Missing> = missing.collect();
    // Where the clusters still cannot be listed, the looks by name go on at their pace.
    let is_over = !view.is_blind(now);
    let runs =
        { runs.into_iter() }.flat_map(|run| reconcile::at_run(run, known.history, sight, now));
    let bound = binding(scope, known.history, observed).into_iter();
    let mut changes: Vec<Change> = bound.chain(runs).collect();
    if view.barred.is_none() && is_told_apart(known, scope, account) {
        changes.extend(adopt::unrecorded(known, scope, listing, account, now));
    }
    if view.is_identified {
        note_missing(scope, missing, observed);
    }
    if is_over {
        // Whoever is looked for by name again begins anew.
        observed.looks.retain(|slot, _| slot.pair.scope != *scope);
    }
    changes
}

fn is_complete(listed: &Listed) -> bool {
    listed.clusters.result.is_ok() && listed.snapshots.result.is_ok()
}

/// Nothing of the listing counts: the next one is made at once.
fn list_anew(view: &mut ScopeView, listed: &Listed, now: DateTime<Utc>) {
    view.budget = view.budget.listed(further_requests(listed), now);
    view.listing = Listing::Next {
        at: now,
        failures: 0,
    };
}

/// What the listing lacks is missing from now on, and what it has no longer is. A look that is under way decides for itself.
fn note_missing(scope: &Scope, mut missing: BTreeMap<Slot, Missing>, observed: &mut Observed) {
    for (slot, before) in &observed.missing {
        if let Some(now) = missing.get_mut(slot) {
            now.is_absent = before.is_absent;
            // The first listing that is late enough calls for a look at once.
            if before.is_late || !now.is_late {
                now.look_at = before.look_at;
            }
        }
    }
    let in_flight = &observed.in_flight;
    observed
        .missing
        .retain(|slot, _| slot.pair.scope != *scope || in_flight.contains(slot));
    observed.missing.extend(missing);
}

/// Whose account a listing is of, by its own words.
struct Told {
    /// What the clusters' ARNs say, where they say one thing.
    by_clusters: Option<String>,
    /// What STS says.
    by_sts: Option<String>,
}

impl Told {
    fn by(listed: &Listed) -> Self {
        let clusters = listed.clusters.result.iter().flatten();
        let mut numbers = clusters.filter_map(|cluster| cluster.account_number.as_deref());
        let first = numbers.next();
        let by_clusters = first.filter(|first| numbers.all(|number| number == *first));
        let sts = listed.account_number.as_ref();
        Self {
            by_clusters: by_clusters.map(str::to_owned),
            by_sts: sts.and_then(|answer| answer.result.clone().ok()),
        }
    }

    fn number(&self) -> Option<&str> {
        let told = self.by_sts.as_deref().or(self.by_clusters.as_deref());
        told.filter(|_| !self.is_contradictory())
    }

    /// Whether the credentials have become another account's while it was listed.
    fn is_contradictory(&self) -> bool {
        let both = self.by_clusters.as_ref().zip(self.by_sts.as_ref());
        both.is_some_and(|(clusters, sts)| clusters != sts)
    }
}

/// A listing that was begun in one account and ended in another shows neither.
fn of_two_accounts(listed: Listed) -> Listed {
    let error = RedshiftError {
        class: ErrorClass::Unknown,
        code: None,
        message: "the credentials changed to another account during the listing".to_owned(),
    };
    Listed {
        clusters: listed.clusters.map_to(Err(error.clone())),
        snapshots: listed.snapshots.map_to(Err(error)),
        ..listed
    }
}

/// Whether it is certain that no other scope lists the same snapshots, be it under a name that the account had before.
fn is_told_apart(known: ReplyContext<'_>, scope: &Scope, account: Option<&str>) -> bool {
    let scopes = known.config.scopes();
    let mut others = scopes.iter().filter(|other| *other != scope);
    let mut is_alone = || {
        !others.any(|other| other.region == scope.region) && former_accounts(known).next().is_none()
    };
    account.is_some() || is_alone()
}

/// The accounts that the history knows and the policy file does not.
fn former_accounts<'a>(known: ReplyContext<'a>) -> impl Iterator<Item = &'a AccountName> {
    let of_pairs = known.history.pairs.keys().map(|pair| &pair.scope.account);
    let numbered = known.history.account_numbers.keys();
    let all: BTreeSet<&AccountName> = of_pairs.chain(numbered).collect();
    let is_former = |name: &&AccountName| known.config.account(name).is_none();
    all.into_iter().filter(is_former)
}

/// Where the account is one that had another name before, everything of that is its, and nothing of the listing counts
/// before. What is under way under the old name is waited for.
fn renamed(
    listed: &Listed,
    number: &str,
    known: ReplyContext<'_>,
    observed: &mut Observed,
    now: DateTime<Utc>,
) -> Option<Vec<Change>> {
    let to = &listed.scope.account;
    let stands_for = known.history.account_numbers.get(to);
    let is_free = stands_for.is_none_or(|stands_for| stands_for == number);
    // One that has left the file is listed under its old name for as long as something is open in it.
    known.config.account(to)?;
    let is_it = |name: &&AccountName| known.history.number_of(name) == Some(number);
    let from = former_accounts(known).find(is_it).filter(|_| is_free)?;
    let view = observed.scopes.get_mut(&listed.scope)?;
    if matches!(&view.barred, Some(Barred::Twin(twin)) if twin.account != *from) {
        return None;
    }
    list_anew(view, listed, now);
    let is_of = |scope: &Scope| scope.account == *from;
    if observed
        .in_flight
        .iter()
        .any(|slot| is_of(&slot.pair.scope))
    {
        let at = now + TimeDelta::seconds(1);
        let failures = 0;
        view.listing = Listing::Next { at, failures };
        return Some(Vec::new());
    }
    observed.scopes.retain(|scope, _| !is_of(scope));
    observed.missing.retain(|slot, _| !is_of(&slot.pair.scope));
    observed.account_numbers.remove(from);
    observed.bar_scopes(&known.history.account_numbers);
    Some(vec![Change::Renamed(Renaming {
        from: from.clone(),
        to: to.clone(),
        number: number.to_owned(),
        renamed_at: now,
    })])
}

/// From the first complete listing on, a name stands for the number that was found then.
fn binding(scope: &Scope, history: &History, observed: &Observed) -> Option<Change> {
    let number = observed.account_number(&scope.account)?;
    let is_new = !history.account_numbers.contains_key(&scope.account);
    is_new.then(|| Change::Account(scope.account.clone(), number.to_owned()))
}

/// An account has one number, whichever of its scopes has learnt it.
pub(super) fn note_number(scope: &Scope, number: &str, history: &History, observed: &mut Observed) {
    let account = scope.account.clone();
    observed.account_numbers.insert(account, number.to_owned());
    observed.bar_scopes(&history.account_numbers);
}

/// A listing's further pages, which nobody could know of when it was made.
fn further_requests(listed: &Listed) -> u32 {
    let further = |sent: u32| sent.saturating_sub(1);
    let account = listed.account_number.as_ref();
    further(listed.clusters.requests)
        + further(listed.snapshots.requests)
        + account.map_or(0, |answer| further(answer.requests))
}

/// Notes what a listing tells of the scope; returns the snapshots that it shows, if it is complete and of the account.
fn note_listing(
    view: &mut ScopeView,
    listed: Listed,
    history: &History,
    account: Option<&str>,
    now: DateTime<Utc>,
) -> Option<Shown> {
    view.budget = view.budget.listed(further_requests(&listed), now);
    if is_complete(&listed) {
        view.note_pages(listed.clusters.requests + listed.snapshots.requests, now);
    }
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
    view.lacks_credentials = trouble.is_some_and(|error| error.class == ErrorClass::Credentials);
    let trouble = trouble.map(RedshiftError::told);
    let is_other = view.is_other_account();
    if let (Ok(clusters), false) = (clusters.result, is_other) {
        view.clusters = Some(by_id(clusters));
    }
    // What another account lacks proves nothing.
    let told = snapshots.result.ok().filter(|_| !is_other);
    let shown = told.map(|snapshots| {
        let mut shown = shown(began_at, snapshots, account);
        if !history.removed.is_empty() {
            let lingers =
                |id: &SnapshotId| history.is_lingering(&(scope.clone(), id.clone()), began_at);
            shown.by_id.retain(|id, _| !lingers(id));
        }
        shown
    });
    if let Some(shown) = &shown {
        let (all, unclear) = (shown.by_id.values(), shown.unclear.clone());
        view.snapshots = Some(SnapshotListing::new(began_at, all, unclear));
    }
    view.listing = match (&trouble, view.listing) {
        (None, _) => Listing::Next {
            at: (now + LISTING_INTERVAL).max(view.rests_until),
            failures: 0,
        },
        (Some(_), Listing::UnderWay { failures, .. } | Listing::Next { failures, .. }) => {
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
    shown
}

fn by_id(clusters: Vec<Cluster>) -> BTreeMap<ClusterId, Cluster> {
    clusters
        .into_iter()
        .map(|cluster| (cluster.id.clone(), cluster))
        .collect()
}

fn shown(began_at: DateTime<Utc>, snapshots: Vec<Arc<Snapshot>>, account: Option<&str>) -> Shown {
    let is_manual = |snapshot: &Arc<Snapshot>| {
        snapshot
            .snapshot_type
            .as_deref()
            .is_none_or(|kind| kind == "manual")
    };
    let (mut by_id, mut unclear) = (BTreeMap::new(), BTreeSet::new());
    let ours = |snapshot: &Arc<Snapshot>| is_manual(snapshot) && !is_shared(snapshot, account);
    for snapshot in snapshots.into_iter().filter(ours) {
        let id = SnapshotId::recorded(snapshot.snapshot_identifier.clone());
        let other: Option<&Arc<Snapshot>> = by_id.get(&id);
        // A page may show again what the one before it has shown; two owners have two snapshots.
        if other.is_some_and(|other| other.account_number() != snapshot.account_number()) {
            unclear.insert(id.clone());
        }
        by_id.insert(id, snapshot);
    }
    by_id.retain(|id, _| !unclear.contains(id));
    Shown {
        began_at,
        by_id,
        unclear,
    }
}
