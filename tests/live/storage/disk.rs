//! A small disk of its own for a daemon.

use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::storage::{EACH_THREE_SECONDS, all_recorded};
use crate::support::{
    Dir, MINUTE, Process, REDKEEP, Sandbox, credentials, eventually, finish, first_line, free_port,
    http,
};

/// A small disk in a mount namespace of its own, which lives as long as this does.
pub struct Disk {
    keeper: Process,
    place: PathBuf,
}

impl Disk {
    /// `None` where the machine does not allow it, which is said.
    pub fn mount(place: &Path) -> Option<Self> {
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
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        let pid = self.keeper.0.id().to_string();
        command.args(["-t", &pid, "-U", "-m", "--preserve-credentials", program]);
        command
    }

    pub fn remount(&self, how: &str) {
        let options = format!("remount,{how}");
        let mut mount = self.command("mount");
        let done = finish(mount.args(["-o", &options]).arg(&self.place));
        assert!(done.status.success(), "{how}: {done:?}");
    }

    /// The path by which this process sees it.
    pub fn path(&self, name: &str) -> PathBuf {
        let root = format!("/proc/{}/root", self.keeper.0.id());
        Path::new(&root)
            .join(self.place.strip_prefix("/").unwrap())
            .join(name)
    }

    pub fn fill(&self) {
        self.fill_up_to(0);
    }

    /// Leaves so much room, in units of 1 KiB.
    pub fn fill_up_to(&self, room: u64) {
        let mut file = fs::File::create(self.path("filler")).unwrap();
        while file.write_all(&[0; 4096]).is_ok() {}
        let length = file.metadata().unwrap().len();
        file.set_len(length - room * 1024).unwrap();
    }

    pub fn free(&self) {
        fs::remove_file(self.path("filler")).unwrap();
    }

    /// The daemon on this disk.
    pub fn daemon(&self, dir: &Dir, config: &Path) -> Process {
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

    pub fn history(&self, config: &Path) -> Vec<Value> {
        let mut command = self.command(REDKEEP);
        let arguments = ["history", "--output", "json", "--config"];
        let output = finish(credentials(&mut command).args(arguments).arg(config));
        match output.status.code() {
            Some(0) => serde_json::from_slice(&output.stdout).unwrap(),
            _ => Vec::new(),
        }
    }
}

/// A daemon on a disk of its own.
pub struct Stage {
    pub dir: Dir,
    pub sandbox: Sandbox,
    pub config: PathBuf,
    pub listen: SocketAddr,
    pub disk: Disk,
    pub daemon: Process,
}

impl Stage {
    /// A daemon that has taken and recorded its first snapshot.
    pub fn set() -> Option<Self> {
        let stage = Self::set_on(|_| ())?;
        stage.all_recorded_with(1);
        Some(stage)
    }

    /// A daemon that starts for the first time on what `prepare` makes of the disk.
    pub fn set_on(prepare: impl FnOnce(&Disk)) -> Option<Self> {
        let (dir, sandbox) = (Dir::new(), Sandbox::of(&["dw"]));
        let disk = Disk::mount(&dir.0.join("state"))?;
        prepare(&disk);
        let port = free_port();
        let config = dir.daemons_file(port, &sandbox.url, EACH_THREE_SECONDS);
        let daemon = disk.daemon(&dir, &config);
        Some(Self {
            dir,
            sandbox,
            config,
            listen: SocketAddr::from(([127, 0, 0, 1], port)),
            disk,
            daemon,
        })
    }

    /// Ends the daemon as the service manager does.
    pub fn stop(&mut self) {
        self.daemon.signal("-TERM");
        let code = self.daemon.exit_code(Duration::from_secs(30));
        assert_eq!(code, Some(0), "{}", self.log());
    }

    pub fn assert_runs(&mut self, what: &str) {
        let ended = self.daemon.0.try_wait().unwrap();
        assert!(ended.is_none(), "{what}: {ended:?}\n{}", self.log());
    }

    pub fn metrics(&self) -> String {
        http(self.listen, "GET", "/metrics", "").body
    }

    pub fn is_ready(&self) -> bool {
        http(self.listen, "GET", "/readyz", "").status == 200
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.0.join("log")).unwrap()
    }

    /// Waits until AWS has so many more snapshots, and returns how many.
    pub fn more_snapshots(&self, more: usize) -> usize {
        let wanted = self.sandbox.snapshots().len() + more;
        eventually("more snapshots", MINUTE, || {
            self.sandbox.snapshots().len() >= wanted
        });
        wanted
    }

    /// Waits until all snapshots, at least so many, have their record.
    pub fn all_recorded_with(&self, count: usize) {
        eventually("all recorded", MINUTE, || {
            let there = self.sandbox.snapshots().len();
            there >= count && all_recorded(&self.sandbox, &self.disk.history(&self.config))
        });
    }

    pub fn restart(&mut self) {
        let _ = self.daemon.0.kill();
        let _ = self.daemon.0.wait();
        self.daemon = self.disk.daemon(&self.dir, &self.config);
    }
}
