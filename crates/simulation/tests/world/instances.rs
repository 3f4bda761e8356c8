//! Several instances of one installation, and the server of their history.

use chrono::TimeDelta;
use redkeep_sandbox::faults::Fault;

use redkeep_simulation::setup::{at, instances, minutes, outcome, policy, seconds, slot};
use redkeep_simulation::sim::Sim;
use redkeep_simulation::sim::aws::CREATE;
use redkeep_simulation::sim::ledger::Ledger;
use redkeep_simulation::sim::shared::Link;

const SLOT: &str = "2026-11-24 02:30";

fn nightly() -> String {
    policy("nightly", "30 2 * * *", "dw", "")
}

fn two() -> Sim {
    instances("2026-11-24 02:00", 2, &nightly())
}

/// Two instances with a slot a minute.
fn each_minute(more: &str) -> Sim {
    instances(
        "2026-11-24 02:00",
        2,
        &policy("often", "* * * * *", "dw", more),
    )
}

fn server(sim: &Sim) -> &Ledger {
    &sim.shared.as_ref().unwrap().server.state.ledger
}

fn epoch(sim: &Sim) -> i64 {
    sim.shared.as_ref().unwrap().server.state.lease.epoch
}

/// How long it takes until another host than `old` works.
fn takeover(sim: &mut Sim, old: usize) -> TimeDelta {
    let began = sim.now;
    while sim.leader().is_none_or(|host| host == old) {
        sim.run_for(TimeDelta::milliseconds(500));
        assert!(sim.now < began + minutes(5), "nobody takes over");
    }
    sim.now - began
}

/// All is well again: one record and at most one snapshot for each slot, and none was said to be lost.
fn assert_one_of_each(sim: &mut Sim) {
    sim.run_for(minutes(20));
    sim.settle_shared();
    sim.check_shared();
    sim.check_accounts(minutes(15));
    sim.check_own();
    let mut names: Vec<&str> = sim.aws.accepted.iter().map(|(id, _)| id.as_str()).collect();
    names.sort_unstable();
    let all = names.len();
    names.dedup();
    assert_eq!(names.len(), all, "a snapshot was made twice");
}

#[test]
fn one_that_is_killed_after_aws_has_accepted_is_followed_by_another_that_records_the_snapshot() {
    let mut sim = two();
    sim.aws.account.limits.snapshot_seconds = 120;
    sim.until("2026-11-24 02:30:01");
    assert_eq!(sim.aws.accepted.len(), 1);
    sim.stop(0);
    let took = takeover(&mut sim, 0);
    assert!(
        (seconds(25)..seconds(36)).contains(&took),
        "the takeover took {took}"
    );
    sim.until("2026-11-24 02:40");
    assert_eq!(sim.outcome("nightly", SLOT), "available");
    sim.start(0);
    assert_one_of_each(&mut sim);
}

#[test]
fn one_that_alone_is_cut_off_is_followed_and_both_ask_for_the_same_names() {
    let mut sim = each_minute("");
    sim.until("2026-11-24 02:05");
    sim.set_link(0, Link::Cut);
    let took = takeover(&mut sim, 0);
    assert!(took < seconds(36), "the takeover took {took}");
    sim.until("2026-11-24 02:20");
    // Both work: the one that is cut off does not learn that it is followed.
    assert!(sim.hosts.iter().all(|host| host.process.is_some()));
    sim.set_link(0, Link::Open);
    sim.run_for(seconds(10));
    assert!(sim.hosts[0].process.is_none(), "it stands by");
    assert_one_of_each(&mut sim);
}

#[test]
fn one_that_stands_still_for_ten_minutes_while_it_follows_writes_nothing_when_it_goes_on() {
    let mut sim = two();
    sim.aws.account.limits.snapshot_seconds = 300;
    sim.until("2026-11-24 02:31");
    sim.suspend(0, minutes(10));
    let took = takeover(&mut sim, 0);
    assert!(took < seconds(36), "the takeover took {took}");
    sim.until("2026-11-24 02:45");
    assert_eq!((sim.leader(), epoch(&sim)), (Some(1), 2));
    assert!(sim.hosts[0].process.is_none(), "it stands by");
    assert_eq!(sim.outcome("nightly", SLOT), "available");
    assert_one_of_each(&mut sim);
}

/// Two instances that keep three snapshots each hour, with some to be removed in the pass that is near.
fn before_a_pass() -> Sim {
    let more = "keep_last = 3\nmin_good = 1\nguard = false";
    let tables = policy("hourly", "0 * * * *", "dw", more);
    let mut sim = instances("2026-11-24 00:10", 2, &tables);
    sim.until("2026-11-25 00:10");
    assert!(sim.aws.removed.len() > 10, "{:?}", sim.aws.removed);
    sim
}

