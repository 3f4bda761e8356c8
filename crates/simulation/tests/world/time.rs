//! Slots, downtime, windows and blackouts, end to end.

use redkeep_simulation::setup::{minutes, policy, seconds, sim, sim_of_clusters};
use redkeep_simulation::sim::Sim;

/// Down between these two instants.
fn down(sim: &mut Sim, from: &str, until: &str) {
    sim.until(from);
    sim.stop(0);
    sim.until(until);
    sim.start(0);
}

#[test]
fn every_slot_of_a_day_gets_its_snapshot_at_its_instant() {
    let mut sim = sim(
        "2026-11-24 00:10",
        &policy("six-hourly", "0 */6 * * *", "dw", ""),
    );
    sim.until("2026-11-25 00:10");
    assert_eq!(
        sim.records(),
        [
            "11-24 06:00 six-hourly/dw available",
            "11-24 12:00 six-hourly/dw available",
            "11-24 18:00 six-hourly/dw available",
            "11-25 00:00 six-hourly/dw available",
        ]
    );
    assert_eq!(
        sim.accepted(),
        [
            "11-24 06:00:00",
            "11-24 12:00:00",
            "11-24 18:00:00",
            "11-25 00:00:00"
        ]
    );
    sim.assert_accounted();
}

fn in_zone(start: &str, until: &str, schedule: &str, zone: &str) -> Vec<String> {
    let more = format!("timezone = \"{zone}\"");
    let mut sim = sim(start, &policy("p", schedule, "dw", &more));
    sim.until(until);
    sim.assert_accounted();
    assert!(
        sim.records()
            .iter()
            .all(|record| record.ends_with(" p/dw available"))
    );
    sim.accepted()
}

#[test]
fn a_fixed_time_in_the_gap_runs_once_at_its_end() {
    let made = in_zone(
        "2026-03-08 00:00",
        "2026-03-09 00:00",
        "30 2 * * *",
        "America/New_York",
    );
    assert_eq!(made, ["03-08 07:00:00"], "03:00 in New York");
}

#[test]
fn a_fixed_time_in_the_fold_runs_in_the_first_copy_only() {
    let made = in_zone(
        "2026-11-01 00:00",
        "2026-11-02 00:00",
        "30 1 * * *",
        "America/New_York",
    );
    assert_eq!(made, ["11-01 05:30:00"]);
}

#[test]
fn two_fixed_times_run_twice_on_both_days_of_a_clock_change() {
    let zone = "Europe/Berlin";
    let spring = in_zone(
        "2026-03-28 23:00",
        "2026-03-29 22:00",
        "30 2,14 * * *",
        zone,
    );
    assert_eq!(spring, ["03-29 01:00:00", "03-29 12:30:00"]);
    let autumn = in_zone(
        "2026-10-24 22:00",
        "2026-10-25 23:00",
        "30 2,14 * * *",
        zone,
    );
    assert_eq!(autumn, ["10-25 00:30:00", "10-25 13:30:00"]);
}

#[test]
fn every_quarter_of_an_hour_runs_eight_times_in_the_two_copies_of_a_folded_hour() {
    let zone = "Europe/Berlin";
    let made = in_zone("2026-10-24 23:50", "2026-10-25 01:50", "*/15 * * * *", zone);
    assert_eq!(made.len(), 8, "{made:?}");
}

#[test]
fn after_three_days_down_one_run_is_late_and_the_others_are_missed() {
    let mut sim = sim(
        "2026-11-20 00:00",
        &policy("nightly", "30 2 * * *", "dw", ""),
    );
    down(&mut sim, "2026-11-21 00:00", "2026-11-23 05:00");
    sim.until("2026-11-23 06:00");
    assert_eq!(
        sim.records(),
        [
            "11-20 02:30 nightly/dw available",
            "11-21 02:30 nightly/dw missed(late)",
            "11-22 02:30 nightly/dw missed(late)",
            "11-23 02:30 nightly/dw available",
        ]
    );
    assert_eq!(sim.accepted()[1], "11-23 05:00:00");
    sim.assert_accounted();
}

