//! What people want done to single snapshots.
//!
//! Owns: when an errand is carried out, tried again and given up. What its steps are follows from what AWS shows then
//! (`retention::hold`).

use chrono::TimeDelta;

use crate::history::Change;
use crate::observed::ScopeView;
use crate::retention::prune::Warrant;
use crate::slot::Scope;
use crate::upkeep::Errand;

use super::{Call, Facts, Plan};

/// For how long an errand is tried.
const ERRAND_TIME: TimeDelta = TimeDelta::minutes(2);

/// Plans the calls for what people want done to single snapshots.
pub(super) fn run(facts: Facts<'_>, plan: &mut Plan) {
    for errand in facts.history.errands.values() {
        if !plan.is_busy(&errand.slot, facts) {
            carry_on(facts, errand, plan);
        }
    }
}

fn carry_on(facts: Facts<'_>, errand: &Errand, plan: &mut Plan) {
    let scope = &errand.slot.pair.scope;
    let view = facts.observed.scopes.get(scope);
    let view = view.filter(|view| view.barred.is_none());
    let number = facts.observed.account_number(&scope.account);
    let trouble = facts.observed.errand_trouble.get(&errand.id);
    // Waiting for its turn among many is no trouble.
    let is_over = facts.now >= errand.asked_at + ERRAND_TIME;
    let way = view.zip(number);
    // After a start the way is not known before the first listing, and a step may have been done already.
    let is_barred = way.is_none() && view.is_none_or(ScopeView::was_looked_at);
    if is_over && (is_barred || trouble.is_some()) {
        let why = trouble.map(|trouble| trouble.message.clone());
        let why = why.unwrap_or_else(|| "AWS could not be reached in time".to_owned());
        let ended = errand.clone().ended(facts.now, Err(why));
        return plan.changes.push(Change::Errand(Box::new(ended)));
    }
    if let Some(trouble) = trouble.filter(|trouble| facts.now < trouble.until) {
        return plan.wake(trouble.until);
    }
    let Some((view, number)) = way else { return };
    let call = Call::Errand {
        errand: Box::new(errand.clone()),
        warrant: Box::new(warrant(facts, scope, number)),
    };
    plan.call(call, view, facts.now);
}

/// What proves at AWS that a snapshot of the scope may be touched.
pub(super) fn warrant(facts: Facts<'_>, scope: &Scope, number: &str) -> Warrant {
    Warrant {
        namespace: facts.config.namespace.clone(),
        writer: facts.writer.clone(),
        scope: scope.clone(),
        account_number: number.to_owned(),
    }
}