/// Stops the one that works between its decision to remove a snapshot and its request, for so long.
fn stand_still_before_a_removal(span: TimeDelta) -> Sim {
    let mut sim = before_a_pass();
    let removed = sim.aws.removed.len();
    let is_intended = |sim: &Sim| server(sim).removals.values().any(|one| one.end.is_none());
    while !is_intended(&sim) {
        sim.run_for(TimeDelta::milliseconds(10));
    }
    assert_eq!(sim.aws.removed.len(), removed);
    sim.suspend(0, span);
    sim.run_for(span + seconds(20));
    sim
}

#[test]
fn one_that_stands_still_between_intent_and_removal_removes_nothing_when_it_is_followed() {
    for span in [minutes(1), minutes(20)] {
        // Each request is watched: none leaves where another one may have followed, nor in a new term's first 15 minutes.
        let mut sim = stand_still_before_a_removal(span);
        assert_eq!(sim.leader(), Some(1), "{span}");
        sim.run_for(TimeDelta::hours(2));
        assert!(server(&sim).removals.values().all(|one| one.end.is_some()));
        assert_one_of_each(&mut sim);
    }
}

#[test]
fn a_takeover_in_the_midst_of_a_pass_removes_no_more_than_five_an_hour() {
    let mut sim = before_a_pass();
    for _ in 0..4 {
        let host = sim.leader().unwrap();
        sim.stop(host);
        takeover(&mut sim, host);
        sim.start(host);
        sim.run_for(minutes(25));
    }
    let removed = &sim.aws.removed;
    for (id, at) in removed {
        let hour = removed
            .iter()
            .filter(|(_, other)| (*at..*at + TimeDelta::hours(1)).contains(other));
        assert!(hour.count() <= 5, "around {id}");
    }
    assert_one_of_each(&mut sim);
}

#[test]
fn while_the_database_is_away_for_an_hour_the_one_that_lives_goes_on_without_the_dead_one() {
    let mut sim = each_minute("");
    sim.until("2026-11-24 02:05");
    for host in [0, 1] {
        sim.set_link(host, Link::Cut);
    }
    sim.stop(0);
    sim.until("2026-11-24 02:12");
    let before = sim.aws.accepted.len();
    assert!(sim.hosts[1].process.is_some(), "it works by its copy");
    sim.until("2026-11-24 03:05");
    assert!(sim.aws.accepted.len() > before + 40);
    for host in [0, 1] {
        sim.set_link(host, Link::Open);
    }
    sim.start(0);
    assert_one_of_each(&mut sim);
    assert_eq!(server(&sim).rebuilt_at, None);
}

#[test]
fn while_the_database_is_away_for_an_hour_and_all_live_the_one_that_worked_writes_what_it_knows() {
    let mut sim = each_minute("");
    sim.until("2026-11-24 02:05");
    for host in [0, 1] {
        sim.set_link(host, Link::Frozen);
    }
    sim.until("2026-11-24 03:05");
    let recorded = server(&sim).runs.len();
    assert!(sim.aws.accepted.len() > recorded + 50);
    // Whoever stands by is there first.
    sim.set_link(1, Link::Open);
    sim.run_for(seconds(4));
    sim.set_link(0, Link::Open);
    sim.run_for(minutes(2));
    assert_eq!(
        (sim.leader(), epoch(&sim)),
        (Some(0), 1),
        "the same term goes on"
    );
    assert!(server(&sim).runs.len() >= recorded + 55);
    assert_one_of_each(&mut sim);
}

#[test]
fn a_server_that_lost_nothing_in_a_failover_is_gone_on_with_in_the_same_term() {
    let mut sim = each_minute("");
    sim.until("2026-11-24 02:05");
    for host in [0, 1] {
        sim.set_link(host, Link::Cut);
    }
    sim.run_for(seconds(3));
    let state = sim.server_state();
    sim.set_server_back(state);
    for host in [0, 1] {
        sim.set_link(host, Link::Open);
    }
    sim.until("2026-11-24 02:10");
    assert_eq!((sim.leader(), epoch(&sim)), (Some(0), 1));
    assert_eq!(server(&sim).rebuilt_at, None);
    assert_one_of_each(&mut sim);
}

#[test]
fn a_server_that_lost_records_in_a_failover_has_them_again_and_nothing_is_removed_until_then() {
    let mut sim = before_a_pass();
    let state = sim.server_state();
    let removed = sim.aws.removed.len();
    sim.until("2026-11-25 01:30");
    let removed_since = sim.aws.removed.len();
    assert!(removed_since > removed);
    sim.set_server_back(state);
    sim.until("2026-11-25 06:30");
    assert!(
        server(&sim).rebuilt_at.is_some(),
        "somebody is to acknowledge it"
    );
    assert_eq!(sim.aws.removed.len(), removed_since);
    let lost = slot("hourly", "dw", "2026-11-25 01:00");
    assert_eq!(outcome(&server(&sim).runs[&lost]), "available");
    assert_one_of_each(&mut sim);
}

