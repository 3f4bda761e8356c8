//! The last-good guard: the newest good snapshots of a pair do not expire while no newer one comes.
//!
//! Owns: which snapshots are to be kept for longer, for how long, and why. AWS's own expiry knows no last good
//! snapshot. Never shortens a period, never deletes, and touches nothing whose tags do not prove that it is
//! redkeep's.

use chrono::{DateTime, TimeDelta, Utc};

use crate::names::Retention;
use crate::policy::Protection;
use crate::run::Run;
use crate::snapshot::{Snapshot, tag};

/// A snapshot with less than this left, or than two intervals, is looked after.
const CONCERN: TimeDelta = TimeDelta::days(2);
/// However long the interval is, the end is not near before this.
const MOST_CONCERN: TimeDelta = TimeDelta::days(7);
/// While the newest slot may still bring a snapshot, one with more than this left can wait.
const PRESSING: TimeDelta = TimeDelta::hours(12);
/// How long a snapshot is kept from now on, when its end is put off.
const EXTENSION_DAYS: i64 = 14;
/// The longest period in days ("ModifyClusterSnapshot").
const LONGEST_DAYS: i64 = 3653;

/// What is to be expected of a pair.
#[derive(Debug, Clone, Copy)]
pub enum Supply<'a> {
    /// Slots come; the newest that was due, and the instant by which the next has had its chance.
    Slots {
        /// The newest due slot of the schedule.
        newest_due: Option<&'a Run>,
        /// When the next slot's start window ends.
        next_deadline: Option<DateTime<Utc>>,
    },
    /// The policy is disabled or paused.
    Halted,
    /// The cluster no longer exists, since this instant.
    ClusterGone(DateTime<Utc>),
}

/// A good snapshot of a pair: its run, and AWS's description in the last complete listing.
#[derive(Debug, Clone, Copy)]
pub struct Good<'a> {
    /// The run that made it.
    pub run: &'a Run,
    /// As listed.
    pub listed: &'a Snapshot,
}

/// What is to become of a snapshot whose end is near.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Care {
    /// It is to be kept for so long, counted from SnapshotRetentionStartTime.
    Extend {
        /// The period that it has.
        from: Retention,
        /// The period that it is to have.
        to: Retention,
        /// Why, for people.
        why: &'static str,
    },
    /// It is shared with other accounts, and AWS changes no shared snapshot.
    Shared,
    /// Its cluster has been gone for so long that it is let go.
    LetGo,
}

/// When AWS lets a snapshot go; `None` where it never does, or does not tell.
pub fn expires_at(listed: &Snapshot) -> Option<DateTime<Utc>> {
    let days = listed
        .manual_snapshot_retention_period
        .filter(|days| *days > 0)?;
    starts_at(listed)?.checked_add_signed(TimeDelta::days(days.into()))
}

pub(super) fn starts_at(listed: &Snapshot) -> Option<DateTime<Utc>> {
    listed
        .snapshot_retention_start_time
        .or(listed.snapshot_create_time)
}

/// Whether the end of a snapshot is near enough to be looked after, for a pair with this time between two slots.
pub fn is_near(expires_at: DateTime<Utc>, interval: TimeDelta, now: DateTime<Utc>) -> bool {
    // Less than an extension brings, or there would be one a day.
    let concern = CONCERN.max(interval.min(MOST_CONCERN / 2) * 2);
    expires_at - now < concern
}

/// What the newest `min_good` snapshots of a pair need at `now`, which is AWS's present. `good` is sorted, the
/// newest first; `interval` is the time between two slots.
pub fn care<'a>(
    protection: &Protection,
    supply: Supply<'_>,
    interval: TimeDelta,
    good: &[Good<'a>],
    now: DateTime<Utc>,
) -> Vec<(Good<'a>, Care)> {
    if !protection.guard {
        return Vec::new();
    }
    let newest = good.iter().take(protection.min_good).enumerate();
    newest
        .filter_map(|(rank, good)| {
            let expires_at = expires_at(good.listed)?;
            let near = is_near(expires_at, interval, now);
            let cause = cause(protection, supply, rank, expires_at, now).filter(|_| near)?;
            Some((*good, judged(good.listed, cause, now)?))
        })
        .collect()
}

