//! What each open run needs next.
//!
//! Owns: starting, asking again, judging, overlap, queueing and the wish for a look. Two limits hold for
//! every scope: its rate budget and the number of calls under way.

use chrono::{DateTime, Utc};

use crate::history::Change;
use crate::observed::{CREATES_IN_FLIGHT, ScopeView};
use crate::run::{Event, Missed, Outcome, Phase, Run, RunState};
use crate::slot::Scope;
use crate::snapshot::SnapshotStatus;

use super::{Alarm, Call, Facts, Plan};

/// What one run needs.
#[derive(Debug, PartialEq)]
enum Need {
    /// Nothing before this instant.
    Wait(DateTime<Utc>),
    /// Something else has to happen first: an answer, a listing, another run's end.
    Nothing,
    /// An event that follows from the present alone.
    Event(Event),
    /// To ask AWS for the snapshot.
    Create,
    /// To look for the snapshot by its identifier.
    Describe,
    /// To ask why the snapshot failed.
    Explain,
}

/// Plans what the open runs need.
pub(super) fn advance(facts: Facts<'_>, plan: &mut Plan) {
    for (scope, view) in &facts.observed.scopes {
        let mut budget = view.budget.available(facts.now);
        let mut room = CREATES_IN_FLIGHT.saturating_sub(facts.observed.calls_under_way(scope));
        let mut asking: Vec<&Run> = Vec::new();
        for run in facts
            .history
            .open()
            .filter(|run| run.slot.pair.scope == *scope)
        {
            raise_alarms(facts, run, plan);
            if facts.observed.in_flight.contains(&run.slot) {
                continue;
            }
            let call = match need(facts, view, run, &asking) {
                Need::Wait(at) => {
                    plan.wake(at);
                    continue;
                }
                Need::Nothing => continue,
                Need::Event(event) => {
                    record(facts, run, event, plan);
                    continue;
                }
                Need::Create => Call::Create(run.slot.clone()),
                Need::Describe => Call::Describe(run.slot.clone()),
                Need::Explain => Call::Explain(run.slot.clone()),
            };
            if budget == 0 || room == 0 {
                plan.wake(view.budget.next_at(facts.now));
                continue;
            }
            (budget, room) = (budget - 1, room - 1);
            if matches!(call, Call::Create(_)) {
                asking.push(run);
                record(facts, run, Event::Asked, plan);
            }
            plan.calls.push(call);
        }
    }
}

fn record(facts: Facts<'_>, run: &Run, event: Event, plan: &mut Plan) {
    // An event that does not fit the state is a mistake of this module's, which the simulation would show;
    // the run keeps its state.
    if let Ok(run) = run.clone().apply(event, facts.now) {
        plan.changes.push(Change::Run(Box::new(run)));
    }
}

fn need(facts: Facts<'_>, view: &ScopeView, run: &Run, asking: &[&Run]) -> Need {
    match &run.state {
        RunState::Due => need_due(facts, view, run, asking),
        RunState::Requested { phase, .. } => need_requested(facts, view, run, phase, asking),
        RunState::Failing { .. } => Need::Explain,
        // Followed by the scope's listings.
        RunState::Creating { .. } | RunState::Ended(_) => Need::Nothing,
    }
}

fn need_due(facts: Facts<'_>, view: &ScopeView, run: &Run, asking: &[&Run]) -> Need {
    let request = &run.request;
    if let Some(missed) = missed(facts, run) {
        let message = (missed == Missed::Late)
            .then(|| view.trouble.clone())
            .flatten();
        return Need::Event(Event::Judged {
            verdict: Outcome::Missed(missed),
            message,
        });
    }
    if facts.now < request.starts_at {
        return Need::Wait(request.starts_at);
    }
    if let Some(previous) = overlapping(facts, run) {
        return match view.listed_since(request.starts_at) && previous.is_creating() {
            true => Need::Event(Event::Overlapped),
            false => Need::Wait(request.deadline),
        };
    }
    need_create(facts, view, run, asking)
}

/// Why a run that was never asked for is not to be asked for any more.
fn missed(facts: Facts<'_>, run: &Run) -> Option<Missed> {
    let request = &run.request;
    if !is_configured(facts, run) {
        Some(Missed::Disabled)
    } else if superseded(facts, run) {
        Some(Missed::Coalesced)
    } else if facts.now < request.deadline {
        None
    } else if request.starts_at >= request.deadline {
        Some(Missed::Blackout)
    } else {
        Some(Missed::Late)
    }
}

fn is_configured(facts: Facts<'_>, run: &Run) -> bool {
    let policy = facts.config.policy(&run.slot.pair.policy);
    policy.is_some_and(|policy| policy.enabled)
}

/// Whether a newer slot of the pair may be asked for, or has been.
fn superseded(facts: Facts<'_>, run: &Run) -> bool {
    facts
        .history
        .of_pair(&run.slot.pair)
        .rev()
        .take_while(|other| other.slot.scheduled_at > run.slot.scheduled_at)
        .map(|newer| &newer.request)
        .any(|newer| newer.starts_at <= facts.now && newer.starts_at < newer.deadline)
}

