//! The plan: from configuration, observation, history and `now` to what is to be done.
//!
//! Owns: every decision of the daemon. Never does anything: a plan is a value, so that a dry run, a test and
//! the daemon see the same. Planning over a history with unfinished runs is recovery; there is no other.
//!
//! `pairs` decides which pairs are active (`edits` which were so under an older configuration), `due` which slots get a
//! run, `advance` what each open run needs (`open_runs` is its index of them, `outlook` what they wait for), `missing` which snapshots are looked for by name
//! (and `blind` which are while nothing can be listed), `keep` which snapshots are to be kept for longer, `actions` what people want done to single ones, `prune` which are
//! removed, `lost` what nobody can follow any more; `alarms` says what an operator should know.

mod actions;
pub(crate) mod advance;
mod alarms;
pub(crate) mod blind;
mod edits;
pub(crate) mod guard;
mod lint;
mod lost;
mod materialize;
mod missing;
pub(crate) mod open_runs;
pub(crate) mod outlook;
mod pairs;
mod prune;

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};

use crate::history::{Change, Extension, History};
use crate::names::Trigger;
use crate::names::{AccountName, Writer};
use crate::observed::{CALLS_IN_FLIGHT, Listing, Observed, ScopeView};
use crate::operations::{Removal, SnapshotAction};
use crate::policy::{Account, Role};
use crate::redshift::CreateRequest;
use crate::retention::prune::Proof;
use crate::run::Run;
use crate::settings::Config;
use crate::slot::{Pair, Scope, Slot};
use crate::snapshot::SnapshotId;

pub use alarms::{Alarm, alarms};
pub use lint::{Violation, lint};
pub use materialize::manual_run;
pub use prune::{
    Blocked, PruneCandidate, PrunePlan, blocked, due_at as next_pass_at, judged, lapsed, pass,
    wants_confirmed,
};

use open_runs::Open;
use outlook::{Outlooks, Rest};

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

/// A call to AWS, with all that is needed to make it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call {
    /// List a scope's clusters and manual snapshots, all pages.
    List {
        /// The scope.
        scope: Scope,
        /// How far apart the pages are beyond the first [`SHORT_PAGES`](crate::observed::SHORT_PAGES).
        page_pause: TimeDelta,
        /// Whether the account's number is still to be asked for.
        asks_account: bool,
    },
    /// Ask for the snapshot of a run whose intent has been committed.
    Create {
        /// The run's slot.
        slot: Slot,
        /// What to ask for.
        request: CreateRequest,
    },
    /// Look for the snapshot of a run by its name.
    Describe {
        /// The run's slot.
        slot: Slot,
        /// The snapshot.
        id: SnapshotId,
        /// Whether the account's number is asked for as well: that the snapshot is not there says something only in
        /// the right account.
        asks_account: bool,
    },
    /// Ask why the snapshot of a run failed.
    Explain {
        /// The run's slot.
        slot: Slot,
        /// The snapshot.
        id: SnapshotId,
    },
    /// Put off the end of a good snapshot.
    Extend {
        /// The snapshot.
        id: SnapshotId,
        /// What is to be recorded of it.
        extension: Extension,
        /// The account's number, where it is known: another account may share one of the same name.
        account_number: Option<String>,
    },
    /// Describe a snapshot once more and, if it still may go, remove it; one that AWS may have been asked for
    /// before is only described.
    Remove {
        /// The intent, which has been committed.
        removal: Box<Removal>,
        /// What proves that it may be touched.
        proof: Box<Proof>,
    },
    /// Do what a person wants done to a snapshot, once it has proven itself to be redkeep's.
    SnapshotAction {
        /// What.
        action: Box<SnapshotAction>,
        /// What proves that it may be touched.
        proof: Box<Proof>,
    },
}

