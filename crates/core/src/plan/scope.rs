//! What one scope needs, whatever the others do.
//!
//! Owns: the order of its parts, and when it is listed. Shown only some of its runs, and what is known of the rest, it comes
//! to the same as shown all of them: what nothing has happened to needs nothing.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use crate::observed::{Listing, ScopeView};
use crate::run::{Run, RunState};
use crate::slot::{Pair, Scope};

use super::open_runs::Open;
use super::outlook::{Outlooks, Rest};
use super::{Call, Extent, Facts, Plan, advance, blind, guard, lost, missing};

/// What a plan of runs of one scope comes to.
#[derive(Debug)]
pub(crate) struct ScopePart {
    /// What is to be done.
    pub(crate) plan: Plan,
    /// What is waited for in each cluster that was looked at.
    pub(crate) outlooks: Outlooks,
    /// Whether others of the scope may ask AWS now and were left out.
    pub(crate) is_short: bool,
}

/// What these runs of a scope need, and the scope itself: a listing, and looks by name. Of the clusters that are not looked
/// at, `rest` is known: where that is right, the plan is the same as one that looks at all of them.
pub(crate) fn of_runs<'a>(
    facts: Facts<'a>,
    scope: &Scope,
    mut open: Open<'a>,
    rest: &Rest,
) -> ScopePart {
    let mut plan = Plan::nothing(facts.now);
    let mut outlooks = Outlooks::default();
    let is_out_of_reach = lost::is_out_of_reach(facts, scope);
    if is_out_of_reach {
        lost::give_up(facts, &open, &mut plan);
    }
    let mut is_short = false;
    if let Some(view) = facts.observed.scopes.get(scope) {
        // The listing first: when calls are scarce, a look that many runs wait for is worth the most.
        let looked = (&mut outlooks, rest);
        list(facts, (scope, view), &open, looked, &mut plan);
        if !is_out_of_reach {
            let looked = (&mut outlooks, rest);
            is_short = advance::advance(facts, (scope, view), &mut open, looked, &mut plan);
        }
        let looked = (&mut outlooks, rest);
        blind::look(facts, (scope, view), &open, looked, &mut plan);
        missing::look(facts, scope, &mut plan);
    }
    let wakes = outlooks.wake_at().into_iter().chain(rest.wake_at);
    wakes.for_each(|at| plan.wake(at));
    ScopePart {
        plan,
        outlooks,
        is_short,
    }
}

/// Sees to the end of the last good snapshots of a whole scope; returns the pairs of which an end is near.
pub(crate) fn guard_all(facts: Facts<'_>, scope: &Scope, plan: &mut Plan) -> BTreeSet<Pair> {
    guard_pairs(facts, scope, facts.history.runs.pairs_in(scope), plan)
}

/// The same for these pairs of it.
pub(crate) fn guard_pairs<'a>(
    facts: Facts<'a>,
    scope: &Scope,
    pairs: impl Iterator<Item = &'a Pair>,
    plan: &mut Plan,
) -> BTreeSet<Pair> {
    let is_watched = facts.observed.scopes.contains_key(scope);
    match is_watched && *facts.extent != Extent::Requests {
        true => guard::extend(facts, scope, pairs, plan),
        false => BTreeSet::new(),
    }
}

/// Whether nothing can be told of a scope but by looking at all of it: where AWS's clock decides what has come, each
/// answer moves that; and where nobody can follow what has begun.
pub(crate) fn is_one_whole(facts: Facts<'_>, scope: &Scope) -> bool {
    let view = facts.observed.scopes.get(scope);
    let is_plain = view.is_some_and(|view| view.horizon(facts.now) == Some(facts.now));
    !is_plain || lost::is_out_of_reach(facts, scope)
}

/// A listing is due at the scope's pace, or at once when a decision waits for one.
fn list(
    facts: Facts<'_>,
    (scope, view): (&Scope, &ScopeView),
    open: &Open<'_>,
    (outlooks, rest): (&mut Outlooks, &Rest),
    plan: &mut Plan,
) {
    let look_at = look_wanted_at(facts, view, open, outlooks);
    let Listing::Next { at, failures } = view.listing else {
        return;
    };
    if !facts.works_in(scope) {
        return;
    }
    let date_at = view.doubted.map(|doubted| doubted.confirmed_from);
    let wanted_at = { look_at.into_iter() }
        .chain(rest.listing_at)
        .chain(date_at);
    let wanted_at = wanted_at.min();
    let wanted_at = wanted_at.map(|at| at.max(view.rests_until));
    let at = match failures {
        0 => at.min(wanted_at.unwrap_or(at)),
        _ => at,
    };
    let call = Call::List {
        scope: scope.clone(),
        page_pause: view.budget.page_pause(facts.now),
        // A number that bars the scope is asked for again: somebody may have mended the credentials.
        asks_account: facts.observed.account_number(&scope.account).is_none()
            || view.wants_account(),
    };
    let affordable_at = view.budget.holds_at(call.requests(), facts.now);
    if at <= facts.now && affordable_at <= facts.now {
        plan.calls.push(call);
    } else {
        plan.wake(at.max(affordable_at));
    }
}

/// When a listing of the scope is next wanted by one of these runs: to follow a snapshot, to confirm an absence, or to
/// see whether the previous snapshot is still being made.
fn look_wanted_at(
    facts: Facts<'_>,
    view: &ScopeView,
    open: &Open<'_>,
    outlooks: &mut Outlooks,
) -> Option<DateTime<Utc>> {
    // Nothing that is seen in another account is of any use to a run.
    if view.is_other_account() {
        return None;
    }
    let mut first: Option<DateTime<Utc>> = None;
    for run in &open.runs {
        if let Some(at) = listing_wanted_at(facts, view, run, open) {
            outlooks.want_listing(run, at);
            first = Some(first.map_or(at, |first| first.min(at)));
        }
    }
    first
}

fn listing_wanted_at(
    facts: Facts<'_>,
    view: &ScopeView,
    run: &Run,
    open: &Open<'_>,
) -> Option<DateTime<Utc>> {
    let wanted_at = match &run.state {
        // Where a listing is long they are followed by their names.
        RunState::Creating { look_at, .. } => (!view.is_long()).then_some(*look_at),
        RunState::Concluding { since, .. } => (!view.listed_since(*since)).then_some(facts.now),
        RunState::Due if view.listed_since(run.request.starts_at) => None,
        RunState::Due => {
            let waits = open.overlapping(run).or_else(|| open.ahead_of(run));
            waits.map(|_| run.request.starts_at)
        }
        _ => None,
    };
    // The answer to a look by the name comes first: a listing changes nothing of that run before.
    wanted_at.filter(|_| !facts.observed.in_flight.contains(&run.slot))
}
