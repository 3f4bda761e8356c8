//! The report: how well each pair was protected over a period.
//!
//! Owns: the counts, the gaps and the breaches of `rpo` of one pair, and what of it is a finding. Pure: it folds the
//! runs and ranges that somebody else has read, and keeps two instants of a run: a report may be over millions of them.
//!
//! A good snapshot counts as of its SnapshotCreateTime, from which its data is, until it is gone. At any instant the
//! pair is as old as the newest one that is there; without any, as old as its activation.

mod differences;

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};

use crate::explain::span;
use crate::history::{MissedRange, PairState, Totals};
use crate::run::{Outcome, OutcomeKind, Run};
use crate::schedule::Schedule;
use crate::tzdb;

pub use differences::{Differences, Inventory, differences};

/// The time that is reported on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReportPeriod {
    /// From here on.
    pub since: DateTime<Utc>,
    /// Up to here, not later than the present.
    pub until: DateTime<Utc>,
}

/// What is known of a pair.
#[derive(Debug, Clone)]
pub struct PairFacts<'a> {
    /// Its activation, if it ever was active.
    pub state: Option<&'a PairState>,
    /// The age that its newest good snapshot may reach, by the policy as it is now.
    pub rpo: Option<TimeDelta>,
    /// Its runs in the period, and every other that had a good snapshot in it.
    pub runs: Tally,
    /// Its ranges of missed slots that touch the period.
    pub ranges: &'a [MissedRange],
}

/// How well a pair was protected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PairReport {
    /// How its runs ended.
    pub totals: Totals,
    /// Runs that have not ended yet.
    pub open: u64,
    /// Of the missed, those that a blackout, a pause or a disabled policy explains.
    pub excused: u64,
    /// The longest time between two successive good snapshots, the time since the last one included.
    pub worst_gap: Option<Gap>,
    /// When the newest good snapshot was older than `rpo`, oldest first.
    pub breaches: Vec<Gap>,
}

/// A length of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// When the gap began; that may be before the period.
    pub from: DateTime<Utc>,
    /// When the gap ended; `None` where it had not at the period's end.
    pub until: Option<DateTime<Utc>>,
}

impl Gap {
    /// How long it lasted, up to the period's end if it had not ended.
    pub fn length(&self, period: ReportPeriod) -> TimeDelta {
        self.until.unwrap_or(period.until) - self.from
    }
}

impl PairReport {
    /// All slots of the period.
    pub fn slots(&self) -> u64 {
        self.totals.ended() + self.open
    }

    /// Whether a slot brought no snapshot without being excused, or `rpo` was breached.
    pub fn is_finding(&self) -> bool {
        let lacking = self.totals.ended() - self.totals.available;
        lacking > self.excused || !self.breaches.is_empty()
    }
}

/// What of it is a finding, in words; nothing where there is none. `show` shows an instant as its reader wants it.
pub fn findings(
    report: &PairReport,
    period: ReportPeriod,
    differences: Option<&Differences>,
    show: impl Fn(DateTime<Utc>) -> String,
) -> Vec<String> {
    let mut findings = Vec::new();
    let totals = report.totals.by_result();
    let lacking = report.totals.ended() - report.totals.available;
    if lacking > report.excused {
        let kinds = { totals.iter() }
            .filter(|(kind, count)| *kind != OutcomeKind::Available && *count > 0)
            .map(|(kind, count)| match (kind, report.excused) {
                (OutcomeKind::Missed, 1..) => {
                    format!("{count} missed, of which {} excused", report.excused)
                }
                _ => format!("{count} {}", kind.as_str()),
            });
        let kinds: Vec<String> = kinds.collect();
        findings.push(format!(
            "{} of {} slots have no snapshot: {}",
            lacking - report.excused,
            report.slots(),
            kinds.join(", ")
        ));
    }
    for breach in &report.breaches {
        let until = breach
            .until
            .map_or("still".to_owned(), |at| format!("until {}", show(at)));
        let length = span(breach.length(period));
        let from = show(breach.from);
        findings.push(format!(
            "the newest snapshot was older than rpo from {from} {until}, for {length}"
        ));
    }
    let differences = differences.cloned().unwrap_or_default();
    for id in &differences.not_at_aws {
        findings.push(format!("recorded as good, but AWS does not have it: {id}"));
    }
    for id in &differences.not_recorded {
        findings.push(format!(
            "AWS has it with the policy's tags, but it is not recorded: {id}"
        ));
    }
    findings
}

