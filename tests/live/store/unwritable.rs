//! Storage that cannot be written, or not even read: the history begins in memory, with what can be read of it, and is
//! written when it can be.

use std::fs;
use std::path::{Path, PathBuf};

use redkeep::history::Change;
use redkeep::run::RunState;
use redkeep::store::{Check, EndpointKind, Opened, Reader, RunFilter, Store, StoreError};

use crate::store::sample::{Place, at, pair, pair_state, run};
use crate::store::totals::take_back_to_version_4;

fn opened(place: &Place) -> Opened {
    Store::open_or_begin_anew(&place.file(), EndpointKind::Sandbox, at(0), Check::First).unwrap()
}

fn change(at: i64) -> Change {
    Change::Run(Box::new(run("dw", at * 60, RunState::Due)))
}

/// Nothing that is asked of the file is answered while this lives.
fn exclusive(place: &Place) -> rusqlite::Connection {
    let shell = place.shell();
    shell
        .execute_batch(
            "PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE; UPDATE meta SET value = value",
        )
        .unwrap();
    shell
}

fn runs(place: &Place) -> usize {
    let reader = Reader::open(&place.file()).unwrap();
    reader.runs(&RunFilter::default()).unwrap().len()
}

fn log_of(path: &Path) -> PathBuf {
    PathBuf::from(format!("{}-wal", path.display()))
}

/// As after a kill -9: the newest commits are in the log only.
async fn killed() -> Place {
    let (place, copied) = (Place::new(), Place::new());
    let store = place.open().store;
    let pair = Change::Pair(pair("dw"), pair_state());
    store.commit(vec![pair]).await.unwrap();
    store.commit((0..10).map(change).collect()).await.unwrap();
    fs::create_dir(copied.directory()).unwrap();
    fs::copy(place.file(), copied.file()).unwrap();
    fs::copy(log_of(&place.file()), log_of(&copied.file())).unwrap();
    assert!(fs::metadata(log_of(&copied.file())).unwrap().len() > 0);
    copied
}

#[tokio::test]
async fn a_history_that_another_program_holds_is_read_as_it_lies_and_written_later() {
    let place = Place::new();
    let first = place.open();
    first
        .store
        .commit(vec![Change::Pair(pair("dw"), pair_state()), change(0)])
        .await
        .unwrap();
    first.store.close().await.unwrap();
    let shell = exclusive(&place);
    let begun = opened(&place);
    assert!(matches!(begun.trouble, Some(StoreError::Locked { .. })));
    assert!(begun.lost.is_none());
    assert_eq!(begun.identity, first.identity);
    assert_eq!(begun.history.pairs[&pair("dw")], pair_state());
    assert_eq!(begun.history.runs.values().count(), 1);
    let error = begun.store.commit(vec![change(1)]).await.unwrap_err();
    assert!(error.is_storage(), "{error:?}");
    drop(shell);
    begun.store.commit(vec![change(1)]).await.unwrap();
    assert!(begun.store.reread().await.unwrap().is_none());
    assert_eq!(runs(&place), 2);
}

#[tokio::test]
async fn the_log_of_a_history_that_is_read_as_it_lies_counts() {
    let place = killed().await;
    // Nobody can write here: SQLite gets no file of locks.
    fs::create_dir(format!("{}-shm", place.file().display())).unwrap();
    let error = Store::open(&place.file(), EndpointKind::Sandbox, at(0)).unwrap_err();
    assert!(matches!(error, StoreError::Refused { .. }), "{error:?}");
    fs::remove_dir(format!("{}-shm", place.file().display())).unwrap();
    let shell = place.shell();
    shell
        .execute_batch("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE")
        .unwrap();
    let begun = opened(&place);
    assert!(begun.trouble.is_some() && begun.lost.is_none());
    assert_eq!(begun.history.pairs[&pair("dw")], pair_state());
    assert_eq!(begun.history.runs.values().count(), 10);
}

