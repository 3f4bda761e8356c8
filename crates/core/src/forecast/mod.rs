//! The forecast: how many snapshots the policies will hold, day by day, against the quota.
//!
//! Owns: the count over time and what follows from it. `stays` has which snapshots there will be and how long each
//! stays. Never asks AWS and never knows what it holds beside redkeep's own. Every coming slot is taken to bring
//! its snapshot: what fails only makes room.
//!
//! The count is made from the instants at which something comes or goes, never by walking the time between
//! them, so that a year of a minutely policy costs as much as it has snapshots. A snapshot is held from its slot's
//! instant until it expires, both included: AWS lets the old one go only after the new one has come.

mod backlog;
mod occupancy;

use std::collections::BTreeMap;
use std::fmt;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};

use crate::names::{ClusterId, PolicyName};
use crate::outline::Outline;
use crate::settings::Config;
use crate::slot::Scope;

use occupancy::Stays;

/// How far a forecast looks where nobody says, in days.
pub const YEAR: u16 = 365;

/// What every account and region will hold.
#[derive(Debug, Clone, PartialEq)]
pub struct Forecast {
    /// The present, from which it looks.
    pub from: DateTime<Utc>,
    /// How far it looks.
    pub until: DateTime<Utc>,
    /// In the order of the file.
    pub scopes: Vec<ScopeForecast>,
    /// What had to be assumed.
    pub notes: Vec<Note>,
}

/// What one account will hold in one region.
#[derive(Debug, Clone, PartialEq)]
pub struct ScopeForecast {
    /// Which.
    pub scope: Scope,
    /// The manual snapshots that it may hold.
    pub quota: u32,
    /// The present.
    pub now: Sample,
    /// When the scope holds the most, for the first time.
    pub peak: Sample,
    /// When the scope holds the most after it has settled; `None` where it does not settle in the time looked at.
    pub steady: Option<Sample>,
    /// When the scope first holds more than its quota.
    pub over_quota_at: Option<DateTime<Utc>>,
    /// The most that it holds on each date (UTC), oldest first.
    pub days: Vec<Day>,
    /// How many known snapshots the estimate of bytes is made from.
    pub sizes_known: usize,
}

/// What is held at one instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// The instant.
    pub at: DateTime<Utc>,
    /// How many snapshots, of all policies.
    pub held: usize,
    /// How many of each policy; a policy without any is left out.
    pub by_policy: BTreeMap<PolicyName, usize>,
    /// What they take at AWS, estimated from the increments that are known; `None` where none is.
    pub stored_bytes: Option<u64>,
}

/// What is held on one date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Day {
    /// The date, in UTC.
    pub date: NaiveDate,
    /// The most snapshots at any instant of it.
    pub held: usize,
}

/// Something that the forecast had to assume.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Note {
    /// Nothing is known of what the pattern matches.
    Pattern(PolicyName, String),
    /// The cluster is in one of several scopes, and nobody knows in which.
    Somewhere(PolicyName, ClusterId),
    /// The policy is paused.
    Paused(PolicyName),
    /// More come in a day than passes over them remove: so many, and so many.
    Backlog(PolicyName, usize, usize),
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pattern(policy, pattern) => write!(
                f,
                "{policy}: it is not known yet which clusters {pattern:?} matches; the pattern counts as one \
                 cluster in each account and region"
            ),
            Self::Somewhere(policy, cluster) => write!(
                f,
                "{policy}: it is not known yet where {cluster} is; the cluster counts in each account and region"
            ),
            Self::Paused(policy) => write!(f, "{policy} is paused; it counts as if it were not"),
            Self::Backlog(policy, made, removed) => write!(
                f,
                "{policy}: keep_last cannot keep up: {made} snapshots are made in a day, and passes delete at most \
                 {removed} (5 an hour), so there will be more snapshots than this forecast counts; set a shorter \
                 retention"
            ),
        }
    }
}