/// From when on a good snapshot counts, and until when.
type Lifespan = (DateTime<Utc>, Option<DateTime<Utc>>);

/// What counts of a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlotResult {
    /// Its instant.
    pub scheduled_at: DateTime<Utc>,
    /// How it ended; `None` while it has not.
    pub outcome: Option<OutcomeKind>,
    /// Whether it brought no snapshot, and somebody wanted it so.
    pub is_excused: bool,
    /// Of the complete snapshot that it brought: when that was made, and when it was gone.
    pub good: Option<Lifespan>,
}

impl SlotResult {
    /// Of a slot that brought a complete snapshot, which counts as of the first instant until it was gone.
    pub fn available(
        scheduled_at: DateTime<Utc>,
        created_at: Option<DateTime<Utc>>,
        gone_at: Option<DateTime<Utc>>,
    ) -> Self {
        Self {
            scheduled_at,
            outcome: Some(OutcomeKind::Available),
            is_excused: false,
            good: created_at.map(|created_at| (created_at, gone_at)),
        }
    }
}

impl From<&Run> for SlotResult {
    fn from(run: &Run) -> Self {
        let scheduled_at = run.slot.scheduled_at;
        let gone_at = run.gone.as_ref().map(|gone| gone.at);
        match run.outcome() {
            Some(Outcome::Available) => Self::available(scheduled_at, run.created_at(), gone_at),
            ended => Self {
                scheduled_at,
                outcome: ended.map(Outcome::kind),
                is_excused: ended.is_some_and(Outcome::is_excused),
                good: None,
            },
        }
    }
}

/// What counts of a pair's runs, taken in one after another.
#[derive(Debug, Clone)]
pub struct Tally {
    period: ReportPeriod,
    totals: Totals,
    open: u64,
    excused: u64,
    goods: Vec<Lifespan>,
}

impl Tally {
    /// Of no run yet.
    pub fn new(period: ReportPeriod) -> Self {
        Self {
            period,
            totals: Totals::default(),
            open: 0,
            excused: 0,
            goods: Vec::new(),
        }
    }

    /// Takes in a slot, each of them once.
    pub fn add(&mut self, slot: impl Into<SlotResult>) {
        let slot = slot.into();
        self.goods.extend(slot.good);
        let ReportPeriod { since, until } = self.period;
        if !(since..=until).contains(&slot.scheduled_at) {
            return;
        }
        match slot.outcome {
            None => self.open += 1,
            Some(kind) => self.totals.add(kind, 1),
        }
        self.excused += u64::from(slot.is_excused);
    }
}

/// Reports on one pair.
pub fn of_pair(known: PairFacts<'_>) -> PairReport {
    let mut tally = known.runs;
    let period = tally.period;
    let mut report = PairReport {
        totals: tally.totals,
        open: tally.open,
        excused: tally.excused,
        worst_gap: None,
        breaches: Vec::new(),
    };
    for range in known.ranges {
        let count = slots_inside(range, known.state, period);
        report.totals.add(OutcomeKind::Missed, count);
        if range.reason.is_excused() {
            report.excused += count;
        }
    }
    let closed_at = known.state.and_then(|state| state.closed_at);
    tally.goods.sort_unstable();
    let course = GoodTimeline {
        goods: tally.goods,
        active_from: known.state.map(|state| state.active_from),
        since: period.since,
        until: closed_at.map_or(period.until, |at| at.min(period.until)),
        is_closed: closed_at.is_some_and(|at| at <= period.until),
    };
    report.worst_gap = course.worst_gap();
    if let Some(rpo) = known.rpo {
        report.breaches = course.breaches(rpo);
    }
    report
}

/// How many of a range's slots lie in the period: by the schedule that made them where that is still known, else in
/// proportion to the time.
fn slots_inside(range: &MissedRange, state: Option<&PairState>, period: ReportPeriod) -> u64 {
    let (first, last) = (
        range.first_at.max(period.since),
        range.last_at.min(period.until),
    );
    if (first, last) == (range.first_at, range.last_at) {
        return range.count;
    }
    if first > last {
        return 0;
    }
    let slots = |first: DateTime<Utc>, last: DateTime<Utc>| {
        let schedule = state.and_then(schedule)?;
        let before = first.checked_sub_signed(TimeDelta::seconds(1))?;
        Some(schedule.slots_between(before, last).count() as u64)
    };
    match (slots(range.first_at, range.last_at), slots(first, last)) {
        (Some(all), Some(some)) if all == range.count => some,
        _ => {
            let share = (last - first).as_seconds_f64()
                / (range.last_at - range.first_at).as_seconds_f64().max(1.0);
            // Both ends count, and so there is one slot more than there are intervals.
            (range.count.saturating_sub(1) as f64 * share).round() as u64 + 1
        }
    }
}

