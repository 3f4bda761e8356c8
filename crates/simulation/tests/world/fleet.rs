//! Many clusters, and several installations on one account.

use std::collections::BTreeSet;

use chrono::DurationRound;

use redkeep_simulation::setup::{add_host, at, config, minutes, policy, seconds, sim_of_clusters};
use redkeep_simulation::sim::Sim;
use redkeep_simulation::sim::aws::{CREATE, SNAPSHOTS};
use redkeep_simulation::sim::journal::Journal;

#[test]
fn two_hundred_clusters_in_one_minute_keep_the_rate_and_their_windows() {
    let names: Vec<String> = (0..200).map(|number| format!("dw-{number}")).collect();
    let clusters: Vec<&str> = names.iter().map(String::as_str).collect();
    let tables = policy("nightly", "30 2 * * *", "*", "start_window = \"10m\"");
    let mut sim = sim_of_clusters("2026-11-24 02:25", &clusters, &tables);
    sim.until("2026-11-24 02:36");
    let records = sim.records();
    assert_eq!(records.len(), 200);
    assert!(
        records.iter().all(|record| record.ends_with("available")),
        "{records:?}"
    );
    let last = sim.aws.accepted.last().unwrap().1;
    assert!(
        last <= at("2026-11-24 02:32"),
        "the last one began at {last}"
    );
    // The witness holds every call against the rate.
    sim.assert_accounted();
}

#[test]
fn a_throttled_fleet_still_keeps_the_rate() {
    let names: Vec<String> = (0..60).map(|number| format!("dw-{number}")).collect();
    let clusters: Vec<&str> = names.iter().map(String::as_str).collect();
    let tables = policy("nightly", "30 2 * * *", "*", "");
    let mut sim = sim_of_clusters("2026-11-24 02:25", &clusters, &tables);
    sim.aws.refuse(CREATE, None, "Throttling", 400);
    sim.until("2026-11-24 02:40");
    sim.aws.heal();
    sim.until("2026-11-24 02:50");
    assert!(
        sim.records()
            .iter()
            .all(|record| record.ends_with("available"))
    );
    sim.assert_accounted();
}

#[test]
fn in_a_scope_of_twenty_thousand_snapshots_slots_start_in_time_and_listings_leave_room() {
    let names: Vec<String> = (0..40).map(|number| format!("dw-{number}")).collect();
    let clusters: Vec<&str> = names.iter().map(String::as_str).collect();
    let tables = policy("hourly", "0 * * * *", "*", "");
    let mut sim = sim_of_clusters("2026-11-24 00:45", &clusters, &tables);
    sim.aws.account.limits.snapshot_seconds = 900;
    let now = sim.now;
    sim.aws.add_foreign_snapshots("dw-0", 20_000, now);
    sim.until("2026-11-24 01:30");
    let asked = |sim: &Sim| (sim.aws.asked[SNAPSHOTS], sim.aws.listings.len() as u64);
    let (all, listings) = asked(&sim);
    assert!(
        (15..=40).contains(&listings),
        "{listings} listings in 45 minutes"
    );
    assert!(
        all > listings + 40,
        "what is being made is followed by name"
    );
    sim.until("2026-11-24 02:20");
    let records = sim.records();
    assert_eq!(records.len(), 80);
    assert!(
        records.iter().all(|record| record.ends_with("available")),
        "{records:?}"
    );
    for (id, accepted_at) in &sim.aws.accepted {
        let hour = accepted_at.duration_trunc(minutes(60)).unwrap();
        let late = *accepted_at - hour;
        assert!(late < seconds(6), "{id} was accepted {late} late");
    }
    sim.assert_accounted();
}

/// Two hosts with the same policies, the second a little later.
fn two_hosts(tables: &str, later: chrono::TimeDelta) -> Sim {
    let mut sim = Sim::new(at("2026-11-24 00:10"));
    sim.aws.add_cluster("dw", at("2026-01-01 00:00"));
    add_host(&mut sim, "host-a", config(tables), Journal::in_memory());
    sim.run_for(later);
    add_host(&mut sim, "host-b", config(tables), Journal::in_memory());
    sim
}

#[test]
fn two_hosts_make_one_snapshot_for_a_slot_and_both_record_it() {
    for later in [seconds(0), seconds(7)] {
        let mut sim = two_hosts(&policy("hourly", "0 * * * *", "dw", ""), later);
        sim.until("2026-11-24 12:10");
        assert_eq!(sim.aws.accepted.len(), 12);
        assert_eq!(sim.records_of(0).len(), 12);
        assert_eq!(sim.records_of(0), sim.records_of(1));
        assert!(
            sim.records()
                .iter()
                .all(|record| record.ends_with("available"))
        );
        sim.assert_accounted();
        let writers: BTreeSet<String> = sim
            .aws
            .listed(redkeep_simulation::sim::aws::REGION, sim.now)
            .into_iter()
            .map(|snapshot| snapshot.tags["redkeep:writer"].clone())
            .collect();
        assert!(!writers.is_empty());
    }
}

#[test]
fn two_hosts_whose_snapshot_fails_make_one_more_of_it_together() {
    let mut sim = two_hosts(&policy("nightly", "30 2 * * *", "dw", ""), seconds(3));
    let message = "of no importance".to_owned();
    let fault = redkeep_sandbox::faults::Fault::FailSnapshot { message };
    sim.aws.strike(CREATE, Some(1), fault);
    sim.until("2026-11-24 03:00");
    println!("{:?} {:?}", sim.records_of(0), sim.records_of(1));
    assert_eq!(sim.aws.accepted.len(), 2);
    assert_eq!(sim.records_of(0), ["11-24 02:30 nightly/dw available"]);
    assert_eq!(sim.records_of(1), sim.records_of(0));
    sim.assert_accounted();
}

