//! Real processes that share a history: one works, and when that one is killed, stopped or cut off, the other one does.

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::server::{Database, Way, postgres};
use crate::support::{
    Dir, Process, REDKEEP, Sandbox, credentials, finish, free_port, http, often, redkeep,
};

/// One of several instances, with its own way to the database.
struct Host {
    process: Process,
    config: PathBuf,
    log: PathBuf,
    listen: SocketAddr,
    way: Way,
}

impl Host {
    fn start(
        dir: &Dir,
        name: &str,
        sandbox: &Sandbox,
        database: &Database,
        policies: &str,
    ) -> Self {
        let (port, way) = (free_port(), Way::to(database.port));
        fs::create_dir_all(dir.0.join(name)).unwrap();
        let config = dir.write(
            &format!("{name}/redkeep.toml"),
            &format!(
                "namespace = \"shared\"\nstate_dir = \"state\"\nlisten = \"127.0.0.1:{port}\"\nendpoint = \"{}\"\n\
                 [database]\nurl = \"{}\"\ninstance = \"{name}\"\n{policies}",
                sandbox.url,
                database.url_at(way.port)
            ),
        );
        let log = dir.0.join(name).join("log");
        Self {
            process: launch(&config, &log),
            config,
            log,
            listen: SocketAddr::from(([127, 0, 0, 1], port)),
            way,
        }
    }

    fn restart(&mut self) {
        self.process = launch(&self.config, &self.log);
    }

    fn kill_9(&mut self) {
        self.process.0.kill().unwrap();
        self.process.0.wait().unwrap();
    }

    fn run(&self, arguments: &[&str]) -> std::process::Output {
        let config = self.config.to_str().unwrap();
        redkeep(&[arguments, &["--config", config]].concat())
    }

    fn json(&self, arguments: &[&str]) -> Vec<Value> {
        let output = self.run(&[arguments, &["--output", "json"]].concat());
        serde_json::from_slice(&output.stdout).unwrap_or_default()
    }

    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }
}

