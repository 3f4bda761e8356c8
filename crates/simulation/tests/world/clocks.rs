//! Clocks that are set, and clocks that disagree.

use redkeep_sandbox::faults::Fault;

use redkeep_simulation::setup::{at, config, hours, minutes, policy, seconds, sim, slot};
use redkeep_simulation::sim::Sim;
use redkeep_simulation::sim::aws::{CREATE, SNAPSHOTS};

const NIGHTLY: &str = "30 2 * * *";
const TEN_YEARS: i64 = 24 * 3653;

fn asked(sim: &Sim) -> u64 {
    sim.aws.asked.get(CREATE).copied().unwrap_or_default()
}

fn hourly(start: &str) -> Sim {
    sim(start, &policy("hourly", "0 * * * *", "dw", ""))
}

#[test]
fn a_clock_set_back_two_hours_repeats_nothing() {
    let mut sim = hourly("2026-11-24 00:30");
    sim.until("2026-11-24 04:10");
    let watermark = |sim: &Sim| {
        let pairs = &sim.hosts[0].journal.ledger.pairs;
        pairs.values().next().unwrap().watermark
    };
    let before = watermark(&sim);
    sim.set_clock(0, hours(-2));
    sim.until("2026-11-24 06:05");
    assert_eq!(sim.accepted().len(), 4, "{:?}", sim.accepted());
    assert_eq!(watermark(&sim), before);
    assert!(sim.hosts[0].was_alarmed("ClockSkew"));
    // The clock shows 05:00 again at 07:00 in truth.
    sim.until("2026-11-24 07:10");
    assert_eq!(sim.accepted().len(), 5, "{:?}", sim.accepted());
    assert_eq!(sim.outcome("hourly", "2026-11-24 05:00"), "available");
}

#[test]
fn a_clock_set_back_does_not_hold_up_a_retry_for_as_long() {
    let mut sim = sim("2026-11-24 02:00", &policy("nightly", NIGHTLY, "dw", ""));
    sim.aws.refuse(CREATE, Some(3), "Throttling", 400);
    sim.until("2026-11-24 02:30:04");
    sim.set_clock(0, hours(-1));
    // What was on the wire arrives.
    sim.run_for(seconds(1));
    let before = asked(&sim);
    sim.run_for(minutes(5));
    assert_eq!(asked(&sim), before, "the slot has not come by this clock");
    sim.set_clock(0, hours(0));
    sim.run_for(minutes(3));
    assert_eq!(sim.outcome("nightly", "2026-11-24 02:30"), "available");
    sim.assert_accounted();
}

/// A slot in its third hour of a paused cluster, and the clock set back by one.
#[test]
fn a_retry_after_the_clock_was_set_back_comes_at_its_usual_pace() {
    let mut sim = sim("2026-11-24 00:00", &policy("nightly", NIGHTLY, "dw", ""));
    let now = sim.now;
    sim.aws.set_status("dw", "paused", now);
    sim.until("2026-11-24 05:30");
    sim.set_clock(0, hours(-1));
    let now = sim.now;
    sim.aws.set_status("dw", "available", now);
    sim.run_for(minutes(1));
    assert_eq!(sim.outcome("nightly", "2026-11-24 02:30"), "available");
    sim.assert_accounted();
}

#[test]
fn a_doubt_after_the_clock_was_set_back_lasts_no_longer_and_looks_no_faster() {
    let mut sim = sim("2026-11-24 00:00", &policy("nightly", NIGHTLY, "dw", ""));
    let now = sim.now;
    sim.aws.set_status("dw", "paused", now);
    sim.until("2026-11-24 05:30");
    sim.aws.strike(CREATE, None, Fault::Reset);
    let now = sim.now;
    sim.aws.set_status("dw", "available", now);
    sim.until("2026-11-24 05:35");
    sim.set_clock(0, hours(-1));
    let looks = |sim: &Sim| sim.aws.asked[SNAPSHOTS];
    let before = looks(&sim);
    sim.run_for(minutes(1));
    assert!(
        looks(&sim) - before < 15,
        "{} looks in a minute",
        looks(&sim) - before
    );
    sim.aws.heal();
    sim.run_for(minutes(3));
    assert_eq!(sim.outcome("nightly", "2026-11-24 02:30"), "available");
    sim.assert_accounted();
}

#[test]
fn a_verdict_after_the_clock_was_set_back_is_confirmed_by_the_next_listing() {
    let mut sim = sim("2026-11-24 00:00", &policy("nightly", NIGHTLY, "dw", ""));
    sim.until("2026-11-24 02:29");
    sim.aws.refuse(CREATE, None, "InvalidTagFault", 400);
    sim.aws.refuse(SNAPSHOTS, None, "AccessDenied", 403);
    sim.until("2026-11-24 02:40");
    sim.set_clock(0, hours(-1));
    sim.aws.heal();
    sim.run_for(minutes(10));
    assert_eq!(sim.outcome("nightly", "2026-11-24 02:30"), "failed(config)");
    let before = sim.aws.asked[SNAPSHOTS];
    sim.run_for(minutes(10));
    assert!(sim.aws.asked[SNAPSHOTS] - before < 15);
}

