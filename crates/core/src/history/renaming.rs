//! An account that has another name in the policy file than before.
//!
//! Owns: moving everything that was kept under the old name to the new one, and what stays where both have something of
//! the same slot: that happens while nobody could tell yet that the two are one account. An account is told by its number
//! alone.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::{Change, Extension, History, MissedRange, PairState};
use crate::names::AccountName;
use crate::operations::{Removal, SnapshotAction, SnapshotKey};
use crate::outbox::Condition;
use crate::run::{Outcome, Run, RunState};
use crate::slot::{Pair, Scope, Slot};

/// An account's old and new name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Renaming {
    /// The name that is no longer in the policy file.
    pub from: AccountName,
    /// The name that stands for the account now.
    pub to: AccountName,
    /// The account's number, by which it was known again.
    pub number: String,
    /// When.
    pub renamed_at: DateTime<Utc>,
}

/// What is in a scope.
pub trait Placed {
    /// The scope.
    fn scope_mut(&mut self) -> &mut Scope;
}

impl Placed for Scope {
    fn scope_mut(&mut self) -> &mut Scope {
        self
    }
}

impl Placed for SnapshotKey {
    fn scope_mut(&mut self) -> &mut Scope {
        &mut self.0
    }
}

impl Placed for Pair {
    fn scope_mut(&mut self) -> &mut Scope {
        &mut self.scope
    }
}

impl Placed for Slot {
    fn scope_mut(&mut self) -> &mut Scope {
        &mut self.pair.scope
    }
}

impl Placed for Run {
    fn scope_mut(&mut self) -> &mut Scope {
        self.slot.scope_mut()
    }
}

impl Placed for Removal {
    fn scope_mut(&mut self) -> &mut Scope {
        self.slot.scope_mut()
    }
}

impl Placed for SnapshotAction {
    fn scope_mut(&mut self) -> &mut Scope {
        self.slot.scope_mut()
    }
}

impl Placed for Extension {
    fn scope_mut(&mut self) -> &mut Scope {
        self.slot.scope_mut()
    }
}

impl Placed for MissedRange {
    fn scope_mut(&mut self) -> &mut Scope {
        self.pair.scope_mut()
    }
}

impl Renaming {
    /// The same under the new name.
    pub fn moved<T: Placed>(&self, mut one: T) -> T {
        let scope = one.scope_mut();
        if scope.account == self.from {
            scope.account = self.to.clone();
        }
        one
    }

    /// What receivers know of something, under the new name.
    pub fn moved_condition(&self, mut one: Condition) -> Condition {
        let account = &mut one.key.subject.account;
        if account.as_ref() == Some(&self.from) {
            *account = Some(self.to.clone());
        }
        one
    }

    /// A change, of the new name.
    pub fn moved_change(&self, change: Change) -> Change {
        match change {
            Change::Pair(pair, state) => Change::Pair(self.moved(pair), state),
            Change::Clamped(pair, state) => Change::Clamped(self.moved(pair), state),
            Change::Run(run) => Change::Run(Box::new(self.moved(*run))),
            Change::Adopted(run) => Change::Adopted(Box::new(self.moved(*run))),
            Change::Missed(range) => Change::Missed(self.moved(range)),
            Change::Extended(extension) => Change::Extended(self.moved(extension)),
            Change::Removal(removal) => Change::Removal(Box::new(self.moved(*removal))),
            Change::SnapshotAction(action) => Change::SnapshotAction(Box::new(self.moved(*action))),
            Change::Condition(condition) => {
                Change::Condition(Box::new(self.moved_condition(*condition)))
            }
            other @ (Change::Account(..)
            | Change::Renamed(_)
            | Change::Rebuilt(_)
            | Change::Passed(_)
            | Change::Message(_)) => other,
        }
    }

    /// A map whose keys are under the new name; what was there under the old one comes first.
    pub fn moved_keys<K: Placed + Ord + Clone, V>(&self, map: BTreeMap<K, V>) -> BTreeMap<K, V> {
        let (mut olds, mut all) = (Vec::new(), BTreeMap::new());
        for (mut key, value) in map {
            match key.scope_mut().account == self.from {
                true => olds.push((self.moved(key), value)),
                false => drop(all.insert(key, value)),
            }
        }
        all.extend(olds);
        all
    }
}

/// Of a pair under both names: every slot since the old one's watermark is still to be recorded, and those that were
/// recorded since are known.
pub fn one_pair(old: PairState, new: PairState) -> PairState {
    match old.is_active() {
        true => old,
        false => new,
    }
}

