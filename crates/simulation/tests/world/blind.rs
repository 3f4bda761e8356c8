//! Where nothing can be listed: what is open is followed and judged by its name, and no slot waits for a listing.

use redkeep_sandbox::faults::Fault;

use redkeep_simulation::setup::{minutes, policy, sim, sim_of_clusters};
use redkeep_simulation::sim::Sim;
use redkeep_simulation::sim::aws::{CLUSTERS, CREATE, SNAPSHOTS};

fn denied() -> Fault {
    Fault::Error {
        code: "AccessDenied".to_owned(),
        status: 403,
        message: "Injected.".to_owned(),
    }
}

/// A policy of every minute, before its first slot at 12:00.
fn minutely(snapshot_seconds: u32) -> Sim {
    let mut sim = sim("2026-11-24 11:58:30", &policy("p", "* * * * *", "dw", ""));
    sim.aws.account.limits.snapshot_seconds = snapshot_seconds;
    sim.until("2026-11-24 11:59:30");
    sim
}

/// No slot has no outcome though its window, of a minute, is over, but for those of a snapshot that is made.
fn assert_none_waits(sim: &Sim) {
    let runs = sim.hosts[0].journal.ledger.runs.values();
    let past = runs.filter(|run| sim.now > run.request.deadline + minutes(1));
    for run in past {
        assert!(run.is_ended() || run.is_creating(), "{}: {run}", sim.now);
    }
}

fn looks(sim: &Sim) -> u64 {
    sim.aws.asked.get(SNAPSHOTS).copied().unwrap_or_default()
}

#[test]
fn where_nothing_can_be_listed_each_snapshot_is_followed_by_its_name() {
    for fault in [denied(), Fault::Html { status: 502 }, Fault::Truncate] {
        let mut sim = minutely(20);
        sim.aws.strike_listings(None, fault.clone());
        let before = looks(&sim);
        for minute in 0..60 {
            sim.run_for(minutes(1));
            assert_none_waits(&sim);
            assert!(
                sim.accepted().len() > minute,
                "{fault:?}: {:?}",
                sim.accepted()
            );
        }
        let records = sim.records();
        let good = records
            .iter()
            .filter(|record| record.ends_with("available"));
        assert!(good.count() >= 58, "{fault:?}: {records:?}");
        // At the pace of a snapshot that is followed, and of listings that fail.
        let asked = looks(&sim) - before;
        assert!(asked < 60 * 6, "{fault:?}: {asked} looks in an hour");
        sim.aws.heal();
        sim.until("2026-11-24 13:20:58");
        sim.assert_accounted();
    }
}

#[test]
fn listings_that_are_denied_for_a_hundred_seconds_cost_no_slot() {
    let mut sim = minutely(20);
    sim.aws.strike(SNAPSHOTS, None, denied());
    sim.until("2026-11-24 12:01:10");
    sim.aws.heal();
    sim.until("2026-11-24 12:05:30");
    let accepted = sim.accepted();
    assert_eq!(accepted.len(), 7, "{accepted:?}");
    assert_none_waits(&sim);
    sim.until("2026-11-24 12:20:58");
    sim.assert_accounted();
}

/// Where not even a name may be looked for, a slot begins when a quarter of its start window is over.
#[test]
fn a_snapshot_that_nobody_can_tell_of_holds_no_slot_up_for_longer_than_a_quarter_of_its_window() {
    let mut sim = minutely(20);
    sim.aws.strike(SNAPSHOTS, None, denied());
    sim.until("2026-11-24 12:30:30");
    let accepted = sim.accepted();
    assert_eq!(accepted.len(), 32, "{accepted:?}");
    assert!(
        accepted[1..].iter().all(|at| &at[12..] <= "17"),
        "{accepted:?}"
    );
    assert_none_waits(&sim);
    sim.aws.heal();
    sim.until("2026-11-24 12:40:58");
    let records = sim.records();
    assert!(
        records[..32].iter().all(|one| one.ends_with("available")),
        "{records:?}"
    );
    sim.assert_accounted();
}

#[test]
fn a_slot_is_skipped_for_a_snapshot_that_its_name_shows_to_be_under_way() {
    let mut sim = sim("2026-11-24 00:30", &policy("p", "0 * * * *", "dw", ""));
    sim.aws.account.limits.snapshot_seconds = 90 * 60;
    sim.until("2026-11-24 00:40");
    sim.aws.strike_listings(None, denied());
    sim.until("2026-11-24 02:01");
    assert_eq!(sim.outcome("p", "2026-11-24 02:00"), "skipped(overlap)");
    sim.until("2026-11-24 02:40");
    assert_eq!(sim.outcome("p", "2026-11-24 01:00"), "available");
    assert_eq!(sim.aws.accepted.len(), 1);
}

