//! `forecast`, `coverage`, `report` and the `rpo` of `status`, by the real binary against the sandbox.
#![expect(
    clippy::panic,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test that cannot go on fails, and the tests of the real binary live in real time"
)]

use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::{Duration, Instant};

use crate::support::{Daemon, Dir, Sandbox, free_port, in_state, redkeep};
use chrono::{DateTime, TimeDelta};
use redkeep::history::{Change, PairState};
use redkeep::slot::{Pair, Scope};
use redkeep::store::{EndpointKind, Store};
use serde_json::Value;

const ACCOUNT: &str =
    "[[account]]\nname = \"prod\"\nregions = [\"us-east-1\"]\nsnapshot_quota = 30\n";

fn policy(name: &str, schedule: &str, clusters: &str, more: &str) -> String {
    format!(
        "[[policy]]\nname = \"{name}\"\nschedule = \"{schedule}\"\nclusters = [{clusters}]\nretention = \"35d\"\n{more}\n"
    )
}

/// A policy file for commands without a daemon.
fn config(dir: &Dir, endpoint: &str, policies: &str) -> PathBuf {
    dir.policy_file(endpoint, &format!("{ACCOUNT}{policies}"))
}

fn ask(config: &Path, words: &[&str]) -> Output {
    redkeep(&[words, &["--config", config.to_str().unwrap()]].concat())
}

