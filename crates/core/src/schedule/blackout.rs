//! Blackout windows: times at which no run starts.
//!
//! Windows are half-open and last for elapsed time, so an eight-hour window over a clock change is
//! eight hours long. Never decides what becomes of a slot inside one; that is the plan's.

use chrono::{DateTime, TimeDelta, Utc};

use super::{PROBE_SECONDS, Schedule};

/// How many windows in a row are followed; past it they count as never ending. Day-long windows are
/// five years long by then, those of a minute a day and a half.
const MAX_WINDOWS: usize = 2000;

/// A recurring window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blackout {
    /// Its name in the policy file.
    pub name: String,
    /// When the blackout opens.
    pub schedule: Schedule,
    /// How long it stays open, in elapsed time.
    pub duration: TimeDelta,
}

impl Blackout {
    /// When the window that `t` falls into ends, or `None` when `t` is outside.
    ///
    /// Windows that overlap or touch are one. Of windows that never end, the end of the two
    /// thousandth opening; ask `is_endless` when the file is loaded.
    pub fn end_at(&self, t: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let (Closing::At(end) | Closing::NotBefore(end)) = closing(&[self], t);
        Some(end).filter(|end| *end > t)
    }

    /// Whether the windows leave no gap in 2024, a leap year, so that nothing could ever run.
    pub fn is_endless(&self) -> bool {
        let from = DateTime::<Utc>::UNIX_EPOCH + TimeDelta::seconds(PROBE_SECONDS.0);
        let longest = self
            .schedule
            .longest_interval(from, from + TimeDelta::days(366));
        longest.is_some_and(|longest| longest <= self.duration)
    }

    /// The end of the latest window that is open at `t`, of this one opening alone.
    fn current_end(&self, t: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let opened_after = t.checked_sub_signed(self.duration)?;
        let opened_at = self.schedule.latest_in(opened_after, t)?;
        opened_at.checked_add_signed(self.duration)
    }
}

/// The first instant not before `t` that is outside all of `blackouts`.
///
/// `None` when they are still closed after two thousand windows in a row.
pub fn first_open(blackouts: &[&Blackout], t: DateTime<Utc>) -> Option<DateTime<Utc>> {
    match closing(blackouts, t) {
        Closing::At(open_at) => Some(open_at),
        Closing::NotBefore(_) => None,
    }
}

enum Closing {
    At(DateTime<Utc>),
    NotBefore(DateTime<Utc>),
}

fn closing(blackouts: &[&Blackout], t: DateTime<Utc>) -> Closing {
    let mut end = t;
    for _ in 0..MAX_WINDOWS {
        match blackouts.iter().filter_map(|b| b.current_end(end)).max() {
            Some(later) => end = later,
            None => return Closing::At(end),
        }
    }
    Closing::NotBefore(end)
}
