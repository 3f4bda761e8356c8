//! What people want done to single snapshots.
//!
//! Owns: when an errand is carried out, tried again and given up. What its steps are follows from what AWS shows then
//! (`retention::hold`).

use crate::history::Change;
use crate::retention::prune::Warrant;
use crate::run::Run;
use crate::slot::Slot;
use crate::upkeep::Errand;

use super::lost::{is_lost, reason};
use super::{Call, Facts, Plan};

/// Plans the calls for what people want done to single snapshots.
pub(super) fn run(facts: Facts<'_>, plan: &mut Plan) {
    for errand in facts.history.errands.values() {
        if plan.is_busy(&errand.slot, facts) {
            continue;
        }
        match given_up(facts, errand) {
            Some(why) => {
                let ended = errand.clone().ended(facts.now, Err(why));
                plan.changes.push(Change::Errand(Box::new(ended)));
            }
            None => carry_on(facts, errand, plan),
        }
    }
}

/// Why an errand is not carried on. One of which some is done is, for as long as AWS can be reached at all.
fn given_up(facts: Facts<'_>, errand: &Errand) -> Option<String> {
    let scope = &errand.slot.pair.scope;
    if is_lost(facts, scope) {
        return Some(reason(scope));
    }
    let later = facts.history.errands.values();
    let later = { later }.find(|later| errand.gives_way_to(later));
    if let (Some(_), Some(later)) = (&errand.trouble, later) {
        return Some(format!("a later {} took its place", later.wanted.as_str()));
    }
    // Waiting for its turn among many is no trouble.
    if errand.trouble.is_some() || !errand.is_over(facts.now) {
        return None;
    }
    if let Some(trouble) = facts.observed.errand_trouble.get(&errand.id) {
        return Some(trouble.message.clone());
    }
    // After a start the way is not known before the first listing, and a step may have been done already.
    let view = facts.observed.scopes.get(scope)?;
    let has_way = view.barred.is_none() && facts.observed.account_number(&scope.account).is_some();
    (!has_way && view.was_looked_at()).then(|| "AWS could not be reached in time".to_owned())
}

fn carry_on(facts: Facts<'_>, errand: &Errand, plan: &mut Plan) {
    let scope = &errand.slot.pair.scope;
    let trouble = facts.observed.errand_trouble.get(&errand.id);
    if let Some(trouble) = trouble.filter(|trouble| facts.now < trouble.until) {
        return plan.wake(trouble.until);
    }
    let view = facts.observed.scopes.get(scope);
    let view = view.filter(|view| view.barred.is_none());
    let number = facts.observed.account_number(&scope.account);
    let Some((view, number)) = view.zip(number) else {
        return;
    };
    let call = Call::Errand {
        errand: Box::new(errand.clone()),
        warrant: Box::new(warrant(facts, &errand.slot, number)),
    };
    plan.call(call, view, facts.now);
}

/// What proves at AWS that a snapshot of the slot may be touched.
pub(super) fn warrant(facts: Facts<'_>, slot: &Slot, number: &str) -> Warrant {
    let scope = &slot.pair.scope;
    let run = facts.history.runs.get(slot);
    Warrant {
        cluster_created_at: run.and_then(Run::cluster_created_at),
        namespace: facts.config.namespace.clone(),
        writer: facts.writer.clone(),
        scope: scope.clone(),
        account_number: number.to_owned(),
    }
}
