//! What follows from an answer of AWS.
//!
//! Owns: taking an answer in, as changes of the history and of what is observed; `events` tells what it means for the
//! run that asked, `described` what a look by a name means, `listing` takes a listing in, `look` matches it with the runs, `adopt` makes runs of the snapshots
//! that have none. Pure: the daemon makes the call and hands its
//! answer over with the instant at which it came. Never plans: what is to be done next is read off the new history.

mod adopt;
mod described;
mod events;
mod extend;
mod listing;
mod named;
mod operations;
mod reconcile;

pub use operations::Removed;

use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::history::{Change, Extension, History};
use crate::names::{AccountName, Writer};
use crate::observed::{Observed, ScopeView};
use crate::operations::{Removal, SnapshotAction};
use crate::redshift::{Answer, Cluster, ErrorClass, SnapshotEvent};
use crate::run::{Event, Run};
use crate::settings::Config;
use crate::slot::{Scope, Slot};
use crate::snapshot::Snapshot;

/// The answer to a [`crate::plan::Call`].
#[derive(Debug)]
pub enum Reply {
    /// To [`crate::plan::Call::List`].
    Listed(Box<Listed>),
    /// To [`crate::plan::Call::Create`].
    Created(Slot, Answer<Arc<Snapshot>>),
    /// To [`crate::plan::Call::Describe`].
    Described(Box<Described>),
    /// To [`crate::plan::Call::Extend`].
    Extended(Box<Extension>, Answer<Arc<Snapshot>>),
    /// To [`crate::plan::Call::Explain`].
    Explained(Slot, Answer<Vec<SnapshotEvent>>),
    /// To [`crate::plan::Call::Remove`].
    Removed(Box<Removal>, Answer<Removed>),
    /// To [`crate::plan::Call::SnapshotAction`]: the snapshot as it is now, and what is to be said.
    Done(Box<SnapshotAction>, Answer<(Arc<Snapshot>, String)>),
}

impl Reply {
    /// The scope in which the call was made.
    pub fn scope(&self) -> &Scope {
        let slot = match self {
            Self::Listed(listed) => return &listed.scope,
            Self::Created(slot, _) | Self::Explained(slot, _) => slot,
            Self::Described(described) => &described.slot,
            Self::Extended(extension, _) => &extension.slot,
            Self::Removed(removal, _) => &removal.slot,
            Self::Done(action, _) => &action.slot,
        };
        &slot.pair.scope
    }

    /// The run that alone the answer is about: it changes nothing of others.
    pub(crate) fn run(&self) -> Option<&Slot> {
        match self {
            Self::Created(slot, _) | Self::Explained(slot, _) => Some(slot),
            Self::Described(described) => Some(&described.slot),
            _ => None,
        }
    }

    /// Whether AWS has throttled a request of the call.
    fn is_throttled(&self) -> bool {
        fn of<T>(answer: &Answer<T>) -> bool {
            let error = answer.result.as_ref().err();
            error.is_some_and(|error| error.class == ErrorClass::Throttled)
        }
        match self {
            Self::Listed(listed) => of(&listed.clusters) || of(&listed.snapshots),
            Self::Created(_, answer) => of(answer),
            Self::Explained(_, answer) => of(answer),
            Self::Described(described) => of(&described.snapshots),
            Self::Extended(_, answer) => of(answer),
            Self::Removed(_, answer) => of(answer),
            Self::Done(_, answer) => of(answer),
        }
    }
}

/// The answers to the requests of one listing.
#[derive(Debug)]
pub struct Listed {
    /// The scope.
    pub scope: Scope,
    /// When the listing began.
    pub began_at: DateTime<Utc>,
    /// All clusters.
    pub clusters: Answer<Vec<Cluster>>,
    /// All manual snapshots.
    pub snapshots: Answer<Vec<Arc<Snapshot>>>,
    /// The account's number, if it was asked for.
    pub account_number: Option<Answer<String>>,
}

/// The answer to a look for a run's snapshot by its name.
#[derive(Debug)]
pub struct Described {
    /// The run's slot.
    pub slot: Slot,
    /// When the look began.
    pub began_at: DateTime<Utc>,
    /// The snapshots of that name.
    pub snapshots: Answer<Vec<Arc<Snapshot>>>,
    /// The account's number as of after the look, if it was asked for.
    pub account_number: Option<Answer<String>>,
}

/// What is known before an answer.
#[derive(Debug, Clone, Copy)]
pub struct ReplyContext<'a> {
    /// The configuration.
    pub config: &'a Config,
    /// The past.
    pub history: &'a History,
    /// This installation.
    pub writer: &'a Writer,
    /// Whether the store has everything, and takes what this instance decides.
    pub is_written: bool,
}

/// Takes `reply` in: `observed` is brought up to date, the changes are for the caller to commit and apply.
pub fn take_in(
    reply: Reply,
    known: ReplyContext<'_>,
    observed: &mut Observed,
    now: DateTime<Utc>,
) -> Vec<Change> {
    let history = known.history;
    if reply.is_throttled()
        && let Some(view) = observed.scopes.get_mut(reply.scope())
    {
        view.budget = view.budget.throttled(now);
    }
    match reply {
        Reply::Listed(listed) => listing::taken_in(*listed, known, observed, now),
        Reply::Created(slot, answer) => one_run(
            slot,
            history,
            observed,
            &answer,
            now,
            |run, view, account| {
                events::created(run, history, (view, account), &answer.result, now)
            },
        ),
        Reply::Described(answer) => described::taken_in(*answer, history, observed, now),
        Reply::Extended(extension, answer) => {
            extend::extended(*extension, answer, history, observed, now)
        }
        Reply::Removed(removal, answer) => {
            operations::removed(*removal, answer, history, observed, now)
        }
        Reply::Done(action, answer) => {
            operations::action_done(*action, answer, history, observed, now)
        }
        Reply::Explained(slot, answer) => {
            one_run(slot, history, observed, &answer, now, |run, view, _| {
                events::explained(run, view, &answer.result, now)
            })
        }
    }
}

fn one_run<T>(
    slot: Slot,
    history: &History,
    observed: &mut Observed,
    answer: &Answer<T>,
    now: DateTime<Utc>,
    event: impl FnOnce(&Run, &mut ScopeView, Option<&str>) -> Option<Event>,
) -> Vec<Change> {
    observed.in_flight.remove(&slot);
    let account = account_number(&slot.pair.scope.account, history, observed);
    let view = observed.scopes.get_mut(&slot.pair.scope);
    let (Some(run), Some(view)) = (history.runs.get(&slot), view) else {
        return Vec::new();
    };
    view.note_date(answer.server_date, now);
    event(run, view, account.as_deref())
        .and_then(|event| change(run, event, now))
        .into_iter()
        .collect()
}

/// The change that an event makes; an event that comes too late makes none.
fn change(run: &Run, event: Event, now: DateTime<Utc>) -> Option<Change> {
    let next = run.clone().apply(event, now)?;
    (next != *run).then(|| Change::Run(Box::new(next)))
}

/// The number of an account, as its credentials tell or as the history remembers.
fn account_number(account: &AccountName, history: &History, observed: &Observed) -> Option<String> {
    let remembered = || history.account_numbers.get(account).map(String::as_str);
    observed
        .account_number(account)
        .or_else(remembered)
        .map(str::to_owned)
}
