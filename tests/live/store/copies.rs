//! The daily copies: whole, private, two of them, and never one that is worth less in the place of one that is worth
//! more.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use redkeep::history::Change;
use redkeep::run::RunState;
use redkeep::store::{Inbox, Opened, Reader, RunFilter, Store, StoreError, copy_of, older_copy_of};

use crate::store::sample::{Place, at, run};

async fn add(store: &Store, seconds: impl Iterator<Item = i64>) {
    let runs = seconds.map(|at| Change::Run(Box::new(run("dw", at * 60, RunState::Due))));
    store.commit(runs.collect()).await.unwrap();
}

fn runs_of(path: &Path) -> usize {
    let reader = Reader::open(path).unwrap();
    reader.runs(&RunFilter::default()).unwrap().len()
}

/// How many runs the newer and the older copy have.
fn copies_of(place: &Place) -> (usize, usize) {
    (
        runs_of(&copy_of(&place.file())),
        runs_of(&older_copy_of(&place.file())),
    )
}

#[tokio::test]
async fn a_copy_is_whole_private_and_can_be_opened() {
    let place = Place::new();
    let opened = place.open();
    add(&opened.store, 0..1).await;
    let copy = copy_of(&place.file());
    fs::write(&copy, "an older copy of no use").unwrap();
    fs::write(
        copy.with_file_name("history.copy.db.partial"),
        "half a copy",
    )
    .unwrap();
    opened.store.backup().await.unwrap();
    assert_eq!(
        fs::metadata(&copy).unwrap().permissions().mode() & 0o777,
        0o600
    );
    opened.store.close().await.unwrap();
    let mut names: Vec<_> = fs::read_dir(place.directory())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["history.copy.db", "history.db"]);
    fs::rename(&copy, place.file()).unwrap();
    let again = place.open();
    assert_eq!(again.identity, opened.identity);
    assert_eq!(again.history.runs.values().count(), 1);
}

#[tokio::test]
async fn the_copy_of_the_day_before_stays_beside_the_newest() {
    let place = Place::new();
    let store = place.open().store;
    for day in 1..=4 {
        add(&store, 0..day).await;
        store.backup().await.unwrap();
        if day > 1 {
            let day = usize::try_from(day).unwrap();
            assert_eq!(copies_of(&place), (day, day - 1));
        }
    }
}

#[tokio::test]
async fn no_copy_is_made_of_a_rebuilt_history_until_somebody_has_acknowledged_that() {
    let place = Place::new();
    let store = place.open().store;
    add(&store, 0..5).await;
    store.backup().await.unwrap();
    store.commit(vec![Change::Rebuilt(at(0))]).await.unwrap();
    add(&store, 5..9).await;
    let error = store.backup().await.unwrap_err();
    assert!(matches!(error, StoreError::Rebuilt { .. }), "{error}");
    assert!(error.to_string().contains("--acknowledge"), "{error}");
    assert_eq!(runs_of(&copy_of(&place.file())), 5);
    Inbox::open(&place.file()).unwrap().acknowledge().unwrap();
    store.backup().await.unwrap();
    assert_eq!(copies_of(&place), (9, 5));
}

/// A history in the place of `lost`, with so few records.
async fn anew(lost: Store, place: &Place, records: i64) -> Store {
    lost.close().await.unwrap();
    // The copies are out of the way while it begins, or it would be known to be a rebuilt one.
    let away = Place::new();
    fs::create_dir(away.directory()).unwrap();
    let move_all = |from: &dyn Fn(&Path) -> std::path::PathBuf, from_place: &Place, to: &Place| {
        let _ = fs::rename(from(&from_place.file()), from(&to.file()));
    };
    for copy in [&copy_of as &dyn Fn(&Path) -> _, &older_copy_of] {
        move_all(copy, place, &away);
    }
    fs::remove_file(place.file()).unwrap();
    let store = place.open().store;
    for copy in [&copy_of as &dyn Fn(&Path) -> _, &older_copy_of] {
        move_all(copy, &away, place);
    }
    add(&store, 0..records).await;
    store
}

#[tokio::test]
async fn a_copy_of_another_installation_or_with_more_records_stays_in_one_of_the_two_places() {
    let place = Place::new();
    let store = place.open().store;
    add(&store, 0..5).await;
    store.backup().await.unwrap();
    add(&store, 5..6).await;
    store.backup().await.unwrap();
    let store = anew(store, &place, 2).await;
    store.backup().await.unwrap();
    assert_eq!(copies_of(&place), (2, 6), "the newest of the lost one went");
    add(&store, 2..3).await;
    store.backup().await.unwrap();
    assert_eq!(copies_of(&place), (3, 6), "the older one is worth more");
    // A third history: both copies are of others.
    let store = anew(store, &place, 9).await;
    let error = store.backup().await.unwrap_err();
    assert!(matches!(error, StoreError::WorthLess { .. }), "{error}");
    assert_eq!(copies_of(&place), (3, 6));
    assert!(!place.directory().join("history.copy.db.partial").exists());
    fs::remove_file(older_copy_of(&place.file())).unwrap();
    store.backup().await.unwrap();
    assert_eq!(copies_of(&place), (9, 3));
}

#[tokio::test]
async fn a_copy_with_fewer_records_of_the_same_installation_replaces_none_with_more() {
    let place = Place::new();
    let Opened { store, .. } = place.open();
    add(&store, 0..3).await;
    store.backup().await.unwrap();
    let early = fs::read(copy_of(&place.file())).unwrap();
    add(&store, 3..8).await;
    store.backup().await.unwrap();
    store.close().await.unwrap();
    // Somebody puts the early copy back, and nobody notices.
    fs::write(place.file(), early).unwrap();
    let store = place.open().store;
    for _ in 0..3 {
        store.backup().await.unwrap();
        assert_eq!(copies_of(&place), (3, 8));
    }
    add(&store, 3..9).await;
    store.backup().await.unwrap();
    assert_eq!(copies_of(&place), (9, 8));
}

#[tokio::test]
async fn a_copy_that_cannot_be_made_costs_none_of_the_older_ones() {
    let place = Place::new();
    let store = place.open().store;
    add(&store, 0..1).await;
    store.backup().await.unwrap();
    let copy = copy_of(&place.file());
    fs::create_dir(copy.with_file_name("history.copy.db.partial")).unwrap();
    assert!(store.backup().await.is_err());
    assert_eq!(runs_of(&copy), 1);
}

/// How many locks this process has on the file.
fn locks_on(path: &Path) -> Option<usize> {
    let inode = format!(":{}", fs::metadata(path).unwrap().ino());
    let pid = std::process::id().to_string();
    let locks = fs::read_to_string("/proc/locks").ok()?;
    let ours = locks.lines().filter(|line| {
        let mut words = line.split_whitespace();
        words.any(|word| word == pid) && words.any(|word| word.ends_with(&inode))
    });
    Some(ours.count())
}

/// Whoever closes the file by other means than SQLite's undoes the locks of all connections of this process. Then a
/// command that is done takes itself for the last one, and removes the log under the daemon.
#[tokio::test]
async fn a_copy_and_a_reader_in_the_same_process_leave_the_stores_lock_alone() {
    let place = Place::new();
    let store = place.open().store;
    add(&store, 0..1).await;
    let before = locks_on(&place.file());
    if before.is_none_or(|locks| locks == 0) {
        return;
    }
    store.backup().await.unwrap();
    drop(Reader::open(&place.file()).unwrap());
    drop(Inbox::open(&place.file()).unwrap());
    assert_eq!(locks_on(&place.file()), before);
}
