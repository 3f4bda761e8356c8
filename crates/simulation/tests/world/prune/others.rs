//! Snapshots that are none of the schedule's good ones: taken by hand, failed, or of another installation.

use redkeep_core::operations::{ActionKind, SnapshotAction};
use redkeep_core::run::GoneReason;
use redkeep_sandbox::faults::Fault;
use redkeep_simulation::setup::{at, config, minutes, sim, slot};
use redkeep_simulation::sim::Sim;
use redkeep_simulation::sim::aws::{CREATE, REGION};

use super::{START, deleted, held, keeping, nights, skip_to};

#[test]
fn a_snapshot_by_hand_is_kept_and_counts_for_none() {
    let mut sim = sim(START, &keeping(2, ""));
    skip_to(&mut sim, at("2026-11-24 12:00"));
    let run = {
        let (now, host) = (sim.now, &sim.hosts[0]);
        let policy = host.config.policy(&"p".parse().unwrap()).unwrap();
        let pair = slot("p", "dw", START).pair;
        redkeep_core::plan::manual_run(
            &host.config,
            &host.writer,
            policy,
            pair,
            "35d".parse().unwrap(),
            now,
        )
    };
    let change = redkeep_core::history::Change::Run(Box::new(run));
    sim.hosts[0].journal.commit(std::slice::from_ref(&change));
    sim.hosts[0]
        .process_mut()
        .engine
        .committed(vec![change], Vec::new());
    sim.run_for(minutes(3));
    nights(&mut sim, "2026-11-29 00:00");
    // Two of the 24th are there no more but the one by hand.
    assert_eq!(held(&mut sim), ["11-24", "11-27", "11-28"]);
    assert_eq!(
        sim.aws
            .snapshot_mut(&id_by_hand(), at("2026-11-29 00:00"))
            .status(at("2026-11-29 00:00")),
        "available"
    );
}

fn id_by_hand() -> String {
    let namespace = "redkeep".parse().unwrap();
    let slot = slot("p", "dw", "2026-11-24 12:00");
    redkeep_core::snapshot::SnapshotId::derive(
        &namespace,
        &slot,
        redkeep_core::snapshot::Generation::First,
    )
    .to_string()
}

#[test]
fn failed_ones_of_ours_go_after_a_week_the_first_generation_too() {
    let mut sim = sim(START, &keeping(3, ""));
    let message = "Injected.".to_owned();
    sim.aws
        .strike(CREATE, Some(1), Fault::FailSnapshot { message });
    nights(&mut sim, "2026-11-30 00:00");
    let message = "Injected.".to_owned();
    sim.aws
        .strike(CREATE, Some(2), Fault::FailSnapshot { message });
    let failed = |sim: &mut Sim| {
        let now = sim.now;
        let there = sim.aws.listed(REGION, now);
        there
            .iter()
            .filter(|one| one.status.as_deref() == Some("failed"))
            .count()
    };
    nights(&mut sim, "2026-12-01 00:00");
    skip_to(&mut sim, at("2026-12-01 02:25"));
    assert_eq!(failed(&mut sim), 3);
    sim.until("2026-12-01 04:00");
    assert_eq!(failed(&mut sim), 2, "the one of the 24th is a week old");
    assert_eq!(
        sim.run("p", "2026-11-24 02:30")
            .unwrap()
            .gone
            .unwrap()
            .reason,
        GoneReason::Pruned
    );
    nights(&mut sim, "2026-12-08 00:00");
    assert_eq!(failed(&mut sim), 0);
    sim.assert_accounted();
}

#[test]
fn a_foreign_snapshot_with_our_tags_is_not_touched() {
    let mut sim = sim(START, &keeping(2, ""));
    let now = sim.now;
    let tags = [
        ("redkeep:namespace", "redkeep"),
        ("redkeep:policy", "p"),
        ("redkeep:cluster", "dw"),
        ("redkeep:slot", "2026-11-20T02:30:00Z"),
        ("redkeep:tier", "base"),
        ("redkeep:trigger", "schedule"),
        ("redkeep:writer", "host-a"),
    ];
    sim.aws.plant("somebody-elses", &tags, now);
    nights(&mut sim, "2026-12-03 00:00");
    sim.run_for(minutes(1));
    assert_eq!(held(&mut sim), ["11-20", "12-01", "12-02"]);
    let now = sim.now;
    let (_, judgement) = sim.hosts[0].process().engine.judge(now).pop().unwrap();
    let foreign = judgement
        .judged
        .iter()
        .find(|one| one.listed.snapshot_identifier == "somebody-elses");
    assert_eq!(
        foreign.unwrap().verdict.to_string(),
        "not proven to be redkeep's"
    );
}

#[test]
fn another_installation_removes_them_only_after_a_takeover() {
    let mut sim = sim(START, &keeping(2, ""));
    nights(&mut sim, "2026-11-26 00:00");
    skip_to(&mut sim, at("2026-11-26 02:25"));
    sim.until("2026-11-26 02:31");
    sim.stop(0);
    let second = redkeep_simulation::setup::add_host(
        &mut sim,
        "host-b",
        config(&keeping(2, "")),
        redkeep_simulation::sim::journal::Journal::in_memory(),
    );
    nights(&mut sim, "2026-11-29 00:00");
    assert_eq!(deleted(&sim), Vec::<String>::new());
    sim.run_for(minutes(1));
    let now = sim.now;
    let (_, judgement) = sim.hosts[second].process().engine.judge(now).pop().unwrap();
    let others = judgement
        .judged
        .iter()
        .filter(|one| one.verdict.to_string().contains("another"));
    for (number, judged) in (1..).zip(others.cloned().collect::<Vec<_>>()) {
        let action = SnapshotAction {
            id: number,
            kind: ActionKind::Takeover,
            slot: judged.slot.clone(),
            snapshot: judged.id(),
            asked_at: now,
            trouble: None,
            end: None,
        };
        let history = sim.hosts[second].process_mut().engine.falsify().1;
        history.actions.insert(number, action);
    }
    sim.run_for(minutes(1));
    nights(&mut sim, "2026-11-30 00:00");
    assert_eq!(held(&mut sim), ["11-28", "11-29"]);
}