/// Of a slot's runs under both names the one that stays, and the other: the complete one, else the one that has ended, else
/// the one that AWS has accepted, else the old one.
pub fn one_run(old: Run, new: Run) -> (Run, Run) {
    let rank = |run: &Run| {
        let is_available = run.state == RunState::Ended(Outcome::Available);
        (is_available, run.is_ended(), run.accepted_at.is_some())
    };
    match rank(&new) > rank(&old) {
        true => (new, old),
        false => (old, new),
    }
}

impl History {
    /// The number that an account's name has stood for, also where only its snapshots tell.
    pub fn number_of(&self, account: &AccountName) -> Option<&str> {
        let known = self.account_numbers.get(account).map(String::as_str);
        let by_snapshots = || {
            let runs = self.runs.values();
            let runs = runs.filter(|run| run.slot.pair.scope.account == *account);
            let mut told = runs.filter_map(|run| run.snapshot.as_ref()?.account_number());
            let first = told.next();
            first.filter(|first| told.all(|number| number == *first))
        };
        known.or_else(by_snapshots)
    }

    /// Moves everything of an account under its new name.
    pub(super) fn rename(&mut self, renaming: &Renaming) {
        self.account_numbers.remove(&renaming.from);
        let number = renaming.number.clone();
        self.account_numbers.insert(renaming.to.clone(), number);
        self.rename_pairs(renaming);
        self.rename_runs(renaming);
        self.unremovable = renaming.moved_keys(std::mem::take(&mut self.unremovable));
        self.removed = renaming.moved_keys(std::mem::take(&mut self.removed));
        let removals = std::mem::take(&mut self.removals).into_iter();
        let removals = removals.map(|(place, one)| (renaming.moved(place), renaming.moved(one)));
        self.removals = removals.collect();
        let actions = std::mem::take(&mut self.actions).into_iter();
        self.actions = actions.map(|(id, one)| (id, renaming.moved(one))).collect();
        self.rename_conditions(renaming);
    }

    fn rename_conditions(&mut self, renaming: &Renaming) {
        let conditions = std::mem::take(&mut self.conditions).into_values();
        let moved = conditions.map(|one| renaming.moved_condition(one));
        for condition in moved {
            // Of two the one that was there under the old name was told first, or is the same.
            self.conditions
                .entry(condition.key.clone())
                .or_insert(condition);
        }
    }

    fn rename_pairs(&mut self, renaming: &Renaming) {
        let is_old = |pair: &Pair| pair.scope.account == renaming.from;
        let pairs = std::mem::take(&mut self.pairs);
        let (olds, news): (BTreeMap<_, _>, BTreeMap<_, _>) =
            pairs.into_iter().partition(|(pair, _)| is_old(pair));
        self.pairs = news;
        for (pair, old) in olds {
            let pair = renaming.moved(pair);
            let state = match self.pairs.remove(&pair) {
                Some(new) => one_pair(old, new),
                None => old,
            };
            self.pairs.insert(pair, state);
        }
        for (pair, count) in std::mem::take(&mut self.extensions) {
            *self.extensions.entry(renaming.moved(pair)).or_default() += count;
        }
        for (pair, counts) in std::mem::take(&mut self.totals) {
            let totals = self.totals.entry(renaming.moved(pair)).or_default();
            for (result, count) in counts.by_result() {
                totals.add(result, count);
            }
        }
    }

    fn rename_runs(&mut self, renaming: &Renaming) {
        self.open.remove_account(&renaming.from);
        self.refused.remove_account(&renaming.from);
        for old in self.runs.take_account(&renaming.from) {
            let old = renaming.moved(old);
            let (stays, other) = match self.runs.get(&old.slot).cloned() {
                Some(new) => {
                    let (stays, other) = one_run(old, new);
                    (stays, Some(other))
                }
                None => (old, None),
            };
            if let Some((other, outcome)) =
                other.as_ref().and_then(|run| Some((run, run.outcome()?)))
            {
                let totals = self.totals.entry(other.slot.pair.clone()).or_default();
                totals.remove_one(outcome.kind());
            }
            self.insert(stays);
        }
        let pairs: Vec<Pair> = self.runs.pairs().cloned().collect();
        let of_account = pairs.iter().filter(|one| one.scope.account == renaming.to);
        of_account.for_each(|pair| self.forget_old(pair));
    }
}
