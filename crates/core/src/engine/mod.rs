//! The engine: all state that decisions read, and the daemon's steps as pure methods.
//!
//! Owns: the state (configuration, history, observation), the order of one turn (`step`), the inbox of operator
//! requests (`inbox`), what the store has not taken yet (`pending`) and which scopes are looked at (`scopes`). Never has an
//! effect and never reads a clock: the daemon and the simulation drive the same engine, each with its own clock, store and
//! clients.

mod agenda;
mod audit;
mod inbox;
mod part;
mod pending;
mod scopes;
mod step;
mod waiting;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use crate::history::History;
use crate::names::{PolicyName, Trigger, Writer};
use crate::notify::{Course, course_of};
use crate::observed::Observed;
use crate::operations::{Confirmation, SnapshotAction};
use crate::plan::{
    Alarm, Blocked, Extent, Facts, PruneCandidate, PrunePlan, Violation, alarms, blocked, judged,
    lapsed, next_pass_at, pass, wants_confirmed,
};
use crate::policy::Policy;
use crate::run::Run;
use crate::settings::Config;
use crate::slot::Slot;
use crate::snapshot::tag;

pub use inbox::{Pending, Request, Requests};
pub use pending::PendingChanges;
pub use step::Step;

use agenda::Agenda;
use step::Turn;

/// Everything that decisions are made from, but for the clock.
#[derive(Debug, Clone)]
pub struct Engine {
    /// The configuration in force.
    config: Config,
    /// What is known of the past; the store holds the same.
    history: History,
    /// What was seen of AWS.
    observed: Observed,
    /// This installation.
    writer: Writer,
    /// How far the work goes.
    extent: Extent,
    /// Whether the store has taken everything that was committed: while it has not, nothing is removed.
    is_written: bool,
    turn: Turn,
    agenda: Agenda,
    turns: u64,
    violations: Vec<Violation>,
}

impl Engine {
    /// An engine that has not looked at AWS yet.
    pub fn new(config: Config, history: History, writer: Writer, now: DateTime<Utc>) -> Self {
        let mut engine = Self {
            config,
            history,
            observed: Observed::default(),
            writer,
            extent: Extent::Endless,
            is_written: true,
            turn: Turn::default(),
            agenda: Agenda::default(),
            turns: 0,
            violations: Vec::new(),
        };
        engine.observed = Observed::nothing(engine.scopes(), now);
        engine.limit_pace();
        engine
    }

    /// The configuration in force.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// What is known of the past.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// What was seen of AWS.
    pub fn observed(&self) -> &Observed {
        &self.observed
    }

    /// This installation.
    pub fn writer(&self) -> &Writer {
        &self.writer
    }

    /// What the engine knows, for tests and the simulation to falsify: a planted fault must be caught. The daemon and
    /// the commands never call it (`tests/offline/layers.rs`).
    #[doc(hidden)]
    pub fn falsify(&mut self) -> (&Config, &mut History, &mut Observed) {
        self.agenda.mark_all();
        (&self.config, &mut self.history, &mut self.observed)
    }

    /// Loses every mark of what is due to be planned, as a planted fault does.
    #[doc(hidden)]
    pub fn lose_marks(&mut self) {
        self.agenda.lose_marks();
    }

    /// Loses every instant at which something is due, as a planted fault does.
    #[doc(hidden)]
    pub fn lose_wakes(&mut self) {
        self.agenda.lose_wakes();
    }

    /// Loses what is known of runs that wait, as a planted fault does.
    #[doc(hidden)]
    pub fn lose_index(&mut self) {
        self.agenda.lose_index();
    }

    /// Sets how far the work goes.
    pub fn set_extent(&mut self, extent: Extent) {
        self.extent = extent;
        self.agenda.mark_all();
    }

    /// Notes whether the store has taken everything that was committed.
    pub fn set_written(&mut self, is_written: bool) {
        if self.is_written != is_written {
            self.agenda.mark_all();
        }
        self.is_written = is_written;
    }

