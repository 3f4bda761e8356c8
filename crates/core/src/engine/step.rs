//! One turn after another: what the engine asks its driver to do next.
//!
//! Owns: the order plan → commit → call → plan again, the bound on one turn, and what an answer or a start adds. Never
//! carries a step out: the driver commits, calls and sleeps, and tells the engine what came of each.

use std::collections::{BTreeSet, VecDeque};

use chrono::{DateTime, Utc};

use super::Engine;
use super::part::{plan_scope, scopes_due};
use crate::history::{Change, History};
use crate::names::Writer;
use crate::notify;
use crate::observed::{Barred, Doubted, Listing, ScopeView, ServerClock};
use crate::plan::{
    Call, Extent, LONGEST_SLEEP, Plan, Violation, activations, due_slots, lint, operations,
};
use crate::policy::Policy;
use crate::refusals::Answers;
use crate::reply::{Reply, ReplyContext, take_in};
use crate::run::{Event, Run, RunState};
use crate::slot::Scope;

/// Plans of one turn: activation, due slots, runs, and the recoveries between them.
const PLANS_PER_TURN: usize = 16;

/// What the driver is to do before it asks again.
#[derive(Debug)]
pub enum Step {
    /// Commit these changes, and hand them to [`Engine::committed`].
    Commit(Vec<Change>),
    /// Make this call, and hand its reply to [`Engine::answered`].
    Call {
        /// The call; its intent has been committed.
        call: Call,
        /// When the call was planned: what the reply proves is true from then on.
        planned_at: DateTime<Utc>,
    },
    /// Nothing is to be done before this instant, unless an answer, a request or a signal comes.
    Sleep {
        /// When to ask again.
        until: DateTime<Utc>,
    },
}

/// Where a turn stands.
#[derive(Debug, Clone, Default)]
pub(super) struct Turn {
    /// What is to be committed before anything else happens.
    changes: Vec<Change>,
    /// What is to be asked after that.
    calls: VecDeque<Call>,
    planned_at: DateTime<Utc>,
    wake_at: DateTime<Utc>,
    plans: usize,
    is_settled: bool,
}

/// What a reply may change beyond its own runs.
#[derive(PartialEq)]
struct Standing {
    bars: Vec<Option<Barred>>,
    numbers: usize,
    clock: Option<(bool, Option<Doubted>)>,
    has_clock: bool,
    is_identified: bool,
    listed_at: Option<DateTime<Utc>>,
    was_looked_at: bool,
    snapshots_at: Option<DateTime<Utc>>,
}

impl Turn {
    fn is_over(&self) -> bool {
        self.is_settled || self.plans >= PLANS_PER_TURN
    }

    /// A turn that was cut off goes on at once.
    fn sleeps_until(&self) -> DateTime<Utc> {
        if self.is_settled {
            self.wake_at
        } else {
            self.planned_at
        }
    }
}

impl Engine {
    /// What the driver is to do at `now`. It asks again after each step; after [`Step::Sleep`] a new turn begins.
    pub fn next(&mut self, now: DateTime<Utc>) -> Step {
        loop {
            if !self.turn.changes.is_empty() {
                return Step::Commit(self.take_changes(now));
            }
            if let Some(call) = self.turn.calls.pop_front() {
                let planned_at = self.turn.planned_at;
                self.dispatched(&call, planned_at);
                return Step::Call { call, planned_at };
            }
            if self.turn.is_over() {
                let told = self.tell_standing(now);
                if !told.is_empty() {
                    return Step::Commit(told);
                }
                let until = self.turn.sleeps_until();
                self.audit_now_and_then();
                self.turn = Turn::default();
                return Step::Sleep { until };
            }
            self.plan_on(now);
        }
    }

    /// Whether calls are to be made whose intent has been committed.
    pub fn has_calls(&self) -> bool {
        !self.turn.calls.is_empty()
    }

    /// Plans what is due once more in this turn.
    fn plan_on(&mut self, now: DateTime<Utc>) {
        let plan = self.plan_due(now);
        let violations = lint(&plan, self.facts(now));
        if let Some(violation) = violations.first() {
            debug_assert!(false, "{violation}; the plan is {plan:?}");
        }
        self.violations.extend(violations);
        let plans = self.turn.plans + 1;
        self.turn = Turn {
            is_settled: plan.changes.is_empty(),
            changes: plan.changes,
            calls: plan.calls.into(),
            planned_at: now,
            wake_at: plan.wake_at,
            plans,
        };
    }

