//! What redkeep knows of the past, as far as the next decision needs it.
//!
//! Owns: the pairs with their activation and watermark, the runs that are open or whose snapshot is still
//! there, and the changes that lead from one history to the next. A change is committed to the store first
//! and then applied here; both hold the same. Never speaks SQL.

mod open;
mod renaming;
mod runs;
mod totals;

pub use renaming::{Placed, Renaming, one_pair, one_run};
pub use runs::Runs;
pub use totals::Totals;

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};

use crate::names::{AccountName, ClusterId, PolicyName, Retention, Trigger};
use crate::operations::{Confirmation, Pass, Removal, SnapshotAction, SnapshotKey};
use crate::outbox::{Condition, ConditionKey, Message};
use crate::pause::Pauses;
use crate::policy::Policy;
use crate::run::{Missed, Outcome, OutcomeKind, Run};
use crate::schedule::{ClockNote, Schedule};
use crate::slot::{Pair, Scope, Slot, rfc3339};
use crate::snapshot::Generation;

use open::OpenSlots;

/// A pair's activation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PairState {
    /// Slots up to and including this instant are not the pair's.
    pub active_from: DateTime<Utc>,
    /// Every slot of the pair up to and including this instant has its record.
    pub watermark: DateTime<Utc>,
    /// The schedule's expression under which it was activated.
    pub schedule: String,
    /// The time zone's name under which it was activated.
    pub timezone: String,
    /// What the zone's clocks showed at the watermark; `None` where an older redkeep has set it.
    pub clocks: Option<ClockNote>,
    /// ClusterCreateTime of the cluster, where it has been seen.
    pub cluster_created_at: Option<DateTime<Utc>>,
    /// When the pair was closed; `None` while it is active.
    pub closed_at: Option<DateTime<Utc>>,
    /// When the cluster was first seen to be gone; `None` while it is there. A pair that was closed for another reason
    /// may lose its cluster long after.
    pub cluster_gone_at: Option<DateTime<Utc>>,
}

impl PairState {
    /// The same pair, with the record of every slot of `schedule` up to `watermark`.
    pub fn up_to(self, watermark: DateTime<Utc>, schedule: &Schedule) -> Self {
        Self {
            watermark,
            clocks: Some(schedule.note_at(watermark)),
            ..self
        }
    }

    /// The first slot that has no record yet. It may have come already: then it is overdue, not gone.
    pub fn next_slot(&self, policy: &Policy) -> Option<DateTime<Utc>> {
        let next = policy.schedule.next_after(self.watermark);
        next.filter(|_| self.is_active() && policy.enabled)
    }

    /// Whether the pair has slots now.
    pub fn is_active(&self) -> bool {
        self.closed_at.is_none()
    }
}

/// How this instance came to work on a history that several share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Handover {
    /// From when on snapshots may have been created that nobody could record; `None` where nobody worked before.
    pub unrecorded_since: Option<DateTime<Utc>>,
    /// When this instance took over.
    pub began_at: DateTime<Utc>,
    /// Whether it works by its copy alone: that may lack what others have recorded, and what they record meanwhile.
    pub is_orphan: bool,
}

impl Handover {
    /// From when on nobody may have recorded what was created, where the instance before gave its last sign of life at
    /// `last_sign` and this one takes over at `now`, each by its own clock.
    pub fn unrecorded_since(
        last_sign: Option<DateTime<Utc>>,
        now: DateTime<Utc>,
    ) -> Option<DateTime<Utc>> {
        last_sign.map(|at| at.min(now) - SLACK)
    }

    /// Whether a snapshot that was created at `instant` may lack its record without any having been lost: nobody could record
    /// it, or an instance that works without the database has created it. What the server loses during a term shows at the
    /// copy's mark (`lease`).
    pub fn explains(&self, instant: DateTime<Utc>) -> bool {
        let since = self.unrecorded_since.unwrap_or(self.began_at);
        self.is_orphan || instant >= since
    }

    /// Whether a request to delete may still arrive at AWS that the instance before has signed: AWS takes one for 15 minutes
    /// ("Elements of an AWS API request signature").
    pub fn is_recent(&self, now: DateTime<Utc>) -> bool {
        now < self.began_at + SIGNATURE_LIFETIME
    }
}

/// The clocks of two instances, and AWS's, may be so far apart, where one that is further off starts nothing; and for so
/// long an instance that has lost the lease may go on before it learns of that.
const SLACK: TimeDelta = TimeDelta::minutes(15);
const SIGNATURE_LIFETIME: TimeDelta = TimeDelta::minutes(15);