impl Call {
    /// The scope in which the call is made.
    pub fn scope(&self) -> &Scope {
        match self {
            Self::List { scope, .. } => scope,
            Self::Create { slot, .. }
            | Self::Describe { slot, .. }
            | Self::Explain { slot, .. } => &slot.pair.scope,
            Self::Extend { extension, .. } => &extension.slot.pair.scope,
            Self::Remove { removal, .. } => &removal.slot.pair.scope,
            Self::SnapshotAction { action, .. } => &action.slot.pair.scope,
        }
    }

    /// How many requests the call takes of its scope's budget when it is made; a listing of more than one page
    /// is charged for the others when its answer tells how many there were.
    pub fn requests(&self) -> u32 {
        match self {
            Self::List {
                asks_account: true, ..
            } => 3,
            // One in doubt is only described.
            Self::Remove { removal, .. } if removal.look_at.is_some() => 1,
            Self::List { .. } | Self::Remove { .. } | Self::Extend { .. } => 2,
            Self::Describe {
                asks_account: true, ..
            } => 2,
            Self::SnapshotAction { .. } => 4,
            Self::Create { .. } | Self::Describe { .. } | Self::Explain { .. } => 1,
        }
    }

    /// The slot of the run that the call is for.
    pub fn slot(&self) -> Option<&Slot> {
        match self {
            Self::List { .. } => None,
            Self::Create { slot, .. }
            | Self::Describe { slot, .. }
            | Self::Explain { slot, .. } => Some(slot),
            Self::Extend { extension, .. } => Some(&extension.slot),
            Self::Remove { removal, .. } => Some(&removal.slot),
            Self::SnapshotAction { action, .. } => Some(&action.slot),
        }
    }
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

/// Decides what is to be done at `facts.now`.
///
/// Activations and newly due slots come first and alone: once they are committed the caller plans again, so
/// that each decision is made from a history that is in the store.
pub fn plan(facts: Facts<'_>) -> Plan {
    let mut plan = Plan::nothing(facts.now);
    activations(facts, &mut plan);
    let slot_at = due_slots(facts, &mut plan);
    plan.wake(if slot_at > facts.now {
        slot_at
    } else {
        facts.now + LONGEST_SLEEP
    });
    if plan.changes.is_empty() {
        for scope in open_runs::scopes(facts) {
            plan.take(of_scope(facts, scope));
        }
        operations(facts, &mut plan);
    }
    plan
}

/// Which pairs are active.
pub(crate) fn activations(facts: Facts<'_>, plan: &mut Plan) {
    if *facts.extent != Extent::Requests {
        pairs::activate(facts, plan);
    }
}

/// Which slots get a run, where the pairs are settled; when the next slot is, which may have come and wait for AWS's clock.
pub(crate) fn due_slots(facts: Facts<'_>, plan: &mut Plan) -> DateTime<Utc> {
    match plan.changes.is_empty() {
        true => materialize::open_slots(facts, plan),
        false => facts.now,
    }
}

/// What one scope needs, whatever the others do.
fn of_scope(facts: Facts<'_>, scope: &Scope) -> Plan {
    let open = open_runs::in_scope(facts, scope);
    let mut part = of_runs(facts, scope, open, &Rest::default());
    guard_all(facts, scope, &mut part.plan);
    part.plan
}

/// What a plan of runs of one scope comes to.
#[derive(Debug)]
pub(crate) struct ScopePart {
    /// What is to be done.
    pub(crate) plan: Plan,
    /// What is waited for in each cluster that was looked at.
    pub(crate) outlooks: Outlooks,
    /// Whether others of the scope may ask AWS now and were left out.
    pub(crate) is_short: bool,
}

/// What these runs of a scope need, and the scope itself: a listing, and looks by name. Of the clusters that are not looked
/// at, `rest` is known: where that is right, the plan is the same as one that looks at all of them.
pub(crate) fn of_runs<'a>(
    facts: Facts<'a>,
    scope: &Scope,
    mut open: Open<'a>,
    rest: &Rest,
) -> ScopePart {
    let mut plan = Plan::nothing(facts.now);
    let mut outlooks = Outlooks::default();
    let is_out_of_reach = lost::is_out_of_reach(facts, scope);
    if is_out_of_reach {
        lost::give_up(facts, &open, &mut plan);
    }
    let mut is_short = false;
    if let Some(view) = facts.observed.scopes.get(scope) {
        // The listing first: when calls are scarce, a look that many runs wait for is worth the most.
        let looked = (&mut outlooks, rest);
        list(facts, (scope, view), &open, looked, &mut plan);
        if !is_out_of_reach {
            let looked = (&mut outlooks, rest);
            is_short = advance::advance(facts, (scope, view), &mut open, looked, &mut plan);
        }
        let looked = (&mut outlooks, rest);
        blind::look(facts, (scope, view), &open, looked, &mut plan);
        missing::look(facts, scope, &mut plan);
    }
    let wakes = outlooks.wake_at().into_iter().chain(rest.wake_at);
    wakes.for_each(|at| plan.wake(at));
    ScopePart {
        plan,
        outlooks,
        is_short,
    }
}

