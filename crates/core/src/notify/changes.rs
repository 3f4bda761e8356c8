//! What a change of the history tells the receivers.
//!
//! Owns: which changes begin or end a condition. Costs in proportion to the changes, whatever the size of the fleet.

use super::decision::{Decision, Seen};
use super::{pings, texts};
use crate::history::{Change, Extension, MissedRange};
use crate::outbox::{Cause, ConditionKey, Subject};
use crate::plan::Facts;
use crate::run::{Outcome, Run};
use crate::slot::Pair;

/// What the next good snapshot of a pair ends.
const UNTIL_GOOD: [Cause; 5] = [
    Cause::Failed,
    Cause::Expired,
    Cause::Missed,
    Cause::Conflict,
    Cause::GuardWorks,
];

pub(super) fn told(facts: Facts<'_>, changes: &[Change]) -> Vec<Change> {
    let mut decision = Decision::new(facts);
    let mut changes: Vec<&Change> = changes.iter().collect();
    // Of slots that ended together the newest says how it stands.
    changes.sort_by_key(|change| match change {
        Change::Run(run) => Some(run.slot.scheduled_at),
        Change::Missed(range) => Some(range.last_at),
        _ => None,
    });
    for change in changes {
        match change {
            Change::Run(run) => of_run(&mut decision, run),
            Change::Missed(range) => of_range(&mut decision, range),
            Change::Extended(extension) => of_extension(&mut decision, extension),
            // What was found at AWS is no news of this installation.
            _ => {}
        }
    }
    decision.into_changes()
}

fn of_run(decision: &mut Decision<'_>, run: &Run) {
    let before = decision.facts.history.runs.get(&run.slot);
    if before.is_some_and(Run::is_ended) {
        return;
    }
    pings::of_run(decision, run, before.is_some());
    let Some(outcome) = run.outcome() else { return };
    if *outcome == Outcome::Available {
        return of_good(decision, run);
    }
    if let Some(cause) = cause(outcome) {
        let subject = Subject::from(&run.slot.pair);
        let facts = decision.facts;
        let content = || texts::of_run(facts, run, outcome);
        decision.begin((cause, &subject), Seen::Happened, content);
    }
}

/// What was ordered is no news.
fn cause(outcome: &Outcome) -> Option<Cause> {
    match outcome {
        Outcome::Failed(_) => Some(Cause::Failed),
        Outcome::Expired(_) => Some(Cause::Expired),
        Outcome::Conflict(_) => Some(Cause::Conflict),
        Outcome::Missed(missed) => (!missed.is_excused()).then_some(Cause::Missed),
        Outcome::Available | Outcome::Skipped => None,
    }
}

fn of_good(decision: &mut Decision<'_>, run: &Run) {
    for cause in UNTIL_GOOD {
        for key in keys(decision, cause, &run.slot.pair) {
            let facts = decision.facts;
            let good = texts::of_run(facts, run, &Outcome::Available);
            decision.end(&key, |begun| texts::recovered(begun, good));
        }
    }
}

/// The keys under which receivers may know a condition of the pair. One that was told is over for everybody who was told,
/// whatever the receiver hears by now.
fn keys(decision: &Decision<'_>, cause: Cause, pair: &Pair) -> Vec<ConditionKey> {
    let receivers = decision.facts.config.receivers.iter();
    let subject = Subject::from(pair);
    let keys = receivers.map(|receiver| ConditionKey::new(receiver, cause, &subject));
    keys.filter(|key| decision.known(key).is_some()).collect()
}

fn of_range(decision: &mut Decision<'_>, range: &MissedRange) {
    if range.reason.is_excused() {
        return;
    }
    pings::of_range(decision, range);
    let subject = Subject::from(&range.pair);
    let facts = decision.facts;
    let content = || texts::of_range(facts, range);
    decision.begin((Cause::Missed, &subject), Seen::Happened, content);
}

fn of_extension(decision: &mut Decision<'_>, extension: &Extension) {
    let subject = Subject::from(&extension.slot.pair);
    let facts = decision.facts;
    let content = || texts::of_extension(facts, extension);
    decision.begin((Cause::GuardWorks, &subject), Seen::Happened, content);
}