#[test]
fn an_instance_that_starts_without_the_database_waits_for_it() {
    let mut sim = two();
    for host in [0, 1] {
        sim.stop(host);
    }
    sim.set_link(0, Link::Cut);
    // A machine without a copy of the history.
    let fresh = redkeep_simulation::sim::shared::instance::Instance::new(0, sim.now);
    sim.shared.as_mut().unwrap().instances[0] = fresh;
    sim.set_link(0, Link::Cut);
    sim.start(0);
    sim.until("2026-11-24 02:50");
    assert!(sim.hosts[0].process.is_none() && sim.aws.accepted.is_empty());
    sim.set_link(0, Link::Open);
    sim.until("2026-11-24 02:52");
    assert_eq!(sim.outcome("nightly", SLOT), "available", "in its window");
    sim.start(1);
    assert_one_of_each(&mut sim);
}

#[test]
fn an_instance_that_comes_or_goes_while_another_one_works_changes_nothing() {
    let mut sim = instances(
        "2026-11-24 02:00",
        3,
        &policy("often", "* * * * *", "dw", ""),
    );
    sim.until("2026-11-24 02:05");
    sim.stop(2);
    sim.wind_up(1, true);
    sim.until("2026-11-24 02:10");
    sim.start(2);
    sim.start(1);
    sim.until("2026-11-24 02:15");
    assert_eq!((sim.leader(), epoch(&sim)), (Some(0), 1));
    assert_one_of_each(&mut sim);
}

#[test]
fn one_that_is_stopped_hands_over_within_two_seconds() {
    let mut sim = each_minute("");
    sim.until("2026-11-24 02:05:30");
    sim.wind_up(0, true);
    let took = takeover(&mut sim, 0);
    assert!(took <= seconds(2), "the handover took {took}");
    sim.start(0);
    assert_one_of_each(&mut sim);
}

#[test]
fn a_commit_whose_answer_is_lost_is_told_again_and_counts_once() {
    let mut sim = two();
    let changes = |sim: &Sim| sim.shared.as_ref().unwrap().server.state.lease.changes;
    sim.until("2026-11-24 02:29:59");
    let before = changes(&sim);
    // As soon as the server has taken something in, the way back is cut off.
    while changes(&sim) == before {
        sim.run_for(TimeDelta::milliseconds(1));
    }
    sim.set_link(0, Link::Cut);
    sim.run_for(seconds(8));
    sim.set_link(0, Link::Open);
    sim.until("2026-11-24 02:40");
    assert_eq!((sim.leader(), epoch(&sim)), (Some(0), 1));
    assert_eq!(sim.records(), ["11-24 02:30 nightly/dw available"]);
    assert_one_of_each(&mut sim);
}

#[test]
fn a_transaction_of_a_persons_that_locks_the_lease_for_a_minute_stops_no_snapshot() {
    let mut sim = each_minute("");
    sim.until("2026-11-24 02:04:50");
    let server = &mut sim.shared.as_mut().unwrap().server;
    server.locked_until = at("2026-11-24 02:05:50");
    sim.until("2026-11-24 02:05:45");
    let made = sim.accepted();
    assert!(
        made.iter().any(|at| at.starts_with("11-24 02:05:")),
        "{made:?}"
    );
    assert_one_of_each(&mut sim);
}

#[test]
fn a_clock_that_is_an_hour_off_moves_no_lease() {
    for ahead in [-3_600, 3_600] {
        let mut sim = each_minute("");
        sim.until("2026-11-24 02:05");
        sim.set_clock(1, seconds(ahead));
        sim.set_clock(0, seconds(-ahead));
        sim.run_for(minutes(3));
        assert_eq!((sim.leader(), epoch(&sim)), (Some(0), 1), "{ahead} s");
        for host in [0, 1] {
            sim.set_clock(host, seconds(0));
        }
        assert_one_of_each(&mut sim);
    }
}

#[test]
fn a_term_that_ends_while_a_call_is_in_flight_makes_one_snapshot() {
    let mut sim = two();
    let slow = Fault::Latency {
        milliseconds: 29_000,
    };
    sim.aws.strike(CREATE, Some(1), slow);
    sim.until("2026-11-24 02:30:02");
    sim.suspend(0, minutes(2));
    takeover(&mut sim, 0);
    sim.until("2026-11-24 02:40");
    assert_eq!(sim.aws.accepted.len(), 1);
    assert_eq!(sim.outcome("nightly", SLOT), "available");
    assert_one_of_each(&mut sim);
}
