//! Time zone data that is renewed: what it does to the slots before and after.
//!
//! British Columbia stays on its summer time from 2026 on, by IANA's 2026b: the clocks of 1 November 2026 are not set back.
//! By 2025b they are. `30 2 * * *` in Vancouver is 09:30Z by the one and 10:30Z by the other from that day on.

use redkeep_core::schedule::{ClockNote, Zone};
use redkeep_core::tzdb::{ZoneData, bundled};
use redkeep_policy_file::Config;

use redkeep_simulation::setup::{at, config, pair, policy, sim};
use redkeep_simulation::sim::Sim;

const VANCOUVER: &str = "America/Vancouver";
/// 2026-11-01T09:00:00Z, when the clocks were to be set back.
const NOVEMBER: i64 = 1_793_523_600;
/// 2027-03-14T10:00:00Z, when they were to be set ahead.
const MARCH: i64 = 1_805_018_400;

/// The zone as the versions before 2026b have it.
fn before_2026b() -> Zone {
    Zone::new(
        VANCOUVER,
        -7 * 3600,
        [(NOVEMBER, -8 * 3600), (MARCH, -7 * 3600)],
    )
    .unwrap()
}

fn by_2026b() -> Zone {
    bundled(VANCOUVER).unwrap()
}

fn in_vancouver(schedule: &str) -> String {
    policy(
        "nightly",
        schedule,
        "dw",
        &format!("timezone = \"{VANCOUVER}\""),
    )
}

fn with(zone: &Zone, schedule: &str) -> Config {
    let found = |name: &str| (name == VANCOUVER).then(|| zone.clone());
    config(&in_vancouver(schedule)).in_zones(ZoneData::default(), found)
}

/// A host that has lived by the rules of `zone` since `start`.
fn lived_by(zone: &Zone, start: &str, schedule: &str) -> Sim {
    let mut sim = sim(start, &in_vancouver(schedule));
    sim.reload(0, with(zone, schedule));
    sim
}

fn renew(sim: &mut Sim, zone: &Zone, schedule: &str) {
    sim.reload(0, with(zone, schedule));
}

#[test]
fn a_renewal_that_puts_tonights_slot_into_the_past_loses_no_night() {
    let mut sim = lived_by(&before_2026b(), "2026-11-26 12:00", "30 2 * * *");
    sim.until("2026-11-28 09:45");
    assert_eq!(sim.records(), ["11-27 10:30 nightly/dw available"]);
    renew(&mut sim, &by_2026b(), "30 2 * * *");
    sim.until("2026-11-29 12:00");
    assert_eq!(
        sim.records(),
        [
            "11-27 10:30 nightly/dw available",
            "11-28 09:30 nightly/dw available",
            "11-29 09:30 nightly/dw available",
        ]
    );
}

#[test]
fn a_renewal_that_puts_tonights_slot_ahead_again_doubles_no_night() {
    let mut sim = lived_by(&by_2026b(), "2026-11-26 12:00", "30 2 * * *");
    sim.until("2026-11-28 10:00");
    renew(&mut sim, &before_2026b(), "30 2 * * *");
    sim.until("2026-11-29 12:00");
    assert_eq!(
        sim.records(),
        [
            "11-27 09:30 nightly/dw available",
            "11-28 09:30 nightly/dw available",
            "11-29 10:30 nightly/dw available",
        ]
    );
}

#[test]
fn a_renewal_while_the_daemon_is_down_is_noticed_at_the_start() {
    for (old, new, wanted) in [
        (
            before_2026b(),
            by_2026b(),
            ["11-27 10:30", "11-28 09:30", "11-29 09:30"],
        ),
        (
            by_2026b(),
            before_2026b(),
            ["11-27 09:30", "11-28 09:30", "11-29 10:30"],
        ),
    ] {
        let mut sim = lived_by(&old, "2026-11-26 12:00", "30 2 * * *");
        sim.until("2026-11-28 09:40");
        sim.stop(0);
        sim.until("2026-11-28 09:50");
        sim.hosts[0].config = with(&new, "30 2 * * *");
        sim.start(0);
        sim.until("2026-11-29 12:00");
        assert_eq!(
            sim.records(),
            wanted.map(|at| format!("{at} nightly/dw available"))
        );
    }
}

