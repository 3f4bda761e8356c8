//! Which pairs are active.
//!
//! Owns: activation and closing. A new policy, an edit of its schedule or zone, a re-enabling and a cluster
//! that starts to match make a pair active at that moment, never earlier: nothing is back-filled. Only a
//! complete listing closes a pair; a failed one changes nothing. The moment is told by a clock that AWS has
//! vouched for: until AWS has been asked for the time, nothing is activated or closed.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use crate::history::{Change, PairState};
use crate::names::ClusterId;
use crate::observed::SKEW_LIMIT;
use crate::policy::Policy;
use crate::redshift::Cluster;
use crate::slot::{Pair, Scope};

use super::{Facts, Plan, edits};

/// Plans the activations and closings, in the scopes that are looked at, that the history does not have yet.
pub(super) fn activate(facts: Facts<'_>, looks_at: &dyn Fn(&Scope) -> bool, plan: &mut Plan) {
    let mut matched = BTreeSet::new();
    for policy in facts.config.policies.iter().filter(|policy| policy.enabled) {
        for scope in policy.scopes.iter().filter(|scope| looks_at(scope)) {
            for cluster in clusters(facts, policy, scope) {
                let pair = Pair {
                    policy: policy.name.clone(),
                    scope: scope.clone(),
                    cluster,
                };
                plan.changes.extend(change_of(facts, policy, &pair));
                matched.insert(pair);
            }
        }
    }
    let known = || { facts.history.pairs.iter() }.filter(|(pair, _)| looks_at(&pair.scope));
    close_unmatched(facts, known(), &matched, plan);
    if plan.changes.is_empty() {
        note_clusters(facts, known(), plan);
    }
}

/// What changes about a pair that the policy is for. The slots of an older schedule come first.
fn change_of(facts: Facts<'_>, policy: &Policy, pair: &Pair) -> Option<Change> {
    let state = facts.history.pairs.get(pair);
    let old = state.and_then(|state| Some((edits::old(facts, pair, state)?, state)));
    if old.is_some_and(|(old, state)| old.has_more(state)) {
        return None;
    }
    let activated = activation(facts, policy, pair);
    let change = activated.map(|state| Change::Pair(pair.clone(), state));
    change
        .or_else(|| clamp(facts, policy, pair))
        .or_else(|| not_before_the_beginning(facts, pair))
}

/// Notes for every pair, active or not, since when its cluster is gone.
fn note_clusters<'a>(
    facts: Facts<'_>,
    known: impl Iterator<Item = (&'a Pair, &'a PairState)>,
    plan: &mut Plan,
) {
    for (pair, state) in known {
        let Some(listed) = seen(facts, &pair.scope) else {
            continue;
        };
        let cluster_gone_at = match listed.contains_key(&pair.cluster) {
            true => None,
            false if !is_identified(facts, &pair.scope) => continue,
            false => state.cluster_gone_at.or(present(facts, &pair.scope)),
        };
        if cluster_gone_at != state.cluster_gone_at {
            let noted = PairState {
                cluster_gone_at,
                ..state.clone()
            };
            plan.changes.push(Change::Pair(pair.clone(), noted));
        }
    }
}

fn close_unmatched<'a>(
    facts: Facts<'_>,
    known: impl Iterator<Item = (&'a Pair, &'a PairState)>,
    matched: &BTreeSet<Pair>,
    plan: &mut Plan,
) {
    for (pair, state) in known {
        if !state.is_active() || matched.contains(pair) {
            continue;
        }
        if facts.may_be_renamed(&pair.scope.account) {
            continue;
        }
        let old = edits::old(facts, pair, state);
        if old.as_ref().is_some_and(|old| old.has_more(state)) {
            continue;
        }
        // A scope that is no longer configured is not asked for the time any more.
        let present = match facts.observed.scopes.get(&pair.scope) {
            Some(view) => view.present(facts.now),
            None => Some(facts.now),
        };
        let closed_at = old.map(|old| old.until).or(present);
        if closed_at.is_some() {
            let closed = PairState {
                closed_at,
                ..state.clone()
            };
            plan.changes.push(Change::Pair(pair.clone(), closed));
        }
    }
}

/// The clusters that a policy is for in one scope, seen or certain.
fn clusters(facts: Facts<'_>, policy: &Policy, scope: &Scope) -> BTreeSet<ClusterId> {
    let mut clusters: BTreeSet<ClusterId> = policy
        .selector
        .certain()
        .filter(|cluster| literal_belongs(facts, policy, scope, cluster))
        .cloned()
        .collect();
    let listed = seen(facts, scope);
    clusters.extend(
        listed
            .into_iter()
            .flat_map(BTreeMap::values)
            .filter(|cluster| policy.selector.selects(&cluster.id, &cluster.tags))
            .map(|cluster| cluster.id.clone()),
    );
    if listed.is_none() || !is_identified(facts, scope) {
        clusters.extend(remembered(facts, policy, scope));
    }
    clusters
}

/// Before the first complete listing, what was active stays active if its name may still match.
fn remembered<'a>(
    facts: Facts<'a>,
    policy: &'a Policy,
    scope: &'a Scope,
) -> impl Iterator<Item = ClusterId> + 'a {
    facts
        .history
        .pairs
        .iter()
        .filter(|(pair, state)| {
            state.is_active() && pair.policy == policy.name && pair.scope == *scope
        })
        .filter(|(pair, _)| policy.selector.may_select(&pair.cluster))
        .map(|(pair, _)| pair.cluster.clone())
}

