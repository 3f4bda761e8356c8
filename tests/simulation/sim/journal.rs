//! The history that survives a process: a ledger in memory that nothing escapes, and, where a test wants it,
//! the real store beside it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use chrono::{DateTime, Utc};
use redkeep::history::{Change, Extension, History, MissedRange, PairState};
use redkeep::names::AccountName;
use redkeep::pause::Pauses;
use redkeep::run::Run;
use redkeep::slot::{Pair, Slot};
use redkeep::store::{EndpointKind, Reader, RunFilter, Store};
use tokio::runtime::{Builder, Runtime};

/// Everything that was ever committed, and the rules that no commit may break.
#[derive(Debug, Default, Clone)]
pub struct Ledger {
    pub pairs: BTreeMap<Pair, PairState>,
    pub runs: BTreeMap<Slot, Run>,
    pub ranges: Vec<MissedRange>,
    pub accounts: BTreeMap<AccountName, String>,
    pub extensions: Vec<Extension>,
    /// Written by the commands, not by changes.
    pub pauses: Pauses,
    pub rebuilt_at: Option<DateTime<Utc>>,
    /// How often a watermark was taken back.
    pub clamps: u32,
}

impl Ledger {
    /// Takes a change in; returns the run that had ended before and stays, as the store does.
    fn take(&mut self, change: &Change) -> Option<Run> {
        match change {
            Change::Pair(pair, state) => {
                if let Some(before) = self.pairs.get(pair) {
                    assert!(
                        state.watermark >= before.watermark,
                        "the watermark of {pair} moves back: {before:?} to {state:?}"
                    );
                }
                self.pairs.insert(pair.clone(), state.clone());
            }
            Change::Clamped(pair, state) => {
                let before = self.pairs.insert(pair.clone(), state.clone());
                assert!(before.is_some_and(|before| state.watermark < before.watermark));
                self.clamps += 1;
            }
            Change::Run(run) => {
                if let Some(before) = self.runs.get(&run.slot).filter(|run| run.is_ended()) {
                    assert_eq!(before.state, run.state, "an ended run changes: {run}");
                }
                self.runs.insert(run.slot.clone(), (**run).clone());
            }
            Change::Adopted(run) => {
                let before = self.runs.get_mut(&run.slot);
                if let Some(before) = before.filter(|before| before.is_ended()) {
                    before.snapshot.clone_from(&run.snapshot);
                    return Some(before.clone());
                }
                self.runs.insert(run.slot.clone(), (**run).clone());
            }
            Change::Missed(range) => self.ranges.push(range.clone()),
            Change::Extended(extension) => self.extensions.push(extension.clone()),
            Change::Account(name, number) => {
                let before = self.accounts.entry(name.clone()).or_insert(number.clone());
                assert_eq!(before, number, "the account {name} becomes another");
            }
            Change::Rebuilt(at) => drop(self.rebuilt_at.get_or_insert(*at)),
        }
        None
    }

    /// What a start needs of it, as the store gives it.
    pub fn history(&self) -> History {
        let mut history = History::default();
        history.pairs.clone_from(&self.pairs);
        history.account_numbers.clone_from(&self.accounts);
        history.pauses.clone_from(&self.pauses);
        history.rebuilt_at = self.rebuilt_at;
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

/// The journal of one host.
pub struct Journal {
    pub ledger: Ledger,
    file: Option<SqliteFile>,
}

struct SqliteFile {
    path: PathBuf,
    runtime: Runtime,
    store: Option<Store>,
}

impl Journal {
    pub fn in_memory() -> Self {
        Self {
            ledger: Ledger::default(),
            file: None,
        }
    }

    /// With the real store in a directory of its own.
    pub fn on_disk(directory: PathBuf) -> Self {
        let runtime = Builder::new_current_thread().build().unwrap();
        Self {
            ledger: Ledger::default(),
            file: Some(SqliteFile {
                path: directory.join("history.db"),
                runtime,
                store: None,
            }),
        }
    }

    /// Commits; returns the runs that had ended before otherwise, and stay.
    pub fn commit(&mut self, changes: &[Change]) -> Vec<Run> {
        let taken = changes.iter().filter_map(|change| self.ledger.take(change));
        let stay: Vec<Run> = taken.collect();
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
        let Some(file) = &mut self.file else {
            return self.ledger.history();
        };
        file.store = None;
        let opened = Store::open(&file.path, EndpointKind::Sandbox, now).unwrap();
        file.store = Some(opened.store);
        opened.history
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
            states(self.ledger.runs.values().collect())
        );
    }
}

impl Drop for SqliteFile {
    fn drop(&mut self) {
        self.store = None;
        if let Some(directory) = self.path.parent().filter(|_| !std::thread::panicking()) {
            std::fs::remove_dir_all(directory).ok();
        }
    }
}
