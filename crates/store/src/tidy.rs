//! What leaves the history with time.
//!
//! Owns: which rows no decision needs any more and are old enough to go, and taking them out, so many at a time. They are
//! looked for through a reading connection, so that no commit waits for that; the writer asks the same of each row again.
//! Never takes a slot whose snapshot may be there, nor the newest of its pair; the totals stay as they are.

use std::path::Path;

use chrono::{DateTime, TimeDelta, Utc};
use rusqlite::{Connection, Transaction};

use super::cell::to_text;
use super::error::{Fault, StoreError};
use super::file::File;
use super::meta;
use redkeep_core::names::Retention;

/// How many rows are taken out at once: a commit waits for them for some hundredths of a second.
const BATCH: usize = 500;
/// For how long AWS's description of a snapshot that is gone is kept.
const DESCRIBED: TimeDelta = TimeDelta::days(30);

/// What was taken out of the history.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tidied {
    /// Rows that are not there any more: slots, ranges of missed slots, and what was done to their snapshots.
    pub rows: usize,
    /// Descriptions of snapshots that are gone.
    pub descriptions: usize,
}

/// What is old enough to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ages {
    rows_before: Option<DateTime<Utc>>,
    descriptions_before: DateTime<Utc>,
}

impl Ages {
    /// What is older than `kept` at `now`.
    pub(super) fn of(kept: Retention, now: DateTime<Utc>) -> Self {
        let days = TimeDelta::days(kept.days_or_minus_one().max(0).into());
        Self {
            rows_before: (kept != Retention::Forever).then(|| now - days),
            descriptions_before: now - DESCRIBED,
        }
    }
}

/// A kind of rows that leave: how they are found, from an instant on, and what is done with each.
struct Kind {
    find: &'static str,
    leave: &'static [&'static str],
    /// Whether the rows themselves are gone thereafter, and not only what stands in one of their columns.
    is_row: bool,
}

/// Rows of one kind, to be looked at again and taken out.
pub(super) struct Batch {
    kind: &'static Kind,
    rows: Vec<i64>,
    before: String,
}

