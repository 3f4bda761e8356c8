//! The narrow questions of whoever shows many pairs at once.
//!
//! Owns: what became of the newest slot of each pair, which runs are open, and what the slots of a day came to. Each is
//! answered from an index, a pair at a time, and none reads AWS's whole description: there may be thousands of pairs with
//! thousands of runs each. Never judges: the core's `days` does.

mod parts;

use chrono::{DateTime, Utc};
use rusqlite::{Connection, Row, params};

use super::cell::{parse_instant, to_text};
use super::error::{Fault, StoreError};
use super::load::{self, run_of};
use super::query::Query;
use super::read::{Reader, RunFilter};
use super::row::{self, PAIRS, RUNS};
use super::there::THERE;
use redkeep_core::days::{Day, DayTally, add_range, add_unrecorded, place};
use redkeep_core::history::{History, PairState};
use redkeep_core::names::ClusterId;
use redkeep_core::run::{OutcomeKind, Run};
use redkeep_core::schedule::Schedule;
use redkeep_core::slot::{Pair, Scope, Slot};

use parts::{history_of, history_of_scope};

/// The newest slot of a pair that has its outcome.
const LAST_ENDED: &str = "
    SELECT scheduled_at, state, reason, message, gone_at IS NULL FROM runs
    WHERE policy = ?1 AND account = ?2 AND region = ?3 AND cluster = ?4 AND progress IS NULL
    ORDER BY scheduled_at DESC LIMIT 1";

/// The newest of a pair's ranges of missed slots.
const LAST_RANGE: &str = "
    SELECT last_at, reason FROM missed_ranges
    WHERE policy = ?1 AND account = ?2 AND region = ?3 AND cluster = ?4
    ORDER BY first_at DESC LIMIT 1";

/// The runs without an outcome.
const OPEN: &str = "
    SELECT rowid, policy, account, region, cluster, scheduled_at, state FROM runs WHERE progress IS NOT NULL";

/// What brought no snapshot, out of the index `runs_lacking` alone.
const LACKING: &str = "
    SELECT scheduled_at, state, reason FROM runs
    WHERE policy = ?1 AND account = ?2 AND region = ?3 AND cluster = ?4 AND scheduled_at >= ?5 AND scheduled_at < ?6
        AND progress IS NULL AND state <> 'available'
    ORDER BY scheduled_at";

/// The same, the last instant included.
pub(super) const LACKING_UP_TO: &str = "
    SELECT scheduled_at, state, reason FROM runs
    WHERE policy = ?1 AND account = ?2 AND region = ?3 AND cluster = ?4 AND scheduled_at >= ?5 AND scheduled_at <= ?6
        AND progress IS NULL AND state <> 'available'
    ORDER BY scheduled_at";

/// The first run from an instant on that brought one.
const NEXT_AVAILABLE: &str = "
    SELECT scheduled_at FROM runs
    WHERE policy = ?1 AND account = ?2 AND region = ?3 AND cluster = ?4 AND scheduled_at >= ?5 AND scheduled_at < ?6
        AND state = 'available'
    ORDER BY scheduled_at LIMIT 1";

/// How the newest slot of a pair that has its outcome ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastEnded {
    /// The slot's instant; of many missed ones the last one's.
    pub at: DateTime<Utc>,
    /// Its outcome.
    pub kind: OutcomeKind,
    /// The outcome's reason, without AWS's message.
    pub reason: Option<String>,
    /// AWS's last message.
    pub message: Option<String>,
    /// Whether it brought a snapshot that is still there.
    pub is_good: bool,
}

/// A run without an outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenSlot {
    /// Which.
    pub slot: Slot,
    /// The word of its state.
    pub word: String,
}

/// Whose days are asked for.
#[derive(Debug, Clone, Copy)]
pub struct DaysOf<'a> {
    /// The pair.
    pub pair: &'a Pair,
    /// Its activation, where it is active.
    pub state: Option<&'a PairState>,
    /// The policy's schedule.
    pub schedule: &'a Schedule,
    /// Its runs without an outcome.
    pub open: &'a [Run],
    /// The days, the oldest first.
    pub days: &'a [Day],
    /// The present.
    pub now: DateTime<Utc>,
}

