//! When a policy is due: a parsed cron expression in a time zone, its slots, blackout windows and jitter.
//!
//! Owns: the reading of cron expressions and docs/semantics.md section 1 (fixed-time and interval
//! schedules, clock changes, what counts as a slot). Never reads the clock, sleeps or logs: every
//! instant is an argument, so that a year of clock changes is a table test.
//!
//! croner parses the expression and matches days and times of day. The way from there to instants is
//! taken here, because croner counts `30 2,14 * * *` as an interval schedule, gives up on gaps of
//! more than two hours (Samoa's missing day), and loses a slot whose gap ends on the next date.
//!
//! - An interval schedule fires whenever the local clock shows a matching time.
//! - A fixed-time schedule fires when the local clock first reaches or passes a matching time. This
//!   one sentence gives the first valid instant after a gap, the first copy of a fold, and the order
//!   of slots: the first instant at which a clock has reached `a` is never later than for `b > a`.

mod blackout;
#[cfg(test)]
mod croner_quirks;
mod crontab;
mod error;
mod eventbridge;
mod grammar;
mod jitter;
mod pattern;
#[cfg(test)]
mod tests;
mod zone;

use chrono::{DateTime, Days, NaiveDateTime, NaiveTime, TimeDelta, Timelike, Utc};

pub use self::blackout::{Blackout, first_open};
pub use self::error::ScheduleError;
pub use self::jitter::jitter;
use self::pattern::{Pattern, Span};
pub use self::zone::Zone;
use self::zone::{Reached, SECOND};

/// 2024-01-01T00:00:00Z and 28 years later, in seconds: one full cycle of dates, weekdays and leap
/// years, fixed so that a file that is valid today is valid tomorrow.
const PROBE_SECONDS: (i64, i64) = (1_704_067_200, 2_587_680_000);

/// How far `next_after` looks; a schedule that parsed has a slot within 28 years of anywhere, except
/// around a year like 2100, which is no leap year.
const HORIZON_DAYS: i64 = 41 * 366;

/// How much of an interval schedule is searched before clock changes in it are looked for, so that a
/// rare slot does not cost a calendar walk for each clock change on the way.
const HOP: TimeDelta = TimeDelta::days(64);

/// What is remembered of a zone's clocks at an instant, so that renewed time zone data is noticed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClockNote {
    /// The fingerprint of the zone's rules.
    pub rules: String,
    /// What the clocks showed.
    pub local: NaiveDateTime,
}

/// A cron expression in a time zone.
///
/// Five fields, or six with seconds first. Two schedules are equal when the expressions, the zones' names and their
/// clocks are.
#[derive(Debug, Clone)]
pub struct Schedule {
    expression: String,
    pattern: Pattern,
    zone: Zone,
}

impl PartialEq for Schedule {
    fn eq(&self, other: &Self) -> bool {
        self.expression == other.expression && self.timezone() == other.timezone()
    }
}

impl Eq for Schedule {}

impl Schedule {
    /// Parses an expression that is to be read on the clocks of `timezone`.
    ///
    /// Refuses what the grammar does not know, an EventBridge expression (with its equivalent), and a
    /// schedule that has no slot in the 28 years from 2024 (docs/semantics.md section 1).
    pub fn parse(expression: &str, timezone: Zone) -> Result<Self, ScheduleError> {
        let expression = expression.trim().to_owned();
        let pattern = Pattern::parse(&grammar::normalise(&expression)?)?;
        let schedule = Self {
            expression,
            pattern,
            zone: timezone,
        };
        if schedule.fires_at_all() {
            return Ok(schedule);
        }
        Err(ScheduleError::NeverFires {
            got: schedule.expression,
            timezone: schedule.zone.to_string(),
        })
    }

    /// The expression as it was written, without surrounding blanks.
    pub fn expression(&self) -> &str {
        &self.expression
    }

    /// The zone whose clocks the expression is read on.
    pub fn timezone(&self) -> &Zone {
        &self.zone
    }

    /// The same expression, read on the clocks of `zone`.
    pub fn in_zone(&self, zone: Zone) -> Self {
        Self {
            zone,
            ..self.clone()
        }
    }

    /// What is to be remembered of the clocks at `at`.
    pub fn note_at(&self, at: DateTime<Utc>) -> ClockNote {
        let local = self.zone.local(at).naive_local();
        ClockNote {
            rules: self.zone.fingerprint().to_owned(),
            local: local.with_nanosecond(0).unwrap_or(local),
        }
    }

