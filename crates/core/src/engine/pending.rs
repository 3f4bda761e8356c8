//! Changes that the store has not taken yet.
//!
//! Owns: what is to be written again when the store can, one entry for each run and pair, so that a day on a
//! full disk costs no more memory than the runs of that day; and the pace of trying. Never loses a change.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::Pending;
use crate::history::{Change, Extension, MissedRange, PairState, Renaming};
use crate::names::{AccountName, PolicyName, ReceiverName};
use crate::operations::{Pass, Removal, SnapshotAction, SnapshotKey};
use crate::outbox::{Condition, ConditionKey, Message};
use crate::run::Run;
use crate::slot::{Pair, Slot};

/// How long a store that could not write is left alone: each try may wait for a lock.
const RETRY_INTERVAL: Duration = Duration::from_secs(10);

/// How many messages to receivers are kept; of more, the newest.
const MOST_MESSAGES: usize = 10_000;

/// The changes, and when the store may be tried again.
#[derive(Debug, Clone, Default)]
pub struct PendingChanges {
    pairs: BTreeMap<Pair, PairState>,
    clamped: BTreeMap<Pair, PairState>,
    runs: BTreeMap<Slot, Run>,
    /// The runs that were found without a record.
    adopted: BTreeSet<Slot>,
    renamed: Vec<Renaming>,
    ranges: Vec<MissedRange>,
    accounts: BTreeMap<AccountName, String>,
    extensions: Vec<Extension>,
    rebuilt_at: Option<DateTime<Utc>>,
    removals: BTreeMap<(SnapshotKey, DateTime<Utc>), Removal>,
    passes: BTreeMap<PolicyName, Pass>,
    actions: BTreeMap<i64, SnapshotAction>,
    conditions: BTreeMap<ConditionKey, Condition>,
    messages: VecDeque<Message>,
    retry_at: Option<Duration>,
    /// Whether the store was told all of it.
    is_sent: bool,
}

impl PendingChanges {
    /// Adds changes; the newest of a run or a pair is the one that counts.
    pub fn extend(&mut self, changes: &[Change]) {
        self.is_sent &= changes.is_empty();
        for change in changes {
            match change.clone() {
                Change::Pair(pair, state) => drop(self.pairs.insert(pair, state)),
                Change::Clamped(pair, state) => {
                    // What was to be written of the pair before would undo it.
                    self.pairs.remove(&pair);
                    self.clamped.insert(pair, state);
                }
                Change::Run(run) => self.put(*run),
                Change::Adopted(run) => {
                    self.adopted.insert(run.slot.clone());
                    self.put(*run);
                }
                Change::Renamed(renaming) => self.rename(renaming),
                Change::Missed(range) => self.ranges.push(range),
                Change::Extended(extension) => self.extensions.push(extension),
                Change::Account(name, number) => drop(self.accounts.insert(name, number)),
                Change::Rebuilt(at) => drop(self.rebuilt_at.get_or_insert(at)),
                Change::Removal(removal) => {
                    let key = (removal.key(), removal.planned_at);
                    self.removals.insert(key, *removal);
                }
                Change::Passed(pass) => drop(self.passes.insert(pass.policy.clone(), *pass)),
                Change::SnapshotAction(action) => drop(self.actions.insert(action.id, *action)),
                Change::Condition(condition) => {
                    self.conditions.insert(condition.key.clone(), *condition);
                }
                Change::Message(message) => self.tell(*message),
            }
        }
    }

    /// The store keeps no more of a receiver either.
    fn tell(&mut self, message: Message) {
        if self.messages.len() >= MOST_MESSAGES {
            self.messages.pop_front();
        }
        self.messages.push_back(message);
    }

    /// What AWS told of its snapshot is not in the store before the run of that time is.
    fn put(&mut self, run: Run) {
        let slot = run.slot.clone();
        let run = run.after(self.runs.get(&slot));
        self.runs.insert(slot, run);
    }

