//! Activation: nothing is back-filled, nothing runs at once, and only a complete listing closes a pair.

use redkeep_core::plan::Alarm;
use redkeep_sandbox::faults::Fault;

use redkeep_simulation::setup::{at, config, pair, policy, seconds, sim, sim_of_clusters};
use redkeep_simulation::sim::Sim;
use redkeep_simulation::sim::aws::{CLUSTERS, CREATE, SNAPSHOTS};

const NIGHTLY: &str = "30 2 * * *";

fn is_active(sim: &Sim, policy: &str, cluster: &str) -> bool {
    let pairs = &sim.hosts[0].journal.ledger.pairs;
    pairs
        .get(&pair(policy, cluster))
        .is_some_and(|state| state.closed_at.is_none())
}

#[test]
fn a_new_policy_does_nothing_at_once_and_back_fills_nothing() {
    let old = policy("nightly", NIGHTLY, "dw", "");
    let mut sim = sim("2026-11-24 00:00", &old);
    sim.until("2026-11-24 04:00");
    let new = policy("hourly", "0 * * * *", "dw", "start_window = \"6h\"");
    sim.reload(0, config(&(old + &new)));
    sim.until("2026-11-24 04:59:50");
    assert_eq!(sim.records(), ["11-24 02:30 nightly/dw available"]);
    sim.until("2026-11-24 05:10");
    assert_eq!(sim.records()[1], "11-24 05:00 hourly/dw available");
    sim.assert_accounted();
}

#[test]
fn a_named_cluster_that_no_listing_has_is_an_alarm_until_one_has() {
    let named = policy("nightly", NIGHTLY, "finence", "");
    let mut sim = sim_of_clusters("2026-11-24 00:00", &["finance"], &named);
    sim.until("2026-11-24 00:05");
    let alarm = Alarm::NoSuchCluster(pair("nightly", "finence"));
    let said = |sim: &Sim| sim.hosts[0].alarms.get(&alarm).cloned();
    assert_eq!(said(&sim).as_deref(), Some("did you mean finance?"));
    sim.aws.add_cluster("finence", at("2026-11-24 00:05"));
    sim.until("2026-11-24 00:10");
    assert_eq!(said(&sim), None);
}

#[test]
fn an_edit_of_schedule_or_zone_does_nothing_at_once() {
    let zone = "timezone = \"America/New_York\"";
    for edited in [
        policy("nightly", "0 1,3 * * *", "dw", ""),
        // 02:30 in New York is 07:30: not one of the slots so far, and not yet over.
        policy("nightly", "30 22 * * *", "dw", zone),
    ] {
        let mut sim = sim("2026-11-24 00:00", &policy("nightly", NIGHTLY, "dw", ""));
        sim.until("2026-11-24 03:30");
        sim.reload(0, config(&edited));
        sim.until("2026-11-25 00:30");
        assert_eq!(sim.records(), ["11-24 02:30 nightly/dw available"]);
        sim.until("2026-11-25 04:00");
        assert!(sim.records().len() > 1, "the new schedule is not in force");
        sim.assert_accounted();
    }
}

#[test]
fn what_was_due_before_an_edit_keeps_its_request() {
    let mut sim = sim(
        "2026-11-24 00:00",
        &policy("nightly", NIGHTLY, "dw", "jitter = \"1h\""),
    );
    sim.until("2026-11-24 02:30:01");
    let edited = policy("nightly", "0 5 * * *", "dw", "tags = { team = \"data\" }");
    sim.reload(0, config(&edited));
    sim.until("2026-11-24 04:00");
    assert_eq!(sim.records(), ["11-24 02:30 nightly/dw available"]);
    let run = sim.run("nightly", "2026-11-24 02:30").unwrap();
    assert!(run.request.tags.get("team").is_none());
    sim.assert_accounted();
}

#[test]
fn re_enabling_does_nothing_at_once() {
    let enabled = policy("nightly", NIGHTLY, "dw", "start_window = \"20h\"");
    let disabled = policy(
        "nightly",
        NIGHTLY,
        "dw",
        "start_window = \"20h\"\nenabled = false",
    );
    let mut sim = sim("2026-11-23 00:00", &enabled);
    sim.until("2026-11-23 12:00");
    sim.reload(0, config(&disabled));
    sim.until("2026-11-25 12:00");
    sim.reload(0, config(&enabled));
    sim.until("2026-11-26 02:00");
    assert_eq!(sim.records(), ["11-23 02:30 nightly/dw available"]);
    sim.until("2026-11-26 03:00");
    assert_eq!(sim.records()[1], "11-26 02:30 nightly/dw available");
    sim.assert_accounted();
}

#[test]
fn a_cluster_that_starts_to_match_a_glob_does_nothing_at_once() {
    let tables = policy("nightly", NIGHTLY, "dw-*", "start_window = \"20h\"");
    let mut sim = sim_of_clusters("2026-11-24 00:00", &["dw-1"], &tables);
    sim.until("2026-11-24 12:00");
    sim.aws.add_cluster("dw-2", at("2026-11-01 00:00"));
    sim.until("2026-11-25 02:00");
    assert_eq!(sim.records(), ["11-24 02:30 nightly/dw-1 available"]);
    assert!(is_active(&sim, "nightly", "dw-2"));
    sim.until("2026-11-25 03:00");
    assert_eq!(sim.records()[2], "11-25 02:30 nightly/dw-2 available");
    sim.assert_accounted();
}

