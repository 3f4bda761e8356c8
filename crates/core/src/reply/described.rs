//! What a look for a run's snapshot by its name means.
//!
//! Owns: telling the snapshot of that name that is the run's from all others, the end of a doubt, and the last word on a
//! snapshot that a listing lacks. Absence is believed only in the right account, and only so long after AWS accepted that
//! nothing can lag behind any more.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use super::events::{is_of, sighted};
use super::listing::note_number;
use super::named::{Named, named};
use super::reconcile::{self, is_late};
use super::{Described, account_number, change};
use crate::history::{Change, History};
use crate::observed::{Look, Missing, Observed};
use crate::redshift::{Answer, ErrorClass, RedshiftError};
use crate::retry;
use crate::run::{Event, Run, RunState};
use crate::slot::Slot;
use crate::snapshot::Snapshot;

/// After so long of looks that AWS does not answer, a slot that AWS was never asked for ends without one.
const LOOK_PATIENCE: TimeDelta = TimeDelta::minutes(10);

/// Takes the answer in.
pub(super) fn taken_in(
    described: Described,
    history: &History,
    observed: &mut Observed,
    now: DateTime<Utc>,
) -> Vec<Change> {
    let Described {
        slot,
        began_at,
        snapshots,
        account_number: told,
    } = described;
    observed.in_flight.remove(&slot);
    if let Some(Ok(number)) = told.as_ref().map(|answer| &answer.result) {
        note_number(&slot.pair.scope, number, history, observed);
    }
    let account = account_number(&slot.pair.scope.account, history, observed);
    let account = account.as_deref();
    let view = observed.scopes.get_mut(&slot.pair.scope);
    let (Some(run), Some(view)) = (history.runs.get(&slot), view) else {
        return Vec::new();
    };
    view.note_date(snapshots.server_date, now);
    if let Some(answer) = &told {
        view.note_date(answer.server_date, now);
    }
    if view.is_other_account() {
        // What another account has or lacks says nothing of this run.
        return Vec::new();
    }
    let is_answered = snapshots.result.is_ok();
    note_look(run, (began_at, is_answered), &mut observed.looks, now);
    let is_identified = is_identified(told.as_ref(), account, view.is_identified);
    let is_listed = view.trouble.is_none();
    let change = match found(run, history, &snapshots.result, account) {
        Named::One(snapshot) => {
            observed.missing.remove(&slot);
            seen(run, history, snapshot, (account, began_at), now)
        }
        Named::None if run.is_creating() || run.has_snapshot() => {
            let missing = observed.missing.entry(slot).or_insert(Missing {
                look_at: now,
                is_late: false,
                is_absent: false,
            });
            if !is_identified {
                missing.look_at = now + retry::LOOK_AGAIN;
                return Vec::new();
            }
            missing.is_absent = true;
            missing.look_at = next_look(run, now);
            // Where nothing can be listed, the look for the name alone has to do.
            let is_sure = is_late(run, began_at, now) && (missing.is_late || !is_listed);
            if is_sure {
                observed.missing.remove(&run.slot);
            }
            absent(run, is_sure, now)
        }
        Named::None if is_judged_before(run, began_at) && is_identified => {
            change(run, Event::Absent, now)
        }
        Named::Unclear if ends_unseen(run, &snapshots.result, now) => {
            change(run, Event::Absent, now)
        }
        Named::None | Named::Unclear => {
            if let Some(missing) = observed.missing.get_mut(&slot) {
                missing.look_at = now + retry::LOOK_AGAIN;
            }
            doubt(run, now).and_then(|event| change(run, event, now))
        }
    };
    if matches!(&change, Some(Change::Run(run)) if run.is_ended()) {
        observed.looks.remove(&run.slot);
    }
    change.into_iter().collect()
}

/// What follows from having found the run's snapshot.
fn seen(
    run: &Run,
    history: &History,
    snapshot: &Arc<Snapshot>,
    (account, began_at): (Option<&str>, DateTime<Utc>),
    now: DateTime<Utc>,
) -> Option<Change> {
    if !run.is_ended() {
        change(run, sighted(run, history, snapshot, account, now), now)
    } else if run.has_snapshot() {
        reconcile::described_anew(run, snapshot)
    } else {
        reconcile::turned_up(run, history, snapshot, (account, began_at))
    }
}