fn need_requested(
    facts: Facts<'_>,
    view: &ScopeView,
    run: &Run,
    phase: &Phase,
    asking: &[&Run],
) -> Need {
    match phase {
        // The answer is on its way; after a restart, recovery has turned this into doubt.
        Phase::Asking => Need::Nothing,
        Phase::InDoubt { look_at, .. } if *look_at > facts.now => Need::Wait(*look_at),
        Phase::InDoubt { .. } => Need::Describe,
        Phase::Judged { .. } => Need::Nothing,
        Phase::Waiting { why, .. } if facts.now >= run.request.deadline => expire(why.clone()),
        Phase::Waiting { why, .. } if superseded(facts, run) => {
            expire(format!("superseded: {why}"))
        }
        Phase::Waiting { until, .. } if *until > facts.now => {
            Need::Wait((*until).min(run.request.deadline))
        }
        Phase::Waiting { .. } => need_create(facts, view, run, asking),
    }
}

fn expire(why: String) -> Need {
    Need::Event(Event::Judged {
        verdict: Outcome::Expired(why),
        message: None,
    })
}

fn need_create(facts: Facts<'_>, view: &ScopeView, run: &Run, asking: &[&Run]) -> Need {
    let may_start = view.may_start(run.slot.scheduled_at, facts.now);
    if !may_start || is_queued(facts, run, asking) {
        return Need::Wait(run.request.deadline);
    }
    match blackout_end(facts, run) {
        Some(end) => Need::Wait(end.min(run.request.deadline)),
        None => Need::Create,
    }
}

/// A retry keeps to the blackouts as a first attempt does.
fn blackout_end(facts: Facts<'_>, run: &Run) -> Option<DateTime<Utc>> {
    let policy = facts.config.policy(&run.slot.pair.policy)?;
    policy
        .blackout
        .iter()
        .filter_map(|blackout| blackout.end_at(facts.now))
        .max()
}

/// The pair's earlier run whose snapshot AWS is still making, inside its completion window.
fn overlapping<'a>(facts: Facts<'a>, run: &Run) -> Option<&'a Run> {
    facts
        .history
        .of_pair(&run.slot.pair)
        .filter(|other| other.slot.scheduled_at < run.slot.scheduled_at)
        .find(|other| blocks(facts, other))
}

/// Different policies on one cluster queue, until a quarter of the start window is left; then AWS is asked
/// all the same, and may refuse.
fn is_queued(facts: Facts<'_>, run: &Run, asking: &[&Run]) -> bool {
    let window = run.request.deadline - run.slot.scheduled_at;
    let patient = facts.now < run.request.deadline - window / 4;
    let same_cluster = |other: &&Run| {
        other.slot != run.slot
            && other.slot.pair.scope == run.slot.pair.scope
            && other.slot.pair.cluster == run.slot.pair.cluster
    };
    patient
        && (asking.iter().any(same_cluster)
            || facts
                .history
                .open()
                .filter(same_cluster)
                .any(|other| blocks(facts, other)))
}

fn blocks(facts: Facts<'_>, run: &Run) -> bool {
    match &run.state {
        RunState::Creating { .. } => !is_overlong(facts, run),
        RunState::Requested {
            phase: Phase::Asking,
            ..
        } => true,
        _ => false,
    }
}

fn is_overlong(facts: Facts<'_>, run: &Run) -> bool {
    let accepted = run.accepted_at.unwrap_or(run.slot.scheduled_at);
    run.is_creating() && facts.now >= accepted + run.request.completion_window
}

fn raise_alarms(facts: Facts<'_>, run: &Run, plan: &mut Plan) {
    if is_overlong(facts, run) {
        plan.alarms.insert(Alarm::StillCreating(run.slot.clone()));
    }
    let status = run.snapshot.as_ref().map(|snapshot| snapshot.status());
    if let (true, Some(SnapshotStatus::Unknown(word))) = (run.is_creating(), status) {
        plan.alarms
            .insert(Alarm::UnknownStatus(run.slot.clone(), word));
    }
}

/// When a listing of the scope is next wanted by a run: to follow a snapshot, to confirm an absence, or to
/// see whether the previous snapshot is still being made.
pub(super) fn look_wanted_at(
    facts: Facts<'_>,
    scope: &Scope,
    view: &ScopeView,
) -> Option<DateTime<Utc>> {
    facts
        .history
        .open()
        .filter(|run| run.slot.pair.scope == *scope)
        .filter_map(|run| match &run.state {
            RunState::Creating { look_at, .. } => Some(*look_at),
            RunState::Requested {
                phase: Phase::Judged { since, .. },
                ..
            } => (!view.listed_since(*since)).then_some(facts.now),
            RunState::Due => {
                let waits = overlapping(facts, run).is_some();
                (waits && !view.listed_since(run.request.starts_at))
                    .then_some(run.request.starts_at)
            }
            _ => None,
        })
        .min()
}
