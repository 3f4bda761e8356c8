//! The history that survives a process: a ledger in memory that nothing escapes, and, where a test wants it,
//! the real store beside it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use chrono::{DateTime, SubsecRound, Utc};
use redkeep_core::history::{
    Change, Extension, History, MissedRange, PairState, Renaming, news, one_pair, one_run,
};
use redkeep_core::names::{AccountName, PolicyName, ReceiverName};
use redkeep_core::operations::{Confirmation, Pass, Removal, SnapshotAction, SnapshotKey};
use redkeep_core::outbox::{Condition, ConditionKey, Message, MessageState};
use redkeep_core::pause::Pauses;
use redkeep_core::run::Run;
use redkeep_core::slot::{Pair, Slot, rfc3339};
use redkeep_store::{EndpointKind, Reader, RunFilter, Store};
use tokio::runtime::{Builder, Runtime};

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
    /// Takes a change in; returns the run that had ended before and stays, as the store does.
    fn take(&mut self, change: &Change) -> Option<Run> {
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
            Change::Clamped(pair, state) => {
                let before = self.pairs.insert(pair.clone(), state.clone());
                assert!(before.is_some_and(|before| state.watermark < before.watermark));
                self.clamps += 1;
            }
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
            Change::Missed(range) => self.ranges.push(range.clone()),
            Change::Extended(extension) => self.extensions.push(extension.clone()),
            Change::Account(name, number) => {
                let before = self.accounts.entry(name.clone()).or_insert(number.clone());
                assert_eq!(before, number, "the account {name} becomes another");
            }
            Change::Renamed(renaming) => self.rename(renaming),
            Change::Rebuilt(at) => drop(self.rebuilt_at.get_or_insert(*at)),
            Change::Removal(removal) => {
                let key = removal_key(removal);
                let before = self.removals.insert(key, (**removal).clone());
                let ended = before.is_some_and(|before| before.end.is_some());
                assert!(!ended, "a removal that has ended changes: {removal:?}");
            }
            Change::Passed(pass) => {
                let one = self.confirmations.get_mut(&pass.policy);
                if let Some(one) = one.filter(|one| Some(one.id) == pass.confirmation) {
                    one.is_begun = true;
                }
                let policy = &pass.policy;
                let void = self.confirmations.get(policy);
                if void.is_some_and(|one| one.is_void_after(pass)) {
                    self.confirmations.remove(policy);
                }
                self.passes.push((**pass).clone());
            }
            Change::SnapshotAction(action) => {
                drop(self.actions.insert(action.id, (**action).clone()))
            }
            Change::Condition(condition) => self.take_condition(condition),
            Change::Message(message) => self.take_message(message),
        }
        None
    }

    fn take_segment(&mut self, pair: &Pair, state: &PairState) {
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
        assert!(is_new, "I27: told twice: {message:?}");
        let key = (message.receiver.clone(), message.dedup_key.clone());
        let before = self.stands.insert(key, message.state);
        let goes_on = matches!(before, Some(MessageState::Begun | MessageState::Repeated));
        let is_right = match message.state {
            MessageState::Started | MessageState::Begun => !goes_on,
            MessageState::Repeated => goes_on,
            MessageState::Over => goes_on || before == Some(MessageState::Started),
        };
        assert!(is_right, "I27: {before:?}, and then {message:?}");
        self.messages.push(message.clone());
    }

    /// Moves everything of an account under its new name, by the rules of the history in memory.
    /// As the store does, which keeps what AWS told where the change only has the gist of that.
    fn put(&mut self, run: &Run) {
        let run = run.clone().after(self.runs.get(&run.slot));
        self.runs.insert(run.slot.clone(), run);
    }

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

/// A name for a directory that nobody else has; in memory where the machine has such a place, since the real store
/// waits for the disk at every commit.
pub fn scratch() -> PathBuf {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let name = format!("redkeep-sim-{}-{number}", std::process::id());
    let memory = PathBuf::from("/dev/shm");
    match memory.is_dir() {
        true => memory.join(name),
        false => std::env::temp_dir().join(name),
    }
}

/// The journal of one host.
pub struct Journal {
    pub ledger: Ledger,
    /// A planted bug: a committed row is not there at the next start.
    pub loses_a_row: bool,
    /// A planted bug: what receivers were told is not known at the next start.
    pub forgets_what_was_told: bool,
    file: Option<SqliteFile>,
}

struct SqliteFile {
    directory: PathBuf,
    /// How often its owner has died.
    lives: u32,
    path: PathBuf,
    runtime: Runtime,
    store: Option<Store>,
}

impl Journal {
    pub fn in_memory() -> Self {
        Self {
            ledger: Ledger::default(),
            loses_a_row: false,
            forgets_what_was_told: false,
            file: None,
        }
    }

