//! Kills between the plan to delete, the look, the delete and its record.
//!
//! Passes are an hour apart, so each kill has a policy of its own, and a confirmation makes its pass come at once.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::proxy::{Exchange, Held, Proxy, Stage};
use crate::support::{
    Daemon, Dir, Process, REDKEEP, Sandbox, credentials, eventually, free_port, in_state, redkeep,
    soon_and_then_each_minute,
};

/// Where the kill comes: the intent is committed before each of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Point {
    /// The look just before the delete is on its way.
    Intent,
    /// The look has been answered.
    Looked,
    /// The delete is on its way, and does not arrive.
    Asked,
    /// AWS has deleted it, and the answer does not arrive.
    Deleted,
    /// The answer has arrived and may or may not have been recorded.
    Recorded,
}

const POINTS: [Point; 5] = [
    Point::Intent,
    Point::Looked,
    Point::Asked,
    Point::Deleted,
    Point::Recorded,
];

/// How many policies there are, and so kills.
const KILLS: usize = 10;
/// How long a point is waited for.
const PATIENCE: Duration = Duration::from_secs(25);
const SOON: Duration = Duration::from_secs(90);

fn policies(schedule: &str, more: &str) -> String {
    let each = |number| {
        format!(
            "[[policy]]\nname = \"p{number:02}\"\nschedule = \"{schedule}\"\n\
             clusters = [\"c{number:02}\"]\nretention = \"7d\"\n{more}"
        )
    };
    (0..KILLS).map(each).collect()
}

/// Writes the policy file.
fn write(dir: &Dir, proxy: &Proxy, port: u16, policies: &str) -> PathBuf {
    let account = "[[account]]\nname = \"home\"\nregions = [\"us-east-1\"]\n";
    let endpoint = format!("http://{}", proxy.address);
    dir.daemons_file(port, &endpoint, &format!("{account}{policies}"))
}

fn sandbox() -> Sandbox {
    let clusters: Vec<String> = (0..KILLS).map(|number| format!("c{number:02}")).collect();
    Sandbox::of(&clusters.iter().map(String::as_str).collect::<Vec<_>>())
}

/// How many good snapshots each policy has since an instant, at least.
fn fewest(rows: &[Value], since: &str) -> usize {
    let mut good: BTreeMap<&str, usize> = BTreeMap::new();
    for row in in_state(rows, "available") {
        let is_new = row["scheduled_at"].as_str() > Some(since);
        *good.entry(row["policy"].as_str().unwrap()).or_default() += usize::from(is_new);
    }
    match good.len() {
        KILLS => good.into_values().min().unwrap(),
        _ => 0,
    }
}

/// What would go of a policy, and the hash of that.
fn plan(config: &Path, policy: &str) -> (BTreeSet<String>, String) {
    let config = config.to_str().unwrap();
    let arguments = ["prune", "--policy", policy, "--output", "json", "--config"];
    let output = redkeep(&[&arguments[..], &[config]].concat());
    assert!(output.status.success(), "{output:?}");
    let rows: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    let hash = rows[0]["plan_hash"].as_str().unwrap().to_owned();
    let going = rows.iter().filter(|row| row["verdict"] == "remove");
    let going = going.map(|row| row["snapshot_id"].as_str().unwrap().to_owned());
    (going.collect(), hash)
}

fn is_look(exchange: &Exchange) -> bool {
    exchange.is("DescribeClusterSnapshots") && !exchange.get("SnapshotIdentifier").is_empty()
}

fn is_delete(exchange: &Exchange) -> bool {
    exchange.is("DeleteClusterSnapshot")
}

fn id_of(held: &Held) -> &str {
    held.exchange.get("SnapshotIdentifier")
}

