//! What becomes of a snapshot that AWS has accepted.

use redkeep_sandbox::cluster::ClusterState;
use redkeep_sandbox::faults::Fault;
use redkeep_sandbox::snapshot::SnapshotFate;

use redkeep_core::names::Retention;

use crate::refusals::{SLOT, asked, nightly};
use redkeep_simulation::setup::{at, minutes, outcome, policy, seconds, sim};
use redkeep_simulation::sim::Sim;
use redkeep_simulation::sim::aws::{CREATE, SNAPSHOTS};

fn rename(sim: &mut Sim, to: &str) {
    let now = sim.now;
    let state = ClusterState::Renaming {
        until: now,
        to: to.to_owned(),
    };
    sim.aws.region(now).cluster_mut("dw").unwrap().state = state;
}

#[test]
fn a_snapshot_whose_cluster_is_renamed_while_it_is_made_is_followed_to_its_end() {
    let mut sim = nightly();
    sim.aws.account.limits.snapshot_seconds = 3_600;
    sim.until("2026-11-24 02:31");
    rename(&mut sim, "warehouse");
    sim.until("2026-11-24 03:00");
    assert!(sim.outcome("nightly", SLOT).starts_with("open: Creating"));
    let listings = sim.aws.asked[SNAPSHOTS];
    sim.until("2026-11-24 03:10");
    assert!(
        sim.aws.asked[SNAPSHOTS] - listings <= 11,
        "a listing a minute is enough"
    );
    sim.until("2026-11-24 03:40");
    assert_eq!(sim.outcome("nightly", SLOT), "available");
    sim.until("2026-11-24 12:00");
    let run = sim.run("nightly", SLOT).unwrap();
    assert!(run.is_good(), "it follows its cluster into the new name");
    assert_eq!(asked(&sim), 1);
}

#[test]
fn a_snapshot_whose_reply_is_lost_and_whose_cluster_is_renamed_is_still_ours() {
    let mut sim = nightly();
    sim.aws.strike(CREATE, Some(1), Fault::LostReply);
    sim.until("2026-11-24 02:30:01");
    rename(&mut sim, "warehouse");
    sim.until("2026-11-24 02:40");
    assert_eq!(sim.aws.accepted.len(), 1);
    assert_eq!(sim.outcome("nightly", SLOT), "available");
}

#[test]
fn a_snapshot_of_another_cluster_that_bears_our_name_and_tags_is_a_conflict() {
    let mut sim = nightly();
    sim.aws.strike(CREATE, Some(1), Fault::LostReply);
    sim.until("2026-11-24 02:30:01");
    let (id, now) = (sim.aws.accepted[0].0.clone(), sim.now);
    sim.aws.add_cluster("other", at("2026-02-02 00:00"));
    let other = sim.aws.region(now).clusters["other"].properties.clone();
    let planted = sim.aws.snapshot_mut(&id, now);
    (planted.cluster_identifier, planted.properties) = ("other".to_owned(), other);
    sim.until("2026-11-24 02:40");
    assert_eq!(
        sim.outcome("nightly", SLOT),
        "conflict(its cluster is \"other\", not \"dw\")"
    );
}

#[test]
fn another_snapshot_in_the_place_of_one_that_was_being_made_is_not_taken_for_it() {
    let mut sim = nightly();
    sim.aws.strike(CREATE, Some(1), Fault::StuckSnapshot);
    sim.until("2026-11-24 02:31");
    let (id, now) = (sim.aws.accepted[0].0.clone(), sim.now);
    sim.aws.region(now).snapshots.clear();
    sim.aws.plant(&id, &[("redkeep:policy", "another")], now);
    sim.until("2026-11-24 02:50");
    assert_eq!(
        sim.outcome("nightly", SLOT),
        "failed(deleted before it was available)"
    );
    assert_eq!(asked(&sim), 1);
}

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
    let id = sim.aws.accepted[0].0.clone();
    sim.aws.delete(&id, now);
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
    let tables = policy("nightly", "30 2 * * *", "dw", "guard = false").replace("35d", "1d");
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

fn failing(times: u32) -> redkeep_simulation::sim::Sim {
    let mut sim = nightly();
    let message = "the disk was on fire".to_owned();
    sim.aws
        .strike(CREATE, Some(times), Fault::FailSnapshot { message });
    sim
}