/// Why something is done about a snapshot's end.
enum Cause {
    /// It may not come, for this reason.
    Keep(&'static str),
    /// It may come at last, and that is told.
    LetGo,
}

fn cause(
    protection: &Protection,
    supply: Supply<'_>,
    rank: usize,
    expires_at: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Option<Cause> {
    let why = match supply {
        Supply::Halted => "its policy is disabled or paused",
        Supply::ClusterGone(since) if now >= since + protection.guard_gone => {
            return Some(Cause::LetGo);
        }
        Supply::ClusterGone(_) => "its cluster no longer exists",
        Supply::Slots {
            newest_due,
            next_deadline,
        } => {
            // None at all was due yet where there is only what was asked for by hand.
            if newest_due.is_none_or(Run::is_good) {
                let too_soon = next_deadline.is_some_and(|deadline| expires_at < deadline);
                let why = "the next slot comes after its end";
                return (rank == 0 && too_soon).then_some(Cause::Keep(why));
            }
            if newest_due.is_some_and(|run| !run.is_ended()) && expires_at - now > PRESSING {
                return None;
            }
            "the newest slot has brought no snapshot"
        }
    };
    Some(Cause::Keep(why))
}

fn judged(listed: &Snapshot, cause: Cause, now: DateTime<Utc>) -> Option<Care> {
    let Cause::Keep(why) = cause else {
        return Some(Care::LetGo);
    };
    let from = Retention::from_days(listed.manual_snapshot_retention_period?.into())?;
    let to = extended(starts_at(listed)?, now);
    if to <= from {
        return None;
    }
    Some(match listed.accounts_with_restore_access.is_empty() {
        true => Care::Extend { from, to, why },
        false => Care::Shared,
    })
}

/// Whether a snapshot, described just before the call, still wants its period made `to`: since the listing that this was
/// decided from, somebody may have put it on hold, kept it for longer, or shared it.
pub fn is_still_needed(described: &Snapshot, to: Retention) -> bool {
    let days = described.manual_snapshot_retention_period;
    let from = days.and_then(|days| Retention::from_days(days.into()));
    !described.tags.contains_key(tag::HOLD)
        && described.accounts_with_restore_access.is_empty()
        && from.is_some_and(|from| from < to)
}

/// The period, counted from `start`, that ends two weeks after today; beyond the longest, for ever.
fn extended(start: DateTime<Utc>, now: DateTime<Utc>) -> Retention {
    let elapsed = (now - start).max(TimeDelta::zero());
    let whole = elapsed.num_days();
    let days = whole + i64::from(elapsed > TimeDelta::days(whole)) + EXTENSION_DAYS;
    Retention::from_days(days)
        .filter(|_| days <= LONGEST_DAYS)
        .unwrap_or(Retention::Forever)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::{Missed, Outcome, Request, RunState};
    use crate::slot::{Pair, Scope, Slot};
    use crate::snapshot::{Generation, RestoreAccess, SnapshotId, Tier, Trigger};

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
        let request = Request {
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
        let made: Vec<(Run, Snapshot)> = snapshots
            .iter()
            .map(|(day, days)| {
                (
                    run(*day, RunState::Ended(Outcome::Available)),
                    listed(*day, *days),
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
        let failed = run(8.0, RunState::Ended(Outcome::Failed("x".to_owned())));
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

    #[test]
    fn a_halted_policy_keeps_its_last_good_ones_and_a_gone_cluster_for_guard_gone_only() {
        for supply in [Supply::Halted, Supply::ClusterGone(at(8.0))] {
            assert_eq!(done(supply, &[(7.0, 3), (1.0, 35)], 8.5).len(), 1);
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
        let mut held = days(7);
        held.tags.insert(tag::HOLD.to_owned(), "7".to_owned());
        assert!(!is_still_needed(&held, to));
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
        assert_eq!(done(Supply::Halted, &[(8.4, 15)], 22.5).len(), 1);
        assert_eq!(done(Supply::Halted, &[(8.4, 1)], 8.4).len(), 1);
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
            listed: &listed,
        }];
        let got = care(
            &Protection::default(),
            Supply::Halted,
            TimeDelta::days(1),
            &good,
            at(8.5),
        );
        assert_eq!(got[0].1, Care::Shared);
    }
}