/// Sees to the end of the last good snapshots of a whole scope; returns the pairs of which an end is near.
pub(crate) fn guard_all(facts: Facts<'_>, scope: &Scope, plan: &mut Plan) -> BTreeSet<Pair> {
    guard_pairs(facts, scope, facts.history.runs.pairs_in(scope), plan)
}

/// The same for these pairs of it.
pub(crate) fn guard_pairs<'a>(
    facts: Facts<'a>,
    scope: &Scope,
    pairs: impl Iterator<Item = &'a Pair>,
    plan: &mut Plan,
) -> BTreeSet<Pair> {
    let is_watched = facts.observed.scopes.contains_key(scope);
    match is_watched && *facts.extent != Extent::Requests {
        true => guard::extend(facts, scope, pairs, plan),
        false => BTreeSet::new(),
    }
}

/// Whether nothing can be told of a scope but by looking at all of it: where AWS's clock decides what has come, each
/// answer moves that; and where nobody can follow what has begun.
pub(crate) fn is_one_whole(facts: Facts<'_>, scope: &Scope) -> bool {
    let view = facts.observed.scopes.get(scope);
    let is_plain = view.is_some_and(|view| view.horizon(facts.now) == Some(facts.now));
    !is_plain || lost::is_out_of_reach(facts, scope)
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

/// A listing is due at the scope's pace, or at once when a decision waits for one.
fn list(
    facts: Facts<'_>,
    (scope, view): (&Scope, &ScopeView),
    open: &Open<'_>,
    (outlooks, rest): (&mut Outlooks, &Rest),
    plan: &mut Plan,
) {
    let look_at = advance::look_wanted_at(facts, view, open, outlooks);
    let Listing::Next { at, failures } = view.listing else {
        return;
    };
    if !facts.works_in(scope) {
        return;
    }
    let date_at = view.doubted.map(|doubted| doubted.confirmed_from);
    let wanted_at = { look_at.into_iter() }
        .chain(rest.listing_at)
        .chain(date_at);
    let wanted_at = wanted_at.min();
    let wanted_at = wanted_at.map(|at| at.max(view.rests_until));
    let at = match failures {
        0 => at.min(wanted_at.unwrap_or(at)),
        _ => at,
    };
    let call = Call::List {
        scope: scope.clone(),
        page_pause: view.budget.page_pause(facts.now),
        // A number that bars the scope is asked for again: somebody may have mended the credentials.
        asks_account: facts.observed.account_number(&scope.account).is_none()
            || view.wants_account(),
    };
    let affordable_at = view.budget.holds_at(call.requests(), facts.now);
    if at <= facts.now && affordable_at <= facts.now {
        plan.calls.push(call);
    } else {
        plan.wake(at.max(affordable_at));
    }
}