/// What will be held from `now` on, for so many days, if every coming slot brings its snapshot.
pub fn forecast(config: &Config, past: &Outline, now: DateTime<Utc>, days: u16) -> Forecast {
    let until = now + TimeDelta::days(i64::from(days));
    let (mut by_scope, notes) = occupancy::of_scopes(config, past, now, until);
    let of_scope = |scope: Scope| {
        let quota = config.quota(&scope);
        let stays = by_scope.remove(&scope).unwrap_or_default();
        count(scope, quota, &stays, now, until)
    };
    Forecast {
        from: now,
        until,
        scopes: config.scopes().into_iter().map(of_scope).collect(),
        notes,
    }
}

/// How the number held changes: it grows at an arrival, and after a departure it is smaller.
struct CountCurve {
    arrivals: Vec<i64>,
    departures: Vec<i64>,
}

impl CountCurve {
    fn of(stays: &Stays) -> Self {
        let mut arrivals: Vec<i64> = stays.all.iter().map(|stay| stay.from).collect();
        let mut departures: Vec<i64> = stays.all.iter().map(|stay| stay.until).collect();
        arrivals.sort_unstable();
        departures.sort_unstable();
        Self {
            arrivals,
            departures,
        }
    }

    fn held(&self, at: i64) -> usize {
        let come = self.arrivals.partition_point(|arrival| *arrival <= at);
        let gone = self.departures.partition_point(|departure| *departure < at);
        come.saturating_sub(gone)
    }

    /// The instants in [`from`, `until`] at which the number may be higher than ever before: the first one,
    /// and every arrival; each with the number.
    fn steps(&self, from: i64, until: i64) -> impl Iterator<Item = (i64, usize)> {
        let first = self.arrivals.partition_point(|arrival| *arrival <= from);
        let mut gone = self
            .departures
            .partition_point(|departure| *departure < from);
        let later = self.arrivals.iter().enumerate().skip(first);
        let later = later.take_while(move |(_, at)| **at <= until);
        std::iter::once((from, self.held(from))).chain(later.map(move |(index, at)| {
            while self.departures.get(gone).is_some_and(|gone| gone < at) {
                gone += 1;
            }
            (*at, (index + 1).saturating_sub(gone))
        }))
    }

    /// The first instant in [`from`, `until`] with the highest number.
    fn highest(&self, from: i64, until: i64) -> i64 {
        let start = (from, self.held(from));
        let higher = |best: (i64, usize), step: (i64, usize)| match step.1 > best.1 {
            true => step,
            false => best,
        };
        self.steps(from, until).fold(start, higher).0
    }
}

fn count(
    scope: Scope,
    quota: u32,
    stays: &Stays,
    now: DateTime<Utc>,
    until: DateTime<Utc>,
) -> ScopeForecast {
    let course = CountCurve::of(stays);
    let (from, end) = (now.timestamp(), until.timestamp());
    let mut steps = course.steps(from, end);
    let over = steps.find(|(_, held)| *held > quota as usize);
    let settled = stays.settled_at.saturating_add(1).max(from);
    let settled = (settled < end).then(|| course.highest(settled, end));
    ScopeForecast {
        scope,
        quota,
        now: stays.moment(from),
        peak: stays.moment(course.highest(from, end)),
        steady: settled.map(|at| stays.moment(at)),
        over_quota_at: over.map(|(at, _)| instant(at)),
        days: by_day(&course, now, until),
        sizes_known: stays.sizes_known,
    }
}

fn by_day(course: &CountCurve, now: DateTime<Utc>, until: DateTime<Utc>) -> Vec<Day> {
    let mut days: Vec<Day> = Vec::new();
    let mut begins = now;
    while begins < until {
        let date = begins.date_naive();
        let next = midnight_after(date).unwrap_or(until).min(until);
        let (from, end) = (begins.timestamp(), next.timestamp() - 1);
        days.push(Day {
            date,
            held: course.held(course.highest(from, end.max(from))),
        });
        begins = next;
    }
    days
}

fn midnight_after(date: NaiveDate) -> Option<DateTime<Utc>> {
    Some(date.succ_opt()?.and_time(chrono::NaiveTime::MIN).and_utc())
}

fn instant(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(seconds, 0).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

#[cfg(test)]
mod tests;
