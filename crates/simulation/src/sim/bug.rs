//! Bugs that are planted between the core and the rest, to see that the simulation catches them.
//!
//! Owns: what each bug does to a plan, a reply or a commit. Nothing of it is in the product.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use redkeep_core::engine::Engine;
use redkeep_core::history::{Change, Extension};
use redkeep_core::names::{Retention, Tags, Trigger};
use redkeep_core::plan::Call;
use redkeep_core::policy::Policy;
use redkeep_core::redshift::{CreateRequest, ErrorClass};
use redkeep_core::reply::Reply;
use redkeep_core::run::{GoneReason, Outcome, Run, RunState};
use redkeep_core::seen::Seen;
use redkeep_core::slot::{Pair, Slot};
use redkeep_core::snapshot::{Snapshot, SnapshotId};
use redkeep_policy_file::Config;

use super::host::Host;
use super::ledger::Ledger;

/// What no output may contain.
pub const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";

/// A planted bug.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bug {
    /// A slot becomes due and gets no run.
    NoRun,
    /// A create call goes out under a second name too.
    SecondName,
    /// The answer to a create call is read as a complete snapshot.
    EagerSuccess,
    /// A create call without a clear answer counts as never sent.
    Hasty,
    /// The intent is not committed before the call.
    CallFirst,
    /// An ended run gets another end.
    AnotherEnd,
    /// The watermark of a pair goes back by three days.
    WatermarkBack,
    /// A run's start window is a day longer than its policy says.
    LongWindow,
    /// Snapshots are looked for that nobody needs.
    Greedy,
    /// A slot is moved by an hour, as a mistake about summer time would.
    WrongHour,
    /// A row that was committed is not there at the next start.
    LostRow,
    /// What receivers were told is not known at the next start.
    ForgottenTold,
    /// A run in doubt is forgotten.
    ForgottenDoubt,
    /// Something else than the seed has a say.
    Entropy,
    /// An ended run is counted twice.
    CountedTwice,
    /// A run's message has a secret in it.
    Leak,
    /// A snapshot that somebody deleted is asked for again.
    Remake,
    /// A new pair begins a day before it was made.
    BackFill,
    /// A snapshot that is somebody else's is kept for longer.
    Meddle,
    /// `min_good` and `keep_last` are read as 1.
    KeepsOne,
    /// What is to be removed is in no plan that is logged.
    Unlogged,
    /// The last complete listing is taken to be of now, however old it is.
    StaleListing,
    /// The end of no snapshot is put off.
    NoGuard,
    /// A run is given up without a look at what is there.
    BlindVerdict,
    /// What was refused is tried again at once.
    Impatient,
    /// What AWS refuses for the quota or the permission is asked for again a moment later.
    Pressing,
    /// The snapshot of another run is taken for a run's own.
    CrossedAnswer,
    /// A look proves what is not there, whenever it began.
    EarlyAbsence,
    /// A snapshot of another account with the same policy, cluster and slot is taken for recorded.
    ShortKey,
    /// What came before an edit is taken for done.
    ForgottenEdit,
    /// A slot is skipped while a snapshot by hand is being made.
    BehindByHand,
    /// What has changed is not planned before the half minute is over.
    LostMark,
    /// The instants that scopes wait for are lost.
    LostWake,
    /// What is known of runs that wait is lost.
    StaleIndex,
    /// The last look before a change does not show that somebody holds the snapshot.
    UnseenHold,
    /// The fence of a commit looks at the lease without locking its row.
    NoLock,
    /// An instance is known by its host, and not by its process.
    HolderIsHost,
    /// Leases are counted by the wall clock.
    WallClock,
    /// What was not written in a term that is over is written in the next one.
    LateJournal,
    /// An instance that works without the database writes what it has decided.
    OrphanWrites,
    /// A term removes snapshots from its beginning on.
    PrunesAtOnce,
}

impl Bug {
    /// What it does to the configuration that the core reads.
    pub fn bend_config(self, config: &mut Config) {
        if self == Self::EarlyAbsence {
            let policies = config.policies.iter_mut();
            policies.for_each(|policy| policy.protection.keep_last = None);
        }
        for policy in config
            .policies
            .iter_mut()
            .filter(|_| self == Self::KeepsOne)
        {
            policy.protection.min_good = 1;
            policy.protection.keep_last = policy.protection.keep_last.map(|_| 1);
        }
    }

