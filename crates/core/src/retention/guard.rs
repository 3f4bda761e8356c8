//! The last-good guard: the newest good snapshots of a pair do not expire while no newer one comes.
//!
//! Owns: which snapshots are to be kept for longer, for how long, and why. AWS's own expiry knows no last good
//! snapshot. Never shortens a period, never deletes, and touches nothing whose tags do not prove that it is
//! redkeep's.

use chrono::{DateTime, TimeDelta, Utc};

use crate::brief::Brief;
use crate::names::Retention;
use crate::policy::Protection;
use crate::run::Run;
use crate::snapshot::Snapshot;

/// A snapshot with less than this left, or than two intervals, is looked after.
const CONCERN: TimeDelta = TimeDelta::days(2);
/// However long the interval is, the end is not near before this.
const MOST_CONCERN: TimeDelta = TimeDelta::days(7);
/// While the newest slot may still bring a snapshot, one with more than this left can wait.
const PRESSING: TimeDelta = TimeDelta::hours(12);
/// The guard has had its turn so soon after what it waits for.
const TURN: TimeDelta = TimeDelta::hours(1);
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
    /// The policy is disabled or paused here; another host may make its snapshots.
    Halted {
        /// When the start window of the slot after the newest good one ends.
        next_deadline: Option<DateTime<Utc>>,
    },
    /// The cluster no longer exists, since this instant.
    ClusterGone(DateTime<Utc>),
}

/// A good snapshot of a pair: its run, and AWS's description in the last complete listing.
#[derive(Debug, Clone, Copy)]
pub struct Good<'a> {
    /// The run that made it.
    pub run: &'a Run,
    /// As listed.
    pub listed: &'a Brief,
}

/// What is to become of a snapshot whose end is near.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Care {
    /// The snapshot is to be kept for this period, counted from SnapshotRetentionStartTime.
    Extend {
        /// The period that it has.
        from: Retention,
        /// The period that it is to have.
        to: Retention,
        /// Why, for people.
        why: &'static str,
    },
    /// The snapshot is shared with other accounts, and AWS does not change shared snapshots.
    Shared,
    /// Its cluster has been gone for so long that it is let go.
    LetGo,
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
    let stock = Stock { good, interval };
    let newest = good.iter().take(protection.min_good).enumerate();
    newest
        .filter_map(|(rank, good)| {
            let expires_at = good.listed.expires_at()?;
            let near = is_near(expires_at, interval, now);
            let end = Expiry { rank, expires_at };
            let cause = match supply {
                Supply::Halted { next_deadline } => halted(end, next_deadline, &stock, now),
                Supply::ClusterGone(since) => Some(cluster_gone(protection, since, now)),
                Supply::Slots {
                    newest_due,
                    next_deadline,
                } => slots(end, newest_due, next_deadline, &stock, now),
            };
            Some((*good, judged(good.listed, cause.filter(|_| near)?, now)?))
        })
        .collect()
}

/// A good snapshot's end.
#[derive(Clone, Copy)]
struct Expiry {
    /// How many newer good ones there are.
    rank: usize,
    expires_at: DateTime<Utc>,
}

/// The good snapshots that there are, whoever has made them.
struct Stock<'a> {
    good: &'a [Good<'a>],
    interval: TimeDelta,
}

impl Stock<'_> {
    /// Until when it is taken for granted that another snapshot comes: the newest good one is younger than two intervals.
    fn lasts_until(&self) -> Option<DateTime<Utc>> {
        let newest = self.good.first()?;
        let made_at = newest.listed.created_at();
        Some(made_at.unwrap_or(newest.run.slot.scheduled_at) + self.interval * 2)
    }

    /// Whether the slot of the run has its snapshot, be it another host's.
    fn has(&self, run: &Run) -> bool {
        run.is_good() || self.good.iter().any(|one| one.run.slot == run.slot)
    }
}

/// Why something is done about a snapshot's end.
enum Cause {
    /// The end may not come, for this reason.
    Keep(&'static str),
    /// The end may come at last, and that is told.
    LetGo,
}

/// Where the policy is disabled or paused here, and nobody else makes its snapshots either. One that ends before that can
/// be told is kept when its end is pressing: the host that makes them has had its turn by then.
fn halted(
    end: Expiry,
    next_deadline: Option<DateTime<Utc>>,
    stock: &Stock<'_>,
    now: DateTime<Utc>,
) -> Option<Cause> {
    let why = "its policy is disabled or paused, and no other host makes its snapshots";
    let lasts_until = stock.lasts_until()?;
    if now >= lasts_until {
        return Some(Cause::Keep(why));
    }
    let is_overdue = next_deadline.is_some_and(|deadline| now >= deadline);
    let is_at_risk = end.expires_at <= lasts_until + TURN && end.expires_at - now <= PRESSING;
    (is_at_risk && (end.rank == 0 || is_overdue)).then_some(Cause::Keep(why))
}

fn cluster_gone(protection: &Protection, since: DateTime<Utc>, now: DateTime<Utc>) -> Cause {
    match now >= since + protection.guard_gone {
        true => Cause::LetGo,
        false => Cause::Keep("its cluster no longer exists"),
    }
}

fn slots(
    end: Expiry,
    newest_due: Option<&Run>,
    next_deadline: Option<DateTime<Utc>>,
    stock: &Stock<'_>,
    now: DateTime<Utc>,
) -> Option<Cause> {
    // None at all was due yet where there is only what was asked for by hand.
    if newest_due.is_none_or(|run| stock.has(run)) {
        let too_soon = next_deadline.is_some_and(|deadline| end.expires_at < deadline);
        let why = "the next slot is due after it expires";
        return (end.rank == 0 && too_soon).then_some(Cause::Keep(why));
    }
    if newest_due.is_some_and(|run| !run.is_ended()) && end.expires_at - now > PRESSING {
        return None;
    }
    Some(Cause::Keep("the newest slot has no snapshot"))
}

fn judged(listed: &Brief, cause: Cause, now: DateTime<Utc>) -> Option<Care> {
    let Cause::Keep(why) = cause else {
        return Some(Care::LetGo);
    };
    let from = listed.retention()?;
    let to = extended(listed.kept_from()?, now);
    if to <= from {
        return None;
    }
    Some(match listed.is_shared() {
        false => Care::Extend { from, to, why },
        true => Care::Shared,
    })
}

/// Whether a snapshot, described just before the call, still wants its period made `to`: since the listing that this was
/// decided from, somebody may have put it on hold, kept it for longer, or shared it. A hold that is not whole keeps
/// nothing: only the period counts.
pub fn is_still_needed(described: &Snapshot, to: Retention) -> bool {
    let from = described.retention();
    described.accounts_with_restore_access.is_empty() && from.is_some_and(|from| from < to)
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
mod tests;
