//! `keep_last`, `prune`, `hold`, `release` and `takeover`, by the real binary, with and without a daemon.
#![expect(
    clippy::panic,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test that cannot go on fails, and the tests of the real binary live in real time"
)]

use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::{Duration, Instant};

use crate::support::{
    Daemon, Dir, Sandbox, eventually, history, in_state, redkeep, soon_and_then_each_minute,
};
use serde_json::Value;

const SOON: Duration = Duration::from_secs(90);
const DELETE: &str = "DeleteClusterSnapshot";

fn sandbox() -> Sandbox {
    Sandbox::of(&["da", "db"])
}

fn policy(schedule: &str, more: &str) -> String {
    format!(
        "[[account]]\nname = \"prod\"\nregions = [\"us-east-1\"]\n[[policy]]\nname = \"often\"\n\
         schedule = \"{schedule}\"\nclusters = [\"d*\"]\nretention = \"7d\"\n{more}"
    )
}

/// Writes the policies of a configuration anew, and makes the daemon read it.
fn edit(daemon: &Daemon, policies: &str) {
    let text = std::fs::read_to_string(&daemon.config).unwrap();
    let (head, _) = text.split_once("[[account]]").unwrap();
    std::fs::write(&daemon.config, format!("{head}{policies}")).unwrap();
    daemon.process.signal("-HUP");
}

/// A daemon with two clusters and at least `count` good snapshots of each, which a policy that has `keep_last = 2` from
/// now on has to say something about. After its first slot the next one comes in a minute, and so the plan stays for long.
fn with_snapshots(dir: &Dir, sandbox: &Sandbox, count: usize) -> Daemon {
    let daemon = Daemon::start(dir, &sandbox.url, &policy("*/2 * * * * *", ""));
    daemon.wait("good ones", SOON, |rows| good(rows).len() >= 2 * count);
    let schedule = soon_and_then_each_minute();
    edit(&daemon, &policy(&schedule, "keep_last = 2\n"));
    let (second, _) = schedule.split_once(' ').unwrap();
    let end = format!(":{second:0>2}Z");
    let new = |row: &&Value| row["scheduled_at"].as_str().unwrap().ends_with(&end);
    let began = chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
    daemon.wait("one slot of the new schedule", SOON, |rows| {
        let good = good(rows).into_iter().filter(new);
        let since = good.filter(|row| row["scheduled_at"].as_str().unwrap() > began.as_str());
        since.count() >= 2
    });
    daemon
}

fn good(rows: &[Value]) -> Vec<&Value> {
    in_state(rows, "available").collect()
}

