//! The plan: from configuration, observation, history and `now` to what is to be done.
//!
//! Owns: every decision of the daemon. Never does anything: a plan is a value, so that the daemon and the simulation see the
//! same. Planning over a history with unfinished runs is recovery; there is no other. `engine` puts the parts together.
//!
//! `pairs` decides which pairs are active (`edits` which were so under an older configuration), `materialize` which slots
//! get a run. `scope` puts together what one scope needs: `advance` what each open run needs (`open_runs` is the index of
//! them, `outlook` what they wait for), `missing` which snapshots are looked for by name (and `blind` which are while nothing
//! can be listed), `guard` which are to be kept for longer, `lost` what nobody can follow any more. `actions` decides what is
//! done of what people want done to single snapshots, `prune` which are removed; `alarms` says what an operator should know.

mod actions;
pub(crate) mod advance;
mod alarms;
pub(crate) mod blind;
mod call;
mod edits;
mod guard;
mod lint;
mod lost;
mod materialize;
mod missing;
pub(crate) mod open_runs;
pub(crate) mod outlook;
mod pairs;
mod prune;
mod scope;

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};

use crate::history::{Change, History};
use crate::names::Trigger;
use crate::names::{AccountName, Writer};
use crate::observed::{CALLS_IN_FLIGHT, Observed, ScopeView};
use crate::policy::{Account, Role};
use crate::run::Run;
use crate::settings::Config;
use crate::slot::{Scope, Slot};

pub use alarms::{Alarm, alarms};
pub use call::Call;
pub use lint::{Violation, lint};
pub use materialize::manual_run;
pub use prune::{
    Blocked, PruneCandidate, PrunePlan, blocked, due_at as next_pass_at, judged, lapsed, pass,
    wants_confirmed,
};

pub(crate) use scope::{ScopePart, guard_all, guard_pairs, is_one_whole, of_runs};

/// What is to be done now.
#[derive(Debug, Default)]
pub struct Plan {
    /// What is to be committed, before any of the calls is made.
    pub changes: Vec<Change>,
    /// What AWS is to be asked.
    pub calls: Vec<Call>,
    /// When to plan again if nothing happens before.
    pub wake_at: DateTime<Utc>,
}

/// What a decision is made from.
#[derive(Clone, Copy)]
pub struct Facts<'a> {
    /// The configuration.
    pub config: &'a Config,
    /// What was seen of AWS.
    pub observed: &'a Observed,
    /// What is known of the past.
    pub history: &'a History,
    /// This installation, the writer of new snapshots.
    pub writer: &'a Writer,
    /// How far the work goes.
    pub extent: &'a Extent,
    /// Whether what is committed is in the store.
    pub is_written: bool,
    /// The present.
    pub now: DateTime<Utc>,
}

/// How far the work goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Extent {
    /// For ever.
    Endless,
    /// Slots later than this are not taken up.
    UpTo(DateTime<Utc>),
    /// Only the runs that people asked for; no slot of a schedule is taken up.
    Requests,
}

impl Extent {
    /// Whether a run is followed.
    pub fn has(&self, run: &Run) -> bool {
        *self != Self::Requests || run.trigger == Trigger::Manual
    }

    fn last_slot_at(&self) -> Option<DateTime<Utc>> {
        match self {
            Self::Endless => None,
            Self::UpTo(last) => Some(*last),
            Self::Requests => Some(DateTime::<Utc>::MIN_UTC),
        }
    }
}

