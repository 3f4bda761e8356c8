//! What follows from having changed a snapshot, or not having been let.
//!
//! Owns: the record of it, and when to try again. The next listing tells what is really there.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use super::account_number;
use super::events::is_of;
use crate::history::{Change, Extension, History};
use crate::observed::{Observed, Refused};
use crate::redshift::{Answer, ErrorClass};
use crate::snapshot::Snapshot;

/// When to ask again after a refusal that somebody has to mend.
const SLOWLY: TimeDelta = TimeDelta::minutes(10);
/// When to ask again after one that passes by itself.
const SOON: TimeDelta = TimeDelta::minutes(1);

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
    let refused = match &answer.result {
        Ok(snapshot) if is_of(run, history, snapshot, account.as_deref()) => None,
        Ok(_) => Some((SOON, "AWS answered with another snapshot".to_owned())),
        Err(error) => Some((pause(error.class), error.told())),
    };
    let (None, Ok(snapshot)) = (&refused, &answer.result) else {
        let (pause, message) = refused.unwrap_or_default();
        let until = now + pause;
        let refused = Refused { until, message };
        observed.refused.insert(slot.clone(), refused);
        return Vec::new();
    };
    observed.refused.remove(slot);
    // Until the listing comes, this is what is there.
    if let Some(listing) = &mut view.snapshots {
        let id = run.request.snapshot_id.clone();
        listing.by_id.insert(id, Arc::clone(snapshot));
    }
    let mut run = run.clone();
    run.snapshot = Some(Arc::clone(snapshot));
    // Where somebody else has seen to it meanwhile, nothing was changed.
    let days = snapshot.manual_snapshot_retention_period;
    let is_done = days.is_none_or(|days| days == extension.to.days_or_minus_one());
    let extended = is_done.then_some(Change::Extended(extension));
    let run = Change::Run(Box::new(run));
    extended.into_iter().chain([run]).collect()
}

fn pause(class: ErrorClass) -> TimeDelta {
    match class {
        ErrorClass::Throttled | ErrorClass::Unknown | ErrorClass::Unsent => SOON,
        _ => SLOWLY,
    }
}
