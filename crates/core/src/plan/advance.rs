//! What each open run needs next.
//!
//! Owns: starting, asking again, judging, overlap, queueing and what makes a listing come sooner. Two limits hold for
//! every scope: its rate budget and the number of calls under way.

use std::borrow::Cow;

use chrono::{DateTime, Utc};

use crate::history::Change;
use crate::names::Trigger;
use crate::observed::ScopeView;
use crate::retention::Choice;
use crate::run::{Event, Missed, Outcome, Reason, Refusal, Run, RunState};
use crate::schedule::first_open;
use crate::slot::{Scope, Slot};
use crate::snapshot::Generation;

use super::blind::was_told_since;
use super::materialize::tier_now;
use super::open_runs::Open;
use super::outlook::{Outlooks, Rest};
use super::{Call, Facts, Plan};

/// Where many runs wait for the budget, those are asked for together that it lets go in so many seconds: what is asked for
/// and what is answered together costs one plan and one commit.
const TOGETHER: f64 = 0.4;

/// What one run needs.
enum Need {
    /// Nothing before this instant.
    Wait(DateTime<Utc>),
    /// Something else has to happen first: an answer, a listing, another run's end.
    Nothing,
    /// An event that follows from the present alone.
    Event(Event),
    /// AWS is to be asked.
    Ask(Question),
}

/// What AWS is to be asked.
enum Question {
    /// For the snapshot.
    Create,
    /// Whether it is there.
    Describe,
    /// Why it failed.
    Explain,
}

/// Plans what these open runs of a scope need; tells whether others that would ask AWS now were left out.
pub(super) fn advance<'a>(
    facts: Facts<'a>,
    (scope, view): (&Scope, &ScopeView),
    open: &mut Open<'a>,
    (outlooks, rest): (&mut Outlooks, &Rest),
    plan: &mut Plan,
) -> bool {
    // What began in another account cannot be followed in this one.
    if view.is_other_account() {
        return false;
    }
    let budget = plan.budget_left(scope, view, facts.now);
    let mut left = budget.min(plan.room_left(scope, facts.observed));
    let mut waiting = rest.asking;
    let runs = open.runs.clone();
    for run in runs.into_iter().filter(|run| facts.extent.has(run)) {
        if facts.observed.in_flight.contains(&run.slot) {
            continue;
        }
        if let Some(at) = turns_at(facts, run) {
            outlooks.wake(run, at);
        }
        match need(facts, view, run, open) {
            Need::Wait(at) => outlooks.wake(run, at),
            Need::Nothing => {}
            Need::Event(event) => record(facts, run, event, plan),
            Need::Ask(_) if left == 0 => {
                waiting += 1;
                outlooks.queue(run);
            }
            Need::Ask(question) => {
                left -= 1;
                let call = ask(facts, run, &question, (open, plan));
                plan.calls.push(call);
            }
        }
    }
    if waiting > 0 {
        let together = (view.budget.pace(facts.now) * TOGETHER) as usize;
        let together = together.clamp(1, waiting);
        plan.wake(view.budget.holds_at(together as u32, facts.now));
    }
    left > 0 && rest.asking > 0
}

/// How many calls for runs of the scope may be made now, beside those that are under way.
pub(crate) fn room(facts: Facts<'_>, scope: &Scope, view: &ScopeView) -> usize {
    let plan = Plan::nothing(facts.now);
    let budget = plan.budget_left(scope, view, facts.now);
    budget.min(plan.room_left(scope, facts.observed))
}

/// When something else is needed of the run, or of those that wait for it, whatever it waits for itself: its start window
/// ends, or its snapshot has been made for so long that nobody waits any more.
fn turns_at(facts: Facts<'_>, run: &Run) -> Option<DateTime<Utc>> {
    let at = match run.state {
        RunState::Due | RunState::Waiting { .. } => Some(run.request.deadline),
        _ => run.completion_deadline(),
    };
    at.filter(|at| *at > facts.now)
}