fn launch(config: &std::path::Path, log: &std::path::Path) -> Process {
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
fn until(database: &Database, within: u64, sql: &str, wanted: &str) -> Duration {
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

const WORKS: &str = "SELECT name FROM redkeep.leases WHERE holder IS NOT NULL";

/// Every slot has one record, and every record of a snapshot one snapshot; waits until nothing is open.
fn assert_one_of_each(database: &Database, sandbox: &Sandbox) {
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
    let slots = snapshots.iter().map(|name| name.trim_end_matches("-r1"));
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

#[test]
fn another_instance_works_when_the_one_that_worked_is_killed_stopped_or_asked_to_yield() {
    let Some(postgres) = postgres() else { return };
    let (dir, database) = (Dir::new(), postgres.database());
    let sandbox = Sandbox::start(&[
        "--cluster",
        "dw",
        "--snapshot-seconds",
        "2",
        "--quota",
        "700",
    ]);
    let policies = often("*/2 * * * * *", "dw");
    let mut a = Host::start(&dir, "a", &sandbox, &database, &policies);
    until(&database, 30, WORKS, "a");
    let mut b = Host::start(&dir, "b", &sandbox, &database, &policies);
    until(&database, 30, "SELECT count(*) FROM redkeep.instances", "2");
    let ready = http(b.listen, "GET", "/readyz", "");
    assert_eq!((ready.status, ready.body.as_str()), (200, "ok\n"));

    a.kill_9();
    let took = until(&database, 45, WORKS, "b");
    assert!(
        took <= Duration::from_secs(35),
        "the takeover took {took:?}"
    );
    a.restart();

    let asked = Instant::now();
    b.process.signal("-TERM");
    let took = until(&database, 20, WORKS, "a");
    assert!(took <= Duration::from_secs(4), "the handover took {took:?}");
    assert_eq!(
        b.process.exit_code(Duration::from_secs(25)),
        Some(0),
        "{:?}",
        asked.elapsed()
    );
    b.restart();
    until(
        &database,
        30,
        "SELECT count(*) FROM redkeep.instances WHERE state = 'standby' AND seen_at > now() - interval '4 seconds'",
        "1",
    );

    let yielded = b.run(&["yield"]);
    let said = String::from_utf8_lossy(&yielded.stdout).into_owned();
    assert!(
        yielded.status.success() && said.contains("b works now"),
        "{said}{}",
        a.log()
    );
    let rows = b.json(&["instances"]);
    let working: Vec<&Value> = rows
        .iter()
        .filter(|row| row["state"] == "working")
        .collect();
    assert_eq!(working.len(), 1, "{rows:?}");
    assert_eq!(working[0]["name"], "b");

    a_process_that_stands_still_stops_working(&b, &database);
    assert_one_of_each(&database, &sandbox);
}

fn a_process_that_stands_still_stops_working(b: &Host, database: &Database) {
    // A process that stands still is taken for dead; when it goes on, it writes nothing and stands by.
    b.process.signal("-STOP");
    until(database, 45, WORKS, "a");
    b.process.signal("-CONT");
    sleep(Duration::from_secs(8));
    assert_eq!(database.sql(WORKS), "a");
    assert!(
        b.log().contains("another instance has taken over"),
        "{}",
        b.log()
    );
    let epochs = "SELECT count(*) FROM (SELECT epoch, lag(epoch) OVER (ORDER BY change) AS before FROM redkeep.runs) AS x
        WHERE epoch < before";
    assert_eq!(
        database.sql(epochs),
        "0",
        "rows in the order of their terms"
    );
}

#[test]
fn while_the_database_is_away_snapshots_go_on_and_are_recorded_later() {
    let Some(postgres) = postgres() else { return };
    let (dir, database) = (Dir::new(), postgres.database());
    let sandbox = Sandbox::start(&[
        "--cluster",
        "dw",
        "--snapshot-seconds",
        "2",
        "--quota",
        "700",
    ]);
    let host = Host::start(
        &dir,
        "a",
        &sandbox,
        &database,
        &often("*/2 * * * * *", "dw"),
    );
    until(&database, 60, "SELECT count(*) > 1 FROM redkeep.runs", "t");
    host.way.cut();
    let before = sandbox.snapshots().len();
    let began = Instant::now();
    while sandbox.snapshots().len() < before + 4 {
        assert!(began.elapsed() < Duration::from_secs(60), "{}", host.log());
        sleep(Duration::from_millis(200));
    }
    let answer = http(host.listen, "GET", "/readyz", "");
    assert_eq!(answer.status, 503);
    host.way.open();
    let snapshots = sandbox.snapshots().len();
    let all = format!("SELECT count(*) >= {snapshots} FROM redkeep.runs");
    until(&database, 60, &all, "t");
    assert_eq!(
        database.sql("SELECT max(epoch) FROM redkeep.leases"),
        "1",
        "one term"
    );
    assert_eq!(
        database.sql("SELECT count(*) FROM redkeep.meta WHERE key = 'rebuilt_at'"),
        "0"
    );
    assert_one_of_each(&database, &sandbox);
}

#[test]
fn a_command_on_a_host_that_stands_by_reaches_the_one_that_works() {
    let Some(postgres) = postgres() else { return };
    let (dir, database) = (Dir::new(), postgres.database());
    let sandbox = Sandbox::start(&["--cluster", "dw", "--snapshot-seconds", "2"]);
    let policies = "[[policy]]\nname = \"yearly\"\nschedule = \"0 0 1 1 *\"\nclusters = [\"dw\"]\nretention = \"7d\"\n";
    let _a = Host::start(&dir, "a", &sandbox, &database, policies);
    until(&database, 30, WORKS, "a");
    let b = Host::start(&dir, "b", &sandbox, &database, policies);
    until(&database, 30, "SELECT count(*) FROM redkeep.instances", "2");
    let taken = b.run(&["take", "--policy", "yearly", "--cluster", "dw"]);
    assert!(
        taken.status.success(),
        "{}",
        String::from_utf8_lossy(&taken.stderr)
    );
    assert_eq!(
        database.sql("SELECT state, epoch FROM redkeep.runs"),
        "available|1"
    );
    let paused = b.run(&["pause", "yearly"]);
    assert!(
        paused.status.success(),
        "{}",
        String::from_utf8_lossy(&paused.stderr)
    );
    // A third machine with nothing but the policy file sees the same.
    fs::create_dir_all(dir.0.join("c")).unwrap();
    let third = dir.0.join("c/redkeep.toml");
    fs::copy(&b.config, &third).unwrap();
    let shown = |config: &std::path::Path| {
        let mut command = Command::new(REDKEEP);
        let asked = credentials(&mut command).args(["history", "--output", "json", "--config"]);
        finish(asked.arg(config)).stdout
    };
    let (there, here) = (shown(&third), shown(&b.config));
    assert!(
        !here.is_empty() && there == here,
        "{}",
        String::from_utf8_lossy(&there)
    );
}

/// So many times one of the two is killed, stopped or cut off.
const BLOWS: u64 = 50;

/// Kills a host, stops it for a while, or does that to its way to the database.
fn strike(host: &mut Host, blow: u64) {
    match blow % 5 {
        0 | 1 => {
            host.kill_9();
            sleep(Duration::from_millis(blow * 37 % 900));
            host.restart();
        }
        2 => {
            host.process.signal("-STOP");
            sleep(Duration::from_millis(blow * 61 % 2_000));
            host.process.signal("-CONT");
        }
        3 => {
            host.way.cut();
            sleep(Duration::from_millis(blow * 83 % 2_500));
            host.way.open();
        }
        _ => {
            host.way.freeze();
            sleep(Duration::from_millis(blow * 97 % 2_500));
            host.way.open();
        }
    }
}

#[test]
fn fifty_blows_leave_one_record_and_one_snapshot_for_each_slot() {
    let Some(postgres) = postgres() else { return };
    let (dir, database) = (Dir::new(), postgres.database());
    let sandbox = Sandbox::start(&[
        "--cluster",
        "dw",
        "--cluster",
        "fin",
        "--snapshot-seconds",
        "2",
        "--quota",
        "700",
    ]);
    let policies = often("*/2 * * * * *", "*");
    let mut hosts = ["a", "b"].map(|name| Host::start(&dir, name, &sandbox, &database, &policies));
    until(
        &database,
        30,
        "SELECT count(*) FROM redkeep.leases WHERE holder IS NOT NULL",
        "1",
    );
    for blow in 0..BLOWS {
        strike(&mut hosts[usize::from(blow % 3 == 0)], blow);
        let fault = [
            r#"{"kind": "lost_reply"}"#,
            r#"{"kind": "error", "code": "InternalFailure", "status": 500}"#,
            r#"{"kind": "latency", "milliseconds": 700}"#,
        ][usize::try_from(blow % 3).unwrap()];
        let rule =
            format!(r#"[{{"operation": "CreateClusterSnapshot", "times": 2, "fault": {fault}}}]"#);
        sandbox.control("PUT", "/_sandbox/faults", &rule);
        sleep(Duration::from_millis(300 + blow * 53 % 900));
    }
    // Should the last blow have hit the one that worked, another one takes over.
    let alive =
        "SELECT count(*) FROM redkeep.instances AS i JOIN redkeep.leases AS l ON l.holder = i.id
        WHERE i.seen_at > now() - interval '6 seconds'";
    until(&database, 60, alive, "1");
    assert_one_of_each(&database, &sandbox);
    assert_eq!(
        database.sql("SELECT count(*) FROM redkeep.meta WHERE key = 'rebuilt_at'"),
        "0"
    );
    let gaps = database.sql(
        "SELECT count(*) FROM (SELECT scheduled_at::timestamptz - lag(scheduled_at::timestamptz)
             OVER (PARTITION BY cluster ORDER BY scheduled_at) AS gap FROM redkeep.runs) AS x WHERE gap > interval '5 seconds'",
    );
    let ranges = database.sql("SELECT count(*) FROM redkeep.missed_ranges");
    assert!(
        gaps == "0" || ranges != "0",
        "{gaps} slots without a record"
    );
}