    /// Whether the store is to be tried at `now` of monotonic time: there is something to write, or it failed and may
    /// have recovered.
    pub fn is_due(&self, now: Duration) -> bool {
        self.retry_at
            .map_or(self.has_any(), |retry_at| now >= retry_at)
    }

    /// Whether the store has everything, as far as is known.
    pub fn is_written(&self) -> bool {
        !self.has_any() && !self.is_failing()
    }

    /// Whether the last try failed.
    pub fn is_failing(&self) -> bool {
        self.retry_at.is_some()
    }

    /// Everything that is to be written, for the store.
    pub fn send(&mut self) -> Vec<Change> {
        self.is_sent = true;
        self.changes()
    }

    fn changes(&self) -> Vec<Change> {
        let clamped = self.clamped.clone().into_iter();
        let clamped = clamped.map(|(pair, state)| Change::Clamped(pair, state));
        let pairs = self
            .pairs
            .iter()
            .map(|(pair, state)| Change::Pair(pair.clone(), state.clone()));
        let runs = self.runs.values().cloned().map(Box::new);
        let runs = runs.map(|run| match self.adopted.contains(&run.slot) {
            true => Change::Adopted(run),
            false => Change::Run(run),
        });
        let renamed = self.renamed.iter().cloned().map(Change::Renamed);
        let ranges = self.ranges.iter().cloned().map(Change::Missed);
        let accounts = self.accounts.clone().into_iter();
        let accounts = accounts.map(|(name, number)| Change::Account(name, number));
        let extensions = self.extensions.iter().cloned().map(Change::Extended);
        let rebuilt = self.rebuilt_at.map(Change::Rebuilt);
        let removals = self.removals.values().cloned().map(Box::new);
        let passes = self.passes.values().cloned().map(Box::new);
        let actions = self.actions.values().cloned().map(Box::new);
        let conditions = self.conditions.values().cloned().map(Box::new);
        let messages = self.messages.iter().cloned().map(Box::new);
        let told = conditions.map(Change::Condition);
        let told = told.chain(messages.map(Change::Message));
        let operations = removals.map(Change::Removal);
        let operations = operations.chain(passes.map(Change::Passed));
        let operations = operations.chain(actions.map(Change::SnapshotAction));
        let others = ranges.chain(accounts).chain(extensions).chain(rebuilt);
        let others = others.chain(operations);
        let first = renamed.chain(clamped).chain(pairs);
        first.chain(runs).chain(others).chain(told).collect()
    }

    /// What waits to be written is under the new name from now on, and the store hears of that before anything else.
    fn rename(&mut self, renaming: Renaming) {
        let all = std::mem::take(self);
        let moved = |(slot, run): (Slot, Run)| (renaming.moved(slot), renaming.moved(run));
        let accounts = { all.accounts.into_iter() }.filter(|(name, _)| *name != renaming.from);
        let removal = |((place, at), one): ((SnapshotKey, DateTime<Utc>), Removal)| {
            ((renaming.moved(place), at), renaming.moved(one))
        };
        let action = |(id, one)| (id, renaming.moved::<SnapshotAction>(one));
        let extensions = all.extensions.into_iter();
        *self = Self {
            pairs: renaming.moved_keys(all.pairs),
            clamped: renaming.moved_keys(all.clamped),
            runs: all.runs.into_iter().map(moved).collect(),
            adopted: { all.adopted.into_iter() }
                .map(|slot| renaming.moved(slot))
                .collect(),
            ranges: { all.ranges.into_iter() }
                .map(|range| renaming.moved(range))
                .collect(),
            accounts: accounts.collect(),
            extensions: extensions.map(|one| renaming.moved(one)).collect(),
            removals: all.removals.into_iter().map(removal).collect(),
            actions: all.actions.into_iter().map(action).collect(),
            conditions: { all.conditions.into_values() }
                .map(|one| renaming.moved_condition(one))
                .map(|one| (one.key.clone(), one))
                .collect(),
            messages: all.messages,
            renamed: all.renamed,
            rebuilt_at: all.rebuilt_at,
            passes: all.passes,
            retry_at: all.retry_at,
            is_sent: all.is_sent,
        };
        self.renamed.push(renaming);
    }

