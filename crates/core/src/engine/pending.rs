//! Changes that the store has not taken yet.
//!
//! Owns: what is to be written again when the store can, one entry for each run and pair, so that a day on a
//! full disk costs no more memory than the runs of that day; and the pace of trying. Never loses a change.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::Pending;
use crate::history::{Change, Renaming};
use crate::names::{AccountName, PolicyName, ReceiverName};
use crate::operations::SnapshotKey;
use crate::outbox::ConditionKey;
use crate::run::Run;
use crate::slot::{Pair, Slot};

/// How long a store that could not write is left alone: each try may wait for a lock.
const RETRY_INTERVAL: Duration = Duration::from_secs(10);

/// How many messages to receivers are kept; of more, the newest.
const MOST_MESSAGES: u64 = 10_000;

/// The changes, and when the store may be tried again.
#[derive(Debug, Clone, Default)]
pub struct PendingChanges {
    changes: BTreeMap<Key, Waiting>,
    /// How many changes have come.
    numbered: u64,
    /// How many of them were messages.
    messages: u64,
    /// How many had come when the store was told of them last.
    sent: u64,
    retry_at: Option<Duration>,
    is_failing: bool,
}

/// A change that waits, and the how manieth it was.
#[derive(Debug, Clone)]
struct Waiting {
    change: Change,
    number: u64,
}

/// What a change is of: the newest change of each counts. In the order in which they are written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Renamed(u64),
    Clamped(Pair),
    Pair(Pair),
    Run(Slot),
    Missed(u64),
    Account(AccountName),
    Extended(u64),
    Rebuilt,
    Removal(SnapshotKey, DateTime<Utc>),
    Passed(PolicyName),
    Action(i64),
    Condition(ConditionKey),
    Message(u64),
}

impl PendingChanges {
    /// Adds changes; the newest of a run or a pair is the one that counts.
    pub fn extend(&mut self, changes: &[Change]) {
        for change in changes {
            if let Change::Renamed(renaming) = change {
                self.rename(renaming);
            }
            self.add(change.clone());
        }
    }

    fn add(&mut self, change: Change) {
        self.numbered += 1;
        let number = self.numbered;
        let key = self.key(&change, number);
        let before = self.changes.remove(&key);
        match &key {
            // What was to be written of the pair before would undo it.
            Key::Clamped(pair) => drop(self.changes.remove(&Key::Pair(pair.clone()))),
            Key::Message(number) => self.make_room(*number),
            _ => {}
        }
        let change = match before {
            Some(before) => after(before.change, change),
            None => change,
        };
        self.changes.insert(key, Waiting { change, number });
    }

    fn key(&mut self, change: &Change, number: u64) -> Key {
        match change {
            Change::Renamed(_) => Key::Renamed(number),
            Change::Clamped(pair, _) => Key::Clamped(pair.clone()),
            Change::Pair(pair, _) => Key::Pair(pair.clone()),
            Change::Run(run) | Change::Adopted(run) => Key::Run(run.slot.clone()),
            Change::Missed(_) => Key::Missed(number),
            Change::Account(name, _) => Key::Account(name.clone()),
            Change::Extended(_) => Key::Extended(number),
            Change::Rebuilt(_) => Key::Rebuilt,
            Change::Removal(removal) => Key::Removal(removal.key(), removal.planned_at),
            Change::Passed(pass) => Key::Passed(pass.policy.clone()),
            Change::SnapshotAction(action) => Key::Action(action.id),
            Change::Condition(condition) => Key::Condition(condition.key.clone()),
            Change::Message(_) => {
                self.messages += 1;
                Key::Message(self.messages)
            }
        }
    }

    /// The store keeps no more of a receiver either.
    fn make_room(&mut self, number: u64) {
        if let Some(oldest) = number.checked_sub(MOST_MESSAGES) {
            self.changes.remove(&Key::Message(oldest));
        }
    }

    /// Whether the store is to be tried at `now` of monotonic time: there is something to write, or it failed and may
    /// have recovered.
    pub fn is_due(&self, now: Duration) -> bool {
        self.retry_at
            .map_or(self.has_any(), |retry_at| now >= retry_at)
    }

    /// Whether the store has everything, as far as is known.
    pub fn is_written(&self) -> bool {
        !self.has_any() && !self.is_failing
    }

    /// Whether the last try failed.
    pub fn is_failing(&self) -> bool {
        self.is_failing
    }

    /// Everything that is to be written, for the store.
    pub fn send(&mut self) -> Vec<Change> {
        self.sent = self.numbered;
        let waiting = self.changes.values();
        waiting.map(|one| one.change.clone()).collect()
    }

    /// What waits to be written is under the new name from now on, and the store hears of that before anything else. Of what
    /// waits under both names, what was under the old one counts.
    fn rename(&mut self, renaming: &Renaming) {
        let all = std::mem::take(&mut self.changes).into_values();
        let (olds, others): (Vec<_>, Vec<_>) = all
            .map(|one| one.change)
            .filter(|change| !matches!(change, Change::Account(name, _) if *name == renaming.from))
            .map(|change| (renaming.moved_change(change.clone()), change))
            .partition(|(moved, change)| moved != change);
        for (moved, _) in others.into_iter().chain(olds) {
            self.add(moved);
        }
    }

