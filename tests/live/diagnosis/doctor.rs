//! `doctor` against the sandbox, and on machines that are not as they should be.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::diagnosis::asked;
use crate::support::{Daemon, Dir, EACH_FIVE_SECONDS, Sandbox, free_port, in_state, redkeep};

const ACCOUNT: &str = "[[account]]\nname = \"prod\"\nregions = [\"us-east-1\", \"eu-west-1\"]\n";
const LIMIT: Duration = Duration::from_secs(10);

/// A policy file for `endpoint`, whose state directory is there and empty.
fn file(dir: &Dir, endpoint: &str) -> PathBuf {
    let state = dir.0.join("state");
    fs::create_dir(&state).unwrap();
    fs::set_permissions(state, Permissions::from_mode(0o700)).unwrap();
    dir.policy_file(endpoint, &format!("{ACCOUNT}{EACH_FIVE_SECONDS}"))
}

fn rows_of<'a>(rows: &'a [Value], check: &str) -> Vec<&'a Value> {
    rows.iter().filter(|row| row["check"] == check).collect()
}

fn results<'a>(rows: &'a [Value], check: &str) -> Vec<&'a str> {
    let results = rows_of(rows, check)
        .into_iter()
        .map(|row| row["result"].as_str().unwrap());
    results.collect()
}

fn failed(rows: &[Value]) -> Vec<&str> {
    let failed = rows.iter().filter(|row| row["result"] == "failed");
    failed.map(|row| row["check"].as_str().unwrap()).collect()
}

fn timed(config: &Path) -> (Vec<Value>, Option<i32>) {
    let started = Instant::now();
    let answer = asked(&["doctor"], config);
    assert!(started.elapsed() < LIMIT, "it took {:?}", started.elapsed());
    answer
}

#[test]
fn a_healthy_installation_is_ok_and_is_asked_for_no_change() {
    let (dir, sandbox) = (Dir::new(), Sandbox::of(&["dw"]));
    let daemon = Daemon::start(&dir, &sandbox.url, &format!("{ACCOUNT}{EACH_FIVE_SECONDS}"));
    daemon.wait("a snapshot", Duration::from_secs(60), |rows| {
        in_state(rows, "available").next().is_some()
    });
    let creates = |sandbox: &Sandbox| sandbox.requests("CreateClusterSnapshot").len();
    let (rows, code) = timed(&daemon.config);
    assert_eq!((failed(&rows).len(), code), (0, Some(0)), "{rows:#?}");
    for check in [
        "configuration",
        "time_zones",
        "state_directory",
        "daemon",
        "history",
        "daily_copy",
    ] {
        assert_eq!(results(&rows, check), ["ok"], "{check}: {rows:#?}");
    }
    for check in [
        "reachability",
        "clock",
        "identity",
        "redshift:DescribeClusters",
        "redshift:DescribeEvents",
    ] {
        assert_eq!(results(&rows, check), ["ok", "ok"], "{check}: {rows:#?}");
    }
    // A snapshot was accepted in the first region; nothing is known of the second.
    assert_eq!(
        results(&rows, "redshift:CreateClusterSnapshot"),
        ["ok", "warning"],
        "{rows:#?}"
    );
    drop(daemon);
    let before = creates(&sandbox);
    let (rows, code) = timed(&dir.0.join("redkeep.toml"));
    assert_eq!((results(&rows, "daemon"), code), (vec!["warning"], Some(0)));
    assert_eq!(creates(&sandbox), before);
}

#[test]
fn a_scope_that_hangs_delays_the_others_by_no_more_than_its_patience() {
    let (dir, sandbox) = (Dir::new(), Sandbox::of(&["dw"]));
    let config = file(&dir, &sandbox.url);
    sandbox.control(
        "POST",
        "/_sandbox/faults",
        r#"{"operation": "*", "region": "eu-west-1", "fault": {"kind": "hang"}}"#,
    );
    let (rows, code) = timed(&config);
    assert_eq!(
        (failed(&rows), code),
        (vec!["reachability"], Some(1)),
        "{rows:#?}"
    );
    assert_eq!(results(&rows, "reachability"), ["ok", "failed"]);
    sandbox.control(
        "PUT",
        "/_sandbox/faults",
        r#"[{"operation": "*", "fault": {"kind": "hang"}}]"#,
    );
    let (rows, code) = timed(&config);
    assert_eq!(
        (results(&rows, "reachability"), code),
        (vec!["failed", "failed"], Some(69))
    );
}

