//! Files that are not to be trusted: each refused in its own words, none of them changed.

use std::fs::{self, OpenOptions};
use std::path::Path;

use redkeep::history::Change;
use redkeep::run::{Missed, Outcome, RunState};
use redkeep::store::{EndpointKind, Reader, RunFilter, Store, StoreError};

use crate::store::sample::{Place, at, missed_range, pair, pair_state, run};

fn refusal(path: &Path) -> StoreError {
    Store::open(path, EndpointKind::Sandbox, at(0)).expect_err("the file was accepted")
}

fn reader_refusal(path: &Path) -> StoreError {
    Reader::open(path).expect_err("the file was accepted")
}

/// A history with some pages, closed.
async fn filled() -> Place {
    let place = Place::new();
    let store = place.open().store;
    let runs = (0..500).map(|n| Change::Run(Box::new(run("dw", n * 60, RunState::Due))));
    store.commit(runs.collect()).await.unwrap();
    store.close().await.unwrap();
    place
}

#[test]
fn a_command_without_a_history_says_who_begins_one() {
    let place = Place::new();
    let error = reader_refusal(&place.file());
    assert!(
        matches!(error, StoreError::Missing { .. }) && error.to_string().contains("redkeep run"),
        "{error}"
    );
    assert!(!place.directory().exists(), "reading made something");
    fs::create_dir(place.directory()).unwrap();
    fs::write(place.file(), "").unwrap();
    assert!(matches!(
        reader_refusal(&place.file()),
        StoreError::Missing { .. }
    ));
}

/// The daemon makes the tables first, and then writes whose history it is.
#[tokio::test]
async fn a_history_that_is_just_being_begun_is_none_yet() {
    let place = Place::new();
    place.open().store.close().await.unwrap();
    place.shell().execute("DELETE FROM meta", []).unwrap();
    let error = reader_refusal(&place.file());
    assert!(matches!(error, StoreError::Missing { .. }), "{error}");
    place.open().store.close().await.unwrap();
    Reader::open(&place.file()).unwrap();
}

#[test]
fn a_file_that_is_no_database_is_refused_untouched() {
    let place = Place::new();
    fs::create_dir(place.directory()).unwrap();
    for content in ["x", "my precious notes\n", &"long ".repeat(10_000)] {
        fs::write(place.file(), content).unwrap();
        let error = refusal(&place.file());
        assert!(
            matches!(error, StoreError::NotADatabase { .. }),
            "{error:?}"
        );
        assert!(error.to_string().contains(place.file().to_str().unwrap()));
        assert!(matches!(
            reader_refusal(&place.file()),
            StoreError::NotADatabase { .. }
        ));
        assert_eq!(fs::read_to_string(place.file()).unwrap(), content);
        assert!(!error.is_storage());
    }
}

#[test]
fn a_directory_in_the_place_of_the_file_is_refused() {
    let place = Place::new();
    fs::create_dir_all(place.file()).unwrap();
    assert!(matches!(
        refusal(&place.file()),
        StoreError::NotADatabase { .. }
    ));
}

#[test]
fn another_programs_database_is_refused_untouched() {
    for setup in [
        "CREATE TABLE t (x)",
        "PRAGMA application_id = 7",
        "PRAGMA user_version = 1",
    ] {
        let place = Place::new();
        fs::create_dir(place.directory()).unwrap();
        place.shell().execute_batch(setup).unwrap();
        let before = fs::read(place.file()).unwrap();
        assert!(
            matches!(refusal(&place.file()), StoreError::Foreign { .. }),
            "{setup}"
        );
        assert!(
            matches!(reader_refusal(&place.file()), StoreError::Foreign { .. }),
            "{setup}"
        );
        assert_eq!(fs::read(place.file()).unwrap(), before, "{setup}");
    }
}

