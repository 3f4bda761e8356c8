//! Real processes that share a history: one works, and when that one is killed, stopped or cut off, the other one does.

use std::fs;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::host::{Host, Shared, WORKS, assert_one_of_each, until};
use super::server::{Database, postgres};
use crate::support::{
    EACH_TWO_SECONDS, MINUTE, Process, REDKEEP, assert_prompt, credentials, eventually, finish,
    often,
};

#[test]
fn another_instance_works_when_the_one_that_worked_is_killed_stopped_or_asked_to_yield() {
    let Some(shared) = Shared::of(&["dw"]) else {
        return;
    };
    let (database, sandbox) = (&shared.database, &shared.sandbox);
    let policies = often("*/2 * * * * *", "dw");
    let mut a = shared.host("a", &policies);
    until(database, 30, WORKS, "a");
    let mut b = shared.host("b", &policies);
    until(database, 30, "SELECT count(*) FROM redkeep.instances", "2");
    let ready = b.http("/readyz");
    assert_eq!((ready.status, ready.body.as_str()), (200, "ok\n"));

    a.kill_9();
    let took = until(database, 45, WORKS, "b");
    assert!(
        took <= Duration::from_secs(35),
        "the takeover took {took:?}"
    );
    a.restart();

    let asked = Instant::now();
    b.process.signal("-TERM");
    let took = until(database, 20, WORKS, "a");
    assert!(
        took <= Duration::from_secs(10),
        "the handover took {took:?}"
    );
    assert_eq!(
        b.process.exit_code(Duration::from_secs(25)),
        Some(0),
        "{:?}",
        asked.elapsed()
    );
    b.restart();
    until(
        database,
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

    a_process_that_stands_still_stops_working(&b, database);
    assert_one_of_each(database, sandbox);
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
    let Some(shared) = Shared::of(&["dw"]) else {
        return;
    };
    let (database, sandbox) = (&shared.database, &shared.sandbox);
    let host = shared.host("a", &often("*/2 * * * * *", "dw"));
    until(database, 60, "SELECT count(*) > 1 FROM redkeep.runs", "t");
    host.cut();
    let before = sandbox.snapshots().len();
    let began = Instant::now();
    while sandbox.snapshots().len() < before + 4 {
        assert!(began.elapsed() < Duration::from_secs(60), "{}", host.log());
        sleep(Duration::from_millis(200));
    }
    let answer = host.http("/readyz");
    assert_eq!(answer.status, 503);
    host.open();
    let snapshots = sandbox.snapshots().len();
    let all = format!("SELECT count(*) >= {snapshots} FROM redkeep.runs");
    until(database, 60, &all, "t");
    assert_eq!(
        database.sql("SELECT max(epoch) FROM redkeep.leases"),
        "1",
        "one term"
    );
    assert_eq!(
        database.sql("SELECT count(*) FROM redkeep.meta WHERE key = 'rebuilt_at'"),
        "0"
    );
    assert_one_of_each(database, sandbox);
}

#[test]
fn while_the_database_hangs_slots_start_in_time() {
    let Some(shared) = Shared::of(&["dw"]) else {
        return;
    };
    let host = shared.host("a", EACH_TWO_SECONDS);
    let database = &shared.database;
    until(database, 60, "SELECT count(*) > 2 FROM redkeep.runs", "t");
    let before = shared.sandbox.snapshots().len();
    host.freeze();
    eventually("snapshots go on", MINUTE, || {
        shared.sandbox.snapshots().len() >= before + 7
    });
    host.open();
    let all = format!("SELECT count(*) > {before} + 7 FROM redkeep.runs");
    until(database, 60, &all, "t");
    assert_prompt(host.json(&["history"]).iter());
    assert_one_of_each(database, &shared.sandbox);
}

#[test]
fn a_take_without_a_daemon_gives_the_lease_to_the_first_that_comes() {
    let Some(postgres) = postgres() else { return };
    let shared = Shared::taking("40", postgres.database(), &["dw"]);
    let (database, log) = (&shared.database, shared.dir.0.join("take-log"));
    // A daemon has begun the history, and is gone.
    let mut first = shared.host("first", YEARLY);
    until(database, 30, WORKS, "first");
    first.process.signal("-TERM");
    assert_eq!(first.process.exit_code(MINUTE), Some(0));
    let config = shared.config("taker", YEARLY);
    let mut take = Command::new(REDKEEP);
    let take = credentials(&mut take)
        .args(["take", "--policy", "yearly", "--cluster", "dw", "--config"])
        .arg(&config);
    let mut take = Process(take.stderr(fs::File::create(log).unwrap()).spawn().unwrap());
    until(
        database,
        30,
        "SELECT name LIKE '% (a command)' FROM redkeep.leases",
        "t",
    );
    let accepted = "SELECT count(*) FROM redkeep.runs WHERE accepted_at IS NOT NULL";
    until(database, 30, accepted, "1");
    let _daemon = shared.host("a", YEARLY);
    let took = until(database, 20, WORKS, "a");
    assert!(took < Duration::from_secs(15), "{took:?}");
    assert_eq!(take.exit_code(MINUTE), Some(0), "it waits for its snapshot");
    assert_eq!(
        database.sql("SELECT state, epoch FROM redkeep.runs"),
        "available|3"
    );
}

#[test]
fn a_command_on_a_host_that_stands_by_reaches_the_one_that_works() {
    let Some(shared) = Shared::of(&["dw"]) else {
        return;
    };
    let database = &shared.database;
    let policies = YEARLY;
    let _a = shared.host("a", policies);
    until(database, 30, WORKS, "a");
    let b = shared.host("b", policies);
    until(database, 30, "SELECT count(*) FROM redkeep.instances", "2");
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
    fs::create_dir_all(shared.dir.0.join("c")).unwrap();
    let third = shared.dir.0.join("c/redkeep.toml");
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
    // Though nothing is due for months, the holder hears of it within a moment.
    let asked = Instant::now();
    assert!(b.run(&["yield"]).status.success());
    assert!(
        asked.elapsed() < Duration::from_secs(6),
        "{:?}",
        asked.elapsed()
    );
    assert_eq!(database.sql(WORKS), "b");
}

/// A policy of which no slot is due in a test.
const YEARLY: &str = "[[policy]]\nname = \"yearly\"\nschedule = \"0 0 1 1 *\"\nclusters = [\"dw\"]\nretention = \"7d\"\n";

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
            host.cut();
            sleep(Duration::from_millis(blow * 83 % 2_500));
            host.open();
        }
        _ => {
            host.freeze();
            sleep(Duration::from_millis(blow * 97 % 2_500));
            host.open();
        }
    }
}