#[test]
fn a_reason_that_aws_tells_only_minutes_later_is_still_recorded() {
    let mut sim = failing(2);
    sim.aws
        .refuse("DescribeEvents", None, "ServiceUnavailable", 503);
    sim.until("2026-11-24 02:45");
    assert!(sim.outcome("nightly", SLOT).starts_with("open: Failing"));
    sim.aws.heal();
    sim.until("2026-11-24 02:50");
    assert_eq!(sim.outcome("nightly", SLOT), "failed(snapshot failed)");
    let message = sim.run("nightly", SLOT).unwrap().message.unwrap();
    assert!(message.contains("the disk was on fire"), "{message}");
    assert!(sim.aws.asked["DescribeEvents"] < 50);
    sim.assert_accounted();
}

#[test]
fn a_second_snapshot_waits_no_longer_than_a_minute_for_the_reason_of_the_first() {
    let mut sim = failing(1);
    sim.aws
        .refuse("DescribeEvents", None, "ServiceUnavailable", 503);
    sim.until("2026-11-24 02:33");
    assert_eq!(sim.outcome("nightly", SLOT), "available");
    assert_eq!(sim.aws.accepted.len(), 2);
    sim.assert_accounted();
}

#[test]
fn a_reason_that_nobody_may_read_is_not_waited_for() {
    let mut sim = failing(2);
    sim.aws.refuse("DescribeEvents", None, "AccessDenied", 403);
    sim.until("2026-11-24 02:36");
    assert_eq!(sim.outcome("nightly", SLOT), "failed(snapshot failed)");
    let message = sim.run("nightly", SLOT).unwrap().message.unwrap();
    assert!(message.contains("could not be read"), "{message}");
    sim.assert_accounted();
}

#[test]
fn a_retention_that_somebody_shortens_is_known_and_then_the_snapshot_has_expired() {
    let tables = policy("nightly", "30 2 * * *", "dw", "guard = false");
    let mut sim = sim("2026-11-24 00:00", &tables);
    sim.until("2026-11-24 12:00");
    let id = sim.aws.accepted[0].0.clone();
    let steps = sim.steps;
    sim.until("2026-11-24 12:30");
    // A listing a minute has seven steps, and a commit with it would have two more.
    assert!(sim.steps - steps < 30 * 8, "{}", sim.steps - steps);
    let now = sim.now;
    sim.aws.snapshot_mut(&id, now).retention_days = 1;
    sim.until("2026-11-24 12:32");
    let seen = sim.run("nightly", SLOT).unwrap().snapshot.unwrap();
    assert_eq!(seen.retention(), Retention::from_days(1));
    sim.until("2026-11-25 02:33");
    let gone = sim.run("nightly", SLOT).unwrap().gone.unwrap();
    assert_eq!(gone.reason.as_str(), "expired");
}

#[test]
fn a_cluster_that_is_deleted_fails_its_next_slots_and_its_old_snapshots_are_kept() {
    let mut sim = sim(
        "2026-11-24 00:00",
        &policy("nightly", "30 2 * * *", "dw", ""),
    );
    sim.until("2026-11-26 12:00");
    let made: Vec<String> = sim.aws.accepted.iter().map(|(id, _)| id.clone()).collect();
    assert_eq!(made.len(), 3, "{made:?}");
    sim.aws.remove_cluster("dw", at("2026-11-26 12:00"));
    sim.until("2026-11-28 12:00");
    for night in ["2026-11-27 02:30", "2026-11-28 02:30"] {
        let run = sim.run("nightly", night).unwrap();
        assert_eq!(outcome(&run), "failed(not_found)");
        assert_eq!(run.attempts, 3);
        // Spaced: it may only just have been renamed, or not be seen yet.
        let took = run.asked_at.unwrap() - run.requested_at.unwrap();
        assert!(took >= minutes(1), "{took}");
    }
    let now = sim.now;
    let held = sim.aws.listed(redkeep_simulation::sim::aws::REGION, now);
    let held: Vec<&str> = held
        .iter()
        .map(|one| one.snapshot_identifier.as_str())
        .collect();
    assert!(
        made.iter().all(|id| held.contains(&id.as_str())),
        "{held:?}"
    );
    let runs = sim.hosts[0].journal.ledger.runs.values();
    assert!(runs.clone().all(|run| run.gone.is_none()));
    assert_eq!(sim.aws.modified, []);
    sim.assert_accounted();
}
