//! The log's lines on what goes on: when it begins, when its cause is another, and when it is over.
//!
//! Owns: which line is written when. Never decides what an alarm is; its words are those of the page (`standing`).

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use tracing::{error, info, warn};

use crate::engine::Engine;
use crate::observed::Observed;
use crate::outbox::Severity;
use crate::plan::Alarm;
use crate::slot::{Scope, rfc3339};
use crate::standing::{over, words};
use crate::told::command;
use redkeep_core::notify::Course;

/// Tells where AWS has begun to throttle requests, and where the pace is back at its limit; those that are slow now.
pub(in crate::daemon) fn throttling(
    before: &BTreeSet<Scope>,
    observed: &Observed,
    now: DateTime<Utc>,
) -> BTreeSet<Scope> {
    let slowed = observed.scopes.iter();
    let slowed = slowed.filter(|(_, view)| view.budget.is_slowed(now));
    let slowed: BTreeSet<Scope> = slowed.map(|(scope, _)| scope.clone()).collect();
    for scope in slowed.difference(before) {
        let rate = observed.scopes.get(scope).map(|view| view.budget.pace(now));
        warn!(
            account = %scope.account,
            region = %scope.region,
            requests_per_second = rate.map(|rate| (rate * 10.0).round() / 10.0),
            "AWS throttles requests; redkeep sends half as many, and a quarter more each minute while AWS does not \
             throttle"
        );
    }
    for scope in before.difference(&slowed) {
        info!(
            account = %scope.account,
            region = %scope.region,
            "AWS no longer throttles requests; redkeep sends as many as max_requests_per_second allows"
        );
    }
    slowed
}

/// An alarm that the log has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::daemon) struct Logged {
    since: DateTime<Utc>,
    said: String,
}

/// Tells the alarms that have begun and those that are over; those that go on now. One of which nothing is known now, as
/// before the first answer after a reload, goes on.
pub(in crate::daemon) fn alarms(
    before: BTreeMap<Alarm, Logged>,
    there: &BTreeMap<Alarm, String>,
    engine: &Engine,
    now: DateTime<Utc>,
) -> BTreeMap<Alarm, Logged> {
    let mut logged = before;
    logged.retain(|alarm, one| {
        let gone = !there.contains_key(alarm);
        let course = gone.then(|| engine.course(alarm, one.since, now));
        if course == Some(Course::Over) {
            ended(alarm, engine);
        }
        course.is_none_or(|course| course == Course::GoesOn)
    });
    for (alarm, said) in there {
        let before = logged.get(alarm);
        if before.is_none_or(|before| is_other_cause(before, alarm, said, engine)) {
            begun(alarm, said, engine);
        }
        let since = before.map_or(now, |before| before.since);
        let said = said.clone();
        logged.insert(alarm.clone(), Logged { since, said });
    }
    logged
}

/// Whether a scope lacks credentials for another reason than before: that one is mended, and this one is next.
fn is_other_cause(before: &Logged, alarm: &Alarm, said: &str, engine: &Engine) -> bool {
    let Alarm::Unreachable(scope) = alarm else {
        return false;
    };
    let view = engine.observed().scopes.get(scope);
    view.is_some_and(|view| view.lacks_credentials) && before.said != said
}

/// A line of the log on an alarm: its text, and of what it is.
macro_rules! line {
    ($level:ident, $alarm:expr, $engine:expr, $text:expr $(, $field:ident = $value:expr)*) => {{
        let (_, subject) = $alarm.cause();
        let run = subject.slot().and_then(|slot| $engine.history().runs.get(&slot));
        $level!(
            policy = subject.policy.as_ref().map(display),
            cluster = subject.cluster.as_ref().map(display),
            scope = subject.scope().map(display),
            account = subject.account.as_ref().filter(|_| subject.region.is_none()).map(display),
            slot = subject.scheduled_at.map(rfc3339),
            snapshot = run.map(|run| display(&run.request.snapshot_id)),
            $($field = $value,)*
            "{}", $text
        )
    }};
}

fn begun(alarm: &Alarm, said: &str, engine: &Engine) {
    let words = words(alarm, engine.history());
    let reason = (!said.is_empty()).then_some(said);
    let command = command::whole(&words.command);
    let command = command.as_ref();
    // A listing that fails once is no catastrophe; one that goes on failing is, and receivers hear of it then.
    let is_critical =
        alarm.cause().0.severity() == Severity::Critical && !matches!(alarm, Alarm::Unreachable(_));
    match is_critical {
        true => line!(
            error,
            alarm,
            engine,
            words.what,
            reason = reason,
            command = command
        ),
        false => line!(
            warn,
            alarm,
            engine,
            words.what,
            reason = reason,
            command = command
        ),
    }
}

fn ended(alarm: &Alarm, engine: &Engine) {
    if let Some(text) = over(alarm) {
        line!(info, alarm, engine, text);
    }
}
