//! Which slots get a run.
//!
//! Owns: the step from the watermark to now. Every slot that has become due gets a record: a run of its own,
//! or, when more than a hundred were missed in a row, a place in a range.

use chrono::{DateTime, Utc};

use crate::history::{Change, MissedRange, PairState};
use crate::policy::Policy;
use crate::run::{Missed, Request, Run, RunState};
use crate::slot::{Pair, Slot};
use crate::snapshot::{Generation, Label, SnapshotId, Tier, Trigger};

use super::{Facts, Plan};

/// More slots than this missed in a row are one range.
const RANGE_FROM: usize = 100;

/// Plans a run for every slot that has become due.
pub(super) fn open_slots(facts: Facts<'_>, plan: &mut Plan) {
    for (pair, state) in &facts.history.pairs {
        let policy = facts.config.policy(&pair.policy);
        let (Some(policy), None) = (policy, state.closed_at) else {
            continue;
        };
        if let Some(next) = policy.schedule.next_after(state.watermark) {
            if next <= facts.now {
                open_pair(facts, policy, pair, state, plan);
            } else {
                plan.wake(next);
            }
        }
    }
}

fn open_pair(facts: Facts<'_>, policy: &Policy, pair: &Pair, state: &PairState, plan: &mut Plan) {
    let slots: Vec<DateTime<Utc>> = policy
        .schedule
        .slots_between(state.watermark, facts.now)
        .collect();
    let Some(last) = slots.last() else { return };
    let alone = slots.len().saturating_sub(RANGE_FROM);
    let (old, recent) = slots.split_at(if alone > 1 { alone } else { 0 });
    if !old.is_empty() {
        // No verdict without a look: what is missed is judged after the scope's first complete listing.
        let scope = facts.observed.scopes.get(&pair.scope);
        if scope.is_none_or(|scope| scope.snapshots.is_none()) {
            return;
        }
        plan.changes
            .extend(missed_range(pair, old).map(Change::Missed));
    }
    for scheduled_at in recent {
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
pub(crate) fn due_run(facts: Facts<'_>, policy: &Policy, slot: Slot) -> Run {
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
    Run {
        slot,
        trigger: Trigger::Schedule,
        request,
        state: RunState::Due,
        attempts: 0,
        requested_at: None,
        asked_at: None,
        accepted_at: None,
        ended_at: None,
        message: None,
        snapshot: None,
        gone: None,
    }
}
