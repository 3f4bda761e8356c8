//! Starts on storage that cannot be written, or not even read: snapshots go on from memory, somebody is told, and the
//! history has everything once it can be written.

use std::collections::BTreeSet;
use std::fs;
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::storage::disk::Stage;
use crate::storage::{all_recorded, damaged, held_by_another};
use crate::store::totals::take_back_to_version_4;
use crate::support::{Dir, MINUTE, eventually, http, in_state};

const UNWRITABLE: &str = "the history cannot be written";

/// Some of them so little that not even the first page fits, the others up to more than a whole history.
const ROOM: [u64; 21] = [
    0, 4, 16, 32, 64, 96, 128, 160, 192, 256, 320, 384, 448, 512, 576, 640, 704, 768, 832, 896,
    1024,
];

/// How many daemons run at once; they mostly wait.
const HANDS: usize = 7;

/// Each amount of room, a few disks at a time.
fn with_each_room(test: fn(u64) -> Option<()>) {
    let hands = (0..HANDS).map(|hand| {
        thread::spawn(move || {
            let rooms = ROOM.iter().skip(hand).step_by(HANDS);
            for room in rooms {
                let _ = test(*room);
            }
        })
    });
    let hands: Vec<_> = hands.collect();
    hands.into_iter().for_each(|hand| hand.join().unwrap());
}

/// The daemon takes snapshots on this disk, and records them when there is room; `what` is for people.
fn goes_on(stage: &mut Stage, what: &str) {
    let count = stage.more_snapshots(2);
    stage.assert_runs(what);
    // Not at one instant: the last room may be used up in between.
    eventually("log, metrics and readyz agree", MINUTE, || {
        let is_told = stage.log().contains(UNWRITABLE);
        let metric = format!("redkeep_history_writable {}", u8::from(!is_told));
        stage.metrics().contains(&metric) && stage.is_ready() != is_told
    });
    stage.disk.free();
    stage.all_recorded_with(count);
    eventually("it is ready", MINUTE, || stage.is_ready());
    stage.assert_runs(what);
    assert!(
        stage.log().matches(UNWRITABLE).count() <= 1,
        "{what}: told more than once\n{}",
        stage.log()
    );
    assert_complete(stage, what);
    stage.stop();
}

/// Each slot from the first to the last has one record, and nothing was lost.
fn assert_complete(stage: &Stage, what: &str) {
    let rows = stage.disk.history(&stage.config);
    assert_no_gap(&rows, what);
    let log = stage.log();
    assert!(!log.contains("the history was lost"), "{what}: {log}");
    assert_eq!(damaged(&stage.disk.path("")).len(), 0, "{what}");
}

fn assert_no_gap(rows: &[Value], what: &str) {
    let at = |row: &Value| {
        let text = row["scheduled_at"].as_str().unwrap().to_owned();
        chrono::DateTime::parse_from_rfc3339(&text).unwrap()
    };
    let slots: Vec<_> = rows.iter().map(|row| at(row).timestamp()).collect();
    for pair in slots.windows(2) {
        assert_eq!(pair[1] - pair[0], 3, "{what}: {rows:#?}");
    }
}

/// Whose the snapshots are, by their tags.
fn writers(rows: &[Value]) -> BTreeSet<String> {
    let tags = rows.iter().map(|row| &row["snapshot"]["tags"]);
    let writer = |tags: &Value| tags["redkeep:writer"].as_str().map(str::to_owned);
    tags.filter_map(writer).collect()
}

/// What `act` does with a copy of the history, which it can put back. SQLite itself finds no file through /proc.
fn with_copy<T>(stage: &Stage, act: impl FnOnce(&rusqlite::Connection) -> T) -> T {
    let copy = stage.dir.0.join("copy.db");
    fs::copy(stage.disk.path("history.db"), &copy).unwrap();
    let shell = rusqlite::Connection::open(&copy).unwrap();
    let told = act(&shell);
    shell.close().unwrap();
    fs::copy(&copy, stage.disk.path("history.db")).unwrap();
    told
}

