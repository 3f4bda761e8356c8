//! A cron expression on the calendar: which local dates and times of day match.
//!
//! Owns croner: no other file names it. Never knows a time zone.

use chrono::{Datelike, NaiveDate, NaiveDateTime, NaiveTime, Timelike};
use croner::parser::{CronParser, Seconds, Year};
use croner::{Cron, Weekday};

use super::error::ScheduleError;
use super::grammar::Normal;

/// Where the matching seconds of a minute, hour or day lie, in seconds from its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    /// The length of the minute, hour or day.
    pub(super) length: i64,
    /// The first match.
    pub(super) first: i64,
    /// The last match.
    pub(super) last: i64,
    /// The longest time between neighbouring matches, 0 when there is only one.
    pub(super) gap: i64,
}

impl Span {
    const SECOND: Self = Self {
        length: 1,
        first: 0,
        last: 0,
        gap: 0,
    };

    /// The span of a unit of `count` parts, of which those in `values` are each shaped like `self`.
    fn repeated(self, count: i64, values: &[u32]) -> Option<Self> {
        let starts: Vec<i64> = values.iter().map(|v| i64::from(*v) * self.length).collect();
        let between = starts.windows(2).map(|pair| match pair {
            [a, b] => b + self.first - (a + self.last),
            _ => 0,
        });
        Some(Self {
            length: count * self.length,
            first: starts.first()? + self.first,
            last: starts.last()? + self.last,
            gap: between.max().unwrap_or(0).max(self.gap),
        })
    }
}

/// A parsed expression.
#[derive(Debug, Clone)]
pub(super) struct Pattern {
    /// No `*` and no step in second, minute and hour.
    pub(super) fixed_time: bool,
    /// The day of month and the day of week, where both are restricted.
    pub(super) both_days: Option<(String, String)>,
    cron: Cron,
    hours: Vec<u32>,
    minutes: Vec<u32>,
    seconds: Vec<u32>,
    hour: Span,
    day: Span,
}

impl Pattern {
    /// Hands a checked expression to croner, whose refusal would be a hole in our own grammar.
    pub(super) fn parse(normal: &Normal) -> Result<Self, ScheduleError> {
        let refused = |reason: String| ScheduleError::Refused {
            got: normal.text(),
            reason,
        };
        let cron = CronParser::builder()
            .seconds(Seconds::Required)
            .year(Year::Disallowed)
            .build()
            .parse(&normal.text())
            .map_err(|error| refused(error.to_string()))?;
        let values = |component: &croner::CronComponent| -> Vec<u32> {
            component.values().into_iter().map(u32::from).collect()
        };
        let hours = values(&cron.pattern.hours);
        let minutes = values(&cron.pattern.minutes);
        let seconds = values(&cron.pattern.seconds);
        let hour = Span::SECOND
            .repeated(60, &seconds)
            .and_then(|minute| minute.repeated(60, &minutes));
        let (hour, day) = hour
            .and_then(|hour| Some((hour, hour.repeated(24, &hours)?)))
            .ok_or_else(|| refused("no time of day matches".to_owned()))?;
        Ok(Self {
            fixed_time: normal.is_fixed_time(),
            both_days: normal.both_days(),
            cron,
            hours,
            minutes,
            seconds,
            hour,
            day,
        })
    }

    /// The first matching local time in [`from`, `last`].
    pub(super) fn next_match(
        &self,
        from: NaiveDateTime,
        last: NaiveDateTime,
    ) -> Option<NaiveDateTime> {
        let today = Some(from.date()).filter(|date| self.matches_date(*date));
        let found = today
            .zip(self.next_time(from.time()))
            .map(|(date, time)| date.and_time(time))
            .or_else(|| {
                let date = self.next_date(from.date().succ_opt()?, last.date())?;
                Some(date.and_time(self.next_time(NaiveTime::MIN)?))
            });
        found.filter(|local| *local <= last)
    }

    /// The shapes of the day and of the hour of which `local` is the first match.
    pub(super) fn spans_opened_by(&self, local: NaiveDateTime) -> (Option<Span>, Option<Span>) {
        let time = local.time();
        // The slot of a gap carries a local time that need not match at all.
        if !self.matches_date(local.date()) || self.next_time(time) != Some(time) {
            return (None, None);
        }
        let of_day = i64::from(time.num_seconds_from_midnight());
        let of_hour = of_day % self.hour.length;
        (
            Some(self.day).filter(|day| day.first == of_day),
            Some(self.hour).filter(|hour| hour.first == of_hour),
        )
    }

    /// The first matching date in [`date`, `last`].
    fn next_date(&self, mut date: NaiveDate, last: NaiveDate) -> Option<NaiveDate> {
        while date <= last {
            if !self.matches_month(date) {
                date = first_of_next_month(date)?;
            } else if self.matches_date(date) {
                return Some(date);
            } else {
                date = date.succ_opt()?;
            }
        }
        None
    }

    /// The first matching time of day not before `from`.
    fn next_time(&self, from: NaiveTime) -> Option<NaiveTime> {
        let from = (from.hour(), from.minute(), from.second());
        for h in self.hours.iter().copied().skip_while(|h| *h < from.0) {
            for m in self.minutes.iter().copied() {
                if (h, m) < (from.0, from.1) {
                    continue;
                }
                if let Some(s) = self.seconds.iter().find(|s| (h, m, **s) >= from) {
                    return NaiveTime::from_hms_opt(h, m, *s);
                }
            }
        }
        None
    }

    fn matches_month(&self, date: NaiveDate) -> bool {
        self.cron.pattern.month_match(date.month()).unwrap_or(false)
    }

    fn matches_date(&self, date: NaiveDate) -> bool {
        let weekday = Weekday::from_days_from_sunday(date.weekday().num_days_from_sunday());
        let pattern = &self.cron.pattern;
        self.matches_month(date)
            && pattern
                .day_match(date.year(), date.month(), date.day(), weekday)
                .unwrap_or(false)
    }
}

fn first_of_next_month(date: NaiveDate) -> Option<NaiveDate> {
    let (year, month) = match date.month() {
        12 => (date.year().checked_add(1)?, 1),
        month => (date.year(), month + 1),
    };
    NaiveDate::from_ymd_opt(year, month, 1)
}
