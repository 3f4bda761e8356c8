//! Scenarios of docs/scenarios.md that only the real binary can show: a year of downtime, answers that are none,
//! a wrong clock, a connection without a byte, a migration that is cut off, secrets, and files that are refused.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test that cannot go on fails, and the tests of the real binary live in real time"
)]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::support::proxy::Proxy;
use crate::support::{
    Daemon, Dir, Process, REDKEEP, Sandbox, credentials, eventually, free_port, http, in_state,
    often, redkeep, soon_and_then_each_minute,
};
use chrono::{DateTime, TimeDelta, Utc};
use rusqlite::Connection;

fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(60 * minutes)
}

fn stop(daemon: &mut Daemon) {
    daemon.process.signal("-TERM");
    assert_eq!(daemon.process.exit_code(Duration::from_secs(25)), Some(0));
}

/// Moves what the history knows of its pairs a year back, past the triggers that guard it.
fn a_year_ago(database: &Path) {
    let history = Connection::open(database).unwrap();
    let mut triggers = history
        .prepare(
            "SELECT name, sql FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = 'pairs'",
        )
        .unwrap();
    let triggers: BTreeMap<String, String> = triggers
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    for name in triggers.keys() {
        history
            .execute_batch(&format!("DROP TRIGGER \"{name}\""))
            .unwrap();
    }
    let back =
        |column: &str| format!("{column} = (substr({column}, 1, 4) - 1) || substr({column}, 5)");
    let update = format!(
        "UPDATE pairs SET {}, {}",
        back("active_from"),
        back("watermark")
    );
    assert_eq!(history.execute(&update, []).unwrap(), 1);
    // Nothing is due before the history began.
    let began = format!("UPDATE meta SET {} WHERE key = 'created_at'", back("value"));
    assert_eq!(history.execute(&began, []).unwrap(), 1);
    for sql in triggers.values() {
        history.execute_batch(sql).unwrap();
    }
}

#[test]
fn a_minutely_policy_starts_within_a_second_after_a_year_of_downtime() {
    let (dir, sandbox) = (Dir::new(), Sandbox::of(&["dw"]));
    let mut daemon = Daemon::start(
        &dir,
        &sandbox.url,
        &often(&soon_and_then_each_minute(), "dw"),
    );
    daemon.wait("active, and a first slot", minutes(2), |rows| {
        in_state(rows, "available").next().is_some()
    });
    stop(&mut daemon);
    a_year_ago(&dir.0.join("state/history.db"));
    let started = Instant::now();
    daemon.restart(&dir);
    eventually("ready", minutes(1), || {
        let listens = std::net::TcpStream::connect(daemon.listen).is_ok();
        listens && http(daemon.listen, "GET", "/readyz", "").status == 200
    });
    let took = started.elapsed();
    let rows = daemon.wait("the year is in the history", minutes(1), |rows| {
        rows.iter().any(|row| row["slots"].as_u64() > Some(500_000))
    });
    // An unoptimised build computes the year's slots about ten times as slowly, beside other tests.
    let limit = if cfg!(debug_assertions) { 20 } else { 1 };
    assert!(took < Duration::from_secs(limit), "it took {took:?}");
    let slots: u64 = rows.iter().map(|row| row["slots"].as_u64().unwrap()).sum();
    assert!(
        (525_000..528_000).contains(&slots),
        "{slots} slots in a year"
    );
}

