//! The snapshots of a cluster that was renamed.

use chrono::{DateTime, Utc};
use redkeep_core::operations::{ActionKind, SnapshotAction};
use redkeep_core::run::GoneReason;
use redkeep_simulation::setup::{at, minutes, seconds, sim, slot};
use redkeep_simulation::sim::Sim;

use super::{START, held, id, keeping, nights};

fn rename(sim: &mut Sim, to: &str) {
    let (until, to) = (sim.now, to.to_owned());
    let state = redkeep_sandbox::cluster::ClusterState::Renaming { until, to };
    sim.aws.region(until).cluster_mut("dw").unwrap().state = state;
}

#[test]
fn the_snapshots_of_a_renamed_cluster_are_pruned_as_those_of_its_new_name_come() {
    let mut sim = sim(START, &keeping(3, ""));
    nights(&mut sim, "2026-11-28 00:00");
    assert_eq!(held(&mut sim), ["11-25", "11-26", "11-27"]);
    rename(&mut sim, "dx");
    nights(&mut sim, "2026-12-03 00:00");
    assert_eq!(held(&mut sim), ["11-30", "12-01", "12-02"]);
    let run = sim.run("p", "2026-11-27 02:30").unwrap();
    assert_eq!(run.gone.unwrap().reason, GoneReason::Pruned);
}

#[test]
fn the_snapshots_of_a_cluster_whose_new_name_no_policy_selects_stay() {
    let mut sim = sim(START, &keeping(2, ""));
    nights(&mut sim, "2026-11-28 00:00");
    rename(&mut sim, "warehouse");
    nights(&mut sim, "2026-12-08 00:00");
    assert_eq!(held(&mut sim), ["11-26", "11-27"]);
}

#[test]
fn after_a_rename_and_a_new_cluster_of_the_old_name_neither_counts_for_the_other() {
    let mut sim = sim(START, &keeping(2, ""));
    nights(&mut sim, "2026-11-28 00:00");
    rename(&mut sim, "warehouse");
    sim.run_for(minutes(3));
    sim.aws.add_cluster("dw", at("2026-11-28 00:00"));
    nights(&mut sim, "2026-12-08 00:00");
    assert_eq!(held(&mut sim), ["11-26", "11-27", "12-06", "12-07"]);
}

#[test]
fn a_snapshot_of_a_renamed_cluster_can_be_held_and_released() {
    let mut sim = sim(START, &keeping(4, ""));
    nights(&mut sim, "2026-11-26 00:00");
    rename(&mut sim, "warehouse");
    sim.run_for(minutes(3));
    let first = id(&sim, "11-24");
    for (number, wanted, period) in [(1, ActionKind::Hold, -1), (2, ActionKind::Release, 35)] {
        let snapshot = redkeep_core::snapshot::SnapshotId::recorded(first.clone());
        let of = slot("p", "dw", "2026-11-24 02:30");
        let action = SnapshotAction {
            id: number,
            ..SnapshotAction::new(wanted, of, snapshot, sim.now)
        };
        let history = sim.hosts[0].process_mut().engine.falsify().1;
        history.actions.insert(number, action);
        sim.run_for(seconds(40));
        let ended = sim.hosts[0].journal.ledger.actions[&number].end.clone();
        assert!(ended.as_ref().unwrap().is_done(), "{ended:?}");
        let now: DateTime<Utc> = sim.now;
        assert_eq!(sim.aws.snapshot_mut(&first, now).retention_days, period);
    }
}
