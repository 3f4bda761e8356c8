//! The history as the daemon has it in memory.
//!
//! Owns: which rows are loaded at a start, as far as decisions and metrics need them.

use rusqlite::{Connection, Row};

use super::cell::to_text;
use super::error::Fault;
use super::query::Query;
use super::read::RunFilter;
use super::row::{self, ACCOUNTS, EXTENSIONS, MISSED_RANGES, PAIRS, PAUSES, RUNS};
use super::table::Table;
use super::{meta, operations};
use redkeep_core::history::History;
use redkeep_core::pause::Pauses;
use redkeep_core::run::OutcomeKind;
use redkeep_core::run::Run;
use redkeep_core::slot::Slot;

/// The totals by pair and result: of the runs, out of the index `runs_totals` alone, and of the ranges.
const TOTALS: [(&Table, &str); 2] = [
    (
        &RUNS,
        "SELECT min(rowid), policy, account, region, cluster, state, count(*) FROM runs
         WHERE state NOT IN ('due', 'requested', 'creating')
         GROUP BY policy, account, region, cluster, state",
    ),
    (
        &MISSED_RANGES,
        "SELECT min(rowid), policy, account, region, cluster, 'missed', sum(count) FROM missed_ranges
         GROUP BY policy, account, region, cluster",
    ),
];

/// How often the end of a snapshot was put off, by pair.
const EXTENSIONS_BY_PAIR: &str = "
    SELECT min(rowid), policy, account, region, cluster, count(*) FROM extensions
    GROUP BY policy, account, region, cluster";

/// The runs that the next decision may need: open, with a snapshot that is there, or the newest of their pair.
const WANTED_RUNS: [&str; 5] = [
    " WHERE progress IS NOT NULL",
    " WHERE state = 'available' AND gone_at IS NULL",
    " WHERE state <> 'available' AND progress IS NULL AND gone_at IS NULL AND snapshot IS NOT NULL",
    // The first one, which failed, may be there.
    " WHERE generation = 2",
    " WHERE (policy, account, region, cluster, scheduled_at) IN (
         SELECT policy, account, region, cluster, max(scheduled_at) FROM runs
         GROUP BY policy, account, region, cluster, \"trigger\")",
];

/// The run of a slot.
pub(super) fn run_of(connection: &Connection, slot: &Slot) -> Result<Option<Run>, Fault> {
    let pair = &slot.pair;
    let mut query = Query::new(&RUNS);
    query.of_pair(&RunFilter {
        policy: Some(pair.policy.clone()),
        account: Some(pair.scope.account.clone()),
        region: Some(pair.scope.region.clone()),
        cluster: Some(pair.cluster.clone()),
        ..RunFilter::default()
    });
    query.compare("scheduled_at = ?", Some(to_text(slot.scheduled_at)));
    Ok(query.run(connection, row::run)?.pop())
}

/// The history as far as decisions and metrics need it, all as of one instant.
pub(super) fn load(connection: &Connection) -> Result<History, Fault> {
    let snapshot = connection.unchecked_transaction()?;
    let mut history = History::default();
    history.rebuilt_at = meta::rebuilt_at(&snapshot)?;
    each(&snapshot, &PAIRS.select(), |row| {
        let (pair, state) = row::pair(row)?;
        history.pairs.insert(pair, state);
        Ok(())
    })?;
    for condition in WANTED_RUNS {
        each(&snapshot, &(RUNS.select() + condition), |row| {
            let run = row::run(row)?;
            history.insert(run);
            Ok(())
        })?;
    }
    history.pauses = pauses(&snapshot)?;
    each(&snapshot, &ACCOUNTS.select(), |row| {
        let (name, number) = row::account(row)?;
        history.account_numbers.insert(name, number);
        Ok(())
    })?;
    each(&snapshot, EXTENSIONS_BY_PAIR, |row| {
        let count: i64 = row.get(5)?;
        let pair = row::pair_of(&EXTENSIONS, row)?;
        history.extensions.insert(pair, count.unsigned_abs());
        Ok(())
    })?;
    operations::load(&snapshot, &mut history)?;
    for (table, totals) in TOTALS {
        each(&snapshot, totals, |row| {
            let pair = row::pair_of(table, row)?;
            let (word, count): (String, i64) = (row.get(5)?, row.get(6)?);
            let mut kinds = OutcomeKind::ALL.into_iter();
            if let Some(kind) = kinds.find(|one| one.as_str() == word) {
                let totals = history.totals.entry(pair).or_default();
                totals.add(kind, count.unsigned_abs());
            }
            Ok(())
        })?;
    }
    snapshot.commit()?;
    Ok(history)
}

pub(super) fn pauses(connection: &Connection) -> Result<Pauses, Fault> {
    let mut pauses = Vec::new();
    each(connection, &PAUSES.select(), |row| {
        pauses.push(row::pause(row)?);
        Ok(())
    })?;
    Ok(pauses.into_iter().collect())
}

pub(super) fn each(
    connection: &Connection,
    sql: &str,
    mut take: impl FnMut(&Row<'_>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        take(row)?;
    }
    Ok(())
}
