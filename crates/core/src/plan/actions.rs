//! What people want done to single snapshots.
//!
//! Owns: when an action is carried out, tried again and given up. What its steps are follows from what AWS shows then
//! (`retention::hold`).

use crate::history::Change;
use crate::operations::SnapshotAction;
use crate::retention::prune::Proof;
use crate::run::Run;
use crate::slot::Slot;

use super::lost::{is_lost, reason};
use super::{Call, Facts, Plan};

/// Plans the calls for what people want done to single snapshots.
pub(super) fn run(facts: Facts<'_>, plan: &mut Plan) {
    for action in facts.history.actions.values() {
        if plan.is_busy(&action.slot, facts) {
            continue;
        }
        match given_up(facts, action) {
            Some(why) => {
                let ended = action.clone().ended(facts.now, Err(why.into()));
                plan.changes.push(Change::SnapshotAction(Box::new(ended)));
            }
            None => carry_on(facts, action, plan),
        }
    }
}

/// Why an action is not carried on. One of which some is done is, for as long as AWS can be reached at all.
fn given_up(facts: Facts<'_>, action: &SnapshotAction) -> Option<String> {
    let scope = &action.slot.pair.scope;
    if is_lost(facts, scope) {
        return Some(reason(scope));
    }
    let later = facts.history.actions.values();
    let later = { later }.find(|later| action.gives_way_to(later));
    if let (Some(_), Some(later)) = (&action.trouble, later) {
        return Some(format!("a later {} replaced it", later.kind.as_str()));
    }
    // Waiting for its turn among many is no trouble.
    if action.trouble.is_some() || !action.is_over(facts.now) {
        return None;
    }
    if let Some(trouble) = facts.observed.action_trouble.get(&action.id) {
        return Some(trouble.message.clone());
    }
    // After a start the way is not known before the first listing, and a step may have been done already.
    let view = facts.observed.scopes.get(scope)?;
    let has_way = view.barred.is_none() && facts.observed.account_number(&scope.account).is_some();
    (!has_way && view.was_looked_at()).then(|| "AWS could not be reached in time".to_owned())
}

fn carry_on(facts: Facts<'_>, action: &SnapshotAction, plan: &mut Plan) {
    let scope = &action.slot.pair.scope;
    let trouble = facts.observed.action_trouble.get(&action.id);
    if let Some(trouble) = trouble.filter(|trouble| facts.now < trouble.until) {
        return plan.wake(trouble.until);
    }
    let view = facts.observed.scopes.get(scope);
    let view = view.filter(|view| view.barred.is_none());
    let number = facts.observed.account_number(&scope.account);
    let Some((view, number)) = view.zip(number) else {
        return;
    };
    let call = Call::SnapshotAction {
        action: Box::new(action.clone()),
        proof: Box::new(proof(facts, &action.slot, number)),
    };
    plan.call(call, view, facts.now);
}

/// What proves at AWS that a snapshot of the slot may be touched.
pub(super) fn proof(facts: Facts<'_>, slot: &Slot, number: &str) -> Proof {
    let scope = &slot.pair.scope;
    let run = facts.history.runs.get(slot);
    Proof {
        cluster_created_at: run.and_then(Run::cluster_created_at),
        namespace: facts.config.namespace.clone(),
        writer: facts.writer.clone(),
        scope: scope.clone(),
        account_number: number.to_owned(),
    }
}
