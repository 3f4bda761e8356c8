//! What the commands do on storage that fails them: those that read answer, or say who is in the way, and a pass that
//! recorded nothing did not end well.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use crate::storage::disk::{Disk, Stage};
use crate::storage::{EACH_THREE_SECONDS, all_recorded, held_by_another};
use crate::support::{
    Dir, MINUTE, REDKEEP, Sandbox, credentials, eventually, finish, free_port, in_state,
};

/// The commands that read the history, each with arguments of its own; `ID` stands for a snapshot.
const READING: [&[&str]; 8] = [
    &["history", "--limit", "2"],
    &["show", "ID"],
    &["status"],
    &["report"],
    &["explain", "dw"],
    &["forecast", "--days", "1"],
    &["prune"],
    &["coverage"],
];

/// What a command says, and that it took no longer than a person waits.
fn said(command: &mut Command, arguments: &[&str], config: &Path) -> Output {
    let began = Instant::now();
    let output = finish(
        credentials(command)
            .args(arguments)
            .arg("--config")
            .arg(config),
    );
    let took = began.elapsed();
    assert!(took < Duration::from_secs(15), "{arguments:?}: {took:?}");
    output
}

fn assert_answers(stage: &Stage, id: &str, what: &str) {
    for arguments in READING {
        let arguments: Vec<&str> = { arguments.iter() }
            .map(|one| if *one == "ID" { id } else { one })
            .collect();
        let output = said(&mut stage.disk.command(REDKEEP), &arguments, &stage.config);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(
            !stderr.contains("cannot use"),
            "{what}: {arguments:?}: {stderr}"
        );
        // A report has a finding where slots were lost between two daemons.
        let is_fine = matches!(output.status.code(), Some(0)) || arguments == ["report"];
        assert!(is_fine, "{what}: {arguments:?}: {stderr}");
        let said = [&output.stdout[..], &output.stderr].concat();
        assert!(!said.is_empty(), "{what}: {arguments:?}");
    }
    let listed = stage.disk.history(&stage.config);
    assert!(
        listed.iter().any(|row| row["snapshot_id"] == id),
        "{what}: {listed:#?}"
    );
}

fn newest(stage: &Stage) -> String {
    let rows = stage.disk.history(&stage.config);
    let newest = in_state(&rows, "available").last();
    newest.unwrap()["snapshot_id"].as_str().unwrap().to_owned()
}

fn kill(stage: &mut Stage) {
    let _ = stage.daemon.0.kill();
    let _ = stage.daemon.0.wait();
}

/// What a daemon can leave behind: a file alone, one with a log and a file of locks, one with a log alone.
fn with_each_end(spoil: fn(&Disk), what: &str) {
    for end in ["stopped", "killed", "killed, and its locks gone"] {
        let Some(mut stage) = Stage::set() else {
            return;
        };
        let id = newest(&stage);
        match end {
            "stopped" => stage.stop(),
            _ => kill(&mut stage),
        }
        if end.ends_with("gone") {
            fs::remove_file(stage.disk.path("history.db-shm")).unwrap();
        }
        let has_log = stage.disk.path("history.db-wal").exists();
        assert_eq!(has_log, end != "stopped", "{end}");
        spoil(&stage.disk);
        assert_answers(&stage, &id, &format!("{what}, {end}"));
    }
}

#[test]
fn the_commands_that_read_answer_on_a_disk_without_a_free_byte() {
    with_each_end(|disk| disk.fill(), "full");
}

#[test]
fn the_commands_that_read_answer_on_a_read_only_disk() {
    with_each_end(|disk| disk.remount("ro"), "read-only");
}

#[test]
fn the_commands_that_read_answer_beside_a_daemon_whose_disk_is_full() {
    let Some(stage) = Stage::set() else { return };
    let id = newest(&stage);
    stage.disk.fill();
    stage.more_snapshots(2);
    assert_answers(&stage, &id, "beside a daemon");
}

#[test]
fn the_commands_that_read_say_within_seconds_that_another_program_holds_the_history() {
    let dir = Dir::new();
    let (_sandbox, daemon, shell) = held_by_another(&dir);
    for arguments in READING {
        let output = said(&mut Command::new(REDKEEP), arguments, &daemon.config);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {stderr}");
        assert_eq!(stderr.lines().count(), 1, "{arguments:?}: {stderr}");
        for wanted in [
            "history.db",
            "locked by another program",
            "end that program",
        ] {
            assert!(stderr.contains(wanted), "{arguments:?}: {stderr}");
        }
    }
    drop(shell);
}

/// One pass on a disk of its own, of which the slot has come.
fn pass(disk: &Disk, config: &Path) -> Output {
    let mut command = disk.command(REDKEEP);
    let arguments = ["run", "--once", "--config"];
    finish(credentials(&mut command).args(arguments).arg(config))
}

#[test]
fn a_pass_that_could_not_write_the_history_fails_and_the_next_one_records_its_snapshot() {
    let (dir, sandbox) = (Dir::new(), Sandbox::of(&["dw"]));
    let Some(disk) = Disk::mount(&dir.0.join("state")) else {
        return;
    };
    let config = dir.daemons_file(free_port(), &sandbox.url, EACH_THREE_SECONDS);
    // The first one makes the policy active.
    let first = pass(&disk, &config);
    assert_eq!(first.status.code(), Some(0), "{first:?}");
    let came = Instant::now() + Duration::from_secs(4);
    eventually("a slot has come", MINUTE, || Instant::now() > came);
    disk.fill();
    let before = sandbox.snapshots().len();
    let unwritten = pass(&disk, &config);
    assert_eq!(sandbox.snapshots().len(), before + 1, "{unwritten:?}");
    assert_eq!(unwritten.status.code(), Some(1), "{unwritten:?}");
    let stderr = String::from_utf8_lossy(&unwritten.stderr);
    let last = stderr.lines().last().unwrap_or_default();
    assert!(
        last.contains("the history could not be written") && last.contains("not recorded"),
        "{stderr}"
    );
    disk.free();
    let written = pass(&disk, &config);
    let stderr = String::from_utf8_lossy(&written.stderr);
    assert!(!stderr.contains("could not be written"), "{stderr}");
    assert!(all_recorded(&sandbox, &disk.history(&config)));
}
