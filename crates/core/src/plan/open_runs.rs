//! Open runs of one scope.
//!
//! Owns: the index by which a run finds those that it has to wait for. It is made once for each plan: looking through all
//! open runs for each of them, a turn's work would grow with their square. Never decides how long to wait.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};

use super::Facts;
use super::advance::blocks;
use crate::names::ClusterId;
use crate::names::Trigger;
use crate::refusals::Answers;
use crate::run::Run;
use crate::slot::Scope;

/// Open runs of one scope, oldest first within each pair: all of them, or all of some clusters.
#[derive(Default)]
pub(crate) struct Open<'a> {
    /// All of them.
    pub(super) runs: Vec<&'a Run>,
    /// Those that others of their cluster wait for.
    blocking: BTreeMap<&'a ClusterId, Vec<&'a Run>>,
    /// Those that are asked for in this turn, which the history does not show yet.
    asked: Vec<&'a Run>,
    /// What tells whether refusals are over, once that is asked.
    answers: OnceCell<Answers<'a>>,
}

/// The scopes that are looked at or have an open run.
pub(crate) fn scopes<'a>(facts: Facts<'a>) -> BTreeSet<&'a Scope> {
    let seen = facts.observed.scopes.keys();
    seen.chain(facts.history.open_scopes()).collect()
}

/// The open runs of one scope.
pub(crate) fn in_scope<'a>(facts: Facts<'a>, scope: &Scope) -> Open<'a> {
    Open::of(facts, facts.history.open_in(scope).collect())
}

/// The open runs of some clusters of a scope. A run waits for no other than those of its own.
pub(crate) fn of_clusters<'a>(
    facts: Facts<'a>,
    scope: &Scope,
    clusters: &BTreeSet<ClusterId>,
) -> Open<'a> {
    let runs = clusters.iter();
    let runs = runs.flat_map(|cluster| facts.history.open_of(scope, cluster));
    Open::of(facts, runs.collect())
}

impl<'a> Open<'a> {
    /// In the order of their slots, in which they go.
    fn of(facts: Facts<'_>, mut runs: Vec<&'a Run>) -> Self {
        runs.sort_unstable_by(|one, other| one.slot.cmp(&other.slot));
        let mut blocking: BTreeMap<&ClusterId, Vec<&Run>> = BTreeMap::new();
        for run in runs.iter().filter(|run| blocks(facts, run)) {
            let of_cluster = blocking.entry(&run.slot.pair.cluster).or_default();
            of_cluster.push(run);
        }
        Self {
            runs,
            blocking,
            asked: Vec::new(),
            answers: OnceCell::new(),
        }
    }

    /// Whether an acceptance shows that what the run was refused for is over, so that it asks again at once.
    pub(crate) fn is_freed(&self, facts: Facts<'a>, run: &Run) -> bool {
        let scope = &run.slot.pair.scope;
        let runs = || self.runs.iter().copied();
        let answers = || Answers::about(facts.history, scope, runs(), facts.now);
        run.waits_for_acceptance() && self.answers.get_or_init(answers).refute(run)
    }

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
