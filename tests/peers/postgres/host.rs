//! What the tests of several instances begin with: a database, a sandbox, and processes with ways of their own to the database.

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::server::{Database, Way, postgres};
use crate::support::{
    Answer, Dir, Process, REDKEEP, Sandbox, credentials, free_port, http, redkeep,
};

/// A database and a sandbox that instances share.
pub struct Shared {
    pub dir: Dir,
    pub database: Database,
    pub sandbox: Sandbox,
}

impl Shared {
    /// With these clusters, on the server of all tests; `None` where there is none.
    pub fn of(clusters: &[&str]) -> Option<Self> {
        Some(Self::on(postgres()?.database(), clusters))
    }

    /// The same on this database.
    pub fn on(database: Database, clusters: &[&str]) -> Self {
        Self::taking("2", database, clusters)
    }

    /// The same with so many seconds for each snapshot.
    pub fn taking(seconds: &str, database: Database, clusters: &[&str]) -> Self {
        let (dir, sandbox) = (Dir::new(), Sandbox::taking(seconds, clusters, &[]));
        Self {
            dir,
            database,
            sandbox,
        }
    }

    /// A policy file for commands on a machine of this name.
    pub fn config(&self, name: &str, policies: &str) -> PathBuf {
        self.config_at(name, &self.database.url(), "", policies)
    }

    fn config_at(&self, name: &str, url: &str, keys: &str, policies: &str) -> PathBuf {
        fs::create_dir_all(self.dir.0.join(name)).unwrap();
        let sandbox = &self.sandbox.url;
        self.dir.write(
            &format!("{name}/redkeep.toml"),
            &format!(
                "namespace = \"shared\"\nstate_dir = \"state\"\n{keys}endpoint = \"{sandbox}\"\n\
                 [database]\nurl = \"{url}\"\ninstance = \"{name}\"\n{policies}"
            ),
        )
    }

    pub fn host(&self, name: &str, policies: &str) -> Host {
        Host::start(self, name, policies)
    }
}

/// One of several instances, with its own way to the database.
pub struct Host {
    pub process: Process,
    pub config: PathBuf,
    log: PathBuf,
    pub listen: SocketAddr,
    pub ways: Vec<Way>,
}

impl Host {
    fn start(shared: &Shared, name: &str, policies: &str) -> Self {
        let ways: Vec<Way> = shared.database.ports.iter().copied().map(Way::to).collect();
        let ports: Vec<u16> = ways.iter().map(|way| way.port).collect();
        let port = free_port();
        let listen = format!("listen = \"127.0.0.1:{port}\"\n");
        let config = shared.config_at(name, &shared.database.url_at(&ports), &listen, policies);
        let log = config.with_file_name("log");
        Self {
            process: launch(&config, &log),
            config,
            log,
            listen: SocketAddr::from(([127, 0, 0, 1], port)),
            ways,
        }
    }

    pub fn restart(&mut self) {
        self.process = launch(&self.config, &self.log);
    }

    pub fn kill_9(&mut self) {
        self.process.0.kill().unwrap();
        self.process.0.wait().unwrap();
    }

    pub fn run(&self, arguments: &[&str]) -> std::process::Output {
        let config = self.config.to_str().unwrap();
        redkeep(&[arguments, &["--config", config]].concat())
    }

    pub fn json(&self, arguments: &[&str]) -> Vec<Value> {
        let output = self.run(&[arguments, &["--output", "json"]].concat());
        serde_json::from_slice(&output.stdout).unwrap_or_default()
    }

    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// Cuts its ways to the servers.
    pub fn cut(&self) {
        self.ways.iter().for_each(Way::cut);
    }

    /// Lets nothing through them, and says nothing of it.
    pub fn freeze(&self) {
        self.ways.iter().for_each(Way::freeze);
    }

    /// Opens them again.
    pub fn open(&self) {
        self.ways.iter().for_each(Way::open);
    }

    /// What it answers to whom it concerns.
    pub fn http(&self, path: &str) -> Answer {
        http(self.listen, "GET", path, "")
    }

    /// The value of a series that it exports, if it does.
    pub fn metric(&self, series: &str) -> Option<f64> {
        let text = self.http("/metrics").body;
        let mut lines = text.lines();
        let found = lines.find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        found.map(|value| value.parse().unwrap())
    }
}

fn launch(config: &Path, log: &Path) -> Process {
    let file = fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(log)
        .unwrap();
    let mut command = Command::new(REDKEEP);
    let child = credentials(&mut command)
        .args(["run", "--config"])
        .arg(config)
        .stdout(Stdio::null())
        .stderr(file)
        .spawn();
    Process(child.unwrap())
}

/// Waits until the database has this answer; returns how long that took.
pub fn until(database: &Database, within: u64, sql: &str, wanted: &str) -> Duration {
    let began = Instant::now();
    loop {
        let got = database.said(sql);
        if got == wanted {
            return began.elapsed();
        }
        let is_late = began.elapsed() > Duration::from_secs(within);
        assert!(
            !is_late,
            "not within {within} s: {sql}: got {got:?}, wanted {wanted:?}"
        );
        sleep(Duration::from_millis(100));
    }
}

/// The name of the slot's first snapshot.
fn first_name(name: &str) -> &str {
    name.trim_end_matches("-r1")
}

pub const WORKS: &str = "SELECT name FROM redkeep.leases WHERE holder IS NOT NULL";

/// Every slot has one record, every record of a snapshot one snapshot, and every snapshot its record; waits until nothing is
/// open.
pub fn assert_one_of_each(database: &Database, sandbox: &Sandbox) {
    let settled = database.sql(
        r#"SELECT to_char(now() AT TIME ZONE 'UTC' - interval '20 seconds', 'YYYYMMDD"t"HH24MISS"z"')"#,
    );
    until(
        database,
        120,
        "SELECT count(*) FROM redkeep.runs WHERE progress IS NOT NULL AND scheduled_at < to_char(now() AT TIME ZONE 'UTC' - interval '20 seconds', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')",
        "0",
    );
    let taken = database.sql("SELECT snapshot_id FROM redkeep.runs WHERE state = 'available'");
    let taken: BTreeSet<String> = taken.lines().map(str::to_owned).collect();
    let snapshots: BTreeSet<String> = sandbox.snapshots().into_iter().collect();
    let lost: Vec<&String> = taken.difference(&snapshots).collect();
    assert!(lost.is_empty(), "recorded and not there: {lost:?}");
    let recorded = database.sql("SELECT snapshot_id FROM redkeep.runs");
    let recorded: BTreeSet<&str> = recorded.lines().map(first_name).collect();
    let is_settled = |name: &&str| name.rsplit('-').nth(1).is_some_and(|at| *at < *settled);
    let names = snapshots.iter().map(|name| first_name(name));
    let unrecorded: Vec<&str> = { names.filter(is_settled) }
        .filter(|name| !recorded.contains(name))
        .collect();
    assert!(
        unrecorded.is_empty(),
        "there and not recorded: {unrecorded:?}"
    );
    let slots = snapshots.iter().map(|name| first_name(name));
    assert_eq!(
        slots.collect::<BTreeSet<_>>().len(),
        snapshots.len(),
        "a slot was doubled"
    );
    let counted = database.sql(
        "SELECT (SELECT coalesce(sum(count), 0) FROM redkeep.totals)
             = (SELECT count(*) FROM redkeep.runs WHERE progress IS NULL)
             + (SELECT coalesce(sum(count), 0) FROM redkeep.missed_ranges)",
    );
    assert_eq!(counted, "t", "the totals are those of the rows");
}