fn run(config: &Path, arguments: &[&str]) -> Output {
    redkeep(&[arguments, &["--config", config.to_str().unwrap()]].concat())
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// What the dry run tells.
fn plan(config: &Path) -> Vec<Value> {
    let output = run(config, &["prune", "--output", "json"]);
    assert!(output.status.success(), "{}", stderr(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn removals(plan: &[Value]) -> Vec<String> {
    let removals = plan.iter().filter(|row| row["verdict"] == "remove");
    removals.map(|row| text(row, "snapshot_id")).collect()
}

fn text(row: &Value, field: &str) -> String {
    row[field]
        .as_str()
        .unwrap_or_else(|| panic!("{row}"))
        .to_owned()
}

/// Confirms the plan as it is now; where a snapshot has come in between, the one that there is then.
fn confirm(config: &Path) -> (Vec<Value>, Output) {
    let began = Instant::now();
    loop {
        let plan = plan(config);
        let output = run(
            config,
            &["prune", "--confirm", &text(&plan[0], "plan_hash")],
        );
        let is_old = stderr(&output).contains("wanted the hash of the current plan");
        if !is_old || began.elapsed() > SOON {
            return (plan, output);
        }
    }
}

fn deleted(sandbox: &Sandbox) -> Vec<String> {
    let requests = sandbox.requests(DELETE);
    let ids = requests.iter().map(|request| {
        let form = &request["parameters"];
        assert!(form["SnapshotClusterIdentifier"].is_string(), "{request}");
        text(form, "SnapshotIdentifier")
    });
    // They are asked for at the same time.
    let mut ids: Vec<String> = ids.collect();
    ids.sort();
    ids
}

fn first_five(removals: &[String]) -> Vec<String> {
    let mut first = removals[..5].to_vec();
    first.sort();
    first
}

#[test]
fn the_breaker_stops_a_large_plan_and_a_confirmation_carries_out_what_was_shown_five_at_once() {
    let (dir, sandbox) = (Dir::new(), sandbox());
    let daemon = with_snapshots(&dir, &sandbox, 9);
    let shown = plan(&daemon.config);
    assert_eq!(shown[0]["blocked"], "breaker", "{shown:#?}");
    assert!(removals(&shown).len() > 10, "{shown:#?}");
    let page = std::fs::read_to_string("docs/json.md").unwrap();
    let (_, page) = page.split_once("## `prune`").unwrap();
    for field in shown[0].as_object().unwrap().keys() {
        assert!(
            page.contains(&format!("| `{field}` |")),
            "{field} is not documented"
        );
    }
    let wrong = run(&daemon.config, &["prune", "--confirm", "0123456789ab"]);
    assert_eq!(wrong.status.code(), Some(1), "{}", stderr(&wrong));
    assert!(
        stderr(&wrong).contains("look at the plan again"),
        "{}",
        stderr(&wrong)
    );
    assert_eq!(deleted(&sandbox), Vec::<String>::new());
    let oldest = removals(&shown)[0].clone();
    let held = run(&daemon.config, &["hold", &oldest]);
    assert!(held.status.success(), "{}", stderr(&held));

    let (shown, confirmed) = confirm(&daemon.config);
    assert!(confirmed.status.success(), "{}", stderr(&confirmed));
    let said = String::from_utf8_lossy(&confirmed.stdout);
    assert!(said.contains("more are confirmed"), "{said}");
    let planned = removals(&shown);
    assert!(!planned.contains(&oldest), "it is on hold");
    assert_eq!(
        deleted(&sandbox),
        first_five(&planned),
        "the oldest five of those that were shown"
    );
    let rows = daemon.history();
    let pruned = rows.iter().filter(|row| row["gone_reason"] == "pruned");
    let pruned: Vec<String> = pruned.map(|row| text(row, "snapshot_id")).collect();
    assert_eq!(pruned.len(), 5);
    assert!(pruned.iter().all(|id| planned[..5].contains(id)));
    let there = sandbox.snapshots();
    assert!(there.contains(&oldest) && !there.contains(&planned[0]));
    let metrics = daemon.metrics();
    let series = "redkeep_prune_blocked{policy=\"often\",reason=\"breaker\"} 0";
    assert!(metrics.contains(series), "{metrics}");
    let told = run(&daemon.config, &["show", &planned[0]]);
    let told = String::from_utf8_lossy(&told.stdout).into_owned();
    assert!(told.contains("pruned"), "{told}");
}

#[test]
fn a_foreign_snapshot_with_our_tags_stays_and_without_a_daemon_the_command_deletes_itself() {
    let (dir, sandbox) = (Dir::new(), sandbox());
    let mut daemon = with_snapshots(&dir, &sandbox, 5);
    let rows = daemon.history();
    let tags = &good(&rows)[0]["snapshot"]["tags"];
    let tags: Vec<(&String, &Value)> = tags.as_object().unwrap().iter().collect();
    let mut form = "CreateClusterSnapshot&SnapshotIdentifier=redkeep-often-da-dressed-as-ours\
                    &ClusterIdentifier=da&ManualSnapshotRetentionPeriod=7"
        .to_owned();
    for (number, (key, value)) in (1..).zip(tags) {
        let (place, value) = (format!("&Tags.Tag.{number}"), value.as_str().unwrap());
        form += &format!("{place}.Key={key}{place}.Value={value}");
    }
    assert_eq!(sandbox.aws("somebody", &form).status, 200);
    daemon.process.signal("-TERM");
    daemon.process.exit_code(SOON);
    let (shown, confirmed) = confirm(&daemon.config);
    assert!(confirmed.status.success(), "{}", stderr(&confirmed));
    let foreign = shown
        .iter()
        .find(|row| text(row, "snapshot_id").ends_with("dressed-as-ours"));
    assert_eq!(foreign.unwrap()["reason"], "not proven to be redkeep's");
    assert_eq!(deleted(&sandbox), first_five(&removals(&shown)));
    let made = sandbox.requests("CreateClusterSnapshot").len();
    assert!(
        sandbox
            .snapshots()
            .contains(&"redkeep-often-da-dressed-as-ours".to_owned())
    );
    assert_eq!(
        sandbox.requests("CreateClusterSnapshot").len(),
        made,
        "no slot was begun"
    );
}

#[test]
fn a_denied_delete_is_told_and_creating_goes_on() {
    let (dir, sandbox) = (Dir::new(), sandbox());
    let daemon = with_snapshots(&dir, &sandbox, 5);
    let denied = r#"{"operation": "DeleteClusterSnapshot",
        "fault": {"kind": "error", "code": "AccessDenied", "status": 403, "message": "No."}}"#;
    sandbox.control("POST", "/_sandbox/faults", denied);
    let (_, output) = confirm(&daemon.config);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("access denied: AccessDenied: No."), "{said}");
    let series = "redkeep_prune_blocked{policy=\"often\",reason=\"access_denied\"} 1";
    eventually("the metric", SOON, || daemon.metrics().contains(series));
    let doctor = run(&daemon.config, &["doctor"]);
    let doctor = String::from_utf8_lossy(&doctor.stdout).into_owned();
    assert!(
        doctor.contains("redshift:DeleteClusterSnapshot"),
        "{doctor}"
    );
    let before = good(&daemon.history()).len();
    edit(
        &daemon,
        &policy(&soon_and_then_each_minute(), "keep_last = 2\n"),
    );
    daemon.wait("another slot", SOON, |rows| good(rows).len() >= before + 2);
    assert_eq!(in_state(&daemon.history(), "failed").count(), 0);
}

/// A second installation with the same policies.
fn another(dir: &Dir, sandbox: &Sandbox) -> PathBuf {
    let text = format!(
        "state_dir = \"other\"\nlisten = \"127.0.0.1:0\"\nendpoint = \"{}\"\n{}",
        sandbox.url,
        policy("*/40 * * * * *", "keep_last = 2\n")
    );
    dir.write("other.toml", &text)
}

#[test]
fn a_hold_lasts_until_its_release_and_another_installation_removes_nothing_before_a_takeover() {
    let (dir, sandbox) = (Dir::new(), sandbox());
    let mut daemon = with_snapshots(&dir, &sandbox, 5);
    let rows = daemon.history();
    let id = text(good(&rows)[0], "snapshot_id");
    for (command, period, is_tagged) in [("hold", -1, true), ("release", 7, false)] {
        let output = run(&daemon.config, &[command, &id]);
        assert!(output.status.success(), "{}", stderr(&output));
        let rows = daemon.wait("the record", SOON, |rows| {
            let row = rows.iter().find(|row| row["snapshot_id"] == id.as_str());
            row.unwrap()["snapshot"]["manual_snapshot_retention_period"] == period
        });
        let row = rows.iter().find(|row| row["snapshot_id"] == id.as_str());
        let tag = &row.unwrap()["snapshot"]["tags"]["redkeep:hold"];
        assert_eq!(tag.as_str(), is_tagged.then_some("7"), "{command}");
    }
    let unknown = run(&daemon.config, &["hold", "redkeep-there-is-none"]);
    assert_eq!(unknown.status.code(), Some(1));

    daemon.process.signal("-TERM");
    daemon.process.exit_code(SOON);
    let other = another(&dir, &sandbox);
    let once = run(&other, &["run", "--once"]);
    assert!(once.status.success(), "{}", stderr(&once));
    let shown = plan(&other);
    assert_eq!(removals(&shown), Vec::<String>::new(), "{shown:#?}");
    let others = |plan: &[Value]| {
        let reasons = plan
            .iter()
            .filter(|row| row["reason"] == "made by another installation");
        reasons.count()
    };
    assert!(others(&shown) >= 12, "{shown:#?}");
    let taken = run(&other, &["takeover", "--policy", "often"]);
    assert!(taken.status.success(), "{}", stderr(&taken));
    let shown = plan(&other);
    assert_eq!(others(&shown), 0, "{shown:#?}");
    assert!(
        history(&other).len() >= 12,
        "the second one has its records"
    );
    assert_eq!(deleted(&sandbox), Vec::<String>::new());
    let again = run(&other, &["takeover"]);
    let said = String::from_utf8_lossy(&again.stdout).into_owned();
    assert!(
        said.contains("there is no snapshot of another installation"),
        "{said}"
    );
}