/// Confirms the plan of a policy, and kills the daemon and the command at the point; whether it was reached.
fn kill_at(point: Point, daemon: &mut Daemon, dir: &Dir, proxy: &Proxy, policy: &str) -> bool {
    let (stage, matches): (Stage, fn(&Exchange) -> bool) = match point {
        Point::Intent => (Stage::Arrived, is_look),
        Point::Looked => (Stage::Answered, is_look),
        Point::Asked => (Stage::Arrived, is_delete),
        Point::Deleted => (Stage::Answered, is_delete),
        Point::Recorded => (Stage::Delivered, is_delete),
    };
    let (going, hash) = plan(&daemon.config, policy);
    assert!(going.len() >= 2, "{policy}: {going:?}");
    let caught = proxy.stop_at(stage, matches);
    let mut command = Command::new(REDKEEP);
    let person = credentials(&mut command)
        .args(["prune", "--policy", policy, "--confirm", &hash, "--config"])
        .arg(&daemon.config)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let person = Process(person);
    let began = Instant::now();
    let mut held: Option<Held> = caught.recv_timeout(PATIENCE).ok();
    // The daemon also looks for what earlier lives have left in doubt.
    while let Some(other) = held.take_if(|held| !going.contains(id_of(held)))
        && began.elapsed() < PATIENCE
    {
        let caught = proxy.stop_at(stage, matches);
        other.go_on();
        held = caught.recv_timeout(PATIENCE).ok();
    }
    // It would go on by itself when the daemon is dead.
    drop(person);
    daemon.kill_9();
    let reached = held.is_some();
    drop(held);
    daemon.restart(dir);
    reached
}

/// The outcome of each delete that the sandbox has received, by when and of which snapshot. It forgets old ones.
type Deletes = BTreeMap<[String; 2], Option<String>>;

fn note_deletes(sandbox: &Sandbox, deletes: &mut Deletes) {
    for request in sandbox.requests("DeleteClusterSnapshot") {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let id = text(&request["parameters"]["SnapshotIdentifier"]);
        let outcome = request["outcome"].as_str().map(str::to_owned);
        deletes.insert([text(&request["received_at"]), id], outcome);
    }
}

#[test]
fn each_snapshot_is_deleted_once_however_often_the_daemon_is_killed() {
    let (dir, sandbox) = (Dir::new(), sandbox());
    let (proxy, port) = (Proxy::start(sandbox.address(), &[]), free_port());
    let file = write(&dir, &proxy, port, &policies("*/3 * * * * *", ""));
    let mut daemon = Daemon::start_with(&dir, &file, port);
    daemon.wait("four good ones of each", SOON, |rows| fewest(rows, "") >= 4);
    let schedule = soon_and_then_each_minute();
    write(&dir, &proxy, port, &policies(&schedule, "keep_last = 2\n"));
    daemon.process.signal("-HUP");
    let edited = chrono::Utc::now() + chrono::TimeDelta::seconds(3);
    let edited = edited.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
    daemon.wait("a good one by the new schedule", SOON, |rows| {
        fewest(rows, &edited) >= 1
    });

    let mut deletes = Deletes::new();
    let mut reached: BTreeMap<Point, u32> = BTreeMap::new();
    for (number, point) in (0..KILLS).zip(POINTS.into_iter().cycle()) {
        let policy = format!("p{number:02}");
        let hit = kill_at(point, &mut daemon, &dir, &proxy, &policy);
        *reached.entry(point).or_default() += u32::from(hit);
        note_deletes(&sandbox, &mut deletes);
    }
    for point in POINTS {
        assert!(reached.get(&point) > Some(&0), "{point:?}: {reached:?}");
    }
    let deleted: BTreeSet<&String> = deletes.keys().map(|[_, id]| id).collect();
    assert_eq!(
        deleted.len(),
        deletes.len(),
        "each is asked for once: {deletes:#?}"
    );
    let done = [Point::Deleted, Point::Recorded].map(|point| reached[&point]);
    assert!(
        deleted.len() >= done.iter().sum::<u32>() as usize,
        "{deletes:#?}"
    );
    // What is gone is recorded as gone by redkeep's doing, also where the answer never came; nothing else is.
    let gone: BTreeSet<&String> = {
        let there: BTreeSet<String> = sandbox.snapshots().into_iter().collect();
        let ids = deleted.into_iter();
        ids.filter(|id| !there.contains(*id)).collect()
    };
    let recorded = || -> bool {
        let rows = daemon.history();
        let pruned = rows.iter().filter(|row| !row["gone_reason"].is_null());
        let ids: BTreeSet<String> = pruned
            .map(|row| {
                assert_eq!(row["gone_reason"], "pruned", "{row}");
                row["snapshot_id"].as_str().unwrap().to_owned()
            })
            .collect();
        ids.iter().eq(gone.iter().copied())
    };
    let began = Instant::now();
    eventually("all are recorded", SOON, recorded);
    assert!(
        !gone.is_empty() && !daemon.log().contains("lacked"),
        "{}",
        daemon.log()
    );
    eprintln!(
        "{reached:?}, {} deleted, recorded after {:?}",
        gone.len(),
        began.elapsed()
    );
}
