//! Instants on the command line: as people type them.
//!
//! Owns: what is understood. A date and a time of day are on the clocks that the command's table shows.

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Utc};

use super::view::Clocks;

/// An instant, a date, or a length of time from now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum InstantArg {
    /// RFC 3339.
    At(DateTime<Utc>),
    /// A date, or a date and a time of day, on the clocks of the table.
    Local(NaiveDateTime),
    /// The beginning of the day so many days before today, on the clocks of the table.
    DaysBack(i64),
    /// A span of time ago, or from now on; below zero a span of time ago in any case.
    Distance(TimeDelta),
}

const WANTED: &str = "wanted a date such as 2026-11-24, an instant such as 2026-11-24T00:00:00Z, a duration such as 7d, \
                      or today or yesterday";

impl InstantArg {
    pub(super) fn read(text: &str) -> Result<Self, String> {
        match text {
            "now" => return Ok(Self::Distance(TimeDelta::zero())),
            "today" => return Ok(Self::DaysBack(0)),
            "yesterday" => return Ok(Self::DaysBack(1)),
            _ => {}
        }
        let duration = text.strip_suffix(" ago").unwrap_or(text);
        let (is_back, length) = match duration.strip_prefix('-') {
            Some(length) => (true, length),
            None => (false, duration),
        };
        let distance = humantime::parse_duration(length).ok();
        if let Some(distance) = distance.and_then(|length| TimeDelta::from_std(length).ok()) {
            return Ok(Self::Distance(if is_back { -distance } else { distance }));
        }
        if let Ok(instant) = DateTime::parse_from_rfc3339(text) {
            return Ok(Self::At(instant.with_timezone(&Utc)));
        }
        local(text)
            .map(Self::Local)
            .ok_or_else(|| WANTED.to_owned())
    }

    /// The instant, where a duration is one before now.
    pub(super) fn before(self, now: DateTime<Utc>, clocks: &Clocks) -> DateTime<Utc> {
        self.from(now, clocks, |distance| {
            now.checked_sub_signed(distance.abs())
        })
    }

    /// The instant, where a duration is one after now.
    pub(super) fn after(self, now: DateTime<Utc>, clocks: &Clocks) -> DateTime<Utc> {
        self.from(now, clocks, |distance| now.checked_add_signed(distance))
    }

    fn from(
        self,
        now: DateTime<Utc>,
        clocks: &Clocks,
        distant: impl Fn(TimeDelta) -> Option<DateTime<Utc>>,
    ) -> DateTime<Utc> {
        let instant = match self {
            Self::At(at) => Some(at),
            Self::Local(local) => clocks.instant(local),
            Self::DaysBack(days) => {
                let today = clocks.local(now).date_naive();
                let day = today.checked_sub_signed(TimeDelta::days(days));
                day.and_then(|day| clocks.instant(day.and_time(NaiveTime::MIN)))
            }
            Self::Distance(distance) => distant(distance),
        };
        instant.unwrap_or(DateTime::UNIX_EPOCH)
    }
}

fn local(text: &str) -> Option<NaiveDateTime> {
    if let Ok(date) = NaiveDate::parse_from_str(text, "%Y-%m-%d") {
        return Some(date.and_time(NaiveTime::MIN));
    }
    let forms = [
        "%Y-%m-%d %H:%M",
        "%Y-%m-%dT%H:%M",
        "%Y-%m-%d %H:%M:%S",
        "%Y-%m-%dT%H:%M:%S",
    ];
    { forms.iter() }.find_map(|form| NaiveDateTime::parse_from_str(text, form).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tzdb;

    #[test]
    fn what_people_type_for_an_instant_is_understood() {
        let clocks = Clocks::Of(tzdb::bundled("Europe/Berlin").unwrap());
        let now: DateTime<Utc> = "2026-11-29T23:30:00Z".parse().unwrap();
        for (text, wanted) in [
            ("2026-11-28", "2026-11-27T23:00:00Z"),
            ("2026-11-28 14:30", "2026-11-28T13:30:00Z"),
            ("2026-11-28T14:30:05", "2026-11-28T13:30:05Z"),
            ("2026-11-28T14:30:00Z", "2026-11-28T14:30:00Z"),
            ("today", "2026-11-29T23:00:00Z"),
            ("yesterday", "2026-11-28T23:00:00Z"),
            ("2h", "2026-11-29T21:30:00Z"),
            ("2h ago", "2026-11-29T21:30:00Z"),
            ("-2h", "2026-11-29T21:30:00Z"),
            ("now", "2026-11-29T23:30:00Z"),
        ] {
            let wanted: DateTime<Utc> = wanted.parse().unwrap();
            let read = InstantArg::read(text).unwrap();
            assert_eq!(read.before(now, &clocks), wanted, "{text}");
        }
        let back = InstantArg::read("-2h").unwrap().after(now, &clocks);
        assert_eq!(back, InstantArg::read("2h").unwrap().before(now, &clocks));
        for text in ["", "28.11.2026", "2026-13-01", "last week"] {
            assert!(InstantArg::read(text).is_err(), "{text}");
        }
    }
}
