//! What a look for a run's snapshot by its name means.
//!
//! Owns: telling the snapshot of that name that is the run's from all others, the end of a doubt, and the last word on a
//! snapshot that a listing lacks. Absence is believed only in the right account, and only so long after AWS accepted that
//! nothing can lag behind any more.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use super::events::{is_of, sighted};
use super::listing::{Named, named, note_number};
use super::look::{self, is_late};
use super::{Described, account_number, change};
use crate::history::{Change, History};
use crate::observed::{Missing, Observed};
use crate::redshift::{Answer, RedshiftError};
use crate::retry;
use crate::run::{Event, Run, RunState};
use crate::snapshot::Snapshot;

/// Between two looks for a snapshot that is missing, where the first told nothing.
const LOOK_AGAIN: TimeDelta = TimeDelta::minutes(1);

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
    let is_identified = is_identified(told.as_ref(), account, view.is_identified);
    let is_listed = view.trouble.is_none();
    let change = match found(run, history, &snapshots.result, account) {
        Named::One(snapshot) => {
            observed.missing.remove(&slot);
            if !run.is_ended() {
                change(run, sighted(run, history, snapshot, account, now), now)
            } else if run.has_snapshot() {
                look::described_anew(run, snapshot)
            } else {
                look::turned_up(run, history, snapshot, (account, began_at))
            }
        }
        Named::None if run.is_creating() || run.has_snapshot() => {
            let missing = observed.missing.entry(slot).or_insert(Missing {
                look_at: now,
                is_late: false,
                is_absent: false,
            });
            if !is_identified {
                missing.look_at = now + LOOK_AGAIN;
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
        Named::None | Named::Unclear => {
            if let Some(missing) = observed.missing.get_mut(&slot) {
                missing.look_at = now + LOOK_AGAIN;
            }
            doubt(run, now).and_then(|event| change(run, event, now))
        }
    };
    change.into_iter().collect()
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
        false => now + LOOK_AGAIN,
    }
}

fn absent(run: &Run, is_sure: bool, now: DateTime<Utc>) -> Option<Change> {
    match (run.is_creating(), is_sure) {
        (true, true) => change(run, Event::Vanished, now),
        (true, false) => change(run, look::not_seen(run, now), now),
        (false, true) => look::gone(run, now),
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