/// Once the clock is right, the next night has its snapshot too, and nothing else is recorded.
fn assert_both_nights(sim: &mut Sim) {
    sim.until("2026-11-25 02:40");
    assert_eq!(
        sim.records(),
        [
            "11-24 02:30 nightly/dw available",
            "11-25 02:30 nightly/dw available"
        ]
    );
    sim.assert_accounted();
}

#[test]
fn a_clock_in_ten_years_starts_nothing_and_spoils_nothing() {
    let mut sim = sim("2026-11-24 00:00", &policy("nightly", NIGHTLY, "dw", ""));
    sim.until("2026-11-24 12:00");
    sim.set_clock(0, hours(TEN_YEARS));
    sim.until("2026-11-24 13:00");
    assert!(sim.hosts[0].was_alarmed("ClockSkew"));
    assert_eq!(sim.aws.accepted.len(), 1, "{:?}", sim.accepted());
    sim.set_clock(0, hours(0));
    assert_both_nights(&mut sim);
}

#[test]
fn a_slot_during_ten_years_ahead_still_runs_when_the_clock_is_put_right_inside_its_window() {
    let mut sim = sim("2026-11-24 00:00", &policy("nightly", NIGHTLY, "dw", ""));
    sim.until("2026-11-24 12:00");
    sim.set_clock(0, hours(TEN_YEARS));
    sim.until("2026-11-25 03:30");
    assert_eq!(sim.aws.accepted.len(), 1, "{:?}", sim.accepted());
    sim.set_clock(0, hours(0));
    sim.until("2026-11-25 03:32");
    assert_eq!(sim.outcome("nightly", "2026-11-25 02:30"), "available");
    sim.assert_accounted();
}

#[test]
fn a_first_start_in_the_wrong_decade_does_not_put_the_pairs_out_of_order() {
    for wrong in [
        hours(TEN_YEARS),
        at("1970-01-01 00:00") - at("2026-11-24 00:00"),
    ] {
        let mut sim = Sim::new(at("2026-11-24 00:00"));
        sim.aws.add_cluster("dw", at("2026-01-01 00:00"));
        let config = config(&policy("nightly", NIGHTLY, "dw", ""));
        let journal = redkeep_simulation::sim::journal::Journal::in_memory();
        sim.hosts.push(redkeep_simulation::sim::host::Host::new(
            config, "host-a", journal,
        ));
        sim.hosts[0].clock_ahead = wrong;
        sim.start(0);
        sim.until("2026-11-24 01:00");
        assert_eq!(sim.aws.accepted.len(), 0);
        sim.set_clock(0, hours(0));
        sim.until("2026-11-24 02:40");
        assert_eq!(
            sim.records(),
            ["11-24 02:30 nightly/dw available"],
            "{wrong}"
        );
        sim.assert_accounted();
    }
}

#[test]
fn a_boot_in_1970_starts_nothing_and_the_next_slot_runs_when_the_clock_is_right() {
    let mut sim = sim("2026-11-24 00:00", &policy("nightly", NIGHTLY, "dw", ""));
    sim.until("2026-11-24 12:00");
    sim.stop(0);
    sim.until("2026-11-24 23:00");
    sim.hosts[0].clock_ahead = at("1970-01-01 00:00") - sim.now;
    sim.start(0);
    sim.until("2026-11-25 01:00");
    assert_eq!(sim.aws.accepted.len(), 1);
    sim.set_clock(0, hours(0));
    assert_both_nights(&mut sim);
}

#[test]
fn nothing_starts_while_awss_clock_is_more_than_five_minutes_before_the_slot() {
    let mut sim = hourly("2026-11-24 00:30");
    sim.aws.date_ahead = Some(minutes(-10));
    sim.until("2026-11-24 01:04:50");
    assert_eq!(sim.aws.accepted.len(), 0);
    assert!(sim.hosts[0].was_alarmed("ClockSkew"));
    // AWS shows 00:55:50: the slot is no longer more than five minutes ahead.
    sim.until("2026-11-24 01:06");
    assert_eq!(sim.accepted().len(), 1);
    assert!(sim.accepted()[0].as_str() >= "11-24 01:05:00");
    sim.until("2026-11-24 01:10");
    assert_eq!(sim.outcome("hourly", "2026-11-24 01:00"), "available");
}

#[test]
fn nothing_starts_before_aws_was_asked_for_the_time() {
    let mut sim = sim("2026-11-24 00:00", &policy("nightly", NIGHTLY, "dw", ""));
    sim.until("2026-11-24 01:00");
    sim.stop(0);
    sim.until("2026-11-24 02:31");
    sim.latency.back = (5_000, 5_000);
    sim.start(0);
    sim.run_for(seconds(4));
    assert_eq!(sim.aws.accepted.len(), 0);
    sim.run_for(minutes(1));
    assert_eq!(sim.outcome("nightly", "2026-11-24 02:30"), "available");
}

