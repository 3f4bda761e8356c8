//! The days of a pair: what its slots of each day came to, as one word.
//!
//! Owns: where a day begins on the policy's clocks, and which of a day's outcomes stands for it. The words are those of the
//! history, so that whoever shows a day and whoever lists its runs cannot say two things. Pure: it folds what somebody else
//! has read.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};

use crate::history::MissedRange;
use crate::run::{Missed, OutcomeKind, Run};
use crate::schedule::{Schedule, Zone};

/// A slot that has come has its record within so long, unless nobody looks after it.
pub const PROMPT: TimeDelta = TimeDelta::seconds(60);

/// A date on the clocks of a zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Day {
    /// The date.
    pub date: NaiveDate,
    /// The first instant at which the clocks show it.
    pub from: DateTime<Utc>,
    /// The first instant of the next day.
    pub until: DateTime<Utc>,
}

impl Day {
    fn holds(&self, at: DateTime<Utc>) -> bool {
        (self.from..self.until).contains(&at)
    }
}

/// The newest `count` days of `zone` up to the one that `now` is in, the oldest first. A date that the zone skipped is none.
pub fn days(zone: &Zone, now: DateTime<Utc>, count: usize) -> Vec<Day> {
    let mut days = Vec::with_capacity(count);
    let mut date = zone.local(now).date_naive();
    let mut until = date.succ_opt().map(|next| zone.day_begins(next));
    while days.len() < count
        && let Some(end) = until
    {
        let from = zone.day_begins(date);
        if from < end {
            let until = end;
            days.push(Day { date, from, until });
        }
        let Some(before) = date.pred_opt() else { break };
        (date, until) = (before, Some(from));
    }
    days.reverse();
    days
}

/// What a day's slots came to. The order is that of how bad it is, and the worst of a day stands for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DayOutcome {
    /// No slot was due.
    NothingDue,
    /// All were missed, and a blackout, a pause or a disabled policy explains it.
    Excused(Missed),
    /// Each brought a snapshot.
    Available,
    /// One has no outcome yet, and is not late: its state's word.
    Open(&'static str),
    /// One was skipped.
    Skipped,
    /// One was missed, and nothing explains it.
    Missed,
    /// AWS had not accepted one when its start window closed.
    Expired,
    /// One failed.
    Failed,
    /// One met a snapshot that is not redkeep's.
    Conflict,
    /// One has no outcome, and should have.
    Overdue,
}

impl DayOutcome {
    /// The word of the history, and two of its own: `overdue`, and `nothing due` where the history has no row.
    pub fn word(self) -> &'static str {
        match self {
            Self::NothingDue => "nothing due",
            Self::Excused(_) | Self::Missed => OutcomeKind::Missed.as_str(),
            Self::Available => OutcomeKind::Available.as_str(),
            Self::Open(word) => word,
            Self::Skipped => OutcomeKind::Skipped.as_str(),
            Self::Expired => OutcomeKind::Expired.as_str(),
            Self::Failed => OutcomeKind::Failed.as_str(),
            Self::Conflict => OutcomeKind::Conflict.as_str(),
            Self::Overdue => "overdue",
        }
    }

    /// Why a missed day is excused.
    pub fn excuse(self) -> Option<Missed> {
        match self {
            Self::Excused(why) => Some(why),
            _ => None,
        }
    }
}

/// What is counted of a day's slots.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DayTally {
    counts: BTreeMap<Reverse, u64>,
}

/// The worst first.
type Reverse = std::cmp::Reverse<DayOutcome>;