#[test]
fn whatever_comes_in_place_of_an_answer_each_slot_has_one_snapshot() {
    // Cluster, what strikes its first create call, and the calls that it takes.
    let faults = [
        ("html", r#"{"kind":"html","status":502}"#, 2),
        ("reset", r#"{"kind":"reset"}"#, 2),
        ("empty", r#"{"kind":"empty"}"#, 1),
        ("truncated", r#"{"kind":"truncate"}"#, 1),
        ("lost", r#"{"kind":"lost_reply"}"#, 1),
    ];
    let (dir, sandbox) = (
        Dir::new(),
        Sandbox::of(&faults.map(|(cluster, _, _)| cluster)),
    );
    for (cluster, fault, _) in faults {
        let rule = format!(
            r#"{{"operation":"CreateClusterSnapshot","cluster":"{cluster}","times":1,"fault":{fault}}}"#
        );
        sandbox.control("POST", "/_sandbox/faults", &rule);
    }
    let daemon = Daemon::start(
        &dir,
        &sandbox.url,
        &often(&soon_and_then_each_minute(), "*"),
    );
    let rows = daemon.wait("a snapshot of each", minutes(3), |rows| {
        faults.iter().all(|(cluster, _, _)| {
            rows.iter()
                .any(|row| row["cluster"] == *cluster && row["state"] == "available")
        })
    });
    for (cluster, _, attempts) in faults {
        let first = rows.iter().find(|row| row["cluster"] == cluster).unwrap();
        assert_eq!(first["state"], "available", "{first:#}");
        assert_eq!(first["attempts"], attempts, "{first:#}");
    }
}

/// A daemon whose clock is so many seconds ahead of AWS's, since its first snapshot, and the alarm of that.
fn with_a_clock_ahead(dir: &Dir, sandbox: &Sandbox, seconds: i32) -> Daemon {
    let daemon = Daemon::start(dir, &sandbox.url, &often("*/5 * * * * *", "dw"));
    daemon.wait("a first snapshot", minutes(1), |rows| {
        in_state(rows, "available").next().is_some()
    });
    set_clock(sandbox, -seconds);
    eventually("the alarm", minutes(2), || {
        daemon
            .log()
            .contains("clock and AWS's clock are more than 5 minutes apart")
    });
    let metrics = daemon.metrics();
    let skew = metrics.lines().find_map(|line| {
        line.strip_prefix("redkeep_clock_skew_seconds{")?
            .split(' ')
            .nth(1)
    });
    let skew: f64 = skew.unwrap().parse().unwrap();
    assert!((skew - f64::from(seconds)).abs() < 30.0, "{skew}");
    daemon
}

fn set_clock(sandbox: &Sandbox, offset: i32) {
    let body = format!(r#"{{"offset_seconds":{offset}}}"#);
    sandbox.control("PUT", "/_sandbox/clock", &body);
}

#[test]
fn a_clock_twenty_minutes_ahead_of_awss_is_an_alarm_and_starts_nothing_until_it_is_right() {
    let (dir, sandbox) = (Dir::new(), Sandbox::of(&["dw"]));
    let daemon = with_a_clock_ahead(&dir, &sandbox, 1_200);
    let before = sandbox.snapshots();
    std::thread::sleep(Duration::from_secs(7));
    assert_eq!(sandbox.snapshots(), before);
    set_clock(&sandbox, 0);
    daemon.wait("it goes on", minutes(3), |rows| {
        in_state(rows, "available").count() > before.len()
    });
}

#[test]
fn a_clock_twenty_minutes_behind_awss_is_an_alarm_and_the_sdk_makes_good_for_it() {
    let (dir, sandbox) = (Dir::new(), Sandbox::of(&["dw"]));
    let daemon = with_a_clock_ahead(&dir, &sandbox, -1_200);
    let before = daemon.history().len();
    daemon.wait("it goes on", minutes(2), |rows| {
        in_state(&rows[before..], "available").next().is_some()
    });
    let refused = sandbox.requests("CreateClusterSnapshot");
    let refused = refused
        .iter()
        .filter(|it| it["outcome"] == "RequestExpired");
    assert!(refused.count() > 0, "AWS minded the date at first");
}

/// When the log first says `what` of `slot`.
fn told_at(log: &str, what: &str, slot: &str) -> DateTime<Utc> {
    let line = log
        .lines()
        .find(|line| line.contains(what) && line.contains(slot));
    let line = line.unwrap_or_else(|| panic!("no {what:?} of {slot} in\n{log}"));
    line.split(' ').next().unwrap().parse().unwrap()
}

#[test]
fn a_connection_without_a_byte_ends_after_thirty_seconds() {
    let (dir, sandbox) = (Dir::new(), Sandbox::of(&["dw"]));
    let hang = r#"{"operation":"CreateClusterSnapshot","times":1,"fault":{"kind":"hang"}}"#;
    sandbox.control("POST", "/_sandbox/faults", hang);
    let policy = often(&soon_and_then_each_minute(), "dw") + "start_window = \"5m\"\n";
    let daemon = Daemon::start(&dir, &sandbox.url, &policy);
    eventually("the call has ended", minutes(2), || {
        daemon.log().contains("looking for the snapshot")
    });
    let (log, rows) = (daemon.log(), daemon.history());
    let slot = rows[0]["scheduled_at"].as_str().unwrap();
    let took = told_at(&log, "looking for the snapshot", slot) - told_at(&log, "requested", slot);
    let around = TimeDelta::seconds(29)..TimeDelta::seconds(33);
    assert!(around.contains(&took), "{took}\n{log}");
}

/// The schema of a database, in an order of its own.
fn schema(history: &Connection) -> (u32, Vec<String>) {
    let version = history
        .query_row("PRAGMA user_version", [], |row| row.get(0))
        .unwrap();
    let mut tables = history
        .prepare("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY sql")
        .unwrap();
    let tables = tables.query_map([], |row| row.get(0)).unwrap();
    (version, tables.map(Result::unwrap).collect())
}

/// A history of the first `version` migrations, empty.
fn old_history(path: &Path, version: u32) -> Connection {
    let history = Connection::open(path).unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
    let mut steps: Vec<_> = fs::read_dir(root)
        .unwrap()
        .map(|entry| entry.unwrap().path().join("up.sql"))
        .collect();
    steps.sort();
    for step in &steps[..version as usize] {
        history
            .execute_batch(&fs::read_to_string(step).unwrap())
            .unwrap();
    }
    history
        .pragma_update(None, "user_version", version)
        .unwrap();
    history
}

#[test]
fn a_migration_that_is_cut_off_leaves_the_old_schema_or_the_new_one() {
    let (dir, sandbox) = (Dir::new(), Sandbox::of(&["dw"]));
    let mut daemon = Daemon::start(&dir, &sandbox.url, &often("*/5 * * * * *", "dw"));
    daemon.wait("a first snapshot", minutes(1), |rows| {
        in_state(rows, "available").next().is_some()
    });
    stop(&mut daemon);
    let (database, state) = (dir.0.join("state/history.db"), dir.0.join("state"));
    let (newest, _) = schema(&Connection::open(&database).unwrap());
    let known: Vec<_> = (1..=newest)
        .map(|version| schema(&old_history(&dir.0.join(format!("v{version}")), version)))
        .collect();
    let mut migrated = 0;
    for kill in 0..40 {
        for file in ["history.db", "history.db-wal", "history.db-shm"] {
            let _ = fs::remove_file(state.join(file));
        }
        drop(old_history(&database, 1));
        daemon.restart(&dir);
        std::thread::sleep(Duration::from_millis(5 * kill));
        daemon.kill_9();
        let got = schema(&Connection::open(&database).unwrap());
        assert!(known.contains(&got), "after {kill}: {got:#?}");
        migrated += u32::from(got.0 == newest);
    }
    assert!(
        (1..40).contains(&migrated),
        "{migrated} of 40 were over before the kill"
    );
    daemon.restart(&dir);
    daemon.wait("it works on", minutes(1), |rows| {
        in_state(rows, "available").next().is_some()
    });
}

/// Every file below a directory.
fn contents(directory: &Path) -> Vec<Vec<u8>> {
    let entries = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let files = entries.filter(|path| path.is_file());
    files.map(|path| fs::read(path).unwrap()).collect()
}

#[test]
fn planted_secrets_are_in_no_log_no_database_and_no_metric() {
    let (dir, sandbox) = (Dir::new(), Sandbox::of(&["dw"]));
    let faults = r#"[{"operation":"CreateClusterSnapshot","times":1,"fault":{"kind":"error","code":"ExpiredToken","status":403}},
        {"operation":"CreateClusterSnapshot","times":1,"fault":{"kind":"truncate"}},
        {"operation":"CreateClusterSnapshot","times":1,"fault":{"kind":"error","code":"SignatureDoesNotMatch","status":403}},
        {"operation":"DescribeClusters","times":1,"fault":{"kind":"error","code":"AccessDenied","status":403}}]"#;
    sandbox.control("PUT", "/_sandbox/faults", faults);
    let port = free_port();
    let policy = often("*/5 * * * * *", "dw");
    let config = dir.daemons_file(
        port,
        &sandbox.url,
        &format!("[log]\nlevel = \"trace\"\n{policy}"),
    );
    let log = dir.0.join("log");
    let mut command = Command::new(REDKEEP);
    let child = credentials(&mut command)
        .env("AWS_ACCESS_KEY_ID", "AKIAPLANTEDPLANTED00")
        .env("AWS_SESSION_TOKEN", "token-that-must-not-leak")
        .args(["run", "--config"])
        .arg(&config)
        .stdout(Stdio::null())
        .stderr(fs::File::create(&log).unwrap())
        .spawn()
        .unwrap();
    let daemon = Daemon {
        process: Process(child),
        listen: ([127, 0, 0, 1], port).into(),
        config,
        log,
    };
    daemon.wait("a snapshot after the faults", minutes(2), |rows| {
        in_state(rows, "available").count() >= 2 && rows.len() >= 4
    });
    let mut told = contents(&dir.0.join("state"));
    told.push(daemon.log().into_bytes());
    told.push(daemon.metrics().into_bytes());
    told.push(format!("{:#?}", daemon.history()).into_bytes());
    let told: Vec<_> = told
        .iter()
        .map(|bytes| String::from_utf8_lossy(bytes))
        .collect();
    assert!(
        told.iter().any(|text| text.contains("ExpiredToken")),
        "the faults came through"
    );
    for secret in [
        "secret-that-must-not-leak",
        "token-that-must-not-leak",
        "AKIAPLANTEDPLANTED00",
    ] {
        for text in &told {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
    }
}

fn refusal(dir: &Dir) -> String {
    let config = dir.0.join("redkeep.toml");
    let run = redkeep(&["run", "--config", config.to_str().unwrap()]);
    assert_eq!(run.status.code(), Some(78), "{run:?}");
    String::from_utf8(run.stderr).unwrap()
}

#[test]
fn a_misspelt_key_is_refused_with_its_line_and_the_key_that_was_meant() {
    let dir = Dir::new();
    let text =
        often("@daily", "dw").replace("retention", "retention.base = \"7d\"\nretention.dialy");
    dir.write("redkeep.toml", &text);
    let told = refusal(&dir);
    assert!(told.contains("redkeep.toml:6:"), "{told}");
    dir.write("redkeep.toml", &(often("@daily", "dw") + "keep_lsat = 3\n"));
    let told = refusal(&dir);
    assert!(
        told.contains("redkeep.toml:6:1: ") && told.contains("keep_last"),
        "{told}"
    );
}

#[test]
fn a_policy_file_that_everybody_may_change_is_refused() {
    let dir = Dir::new();
    let config = dir.write("redkeep.toml", &often("@daily", "dw"));
    fs::set_permissions(&config, fs::Permissions::from_mode(0o666)).unwrap();
    let told = refusal(&dir);
    assert!(told.contains("everybody may change it"), "{told}");
}

static CUTS: AtomicBool = AtomicBool::new(false);

/// A listing that ends after its first element, with a length that agrees: as a proxy on the way may make of it.
fn cut(answer: Vec<u8>) -> Vec<u8> {
    let text = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let ends = ["</Cluster>", "</Snapshot>"].map(|end| Some(body.find(end)? + end.len()));
    let is_listing = body.starts_with("<DescribeCluster") || body.contains("<DescribeCluster");
    let Some(end) = ends.into_iter().flatten().next() else {
        return answer;
    };
    if !CUTS.load(Ordering::Relaxed) || !is_listing {
        return answer;
    }
    let head = head
        .lines()
        .filter(|line| !line.to_lowercase().starts_with("content-length"));
    let head: Vec<&str> = head.collect();
    format!(
        "{}\r\nContent-Length: {end}\r\n\r\n{}",
        head.join("\r\n"),
        &body[..end]
    )
    .into_bytes()
}

#[test]
fn a_listing_that_ends_too_early_says_nothing_of_what_it_lacks() {
    let (dir, sandbox) = (Dir::new(), Sandbox::of(&["dw-1", "dw-2", "dw-3"]));
    let proxy = Proxy::amending(sandbox.address(), &[], cut);
    let endpoint = format!("http://{}", proxy.address);
    let daemon = Daemon::start(&dir, &endpoint, &often("*/5 * * * * *", "dw-*"));
    daemon.wait("three snapshots", minutes(1), |rows| {
        in_state(rows, "available").count() >= 3
    });
    CUTS.store(true, Ordering::Relaxed);
    let told = || daemon.log().contains("the answer ends before its XML does");
    eventually("a listing that was cut", minutes(2), told);
    let before = daemon.history().len();
    daemon.wait("more slots", minutes(1), |rows| rows.len() >= before + 6);
    CUTS.store(false, Ordering::Relaxed);
    let rows = daemon.wait("all of them made", minutes(2), |rows| {
        in_state(rows, "available").count() >= before + 6
    });
    assert!(
        !daemon.log().contains("no longer active"),
        "{}",
        daemon.log()
    );
    let mut by_slot: BTreeMap<&str, usize> = BTreeMap::new();
    for row in &rows {
        *by_slot
            .entry(row["scheduled_at"].as_str().unwrap())
            .or_default() += 1;
    }
    // The newest may just be becoming due.
    by_slot.pop_last();
    assert!(by_slot.values().all(|count| *count == 3), "{by_slot:?}");
}
