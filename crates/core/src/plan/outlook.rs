//! What the open runs of a cluster wait for.
//!
//! Owns: what a plan tells of each cluster that it has looked at, so that the next one needs not look at those for which
//! nothing has changed and nothing has come; and what is known of those that it leaves out. Never decides anything: where
//! all of a scope is looked at, the plan is the same without it.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use crate::names::ClusterId;
use crate::run::Run;
use crate::slot::Slot;

/// What the open runs of one cluster wait for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Outlook {
    /// When they are to be looked at again, if nothing happens before.
    pub(crate) wake_at: Option<DateTime<Utc>>,
    /// From when on one of them wants the scope to be listed.
    pub(crate) listing_at: Option<DateTime<Utc>>,
    /// When one of them is to be looked for by its name, where the scope cannot be listed, or not often.
    pub(crate) look_at: Option<DateTime<Utc>>,
    /// Those that would ask AWS, and wait for the budget or for calls under way.
    pub(crate) asking: Vec<Slot>,
}

/// What was told of each cluster.
#[derive(Debug, Default)]
pub(crate) struct Outlooks(pub(crate) BTreeMap<ClusterId, Outlook>);

/// What is known of the clusters of a scope that a plan does not look at.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Rest {
    /// The first instant at which one of them is to be looked at.
    pub(crate) wake_at: Option<DateTime<Utc>>,
    /// From when on one of them wants the scope to be listed.
    pub(crate) listing_at: Option<DateTime<Utc>>,
    /// When the first of them is to be looked for by its name.
    pub(crate) look_at: Option<DateTime<Utc>>,
    /// How many runs of theirs would ask AWS.
    pub(crate) asking: usize,
}

impl Outlooks {
    fn of(&mut self, run: &Run) -> &mut Outlook {
        let cluster = &run.slot.pair.cluster;
        self.0.entry(cluster.clone()).or_default()
    }

    /// The run is to be looked at again at this instant.
    pub(super) fn wake(&mut self, run: &Run, at: DateTime<Utc>) {
        earlier(&mut self.of(run).wake_at, at);
    }

    /// The run wants a listing from this instant on.
    pub(super) fn want_listing(&mut self, run: &Run, at: DateTime<Utc>) {
        earlier(&mut self.of(run).listing_at, at);
    }

    /// The run is to be looked for by its name at this instant.
    pub(super) fn want_look(&mut self, run: &Run, at: DateTime<Utc>) {
        earlier(&mut self.of(run).look_at, at);
    }

    /// The run would ask AWS and has to wait.
    pub(super) fn queue(&mut self, run: &Run) {
        let slot = run.slot.clone();
        self.of(run).asking.push(slot);
    }

    /// The first instant at which any of them is to be looked at.
    pub(super) fn wake_at(&self) -> Option<DateTime<Utc>> {
        self.0.values().filter_map(|one| one.wake_at).min()
    }
}

impl Outlook {
    /// Whether whoever believes this misses nothing that `truth` tells.
    pub(crate) fn covers(&self, truth: &Self) -> bool {
        let instants = |one: &Self| [one.wake_at, one.listing_at, one.look_at];
        let mut both = instants(self).into_iter().zip(instants(truth));
        let is_early =
            |told: Option<DateTime<Utc>>, at| told.is_some_and(|told: DateTime<Utc>| told <= at);
        both.all(|(told, truth)| truth.is_none_or(|at| is_early(told, at)))
            && truth.asking.iter().all(|slot| self.asking.contains(slot))
    }
}

fn earlier(instant: &mut Option<DateTime<Utc>>, at: DateTime<Utc>) {
    *instant = Some(instant.map_or(at, |before| before.min(at)));
}
