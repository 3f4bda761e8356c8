//! The real binary against the sandbox over HTTP.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test that cannot go on fails, and the tests of the real binary live in real time"
)]

use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::support::{
    Daemon, Dir, MINUTE, Sandbox, eventually, http, in_state, redkeep, soon_and_then_each_minute,
};

const EACH_FIVE_SECONDS: &str = r#"
[[policy]]
name = "often"
schedule = "*/5 * * * * *"
clusters = ["dw"]
retention = "7d"
tags = { team = "data" }
"#;

#[test]
fn a_slot_becomes_a_snapshot_that_is_followed_to_available_and_counted() {
    let (dir, sandbox) = (Dir::new(), Sandbox::of(&["dw"]));
    let daemon = Daemon::start(&dir, &sandbox.url, EACH_FIVE_SECONDS);
    let rows = daemon.wait("two available", MINUTE, |rows| {
        in_state(rows, "available").count() >= 2
    });
    let row = in_state(&rows, "available").next().unwrap();
    assert_eq!(row["policy"], "often");
    assert_eq!(row["attempts"], 1);
    assert_eq!(row["retention_days"], 7);
    assert_eq!(row["trigger"], "schedule");
    assert_eq!(row["tier"], "base");
    assert!(row["size_bytes"].as_u64().unwrap() > 0);
    let snapshot = &row["snapshot"];
    assert_eq!(snapshot["status"], "available");
    assert_eq!(snapshot["manual_snapshot_retention_period"], 7);
    assert_eq!(snapshot["tags"]["redkeep:slot"], row["scheduled_at"]);
    assert_eq!(snapshot["tags"]["team"], "data");
    let there = sandbox.snapshots();
    for row in in_state(&rows, "available") {
        assert!(there.contains(&row["snapshot_id"].as_str().unwrap().to_owned()));
    }
    let counted = r#"redkeep_runs_total{account="default",region="us-east-1",policy="often",cluster="dw",result="available"}"#;
    // What is shown may be a second old.
    eventually("two are counted", MINUTE, || {
        let metrics = daemon.metrics();
        let mut lines = metrics.lines();
        let count = lines.find_map(|line| line.strip_prefix(counted)?.trim().parse::<f64>().ok());
        count.is_some_and(|count| count >= 2.0)
    });
    assert_eq!(http(daemon.listen, "GET", "/healthz", "").status, 200);
    assert_eq!(http(daemon.listen, "GET", "/readyz", "").status, 200);
}

#[test]
fn a_kill_9_in_the_middle_loses_nothing_and_doubles_nothing() {
    let (dir, sandbox) = (Dir::new(), Sandbox::of(&["dw"]));
    let mut daemon = Daemon::start(&dir, &sandbox.url, EACH_FIVE_SECONDS);
    for round in 0..4 {
        let before = daemon.history().len();
        daemon.wait("a new run", MINUTE, |rows| rows.len() > before);
        std::thread::sleep(Duration::from_millis(37 * round));
        daemon.kill_9();
        daemon.restart(&dir);
    }
    let rows = daemon.wait("all settled", MINUTE, |rows| {
        in_state(rows, "available").count() >= 4
            && in_state(rows, "requested")
                .chain(in_state(rows, "due"))
                .next()
                .is_none()
    });
    let asked = sandbox.requests("CreateClusterSnapshot").len();
    let mut slots: Vec<_> = rows
        .iter()
        .map(|row| row["scheduled_at"].to_string())
        .collect();
    slots.dedup();
    assert_eq!(slots.len(), rows.len(), "a slot has two records");
    let recorded: Vec<_> = rows
        .iter()
        .map(|row| row["snapshot_id"].as_str().unwrap().to_owned())
        .collect();
    for snapshot in sandbox.snapshots() {
        assert!(recorded.contains(&snapshot), "{snapshot} is in no record");
    }
    assert!(asked >= sandbox.snapshots().len());
}

#[test]
fn a_lost_reply_is_looked_up_and_the_snapshot_adopted() {
    let (dir, sandbox) = (Dir::new(), Sandbox::of(&["dw"]));
    sandbox.control(
        "POST",
        "/_sandbox/faults",
        r#"{"operation":"CreateClusterSnapshot","times":1,"fault":{"kind":"lost_reply"}}"#,
    );
    let daemon = Daemon::start(&dir, &sandbox.url, EACH_FIVE_SECONDS);
    let rows = daemon.wait("one available", MINUTE, |rows| {
        in_state(rows, "available").count() >= 1
    });
    assert_eq!(rows[0]["state"], "available", "{rows:#?}");
    assert_eq!(rows[0]["attempts"], 1);
}