    /// The parts of the plan that are due. Activations and newly due slots come first and alone: once they are committed it is
    /// planned again, so that each decision is made from a history that is in the store.
    fn plan_due(&mut self, now: DateTime<Utc>) -> Plan {
        let due = self.agenda.due(now);
        let mut agenda = std::mem::take(&mut self.agenda);
        let facts = self.facts(now);
        let mut plan = Plan::nothing(now);
        if !due.pairs.is_empty() {
            activations(facts, &|scope| due.pairs.has(scope), &mut plan);
            agenda.looked_at_pairs(&due.pairs, now);
        }
        if due.slots {
            agenda.looked_at_slots(due_slots(facts, &mut plan));
        }
        if plan.changes.is_empty() {
            for scope in scopes_due(facts, &agenda, &due) {
                let (part, planned) = plan_scope(facts, &scope, agenda.part_of(&scope, now));
                agenda.planned(&scope, planned);
                plan.take(part);
            }
            plan.wake_at = now + LONGEST_SLEEP;
            operations(facts, &mut plan);
            agenda.done(&due, now, plan.wake_at);
        }
        plan.wake_at = agenda.wake_at(now);
        self.agenda = agenda;
        plan
    }

    /// The broken rules that were found in plans since this was last asked.
    pub fn take_violations(&mut self) -> Vec<Violation> {
        std::mem::take(&mut self.violations)
    }

    /// Takes in changes that the store has, or that are kept until it can write; `stay` are the runs that had ended in
    /// the store before and stay as they are.
    pub fn committed(&mut self, changes: Vec<Change>, stay: Vec<Run>) {
        let mut scopes = BTreeSet::new();
        for change in changes {
            self.agenda.mark_change(&change);
            if let Change::Run(run) = &change
                && !scopes.contains(&run.slot.pair.scope)
            {
                scopes.insert(run.slot.pair.scope.clone());
            }
            self.history.apply(change);
        }
        for run in stay {
            self.agenda.mark(&run.slot.pair.scope);
            self.history.insert(run);
        }
        scopes.iter().for_each(|scope| self.free(scope));
    }

    /// Marks the runs whose refusal is over by what AWS has accepted in their scope: they wait for nothing any more. An
    /// acceptance that this machine's clock has still before it frees nothing before the next plan of the whole scope.
    fn free(&mut self, scope: &Scope) {
        let refused = || self.history.refused_in(scope);
        let newest = DateTime::<Utc>::MAX_UTC;
        let answers = Answers::about(&self.history, scope, refused(), newest);
        for run in refused().filter(|run| answers.refute(run)) {
            self.agenda.free(&run.slot);
        }
    }

    /// Takes in the reply to a call; what follows from it is committed by the next step.
    pub fn answered(&mut self, reply: Reply, now: DateTime<Utc>) {
        let mut changes = self.take_in(reply, now);
        changes.retain(|one| !self.has_ended(one));
        self.turn.changes.extend(changes);
        self.turn.plans = 0;
        self.turn.is_settled = false;
    }

    /// Whether another answer that is not committed yet has ended the change's run: ended runs stay as they are.
    fn has_ended(&self, change: &Change) -> bool {
        let Change::Run(run) = change else {
            return false;
        };
        let mut pending = self.turn.changes.iter().rev();
        pending.any(
            |one| matches!(one, Change::Run(other) if other.is_ended() && other.slot == run.slot),
        )
    }

    /// Notes that a call is being made.
    fn dispatched(&mut self, call: &Call, now: DateTime<Utc>) {
        let scope = call.scope();
        if let Some(view) = self.observed.scopes.get_mut(scope) {
            view.budget = view.budget.spent(call.requests(), now);
            if let (Call::List { .. }, Listing::Next { failures, .. }) = (call, view.listing) {
                view.budget = view.budget.listing(view.is_long(), now);
                view.listing = Listing::UnderWay {
                    failures,
                    since: now,
                };
            }
        }
        self.observed.in_flight.extend(call.slot().cloned());
    }

    fn take_in(&mut self, reply: Reply, now: DateTime<Utc>) -> Vec<Change> {
        let (scope, run) = (reply.scope().clone(), reply.run().cloned());
        let before = self.standing(&scope);
        let changes = self.took_in(reply, now);
        let after = self.standing(&scope);
        match run {
            Some(slot) if before == after => self.agenda.touch(&slot.pair),
            _ => self.agenda.mark(&scope),
        }
        if before.bars != after.bars {
            self.agenda.mark_all();
        } else if before.numbers != after.numbers {
            self.agenda.mark_pairs();
        } else if before != after {
            self.mark_pairs_by(&scope);
        }
        changes
    }