fn version(shell: &rusqlite::Connection) -> i64 {
    let version = "PRAGMA user_version";
    shell.query_row(version, [], |row| row.get(0)).unwrap()
}

#[test]
fn a_first_start_with_any_amount_of_room_takes_snapshots_and_records_them_later() {
    with_each_room(|room| {
        let mut stage = Stage::set_on(|disk| disk.fill_up_to(room))?;
        goes_on(&mut stage, &format!("{room} KiB"));
        Some(())
    });
}

#[test]
fn a_start_after_a_clean_stop_with_any_amount_of_room_goes_on_where_it_was() {
    with_each_room(|room| {
        let mut stage = Stage::set()?;
        stage.stop();
        stage.disk.fill_up_to(room);
        stage.restart();
        goes_on(&mut stage, &format!("{room} KiB"));
        Some(())
    });
}

#[test]
fn an_older_schema_with_any_amount_of_room_is_read_and_brought_up_to_date_when_there_is_room() {
    with_each_room(|room| {
        let mut stage = Stage::set()?;
        stage.stop();
        let newest = with_copy(&stage, |shell| {
            let newest = version(shell);
            take_back_to_version_4(shell);
            newest
        });
        stage.disk.fill_up_to(room);
        stage.restart();
        goes_on(&mut stage, &format!("an older schema, {room} KiB"));
        assert_eq!(with_copy(&stage, version), newest);
        Some(())
    });
}

/// What is no database is set aside when that is possible, and snapshots do not wait for it.
#[test]
fn a_file_that_is_no_database_stops_no_start_on_a_disk_that_takes_nothing() {
    for how in ["full", "ro"] {
        let Some(mut stage) = Stage::set() else {
            return;
        };
        stage.stop();
        fs::write(stage.disk.path("history.db"), "no database").unwrap();
        match how {
            "full" => stage.disk.fill(),
            how => stage.disk.remount(how),
        }
        stage.restart();
        let count = stage.more_snapshots(2);
        stage.assert_runs(how);
        let log = stage.log();
        assert!(log.contains("the history was lost"), "{how}: {log}");
        assert!(log.contains(UNWRITABLE), "{how}: {log}");
        let metrics = stage.metrics();
        assert!(
            metrics.contains("redkeep_history_writable 0"),
            "{how}: {metrics}"
        );
        match how {
            "full" => stage.disk.free(),
            _ => stage.disk.remount("rw"),
        }
        stage.all_recorded_with(count);
        let aside = damaged(&stage.disk.path(""));
        assert_eq!(aside.len(), 1, "{how}: {aside:?}");
        assert_eq!(fs::read(&aside[0]).unwrap(), b"no database", "{how}");
    }
}