/// A slot that has ended, without a snapshot that may be there, and with a later one of its kind beside it. Of one that was
/// asked for twice the snapshot that failed may be there.
macro_rules! of_no_more_use {
    () => {
        "progress IS NULL AND ended_at < ?2 AND generation = 1
         AND (gone_at < ?2 OR gone_at IS NULL AND state <> 'available' AND snapshot IS NULL)
         AND EXISTS (SELECT 1 FROM runs AS later WHERE later.policy = runs.policy AND later.account = runs.account
             AND later.region = runs.region AND later.cluster = runs.cluster
             AND later.\"trigger\" = runs.\"trigger\" AND later.scheduled_at > runs.scheduled_at)
         AND (state <> 'available' OR EXISTS (SELECT 1 FROM runs AS later WHERE later.policy = runs.policy
             AND later.account = runs.account AND later.region = runs.region AND later.cluster = runs.cluster
             AND later.state = 'available' AND later.scheduled_at > runs.scheduled_at))"
    };
}

/// A row that tells of a slot that is not there any more.
macro_rules! without_slot {
    ($table:literal) => {
        concat!(
            "ended_at < ?2 AND NOT EXISTS (SELECT 1 FROM runs WHERE runs.policy = ",
            $table,
            ".policy AND runs.account = ",
            $table,
            ".account AND runs.region = ",
            $table,
            ".region AND runs.cluster = ",
            $table,
            ".cluster AND runs.scheduled_at = ",
            $table,
            ".scheduled_at)"
        )
    };
}

/// The triggers take what leaves out of the totals: before, the same is added to them.
const RUNS: Kind = Kind {
    find: concat!(
        "SELECT rowid, scheduled_at FROM runs WHERE scheduled_at >= ?1 AND scheduled_at < ?2 AND ",
        of_no_more_use!(),
        " ORDER BY scheduled_at LIMIT ?3"
    ),
    leave: &[
        concat!(
            "UPDATE totals SET count = count + 1 WHERE (policy, account, region, cluster, state) =
                 (SELECT policy, account, region, cluster, state FROM runs WHERE rowid = ?1 AND ",
            of_no_more_use!(),
            ")"
        ),
        concat!("DELETE FROM runs WHERE rowid = ?1 AND ", of_no_more_use!()),
    ],
    is_row: true,
};

const RANGES: Kind = Kind {
    find: "SELECT rowid, last_at FROM missed_ranges WHERE last_at >= ?1 AND last_at < ?2 ORDER BY last_at LIMIT ?3",
    leave: &[
        "UPDATE totals SET count = totals.count + gone.count FROM missed_ranges AS gone
         WHERE gone.rowid = ?1 AND gone.last_at < ?2 AND totals.state = 'missed' AND totals.policy = gone.policy
             AND totals.account = gone.account AND totals.region = gone.region AND totals.cluster = gone.cluster",
        "DELETE FROM missed_ranges WHERE rowid = ?1 AND last_at < ?2",
    ],
    is_row: true,
};

const REMOVALS: Kind = Kind {
    find: concat!(
        "SELECT rowid, planned_at FROM removals WHERE planned_at >= ?1 AND planned_at < ?2 AND ",
        without_slot!("removals"),
        " ORDER BY planned_at LIMIT ?3"
    ),
    leave: &[concat!(
        "DELETE FROM removals WHERE rowid = ?1 AND ",
        without_slot!("removals")
    )],
    is_row: true,
};

const ERRANDS: Kind = Kind {
    find: concat!(
        "SELECT rowid, asked_at FROM errands WHERE asked_at >= ?1 AND asked_at < ?2 AND ",
        without_slot!("errands"),
        " ORDER BY asked_at LIMIT ?3"
    ),
    leave: &[concat!(
        "DELETE FROM errands WHERE rowid = ?1 AND ",
        without_slot!("errands")
    )],
    is_row: true,
};

/// In this order: what is told of a slot leaves after it.
const LEAVING: [&Kind; 4] = [&RUNS, &RANGES, &REMOVALS, &ERRANDS];

const DESCRIPTIONS: Kind = Kind {
    find: "SELECT rowid, gone_at FROM runs WHERE gone_at >= ?1 AND gone_at < ?2 AND snapshot IS NOT NULL
           AND gone_at IS NOT NULL ORDER BY gone_at LIMIT ?3",
    leave: &["UPDATE runs SET snapshot = NULL WHERE rowid = ?1 AND progress IS NULL AND gone_at < ?2"],
    is_row: false,
};

/// Finds what is old enough in the history at `path` and gives it to `leave`, which takes it out and says how many rows that
/// were.
pub(super) fn tidy(
    path: &Path,
    ages: Ages,
    mut leave: impl FnMut(Batch) -> Result<usize, StoreError>,
) -> Result<Tidied, StoreError> {
    let file = File::open_read_only(path)?;
    let mut tidied = Tidied::default();
    let mut of_kind = |kind: &'static Kind, before: DateTime<Utc>| {
        let (mut count, mut from) = (0, String::new());
        loop {
            let (rows, last) =
                find(&file.connection, kind, &from, before).map_err(|fault| fault.at(path))?;
            let is_last = rows.len() < BATCH;
            let before = to_text(before);
            let left = match rows.is_empty() {
                true => 0,
                false => leave(Batch { kind, rows, before })?,
            };
            count += left;
            // Nothing left although something was found: what is found next is the same.
            if is_last || left == 0 {
                return Ok::<_, StoreError>(count);
            }
            from = last;
        }
    };
    if let Some(before) = ages.rows_before {
        for kind in LEAVING {
            tidied.rows += of_kind(kind, before)?;
        }
    }
    tidied.descriptions = of_kind(&DESCRIPTIONS, ages.descriptions_before)?;
    Ok(tidied)
}

/// The next rows, and the instant of the last of them.
fn find(
    connection: &Connection,
    kind: &Kind,
    from: &str,
    before: DateTime<Utc>,
) -> Result<(Vec<i64>, String), Fault> {
    let mut statement = connection.prepare_cached(kind.find)?;
    let mut rows = statement.query((
        from,
        to_text(before),
        i64::try_from(BATCH).unwrap_or(i64::MAX),
    ))?;
    let (mut found, mut last) = (Vec::new(), String::new());
    while let Some(row) = rows.next()? {
        found.push(row.get(0)?);
        last = row.get(1)?;
    }
    Ok((found, last))
}

/// Takes out those of the batch that still are of no more use; how many they were.
pub(super) fn leave(file: &mut File, batch: &Batch) -> Result<usize, StoreError> {
    file.write(|transaction| leave_all(transaction, batch))
}

fn leave_all(transaction: &Transaction<'_>, batch: &Batch) -> Result<usize, Fault> {
    let mut left = 0;
    for row in &batch.rows {
        let mut changed = 0;
        for statement in batch.kind.leave {
            changed = transaction
                .prepare_cached(statement)?
                .execute((row, &batch.before))?;
        }
        left += changed;
    }
    if batch.kind.is_row {
        meta::write_complete_from(transaction, &batch.before)?;
    }
    Ok(left)
}
