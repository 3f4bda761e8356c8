//! What follows from an answer of AWS.
//!
//! Owns: taking an answer in, as changes of the history and of what is observed. Pure: the daemon makes the
//! call and hands its answer over with the instant at which it came. Never plans: what is to be done next
//! is read off the new history.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};

use crate::config::Config;
use crate::history::{Change, History};
use crate::names::ClusterId;
use crate::observed::{LISTING_INTERVAL, Listing, Observed, ScopeView, SnapshotListing};
use crate::redshift::{Answer, Cluster, ErrorClass, RedshiftError, SnapshotEvent};
use crate::retry;
use crate::run::{Event, Gone, GoneReason, Outcome, Phase, Run, RunState};
use crate::slot::{Scope, Slot};
use crate::snapshot::{Ownership, Snapshot, SnapshotId, ownership};

/// A snapshot that cannot be found so soon after AWS accepted it may still appear.
const PATIENCE: TimeDelta = TimeDelta::minutes(10);

/// How often a cluster that AWS does not find is asked for.
const NOT_FOUND_TRIES: u32 = 3;

/// The event of a failed snapshot ("Amazon Redshift event notifications").
const SNAPSHOT_FAILED_EVENT: &str = "3503";

/// The answer to a [`crate::plan::Call`].
#[derive(Debug)]
pub enum Reply {
    /// To [`crate::plan::Call::List`].
    Listed {
        /// The scope.
        scope: Scope,
        /// When the listing began.
        began_at: DateTime<Utc>,
        /// All clusters.
        clusters: Answer<Vec<Cluster>>,
        /// All manual snapshots.
        snapshots: Answer<Vec<Snapshot>>,
        /// The account's number, if it was asked for.
        account_number: Option<Answer<String>>,
    },
    /// To [`crate::plan::Call::Create`].
    Created(Slot, Answer<Snapshot>),
    /// To [`crate::plan::Call::Describe`].
    Described(Slot, Answer<Option<Snapshot>>),
    /// To [`crate::plan::Call::Explain`].
    Explained(Slot, Answer<Vec<SnapshotEvent>>),
}

