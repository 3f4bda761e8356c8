//! Everything that a host has ever committed, in memory.
//!
//! Owns: the rules that no commit may break, and what a start needs of it. Never forgets, and never reads a store.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, SubsecRound, Utc};
use redkeep_core::history::{
    Change, Extension, History, MissedRange, PairState, Renaming, news, one_pair, one_run,
};
use redkeep_core::names::{AccountName, PolicyName, ReceiverName};
use redkeep_core::operations::{Confirmation, Pass, Removal, SnapshotAction, SnapshotKey};
use redkeep_core::outbox::{Condition, ConditionKey, Message, MessageState};
use redkeep_core::pause::Pauses;
use redkeep_core::run::Run;
use redkeep_core::slot::{Pair, Slot};

/// Everything that was ever committed, and the rules that no commit may break. Of a pair's instants the store keeps
/// whole seconds, and so they are compared.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    pub pairs: BTreeMap<Pair, PairState>,
    pub runs: BTreeMap<Slot, Run>,
    pub ranges: Vec<MissedRange>,
    pub accounts: BTreeMap<AccountName, String>,
    pub extensions: Vec<Extension>,
    /// Written by the commands, not by changes.
    pub pauses: Pauses,
    pub rebuilt_at: Option<DateTime<Utc>>,
    pub removals: BTreeMap<(SnapshotKey, DateTime<Utc>), Removal>,
    pub passes: Vec<Pass>,
    pub actions: BTreeMap<i64, SnapshotAction>,
    /// Written by the commands, not by changes.
    pub confirmations: BTreeMap<PolicyName, Confirmation>,
    /// What receivers know of what goes on.
    pub conditions: BTreeMap<ConditionKey, Condition>,
    /// The outbox, with everything that was ever in it.
    pub messages: Vec<Message>,
    /// The ids of all messages, and where each condition stands by the last one to each receiver.
    told: BTreeSet<String>,
    stands: BTreeMap<(ReceiverName, String), MessageState>,
    /// How often a watermark was taken back.
    pub clamps: u32,
    /// Every activation that a pair ever had, oldest first.
    pub segments: Vec<Segment>,
    /// Whether what was committed may be told again, since an answer was lost.
    pub is_told_again: bool,
    /// Whether it is of a server that has lost something.
    pub was_set_back: bool,
}

/// A time in which a pair was active under one schedule.
#[derive(Debug, Clone)]
pub struct Segment {
    pub pair: Pair,
    pub state: PairState,
}

impl Segment {
    fn is_continued_by(&self, pair: &Pair, state: &PairState) -> bool {
        let before = &self.state;
        let edited = before.schedule != state.schedule || before.timezone != state.timezone;
        let since = |state: &PairState| state.active_from.trunc_subsecs(0);
        self.pair == *pair && since(before) == since(state) && !edited
    }
}

/// By what a removal is told from others; the store keeps whole seconds.
pub fn removal_key(removal: &Removal) -> (SnapshotKey, DateTime<Utc>) {
    (removal.key(), removal.planned_at.trunc_subsecs(0))
}

impl Ledger {
    /// Takes in what is committed at once; returns the runs that had ended before otherwise, and stay.
    pub(super) fn commit(&mut self, changes: &[Change]) -> Vec<Run> {
        let before = self.rebuilt_at;
        let mut stay: Vec<Run> = Vec::new();
        for change in changes {
            if !stay.iter().any(|run| change.tells_of(run)) {
                stay.extend(self.take(change));
            }
        }
        let is_known = |change: &Change| matches!(change, Change::Rebuilt(_));
        if !news(changes.to_vec(), &stay).iter().any(is_known) {
            self.rebuilt_at = before;
        }
        stay
    }

