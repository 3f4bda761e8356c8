//! What is due to be planned: the marks, and the instants that parts of a plan wait for.
//!
//! Owns: the answer to "which parts may come to something else than last time". A part is planned when something that it
//! reads has changed, when its instant has come, and as a whole each half minute: a mark that is lost costs no more than
//! that. Of a scope in which only runs have changed, only these are planned, and what waits for an instant or for the budget
//! (`waiting`). Never decides what is to be done; `Engine::audit` finds marks that are missing (I25).

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use super::waiting::Waiting;
use crate::history::Change;
use crate::plan::LONGEST_SLEEP;
use crate::slot::{Pair, Scope, Slot};

/// The parts of the plan that are due, and when the others are.
#[derive(Debug, Clone)]
pub(super) struct Agenda {
    /// All pairs are to be looked at: the configuration has changed.
    pairs: bool,
    /// The scopes whose pairs are: a listing, a pair or the standing of a clock has changed there.
    pairs_in: BTreeSet<Scope>,
    /// The scopes in which something has changed that concerns all of it.
    marked: BTreeSet<Scope>,
    /// The pairs of which a run has changed.
    touched: BTreeMap<Scope, BTreeSet<Pair>>,
    /// When each scope was planned, and when it wants to be planned again.
    planned: BTreeMap<Scope, Planned>,
    /// When all pairs were looked at last.
    pairs_at: DateTime<Utc>,
    /// When those of a scope were, where that was later.
    pairs_in_at: BTreeMap<Scope, DateTime<Utc>>,
    /// The next instant of any pair's schedule that has no record yet.
    slot_at: DateTime<Utc>,
    /// When the operations on existing snapshots want to be planned again.
    operations_at: DateTime<Utc>,
    /// Everything is to be planned, whatever has happened.
    all: bool,
    /// When the conditions that receivers are told of were last looked at.
    standing_at: DateTime<Utc>,
    /// When the last plan was made: a clock that was set back makes every instant worthless.
    last_at: DateTime<Utc>,
}

/// When a scope was planned, and what waits in it.
#[derive(Debug, Clone)]
pub(super) struct Planned {
    /// When it was planned last.
    pub(super) at: DateTime<Utc>,
    /// When it was planned last as a whole.
    pub(super) whole_at: DateTime<Utc>,
    /// When it wants to be planned again.
    pub(super) wake_at: DateTime<Utc>,
    /// What waits in it.
    pub(super) waiting: Waiting,
}

impl Planned {
    /// When it is due at the latest.
    fn due_at(&self) -> DateTime<Utc> {
        self.wake_at.min(self.whole_at + LONGEST_SLEEP)
    }
}

/// What one plan looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Due {
    pub(super) pairs: Pairs,
    pub(super) slots: bool,
    /// `None` for all.
    pub(super) scopes: Option<BTreeSet<Scope>>,
}

/// Which pairs a plan looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Pairs {
    All,
    /// Those of these scopes, which may be none.
    In(BTreeSet<Scope>),
}

impl Pairs {
    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Self::In(scopes) if scopes.is_empty())
    }

    /// Whether the pairs of a scope are looked at.
    pub(super) fn has(&self, scope: &Scope) -> bool {
        match self {
            Self::All => true,
            Self::In(scopes) => scopes.contains(scope),
        }
    }
}

impl Default for Agenda {
    fn default() -> Self {
        let never = DateTime::<Utc>::MIN_UTC;
        Self {
            pairs: true,
            pairs_in: BTreeSet::new(),
            pairs_in_at: BTreeMap::new(),
            marked: BTreeSet::new(),
            touched: BTreeMap::new(),
            planned: BTreeMap::new(),
            pairs_at: never,
            slot_at: never,
            operations_at: never,
            all: true,
            standing_at: never,
            last_at: never,
        }
    }
}

impl Agenda {
    /// Everything is due.
    pub(super) fn mark_all(&mut self) {
        self.all = true;
        self.pairs = true;
    }

