//! Edits that the daemon sees late: what was due under the old schedule is closed first, and nothing is lost or doubled.

use redkeep_sandbox::faults::Fault;

use redkeep_simulation::setup::{
    at, config, hours, minutes, pair, policy, seconds, sim, sim_of_clusters,
};
use redkeep_simulation::sim::Sim;
use redkeep_simulation::sim::aws::{CLUSTERS, SNAPSHOTS};

const NIGHTLY: &str = "30 2 * * *";

/// Nothing that the daemon asks arrives.
fn cut_off(sim: &mut Sim) {
    for operation in [CLUSTERS, SNAPSHOTS, "GetCallerIdentity"] {
        sim.aws.strike(operation, None, Fault::Reset);
    }
}

/// Down from `from` until `until`, and started with `tables`.
fn edited_while_down(sim: &mut Sim, (from, until): (&str, &str), tables: &str) {
    sim.until(from);
    sim.stop(0);
    sim.hosts[0].config = config(tables);
    sim.until(until);
    sim.start(0);
}

#[test]
fn what_was_due_while_the_daemon_was_down_and_the_schedule_edited_has_its_record_and_its_snapshot()
{
    let mut sim = sim("2026-11-24 11:58:30", &policy("p", "* * * * *", "dw", ""));
    let edited = policy("p", "0 14 * * *", "dw", "");
    edited_while_down(
        &mut sim,
        ("2026-11-24 12:00:30", "2026-11-24 12:03:30"),
        &edited,
    );
    sim.until("2026-11-24 14:10");
    assert_eq!(
        sim.records(),
        [
            "11-24 11:59 p/dw available",
            "11-24 12:00 p/dw available",
            "11-24 12:01 p/dw missed(late)",
            "11-24 12:02 p/dw missed(late)",
            "11-24 12:03 p/dw available",
            "11-24 14:00 p/dw available",
        ]
    );
    sim.assert_accounted();
}

#[test]
fn a_night_that_came_before_its_edit_was_seen_is_taken_inside_its_window() {
    for edited in ["0 1,4 * * *", "0 22 * * *", "*/10 3 * * *"] {
        let mut sim = sim("2026-11-24 00:00", &policy("p", NIGHTLY, "dw", ""));
        let tables = policy("p", edited, "dw", "");
        edited_while_down(&mut sim, ("2026-11-24 01:00", "2026-11-24 04:30"), &tables);
        sim.until("2026-11-24 06:30");
        assert_eq!(sim.records(), ["11-24 02:30 p/dw available"], "{edited}");
        sim.until("2026-11-25 12:00");
        assert!(sim.records().len() > 1, "{edited} is not in force");
        sim.assert_accounted();
    }
}

/// The edit is when the daemon first saw it, not when AWS first answered.
#[test]
fn before_aws_first_answers_the_old_schedule_ends_and_the_new_one_begins_all_the_same() {
    let mut sim = sim("2026-11-24 00:00", &policy("p", NIGHTLY, "dw", ""));
    sim.until("2026-11-24 01:00");
    sim.stop(0);
    sim.hosts[0].config = config(&policy("p", "0 2,4 * * *", "dw", ""));
    cut_off(&mut sim);
    sim.until("2026-11-24 03:00");
    sim.start(0);
    sim.until("2026-11-24 04:30");
    sim.aws.heal();
    sim.until("2026-11-24 09:00");
    // 02:00 of the new schedule was before it; of 02:30 and 04:00 the newer one runs.
    assert_eq!(
        sim.records(),
        [
            "11-24 02:30 p/dw missed(coalesced)",
            "11-24 04:00 p/dw available"
        ]
    );
    sim.assert_accounted();
}

#[test]
fn a_reload_while_aws_has_never_answered_loses_nothing_of_either_schedule() {
    let mut sim = sim("2026-11-24 00:00", &policy("p", NIGHTLY, "dw", ""));
    sim.until("2026-11-24 01:00");
    sim.stop(0);
    cut_off(&mut sim);
    sim.until("2026-11-24 02:00");
    sim.start(0);
    sim.until("2026-11-24 03:00");
    sim.reload(0, config(&policy("p", "0 2,8 * * *", "dw", "")));
    sim.until("2026-11-24 04:00");
    // Another edit, which is none of the schedule, does not move the first.
    sim.reload(
        0,
        config(&policy("p", "0 2,8 * * *", "dw", "jitter = \"1s\"")),
    );
    sim.until("2026-11-24 04:30");
    sim.aws.heal();
    sim.until("2026-11-24 08:30");
    assert_eq!(
        sim.records(),
        ["11-24 02:30 p/dw available", "11-24 08:00 p/dw available"]
    );
    sim.assert_accounted();
}

