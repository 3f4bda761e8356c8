//! Which series there are, and when they come and go.

use std::collections::BTreeSet;
use std::time::Duration;

use redkeep::config::MetricsLabels;
use redkeep::history::{Change, History, MissedRange, PairState};
use redkeep::redshift::Operation;
use redkeep::run::Missed;
use redkeep::slot::Pair;

use super::{
    activate, after_restart, at, config, metrics, pair, past, policy, present, samples, scope,
    two_policies,
};

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
