//! What the guard does with snapshots of so many days and periods.

use super::*;
use crate::names::{Tier, Trigger};
use crate::run::{Missed, Outcome, RunState, SnapshotSpec};
use crate::slot::{Pair, Scope, Slot};
use crate::snapshot::{Generation, RestoreAccess, SnapshotId, tag};

fn at(days: f64) -> DateTime<Utc> {
    DateTime::from_timestamp((days * 86_400.0) as i64, 0).unwrap()
}

fn run(day: f64, state: RunState) -> Run {
    let slot = Slot {
        pair: Pair {
            policy: "p".parse().unwrap(),
            scope: Scope {
                account: "prod".parse().unwrap(),
                region: "eu-central-1".parse().unwrap(),
            },
            cluster: "dw".parse().unwrap(),
        },
        scheduled_at: at(day),
    };
    let namespace = "redkeep".parse().unwrap();
    let request = SnapshotSpec {
        snapshot_id: SnapshotId::derive(&namespace, &slot, Generation::First),
        retention: Retention::Forever,
        tier: Tier::Base,
        tier_reason: None,
        tags: Default::default(),
        starts_at: at(day),
        deadline: at(day + 0.3),
        completion_window: TimeDelta::hours(24),
        interval: TimeDelta::days(1),
    };
    Run {
        state,
        ..Run::due(slot, Trigger::Schedule, request)
    }
}

fn listed(day: f64, days: i32) -> Snapshot {
    Snapshot {
        snapshot_retention_start_time: Some(at(day)),
        manual_snapshot_retention_period: Some(days),
        ..Snapshot::default()
    }
}

fn due(run: &Run) -> Supply<'_> {
    Supply::Slots {
        newest_due: Some(run),
        next_deadline: Some(run.slot.scheduled_at + TimeDelta::hours(32)),
    }
}

/// What is done with snapshots of these days and periods, the newest first, at `now`.
fn done(supply: Supply<'_>, snapshots: &[(f64, i32)], now: f64) -> Vec<(f64, Care)> {
    let made: Vec<(Run, Brief)> = snapshots
        .iter()
        .map(|(day, days)| {
            (
                run(*day, RunState::Ended(Outcome::Available)),
                Brief::from(&listed(*day, *days)),
            )
        })
        .collect();
    let good: Vec<Good<'_>> = made
        .iter()
        .map(|(run, listed)| Good { run, listed })
        .collect();
    let protection = Protection::default();
    care(&protection, supply, TimeDelta::days(1), &good, at(now))
        .into_iter()
        .map(|(good, care)| {
            let day = good.run.slot.scheduled_at.timestamp() as f64 / 86_400.0;
            (day, care)
        })
        .collect()
}

fn extended_to(care: &Care) -> i32 {
    match care {
        Care::Extend { to, .. } => to.days_or_minus_one(),
        _ => 0,
    }
}

#[test]
fn the_newest_two_are_kept_when_the_newest_slot_brought_none() {
    let missed = run(8.0, RunState::Ended(Outcome::Missed(Missed::Late)));
    let got = done(due(&missed), &[(3.0, 7), (2.0, 7), (1.0, 8)], 8.5);
    // Of the first 1.5 days are left, of the second half a day; the third is not one of the newest two.
    let got: Vec<(f64, i32)> = got
        .iter()
        .map(|(day, care)| (*day, extended_to(care)))
        .collect();
    assert_eq!(got, [(3.0, 6 + 14), (2.0, 7 + 14)]);
}

#[test]
fn nothing_is_done_while_snapshots_come_or_the_end_is_far() {
    let good = run(8.0, RunState::Ended(Outcome::Available));
    assert_eq!(done(due(&good), &[(8.0, 7), (3.0, 6)], 8.5), []);
    let failed = run(8.0, RunState::Ended(Outcome::Failed("x".into())));
    assert_eq!(done(due(&failed), &[(7.0, 7), (6.0, 7)], 8.5), []);
    assert_eq!(done(due(&failed), &[(7.0, -1), (6.0, -1)], 8.5), []);
    // The newest slot may still bring one, and there is time.
    let creating = run(8.0, RunState::Creating { look_at: at(8.0) });
    assert_eq!(done(due(&creating), &[(7.0, 2)], 8.1), []);
    assert_eq!(done(due(&creating), &[(7.0, 2)], 8.6).len(), 1);
}

