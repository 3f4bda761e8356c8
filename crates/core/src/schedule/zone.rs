//! Clocks of a zone: what they show at an instant, when they change, when they first show a time.
//!
//! Owns: a zone as a value, the sorted table of its clock changes. Never knows a schedule, and never looks a zone up:
//! [`crate::tzdb`] makes the value from IANA's data.

use std::fmt;
use std::sync::Arc;

use chrono::{
    DateTime, FixedOffset, NaiveDate, NaiveDateTime, NaiveTime, Offset, TimeDelta, Timelike, Utc,
};

use crate::digest;

/// The grain of slots and of clock changes.
pub(super) const SECOND: TimeDelta = TimeDelta::seconds(1);

/// 2026-01-01T00:00:00Z and 2100-01-01T00:00:00Z, in seconds: the time whose clocks a fingerprint is of. No record is
/// older, and the ends are fixed, so that a fingerprint changes with the rules and not with the time.
const FINGERPRINTED: std::ops::Range<i64> = 1_767_225_600..4_102_444_800;

/// When a clock first shows a local time or a later one.
pub(super) enum Reached {
    /// At this instant.
    At(DateTime<Utc>),
    /// The zone skipped the whole date.
    NoSuchDate,
}

/// A time zone: its name, and its clocks as one version of IANA's data has them.
#[derive(Clone)]
pub struct Zone(Arc<Clocks>);

#[derive(PartialEq, Eq)]
struct Clocks {
    name: String,
    /// The offset before the first change.
    first: FixedOffset,
    /// Ascending.
    changes: Vec<ClockChange>,
    fingerprint: String,
}

/// The clocks are set from one offset to another.
#[derive(Clone, Copy, PartialEq, Eq)]
struct ClockChange {
    at: i64,
    before: FixedOffset,
    after: FixedOffset,
}

impl ClockChange {
    /// What the clocks would show at the change if they were not set, in seconds.
    fn shows_before(self) -> i64 {
        self.at + i64::from(self.before.local_minus_utc())
    }

    /// What they show instead.
    fn shows_after(self) -> i64 {
        self.at + i64::from(self.after.local_minus_utc())
    }
}

impl Zone {
    /// The zone of that name whose clocks are `first` seconds ahead of UTC, and from each instant of `changes` (in
    /// seconds, ascending) on as far ahead as is said there. `None` where an offset is a day or more.
    pub fn new(
        name: &str,
        first: i32,
        changes: impl IntoIterator<Item = (i64, i32)>,
    ) -> Option<Self> {
        let first = FixedOffset::east_opt(first)?;
        let mut table = Vec::new();
        let mut before = first;
        for (at, seconds) in changes {
            let after = FixedOffset::east_opt(seconds)?;
            // Where only the name of the time changes, the clocks go on.
            if after != before {
                table.push(ClockChange { at, before, after });
            }
            before = after;
        }
        Some(Self::of(name, first, table))
    }

    /// The zone whose clocks never change.
    pub fn utc() -> Self {
        Self::of("UTC", Utc.fix(), Vec::new())
    }

    fn of(name: &str, first: FixedOffset, changes: Vec<ClockChange>) -> Self {
        Self(Arc::new(Clocks {
            name: name.to_owned(),
            first,
            fingerprint: fingerprint(first, &changes),
            changes,
        }))
    }

    /// The name, as it was asked for.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Tells the clocks of one version of the data from those of another, from 2026 to 2100: 12 hex digits.
    pub fn fingerprint(&self) -> &str {
        &self.0.fingerprint
    }

    /// What the clocks show at `instant`.
    pub fn local(&self, instant: DateTime<Utc>) -> DateTime<FixedOffset> {
        instant.with_timezone(&self.offset(instant))
    }

    /// How far the clocks are ahead of UTC at `instant`.
    pub fn offset(&self, instant: DateTime<Utc>) -> FixedOffset {
        let at = instant.timestamp();
        let later = self.0.changes.partition_point(|change| change.at <= at);
        self.last_before(later)
            .map_or(self.0.first, |change| change.after)
    }