impl Facts<'_> {
    /// Whether an account that is not in the policy file may be there under another name: one whose number nobody knows
    /// yet, or whose number is this one's. Until that is known, nothing of it ends.
    fn may_be_renamed(&self, account: &AccountName) -> bool {
        let is_it = |one: &Account, number: &str| {
            let role = one.identity.role.as_ref().and_then(Role::account_number);
            let told = || self.observed.account_number(&one.name).or(role);
            let known = self.history.account_numbers.get(&one.name);
            let known = known.map(String::as_str).or_else(told);
            known.is_none_or(|known| known == number)
        };
        let number = || self.history.number_of(account);
        let mut accounts = self.config.accounts.iter();
        self.config.account(account).is_none()
            && number().is_some_and(|number| accounts.any(|one| is_it(one, number)))
    }

    fn works_in(&self, scope: &Scope) -> bool {
        let history = self.history;
        let mut open = history.open().filter(|run| self.extent.has(run));
        let mut actions = history.actions.values();
        let mut removals = history.removals.values();
        let mut policies = self.config.policies.iter();
        *self.extent != Extent::Requests
            || open.any(|run| run.slot.pair.scope == *scope)
            || actions.any(|action| action.slot.pair.scope == *scope)
            || removals.any(|removal| removal.slot.pair.scope == *scope)
            || policies
                .any(|one| one.scopes.contains(scope) && wants_confirmed(history, one, self.now))
    }
}

/// The longest that the daemon sleeps, whatever the plan says.
pub const LONGEST_SLEEP: TimeDelta = TimeDelta::seconds(30);

/// The slots of the snapshots whose end is near and that the guard sees to, or would.
pub fn guarded(facts: Facts<'_>) -> BTreeSet<Slot> {
    let cares = guard::cares(facts);
    cares.map(|(run, _)| run.slot.clone()).collect()
}

/// Which pairs of the scopes that are looked at are active.
pub(crate) fn activations(facts: Facts<'_>, looks_at: &dyn Fn(&Scope) -> bool, plan: &mut Plan) {
    if *facts.extent != Extent::Requests {
        pairs::activate(facts, looks_at, plan);
    }
}

/// Which slots get a run, where the pairs are settled; when the next slot is, which may have come and wait for AWS's clock.
pub(crate) fn due_slots(facts: Facts<'_>, plan: &mut Plan) -> DateTime<Utc> {
    match plan.changes.is_empty() {
        true => materialize::open_slots(facts, plan),
        false => facts.now,
    }
}

/// What operators want done, and what is removed: a pass over a policy's snapshots concerns all of its scopes.
pub(crate) fn operations(facts: Facts<'_>, plan: &mut Plan) {
    actions::run(facts, plan);
    prune::prune(facts, plan);
}

impl Plan {
    /// Nothing is to be done before the longest sleep is over.
    pub(crate) fn nothing(now: DateTime<Utc>) -> Self {
        Self {
            wake_at: now + LONGEST_SLEEP,
            ..Self::default()
        }
    }

    /// Adds what another part of the same plan asks for.
    pub(crate) fn take(&mut self, part: Self) {
        self.changes.extend(part.changes);
        self.calls.extend(part.calls);
        self.wake(part.wake_at);
    }

    /// How many requests of the scope's budget the planned calls leave.
    fn budget_left(&self, scope: &Scope, view: &ScopeView, now: DateTime<Utc>) -> usize {
        let planned = self.calls.iter().filter(|call| call.scope() == scope);
        let planned: u32 = planned.map(Call::requests).sum();
        view.budget.available(now).saturating_sub(planned as usize)
    }

    /// Plans `call` if what the calls before it leave of the scope's budget is enough; else wakes when it may be.
    fn call(&mut self, call: Call, view: &ScopeView, now: DateTime<Utc>) {
        match self.budget_left(call.scope(), view, now) >= call.requests() as usize {
            true => self.calls.push(call),
            false => self.wake(view.budget.holds_at(call.requests(), now)),
        }
    }

    /// Whether a call for the slot is under way or planned: two at once would not see what the other does.
    fn is_busy(&self, slot: &Slot, facts: Facts<'_>) -> bool {
        let mut planned = self.calls.iter().filter_map(Call::slot);
        facts.observed.in_flight.contains(slot) || planned.any(|planned| planned == slot)
    }

    /// How many more calls for runs of the scope may be made, beside those that are under way and planned.
    fn room_left(&self, scope: &Scope, observed: &Observed) -> usize {
        let planned = self.calls.iter().filter(|call| call.slot().is_some());
        let planned = planned.filter(|call| call.scope() == scope).count();
        CALLS_IN_FLIGHT.saturating_sub(observed.calls_under_way(scope) + planned)
    }

    fn wake(&mut self, at: DateTime<Utc>) {
        self.wake_at = self.wake_at.min(at);
    }
}
