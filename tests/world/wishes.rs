//! What people ask for beside the schedules: pauses cover the slots that come in them, whoever was there to
//! see, and a snapshot on demand neither replaces a slot nor is replaced by one.

use chrono::{DateTime, Utc};
use redkeep::observed::Barred;
use redkeep::pause::{Pause, Pauses};
use redkeep::plan::manual_run;
use redkeep::run::Run;
use redkeep::world::{Wish, Wishes};

use crate::setup::{at, hours, pair, policy, sim};
use crate::sim::Sim;

const NIGHTLY: &str = "30 2 * * *";

/// Paused from `paused_at` until `resumed_at`, as the daemon hears it at its next look.
fn pause(sim: &mut Sim, paused_at: DateTime<Utc>, resumed_at: Option<DateTime<Utc>>) {
    let pause = Pause {
        paused_at,
        resumed_at,
    };
    let pauses = Pauses::from_iter([("p".parse().unwrap(), pause)]);
    let host = &mut sim.hosts[0];
    host.journal.ledger.pauses = pauses.clone();
    if let Some(process) = &mut host.process {
        let runs = Vec::new();
        let wishes = Wishes {
            pauses,
            runs,
            ..Wishes::default()
        };
        process.world.heed(wishes, &());
    }
}

/// A snapshot asked for now, as `redkeep take` hands it in.
fn take(sim: &mut Sim) -> Run {
    let now = sim.now;
    let host = &mut sim.hosts[0];
    let config = host.config.clone();
    let policy = &config.policies[0];
    let run = manual_run(
        &config,
        &host.writer,
        policy,
        pair("p", "dw"),
        policy.retention.of(redkeep::snapshot::Tier::Base),
        now,
    );
    host.journal
        .ledger
        .runs
        .insert(run.slot.clone(), run.clone());
    let world = &mut host.process_mut().world;
    let runs = vec![run.clone()];
    for wish in world.heed(
        Wishes {
            runs,
            ..Wishes::default()
        },
        &(),
    ) {
        if let Wish::Snapshot(run) = wish {
            world.apply(vec![redkeep::history::Change::Run(run)]);
        }
    }
    host.process_mut().turns_at = now;
    run
}

#[test]
fn slots_in_a_pause_are_missed_and_those_after_it_are_made() {
    let mut sim = sim("2026-11-24 00:00", &policy("p", NIGHTLY, "dw", ""));
    sim.until("2026-11-24 12:00");
    pause(&mut sim, at("2026-11-24 12:00"), None);
    sim.until("2026-11-26 02:40");
    // Resumed inside the start window of a slot that came in the pause: it stays missed.
    pause(
        &mut sim,
        at("2026-11-24 12:00"),
        Some(at("2026-11-26 02:40")),
    );
    sim.until("2026-11-27 12:00");
    assert_eq!(
        sim.records(),
        [
            "11-24 02:30 p/dw available",
            "11-25 02:30 p/dw missed(paused)",
            "11-26 02:30 p/dw missed(paused)",
            "11-27 02:30 p/dw available",
        ]
    );
    sim.assert_accounted();
}

#[test]
fn a_daemon_that_was_down_for_all_of_a_pause_still_knows_which_slots_it_covered() {
    let mut sim = sim("2026-11-24 00:00", &policy("p", NIGHTLY, "dw", ""));
    sim.until("2026-11-24 12:00");
    sim.stop(0);
    let (from, until) = (at("2026-11-24 12:00"), at("2026-11-26 12:00"));
    pause(&mut sim, from, Some(until));
    sim.until("2026-11-27 12:00");
    sim.start(0);
    sim.until("2026-11-28 12:00");
    assert_eq!(
        sim.records()[1..],
        [
            "11-25 02:30 p/dw missed(paused)",
            "11-26 02:30 p/dw missed(paused)",
            "11-27 02:30 p/dw missed(late)",
            "11-28 02:30 p/dw available",
        ]
    );
    sim.assert_accounted();
}

#[test]
fn a_long_absence_is_told_in_ranges_of_late_and_of_paused_slots() {
    let mut sim = sim("2026-11-24 00:00", &policy("p", "* * * * *", "dw", ""));
    sim.until("2026-11-24 00:10");
    sim.stop(0);
    let (from, until) = (at("2026-11-24 12:00"), at("2026-11-24 18:00"));
    pause(&mut sim, from, Some(until));
    sim.until("2026-11-25 00:00");
    sim.start(0);
    sim.until("2026-11-25 00:59:40");
    let ranges = &sim.hosts[0].journal.ledger.ranges;
    let told: Vec<(u64, &str)> = ranges
        .iter()
        .map(|one| (one.count, one.reason.as_str()))
        .collect();
    assert_eq!(told[..2], [(710, "late"), (360, "paused")], "{told:?}");
    sim.assert_accounted();
}

