//! Which snapshots are kept for longer than they were asked for.
//!
//! Owns: what the guard (`retention::guard`) is told of each pair, out of history and observation. It judges
//! only from a fresh, complete listing and by AWS's clock; what it cannot see it leaves alone.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};

use crate::history::{Extension, PairState};
use crate::names::Trigger;
use crate::observed::{Listing, MAX_LISTING_AGE, ScopeView};
use crate::operations::SnapshotAction;
use crate::ownership::{Ownership, ownership};
use crate::policy::Policy;
use crate::retention::guard::{Care, Good, Supply, care, is_near};
use crate::run::Run;
use crate::slot::{Pair, Scope, Slot};
use crate::snapshot::SnapshotStatus;

use super::{Call, Facts, Plan};

/// The longest interval that a schedule is taken to have where none can be told.
const LONGEST_INTERVAL: TimeDelta = TimeDelta::days(7);

/// Plans the calls that put off the end of the last good snapshots of these pairs of a scope; returns the pairs of which
/// an end is near.
pub(crate) fn extend<'a>(
    facts: Facts<'a>,
    scope: &Scope,
    pairs: impl Iterator<Item = &'a Pair>,
    plan: &mut Plan,
) -> BTreeSet<Pair> {
    let mut near = BTreeSet::new();
    for pair in pairs {
        let cares = cares_of(facts, pair).unwrap_or_default();
        if !cares.is_empty() {
            near.insert(pair.clone());
        }
        for (run, care) in cares {
            put_off(facts, scope, (run, care), plan);
        }
    }
    near
}

fn put_off(facts: Facts<'_>, scope: &Scope, (run, care): (&Run, Care), plan: &mut Plan) {
    let slot = &run.slot;
    let seen_to = facts.observed.seen_to.get(slot);
    let waits = seen_to.is_some_and(|until| facts.now < *until);
    // What is half done keeps nothing from expiring, and may take long.
    let is_fresh = |action: &SnapshotAction| action.trouble.is_none();
    let mut actions = facts.history.actions_of(slot);
    if waits || actions.any(is_fresh) || plan.is_busy(slot, facts) {
        return;
    }
    let Some(view) = facts.observed.scopes.get(scope) else {
        return;
    };
    // A listing that began before would show the old period again, and the call would be made twice.
    let is_listed =
        |call: &Call| matches!(call, Call::List { scope: listed, .. } if listed == scope);
    if matches!(view.listing, Listing::UnderWay { .. }) || plan.calls.iter().any(is_listed) {
        return;
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
        let account = facts.observed.account_number(&scope.account);
        let call = Call::Extend {
            id,
            extension,
            account_number: account.map(str::to_owned),
        };
        plan.call(call, view, facts.now);
    }
}

/// The snapshots whose end is near, and what is to become of each.
pub(super) fn cares(facts: Facts<'_>) -> impl Iterator<Item = (&Run, Care)> {
    let pairs = facts.history.runs.pairs();
    pairs.flat_map(move |pair| cares_of(facts, pair).unwrap_or_default())
}

fn cares_of<'a>(facts: Facts<'a>, pair: &'a Pair) -> Option<Vec<(&'a Run, Care)>> {
    let policy = facts.config.policy(&pair.policy)?;
    let view = facts.observed.scopes.get(&pair.scope)?;
    let now = view.present(facts.now)?;
    let is_told = view.barred.is_none() && view.listed_since(facts.now - MAX_LISTING_AGE);
    if !is_told || !policy.protection.guard || !policy.scopes.contains(&pair.scope) {
        return None;
    }
    let good = good(facts, view, pair, policy.protection.min_good);
    let newest_due = facts.history.of_pair(pair).rev();
    let newest_due = { newest_due }.find(|run| run.trigger == Trigger::Schedule);
    let interval = newest_due.map_or(LONGEST_INTERVAL, |run| run.request.interval);
    // What is to be expected of the pair is dear to tell, and for nearly all pairs in nearly every turn no end is near.
    let mut ends = good.iter().filter_map(|good| good.listed.expires_at());
    if !ends.any(|expires_at| is_near(expires_at, interval, now)) {
        return None;
    }
    let newest_good = good.first().map(|good| good.run);
    let supply = supply(facts, view, policy, pair, (newest_due, newest_good))?;
    let cares = care(&policy.protection, supply, interval, &good, now);
    Some(
        cares
            .into_iter()
            .map(|(good, care)| (good.run, care))
            .collect(),
    )
}

/// The newest good snapshots of a pair that are proven to be redkeep's, the newest first, whoever has made them: another
/// host may have made one for a slot that was given up here.
fn good<'a>(facts: Facts<'a>, view: &'a ScopeView, pair: &'a Pair, count: usize) -> Vec<Good<'a>> {
    let account = facts.observed.account_number(&pair.scope.account);
    let Some(listing) = &view.snapshots else {
        return Vec::new();
    };
    let runs = facts
        .history
        .of_pair(pair)
        .rev()
        .filter(|run| run.has_snapshot());
    let good = runs.filter_map(|run| {
        let listed = listing.by_id.get(&run.request.snapshot_id)?;
        let proof = ownership(listed, run, account, run.cluster_created_at());
        let is_ours = proof == Ownership::Proven;
        let is_there = is_ours && *listed.status() == SnapshotStatus::Available;
        is_there.then_some(Good { run, listed })
    });
    good.take(count).collect()
}

/// What is to be expected of a pair; `None` where it is nobody's business any more.
fn supply<'a>(
    facts: Facts<'a>,
    view: &ScopeView,
    policy: &Policy,
    pair: &Pair,
    (newest_due, newest_good): (Option<&'a Run>, Option<&Run>),
) -> Option<Supply<'a>> {
    if !policy.selector.may_select(&pair.cluster) {
        return None;
    }
    let exists = view.clusters.as_ref()?.contains_key(&pair.cluster);
    let is_halted = !policy.enabled || facts.history.pauses.since(&policy.name).is_some();
    // One that the file names is expected back, and its last good snapshots are kept for as long as it is named.
    let mut named = policy.selector.certain();
    let is_expected = is_halted && named.any(|cluster| *cluster == pair.cluster);
    // One that was never active here has its runs of another host, or from before the history was lost.
    let state = facts.history.pairs.get(pair);
    match state {
        Some(state) if !state.is_active() && !exists && !is_expected => {
            // Since when it is gone is noted with the first listing of an account that is known to be the right one.
            let gone_at = state.cluster_gone_at.unwrap_or(facts.now);
            Some(Supply::ClusterGone(gone_at))
        }
        _ if is_halted => Some(Supply::Halted {
            next_deadline: newest_good.and_then(|run| deadline_after(policy, &run.slot)),
        }),
        Some(state) if state.is_active() => Some(Supply::Slots {
            newest_due,
            next_deadline: next_deadline(policy, pair, state),
        }),
        // Its tags no longer match: it is another policy's, or nobody's.
        _ => None,
    }
}

/// When the start window of the schedule's first slot after this one ends.
fn deadline_after(policy: &Policy, slot: &Slot) -> Option<DateTime<Utc>> {
    let next = Slot {
        scheduled_at: policy.schedule.next_after(slot.scheduled_at)?,
        pair: slot.pair.clone(),
    };
    Some(next.timing(policy).deadline)
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