    /// The receivers that are to be told something of it.
    pub fn told(&self) -> impl Iterator<Item = &ReceiverName> {
        self.messages.iter().map(|message| &message.receiver)
    }

    /// The store has written what it was told. Where more has come since, it is told all of it again: what it has already
    /// counts once.
    pub fn written(&mut self) {
        match self.is_sent {
            true => *self = Self::default(),
            false => self.retry_at = None,
        }
    }

    /// The next try is the last: it is not to be waited for.
    pub fn hurry(&mut self) {
        self.retry_at = self.retry_at.map(|_| Duration::ZERO);
    }

    /// The store could not write.
    pub fn failed(&mut self, now: Duration) {
        self.retry_at = Some(now + RETRY_INTERVAL);
    }
}

impl Pending for PendingChanges {
    fn has_run(&self, slot: &Slot) -> bool {
        self.runs.contains_key(slot)
    }

    fn has_action(&self, id: i64) -> bool {
        self.actions.contains_key(&id)
    }

    fn has_any(&self) -> bool {
        let none = self.pairs.is_empty() && self.clamped.is_empty() && self.runs.is_empty();
        let none = none && self.ranges.is_empty() && self.accounts.is_empty();
        let none = none && self.extensions.is_empty() && self.rebuilt_at.is_none();
        let none = none && self.removals.is_empty() && self.passes.is_empty();
        let none = none && self.conditions.is_empty() && self.messages.is_empty();
        !(none && self.actions.is_empty() && self.renamed.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slot::Scope;

    fn state(watermark: i64) -> PairState {
        PairState {
            active_from: DateTime::UNIX_EPOCH,
            watermark: DateTime::from_timestamp(watermark, 0).unwrap(),
            schedule: "* * * * *".to_owned(),
            timezone: "UTC".to_owned(),
            clocks: None,
            cluster_created_at: None,
            closed_at: None,
            cluster_gone_at: None,
        }
    }

    #[test]
    fn what_has_come_while_the_store_wrote_is_still_to_be_written() {
        let told = |number: &str| Change::Account("prod".parse().unwrap(), number.to_owned());
        let mut pending = PendingChanges::default();
        pending.extend(&[told("1")]);
        assert_eq!(pending.send(), [told("1")]);
        pending.extend(&[]);
        pending.written();
        assert!(pending.is_written());
        pending.extend(&[told("1")]);
        pending.send();
        pending.failed(Duration::ZERO);
        pending.extend(&[told("2")]);
        pending.written();
        assert!(pending.is_due(Duration::ZERO) && !pending.is_written());
        assert_eq!(pending.send(), [told("2")]);
    }

    #[test]
    fn what_was_to_be_written_before_a_clamp_does_not_undo_it() {
        let pair = Pair {
            policy: "nightly".parse().unwrap(),
            scope: Scope {
                account: "prod".parse().unwrap(),
                region: "eu-central-1".parse().unwrap(),
            },
            cluster: "dw".parse().unwrap(),
        };
        let (ahead, clamped, later) = (state(900), state(300), state(400));
        let mut pending = PendingChanges::default();
        pending.extend(&[Change::Pair(pair.clone(), ahead)]);
        pending.extend(&[Change::Clamped(pair.clone(), clamped.clone())]);
        assert_eq!(
            pending.changes(),
            [Change::Clamped(pair.clone(), clamped.clone())]
        );
        pending.extend(&[Change::Pair(pair.clone(), later.clone())]);
        let wanted = [
            Change::Clamped(pair.clone(), clamped),
            Change::Pair(pair, later),
        ];
        assert_eq!(pending.changes(), wanted);
    }
}