#[test]
fn a_cluster_that_is_busy_for_a_moment_still_gets_its_snapshot() {
    let (dir, sandbox) = (Dir::new(), Sandbox::of(&["dw"]));
    sandbox.control(
        "POST",
        "/_sandbox/faults",
        r#"{"operation":"CreateClusterSnapshot","times":1,"fault":{"kind":"error","code":"InvalidClusterState","status":400,"message":"busy with something"}}"#,
    );
    let policy = EACH_FIVE_SECONDS.replace("*/5 * * * * *", &soon_and_then_each_minute());
    let daemon = Daemon::start(&dir, &sandbox.url, &policy);
    let rows = daemon.wait("available after a refusal", MINUTE * 2, |rows| {
        rows.iter()
            .any(|row| row["state"] == "available" && row["attempts"] == 2)
    });
    let row = rows.iter().find(|row| row["attempts"] == 2).unwrap();
    assert_eq!(row["reason"], serde_json::Value::Null);
}

#[test]
fn a_refusal_for_good_is_recorded_with_the_words_of_aws() {
    for (code, word) in [
        ("InvalidTagFault", "config"),
        ("TagLimitExceededFault", "config"),
        ("InvalidRetentionPeriodFault", "config"),
    ] {
        let (dir, sandbox) = (Dir::new(), Sandbox::of(&["dw"]));
        let fault = format!(
            r#"{{"operation":"CreateClusterSnapshot","fault":{{"kind":"error","code":"{code}","status":400,"message":"a message of AWS's"}}}}"#
        );
        sandbox.control("POST", "/_sandbox/faults", &fault);
        let daemon = Daemon::start(&dir, &sandbox.url, EACH_FIVE_SECONDS);
        let rows = daemon.wait(code, MINUTE, |rows| {
            in_state(rows, "failed").next().is_some()
        });
        let reason = in_state(&rows, "failed").next().unwrap()["reason"]
            .as_str()
            .unwrap()
            .to_owned();
        assert_eq!(reason, format!("{word}: {code}: a message of AWS's"));
    }
}

#[test]
fn a_snapshot_under_our_name_that_contradicts_is_a_conflict_and_stays_untouched() {
    let (dir, sandbox) = (Dir::new(), Sandbox::of(&["dw"]));
    let policy = EACH_FIVE_SECONDS.replace("*/5 * * * * *", "*/20 * * * * *");
    let daemon = Daemon::start(&dir, &sandbox.url, &policy);
    let config = daemon.config.to_str().unwrap();
    let plan = redkeep(&[
        "plan", "--config", config, "--count", "2", "--output", "json",
    ]);
    let plan: Vec<serde_json::Value> = serde_json::from_slice(&plan.stdout).unwrap();
    let id = plan[1]["snapshot_id"].as_str().unwrap().to_owned();
    foreign_snapshot(&sandbox, &id);
    let rows = daemon.wait("a conflict", MINUTE, |rows| {
        in_state(rows, "conflict").next().is_some()
    });
    let row = in_state(&rows, "conflict").next().unwrap();
    assert_eq!(row["snapshot_id"], id.as_str());
    assert!(
        row["reason"]
            .as_str()
            .unwrap()
            .contains("redkeep:namespace"),
        "{row:#}"
    );
}

fn foreign_snapshot(sandbox: &Sandbox, id: &str) {
    let form = format!(
        "CreateClusterSnapshot&SnapshotIdentifier={id}&ClusterIdentifier=dw\
         &Tags.Tag.1.Key=redkeep:namespace&Tags.Tag.1.Value=somebody-else"
    );
    let answer = sandbox.aws("OTHER", &form);
    assert_eq!(answer.status, 200, "{}", answer.body);
}

#[test]
fn a_failed_snapshot_is_explained_and_tried_once_more() {
    let (dir, sandbox) = (Dir::new(), Sandbox::of(&["dw"]));
    sandbox.control(
        "POST",
        "/_sandbox/faults",
        r#"{"operation":"CreateClusterSnapshot","times":1,"fault":{"kind":"fail_snapshot","message":"the node was lost"}}"#,
    );
    let policy = EACH_FIVE_SECONDS.replace("*/5 * * * * *", &soon_and_then_each_minute());
    let daemon = Daemon::start(&dir, &sandbox.url, &policy);
    let rows = daemon.wait("a second generation", MINUTE * 2, |rows| {
        rows.iter()
            .any(|row| row["state"] == "available" && row["attempts"] == 2)
    });
    let row = rows.iter().find(|row| row["attempts"] == 2).unwrap();
    assert!(
        row["snapshot_id"].as_str().unwrap().ends_with("-r1"),
        "{row:#}"
    );
    assert!(daemon.log().contains("the node was lost"));
}