/// How a history comes that cannot be written, and how it can be again.
type Trouble = (&'static str, fn(&Stage), fn(&Stage));

/// A policy that is to remove something by now: its first pass was made, and an hour has passed.
fn is_to_remove(stage: &mut Stage) {
    let text = fs::read_to_string(&stage.config).unwrap();
    let text = text.replace("retention", "keep_last = 3\nretention");
    fs::write(&stage.config, text).unwrap();
    stage.stop();
    stage.restart();
    stage.more_snapshots(3);
    stage.stop();
    let passes = with_copy(stage, |shell| {
        let before = "UPDATE prune_passes SET passed_at = '2026-01-01T00:00:00Z'";
        shell.execute(before, []).unwrap()
    });
    assert_eq!(passes, 1, "no pass was made\n{}", stage.log());
}

#[test]
fn nothing_is_deleted_from_a_start_on_storage_that_takes_nothing_until_it_can_be_written() {
    let troubles: [Trouble; 2] = [
        ("full", |stage| stage.disk.fill(), |stage| stage.disk.free()),
        (
            "read-only",
            |stage| stage.disk.remount("ro"),
            |stage| stage.disk.remount("rw"),
        ),
    ];
    thread::scope(|scope| {
        for trouble in troubles {
            scope.spawn(move || nothing_is_deleted_in(trouble));
        }
    });
}

fn nothing_is_deleted_in((what, harm, mend): Trouble) -> Option<()> {
    let deletes = |stage: &Stage| stage.sandbox.requests("DeleteClusterSnapshot").len();
    let mut stage = Stage::set()?;
    is_to_remove(&mut stage);
    harm(&stage);
    stage.restart();
    // No more than that: a plan of more than ten would wait for somebody to confirm it.
    stage.more_snapshots(3);
    eventually("it is told", MINUTE, || stage.log().contains(UNWRITABLE));
    assert_eq!(deletes(&stage), 0, "{what}");
    mend(&stage);
    // It would have deleted, had it been able to write.
    eventually("it deletes", MINUTE, || deletes(&stage) > 0);
    Some(())
}

#[test]
fn a_history_that_another_program_holds_stops_no_start() {
    let dir = Dir::new();
    let (sandbox, mut daemon, shell) = held_by_another(&dir);
    daemon.restart(&dir);
    let before = sandbox.snapshots().len();
    eventually("more snapshots", MINUTE, || {
        sandbox.snapshots().len() > before + 1
    });
    assert!(daemon.log().contains(UNWRITABLE), "{}", daemon.log());
    let metrics = daemon.metrics();
    assert!(metrics.contains("redkeep_history_writable 0"), "{metrics}");
    drop(shell);
    let wanted = sandbox.snapshots().len();
    let rows = daemon.wait("all recorded", MINUTE, |rows| {
        in_state(rows, "available").count() >= wanted && all_recorded(&sandbox, rows)
    });
    assert_no_gap(&rows, "EXCLUSIVE");
    assert_eq!(daemon.log().matches(UNWRITABLE).count(), 1);
}

#[test]
fn a_first_start_on_a_read_only_disk_is_held_against_a_second_one_and_recorded_later() {
    let Some(mut stage) = Stage::set_on(|disk| disk.remount("ro")) else {
        return;
    };
    let count = stage.more_snapshots(2);
    stage.assert_runs("read-only");
    assert!(!stage.disk.path("lock").exists());
    let mut second = stage.disk.daemon(&stage.dir, &stage.config);
    assert_eq!(second.exit_code(Duration::from_secs(30)), Some(75));
    stage.disk.remount("rw");
    stage.all_recorded_with(count);
    assert_complete(&stage, "read-only");
    let mut third = stage.disk.daemon(&stage.dir, &stage.config);
    assert_eq!(third.exit_code(Duration::from_secs(30)), Some(75));
}

/// What was taken before there was room for an id is of the installation that the first file begins with.
#[test]
fn snapshots_of_starts_without_room_for_an_id_are_this_installations() {
    let Some(mut stage) = Stage::set_on(|disk| disk.fill()) else {
        return;
    };
    stage.more_snapshots(2);
    // Nothing but the machine can tell the second start whose the snapshots of the first are.
    let is_known = fs::read_to_string("/etc/machine-id").is_ok_and(|id| !id.trim().is_empty());
    if is_known {
        stage.restart();
        stage.more_snapshots(2);
    }
    stage.disk.free();
    let count = stage.sandbox.snapshots().len();
    stage.all_recorded_with(count);
    stage.stop();
    let rows = stage.disk.history(&stage.config);
    let installation = with_copy(&stage, |shell| {
        let installation = "SELECT value FROM meta WHERE key = 'installation'";
        shell.query_row(installation, [], |row| row.get(0)).unwrap()
    });
    assert_eq!(writers(&rows), BTreeSet::from([installation]));
}

#[test]
fn a_state_directory_that_cannot_be_made_ends_no_daemon() {
    let Some(mut stage) = Stage::set_on(|disk| disk.remount("ro")) else {
        return;
    };
    stage.more_snapshots(1);
    stage.stop();
    let text = fs::read_to_string(&stage.config).unwrap();
    let text = text.replace("state_dir = \"state\"", "state_dir = \"state/below\"");
    fs::write(&stage.config, text).unwrap();
    stage.restart();
    stage.more_snapshots(2);
    stage.assert_runs("no directory");
    assert_eq!(http(stage.listen, "GET", "/readyz", "").status, 503);
    stage.disk.remount("rw");
    eventually("it is ready", MINUTE, || stage.is_ready());
}
