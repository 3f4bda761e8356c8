//! The exposition as a whole: against a golden text, and against the history it is a fold of.
//!
//! `BLESS=1 cargo test --test offline metrics` writes the golden text anew. It is to be read before it is committed,
//! and to be checked with `promtool check metrics < tests/golden/metrics.txt`.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, in its helpers too"
)]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use redkeep::config::{Config, Endpoint, Log, LogFormat, LogLevel, MetricsLabels, PageAccess};
use redkeep::history::{Change, History, MissedRange, PairState};
use redkeep::metrics::{Intervals, Metrics, Reload, View, view};
use redkeep::names::Retention;
use redkeep::names::{Tier, Trigger};
use redkeep::observed::{Observed, ServerClock, SnapshotListing};
use redkeep::pause::{Pause, Pauses};
use redkeep::plan::Blocked;
use redkeep::policy::{Account, CredentialSource, Policy, Selector};
use redkeep::redshift::{Cluster, Operation};
use redkeep::run::{Event, Missed, Run, SnapshotSpec};
use redkeep::schedule::Schedule;
use redkeep::slot::{Pair, Scope, Slot};
use redkeep::snapshot::{Generation, Snapshot, SnapshotId};
use redkeep::tzdb::{Source, ZoneData, bundled};

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

fn config(policies: Vec<Policy>) -> Config {
    Config {
        namespace: "redkeep".parse().unwrap(),
        state_dir: "/nowhere".into(),
        listen: "127.0.0.1:0".parse().unwrap(),
        history_retention: Retention::Forever,
        page: PageAccess::default(),
        metrics_labels: MetricsLabels::Full,
        endpoint: Endpoint::Sandbox,
        writer: None,
        log: Log {
            format: LogFormat::Auto,
            level: LogLevel::Info,
        },
        receivers: Vec::new(),
        accounts: vec![Account {
            name: "prod".parse().unwrap(),
            regions: vec![
                "eu-central-1".parse().unwrap(),
                "us-east-1".parse().unwrap(),
            ],
            snapshot_quota: 20,
            max_requests_per_second: 20,
            identity: CredentialSource::default(),
        }],
        policies,
        zone_data: ZoneData {
            version: "2026f".parse().unwrap(),
            source: Source::Bundled,
            system: None,
        },
        warnings: Vec::new(),
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
fn every_metric_has_help_and_a_name_that_fits_its_type_and_no_series_is_there_twice() {
    let text = after_restart(&two_policies(), &past(&metrics()));
    for line in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let (name, kind) = line.split_once(' ').unwrap();
        assert!(
            text.contains(&format!("# HELP {name} ")),
            "{name} has no help"
        );
        assert!(
            name.starts_with("redkeep_") || name.starts_with("process_"),
            "{name}"
        );
        assert_eq!(
            name.ends_with("_total"),
            kind == "counter",
            "{name} is a {kind}"
        );
    }
    let mut seen = BTreeSet::new();
    for (series, _) in samples(&text) {
        assert!(seen.insert(series), "{series} is there twice");
    }
}

#[test]
fn all_results_are_there_at_zero_before_the_first_run_and_success_is_not() {
    let mut history = History::default();
    activate(
        &mut history,
        &pair("nightly", "finance"),
        "30 2 * * *",
        "2026-03-10T09:00:00Z",
    );
    let text = after_restart(&two_policies(), &history);
    let runs: Vec<_> = samples(&text)
        .filter(|(name, _)| name.starts_with("redkeep_runs_total"))
        .collect();
    assert_eq!(runs.len(), 6);
    assert!(runs.iter().all(|(_, value)| *value == "0"), "{runs:?}");
    assert!(!text.contains("redkeep_last_success_timestamp_seconds"));
    assert!(text.contains("redkeep_active_since_timestamp_seconds{"));
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
fn a_closed_pair_and_a_removed_policy_leave_no_series_behind() {
    let metrics = metrics();
    metrics.publish(present(&two_policies(), &History::default()));
    let mut history = past(&metrics);
    metrics.publish(present(&two_policies(), &history));
    assert!(metrics.encode().unwrap().contains("cluster=\"finance\""));

    let finance = pair("nightly", "finance");
    let closed = PairState {
        closed_at: Some(at("2026-03-10T09:00:04Z")),
        ..history.pairs[&finance].clone()
    };
    history.apply(Change::Pair(finance, closed));
    metrics.publish(present(&two_policies(), &history));
    let text = metrics.encode().unwrap();
    assert!(!text.contains("cluster=\"finance\""), "{text}");
    assert!(
        text.contains("redkeep_start_delay_seconds_count{policy=\"nightly\"} 1"),
        "{text}"
    );

    metrics.publish(present(
        &config(vec![policy("hourly", "0 * * * *")]),
        &history,
    ));
    metrics.completed(&"nightly".parse().unwrap(), Duration::from_secs(1));
    let text = metrics.encode().unwrap();
    assert!(!text.contains("nightly"), "{text}");
}

/// The lines of the pairs' metrics, without those of requests.
fn of_policies(text: &str) -> Vec<&str> {
    let ours = |line: &&str| line.contains("region=") && line.contains("policy=");
    text.lines().filter(ours).collect()
}

#[test]
fn with_the_labels_of_scopes_a_policy_has_one_set_of_series_over_its_clusters() {
    let mut config = two_policies();
    config.metrics_labels = MetricsLabels::Scope;
    let mut history = past(&metrics());
    // Beside the cluster that has its snapshot, one that has none yet, and one of long ago.
    let (fresh, gone) = (pair("nightly", "fresh"), pair("nightly", "gone"));
    activate(&mut history, &fresh, "30 2 * * *", "2026-03-10T01:30:00Z");
    activate(&mut history, &gone, "30 2 * * *", "2026-03-09T01:30:00Z");
    let missed = |pair: &Pair, count| MissedRange {
        pair: pair.clone(),
        first_at: at("2026-03-02T01:30:00Z"),
        last_at: at("2026-03-07T01:30:00Z"),
        count,
        reason: Missed::Late,
    };
    history.apply(Change::Missed(missed(&fresh, 2)));
    history.apply(Change::Missed(missed(&gone, 3)));
    let closed = PairState {
        closed_at: Some(at("2026-03-09T09:00:00Z")),
        ..history.pairs[&gone].clone()
    };
    history.apply(Change::Pair(gone, closed));
    let text = after_restart(&config, &history);
    assert!(!text.contains("cluster="), "{text}");
    let nightly = r#"{account="prod",region="eu-central-1",policy="nightly""#;
    for (name, value) in [
        ("runs_total", ",result=\"available\"} 1"),
        ("runs_total", ",result=\"missed\"} 5"),
        ("run_in_progress", "} 0"),
        // That of the one without a snapshot: its activation.
        ("last_success_timestamp_seconds", "} 1772355600"),
        ("active_since_timestamp_seconds", "} 1772355600"),
        ("schedule_interval_seconds", "} 90000"),
        ("rpo_seconds", "} 93600"),
        ("snapshot_size_bytes", "} 2147483648"),
    ] {
        let line = format!("\nredkeep_{name}{nightly}{value}\n");
        assert!(text.contains(&line), "{line}{text}");
    }
    let hourly = r#"{account="prod",region="eu-central-1",policy="hourly"}"#;
    assert!(
        text.contains(&format!("redkeep_run_in_progress{hourly} 1\n")),
        "{text}"
    );
    let whole = after_restart(&two_policies(), &history);
    assert_eq!(of_policies(&whole).len(), 14 + 14 + 12);
    assert_eq!(of_policies(&text).len(), 15 + 14);
}

#[test]
fn the_requests_of_a_removed_scope_go_with_it() {
    let metrics = metrics();
    metrics.publish(present(&two_policies(), &History::default()));
    metrics.request(
        &scope("us-east-1"),
        Operation::DescribeClusters,
        "other",
        Duration::from_secs(1),
    );
    assert!(metrics.encode().unwrap().contains("us-east-1"));
    let mut smaller = two_policies();
    smaller.accounts[0].regions.pop();
    metrics.publish(present(&smaller, &History::default()));
    assert!(!metrics.encode().unwrap().contains("us-east-1"));
}

#[test]
fn every_request_that_may_come_has_its_series_from_the_start() {
    let metrics = metrics();
    metrics.publish(present(&two_policies(), &History::default()));
    let before = metrics.encode().unwrap();
    let series = |text: &str| -> BTreeSet<String> {
        let lines = text.lines().filter_map(|line| line.rsplit_once(' '));
        lines.map(|(series, _)| series.to_owned()).collect()
    };
    for region in ["eu-central-1", "us-east-1"] {
        for operation in Operation::ALL {
            for code in operation.codes() {
                metrics.request(&scope(region), operation, code, Duration::from_secs(1));
            }
        }
    }
    let after = metrics.encode().unwrap();
    assert_eq!(series(&before), series(&after));
    assert!(before.contains("operation=\"DeleteClusterSnapshot\",code=\"ok\"} 0"));
    assert!(after.contains("operation=\"DeleteClusterSnapshot\",code=\"ok\"} 1"));
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