#[test]
fn what_was_missed_is_recorded_though_nobody_may_look() {
    for by_name_too in [false, true] {
        let mut sim = sim("2026-11-24 00:00", &policy("p", "30 2 * * *", "dw", ""));
        sim.until("2026-11-24 01:00");
        sim.stop(0);
        match by_name_too {
            true => sim.aws.strike(SNAPSHOTS, None, denied()),
            false => sim.aws.strike_listings(None, denied()),
        }
        sim.until("2026-11-24 11:00");
        sim.start(0);
        sim.until("2026-11-24 11:05");
        assert_eq!(sim.outcome("p", "2026-11-24 02:30"), "missed(late)");
        sim.until("2026-11-25 02:31");
        assert_eq!(sim.aws.accepted.len(), 1);
    }
}

#[test]
fn what_was_asked_for_and_not_accepted_is_judged_by_its_name() {
    let mut sim = minutely(20);
    sim.aws.strike_listings(None, denied());
    let now = sim.now;
    sim.aws.set_status("dw", "paused", now);
    sim.until("2026-11-24 12:10:30");
    assert_none_waits(&sim);
    assert!(
        sim.outcome("p", "2026-11-24 12:05").starts_with("expired("),
        "{}",
        sim.outcome("p", "2026-11-24 12:05")
    );
}

/// A snapshot that somebody deletes meanwhile is not followed for ever.
#[test]
fn a_snapshot_that_is_gone_ends_its_run_by_its_name_once_it_can_no_longer_lag_behind() {
    let mut sim = sim("2026-11-24 00:00", &policy("p", "30 2 * * *", "dw", ""));
    sim.aws.account.limits.snapshot_seconds = 3600;
    sim.until("2026-11-24 02:25");
    sim.aws.strike_listings(None, denied());
    sim.until("2026-11-24 02:32");
    let (id, now) = (sim.aws.accepted[0].0.clone(), sim.now);
    sim.aws.delete(&id, now);
    sim.until("2026-11-24 02:40");
    assert!(sim.outcome("p", "2026-11-24 02:30").starts_with("open"));
    sim.until("2026-11-24 02:55");
    let outcome = sim.outcome("p", "2026-11-24 02:30");
    assert_eq!(outcome, "failed(deleted before it was available)");
}

/// The looks leave create calls their part of the budget, and the rate is held (which the simulation checks).
#[test]
fn a_hundred_snapshots_that_are_looked_for_by_name_hold_no_slot_up() {
    let names = |letter: &str, count: usize| -> Vec<String> {
        let numbers = 0..count;
        numbers.map(|number| format!("{letter}-{number}")).collect()
    };
    let names = [names("a", 100), names("b", 20)].concat();
    let clusters: Vec<&str> = names.iter().map(String::as_str).collect();
    let tables = policy("p", "0 12 * * *", "a-*", "") + &policy("q", "0 13 * * *", "b-*", "");
    let mut sim = sim_of_clusters("2026-11-24 11:50", &clusters, &tables);
    sim.aws.account.limits.snapshot_seconds = 90 * 60;
    sim.aws.account.limits.manual_snapshots = 10_000;
    sim.until("2026-11-24 12:03:30");
    assert_eq!(sim.aws.accepted.len(), 100);
    sim.aws.strike_listings(None, denied());
    sim.aws.refuse(CLUSTERS, None, "AccessDenied", 403);
    sim.until("2026-11-24 13:00:05");
    assert_eq!(sim.aws.accepted.len(), 120);
    sim.until("2026-11-24 15:00");
    let open = sim.hosts[0].journal.ledger.runs.values();
    assert_eq!(open.filter(|run| !run.is_ended()).count(), 0);
}

/// The simulation holds each call to its pause (I22): half a listing that comes begins no look anew.
#[test]
fn half_a_listing_does_not_hasten_the_looks_by_name() {
    let mut sim = sim("2026-11-24 11:58:30", &policy("p", "0 * * * *", "dw", ""));
    sim.until("2026-11-24 11:59:30");
    let refused = Fault::Error {
        code: "InvalidTagFault".to_owned(),
        status: 400,
        message: "Injected.".to_owned(),
    };
    for operation in [CLUSTERS, "GetCallerIdentity", CREATE] {
        sim.aws.strike(operation, None, refused.clone());
    }
    let before = looks(&sim);
    sim.run_for(minutes(50));
    assert!(
        looks(&sim) > before + 60,
        "the slot is looked for by its name"
    );
    sim.aws.heal();
    sim.until("2026-11-24 13:20:58");
    sim.assert_accounted();
}