    /// Takes a change in; returns the run that had ended before and stays, as the store does.
    pub(super) fn take(&mut self, change: &Change) -> Option<Run> {
        match change {
            Change::Pair(pair, state) => {
                if let Some(before) = self.pairs.get(pair) {
                    assert!(
                        state.watermark >= before.watermark.trunc_subsecs(0),
                        "I9: the watermark of {pair} moves back: {before:?} to {state:?}"
                    );
                }
                self.pairs.insert(pair.clone(), state.clone());
                self.take_segment(pair, state);
            }
            Change::Clamped(pair, state) => self.take_back(pair, state),
            Change::Run(run) => {
                if let Some(before) = self.runs.get(&run.slot).filter(|run| run.is_ended()) {
                    assert_eq!(before.state, run.state, "I8: an ended run changes: {run}");
                }
                self.put(run);
            }
            Change::Adopted(run) => {
                let before = self.runs.get_mut(&run.slot);
                if let Some(before) = before.filter(|before| before.is_ended()) {
                    let known = run.as_ref().clone().after(Some(before)).snapshot;
                    before.snapshot = known;
                    before.gone.clone_from(&run.gone);
                    return Some(before.clone());
                }
                self.put(run);
            }
            Change::Missed(range) => {
                let is_told_again = self.is_told_again;
                let is_it = |other: &MissedRange| is_told_again && other == range;
                self.ranges.retain(|other| !is_it(other));
                self.ranges.push(range.clone());
            }
            Change::Extended(extension) => self.extensions.push(extension.clone()),
            Change::Account(name, number) => {
                let before = self.accounts.entry(name.clone()).or_insert(number.clone());
                assert_eq!(before, number, "the account {name} becomes another");
            }
            Change::Renamed(renaming) => self.rename(renaming),
            Change::Rebuilt(at) => drop(self.rebuilt_at.get_or_insert(*at)),
            Change::Removal(removal) => self.take_removal(removal),
            Change::Passed(pass) => self.take_pass(pass),
            Change::SnapshotAction(action) => {
                drop(self.actions.insert(action.id, (**action).clone()))
            }
            Change::Condition(condition) => self.take_condition(condition),
            Change::Message(message) => self.take_message(message),
        }
        None
    }

    fn take_back(&mut self, pair: &Pair, state: &PairState) {
        let before = self.pairs.insert(pair.clone(), state.clone());
        let is_again = |before: &PairState| self.is_told_again && before == state;
        let before = before.filter(|before| !is_again(before));
        let is_back = before.is_none_or(|before| state.watermark < before.watermark);
        assert!(
            is_back || self.was_set_back,
            "{pair} is taken back to {state:?}"
        );
        self.clamps += 1;
    }

    fn take_removal(&mut self, removal: &Removal) {
        let key = removal_key(removal);
        let before = self.removals.insert(key, removal.clone());
        let before = before.filter(|before| !self.is_told_again || before != removal);
        let ended = before.is_some_and(|before| before.end.is_some());
        assert!(
            !ended || self.was_set_back,
            "a removal that has ended changes: {removal:?}"
        );
    }

    fn take_pass(&mut self, pass: &Pass) {
        let one = self.confirmations.get_mut(&pass.policy);
        if let Some(one) = one.filter(|one| Some(one.id) == pass.confirmation) {
            one.is_begun = true;
        }
        let policy = &pass.policy;
        let void = self.confirmations.get(policy);
        if void.is_some_and(|one| one.is_void_after(pass)) {
            self.confirmations.remove(policy);
        }
        self.passes.push(pass.clone());
    }

    pub(super) fn take_segment(&mut self, pair: &Pair, state: &PairState) {
        let mut segments = self.segments.iter_mut().rev();
        match segments.find(|segment| segment.is_continued_by(pair, state)) {
            Some(segment) => segment.state = state.clone(),
            None => self.segments.push(Segment {
                pair: pair.clone(),
                state: state.clone(),
            }),
        }
    }

    fn take_condition(&mut self, condition: &Condition) {
        let key = condition.key.clone();
        match condition.is_over {
            true => drop(self.conditions.remove(&key)),
            false => drop(self.conditions.insert(key, condition.clone())),
        }
    }

