//! Count-based pruning: what goes, what stays, and what keeps everything.

mod confirmed;
mod kept;
mod others;
mod renamed;

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use redkeep_core::operations::PassResult;
use redkeep_core::plan::{Alarm, Blocked};
use redkeep_core::run::GoneReason;
use redkeep_sandbox::faults::Fault;

use redkeep_simulation::setup::{at, config, hours, minutes, policy, sim};
use redkeep_simulation::sim::aws::{DELETE, REGION};
use redkeep_simulation::sim::{CrashPoint, Sim};

const NIGHTLY: &str = "30 2 * * *";
const START: &str = "2026-11-24 00:00";

fn keeping(keep_last: usize, more: &str) -> String {
    policy(
        "p",
        NIGHTLY,
        "d*",
        &format!("keep_last = {keep_last}\n{more}"),
    )
}

/// The snapshots that are there, by the day of their slot.
fn held(sim: &mut Sim) -> Vec<String> {
    let now = sim.now;
    let there = sim.aws.listed(REGION, now);
    let mut days: Vec<String> = there
        .iter()
        .filter(|one| one.status.as_deref() == Some("available"))
        .map(|one| one.tags["redkeep:slot"][5..10].to_owned())
        .collect();
    days.sort_unstable();
    days
}

/// Lets the process live in the nights only, when the slot and the next pass come: nothing happens in between.
fn nights(sim: &mut Sim, until: &str) {
    let until = at(until);
    let mut midnight = sim
        .now
        .date_naive()
        .and_time(chrono::NaiveTime::MIN)
        .and_utc();
    while sim.now < until {
        for (from, to) in [((2, 25), (2, 40)), ((3, 50), (3, 53))] {
            let [from, to] = [from, to].map(|(h, m)| midnight + hours(h) + minutes(m));
            if from >= sim.now && from < until {
                skip_to(sim, from);
                sim.run_until(to.min(until));
            }
        }
        midnight += hours(24);
        if midnight >= until {
            skip_to(sim, until);
        }
    }
}

/// The process is down until then.
fn skip_to(sim: &mut Sim, instant: DateTime<Utc>) {
    for host in 0..sim.hosts.len() {
        if sim.hosts[host].process.is_some() {
            sim.stop(host);
            sim.now = sim.now.max(instant);
            sim.start(host);
        }
    }
}

fn id(sim: &Sim, day: &str) -> String {
    let run = sim.run("p", &format!("2026-{day} 02:30")).unwrap();
    run.request.snapshot_id.to_string()
}

fn deleted(sim: &Sim) -> Vec<String> {
    let ids: Vec<String> = sim.aws.removed.iter().map(|(id, _)| id.clone()).collect();
    let once: BTreeSet<&String> = ids.iter().collect();
    assert_eq!(once.len(), ids.len(), "each is deleted once: {ids:?}");
    ids
}

fn is_blocked(sim: &Sim, by: Blocked) -> bool {
    let mut alarms = sim.hosts[0].alarms.keys();
    alarms.any(|alarm| matches!(alarm, Alarm::PruneBlocked(_, blocked) if *blocked == by))
}

/// Confirms the plan as it is now, as the command does.
fn confirm(sim: &mut Sim) -> usize {
    let now = sim.now;
    sim.hosts[0].confirm(now)
}

#[test]
fn the_newest_keep_last_stay_and_the_older_ones_are_pruned_one_by_one() {
    let mut sim = sim(START, &keeping(3, ""));
    nights(&mut sim, "2026-12-04 00:00");
    assert_eq!(held(&mut sim), ["12-01", "12-02", "12-03"]);
    assert_eq!(deleted(&sim).len(), 7);
    let run = sim.run("p", "2026-11-24 02:30").unwrap();
    let gone = run.gone.unwrap();
    assert_eq!(gone.reason, GoneReason::Pruned);
    // The fourth is there at 02:30 of the 27th; the pass after it takes the first.
    assert!(
        gone.at >= at("2026-11-27 02:30") && gone.at <= at("2026-11-27 03:53"),
        "{}",
        gone.at
    );
    sim.assert_accounted();
    let mut ended = sim.hosts[0].journal.ledger.removals.values();
    assert!(ended.all(|removal| removal.end.as_ref().unwrap().is_done()));
}

#[test]
fn without_keep_last_nothing_is_deleted() {
    let mut sim = sim(START, &policy("p", NIGHTLY, "d*", ""));
    nights(&mut sim, "2026-12-04 00:00");
    assert_eq!(held(&mut sim).len(), 10);
    assert!(!sim.aws.asked.contains_key(DELETE));
}

#[test]
fn after_a_cluster_is_made_again_the_old_ones_do_not_count_the_new_ones_as_newer() {
    let mut sim = sim(START, &keeping(3, ""));
    nights(&mut sim, "2026-11-28 00:00");
    assert_eq!(held(&mut sim), ["11-25", "11-26", "11-27"]);
    let now = sim.now;
    sim.aws.remove_cluster("dw", now);
    nights(&mut sim, "2026-11-29 00:00");
    sim.aws.add_cluster("dw", at("2026-11-28 12:00"));
    nights(&mut sim, "2026-12-08 00:00");
    // Of the old incarnation the two newest good ones have fewer than two newer ones of theirs.
    assert_eq!(
        held(&mut sim),
        ["11-26", "11-27", "12-05", "12-06", "12-07"]
    );
}

