//! The log's lines on what goes on: when it begins, when its cause is another, and when it is over.
//!
//! Owns: which line is written when. Never decides what an alarm is; its words are those of the page (`standing`).

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use tracing::{error, info, warn};

use crate::engine::Engine;
use crate::history::PairState;
use crate::observed::Observed;
use crate::outbox::Severity;
use crate::plan::Alarm;
use crate::refusals::has_accepted;
use crate::slot::{Scope, rfc3339};
use crate::standing::{over, words};
use redkeep_core::notify::cause_of;

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
            requests_per_second = rate,
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

/// Tells the alarms that have begun and those that are over.
pub(in crate::daemon) fn alarms(
    before: &BTreeMap<Alarm, String>,
    now: &BTreeMap<Alarm, String>,
    engine: &Engine,
    instant: DateTime<Utc>,
) {
    for (alarm, said) in now {
        if !before.contains_key(alarm) || is_other_cause(before, alarm, said, engine) {
            begun(alarm, said, engine);
        }
    }
    let over = before.keys().filter(|alarm| !now.contains_key(alarm));
    for alarm in over.filter(|alarm| is_watched(alarm, engine, instant)) {
        ended(alarm, engine);
    }
}

/// Whether a scope lacks credentials for another reason than before: that one is mended, and this one is next.
fn is_other_cause(
    before: &BTreeMap<Alarm, String>,
    alarm: &Alarm,
    said: &str,
    engine: &Engine,
) -> bool {
    let Alarm::Unreachable(scope) = alarm else {
        return false;
    };
    let view = engine.observed().scopes.get(scope);
    view.is_some_and(|view| view.lacks_credentials)
        && before.get(alarm).is_some_and(|before| before != said)
}

/// A line of the log on an alarm: its text, and of what it is.
macro_rules! line {
    ($level:ident, $alarm:expr, $engine:expr, $text:expr $(, $field:ident = $value:expr)*) => {{
        let (_, subject) = cause_of($alarm);
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
    let command = words.command.as_str();
    // A listing that fails once is no catastrophe; one that goes on failing is, and receivers hear of it then.
    let is_critical = cause_of(alarm).0.severity() == Severity::Critical
        && !matches!(alarm, Alarm::Unreachable(_));
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

/// What has ended an alarm happened at most so long before the daemon sees it.
const LATELY: TimeDelta = TimeDelta::minutes(5);

/// Whether what an alarm is about is still looked at. If not, its end is no good news but a change of the policy file.
fn is_watched(alarm: &Alarm, engine: &Engine, now: DateTime<Utc>) -> bool {
    match alarm {
        Alarm::QuotaNear(scope)
        | Alarm::QuotaReached(scope)
        | Alarm::ClockSkew(scope)
        | Alarm::Unreachable(scope)
        | Alarm::Unidentified(scope)
        | Alarm::HalfHeld(scope, _)
        | Alarm::SameAccount(scope) => engine.observed().scopes.contains_key(scope),
        // It may also be that nothing is asked for there any more.
        Alarm::AccessDenied(scope) => has_accepted(engine.history(), scope, now - LATELY),
        Alarm::RpoBreach(pair) | Alarm::NoSuchCluster(pair) => {
            let state = engine.history().pairs.get(pair);
            state.is_some_and(PairState::is_active)
        }
        Alarm::PruneBlocked(policy, _) | Alarm::ConfirmationLapsed(policy) => {
            engine.config().policy(policy).is_some()
        }
        Alarm::StillCreating(_)
        | Alarm::UnknownStatus(_)
        | Alarm::GuardRefused(_)
        | Alarm::LettingGo(_)
        | Alarm::OtherAccount(_) => true,
    }
}
