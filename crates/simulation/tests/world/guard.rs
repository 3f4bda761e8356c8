//! The last-good guard: whatever stops the snapshots from coming, the newest good ones do not expire.

use chrono::{DateTime, Utc};
use redkeep_core::engine::Requests;
use redkeep_core::pause::{Pause, Pauses};
use redkeep_core::plan::Alarm;
use redkeep_sandbox::faults::Fault;

use redkeep_simulation::setup::{add_host, at, config, policy, seconds, sim, sim_of_clusters};
use redkeep_simulation::sim::Sim;
use redkeep_simulation::sim::aws::CREATE;
use redkeep_simulation::sim::journal::Journal;

const NIGHTLY: &str = "30 2 * * *";
const START: &str = "2026-11-24 00:00";

fn three_days(more: &str) -> String {
    policy("p", NIGHTLY, "d*", more).replace("\"35d\"", "\"3d\"")
}

/// The snapshots that are there, by the day of their slot.
fn held(sim: &mut Sim) -> Vec<String> {
    let now = sim.now;
    let there = sim.aws.listed(redkeep_simulation::sim::aws::REGION, now);
    let mut days: Vec<String> = there
        .iter()
        .filter(|one| one.status.as_deref() == Some("available"))
        .map(|one| one.tags["redkeep:slot"][5..10].to_owned())
        .collect();
    days.sort_unstable();
    days
}

fn refused(sim: &Sim) -> bool {
    let mut alarms = sim.hosts[0].alarms.keys();
    alarms.any(|alarm| matches!(alarm, Alarm::GuardRefused(_)))
}

#[test]
fn while_all_goes_well_nothing_is_modified() {
    let mut sim = sim(START, &three_days(""));
    sim.until("2026-12-24 00:00");
    assert_eq!(sim.aws.modified, []);
    assert_eq!(held(&mut sim), ["12-21", "12-22", "12-23"]);
}

#[test]
fn after_weeks_of_failing_snapshots_the_last_two_good_ones_are_still_there() {
    let message = "Injected.".to_owned();
    let refused = Fault::Error {
        code: "InvalidClusterState".to_owned(),
        status: 400,
        message: "paused".to_owned(),
    };
    for fault in [Fault::FailSnapshot { message }, refused, Fault::Hang] {
        let mut sim = sim(START, &three_days(""));
        sim.until("2026-11-28 00:00");
        sim.aws.strike(CREATE, None, fault);
        sim.until("2026-12-31 00:00");
        assert_eq!(held(&mut sim), ["11-26", "11-27"]);
        let extensions = &sim.hosts[0].journal.ledger.extensions;
        // Each time by a little over two weeks less the two days of concern: not every day.
        assert!((4..=8).contains(&extensions.len()), "{}", extensions.len());
        let modified: Vec<&str> = sim.aws.modified.iter().map(|(id, _)| id.as_str()).collect();
        assert!(
            modified
                .iter()
                .all(|id| id.contains("20261126") || id.contains("20261127"))
        );
        sim.aws.heal();
        // They are let go when newer ones are there.
        sim.until("2027-01-16 00:00");
        assert_eq!(held(&mut sim), ["01-13", "01-14", "01-15"]);
    }
}

#[test]
fn a_policy_that_is_disabled_or_paused_keeps_its_last_good_ones() {
    let mut sim = sim(START, &three_days(""));
    sim.until("2026-11-28 00:00");
    sim.reload(0, config(&three_days("enabled = false")));
    sim.until("2027-02-01 00:00");
    assert_eq!(held(&mut sim), ["11-26", "11-27"]);
}

#[test]
fn without_the_guard_they_expire() {
    let mut sim = sim(START, &three_days("guard = false"));
    sim.until("2026-11-28 00:00");
    sim.reload(0, config(&three_days("guard = false\nenabled = false")));
    sim.until("2027-02-01 00:00");
    assert_eq!(held(&mut sim), Vec::<String>::new());
    assert_eq!(sim.aws.modified, []);
}

#[test]
fn the_snapshots_of_a_cluster_that_is_gone_are_kept_for_guard_gone_and_then_let_go_with_an_alarm() {
    let mut sim = sim(START, &three_days("guard_gone = \"30d\""));
    sim.until("2026-11-28 00:00");
    let now: DateTime<Utc> = at("2026-11-28 00:00");
    sim.aws.remove_cluster("dw", now);
    sim.until("2026-12-27 00:00");
    assert_eq!(held(&mut sim), ["11-26", "11-27"]);
    sim.until("2027-02-01 00:00");
    assert_eq!(held(&mut sim), Vec::<String>::new());
    let told = sim.hosts[0]
        .alarms_ever
        .iter()
        .filter(|alarm| alarm.starts_with("LettingGo"));
    assert_eq!(told.count(), 2);
}

