//! `redkeep status`, by the real binary: the newest outcome counts, and so does that nobody makes the next one.
#![expect(
    clippy::panic,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test that cannot go on fails, and the tests of the real binary live in real time"
)]

use std::fs::File;
use std::path::PathBuf;
use std::process::Output;
use std::time::{Duration, Instant};

use crate::support::{Daemon, Dir, Sandbox, in_state, often, redkeep};
use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use redkeep::history::{Change, MissedRange, PairState};
use redkeep::names::Retention;
use redkeep::names::{Tier, Trigger};
use redkeep::run::{Event, Missed, Outcome, Run, SnapshotSpec};
use redkeep::slot::{Pair, Scope, Slot};
use redkeep::snapshot::{Generation, Snapshot, SnapshotId};
use redkeep::store::{EndpointKind, Store};
use serde_json::Value;

fn pair() -> Pair {
    Pair {
        policy: "often".parse().unwrap(),
        scope: Scope {
            account: "prod".parse().unwrap(),
            region: "us-east-1".parse().unwrap(),
        },
        cluster: "dw".parse().unwrap(),
    }
}

/// A run of so many minutes after `from`, and what has happened to it.
fn run(from: DateTime<Utc>, minute: i64, events: &[Event]) -> Run {
    let scheduled_at = from + TimeDelta::minutes(minute);
    let slot = Slot {
        pair: pair(),
        scheduled_at,
    };
    let namespace = "redkeep".parse().unwrap();
    let request = SnapshotSpec {
        snapshot_id: SnapshotId::derive(&namespace, &slot, Generation::First),
        retention: Retention::Forever,
        tier: Tier::Base,
        tier_reason: None,
        tags: Default::default(),
        starts_at: scheduled_at,
        deadline: scheduled_at + TimeDelta::minutes(1),
        completion_window: TimeDelta::hours(24),
        interval: TimeDelta::minutes(1),
    };
    let due = Run::due(slot, Trigger::Schedule, request);
    events.iter().fold(due, |run, event| {
        run.apply(event.clone(), scheduled_at).unwrap()
    })
}

fn seen(created_at: DateTime<Utc>) -> Event {
    let snapshot = Snapshot {
        status: Some("available".to_owned()),
        snapshot_create_time: Some(created_at),
        ..Snapshot::default()
    };
    Event::Seen {
        snapshot: snapshot.into(),
        look_at: created_at,
    }
}

fn expired() -> [Event; 3] {
    let judged = Event::Concluding {
        verdict: Outcome::Expired("cluster paused".into()),
        message: None,
    };
    [Event::Asked, judged, Event::Absent]
}

/// A history with these changes, and the policy file.
async fn past(dir: &Dir, from: DateTime<Utc>, changes: Vec<Change>) -> PathBuf {
    let state = PairState {
        active_from: from - TimeDelta::minutes(1),
        watermark: from + TimeDelta::minutes(3),
        schedule: "* * * * *".to_owned(),
        timezone: "UTC".to_owned(),
        clocks: None,
        cluster_created_at: None,
        closed_at: None,
        cluster_gone_at: None,
    };
    let database = dir.0.join("state/history.db");
    let opened = Store::open(&database, EndpointKind::Other, from).unwrap();
    let begun = Change::Pair(pair(), state);
    opened
        .store
        .commit([vec![begun], changes].concat())
        .await
        .unwrap();
    opened.store.close().await.unwrap();
    let account = "[[account]]\nname = \"prod\"\nregions = [\"us-east-1\"]\n";
    let text = format!(
        "state_dir = \"state\"\nendpoint = \"http://127.0.0.1:9\"\n{account}{}",
        often("* * * * *", "dw")
    );
    dir.write("redkeep.toml", &text)
}

/// Holds the state directory, as a daemon does.
fn daemons_lock(dir: &Dir) -> File {
    let lock = File::create(dir.0.join("state/lock")).unwrap();
    lock.lock().unwrap();
    lock
}

fn status(config: &std::path::Path, more: &[&str]) -> Output {
    let file = ["status", "--config", config.to_str().unwrap()];
    redkeep(&[&file[..], more].concat())
}

