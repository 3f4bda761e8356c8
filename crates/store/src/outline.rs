//! The past in outline, for forecasts and reports.
//!
//! Owns: reading the complete snapshots that are there, and the slots of a period, with nothing that these two do not look
//! at: of a million rows neither the tags nor AWS's whole description are read. Never judges.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use chrono::{DateTime, Utc};
use rusqlite::{Connection, Row, params};
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny};

use super::cell::{missed, parse_instant, parse_stored, to_text};
use super::error::{Fault, StoreError};
use super::glance::{LACKING_UP_TO, instant, kind, names};
use super::load::{self, WANTED_RUNS};
use super::read::Reader;
use super::row::{self, ACCOUNTS, PAIRS, RUNS, RunRow};
use super::table::Stored;
use super::there::{GIST, THERE};
use redkeep_core::names::Retention;
use redkeep_core::outline::{Kept, Outline};
use redkeep_core::report::{ReportPeriod, SlotResult};
use redkeep_core::run::OutcomeKind;
use redkeep_core::seen::Tenure;
use redkeep_core::slot::Pair;
use redkeep_core::snapshot::SnapshotId;

/// The complete snapshots that are there, out of the index `runs_there` alone.
static KEPT: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT rowid, policy, account, region, cluster, scheduled_at, snapshot_id, tier, retention_days, accepted_at, {GIST}
         FROM runs WHERE {THERE} AND state = 'available'
         ORDER BY policy, account, region, cluster, scheduled_at"
    )
});

/// A pair's slots of a period, out of the index of the key alone.
const SLOTS: &str = "
    SELECT rowid, scheduled_at FROM runs
    WHERE policy = ?1 AND account = ?2 AND region = ?3 AND cluster = ?4 AND scheduled_at >= ?5 AND scheduled_at <= ?6
    ORDER BY scheduled_at";

/// A run, if its complete snapshot is gone.
const GONE: &str = "
    SELECT rowid, scheduled_at, accepted_at, gone_at, snapshot FROM runs
    WHERE rowid = ?1 AND state = 'available' AND gone_at IS NOT NULL";

/// A pair's newest complete snapshot up to an instant, be it there or gone.
const LAST_BEFORE: &str = "
    SELECT rowid, scheduled_at, accepted_at, gone_at, snapshot FROM runs
    WHERE policy = ?1 AND account = ?2 AND region = ?3 AND cluster = ?4 AND scheduled_at <= ?5 AND state = 'available'
    ORDER BY scheduled_at DESC LIMIT 1";

impl Reader {
    /// The past in outline, all as of one instant.
    ///
    /// # Errors
    /// As [`Reader::runs`].
    pub fn outline(&self) -> Result<Outline, StoreError> {
        outline(self.connection()).map_err(|fault| fault.at(self.path()))
    }

    /// Gives each slot of a pair to `take` that ended in the period and has no complete snapshot any more, and the newest
    /// complete snapshot before the period where that is gone. `kept` are those that are there, in their order, by
    /// [`Reader::outline`], which has what is open too.
    ///
    /// # Errors
    /// As [`Reader::runs`].
    pub fn each_past(
        &self,
        (pair, kept): (&Pair, &[Kept]),
        period: ReportPeriod,
        take: impl FnMut(SlotResult),
    ) -> Result<(), StoreError> {
        let taken = each_past(self.connection(), (pair, kept), period, take);
        taken.map_err(|fault| fault.at(self.path()))
    }
}

fn outline(connection: &Connection) -> Result<Outline, Fault> {
    let snapshot = connection.unchecked_transaction()?;
    let mut past = Outline::default();
    load::each(&snapshot, &PAIRS.select(), |row| {
        let (pair, state) = row::pair(row)?;
        past.pairs.insert(pair, state);
        Ok(())
    })?;
    past.kept = kept(&snapshot)?;
    let [open, ..] = &*WANTED_RUNS;
    load::each(&snapshot, &(RUNS.select() + open), |row| {
        let run = row::run(row)?;
        past.open.insert(run.slot.clone(), run);
        Ok(())
    })?;
    past.pauses = load::pauses(&snapshot)?;
    load::each(&snapshot, &ACCOUNTS.select(), |row| {
        let (name, number) = row::account(row)?;
        past.account_numbers.insert(name, number);
        Ok(())
    })?;
    snapshot.commit()?;
    Ok(past)
}