    /// From where on slots come when those up to `watermark` are done, by clocks that may have had other rules then.
    ///
    /// Renewed rules are to a schedule what setting the clocks is. Where they are ahead of the old ones, the slots of
    /// the times in between come at once. Where they are behind, the times in between come again, and a fixed-time
    /// schedule does not fire at them again.
    pub fn resumed_after(&self, watermark: DateTime<Utc>, note: &ClockNote) -> DateTime<Utc> {
        if !self.is_fixed_time() {
            return watermark;
        }
        match self.zone.first_reached(note.local) {
            Reached::At(shown) => watermark.max(shown),
            Reached::NoSuchDate => watermark,
        }
    }

    /// Whether the schedule is fixed-time: no `*` and no step in second, minute and hour.
    pub fn is_fixed_time(&self) -> bool {
        self.pattern.fixed_time
    }

    /// What an operator may have meant otherwise: that a day must match both day fields, of which either counts.
    pub fn caution(&self) -> Option<String> {
        let (day, weekday) = self.pattern.both_days.as_ref()?;
        let nth = match day.as_str() {
            "1-7" => Some(1),
            "8-14" => Some(2),
            "15-21" => Some(3),
            "22-28" => Some(4),
            _ => None,
        };
        let is_one = !weekday.contains([',', '-', '/', '#', 'L']);
        let meant = match nth.filter(|_| is_one) {
            Some(nth) => {
                format!("for the one {weekday} among them, write `*` and `{weekday}#{nth}`")
            }
            None => "write `*` in one of them where only the other is meant".to_owned(),
        };
        Some(format!(
            "either day field counts: due on day {day} of the month, and on every {weekday} as well; {meant}"
        ))
    }

    /// The first slot strictly after `t`; `None` only where the calendar ends.
    pub fn next_after(&self, t: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let horizon = t.checked_add_signed(TimeDelta::days(HORIZON_DAYS));
        self.next_within(t, horizon.unwrap_or(DateTime::<Utc>::MAX_UTC))
    }

