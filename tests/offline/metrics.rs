//! The exposition as a whole: against a golden text, and against the history it is a fold of.
//!
//! `BLESS=1 cargo test --test offline metrics` writes the golden text anew. It is to be read before it is committed,
//! and to be checked with `promtool check metrics < tests/golden/metrics.txt`.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, in its helpers too"
)]

mod series;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use redkeep::config::{Config, Sources, load};
use redkeep::history::{Change, History, MissedRange, PairState};
use redkeep::metrics::{Intervals, Metrics, Reload, View, view};
use redkeep::names::{Retention, Tier, Trigger};
use redkeep::observed::{Observed, ServerClock, SnapshotListing};
use redkeep::pause::{Pause, Pauses};
use redkeep::plan::Blocked;
use redkeep::policy::{Policy, Selector};
use redkeep::redshift::{Cluster, Operation};
use redkeep::run::{Event, Missed, Run, SnapshotSpec};
use redkeep::schedule::Schedule;
use redkeep::slot::{Pair, Scope, Slot};
use redkeep::snapshot::{Generation, Snapshot, SnapshotId};
use redkeep::tzdb::{Source, ZoneData, bundled};

use crate::support::Dir;

const GOLDEN: &str = "tests/golden/metrics.txt";

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn scope(region: &str) -> Scope {
    Scope {
        account: "prod".parse().unwrap(),
        region: region.parse().unwrap(),
    }
}

fn pair(policy: &str, cluster: &str) -> Pair {
    Pair {
        policy: policy.parse().unwrap(),
        scope: scope("eu-central-1"),
        cluster: cluster.parse().unwrap(),
    }
}

fn policy(name: &str, schedule: &str) -> Policy {
    let schedule = Schedule::parse(schedule, bundled("Europe/Berlin").unwrap()).unwrap();
    Policy {
        scopes: vec![scope("eu-central-1"), scope("us-east-1")],
        ..Policy::new(name.parse().unwrap(), schedule, Retention::Forever.into())
    }
}

/// A configuration of one account in two regions, with the time zone data of redkeep's own and these policies.
fn config(policies: Vec<Policy>) -> Config {
    let dir = Dir::new();
    let account = "[[account]]\nname = \"prod\"\nregions = [\"eu-central-1\", \"us-east-1\"]\nsnapshot_quota = 20\n";
    let loaded = load(&Sources {
        file: dir.policy_file("sandbox", account),
        environment: Vec::new(),
        profiles: Default::default(),
    });
    Config {
        policies,
        zone_data: ZoneData {
            version: "2026f".parse().unwrap(),
            source: Source::Bundled,
            system: None,
        },
        warnings: Vec::new(),
        ..loaded.unwrap()
    }
}

fn two_policies() -> Config {
    config(vec![
        policy("hourly", "0 * * * *"),
        Policy {
            rpo: Some(TimeDelta::hours(26)),
            selector: Selector {
                literals: ["dw-prod".parse().unwrap()].into(),
                ..Selector::default()
            },
            ..policy("nightly", "30 2 * * *")
        },
    ])
}

fn activate(history: &mut History, pair: &Pair, schedule: &str, watermark: &str) {
    let state = PairState {
        active_from: at("2026-03-01T09:00:00Z"),
        watermark: at(watermark),
        schedule: schedule.to_owned(),
        timezone: "Europe/Berlin".to_owned(),
        clocks: None,
        cluster_created_at: None,
        closed_at: None,
        cluster_gone_at: None,
    };
    history.apply(Change::Pair(pair.clone(), state));
}

fn due(pair: &Pair, scheduled_at: &str) -> Run {
    let slot = Slot {
        pair: pair.clone(),
        scheduled_at: at(scheduled_at),
    };
    let namespace = "redkeep".parse().unwrap();
    let request = SnapshotSpec {
        snapshot_id: SnapshotId::derive(&namespace, &slot, Generation::First),
        retention: Retention::Forever,
        tier: Tier::Base,
        tier_reason: None,
        tags: Default::default(),
        starts_at: slot.scheduled_at,
        deadline: slot.scheduled_at + TimeDelta::hours(8),
        completion_window: TimeDelta::hours(24),
        interval: TimeDelta::days(1),
    };
    Run::due(slot, Trigger::Schedule, request)
}

/// Applies an event `after` seconds after the slot's instant, and tells history and metrics, as the daemon does.
fn step(history: &mut History, metrics: &Metrics, run: Run, event: Event, after: i64) -> Run {
    let now = run.slot.scheduled_at + TimeDelta::seconds(after);
    let next = run.clone().apply(event, now).unwrap();
    metrics.stepped(Some(&run), &next);
    history.apply(Change::Run(Box::new(next.clone())));
    next
}

