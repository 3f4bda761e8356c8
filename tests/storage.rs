//! The real binary on storage that fails it: a history that is lost, a disk that is full, one that is read-only.
#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test that cannot go on fails, and the tests of the real binary live in real time"
)]

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use support::{
    Daemon, Dir, Process, REDKEEP, Sandbox, credentials, eventually, finish, first_line, free_port,
    in_state,
};

const EACH_THREE_SECONDS: &str = r#"
[[policy]]
name = "often"
schedule = "*/3 * * * * *"
clusters = ["dw"]
retention = "7d"
start_window = "4m"
"#;

fn soon() -> Duration {
    Duration::from_secs(60)
}

fn sandbox() -> Sandbox {
    Sandbox::start(&[
        "--cluster",
        "dw",
        "--snapshot-seconds",
        "1",
        "--quota",
        "1000",
    ])
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
    let (dir, sandbox) = (Dir::new(), sandbox());
    let mut daemon = Daemon::start(&dir, &sandbox.url, EACH_THREE_SECONDS);
    let state = dir.0.join("state");
    for (what, harm) in harms {
        let before = sandbox.snapshots().len();
        daemon.wait("one more", soon(), |_| sandbox.snapshots().len() > before);
        daemon.kill_9();
        let aside = damaged(&state).len();
        harm(&state.join("history.db"));
        daemon.restart(&dir);
        daemon.wait(what, soon(), |rows| all_recorded(&sandbox, rows));
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

/// A small disk in a mount namespace of its own, which lives as long as this does.
struct Disk {
    keeper: Process,
    place: PathBuf,
}

impl Disk {
    /// `None` where the machine does not allow it, which is said.
    fn mount(place: &Path) -> Option<Self> {
        fs::create_dir_all(place).unwrap();
        let script = format!(
            "mount -t tmpfs -o size=8m tmpfs {} && echo mounted && exec sleep 600",
            place.display()
        );
        let mut child = Command::new("unshare")
            .args(["-Urm", "sh", "-c", &script])
            .stdout(Stdio::piped())
            .spawn()
            .ok()?;
        let said = first_line(&mut child);
        let keeper = Process(child);
        if said == "mounted" {
            let place = place.to_owned();
            return Some(Self { keeper, place });
        }
        let required = std::env::var("REDKEEP_REQUIRE_PEERS").is_ok_and(|value| value == "1");
        assert!(!required, "unshare and mount are wanted here");
        eprintln!("skipped, because this machine lets nobody mount a disk of its own");
        None
    }

    /// A command that sees the disk.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        let pid = self.keeper.0.id().to_string();
        command.args(["-t", &pid, "-U", "-m", "--preserve-credentials", program]);
        command
    }

    fn remount(&self, how: &str) {
        let options = format!("remount,{how}");
        let mut mount = self.command("mount");
        let done = finish(mount.args(["-o", &options]).arg(&self.place));
        assert!(done.status.success(), "{how}: {done:?}");
    }

    /// The path by which this process sees it.
    fn path(&self, name: &str) -> PathBuf {
        let root = format!("/proc/{}/root", self.keeper.0.id());
        Path::new(&root)
            .join(self.place.strip_prefix("/").unwrap())
            .join(name)
    }

    fn fill(&self) {
        let mut file = fs::File::create(self.path("filler")).unwrap();
        while file.write_all(&[0; 4096]).is_ok() {}
    }

    fn free(&self) {
        fs::remove_file(self.path("filler")).unwrap();
    }

    /// The daemon on this disk.
    fn daemon(&self, dir: &Dir, config: &Path) -> Process {
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(dir.0.join("log"))
            .unwrap();
        let mut command = self.command(REDKEEP);
        let child = credentials(&mut command)
            .args(["run", "--config"])
            .arg(config)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        Process(child)
    }

    fn history(&self, config: &Path) -> Vec<Value> {
        let mut command = self.command(REDKEEP);
        let arguments = ["history", "--output", "json", "--config"];
        let output = finish(credentials(&mut command).args(arguments).arg(config));
        match output.status.code() {
            Some(0) => serde_json::from_slice(&output.stdout).unwrap(),
            _ => Vec::new(),
        }
    }
}

/// A daemon on a disk of its own that has taken its first snapshot.
struct Stage {
    dir: Dir,
    sandbox: Sandbox,
    config: PathBuf,
    disk: Disk,
    daemon: Process,
}

impl Stage {
    fn set() -> Option<Self> {
        let (dir, sandbox) = (Dir::new(), sandbox());
        let disk = Disk::mount(&dir.0.join("state"))?;
        let port = free_port();
        let text = format!(
            "state_dir = \"state\"\nlisten = \"127.0.0.1:{port}\"\nendpoint = \"{}\"\n{EACH_THREE_SECONDS}",
            sandbox.url
        );
        let config = dir.write("redkeep.toml", &text);
        let daemon = disk.daemon(&dir, &config);
        let stage = Self {
            dir,
            sandbox,
            config,
            disk,
            daemon,
        };
        stage.all_recorded_with(1);
        Some(stage)
    }

    fn log(&self) -> String {
        fs::read_to_string(self.dir.0.join("log")).unwrap()
    }

    /// Waits until AWS has so many more snapshots, and returns how many.
    fn more_snapshots(&self, more: usize) -> usize {
        let wanted = self.sandbox.snapshots().len() + more;
        eventually("more snapshots", soon(), || {
            self.sandbox.snapshots().len() >= wanted
        });
        wanted
    }

    /// Waits until all snapshots, at least so many, have their record.
    fn all_recorded_with(&self, count: usize) {
        eventually("all recorded", soon(), || {
            let there = self.sandbox.snapshots().len();
            there >= count && all_recorded(&self.sandbox, &self.disk.history(&self.config))
        });
    }

    fn restart(&mut self) {
        let _ = self.daemon.0.kill();
        let _ = self.daemon.0.wait();
        self.daemon = self.disk.daemon(&self.dir, &self.config);
    }
}

#[test]
fn a_full_disk_stops_no_snapshot_and_they_are_recorded_when_there_is_room() {
    let Some(stage) = Stage::set() else { return };
    stage.disk.fill();
    let count = stage.more_snapshots(3);
    eventually("it is told", soon(), || {
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
        eventually("it is told", soon(), || {
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
