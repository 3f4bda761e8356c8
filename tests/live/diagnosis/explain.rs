//! `explain` beside a running daemon, and without one.

use std::path::Path;
use std::process::Output;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::diagnosis::asked;
use crate::support::{Daemon, Dir, MINUTE, Sandbox, eventually, redkeep};

const CLUSTERS: [&str; 7] = [
    "good", "stuck", "broken", "denied", "wrong", "taken", "idle",
];

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::of(&CLUSTERS);
    let rule = |cluster: &str, more: &str, fault: &str| {
        format!(
            r#"{{"operation": "CreateClusterSnapshot", "cluster": "{cluster}", {more} "fault": {fault}}}"#
        )
    };
    let escape =
        r#"{"kind": "error", "code": "AccessDenied", "status": 403, "message": "no \u202ered"}"#;
    let rules = [
        rule("stuck", "", r#"{"kind": "stuck_snapshot"}"#),
        rule(
            "broken",
            r#""times": 1,"#,
            r#"{"kind": "fail_snapshot", "message": "the disk broke"}"#,
        ),
        rule("denied", "", escape),
        rule(
            "wrong",
            "",
            r#"{"kind": "error", "code": "InvalidTagFault", "message": "bad tag"}"#,
        ),
    ];
    sandbox.control("PUT", "/_sandbox/faults", &format!("[{}]", rules.join(",")));
    sandbox
}

const POLICIES: &str = r#"
[[account]]
name = "prod"
regions = ["us-east-1"]

[[blackout]]
name = "always-busy"
schedule = "0 * * * *"
duration = "59m"

[[policy]]
name = "often"
schedule = "*/5 * * * * *"
clusters = ["*"]
exclude = ["taken", "idle", "broken"]
retention = "7d"

[[policy]]
name = "calm"
schedule = "*/20 * * * * *"
clusters = ["taken", "broken"]
retention = "7d"

[[policy]]
name = "dark"
schedule = "30 * * * *"
clusters = ["idle"]
start_window = "10m"
blackout = ["always-busy"]
retention = "7d"
"#;

fn slots(cluster: &str, config: &Path) -> Vec<Value> {
    let (rows, _) = asked(&["explain", cluster, "--slots", "50"], config);
    rows
}

/// Waits for a slot in this state with these words.
#[track_caller]
fn wait(daemon: &Daemon, cluster: &str, state: &str, words: &str) -> Value {
    let started = Instant::now();
    loop {
        let rows = slots(cluster, &daemon.config);
        let fits =
            |row: &&Value| row["state"] == state && row["words"].as_str().unwrap().contains(words);
        if let Some(row) = rows.iter().find(fits) {
            return row.clone();
        }
        let late = started.elapsed() > Duration::from_secs(100);
        assert!(
            !late,
            "no {state} of {cluster} with {words:?}: {rows:#?}\n{}",
            daemon.log()
        );
        std::thread::sleep(Duration::from_millis(300));
    }
}

/// Somebody else takes the names that the next slots of `taken` would have.
fn take_names(sandbox: &Sandbox, config: &Path) {
    let (rows, _) = asked(&["plan", "--policy", "calm", "--count", "10"], config);
    for row in rows.iter().filter(|row| row["cluster"] == "taken") {
        let id = row["snapshot_id"].as_str().unwrap();
        let form = format!("CreateClusterSnapshot&SnapshotIdentifier={id}&ClusterIdentifier=idle");
        sandbox.aws("AKIATEST", &form);
    }
}

