//! Which snapshots are removed, policy by policy.
//!
//! Owns: when a pass is made, and the steps that carry it out. The intent is a change that is committed first; only a
//! later plan that still comes to the same makes the call. `blocked` tells what keeps a pass from being carried out,
//! `candidates` which snapshots are judged, `judgement` what a pass comes to.

mod blocked;
mod candidates;
mod judgement;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use crate::history::{Change, History};
use crate::names::PolicyName;
use crate::observed::SKEW_LIMIT;
use crate::operations::{
    Confirmation, MAX_DELETES_PER_PASS, PRUNE_INTERVAL, Pass, PassResult, Removal, Why,
};
use crate::policy::Policy;

use super::actions::proof;
use super::lost::{is_lost, reason};
use super::{Call, Extent, Facts, Plan};
use blocked::obstacles;
use judgement::fingerprint;

pub use blocked::{Blocked, blocked, denied};
pub use candidates::judged;
pub use judgement::{PruneCandidate, PrunePlan, pass};

/// Plans the passes that are due, and the calls for what the last ones intended.
pub(super) fn prune(facts: Facts<'_>, plan: &mut Plan) {
    let busy = carry_on(facts, plan);
    let is_wanted = |policy: &&Policy| {
        *facts.extent != Extent::Requests || wants_confirmed(facts.history, policy, facts.now)
    };
    let policies = facts.config.policies.iter();
    let pruning = policies.filter(|policy| policy.prunes());
    for policy in pruning
        .filter(is_wanted)
        .filter(|policy| !busy.contains(&policy.name))
    {
        let due_at = due_at(facts, policy);
        if due_at > facts.now {
            plan.wake(due_at);
        } else if obstacles(facts, policy).is_empty() {
            make_pass(facts, policy, plan);
        }
    }
    if *facts.extent != Extent::Requests {
        forget(facts, plan);
    }
}

/// Where a policy is gone, or removes no more, what was announced of it is not to be taken for known when it comes back.
fn forget(facts: Facts<'_>, plan: &mut Plan) {
    let prunes = |policy: &PolicyName| {
        let policy = facts.config.policy(policy);
        policy.is_some_and(|policy| policy.prunes())
    };
    let passes = facts.history.passes.values();
    let left = passes.filter(|pass| !pass.rules.is_empty() && !prunes(&pass.policy));
    let nothing = left.map(|pass| Pass {
        rules: String::new(),
        passed_at: facts.now,
        result: PassResult::FirstPass,
        plan_hash: String::new(),
        plan: Vec::new(),
        confirmation: facts
            .history
            .confirmations
            .get(&pass.policy)
            .map(|one| one.id),
        ..pass.clone()
    });
    let nothing = nothing.map(|pass| Change::Passed(Box::new(pass)));
    plan.changes.extend(nothing);
}

/// Whether somebody has confirmed a plan that no pass was made for yet.
pub fn wants_confirmed(history: &History, policy: &Policy, now: DateTime<Utc>) -> bool {
    let newest = confirmed(history, policy, now);
    newest.is_some_and(|one| !one.is_begun)
}

/// The newest confirmation of one of the policy's plans, unless it has lapsed.
fn confirmed<'a>(
    history: &'a History,
    policy: &Policy,
    now: DateTime<Utc>,
) -> Option<&'a Confirmation> {
    let newest = history.confirmations.get(&policy.name);
    newest.filter(|one| one.holds_at(now))
}

/// A plan's confirmation that has lapsed before all of it was removed, where that is what keeps the policy's snapshots.
pub fn lapsed<'a>(facts: Facts<'a>, policy: &Policy) -> Option<&'a Confirmation> {
    let newest = facts.history.confirmations.get(&policy.name)?;
    let waits = |blocked: &Blocked| matches!(blocked, Blocked::FirstPass | Blocked::Breaker);
    let is_waited_for = blocked(facts, policy).iter().any(waits);
    let is_lapsed = !newest.holds_at(facts.now) && newest.rules == fingerprint(facts, policy);
    (is_lapsed && is_waited_for).then_some(newest)
}

/// When the next pass is made, if nothing keeps it.
pub fn due_at(facts: Facts<'_>, policy: &Policy) -> DateTime<Utc> {
    let last = facts.history.passes.get(&policy.name);
    match last {
        Some(last)
            if !wants_confirmed(facts.history, policy, facts.now)
                && last.rules == fingerprint(facts, policy) =>
        {
            // A pass of the future is one of a wrong clock; one of the next minutes is one of a clock that was put right.
            match last.passed_at > facts.now + SKEW_LIMIT {
                true => facts.now,
                false => last.passed_at + PRUNE_INTERVAL,
            }
        }
        _ => facts.now,
    }
}

