//! What a turn plans of each scope that is due.
//!
//! Owns: the choice between the whole of a scope and the runs in which something has changed or come, and what is kept of
//! the plan for the next one. Never decides what is to be done: the plan does, from the runs that it is shown.

use std::collections::BTreeSet;

use super::agenda::{Agenda, Due, Planned};
use super::waiting::Waiting;
use crate::plan::advance::room;
use crate::plan::outlook::Rest;
use crate::plan::{
    Facts, Plan, ScopePart, blind, guard_all, guard_pairs, is_one_whole, of_runs, open_runs,
};
use crate::slot::{Pair, Scope};

/// The scopes that the plan looks at; with the pairs also those that nobody has planned yet.
pub(super) fn scopes_due(facts: Facts<'_>, agenda: &Agenda, due: &Due) -> BTreeSet<Scope> {
    let all = || open_runs::scopes(facts).into_iter();
    match &due.scopes {
        None => all().cloned().collect(),
        Some(scopes) if due.pairs.is_empty() => scopes.clone(),
        Some(scopes) => {
            let unknown = all().filter(|scope| !agenda.knows(scope));
            scopes.iter().chain(unknown).cloned().collect()
        }
    }
}

/// Plans one scope: the runs that have changed since `before` and those that waited for something which has come, or all.
pub(super) fn plan_scope(
    facts: Facts<'_>,
    scope: &Scope,
    before: Option<(Planned, BTreeSet<Pair>)>,
) -> (Plan, Planned) {
    let view = facts.observed.scopes.get(scope);
    let looks_by_name = view.is_some_and(|view| blind::looks(view, facts.now));
    let is_part = |(before, _): &(Planned, BTreeSet<Pair>)| {
        before.waiting.looks_by_name == looks_by_name && !is_one_whole(facts, scope)
    };
    let part = before.filter(is_part);
    let part = part.and_then(|(before, touched)| plan_part(facts, scope, before, &touched));
    part.unwrap_or_else(|| {
        let open = open_runs::in_scope(facts, scope);
        let ScopePart {
            mut plan, outlooks, ..
        } = of_runs(facts, scope, open, &Rest::default());
        let near = guard_all(facts, scope, &mut plan);
        let planned = Planned {
            at: facts.now,
            whole_at: facts.now,
            wake_at: plan.wake_at,
            waiting: Waiting::new(outlooks, near, looks_by_name),
        };
        (plan, planned)
    })
}

/// Plans what is due of a scope; `None` where that turns out to be too little.
fn plan_part(
    facts: Facts<'_>,
    scope: &Scope,
    before: Planned,
    touched: &BTreeSet<Pair>,
) -> Option<(Plan, Planned)> {
    let view = facts.observed.scopes.get(scope)?;
    let mut waiting = before.waiting;
    let mut clusters = waiting.due(room(facts, scope, view), facts.now);
    clusters.extend(touched.iter().map(|pair| pair.cluster.clone()));
    let rest = waiting.take(&clusters);
    let open = open_runs::of_clusters(facts, scope, &clusters);
    let ScopePart {
        mut plan,
        outlooks,
        is_short,
    } = of_runs(facts, scope, open, &rest);
    if is_short {
        return None;
    }
    waiting.put(outlooks);
    let pairs: BTreeSet<&Pair> = touched.iter().chain(&waiting.near).collect();
    let near = guard_pairs(facts, scope, pairs.into_iter(), &mut plan);
    waiting.near = near;
    let planned = Planned {
        at: facts.now,
        whole_at: before.whole_at,
        wake_at: plan.wake_at,
        waiting,
    };
    Some((plan, planned))
}