    /// What an operator should know now.
    pub fn alarms(&self, now: DateTime<Utc>) -> BTreeMap<Alarm, String> {
        alarms(self.facts(now))
    }

    /// How an alarm of `since` goes on that is not among them.
    pub fn course(&self, alarm: &Alarm, since: DateTime<Utc>, now: DateTime<Utc>) -> Course {
        course_of(self.facts(now), alarm, since)
    }

    /// What a pass over the snapshots of each policy that removes any would come to now.
    pub fn judge(&self, now: DateTime<Utc>) -> Vec<(&Policy, PrunePlan)> {
        let policies = self.config.policies.iter();
        let judged = policies.filter_map(|policy| Some((policy, pass(self.facts(now), policy)?)));
        judged.collect()
    }

    /// Every snapshot of a policy with what becomes of it, whether or not the policy removes any.
    pub fn judge_all(&self, policy: &Policy, now: DateTime<Utc>) -> Vec<PruneCandidate> {
        judged(self.facts(now), policy)
    }

    /// What keeps the snapshots of each policy that removes any from being removed now.
    pub fn prune_blocked(&self, now: DateTime<Utc>) -> BTreeMap<PolicyName, BTreeSet<Blocked>> {
        let policies = self.config.policies.iter();
        let pruning = policies.filter(|policy| policy.prunes());
        let blocked = pruning.map(|policy| (policy.name.clone(), blocked(self.facts(now), policy)));
        blocked.collect()
    }

    /// The confirmation of the policy's plan that has lapsed, where another is waited for.
    pub fn lapsed(&self, policy: &Policy, now: DateTime<Utc>) -> Option<&Confirmation> {
        lapsed(self.facts(now), policy)
    }

    /// When the next pass over the policy's snapshots is made, if nothing keeps it.
    pub fn next_pass_at(&self, policy: &Policy, now: DateTime<Utc>) -> DateTime<Utc> {
        next_pass_at(self.facts(now), policy)
    }

    /// Whether another installation made this run's snapshot for a slot that the schedule here does not have: its policy
    /// file or its time zone data is another.
    pub fn lacks_slot_of(&self, run: &Run) -> bool {
        let Slot { pair, scheduled_at } = &run.slot;
        let writer = run.request.tags.get(tag::WRITER);
        let is_of_another = writer.is_some_and(|writer| writer != self.writer.as_str());
        let pair_state = self.history.pairs.get(pair);
        let was_active =
            pair_state.is_some_and(|state| state.is_active() && state.active_from < *scheduled_at);
        let policy = self.config.policy(&pair.policy);
        let has_slot = policy.is_none_or(|policy| policy.schedule.has(*scheduled_at));
        run.trigger == Trigger::Schedule && is_of_another && was_active && !has_slot
    }

    /// Whether nothing is left of what people asked for beside snapshots.
    pub fn is_idle(&self, now: DateTime<Utc>) -> bool {
        let is_known = |slot: &Slot| self.observed.scopes.contains_key(&slot.pair.scope);
        let mut policies = self.config.policies.iter();
        let mut removals = self.history.removals.values();
        // One that is half done waits for somebody to mend something; once it was tried, nobody waits for it.
        let waits = |action: &SnapshotAction| {
            action.trouble.is_some() && self.observed.action_trouble.contains_key(&action.id)
        };
        self.history.actions.values().all(waits)
            && !removals.any(|removal| is_known(&removal.slot))
            && !policies.any(|policy| wants_confirmed(&self.history, policy, now))
    }

    fn facts(&self, now: DateTime<Utc>) -> Facts<'_> {
        Facts {
            config: &self.config,
            observed: &self.observed,
            history: &self.history,
            writer: &self.writer,
            extent: &self.extent,
            is_written: self.is_written,
            now,
        }
    }

    /// Whether an open run can be followed to its end: its account is configured, and is the one it was.
    pub fn can_end(&self, run: &Run) -> bool {
        let view = self.observed.scopes.get(&run.slot.pair.scope);
        view.is_some_and(|view| !view.is_other_account())
    }
}
