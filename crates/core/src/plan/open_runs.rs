//! The open runs of one scope.
//!
//! Owns: the index by which a run finds those that it has to wait for. It is made once a turn: looking through all
//! open runs for each of them, a turn's work would grow with their square. Never decides how long to wait.

use std::collections::{BTreeMap, BTreeSet};

use super::Facts;
use super::advance::blocks;
use crate::names::ClusterId;
use crate::names::Trigger;
use crate::run::Run;
use crate::slot::Scope;

/// The open runs of one scope, oldest first within each pair.
#[derive(Default)]
pub(crate) struct Open<'a> {
    /// All of them.
    pub(super) runs: Vec<&'a Run>,
    /// Those that others of their cluster wait for.
    blocking: BTreeMap<&'a ClusterId, Vec<&'a Run>>,
    /// Those that are asked for in this turn, which the history does not show yet.
    asked: Vec<&'a Run>,
}

/// The open runs of every scope that is looked at or has one; of those among `only`, where it is given.
pub(crate) fn by_scope<'a>(
    facts: Facts<'a>,
    only: Option<&BTreeSet<Scope>>,
) -> BTreeMap<&'a Scope, Open<'a>> {
    let is_wanted = |scope: &Scope| only.is_none_or(|only| only.contains(scope));
    let seen = facts.observed.scopes.keys();
    let seen = seen.filter(|scope| is_wanted(scope));
    let mut scopes: BTreeMap<&Scope, Open<'a>> =
        seen.map(|scope| (scope, Open::default())).collect();
    let open = facts.history.open();
    for run in open.filter(|run| is_wanted(&run.slot.pair.scope)) {
        let pair = &run.slot.pair;
        let open = scopes.entry(&pair.scope).or_default();
        open.runs.push(run);
        if blocks(facts, run) {
            open.blocking.entry(&pair.cluster).or_default().push(run);
        }
    }
    scopes
}

/// The open runs of one scope alone.
pub(crate) fn in_scope<'a>(facts: Facts<'a>, scope: &Scope) -> Open<'a> {
    let only = BTreeSet::from([scope.clone()]);
    by_scope(facts, Some(&only))
        .remove(scope)
        .unwrap_or_default()
}

impl<'a> Open<'a> {
    /// Notes that AWS is asked for the run's snapshot in this turn.
    pub(super) fn ask(&mut self, run: &'a Run) {
        self.asked.push(run);
    }

    /// The snapshot of the pair's schedule that AWS is still making, inside its completion window, when the schedule's
    /// next slot is due. What a person asked for is of no schedule: behind it, as behind another policy's, a slot queues.
    pub(crate) fn overlapping(&self, run: &Run) -> Option<&'a Run> {
        self.blocking_at(run)
            .find(|other| overlaps(other, run))
            .copied()
    }

    /// The run that this one queues behind: another of its cluster with a snapshot under way.
    pub(crate) fn ahead_of(&self, run: &Run) -> Option<&'a Run> {
        let asked = self.asked.iter();
        let mut others = asked
            .filter(|other| other.slot.pair.cluster == run.slot.pair.cluster)
            .chain(self.blocking_at(run));
        others
            .find(|other| other.slot != run.slot && !overlaps(other, run))
            .copied()
    }

    fn blocking_at(&self, run: &Run) -> impl Iterator<Item = &&'a Run> {
        let blocking = self.blocking.get(&run.slot.pair.cluster);
        blocking.into_iter().flatten()
    }
}

/// Whether both are of one schedule, and `run` is the later one.
fn overlaps(other: &Run, run: &Run) -> bool {
    let are_scheduled = [other, run].map(|one| one.trigger) == [Trigger::Schedule; 2];
    are_scheduled
        && other.slot.pair == run.slot.pair
        && other.slot.scheduled_at < run.slot.scheduled_at
}
