//! What waits in one scope: the index that spares a plan all that nothing has happened to.
//!
//! Owns: which clusters' runs are to be looked at by an instant, which wait for the budget, in the order in which they go,
//! and what is known of the others. It only repeats what the last plan of each cluster has told: a plan of the whole scope
//! is made each half minute whatever it says, and `Engine::audit` finds what is not so (I25).

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use crate::names::ClusterId;
use crate::plan::outlook::{Outlook, Outlooks, Rest};
use crate::slot::{Pair, Slot};

/// The clusters by an instant.
type ByInstant = BTreeSet<(DateTime<Utc>, ClusterId)>;

/// More than AWS is asked at once for looks by name, those under way included.
const LOOKS: usize = 16;

/// What waits in one scope.
#[derive(Debug, Clone, Default)]
pub(super) struct Waiting {
    outlooks: BTreeMap<ClusterId, Outlook>,
    wakes: ByInstant,
    listings: ByInstant,
    looks: ByInstant,
    asking: BTreeSet<Slot>,
    /// The pairs that have a snapshot whose end is near.
    pub(super) near: BTreeSet<Pair>,
    /// Whether runs were looked for by their names.
    pub(super) looks_by_name: bool,
}

impl Waiting {
    /// What the plan of a whole scope has told.
    pub(super) fn new(outlooks: Outlooks, near: BTreeSet<Pair>, looks_by_name: bool) -> Self {
        let mut waiting = Self {
            near,
            looks_by_name,
            ..Self::default()
        };
        waiting.put(outlooks);
        waiting
    }

    /// The clusters that are to be looked at: those whose instant has come, and those of the first runs that may ask.
    pub(super) fn due(&self, room: usize, now: DateTime<Utc>) -> BTreeSet<ClusterId> {
        let come = |index: &ByInstant| {
            let come = index.iter().take_while(move |(at, _)| *at <= now);
            come.map(|(_, cluster)| cluster.clone()).collect::<Vec<_>>()
        };
        let asking = self.asking.iter().take(room);
        let asking = asking.map(|slot| slot.pair.cluster.clone());
        let looks = { come(&self.looks).into_iter() }.take(LOOKS);
        let looks = looks.filter(|_| self.looks_by_name);
        come(&self.wakes)
            .into_iter()
            .chain(asking)
            .chain(looks)
            .collect()
    }

    /// Forgets what these clusters waited for: they are looked at. What is left is the rest.
    pub(super) fn take(&mut self, clusters: &BTreeSet<ClusterId>) -> Rest {
        for cluster in clusters {
            let Some(outlook) = self.outlooks.remove(cluster) else {
                continue;
            };
            let Outlook {
                wake_at,
                listing_at,
                look_at,
                asking,
            } = outlook;
            for (index, at) in self.indexes([wake_at, listing_at, look_at]) {
                index.remove(&(at, cluster.clone()));
            }
            for slot in asking {
                self.asking.remove(&slot);
            }
        }
        let first = |index: &ByInstant| index.first().map(|(at, _)| *at);
        Rest {
            wake_at: first(&self.wakes),
            listing_at: first(&self.listings),
            look_at: first(&self.looks),
            asking: self.asking.len(),
        }
    }

    /// Takes in what was told of clusters that were looked at.
    pub(super) fn put(&mut self, outlooks: Outlooks) {
        for (cluster, outlook) in outlooks.0 {
            let instants = [outlook.wake_at, outlook.listing_at, outlook.look_at];
            for (index, at) in self.indexes(instants) {
                index.insert((at, cluster.clone()));
            }
            self.asking.extend(outlook.asking.iter().cloned());
            self.outlooks.insert(cluster, outlook);
        }
    }

    /// The indexes in which a cluster is, each with its instant.
    fn indexes(
        &mut self,
        instants: [Option<DateTime<Utc>>; 3],
    ) -> impl Iterator<Item = (&mut ByInstant, DateTime<Utc>)> {
        let indexes = [&mut self.wakes, &mut self.listings, &mut self.looks];
        let both = indexes.into_iter().zip(instants);
        both.filter_map(|(index, at)| Some((index, at?)))
    }

    /// A cluster of which less is known than `truth` tells.
    pub(super) fn lacks<'a>(&self, truth: &'a Outlooks) -> Option<(&'a ClusterId, &'a Outlook)> {
        let nothing = Outlook::default();
        let mut truth = truth.0.iter();
        truth.find(|(cluster, truth)| {
            let known = self.outlooks.get(*cluster).unwrap_or(&nothing);
            !known.covers(truth)
        })
    }

    /// Loses what waits, as a planted fault does.
    pub(super) fn lose(&mut self) {
        *self = Self {
            near: std::mem::take(&mut self.near),
            looks_by_name: self.looks_by_name,
            ..Self::default()
        };
    }
}
