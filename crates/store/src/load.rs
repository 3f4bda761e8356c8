//! The history as the daemon has it in memory.
//!
//! Owns: which rows are loaded at a start, as far as decisions and metrics need them.

use std::sync::LazyLock;

use rusqlite::{Connection, Row};

use super::cell::to_text;
use super::error::Fault;
use super::glance::{instant, names};
use super::query::Query;
use super::read::RunFilter;
use super::row::{self, ACCOUNTS, EXTENSIONS, MISSED_RANGES, PAIRS, PAUSES, RUNS, TOTALS};
use super::{meta, operations, outbox, there};
use redkeep_core::history::History;
use redkeep_core::pause::Pauses;
use redkeep_core::run::OutcomeKind;
use redkeep_core::run::Run;
use redkeep_core::slot::Slot;

/// How often the end of a snapshot was put off, by pair.
const EXTENSIONS_BY_PAIR: &str = "
    SELECT min(rowid), policy, account, region, cluster, count(*) FROM extensions
    GROUP BY policy, account, region, cluster";

/// The pairs of which a run has ended.
const PAIRS_OF_RUNS: &str = "SELECT DISTINCT 0, policy, account, region, cluster FROM totals";

/// The newest run of a pair by the schedule, and the newest by hand.
const NEWEST_OF_PAIR: [&str; 2] = [
    "SELECT scheduled_at FROM runs WHERE policy = ?1 AND account = ?2 AND region = ?3 AND cluster = ?4
        AND \"trigger\" = 'schedule' ORDER BY scheduled_at DESC LIMIT 1",
    "SELECT scheduled_at FROM runs WHERE policy = ?1 AND account = ?2 AND region = ?3 AND cluster = ?4
        AND \"trigger\" = 'manual' ORDER BY scheduled_at DESC LIMIT 1",
];

/// The rows of each pair's newest run, of those by hand and of the others. A pair that only has open runs is not among the
/// totals.
const NEWEST_ROWS: &str = "
    WITH pairs_of_runs AS (SELECT DISTINCT policy, account, region, cluster FROM totals)
    SELECT (SELECT rowid FROM runs AS one WHERE one.policy = of.policy AND one.account = of.account
        AND one.region = of.region AND one.cluster = of.cluster AND \"trigger\" = 'schedule'
        ORDER BY scheduled_at DESC LIMIT 1) FROM pairs_of_runs AS of
    UNION ALL
    SELECT (SELECT rowid FROM runs AS one WHERE one.policy = of.policy AND one.account = of.account
        AND one.region = of.region AND one.cluster = of.cluster AND \"trigger\" = 'manual'
        ORDER BY scheduled_at DESC LIMIT 1) FROM pairs_of_runs AS of";

/// The rows of each pair's last run that tells whether AWS lets snapshots be made, where it was refused. So far back, in
/// slots, it is looked for.
const REFUSED_ROWS: &str = "
    WITH pairs_of_runs AS (SELECT DISTINCT policy, account, region, cluster FROM totals)
    SELECT (SELECT CASE WHEN accepted_at IS NULL THEN row END FROM (
        SELECT rowid AS row, accepted_at, reason, progress FROM runs AS one WHERE one.policy = of.policy
            AND one.account = of.account AND one.region = of.region AND one.cluster = of.cluster
            ORDER BY scheduled_at DESC LIMIT 100)
        WHERE accepted_at IS NOT NULL OR progress IS NULL AND reason IN ('access denied', 'quota',
            'superseded: access denied', 'superseded: quota') LIMIT 1) FROM pairs_of_runs AS of";

/// The runs that the next decision may need beside those whose snapshot may be there: open, with a second snapshot,
/// the newest of their pair, or the last that AWS refused.
pub(super) static WANTED_RUNS: LazyLock<[String; 4]> = LazyLock::new(|| {
    [
        " WHERE progress IS NOT NULL".to_owned(),
        // The first one, which failed, may be there.
        " WHERE generation = 2".to_owned(),
        format!(" WHERE rowid IN ({NEWEST_ROWS}) AND NOT ({})", there::THERE),
        format!(" WHERE rowid IN ({REFUSED_ROWS})"),
    ]
});

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
    load_with(connection, &*WANTED_RUNS, |snapshot, history| {
        there::each(snapshot, &there::ALL, |run| history.insert(run))
    })
}

/// The same, and of the snapshots that are there only each pair's newest complete one.
pub(super) fn load_newest(connection: &Connection) -> Result<History, Fault> {
    let [open, second, _, refused] = &*WANTED_RUNS;
    load_with(connection, [open, second, refused], newest_of_pairs)
}

/// Of each pair the newest complete snapshot that is there, and the newest run of each kind.
fn newest_of_pairs(connection: &Connection, history: &mut History) -> Result<(), Fault> {
    let mut pairs = Vec::new();
    each(connection, PAIRS_OF_RUNS, |row| {
        pairs.push(row::pair_of(&RUNS, row)?);
        Ok(())
    })?;
    for pair in pairs {
        let complete = there::newest(connection, &pair)?;
        complete.into_iter().for_each(|run| history.insert(run));
        for sql in NEWEST_OF_PAIR {
            let mut statement = connection.prepare_cached(sql)?;
            let mut rows = statement.query(names(&pair))?;
            let Some(row) = rows.next()? else { continue };
            let scheduled_at = instant(row, 0)?;
            let slot = Slot {
                pair: pair.clone(),
                scheduled_at,
            };
            if !history.runs.contains_key(&slot) {
                let run = run_of(connection, &slot)?;
                run.into_iter().for_each(|run| history.insert(run));
            }
        }
    }
    Ok(())
}

fn load_with<'a>(
    connection: &Connection,
    wanted: impl IntoIterator<Item = &'a String>,
    load_there: impl FnOnce(&Connection, &mut History) -> Result<(), Fault>,
) -> Result<History, Fault> {
    let snapshot = connection.unchecked_transaction()?;
    let mut history = History::default();
    history.rebuilt_at = meta::rebuilt_at(&snapshot)?;
    each(&snapshot, &PAIRS.select(), |row| {
        let (pair, state) = row::pair(row)?;
        history.pairs.insert(pair, state);
        Ok(())
    })?;
    load_there(&snapshot, &mut history)?;
    for condition in wanted {
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
    outbox::load(&snapshot, &mut history)?;
    // Nothing of them is read but the totals; that they are there at all is looked at.
    snapshot.prepare(&MISSED_RANGES.select())?;
    each(&snapshot, &(TOTALS.select() + " WHERE count > 0"), |row| {
        let (pair, state, count) = row::total(row)?;
        if let Some(kind) = OutcomeKind::of_word(&state) {
            history.totals.entry(pair).or_default().add(kind, count);
        }
        Ok(())
    })?;
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