#[test]
fn each_time_of_several_a_night_comes_once_through_a_renewal() {
    for (old, new, wanted) in [
        (
            by_2026b(),
            before_2026b(),
            ["09:00", "10:00", "12:00", "13:00"],
        ),
        (before_2026b(), by_2026b(), ["10:00", "11:00", "12:00", ""]),
    ] {
        let schedule = "0 2,3,4,5 * * *";
        let mut sim = lived_by(&old, "2026-11-28 00:00", schedule);
        sim.until(if old == by_2026b() {
            "2026-11-28 10:30"
        } else {
            "2026-11-28 11:30"
        });
        renew(&mut sim, &new, schedule);
        sim.until("2026-11-29 00:00");
        let wanted = wanted.into_iter().filter(|at| !at.is_empty());
        let wanted: Vec<String> = wanted
            .map(|at| format!("11-28 {at} nightly/dw available"))
            .collect();
        assert_eq!(sim.records(), wanted);
    }
}

#[test]
fn an_interval_schedule_goes_on_evenly_through_a_renewal() {
    let schedule = "*/30 * * * *";
    for (old, new) in [(before_2026b(), by_2026b()), (by_2026b(), before_2026b())] {
        let mut sim = lived_by(&old, "2026-11-28 08:10", schedule);
        sim.until("2026-11-28 09:45");
        renew(&mut sim, &new, schedule);
        sim.until("2026-11-28 11:10");
        let halves = ["08:30", "09:00", "09:30", "10:00", "10:30", "11:00"];
        assert_eq!(
            sim.records(),
            halves.map(|at| format!("11-28 {at} nightly/dw available"))
        );
    }
}

#[test]
fn rules_for_a_day_to_come_change_no_slot_before_it() {
    let mut sim = lived_by(&before_2026b(), "2026-10-29 12:00", "30 2 * * *");
    sim.until("2026-10-30 09:45");
    renew(&mut sim, &by_2026b(), "30 2 * * *");
    sim.until("2026-11-02 12:00");
    assert_eq!(
        sim.records(),
        ["10-30", "10-31", "11-01", "11-02"].map(|day| format!("{day} 09:30 nightly/dw available"))
    );
}

#[test]
fn where_an_older_redkeep_has_noted_no_rules_nothing_counts_as_an_edit() {
    let mut sim = lived_by(&before_2026b(), "2026-11-26 12:00", "30 2 * * *");
    sim.until("2026-11-27 12:00");
    let noted = |sim: &Sim| sim.hosts[0].journal.ledger.pairs[&pair("nightly", "dw")].clone();
    let before = noted(&sim);
    sim.stop(0);
    for state in sim.hosts[0].journal.ledger.pairs.values_mut() {
        state.clocks = None;
    }
    sim.hosts[0].config = with(&by_2026b(), "30 2 * * *");
    sim.start(0);
    sim.until("2026-11-27 12:10");
    let after = noted(&sim);
    assert_eq!(
        (after.active_from, after.watermark),
        (before.active_from, before.watermark)
    );
    let note = ClockNote {
        rules: by_2026b().fingerprint().to_owned(),
        // 10:30Z by the new rules.
        local: at("2026-11-27 03:30").naive_utc(),
    };
    assert_eq!(after.clocks, Some(note));
    sim.until("2026-11-28 12:00");
    assert_eq!(
        sim.records(),
        [
            "11-27 10:30 nightly/dw available",
            "11-28 09:30 nightly/dw available",
        ]
    );
}