/// The call by which AWS is asked; before a create call its intent.
fn ask<'a>(
    facts: Facts<'a>,
    run: &'a Run,
    question: &Question,
    (open, plan): (&mut Open<'a>, &mut Plan),
) -> Call {
    match question {
        Question::Create => {
            open.ask(run);
            let run = promoted(facts, run);
            record(facts, &run, Event::Asked, plan);
            create(&run)
        }
        Question::Describe => describe(run),
        Question::Explain => explain(run),
    }
}

fn record(facts: Facts<'_>, run: &Run, event: Event, plan: &mut Plan) {
    let run = run.clone().apply(event, facts.now);
    plan.changes
        .extend(run.map(|run| Change::Run(Box::new(run))));
}

/// The run with the tier that it has at intent: what the pair holds may have changed since it became due.
fn promoted<'a>(facts: Facts<'_>, run: &'a Run) -> Cow<'a, Run> {
    let policy = facts.config.policy(&run.slot.pair.policy);
    let (Some(policy), Trigger::Schedule) = (policy, run.trigger) else {
        return Cow::Borrowed(run);
    };
    let Choice { tier, why } = tier_now(facts, policy, &run.slot);
    if tier == run.request.tier {
        return Cow::Borrowed(run);
    }
    let event = Event::Promoted {
        tier,
        reason: why,
        retention: policy.retention.of(tier),
    };
    let promoted = run.clone().apply(event, facts.now);
    promoted.map_or(Cow::Borrowed(run), Cow::Owned)
}

fn need<'a>(facts: Facts<'a>, view: &ScopeView, run: &Run, open: &Open<'a>) -> Need {
    match &run.state {
        RunState::Due => need_due(facts, view, run, open),
        RunState::Waiting { until, refusal } => {
            need_waiting(facts, view, run, (*until, refusal), open)
        }
        RunState::InDoubt { since, look_at } if still_waits(facts, *since, *look_at) => {
            Need::Wait(*look_at)
        }
        RunState::InDoubt { .. } => Need::Ask(Question::Describe),
        // No listing of this clock's would count as later than the judgement.
        RunState::Concluding { since, verdict } if *since > facts.now => {
            judge(verdict.clone(), None)
        }
        RunState::Failing { since, ask_at } if still_waits(facts, *since, *ask_at) => {
            Need::Wait(*ask_at)
        }
        RunState::Failing { .. } => Need::Ask(Question::Explain),
        // The answer is on its way (after a restart, recovery has turned this into doubt), or the scope's
        // listings bring what is needed.
        RunState::Asking { .. }
        | RunState::Concluding { .. }
        | RunState::Creating { .. }
        | RunState::Ended(_) => Need::Nothing,
    }
}

fn create(run: &Run) -> Call {
    Call::Create {
        slot: run.slot.clone(),
        request: run.create_request(),
    }
}

fn describe(run: &Run) -> Call {
    Call::Describe {
        slot: run.slot.clone(),
        id: run.request.snapshot_id.clone(),
        asks_account: false,
    }
}

fn explain(run: &Run) -> Call {
    Call::Explain {
        slot: run.slot.clone(),
        id: run.request.snapshot_id.clone(),
    }
}

fn judge(verdict: Outcome, message: Option<String>) -> Need {
    Need::Event(Event::Concluding { verdict, message })
}

fn need_due(facts: Facts<'_>, view: &ScopeView, run: &Run, open: &Open<'_>) -> Need {
    let request = &run.request;
    if let Some(missed) = missed(facts, view, run) {
        let message = (missed == Missed::Late)
            .then(|| view.trouble.clone())
            .flatten();
        return judge(Outcome::Missed(missed), message);
    }
    if facts.now < request.starts_at {
        return Need::Wait(request.starts_at);
    }
    if facts.now >= request.deadline {
        // By AWS's clock it is not over: the clocks have to agree before it is started or given up.
        return Need::Nothing;
    }
    match open.overlapping(run) {
        Some(previous) => need_overlapping(facts, view, run, previous, open),
        None => need_create(facts, view, run, open),
    }
}

