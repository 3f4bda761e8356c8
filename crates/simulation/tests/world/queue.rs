//! Overlap and queueing: one snapshot of a cluster at a time, as far as the windows allow.

use redkeep_sandbox::faults::Fault;

use redkeep_simulation::setup::{hours, minutes, policy, seconds, sim};
use redkeep_simulation::sim::aws::CREATE;

#[test]
fn a_slot_is_skipped_while_the_previous_snapshot_is_creating_after_one_more_look() {
    let mut sim = sim("2026-11-24 00:30", &policy("hourly", "0 * * * *", "dw", ""));
    sim.aws.account.limits.snapshot_seconds = 90 * 60;
    sim.until("2026-11-24 03:40");
    assert_eq!(
        sim.records(),
        [
            "11-24 01:00 hourly/dw available",
            "11-24 02:00 hourly/dw skipped(overlap)",
            "11-24 03:00 hourly/dw open: Creating { generation: First, look_at: \
             2026-11-24T03:40:00Z }",
        ]
        .map(|record| match record.split_once(" open") {
            Some((slot, _)) => sim
                .records()
                .into_iter()
                .find(|one| one.starts_with(slot))
                .unwrap(),
            None => record.to_owned(),
        })
    );
    sim.until("2026-11-24 04:59");
    assert_eq!(sim.outcome("hourly", "2026-11-24 03:00"), "available");
    assert_eq!(
        sim.outcome("hourly", "2026-11-24 04:00"),
        "skipped(overlap)"
    );
    sim.assert_accounted();
}

#[test]
fn a_previous_snapshot_that_was_completed_unseen_does_not_make_the_next_slot_overlap() {
    // Followed at growing distances, it is looked at once more before anything is skipped.
    let mut sim = sim("2026-11-24 00:30", &policy("hourly", "0 * * * *", "dw", ""));
    sim.aws.account.limits.snapshot_seconds = 60 * 60 - 1;
    sim.until("2026-11-24 03:00");
    sim.run_for(minutes(5));
    assert_eq!(
        sim.accepted(),
        ["11-24 01:00:00", "11-24 02:00:00", "11-24 03:00:00"]
    );
    assert_eq!(sim.outcome("hourly", "2026-11-24 02:00"), "available");
}

#[test]
fn after_its_completion_window_a_snapshot_raises_an_alarm_and_no_longer_blocks() {
    let tables = policy("nightly", "30 2 * * *", "dw", "completion_window = \"20h\"");
    let mut sim = sim("2026-11-24 00:00", &tables);
    sim.aws.strike(CREATE, Some(1), Fault::StuckSnapshot);
    sim.until("2026-11-24 22:29");
    assert!(!sim.hosts[0].was_alarmed("StillCreating"));
    sim.until("2026-11-24 22:32");
    assert!(sim.hosts[0].was_alarmed("StillCreating"));
    sim.until("2026-11-25 02:40");
    assert_eq!(sim.outcome("nightly", "2026-11-25 02:30"), "available");
    assert!(
        sim.outcome("nightly", "2026-11-24 02:30")
            .starts_with("open: Creating")
    );
    // It is still followed.
    let id = sim.aws.accepted[0].0.clone();
    let now = sim.now;
    sim.aws.snapshot_mut(&id, now).fate =
        redkeep_sandbox::snapshot::SnapshotFate::Completes { at: now };
    sim.until("2026-11-25 02:50");
    assert_eq!(sim.outcome("nightly", "2026-11-24 02:30"), "available");
    assert!(sim.hosts[0].alarms.is_empty());
    sim.assert_accounted();
}

#[test]
fn two_policies_on_one_cluster_take_their_turns_inside_their_windows() {
    let tables =
        policy("nightly", "30 2 * * *", "dw", "") + &policy("weekly", "30 2 * * 2", "dw", "");
    let mut sim = sim("2026-11-24 00:00", &tables);
    sim.aws.account.limits.snapshot_seconds = 40 * 60;
    sim.until("2026-11-24 04:30");
    assert_eq!(sim.outcome("nightly", "2026-11-24 02:30"), "available");
    assert_eq!(sim.outcome("weekly", "2026-11-24 02:30"), "available");
    let accepted = sim.accepted();
    assert_eq!(accepted.len(), 2);
    assert!(accepted[1].as_str() >= "11-24 03:10:00", "{accepted:?}");
    sim.assert_accounted();
}

#[test]
fn a_queued_slot_is_asked_for_all_the_same_when_a_quarter_of_its_window_is_left() {
    for window in ["1m", "2m", "10m"] {
        let more = format!("start_window = \"{window}\"");
        let tables = policy("a", "30 2 * * *", "dw", "") + &policy("b", "30 2 * * *", "dw", &more);
        let mut sim = sim("2026-11-24 00:00", &tables);
        sim.aws.account.limits.snapshot_seconds = 3 * 60 * 60;
        sim.run_for(hours(7));
        assert_eq!(
            sim.outcome("b", "2026-11-24 02:30"),
            "available",
            "window {window}"
        );
        sim.assert_accounted();
    }
}

#[test]
fn a_slot_that_queued_behind_another_policy_starts_as_soon_as_that_is_done() {
    let tables = policy("a", "* * * * *", "dw", "") + &policy("b", "30 2 * * *", "dw", "");
    let mut sim = sim("2026-11-24 02:29:30", &tables);
    sim.aws.account.limits.snapshot_seconds = 20;
    sim.run_for(minutes(2));
    let run = sim.run("b", "2026-11-24 02:30").unwrap();
    assert_eq!(redkeep_simulation::setup::outcome(&run), "available");
    let waited = run.accepted_at.unwrap() - run.slot.scheduled_at;
    assert!(waited >= seconds(20) && waited <= seconds(40), "{waited}");
}
