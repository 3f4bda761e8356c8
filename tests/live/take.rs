//! `take`, `pause` and `resume`, by the real binary, with and without a daemon.
#![expect(
    clippy::panic,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test that cannot go on fails, and the tests of the real binary live in real time"
)]

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use crate::support::process::Running;
use crate::support::{
    Daemon, Dir, EACH_FIVE_SECONDS, MINUTE, REDKEEP, Sandbox, credentials, eventually, finish,
    history, in_state,
};
use serde_json::Value;

const YEARLY: &str = r#"
[[policy]]
name = "yearly"
schedule = "0 0 1 1 *"
clusters = ["d*"]
exclude = ["dx"]
retention = "7d"
tags = { team = "data" }
"#;

/// A policy file for commands without a daemon.
fn config(dir: &Dir, endpoint: &str, policies: &str) -> PathBuf {
    let account =
        "namespace = \"rk\"\n[[account]]\nname = \"default\"\nregions = [\"us-east-1\"]\n";
    dir.policy_file(endpoint, &format!("{account}{policies}"))
}

fn command(config: &PathBuf, arguments: &[&str]) -> Command {
    let mut command = Command::new(REDKEEP);
    credentials(&mut command)
        .args(arguments)
        .arg("--config")
        .arg(config)
        .stdin(Stdio::null());
    command
}

fn take(config: &PathBuf, more: &[&str]) -> Running {
    let arguments = [
        "take",
        "--policy",
        "yearly",
        "--cluster",
        "dw",
        "--output",
        "json",
    ];
    Running::start(&mut command(config, &[&arguments, more].concat()))
}

/// A daemon that holds its state directory already, so that a command finds it there.
fn daemon(dir: &Dir, endpoint: &str, policies: &str) -> Daemon {
    let daemon = Daemon::start(dir, endpoint, policies);
    let is_up = || std::net::TcpStream::connect(daemon.listen).is_ok();
    eventually("the listener", MINUTE, is_up);
    daemon
}