#[test]
fn after_three_days_down_and_past_the_last_window_nothing_runs() {
    let mut sim = sim(
        "2026-11-20 00:00",
        &policy("nightly", "30 2 * * *", "dw", ""),
    );
    down(&mut sim, "2026-11-21 00:00", "2026-11-23 10:30");
    sim.until("2026-11-23 12:00");
    assert_eq!(
        sim.records()[1..],
        [
            "11-21 02:30 nightly/dw missed(late)",
            "11-22 02:30 nightly/dw missed(late)",
            "11-23 02:30 nightly/dw missed(late)",
        ]
    );
    assert_eq!(sim.aws.accepted.len(), 1);
    sim.assert_accounted();
}

#[test]
fn after_a_year_down_a_minutely_policy_has_one_range_and_goes_on() {
    let more = "start_window = \"60s\"";
    let mut sim = sim(
        "2025-11-24 00:00:30",
        &policy("minutely", "* * * * *", "dw", more),
    );
    down(&mut sim, "2025-11-24 00:01:50", "2026-11-24 00:00:30");
    sim.until("2026-11-24 00:03:30");
    let ranges = &sim.hosts[0].journal.ledger.ranges;
    assert_eq!(ranges.len(), 1, "{ranges:?}");
    // The hundred newest have runs of their own; the last of them is inside its window.
    assert_eq!(ranges[0].count, 365 * 24 * 60 - 1 - 100);
    assert_eq!(sim.outcome("minutely", "2026-11-23 23:59"), "missed(late)");
    assert_eq!(sim.outcome("minutely", "2026-11-24 00:00"), "available");
    assert_eq!(sim.outcome("minutely", "2026-11-24 00:03"), "available");
    sim.assert_accounted();
}

#[test]
fn more_than_a_hundred_missed_are_one_range_and_the_hundred_newest() {
    for (due, ranges) in [(101, [].as_slice()), (102, &[2]), (500, &[400])] {
        let mut sim = sim(
            "2026-11-24 00:00:40",
            &policy("minutely", "* * * * *", "dw", ""),
        );
        sim.run_for(seconds(10));
        sim.stop(0);
        sim.run_for(minutes(due));
        sim.start(0);
        sim.run_for(seconds(5));
        let ledger = &sim.hosts[0].journal.ledger;
        let counts: Vec<u64> = ledger.ranges.iter().map(|range| range.count).collect();
        assert_eq!(counts, ranges, "of {due} due");
        assert_eq!(
            sim.aws.accepted.len(),
            1,
            "only the newest is inside its window"
        );
        sim.run_for(seconds(45));
        sim.assert_accounted();
    }
}

#[test]
fn without_catching_up_a_slot_is_missed_five_minutes_later() {
    for (back, expected) in [("02:34:50", "available"), ("02:35:00", "missed(late)")] {
        let tables = policy("nightly", "30 2 * * *", "dw", "catch_up = false");
        let mut sim = sim("2026-11-24 00:00", &tables);
        down(&mut sim, "2026-11-24 01:00", &format!("2026-11-24 {back}"));
        sim.until("2026-11-24 03:00");
        assert_eq!(
            sim.outcome("nightly", "2026-11-24 02:30"),
            expected,
            "back at {back}"
        );
    }
}

#[test]
fn a_start_window_says_how_late_a_slot_may_start() {
    for (back, expected) in [("03:59:50", "available"), ("04:00:00", "missed(late)")] {
        let tables = policy("nightly", "30 2 * * *", "dw", "start_window = \"90m\"");
        let mut sim = sim("2026-11-24 00:00", &tables);
        down(&mut sim, "2026-11-24 01:00", &format!("2026-11-24 {back}"));
        sim.until("2026-11-24 05:00");
        assert_eq!(
            sim.outcome("nightly", "2026-11-24 02:30"),
            expected,
            "back at {back}"
        );
    }
}