#[test]
fn what_was_due_before_a_policy_was_switched_off_or_removed_has_its_record() {
    let other = policy("other", "0 12 * * *", "dw", "");
    let off = policy("p", NIGHTLY, "dw", "enabled = false");
    for tables in [other.clone(), off + &other] {
        let mut sim = sim(
            "2026-11-24 00:00",
            &(policy("p", NIGHTLY, "dw", "") + &other),
        );
        edited_while_down(&mut sim, ("2026-11-24 02:29", "2026-11-24 02:32"), &tables);
        sim.until("2026-11-25 06:00");
        assert_eq!(
            sim.records(),
            [
                "11-24 02:30 p/dw missed(disabled)",
                "11-24 12:00 other/dw available"
            ]
        );
        let state = &sim.hosts[0].journal.ledger.pairs[&pair("p", "dw")];
        assert_eq!(state.closed_at, Some(at("2026-11-24 02:32")));
        sim.assert_accounted();
    }
}

#[test]
fn what_was_due_before_a_cluster_was_taken_out_of_its_policy_is_still_taken() {
    for (before, after) in [("dw-*", "dw-2"), ("dw-1\", \"dw-2", "dw-2")] {
        let tables = policy("p", NIGHTLY, before, "");
        let mut sim = sim_of_clusters("2026-11-24 00:00", &["dw-1", "dw-2"], &tables);
        let tables = policy("p", NIGHTLY, after, "");
        edited_while_down(&mut sim, ("2026-11-24 02:29", "2026-11-24 02:32"), &tables);
        sim.until("2026-11-25 06:00");
        assert_eq!(
            sim.records(),
            [
                "11-24 02:30 p/dw-1 available",
                "11-24 02:30 p/dw-2 available",
                "11-25 02:30 p/dw-2 available"
            ],
            "{before}"
        );
        sim.assert_accounted();
    }
}

#[test]
fn a_zone_of_another_name_with_the_same_clocks_doubles_nothing_and_loses_nothing() {
    let zone = |name: &str| policy("p", "0 * * * *", "dw", &format!("timezone = \"{name}\""));
    for seconds_past in [-1, 0, 1, 30, 1800] {
        let mut sim = sim("2026-11-24 00:30", &zone("Europe/Berlin"));
        sim.run_until(at("2026-11-24 04:00") + seconds(seconds_past));
        sim.reload(0, config(&zone("Europe/Busingen")));
        sim.until("2026-11-24 06:30");
        let down = ("2026-11-24 06:30", "2026-11-24 07:10");
        edited_while_down(&mut sim, down, &zone("Europe/Vaduz"));
        sim.until("2026-11-24 09:30");
        assert_eq!(sim.records().len(), 9, "{:?}", sim.records());
        assert!(
            sim.records()
                .iter()
                .all(|record| record.ends_with("available"))
        );
        sim.assert_accounted();
    }
}

#[test]
fn more_than_a_hundred_slots_of_an_old_schedule_are_a_range() {
    let mut sim = sim("2026-11-24 11:58:30", &policy("p", "* * * * *", "dw", ""));
    let edited = policy("p", "0 20 * * *", "dw", "");
    edited_while_down(
        &mut sim,
        ("2026-11-24 12:00:30", "2026-11-24 16:00:30"),
        &edited,
    );
    sim.until("2026-11-24 20:10");
    let ranges = &sim.hosts[0].journal.ledger.ranges;
    assert_eq!(ranges.iter().map(|one| one.count).sum::<u64>(), 140);
    assert_eq!(sim.outcome("p", "2026-11-24 16:00"), "available");
    assert_eq!(sim.outcome("p", "2026-11-24 20:00"), "available");
    sim.assert_accounted();
}

#[test]
fn an_old_schedule_that_nobody_can_read_any_more_holds_nothing_up() {
    for (schedule, zone) in [("at dawn", "UTC"), (NIGHTLY, "Atlantis/Capital")] {
        let mut sim = sim("2026-11-24 00:00", &policy("p", NIGHTLY, "dw", ""));
        sim.until("2026-11-24 01:00");
        sim.stop(0);
        let pairs = &mut sim.hosts[0].journal.ledger.pairs;
        let state = pairs.get_mut(&pair("p", "dw")).unwrap();
        (state.schedule, state.timezone) = (schedule.to_owned(), zone.to_owned());
        sim.until("2026-11-24 03:00");
        sim.start(0);
        sim.run_for(hours(24) - minutes(10));
        assert_eq!(sim.records(), ["11-25 02:30 p/dw available"], "{schedule}");
    }
}
