//! Clocks of a zone: what they show at an instant, when they change, when they first show a time.
//!
//! Never knows a schedule. Offsets are chrono-tz's compiled-in IANA data, which ends about 2100;
//! after that the last offset holds.

use chrono::{
    DateTime, FixedOffset, NaiveDateTime, NaiveTime, Offset, TimeDelta, TimeZone, Timelike, Utc,
};
use chrono_tz::{GapInfo, Tz};

/// The grain of slots and of clock changes.
pub(super) const SECOND: TimeDelta = TimeDelta::seconds(1);

/// Two changes of one zone are never closer than 95 hours in the whole IANA history (Freetown, 1939),
/// so a stretch of two days with the same offset at both ends has no change in it.
const SAMPLE: TimeDelta = TimeDelta::hours(48);

/// When a clock first shows a local time or a later one.
pub(super) enum Reached {
    /// At this instant.
    At(DateTime<Utc>),
    /// The zone skipped the whole date.
    NoSuchDate,
}

/// A time zone's clocks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Zone(pub(super) Tz);

impl Zone {
    pub(super) fn offset(&self, instant: DateTime<Utc>) -> FixedOffset {
        self.0.offset_from_utc_datetime(&instant.naive_utc()).fix()
    }

    /// The first instant in (`start`, `stop`] at which the offset is another one.
    pub(super) fn change_in(
        &self,
        start: DateTime<Utc>,
        stop: DateTime<Utc>,
    ) -> Option<DateTime<Utc>> {
        let offset = self.offset(start);
        let mut before = start;
        while before < stop {
            let sample = before.checked_add_signed(SAMPLE).unwrap_or(stop).min(stop);
            if self.offset(sample) != offset {
                return self.first_other(offset, before, sample);
            }
            before = sample;
        }
        None
    }

    /// Bisects for the whole second in (`before`, `after`] from which `offset` no longer holds.
    fn first_other(
        &self,
        offset: FixedOffset,
        before: DateTime<Utc>,
        after: DateTime<Utc>,
    ) -> Option<DateTime<Utc>> {
        let (mut same, mut other) = (before.timestamp(), after.timestamp());
        while other - same > 1 {
            let middle = same + (other - same) / 2;
            if self.offset(DateTime::from_timestamp(middle, 0)?) == offset {
                same = middle;
            } else {
                other = middle;
            }
        }
        DateTime::from_timestamp(other, 0)
    }

    /// When the clock first shows `local` or, if it skips it, a later time.
    pub(super) fn first_reached(&self, local: NaiveDateTime) -> Reached {
        if let Some(first) = self.0.from_local_datetime(&local).earliest() {
            return Reached::At(first.with_timezone(&Utc));
        }
        let Some(gap) = GapInfo::new(&local, &self.0) else {
            return Reached::NoSuchDate;
        };
        let Some(end) = gap.end else {
            return Reached::NoSuchDate;
        };
        let midnight = local.date().and_time(NaiveTime::MIN);
        let starts_before = gap.begin.is_none_or(|(begin, _)| begin <= midnight);
        if starts_before && end.date_naive() > local.date() {
            return Reached::NoSuchDate;
        }
        Reached::At(end.with_timezone(&Utc))
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