#[test]
fn a_snapshot_that_would_end_before_the_next_slot_had_its_chance_is_kept() {
    let good = run(8.0, RunState::Ended(Outcome::Available));
    let got = done(due(&good), &[(8.0, 1), (7.0, 2)], 8.1);
    assert_eq!(got.len(), 1, "only the newest: {got:?}");
    assert_eq!(extended_to(&got[0].1), 1 + 14);
    // What was asked for by hand, before any slot was due.
    let supply = Supply::Slots {
        newest_due: None,
        next_deadline: Some(at(10.0)),
    };
    assert_eq!(done(supply, &[(8.0, 1)], 8.1).len(), 1);
    assert_eq!(done(supply, &[(8.0, 3)], 8.1), []);
}

const HALTED: Supply<'_> = Supply::Halted {
    next_deadline: None,
};

#[test]
fn a_halted_policy_keeps_its_last_good_ones_and_a_gone_cluster_for_guard_gone_only() {
    for supply in [HALTED, Supply::ClusterGone(at(8.0))] {
        assert_eq!(done(supply, &[(7.0, 3), (1.0, 35)], 9.0).len(), 1);
    }
    let got = done(Supply::ClusterGone(at(8.0)), &[(7.0, 92)], 98.1);
    assert_eq!(got, [(7.0, Care::LetGo)]);
}

#[test]
fn what_is_held_shared_or_kept_for_longer_since_the_listing_is_left_alone() {
    let days = |days: i32| listed(1.0, days);
    let to = Retention::from_days(20).unwrap();
    assert!(is_still_needed(&days(7), to));
    for other in [-1, 20, 35] {
        assert!(!is_still_needed(&days(other), to), "{other}");
    }
    let tagged = |mut one: Snapshot| {
        one.tags.insert(tag::HOLD.to_owned(), "7".to_owned());
        one
    };
    assert!(!is_still_needed(&tagged(days(-1)), to));
    assert!(
        is_still_needed(&tagged(days(7)), to),
        "the tag alone keeps nothing"
    );
    let mut shared = days(7);
    shared
        .accounts_with_restore_access
        .push(RestoreAccess::default());
    assert!(!is_still_needed(&shared, to));
    let mut unknown = days(7);
    unknown.manual_snapshot_retention_period = None;
    assert!(!is_still_needed(&unknown, to));
}

#[test]
fn beyond_the_longest_period_it_is_for_ever_and_never_shorter() {
    let now = at(3650.5);
    assert_eq!(extended(at(0.0), now), Retention::Forever);
    assert_eq!(extended(at(11.5), now).days_or_minus_one(), 3653);
    assert_eq!(done(HALTED, &[(8.4, 15)], 22.5).len(), 1);
    assert_eq!(done(HALTED, &[(8.4, 1)], 9.0).len(), 1);
}

#[test]
fn what_another_host_makes_while_the_policy_is_halted_here_is_not_extended() {
    // Every night by another host, each for two days: the older one goes while the newer one is there.
    let next = |deadline| Supply::Halted {
        next_deadline: Some(at(deadline)),
    };
    assert_eq!(done(next(9.3), &[(8.0, 2), (7.0, 2)], 8.9), []);
    // The next night's does not come: both are kept, the older one before its end.
    let missing = done(next(9.3), &[(8.0, 3), (7.0, 3)], 9.6);
    assert_eq!(missing.len(), 1, "{missing:?}");
    assert_eq!(missing[0].0, 7.0);
    assert_eq!(done(next(9.3), &[(8.0, 3), (7.0, 17)], 10.0).len(), 1);
    // The last one ends before it could be told that no other comes.
    assert_eq!(done(next(9.3), &[(8.0, 1)], 8.2), []);
    assert_eq!(done(next(9.3), &[(8.0, 1)], 8.6).len(), 1);
}

#[test]
fn a_slot_that_was_missed_here_and_made_by_another_host_has_brought_its_snapshot() {
    let missed = run(8.0, RunState::Ended(Outcome::Missed(Missed::Late)));
    assert_eq!(done(due(&missed), &[(8.0, 3), (7.0, 2)], 8.5), []);
    assert_eq!(done(due(&missed), &[(7.0, 3), (6.0, 3)], 8.5).len(), 2);
}

#[test]
fn a_shared_snapshot_is_told_of_and_not_asked_for() {
    let run = run(7.0, RunState::Ended(Outcome::Available));
    let mut listed = listed(7.0, 2);
    listed
        .accounts_with_restore_access
        .push(RestoreAccess::default());
    let good = [Good {
        run: &run,
        listed: &Brief::from(&listed),
    }];
    let got = care(
        &Protection::default(),
        HALTED,
        TimeDelta::days(1),
        &good,
        at(8.5),
    );
    assert_eq!(got[0].1, Care::Shared);
}
