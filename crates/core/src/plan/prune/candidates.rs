//! The snapshots of a policy, each with its verdict.
//!
//! Owns: which listed snapshots are the policy's, which of them are proven to be redkeep's by the history as well as by
//! their own description, and what each pair's are judged by. The verdict itself is `retention::prune`'s.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::names::Trigger;
use crate::observed::ScopeView;
use crate::ownership::{Ownership, ownership, unproven};
use crate::plan::Facts;
use crate::policy::Policy;
use crate::retention::prune::{Item, Rules, verdicts};
use crate::run::{Outcome, Run, RunState};
use crate::slot::{Pair, Scope, Slot};
use crate::snapshot::{Snapshot, SnapshotId, SnapshotStatus, tag};

use super::judgement::PruneCandidate;

/// Every listed snapshot of the policy with its verdict, the oldest first.
pub fn judged(facts: Facts<'_>, policy: &Policy) -> Vec<PruneCandidate> {
    let views = facts.observed.working();
    let views = views.filter(|(scope, _)| policy.scopes.contains(scope));
    let mut judged: Vec<PruneCandidate> = views
        .flat_map(|(scope, view)| judged_in(facts, policy, scope, view))
        .collect();
    judged.sort_by(|a, b| {
        let key =
            |one: &PruneCandidate| (one.listed.snapshot_create_time, one.slot.clone(), one.id());
        key(a).cmp(&key(b))
    });
    judged
}

fn judged_in(
    facts: Facts<'_>,
    policy: &Policy,
    scope: &Scope,
    view: &ScopeView,
) -> Vec<PruneCandidate> {
    let mut by_pair: BTreeMap<Pair, Vec<(Slot, Arc<Snapshot>, bool)>> = BTreeMap::new();
    let runs = runs_by_name(facts, policy, scope);
    let listed = view.snapshots.iter().flat_map(|listing| &listing.by_id);
    for (id, brief) in listed {
        let run = runs.get(id).copied();
        if run.is_none() && !brief.claims(&facts.config.namespace) {
            continue;
        }
        let snapshot = &Arc::new(brief.unfolded());
        let Some(slot) = run
            .map(|run| run.slot.clone())
            .or_else(|| claimed(facts, policy, scope, snapshot))
        else {
            continue;
        };
        let is_proven = run.is_some_and(|run| is_proven(facts, run, snapshot));
        let pair = counted_in(view, &slot.pair, snapshot, is_proven);
        by_pair
            .entry(pair)
            .or_default()
            .push((slot, Arc::clone(snapshot), is_proven));
    }
    let judged = |(pair, mut listed): (Pair, Vec<(Slot, Arc<Snapshot>, bool)>)| {
        // The newest first; among equals the later slot is the newer.
        listed.sort_by(|(a, one, _), (b, other, _)| {
            let key = |slot: &Slot, one: &Snapshot| (one.snapshot_create_time, slot.scheduled_at);
            key(b, other).cmp(&key(a, one))
        });
        let item =
            |(_, listed, is_proven): &(Slot, Arc<Snapshot>, bool)| (Arc::clone(listed), *is_proven);
        let items: Vec<(Arc<Snapshot>, bool)> = listed.iter().map(item).collect();
        let items: Vec<Item<'_>> = items
            .iter()
            .map(|(listed, is_proven)| Item {
                listed,
                is_proven: *is_proven,
            })
            .collect();
        let verdicts = verdicts(rules(facts, policy, view, &pair), &items, facts.now);
        let judged = listed.into_iter().zip(verdicts);
        judged
            .map(|((slot, listed, _), verdict)| PruneCandidate {
                slot,
                listed,
                verdict,
            })
            .collect::<Vec<PruneCandidate>>()
    };
    by_pair.into_iter().flat_map(judged).collect()
}

/// The pair among whose snapshots one counts: a cluster that has another name by now is still the one that was created
/// then, and its new pair's snapshots are newer ones of it.
fn counted_in(view: &ScopeView, pair: &Pair, listed: &Snapshot, is_proven: bool) -> Pair {
    let name = listed.cluster_identifier.as_deref();
    let name = name.filter(|name| is_proven && *name != pair.cluster.as_str());
    let renamed = name.and_then(|name| {
        let cluster = view.clusters.as_ref()?.get(&name.parse().ok()?)?;
        let created_at = cluster.created_at?;
        (listed.cluster_create_time == Some(created_at)).then(|| cluster.id.clone())
    });
    Pair {
        cluster: renamed.unwrap_or_else(|| pair.cluster.clone()),
        ..pair.clone()
    }
}

/// The policy's runs in a scope by the names of their snapshots, also of the one that failed before the second.
fn runs_by_name<'a>(
    facts: Facts<'a>,
    policy: &Policy,
    scope: &Scope,
) -> BTreeMap<SnapshotId, &'a Run> {
    let pairs = facts.history.pairs.keys();
    let pairs = pairs.filter(|pair| pair.policy == policy.name && pair.scope == *scope);
    let runs = pairs.flat_map(|pair| facts.history.of_pair(pair));
    let names = runs.flat_map(|run| {
        let asked_for = &run.request.snapshot_id;
        let names = asked_for.generations().into_iter();
        let names = names.filter(|name| *name <= *asked_for);
        names.map(move |name| (name, run))
    });
    names.collect()
}

/// The slot that a snapshot without a run claims to be of, by its tags.
fn claimed(facts: Facts<'_>, policy: &Policy, scope: &Scope, snapshot: &Snapshot) -> Option<Slot> {
    let claim = snapshot.claim(&facts.config.namespace)?;
    (claim.policy == policy.name).then(|| claim.slot(scope))
}

/// Whether the snapshot's own description, its run and the history agree that it is redkeep's.
fn is_proven(facts: Facts<'_>, run: &Run, listed: &Snapshot) -> bool {
    let scope = &run.slot.pair.scope;
    let account = facts.observed.account_number(&scope.account);
    let created_at = run.cluster_created_at();
    let tag = |key: &str| listed.tags.get(key).map(String::as_str);
    let agrees = tag(tag::TIER) == Some(run.request.tier.as_str())
        && tag(tag::TRIGGER) == Some(run.trigger.as_str());
    let is_known = match listed.status() {
        SnapshotStatus::Failed => {
            matches!(run.state, RunState::Ended(Outcome::Failed(_)))
                || run.request.snapshot_id.as_str() != listed.snapshot_identifier
        }
        _ => run.is_good() && ownership(listed, run, account, created_at) == Ownership::Proven,
    };
    let namespace = &facts.config.namespace;
    agrees && is_known && unproven(listed, namespace, &scope.region, account, created_at).is_none()
}

fn rules<'a>(facts: Facts<'a>, policy: &Policy, view: &ScopeView, pair: &Pair) -> Rules<'a> {
    let protection = &policy.protection;
    let scheduled = facts.history.of_pair(pair).rev();
    let newest = { scheduled }.find(|run| run.trigger == Trigger::Schedule);
    let state = facts.history.pairs.get(pair);
    let clusters = view.clusters.as_ref();
    let exists = clusters.is_some_and(|clusters| clusters.contains_key(&pair.cluster));
    Rules {
        writer: facts.writer,
        keep_last: protection.keep_last.unwrap_or(usize::MAX),
        min_good: protection.min_good,
        interval: newest.map(|run| run.request.interval),
        is_alive: exists && state.is_some_and(|state| state.is_active()),
    }
}