    /// The receivers that are to be told something of it.
    pub fn told(&self) -> impl Iterator<Item = &ReceiverName> {
        let messages = self.changes.range(Key::Message(0)..);
        messages.filter_map(|(_, one)| match &one.change {
            Change::Message(message) => Some(&message.receiver),
            _ => None,
        })
    }

    /// The store has written what it was told last; what has come since waits on.
    pub fn written(&mut self) {
        let sent = self.sent;
        self.changes.retain(|_, one| one.number > sent);
        self.retry_at = None;
        self.is_failing = false;
    }

    /// The next try is the last: it is not to be waited for.
    pub fn hurry(&mut self) {
        self.retry_at = self.retry_at.map(|_| Duration::ZERO);
    }

    /// The store could not write.
    pub fn failed(&mut self, now: Duration) {
        self.is_failing = true;
        self.late(now);
    }

    /// The store has not answered yet, which is no failure: what it answers is taken in when it comes.
    pub fn late(&mut self, now: Duration) {
        self.retry_at = Some(now + RETRY_INTERVAL);
    }
}

/// What is to be written of one thing where `before` has not been written yet: a run that was found without a record stays
/// one, what AWS told of its snapshot stays with it, and a loss began when it was first noticed.
fn after(before: Change, change: Change) -> Change {
    let on = |run: Box<Run>, before: &Run| Box::new(run.after(Some(before)));
    match (before, change) {
        (Change::Adopted(before), Change::Run(run) | Change::Adopted(run)) => {
            Change::Adopted(on(run, &before))
        }
        (Change::Run(before), Change::Run(run)) => Change::Run(on(run, &before)),
        (Change::Run(before), Change::Adopted(run)) => Change::Adopted(on(run, &before)),
        (before @ Change::Rebuilt(_), Change::Rebuilt(_)) => before,
        (_, change) => change,
    }
}

impl Pending for PendingChanges {
    fn has_run(&self, slot: &Slot) -> bool {
        self.changes.contains_key(&Key::Run(slot.clone()))
    }

    fn has_action(&self, id: i64) -> bool {
        self.changes.contains_key(&Key::Action(id))
    }

    fn has_any(&self) -> bool {
        !self.changes.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::PairState;
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
    fn what_has_come_while_the_store_wrote_is_all_that_is_still_to_be_written() {
        let told =
            |name: &str, number: &str| Change::Account(name.parse().unwrap(), number.to_owned());
        let mut pending = PendingChanges::default();
        pending.extend(&[told("prod", "1"), told("test", "2")]);
        assert_eq!(pending.send(), [told("prod", "1"), told("test", "2")]);
        // Also where it is of the same.
        pending.extend(&[told("prod", "3")]);
        pending.written();
        assert!(pending.is_due(Duration::ZERO) && !pending.is_written());
        assert_eq!(pending.send(), [told("prod", "3")]);
        pending.written();
        assert!(pending.is_written());
    }

    #[test]
    fn a_store_that_is_late_is_left_alone_and_has_not_failed() {
        let mut pending = PendingChanges::default();
        pending.extend(&[Change::Rebuilt(DateTime::UNIX_EPOCH)]);
        pending.send();
        pending.late(Duration::ZERO);
        assert!(!pending.is_due(Duration::from_secs(1)) && !pending.is_failing());
        pending.failed(Duration::ZERO);
        pending.written();
        assert!(pending.is_written() && !pending.is_failing());
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
            pending.send(),
            [Change::Clamped(pair.clone(), clamped.clone())]
        );
        pending.extend(&[Change::Pair(pair.clone(), later.clone())]);
        let wanted = [
            Change::Clamped(pair.clone(), clamped),
            Change::Pair(pair, later),
        ];
        assert_eq!(pending.send(), wanted);
    }

    #[test]
    fn of_what_waits_under_both_names_of_an_account_what_was_under_the_old_one_counts() {
        let pair = |account: &str| Pair {
            policy: "nightly".parse().unwrap(),
            scope: Scope {
                account: account.parse().unwrap(),
                region: "eu-central-1".parse().unwrap(),
            },
            cluster: "dw".parse().unwrap(),
        };
        let renaming = Renaming {
            from: "prod".parse().unwrap(),
            to: "live".parse().unwrap(),
            number: "111122223333".to_owned(),
            renamed_at: DateTime::UNIX_EPOCH,
        };
        let mut pending = PendingChanges::default();
        pending.extend(&[
            Change::Account(renaming.from.clone(), renaming.number.clone()),
            Change::Pair(pair("live"), state(900)),
            Change::Pair(pair("prod"), state(300)),
            Change::Pair(pair("test"), state(400)),
            Change::Renamed(renaming.clone()),
        ]);
        let wanted = [
            Change::Renamed(renaming),
            Change::Pair(pair("live"), state(300)),
            Change::Pair(pair("test"), state(400)),
        ];
        assert_eq!(pending.send(), wanted);
    }
}