#[test]
fn a_name_that_exists_and_cannot_be_seen_yet_is_looked_for_until_it_can() {
    let mut sim = two_hosts(&policy("nightly", "30 2 * * *", "dw", ""), seconds(3));
    let fault = redkeep_sandbox::faults::Fault::LateSnapshot { seconds: 200 };
    sim.aws.strike(CREATE, Some(1), fault);
    sim.until("2026-11-24 02:45");
    assert_eq!(sim.aws.accepted.len(), 1);
    assert_eq!(sim.records_of(0), ["11-24 02:30 nightly/dw available"]);
    assert_eq!(sim.records_of(1), sim.records_of(0));
    sim.assert_accounted();
}

#[test]
fn what_the_other_host_makes_after_this_one_has_given_up_is_recorded_beside_the_outcome() {
    let nightly = |window: &str| {
        policy(
            "nightly",
            "30 2 * * *",
            "dw",
            &format!("start_window = {window}"),
        )
    };
    let mut sim = two_hosts(&nightly("\"1h\""), seconds(3));
    sim.reload(1, config(&nightly("\"6h\"")));
    sim.aws.set_status("dw", "paused", sim.now);
    sim.until("2026-11-24 04:00");
    sim.aws.set_status("dw", "available", sim.now);
    sim.until("2026-11-26 12:00");
    assert_eq!(sim.records_of(1)[0], "11-24 02:30 nightly/dw available");
    assert_eq!(
        sim.records_of(0)[0],
        "11-24 02:30 nightly/dw expired(cluster paused)"
    );
    let run = sim.run("nightly", "2026-11-24 02:30").unwrap();
    let id = run.snapshot.unwrap().identifier().to_owned();
    assert_eq!(id, run.request.snapshot_id.as_str());
    assert!(run.gone.is_none());
    // Like every other it is followed until it is gone.
    sim.aws.delete(&id, sim.now);
    sim.run_for(minutes(5));
    let run = sim.run("nightly", "2026-11-24 02:30").unwrap();
    assert_eq!(run.gone.unwrap().reason.as_str(), "deleted");
    assert_eq!(
        sim.records_of(0)[0],
        "11-24 02:30 nightly/dw expired(cluster paused)"
    );
}

#[test]
fn a_host_that_was_down_adopts_what_the_other_made_meanwhile() {
    let mut sim = two_hosts(&policy("hourly", "0 * * * *", "dw", ""), seconds(3));
    sim.until("2026-11-24 02:10");
    sim.stop(1);
    sim.until("2026-11-25 02:10");
    sim.start(1);
    sim.run_for(minutes(5));
    assert_eq!(sim.records_of(1), sim.records_of(0));
    sim.assert_accounted();
}

#[test]
fn more_than_a_hundred_that_the_other_host_made_are_no_range_of_missed_ones() {
    let mut sim = two_hosts(&policy("minutely", "* * * * *", "dw", ""), seconds(3));
    sim.until("2026-11-24 00:20");
    sim.stop(1);
    sim.until("2026-11-24 00:40");
    // Some of them are missing: the other host was down for a while too.
    sim.stop(0);
    sim.until("2026-11-24 00:50");
    sim.start(0);
    sim.until("2026-11-24 03:00:20");
    sim.start(1);
    sim.run_for(seconds(35));
    let available = |host: usize| -> Vec<String> {
        let records = sim.records_of(host).into_iter();
        records
            .filter(|record| record.ends_with("available"))
            .collect()
    };
    assert_eq!(available(1), available(0));
    let ranges = &sim.hosts[1].journal.ledger.ranges;
    let counts: Vec<u64> = ranges.iter().map(|range| range.count).collect();
    assert_eq!(counts, [9], "what the other host missed too");
    sim.assert_accounted();
}

#[test]
fn a_ledger_three_days_old_is_caught_up_from_what_is_there() {
    // The history of a copy: the watermark is three days back, the snapshots are not.
    let tables = policy("hourly", "0 * * * *", "dw", "");
    let mut sim = sim_of_clusters("2026-11-24 00:10", &["dw"], &tables);
    sim.until("2026-11-24 01:10");
    let copy = sim.hosts[0].journal.ledger.clone();
    sim.until("2026-11-27 01:10");
    let made = sim.aws.accepted.len();
    sim.stop(0);
    sim.hosts[0].journal.ledger = copy;
    sim.start(0);
    sim.run_for(minutes(3));
    assert_eq!(sim.aws.accepted.len(), made, "nothing is made twice");
    assert_eq!(sim.records().len(), made);
    assert!(
        sim.records()
            .iter()
            .all(|record| record.ends_with("available"))
    );
    sim.assert_accounted();
}

#[test]
fn a_listing_of_many_pages_is_charged_for_and_a_slot_still_starts_in_time() {
    let tables = policy("nightly", "30 2 * * *", "dx", "")
        + &policy("minutely", "* * * * *", "dw", "start_window = \"60s\"");
    let mut sim = sim_of_clusters("2026-11-24 02:00", &["dw", "dx"], &tables);
    sim.aws.add_foreign_snapshots("dx", 1_700, sim.now);
    sim.until("2026-11-24 02:59:50");
    for (id, accepted) in &sim.aws.accepted {
        let second = accepted.format("%S").to_string();
        assert!(second.as_str() < "03", "{id} was begun at {accepted}");
    }
    assert_eq!(sim.aws.accepted.len(), 60);
    // The witness counts every page.
    sim.assert_accounted();
}
