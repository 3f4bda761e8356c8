//! What follows from having changed a snapshot, or not having been let.
//!
//! Owns: the record of it, and when to try again. The next listing tells what is really there.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use super::account_number;
use super::events::is_of;
use crate::history::{Change, Extension, History};
use crate::observed::{Backoff, Observed};
use crate::redshift::{Answer, ErrorClass};
use crate::retention::guard::is_still_needed;
use crate::retry::SLOWLY;
use crate::snapshot::Snapshot;

/// When to ask again after a refusal that passes by itself.
const RETRY_INTERVAL: TimeDelta = TimeDelta::minutes(1);

/// Takes the answer to a call that was to put off a snapshot's end.
pub(super) fn extended(
    extension: Extension,
    answer: Answer<Arc<Snapshot>>,
    history: &History,
    observed: &mut Observed,
    now: DateTime<Utc>,
) -> Vec<Change> {
    let slot = &extension.slot;
    observed.in_flight.remove(slot);
    let account = account_number(&slot.pair.scope.account, history, observed);
    let Some(view) = observed.scopes.get_mut(&slot.pair.scope) else {
        return Vec::new();
    };
    view.note_date(answer.server_date, now);
    view.want_listing(now);
    let Some(run) = history.runs.get(slot) else {
        return Vec::new();
    };
    let changed = match &answer.result {
        Ok(snapshot) if is_of(run, history, snapshot, account.as_deref()) => Ok(snapshot),
        Ok(_) => Err((
            RETRY_INTERVAL,
            "AWS answered about another snapshot".to_owned(),
        )),
        Err(error) => Err((pause(error.class), error.told())),
    };
    note(&extension, &changed, observed, now);
    let (Ok(snapshot), Some(view)) = (changed, observed.scopes.get_mut(&slot.pair.scope)) else {
        return Vec::new();
    };
    // Until the listing comes, this is what is there.
    if let Some(listing) = &mut view.snapshots {
        listing.put(snapshot);
    }
    let mut run = run.clone();
    run.snapshot = Some(Arc::clone(snapshot).into());
    // Where somebody else has seen to it meanwhile, nothing was changed.
    let days = snapshot.manual_snapshot_retention_period;
    let is_done = days.is_none_or(|days| days == extension.to.days_or_minus_one());
    let extended = is_done.then_some(Change::Extended(extension));
    let run = Change::Run(Box::new(run));
    extended.into_iter().chain([run]).collect()
}

/// Notes until when the snapshot is let be, and what stands in the way. An answer by which nothing has changed is no
/// better than a refusal: the same call would be answered the same.
fn note(
    extension: &Extension,
    changed: &Result<&Arc<Snapshot>, (TimeDelta, String)>,
    observed: &mut Observed,
    now: DateTime<Utc>,
) {
    let (pause, trouble) = match changed {
        Err((pause, told)) => (*pause, Some(told.clone())),
        Ok(snapshot) if is_still_needed(snapshot, extension.to) => {
            let period = snapshot.manual_snapshot_retention_period;
            let period = period.unwrap_or_default();
            let told = format!("AWS answered, but the period is still {period}d");
            (SLOWLY, Some(told))
        }
        Ok(_) => (SLOWLY, None),
    };
    let until = now + pause;
    observed.seen_to.retain(|_, until| *until > now);
    observed.seen_to.insert(extension.slot.clone(), until);
    observed.refused.remove(&extension.slot);
    let refused = trouble.map(|message| (extension.slot.clone(), Backoff { until, message }));
    observed.refused.extend(refused);
}

fn pause(class: ErrorClass) -> TimeDelta {
    match class.is_transient() {
        true => RETRY_INTERVAL,
        false => SLOWLY,
    }
}