/// More than a hundred slots missed in a row, as one record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissedRange {
    /// Whose slots.
    pub pair: Pair,
    /// The first slot's instant.
    pub first_at: DateTime<Utc>,
    /// The last slot's instant.
    pub last_at: DateTime<Utc>,
    /// How many slots.
    pub count: u64,
    /// Why.
    pub reason: Missed,
}

/// A snapshot's end that was put off, so that its cluster is not left without a good one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extension {
    /// Whose snapshot.
    pub slot: Slot,
    /// When.
    pub extended_at: DateTime<Utc>,
    /// The period that it had, counted from SnapshotRetentionStartTime.
    pub from: Retention,
    /// The period that it has now.
    pub to: Retention,
    /// Why, for people.
    pub reason: String,
}

/// One step from a history to the next, committed as a whole.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// The pair's activation is now so.
    Pair(Pair, PairState),
    /// The run is now so; it may be new. An ended run in the store is not changed but for `gone` and the
    /// snapshot's description.
    Run(Box<Run>),
    /// These slots were missed.
    Missed(MissedRange),
    /// A snapshot is kept for longer than it was asked for.
    Extended(Extension),
    /// The account's name stands for this number, for good.
    Account(AccountName, String),
    /// An account has another name in the policy file: what was kept under the old one is under the new one.
    Renamed(Renaming),
    /// AWS has a snapshot of ours whose run was not known: this run, made from its tags and name. A run of the
    /// slot that has ended in the store stays.
    Adopted(Box<Run>),
    /// The pair's watermark lay ahead of AWS's time and is taken back: the only change that lowers one.
    Clamped(Pair, PairState),
    /// What this installation had recorded was found to be lost, whole or in part.
    Rebuilt(DateTime<Utc>),
    /// A snapshot is to be removed, or what came of that.
    Removal(Box<Removal>),
    /// A pass over a policy's snapshots was made.
    Passed(Box<Pass>),
    /// What came of something that a person wanted done to a snapshot.
    SnapshotAction(Box<SnapshotAction>),
    /// What a receiver knows of something that goes on is now so.
    Condition(Box<Condition>),
    /// A receiver is to be told this.
    Message(Box<Message>),
}

impl Change {
    /// Whether the change makes or changes the run of this slot.
    pub fn is_of(&self, slot: &Slot) -> bool {
        matches!(self, Self::Run(run) | Self::Adopted(run) if run.slot == *slot)
    }
}

impl Change {
    /// Whether the change only tells receivers of the end of this run.
    pub fn tells_of(&self, run: &Run) -> bool {
        let content = match self {
            Self::Condition(condition) => &condition.content,
            Self::Message(message) => &message.content,
            _ => return false,
        };
        let Pair {
            policy,
            scope,
            cluster,
        } = &run.slot.pair;
        let is = |part: &Option<String>, text: &str| part.as_deref() == Some(text);
        is(&content.cluster, cluster.as_str())
            && is(&content.policy, policy.as_str())
            && is(&content.region, scope.region.as_str())
            && is(&content.account, scope.account.as_str())
            && is(&content.scheduled_at, &rfc3339(run.slot.scheduled_at))
    }
}

/// What is new of changes that a store has taken, which says that these runs had ended before and `stay` as they are.
/// Where everything that was found without a record had one in the store, nothing was lost.
pub fn news(mut changes: Vec<Change>, stay: &[Run]) -> Vec<Change> {
    let is_adoption = |change: &Change| matches!(change, Change::Adopted(_));
    let had_adoptions = changes.iter().any(is_adoption);
    let is_old = |change: &Change, run: &Run| change.is_of(&run.slot) || change.tells_of(run);
    changes.retain(|change| !stay.iter().any(|run| is_old(change, run)));
    if had_adoptions && !changes.iter().any(is_adoption) {
        changes.retain(|change| !matches!(change, Change::Rebuilt(_)));
    }
    changes
}