    fn last_before(&self, index: usize) -> Option<ClockChange> {
        self.0.changes.get(index.checked_sub(1)?).copied()
    }

    /// The first instant at which the clocks show `date` or, where the zone skips it, a later one.
    pub fn day_begins(&self, date: NaiveDate) -> DateTime<Utc> {
        let mut dates = date.iter_days();
        let begins =
            dates.find_map(
                |date| match self.first_reached(date.and_time(NaiveTime::MIN)) {
                    Reached::At(at) => Some(at),
                    Reached::NoSuchDate => None,
                },
            );
        begins.unwrap_or(DateTime::<Utc>::MAX_UTC)
    }

    /// The first instant in (`start`, `stop`] at which the offset is another one.
    pub(super) fn change_in(
        &self,
        start: DateTime<Utc>,
        stop: DateTime<Utc>,
    ) -> Option<DateTime<Utc>> {
        let start = start.timestamp();
        let next = self.0.changes.partition_point(|change| change.at <= start);
        let next = self.0.changes.get(next)?;
        DateTime::from_timestamp(next.at, 0).filter(|at| *at <= stop)
    }

    /// When the clocks first show `local` or, where they skip it, a later time; `None` where they skip the whole date.
    pub fn first_instant(&self, local: NaiveDateTime) -> Option<DateTime<Utc>> {
        match self.first_reached(local) {
            Reached::At(instant) => Some(instant),
            Reached::NoSuchDate => None,
        }
    }

    /// When the clock first shows `local` or, if it skips it, a later time.
    pub(super) fn first_reached(&self, local: NaiveDateTime) -> Reached {
        let wanted = local.and_utc().timestamp();
        let changes = &self.0.changes;
        let index = changes.partition_point(|change| change.shows_before() <= wanted);
        let instant = match self.last_before(index) {
            Some(gap) if wanted < gap.shows_after() => {
                if skips(gap, local.date()) {
                    return Reached::NoSuchDate;
                }
                gap.at
            }
            Some(change) => wanted - i64::from(change.after.local_minus_utc()),
            None => wanted - i64::from(self.0.first.local_minus_utc()),
        };
        DateTime::from_timestamp(instant, 0).map_or(Reached::NoSuchDate, Reached::At)
    }
}

/// Whether the clocks show nothing of the date.
fn skips(gap: ClockChange, date: NaiveDate) -> bool {
    let midnight = |date: NaiveDate| date.and_time(NaiveTime::MIN).and_utc().timestamp();
    let ends_past = |next: NaiveDate| gap.shows_after() >= midnight(next);
    gap.shows_before() <= midnight(date) && date.succ_opt().is_none_or(ends_past)
}

fn fingerprint(first: FixedOffset, changes: &[ClockChange]) -> String {
    let (begin, end) = (FINGERPRINTED.start, FINGERPRINTED.end);
    let later = changes.partition_point(|change| change.at <= begin);
    let before = changes[..later].last();
    let mut rules = before
        .map_or(first, |change| change.after)
        .to_string()
        .into_bytes();
    for change in changes[later..].iter().take_while(|change| change.at < end) {
        rules.extend(change.at.to_be_bytes());
        rules.extend(change.after.local_minus_utc().to_be_bytes());
    }
    digest::hex(&rules, 12)
}

impl PartialEq for Zone {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0 == other.0
    }
}

impl Eq for Zone {}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Not the whole table.
impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Zone({} {})", self.name(), self.fingerprint())
    }
}

/// What a clock with `offset` shows at `instant`; `None` at the end of the calendar.
pub(super) fn local(instant: DateTime<Utc>, offset: FixedOffset) -> Option<NaiveDateTime> {
    instant.naive_utc().checked_add_offset(offset)
}

/// When a clock with `offset` shows `local`; `None` at the end of the calendar.
pub(super) fn utc(local: NaiveDateTime, offset: FixedOffset) -> Option<DateTime<Utc>> {
    local
        .checked_sub_offset(offset)
        .map(|naive| naive.and_utc())
}

/// `instant` without its fraction of a second.
pub(super) fn whole_second(instant: DateTime<Utc>) -> Option<DateTime<Utc>> {
    instant.with_nanosecond(0)
}
