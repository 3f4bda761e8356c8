//! A history that is lost, or set back to an older copy: it is rebuilt from what AWS holds.

use redkeep_core::run::{Missed, Outcome, RunState};
use redkeep_core::slot::rfc3339;
use redkeep_core::snapshot::{Generation, SnapshotId, tag};
use redkeep_sandbox::faults::Fault;

use redkeep_simulation::setup::{at, config, minutes, pair, policy, seconds, sim, slot};
use redkeep_simulation::sim::Sim;
use redkeep_simulation::sim::aws::CREATE;
use redkeep_simulation::sim::ledger::Ledger;

const NIGHTLY: &str = "30 2 * * *";

fn nightly() -> Sim {
    sim("2026-11-24 00:00", &policy("nightly", NIGHTLY, "dw", ""))
}

/// The process ends, and with it the history, or what came after a copy.
fn set_back(sim: &mut Sim, copy: Ledger) {
    sim.stop(0);
    sim.hosts[0].journal.ledger = copy;
    sim.start(0);
}

/// I17: what the process counts is what the history holds.
fn assert_counted(sim: &Sim) {
    let host = &sim.hosts[0];
    let fold = host.journal.ledger.history().totals;
    assert_eq!(host.process().engine.history().totals, fold);
}

fn id(scheduled_at: &str) -> SnapshotId {
    let slot = slot("nightly", "dw", scheduled_at);
    SnapshotId::derive(&"redkeep".parse().unwrap(), &slot, Generation::First)
}

#[test]
fn a_lost_history_is_rebuilt_and_nothing_is_made_twice_or_back_filled() {
    let mut sim = nightly();
    sim.until("2026-11-26 02:31:30");
    let before = sim.hosts[0].journal.ledger.clone();
    // One of the nights is lost for good: nobody back-fills it.
    let now = sim.now;
    let region = sim.aws.region(now);
    region.snapshots.remove(id("2026-11-25 02:30").as_str());
    set_back(&mut sim, Ledger::default());
    sim.until("2026-11-26 12:00");
    let expected = [
        "11-24 02:30 nightly/dw available",
        "11-26 02:30 nightly/dw available",
    ];
    assert_eq!(sim.records(), expected);
    assert_eq!(sim.aws.accepted.len(), 3);
    let ledger = &sim.hosts[0].journal.ledger;
    let restarted = at("2026-11-26 02:31:30");
    assert!(ledger.pairs[&pair("nightly", "dw")].active_from >= restarted);
    assert!(ledger.rebuilt_at.is_some_and(|at| at >= restarted));
    let key = slot("nightly", "dw", "2026-11-24 02:30");
    let (was, is) = (&before.runs[&key], &ledger.runs[&key]);
    assert_eq!(
        (is.request.clone(), is.trigger),
        (was.request.clone(), was.trigger)
    );
    assert_eq!(
        (is.snapshot.clone(), is.created_at()),
        (was.snapshot.clone(), was.created_at())
    );
    sim.until("2026-11-27 02:40");
    assert_eq!(sim.records()[2], "11-27 02:30 nightly/dw available");
    assert_counted(&sim);
    sim.assert_accounted();
}

#[test]
fn a_copy_of_three_days_ago_learns_what_was_made_since_and_makes_nothing_twice() {
    let mut sim = nightly();
    sim.until("2026-11-24 12:00");
    let copy = sim.hosts[0].journal.ledger.clone();
    sim.until("2026-11-27 02:30:30");
    let asked = sim.aws.asked[CREATE];
    set_back(&mut sim, copy);
    sim.until("2026-11-27 12:00");
    let expected =
        ["24", "25", "26", "27"].map(|day| format!("11-{day} 02:30 nightly/dw available"));
    assert_eq!(sim.records(), expected);
    assert_eq!((sim.aws.asked[CREATE], sim.aws.accepted.len()), (asked, 4));
    sim.until("2026-11-28 12:00");
    assert_eq!(sim.records()[4], "11-28 02:30 nightly/dw available");
    assert_counted(&sim);
    sim.assert_accounted();
}

#[test]
fn a_snapshot_that_is_being_made_is_followed_after_the_history_was_lost() {
    let mut sim = nightly();
    sim.aws.account.limits.snapshot_seconds = 600;
    sim.until("2026-11-24 02:31");
    set_back(&mut sim, Ledger::default());
    sim.run_for(seconds(5));
    assert!(
        sim.outcome("nightly", "2026-11-24 02:30")
            .starts_with("open: Creating")
    );
    sim.until("2026-11-24 03:00");
    assert_eq!(sim.records(), ["11-24 02:30 nightly/dw available"]);
    assert_eq!(sim.aws.asked[CREATE], 1);
    sim.assert_accounted();
}

#[test]
fn two_snapshots_of_one_slot_become_one_record() {
    for (failing, outcome) in [(1, "available"), (2, "failed(snapshot failed)")] {
        let mut sim = nightly();
        let message = "the disk was on fire".to_owned();
        sim.aws
            .strike(CREATE, Some(failing), Fault::FailSnapshot { message });
        sim.until("2026-11-24 12:00");
        assert_eq!(sim.aws.accepted.len(), 2);
        set_back(&mut sim, Ledger::default());
        sim.until("2026-11-24 13:00");
        let run = sim.run("nightly", "2026-11-24 02:30").unwrap();
        assert_eq!(run.generation(), Generation::Second);
        assert_eq!(sim.outcome("nightly", "2026-11-24 02:30"), outcome);
        let told = run
            .message
            .is_some_and(|told| told.contains("the disk was on fire"));
        assert_eq!(told, failing == 2, "the reason is asked for again");
        assert_eq!(sim.records().len(), 1);
        assert_eq!(sim.aws.asked[CREATE], 2);
        // Nor is it found anew when a newer run has pushed it out of what decisions need.
        sim.until("2026-11-25 12:00");
        sim.stop(0);
        sim.start(0);
        sim.until("2026-11-25 13:00");
        assert_counted(&sim);
        sim.assert_accounted();
    }
}