#[test]
fn fifty_blows_leave_one_record_and_one_snapshot_for_each_slot() {
    let Some(shared) = Shared::of(&["dw", "fin"]) else {
        return;
    };
    let (database, sandbox) = (&shared.database, &shared.sandbox);
    let policies = often("*/2 * * * * *", "*");
    let mut hosts = ["a", "b"].map(|name| shared.host(name, &policies));
    until(
        database,
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
    until(database, 60, alive, "1");
    assert_one_of_each(database, sandbox);
    assert_eq!(
        database.sql("SELECT count(*) FROM redkeep.meta WHERE key = 'rebuilt_at'"),
        "0"
    );
    // A gap is as long as the slots in it that are recorded as missed.
    let gaps = database.sql(
        "SELECT count(*) FROM (SELECT policy, cluster, scheduled_at AS here,
             lag(scheduled_at) OVER (PARTITION BY policy, cluster ORDER BY scheduled_at) AS before FROM redkeep.runs) AS x
         WHERE extract(epoch FROM here::timestamptz - before::timestamptz) / 2 - 1 >
             (SELECT coalesce(sum(r.count), 0) FROM redkeep.missed_ranges AS r
              WHERE r.policy = x.policy AND r.cluster = x.cluster AND r.first_at > before AND r.last_at < here)",
    );
    assert_eq!(gaps, "0", "slots without a record");
}
