//! The runs of a policy as a job that a service of heartbeats watches.
//!
//! Owns: when that job starts, succeeds and fails. All runs of one policy and instant are one job: it starts with the
//! first that AWS is asked for, succeeds when the last has ended and every one of them is available, and fails at once
//! when one has none. What people ask for is no job, and what they ordered not to be is no failure.

use crate::history::MissedRange;
use crate::names::Trigger;
use crate::outbox::{Cause, Condition, ConditionKey, MessageState, Receiver, Subject};
use crate::run::{Outcome, Run};

use super::decision::Decision;
use super::texts;

pub(super) fn of_run(decision: &mut Decision<'_>, run: &Run, is_known: bool) {
    if run.trigger != Trigger::Schedule {
        return;
    }
    let subject = Subject::of_job(&run.slot.pair.policy, run.slot.scheduled_at);
    for receiver in decision.hearers(Cause::Run, &subject) {
        let key = ConditionKey::new(receiver, Cause::Run, &subject);
        job(decision, receiver, key, run, is_known);
    }
}

/// `count` of the condition is how many of its runs are open, `told_times` whether its start was told, `told_at` since
/// when it has failed; a reason stands in its content where it cannot succeed any more.
fn job(
    decision: &mut Decision<'_>,
    receiver: &Receiver,
    key: ConditionKey,
    run: &Run,
    is_known: bool,
) {
    let known = decision.known(&key).cloned();
    let is_followed = known.is_some();
    let mut job = known.unwrap_or_else(|| Condition::new(key, decision.facts.now));
    if !is_known {
        job.count += 1;
    } else if !is_followed {
        // It was due before anybody asked to be told, or before its job was over by failing.
        return;
    }
    let is_asked = run.attempts > 0;
    if is_asked && job.told_times == 0 {
        job.told_times = 1;
        let content = texts::of_job(decision.facts, run);
        decision.tell(receiver, &job, MessageState::Started, content);
    }
    if let Some(outcome) = run.outcome() {
        ended(decision, receiver, &mut job, run, outcome);
    }
    match (job.count, decision.known(&job.key)) {
        (0, Some(_)) => decision.forget(&job.key),
        (0, None) => {}
        (_, Some(before)) if *before == job => {}
        _ => decision.put(job),
    }
}

fn ended(
    decision: &mut Decision<'_>,
    receiver: &Receiver,
    job: &mut Condition,
    run: &Run,
    outcome: &Outcome,
) {
    let facts = decision.facts;
    job.count = job.count.saturating_sub(1);
    let is_ordered = match outcome {
        Outcome::Skipped => true,
        Outcome::Missed(missed) => missed.is_excused(),
        _ => false,
    };
    if is_ordered {
        job.content.reason = outcome.word().to_owned();
    } else if *outcome != Outcome::Available {
        job.content.reason = outcome.word().to_owned();
        if job.told_at.is_none() {
            job.told_at = Some(facts.now);
            let content = texts::of_run(facts, run, outcome);
            decision.tell(receiver, job, MessageState::Begun, content);
        }
    } else if job.count == 0 && job.content.reason.is_empty() {
        let content = texts::of_run(facts, run, outcome);
        decision.tell(receiver, job, MessageState::Over, content);
    }
}

/// Many slots that were missed in a row are one failure.
pub(super) fn of_range(decision: &mut Decision<'_>, range: &MissedRange) {
    let subject = Subject::of_job(&range.pair.policy, range.last_at);
    for receiver in decision.hearers(Cause::Run, &subject) {
        let key = ConditionKey::new(receiver, Cause::Run, &subject);
        if decision.known(&key).is_some() {
            continue;
        }
        let job = Condition::new(key, decision.facts.now);
        let content = texts::of_range(decision.facts, range);
        decision.tell(receiver, &job, MessageState::Begun, content);
    }
}
