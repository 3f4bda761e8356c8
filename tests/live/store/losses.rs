//! A history that is damaged or gone: moved aside as it is, and a new one begun.

use std::fs::{self, OpenOptions, Permissions};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};

use redkeep::history::Change;
use redkeep::run::{Missed, Outcome, RunState};
use redkeep::store::{Check, EndpointKind, Opened, Reader, RunFilter, Store, StoreError};

use crate::store::sample::{Place, at, pair, pair_state, run};

fn opened(place: &Place) -> Result<Opened, StoreError> {
    Store::open_or_begin_anew(&place.file(), EndpointKind::Sandbox, at(0), Check::First)
}

/// A history with some pages, closed, and its installation.
async fn filled() -> (Place, String) {
    let place = Place::new();
    let Opened {
        store, identity, ..
    } = place.open();
    let late = || RunState::Ended(Outcome::Missed(Missed::Late));
    let runs = (0..200).map(|n| Change::Run(Box::new(run("dw", n * 60, late()))));
    store.commit(runs.collect()).await.unwrap();
    store
        .commit(vec![Change::Pair(pair("dw"), pair_state())])
        .await
        .unwrap();
    store.close().await.unwrap();
    (place, identity.installation.to_string())
}

/// The files that were moved aside.
fn aside(place: &Place) -> Vec<PathBuf> {
    let entries = fs::read_dir(place.directory()).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.to_string_lossy().contains(".damaged-"));
    paths.sort();
    paths
}

/// A new history is there, says so, and can be written and read.
async fn assert_begun_anew(place: &Place, opened: Opened, what: &str) -> PathBuf {
    let moved_to = opened
        .lost
        .unwrap_or_else(|| panic!("{what}: accepted"))
        .moved_to
        .unwrap();
    assert!(opened.trouble.is_none(), "{what}");
    assert!(
        opened.history.runs.is_empty() && opened.history.pairs.is_empty(),
        "{what}"
    );
    assert_eq!(opened.history.rebuilt_at, Some(at(0)), "{what}");
    let change = Change::Run(Box::new(run("dw", 0, RunState::Due)));
    opened.store.commit(vec![change]).await.unwrap();
    opened.store.close().await.unwrap();
    let again = place.open();
    assert_eq!(again.history.rebuilt_at, Some(at(0)), "{what}");
    assert_eq!(again.history.runs.values().count(), 1, "{what}");
    assert_eq!(again.identity, opened.identity, "{what}");
    moved_to
}

#[tokio::test]
async fn a_file_that_is_damaged_is_moved_aside_as_it_is() {
    let (sound, installation) = filled().await;
    let sound = fs::read(sound.file()).unwrap();
    let cut = |length: usize| sound[..length].to_vec();
    let mut flipped = sound.clone();
    flipped[3 * 4096..][..64].fill(0xa5);
    let mut renamed = sound.clone();
    renamed[68] ^= 1;
    let damages = [
        ("cut to a page", cut(4096), false),
        ("cut in the midst of a page", cut(5000), false),
        ("cut in its head", cut(10), false),
        ("not a database", b"my precious notes\n".to_vec(), false),
        ("a damaged page", flipped, true),
        ("a damaged head", renamed, true),
    ];
    for (what, content, is_known) in damages {
        let place = Place::new();
        fs::create_dir(place.directory()).unwrap();
        fs::write(place.file(), &content).unwrap();
        fs::set_permissions(place.file(), Permissions::from_mode(0o640)).unwrap();
        let opened = opened(&place).unwrap();
        let kept = opened.identity.installation.as_str() == installation;
        assert_eq!(kept, is_known, "{what}: whose it is");
        let moved_to = assert_begun_anew(&place, opened, what).await;
        assert_eq!(
            moved_to.file_name().unwrap(),
            "history.db.damaged-20261124T000000Z"
        );
        assert_eq!(fs::read(&moved_to).unwrap(), content, "{what}");
        assert_eq!(
            fs::metadata(&moved_to).unwrap().permissions().mode() & 0o777,
            0o640
        );
    }
}

#[tokio::test]
async fn no_bit_of_the_file_stops_the_daemon() {
    let (sound, _) = filled().await;
    let sound = fs::read(sound.file()).unwrap();
    let (mut lost, mut refused) = (0, 0);
    for step in 0..400 {
        // The header in full, then all over the file.
        let byte = if step < 100 {
            step
        } else {
            (step - 100) * 7919 % sound.len()
        };
        let place = Place::new();
        fs::create_dir(place.directory()).unwrap();
        fs::write(place.file(), &sound).unwrap();
        let file = OpenOptions::new().write(true).open(place.file()).unwrap();
        file.write_all_at(&[sound[byte] ^ (1 << (step % 8))], byte as u64)
            .unwrap();
        match opened(&place) {
            Ok(opened) => lost += usize::from(opened.lost.is_some()),
            // The number of a schema that no redkeep has had yet looks like a newer one.
            Err(StoreError::NewerSchema { .. }) if (60..64).contains(&byte) => refused += 1,
            Err(error) => panic!("bit {} of byte {byte}: {error:?}", step % 8),
        }
    }
    assert!(lost > 50 && refused <= 4, "{lost} lost, {refused} refused");
}

