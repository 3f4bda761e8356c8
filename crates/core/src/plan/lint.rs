//! A second opinion on a plan: rules that every plan keeps, checked from the outside.
//!
//! Owns: the rules of docs/semantics.md that can be seen in a plan and what it was made from, written down apart from the
//! code that plans. Never mends a plan: debug builds stop at a violation, the daemon counts and logs it.

use std::collections::BTreeMap;
use std::fmt;

use chrono::{DateTime, SubsecRound, Utc};

use super::{Call, Facts, Plan};
use crate::history::{Change, PairState};
use crate::operations::{Removal, named};
use crate::redshift::CreateRequest;
use crate::run::{Run, RunState};
use crate::slot::{Pair, Scope, Slot};

/// A rule that a plan breaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Violation {
    /// A snapshot is to be asked for whose run does not say so (I7).
    NoIntent(Slot),
    /// A snapshot is to be asked for outside of its start window (I10).
    OutsideStartWindow(Slot),
    /// Two calls for one slot would be under way at once (I3).
    TwoCalls(Slot),
    /// The calls would exceed the scope's budget (I11).
    OverBudget(Scope),
    /// A run that has ended would get another state (I8).
    EndedAgain(Slot),
    /// A pair's watermark would move back (I9).
    WatermarkBack(Pair),
    /// A snapshot is to be deleted that no logged pass names, or whose removal is not in the history (I5).
    UnplannedRemoval(String),
    /// A snapshot is to be deleted while the clocks disagree, nothing was listed, or the history is not written (I15).
    UnsureRemoval(String),
    /// A snapshot's end would be moved forward (I2).
    Shortened(Slot),
    /// Something that is not due to be planned would come to something else (I25).
    Unmarked(String),
}

impl Violation {
    /// The invariant's number in docs/semantics.md, which is its label in the metrics.
    pub fn invariant(&self) -> &'static str {
        match self {
            Self::Shortened(_) => "I2",
            Self::TwoCalls(_) => "I3",
            Self::UnplannedRemoval(_) => "I5",
            Self::NoIntent(_) => "I7",
            Self::EndedAgain(_) => "I8",
            Self::WatermarkBack(_) => "I9",
            Self::OutsideStartWindow(_) => "I10",
            Self::OverBudget(_) => "I11",
            Self::UnsureRemoval(_) => "I15",
            Self::Unmarked(_) => "I25",
        }
    }

    /// Every invariant that a violation can name.
    pub const INVARIANTS: [&'static str; 9] =
        ["I2", "I3", "I5", "I7", "I8", "I9", "I10", "I11", "I15"];
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.invariant())?;
        match self {
            Self::NoIntent(slot) => write!(f, "no intent to create is recorded for {slot}"),
            Self::OutsideStartWindow(slot) => {
                write!(f, "{slot} would be asked for outside of its start window")
            }
            Self::TwoCalls(slot) => write!(f, "two calls for {slot} at once"),
            Self::OverBudget(scope) => write!(f, "more requests than the budget of {scope}"),
            Self::EndedAgain(slot) => write!(f, "the ended run of {slot} would change"),
            Self::WatermarkBack(pair) => write!(f, "the watermark of {pair} would move back"),
            Self::UnplannedRemoval(name) => write!(f, "{name} is in no plan that was logged"),
            Self::UnsureRemoval(name) => {
                write!(f, "{name} would be deleted without being sure of it")
            }
            Self::Unmarked(what) => write!(f, "a mark is missing for {what}"),
            Self::Shortened(slot) => {
                write!(f, "the snapshot of {slot} would be kept for less long")
            }
        }
    }
}

