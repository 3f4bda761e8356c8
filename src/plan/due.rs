//! Which slots get a run.
//!
//! Owns: the step from the watermark to now. Every slot that has become due gets a record: a run of its own,
//! or, when more than a hundred were missed in a row, a place in a range. Never steps further than AWS's
//! clock allows: a watermark in the wrong decade could not be taken back.

use std::collections::BTreeSet;

use chrono::{DateTime, NaiveDateTime, Utc};

use crate::history::{Change, MissedRange, PairState};
use crate::observed::ScopeView;
use crate::policy::Policy;
use crate::run::{Missed, Request, Run};
use crate::slot::{Pair, Slot};
use crate::snapshot::{Generation, Label, SnapshotId, Tier, Trigger};

use super::{Facts, Plan};

/// More slots than this missed in a row are one range.
const RANGE_FROM: usize = 100;

/// Plans a run for every slot that has become due.
pub(super) fn open_slots(facts: Facts<'_>, plan: &mut Plan) {
    for (pair, state) in &facts.history.pairs {
        let policy = facts.config.policy(&pair.policy);
        let view = facts.observed.scopes.get(&pair.scope);
        let (Some(policy), Some(view), None) = (
            policy,
            view.filter(|view| view.twin.is_none()),
            state.closed_at,
        ) else {
            continue;
        };
        match policy.schedule.next_after(state.watermark) {
            Some(next) if facts.last_slot_at.is_some_and(|last| next > last) => {}
            Some(next) if view.has_come(next, facts.now) => {
                open_pair(facts, view, policy, (pair, state), plan);
            }
            Some(next) if next > facts.now => plan.wake(next),
            _ => {}
        }
    }
}

fn open_pair(
    facts: Facts<'_>,
    view: &ScopeView,
    policy: &Policy,
    (pair, state): (&Pair, &PairState),
    plan: &mut Plan,
) {
    let Some(slots) = due_slots(facts, view, policy, state) else {
        return;
    };
    let Some(last) = slots.last() else { return };
    let alone = slots.len().saturating_sub(RANGE_FROM);
    let (old, recent) = slots.split_at(if alone > 1 { alone } else { 0 });
    // No verdict without a look: what is missed is judged by a listing made since.
    if old.last().is_some_and(|last| !view.listed_since(*last)) {
        return;
    }
    let found = if old.is_empty() {
        BTreeSet::new()
    } else {
        listed_slots(facts, view, pair)
    };
    for stretch in old.split(|scheduled_at| found.contains(scheduled_at)) {
        plan.changes
            .extend(missed_range(pair, stretch).map(Change::Missed));
    }
    let found = old.iter().filter(|at| found.contains(*at));
    for scheduled_at in found.chain(recent) {
        let slot = Slot {
            pair: pair.clone(),
            scheduled_at: *scheduled_at,
        };
        if !facts.history.runs.contains_key(&slot) {
            plan.changes
                .push(Change::Run(Box::new(due_run(facts, policy, slot))));
        }
    }
    plan.changes.push(Change::Pair(
        pair.clone(),
        PairState {
            watermark: *last,
            ..state.clone()
        },
    ));
}

/// The slots since the watermark; `None` when there are so many that a listing is to be waited for.
fn due_slots(
    facts: Facts<'_>,
    view: &ScopeView,
    policy: &Policy,
    state: &PairState,
) -> Option<Vec<DateTime<Utc>>> {
    let horizon = view.horizon(facts.now)?;
    let until = facts.last_slot_at.map_or(horizon, |last| last.min(horizon));
    let slots = policy.schedule.slots_between(state.watermark, until);
    if view.listed_since(state.watermark) {
        return Some(slots.collect());
    }
    // A year of minutes is not counted in every turn until AWS answers.
    let few: Vec<DateTime<Utc>> = slots.take(RANGE_FROM + 2).collect();
    (few.len() < RANGE_FROM + 2).then_some(few)
}

/// The slots of a pair whose snapshots the last complete listing has, as their identifiers tell.
fn listed_slots(facts: Facts<'_>, view: &ScopeView, pair: &Pair) -> BTreeSet<DateTime<Utc>> {
    let namespace = &facts.config.namespace;
    let prefix = format!("{namespace}-{}-{}-", pair.policy, pair.cluster);
    let slot_of = |id: &SnapshotId| {
        let stamp = id.as_str().strip_prefix(&prefix)?.split('-').next()?;
        let instant = NaiveDateTime::parse_from_str(stamp, "%Y%m%dt%H%M%Sz").ok()?;
        let slot = Slot {
            pair: pair.clone(),
            scheduled_at: instant.and_utc(),
        };
        let first = SnapshotId::derive(namespace, &slot, Generation::First);
        (*id == first || *id == first.second()).then_some(slot.scheduled_at)
    };
    view.snapshots
        .iter()
        .flat_map(|listing| listing.by_id.keys())
        .filter_map(slot_of)
        .collect()
}

fn missed_range(pair: &Pair, slots: &[DateTime<Utc>]) -> Option<MissedRange> {
    Some(MissedRange {
        pair: pair.clone(),
        first_at: *slots.first()?,
        last_at: *slots.last()?,
        count: slots.len() as u64,
        reason: Missed::Late,
    })
}

/// The run of a slot that has just become due, with the whole request that it will make.
fn due_run(facts: Facts<'_>, policy: &Policy, slot: Slot) -> Run {
    let timing = slot.timing(policy);
    let label = Label {
        namespace: &facts.config.namespace,
        slot: &slot,
        tier: Tier::Base,
        trigger: Trigger::Schedule,
        writer: facts.writer,
    };
    let request = Request {
        snapshot_id: SnapshotId::derive(&facts.config.namespace, &slot, Generation::First),
        retention: policy.retention,
        tier: Tier::Base,
        tags: label.tags(&policy.tags),
        starts_at: timing.starts_at.unwrap_or(timing.deadline),
        deadline: timing.deadline,
        completion_window: policy.completion_window,
        interval: timing.interval,
    };
    Run::due(slot, Trigger::Schedule, request)
}