/// What a command prints as JSON, and its exit code.
fn rows(config: &Path, words: &[&str]) -> (Vec<Value>, i32) {
    let output = ask(config, &[words, &["--output", "json"]].concat());
    let rows = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
    (rows, output.status.code().unwrap())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

const NOWHERE: &str = "http://127.0.0.1:9";

#[test]
fn forecast_shows_the_level_the_quota_and_who_contributes_in_every_form() {
    let dir = Dir::new();
    let policies = policy("nightly", "30 2 * * *", "\"dw\", \"x-*\"", "");
    let config = config(&dir, NOWHERE, &policies);
    let (found, code) = rows(&config, &["forecast"]);
    let row = &found[0];
    assert_eq!((found.len(), code), (1, 0));
    assert_eq!(
        (
            &row["held"],
            &row["peak"],
            &row["steady"],
            &row["snapshot_quota"]
        ),
        (&0.into(), &72.into(), &72.into(), &30.into())
    );
    assert!(row["over_quota_at"].is_string());
    assert_eq!(row["policies"][0]["policy"], "nightly");
    assert_eq!(row["policies"][0]["peak"], 72);

    let (days, _) = rows(&config, &["forecast", "--daily", "--days", "40"]);
    assert_eq!(days.len(), 41);
    // The last day is not a whole one: at night it ends before its slot.
    assert_eq!(days[39]["held"], 72);
    let csv = text(&ask(&config, &["forecast", "--daily", "--output", "csv"]).stdout);
    assert!(
        csv.starts_with("account,region,date,held,snapshot_quota\nprod,us-east-1,20"),
        "{csv}"
    );

    let picture = dir.0.join("forecast.svg");
    let words = [
        "forecast",
        "--svg",
        picture.to_str().unwrap(),
        "--days",
        "20",
    ];
    let output = ask(&config, &words);
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(
        out.contains("quota of 30") && out.contains("30 | -") && out.contains('*'),
        "{out}"
    );
    assert!(err.contains("does not settle within 20 days"), "{err}");
    assert!(err.contains("which clusters \"x-*\" matches"), "{err}");
    let svg = std::fs::read_to_string(picture).unwrap();
    for part in [
        "<svg",
        "Number of manual snapshots",
        "prod/us-east-1: quota 30",
        "date (UTC)",
        "</svg>",
    ] {
        assert!(svg.contains(part), "no {part} in {svg}");
    }
}

#[test]
fn a_minutely_policy_over_a_year_is_foretold_at_once() {
    let dir = Dir::new();
    let tiers = "{ base = \"14d\", weekly = \"8w\", monthly = \"13mo\", yearly = \"7y\" }";
    let policies = policy("often", "* * * * *", "\"dw\"", "").replace("\"35d\"", tiers);
    let config = config(&dir, NOWHERE, &policies);
    let began = Instant::now();
    let (found, _) = rows(&config, &["forecast"]);
    // Well under a second where it is built for use; a test is built without optimisation.
    assert!(
        began.elapsed() < Duration::from_secs(15),
        "{:?}",
        began.elapsed()
    );
    assert!(found[0]["peak"].as_u64().unwrap() > 20_000);
}

#[test]
fn check_warns_of_a_quota_that_will_be_passed_and_says_by_whom() {
    let dir = Dir::new();
    let policies = policy("nightly", "30 2 * * *", "\"dw\"", "")
        + &policy("weekly", "0 3 * * 0", "\"dw\"", "");
    let output = ask(&config(&dir, NOWHERE, &policies), &["check"]);
    let err = text(&output.stderr);
    assert_eq!(output.status.code(), Some(0));
    assert!(
        err.contains("prod/us-east-1: the policies will keep up to 41 manual snapshots (nightly 36, weekly 5)"),
        "{err}"
    );
    // A pattern of which nothing is known counts as one cluster, which is said.
    let output = ask(
        &config(&dir, NOWHERE, &policies.replace("\"dw\"", "\"dw-*\"")),
        &["check"],
    );
    let err = text(&output.stderr);
    for said in [
        "note: nightly: it is not known yet which clusters \"dw-*\" matches; the pattern counts as one cluster",
        "warning: prod/us-east-1: the policies will keep up to 41 manual snapshots",
    ] {
        assert!(err.contains(said), "{err}");
    }
}

#[test]
fn coverage_finds_what_no_policy_protects_and_the_daemon_counts_it() {
    let (dir, sandbox) = (
        Dir::new(),
        Sandbox::start(&[
            "--cluster",
            "dw",
            "--cluster",
            "spare",
            "--snapshot-seconds",
            "1",
        ]),
    );
    let policies =
        policy("often", "*/2 * * * * *", "\"dw\"", "") + &policy("vain", "@yearly", "\"x-*\"", "");
    let port = free_port();
    let file = config(&dir, &sandbox.url, &policies);
    let text_of = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("listen = \"127.0.0.1:{port}\"\n{text_of}")).unwrap();
    let words = |rows: &[Value]| -> Vec<String> {
        let word = |row: &Value| format!("{} {} {}", row["finding"], row["cluster"], row["policy"]);
        rows.iter().map(|row| word(row).replace('"', "")).collect()
    };
    let (found, code) = rows(&file, &["coverage"]);
    assert_eq!(code, 1);
    assert_eq!(
        words(&found),
        [
            "unprotected spare null",
            "no_good_snapshot dw often",
            "matches_nothing null vain"
        ]
    );
    let daemon = Daemon::start_with(&dir, &file, port);
    daemon.wait("a good snapshot", Duration::from_secs(60), |rows| {
        in_state(rows, "available").next().is_some()
    });
    let (found, _) = rows(&file, &["coverage"]);
    assert_eq!(
        words(&found),
        ["unprotected spare null", "matches_nothing null vain"]
    );
    let metric = "redkeep_unprotected_clusters{account=\"prod\",region=\"us-east-1\"} 1";
    assert!(daemon.metrics().contains(metric), "{}", daemon.metrics());
    drop(daemon);

    let all = policy("all", "@yearly", "\"*\"", "enabled = false") + &policies;
    let named = text_of.split("[[policy]]").next().unwrap();
    std::fs::write(&file, format!("{named}{all}")).unwrap();
    let (found, _) = rows(&file, &["coverage"]);
    assert!(
        found[0]["detail"]
            .as_str()
            .unwrap()
            .contains("the policy all"),
        "{found:?}"
    );

    let mended = policy("often", "@yearly", "\"dw\", \"spare\"", "");
    std::fs::write(&file, format!("{named}{mended}")).unwrap();
    let taken = ask(&file, &["take", "--policy", "often", "--cluster", "spare"]);
    assert!(taken.status.success(), "{taken:?}");
    let output = ask(&file, &["coverage"]);
    let told = text(&output.stderr);
    assert_eq!(
        (output.status.code(), text(&output.stdout)),
        (Some(0), String::new()),
        "{told}"
    );
    assert!(told.contains("policies protect all clusters (2)"), "{told}");
}

#[test]
fn coverage_and_report_say_what_they_could_not_ask() {
    let dir = Dir::new();
    let config = config(&dir, NOWHERE, &policy("p", "@yearly", "\"dw\"", ""));
    let (found, code) = rows(&config, &["coverage"]);
    assert_eq!((found[0]["finding"].as_str(), code), (Some("not_seen"), 69));
    assert_eq!(
        ask(&config, &["report"]).status.code(),
        Some(1),
        "there is no history"
    );
}

