//! One turn after another: what the engine asks its driver to do next.
//!
//! Owns: the order plan → commit → call → plan again, the bound on one turn, and what an answer or a start adds. Never
//! carries a step out: the driver commits, calls and sleeps, and tells the engine what came of each.

use std::collections::{BTreeSet, VecDeque};

use chrono::{DateTime, Utc};

use super::Engine;
use super::agenda::{Agenda, Due, Planned};
use super::waiting::Waiting;
use crate::history::{Change, History};
use crate::names::Writer;
use crate::notify;
use crate::observed::{Barred, Doubted, Listing, ScopeView, ServerClock};
use crate::plan::advance::room;
use crate::plan::outlook::Rest;
use crate::plan::{
    Call, Extent, Facts, LONGEST_SLEEP, Plan, ScopePart, Violation, activations, blind, due_slots,
    guard_all, guard_pairs, is_one_whole, lint, of_runs, open_runs, operations, plan,
};
use crate::reply::{Reply, ReplyContext, take_in};
use crate::run::{Event, Run, RunState};
use crate::slot::{Pair, Scope};

/// Plans of one turn: activation, due slots, runs, and the recoveries between them.
const PLANS_PER_TURN: usize = 16;

/// One turn in this many ends with an audit in debug builds.
const AUDIT_EACH: u64 = 8;

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

    /// The parts of the plan that are due: the pairs and slots first and alone, as in [`plan`].
    fn plan_due(&mut self, now: DateTime<Utc>) -> Plan {
        let due = self.agenda.due(now);
        let mut agenda = std::mem::take(&mut self.agenda);
        let facts = self.facts(now);
        let mut plan = Plan::nothing(now);
        if due.pairs {
            activations(facts, &mut plan);
            agenda.looked_at_pairs(now);
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

    /// A debug build stops where a mark is missing.
    fn audit_now_and_then(&mut self) {
        self.turns += 1;
        if cfg!(debug_assertions)
            && self.turns.is_multiple_of(AUDIT_EACH)
            && let Err(violation) = self.audit()
        {
            debug_assert!(false, "{violation}");
        }
    }

    /// Looks for marks that are missing: what nothing says is due comes, planned once more as of the instant when it was
    /// planned last, to nothing new.
    ///
    /// # Errors
    /// The violation of I25.
    pub fn audit(&self) -> Result<(), Violation> {
        if let Some(scope) = self.agenda.sleeper() {
            return Err(Violation::Unmarked(format!("the wake-up of {scope}")));
        }
        if let Some(at) = self.agenda.settled_pairs() {
            let mut plan = Plan::nothing(at);
            activations(self.facts(at), &mut plan);
            if let Some(change) = plan.changes.first() {
                return Err(Violation::Unmarked(format!("the pairs: {change:?}")));
            }
        }
        for (scope, planned) in self.agenda.settled() {
            self.audit_scope(scope, planned)?;
        }
        Ok(())
    }

    fn audit_scope(&self, scope: &Scope, planned: &Planned) -> Result<(), Violation> {
        let unmarked = |what: String| Err(Violation::Unmarked(what));
        let facts = self.facts(planned.at);
        let part = of_runs(
            facts,
            scope,
            open_runs::in_scope(facts, scope),
            &Rest::default(),
        );
        if let Some((cluster, outlook)) = planned.waiting.lacks(&part.outlooks) {
            let what = format!(
                "what {cluster} in {scope} waits for at {}: {outlook:?}",
                planned.at
            );
            return unmarked(what);
        }
        // The end of a snapshot draws near by and by, which nobody wakes for.
        let mut guarded = Plan::nothing(planned.whole_at);
        guard_all(self.facts(planned.whole_at), scope, &mut guarded);
        for plan in [part.plan, guarded] {
            if !plan.changes.is_empty() || !plan.calls.is_empty() {
                return unmarked(format!("{scope}, planned at {}: {plan:?}", planned.at));
            }
        }
        Ok(())
    }

    /// What is to be done now, as a value.
    pub fn plan(&self, now: DateTime<Utc>) -> Plan {
        plan(self.facts(now))
    }

    /// The broken rules that were found in plans since this was last asked.
    pub fn take_violations(&mut self) -> Vec<Violation> {
        std::mem::take(&mut self.violations)
    }

    /// Takes in changes that the store has, or that are kept until it can write; `stay` are the runs that had ended in
    /// the store before and stay as they are.
    pub fn committed(&mut self, changes: Vec<Change>, stay: Vec<Run>) {
        for change in changes {
            self.agenda.mark_change(&change);
            self.history.apply(change);
        }
        for run in stay {
            self.agenda.mark(&run.slot.pair.scope);
            self.history.insert(run);
        }
    }

    /// Takes in the reply to a call; what follows from it is committed by the next step.
    pub fn answered(&mut self, reply: Reply, now: DateTime<Utc>) {
        let changes = self.take_in(reply, now);
        self.turn.changes.extend(changes);
        self.turn.plans = 0;
        self.turn.is_settled = false;
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
        } else if before != after {
            self.agenda.mark_pairs();
        }
        changes
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

/// The scopes that the plan looks at; with the pairs also those that nobody has planned yet.
fn scopes_due(facts: Facts<'_>, agenda: &Agenda, due: &Due) -> BTreeSet<Scope> {
    let all = || open_runs::scopes(facts).into_iter();
    match &due.scopes {
        None => all().cloned().collect(),
        Some(scopes) if !due.pairs => scopes.clone(),
        Some(scopes) => {
            let unknown = all().filter(|scope| !agenda.knows(scope));
            scopes.iter().chain(unknown).cloned().collect()
        }
    }
}

/// Plans one scope: the runs that have changed since `before` and those that waited for something which has come, or all.
fn plan_scope(
    facts: Facts<'_>,
    scope: &Scope,
    before: Option<(Planned, BTreeSet<Pair>)>,
) -> (Plan, Planned) {
    let view = facts.observed.scopes.get(scope);
    let looks_by_name = view.is_some_and(|view| blind::looks(view, facts.now));
    let is_part = |(before, _): &(Planned, BTreeSet<Pair>)| {
        before.waiting.looks_by_name == looks_by_name && !is_one_whole(facts, scope)
    };
    let part = before.filter(is_part);
    let part = part.and_then(|(before, touched)| plan_part(facts, scope, before, &touched));
    part.unwrap_or_else(|| {
        let open = open_runs::in_scope(facts, scope);
        let ScopePart {
            mut plan, outlooks, ..
        } = of_runs(facts, scope, open, &Rest::default());
        let near = guard_all(facts, scope, &mut plan);
        let planned = Planned {
            at: facts.now,
            whole_at: facts.now,
            wake_at: plan.wake_at,
            waiting: Waiting::new(outlooks, near, looks_by_name),
        };
        (plan, planned)
    })
}

/// Plans what is due of a scope; `None` where that turns out to be too little.
fn plan_part(
    facts: Facts<'_>,
    scope: &Scope,
    before: Planned,
    touched: &BTreeSet<Pair>,
) -> Option<(Plan, Planned)> {
    let view = facts.observed.scopes.get(scope)?;
    let mut waiting = before.waiting;
    let mut clusters = waiting.due(room(facts, scope, view), facts.now);
    clusters.extend(touched.iter().map(|pair| pair.cluster.clone()));
    let rest = waiting.take(&clusters);
    let open = open_runs::of_clusters(facts, scope, &clusters);
    let ScopePart {
        mut plan,
        outlooks,
        is_short,
    } = of_runs(facts, scope, open, &rest);
    if is_short {
        return None;
    }
    waiting.put(outlooks);
    let pairs: BTreeSet<&Pair> = touched.iter().chain(&waiting.near).collect();
    let near = guard_pairs(facts, scope, pairs.into_iter(), &mut plan);
    waiting.near = near;
    let planned = Planned {
        at: facts.now,
        whole_at: before.whole_at,
        wake_at: plan.wake_at,
        waiting,
    };
    Some((plan, planned))
}
