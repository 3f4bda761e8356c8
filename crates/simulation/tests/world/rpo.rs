//! `rpo`: an alarm while the newest good snapshot is older, and none before or after.

use redkeep_core::plan::Alarm;
use redkeep_sandbox::faults::Fault;

use redkeep_simulation::setup::{pair, policy, sim};
use redkeep_simulation::sim::Sim;
use redkeep_simulation::sim::aws::CREATE;

fn hourly() -> String {
    policy("p", "0 * * * *", "dw", "rpo = \"2h\"")
}

fn refuse(sim: &mut Sim) {
    let refused = Fault::Error {
        code: "InvalidClusterState".to_owned(),
        status: 400,
        message: "paused".to_owned(),
    };
    sim.aws.strike(CREATE, None, refused);
}

/// What is said of the pair, while it is overdue.
fn overdue(sim: &Sim) -> Option<&str> {
    let alarms = &sim.hosts[0].alarms;
    let said = alarms.get(&Alarm::RpoBreach(pair("p", "dw")));
    said.map(String::as_str)
}

#[test]
fn the_alarm_is_there_from_the_age_of_the_newest_snapshot_until_the_next_one() {
    let mut sim = sim("2026-11-24 00:10", &hourly());
    sim.until("2026-11-24 01:30");
    refuse(&mut sim);
    sim.until("2026-11-24 02:59");
    assert_eq!(overdue(&sim), None);
    sim.until("2026-11-24 03:02");
    let said = overdue(&sim).unwrap();
    assert!(
        said.starts_with("the newest good snapshot is of 2026-11-24T01:0"),
        "{said}"
    );
    sim.aws.heal();
    sim.until("2026-11-24 05:30");
    assert_eq!(overdue(&sim), None);
}

#[test]
fn without_any_good_snapshot_the_age_counts_from_the_activation() {
    let mut sim = sim("2026-11-24 00:10", &hourly());
    refuse(&mut sim);
    sim.until("2026-11-24 02:09");
    assert_eq!(overdue(&sim), None);
    sim.until("2026-11-24 02:12");
    let said = overdue(&sim).unwrap();
    assert!(
        said.starts_with("no good snapshot since 2026-11-24T00:10"),
        "{said}"
    );
    sim.reload(
        0,
        redkeep_simulation::setup::config(&policy("p", "0 * * * *", "dw", "")),
    );
    sim.until("2026-11-24 02:14");
    assert_eq!(overdue(&sim), None);
}
