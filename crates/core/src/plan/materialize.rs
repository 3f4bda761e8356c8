//! Which slots get a run.
//!
//! Owns: the step from the watermark to now. Every slot that has become due gets a record: a run of its own,
//! or, when more than a hundred were missed in a row, a place in a range. Never steps further than AWS's
//! clock allows: a watermark in the wrong decade could not be taken back. Nor before the scope was listed: the
//! cluster may be another by now, and snapshots that nobody has recorded may be there.

use chrono::{DateTime, TimeDelta, Timelike, Utc};

use crate::history::{Change, MissedRange, PairState};
use crate::names::{Retention, Writer};
use crate::names::{Tier, Trigger};
use crate::observed::ScopeView;
use crate::policy::Policy;
use crate::retention::{Choice, TierSlot, choose, held};
use crate::run::{Missed, Run, SnapshotSpec};
use crate::schedule::Upcoming;
use crate::settings::Config;
use crate::slot::{Pair, Slot};
use crate::snapshot::{Generation, Label, SnapshotId};

use super::{Facts, Plan, edits};

/// More slots than this missed in a row are one range.
const RANGE_FROM: usize = 100;

/// About how many slots one plan gives their record; the next goes on. What a turn commits has a bound.
const MOST_CHANGES: usize = 5_000;

/// Plans a run for every slot that has become due; when the next slot without a record is, or far off if there is none.
pub(super) fn open_slots(facts: Facts<'_>, plan: &mut Plan) -> DateTime<Utc> {
    let mut first = DateTime::<Utc>::MAX_UTC;
    let mut upcoming = Upcoming::default();
    for (pair, state) in facts
        .history
        .pairs
        .iter()
        .filter(|(_, one)| one.is_active())
    {
        // Its slots come under its new name, if it has one.
        if facts.may_be_renamed(&pair.scope.account) {
            continue;
        }
        let old = edits::old(facts, pair, state);
        let configured = facts.config.policy(&pair.policy);
        let policy = old.as_ref().map(|old| &old.policy).or(configured);
        let view = facts.observed.scopes.get(&pair.scope);
        // Where a scope is not configured any more, nobody looks.
        let is_ready = match view {
            Some(view) => view.barred.is_none() && view.was_looked_at(),
            None => old.is_some(),
        };
        let (Some(policy), true) = (policy, is_ready) else {
            continue;
        };
        let ends = [
            facts.extent.last_slot_at(),
            old.as_ref().map(|old| old.until),
        ];
        let last = ends.into_iter().flatten().min();
        let next = match (&old, configured) {
            (None, Some(policy)) => upcoming.after(&policy.schedule, state.watermark),
            _ => policy.schedule.next_after(state.watermark),
        };
        let Some(next) = next else { continue };
        if last.is_some_and(|last| next > last) {
            continue;
        }
        first = first.min(next);
        let horizon = view.map_or(Some(facts.now), |view| view.horizon(facts.now));
        let until = horizon.map(|horizon| last.map_or(horizon, |last| last.min(horizon)));
        if let Some(until) = until.filter(|until| next <= *until) {
            let backlog = Backlog {
                pair,
                state,
                policy,
                until,
                view,
            };
            backlog.open(facts, plan);
            if plan.changes.len() >= MOST_CHANGES {
                break;
            }
        }
    }
    first
}

/// The slots of a pair that have no record, from its watermark on.
struct Backlog<'a> {
    pair: &'a Pair,
    state: &'a PairState,
    policy: &'a Policy,
    until: DateTime<Utc>,
    view: Option<&'a ScopeView>,
}