/// The past, as far as decisions and metrics need it.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// When the installation began it, by this machine's clock: nothing was due before.
    pub begun_at: Option<DateTime<Utc>>,
    /// Every pair that was ever active.
    pub pairs: BTreeMap<Pair, PairState>,
    /// Runs that are open, or whose snapshot is still there, and the newest run of each pair.
    pub runs: Runs,
    /// When which policy was paused, and resumed.
    pub pauses: Pauses,
    /// The account numbers that the accounts' names have stood for since each was first reached.
    pub account_numbers: BTreeMap<AccountName, String>,
    /// How often the end of a snapshot was put off, by pair.
    pub extensions: BTreeMap<Pair, u64>,
    /// When records were first found to be lost; until somebody has acknowledged that, nothing may be deleted.
    pub rebuilt_at: Option<DateTime<Utc>>,
    /// When this instance took the work over from another one, where several share the history.
    pub handover: Option<Handover>,
    /// The removals that have not ended.
    pub removals: BTreeMap<SnapshotKey, Removal>,
    /// The snapshots that were to be removed and stayed, and when that was tried last.
    pub unremovable: BTreeMap<SnapshotKey, DateTime<Utc>>,
    /// The snapshots that were removed last, and when: a listing may still show them for a while.
    pub removed: BTreeMap<SnapshotKey, DateTime<Utc>>,
    /// The newest pass over each policy's snapshots.
    pub passes: BTreeMap<PolicyName, Pass>,
    /// The newest confirmation of each policy.
    pub confirmations: BTreeMap<PolicyName, Confirmation>,
    /// What people want done to single snapshots, and is not done yet.
    pub actions: BTreeMap<i64, SnapshotAction>,
    /// What receivers know of what goes on.
    pub conditions: BTreeMap<ConditionKey, Condition>,
    /// Results by pair.
    pub totals: BTreeMap<Pair, Totals>,
    /// The slots of the runs that are open, so that no turn looks at all the others.
    open: OpenSlots,
    /// Those of them that were refused for something that one acceptance in their scope shows to be over.
    refused: OpenSlots,
}

/// For how long after its removal a snapshot may still be listed.
pub const LINGERING: TimeDelta = TimeDelta::minutes(15);

/// Whether AWS may still have a snapshot of the run: also the failed first one beside a second that is gone.
fn may_be_needed(run: &Run) -> bool {
    run.has_snapshot() || run.generation() == Generation::Second
}

impl History {
    /// The history in the place of one that was found to be lost at `at`.
    pub fn rebuilt(at: DateTime<Utc>) -> Self {
        Self {
            rebuilt_at: Some(at),
            ..Self::default()
        }
    }

    /// Takes in a change that the store has committed.
    pub fn apply(&mut self, change: Change) {
        match change {
            Change::Pair(pair, state) | Change::Clamped(pair, state) => {
                self.pairs.insert(pair, state);
            }
            Change::Run(run) | Change::Adopted(run) => self.apply_run(*run),
            Change::Rebuilt(at) => drop(self.rebuilt_at.get_or_insert(at)),
            Change::Missed(range) => {
                self.totals
                    .entry(range.pair)
                    .or_default()
                    .add(OutcomeKind::Missed, range.count);
            }
            Change::Extended(extension) => {
                *self.extensions.entry(extension.slot.pair).or_default() += 1;
            }
            Change::Account(name, number) => {
                self.account_numbers.entry(name).or_insert(number);
            }
            Change::Renamed(renaming) => self.rename(&renaming),
            Change::Removal(removal) => self.apply_removal(*removal),
            Change::Passed(pass) => {
                let confirmation = self.confirmations.get_mut(&pass.policy);
                if let Some(one) = confirmation.filter(|one| Some(one.id) == pass.confirmation) {
                    one.is_begun = true;
                }
                let void = self.confirmations.get(&pass.policy);
                if void.is_some_and(|one| one.is_void_after(&pass)) {
                    self.confirmations.remove(&pass.policy);
                }
                self.passes.insert(pass.policy.clone(), *pass);
            }
            Change::SnapshotAction(action) => match action.end {
                Some(_) => drop(self.actions.remove(&action.id)),
                None => drop(self.actions.insert(action.id, *action)),
            },
            Change::Condition(condition) => match condition.is_over {
                true => drop(self.conditions.remove(&condition.key)),
                false => drop(self.conditions.insert(condition.key.clone(), *condition)),
            },
            // It waits in the store, and nothing is decided by it.
            Change::Message(_) => {}
        }
    }

    fn apply_removal(&mut self, removal: Removal) {
        let place = removal.key();
        let Some(end) = removal.end else {
            self.removals.insert(place, removal);
            return;
        };
        self.removals.remove(&place);
        match end.is_done() {
            true => {
                self.unremovable.remove(&place);
                self.removed.retain(|_, at| end.at - *at < LINGERING);
                self.removed.insert(place, end.at);
            }
            false => drop(self.unremovable.insert(place, removal.planned_at)),
        }
    }