#[test]
fn a_first_snapshot_that_failed_is_made_once_more_though_the_history_was_lost() {
    let mut sim = nightly();
    let message = "the disk was on fire".to_owned();
    sim.aws
        .strike(CREATE, Some(1), Fault::FailSnapshot { message });
    sim.until("2026-11-24 02:30:00");
    sim.run_for(seconds(1));
    sim.stop(0);
    sim.until("2026-11-24 02:40");
    set_back(&mut sim, Ledger::default());
    sim.until("2026-11-24 03:00");
    assert_eq!(sim.records(), ["11-24 02:30 nightly/dw available"]);
    assert_eq!(sim.aws.accepted.len(), 2);
    sim.assert_accounted();
}

#[test]
fn a_second_snapshot_of_another_host_is_found_after_the_window_too() {
    let mut sim = sim(
        "2026-11-24 00:00",
        &policy("nightly", NIGHTLY, "dw", "start_window = \"5m\""),
    );
    let message = "the disk was on fire".to_owned();
    sim.aws
        .strike(CREATE, Some(1), Fault::FailSnapshot { message });
    sim.until("2026-11-24 02:30:00");
    sim.run_for(seconds(1));
    let copy = sim.hosts[0].journal.ledger.clone();
    sim.until("2026-11-24 04:00");
    set_back(&mut sim, copy);
    sim.until("2026-11-24 05:00");
    assert_eq!(sim.records(), ["11-24 02:30 nightly/dw available"]);
    assert_eq!(sim.aws.accepted.len(), 2);
    sim.assert_accounted();
}

#[test]
fn what_is_not_proven_ours_gets_no_record_and_a_bare_name_does() {
    let mut sim = nightly();
    sim.until("2026-11-24 01:00");
    let now = sim.now;
    let first = id("2026-11-20 02:30");
    let theirs = id("2026-11-21 02:30");
    let slot = |at: &'static str| {
        [
            (tag::NAMESPACE, "redkeep"),
            (tag::POLICY, "nightly"),
            (tag::CLUSTER, "dw"),
            (tag::SLOT, at),
        ]
    };
    sim.aws.plant(first.as_str(), &[], now);
    sim.aws
        .plant(theirs.as_str(), &[(tag::NAMESPACE, "other")], now);
    sim.aws.plant(
        "redkeep-nightly-dw-20261122t023000z-00000000",
        &slot("2026-11-22T02:30:00Z"),
        now,
    );
    sim.aws.plant(
        id("2026-11-19 02:30").as_str(),
        &slot("2026-11-18T02:30:00Z"),
        now,
    );
    sim.aws.plant("before-the-migration", &[], now);
    sim.until("2026-11-24 01:10");
    assert_eq!(sim.records(), ["11-20 02:30 nightly/dw available"]);
    assert_eq!(
        sim.hosts[0].journal.ledger.rebuilt_at, None,
        "nobody wrote it"
    );
    sim.assert_accounted();
}

#[test]
fn a_removed_policys_snapshots_get_their_records_and_no_activation() {
    let mut sim = nightly();
    sim.aws.account.limits.snapshot_seconds = 600;
    sim.until("2026-11-24 02:31");
    sim.stop(0);
    sim.hosts[0].config = config(&policy("other", "0 5 * * *", "dw", ""));
    sim.hosts[0].journal.ledger = Ledger::default();
    sim.start(0);
    sim.until("2026-11-24 04:00");
    assert_eq!(sim.records(), ["11-24 02:30 nightly/dw available"]);
    let pairs = &sim.hosts[0].journal.ledger.pairs;
    assert_eq!(pairs.keys().collect::<Vec<_>>(), [&pair("other", "dw")]);
}

#[test]
fn a_second_hosts_snapshots_are_recorded_and_nothing_is_lost() {
    let mut sim = nightly();
    sim.until("2026-11-24 12:00");
    let config = config(&policy("nightly", NIGHTLY, "dw", ""));
    redkeep_simulation::setup::add_host(
        &mut sim,
        "host-b",
        config,
        redkeep_simulation::sim::journal::Journal::in_memory(),
    );
    sim.run_for(minutes(1));
    assert_eq!(sim.records_of(1), sim.records_of(0));
    assert_eq!(sim.hosts[1].journal.ledger.rebuilt_at, None);
}

#[test]
fn a_slot_that_has_ended_stays_so_though_a_snapshot_of_it_turns_up() {
    let mut sim = nightly();
    sim.until("2026-11-26 12:00");
    let early = slot("nightly", "dw", "2026-11-24 02:30");
    let ledger = &mut sim.hosts[0].journal.ledger;
    let run = ledger.runs.get_mut(&early).unwrap();
    (run.state, run.snapshot) = (RunState::Ended(Outcome::Missed(Missed::Late)), None);
    for _ in 0..2 {
        sim.stop(0);
        sim.start(0);
        sim.run_for(minutes(5));
        assert_eq!(
            sim.outcome(
                "nightly",
                &rfc3339(early.scheduled_at)[..16].replace('T', " ")
            ),
            "missed(late)"
        );
        assert_eq!(
            sim.hosts[0]
                .process()
                .engine
                .history()
                .runs
                .get(&early)
                .unwrap()
                .word(),
            "missed"
        );
        assert_counted(&sim);
    }
}