impl Backlog<'_> {
    fn open(&self, facts: Facts<'_>, plan: &mut Plan) {
        let Some(slots) = self.slots() else { return };
        let Some(last) = slots.last() else { return };
        let alone = slots.len().saturating_sub(RANGE_FROM);
        let (old, recent) = slots.split_at(if alone > 1 { alone } else { 0 });
        // No verdict without a look: what is missed is judged by a listing made since.
        let is_judged = |last: &DateTime<Utc>| {
            let view = self.view;
            view.is_none_or(|view| view.is_identified && view.listed_since(*last))
        };
        if !old.last().is_none_or(is_judged) {
            return;
        }
        plan.changes.extend(self.ranges(old, facts));
        for scheduled_at in recent {
            let slot = self.slot_at(*scheduled_at);
            if !facts.history.runs.contains_key(&slot) {
                let run = due_run(facts, self.policy, slot);
                plan.changes.push(Change::Run(Box::new(run)));
            }
        }
        let done = self.state.clone().up_to(*last, &self.policy.schedule);
        plan.changes.push(Change::Pair(self.pair.clone(), done));
    }

    /// The slots; `None` when there are so many that a listing is to be waited for.
    fn slots(&self) -> Option<Vec<DateTime<Utc>>> {
        let watermark = self.state.watermark;
        let slots = self.policy.schedule.slots_between(watermark, self.until);
        if self.view.is_none_or(|view| view.listed_since(watermark)) {
            return Some(slots.collect());
        }
        // A year of minutes is not counted in every turn until AWS answers.
        let few: Vec<DateTime<Utc>> = slots.take(RANGE_FROM + 2).collect();
        (few.len() < RANGE_FROM + 2).then_some(few)
    }

    fn slot_at(&self, scheduled_at: DateTime<Utc>) -> Slot {
        let pair = self.pair.clone();
        Slot { pair, scheduled_at }
    }

    /// The records of the slots that are missed as ranges, but for those that have one, such as those whose snapshots the
    /// listing had.
    fn ranges(&self, slots: &[DateTime<Utc>], facts: Facts<'_>) -> Vec<Change> {
        let is_recorded = |at: &DateTime<Utc>| facts.history.runs.contains_key(&self.slot_at(*at));
        let reason_at =
            |at: &DateTime<Utc>| (!is_recorded(at)).then(|| self.reason_missed(facts, *at));
        let stretches = slots.chunk_by(|one, next| reason_at(one) == reason_at(next));
        let ranges = stretches.filter_map(|stretch| {
            let reason = stretch.first().and_then(reason_at)?;
            Some(Change::Missed(MissedRange {
                pair: self.pair.clone(),
                first_at: *stretch.first()?,
                last_at: *stretch.last()?,
                count: stretch.len() as u64,
                reason,
            }))
        });
        ranges.collect()
    }

    /// What a slot long past is missed for.
    fn reason_missed(&self, facts: Facts<'_>, scheduled_at: DateTime<Utc>) -> Missed {
        match facts.history.pauses.covers(&self.pair.policy, scheduled_at) {
            _ if !self.policy.enabled => Missed::Disabled,
            true => Missed::Paused,
            false => Missed::Late,
        }
    }
}

/// The run of a slot that has just become due, with the whole request that it will make.
fn due_run(facts: Facts<'_>, policy: &Policy, slot: Slot) -> Run {
    let timing = slot.timing(policy);
    let span = StartWindow {
        starts_at: timing.starts_at.unwrap_or(timing.deadline),
        deadline: timing.deadline,
        interval: timing.interval,
    };
    let choice = tier_now(facts, policy, &slot);
    let kept = Kept {
        retention: policy.retention.of(choice.tier),
        choice,
    };
    run(
        facts.config,
        policy,
        slot,
        (Trigger::Schedule, facts.writer),
        kept,
        span,
    )
}

/// The tier that the slot would have if AWS were asked now.
pub(super) fn tier_now(facts: Facts<'_>, policy: &Policy, slot: &Slot) -> Choice {
    let runs = facts.history.of_pair(&slot.pair);
    let others = runs.filter(|run| run.slot != *slot).filter_map(held);
    choose(
        policy,
        slot.scheduled_at,
        &others.collect::<Vec<TierSlot>>(),
    )
}

/// The start window of a snapshot that a person asks for, where the policy has none.
const MANUAL_START_WINDOW: TimeDelta = TimeDelta::hours(1);

/// The run of a snapshot that a person asks for at `now`: its slot is `now` in whole seconds, it starts at once,
/// and neither jitter nor a blackout holds it up.
pub fn manual_run(
    config: &Config,
    writer: &Writer,
    policy: &Policy,
    pair: Pair,
    retention: Retention,
    now: DateTime<Utc>,
) -> Run {
    let scheduled_at = now.with_nanosecond(0).unwrap_or(now);
    let window = policy.start_window.unwrap_or(MANUAL_START_WINDOW);
    let span = StartWindow {
        starts_at: scheduled_at,
        deadline: scheduled_at + window,
        interval: window,
    };
    let slot = Slot { pair, scheduled_at };
    let (tier, why) = (Tier::Base, None);
    let choice = Choice { tier, why };
    let kept = Kept { retention, choice };
    run(config, policy, slot, (Trigger::Manual, writer), kept, span)
}

/// When a run may start, and how long it is until the next.
struct StartWindow {
    starts_at: DateTime<Utc>,
    deadline: DateTime<Utc>,
    interval: TimeDelta,
}

/// For how long a snapshot is kept, and why.
struct Kept {
    retention: Retention,
    choice: Choice,
}

fn run(
    config: &Config,
    policy: &Policy,
    slot: Slot,
    (trigger, writer): (Trigger, &Writer),
    kept: Kept,
    span: StartWindow,
) -> Run {
    let label = Label {
        namespace: &config.namespace,
        slot: &slot,
        tier: kept.choice.tier,
        trigger,
        writer,
    };
    let request = SnapshotSpec {
        snapshot_id: SnapshotId::derive(&config.namespace, &slot, Generation::First),
        retention: kept.retention,
        tier: kept.choice.tier,
        tier_reason: kept.choice.why.map(Into::into),
        tags: label.tags(&policy.tags).into(),
        starts_at: span.starts_at,
        deadline: span.deadline,
        completion_window: policy.completion_window,
        interval: span.interval,
    };
    Run::due(slot, trigger, request)
}