    /// The slots in (`after`, `until`], ascending, each once.
    pub fn slots_between(
        &self,
        after: DateTime<Utc>,
        until: DateTime<Utc>,
    ) -> impl Iterator<Item = DateTime<Utc>> + '_ {
        std::iter::successors(self.next_within(after, until), move |slot| {
            self.next_within(*slot, until)
        })
    }

    /// Whether there is a slot at this very instant.
    pub fn has(&self, at: DateTime<Utc>) -> bool {
        let before = at.checked_sub_signed(SECOND);
        before.and_then(|before| self.next_within(before, at)) == Some(at)
    }

    /// The newest slot in (`after`, `until`], found by bisection: some 25 steps for a year of minutes.
    pub fn latest_in(&self, after: DateTime<Utc>, until: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let mut latest = self.next_within(after, until)?;
        let mut end = zone::whole_second(until)?;
        // No slot lies in (end, until]; both ends move towards each other.
        while latest < end {
            let middle = zone::whole_second(latest + (end - latest) / 2)?;
            match self.next_within(middle, end) {
                Some(slot) => latest = slot,
                None => end = middle,
            }
        }
        Some(latest)
    }

    /// The longest time between two neighbouring slots of which the earlier is in (`from`, `until`].
    ///
    /// The later one may lie past `until`, so that a yearly schedule has an answer for any year;
    /// without a slot inside, the first two after `from` count. Days and hours without a clock change
    /// are judged by the pattern as a whole: a year costs at most a few thousand steps.
    pub fn longest_interval(&self, from: DateTime<Utc>, until: DateTime<Utc>) -> Option<TimeDelta> {
        let mut slot = self.next_after(from)?;
        let mut longest = TimeDelta::zero();
        loop {
            if let Some((last, span)) = self.regular_block(slot).filter(|(last, _)| *last <= until)
            {
                longest = longest.max(TimeDelta::seconds(span.gap));
                slot = last;
            }
            let next = self.next_after(slot)?;
            longest = longest.max(next - slot);
            if next > until {
                return Some(longest);
            }
            slot = next;
        }
    }

    /// The longest time between two neighbouring slots of four years, of which one has a leap day.
    pub fn usual_longest_interval(&self) -> Option<TimeDelta> {
        let from = DateTime::from_timestamp(PROBE_SECONDS.0, 0)?;
        self.longest_interval(from, from + TimeDelta::days(4 * 365))
    }

    fn fires_at_all(&self) -> bool {
        let (from, until) = PROBE_SECONDS;
        DateTime::from_timestamp(from, 0)
            .zip(DateTime::from_timestamp(until, 0))
            .is_some_and(|(from, until)| self.next_within(from, until).is_some())
    }

    /// The first slot in (`after`, `until`].
    fn next_within(&self, after: DateTime<Utc>, until: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let after = zone::whole_second(after)?;
        if self.pattern.fixed_time {
            return self.next_fixed_time(after, until);
        }
        let mut start = after.checked_add_signed(SECOND)?;
        while start <= until {
            let stop = start.checked_add_signed(HOP).unwrap_or(until).min(until);
            match self.next_interval(start, stop) {
                SearchStep::Slot(slot) => return Some(slot),
                SearchStep::From(instant) => start = instant,
            }
        }
        None
    }

    /// Searches [`start`, `stop`] as far as the local clock runs evenly.
    fn next_interval(&self, start: DateTime<Utc>, stop: DateTime<Utc>) -> SearchStep {
        let offset = self.zone.offset(start);
        let slot = zone::local(start, offset)
            .zip(zone::local(stop, offset))
            .and_then(|(first, last)| self.pattern.next_match(first, last))
            .and_then(|local| zone::utc(local, offset));
        match (self.zone.change_in(start, slot.unwrap_or(stop)), slot) {
            (Some(change), _) => SearchStep::From(change),
            (None, Some(slot)) => SearchStep::Slot(slot),
            (None, None) => SearchStep::From(stop.checked_add_signed(SECOND).unwrap_or(stop)),
        }
    }

    /// The first slot in (`after`, `until`]: matching local times in order, until the clock reaches one
    /// of them after `after`.
    fn next_fixed_time(&self, after: DateTime<Utc>, until: DateTime<Utc>) -> Option<DateTime<Utc>> {
        // Starting from the time that the clock showed *before* the first candidate instant keeps the
        // times inside a gap which ends at that instant.
        let mut local = zone::local(after, self.zone.offset(after))?.checked_add_signed(SECOND)?;
        // No gap is longer than a day, so a later local time is reached after `until`. A clock ahead of UTC
        // cannot show the end of time.
        let last = zone::local(until, self.zone.offset(until))
            .and_then(|last| last.checked_add_days(Days::new(1)))
            .unwrap_or(chrono::NaiveDateTime::MAX);
        loop {
            local = self.pattern.next_match(local, last)?;
            match self.zone.first_reached(local) {
                Reached::At(slot) if slot > until => return None,
                Reached::At(slot) if slot > after => return Some(slot),
                // The second copy of a fold: the slot was the first copy.
                Reached::At(_) => local = local.checked_add_signed(SECOND)?,
                Reached::NoSuchDate => {
                    local = local.date().succ_opt()?.and_time(NaiveTime::MIN);
                }
            }
        }
    }

    /// The last slot and the shape of the day, else of the hour, that `slot` opens, when the clock
    /// runs evenly through it.
    fn regular_block(&self, slot: DateTime<Utc>) -> Option<(DateTime<Utc>, Span)> {
        let offset = self.zone.offset(slot);
        let local = zone::local(slot, offset)?;
        let (of_day, of_hour) = self.pattern.spans_opened_by(local);
        [of_day, of_hour].into_iter().flatten().find_map(|span| {
            let begin = slot.checked_sub_signed(TimeDelta::seconds(span.first))?;
            let end = begin.checked_add_signed(TimeDelta::seconds(span.length - 1))?;
            if self.zone.change_in(begin, end).is_some() {
                return None;
            }
            Some((begin + TimeDelta::seconds(span.last), span))
        })
    }
}

/// How far a search through a stretch of even time got.
enum SearchStep {
    /// A slot was found.
    Slot(DateTime<Utc>),
    /// None was; go on at this instant.
    From(DateTime<Utc>),
}

/// The next slots of one pair after another, of which many have one schedule and the same watermark.
#[derive(Debug, Default)]
pub struct Upcoming<'a>(Option<Known<'a>>);

/// What was computed last.
#[derive(Debug)]
struct Known<'a> {
    schedule: &'a Schedule,
    after: DateTime<Utc>,
    next: Option<DateTime<Utc>>,
}

impl<'a> Upcoming<'a> {
    /// [`Schedule::next_after`], computed once for pairs that follow on one another.
    pub fn after(&mut self, schedule: &'a Schedule, t: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let is_it = |known: &&Known| std::ptr::eq(known.schedule, schedule) && known.after == t;
        if let Some(known) = self.0.as_ref().filter(is_it) {
            return known.next;
        }
        let (after, next) = (t, schedule.next_after(t));
        self.0 = Some(Known {
            schedule,
            after,
            next,
        });
        next
    }
}
