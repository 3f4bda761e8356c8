//! Open runs of a scope that cannot be listed, or not often.
//!
//! Owns: when each of them is looked for by its name instead. Listings may fail for one odd answer, be denied, or take
//! for ever; what AWS has accepted is followed all the same, and what is to end without a snapshot ends. Where a listing
//! has many pages, what AWS is making is followed by its name between two of them; absence is left to the listing. A
//! create call comes before these looks, and they leave it a part of the scope's budget. What the answers mean is
//! `reply`'s.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::open_runs::Open;
use super::outlook::{Outlooks, Rest};
use super::{Call, Facts, Plan};
use crate::observed::{LOOKS_LEAVE, RESERVE, ScopeView};
use crate::run::{Run, RunState};
use crate::slot::{Scope, Slot};

/// Whether runs are looked for by their names.
pub(crate) fn looks(view: &ScopeView, now: DateTime<Utc>) -> bool {
    view.barred.is_none() && (view.is_blind(now) || view.is_long())
}

/// Plans the looks that are due in a scope.
pub(super) fn look(
    facts: Facts<'_>,
    (scope, view): (&Scope, &ScopeView),
    open: &Open<'_>,
    (outlooks, rest): (&mut Outlooks, &Rest),
    plan: &mut Plan,
) {
    if !looks(view, facts.now) {
        return;
    }
    let is_blind = view.is_blind(facts.now);
    let runs = open.runs.iter().filter(|run| facts.extent.has(run));
    let runs = runs.filter(|run| is_blind || run.is_creating());
    // What a look has not found is `missing`'s.
    let runs = runs.filter(|run| !facts.observed.missing.contains_key(&run.slot));
    let waited_for = waited_for(facts, view, open);
    let due = runs.filter_map(|run| Some((look_at(facts, run, &waited_for)?, *run)));
    let mut due: Vec<(DateTime<Utc>, &Run)> = due.collect();
    due.sort_by_key(|(at, _)| *at);
    let mut goes_on = true;
    let mut next = rest.look_at;
    for (at, run) in due {
        if plan.is_busy(&run.slot, facts) {
            continue;
        }
        if goes_on && at <= facts.now {
            let call = describe(run);
            goes_on = has_room(facts, (scope, view), &call, plan);
            if goes_on {
                plan.calls.push(call);
                continue;
            }
        }
        next = Some(next.map_or(at, |next| next.min(at)));
        outlooks.want_look(run, at);
    }
    if let (true, Some(at)) = (goes_on, next) {
        plan.wake(at);
    }
}

/// Whether one more look leaves to others what is theirs; else wakes when the budget does.
fn has_room(
    facts: Facts<'_>,
    (scope, view): (&Scope, &ScopeView),
    call: &Call,
    plan: &mut Plan,
) -> bool {
    let needed = RESERVE + call.requests();
    if plan.budget_left(scope, view, facts.now) < needed as usize {
        plan.wake(view.budget.holds_at(needed, facts.now));
        return false;
    }
    plan.room_left(scope, facts.observed) > LOOKS_LEAVE
}

/// The snapshots of which the schedule's next slot wants to know whether they are still being made, and from when on.
fn waited_for<'a>(
    facts: Facts<'_>,
    view: &ScopeView,
    open: &Open<'a>,
) -> BTreeMap<&'a Slot, DateTime<Utc>> {
    let due = open.runs.iter().filter(|run| run.state == RunState::Due);
    let waiting = due.filter_map(|run| {
        let (previous, starts_at) = (open.overlapping(run)?, run.request.starts_at);
        let is_told = was_told_since(facts, view, &previous.slot, starts_at);
        (!is_told).then_some((&previous.slot, starts_at))
    });
    waiting.collect()
}

/// When the run is to be looked for next; `None` where it needs no look.
fn look_at(
    facts: Facts<'_>,
    run: &Run,
    waited_for: &BTreeMap<&Slot, DateTime<Utc>>,
) -> Option<DateTime<Utc>> {
    let wanted_at = match &run.state {
        RunState::Creating { look_at } => {
            let waited_for = waited_for.get(&run.slot);
            waited_for.map_or(*look_at, |starts_at| (*starts_at).min(*look_at))
        }
        RunState::Concluding { since, .. } => *since,
        _ => return None,
    };
    let look = facts.observed.looks.get(&run.slot);
    Some(look.map_or(wanted_at, |look| look.again_at.max(wanted_at)))
}

/// Only absence is to be proven in the right account.
fn describe(run: &Run) -> Call {
    Call::Describe {
        slot: run.slot.clone(),
        id: run.request.snapshot_id.clone(),
        asks_account: !run.is_creating(),
    }
}

/// Whether AWS has told since then how the snapshot of a run stands: in a complete listing, or by its name.
pub(super) fn was_told_since(
    facts: Facts<'_>,
    view: &ScopeView,
    slot: &Slot,
    since: DateTime<Utc>,
) -> bool {
    let look = facts.observed.looks.get(slot);
    let by_name = look.and_then(|look| look.told_at);
    view.listed_since(since) || by_name.is_some_and(|at| at >= since)
}