#[test]
fn a_slot_that_waits_out_its_jitter_when_the_pause_comes_is_not_started() {
    let tables = policy("p", NIGHTLY, "dw", "jitter = \"2h\"");
    let mut sim = sim("2026-11-24 00:00", &tables);
    sim.until("2026-11-24 02:30:01");
    pause(&mut sim, at("2026-11-24 02:30:01"), None);
    sim.until("2026-11-24 12:00");
    assert_eq!(sim.records(), ["11-24 02:30 p/dw missed(paused)"]);
    assert!(sim.accepted().is_empty());
}

#[test]
fn a_snapshot_on_demand_starts_at_once_in_a_pause_and_a_blackout() {
    let tables = policy("p", NIGHTLY, "dw", "blackout = [\"b\"]")
        + "[[blackout]]\nname = \"b\"\nschedule = \"0 0 * * *\"\nduration = \"23h\"\n";
    let mut sim = sim("2026-11-24 00:00", &tables);
    sim.until("2026-11-24 12:00");
    pause(&mut sim, at("2026-11-24 11:00"), None);
    let run = take(&mut sim);
    sim.until("2026-11-24 12:30");
    let ended = &sim.hosts[0].journal.ledger.runs[&run.slot];
    assert_eq!(ended.word(), "available");
    assert!(ended.requested_at.unwrap() - run.slot.scheduled_at < hours(1) / 60);
}

#[test]
fn on_demand_and_schedule_do_not_replace_each_other_and_the_watermark_stays() {
    let mut sim = sim("2026-11-24 00:00", &policy("p", NIGHTLY, "dw", ""));
    sim.until("2026-11-24 02:00");
    sim.aws.set_status("dw", "paused", at("2026-11-24 02:00"));
    let early = take(&mut sim);
    sim.until("2026-11-24 02:45");
    let late = take(&mut sim);
    sim.until("2026-11-24 02:50");
    sim.aws
        .set_status("dw", "available", at("2026-11-24 02:50"));
    sim.until("2026-11-24 06:00");
    let ledger = &sim.hosts[0].journal.ledger;
    for run in [&early, &late] {
        let ended = &ledger.runs[&run.slot];
        assert_eq!(ended.word(), "available", "{ended:?}");
    }
    assert_eq!(sim.outcome("p", "2026-11-24 02:30"), "available");
    assert_eq!(
        ledger.pairs[&pair("p", "dw")].watermark,
        at("2026-11-24 02:30")
    );
}

#[test]
fn a_slot_that_comes_while_one_on_demand_is_made_is_skipped() {
    let mut sim = sim("2026-11-24 00:00", &policy("p", NIGHTLY, "dw", ""));
    sim.aws.account.limits.snapshot_seconds = 3600;
    sim.until("2026-11-24 02:29:55");
    let run = take(&mut sim);
    sim.until("2026-11-24 04:00");
    assert_eq!(
        sim.hosts[0].journal.ledger.runs[&run.slot].word(),
        "available"
    );
    assert_eq!(sim.outcome("p", "2026-11-24 02:30"), "skipped(overlap)");
}

#[test]
fn an_account_that_turns_out_to_be_another_one_is_left_alone() {
    let mut sim = sim("2026-11-24 00:00", &policy("p", NIGHTLY, "dw", ""));
    sim.until("2026-11-24 04:00");
    let number = &sim.hosts[0].journal.ledger.accounts[&"prod".parse().unwrap()];
    assert_eq!(number.len(), 12);
    sim.stop(0);
    let other = "999988887777".to_owned();
    let accounts = &mut sim.hosts[0].journal.ledger.accounts;
    accounts.insert("prod".parse().unwrap(), other.clone());
    sim.aws.region(at("2026-11-24 04:00")).snapshots.clear();
    sim.start(0);
    sim.until("2026-11-26 04:00");
    let view = sim.hosts[0]
        .process()
        .world
        .observed
        .scopes
        .values()
        .next()
        .unwrap();
    assert!(matches!(&view.barred, Some(Barred::OtherAccount { wanted, .. }) if *wanted == other));
    assert_eq!(
        sim.records(),
        ["11-24 02:30 p/dw available"],
        "nothing is begun or given up there"
    );
    assert!(
        sim.hosts[0]
            .journal
            .ledger
            .runs
            .values()
            .all(|run| run.gone.is_none())
    );
}