#[test]
fn a_cluster_that_disappears_closes_its_pair_and_starts_afresh_when_it_reappears() {
    let tables = policy("nightly", NIGHTLY, "*", "start_window = \"20h\"");
    let mut sim = sim("2026-11-24 00:00", &tables);
    sim.until("2026-11-24 12:00");
    let now = sim.now;
    sim.aws.remove_cluster("dw", now);
    sim.until("2026-11-24 12:05");
    assert!(!is_active(&sim, "nightly", "dw"));
    sim.until("2026-11-26 12:00");
    sim.aws.add_cluster("dw", at("2026-01-01 00:00"));
    sim.until("2026-11-27 02:00");
    assert!(is_active(&sim, "nightly", "dw"));
    assert_eq!(sim.records(), ["11-24 02:30 nightly/dw available"]);
    sim.until("2026-11-27 03:00");
    assert_eq!(sim.records()[1], "11-27 02:30 nightly/dw available");
    sim.assert_accounted();
}

#[test]
fn a_failed_listing_changes_nothing() {
    for operation in [CLUSTERS, SNAPSHOTS] {
        let mut sim = sim("2026-11-24 00:00", &policy("nightly", NIGHTLY, "*", ""));
        sim.until("2026-11-24 01:00");
        sim.aws.refuse(operation, None, "AccessDenied", 403);
        sim.until("2026-11-24 02:45");
        assert!(is_active(&sim, "nightly", "dw"), "{operation}");
        assert!(sim.hosts[0].was_alarmed("Unreachable"));
        sim.aws.heal();
        sim.until("2026-11-24 04:00");
        assert_eq!(
            sim.records(),
            ["11-24 02:30 nightly/dw available"],
            "{operation}"
        );
        assert_eq!(sim.accepted(), ["11-24 02:30:00"], "{operation}");
    }
}

#[test]
fn a_listing_that_fails_after_a_restart_changes_nothing_either() {
    let mut sim = sim("2026-11-24 00:00", &policy("nightly", NIGHTLY, "*", ""));
    sim.until("2026-11-24 01:00");
    sim.stop(0);
    sim.aws.refuse(CLUSTERS, None, "Throttling", 400);
    sim.start(0);
    sim.until("2026-11-24 02:45");
    assert!(is_active(&sim, "nightly", "dw"));
    sim.aws.heal();
    sim.until("2026-11-24 04:00");
    assert_eq!(sim.records(), ["11-24 02:30 nightly/dw available"]);
    assert_eq!(sim.accepted(), ["11-24 02:30:00"]);
}

#[test]
fn a_recreated_cluster_under_a_glob_starts_afresh_and_one_named_stays_active() {
    for (clusters, starts_afresh) in [("*", true), ("dw", false)] {
        let tables = policy("nightly", NIGHTLY, clusters, "start_window = \"20h\"");
        let mut sim = sim("2026-11-24 00:00", &tables);
        sim.until("2026-11-24 12:00");
        sim.aws.add_cluster("dw", at("2026-11-24 12:00"));
        sim.until("2026-11-25 02:00");
        let active_from = sim.hosts[0].journal.ledger.pairs[&pair("nightly", "dw")].active_from;
        assert_eq!(
            active_from >= at("2026-11-24 12:00"),
            starts_afresh,
            "{clusters}"
        );
        assert_eq!(
            sim.records(),
            ["11-24 02:30 nightly/dw available"],
            "{clusters}"
        );
        sim.until("2026-11-25 04:00");
        assert_eq!(
            sim.records()[1],
            "11-25 02:30 nightly/dw available",
            "{clusters}"
        );
        sim.assert_accounted();
    }
}

#[test]
fn a_removed_policy_starts_nothing_more_and_its_due_slot_is_recorded() {
    let keep = policy("other", "0 5 * * *", "dw", "");
    let tables = policy("nightly", NIGHTLY, "dw", "jitter = \"1h\"") + &keep;
    let mut sim = sim("2026-11-24 00:00", &tables);
    sim.until("2026-11-24 02:30:01");
    sim.reload(0, config(&keep));
    sim.until("2026-11-24 04:00");
    assert_eq!(sim.records(), ["11-24 02:30 nightly/dw missed(disabled)"]);
    sim.until("2026-11-25 04:00");
    assert_eq!(sim.records().len(), 2);
}

/// Beside the listing a look for a run in doubt tells AWS's time too: what is due waits for the clusters all the same.
#[test]
fn a_cluster_recreated_while_the_daemon_was_down_starts_afresh_whatever_is_answered_first() {
    let tables = policy("nightly", NIGHTLY, "*", "") + &policy("other", "20 2 * * *", "*", "");
    let mut sim = sim("2026-11-24 00:00", &tables);
    sim.aws.strike(CREATE, Some(1), Fault::LostReply);
    sim.until("2026-11-24 02:20:00");
    sim.run_for(seconds(1));
    assert!(
        sim.outcome("other", "2026-11-24 02:20")
            .starts_with("open: InDoubt")
    );
    sim.stop(0);
    sim.until("2026-11-24 02:31");
    sim.aws.add_cluster("dw", at("2026-11-24 02:31"));
    let slow = Fault::Latency { milliseconds: 5000 };
    sim.aws.strike(CLUSTERS, Some(1), slow);
    sim.start(0);
    sim.until("2026-11-24 12:00");
    assert_eq!(sim.records(), ["11-24 02:20 other/dw available"]);
    sim.until("2026-11-25 03:00");
    assert_eq!(sim.outcome("nightly", "2026-11-25 02:30"), "available");
    sim.assert_accounted();
}