impl Reader {
    /// What became of the newest slot of each of `pairs` that has its outcome, in their order.
    ///
    /// # Errors
    /// As [`Reader::runs`].
    pub fn last_ended<'a>(
        &self,
        pairs: impl IntoIterator<Item = &'a Pair>,
    ) -> Result<Vec<Option<LastEnded>>, StoreError> {
        let found = last_ended(self.connection(), pairs);
        found.map_err(|fault| fault.at(self.path()))
    }

    /// The runs without an outcome.
    ///
    /// # Errors
    /// As [`Reader::runs`].
    pub fn open_slots(&self) -> Result<Vec<OpenSlot>, StoreError> {
        let mut open = Vec::new();
        let read = load::each(self.connection(), OPEN, |row| {
            open.push(open_slot(row)?);
            Ok(())
        });
        read.map_err(|fault| fault.at(self.path()))?;
        Ok(open)
    }

    /// The run of a slot, with all that AWS told of its snapshot.
    ///
    /// # Errors
    /// As [`Reader::runs`].
    pub fn run(&self, slot: &Slot) -> Result<Option<Run>, StoreError> {
        run_of(self.connection(), slot).map_err(|fault| fault.at(self.path()))
    }

    /// What a pair's slots of each day came to. Of a day on which one brought nothing, those that did are not counted.
    ///
    /// # Errors
    /// As [`Reader::runs`].
    pub fn days(&self, of: DaysOf<'_>) -> Result<Vec<DayTally>, StoreError> {
        let mut tallies = vec![DayTally::default(); of.days.len()];
        let (Some(first), Some(last)) = (of.days.first(), of.days.last()) else {
            return Ok(tallies);
        };
        let ranges = self.missed_ranges(&RunFilter {
            since: Some(first.from),
            until: Some(last.until),
            ..RunFilter::of(of.pair)
        })?;
        for range in &ranges {
            add_range(&mut tallies, of.days, of.schedule, range);
        }
        for run in of.open {
            let place = place(of.days, run.slot.scheduled_at);
            if let Some(tally) = place.and_then(|place| tallies.get_mut(place)) {
                tally.open(run, of.now);
            }
        }
        let ended = add_ended(self.connection(), &mut tallies, of);
        ended.map_err(|fault| fault.at(self.path()))?;
        if let Some(state) = of.state.filter(|state| state.is_active()) {
            add_unrecorded(&mut tallies, of.days, of.schedule, state.watermark, of.now);
        }
        Ok(tallies)
    }

    /// The activation of a pair.
    ///
    /// # Errors
    /// As [`Reader::runs`].
    pub fn pair(&self, pair: &Pair) -> Result<Option<PairState>, StoreError> {
        let mut query = Query::new(&PAIRS);
        query.of_pair(&RunFilter::of(pair));
        let found = query.run(self.connection(), row::pair);
        let mut found = found.map_err(|fault| fault.at(self.path()))?;
        Ok(found.pop().map(|(_, state)| state))
    }

    /// The history of the clusters of that name, as far as the next decision about them needs it.
    ///
    /// # Errors
    /// As [`Reader::runs`].
    pub fn history_of_cluster(&self, cluster: &ClusterId) -> Result<History, StoreError> {
        history_of(self.connection(), cluster).map_err(|fault| fault.at(self.path()))
    }

    /// The history of the clusters of a scope: their pairs, what is open, and the snapshots that may be there.
    ///
    /// # Errors
    /// As [`Reader::runs`].
    pub fn history_of_scope(&self, scope: &Scope) -> Result<History, StoreError> {
        history_of_scope(self.connection(), scope).map_err(|fault| fault.at(self.path()))
    }

    /// The snapshots of a pair that may be there, the newest first.
    ///
    /// # Errors
    /// As [`Reader::runs`].
    pub fn snapshots_of(&self, pair: &Pair, limit: u32) -> Result<Vec<Run>, StoreError> {
        let mut query = Query::new(&RUNS);
        query.of_pair(&RunFilter::of(pair));
        query.and(THERE);
        query.newest("scheduled_at", Some(limit));
        let found = query.run(self.connection(), row::run);
        let mut found = found.map_err(|fault| fault.at(self.path()))?;
        found.reverse();
        Ok(found)
    }
}

fn last_ended<'a>(
    connection: &Connection,
    pairs: impl IntoIterator<Item = &'a Pair>,
) -> Result<Vec<Option<LastEnded>>, Fault> {
    let has_ranges = "SELECT EXISTS (SELECT 1 FROM missed_ranges)";
    let has_ranges: bool = connection.query_row(has_ranges, [], |row| row.get(0))?;
    let mut runs = connection.prepare_cached(LAST_ENDED)?;
    let mut ranges = connection.prepare_cached(LAST_RANGE)?;
    let mut found = Vec::new();
    for pair in pairs {
        let names = names(pair);
        let mut rows = runs.query(names)?;
        let run = rows.next()?.map(ended).transpose()?;
        let mut newest = None;
        if has_ranges {
            let mut rows = ranges.query(names)?;
            newest = rows.next()?.map(range).transpose()?;
        }
        found.push(run.into_iter().chain(newest).max_by_key(|ended| ended.at));
    }
    Ok(found)
}