    /// What people want done to a snapshot of the slot. That comes first: it may be a hold.
    pub fn actions_of(&self, slot: &Slot) -> impl Iterator<Item = &SnapshotAction> {
        let actions = self.actions.values();
        actions.filter(move |action| action.slot == *slot)
    }

    /// Whether a listing that began then shows a snapshot only because it lags behind its removal.
    pub fn is_lingering(&self, place: &SnapshotKey, listed_at: DateTime<Utc>) -> bool {
        let removed_at = self.removed.get(place);
        removed_at.is_some_and(|at| listed_at < *at + LINGERING)
    }

    fn apply_run(&mut self, run: Run) {
        let ended_before = self.runs.get(&run.slot).is_some_and(Run::is_ended);
        let pair = run.slot.pair.clone();
        if let Some(result) = run.outcome().map(Outcome::kind).filter(|_| !ended_before) {
            let totals = self.totals.entry(pair.clone()).or_default();
            totals.add(result, 1);
        }
        self.insert(run);
        self.forget_old(&pair);
    }

    /// Puts in a run as it was found in the store: nothing is counted.
    pub fn insert(&mut self, run: Run) {
        let run = run.condensed();
        if run.is_ended() {
            self.open.remove(&run.slot);
        } else {
            self.open.insert(&run.slot);
        }
        match !run.is_ended() && run.waits_for_acceptance() {
            true => self.refused.insert(&run.slot),
            false => self.refused.remove(&run.slot),
        }
        self.runs.insert(run);
    }

    /// Drops the ended runs of a pair that nothing needs any more: no snapshot there, not the newest, be it of the schedule
    /// or by hand, and not the last that AWS has refused and accepted nothing after.
    pub fn forget_old(&mut self, pair: &Pair) {
        let newest = |trigger| {
            let mut runs = self.of_pair(pair).rev();
            runs.find(|run| run.trigger == trigger)
                .map(|run| run.slot.scheduled_at)
        };
        let newest = [Trigger::Schedule, Trigger::Manual].map(newest);
        let tells =
            |run: &&Run| run.accepted_at.is_some() || run.is_ended() && run.is_refused_for_good();
        let telling = self.of_pair(pair).rev().find(tells);
        let telling = telling.filter(|run| run.accepted_at.is_none());
        let telling = telling.map(|run| run.slot.scheduled_at);
        let newest = [newest[0], newest[1], telling];
        self.runs.retain_of_pair(pair, |run| {
            let is_newest = newest.contains(&Some(run.slot.scheduled_at));
            !run.is_ended() || may_be_needed(run) || is_newest
        });
    }

    /// The known runs of a pair, oldest first.
    pub fn of_pair<'a>(
        &'a self,
        pair: &Pair,
    ) -> impl DoubleEndedIterator<Item = &'a Run> + use<'a> {
        self.runs.of_pair(pair)
    }

    /// The runs that have no outcome yet, scope by scope and cluster by cluster.
    pub fn open(&self) -> impl Iterator<Item = &Run> {
        self.open.all().filter_map(|slot| self.runs.get(slot))
    }

    /// The scopes that have an open run.
    pub(crate) fn open_scopes(&self) -> impl Iterator<Item = &Scope> {
        self.open.scopes()
    }

    /// The open runs of a scope, cluster by cluster.
    pub(crate) fn open_in<'a>(&'a self, scope: &Scope) -> impl Iterator<Item = &'a Run> + use<'a> {
        let slots = self.open.in_scope(scope);
        slots.filter_map(|slot| self.runs.get(slot))
    }

    /// The open runs of a scope that were refused for something that one acceptance there shows to be over.
    pub(crate) fn refused_in<'a>(
        &'a self,
        scope: &Scope,
    ) -> impl Iterator<Item = &'a Run> + use<'a> {
        let slots = self.refused.in_scope(scope);
        slots.filter_map(|slot| self.runs.get(slot))
    }

    /// The open runs of a cluster.
    pub(crate) fn open_of<'a>(
        &'a self,
        scope: &Scope,
        cluster: &ClusterId,
    ) -> impl Iterator<Item = &'a Run> + use<'a> {
        let slots = self.open.of_cluster(scope, cluster);
        slots.filter_map(|slot| self.runs.get(slot))
    }

    /// The newest run of the pair whose snapshot is complete and still there.
    pub fn last_good(&self, pair: &Pair) -> Option<&Run> {
        self.of_pair(pair).rev().find(|run| run.is_good())
    }
}