fn seen(status: &str, created_at: &str, megabytes: f64) -> Event {
    let snapshot = Snapshot {
        status: Some(status.to_owned()),
        snapshot_create_time: Some(at(created_at)),
        total_backup_size_in_mega_bytes: Some(megabytes),
        ..Snapshot::default()
    };
    Event::Seen {
        snapshot: snapshot.into(),
        look_at: at(created_at),
    }
}

/// A past with every kind of thing in it: a success, a run in progress, an overlap, misses.
fn past(metrics: &Metrics) -> History {
    let mut history = History::default();
    let (finance, web) = (pair("nightly", "finance"), pair("hourly", "web"));
    activate(&mut history, &finance, "30 2 * * *", "2026-03-10T01:30:00Z");
    activate(&mut history, &web, "0 * * * *", "2026-03-10T09:00:00Z");

    let run = due(&finance, "2026-03-10T01:30:00Z");
    let run = step(&mut history, metrics, run, Event::Asked, 1);
    let run = step(
        &mut history,
        metrics,
        run,
        seen("creating", "2026-03-10T01:30:01.500Z", 0.0),
        2,
    );
    step(
        &mut history,
        metrics,
        run,
        seen("available", "2026-03-10T01:30:01.500Z", 2048.0),
        302,
    );

    history.apply(Change::Missed(MissedRange {
        pair: web.clone(),
        first_at: at("2026-03-02T00:00:00Z"),
        last_at: at("2026-03-07T00:00:00Z"),
        count: 121,
        reason: Missed::Late,
    }));
    let run = due(&web, "2026-03-10T08:00:00Z");
    let run = step(&mut history, metrics, run, Event::Asked, 700);
    step(
        &mut history,
        metrics,
        run,
        seen("creating", "2026-03-10T08:11:41Z", 0.0),
        702,
    );
    step(
        &mut history,
        metrics,
        due(&web, "2026-03-10T09:00:00Z"),
        Event::Overlapped,
        0,
    );
    let pause = Pause {
        paused_at: at("2026-03-10T09:00:02Z"),
        resumed_at: None,
    };
    history.pauses = Pauses::from_iter([(web.policy, pause)]);
    history
}

fn manual_snapshot(number: u32) -> Arc<Snapshot> {
    let snapshot_identifier = format!("manual-{number}");
    Arc::new(Snapshot {
        snapshot_identifier,
        ..Snapshot::default()
    })
}

fn sight(now: DateTime<Utc>) -> Observed {
    let mut observed = Observed::nothing([scope("eu-central-1"), scope("us-east-1")], now);
    let seen = observed.scopes.get_mut(&scope("eu-central-1")).unwrap();
    seen.server_clock = ServerClock::Skew(TimeDelta::milliseconds(-1_250));
    let all: Vec<Arc<Snapshot>> = (0..17).map(manual_snapshot).collect();
    seen.snapshots = Some(SnapshotListing::new(now, &all, BTreeSet::new()));
    let cluster = |id: &str| Cluster {
        id: id.parse().unwrap(),
        status: "available".to_owned(),
        created_at: None,
        tags: Default::default(),
        account_number: None,
    };
    let clusters = ["dw-prod", "spare", "test"].map(cluster);
    seen.clusters = Some(clusters.map(|one| (one.id.clone(), one)).into());
    observed
}

fn present(config: &Config, history: &History) -> View {
    let now = at("2026-03-10T09:00:05Z");
    let reload = Reload {
        successful: true,
        succeeded_at: Some(at("2026-03-01T09:00:00Z")),
    };
    let mut view = view(
        config,
        history,
        &sight(now),
        &Intervals::compute(config, now),
        reload,
    );
    let blocked = BTreeSet::from([Blocked::Breaker]);
    let pruning = config.policies.iter().map(|policy| policy.name.clone());
    let pruning = pruning.filter(|name| name.as_str() == "nightly");
    view.prune_blocked = pruning.map(|name| (name, blocked.clone())).collect();
    view
}

fn metrics() -> Metrics {
    Metrics::new(at("2026-03-01T08:59:59Z")).unwrap()
}

/// The exposition of `history`, with nothing counted but what the history tells.
fn after_restart(config: &Config, history: &History) -> String {
    let metrics = metrics();
    metrics.publish(present(config, history));
    metrics.encode().unwrap()
}

fn samples(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.rsplit_once(' ').unwrap())
}

/// Whether a line is of an operation that is none of these: all operations have the same series, of 0 at first.
fn is_of_another(line: &str, asked: &[Operation]) -> bool {
    let is_of =
        |operation: &Operation| line.contains(&format!("operation=\"{}\"", operation.as_str()));
    line.contains("operation=\"") && !asked.iter().any(is_of)
}