#[test]
fn guard_gone_counts_from_when_the_cluster_was_missing_and_not_from_when_its_pair_was_closed() {
    let enabled = three_days("guard_gone = \"30d\"");
    let mut sim = sim(START, &enabled);
    sim.until("2026-11-28 00:00");
    sim.reload(
        0,
        config(&three_days("guard_gone = \"30d\"\nenabled = false")),
    );
    // Closed for two months when the cluster goes, and a restart in between.
    sim.until("2027-01-28 00:00");
    sim.aws.remove_cluster("dw", at("2027-01-28 00:00"));
    sim.until("2027-01-29 00:00");
    sim.stop(0);
    sim.start(0);
    sim.reload(0, config(&enabled));
    sim.until("2027-02-26 00:00");
    assert_eq!(held(&mut sim), ["11-26", "11-27"]);
    assert!(!sim.hosts[0].was_alarmed("LettingGo"));
    sim.until("2027-03-29 00:00");
    assert_eq!(held(&mut sim), Vec::<String>::new());
}

#[test]
fn a_cluster_that_the_policy_names_is_expected_back_and_its_last_good_ones_are_kept_as_long_as_it_is_named()
 {
    let tables = three_days("guard_gone = \"30d\"").replace("\"d*\"", "\"dw\"");
    let mut sim = sim(START, &tables);
    sim.until("2026-11-28 00:00");
    sim.aws.remove_cluster("dw", at("2026-11-28 00:00"));
    sim.until("2027-01-28 00:00");
    assert_eq!(held(&mut sim), ["11-26", "11-27"]);
    assert_eq!(sim.outcome("p", "2027-01-27 02:30"), "failed(not_found)");
    sim.aws.add_cluster("dw", at("2027-01-28 00:00"));
    sim.until("2027-01-28 04:00");
    assert_eq!(sim.outcome("p", "2027-01-28 02:30"), "available");
}

#[test]
fn where_aws_denies_it_there_is_an_alarm_and_creating_goes_on() {
    let mut sim = sim(START, &three_days(""));
    sim.until("2026-11-28 00:00");
    sim.aws.set_status("dw", "paused", at("2026-11-28 00:00"));
    sim.aws
        .refuse("ModifyClusterSnapshot", None, "AccessDenied", 403);
    sim.until("2026-11-28 23:00");
    assert!(refused(&sim));
    let asked = sim.aws.asked["ModifyClusterSnapshot"];
    assert!(
        (1..=2 * 24 * 6).contains(&asked),
        "at most every ten minutes: {asked}"
    );
    sim.aws
        .set_status("dw", "available", at("2026-11-28 23:00"));
    sim.until("2026-11-29 12:00");
    assert_eq!(sim.outcome("p", "2026-11-29 02:30"), "available");
    assert!(!refused(&sim), "with a new one there is no need");
}

#[test]
fn a_snapshot_whose_tags_do_not_prove_it_ours_is_not_modified() {
    let mut sim = sim(START, &three_days(""));
    sim.until("2026-11-28 00:00");
    let now = sim.now;
    let ids: Vec<String> = sim.aws.region(now).snapshots.keys().cloned().collect();
    for id in &ids {
        let tags = &mut sim.aws.snapshot_mut(id, now).tags;
        for tag in tags.iter_mut().filter(|tag| tag.key == "redkeep:policy") {
            tag.value = "other".to_owned();
        }
    }
    sim.aws.set_status("dw", "paused", now);
    sim.until("2026-12-04 00:00");
    assert_eq!(sim.aws.modified, []);
}

#[test]
fn a_pair_that_was_closed_and_comes_back_with_a_later_slot_keeps_its_last_good_one_until_then() {
    let clusters = |name: &str, schedule: &str| {
        three_days("")
            .replace("d*", name)
            .replace(NIGHTLY, schedule)
    };
    let mut sim = sim(START, &three_days(""));
    sim.until("2026-11-28 00:00");
    sim.reload(0, config(&clusters("x*", NIGHTLY)));
    sim.until("2026-11-29 00:00");
    sim.reload(0, config(&clusters("d*", "30 2 15 * *")));
    sim.until("2026-12-15 02:00");
    assert_eq!(held(&mut sim), ["11-27"]);
    sim.until("2027-01-15 02:00");
    assert_eq!(held(&mut sim), ["12-15"], "the older one is let go");
}