/// Records a pass, and the intent to remove the first few.
fn make_pass(facts: Facts<'_>, policy: &Policy, plan: &mut Plan) {
    let Some(judgement) = pass(facts, policy) else {
        return;
    };
    let result = match () {
        () if judgement.blocked.contains(&Blocked::FirstPass) => PassResult::FirstPass,
        () if judgement.blocked.contains(&Blocked::Breaker) => PassResult::Breaker,
        () => PassResult::Carried,
    };
    let newest = confirmed(facts.history, policy, facts.now);
    plan.changes.push(Change::Passed(Box::new(Pass {
        policy: policy.name.clone(),
        rules: judgement.rules.clone(),
        passed_at: facts.now,
        result,
        plan_hash: judgement.hash.clone(),
        plan: judgement.plan(),
        confirmation: newest.map(|newest| newest.id),
    })));
    if !judgement.blocked.is_empty() {
        return;
    }
    // Those that AWS has refused come last, the least recent first, so that none holds up the others.
    let is_free = |(judged, _): &(&PruneCandidate, Why)| {
        let mut actions = facts.history.actions_of(&judged.slot);
        actions.next().is_none()
    };
    let mut removals: Vec<(&PruneCandidate, Why)> = judgement.allowed().filter(is_free).collect();
    removals.sort_by_key(|(judged, _)| facts.history.unremovable.get(&judged.key()));
    let intents = removals.into_iter().take(MAX_DELETES_PER_PASS);
    let intents = intents.map(|(judged, why)| Removal {
        slot: judged.slot.clone(),
        id: judged.id(),
        why,
        planned_at: facts.now,
        look_at: None,
        end: None,
    });
    plan.changes
        .extend(intents.map(|removal| Change::Removal(Box::new(removal))));
}

/// What the open removals need; the policies that have any.
fn carry_on<'a>(facts: Facts<'a>, plan: &mut Plan) -> BTreeSet<&'a PolicyName> {
    let mut busy = BTreeSet::new();
    let mut passes: BTreeMap<&PolicyName, Option<PrunePlan>> = BTreeMap::new();
    for removal in facts.history.removals.values() {
        let name = &removal.slot.pair.policy;
        busy.insert(name);
        if plan.is_busy(&removal.slot, facts) {
            continue;
        }
        let may_go = || {
            let judge = || pass(facts, facts.config.policy(name)?);
            let judgement = passes.entry(name).or_insert_with(judge);
            let judgement = judgement.as_ref();
            judgement.is_some_and(|judgement| still_goes(judgement, removal))
        };
        match given_up(facts, removal, may_go) {
            Some(why) => {
                let ended = removal.clone().ended(facts.now, Err(why.into()));
                plan.changes.push(Change::Removal(Box::new(ended)));
            }
            None => remove(facts, removal, plan),
        }
    }
    busy
}

/// Why a removal is not carried on.
fn given_up(facts: Facts<'_>, removal: &Removal, may_go: impl FnOnce() -> bool) -> Option<String> {
    let scope = &removal.slot.pair.scope;
    let was_asked = removal.look_at.is_some();
    if is_lost(facts, scope) {
        let rest = match was_asked {
            true => "AWS may have deleted it: redkeep can no longer look",
            false => "AWS was not asked to delete it",
        };
        return Some(format!("{}; {rest}", reason(scope)));
    }
    // One that AWS may have been asked for is only looked for, whatever the rules say by now.
    if was_asked {
        return None;
    }
    if facts.history.actions_of(&removal.slot).next().is_some() {
        return Some("somebody asked for another change to it".to_owned());
    }
    (!may_go()).then(|| "the facts behind the decision have changed".to_owned())
}

fn still_goes(judgement: &PrunePlan, removal: &Removal) -> bool {
    let mut allowed = judgement.allowed();
    judgement.blocked.is_empty()
        && allowed.any(|(judged, why)| why == removal.why && judged.key() == removal.key())
}

/// Plans the call, or the look, when its time has come.
fn remove(facts: Facts<'_>, removal: &Removal, plan: &mut Plan) {
    let scope = &removal.slot.pair.scope;
    let view = facts.observed.scopes.get(scope);
    let view = view.filter(|view| view.barred.is_none());
    let Some((view, number)) = view.zip(facts.observed.account_number(&scope.account)) else {
        return;
    };
    if let Some(at) = removal.look_at.filter(|at| *at > facts.now) {
        return plan.wake(at);
    }
    let call = Call::Remove {
        removal: Box::new(removal.clone()),
        proof: Box::new(proof(facts, &removal.slot, number)),
    };
    plan.call(call, view, facts.now);
}