#[test]
fn the_exposition_is_the_golden_text() {
    let metrics = metrics();
    // The daemon publishes when it has its configuration, before the first run moves.
    metrics.publish(present(&two_policies(), &History::default()));
    let history = past(&metrics);
    let asked = [
        (Operation::DescribeClusterSnapshots, "ok", 180),
        (Operation::CreateClusterSnapshot, "InvalidClusterState", 420),
    ];
    for (operation, code, took) in asked {
        let took = Duration::from_millis(took);
        metrics.request(&scope("eu-central-1"), operation, code, took);
    }
    metrics.set_receivers(["ops", "pager"].into_iter());
    metrics.notified("ops", "delivered", 12);
    metrics.notified("ops", "failed", 1);
    metrics.waiting("pager", 2);
    metrics.works(true);
    metrics.saw_database(true, Some(3));
    metrics.saw_instances(2, 1);
    metrics.publish(present(&two_policies(), &history));
    let text = metrics
        .encode()
        .unwrap()
        .replace(env!("CARGO_PKG_VERSION"), "VERSION");
    let ours: String = text
        .lines()
        .filter(|line| !line.contains("process_"))
        .filter(|line| !is_of_another(line, &asked.map(|(operation, ..)| operation)))
        .map(|line| format!("{line}\n"))
        .collect();
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(GOLDEN, &ours).unwrap();
    }
    let golden = std::fs::read_to_string(GOLDEN).unwrap();
    assert!(
        ours == golden,
        "the exposition differs from {GOLDEN}:\n{ours}"
    );
}

#[test]
fn the_process_is_there_without_a_prefix_and_with_a_start() {
    let text = after_restart(&two_policies(), &History::default());
    for name in [
        "cpu_seconds_total",
        "resident_memory_bytes",
        "open_fds",
        "max_fds",
        "threads",
    ] {
        assert!(
            text.contains(&format!("\nprocess_{name} ")),
            "{name} is missing in {text}"
        );
    }
    let (_, started) = samples(&text)
        .find(|(name, _)| *name == "process_start_time_seconds")
        .unwrap();
    assert!(started.parse::<f64>().unwrap() > 1.7e9, "{started}");
}

#[test]
fn a_restart_changes_nothing_that_the_history_knows() {
    let running = metrics();
    let history = past(&running);
    running.publish(present(&two_policies(), &history));
    let of_history = |text: &str| -> Vec<String> {
        let measured = [
            "process_",
            "redkeep_start_delay",
            "redkeep_snapshot_duration",
        ];
        let kept = |line: &&str| !measured.iter().any(|name| line.contains(name));
        text.lines().filter(kept).map(str::to_owned).collect()
    };
    let before = running.encode().unwrap();
    assert_eq!(
        of_history(&before),
        of_history(&after_restart(&two_policies(), &history))
    );
}

#[test]
fn a_slot_that_has_come_and_has_no_record_is_the_next_run_and_overdue() {
    let mut history = History::default();
    activate(
        &mut history,
        &pair("hourly", "web"),
        "0 * * * *",
        "2026-03-10T07:00:00Z",
    );
    let view = present(&two_policies(), &history);
    assert_eq!(view.pairs[0].next_run, Some(at("2026-03-10T08:00:00Z")));
}

#[test]
fn a_run_found_complete_after_a_restart_tells_no_duration() {
    let metrics = metrics();
    metrics.publish(present(&two_policies(), &History::default()));
    let mut history = History::default();
    let run = due(&pair("nightly", "finance"), "2026-03-10T01:30:00Z");
    let run = step(&mut history, &metrics, run, Event::Asked, 1);
    step(
        &mut history,
        &metrics,
        run,
        seen("available", "2026-03-10T01:30:01Z", 1.0),
        9_000,
    );
    let text = metrics.encode().unwrap();
    assert!(
        text.contains("redkeep_snapshot_duration_seconds_count{policy=\"nightly\"} 0"),
        "{text}"
    );
}

#[test]
fn intervals_are_computed_anew_each_day_and_after_a_step_of_the_clock() {
    let now = at("2026-03-10T09:00:00Z");
    let intervals = Intervals::compute(&two_policies(), now);
    assert!(!intervals.is_stale(now + TimeDelta::hours(23)));
    assert!(intervals.is_stale(now + TimeDelta::hours(24)));
    assert!(intervals.is_stale(now - TimeDelta::hours(25)));
}

#[test]
fn before_anything_is_published_a_scrape_still_works() {
    let text = metrics().encode().unwrap();
    assert!(text.contains("process_threads"));
    assert!(!text.contains("redkeep_runs_total"));
}