    /// A run of a pair has changed.
    pub(super) fn touch(&mut self, pair: &Pair) {
        match self.touched.get_mut(&pair.scope) {
            Some(pairs) => drop(pairs.insert(pair.clone())),
            None => {
                let pairs = BTreeSet::from([pair.clone()]);
                self.touched.insert(pair.scope.clone(), pairs);
            }
        }
    }

    /// A run waits for nothing any more, unless it has been seen since and waits for the budget.
    pub(super) fn free(&mut self, slot: &Slot) {
        let planned = self.planned.get(&slot.pair.scope);
        if planned.is_none_or(|one| !one.waiting.asks(slot)) {
            self.touch(&slot.pair);
        }
    }

    /// Something has changed in a scope.
    pub(super) fn mark(&mut self, scope: &Scope) {
        if !self.marked.contains(scope) {
            self.marked.insert(scope.clone());
        }
    }

    /// Something has changed that decides which pairs are active, or how far their slots go.
    pub(super) fn mark_pairs(&mut self) {
        self.pairs = true;
    }

    /// The same, where that is so in one scope.
    pub(super) fn mark_pairs_in(&mut self, scope: &Scope) {
        if !self.pairs_in.contains(scope) {
            self.pairs_in.insert(scope.clone());
        }
    }

    /// What the change concerns is due.
    pub(super) fn mark_change(&mut self, change: &Change) {
        match change {
            Change::Run(run) => self.touch(&run.slot.pair),
            Change::Extended(extension) => self.mark(&extension.slot.pair.scope),
            Change::Removal(removal) => self.mark(&removal.slot.pair.scope),
            Change::SnapshotAction(action) => self.mark(&action.slot.pair.scope),
            Change::Missed(range) => self.mark(&range.pair.scope),
            Change::Pair(pair, _) | Change::Clamped(pair, _) => {
                self.touch(pair);
                self.mark_pairs_in(&pair.scope);
            }
            Change::Adopted(run) => {
                self.mark(&run.slot.pair.scope);
                self.mark_pairs_in(&run.slot.pair.scope);
            }
            Change::Account(..) | Change::Renamed(_) | Change::Rebuilt(_) => self.mark_all(),
            // Nothing is planned by what people are told.
            Change::Passed(_) | Change::Condition(_) | Change::Message(_) => {}
        }
    }

    /// What the plan at `now` looks at.
    pub(super) fn due(&self, now: DateTime<Utc>) -> Due {
        let is_all = self.all || now < self.last_at;
        let pairs = match is_all || self.pairs || self.pairs_at + LONGEST_SLEEP <= now {
            true => Pairs::All,
            false => Pairs::In(self.pairs_in.clone()),
        };
        let come = self.planned.iter().filter(|(_, one)| one.due_at() <= now);
        let mut scopes: BTreeSet<Scope> = come.map(|(scope, _)| scope.clone()).collect();
        scopes.extend(self.marked.iter().chain(self.touched.keys()).cloned());
        Due {
            slots: !pairs.is_empty() || self.slot_at <= now,
            pairs,
            scopes: (!is_all).then_some(scopes),
        }
    }

    /// What was planned of a scope, and the pairs of it of which a run has changed since; `None` where it is to be planned as
    /// a whole.
    pub(super) fn part_of(
        &mut self,
        scope: &Scope,
        now: DateTime<Utc>,
    ) -> Option<(Planned, BTreeSet<Pair>)> {
        let touched = self.touched.remove(scope).unwrap_or_default();
        let is_marked = self.marked.remove(scope);
        let planned = self.planned.remove(scope)?;
        let is_part = !self.all && !is_marked && now < planned.whole_at + LONGEST_SLEEP;
        (is_part && planned.at <= now).then_some((planned, touched))
    }

    /// Whether the scope was planned before.
    pub(super) fn knows(&self, scope: &Scope) -> bool {
        self.planned.contains_key(scope)
    }