/// The schedule's snapshot before it is still being made, as far as is known. A slot ends for one that AWS is sure to be
/// making; what nobody can tell of holds it up for a quarter of its start window.
fn need_overlapping(
    facts: Facts<'_>,
    view: &ScopeView,
    run: &Run,
    previous: &Run,
    open: &Open<'_>,
) -> Need {
    let request = &run.request;
    // Not for one that the listing lacks: a look by its name tells whether it is still there.
    let is_there = !facts.observed.missing.contains_key(&previous.slot);
    let is_told = was_told_since(facts, view, &previous.slot, request.starts_at);
    if previous.is_creating() && is_there && is_told {
        return Need::Event(Event::Overlapped);
    }
    let scheduled_at = run.slot.scheduled_at;
    let until = scheduled_at + (request.deadline - scheduled_at) / 4;
    if !previous.is_creating() {
        // Its answer is on its way.
        Need::Wait(request.deadline)
    } else if facts.now < until {
        Need::Wait(until)
    } else {
        need_create(facts, view, run, open)
    }
}

/// Why a run that was never asked for is not to be asked for any more.
fn missed(facts: Facts<'_>, view: &ScopeView, run: &Run) -> Option<Missed> {
    let request = &run.request;
    let is_over = view.has_come(request.deadline, facts.now);
    let is_scheduled = run.trigger == Trigger::Schedule;
    if is_scheduled && !is_configured(facts, run) {
        Some(Missed::Disabled)
    } else if is_scheduled && falls_to_a_pause(facts, run, is_over) {
        Some(Missed::Paused)
    } else if is_over && request.starts_at >= request.deadline {
        Some(Missed::Blackout)
    } else if is_over {
        Some(Missed::Late)
    } else {
        superseded(facts, run).then_some(Missed::Coalesced)
    }
}

pub(crate) fn is_configured(facts: Facts<'_>, run: &Run) -> bool {
    let policy = facts.config.policy(&run.slot.pair.policy);
    policy.is_some_and(|policy| policy.enabled)
}

/// A pause that came later does not change what a slot is missed for.
fn falls_to_a_pause(facts: Facts<'_>, run: &Run, is_over: bool) -> bool {
    let Slot { pair, scheduled_at } = &run.slot;
    let is_covered = facts.history.pauses.covers(&pair.policy, *scheduled_at);
    is_covered || (!is_over && is_paused(facts, run))
}

/// Whether the slot falls into a pause, or its policy is paused now.
pub(crate) fn is_paused(facts: Facts<'_>, run: &Run) -> bool {
    let (pauses, policy) = (&facts.history.pauses, &run.slot.pair.policy);
    pauses.covers(policy, run.slot.scheduled_at) || pauses.since(policy).is_some()
}

/// Whether a newer slot of the pair has its snapshot, or may be asked for now, by AWS's clock where ours is far from that:
/// what another instance asked for ahead of its time replaces nothing yet. What a person asks for, for a time of their own,
/// neither replaces a slot of the schedule nor is replaced by one.
pub(crate) fn superseded(facts: Facts<'_>, run: &Run) -> bool {
    let view = facts.observed.scopes.get(&run.slot.pair.scope);
    let now = view.and_then(|view| view.present(facts.now));
    let now = now.unwrap_or(facts.now);
    facts
        .history
        .of_pair(&run.slot.pair)
        .rev()
        .take_while(|other| other.slot.scheduled_at > run.slot.scheduled_at)
        .filter(|newer| [run.trigger, newer.trigger] == [Trigger::Schedule; 2])
        .any(|newer| supersedes(newer, now))
}

fn supersedes(newer: &Run, now: DateTime<Utc>) -> bool {
    match &newer.state {
        RunState::Due
        | RunState::Asking { .. }
        | RunState::InDoubt { .. }
        | RunState::Waiting { .. } => {
            (newer.request.starts_at..newer.request.deadline).contains(&now)
        }
        RunState::Creating { .. } | RunState::Failing { .. } => true,
        RunState::Concluding { .. } => false,
        RunState::Ended(outcome) => *outcome == Outcome::Available,
    }
}

