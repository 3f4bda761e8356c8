//! Which snapshots are kept for longer than they were asked for.
//!
//! Owns: what the guard (`retention::guard`) is told of each pair, out of history and observation. It judges
//! only from a fresh, complete listing and by AWS's clock; what it cannot see it leaves alone.

use chrono::{DateTime, TimeDelta, Utc};

use crate::history::{Extension, PairState};
use crate::observed::{Listing, ScopeView};
use crate::policy::Policy;
use crate::retention::guard::{Care, Good, Supply, care, expires_at, is_near};
use crate::run::Run;
use crate::slot::{Pair, Slot};
use crate::snapshot::{Ownership, SnapshotStatus, Trigger, ownership};

use super::{Call, Facts, Plan};

/// A listing older than this tells too little of what is there.
const FRESH: TimeDelta = TimeDelta::minutes(10);
/// The longest interval that a schedule is taken to have where none can be told.
const LONGEST_INTERVAL: TimeDelta = TimeDelta::days(7);

/// Plans the calls that put off the end of the last good snapshots.
pub(super) fn extend(facts: Facts<'_>, plan: &mut Plan) {
    for (run, care) in cares(facts) {
        let (slot, scope) = (&run.slot, &run.slot.pair.scope);
        let refused = facts.observed.refused.get(slot);
        let waits = refused.is_some_and(|refused| facts.now < refused.until);
        if waits || facts.history.has_errand(slot) || plan.is_busy(slot, facts) {
            continue;
        }
        let Some(view) = facts.observed.scopes.get(scope) else {
            continue;
        };
        // A listing that began before would show the old period again, and the call would be made twice.
        let is_listed =
            |call: &Call| matches!(call, Call::List { scope: listed, .. } if listed == scope);
        if matches!(view.listing, Listing::UnderWay { .. }) || plan.calls.iter().any(is_listed) {
            continue;
        }
        if let Care::Extend { from, to, why } = care
            && plan.room_left(scope, facts.observed) > 0
        {
            let extension = Extension {
                slot: slot.clone(),
                extended_at: facts.now,
                from,
                to,
                reason: why.to_owned(),
            };
            let id = run.request.snapshot_id.clone();
            plan.call(Call::Extend { id, extension }, view, facts.now);
        }
    }
}

/// The snapshots whose end is near, and what is to become of each.
pub(super) fn cares(facts: Facts<'_>) -> impl Iterator<Item = (&Run, Care)> {
    let pairs = facts.history.pairs.iter();
    pairs.flat_map(move |(pair, state)| cares_of(facts, pair, state).unwrap_or_default())
}

fn cares_of<'a>(
    facts: Facts<'a>,
    pair: &'a Pair,
    state: &PairState,
) -> Option<Vec<(&'a Run, Care)>> {
    let policy = facts.config.policy(&pair.policy)?;
    let view = facts.observed.scopes.get(&pair.scope)?;
    let now = view.present(facts.now)?;
    let is_told = view.barred.is_none() && view.listed_since(facts.now - FRESH);
    if !is_told || !policy.protection.guard || !policy.scopes.contains(&pair.scope) {
        return None;
    }
    let good = good(facts, view, pair, policy.protection.min_good);
    let newest_due = facts.history.of_pair(pair).rev();
    let newest_due = { newest_due }.find(|run| run.trigger == Trigger::Schedule);
    let interval = newest_due.map_or(LONGEST_INTERVAL, |run| run.request.interval);
    // What is to be expected of the pair is dear to tell, and for nearly all pairs in nearly every turn no end is near.
    let mut ends = good.iter().filter_map(|good| expires_at(good.listed));
    if !ends.any(|expires_at| is_near(expires_at, interval, now)) {
        return None;
    }
    let supply = supply(facts, view, policy, (pair, state), newest_due)?;
    let cares = care(&policy.protection, supply, interval, &good, now);
    Some(
        cares
            .into_iter()
            .map(|(good, care)| (good.run, care))
            .collect(),
    )
}

/// The newest good snapshots of a pair that are proven to be redkeep's, the newest first.
fn good<'a>(facts: Facts<'a>, view: &'a ScopeView, pair: &'a Pair, count: usize) -> Vec<Good<'a>> {
    let account = facts.observed.account_number(&pair.scope.account);
    let Some(listing) = &view.snapshots else {
        return Vec::new();
    };
    let runs = facts
        .history
        .of_pair(pair)
        .rev()
        .filter(|run| run.is_good());
    let good = runs.filter_map(|run| {
        let listed = listing.by_id.get(&run.request.snapshot_id)?;
        let taken = run.snapshot.as_ref();
        let cluster_created_at = taken.and_then(|snapshot| snapshot.cluster_create_time);
        let proof = ownership(listed, run, account, cluster_created_at);
        let is_ours = proof == Ownership::Proven;
        let is_there = is_ours && listed.status() == SnapshotStatus::Available;
        is_there.then_some(Good { run, listed })
    });
    good.take(count).collect()
}

/// What is to be expected of a pair; `None` where it is nobody's business any more.
fn supply<'a>(
    facts: Facts<'a>,
    view: &ScopeView,
    policy: &Policy,
    (pair, state): (&Pair, &PairState),
    newest_due: Option<&'a Run>,
) -> Option<Supply<'a>> {
    if !policy.selector.may_select(&pair.cluster) {
        return None;
    }
    if !policy.enabled || facts.history.pauses.since(&policy.name).is_some() {
        return Some(Supply::Halted);
    }
    let exists = view.clusters.as_ref()?.contains_key(&pair.cluster);
    match state.closed_at {
        // One that the file names stays active, and its last good snapshots are kept for as long as it is named.
        Some(closed_at) if !exists => {
            let gone_at = state.cluster_gone_at.unwrap_or(closed_at);
            Some(Supply::ClusterGone(gone_at))
        }
        // Its tags no longer match: it is another policy's, or nobody's.
        Some(_) => None,
        None => Some(Supply::Slots {
            newest_due,
            next_deadline: next_deadline(policy, pair, state),
        }),
    }
}

/// When the next slot's start window ends: the next that the pair has, and not the next of the schedule, since a pair
/// that was closed for a while had none meanwhile.
fn next_deadline(policy: &Policy, pair: &Pair, state: &PairState) -> Option<DateTime<Utc>> {
    let slot = Slot {
        scheduled_at: state.next_slot(policy)?,
        pair: pair.clone(),
    };
    Some(slot.timing(policy).deadline)
}