#[tokio::test]
async fn a_row_that_redkeep_never_writes_leads_to_a_new_history_of_the_same_installation() {
    let damages = [
        "UPDATE pairs SET watermark = 'soon'",
        "UPDATE meta SET value = 'mars' WHERE key = 'endpoint_kind'",
        "DROP TABLE missed_ranges",
    ];
    for damage in damages {
        let (place, installation) = filled().await;
        place.shell().execute_batch(damage).unwrap();
        let opened = opened(&place).unwrap();
        let kept = opened.identity.installation.as_str() == installation;
        assert_eq!(kept, !damage.contains("mars"), "{damage}");
        assert_begun_anew(&place, opened, damage).await;
    }
}

#[tokio::test]
async fn the_log_goes_with_its_file() {
    let place = Place::new();
    let store = place.open().store;
    store
        .commit(vec![Change::Pair(pair("dw"), pair_state())])
        .await
        .unwrap();
    // As after a kill -9: the log is not in the file yet.
    let killed = Place::new();
    fs::create_dir(killed.directory()).unwrap();
    let with = |path: &Path, end: &str| PathBuf::from(format!("{}{end}", path.display()));
    for end in ["", "-wal", "-shm"] {
        fs::copy(with(&place.file(), end), with(&killed.file(), end)).unwrap();
    }
    let log = fs::read(with(&killed.file(), "-wal")).unwrap();
    assert!(!log.is_empty());
    let file = OpenOptions::new().write(true).open(killed.file()).unwrap();
    file.set_len(9).unwrap();
    let moved_to = assert_begun_anew(&killed, opened(&killed).unwrap(), "cut").await;
    assert_eq!(fs::read(with(&moved_to, "-wal")).unwrap(), log);
    assert_eq!(aside(&killed).len(), 3);
}

#[tokio::test]
async fn a_file_that_is_gone_is_lost_where_its_log_or_its_copy_tells_of_it() {
    let (place, installation) = filled().await;
    fs::remove_file(place.file()).unwrap();
    assert!(
        opened(&place).unwrap().lost.is_none(),
        "nothing tells it from a first start"
    );

    let copied = Place::new();
    let Opened {
        store, identity, ..
    } = copied.open();
    store.backup().await.unwrap();
    store.close().await.unwrap();
    fs::remove_file(copied.file()).unwrap();
    let anew = opened(&copied).unwrap();
    assert_eq!(anew.identity.installation, identity.installation);
    assert_ne!(anew.identity.installation.as_str(), installation);
    assert!(anew.lost.is_some());
    assert_eq!(anew.history.rebuilt_at, Some(at(0)));

    let has_orphan_wal = Place::new();
    fs::create_dir(has_orphan_wal.directory()).unwrap();
    fs::write(format!("{}-wal", has_orphan_wal.file().display()), "a log").unwrap();
    assert_begun_anew(&has_orphan_wal, opened(&has_orphan_wal).unwrap(), "bereft").await;
    assert_eq!(aside(&has_orphan_wal).len(), 1);
}

#[tokio::test]
async fn the_same_second_twice_overwrites_nothing() {
    let place = Place::new();
    fs::create_dir(place.directory()).unwrap();
    for content in ["one", "two", "three"] {
        fs::write(place.file(), content).unwrap();
        opened(&place).unwrap().store.close().await.unwrap();
    }
    let contents: Vec<String> = aside(&place)
        .iter()
        .filter_map(|path| fs::read_to_string(path).ok())
        .collect();
    assert_eq!(contents, ["one", "two", "three"]);
}

#[tokio::test]
async fn what_is_not_damage_is_refused_and_stays_where_it_is() {
    type Refused = fn(&StoreError) -> bool;
    let cases: [(&str, Refused); 4] = [
        ("PRAGMA user_version = 99", |error| {
            matches!(error, StoreError::NewerSchema { .. })
        }),
        (
            "UPDATE meta SET value = 'aws' WHERE key = 'endpoint_kind'",
            |error| matches!(error, StoreError::OtherEndpoint { .. }),
        ),
        // Damaged as well, and yet whose it is can be read.
        (
            "UPDATE meta SET value = 'aws' WHERE key = 'endpoint_kind'; DROP TABLE missed_ranges",
            |error| matches!(error, StoreError::OtherEndpoint { .. }),
        ),
        ("DROP TABLE meta; PRAGMA application_id = 7", |error| {
            matches!(error, StoreError::Foreign { .. })
        }),
    ];
    for (statements, is_right) in cases {
        let (place, _) = filled().await;
        place.shell().execute_batch(statements).unwrap();
        let error = opened(&place).unwrap_err();
        assert!(is_right(&error), "{statements}: {error:?}");
        assert!(aside(&place).is_empty(), "{statements}");
    }
    let link = Place::new();
    fs::create_dir(link.directory()).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", link.file()).unwrap();
    assert!(matches!(
        opened(&link).unwrap_err(),
        StoreError::Symlink { .. }
    ));
    let directory = Place::new();
    fs::create_dir_all(directory.file()).unwrap();
    assert!(matches!(
        opened(&directory).unwrap_err(),
        StoreError::NotADatabase { .. }
    ));
}

