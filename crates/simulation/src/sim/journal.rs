//! The history that survives a process: a ledger in memory that nothing escapes, and, where a test wants it,
//! the real store beside it.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use chrono::{DateTime, Utc};
use redkeep_core::history::{Change, History, PairState};
use redkeep_core::run::Run;
use redkeep_core::slot::{Pair, rfc3339};
use redkeep_store::{EndpointKind, Reader, RunFilter, Store};
use tokio::runtime::{Builder, Runtime};

use super::ledger::Ledger;

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
        let stay = self.ledger.commit(changes);
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