    /// With the real store in a directory of its own.
    pub fn on_disk(directory: PathBuf) -> Self {
        let runtime = Builder::new_current_thread().build().unwrap();
        Self {
            ledger: Ledger::default(),
            loses_a_row: false,
            forgets_what_was_told: false,
            file: Some(SqliteFile {
                lives: 0,
                path: directory.join("0").join("history.db"),
                directory,
                runtime,
                store: None,
            }),
        }
    }

    /// Whether it is the real store that keeps it.
    pub fn is_on_disk(&self) -> bool {
        self.file.is_some()
    }

    /// Commits; returns the runs that had ended before otherwise, and stay.
    pub fn commit(&mut self, changes: &[Change]) -> Vec<Run> {
        let before = self.ledger.rebuilt_at;
        let mut stay: Vec<Run> = Vec::new();
        for change in changes {
            if !stay.iter().any(|run| change.tells_of(run)) {
                stay.extend(self.ledger.take(change));
            }
        }
        let is_known = |change: &Change| matches!(change, Change::Rebuilt(_));
        if !news(changes.to_vec(), &stay).iter().any(is_known) {
            self.ledger.rebuilt_at = before;
        }
        if let Some(file) = &self.file {
            let store = file.store.as_ref().unwrap();
            let committed = file.runtime.block_on(store.commit(changes.to_vec()));
            let states = |runs: &[Run]| runs.iter().map(ToString::to_string).collect::<Vec<_>>();
            assert_eq!(states(&committed.unwrap()), states(&stay));
        }
        stay
    }

    /// What a new process finds.
    pub fn load(&mut self, now: DateTime<Utc>) -> History {
        let history = self.loaded(now);
        self.check_loaded(&history);
        history
    }

    fn loaded(&mut self, now: DateTime<Utc>) -> History {
        let Some(file) = &mut self.file else {
            let mut ledger = self.ledger.clone();
            if self.loses_a_row {
                ledger.pairs.pop_last();
            }
            if self.forgets_what_was_told {
                ledger.conditions.clear();
            }
            return ledger.history();
        };
        file.outlive_its_owner();
        let opened = Store::open(&file.path, EndpointKind::Sandbox, now).unwrap();
        file.store = Some(opened.store);
        opened.history
    }

    /// I13: what was committed is there; of instants the store keeps whole seconds.
    fn check_loaded(&self, history: &History) {
        let pairs = |pairs: &BTreeMap<Pair, PairState>| -> Vec<String> {
            let told = |(pair, state): (&Pair, &PairState)| {
                let (mark, open) = (rfc3339(state.watermark), state.is_active());
                format!("{pair} {} {mark} {open}", state.schedule)
            };
            pairs.iter().map(told).collect()
        };
        assert_eq!(
            pairs(&history.pairs),
            pairs(&self.ledger.pairs),
            "I13: a committed row is lost"
        );
        let open = self.ledger.runs.values().filter(|run| !run.is_ended());
        for run in open {
            let loaded = history.runs.get(&run.slot).map(Run::word);
            assert_eq!(
                loaded,
                Some(run.word()),
                "I13: a committed run is lost: {run}"
            );
        }
    }

    /// Compares the store's rows with the ledger's.
    pub fn check_store(&self) {
        let Some(file) = &self.file else { return };
        let reader = Reader::open(&file.path).unwrap();
        let states = |runs: Vec<&Run>| -> Vec<String> {
            let mut rows: Vec<String> = runs
                .into_iter()
                .map(|run| format!("{} {:?}", run.slot, run.state))
                .collect();
            rows.sort();
            rows
        };
        let rows = reader.runs(&RunFilter::default()).unwrap();
        assert_eq!(
            states(rows.iter().collect()),
            states(self.ledger.runs.values().collect()),
            "I13: the store's rows are not those that were committed"
        );
    }
}

impl SqliteFile {
    /// Goes on with the files as a process that was killed leaves them: the log is not folded in, and at its end is
    /// the beginning of a transaction that was being written.
    fn outlive_its_owner(&mut self) {
        if self.store.is_none() {
            return;
        }
        self.lives += 1;
        let next = self.directory.join(self.lives.to_string());
        std::fs::create_dir_all(&next).unwrap();
        let here = self.path.parent().unwrap();
        for name in ["history.db", "history.db-wal"] {
            if here.join(name).exists() {
                std::fs::copy(here.join(name), next.join(name)).unwrap();
            }
        }
        let log = OpenOptions::new()
            .append(true)
            .open(next.join("history.db-wal"));
        if let Ok(mut log) = log {
            log.write_all(&[0xa5; 2_000]).unwrap();
        }
        self.store = None;
        std::fs::remove_dir_all(here).unwrap();
        self.path = next.join("history.db");
    }
}

impl Drop for SqliteFile {
    fn drop(&mut self) {
        self.store = None;
        std::fs::remove_dir_all(&self.directory).ok();
    }
}