#[tokio::test]
async fn a_sound_history_is_opened_as_it_is() {
    let (place, installation) = filled().await;
    let opened = opened(&place).unwrap();
    assert!(opened.lost.is_none() && opened.trouble.is_none());
    assert_eq!(opened.identity.installation.as_str(), installation);
    assert_eq!(opened.history.rebuilt_at, None);
    let reader = Reader::open(&place.file()).unwrap();
    assert_eq!(reader.runs(&RunFilter::default()).unwrap().len(), 200);
}

/// Power loss at any point of the migrations: the log ends after any frame, or in the midst of one.
#[tokio::test]
async fn a_migration_that_is_cut_off_leaves_the_old_schema_or_the_new_one() {
    const HEADER: usize = 32;
    const FRAME: usize = 24 + 4096;
    let place = Place::new();
    let made = place.open();
    let log_of = |path: PathBuf| PathBuf::from(format!("{}-wal", path.display()));
    let file = fs::read(place.file()).unwrap();
    let log = fs::read(log_of(place.file())).unwrap();
    let frames = (log.len() - HEADER) / FRAME;
    assert!(frames > 10, "{frames} frames");
    let mut schemas = std::collections::BTreeMap::new();
    for cut in (0..=frames).flat_map(|frame| [HEADER + frame * FRAME, frame * FRAME]) {
        let copy = Place::new();
        fs::create_dir(copy.directory()).unwrap();
        fs::write(copy.file(), &file).unwrap();
        fs::write(log_of(copy.file()), &log[..cut.min(log.len())]).unwrap();
        let (version, schema) = schema_of(&copy);
        let other = schemas.insert(version, schema.clone());
        assert!(
            other.is_none_or(|other| other == schema),
            "version {version} is mixed at {cut}"
        );
        let reopened = opened(&copy).unwrap();
        assert!(reopened.lost.is_none(), "{cut}");
        reopened.store.close().await.unwrap();
        assert_eq!(schema_of(&copy), schema_of(&place), "{cut}");
    }
    assert!(
        schemas.contains_key(&0) && schemas.len() > 1,
        "{:?}",
        schemas.keys()
    );
    made.store.close().await.unwrap();
}

fn schema_of(place: &Place) -> (i64, Vec<String>) {
    let shell = place.shell();
    let version = shell
        .query_row("PRAGMA user_version", [], |row| row.get(0))
        .unwrap();
    let mut statement = shell
        .prepare(
            "SELECT type || ' ' || name || ' ' || coalesce(sql, '') FROM sqlite_schema ORDER BY 1",
        )
        .unwrap();
    let rows = statement.query_map([], |row| row.get(0)).unwrap();
    (version, rows.map(Result::unwrap).collect())
}

/// The first page of an index that nothing reads at a start.
fn page_of_an_index(place: &Place) -> u64 {
    let root = "SELECT rootpage FROM sqlite_schema WHERE name = 'runs_by_snapshot'";
    let page: u32 = place.shell().query_row(root, [], |row| row.get(0)).unwrap();
    u64::from(page - 1) * 4096
}

#[tokio::test]
async fn a_large_history_is_opened_first_and_its_damage_found_beside() {
    let (place, installation) = filled().await;
    let large = "CREATE TABLE room (it BLOB); INSERT INTO room VALUES (zeroblob(140000000)); DROP TABLE room;
                 PRAGMA wal_checkpoint(TRUNCATE);";
    place.shell().execute_batch(large).unwrap();
    let open = |check| {
        Store::open_or_begin_anew(&place.file(), EndpointKind::Sandbox, at(0), check).unwrap()
    };
    let sound = open(Check::LargeBeside);
    assert!(!sound.is_checked);
    assert!(sound.store.check(at(1)).await.unwrap().is_none());
    sound.store.close().await.unwrap();
    let file = OpenOptions::new().write(true).open(place.file()).unwrap();
    file.write_all_at(&[0xa5; 64], page_of_an_index(&place))
        .unwrap();
    drop(file);
    let opened = open(Check::LargeBeside);
    assert!(!opened.is_checked && opened.lost.is_none());
    assert_eq!(opened.history.pairs.len(), 1);
    let over = opened.store.check(at(7)).await.unwrap().unwrap();
    let moved_to = over.lost.unwrap().moved_to.unwrap();
    assert_eq!(aside(&place)[0], moved_to);
    assert_eq!(over.history.rebuilt_at, Some(at(7)));
    assert_eq!(over.identity.installation.to_string(), installation);
    let change = Change::Run(Box::new(run("dw", 0, RunState::Due)));
    opened.store.commit(vec![change]).await.unwrap();
    opened.store.close().await.unwrap();
    let again = open(Check::First);
    assert_eq!(again.history.rebuilt_at, Some(at(7)));
    assert_eq!(again.history.runs.values().count(), 1);
}