/// Those of one pair come one after another.
fn kept(connection: &Connection) -> Result<BTreeMap<Pair, Vec<Kept>>, Fault> {
    let mut all = BTreeMap::new();
    let mut last: Option<([String; 4], Pair, Vec<Kept>)> = None;
    load::each(connection, &KEPT, |row| {
        let one = kept_of(row)?;
        match &mut last {
            Some((names, _, kept)) if is_of(row, names)? => kept.push(one),
            _ => {
                let pair = row::pair_of(&RUNS, row)?;
                let names = names(&pair).map(str::to_owned);
                let before = last.replace((names, pair, vec![one]));
                all.extend(before.map(|(_, pair, kept)| (pair, kept)));
            }
        }
        Ok(())
    })?;
    all.extend(last.map(|(_, pair, kept)| (pair, kept)));
    Ok(all)
}

fn is_of(row: &Row<'_>, names: &[String; 4]) -> Result<bool, Fault> {
    // Those of a pair differ in nothing, and its neighbours mostly in the last name.
    for (column, name) in [1, 2, 3, 4].into_iter().zip(names).rev() {
        if row.get_ref(column)?.as_str().ok() != Some(name) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// What is read of the index's gist; the rest stays text.
type Told = (
    IgnoredAny,
    Option<Instant>,
    IgnoredAny,
    Option<i32>,
    Option<Instant>,
    Option<f64>,
    IgnoredAny,
    IgnoredAny,
    IgnoredAny,
);

fn kept_of(row: &Row<'_>) -> Result<Kept, Fault> {
    let damage = |column, what: String| RunRow::damage(row, column, what);
    let text = |column: usize| {
        row.get_ref(column)
            .map(|cell| cell.as_str().unwrap_or_default())
    };
    let days: i64 = row.get(8)?;
    let asked = Retention::from_days(days);
    let asked = asked.ok_or_else(|| damage("retention_days", format!("got {days}")))?;
    let tier = text(7)?.parse();
    let gist = row.get_ref(10)?.as_str_or_null().unwrap_or_default();
    let gist = gist.map(serde_json::from_str::<Told>).transpose();
    let gist = gist.map_err(|error| damage("snapshot", error.to_string()))?;
    let (created_at, period, start, increment) = gist.map_or((None, None, None, None), |told| {
        (told.1, told.3, told.4, told.5)
    });
    let created_at = created_at.map(|at| at.0);
    let accepted_at = optional_instant(row, 9)?;
    Ok(Kept {
        scheduled_at: instant(row, 5)?,
        id: SnapshotId::recorded(row.get(6)?),
        tier: tier.map_err(|error| damage("tier", format!("{error}")))?,
        tenure: Tenure {
            told: period.and_then(|days| Retention::from_days(days.into())),
            told_from: start.map(|at| at.0).or(created_at),
            created_at: created_at.or(accepted_at),
            asked,
        },
        incremental_megabytes: increment,
    })
}

fn optional_instant(row: &Row<'_>, column: usize) -> Result<Option<DateTime<Utc>>, Fault> {
    let text = row.get_ref(column)?.as_str_or_null().unwrap_or_default();
    let instant = text.map(parse_instant).transpose();
    instant.map_err(|what| Fault::damage("an instant", what))
}

fn each_past(
    connection: &Connection,
    (pair, kept): (&Pair, &[Kept]),
    ReportPeriod { since, until }: ReportPeriod,
    mut take: impl FnMut(SlotResult),
) -> Result<(), Fault> {
    let mut known: BTreeSet<DateTime<Utc>> = kept.iter().map(|one| one.scheduled_at).collect();
    let [policy, account, region, cluster] = names(pair);
    let (from, to) = (to_text(since), to_text(until));
    let mut lacking = connection.prepare_cached(LACKING_UP_TO)?;
    let mut rows = lacking.query(params![policy, account, region, cluster, from, to])?;
    while let Some(row) = rows.next()? {
        let slot = lacking_of(row)?;
        known.insert(slot.scheduled_at);
        take(slot);
    }
    let mut slots = connection.prepare_cached(SLOTS)?;
    let mut gone = connection.prepare_cached(GONE)?;
    let mut rows = slots.query(params![policy, account, region, cluster, from, to])?;
    while let Some(row) = rows.next()? {
        if known.contains(&instant(row, 1)?) {
            continue;
        }
        let mut rows = gone.query([row.get::<_, i64>(0)?])?;
        if let Some(row) = rows.next()? {
            take(gone_of(row)?);
        }
    }
    let mut before = connection.prepare_cached(LAST_BEFORE)?;
    let mut rows = before.query(params![policy, account, region, cluster, from])?;
    if let Some(row) = rows.next()? {
        let is_there = row
            .get_ref(3)?
            .as_str_or_null()
            .unwrap_or_default()
            .is_none();
        let last = gone_of(row)?;
        if !is_there && last.scheduled_at < since {
            take(last);
        }
    }
    Ok(())
}

fn lacking_of(row: &Row<'_>) -> Result<SlotResult, Fault> {
    let kind = kind(row.get_ref(1)?.as_str().unwrap_or_default())?;
    let reason = row.get_ref(2)?.as_str_or_null().unwrap_or_default();
    let is_excused = match kind {
        OutcomeKind::Missed => missed(reason.unwrap_or_default())
            .map_err(|what| Fault::damage("runs, reason", what))?
            .is_excused(),
        _ => false,
    };
    Ok(SlotResult {
        scheduled_at: instant(row, 0)?,
        outcome: Some(kind),
        is_excused,
        good: None,
    })
}

/// What AWS told of a snapshot, as far as it is read.
#[derive(Deserialize)]
struct Made {
    snapshot_create_time: Option<Instant>,
}

fn gone_of(row: &Row<'_>) -> Result<SlotResult, Fault> {
    let told = row.get_ref(4)?.as_str_or_null().unwrap_or_default();
    let told = told.map(serde_json::from_str::<Made>).transpose();
    let told = told.map_err(|error| RunRow::damage(row, "snapshot", error))?;
    let created_at = told.and_then(|told| told.snapshot_create_time);
    let created_at = created_at.map(|at| at.0).or(optional_instant(row, 2)?);
    let gone_at = optional_instant(row, 3)?;
    Ok(SlotResult::available(instant(row, 1)?, created_at, gone_at))
}

/// An instant inside AWS's description, nearly always in the form of [`to_text`].
struct Instant(DateTime<Utc>);

impl<'de> Deserialize<'de> for Instant {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <&str>::deserialize(deserializer)?;
        match parse_stored(text.as_bytes()) {
            Some(at) => Ok(Self(at)),
            None => text.parse().map(Self).map_err(serde::de::Error::custom),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::File;
    use crate::there::tests::plan;

    #[test]
    fn nothing_looks_at_all_runs() {
        let dir = std::env::temp_dir().join(format!("redkeep-outline-{}", std::process::id()));
        let file = File::open(&dir.join("history.db")).unwrap();
        for (sql, wanted) in [
            (KEPT.as_str(), "SCAN runs USING COVERING INDEX runs_there"),
            (
                SLOTS,
                "SEARCH runs USING COVERING INDEX sqlite_autoindex_runs_1",
            ),
            (GONE, "SEARCH runs USING INTEGER PRIMARY KEY"),
            (
                LAST_BEFORE,
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