impl DayTally {
    /// Takes in slots that ended so. `reason` is the history's, of which only that of a missed one matters.
    pub fn ended(&mut self, kind: OutcomeKind, reason: Option<&str>, count: u64) {
        let excuse = reason
            .and_then(Missed::of_word)
            .filter(|why| why.is_excused());
        self.add(
            match (kind, excuse) {
                (OutcomeKind::Available, _) => DayOutcome::Available,
                (OutcomeKind::Missed, Some(why)) => DayOutcome::Excused(why),
                (OutcomeKind::Missed, None) => DayOutcome::Missed,
                (OutcomeKind::Skipped, _) => DayOutcome::Skipped,
                (OutcomeKind::Expired, _) => DayOutcome::Expired,
                (OutcomeKind::Failed, _) => DayOutcome::Failed,
                (OutcomeKind::Conflict, _) => DayOutcome::Conflict,
            },
            count,
        );
    }

    /// Takes in a run without an outcome.
    pub fn open(&mut self, run: &Run, now: DateTime<Utc>) {
        let outcome = match is_late(run, now) {
            true => DayOutcome::Overdue,
            false => DayOutcome::Open(run.word()),
        };
        self.add(outcome, 1);
    }

    fn add(&mut self, outcome: DayOutcome, count: u64) {
        if count > 0 {
            *self.counts.entry(std::cmp::Reverse(outcome)).or_default() += count;
        }
    }

    /// Whether an outcome of the day says that a slot brought nothing, so that those that did need not be looked for.
    pub fn is_lacking(&self) -> bool {
        self.outcome() >= DayOutcome::Skipped
    }

    /// What stands for the day.
    pub fn outcome(&self) -> DayOutcome {
        let worst = self.counts.keys().next();
        worst.map_or(DayOutcome::NothingDue, |worst| worst.0)
    }

    /// How many slots came to that; of those that are good it is not counted.
    pub fn count(&self) -> u64 {
        self.counts.values().next().copied().unwrap_or_default()
    }
}

/// Whether a run without an outcome should have had one: AWS has not accepted it and may no longer be asked, or takes longer
/// than the policy's completion window.
pub fn is_late(run: &Run, now: DateTime<Utc>) -> bool {
    let is_unaccepted = run.accepted_at.is_none() && run.request.deadline + PROMPT < now;
    let is_overlong = run.completion_deadline().is_some_and(|at| at < now);
    !run.is_ended() && (is_unaccepted || is_overlong)
}

/// Takes a range of missed slots into the days of which `schedule` has slots in it.
pub fn add_range(tallies: &mut [DayTally], days: &[Day], schedule: &Schedule, range: &MissedRange) {
    for (tally, day) in tallies.iter_mut().zip(days) {
        let (first, last) = (day.from.max(range.first_at), day.until.min(range.last_at));
        if first <= last && has_slot(schedule, first, last.min(day.until - TimeDelta::seconds(1))) {
            let reason = Some(range.reason.as_str());
            tally.ended(OutcomeKind::Missed, reason, 1);
        }
    }
}

/// Takes in the slots that have come since `watermark` and have no record: nobody looks after them.
pub fn add_unrecorded(
    tallies: &mut [DayTally],
    days: &[Day],
    schedule: &Schedule,
    watermark: DateTime<Utc>,
    now: DateTime<Utc>,
) {
    let late = now - PROMPT;
    for (tally, day) in tallies.iter_mut().zip(days) {
        let first = day.from.max(watermark + TimeDelta::seconds(1));
        let last = (day.until - TimeDelta::seconds(1)).min(late);
        if first <= last && has_slot(schedule, first, last) {
            tally.add(DayOutcome::Overdue, 1);
        }
    }
}

/// Whether there is a slot from `first` to `last`, both included.
fn has_slot(schedule: &Schedule, first: DateTime<Utc>, last: DateTime<Utc>) -> bool {
    let next = schedule.next_after(first - TimeDelta::seconds(1));
    next.is_some_and(|next| next <= last)
}

/// The place of an instant among the days.
pub fn place(days: &[Day], at: DateTime<Utc>) -> Option<usize> {
    let after = days.partition_point(|day| day.until <= at);
    days.get(after).filter(|day| day.holds(at)).map(|_| after)
}

#[cfg(test)]
mod tests;