#[test]
fn a_denied_delete_leaves_creating_alone_and_a_refused_one_does_not_hold_up_the_others() {
    let mut sim = sim(START, &keeping(3, ""));
    sim.aws.refuse(DELETE, None, "AccessDenied", 403);
    nights(&mut sim, "2026-12-03 00:00");
    assert_eq!(held(&mut sim).len(), 9);
    sim.assert_accounted();
    assert_eq!(sim.outcome("p", "2026-12-02 02:30"), "available");
    let asked = sim.aws.asked[DELETE];
    assert!(asked <= 5 * 24 * 9, "five an hour at most: {asked}");
    sim.aws.heal();
    // The five oldest are in use by a cluster: the sixth goes all the same.
    for day in ["11-24", "11-25", "11-26", "11-27", "11-28"] {
        let id = id(&sim, day);
        let fate = redkeep_sandbox::snapshot::SnapshotFate::Held {
            status: "modifying".to_owned(),
        };
        let now = sim.now;
        sim.aws.snapshot_mut(&id, now).fate = fate;
        sim.aws
            .disguise(&id, |one| one.status = Some("available".to_owned()), now);
    }
    skip_to(&mut sim, at("2026-12-03 02:25"));
    sim.until("2026-12-03 03:40");
    assert!(deleted(&sim).contains(&id(&sim, "11-29")));
    let removals = sim.hosts[0].journal.ledger.removals.values();
    let kept = removals.filter(|one| !one.end.as_ref().unwrap().is_done());
    assert!(kept.count() > 5);
}

#[test]
fn a_crash_at_any_step_removes_each_once_and_records_it_as_pruned() {
    let passes = || {
        let mut sim = sim(START, &keeping(2, ""));
        nights(&mut sim, "2026-11-26 00:00");
        skip_to(&mut sim, at("2026-11-26 02:25"));
        sim.until("2026-11-26 03:24");
        sim
    };
    let mut whole = passes();
    let first = whole.steps;
    whole.until("2026-11-26 03:28");
    let last = whole.steps;
    assert_eq!(deleted(&whole).len(), 1);
    for delivers in [true, false] {
        for at_step in first..last {
            let mut sim = passes();
            sim.crash_at = Some(CrashPoint {
                at_step,
                downtime: minutes(3),
                delivers,
            });
            sim.until("2026-11-26 05:00");
            assert_eq!(held(&mut sim), ["11-25", "11-26"], "{at_step}");
            assert_eq!(deleted(&sim).len(), 1);
            let gone = sim.run("p", "2026-11-24 02:30").unwrap().gone;
            let reason = gone.map(|gone| gone.reason);
            assert_eq!(reason, Some(GoneReason::Pruned), "{at_step}");
            sim.assert_accounted();
        }
    }
}

#[test]
fn a_lost_answer_is_looked_for_and_never_asked_again() {
    for (fault, wanted) in [(Fault::LostReply, 1), (Fault::Reset, 2), (Fault::Hang, 2)] {
        let mut sim = sim(START, &keeping(2, ""));
        nights(&mut sim, "2026-11-26 00:00");
        skip_to(&mut sim, at("2026-11-26 02:25"));
        sim.until("2026-11-26 02:30");
        sim.aws.strike(DELETE, Some(1), fault);
        sim.until("2026-11-26 05:00");
        assert_eq!(deleted(&sim).len(), 1);
        assert_eq!(
            sim.aws.asked[DELETE], wanted,
            "the next pass asks anew where nothing was done"
        );
        let gone = sim.run("p", "2026-11-24 02:30").unwrap().gone.unwrap();
        assert_eq!(gone.reason, GoneReason::Pruned);
    }
}

#[test]
fn a_restart_does_not_make_the_first_pass_again_nor_a_pass_too_many() {
    let mut sim = sim(START, &keeping(2, ""));
    nights(&mut sim, "2026-11-26 00:00");
    skip_to(&mut sim, at("2026-11-26 02:25"));
    sim.until("2026-11-26 03:35");
    assert_eq!(deleted(&sim).len(), 1);
    let passes = sim.hosts[0].journal.ledger.passes.len();
    for _ in 0..5 {
        sim.stop(0);
        sim.start(0);
        sim.run_for(minutes(1));
    }
    let after = sim.hosts[0].journal.ledger.passes.len();
    assert!(after <= passes + 1, "{passes} and {after}");
}

#[test]
fn a_dry_run_says_what_the_next_pass_removes() {
    let mut sim = sim(START, &keeping(2, ""));
    nights(&mut sim, "2026-11-26 00:00");
    skip_to(&mut sim, at("2026-11-26 02:25"));
    sim.until("2026-11-26 02:40");
    let now = sim.now;
    let (_, judgement) = sim.hosts[0].process().engine.judge(now).pop().unwrap();
    let said: Vec<String> = judgement
        .removals()
        .map(|(one, _)| one.id().to_string())
        .collect();
    assert!(judgement.blocked.is_empty());
    sim.until("2026-11-26 04:00");
    assert_eq!(deleted(&sim), said);
}

#[test]
fn a_clock_that_is_put_back_by_two_minutes_does_not_shorten_the_hour_after_the_first_pass() {
    let mut sim = sim(START, &keeping(30, ""));
    nights(&mut sim, "2026-12-04 00:00");
    sim.set_clock(0, minutes(2));
    sim.reload(0, config(&keeping(3, "")));
    sim.run_for(minutes(2));
    let announced = sim.hosts[0].journal.ledger.passes.last().unwrap();
    assert_eq!(announced.result, PassResult::FirstPass);
    sim.set_clock(0, TimeDelta::zero());
    sim.run_for(minutes(50));
    assert_eq!(deleted(&sim), Vec::<String>::new());
    sim.run_for(minutes(20));
    assert_eq!(deleted(&sim).len(), 5, "the hour is over");
}