fn need_waiting<'a>(
    facts: Facts<'a>,
    view: &ScopeView,
    run: &Run,
    (until, refusal): (DateTime<Utc>, &Refusal),
    open: &Open<'a>,
) -> Need {
    let deadline = run.request.deadline;
    if view.has_come(deadline, facts.now) {
        return judge(unaccepted(run, refusal.why.clone()), None);
    }
    if facts.now >= deadline {
        return Need::Nothing;
    }
    if superseded(facts, run) {
        return judge(unaccepted(run, refusal.why.clone().superseded()), None);
    }
    let still_waits = still_waits(facts, run.asked_at.unwrap_or(facts.now), until);
    if still_waits && !open.is_freed(facts, run) {
        return Need::Wait(until.min(deadline));
    }
    need_create(facts, view, run, open)
}

/// The end of a run that AWS did not accept in time. Where a first snapshot failed, that is what it ends with.
fn unaccepted(run: &Run, why: Reason) -> Outcome {
    match run.generation() {
        Generation::First => Outcome::Expired(why),
        Generation::Second => Outcome::Failed(Reason::SnapshotFailed),
    }
}

/// Whether a wait that began at `began_at` goes on. Where the clock has been set back behind its beginning,
/// how much of it is left cannot be told: then it is over.
fn still_waits(facts: Facts<'_>, began_at: DateTime<Utc>, until: DateTime<Utc>) -> bool {
    (began_at..until).contains(&facts.now)
}

fn need_create(facts: Facts<'_>, view: &ScopeView, run: &Run, open: &Open<'_>) -> Need {
    // A retry too: the clock may have been set back since the first attempt.
    if facts.now < run.request.starts_at {
        return Need::Wait(run.request.starts_at);
    }
    if !view.has_come(run.slot.scheduled_at, facts.now) {
        return Need::Wait(run.request.deadline);
    }
    if view.barred.is_some() {
        return Need::Wait(run.request.deadline);
    }
    if let Some(patience_ends_at) = queued_until(facts, run, open) {
        return Need::Wait(patience_ends_at);
    }
    // A retry keeps to the blackouts as a first attempt does.
    let policy = facts.config.policy(&run.slot.pair.policy);
    let policy = policy.filter(|_| run.trigger == Trigger::Schedule);
    let open_at = policy.map_or(Some(facts.now), |policy| {
        first_open(&policy.blackouts(), facts.now)
    });
    match open_at {
        Some(open_at) if open_at <= facts.now => Need::Ask(Question::Create),
        Some(open_at) => Need::Wait(open_at.min(run.request.deadline)),
        None => Need::Wait(run.request.deadline),
    }
}

/// Different policies on one cluster queue, until a quarter of the start window is left; then AWS is asked
/// all the same, and may refuse.
pub(crate) fn queued_until(facts: Facts<'_>, run: &Run, open: &Open<'_>) -> Option<DateTime<Utc>> {
    let window = run.request.deadline - run.slot.scheduled_at;
    let patience_ends_at = run.request.deadline - window / 4;
    (facts.now < patience_ends_at && open.ahead_of(run).is_some()).then_some(patience_ends_at)
}

/// Whether others of its cluster wait for the run.
pub(crate) fn blocks(facts: Facts<'_>, run: &Run) -> bool {
    match &run.state {
        RunState::Creating { .. } => {
            !is_overlong(facts, run) && !facts.observed.is_absent(&run.slot)
        }
        RunState::Asking { .. } => true,
        _ => false,
    }
}

/// Whether the snapshot has been `creating` for longer than its completion window.
pub(crate) fn is_overlong(facts: Facts<'_>, run: &Run) -> bool {
    run.completion_deadline()
        .is_some_and(|deadline| facts.now >= deadline)
}