    /// These pairs have been looked at.
    pub(super) fn looked_at_pairs(&mut self, pairs: &Pairs, now: DateTime<Utc>) {
        self.pairs_in.clear();
        match pairs {
            Pairs::All => {
                self.pairs = false;
                self.pairs_at = now;
                self.pairs_in_at.clear();
            }
            Pairs::In(scopes) => {
                let looked = scopes.iter().map(|scope| (scope.clone(), now));
                self.pairs_in_at.extend(looked);
            }
        }
    }

    /// The slots have been looked at; the next one that has no record is at `slot_at`.
    pub(super) fn looked_at_slots(&mut self, slot_at: DateTime<Utc>) {
        self.slot_at = slot_at;
    }

    /// A scope has been planned.
    pub(super) fn planned(&mut self, scope: &Scope, planned: Planned) {
        self.planned.insert(scope.clone(), planned);
    }

    /// All that was due has been planned.
    pub(super) fn done(&mut self, due: &Due, now: DateTime<Utc>, operations_at: DateTime<Utc>) {
        self.operations_at = operations_at;
        self.last_at = now;
        if due.scopes.is_none() {
            // A scope that is not looked at any more wants nothing.
            self.planned.retain(|_, one| one.at == now);
            self.marked.clear();
            self.touched.clear();
            self.all = false;
        }
    }

    /// Whether the conditions that receivers are told of are to be looked at: each half minute. Whoever asks looks.
    pub(super) fn looks_at_standing(&mut self, now: DateTime<Utc>) -> bool {
        let is_due = now < self.standing_at || self.standing_at + LONGEST_SLEEP <= now;
        if is_due {
            self.standing_at = now;
        }
        is_due
    }

    /// When the next part is due, as seen at `now`. A slot that has come and has no record waits for AWS's clock.
    pub(super) fn wake_at(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        let wakes = self.planned.values().map(Planned::due_at);
        let slot_at = Some(self.slot_at).filter(|at| *at > now);
        let others = [self.operations_at, self.pairs_at + LONGEST_SLEEP];
        let others = others.map(|at| if self.all { now } else { at });
        let first = wakes.chain(slot_at).chain(others).min();
        first.unwrap_or(now)
    }

    /// When the pairs of a scope were looked at last, where nothing says that they are to be looked at again.
    pub(super) fn settled_pairs(&self, scope: &Scope) -> Option<DateTime<Utc>> {
        let is_settled = !self.pairs && !self.all && !self.pairs_in.contains(scope);
        let last = self.pairs_in_at.get(scope).unwrap_or(&self.pairs_at);
        is_settled.then_some(*last)
    }

    /// The scopes of which nothing says that they are to be planned again, and what was planned of each.
    pub(super) fn settled(&self) -> impl Iterator<Item = (&Scope, &Planned)> {
        let is_settled = |scope: &Scope| {
            !self.all && !self.marked.contains(scope) && !self.touched.contains_key(scope)
        };
        let planned = self.planned.iter();
        planned.filter(move |(scope, _)| is_settled(scope))
    }

    /// A scope that would sleep for longer than anything may.
    pub(super) fn sleeper(&self) -> Option<&Scope> {
        let mut planned = self.planned.iter();
        planned
            .find(|(_, one)| one.wake_at > one.at + LONGEST_SLEEP)
            .map(|(scope, _)| scope)
    }

    /// Loses every mark, as a planted fault does.
    pub(super) fn lose_marks(&mut self) {
        self.pairs = false;
        self.pairs_in.clear();
        self.marked.clear();
        self.touched.clear();
    }

    /// Loses every instant, as a planted fault does.
    pub(super) fn lose_wakes(&mut self) {
        for one in self.planned.values_mut() {
            one.wake_at = DateTime::<Utc>::MAX_UTC;
        }
    }

    /// Loses what waits in the scopes, as a planted fault does.
    pub(super) fn lose_index(&mut self) {
        let planned = self.planned.values_mut();
        planned.for_each(|one| one.waiting.lose());
    }
}