#[test]
fn report_counts_the_slots_tells_breaches_and_compares_with_what_aws_holds() {
    let (dir, sandbox) = (
        Dir::new(),
        Sandbox::start(&["--cluster", "dw", "--snapshot-seconds", "1"]),
    );
    let policies = policy("often", "*/2 * * * * *", "\"dw\"", "rpo = \"1m\"");
    let port = free_port();
    let file = config(&dir, &sandbox.url, &policies);
    let text_of = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("listen = \"127.0.0.1:{port}\"\n{text_of}")).unwrap();
    let mut daemon = Daemon::start_with(&dir, &file, port);
    let history = daemon.wait("three good snapshots", Duration::from_secs(90), |rows| {
        in_state(rows, "available").count() >= 3
    });
    let metrics = daemon.metrics();
    assert!(metrics.contains("redkeep_rpo_seconds{"), "{metrics}");
    daemon.process.signal("-TERM");
    daemon.process.exit_code(Duration::from_secs(30));

    let (found, _) = rows(&file, &["report", "--since", "1h"]);
    let row = &found[0];
    let history_now = crate::support::history(&file);
    assert!(history_now.len() >= history.len());
    let number = |row: &Value, field: &str| row[field].as_u64().unwrap();
    assert_eq!(number(row, "slots") as usize, history_now.len());
    let good = in_state(&history_now, "available").count();
    assert_eq!(number(row, "available") as usize, good);
    assert_eq!(row["rpo_seconds"], 60);
    assert!(row["worst_gap_seconds"].is_u64(), "{row}");
    assert_eq!(row["is_reconciled"], true);
    assert_eq!(
        (
            row["not_at_aws"].as_array().unwrap().len(),
            &row["not_recorded"]
        ),
        (0, &Value::Array(Vec::new()))
    );

    // Somebody deletes one, which nothing has seen yet.
    let lost = in_state(&history_now, "available").next().unwrap()["snapshot_id"]
        .as_str()
        .unwrap();
    let answer = sandbox.aws(
        "test",
        &format!("DeleteClusterSnapshot&SnapshotIdentifier={lost}"),
    );
    assert_eq!(answer.status, 200, "{}", answer.body);
    let (found, code) = rows(&file, &["report", "--since", "1h"]);
    assert_eq!((&found[0]["not_at_aws"][0], code), (&lost.into(), 1));
    assert_eq!(found[0]["is_finding"], true);

    // An hour ago there was nothing, and nothing is a finding.
    let (found, _) = rows(&file, &["report", "--since", "2h", "--until", "1h"]);
    assert_eq!(number(&found[0], "slots"), 0);
    assert_eq!(found[0]["rpo_breaches"], Value::Array(Vec::new()));

    drop(sandbox);
    let output = ask(&file, &["report", "--since", "1h", "--output", "json"]);
    let told: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&told[0]["is_reconciled"], &told[0]["not_at_aws"]),
        (&false.into(), &Value::Null)
    );
    assert!(
        text(&output.stderr).contains("not reconciled with AWS"),
        "{}",
        text(&output.stderr)
    );
}

/// A policy that has been active for long, and has no snapshot.
#[tokio::test]
async fn a_pair_without_a_good_snapshot_for_longer_than_its_rpo_is_overdue() {
    let dir = Dir::new();
    let file = config(
        &dir,
        NOWHERE,
        &policy("p", "@daily", "\"dw\"", "rpo = \"26h\""),
    );
    let database = dir.0.join("state").join("history.db");
    let since = DateTime::UNIX_EPOCH + TimeDelta::days(20_000);
    let opened = Store::open(&database, EndpointKind::Other, since).unwrap();
    let pair = Pair {
        policy: "p".parse().unwrap(),
        scope: Scope {
            account: "prod".parse().unwrap(),
            region: "us-east-1".parse().unwrap(),
        },
        cluster: "dw".parse().unwrap(),
    };
    let state = PairState {
        active_from: since,
        watermark: since,
        schedule: "@daily".to_owned(),
        timezone: "UTC".to_owned(),
        clocks: None,
        cluster_created_at: None,
        closed_at: None,
        cluster_gone_at: None,
    };
    opened
        .store
        .commit(vec![Change::Pair(pair, state)])
        .await
        .unwrap();
    opened.store.close().await.unwrap();

    let (found, code) = rows(&file, &["status"]);
    assert_eq!(
        (&found[0]["rpo_seconds"], &found[0]["is_overdue"], code),
        (&93_600.into(), &true.into(), 0)
    );
    assert_eq!(rows(&file, &["status", "--check"]).1, 1);
    let shown = text(&ask(&file, &["status"]).stdout);
    assert!(shown.contains("older than rpo (1d 2h) for "), "{shown}");
    let (found, code) = rows(&file, &["report", "--since", "1h"]);
    let breach = &found[0]["rpo_breaches"][0];
    assert_eq!(
        (&breach["from"], &breach["until"], code),
        (&"2024-10-05T02:00:00Z".into(), &Value::Null, 1)
    );
    assert_eq!(
        (&found[0]["is_overdue"], &found[0]["worst_gap_seconds"]),
        (&true.into(), &Value::Null)
    );

    let without = std::fs::read_to_string(&file)
        .unwrap()
        .replace("rpo = \"26h\"", "");
    std::fs::write(&file, without).unwrap();
    // As if a daemon ran: without one the check fails.
    let lock = std::fs::File::create(dir.0.join("state/lock")).unwrap();
    lock.lock().unwrap();
    let (found, code) = rows(&file, &["status", "--check"]);
    assert_eq!(
        (&found[0]["rpo_seconds"], &found[0]["is_overdue"], code),
        (&Value::Null, &Value::Null, 0)
    );
}
