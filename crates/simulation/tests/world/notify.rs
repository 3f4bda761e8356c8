//! What receivers are told in a life with crashes and restarts: each thing once, whatever happens (I27, which the journal
//! checks).

use redkeep_core::outbox::Message;
use redkeep_sandbox::faults::Fault;
use redkeep_simulation::setup::{add_host, at, config, hours, policy, seconds};
use redkeep_simulation::sim::aws::CREATE;
use redkeep_simulation::sim::journal::{Journal, scratch};
use redkeep_simulation::sim::{CrashPoint, Sim};

const RECEIVERS: &str = "
[[notify]]
name = \"ops\"
kind = \"webhook\"
url = \"https://example.com/hook\"
severity = \"info\"

[[notify]]
name = \"hc\"
kind = \"healthchecks\"
url_file = \"ping\"
policies = [\"hourly\"]
";

fn refused() -> Fault {
    Fault::Error {
        code: "InvalidTagFault".to_owned(),
        status: 400,
        message: "no such tag".to_owned(),
    }
}

/// A host whose first slot fails and whose second one does not.
fn before(journal: Journal) -> Sim {
    let mut sim = Sim::new(at("2026-11-24 01:28:40"));
    sim.aws.add_cluster("dw", at("2026-01-01 00:00"));
    sim.aws.strike(CREATE, None, refused());
    let tables = policy("hourly", "30 * * * *", "dw", "") + RECEIVERS;
    add_host(&mut sim, "host-a", config(&tables), journal);
    sim.until("2026-11-24 01:29:30");
    sim
}

fn messages(sim: &Sim) -> &[Message] {
    &sim.hosts[0].journal.ledger.messages
}

fn told(sim: &Sim, receiver: &str) -> Vec<String> {
    let of = messages(sim).iter();
    let of = of.filter(|message| message.receiver.as_str() == receiver);
    of.map(|one| format!("{} {}", one.event.as_str(), one.state.as_str()))
        .collect()
}

#[test]
fn a_failure_and_its_recovery_are_told_once_each_wherever_the_process_dies() {
    let mut sim = before(Journal::in_memory());
    let begun = sim.steps;
    sim.until("2026-11-24 01:33");
    let steps = sim.steps - begun;
    for at_step in 0..steps {
        for (downtime, delivers) in [(0, true), (7, false), (150, true)] {
            let mut sim = before(Journal::in_memory());
            sim.crash_at = Some(CrashPoint {
                at_step: sim.steps + at_step,
                downtime: seconds(downtime),
                delivers,
            });
            sim.until("2026-11-24 02:00");
            sim.aws.heal();
            sim.until("2026-11-24 03:00");
            assert_eq!(
                told(&sim, "ops"),
                ["failed begun", "failed over"],
                "step {at_step}, {downtime} s"
            );
            assert_eq!(
                told(&sim, "hc"),
                ["run started", "run begun", "run started", "run over"],
                "step {at_step}, {downtime} s"
            );
        }
    }
}

#[test]
fn the_store_knows_after_every_death_what_was_told() {
    let mut sim = before(Journal::on_disk(scratch()));
    sim.until("2026-11-24 02:15");
    sim.aws.heal();
    for hour in 2..6 {
        sim.until(&format!("2026-11-24 {hour:02}:15"));
        sim.stop(0);
        sim.start(0);
    }
    sim.aws.strike(CREATE, Some(3), refused());
    sim.until("2026-11-24 10:15");
    sim.stop(0);
    sim.start(0);
    sim.run_for(hours(2));
    assert_eq!(
        told(&sim, "ops"),
        ["failed begun", "failed over", "failed begun", "failed over"]
    );
    assert!(sim.hosts[0].journal.ledger.conditions.is_empty());
    sim.hosts[0].journal.check_store();
}

#[test]
fn a_scope_that_is_out_of_reach_and_a_cluster_that_is_overdue_are_told_once_and_are_over_once() {
    let mut sim = Sim::new(at("2026-11-24 01:28:40"));
    sim.aws.add_cluster("dw", at("2026-01-01 00:00"));
    let tables = policy("hourly", "30 * * * *", "dw", "rpo = \"3h\"") + RECEIVERS;
    add_host(&mut sim, "host-a", config(&tables), Journal::in_memory());
    sim.until("2026-11-24 04:00");
    assert_eq!(told(&sim, "ops"), [""; 0]);
    let down = Fault::Error {
        code: "ServiceUnavailable".to_owned(),
        status: 503,
        message: "down".to_owned(),
    };
    sim.aws.strike("*", None, down);
    sim.until("2026-11-24 14:00");
    sim.stop(0);
    sim.start(0);
    sim.run_for(hours(1));
    sim.aws.heal();
    sim.run_for(hours(3));
    let told = told(&sim, "ops");
    for wanted in [
        "unreachable begun",
        "unreachable over",
        "overdue begun",
        "overdue over",
    ] {
        let count = told.iter().filter(|one| *one == wanted).count();
        assert_eq!(count, 1, "{wanted}: {told:?}");
    }
}