    /// What it does to what the engine knows.
    pub fn bend_engine(self, engine: &mut Engine, now: DateTime<Utc>) {
        match self {
            Self::LostMark => return engine.lose_marks(),
            Self::LostWake => return engine.lose_wakes(),
            Self::StaleIndex => return engine.lose_index(),
            Self::ForgottenEdit | Self::Impatient | Self::Pressing | Self::StaleListing => {}
            _ => return,
        }
        let (config, history, observed) = engine.falsify();
        if self == Self::ForgottenEdit {
            for (pair, state) in &mut history.pairs {
                let policy = config.policy(&pair.policy);
                let edited = |policy: &Policy| policy.schedule.expression() != state.schedule;
                if policy.is_some_and(edited) {
                    state.watermark = state.watermark.max(now);
                }
            }
        }
        if self == Self::Impatient {
            observed.refused.clear();
            observed.action_trouble.clear();
        }
        let waiting: Vec<Run> = match self {
            Self::Pressing => history
                .open()
                .filter(|run| run.waits_for_acceptance())
                .cloned()
                .collect(),
            _ => Vec::new(),
        };
        for mut run in waiting {
            if let RunState::Waiting { until, .. } = &mut run.state {
                *until = now.min(*until);
            }
            history.insert(run);
        }
        let views = observed.scopes.values_mut();
        for view in views.filter(|_| self == Self::StaleListing) {
            if let Some(listing) = &mut view.snapshots {
                listing.began_at = now;
            }
        }
    }

    /// What it does to a call: none, the same, or more.
    pub fn bend_call(self, call: Call, host: &Host, now: DateTime<Utc>) -> Vec<Call> {
        let is_listing = matches!(call, Call::List { .. });
        let more = match self {
            Self::SecondName => under_a_second_name(&call).into_iter().collect(),
            // Once a minute or so.
            Self::Greedy if is_listing => looks_for_nothing(&call, host),
            Self::Remake if is_listing => remade(host).into_iter().collect(),
            Self::Meddle if is_listing => meddling(host, now).into_iter().collect(),
            Self::ForgottenDoubt if matches!(call, Call::Describe { .. }) => return Vec::new(),
            Self::NoGuard if matches!(call, Call::Extend { .. }) => return Vec::new(),
            Self::BehindByHand if is_skipped(&call, host) => return Vec::new(),
            _ => Vec::new(),
        };
        std::iter::once(call).chain(more).collect()
    }

    /// What it does to an answer.
    pub fn bend_reply(self, reply: &mut Reply) {
        if let (Self::EarlyAbsence, Reply::Listed(listed)) = (self, &mut *reply) {
            listed.began_at += TimeDelta::minutes(30);
        }
        if let (Self::EarlyAbsence, Reply::Described(described)) = (self, &mut *reply) {
            described.began_at += TimeDelta::minutes(30);
        }
        if let (Self::Hasty, Reply::Created(_, answer)) = (self, &mut *reply)
            && let Err(error) = &mut answer.result
            && error.class == ErrorClass::Unknown
        {
            error.class = ErrorClass::Unsent;
        }
        if let (Self::EagerSuccess, Reply::Created(_, answer)) = (self, reply)
            && let Ok(snapshot) = &mut answer.result
        {
            let complete = Snapshot {
                status: Some("available".to_owned()),
                ..(**snapshot).clone()
            };
            *snapshot = Arc::new(complete);
        }
    }

    /// What it does to the changes that follow from an answer.
    pub fn bend_taken(self, changes: &mut Vec<Change>, ledger: &Ledger) {
        match self {
            Self::CrossedAnswer => changes.iter_mut().for_each(|change| {
                if let Change::Run(run) = change
                    && let Some(Seen::Whole(snapshot)) = &mut run.snapshot
                {
                    Arc::make_mut(snapshot)
                        .snapshot_identifier
                        .push_str("-other");
                }
            }),
            Self::ShortKey => changes.retain(|change| {
                let Change::Adopted(run) = change else {
                    return true;
                };
                let key = |slot: &Slot| {
                    let pair = &slot.pair;
                    (pair.policy.clone(), pair.cluster.clone(), slot.scheduled_at)
                };
                let mut others = ledger.runs.keys();
                !others.any(|slot| *slot != run.slot && key(slot) == key(&run.slot))
            }),
            _ => {}
        }
    }

    /// What it does to changes on their way to the store.
    pub fn bend_changes(self, changes: &mut Vec<Change>, host: &Host, now: DateTime<Utc>) {
        let ended = |change: &&Change| matches!(change, Change::Run(run) if run.is_ended());
        match self {
            Self::NoRun => changes.retain(|change| !is_due(change)),
            Self::CallFirst => changes.retain(|change| !is_asking(change)),
            Self::AnotherEnd => {
                let other = changes.iter().filter(ended).cloned().map(other_end);
                let other: Vec<Change> = other.collect();
                changes.extend(other);
            }
            _ => changes
                .iter_mut()
                .for_each(|change| self.bend_change(change, host, now)),
        }
    }