/// Takes `reply` in: `observed` is brought up to date, the changes are for the caller to commit and apply.
pub fn take_in(
    reply: Reply,
    config: &Config,
    history: &History,
    observed: &mut Observed,
    now: DateTime<Utc>,
) -> Vec<Change> {
    match reply {
        Reply::Listed {
            scope,
            began_at,
            clusters,
            snapshots,
            account_number,
        } => {
            let Some(view) = observed.scopes.get_mut(&scope) else {
                return Vec::new();
            };
            note_account(view, account_number, now);
            note_listing(view, config, began_at, clusters, snapshots, now);
            let Some(listing) = view
                .snapshots
                .as_ref()
                .filter(|seen| seen.began_at == began_at)
            else {
                return Vec::new();
            };
            let account = view.account_number.as_deref();
            let look = Look {
                config,
                account,
                now,
                in_flight: &observed.in_flight,
            };
            look.match_runs(&scope, listing, history)
        }
        Reply::Created(slot, answer) => {
            one_run(slot, history, observed, &answer, now, |run, view| {
                created(run, view, &answer.result, now)
            })
        }
        Reply::Described(slot, answer) => {
            one_run(slot, history, observed, &answer, now, |run, view| {
                described(run, view, config, &answer.result, now)
            })
        }
        Reply::Explained(slot, answer) => {
            one_run(slot, history, observed, &answer, now, |run, _| {
                Some(explained(run, &answer.result, now))
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
    event: impl FnOnce(&Run, &mut ScopeView) -> Option<Event>,
) -> Vec<Change> {
    observed.in_flight.remove(&slot);
    let view = observed.scopes.get_mut(&slot.pair.scope);
    let (Some(run), Some(view)) = (history.runs.get(&slot), view) else {
        return Vec::new();
    };
    view.note_date(answer.server_date, now);
    event(run, view)
        .and_then(|event| change(run, event, now))
        .into_iter()
        .collect()
}

fn change(run: &Run, event: Event, now: DateTime<Utc>) -> Option<Change> {
    let next = run.clone().apply(event, now).ok()?;
    (next != *run).then(|| Change::Run(Box::new(next)))
}

fn note_account(view: &mut ScopeView, answer: Option<Answer<String>>, now: DateTime<Utc>) {
    if let Some(answer) = answer {
        view.note_date(answer.server_date, now);
        if let Ok(number) = answer.result {
            view.account_number = Some(number);
        }
    }
}

fn note_listing(
    view: &mut ScopeView,
    config: &Config,
    began_at: DateTime<Utc>,
    clusters: Answer<Vec<Cluster>>,
    snapshots: Answer<Vec<Snapshot>>,
    now: DateTime<Utc>,
) {
    view.note_date(clusters.server_date, now);
    view.note_date(snapshots.server_date, now);
    let trouble = [
        clusters.result.as_ref().err(),
        snapshots.result.as_ref().err(),
    ]
    .into_iter()
    .flatten()
    .next()
    .map(RedshiftError::told);
    if let Ok(clusters) = clusters.result {
        view.clusters = Some(by_id(clusters));
    }
    if let Ok(snapshots) = snapshots.result {
        view.snapshots = Some(listing(config, began_at, snapshots));
    }
    view.listing = match (&trouble, view.listing) {
        (None, _) => Listing::Next {
            at: now + LISTING_INTERVAL,
            failures: 0,
        },
        (Some(_), Listing::UnderWay { failures } | Listing::Next { failures, .. }) => {
            let failures = failures + 1;
            let at = retry::list_again_at(&began_at.to_string(), failures, now);
            Listing::Next { at, failures }
        }
    };
    if trouble.is_none() {
        view.reached_at = Some(now);
    }
    view.trouble = trouble;
}

fn by_id(clusters: Vec<Cluster>) -> BTreeMap<ClusterId, Cluster> {
    clusters
        .into_iter()
        .map(|cluster| (cluster.id.clone(), cluster))
        .collect()
}

fn listing(config: &Config, began_at: DateTime<Utc>, snapshots: Vec<Snapshot>) -> SnapshotListing {
    let prefix = format!("{}-", config.namespace);
    SnapshotListing {
        began_at,
        count: snapshots.len(),
        ours: snapshots
            .into_iter()
            .filter(|snapshot| snapshot.snapshot_identifier.starts_with(&prefix))
            .map(|snapshot| {
                (
                    SnapshotId::recorded(snapshot.snapshot_identifier.clone()),
                    snapshot,
                )
            })
            .collect(),
    }
}

/// A look at a complete listing.
struct Look<'a> {
    config: &'a Config,
    account: Option<&'a str>,
    now: DateTime<Utc>,
    in_flight: &'a std::collections::BTreeSet<Slot>,
}

impl Look<'_> {
    fn match_runs(
        &self,
        scope: &Scope,
        listing: &SnapshotListing,
        history: &History,
    ) -> Vec<Change> {
        history
            .runs
            .values()
            .filter(|run| run.slot.pair.scope == *scope && !self.in_flight.contains(&run.slot))
            .filter_map(|run| self.match_run(run, listing))
            .collect()
    }

    fn match_run(&self, run: &Run, listing: &SnapshotListing) -> Option<Change> {
        let found = listing.ours.get(&run.request.snapshot_id);
        match &run.state {
            RunState::Ended(_) if run.is_good() && found.is_none() => self.gone(run, listing),
            RunState::Ended(_) | RunState::Failing { .. } => None,
            _ => self
                .event(run, found, listing)
                .and_then(|event| change(run, event, self.now)),
        }
    }

    fn event(
        &self,
        run: &Run,
        found: Option<&Snapshot>,
        listing: &SnapshotListing,
    ) -> Option<Event> {
        if let Some(snapshot) = found {
            return Some(sighted(run, snapshot, self.config, self.account, self.now));
        }
        match &run.state {
            RunState::Creating { .. } => Some(not_seen(run, self.now)),
            RunState::Requested {
                phase: Phase::Judged { since, .. },
                ..
            } if listing.began_at >= *since => Some(Event::Absent),
            _ => None,
        }
    }

    /// A complete snapshot that a complete listing lacks is gone; soon after its making that may be a
    /// listing that lags behind.
    fn gone(&self, run: &Run, listing: &SnapshotListing) -> Option<Change> {
        let made_at = run.ended_at?;
        if listing.began_at < made_at + PATIENCE {
            return None;
        }
        let mut run = run.clone();
        let reason = match expires_at(&run) {
            Some(expiry) if expiry <= self.now => GoneReason::Expired,
            _ => GoneReason::Deleted,
        };
        run.gone = Some(Gone {
            at: self.now,
            reason,
        });
        Some(Change::Run(Box::new(run)))
    }
}

/// When AWS lets the snapshot go: the retention period counts from SnapshotRetentionStartTime.
fn expires_at(run: &Run) -> Option<DateTime<Utc>> {
    let snapshot = run.snapshot.as_ref()?;
    let days = snapshot
        .manual_snapshot_retention_period
        .unwrap_or_else(|| run.request.retention.days_or_minus_one());
    let from = snapshot.snapshot_retention_start_time.or(run.ended_at)?;
    (days > 0).then(|| from + TimeDelta::days(i64::from(days)))
}

fn sighted(
    run: &Run,
    snapshot: &Snapshot,
    config: &Config,
    account: Option<&str>,
    now: DateTime<Utc>,
) -> Event {
    match ownership(snapshot, &config.namespace, &run.slot, account) {
        Ownership::Foreign(what) if !run.is_creating() => Event::Contradicted { what },
        _ => seen(run, snapshot, now),
    }
}

fn seen(run: &Run, snapshot: &Snapshot, now: DateTime<Utc>) -> Event {
    Event::Seen {
        snapshot: Box::new(snapshot.clone()),
        look_at: retry::follow_at(run, now),
    }
}

fn not_seen(run: &Run, now: DateTime<Utc>) -> Event {
    let accepted = run.accepted_at.unwrap_or(now);
    if now < accepted + PATIENCE {
        Event::NotSeen {
            look_at: retry::follow_at(run, now),
        }
    } else {
        Event::Vanished
    }
}

fn created(
    run: &Run,
    view: &mut ScopeView,
    result: &Result<Snapshot, RedshiftError>,
    now: DateTime<Utc>,
) -> Option<Event> {
    let error = match result {
        Ok(snapshot) => return Some(seen(run, snapshot, now)),
        Err(error) => error,
    };
    let message = error.told();
    Some(match error.class {
        ErrorClass::AlreadyExists => Event::Lost {
            look_at: now,
            message,
        },
        ErrorClass::Unknown => Event::Lost {
            look_at: retry::doubt_look_at(now, now),
            message,
        },
        ErrorClass::Invalid => judged(error),
        ErrorClass::ClusterNotFound if run.attempts >= NOT_FOUND_TRIES => judged(error),
        class => Event::Refused {
            retry_at: retry::ask_again_at(class, run, now),
            why: why(run, view, class, now),
            message,
        },
    })
}

fn judged(error: &RedshiftError) -> Event {
    Event::Judged {
        verdict: Outcome::Failed(error.class.reason().to_owned()),
        message: Some(error.told()),
    }
}

/// What stands in the way, for a cluster with its status; the next listing brings that up to date.
fn why(run: &Run, view: &mut ScopeView, class: ErrorClass, now: DateTime<Utc>) -> String {
    if class != ErrorClass::ClusterState {
        return class.reason().to_owned();
    }
    view.want_listing(now);
    let status = view
        .clusters
        .as_ref()
        .and_then(|clusters| clusters.get(&run.slot.pair.cluster))
        .map(|cluster| cluster.status.as_str())
        .filter(|status| *status != "available");
    match status {
        Some(status) => format!("cluster {status}"),
        None => class.reason().to_owned(),
    }
}

fn described(
    run: &Run,
    view: &ScopeView,
    config: &Config,
    result: &Result<Option<Snapshot>, RedshiftError>,
    now: DateTime<Utc>,
) -> Option<Event> {
    if let Ok(Some(snapshot)) = result {
        return Some(sighted(
            run,
            snapshot,
            config,
            view.account_number.as_deref(),
            now,
        ));
    }
    let RunState::Requested {
        phase: Phase::InDoubt { since, .. },
        ..
    } = &run.state
    else {
        return None;
    };
    let absent = result.is_ok();
    Some(if absent && now >= retry::doubt_ends_at(run, *since) {
        Event::NotAccepted { retry_at: now }
    } else {
        Event::StillLost {
            look_at: retry::doubt_look_at(*since, now),
        }
    })
}

fn explained(
    run: &Run,
    result: &Result<Vec<SnapshotEvent>, RedshiftError>,
    now: DateTime<Utc>,
) -> Event {
    let message = match result {
        Ok(events) => events
            .iter()
            .rev()
            .find(|event| event.id.ends_with(SNAPSHOT_FAILED_EVENT))
            .map_or_else(
                || "AWS gave no reason".to_owned(),
                |event| event.message.clone(),
            ),
        Err(error) => format!("the reason could not be read: {error}"),
    };
    let again =
        run.generation() == crate::snapshot::Generation::First && now < run.request.deadline;
    Event::Explained {
        message,
        retry_at: again.then(|| now + TimeDelta::seconds(1)),
    }
}