/// Every rule that `plan`, made from `facts`, breaks.
pub fn lint(plan: &Plan, facts: Facts<'_>) -> Vec<Violation> {
    let mut found: Vec<Violation> = plan
        .changes
        .iter()
        .filter_map(|change| of_change(change, facts))
        .collect();
    let mut slots: Vec<&Slot> = plan.calls.iter().filter_map(Call::slot).collect();
    slots.sort_unstable();
    let twice = slots.windows(2).filter(|two| two[0] == two[1]);
    let twice = twice.map(|two| two[0]);
    let in_flight = &facts.observed.in_flight;
    let under_way = slots
        .iter()
        .copied()
        .filter(|slot| in_flight.contains(*slot));
    found.extend(twice.chain(under_way).cloned().map(Violation::TwoCalls));
    found.extend(
        plan.calls
            .iter()
            .filter_map(|call| of_call(call, plan, facts)),
    );
    found.extend(over_budget(plan, facts));
    found
}

fn of_change(change: &Change, facts: Facts<'_>) -> Option<Violation> {
    match change {
        Change::Run(run) => {
            let before = facts.history.runs.get(&run.slot);
            let changes = |before: &Run| before.is_ended() && before.state != run.state;
            before
                .is_some_and(changes)
                .then(|| Violation::EndedAgain(run.slot.clone()))
        }
        Change::Pair(pair, state) => {
            let before = facts.history.pairs.get(pair);
            let moves_back =
                |before: &PairState| state.watermark < before.watermark.trunc_subsecs(0);
            before
                .is_some_and(moves_back)
                .then(|| Violation::WatermarkBack(pair.clone()))
        }
        _ => None,
    }
}

fn of_call(call: &Call, plan: &Plan, facts: Facts<'_>) -> Option<Violation> {
    match call {
        Call::Create { slot, request } => of_create(slot, request, plan, facts),
        Call::Remove { removal, .. } if removal.look_at.is_none() => of_removal(removal, facts),
        Call::Extend { extension, .. } => {
            let is_longer = extension.to > extension.from;
            (!is_longer).then(|| Violation::Shortened(extension.slot.clone()))
        }
        _ => None,
    }
}

fn of_create(
    slot: &Slot,
    request: &CreateRequest,
    plan: &Plan,
    facts: Facts<'_>,
) -> Option<Violation> {
    let planned = plan.changes.iter().find_map(|change| match change {
        Change::Run(run) if run.slot == *slot => Some(&**run),
        _ => None,
    });
    let run = planned.or_else(|| facts.history.runs.get(slot));
    let is_intended = |run: &&Run| {
        matches!(run.state, RunState::Asking { .. })
            && run.request.snapshot_id == request.snapshot_id
    };
    let Some(run) = run.filter(is_intended) else {
        return Some(Violation::NoIntent(slot.clone()));
    };
    let window = run.request.starts_at..run.request.deadline;
    (!window.contains(&facts.now)).then(|| Violation::OutsideStartWindow(slot.clone()))
}

fn of_removal(removal: &Removal, facts: Facts<'_>) -> Option<Violation> {
    let place = removal.key();
    let name = named(&place);
    let recorded = facts.history.removals.get(&place);
    let passed = facts.history.passes.get(&removal.slot.pair.policy);
    let is_recorded = recorded.is_some_and(|one| one.end.is_none());
    let is_named = passed.is_some_and(|pass| pass.plan.contains(&name));
    if !is_recorded || !is_named {
        return Some(Violation::UnplannedRemoval(name));
    }
    let view = facts.observed.scopes.get(&removal.slot.pair.scope);
    let is_sure = facts.is_written
        && view.is_some_and(|view| view.clocks_agree() && view.snapshots.is_some());
    (!is_sure).then_some(Violation::UnsureRemoval(name))
}

fn over_budget<'a>(plan: &'a Plan, facts: Facts<'a>) -> impl Iterator<Item = Violation> + 'a {
    let mut wanted: BTreeMap<&Scope, usize> = BTreeMap::new();
    for call in &plan.calls {
        *wanted.entry(call.scope()).or_default() += call.requests() as usize;
    }
    let left = |scope: &Scope, now: DateTime<Utc>| {
        let view = facts.observed.scopes.get(scope);
        view.map_or(0, |view| view.budget.available(now))
    };
    wanted
        .into_iter()
        .filter(move |(scope, requests)| left(scope, facts.now) < *requests)
        .map(|(scope, _)| Violation::OverBudget(scope.clone()))
}