#[test]
fn of_several_slots_inside_their_windows_the_newest_runs_and_the_others_are_coalesced() {
    let tables = policy("hourly", "0 * * * *", "dw", "start_window = \"3h\"");
    let mut sim = sim("2026-11-24 00:30", &tables);
    down(&mut sim, "2026-11-24 01:30", "2026-11-24 06:10");
    sim.until("2026-11-24 06:30");
    assert_eq!(
        sim.records(),
        [
            "11-24 01:00 hourly/dw available",
            "11-24 02:00 hourly/dw missed(late)",
            "11-24 03:00 hourly/dw missed(late)",
            "11-24 04:00 hourly/dw missed(coalesced)",
            "11-24 05:00 hourly/dw missed(coalesced)",
            "11-24 06:00 hourly/dw available",
        ]
    );
    sim.assert_accounted();
}

#[test]
fn a_newer_slot_supersedes_an_older_one_that_aws_has_not_accepted() {
    let tables = policy("hourly", "0 * * * *", "dw", "start_window = \"3h\"");
    let mut sim = sim("2026-11-24 01:30", &tables);
    let now = sim.now;
    sim.aws.set_status("dw", "paused", now);
    sim.until("2026-11-24 03:20");
    let now = sim.now;
    sim.aws.set_status("dw", "available", now);
    sim.until("2026-11-24 03:50");
    assert_eq!(
        sim.records(),
        [
            "11-24 02:00 hourly/dw expired(superseded: cluster paused)",
            "11-24 03:00 hourly/dw available",
        ]
    );
    sim.assert_accounted();
}

#[test]
fn jitter_is_the_same_after_a_restart_and_differs_between_clusters() {
    let clusters = ["dw", "dx", "dy", "dz"];
    let tables = policy("nightly", "30 2 * * *", "*", "jitter = \"1h\"");
    let undisturbed = {
        let mut sim = sim_of_clusters("2026-11-24 00:00", &clusters, &tables);
        sim.until("2026-11-24 04:00");
        sim.accepted()
    };
    let mut restarted = sim_of_clusters("2026-11-24 00:00", &clusters, &tables);
    down(&mut restarted, "2026-11-24 02:30:10", "2026-11-24 02:30:20");
    restarted.until("2026-11-24 04:00");
    assert_eq!(restarted.accepted(), undisturbed);
    let mut distinct = undisturbed.clone();
    distinct.dedup();
    assert_eq!(distinct.len(), clusters.len(), "{undisturbed:?}");
    assert!(undisturbed.iter().all(|at| at.as_str() < "11-24 03:30:00"));
    restarted.assert_accounted();
}

fn blackout(schedule: &str, duration: &str) -> String {
    policy(
        "nightly",
        "30 2 * * *",
        "dw",
        "start_window = \"2h\"\nblackout = [\"b\"]",
    ) + &format!(
        "[[blackout]]\nname = \"b\"\nschedule = \"{schedule}\"\nduration = \"{duration}\"\n"
    )
}

#[test]
fn a_blackout_delays_a_slot_to_its_end() {
    let mut sim = sim("2026-11-24 00:00", &blackout("0 2 * * *", "105m"));
    sim.until("2026-11-24 05:00");
    assert_eq!(sim.accepted(), ["11-24 03:45:00"]);
    sim.assert_accounted();
}

#[test]
fn a_blackout_over_the_whole_window_makes_a_slot_missed() {
    let mut sim = sim("2026-11-24 00:00", &blackout("0 2 * * *", "150m"));
    sim.until("2026-11-24 05:00");
    assert_eq!(sim.records(), ["11-24 02:30 nightly/dw missed(blackout)"]);
    sim.assert_accounted();
}

#[test]
fn a_retry_keeps_to_the_blackouts_too() {
    let mut sim = sim("2026-11-24 00:00", &blackout("0 3 * * *", "30m"));
    let now = sim.now;
    sim.aws.set_status("dw", "paused", now);
    sim.until("2026-11-24 03:05");
    let asked = sim.aws.asked["CreateClusterSnapshot"];
    sim.until("2026-11-24 03:29");
    assert_eq!(sim.aws.asked["CreateClusterSnapshot"], asked);
    let now = sim.now;
    sim.aws.set_status("dw", "available", now);
    sim.until("2026-11-24 05:00");
    assert_eq!(sim.accepted(), ["11-24 03:30:00"]);
    sim.assert_accounted();
}