#[test]
fn a_second_daemon_on_the_same_state_directory_exits_with_75() {
    let (dir, sandbox) = (Dir::new(), Sandbox::of(&["dw"]));
    let daemon = Daemon::start(&dir, &sandbox.url, EACH_FIVE_SECONDS);
    eventually("the first one listens", MINUTE, || {
        std::net::TcpStream::connect(daemon.listen).is_ok()
    });
    let second = redkeep(&["run", "--config", daemon.config.to_str().unwrap()]);
    assert_eq!(second.status.code(), Some(75));
    assert!(
        String::from_utf8_lossy(&second.stderr)
            .contains("another redkeep uses the state directory")
    );
}

#[test]
fn sigterm_ends_it_at_once_and_snapshots_are_not_waited_for() {
    let (dir, sandbox) = (Dir::new(), Sandbox::of(&["dw"]));
    sandbox.control("PUT", "/_sandbox/limits", r#"{"snapshot_seconds":3600}"#);
    let mut daemon = Daemon::start(&dir, &sandbox.url, EACH_FIVE_SECONDS);
    daemon.wait("creating", MINUTE, |rows| {
        in_state(rows, "creating").next().is_some()
    });
    daemon.process.signal("-TERM");
    assert_eq!(daemon.process.exit_code(Duration::from_secs(5)), Some(0));
    assert!(in_state(&daemon.history(), "creating").next().is_some());
}

/// What only reads the history shows it beside a broken policy file, and says that the file is broken.
fn assert_readable(config: &Path) {
    let file = config.to_str().unwrap();
    let history = ["history", "--config", file, "--output", "json"];
    let status = ["status", "--config", file, "--output", "json"];
    let mut snapshot = String::new();
    for command in [&history[..], &status[..]] {
        let output = redkeep(command);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let rows: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(rows[0]["cluster"], "dw", "{rows:?}");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains("the policy file is not valid"), "{said}");
        assert!(said.contains(&format!("warning: {file}:")), "{said}");
        let id = rows[0]["snapshot_id"].as_str().map(str::to_owned);
        snapshot = id.unwrap_or(snapshot);
    }
    let shown = redkeep(&["show", &snapshot, "--config", file]);
    assert_eq!(shown.status.code(), Some(0), "{shown:?}");
    let checked = redkeep(&["status", "--check", "--config", file]);
    assert_eq!(checked.status.code(), Some(78), "{checked:?}");
}

#[test]
fn sighup_takes_a_good_file_and_refuses_a_broken_one() {
    let (dir, sandbox) = (Dir::new(), Sandbox::of(&["dw"]));
    let daemon = Daemon::start(&dir, &sandbox.url, EACH_FIVE_SECONDS);
    daemon.wait("a run", MINUTE, |rows| !rows.is_empty());
    let good = std::fs::read_to_string(&daemon.config).unwrap();
    // Broken, and as an editor may leave it that writes it anew just then.
    let half = good.split_at(good.len() - 15).0;
    for (count, bad) in [&format!("{good}\n[[policy]\nbroken"), half]
        .iter()
        .enumerate()
    {
        std::fs::write(&daemon.config, bad).unwrap();
        daemon.process.signal("-HUP");
        eventually("it is told", MINUTE, || {
            daemon.log().matches("configuration not reloaded").count() == count + 1
        });
        // The log tells before the metrics are published.
        eventually("the metrics tell", MINUTE, || {
            let metrics = daemon.metrics();
            metrics.contains("redkeep_config_last_reload_successful 0")
        });
        assert_readable(&daemon.config);
        // The old one stays in force: its slots go on.
        std::fs::write(&daemon.config, &good).unwrap();
        let before = daemon.history().len();
        daemon.wait("more slots", MINUTE, |rows| rows.len() >= before + 2);
    }
    std::fs::write(&daemon.config, good.replace("\"often\"", "\"renamed\"")).unwrap();
    daemon.process.signal("-HUP");
    eventually(
        "the new policy is in the metrics, the old one is not",
        MINUTE,
        || {
            let metrics = daemon.metrics();
            metrics.contains("redkeep_config_last_reload_successful 1")
                && metrics.contains("policy=\"renamed\"")
                && !metrics.contains("policy=\"often\",cluster=\"dw\"")
        },
    );
}