#[test]
fn many_snapshots_near_their_end_are_seen_to_within_the_limit_of_calls_under_way() {
    let names: Vec<String> = (0..12).map(|number| format!("dw-{number}")).collect();
    let clusters: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut sim = sim_of_clusters("2026-11-25 00:00", &clusters, &three_days(""));
    sim.until("2026-11-28 00:00");
    for cluster in &clusters {
        sim.aws.set_status(cluster, "paused", sim.now);
    }
    sim.aws.strike("ModifyClusterSnapshot", None, Fault::Hang);
    // The slot of this night expires then, and two snapshots of every cluster are seen to.
    sim.until("2026-11-28 10:29");
    let mut most = 0;
    while sim.now < at("2026-11-28 10:33") {
        sim.run_for(seconds(5));
        let observed = &sim.hosts[0].process_mut().engine.observed();
        most = most.max(observed.in_flight.len());
    }
    assert_eq!(most, redkeep_core::observed::CALLS_IN_FLIGHT);
}

/// Pauses the policy on the first host, from now on.
fn pause(sim: &mut Sim) {
    let paused_at = sim.now;
    let pause = Pause {
        paused_at,
        resumed_at: None,
    };
    let pauses = Pauses::from_iter([("p".parse().unwrap(), pause)]);
    let host = &mut sim.hosts[0];
    host.journal.ledger.pauses = pauses.clone();
    let requests = Requests {
        pauses,
        ..Requests::default()
    };
    host.process_mut().engine.receive(requests, &());
}

#[test]
fn what_another_host_makes_while_the_policy_is_paused_here_is_extended_only_once_it_stops() {
    let days = |days: u32, schedule: &str| {
        let retention = format!("\"{days}d\"");
        policy("p", schedule, "d*", "").replace("\"35d\"", &retention)
    };
    for (name, tables) in [
        ("every hour for a day", days(1, "15 * * * *")),
        ("every night for two days", days(2, NIGHTLY)),
        ("every night for one", days(1, NIGHTLY)),
        ("every night for three", days(3, NIGHTLY)),
    ] {
        let mut sim = sim(START, &tables);
        let other = add_host(&mut sim, "host-b", config(&tables), Journal::in_memory());
        sim.until("2026-11-27 00:00");
        pause(&mut sim);
        let extended = |sim: &Sim| sim.hosts[0].journal.ledger.extensions.len();
        let before = extended(&sim);
        sim.until("2026-12-15 00:00");
        assert_eq!(extended(&sim), before, "{name}: the other host sees to it");
        sim.stop(other);
        sim.until("2027-01-10 00:00");
        assert!(!held(&mut sim).is_empty(), "{name}: the last one stays");
        assert!(extended(&sim) > before, "{name}");
    }
}

#[test]
fn the_snapshots_of_a_cluster_that_is_gone_are_let_go_after_guard_gone_also_where_the_policy_is_off()
 {
    for is_paused in [true, false] {
        let mut sim = sim(START, &three_days("guard_gone = \"30d\""));
        sim.until("2026-11-28 00:00");
        match is_paused {
            true => pause(&mut sim),
            false => sim.reload(
                0,
                config(&three_days("guard_gone = \"30d\"\nenabled = false")),
            ),
        }
        sim.until("2026-12-01 00:00");
        sim.aws.remove_cluster("dw", at("2026-12-01 00:00"));
        sim.until("2026-12-30 00:00");
        assert_eq!(held(&mut sim), ["11-26", "11-27"]);
        sim.until("2027-02-01 00:00");
        assert_eq!(held(&mut sim), Vec::<String>::new());
        assert!(sim.hosts[0].was_alarmed("LettingGo"));
    }
}

#[test]
fn a_policy_that_is_off_when_the_history_is_lost_keeps_its_last_good_ones() {
    let mut sim = sim(START, &three_days(""));
    sim.until("2026-11-28 00:00");
    sim.reload(0, config(&three_days("enabled = false")));
    sim.stop(0);
    sim.hosts[0].journal = Journal::in_memory();
    sim.start(0);
    sim.until("2027-02-01 00:00");
    assert_eq!(held(&mut sim), ["11-26", "11-27"]);
}
