//! When to try again: the pace of asking, of looking and of listing.
//!
//! Owns: every delay of docs/semantics.md, section 2, as pure functions. Never waits and never decides whether
//! to try again at all. This is the only retry layer: the SDK makes one attempt a call.

use chrono::{DateTime, TimeDelta, Utc};

use crate::names::Trigger;
use crate::redshift::ErrorClass;
use crate::run::Run;
use crate::schedule::jitter;
use crate::slot::Scope;

const LONGEST_WAIT: TimeDelta = TimeDelta::minutes(5);
const FIRST_RETRY: TimeDelta = TimeDelta::seconds(15);
const LONGEST_DOUBT_LOOK: TimeDelta = TimeDelta::seconds(20);
const LONGEST_DOUBT: TimeDelta = TimeDelta::minutes(2);
const FIRST_LOOK: TimeDelta = TimeDelta::seconds(15);
const FIRST_WATCHED_LOOK: TimeDelta = TimeDelta::seconds(2);
const LONGEST_WATCHED_LOOK: TimeDelta = TimeDelta::seconds(30);
const SHORTEST: TimeDelta = TimeDelta::seconds(1);

/// When to ask AWS again after a refusal of `class` at `now`, the `times`th for the same reason in a row.
///
/// The wait is at most half of what remains until the deadline or the next slot, which would supersede this
/// one, so that a cluster that becomes available late still gets its snapshot.
pub fn ask_again_at(class: ErrorClass, times: u32, run: &Run, now: DateTime<Utc>) -> DateTime<Utc> {
    let deadline = run.request.deadline;
    let next_slot = Some(run.slot.scheduled_at + run.request.interval).filter(|next| *next > now);
    let end = next_slot.map_or(deadline, |next| next.min(deadline));
    now + refusal_delay(class, times, run)
        .min((end - now) / 2)
        .max(SHORTEST)
}

fn refusal_delay(class: ErrorClass, times: u32, run: &Run) -> TimeDelta {
    match class {
        ErrorClass::Throttled | ErrorClass::Unknown | ErrorClass::Unsent => {
            let seed = [run.slot.seed(), times.to_be_bytes().to_vec()].concat();
            SHORTEST + jitter(&seed, exponential(times))
        }
        ErrorClass::ClusterState | ErrorClass::ClusterNotFound if times == 1 => FIRST_RETRY,
        ErrorClass::ClusterState => TimeDelta::minutes(i64::from(times - 1).min(5)),
        ErrorClass::ClusterNotFound => TimeDelta::minutes(1),
        ErrorClass::Credentials if times == 1 => SHORTEST,
        ErrorClass::Quota => TimeDelta::minutes(30),
        ErrorClass::AccessDenied => SLOWLY,
        // These are slow to mend, or known to nobody.
        ErrorClass::Credentials
        | ErrorClass::ClockSkew
        | ErrorClass::AlreadyExists
        | ErrorClass::SnapshotNotFound
        | ErrorClass::Invalid
        | ErrorClass::Other => LONGEST_WAIT,
    }
}

/// Between two tries of what somebody has to mend first.
pub const SLOWLY: TimeDelta = TimeDelta::minutes(10);

/// 2ⁿ seconds, at most five minutes: the ceiling of full jitter.
fn exponential(attempts: u32) -> TimeDelta {
    TimeDelta::seconds(1_i64 << attempts.min(9)).min(LONGEST_WAIT)
}

/// Between two looks for a name of which the first did not tell what is to be known.
pub const LOOK_AGAIN: TimeDelta = TimeDelta::minutes(1);

/// When to list a scope again after `failures` failed listings in a row; scopes do not list in step.
pub fn list_again_at(scope: &Scope, failures: u32, now: DateTime<Utc>) -> DateTime<Utc> {
    let half = exponential(failures) / 2;
    now + half + jitter(format!("{scope} {failures}").as_bytes(), half).max(SHORTEST)
}

/// When to look for a run by its name again after `failures` looks in a row that AWS did not answer.
pub fn look_again_at(run: &Run, failures: u32, now: DateTime<Utc>) -> DateTime<Utc> {
    let half = exponential(failures) / 2;
    let seed = [run.slot.seed(), failures.to_be_bytes().to_vec()].concat();
    now + half + jitter(&seed, half).max(SHORTEST)
}

/// When to look at an accepted snapshot next: after 15 s, or a quarter of the interval if that is shorter,
/// then at growing distances up to five minutes.
///
/// Where a person may be watching, the first looks come after two seconds, and later ones after at most 30.
pub fn follow_at(run: &Run, now: DateTime<Utc>) -> DateTime<Utc> {
    let first = FIRST_LOOK.min(run.request.interval / 4).max(SHORTEST);
    let elapsed = run
        .accepted_at
        .map_or(TimeDelta::zero(), |accepted| now - accepted);
    match run.trigger {
        Trigger::Schedule => now + (elapsed / 2).clamp(first, LONGEST_WAIT),
        Trigger::Manual => now + (elapsed / 8).clamp(FIRST_WATCHED_LOOK, LONGEST_WATCHED_LOOK),
    }
}

/// When to look for a snapshot whose create call got no clear answer.
pub fn doubt_look_at(since: DateTime<Utc>, now: DateTime<Utc>) -> DateTime<Utc> {
    now + (now - since).clamp(SHORTEST, LONGEST_DOUBT_LOOK)
}

/// Until when a run in doubt since `since` is only looked for: two minutes, or a quarter of what is left of
/// the start window if that is shorter, since asking again under the same name does no harm.
pub fn doubt_ends_at(run: &Run, since: DateTime<Utc>) -> DateTime<Utc> {
    let remaining = (run.request.deadline - since).max(TimeDelta::zero());
    if remaining.is_zero() {
        return since + LONGEST_DOUBT;
    }
    since + LONGEST_DOUBT.min(remaining / 4)
}

/// How long the reason of a failed snapshot is asked for before something else is done: a second snapshot waits a
/// minute for it, and so does a run's end where IAM does not let the events be read.
pub const SHORT_EXPLANATION: TimeDelta = TimeDelta::minutes(1);

/// How long it is asked for where nothing else waits: AWS tells it a little later.
pub const LONG_EXPLANATION: TimeDelta = TimeDelta::minutes(15);

/// When to ask again for the reason of a snapshot that was seen to have failed at `since`; `None` once `patience`
/// is over.
pub fn explain_again_at(
    since: DateTime<Utc>,
    patience: TimeDelta,
    now: DateTime<Utc>,
) -> Option<DateTime<Utc>> {
    let wait = ((now - since) / 6).clamp(TimeDelta::seconds(10), TimeDelta::minutes(2));
    (now < since + patience).then(|| now + wait)
}