/// The row that a command which succeeded printed.
fn row(output: &Output) -> Value {
    let (out, err) = (&output.stdout, String::from_utf8_lossy(&output.stderr));
    assert!(
        output.status.success(),
        "{}\n{err}",
        String::from_utf8_lossy(out)
    );
    let rows: Value = serde_json::from_slice(out).unwrap_or_else(|error| panic!("{error}: {err}"));
    rows[0].clone()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn without_a_daemon_take_makes_the_snapshot_itself_and_follows_it_to_its_end() {
    let (dir, sandbox) = (Dir::new(), Sandbox::taking("3", &["dw"], &[]));
    let config = config(&dir, &sandbox.url, YEARLY);
    let row = row(&take(&config, &["--retention", "3d"]).output());
    assert_eq!(row["state"], "available");
    assert_eq!(
        (&row["trigger"], &row["tier"]),
        (&"manual".into(), &"base".into())
    );
    assert_eq!(row["retention_days"], 3);
    let (snapshot, tags) = (&row["snapshot"], &row["snapshot"]["tags"]);
    assert_eq!(snapshot["manual_snapshot_retention_period"], 3);
    assert_eq!(tags["redkeep:trigger"], "manual");
    assert_eq!(
        (&tags["team"], &tags["redkeep:slot"]),
        (&"data".into(), &row["scheduled_at"])
    );
    assert_eq!(sandbox.snapshots(), [row["snapshot_id"].as_str().unwrap()]);
    assert_eq!(
        history(&config).len(),
        1,
        "nothing but the one run is begun"
    );
}

#[test]
fn beside_a_daemon_take_watches_and_the_daemon_makes_the_snapshot_within_two_seconds() {
    let (dir, sandbox) = (Dir::new(), Sandbox::taking("3", &["dw"], &[]));
    let daemon = daemon(&dir, &sandbox.url, YEARLY);
    let output = take(&daemon.config, &[]).output();
    let row = row(&output);
    assert_eq!(row["state"], "available");
    assert_eq!(row["retention_days"], 7);
    let instant = |field: &str| -> chrono::DateTime<chrono::Utc> {
        row[field].as_str().unwrap().parse().unwrap()
    };
    let delay = instant("requested_at") - instant("scheduled_at");
    assert!(delay <= chrono::TimeDelta::seconds(2), "{delay}");
    let told = stderr(&output);
    assert!(
        told.contains(" is creating") && !told.contains("WARN"),
        "{told}"
    );
    assert_eq!(sandbox.requests("CreateClusterSnapshot").len(), 1);
}

#[test]
fn two_people_at_once_get_a_snapshot_each_of_what_they_asked_for_or_share_one() {
    for with_daemon in [false, true] {
        let (dir, sandbox) = (Dir::new(), Sandbox::taking("3", &["dw"], &[]));
        let daemon = with_daemon.then(|| daemon(&dir, &sandbox.url, YEARLY));
        let config = match &daemon {
            Some(daemon) => daemon.config.clone(),
            None => config(&dir, &sandbox.url, YEARLY),
        };
        let people = [take(&config, &[]), take(&config, &[])];
        let rows = people.map(|person| row(&person.output()));
        for row in &rows {
            assert_eq!(row["state"], "available", "{row}");
            assert_eq!(row["attempts"], 1, "{row}");
        }
        // A third comes when the snapshot is under way: it holds nothing of what happened since.
        let first = take(&config, &[]);
        let creating = || in_state(&history(&config), "creating").count() == 1;
        eventually("creating", MINUTE, creating);
        let second = take(&config, &[]);
        let later = [first, second].map(|person| row(&person.output()));
        assert_ne!(later[0]["snapshot_id"], later[1]["snapshot_id"]);
        let mut ids: Vec<&str> = rows
            .iter()
            .chain(&later)
            .map(|row| row["snapshot_id"].as_str().unwrap())
            .collect();
        ids.sort_unstable();
        ids.dedup();
        let mut there = sandbox.snapshots();
        there.sort_unstable();
        assert_eq!(there, ids);
    }
}

#[test]
fn with_no_wait_take_ends_when_it_is_asked_for_and_the_next_daemon_goes_on() {
    let (dir, sandbox) = (Dir::new(), Sandbox::taking("4", &["dw"], &[]));
    let config = config(&dir, &sandbox.url, YEARLY);
    let row = row(&take(&config, &["--no-wait"]).output());
    assert_eq!(row["state"], "creating");
    let daemon = daemon(&dir, &sandbox.url, YEARLY);
    let rows = daemon.wait("available", MINUTE, |rows| {
        in_state(rows, "available").count() == 1
    });
    assert_eq!(rows[0]["snapshot_id"], row["snapshot_id"]);
}

#[test]
fn a_take_whose_daemon_dies_goes_on_by_itself_and_gives_the_place_up_to_the_next() {
    let (dir, sandbox) = (Dir::new(), Sandbox::taking("14", &["dw"], &[]));
    let mut daemon = daemon(&dir, &sandbox.url, YEARLY);
    let person = take(&daemon.config, &[]);
    let creating = || in_state(&history(&daemon.config), "creating").count() == 1;
    eventually("creating", MINUTE, creating);
    daemon.kill_9();
    // It looks after five seconds of nothing whether anybody works on the run, and then works on it itself.
    std::thread::sleep(Duration::from_secs(8));
    daemon.restart(&dir);
    let is_up = || std::net::TcpStream::connect(daemon.listen).is_ok();
    eventually("the daemon in its place", MINUTE, is_up);
    assert_eq!(row(&person.output())["state"], "available");
    assert_eq!(sandbox.snapshots().len(), 1);
    assert_eq!(
        daemon.process.0.try_wait().unwrap(),
        None,
        "the daemon runs"
    );
}

#[test]
fn what_the_policy_does_not_name_and_policies_that_there_are_not_are_usage_errors() {
    let dir = Dir::new();
    let config = config(&dir, "http://127.0.0.1:9", YEARLY);
    for (policy, cluster, said) in [
        (
            "yearly",
            "dx",
            "wanted one that the policy yearly names and does not exclude",
        ),
        (
            "yearly",
            "finance",
            "wanted one that the policy yearly names and does not exclude",
        ),
        ("nightly", "dw", "wanted one of the policy file's: yearly"),
    ] {
        let arguments = ["take", "--policy", policy, "--cluster", cluster];
        let output = finish(&mut command(&config, &arguments));
        assert_eq!(output.status.code(), Some(2));
        assert!(stderr(&output).contains(said), "{}", stderr(&output));
    }
    let output = finish(&mut command(&config, &["pause", "nightly"]));
    assert_eq!(output.status.code(), Some(2));
    assert!(!dir.0.join("state").exists(), "nothing was begun");
}

#[test]
fn a_snapshot_that_cannot_be_had_ends_the_command_with_1_and_the_reason() {
    let (dir, sandbox) = (Dir::new(), Sandbox::of(&["dw"]));
    let policies = YEARLY.replace("exclude = [\"dx\"]", "");
    let config = config(&dir, &sandbox.url, &policies);
    let invalid = r#"{"operation": "CreateClusterSnapshot",
        "fault": {"kind": "error", "code": "InvalidTagFault", "status": 400, "message": "No."}}"#;
    sandbox.control("POST", "/_sandbox/faults", invalid);
    let output = take(&config, &[]).output();
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("no snapshot: failed (config: InvalidTagFault: No.)"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn a_pause_is_taken_up_within_two_seconds_kept_over_restarts_and_ended_by_resume() {
    let (dir, sandbox) = (Dir::new(), Sandbox::of(&["dw"]));
    let mut daemon = daemon(&dir, &sandbox.url, EACH_FIVE_SECONDS);
    daemon.wait("one available", MINUTE, |rows| {
        in_state(rows, "available").count() >= 1
    });
    let paused = finish(&mut command(&daemon.config, &["pause", "often"]));
    assert!(paused.status.success(), "{}", stderr(&paused));
    let is_missed = |rows: &[Value]| in_state(rows, "missed").any(|row| row["reason"] == "paused");
    daemon.wait("a slot missed (paused)", MINUTE, is_missed);
    let metric = "redkeep_policy_paused_timestamp_seconds{policy=\"often\"} 1";
    assert!(daemon.metrics().contains(metric), "{}", daemon.metrics());
    daemon.kill_9();
    std::thread::sleep(Duration::from_secs(6));
    daemon.restart(&dir);
    let made = sandbox.requests("CreateClusterSnapshot").len();
    let before = daemon.history().len();
    daemon.wait("more slots", MINUTE, |rows| rows.len() >= before + 3);
    assert_eq!(sandbox.requests("CreateClusterSnapshot").len(), made);
    let resumed = finish(&mut command(&daemon.config, &["resume", "often"]));
    assert!(String::from_utf8_lossy(&resumed.stdout).contains("it had been paused since"));
    let rows = daemon.wait("available again", MINUTE, |rows| {
        rows.last().is_some_and(|row| row["state"] == "available")
    });
    assert!(!daemon.metrics().contains(metric));
    // Every slot from the first to the last has its one row, five seconds apart.
    let instants: Vec<chrono::DateTime<chrono::Utc>> = rows
        .iter()
        .map(|row| row["scheduled_at"].as_str().unwrap().parse().unwrap())
        .collect();
    for pair in instants.windows(2) {
        assert_eq!(
            pair[1] - pair[0],
            chrono::TimeDelta::seconds(5),
            "{instants:?}"
        );
    }
}

/// A daemon of one account and region, whose file has `more` accounts and regions by now.
fn outgrown(dir: &Dir, sandbox: &Sandbox) -> Daemon {
    let account =
        |regions: &str| format!("[[account]]\nname = \"default\"\nregions = [{regions}]\n");
    let before = account("\"us-east-1\"");
    let daemon = daemon(dir, &sandbox.url, &format!("{before}{YEARLY}"));
    let text = std::fs::read_to_string(&daemon.config).unwrap();
    let more = format!(
        "{}[[account]]\nname = \"other\"\nregions = [\"us-west-2\"]\nrole_arn = \
         \"arn:aws:iam::222233334444:role/r\"\n",
        account("\"us-east-1\", \"eu-west-1\"")
    );
    std::fs::write(&daemon.config, text.replace(&before, &more)).unwrap();
    daemon
}

#[test]
fn a_snapshot_in_a_region_that_the_daemon_has_not_read_of_yet_is_made_all_the_same() {
    let (dir, sandbox) = (Dir::new(), Sandbox::of(&["dw"]));
    let created = "CreateCluster&ClusterIdentifier=dw&NodeType=ra3.xlplus&MasterUsername=admin\
                   &MasterUserPassword=Passw0rd1&DBName=dev";
    assert_eq!(sandbox.aws_in("eu-west-1", "test", created).status, 200);
    let daemon = outgrown(&dir, &sandbox);
    let place = ["--account", "default", "--region", "eu-west-1"];
    let row = row(&take(&daemon.config, &place).output());
    assert_eq!(
        (&row["region"], &row["state"]),
        (&"eu-west-1".into(), &"available".into())
    );
}

#[test]
fn a_snapshot_in_an_account_that_the_daemon_has_not_read_of_yet_ends_at_once_and_says_so() {
    let places = [
        "--region",
        "us-east-1",
        "--region",
        "us-west-2",
        "--account",
        "111122223333",
        "--account",
        "222233334444",
    ];
    let (dir, sandbox) = (Dir::new(), Sandbox::taking("1", &["dw"], &places));
    let daemon = outgrown(&dir, &sandbox);
    let output = take(&daemon.config, &["--account", "other"]).output();
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let said = "no snapshot: failed (config: the running daemon does not know the account other: reload its \
        configuration, and try again)";
    assert!(stderr(&output).contains(said), "{}", stderr(&output));
    assert_eq!(in_state(&daemon.history(), "failed").count(), 1);
}

#[test]
fn status_shows_what_is_asked_for_and_paused_also_where_no_pair_is_active() {
    let (dir, sandbox) = (Dir::new(), Sandbox::taking("600", &["dw"], &[]));
    let other = YEARLY.replace("yearly", "other").replace("d*", "x*");
    let config = config(&dir, &sandbox.url, &format!("{YEARLY}{other}"));
    let taken = row(&take(&config, &["--no-wait"]).output());
    let paused = finish(&mut command(&config, &["pause", "other"]));
    assert!(paused.status.success(), "{}", stderr(&paused));
    let shown = finish(&mut command(&config, &["status", "--output", "json"]));
    let rows: Value = serde_json::from_slice(&shown.stdout).unwrap();
    // No daemon has run, so no pair has ever been active.
    assert_eq!(rows.as_array().unwrap().len(), 2, "{rows:#}");
    assert_eq!(
        (
            &rows[0]["cluster"],
            &rows[0]["in_progress"],
            &rows[0]["active_since"]
        ),
        (&"dw".into(), &taken["state"], &Value::Null)
    );
    assert_eq!(
        (&rows[1]["policy"], &rows[1]["cluster"]),
        (&"other".into(), &Value::Null)
    );
    assert!(rows[1]["paused_since"].is_string(), "{rows:#}");
}

#[test]
fn what_root_makes_in_the_directory_of_another_user_is_that_users() {
    use std::os::unix::fs::{MetadataExt, chown};
    let (dir, sandbox) = (Dir::new(), Sandbox::of(&["dw"]));
    let config = config(&dir, &sandbox.url, YEARLY);
    let state = dir.0.join("state");
    std::fs::create_dir(&state).unwrap();
    let (user, group) = (31_000, 31_001);
    if chown(&state, Some(user), Some(group)).is_err() {
        // Only root can give a directory away, and only root has to give a file away.
        return;
    }
    assert_eq!(row(&take(&config, &[]).output())["state"], "available");
    let mut names = Vec::new();
    for file in std::fs::read_dir(&state).unwrap().map(Result::unwrap) {
        let owner = file.metadata().unwrap();
        assert_eq!((owner.uid(), owner.gid()), (user, group), "{file:?}");
        names.push(file.file_name().into_string().unwrap());
    }
    assert!(names.iter().any(|name| name == "history.db"), "{names:?}");
    assert!(names.iter().any(|name| name == "lock"), "{names:?}");
}

#[test]
fn doctor_does_not_take_a_command_that_holds_the_state_directory_for_a_daemon() {
    let (dir, sandbox) = (Dir::new(), Sandbox::taking("600", &["dw"], &[]));
    let config = config(&dir, &sandbox.url, YEARLY);
    let person = take(&config, &[]);
    let creating = || in_state(&history(&config), "creating").count() == 1;
    eventually("creating", MINUTE, creating);
    let found = finish(&mut command(&config, &["doctor"]));
    let found = String::from_utf8_lossy(&found.stdout).into_owned();
    assert!(found.contains("daemon: only a command"), "{found}");
    drop(person);
    let daemon = daemon(&dir, &sandbox.url, YEARLY);
    let found = finish(&mut command(&daemon.config, &["doctor"]));
    let found = String::from_utf8_lossy(&found.stdout).into_owned();
    assert!(found.contains("daemon: a redkeep runs"), "{found}");
}
