//! The end of the process at every micro-step of a run's life: exactly one snapshot and one record.

use redkeep_sandbox::faults::Fault;

use redkeep_simulation::setup::{add_host, at, config, minutes, policy, seconds};
use redkeep_simulation::sim::aws::CREATE;
use redkeep_simulation::sim::journal::Journal;
use redkeep_simulation::sim::journal::scratch;
use redkeep_simulation::sim::{CrashPoint, Sim};

const SLOT: &str = "2026-11-24 02:30";

/// How a life is disturbed beside the crash.
#[derive(Debug, Clone)]
struct Story {
    tables: String,
    fault: Option<Fault>,
    /// How many create calls suffer it; `None` for all.
    times: Option<u32>,
    /// What comes of it, whenever it crashes.
    outcome: &'static str,
    /// How many create calls are accepted.
    accepted: usize,
}

impl Story {
    fn smooth() -> Self {
        Self {
            tables: nightly(""),
            fault: None,
            times: Some(1),
            outcome: "available",
            accepted: 1,
        }
    }
}

fn nightly(more: &str) -> String {
    policy("nightly", "30 2 * * *", "dw", more)
}

/// A host in the minute before its slot.
fn before(story: &Story, journal: Journal) -> Sim {
    let mut sim = Sim::new(at("2026-11-24 02:28:40"));
    sim.aws.add_cluster("dw", at("2026-01-01 00:00"));
    if let Some(fault) = &story.fault {
        sim.aws.strike(CREATE, story.times, fault.clone());
    }
    add_host(&mut sim, "host-a", config(&story.tables), journal);
    sim.until("2026-11-24 02:29:30");
    sim
}

/// Lives through the slot, with the process dying so many steps after this minute began.
fn live(story: &Story, mut crash_at: CrashPoint, journal: Journal) -> Sim {
    let mut sim = before(story, journal);
    crash_at.at_step += sim.steps;
    sim.crash_at = Some(crash_at);
    sim.until("2026-11-24 02:45");
    check(story, crash_at, &sim);
    sim
}

/// How many steps a life without a crash has, until the snapshot is recorded and a little longer.
fn steps(story: &Story) -> u64 {
    let mut sim = before(story, Journal::in_memory());
    let before = sim.steps;
    sim.until("2026-11-24 02:33");
    assert_eq!(sim.outcome("nightly", SLOT), story.outcome);
    assert!(sim.steps - before > 12, "{} steps", sim.steps - before);
    sim.steps - before
}

fn check(story: &Story, crash_at: CrashPoint, sim: &Sim) {
    assert_eq!(
        sim.outcome("nightly", SLOT),
        story.outcome,
        "{crash_at:?} {story:?}"
    );
    assert_eq!(
        sim.aws.accepted.len(),
        story.accepted,
        "{crash_at:?} {story:?}"
    );
    assert_eq!(sim.hosts[0].lives, 2, "{crash_at:?} did not come");
    sim.assert_accounted();
}

/// Crashes at every step, stays down for a while, and the requests on the wire arrive or do not.
fn crash_everywhere(story: &Story) {
    for at_step in 0..steps(story) {
        for (downtime, delivers) in [(0, true), (7, false), (7, true), (150, true)] {
            let downtime = seconds(downtime);
            let crash_at = CrashPoint {
                at_step,
                downtime,
                delivers,
            };
            live(story, crash_at, Journal::in_memory());
        }
    }
}

#[test]
fn a_crash_at_any_step_of_a_smooth_run_leaves_one_snapshot_and_one_record() {
    crash_everywhere(&Story::smooth());
}

#[test]
fn a_crash_at_any_step_of_a_run_with_a_lost_answer_leaves_one_snapshot_and_one_record() {
    for fault in [Fault::LostReply, Fault::Reset] {
        crash_everywhere(&Story {
            fault: Some(fault),
            ..Story::smooth()
        });
    }
}

#[test]
fn a_crash_at_any_step_of_a_run_whose_snapshot_fails_leaves_one_more_of_it() {
    let message = "of no importance".to_owned();
    crash_everywhere(&Story {
        fault: Some(Fault::FailSnapshot { message }),
        accepted: 2,
        ..Story::smooth()
    });
}

#[test]
fn a_crash_at_any_step_of_a_run_that_is_refused_for_good_leaves_one_record() {
    crash_everywhere(&Story {
        fault: Some(Fault::Error {
            code: "InvalidTagFault".to_owned(),
            status: 400,
            message: "Injected.".to_owned(),
        }),
        times: None,
        outcome: "failed(config)",
        accepted: 0,
        ..Story::smooth()
    });
}

#[test]
fn a_crash_at_any_step_over_the_real_store_leaves_one_snapshot_and_one_record() {
    let story = Story {
        tables: nightly("jitter = \"10s\""),
        ..Story::smooth()
    };
    for at_step in 0..steps(&story) {
        let crash_at = CrashPoint {
            at_step,
            downtime: seconds(3),
            delivers: true,
        };
        live(&story, crash_at, Journal::on_disk(scratch()));
    }
}

#[test]
fn fifty_crashes_in_one_slot_leave_one_snapshot_and_one_record() {
    let story = Story {
        fault: Some(Fault::Reset),
        times: Some(3),
        ..Story::smooth()
    };
    let mut sim = before(&story, Journal::in_memory());
    sim.until("2026-11-24 02:29:59");
    for crash in 0..50 {
        sim.crash_at = Some(CrashPoint {
            at_step: sim.steps + crash % 7,
            downtime: seconds(2),
            delivers: crash % 2 == 0,
        });
        while sim.crash_at.is_some() {
            sim.run_for(seconds(1));
        }
    }
    sim.run_for(minutes(10));
    assert_eq!(sim.hosts[0].lives, 51);
    assert_eq!(sim.outcome("nightly", SLOT), "available");
    assert_eq!(sim.aws.accepted.len(), 1);
    sim.assert_accounted();
}

#[test]
fn a_crash_with_a_call_out_and_a_window_that_ends_meanwhile_is_adopted_or_expires() {
    for (delivers, outcome) in [(true, "available"), (false, "expired(no clear answer)")] {
        let story = Story {
            tables: nightly("start_window = \"5m\""),
            ..Story::smooth()
        };
        let mut sim = before(&story, Journal::in_memory());
        sim.until("2026-11-24 02:29:59");
        // Two for the commit of the slot, two for that of the intent, one before the call: it is on the wire.
        sim.crash_at = Some(CrashPoint {
            at_step: sim.steps + 5,
            downtime: minutes(10),
            delivers,
        });
        sim.until("2026-11-24 02:31");
        assert_eq!(sim.accepted().len(), usize::from(delivers));
        sim.until("2026-11-24 02:50");
        assert_eq!(sim.hosts[0].lives, 2);
        assert_eq!(sim.outcome("nightly", SLOT), outcome, "{delivers}");
        sim.assert_accounted();
    }
}