#[test]
fn a_port_that_nobody_listens_on_is_unreachable() {
    let dir = Dir::new();
    let config = file(&dir, &format!("http://127.0.0.1:{}", free_port()));
    let (rows, code) = timed(&config);
    assert_eq!(
        (results(&rows, "reachability"), code),
        (vec!["failed", "failed"], Some(69)),
        "{rows:#?}"
    );
}

#[test]
fn a_permission_that_lacks_is_a_finding_and_its_text_does_not_steer_the_terminal() {
    let (dir, sandbox) = (Dir::new(), Sandbox::of(&["dw"]));
    let config = file(&dir, &sandbox.url);
    sandbox.control(
        "POST",
        "/_sandbox/faults",
        r#"{"operation": "DescribeEvents", "region": "us-east-1",
            "fault": {"kind": "error", "code": "AccessDenied", "status": 403, "message": "not \u202eallowed"}}"#,
    );
    let (rows, code) = timed(&config);
    assert_eq!(
        (failed(&rows), code),
        (vec!["redshift:DescribeEvents"], Some(1)),
        "{rows:#?}"
    );
    let denied = rows_of(&rows, "redshift:DescribeEvents")[0];
    assert!(
        denied["found"]
            .as_str()
            .unwrap()
            .contains("not \u{202e}allowed"),
        "{denied}"
    );
    assert!(
        denied["advice"]
            .as_str()
            .unwrap()
            .contains("redkeep iam-policy --account prod"),
        "{denied}"
    );
    let output = redkeep(&["doctor", "--config", config.to_str().unwrap()]);
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(
        shown.contains("\\u{202e}allowed") && !shown.contains('\u{202e}'),
        "{shown}"
    );
}

