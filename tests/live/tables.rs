//! Tables, lists and filters, by the real binary over a history of its own.
#![expect(
    clippy::panic,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test that cannot go on fails, and the tests of the real binary live in real time"
)]

mod followed;
mod typed;

use std::path::{Path, PathBuf};
use std::process::Output;

use crate::support::{Dir, redkeep};
use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use redkeep::history::{Change, PairState};
use redkeep::names::{Retention, Tier, Trigger};
use redkeep::run::{Event, Gone, GoneReason, Missed, Outcome, Reason, Run, SnapshotSpec};
use redkeep::slot::{Pair, Scope, Slot};
use redkeep::snapshot::{Generation, Snapshot, SnapshotId};
use redkeep::store::{EndpointKind, Store};
use serde_json::Value;

/// Names of ordinary length: 20 and 25 characters.
const POLICY: &str = "nightly-of-warehouse";
const CLUSTER: &str = "analytics-warehouse-prod1";

fn pair(policy: &str) -> Pair {
    Pair {
        policy: policy.parse().unwrap(),
        scope: Scope {
            account: "prod".parse().unwrap(),
            region: "eu-central-1".parse().unwrap(),
        },
        cluster: CLUSTER.parse().unwrap(),
    }
}

fn run(policy: &str, at: DateTime<Utc>, events: &[Event]) -> Run {
    let slot = Slot {
        pair: pair(policy),
        scheduled_at: at,
    };
    let namespace = "redkeep".parse().unwrap();
    let spec = SnapshotSpec {
        snapshot_id: SnapshotId::derive(&namespace, &slot, Generation::First),
        retention: Retention::from_days(35).unwrap(),
        tier: Tier::Base,
        tier_reason: None,
        tags: Default::default(),
        starts_at: at,
        deadline: at + TimeDelta::hours(8),
        completion_window: TimeDelta::hours(24),
        interval: TimeDelta::days(1),
    };
    let due = Run::due(slot, Trigger::Schedule, spec);
    events.iter().fold(due, |run, event| {
        run.apply(event.clone(), at + TimeDelta::hours(7)).unwrap()
    })
}

fn seen(at: DateTime<Utc>) -> Event {
    let snapshot = Snapshot {
        status: Some("available".to_owned()),
        snapshot_create_time: Some(at),
        total_backup_size_in_mega_bytes: Some(160_000.0),
        manual_snapshot_retention_period: Some(35),
        ..Snapshot::default()
    };
    Event::Seen {
        snapshot: snapshot.into(),
        look_at: at,
    }
}

fn ended(verdict: Outcome) -> [Event; 3] {
    let message = matches!(verdict, Outcome::Expired(_))
        .then(|| "InvalidClusterState: There is an operation running on the Cluster".to_owned());
    [
        Event::Asked,
        Event::Concluding { verdict, message },
        Event::Absent,
    ]
}

/// The last five nights: good and gone, good, good, expired, missed because of a pause.
async fn nights(dir: &Dir) -> (PathBuf, Vec<Run>) {
    let now = Utc::now().duration_trunc(TimeDelta::minutes(1)).unwrap();
    let night = |back: i64| now - TimeDelta::days(back) - TimeDelta::hours(9);
    let good = |back| run(POLICY, night(back), &[Event::Asked, seen(night(back))]);
    let mut first = good(5);
    first.gone = Some(Gone {
        at: night(4),
        reason: GoneReason::Deleted,
    });
    let expired = Outcome::Expired(Reason::ClusterState(Some("paused".to_owned())));
    let paused = [
        Event::Concluding {
            verdict: Outcome::Missed(Missed::Paused),
            message: None,
        },
        Event::Absent,
    ];
    let runs = vec![
        first,
        good(4),
        good(3),
        run(POLICY, night(1), &ended(expired)),
        run(POLICY, night(0), &paused),
    ];
    let state = PairState {
        active_from: night(6),
        watermark: now,
        schedule: "30 2 * * *".to_owned(),
        timezone: "Europe/Berlin".to_owned(),
        clocks: None,
        cluster_created_at: None,
        closed_at: None,
        cluster_gone_at: None,
    };
    let opened = Store::open(&dir.0.join("state/history.db"), EndpointKind::Other, now).unwrap();
    let mut changes = vec![Change::Pair(pair(POLICY), state)];
    changes.extend(runs.iter().map(|run| Change::Run(Box::new(run.clone()))));
    opened.store.commit(changes).await.unwrap();
    opened.store.close().await.unwrap();
    let text = format!(
        "state_dir = \"state\"\nendpoint = \"http://127.0.0.1:9\"\n[[account]]\nname = \"prod\"\n\
         regions = [\"eu-central-1\"]\n[[policy]]\nname = \"{POLICY}\"\nschedule = \"30 2 * * *\"\n\
         timezone = \"Europe/Berlin\"\nclusters = [\"{CLUSTER}\"]\nretention = \"35d\"\nrpo = \"26h\"\n"
    );
    (dir.write("redkeep.toml", &text), runs)
}