fn schedule(state: &PairState) -> Option<Schedule> {
    Schedule::parse(&state.schedule, tzdb::bundled(&state.timezone)?).ok()
}

/// An instant at which the newest good snapshot may become another one; in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct TimelineEvent {
    at: DateTime<Utc>,
    what: What,
    /// Of the good snapshot: its creation, and which one it is.
    good: (DateTime<Utc>, usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    Comes,
    Goes,
    /// The pair's activation, or an end of the period.
    Nothing,
}

/// The good snapshots of a pair over time.
struct GoodTimeline {
    /// Sorted by their creation.
    goods: Vec<Lifespan>,
    active_from: Option<DateTime<Utc>>,
    since: DateTime<Utc>,
    until: DateTime<Utc>,
    is_closed: bool,
}

impl GoodTimeline {
    fn worst_gap(&self) -> Option<Gap> {
        let created = { self.goods.iter() }.map(|(created_at, _)| *created_at);
        let created = created.take_while(|at| *at <= self.until);
        let ended = { created.clone() }
            .zip(created.clone().skip(1))
            .filter(|(_, until)| *until > self.since)
            .map(|(from, until)| (until - from, from, Some(until)));
        let last = created.last().map(|from| {
            let until = self.is_closed.then_some(self.until);
            (self.until - from, from, until)
        });
        let longest = ended.chain(last).max_by_key(|(length, ..)| *length);
        longest.map(|(_, from, until)| Gap { from, until })
    }

    /// What happens in the period; what came or went before it, at its beginning.
    fn steps(&self) -> Vec<TimelineEvent> {
        let step = |at: DateTime<Utc>, what, good| TimelineEvent {
            at: at.max(self.since),
            what,
            good,
        };
        // Not one more than there are: they may be millions.
        let gone = self.goods.iter().filter(|(_, gone_at)| gone_at.is_some());
        let mut steps = Vec::with_capacity(self.goods.len() + gone.count() + 3);
        for (index, (created_at, gone_at)) in self.goods.iter().enumerate() {
            let good = (*created_at, index);
            steps.push(step(*created_at, What::Comes, good));
            steps.extend(gone_at.map(|at| step(at, What::Goes, good)));
        }
        for at in { self.active_from.into_iter() }.chain([self.since, self.until]) {
            steps.push(step(at, What::Nothing, (at, 0)));
        }
        steps.sort_unstable();
        steps
    }

    fn breaches(&self, rpo: TimeDelta) -> Vec<Gap> {
        let mut breaches: Vec<Gap> = Vec::new();
        if self.until <= self.since {
            return breaches;
        }
        let mut there = BTreeSet::new();
        let steps = self.steps();
        let mut instants = steps.chunk_by(|one, next| one.at == next.at).peekable();
        while let Some(steps) = instants.next() {
            let [TimelineEvent { at, .. }, ..] = steps else {
                break;
            };
            for step in steps {
                match step.what {
                    What::Comes => drop(there.insert(step.good)),
                    What::Goes => drop(there.remove(&step.good)),
                    What::Nothing => {}
                }
            }
            let next = instants.peek().and_then(|steps| steps.first());
            let until = next.map_or(self.until, |step| step.at.min(self.until));
            let active_from = self.active_from.filter(|active_from| active_from <= at);
            let Some(young_until) = there
                .last()
                .map(|(created_at, _)| *created_at)
                .or(active_from)
                .and_then(|from| from.checked_add_signed(rpo))
            else {
                continue;
            };
            // What began before the period began then.
            let from = match *at == self.since {
                true => young_until,
                false => young_until.max(*at),
            };
            if from >= until {
                continue;
            }
            let is_open = until == self.until && !self.is_closed;
            let ended = (!is_open).then_some(until);
            match breaches.last_mut().filter(|last| last.until == Some(from)) {
                Some(last) => last.until = ended,
                None => breaches.push(Gap { from, until: ended }),
            }
        }
        breaches
    }
}

#[cfg(test)]
mod tests;