/// Keeps when the run was looked for, and when it is looked for next if nothing can be listed until then.
fn note_look(
    run: &Run,
    (began_at, is_answered): (DateTime<Utc>, bool),
    looks: &mut BTreeMap<Slot, Look>,
    now: DateTime<Utc>,
) {
    let before = looks.get(&run.slot).copied();
    let failures = match is_answered {
        true => 0,
        false => before.map_or(0, |before| before.failures) + 1,
    };
    let again_at = match is_answered {
        // The run's own pace comes after that.
        true => now + TimeDelta::seconds(1),
        false => retry::look_again_at(run, failures, now),
    };
    let told_before = before.and_then(|before| before.told_at);
    let told_at = is_answered.then_some(began_at).max(told_before);
    let look = Look {
        told_at,
        failures,
        again_at,
    };
    looks.insert(run.slot.clone(), look);
}

/// Whether the run was to end without a snapshot before the look began.
fn is_judged_before(run: &Run, began_at: DateTime<Utc>) -> bool {
    matches!(run.state, RunState::Concluding { since, .. } if since <= began_at)
}

/// Whether a slot that AWS was never asked for ends though nobody can look for its snapshot: where IAM denies that, or
/// for long. Should another host have made one, it is recorded beside the outcome when it is seen.
fn ends_unseen(
    run: &Run,
    result: &Result<Vec<Arc<Snapshot>>, RedshiftError>,
    now: DateTime<Utc>,
) -> bool {
    let (RunState::Concluding { since, .. }, Err(error)) = (&run.state, result) else {
        return false;
    };
    let is_denied = error.class == ErrorClass::AccessDenied;
    run.attempts == 0 && (is_denied || now >= *since + LOOK_PATIENCE)
}

/// Whether the look is known to be in the account that the history is of. Where STS does not answer, the last listing has
/// to tell; where no number was ever told, there is none to differ from.
fn is_identified(told: Option<&Answer<String>>, account: Option<&str>, by_listing: bool) -> bool {
    match told.map(|answer| &answer.result) {
        // Another number bars the scope.
        Some(Ok(_)) => true,
        Some(Err(_)) => by_listing,
        None => account.is_none(),
    }
}

/// The snapshot that is the run's: while AWS makes it or has made it, another one in its place does not count.
fn found<'a>(
    run: &Run,
    history: &History,
    result: &'a Result<Vec<Arc<Snapshot>>, RedshiftError>,
    account: Option<&str>,
) -> Named<'a> {
    let Ok(snapshots) = result else {
        return Named::Unclear;
    };
    match named(snapshots, run.request.snapshot_id.as_str(), account) {
        Named::One(one) if is_accepted(run) && !is_of(run, history, one, account) => Named::None,
        found => found,
    }
}

fn is_accepted(run: &Run) -> bool {
    run.is_creating() || run.is_ended()
}

fn next_look(run: &Run, now: DateTime<Utc>) -> DateTime<Utc> {
    match run.is_creating() {
        true => retry::follow_at(run, now),
        false => now + retry::LOOK_AGAIN,
    }
}

fn absent(run: &Run, is_sure: bool, now: DateTime<Utc>) -> Option<Change> {
    match (run.is_creating(), is_sure) {
        (true, true) => change(run, Event::Vanished, now),
        (true, false) => change(run, reconcile::not_seen(run, now), now),
        (false, true) => reconcile::gone(run, now),
        (false, false) => None,
    }
}

/// What a look that found nothing means for a run in doubt.
fn doubt(run: &Run, now: DateTime<Utc>) -> Option<Event> {
    let RunState::InDoubt { since, .. } = &run.state else {
        return None;
    };
    // If looking fails for as long, asking again under the same name does no harm either.
    Some(if now >= retry::doubt_ends_at(run, *since) {
        Event::NotAccepted { retry_at: now }
    } else {
        Event::StillLost {
            look_at: retry::doubt_look_at(*since, now),
        }
    })
}