/// A command, with the file named before it.
fn told(config: &Path, words: &[&str]) -> Output {
    let file = ["--config", config.to_str().unwrap()];
    redkeep(&[&file[..], words].concat())
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn rows(output: &Output) -> Vec<Value> {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"))
}

#[tokio::test]
async fn tables_fit_100_columns_name_one_zone_and_break_no_word() {
    let dir = Dir::new();
    let (config, _) = nights(&dir).await;
    let commands: &[&[&str]] = &[
        &["history"],
        &["snapshots"],
        &["status"],
        &["plan", "-n", "3"],
        &["report"],
        &["forecast"],
    ];
    for words in commands {
        let table = out(&told(&config, words));
        let in_table = table.lines().filter(|line| !line.starts_with("  "));
        let in_table = in_table.filter(|line| !line.starts_with("The daemon"));
        for line in in_table {
            assert!(
                line.chars().count() <= 100,
                "{words:?}: {}\n{table}",
                line.len()
            );
        }
        assert!(!table.contains('\u{1b}'), "{table}");
    }
    let history = out(&told(&config, &["history"]));
    assert!(history.starts_with("AT (Europe/Berlin)"), "{history}");
    for word in ["InvalidClusterState:", "operation", "available"] {
        assert!(
            history.split_whitespace().any(|one| one == word),
            "{history}"
        );
    }
    let utc = out(&told(&config, &["history", "--utc"]));
    assert!(utc.starts_with("AT (UTC)"), "{utc}");
    let wide = out(&told(&config, &["history", "-o", "wide"]));
    assert!(
        wide.contains("ATTEMPTS") && wide.contains("redkeep-nightly-of-warehouse-"),
        "{wide}"
    );
    let coloured = out(&told(&config, &["history", "--color", "always"]));
    assert!(coloured.contains("\u{1b}[32mavailable"), "{coloured:?}");
}

#[tokio::test]
async fn a_snapshot_that_is_gone_says_so_and_cannot_be_restored_or_held() {
    let dir = Dir::new();
    let (config, runs) = nights(&dir).await;
    let there = rows(&told(&config, &["snapshots", "-o", "json"]));
    assert_eq!(there.len(), 2, "{there:#?}");
    let wanted: Vec<&str> = runs[1..3]
        .iter()
        .map(|run| run.request.snapshot_id.as_str())
        .collect();
    let listed: Vec<&str> = there
        .iter()
        .map(|row| row["snapshot_id"].as_str().unwrap())
        .collect();
    assert_eq!(listed, wanted);
    assert!(
        there[0]["age_seconds"].as_i64().unwrap() > 4 * 86_400,
        "{there:#?}"
    );
    assert_eq!(
        (&there[0]["retention_days"], &there[0]["on_hold"]),
        (&35.into(), &false.into())
    );

    let gone = out(&told(&config, &["history", "--gone"]));
    assert_eq!(gone.matches(POLICY).count(), 1, "{gone}");
    assert!(
        gone.contains("gone 20") && gone.contains("deleted"),
        "{gone}"
    );
    let id = runs[0].request.snapshot_id.as_str();
    let shown = out(&told(&config, &["show", id]));
    assert!(!shown.contains("restore-from"), "{shown}");
    assert!(shown.contains("cannot be restored"), "{shown}");
    let row = &rows(&told(&config, &["show", id, "-o", "json"]))[0];
    assert_eq!(row["restore_command"], Value::Null);
    let short = runs[1].request.snapshot_id.short();
    let shown = out(&told(&config, &["describe", short]));
    assert!(shown.contains("restore-from-cluster-snapshot"), "{shown}");
    let held = told(&config, &["hold", id]);
    assert_eq!(held.status.code(), Some(1));
    assert!(
        err(&held).contains("`redkeep snapshots --config "),
        "{held:?}"
    );
}

#[tokio::test]
async fn what_is_wrong_comes_first_with_the_reason_and_the_command_that_helps() {
    let dir = Dir::new();
    let (config, _) = nights(&dir).await;
    let status = out(&told(&config, &["status"]));
    let wrong = status
        .find("has no snapshot, expired: cluster paused")
        .unwrap();
    let helps = status
        .find(&format!(
            "-> aws redshift resume-cluster --cluster-identifier {CLUSTER}"
        ))
        .unwrap();
    let table = status.find("POLICY ").unwrap();
    assert!(wrong < helps && helps < table, "{status}");
    // The newest slot was missed for a pause, which is excused; the one before it counts, as in the report.
    let row = &rows(&told(&config, &["status", "-o", "json"]))[0];
    assert_eq!(
        (&row["last_result"], &row["is_finding"]),
        (&"missed".into(), &true.into())
    );
    let report = told(&config, &["report", "--since", "30d"]);
    assert_eq!(report.status.code(), Some(1));
    let report = out(&report);
    assert!(
        report.lines().any(|line| line.starts_with("!  ")),
        "{report}"
    );
    assert!(
        report.contains("1 of 5 slots have no snapshot: "),
        "{report}"
    );
    assert!(
        report.contains("2 missed") || report.contains("1 missed, of which 1 excused"),
        "{report}"
    );
}