#[test]
fn each_outcome_is_told_with_what_aws_said() {
    let (dir, sandbox) = (Dir::new(), sandbox());
    let daemon = Daemon::start(&dir, &sandbox.url, POLICIES);
    eventually("the history has begun", MINUTE, || {
        daemon.log().contains(" active policy=")
    });
    // Those of `idle` are made one after the other.
    take_names(&sandbox, &daemon.config);
    wait(&daemon, "good", "available", "kept by AWS for 7d");
    wait(
        &daemon,
        "stuck",
        "creating",
        "AWS has been making the snapshot",
    );
    let skipped = wait(
        &daemon,
        "stuck",
        "skipped",
        "overlap: the snapshot redkeep-often-stuck-",
    );
    assert_eq!(skipped["policy"], "often");
    wait(
        &daemon,
        "denied",
        "requested",
        "AWS refused (access denied): AccessDenied: no \u{202e}red",
    );
    wait(
        &daemon,
        "denied",
        "expired",
        "when a newer slot was due too",
    );
    wait(&daemon, "wrong", "failed", "InvalidTagFault: bad tag");
    wait(
        &daemon,
        "broken",
        "available",
        "the second one, after the first failed",
    );
    wait(&daemon, "taken", "conflict", "is not redkeep's");
    let dark = slots("idle", &daemon.config);
    let next = dark.iter().find(|row| row["about"] == "next").unwrap();
    assert_eq!(next["starts_at"], Value::Null, "{dark:#?}");
    assert!(
        next["words"]
            .as_str()
            .unwrap()
            .contains("\"always-busy\" covers"),
        "{next}"
    );
    let excluded = dark.iter().find(|row| row["policy"] == "often").unwrap();
    assert_eq!(excluded["touches"], false, "{excluded}");
    no_escape_reaches_the_terminal(&daemon.config);
    let paused = text(&["pause", "often"], &daemon.config);
    assert!(paused.status.success(), "{paused:?}");
    wait(&daemon, "good", "missed", "the policy was paused");
}

fn no_escape_reaches_the_terminal(config: &Path) {
    let output = text(&["explain", "denied", "--slots", "50"], config);
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(
        shown.contains("\\u{202e}red") && !shown.contains('\u{202e}'),
        "{shown}"
    );
    assert_eq!(output.status.code(), Some(0));
}

fn text(words: &[&str], config: &Path) -> Output {
    redkeep(&[words, &["--config", config.to_str().unwrap()]].concat())
}

const NIGHTLY: &str = "[[account]]\nname = \"prod\"\nregions = [\"us-east-1\"]\n[[policy]]\nname = \"nightly\"\n\
    schedule = \"30 2 * * *\"\ntimezone = \"Europe/Berlin\"\nclusters = [\"dw-prod\"]\nretention = \"7d\"\n";

#[test]
fn without_a_history_the_file_alone_decides_and_nothing_is_made() {
    let dir = Dir::new();
    let config = dir.write("redkeep.toml", &format!("state_dir = \"state\"\n{NIGHTLY}"));
    let (rows, code) = asked(&["explain", "dw-prod"], &config);
    assert_eq!(code, Some(0), "{rows:#?}");
    let about: Vec<&str> = rows
        .iter()
        .map(|row| row["about"].as_str().unwrap())
        .collect();
    assert_eq!(about, ["policy", "next"]);
    let local = rows[1]["local_time"].as_str().unwrap();
    assert!(local.contains("T02:30:00+0"), "{local}");
    let said = text(&["explain", "dw-prod"], &config);
    let note = String::from_utf8(said.stderr).unwrap();
    assert!(
        note.contains("no history yet") && note.contains("no daemon runs"),
        "{note}"
    );
    assert!(!dir.0.join("state").exists(), "it made the state directory");
}

#[test]
fn a_cluster_that_no_policy_touches_is_a_finding() {
    let dir = Dir::new();
    let config = dir.write("redkeep.toml", &format!("state_dir = \"state\"\n{NIGHTLY}"));
    let (rows, code) = asked(&["explain", "dw-prof"], &config);
    assert_eq!(code, Some(1));
    assert_eq!(rows[0]["touches"], false);
    assert!(
        rows[0]["words"]
            .as_str()
            .unwrap()
            .contains("one letter away"),
        "{rows:?}"
    );
    let (rows, code) = asked(&["explain", "finance"], &config);
    assert_eq!((rows.len(), code), (0, Some(1)));
}

#[test]
fn a_policy_that_there_is_not_is_a_usage_error() {
    let dir = Dir::new();
    let config = dir.write("redkeep.toml", &format!("state_dir = \"state\"\n{NIGHTLY}"));
    for arguments in [&["explain", "dw-prod"][..], &["plan"]] {
        let arguments = [arguments, &["--policy", "weekly"]].concat();
        let unknown = text(&arguments, &config);
        assert_eq!(unknown.status.code(), Some(2), "{arguments:?}");
        let said = String::from_utf8_lossy(&unknown.stderr).into_owned();
        let wanted = "got the policy \"weekly\", wanted one of: nightly";
        assert!(said.contains(wanted), "{said}");
    }
}
