//! What becomes of a snapshot that AWS has accepted.

use redkeep::sandbox::faults::Fault;
use redkeep::sandbox::snapshot::SnapshotFate;

use crate::refusals::{SLOT, asked, nightly};
use crate::setup::{policy, seconds, sim};
use crate::sim::aws::CREATE;

#[test]
fn an_unknown_status_counts_as_creating_and_raises_an_alarm() {
    let mut sim = nightly();
    sim.until("2026-11-24 02:30:00");
    sim.run_for(seconds(1));
    let id = sim.aws.accepted[0].0.clone();
    let now = sim.now;
    sim.aws.snapshot_mut(&id, now).fate = SnapshotFate::Held {
        status: "pondering".to_owned(),
    };
    sim.until("2026-11-24 03:30");
    assert!(sim.outcome("nightly", SLOT).starts_with("open: Creating"));
    assert!(sim.hosts[0].was_alarmed("UnknownStatus"));
    let now = sim.now;
    sim.aws.snapshot_mut(&id, now).fate = SnapshotFate::Completes { at: now };
    sim.until("2026-11-24 03:40");
    assert_eq!(sim.outcome("nightly", SLOT), "available");
    assert!(sim.hosts[0].alarms.is_empty());
    sim.assert_accounted();
}

#[test]
fn a_snapshot_not_found_for_a_minute_after_it_was_accepted_is_patience() {
    let mut sim = nightly();
    sim.aws
        .strike(CREATE, Some(1), Fault::LateSnapshot { seconds: 60 });
    sim.until("2026-11-24 02:33");
    assert_eq!(sim.outcome("nightly", SLOT), "available");
    assert_eq!(asked(&sim), 1);
    sim.assert_accounted();
}

#[test]
fn an_accepted_snapshot_that_vanishes_before_it_is_complete_fails_its_run_and_is_not_made_again() {
    let mut sim = nightly();
    sim.aws.strike(CREATE, Some(1), Fault::StuckSnapshot);
    sim.until("2026-11-24 02:35");
    let now = sim.now;
    sim.aws.region(now).snapshots.clear();
    sim.until("2026-11-24 02:39");
    assert!(sim.outcome("nightly", SLOT).starts_with("open: Creating"));
    sim.until("2026-11-24 02:50");
    assert_eq!(
        sim.outcome("nightly", SLOT),
        "failed(deleted before it was available)"
    );
    sim.until("2026-11-24 12:00");
    assert_eq!(asked(&sim), 1);
    sim.assert_accounted();
}

#[test]
fn a_snapshot_that_vanishes_later_is_noted_as_gone_and_never_made_again() {
    let mut sim = nightly();
    sim.until("2026-11-24 03:00");
    let now = sim.now;
    sim.aws.region(now).snapshots.clear();
    sim.until("2026-11-24 03:02");
    let gone = sim.run("nightly", SLOT).unwrap().gone.unwrap();
    assert_eq!(gone.reason.as_str(), "deleted");
    assert_eq!(sim.outcome("nightly", SLOT), "available");
    sim.stop(0);
    sim.start(0);
    sim.until("2026-11-24 12:00");
    assert_eq!(asked(&sim), 1);
    sim.assert_accounted();
}

#[test]
fn a_snapshot_whose_retention_is_over_is_gone_because_it_expired() {
    let tables = policy("nightly", "30 2 * * *", "dw", "").replace("35d", "1d");
    let mut sim = sim("2026-11-24 00:00", &tables);
    sim.until("2026-11-25 02:29");
    assert_eq!(sim.run("nightly", SLOT).unwrap().gone, None);
    sim.until("2026-11-25 02:33");
    let gone = sim.run("nightly", SLOT).unwrap().gone.unwrap();
    assert_eq!(gone.reason.as_str(), "expired");
}

#[test]
fn a_snapshot_that_failed_is_made_once_more_inside_the_start_window() {
    let mut sim = nightly();
    let message = "the disk was on fire".to_owned();
    sim.aws
        .strike(CREATE, Some(1), Fault::FailSnapshot { message });
    sim.until("2026-11-24 02:32");
    let run = sim.run("nightly", SLOT).unwrap();
    assert_eq!(sim.outcome("nightly", SLOT), "available");
    assert!(run.request.snapshot_id.as_str().ends_with("-r1"));
    assert_eq!(sim.aws.accepted.len(), 2);
    sim.assert_accounted();
}

#[test]
fn a_snapshot_that_fails_twice_fails_its_run_with_the_reason_of_the_event() {
    let mut sim = nightly();
    let message = "the disk was on fire".to_owned();
    sim.aws
        .strike(CREATE, Some(2), Fault::FailSnapshot { message });
    sim.until("2026-11-24 12:00");
    assert_eq!(sim.outcome("nightly", SLOT), "failed(snapshot failed)");
    let message = sim.run("nightly", SLOT).unwrap().message.unwrap();
    assert!(message.contains("the disk was on fire"), "{message}");
    assert_eq!(sim.aws.accepted.len(), 2);
    assert_eq!(asked(&sim), 2, "one more, and no third");
    sim.assert_accounted();
}

#[test]
fn a_snapshot_that_fails_after_its_start_window_is_not_made_again() {
    let more = "start_window = \"5m\"";
    let mut sim = sim(
        "2026-11-24 00:00",
        &policy("nightly", "30 2 * * *", "dw", more),
    );
    sim.aws.account.limits.snapshot_seconds = 6 * 60;
    let message = "too late".to_owned();
    sim.aws
        .strike(CREATE, Some(1), Fault::FailSnapshot { message });
    sim.until("2026-11-24 04:00");
    assert_eq!(sim.outcome("nightly", SLOT), "failed(snapshot failed)");
    assert_eq!(sim.aws.accepted.len(), 1);
    sim.assert_accounted();
}
