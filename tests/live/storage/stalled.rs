//! The real binary on a disk that does not answer: it is asked to stop, and does.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use crate::storage::EACH_THREE_SECONDS;
use crate::support::{Daemon, Dir, MINUTE, Sandbox, eventually, finish, in_state};

/// Longer than a daemon may take to end that was asked to stop, and shorter than systemd waits for it.
const STOPPED: Duration = Duration::from_secs(39);

/// A disk whose syncs wait for as long as the mark is there.
struct StalledDisk {
    library: PathBuf,
    mark: PathBuf,
}

impl StalledDisk {
    fn new(dir: &Dir) -> Self {
        let library = dir.0.join("stalled_disk.so");
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/stalled_disk.c");
        let mut compiler = Command::new("cc");
        let made = finish(
            compiler
                .args(["-shared", "-fPIC", "-o"])
                .args([library.as_path(), source.as_ref()]),
        );
        assert!(made.status.success(), "{made:?}");
        let mark = dir.0.join("stalled");
        Self { library, mark }
    }

    fn stall(&self) {
        fs::write(&self.mark, "").unwrap();
    }

    fn daemon(&self, dir: &Dir, sandbox: &Sandbox) -> Daemon {
        let policies = format!("endpoint = \"{}\"\n{EACH_THREE_SECONDS}", sandbox.url);
        let environment = [
            ("LD_PRELOAD", self.library.to_str().unwrap()),
            ("STALLED_DISK_MARK", self.mark.to_str().unwrap()),
        ];
        Daemon::start_among(dir, &policies, &environment)
    }
}

#[test]
fn a_daemon_that_waits_for_its_disk_ends_when_it_is_asked_to_stop() {
    let (dir, sandbox) = (Dir::new(), Sandbox::of(&["dw"]));
    let disk = StalledDisk::new(&dir);
    let mut daemon = disk.daemon(&dir, &sandbox);
    let is_good = |rows: &[serde_json::Value]| in_state(rows, "available").next().is_some();
    daemon.wait("the first", MINUTE, is_good);
    disk.stall();
    let before = daemon.log().len();
    // The next commit waits for the disk: nothing is told from then on.
    std::thread::sleep(Duration::from_secs(4));
    daemon.process.signal("-TERM");
    assert_eq!(daemon.process.exit_code(STOPPED), Some(1));
    let log = daemon.log();
    assert!(
        log[before..].contains("not stopped within 35s of the signal"),
        "{log}"
    );
}

#[test]
fn a_daemon_that_waits_for_its_disk_at_the_start_ends_when_it_is_asked_to_stop() {
    let (dir, sandbox) = (Dir::new(), Sandbox::of(&["dw"]));
    let disk = StalledDisk::new(&dir);
    disk.stall();
    let mut daemon = disk.daemon(&dir, &sandbox);
    let lock = dir.0.join("state/lock");
    eventually("it has begun", MINUTE, || lock.exists());
    std::thread::sleep(Duration::from_secs(1));
    daemon.process.signal("-TERM");
    assert_eq!(daemon.process.exit_code(STOPPED), Some(1));
    assert!(!daemon.log().contains(" started"), "{}", daemon.log());
}