fn rows(output: &Output) -> Vec<Value> {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn an_hour_ago() -> DateTime<Utc> {
    let now = Utc::now() - TimeDelta::hours(1);
    now.duration_trunc(TimeDelta::minutes(1)).unwrap()
}

#[tokio::test]
async fn the_newest_run_that_has_ended_counts_also_while_the_next_is_under_way() {
    let (dir, from) = (Dir::new(), an_hour_ago());
    let history = [
        run(from, 0, &[Event::Asked, seen(from)]),
        run(from, 1, &expired()),
        run(from, 2, &expired()),
        run(from, 3, &[Event::Asked]),
    ];
    let states = history.each_ref().map(Run::word);
    assert_eq!(states, ["available", "expired", "expired", "requested"]);
    let changes = history.map(|run| Change::Run(Box::new(run)));
    let config = past(&dir, from, changes.into()).await;
    let _daemon = daemons_lock(&dir);
    let output = status(&config, &["--output", "json", "--check"]);
    let row = &rows(&output)[0];
    assert_eq!(
        (&row["last_result"], &row["in_progress"]),
        (&"expired".into(), &"requested".into())
    );
    assert!(row["last_success_at"].is_string(), "{row}");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
}

/// What AWS has refused the run for, again and again since its slot.
fn refused(from: DateTime<Utc>, why: &str) -> Run {
    let refused = Event::Refused {
        retry_at: Utc::now() + TimeDelta::minutes(5),
        why: why.into(),
        message: "AWS's own words".to_owned(),
    };
    let mut run = run(from, 3, &[Event::Asked, refused]);
    run.request.deadline = Utc::now() + TimeDelta::hours(3);
    run
}

#[tokio::test]
async fn what_aws_refuses_now_is_told_with_its_cause_and_the_command_that_helps() {
    for (why, command) in [
        ("access denied", "redkeep iam-policy --account prod"),
        ("quota", "redkeep forecast"),
        ("clock skew", "redkeep doctor"),
        (
            "cluster paused",
            "aws redshift resume-cluster --cluster-identifier dw --region us-east-1",
        ),
    ] {
        let (dir, from) = (Dir::new(), an_hour_ago());
        let history = [
            run(from, 0, &[Event::Asked, seen(from)]),
            refused(from, why),
        ];
        let changes = history.map(|run| Change::Run(Box::new(run)));
        let config = past(&dir, from, changes.into()).await;
        let _daemon = daemons_lock(&dir);
        let output = status(&config, &["--output", "json", "--check"]);
        assert_eq!(output.status.code(), Some(1), "{why}: {output:?}");
        let row = &rows(&output)[0];
        let finding = row["findings"][0].as_str().unwrap();
        let begins = format!(", {why}: AWS's own words");
        assert!(
            finding.starts_with("AWS has refused the slot of ") && finding.ends_with(&begins),
            "{finding}"
        );
        let options = match command.starts_with("redkeep") {
            true => format!(" --config {}", config.display()),
            false => " --endpoint-url http://127.0.0.1:9".to_owned(),
        };
        assert_eq!(row["advice"], format!("{command}{options}"), "{why}");
        let shown = text(&status(&config, &[]).stdout);
        assert!(
            shown.starts_with("1 of 1 needs attention (times in UTC):")
                && shown.contains(&format!("-> {command}{options}")),
            "{shown}"
        );
        let explained = redkeep(&["explain", "dw", "--config", config.to_str().unwrap()]);
        let explained = text(&explained.stdout);
        assert!(
            explained.contains(why) && explained.contains(&format!("`{command}{options}`")),
            "{explained}"
        );
    }
}

#[test]
fn a_clock_that_lets_no_slot_begin_is_told_while_it_does() {
    let dir = Dir::new();
    let sandbox = Sandbox::start(&["--cluster", "dw", "--snapshot-seconds", "0"]);
    let skewed = r#"{"offset_seconds": -1800, "tolerate_skew": true}"#;
    sandbox.control("PUT", "/_sandbox/clock", skewed);
    let daemon = Daemon::start(&dir, &sandbox.url, &often("*/10 * * * * *", "dw"));
    let told = |wanted: bool| {
        let until = Instant::now() + Duration::from_secs(120);
        loop {
            let output = status(&daemon.config, &["--check", "--output", "json"]);
            let has = text(&output.stdout).contains("this machine's clock and AWS's");
            if has == wanted && (output.status.code() == Some(1)) == wanted {
                return;
            }
            assert!(Instant::now() < until, "{output:?}");
            std::thread::sleep(Duration::from_millis(500));
        }
    };
    told(true);
    let shown = text(&status(&daemon.config, &[]).stdout);
    assert!(shown.contains("    -> redkeep doctor --config "), "{shown}");
    let file = daemon.config.to_str().unwrap();
    let explained = redkeep(&["explain", "dw", "--config", file]);
    let remark = text(&explained.stderr);
    assert!(
        remark.contains("this machine's clock and AWS's"),
        "{explained:?}"
    );
    sandbox.control("PUT", "/_sandbox/clock", r#"{"offset_seconds": 0}"#);
    told(false);
}

#[tokio::test]
async fn a_command_that_is_told_can_be_pasted() {
    let (dir, from) = (Dir::new(), an_hour_ago());
    let changes = [run(from, 1, &expired())].map(|run| Change::Run(Box::new(run)));
    let config = past(&dir, from, changes.into()).await;
    let file = config.to_str().unwrap();
    let whole = format!(" --config {file}`");
    let pause = redkeep(&["pause", "often", "--config", file]);
    let told = text(&pause.stdout);
    assert!(
        told.contains(&format!("`redkeep resume often{whole} ends the pause")),
        "{told}"
    );
    let shown = text(&status(&config, &[]).stdout);
    assert!(shown.contains(&format!("`redkeep run{whole}")), "{shown}");
    let shown = redkeep(&["show", "00000000", "--config", file]);
    let told = text(&shown.stderr);
    assert!(
        told.contains(&format!("`redkeep snapshots{whole}")),
        "{told}"
    );
    let report = text(&redkeep(&["report", "--config", file]).stdout);
    assert!(
        report.contains(&format!("`redkeep explain dw --policy often{whole}")),
        "{report}"
    );
}

#[tokio::test]
async fn what_nothing_protects_is_said_to_be_so() {
    let (dir, from) = (Dir::new(), an_hour_ago());
    let config = past(&dir, from, Vec::new()).await;
    let _daemon = daemons_lock(&dir);
    let asked = status(&config, &["--cluster", "finance"]);
    let told = text(&asked.stderr);
    assert!(told.contains("nothing protects finance"), "{asked:?}");
    assert_eq!(asked.status.code(), Some(2), "{asked:?}");
    let explained = redkeep(&["explain", "finance", "--config", config.to_str().unwrap()]);
    let told = text(&explained.stderr);
    assert!(
        told.starts_with("Nothing protects finance: "),
        "{explained:?}"
    );
    assert_eq!(explained.status.code(), Some(1), "{explained:?}");
    let glob = status(&config, &["--cluster", "d*", "--output", "json"]);
    assert_eq!(rows(&glob).len(), 1, "{glob:?}");
    let none = redkeep(&[
        "history",
        "--cluster",
        "x*",
        "--config",
        config.to_str().unwrap(),
    ]);
    assert_eq!(none.status.code(), Some(2), "{none:?}");
}

#[tokio::test]
async fn since_when_nobody_works_is_not_changed_by_who_reads() {
    let (dir, from) = (Dir::new(), an_hour_ago());
    let config = past(&dir, from, Vec::new()).await;
    let lock = File::create(dir.0.join("state/lock")).unwrap();
    lock.set_modified(from.into()).unwrap();
    drop(lock);
    for _ in 0..2 {
        let shown = text(&status(&config, &[]).stdout);
        let since = format!("since about {}", from.format("%Y-%m-%dT%H:%M:%SZ"));
        assert!(shown.contains(&since), "{since}: {shown}");
    }
}

#[tokio::test]
async fn slots_that_were_missed_by_the_hundred_are_the_newest_outcome_too() {
    let (dir, from) = (Dir::new(), an_hour_ago());
    let good = run(from, -200, &[Event::Asked, seen(from)]);
    let range = MissedRange {
        pair: pair(),
        first_at: from - TimeDelta::minutes(150),
        last_at: from,
        count: 151,
        reason: Missed::Late,
    };
    let changes = vec![Change::Run(Box::new(good)), Change::Missed(range)];
    let config = past(&dir, from, changes).await;
    let _daemon = daemons_lock(&dir);
    let output = status(&config, &["--output", "json", "--check"]);
    let row = &rows(&output)[0];
    assert_eq!(row["last_result"], "missed", "{row}");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
}

#[tokio::test]
async fn a_next_run_that_has_come_is_told_as_late() {
    let (dir, from) = (Dir::new(), an_hour_ago());
    let config = past(&dir, from, Vec::new()).await;
    let _daemon = daemons_lock(&dir);
    let shown = text(&status(&config, &[]).stdout);
    assert!(shown.contains("overdue for "), "{shown}");
    let next = &rows(&status(&config, &["--output", "json"]))[0]["next_run_at"];
    let next: DateTime<Utc> = next.as_str().unwrap().parse().unwrap();
    assert_eq!(next, from + TimeDelta::minutes(4));
}

#[test]
fn a_daemon_that_is_dead_is_told_first_and_fails_the_check() {
    let dir = Dir::new();
    let sandbox = Sandbox::start(&["--cluster", "dw", "--snapshot-seconds", "0"]);
    let policy = often("*/10 * * * * *", "dw");
    let mut daemon = Daemon::start(&dir, &sandbox.url, &policy);
    daemon.wait("a good snapshot", Duration::from_secs(90), |rows| {
        in_state(rows, "available").next().is_some()
    });
    let config = daemon.config.clone();
    let alive = status(&config, &["--check"]);
    assert_eq!(alive.status.code(), Some(0), "{alive:?}");
    assert!(!text(&alive.stdout).contains("does not run"), "{alive:?}");
    daemon.kill_9();
    let killed_at = Utc::now();

    let shown = status(&config, &[]);
    assert_eq!(shown.status.code(), Some(0), "{shown:?}");
    let first = text(&shown.stdout).lines().next().unwrap().to_owned();
    assert!(first.starts_with("The daemon does not run: "), "{first}");
    let (_, since) = first.split_once(" since about ").unwrap();
    let since: DateTime<Utc> = since.split(',').next().unwrap().parse().unwrap();
    let late = killed_at - since;
    assert!(
        late > TimeDelta::seconds(-2) && late < TimeDelta::seconds(30),
        "{first}, and it was killed at {killed_at}"
    );
    let checked = status(&config, &["--check", "--output", "json"]);
    assert_eq!(checked.status.code(), Some(1), "{checked:?}");
    assert_eq!(rows(&checked)[0]["last_result"], "available");
    assert!(text(&checked.stderr).starts_with("The daemon does not run: "));
}