#[test]
fn a_clock_that_is_off_is_told_by_how_much() {
    let (dir, sandbox) = (Dir::new(), Sandbox::of(&["dw"]));
    let config = file(&dir, &sandbox.url);
    sandbox.control("PUT", "/_sandbox/clock", r#"{"offset_seconds": 120}"#);
    let (rows, code) = timed(&config);
    assert_eq!(
        (results(&rows, "clock"), code),
        (vec!["warning", "warning"], Some(0)),
        "{rows:#?}"
    );
    sandbox.control("PUT", "/_sandbox/clock", r#"{"offset_seconds": 1200}"#);
    let (rows, code) = timed(&config);
    assert_eq!(
        (results(&rows, "clock"), code),
        (vec!["failed", "failed"], Some(1)),
        "{rows:#?}"
    );
    let found = rows_of(&rows, "clock")[0]["found"].as_str().unwrap();
    assert!(
        found.contains("m") && found.ends_with("behind AWS's"),
        "{found}"
    );
}

#[test]
fn modes_that_let_others_in_are_found() {
    let (dir, sandbox) = (Dir::new(), Sandbox::of(&["dw"]));
    let config = file(&dir, &sandbox.url);
    for (mode, result, code) in [
        (0o700, "ok", 0),
        (0o755, "warning", 0),
        (0o777, "failed", 1),
    ] {
        fs::set_permissions(dir.0.join("state"), Permissions::from_mode(mode)).unwrap();
        let (rows, got) = timed(&config);
        assert_eq!(
            (results(&rows, "state_directory"), got),
            (vec![result], Some(code)),
            "{mode:o}: {rows:#?}"
        );
    }
}

#[test]
fn a_history_that_is_not_there_is_a_warning_and_a_damaged_one_failed() {
    let (dir, sandbox) = (Dir::new(), Sandbox::of(&["dw"]));
    let config = file(&dir, &sandbox.url);
    let (rows, code) = timed(&config);
    assert_eq!(
        (results(&rows, "history"), code),
        (vec!["warning"], Some(0)),
        "{rows:#?}"
    );
    let database = dir.0.join("state/history.db");
    fs::write(&database, "no database at all, but long enough to be read").unwrap();
    let (rows, code) = timed(&config);
    assert_eq!(
        (failed(&rows), code),
        (vec!["history"], Some(1)),
        "{rows:#?}"
    );
    fs::remove_file(&database).unwrap();
    let mut daemon = Daemon::start(&dir, &sandbox.url, &format!("{ACCOUNT}{EACH_FIVE_SECONDS}"));
    daemon.wait("some slots", Duration::from_secs(60), |rows| rows.len() > 3);
    daemon.process.signal("-TERM");
    daemon.process.exit_code(Duration::from_secs(30));
    let mut bytes = fs::read(&database).unwrap();
    let middle = bytes.len() / 2;
    bytes
        .iter_mut()
        .skip(middle)
        .for_each(|byte| *byte = !*byte);
    fs::write(&database, bytes).unwrap();
    let (rows, code) = timed(&config);
    assert_eq!(
        (failed(&rows), code),
        (vec!["history"], Some(1)),
        "{rows:#?}"
    );
    let advice = rows_of(&rows, "history")[0]["advice"].as_str().unwrap();
    assert!(advice.contains("moves it aside"), "{advice}");
}

#[test]
fn the_embedded_sandbox_is_asked_only_while_it_runs() {
    let dir = Dir::new();
    let port = free_port();
    let text = format!(
        "state_dir = \"state\"\nlisten = \"127.0.0.1:{port}\"\nendpoint = \"sandbox\"\n{ACCOUNT}{EACH_FIVE_SECONDS}"
    );
    let config = dir.write("redkeep.toml", &text);
    let (rows, code) = timed(&config);
    assert_eq!(
        (results(&rows, "reachability"), code),
        (vec!["warning", "warning"], Some(0)),
        "{rows:#?}"
    );
    assert!(!dir.0.join("state").exists(), "it made the state directory");
    let daemon = Daemon::start_with(&dir, &config, port);
    let started = Instant::now();
    loop {
        let (rows, _) = timed(&config);
        if results(&rows, "reachability") == ["ok", "ok"] && failed(&rows).is_empty() {
            break;
        }
        assert!(
            started.elapsed() < Duration::from_secs(30),
            "{rows:#?}\n{}",
            daemon.log()
        );
    }
    drop(daemon);
    // Its address is still there, and nobody is asked under it.
    let (rows, code) = timed(&config);
    assert_eq!(
        (results(&rows, "reachability"), code),
        (vec!["warning", "warning"], Some(0)),
        "{rows:#?}"
    );
    let other = text.replace(
        "\"sandbox\"",
        &format!("\"http://127.0.0.1:{}\"", free_port()),
    );
    let (rows, _) = timed(&dir.write("other.toml", &other));
    assert_eq!(
        results(&rows, "history"),
        ["failed"],
        "a history of another kind: {rows:#?}"
    );
}

#[test]
fn a_bad_policy_file_is_all_that_is_told() {
    let dir = Dir::new();
    let config = dir.write(
        "redkeep.toml",
        "state_dir = \"state\"\nnamespace = \"A\"\nlisten = 3\n",
    );
    let (rows, code) = timed(&config);
    assert_eq!(code, Some(78));
    assert!(
        rows.len() >= 2 && failed(&rows).len() == rows.len(),
        "{rows:#?}"
    );
    assert!(
        rows.iter().all(|row| row["check"] == "configuration"),
        "{rows:#?}"
    );
}

#[test]
fn two_names_for_the_same_account_are_found() {
    let (dir, sandbox) = (Dir::new(), Sandbox::of(&["dw"]));
    let config = file(&dir, &sandbox.url);
    let text = fs::read_to_string(&config).unwrap();
    let role = "arn:aws:iam::000000000000:role/again";
    let second = format!(
        "[[account]]\nname = \"again\"\nregions = [\"us-east-1\"]\nrole_arn = \"{role}\"\n"
    );
    let config = dir.write("redkeep.toml", &format!("{text}{second}"));
    let (rows, code) = timed(&config);
    assert_eq!(
        (failed(&rows), code),
        (vec!["identity"], Some(1)),
        "{rows:#?}"
    );
}