    fn take_message(&mut self, message: &Message) {
        let is_new = self.told.insert(message.id.clone());
        if !is_new && self.is_told_again && self.messages.contains(message) {
            return;
        }
        assert!(self.was_set_back || is_new, "I27: told twice: {message:?}");
        let key = (message.receiver.clone(), message.dedup_key.clone());
        let before = self.stands.insert(key, message.state);
        let goes_on = matches!(before, Some(MessageState::Begun | MessageState::Repeated));
        let is_right = match message.state {
            MessageState::Started | MessageState::Begun => !goes_on,
            MessageState::Repeated => goes_on,
            MessageState::Over => goes_on || before == Some(MessageState::Started),
        };
        assert!(
            self.was_set_back || is_right,
            "I27: {before:?}, and then {message:?}"
        );
        self.messages.push(message.clone());
    }

    /// As the store does, which keeps what AWS told where the change only has the gist of that.
    fn put(&mut self, run: &Run) {
        let run = run.clone().after(self.runs.get(&run.slot));
        self.runs.insert(run.slot.clone(), run);
    }

    /// Moves everything of an account under its new name, by the rules of the history in memory.
    fn rename(&mut self, renaming: &Renaming) {
        for (pair, state) in std::mem::take(&mut self.pairs) {
            let is_old = pair.scope.account == renaming.from;
            let pair = renaming.moved(pair);
            let state = match self.pairs.remove(&pair) {
                Some(new) if is_old => one_pair(state, new),
                Some(old) => one_pair(old, state),
                None => state,
            };
            self.pairs.insert(pair, state);
        }
        for (slot, run) in std::mem::take(&mut self.runs) {
            let is_old = slot.pair.scope.account == renaming.from;
            let (slot, run) = (renaming.moved(slot), renaming.moved(run));
            let run = match self.runs.remove(&slot) {
                Some(new) if is_old => one_run(run, new).0,
                Some(old) => one_run(old, run).0,
                None => run,
            };
            self.runs.insert(slot, run);
        }
        let ranges = std::mem::take(&mut self.ranges).into_iter();
        self.ranges = ranges.map(|one| renaming.moved(one)).collect();
        let extensions = std::mem::take(&mut self.extensions).into_iter();
        self.extensions = extensions.map(|one| renaming.moved(one)).collect();
        let actions = std::mem::take(&mut self.actions).into_iter();
        let actions = actions.map(|(id, one)| (id, renaming.moved(one)));
        self.actions = actions.collect();
        let removals = std::mem::take(&mut self.removals).into_values();
        let removals = removals.map(|one| renaming.moved(one));
        self.removals = removals.map(|one| (removal_key(&one), one)).collect();
        for segment in &mut self.segments {
            segment.pair = renaming.moved(segment.pair.clone());
        }
        let conditions = std::mem::take(&mut self.conditions).into_values();
        for one in conditions.map(|one| renaming.moved_condition(one)) {
            self.conditions.insert(one.key.clone(), one);
        }
        self.accounts.remove(&renaming.from);
        let number = renaming.number.clone();
        self.accounts.insert(renaming.to.clone(), number);
    }

    /// What a start needs of it, as the store gives it.
    pub fn history(&self) -> History {
        let mut history = History::default();
        history.pairs.clone_from(&self.pairs);
        history.account_numbers.clone_from(&self.accounts);
        history.pauses.clone_from(&self.pauses);
        history.rebuilt_at = self.rebuilt_at;
        history.confirmations.clone_from(&self.confirmations);
        history.conditions.clone_from(&self.conditions);
        for pass in &self.passes {
            history.apply(Change::Passed(Box::new(pass.clone())));
        }
        for removal in self.removals.values() {
            let mut removal = removal.clone();
            removal.look_at.get_or_insert(removal.planned_at);
            history.apply(Change::Removal(Box::new(removal)));
        }
        for action in self.actions.values().filter(|one| one.end.is_none()) {
            history.actions.insert(action.id, action.clone());
        }
        // Oldest first, so that the newest of each pair stays.
        for run in self.runs.values() {
            history.apply(Change::Run(Box::new(run.clone())));
        }
        for range in &self.ranges {
            history.apply(Change::Missed(range.clone()));
        }
        history
    }
}