#[tokio::test]
async fn a_newer_schema_is_refused_with_both_versions() {
    let place = filled().await;
    place
        .shell()
        .execute_batch("PRAGMA user_version = 99")
        .unwrap();
    for error in [refusal(&place.file()), reader_refusal(&place.file())] {
        assert!(
            matches!(error, StoreError::NewerSchema { got: 99, .. }),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn a_history_of_another_kind_of_endpoint_is_refused() {
    let place = filled().await;
    let error = Store::open(&place.file(), EndpointKind::Aws, at(0)).unwrap_err();
    let StoreError::OtherEndpoint { got, wanted, .. } = &error else {
        panic!("{error:?}");
    };
    assert_eq!((*got, *wanted), (EndpointKind::Sandbox, EndpointKind::Aws));
}

#[tokio::test]
async fn a_truncated_file_is_damaged() {
    for length in [1000, 4096, 5000, 40_960] {
        let place = filled().await;
        OpenOptions::new()
            .write(true)
            .open(place.file())
            .unwrap()
            .set_len(length)
            .unwrap();
        let error = refusal(&place.file());
        assert!(
            matches!(
                error,
                StoreError::Corrupt { .. } | StoreError::NotADatabase { .. }
            ),
            "{length}: {error:?}"
        );
        assert!(!error.is_storage());
    }
}

#[tokio::test]
async fn a_damaged_page_is_found_even_where_nothing_reads_it_at_start() {
    let place = Place::new();
    let store = place.open().store;
    let late = || RunState::Ended(Outcome::Missed(Missed::Late));
    let runs = (0..200).map(|n| Change::Run(Box::new(run("dw", n * 60, late()))));
    store.commit(runs.collect()).await.unwrap();
    store.close().await.unwrap();
    let sound = fs::read(place.file()).unwrap();
    for page in (4096..sound.len()).step_by(4096) {
        let mut damaged = sound.clone();
        damaged[page..page + 64].fill(0xa5);
        fs::write(place.file(), damaged).unwrap();
        let error = refusal(&place.file());
        assert!(
            matches!(error, StoreError::Corrupt { .. }),
            "page at {page}: {error:?}"
        );
    }
    fs::write(place.file(), sound).unwrap();
    place.open();
}

#[tokio::test]
async fn a_change_that_cannot_be_written_takes_the_whole_commit_with_it() {
    let place = Place::new();
    let store = place.open().store;
    let obstacle = "CREATE TRIGGER obstacle BEFORE INSERT ON runs WHEN NEW.cluster = 'bad'
                    BEGIN SELECT RAISE(ABORT, 'not today'); END";
    place.shell().execute_batch(obstacle).unwrap();
    let change = |cluster| Change::Run(Box::new(run(cluster, 0, RunState::Due)));
    let error = store
        .commit(vec![change("good"), change("bad")])
        .await
        .unwrap_err();
    assert!(
        matches!(error, StoreError::Sqlite { .. }) && !error.is_storage(),
        "{error:?}"
    );
    let reader = Reader::open(&place.file()).unwrap();
    assert_eq!(reader.runs(&RunFilter::default()).unwrap(), []);
    store.commit(vec![change("good")]).await.unwrap();
    assert_eq!(reader.runs(&RunFilter::default()).unwrap().len(), 1);
}

#[tokio::test]
async fn a_symbolic_link_is_refused_and_a_linked_directory_is_not() {
    let place = filled().await;
    let link = place.directory().join("link.db");
    std::os::unix::fs::symlink(place.file(), &link).unwrap();
    assert!(matches!(refusal(&link), StoreError::Symlink { .. }));
    assert!(matches!(reader_refusal(&link), StoreError::Symlink { .. }));
    let dangling = place.directory().join("dangling.db");
    std::os::unix::fs::symlink("nowhere.db", &dangling).unwrap();
    assert!(matches!(refusal(&dangling), StoreError::Symlink { .. }));
    assert!(!place.directory().join("nowhere.db").exists());
    let directory = place.directory().join("linked");
    std::os::unix::fs::symlink(place.directory(), &directory).unwrap();
    Store::open(&directory.join("history.db"), EndpointKind::Sandbox, at(0)).unwrap();
}

/// What somebody with the sqlite3 shell may have done, and where it is told.
const DAMAGES: &[(&str, &str)] = &[
    (
        "UPDATE runs SET tier = 'gold'",
        "table runs, row 1, column tier: \"gold\"",
    ),
    (
        "UPDATE runs SET \"trigger\" = ''",
        "table runs, row 1, column trigger",
    ),
    (
        "UPDATE runs SET tags = '{'",
        "table runs, row 1, column tags",
    ),
    (
        "UPDATE runs SET progress = '{\"flying\":1}'",
        "table runs, row 1, column progress",
    ),
    (
        "UPDATE runs SET progress = '{\"ended\":\"available\"}'",
        "table runs, row 1, column progress",
    ),
    (
        "UPDATE runs SET retention_days = 0",
        "table runs, row 1, column retention_days: got 0",
    ),
    (
        "UPDATE runs SET attempts = -1",
        "table runs, row 1, column attempts",
    ),
    (
        "UPDATE runs SET interval_seconds = 9223372036854775807",
        "column interval_seconds",
    ),
    (
        "UPDATE runs SET starts_at = 'soon'",
        "table runs, row 1, column starts_at: got \"soon\"",
    ),
    (
        "UPDATE runs SET cluster = 'A B'",
        "table runs, row 1, column cluster",
    ),
    (
        "UPDATE runs SET snapshot = 'x'",
        "table runs, row 1, column snapshot",
    ),
    (
        "UPDATE runs SET gone_at = '2026-01-01T00:00:00Z', gone_reason = 'eaten'",
        "column gone_reason",
    ),
    (
        "UPDATE runs SET state = 'missed', reason = 'x', progress = NULL",
        "table runs, row 1, column reason",
    ),
    (
        "UPDATE pairs SET watermark = ''",
        "table pairs, row 1, column watermark",
    ),
    (
        "UPDATE meta SET value = 'mars' WHERE key = 'endpoint_kind'",
        "table meta, row endpoint_kind",
    ),
    (
        "UPDATE meta SET value = '' WHERE key = 'installation'",
        "table meta, row installation",
    ),
    ("DELETE FROM meta WHERE key = 'created_at'", ""),
    (
        // The totals are of the same region then, and are read.
        "UPDATE missed_ranges SET region = ''",
        "table totals, row 2, column region",
    ),
];

#[tokio::test]
async fn a_word_that_redkeep_never_writes_is_damage_with_its_place() {
    for (statement, wanted) in DAMAGES {
        let place = Place::new();
        let changes = vec![
            Change::Pair(pair("dw"), pair_state()),
            Change::Run(Box::new(run("dw", 0, RunState::Due))),
            Change::Missed(missed_range("dw", -9000, 200)),
        ];
        place.open().store.commit(changes).await.unwrap();
        assert_eq!(
            place.shell().execute(statement, []).unwrap(),
            1,
            "{statement}"
        );
        match Store::open(&place.file(), EndpointKind::Sandbox, at(0)) {
            Ok(_) => assert_eq!(*wanted, "", "{statement} was accepted"),
            Err(StoreError::Corrupt { what, .. }) => {
                assert!(what.contains(wanted), "{statement}: {what}")
            }
            Err(other) => panic!("{statement}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_state_that_contradicts_its_progress_cannot_be_stored() {
    let place = filled().await;
    for set in [
        "state = 'available'",
        "state = 'flying', progress = NULL",
        "gone_at = 'x'",
        "reason = 'x'",
    ] {
        let error = place
            .shell()
            .execute(&format!("UPDATE runs SET {set}"), [])
            .unwrap_err()
            .to_string();
        assert!(error.contains("CHECK constraint failed"), "{set}: {error}");
    }
}

#[tokio::test]
async fn a_file_removed_while_it_is_open_is_noticed_at_the_next_commit() {
    let place = Place::new();
    let store = place.open().store;
    fs::remove_file(place.file()).unwrap();
    let error = store
        .commit(vec![Change::Pair(pair("dw"), pair_state())])
        .await
        .unwrap_err();
    assert!(
        matches!(error, StoreError::Replaced { .. }) && error.is_storage(),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_lock_that_somebody_holds_is_waited_for_and_then_told_as_storage() {
    let place = Place::new();
    let store = place.open().store;
    let shell = place.shell();
    shell.execute_batch("BEGIN IMMEDIATE").unwrap();
    let error = store
        .commit(vec![Change::Pair(pair("dw"), pair_state())])
        .await
        .unwrap_err();
    assert!(error.is_storage(), "{error:?}");
    let reader = Reader::open(&place.file()).unwrap();
    assert_eq!(
        reader.runs(&RunFilter::default()).unwrap(),
        [],
        "readers do not wait"
    );
    shell.execute_batch("COMMIT").unwrap();
    store
        .commit(vec![Change::Pair(pair("dw"), pair_state())])
        .await
        .unwrap();
    assert_eq!(
        reader.history().unwrap().pairs.len(),
        1,
        "an open reader sees what is committed later"
    );
}