#[tokio::test]
async fn a_history_of_an_older_schema_that_cannot_be_written_is_brought_up_to_date_in_memory() {
    let place = Place::new();
    let first = place.open();
    first.store.commit(vec![change(0)]).await.unwrap();
    first.store.close().await.unwrap();
    // As the first redkeep left it.
    let shell = place.shell();
    let version: i64 = shell
        .query_row("PRAGMA user_version", [], |row| row.get(0))
        .unwrap();
    take_back_to_version_4(&shell);
    drop(shell);
    let before = fs::read(place.file()).unwrap();
    let shell = exclusive(&place);
    let begun = opened(&place);
    assert!(begun.trouble.is_some() && begun.lost.is_none());
    assert_eq!(begun.identity, first.identity);
    assert_eq!(begun.history.runs.values().count(), 1);
    assert_eq!(fs::read(place.file()).unwrap(), before);
    drop(shell);
    begun.store.commit(vec![change(1)]).await.unwrap();
    let now: i64 = place
        .shell()
        .query_row("PRAGMA user_version", [], |row| row.get(0))
        .unwrap();
    assert_eq!(now, version);
    assert_eq!(runs(&place), 2);
}

#[tokio::test]
async fn a_history_that_cannot_be_read_at_all_is_taken_in_when_it_can_be() {
    let place = Place::new();
    let first = place.open();
    first
        .store
        .commit(vec![Change::Pair(pair("dw"), pair_state()), change(0)])
        .await
        .unwrap();
    first.store.close().await.unwrap();
    let sound = fs::read(place.file()).unwrap();
    let shell = exclusive(&place);
    // As in the midst of another program's writing.
    let mut torn = sound.clone();
    torn[4096..].fill(0xa5);
    fs::write(place.file(), &torn).unwrap();
    let begun = opened(&place);
    assert!(begun.trouble.is_some() && begun.lost.is_none());
    assert!(begun.history.pairs.is_empty() && begun.history.rebuilt_at.is_none());
    let mut later = pair_state();
    (later.active_from, later.watermark) = (at(5000), at(6000));
    let changes = || {
        vec![
            Change::Pair(pair("dw"), later.clone()),
            Change::Pair(pair("other"), later.clone()),
            Change::Rebuilt(at(5000)),
            change(100),
        ]
    };
    assert!(
        begun
            .store
            .commit(changes())
            .await
            .unwrap_err()
            .is_storage()
    );
    drop(shell);
    fs::write(place.file(), &sound).unwrap();
    let _ = fs::remove_file(log_of(&place.file()));
    begun.store.commit(changes()).await.unwrap();
    let reread = begun.store.reread().await.unwrap().unwrap();
    assert!(begun.store.reread().await.unwrap().is_none());
    assert_eq!(reread.identity, first.identity);
    // How far it had come counts: the slots in between are still to be recorded.
    assert_eq!(reread.history.pairs[&pair("dw")], pair_state());
    assert_eq!(reread.history.pairs[&pair("other")], later);
    assert_eq!(reread.history.rebuilt_at, None);
    assert_eq!(reread.history.runs.values().count(), 2);
}

#[tokio::test]
async fn what_is_refused_is_refused_whoever_holds_it() {
    type Refused = fn(&StoreError) -> bool;
    let cases: [(&str, Refused); 3] = [
        ("PRAGMA user_version = 99", |error| {
            matches!(error, StoreError::NewerSchema { .. })
        }),
        (
            "UPDATE meta SET value = 'aws' WHERE key = 'endpoint_kind'",
            |error| matches!(error, StoreError::OtherEndpoint { .. }),
        ),
        ("DROP TABLE meta; PRAGMA application_id = 7", |error| {
            matches!(error, StoreError::Foreign { .. })
        }),
    ];
    for (statements, is_right) in cases {
        let place = Place::new();
        place.open().store.close().await.unwrap();
        place.shell().execute_batch(statements).unwrap();
        let shell = place.shell();
        shell
            .execute_batch("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE")
            .unwrap();
        let error =
            Store::open_or_begin_anew(&place.file(), EndpointKind::Sandbox, at(0), Check::First);
        let error = error.unwrap_err();
        assert!(is_right(&error), "{statements}: {error:?}");
    }
}