/// A cluster named literally is a pair in the policy's one scope. Where there are several, it belongs to
/// those in which it was seen, and to all of them once every listing agrees that it is nowhere, so that its
/// absence is told.
fn literal_belongs(facts: Facts<'_>, policy: &Policy, scope: &Scope, cluster: &ClusterId) -> bool {
    let has = |scope: &Scope| {
        let is_there = seen(facts, scope)?.contains_key(cluster);
        (is_there || is_identified(facts, scope)).then_some(is_there)
    };
    let pair = Pair {
        policy: policy.name.clone(),
        scope: scope.clone(),
        cluster: cluster.clone(),
    };
    let elsewhere = || policy.scopes.iter().any(|other| has(other) == Some(true));
    match has(scope) {
        _ if policy.scopes.len() == 1 => true,
        Some(true) => true,
        Some(false) => !elsewhere() && policy.scopes.iter().all(|other| has(other).is_some()),
        None => is_active(facts, &pair),
    }
}

fn is_active(facts: Facts<'_>, pair: &Pair) -> bool {
    let state = facts.history.pairs.get(pair);
    state.is_some_and(|state| state.is_active())
}

fn present(facts: Facts<'_>, scope: &Scope) -> Option<DateTime<Utc>> {
    facts.observed.scopes.get(scope)?.present(facts.now)
}

/// Whether the scope is known to be of the account that the history is of.
fn is_identified(facts: Facts<'_>, scope: &Scope) -> bool {
    let view = facts.observed.scopes.get(scope);
    view.is_some_and(|view| view.is_identified)
}

fn seen<'a>(facts: Facts<'a>, scope: &Scope) -> Option<&'a BTreeMap<ClusterId, Cluster>> {
    facts.observed.scopes.get(scope)?.clusters.as_ref()
}

/// The state that the pair is to have, if it is another than the one it has.
fn activation(facts: Facts<'_>, policy: &Policy, pair: &Pair) -> Option<PairState> {
    let present = present(facts, &pair.scope)?;
    let cluster_created_at = seen(facts, &pair.scope)
        .filter(|_| is_identified(facts, &pair.scope))
        .and_then(|listed| listed.get(&pair.cluster))
        .and_then(|cluster| cluster.created_at);
    let at = |active_from: DateTime<Utc>| PairState {
        active_from,
        watermark: active_from,
        schedule: policy.schedule.expression().to_owned(),
        timezone: policy.schedule.timezone().to_string(),
        clocks: Some(policy.schedule.note_at(active_from)),
        cluster_created_at,
        closed_at: None,
        cluster_gone_at: None,
    };
    let Some(state) = facts.history.pairs.get(pair) else {
        return Some(at(present));
    };
    let literal = policy
        .selector
        .certain()
        .any(|cluster| *cluster == pair.cluster);
    let other_cluster = matches!(
        (state.cluster_created_at, cluster_created_at),
        (Some(before), Some(now)) if before != now
    );
    // The watermark never moves back, not even when the clock does.
    let from = |active_from: DateTime<Utc>| {
        at(active_from).up_to(state.watermark.max(active_from), &policy.schedule)
    };
    if !state.is_active() || (other_cluster && !literal) {
        return Some(from(present));
    }
    if !edits::is_scheduled_so(policy, state) {
        return edits::edited_at(facts, pair).map(|at| from(at.max(state.watermark)));
    }
    if let Some(renewed) = by_renewed_rules(policy, state) {
        return Some(renewed);
    }
    let newly_seen = cluster_created_at.is_some() && state.cluster_created_at != cluster_created_at;
    newly_seen.then(|| PairState {
        cluster_created_at,
        ..state.clone()
    })
}

/// The pair by the rules that its zone has now, where they are others than those by which its watermark was set, or
/// these are not known. It stays active since when it was; only the slots that are still to come follow the new rules.
fn by_renewed_rules(policy: &Policy, state: &PairState) -> Option<PairState> {
    let schedule = &policy.schedule;
    let watermark = match &state.clocks {
        Some(note) if note.rules == schedule.timezone().fingerprint() => return None,
        Some(note) => schedule.resumed_after(state.watermark, note),
        None => state.watermark,
    };
    Some(state.clone().up_to(watermark, schedule))
}

/// Takes a watermark back that lies more than one interval ahead: a wrong clock and an endpoint without a date have
/// put it there, and until its instant no slot would be due. Only where our clock and AWS's agree on the time.
fn clamp(facts: Facts<'_>, policy: &Policy, pair: &Pair) -> Option<Change> {
    let (now, state) = (facts.now, facts.history.pairs.get(pair)?);
    let view = facts.observed.scopes.get(&pair.scope)?;
    // A slot may start as far ahead of AWS's time by right.
    if !view.clocks_agree() || state.watermark <= now + SKEW_LIMIT {
        return None;
    }
    let mut slots = policy.schedule.slots_between(now, state.watermark);
    let interval = slots.next().and_then(|first| Some(slots.next()? - first))?;
    (state.watermark > now + interval).then(|| {
        let clamped = PairState {
            active_from: state.active_from.min(now),
            ..state.clone()
        };
        Change::Clamped(pair.clone(), clamped.up_to(now, &policy.schedule))
    })
}

/// Lifts a watermark that lies before the history's beginning: dates of AWS's that were wrong have put it there. Only
/// where our clock and AWS's agree by now, on a time at which the history had begun.
fn not_before_the_beginning(facts: Facts<'_>, pair: &Pair) -> Option<Change> {
    let (state, view) = (
        facts.history.pairs.get(pair)?,
        facts.observed.scopes.get(&pair.scope)?,
    );
    let begun_at = facts
        .history
        .begun_at
        .filter(|at| *at <= facts.now && view.clocks_agree())?;
    (state.watermark < begun_at).then(|| {
        let lifted = PairState {
            active_from: begun_at,
            watermark: begun_at,
            ..state.clone()
        };
        Change::Pair(pair.clone(), lifted)
    })
}
