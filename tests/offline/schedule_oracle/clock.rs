//! What the clocks of a zone show, instant by instant, and the two rules of section 1 read off it.

use std::collections::{BTreeSet, HashMap, HashSet};

use chrono::{DateTime, NaiveDate, NaiveDateTime, Offset, TimeDelta, TimeZone, Timelike, Utc};
use chrono_tz::Tz;

use super::cron::Oracle;

/// What the clocks of a zone show, written down instant by instant.
pub struct Clock {
    pub from: DateTime<Utc>,
    pub until: DateTime<Utc>,
    /// Instant, local date, and local second, minute and hour.
    shown: Vec<(DateTime<Utc>, NaiveDate, [usize; 3])>,
    first: HashMap<NaiveDateTime, DateTime<Utc>>,
    /// The local times on both sides of each jump ahead, and its instant.
    jumps: Vec<(NaiveDateTime, NaiveDateTime, DateTime<Utc>)>,
    dates: HashSet<NaiveDate>,
}

impl Clock {
    /// Reads a day more on both sides, for what a gap or a fold carries into (`from`, `until`].
    pub fn read(zone: Tz, from: DateTime<Utc>, until: DateTime<Utc>, grain_seconds: i64) -> Self {
        let grain = TimeDelta::seconds(grain_seconds);
        let margin = TimeDelta::hours(if grain_seconds == 1 { 3 } else { 26 });
        let mut clock = Self {
            from,
            until,
            shown: Vec::new(),
            first: HashMap::new(),
            jumps: Vec::new(),
            dates: HashSet::new(),
        };
        let mut t = from - margin;
        let mut before: Option<NaiveDateTime> = None;
        while t <= until + margin {
            let offset = zone.offset_from_utc_datetime(&t.naive_utc()).fix();
            let local = t.naive_utc() + offset;
            clock.first.entry(local).or_insert(t);
            clock
                .jumps
                .extend(before.filter(|b| local - *b > grain).map(|b| (b, local, t)));
            before = Some(local);
            clock.dates.insert(local.date());
            let time = [local.second(), local.minute(), local.hour()];
            clock
                .shown
                .push((t, local.date(), time.map(|number| number as usize)));
            t += grain;
        }
        clock
    }

    /// The slots in (`from`, `until`].
    pub fn slots(&self, oracle: &Oracle) -> Vec<DateTime<Utc>> {
        let all = if oracle.fixed_time {
            self.slots_of_fixed_time(oracle)
        } else {
            self.slots_of_interval(oracle)
        };
        all.into_iter()
            .filter(|t| self.from < *t && *t <= self.until)
            .collect()
    }

    /// When `local` is first shown; when it never is, when the clock jumps past it.
    fn reached(&self, local: NaiveDateTime) -> Option<DateTime<Utc>> {
        if let Some(t) = self.first.get(&local) {
            return Some(*t);
        }
        if !self.dates.contains(&local.date()) {
            return None;
        }
        let jump = self
            .jumps
            .iter()
            .find(|(before, after, _)| *before < local && local < *after);
        jump.map(|(_, _, t)| *t)
    }

    fn slots_of_interval(&self, oracle: &Oracle) -> BTreeSet<DateTime<Utc>> {
        let days: HashSet<_> = self
            .dates
            .iter()
            .filter(|date| oracle.day(**date))
            .collect();
        let [seconds, minutes, hours] = &oracle.times;
        let matching = self
            .shown
            .iter()
            .filter(|(_, date, [second, minute, hour])| {
                minutes[*minute] && hours[*hour] && seconds[*second] && days.contains(date)
            });
        matching.map(|(t, _, _)| *t).collect()
    }

    fn slots_of_fixed_time(&self, oracle: &Oracle) -> BTreeSet<DateTime<Utc>> {
        let (first, last) = (self.shown[0].1, self.shown[self.shown.len() - 1].1);
        let dates = first.iter_days().take_while(|date| *date <= last);
        let numbers = |set: &[bool]| -> Vec<u32> {
            (0_u32..)
                .zip(set)
                .filter(|(_, matches)| **matches)
                .map(|(n, _)| n)
                .collect()
        };
        let [seconds, minutes, hours] = oracle.times.each_ref().map(|set| numbers(set));
        let mut slots = BTreeSet::new();
        for date in dates.filter(|date| oracle.day(*date)) {
            for hour in &hours {
                for minute in &minutes {
                    let local = seconds.iter().map(|s| date.and_hms_opt(*hour, *minute, *s));
                    slots.extend(local.filter_map(|local| self.reached(local.unwrap())));
                }
            }
        }
        slots
    }
}