#[test]
fn an_endpoint_without_a_date_is_taken_at_its_word() {
    let mut sim = sim("2026-11-24 02:00", &policy("nightly", NIGHTLY, "dw", ""));
    sim.aws.date_ahead = None;
    sim.until("2026-11-24 02:40");
    assert_eq!(sim.outcome("nightly", "2026-11-24 02:30"), "available");
    assert!(!sim.hosts[0].was_alarmed("ClockSkew"));
}

#[test]
fn a_skew_of_ten_minutes_still_creates() {
    for ahead in [minutes(10), minutes(-10)] {
        let mut sim = sim("2026-11-24 00:00", &policy("nightly", NIGHTLY, "dw", ""));
        sim.set_clock(0, ahead);
        sim.until("2026-11-25 04:00");
        assert_eq!(
            sim.outcome("nightly", "2026-11-24 02:30"),
            "available",
            "{ahead}"
        );
        assert_eq!(
            sim.outcome("nightly", "2026-11-25 02:30"),
            "available",
            "{ahead}"
        );
        assert!(sim.hosts[0].journal.ledger.runs.contains_key(&slot(
            "nightly",
            "dw",
            "2026-11-25 02:30"
        )));
        assert!(sim.hosts[0].was_alarmed("ClockSkew"));
        let now = sim.now;
        let held = sim.aws.listed(redkeep_simulation::sim::aws::REGION, now);
        assert_eq!(
            (held.len(), sim.aws.accepted.len()),
            (2, 2),
            "nothing is deleted"
        );
        assert_eq!(sim.aws.modified, []);
    }
}

/// An endpoint without a date is taken at its word, and so is a clock in ten years. Then both are put right.
#[test]
fn a_watermark_in_ten_years_is_taken_back_once_the_clocks_agree_and_only_then() {
    let mut sim = sim("2026-11-24 00:00", &policy("nightly", NIGHTLY, "dw", ""));
    sim.until("2026-11-24 12:00");
    sim.aws.date_ahead = None;
    sim.set_clock(0, hours(TEN_YEARS));
    sim.until("2026-11-25 00:30");
    let pair = redkeep_simulation::setup::pair("nightly", "dw");
    let watermark = |sim: &Sim| sim.hosts[0].journal.ledger.pairs[&pair].watermark;
    assert!(watermark(&sim) > at("2036-01-01 00:00"));
    sim.aws.date_ahead = Some(hours(0));
    sim.until("2026-11-25 01:00");
    assert!(
        watermark(&sim) > at("2036-01-01 00:00"),
        "the clocks do not agree"
    );
    sim.set_clock(0, hours(0));
    sim.until("2026-11-25 01:10");
    let taken_back = watermark(&sim);
    assert!((at("2026-11-25 01:00")..at("2026-11-25 01:10")).contains(&taken_back));
    sim.until("2026-11-25 02:40");
    assert_eq!(sim.outcome("nightly", "2026-11-25 02:30"), "available");
    assert_eq!(sim.hosts[0].journal.ledger.clamps, 1);
}

#[test]
fn a_watermark_less_than_an_interval_ahead_stays() {
    let mut sim = hourly("2026-11-24 00:30");
    sim.until("2026-11-24 04:10");
    sim.aws.date_ahead = None;
    sim.set_clock(0, minutes(55));
    sim.until("2026-11-24 04:12");
    let pairs = |sim: &Sim| sim.hosts[0].journal.ledger.pairs.clone();
    let before = pairs(&sim);
    assert_eq!(
        before.values().next().unwrap().watermark,
        at("2026-11-24 05:00")
    );
    sim.aws.date_ahead = Some(hours(0));
    sim.set_clock(0, hours(0));
    sim.until("2026-11-24 04:50");
    assert_eq!(pairs(&sim), before);
    sim.until("2026-11-24 06:10");
    assert_eq!(sim.outcome("hourly", "2026-11-24 05:00"), "available");
    assert_eq!(sim.outcome("hourly", "2026-11-24 06:00"), "available");
    sim.assert_accounted();
}

/// As long as a wrong date lasts: nothing is due before the installation existed.
#[test]
fn a_date_of_awss_that_was_wrong_at_first_makes_nothing_due_before_the_installation() {
    let start = "2026-11-24 12:00";
    for wrong in [hours(-2), hours(2), hours(TEN_YEARS)] {
        for lasts in [seconds(1), minutes(3)] {
            let mut sim = sim(start, &policy("often", "* * * * *", "dw", ""));
            sim.hosts[0].process_mut().engine.falsify().1.begun_at = Some(at(start));
            sim.aws.date_ahead = Some(wrong);
            sim.run_for(lasts);
            sim.aws.date_ahead = Some(hours(0));
            sim.until("2026-11-24 12:10");
            let runs = &sim.hosts[0].journal.ledger.runs;
            let before = runs.keys().filter(|slot| slot.scheduled_at <= at(start));
            let before: Vec<_> = before.map(|slot| slot.scheduled_at).collect();
            // While it lasts, AWS's time is the only one that is vouched for.
            let most = if lasts > seconds(5) { 8 } else { 0 };
            assert!(before.len() <= most, "{wrong} for {lasts}: {before:?}");
            assert!(
                sim.accepted().len() >= 5,
                "{wrong} for {lasts}: {:?}",
                sim.accepted()
            );
        }
    }
}