#[test]
fn trouble_of_a_region_ends_in_the_log_when_it_is_over_and_not_when_the_region_leaves_the_file() {
    const WORKS_AGAIN: &str = "listing works again scope=default/eu-west-1";
    let (dir, sandbox) = (Dir::new(), Sandbox::of(&["dw"]));
    let fault = |times: u32| {
        let rule = format!(
            r#"[{{"operation": "DescribeClusterSnapshots", "region": "eu-west-1", "times": {times},
                "fault": {{"kind": "error", "code": "AccessDenied"}}}}]"#
        );
        sandbox.control("PUT", "/_sandbox/faults", &rule);
    };
    fault(1000);
    let two = "[[account]]\nname = \"default\"\nregions = [\"us-east-1\", \"eu-west-1\"]\n";
    let daemon = Daemon::start(&dir, &sandbox.url, &format!("{two}{EACH_FIVE_SECONDS}"));
    let failures = || {
        daemon
            .log()
            .matches("listing failed scope=default/eu-west-1")
            .count()
    };
    eventually("the trouble is told", MINUTE, || failures() == 1);
    let valid = std::fs::read_to_string(&daemon.config).unwrap();
    let reload = |text: &str| {
        let before = daemon.log().matches("configuration reloaded").count();
        std::fs::write(&daemon.config, text).unwrap();
        daemon.process.signal("-HUP");
        eventually("it is reloaded", MINUTE, || {
            daemon.log().matches("configuration reloaded").count() > before
        });
    };
    reload(&valid.replace(", \"eu-west-1\"", ""));
    let runs = daemon.history().len();
    daemon.wait("the loop has gone on", MINUTE, |rows| rows.len() > runs);
    assert!(!daemon.log().contains(WORKS_AGAIN), "{}", daemon.log());
    fault(1);
    reload(&valid);
    eventually("the trouble is told again", MINUTE, || failures() == 2);
    eventually("its end is told", MINUTE, || {
        daemon.log().contains(WORKS_AGAIN)
    });
}

#[test]
fn a_second_snapshot_is_skipped_while_the_first_is_being_made() {
    let (dir, sandbox) = (Dir::new(), Sandbox::of(&["dw"]));
    sandbox.control("PUT", "/_sandbox/limits", r#"{"snapshot_seconds":3600}"#);
    let daemon = Daemon::start(&dir, &sandbox.url, EACH_FIVE_SECONDS);
    let rows = daemon.wait("skipped", MINUTE, |rows| {
        in_state(rows, "skipped").count() >= 2
    });
    assert_eq!(in_state(&rows, "creating").count(), 1);
    assert_eq!(
        in_state(&rows, "skipped").next().unwrap()["reason"],
        "overlap"
    );
    assert_eq!(sandbox.snapshots().len(), 1);
}

#[test]
fn two_policies_on_one_cluster_queue_and_both_get_their_snapshot() {
    let (dir, sandbox) = (Dir::new(), Sandbox::of(&["dw"]));
    let policy = EACH_FIVE_SECONDS.replace("*/5 * * * * *", &soon_and_then_each_minute());
    let policies = format!("{policy}{}", policy.replace("often", "also"));
    let daemon = Daemon::start(&dir, &sandbox.url, &policies);
    daemon.wait("both", MINUTE * 2, |rows| {
        let of = |policy: &str| in_state(rows, "available").any(|row| row["policy"] == policy);
        of("often") && of("also")
    });
}

#[test]
fn a_cluster_that_does_not_exist_is_tried_three_times_and_then_failed() {
    let (dir, sandbox) = (Dir::new(), Sandbox::of(&["dw"]));
    let policy = EACH_FIVE_SECONDS
        .replace("*/5 * * * * *", &soon_and_then_each_minute())
        .replace("\"dw\"", "\"nowhere\"");
    let daemon = Daemon::start(&dir, &sandbox.url, &policy);
    let rows = daemon.wait("failed or expired", Duration::from_secs(120), |rows| {
        in_state(rows, "failed").next().is_some()
    });
    let row = in_state(&rows, "failed").next().unwrap();
    assert_eq!(row["attempts"], 3, "{row:#}");
    assert!(
        row["reason"]
            .as_str()
            .unwrap()
            .starts_with("not_found: ClusterNotFound"),
        "{row:#}"
    );
}

#[test]
fn one_pass_takes_what_is_due_waits_for_it_and_ends() {
    let (dir, sandbox) = (Dir::new(), Sandbox::of(&["dw"]));
    let mut daemon = Daemon::start(&dir, &sandbox.url, EACH_FIVE_SECONDS);
    daemon.wait("active", MINUTE, |rows| !rows.is_empty());
    daemon.process.signal("-TERM");
    daemon.process.exit_code(Duration::from_secs(10));
    std::thread::sleep(Duration::from_secs(6));
    let before = in_state(&daemon.history(), "available").count();
    let once = redkeep(&["run", "--once", "--config", daemon.config.to_str().unwrap()]);
    let rows = daemon.history();
    assert!(in_state(&rows, "available").count() > before, "{rows:#?}");
    assert!(
        rows.iter()
            .all(|row| !["due", "requested", "creating"].contains(&row["state"].as_str().unwrap()))
    );
    assert!(once.status.code().is_some());
}
