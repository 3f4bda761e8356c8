//! What is due to be planned: the marks, and the instants that parts of a plan wait for.
//!
//! Owns: the answer to "which parts may come to something else than last time". A part is planned when something that it
//! reads has changed, when its instant has come, and with everything else each half minute: a mark that is lost costs no
//! more than that. Never decides what is to be done; `Engine::audit` finds marks that are missing (I25).

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use crate::history::Change;
use crate::plan::LONGEST_SLEEP;
use crate::slot::Scope;

/// The parts of the plan that are due, and when the others are.
#[derive(Debug, Clone)]
pub(super) struct Agenda {
    /// The pairs are to be looked at: a listing, the configuration or the standing of a clock has changed.
    pairs: bool,
    /// The scopes in which something has changed.
    marked: BTreeSet<Scope>,
    /// When each scope was planned, and when it wants to be planned again.
    planned: BTreeMap<Scope, Planned>,
    /// When the pairs were looked at last.
    pairs_at: DateTime<Utc>,
    /// The next instant of any pair's schedule that has no record yet.
    slot_at: DateTime<Utc>,
    /// When the operations on existing snapshots want to be planned again.
    operations_at: DateTime<Utc>,
    /// When everything is planned, whatever has happened; `None` for now.
    all_at: Option<DateTime<Utc>>,
    /// When the conditions that receivers are told of were last looked at.
    standing_at: DateTime<Utc>,
    /// When the last plan was made: a clock that was set back makes every instant worthless.
    last_at: DateTime<Utc>,
}

#[derive(Debug, Clone, Copy)]
struct Planned {
    at: DateTime<Utc>,
    wake_at: DateTime<Utc>,
}

/// What one plan looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Due {
    pub(super) pairs: bool,
    pub(super) slots: bool,
    /// `None` for all.
    pub(super) scopes: Option<BTreeSet<Scope>>,
}

impl Default for Agenda {
    fn default() -> Self {
        let never = DateTime::<Utc>::MIN_UTC;
        Self {
            pairs: true,
            marked: BTreeSet::new(),
            planned: BTreeMap::new(),
            pairs_at: never,
            slot_at: never,
            operations_at: never,
            all_at: None,
            standing_at: never,
            last_at: never,
        }
    }
}

impl Agenda {
    /// Everything is due.
    pub(super) fn mark_all(&mut self) {
        self.all_at = None;
        self.pairs = true;
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

    /// What the change concerns is due.
    pub(super) fn mark_change(&mut self, change: &Change) {
        match change {
            Change::Run(run) => self.mark(&run.slot.pair.scope),
            Change::Extended(extension) => self.mark(&extension.slot.pair.scope),
            Change::Removal(removal) => self.mark(&removal.slot.pair.scope),
            Change::SnapshotAction(action) => self.mark(&action.slot.pair.scope),
            Change::Missed(range) => self.mark(&range.pair.scope),
            Change::Pair(pair, _) | Change::Clamped(pair, _) => {
                self.mark(&pair.scope);
                self.pairs = true;
            }
            Change::Adopted(run) => {
                self.mark(&run.slot.pair.scope);
                self.pairs = true;
            }
            Change::Account(..) | Change::Renamed(_) | Change::Rebuilt(_) => self.mark_all(),
            // Nothing is planned by what people are told.
            Change::Passed(_) | Change::Condition(_) | Change::Message(_) => {}
        }
    }

    /// What the plan at `now` looks at.
    pub(super) fn due(&self, now: DateTime<Utc>) -> Due {
        let is_all = now < self.last_at || self.all_at.is_none_or(|at| at <= now);
        let woken = self.planned.iter().filter(|(_, one)| one.wake_at <= now);
        let mut scopes: BTreeSet<Scope> = woken.map(|(scope, _)| scope.clone()).collect();
        scopes.extend(self.marked.iter().cloned());
        Due {
            pairs: is_all || self.pairs,
            slots: is_all || self.pairs || self.slot_at <= now,
            scopes: (!is_all).then_some(scopes),
        }
    }

    /// The pairs have been looked at.
    pub(super) fn looked_at_pairs(&mut self, now: DateTime<Utc>) {
        self.pairs = false;
        self.pairs_at = now;
    }

    /// The slots have been looked at; the next one that has no record is at `slot_at`.
    pub(super) fn looked_at_slots(&mut self, slot_at: DateTime<Utc>) {
        self.slot_at = slot_at;
    }

    /// A scope has been planned.
    pub(super) fn planned(&mut self, scope: &Scope, now: DateTime<Utc>, wake_at: DateTime<Utc>) {
        self.marked.remove(scope);
        let planned = Planned { at: now, wake_at };
        match self.planned.get_mut(scope) {
            Some(before) => *before = planned,
            None => drop(self.planned.insert(scope.clone(), planned)),
        }
    }

    /// All that was due has been planned.
    pub(super) fn done(&mut self, due: &Due, now: DateTime<Utc>, operations_at: DateTime<Utc>) {
        self.operations_at = operations_at;
        self.last_at = now;
        if due.scopes.is_none() {
            // A scope that is not looked at any more wants nothing.
            self.planned.retain(|_, one| one.at == now);
            self.marked.clear();
            self.all_at = Some(now + LONGEST_SLEEP);
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
        let wakes = self.planned.values().map(|one| one.wake_at);
        let slot_at = Some(self.slot_at).filter(|at| *at > now);
        let others = [self.operations_at, self.all_at.unwrap_or(now)];
        let first = wakes.chain(slot_at).chain(others).min();
        first.unwrap_or(now)
    }

    /// When the pairs were looked at last, where nothing says that they are to be looked at again.
    pub(super) fn settled_pairs(&self) -> Option<DateTime<Utc>> {
        (!self.pairs && self.all_at.is_some()).then_some(self.pairs_at)
    }

    /// The scopes of which nothing says that they are to be planned again, and when each was planned.
    pub(super) fn settled(&self) -> impl Iterator<Item = (&Scope, DateTime<Utc>)> {
        let is_settled = self.all_at.is_some();
        let settled = self.planned.iter();
        settled
            .filter(move |(scope, _)| is_settled && !self.marked.contains(*scope))
            .map(|(scope, one)| (scope, one.at))
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
        self.marked.clear();
    }

    /// Loses every instant, as a planted fault does.
    pub(super) fn lose_wakes(&mut self) {
        for one in self.planned.values_mut() {
            one.wake_at = DateTime::<Utc>::MAX_UTC;
        }
    }
}
