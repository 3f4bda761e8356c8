//! The slots of the runs that are open, to be found by scope and cluster.
//!
//! Owns: the index. Runs of one cluster wait for one another, and for no others: what has changed of one is planned with
//! those of its cluster, and with no more.

use std::collections::{BTreeMap, BTreeSet, btree_map};

use crate::names::{AccountName, ClusterId};
use crate::slot::{Scope, Slot};

/// The slots of open runs.
#[derive(Debug, Clone, Default)]
pub(super) struct OpenSlots(BTreeMap<Scope, BTreeMap<ClusterId, BTreeSet<Slot>>>);

impl OpenSlots {
    /// Every one, scope by scope and cluster by cluster.
    pub(super) fn all(&self) -> impl Iterator<Item = &Slot> {
        self.0.values().flat_map(BTreeMap::values).flatten()
    }

    /// The scopes that have one.
    pub(super) fn scopes(&self) -> impl Iterator<Item = &Scope> {
        self.0.keys()
    }

    /// Those of a scope, cluster by cluster.
    pub(super) fn in_scope<'a>(
        &'a self,
        scope: &Scope,
    ) -> impl Iterator<Item = &'a Slot> + use<'a> {
        let clusters = self.0.get(scope).into_iter();
        clusters.flat_map(BTreeMap::values).flatten()
    }

    /// Those of a cluster.
    pub(super) fn of_cluster<'a>(
        &'a self,
        scope: &Scope,
        cluster: &ClusterId,
    ) -> impl Iterator<Item = &'a Slot> + use<'a> {
        let slots = self.0.get(scope).and_then(|clusters| clusters.get(cluster));
        slots.into_iter().flatten()
    }

    pub(super) fn insert(&mut self, slot: &Slot) {
        if !self.0.contains_key(&slot.pair.scope) {
            self.0.insert(slot.pair.scope.clone(), BTreeMap::new());
        }
        if let Some(clusters) = self.0.get_mut(&slot.pair.scope) {
            let slots = clusters.entry(slot.pair.cluster.clone()).or_default();
            slots.insert(slot.clone());
        }
    }

    pub(super) fn remove(&mut self, slot: &Slot) {
        let Some(clusters) = self.0.get_mut(&slot.pair.scope) else {
            return;
        };
        if let btree_map::Entry::Occupied(mut slots) = clusters.entry(slot.pair.cluster.clone()) {
            slots.get_mut().remove(slot);
            if slots.get().is_empty() {
                slots.remove();
            }
        }
        if clusters.is_empty() {
            self.0.remove(&slot.pair.scope);
        }
    }

    pub(super) fn remove_account(&mut self, account: &AccountName) {
        self.0.retain(|scope, _| scope.account != *account);
    }
}