    /// What is known of a scope has changed: that decides about its pairs, and where a policy names a cluster that may be in
    /// any of several scopes, about those of the others too.
    fn mark_pairs_by(&mut self, scope: &Scope) {
        self.agenda.mark_pairs_in(scope);
        let names_any = |policy: &&Policy| {
            policy.scopes.contains(scope) && policy.selector.certain().next().is_some()
        };
        for policy in self.config.policies.iter().filter(names_any) {
            let scopes = policy.scopes.iter();
            scopes.for_each(|other| self.agenda.mark_pairs_in(other));
        }
    }

    /// What a reply may change beyond its own runs: who works where, what was listed and which clocks are believed.
    fn standing(&self, scope: &Scope) -> Standing {
        let views = &self.observed.scopes;
        let view = views.get(scope);
        Standing {
            bars: views.values().map(|view| view.barred.clone()).collect(),
            numbers: self.observed.account_numbers.len(),
            clock: view.map(|view| (view.clocks_agree(), view.doubted)),
            has_clock: view.is_some_and(|view| view.server_clock != ServerClock::Unasked),
            is_identified: view.is_some_and(|view| view.is_identified),
            listed_at: view.and_then(|view| view.reached_at),
            was_looked_at: view.is_some_and(ScopeView::was_looked_at),
            snapshots_at: view.and_then(|view| Some(view.snapshots.as_ref()?.began_at)),
        }
    }

    fn took_in(&mut self, reply: Reply, now: DateTime<Utc>) -> Vec<Change> {
        let known = ReplyContext {
            config: &self.config,
            history: &self.history,
            writer: &self.writer,
            is_written: self.is_written,
        };
        take_in(reply, known, &mut self.observed, now)
    }

    /// What is to be committed, with what it tells the receivers; also for a driver that makes no more steps and commits
    /// what the replies since the last one have brought.
    pub fn take_changes(&mut self, now: DateTime<Utc>) -> Vec<Change> {
        let mut changes = std::mem::take(&mut self.turn.changes);
        let told = notify::of_changes(self.facts(now), &changes);
        changes.extend(told);
        changes
    }

    /// What goes on and what is over, for the receivers: looked at each half minute, since it concerns the whole fleet.
    fn tell_standing(&mut self, now: DateTime<Utc>) -> Vec<Change> {
        let is_due = self.agenda.looks_at_standing(now) && self.extent != Extent::Requests;
        match is_due {
            true => notify::of_standing(self.facts(now)),
            false => Vec::new(),
        }
    }

    /// Takes in the reply to a call and what follows from it, where nothing is committed: a command only looks.
    pub fn observe(&mut self, reply: Reply, now: DateTime<Utc>) {
        let changes = self.take_in(reply, now);
        self.committed(changes, Vec::new());
    }

    /// Begins as after a stop: the runs whose call it cut off are in doubt, and the next step commits that.
    pub fn recover(&mut self, now: DateTime<Utc>) {
        let changes = self.recovered(now);
        self.turn.changes.extend(changes);
    }

    fn recovered(&self, now: DateTime<Utc>) -> Vec<Change> {
        let lost = Event::Lost {
            look_at: now,
            message: "the daemon stopped before the answer came".to_owned(),
        };
        self.history
            .open()
            .filter(|run| matches!(run.state, RunState::Asking { .. }))
            .filter_map(|run| run.clone().apply(lost.clone(), now))
            .map(|run| Change::Run(Box::new(run)))
            .collect()
    }

    /// Takes in the history of a file that could not be read at the start, as a restart would: what was to be done
    /// before is due, and calls that a former daemon made are in doubt.
    pub fn reread(&mut self, history: History, installation: Writer, now: DateTime<Utc>) {
        if self.config.writer.is_none() {
            self.writer = installation;
        }
        let begun = std::mem::replace(&mut self.history, history);
        // Of what has ended since the start, the store only tells what a start needs.
        for run in begun.runs.values() {
            if !self.history.runs.contains_key(&run.slot) {
                self.history.insert(run.clone());
            }
        }
        let in_flight = &self.observed.in_flight;
        let is_under_way =
            |change: &Change| matches!(change, Change::Run(run) if in_flight.contains(&run.slot));
        self.agenda.mark_all();
        let mut recovered = self.recovered(now);
        recovered.retain(|change| !is_under_way(change));
        self.turn.changes.extend(recovered);
        self.reach_out(now);
    }

    /// Goes on with a new history in the place of one that was lost meanwhile: what is open is recorded in the new one
    /// too, and the snapshots tell the rest.
    pub fn start_over(&mut self, history: History, installation: Writer, now: DateTime<Utc>) {
        let before = std::mem::take(&mut self.history);
        self.reread(history, installation, now);
        for run in before.open() {
            self.history.insert(run.clone());
            let change = Change::Run(Box::new(run.clone()));
            self.turn.changes.push(change);
        }
    }
}