pub(super) fn names(pair: &Pair) -> [&str; 4] {
    let Scope { account, region } = &pair.scope;
    [
        pair.policy.as_str(),
        account.as_str(),
        region.as_str(),
        pair.cluster.as_str(),
    ]
}

fn ended(row: &Row<'_>) -> Result<LastEnded, Fault> {
    let kind = kind(row.get_ref(1)?.as_str().unwrap_or_default())?;
    Ok(LastEnded {
        at: instant(row, 0)?,
        kind,
        reason: row.get(2)?,
        message: row.get(3)?,
        is_good: kind == OutcomeKind::Available && row.get(4)?,
    })
}

fn range(row: &Row<'_>) -> Result<LastEnded, Fault> {
    Ok(LastEnded {
        at: instant(row, 0)?,
        kind: OutcomeKind::Missed,
        reason: row.get(1)?,
        message: None,
        is_good: false,
    })
}

pub(super) fn kind(word: &str) -> Result<OutcomeKind, Fault> {
    OutcomeKind::of_word(word)
        .ok_or_else(|| Fault::damage("runs, state", format!("got {word:?}, wanted an outcome")))
}

pub(super) fn instant(row: &Row<'_>, column: usize) -> Result<DateTime<Utc>, Fault> {
    let text = row.get_ref(column)?.as_str().unwrap_or_default();
    parse_instant(text).map_err(|what| Fault::damage("an instant", what))
}

fn open_slot(row: &Row<'_>) -> Result<OpenSlot, Fault> {
    Ok(OpenSlot {
        slot: Slot {
            pair: row::pair_of(&RUNS, row)?,
            scheduled_at: instant(row, 5)?,
        },
        word: row.get(6)?,
    })
}

/// Takes in the ended runs: those that brought nothing one by one, and of the days without any whether one brought a snapshot.
fn add_ended(
    connection: &Connection,
    tallies: &mut [DayTally],
    of: DaysOf<'_>,
) -> Result<(), Fault> {
    let (Some(first), Some(last)) = (of.days.first(), of.days.last()) else {
        return Ok(());
    };
    let [policy, account, region, cluster] = names(of.pair);
    let (since, until) = (to_text(first.from), to_text(last.until));
    let mut lacking = connection.prepare_cached(LACKING)?;
    let mut rows = lacking.query(params![policy, account, region, cluster, since, until])?;
    while let Some(row) = rows.next()? {
        let kind = kind(row.get_ref(1)?.as_str().unwrap_or_default())?;
        let reason = row.get_ref(2)?.as_str_or_null().unwrap_or_default();
        if let Some(place) = place(of.days, instant(row, 0)?) {
            tallies[place].ended(kind, reason, 1);
        }
    }
    let mut available = connection.prepare_cached(NEXT_AVAILABLE)?;
    let mut next = 0;
    while let Some(at) = tallies[next..].iter().position(|tally| !tally.is_lacking()) {
        let from = to_text(of.days[next + at].from);
        let mut rows = available.query(params![policy, account, region, cluster, from, until])?;
        let Some(row) = rows.next()? else { break };
        let Some(place) = place(of.days, instant(row, 0)?) else {
            break;
        };
        tallies[place].ended(OutcomeKind::Available, None, 1);
        next = place + 1;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::File;
    use crate::there::tests::plan;

    #[test]
    fn no_question_looks_at_all_runs() {
        let dir = std::env::temp_dir().join(format!("redkeep-glances-{}", std::process::id()));
        let file = File::open(&dir.join("history.db")).unwrap();
        for (sql, wanted) in [
            (
                LAST_ENDED,
                "SEARCH runs USING INDEX sqlite_autoindex_runs_1",
            ),
            (OPEN, "SCAN runs USING INDEX runs_open"),
            (LACKING, "SEARCH runs USING COVERING INDEX runs_lacking"),
            (
                LACKING_UP_TO,
                "SEARCH runs USING COVERING INDEX runs_lacking",
            ),
            (
                NEXT_AVAILABLE,
                "SEARCH runs USING INDEX sqlite_autoindex_runs_1",
            ),
        ] {
            let steps = plan(&file, sql);
            assert!(
                steps.len() == 1 && steps[0].starts_with(wanted),
                "{sql}: {steps:?}"
            );
        }
        std::fs::remove_dir_all(dir).unwrap();
    }
}
