//! The real binary on storage that fails it: a history that is lost, a disk that is full, one that is read-only.
#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a test that cannot go on fails, and the tests of the real binary live in real time"
)]

mod commands;
mod disk;
mod planted;
mod stalled;
mod starts;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use self::disk::Stage;
use crate::support::{Daemon, Dir, MINUTE, Sandbox, eventually, in_state};
use serde_json::Value;

const EACH_THREE_SECONDS: &str = r#"
[[policy]]
name = "often"
schedule = "*/3 * * * * *"
clusters = ["dw"]
retention = "7d"
start_window = "4m"
"#;

/// A daemon that has taken a snapshot and ended, and the program that holds its history since.
fn held_by_another(dir: &Dir) -> (Sandbox, Daemon, rusqlite::Connection) {
    let sandbox = Sandbox::of(&["dw"]);
    let mut daemon = Daemon::start(dir, &sandbox.url, EACH_THREE_SECONDS);
    let is_good = |rows: &[Value]| in_state(rows, "available").next().is_some();
    daemon.wait("the first", MINUTE, is_good);
    daemon.process.signal("-TERM");
    assert_eq!(daemon.process.exit_code(Duration::from_secs(30)), Some(0));
    let shell = rusqlite::Connection::open(dir.0.join("state/history.db")).unwrap();
    shell
        .execute_batch("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE")
        .unwrap();
    (sandbox, daemon, shell)
}

/// Whether each snapshot of AWS's has exactly one record, and each of them is available.
fn all_recorded(sandbox: &Sandbox, rows: &[Value]) -> bool {
    let good: Vec<&str> = in_state(rows, "available")
        .map(|row| row["snapshot_id"].as_str().unwrap())
        .collect();
    let names: BTreeSet<&str> = good.iter().copied().collect();
    assert_eq!(names.len(), good.len(), "a snapshot has two records");
    let there = sandbox.snapshots();
    there.iter().all(|id| names.contains(id.as_str()))
}

fn damaged(state: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(state).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.to_string_lossy().contains("history.db.damaged-"));
    paths
}

type Harm = fn(&Path);

#[test]
fn a_history_that_is_lost_in_any_way_is_rebuilt_and_nothing_is_made_twice() {
    let delete: Harm = |file| {
        for end in ["", "-wal", "-shm"] {
            let _ = fs::remove_file(format!("{}{end}", file.display()));
        }
    };
    let harms: [(&str, Harm); 4] = [
        ("deleted", delete),
        ("not SQLite", |file| fs::write(file, "no database").unwrap()),
        ("truncated", |file| {
            fs::OpenOptions::new()
                .write(true)
                .open(file)
                .unwrap()
                .set_len(9)
                .unwrap();
        }),
        ("deleted, its log left", |file| {
            fs::remove_file(file).unwrap()
        }),
    ];
    let (dir, sandbox) = (Dir::new(), Sandbox::of(&["dw"]));
    let mut daemon = Daemon::start(&dir, &sandbox.url, EACH_THREE_SECONDS);
    let state = dir.0.join("state");
    for (what, harm) in harms {
        let before = sandbox.snapshots().len();
        daemon.wait("one more", MINUTE, |_| sandbox.snapshots().len() > before);
        daemon.kill_9();
        let aside = damaged(&state).len();
        harm(&state.join("history.db"));
        daemon.restart(&dir);
        daemon.wait(what, MINUTE, |rows| all_recorded(&sandbox, rows));
        assert_eq!(damaged(&state).len() > aside, what != "deleted", "{what}");
        assert_eq!(
            daemon.log().contains("the history was lost"),
            what != "deleted",
            "{what}"
        );
    }
    let asked = sandbox.requests("CreateClusterSnapshot");
    let names: BTreeSet<String> = asked
        .iter()
        .map(|one| one["parameters"]["SnapshotIdentifier"].to_string())
        .collect();
    assert_eq!(names.len(), asked.len(), "asked for twice");
}

#[test]
fn a_full_disk_stops_no_snapshot_and_they_are_recorded_when_there_is_room() {
    let Some(stage) = Stage::set() else { return };
    stage.disk.fill();
    let count = stage.more_snapshots(3);
    eventually("it is told", MINUTE, || {
        stage.log().contains("the history cannot be written")
    });
    let recorded = in_state(&stage.disk.history(&stage.config), "available").count();
    assert!(recorded < count, "the disk was not full");
    stage.disk.free();
    stage.all_recorded_with(count);
    assert!(stage.log().contains("the history can be written again"));
}

#[test]
fn a_kill_9_and_a_start_on_a_full_disk_lose_no_snapshot() {
    let Some(mut stage) = Stage::set() else {
        return;
    };
    stage.disk.fill();
    stage.more_snapshots(2);
    stage.restart();
    let count = stage.more_snapshots(2);
    stage.restart();
    let count = count.max(stage.more_snapshots(1));
    stage.disk.free();
    stage.all_recorded_with(count);
}

#[test]
fn a_start_on_a_read_only_disk_takes_snapshots_and_records_them_later() {
    let Some(mut stage) = Stage::set() else {
        return;
    };
    for clean in [true, false] {
        if clean {
            stage.daemon.signal("-TERM");
            assert_eq!(stage.daemon.exit_code(Duration::from_secs(10)), Some(0));
        } else {
            let _ = stage.daemon.0.kill();
            let _ = stage.daemon.0.wait();
        }
        stage.disk.remount("ro");
        stage.restart();
        let count = stage.more_snapshots(2);
        eventually("it is told", MINUTE, || {
            stage.log().contains("the history cannot be written")
        });
        stage.disk.remount("rw");
        stage.all_recorded_with(count);
    }
}

#[test]
fn a_history_that_was_lost_on_a_full_disk_begins_in_memory() {
    let Some(mut stage) = Stage::set() else {
        return;
    };
    let _ = stage.daemon.0.kill();
    let _ = stage.daemon.0.wait();
    for name in ["history.db", "history.db-wal", "history.db-shm"] {
        let _ = fs::remove_file(stage.disk.path(name));
    }
    stage.disk.fill();
    stage.restart();
    let count = stage.more_snapshots(2);
    stage.disk.free();
    stage.all_recorded_with(count);
}
