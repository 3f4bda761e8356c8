//! The known runs, to be found by their slot and in the order of a pair's slots.
//!
//! Owns: the index. Pairs are compared once and not for each of their runs: a pair that is asked every hour has
//! hundreds, and its name is most of a slot. Never decides which runs are to be known.

use std::collections::{BTreeMap, BTreeSet, btree_map};

use chrono::{DateTime, Utc};

use crate::names::AccountName;
use crate::run::Run;
use crate::slot::{Pair, Scope, Slot};

/// Runs by pair, and by the instant of their slot.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Runs {
    by_pair: BTreeMap<Pair, BTreeMap<DateTime<Utc>, Box<Run>>>,
    /// The pairs of `by_pair`, so that what concerns one scope looks at no other.
    by_scope: BTreeMap<Scope, BTreeSet<Pair>>,
}

impl Runs {
    /// The run of a slot.
    pub fn get(&self, slot: &Slot) -> Option<&Run> {
        let runs = self.by_pair.get(&slot.pair)?;
        runs.get(&slot.scheduled_at).map(AsRef::as_ref)
    }

    /// Whether the slot's run is known.
    pub fn contains_key(&self, slot: &Slot) -> bool {
        self.get(slot).is_some()
    }

    /// Every run, in the order of the slots.
    pub fn values(&self) -> impl Iterator<Item = &Run> {
        let runs = self.by_pair.values().flat_map(BTreeMap::values);
        runs.map(AsRef::as_ref)
    }

    /// The pairs that have a run, in their order.
    pub fn pairs(&self) -> impl Iterator<Item = &Pair> {
        self.by_pair.keys()
    }

    /// The pairs of a scope that have a run, in their order.
    pub fn pairs_in(&self, scope: &Scope) -> impl Iterator<Item = &Pair> {
        self.by_scope.get(scope).into_iter().flatten()
    }

    /// Every run of a scope, in the order of the slots.
    pub fn in_scope<'a>(&'a self, scope: &Scope) -> impl Iterator<Item = &'a Run> + use<'a> {
        let pairs = self.by_scope.get(scope).into_iter().flatten();
        pairs.flat_map(|pair| self.of_pair(pair))
    }

    /// The runs of a pair, oldest first.
    pub fn of_pair<'a>(
        &'a self,
        pair: &Pair,
    ) -> impl DoubleEndedIterator<Item = &'a Run> + use<'a> {
        let runs = self.by_pair.get(pair).into_iter();
        runs.flat_map(BTreeMap::values).map(AsRef::as_ref)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.by_pair.is_empty()
    }

    /// Puts in a run, in the place of what was known of its slot.
    pub(super) fn insert(&mut self, mut run: Run) {
        let at = run.slot.scheduled_at;
        match self.by_pair.get_mut(&run.slot.pair) {
            Some(runs) => {
                let neighbour = runs.values().next_back();
                neighbour.inspect(|neighbour| run.share_with(neighbour));
                runs.insert(at, Box::new(run));
            }
            None => {
                let pair = run.slot.pair.clone();
                let of_scope = self.by_scope.entry(pair.scope.clone()).or_default();
                of_scope.insert(pair.clone());
                self.by_pair
                    .insert(pair, BTreeMap::from([(at, Box::new(run))]));
            }
        }
    }

    /// Takes out the runs of an account.
    pub(super) fn take_account(&mut self, account: &AccountName) -> Vec<Run> {
        let pairs = self.by_pair.keys();
        let pairs = pairs.filter(|pair| pair.scope.account == *account);
        let pairs: Vec<Pair> = pairs.cloned().collect();
        self.by_scope.retain(|scope, _| scope.account != *account);
        let taken = pairs.iter().filter_map(|pair| self.by_pair.remove(pair));
        let taken = taken.flat_map(BTreeMap::into_values);
        taken.map(|run| *run).collect()
    }

    /// Forgets the runs of a pair for which `keep` does not hold.
    pub(super) fn retain_of_pair(&mut self, pair: &Pair, mut keep: impl FnMut(&Run) -> bool) {
        if let btree_map::Entry::Occupied(mut runs) = self.by_pair.entry(pair.clone()) {
            runs.get_mut().retain(|_, run| keep(run));
            if runs.get().is_empty() {
                runs.remove();
                if let Some(of_scope) = self.by_scope.get_mut(&pair.scope) {
                    of_scope.remove(pair);
                }
            }
        }
    }
}