    fn bend_change(self, change: &mut Change, host: &Host, now: DateTime<Utc>) {
        let is_due = is_due(change);
        match (self, &mut *change) {
            (Self::Leak, Change::Run(run)) => run.message = Some(format!("signed with {SECRET}")),
            (Self::LongWindow, Change::Run(run)) if is_due => {
                run.request.deadline += TimeDelta::days(1);
            }
            (Self::WrongHour, Change::Run(run)) if is_due => {
                run.slot.scheduled_at += TimeDelta::hours(1);
            }
            (Self::Unlogged, Change::Passed(pass)) => pass.plan.clear(),
            (Self::WatermarkBack, _) => set_back(change, host),
            (Self::BehindByHand, _) => skip_behind_by_hand(change, host, now),
            (Self::BackFill, _) => back_filled(change, host),
            (Self::BlindVerdict, _) => blind(change, now),
            _ => {}
        }
    }
}

fn is_due(change: &Change) -> bool {
    matches!(change, Change::Run(run) if run.state == RunState::Due)
}

fn is_asking(change: &Change) -> bool {
    matches!(change, Change::Run(run) if matches!(run.state, RunState::Asking { .. }))
}

fn under_a_second_name(call: &Call) -> Option<Call> {
    let Call::Create { slot, request } = call else {
        return None;
    };
    let request = CreateRequest {
        snapshot_id: SnapshotId::recorded(format!("{}-again", request.snapshot_id)),
        ..request.clone()
    };
    Some(Call::Create {
        slot: slot.clone(),
        request,
    })
}

fn other_end(change: Change) -> Change {
    let Change::Run(mut run) = change else {
        return change;
    };
    run.state = RunState::Ended(Outcome::Conflict("a planted bug".to_owned()));
    Change::Run(run)
}

fn remade(host: &Host) -> Option<Call> {
    let gone = |run: &&Run| {
        let gone = run.gone.as_ref();
        gone.is_some_and(|gone| gone.reason == GoneReason::Deleted)
    };
    let run = host.journal.ledger.runs.values().rev().find(gone)?;
    Some(Call::Create {
        slot: run.slot.clone(),
        request: CreateRequest {
            snapshot_id: run.request.snapshot_id.clone(),
            cluster: run.slot.pair.cluster.clone(),
            retention: Retention::Forever,
            tags: Tags::new(),
        },
    })
}

fn meddling(host: &Host, now: DateTime<Utc>) -> Option<Call> {
    let slot = host.journal.ledger.runs.keys().next()?.clone();
    Some(Call::Extend {
        account_number: None,
        id: SnapshotId::recorded("foreign-0".to_owned()),
        extension: Extension {
            slot,
            extended_at: now,
            from: Retention::from_days(3_000)?,
            to: Retention::Forever,
            reason: "a planted bug".to_owned(),
        },
    })
}

fn set_back(change: &mut Change, host: &Host) {
    if let Change::Pair(pair, state) = change
        && host.journal.ledger.pairs.contains_key(pair)
    {
        state.watermark -= TimeDelta::days(3);
    }
}

fn back_filled(change: &mut Change, host: &Host) {
    if let Change::Pair(pair, state) = change
        && !host.journal.ledger.pairs.contains_key(pair)
    {
        state.active_from -= TimeDelta::days(1);
        state.watermark -= TimeDelta::days(1);
    }
}

fn blind(change: &mut Change, now: DateTime<Utc>) {
    if let Change::Run(run) = change
        && let RunState::Concluding { verdict, .. } = &run.state
    {
        run.state = RunState::Ended(verdict.clone());
        run.ended_at = Some(now);
    }
}

/// Thirty looks for names that nobody has, in the scope that is listed.
fn looks_for_nothing(listing: &Call, host: &Host) -> Vec<Call> {
    let mut slots = host.journal.ledger.runs.keys();
    let slot = slots.find(|slot| slot.pair.scope == *listing.scope());
    let looks = slot.into_iter().flat_map(|slot| {
        (0..30).map(|number| Call::Describe {
            slot: slot.clone(),
            id: SnapshotId::recorded(format!("nothing-{number}")),
            asks_account: false,
        })
    });
    looks.collect()
}

/// Skips a slot of the schedule that is to be asked for while a snapshot that somebody takes by hand is being made.
fn skip_behind_by_hand(change: &mut Change, host: &Host, now: DateTime<Utc>) {
    let is_by_hand = |run: &Run, pair: &Pair| {
        run.trigger == Trigger::Manual && run.slot.pair == *pair && run.is_creating()
    };
    let is_asking = is_asking(change);
    if let (true, Change::Run(run)) = (is_asking, change) {
        let mut runs = host.journal.ledger.runs.values();
        let is_behind = runs.any(|other| is_by_hand(other, &run.slot.pair));
        if run.trigger == Trigger::Schedule && is_behind {
            run.state = RunState::Ended(Outcome::Skipped);
            run.ended_at = Some(now);
        }
    }
}

fn is_skipped(call: &Call, host: &Host) -> bool {
    let run = call
        .slot()
        .and_then(|slot| host.journal.ledger.runs.get(slot));
    run.is_some_and(|run| run.state == RunState::Ended(Outcome::Skipped))
}
