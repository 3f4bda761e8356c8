//! Changes into rows.
//!
//! Owns: the one transaction in which changes are written, and the rules that no change can break: an
//! ended run absorbs, activation and watermark only grow but for a clamp. Never reads what it writes back.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use rusqlite::{Connection, Transaction};

use super::error::{Fault, StoreError};
use super::file::File;
use super::operations;
use super::outbox;
use super::row::{ACCOUNTS, AccountRow, EXTENSIONS, ExtensionRow, MISSED_RANGES, MissedRangeRow};
use super::row::{PAIRS, RUNS, RunRow, pair_row};
use super::table::execute;
use super::{load, meta, rename};
use redkeep_core::history::{Change, PairState};
use redkeep_core::names::AccountName;
use redkeep_core::run::Run;
use redkeep_core::slot::Pair;

/// The statement that writes a pair; of two instants of activation or of the watermark it keeps the `kept` one.
fn upsert_pair(kept: &str) -> String {
    PAIRS.upsert_as(|column| match column {
        "active_from" | "watermark" => format!("{kept}({column}, excluded.{column})"),
        _ => format!("excluded.{column}"),
    })
}

static UPSERT_PAIR: LazyLock<String> = LazyLock::new(|| upsert_pair("max"));
static CLAMP_PAIR: LazyLock<String> = LazyLock::new(|| upsert_pair("min"));

/// Changes nothing where the run in the store has ended.
static UPSERT_RUN: LazyLock<String> =
    LazyLock::new(|| RUNS.upsert() + " WHERE runs.progress IS NOT NULL");

/// All that an ended run still takes. AWS's description is kept in mind only where it is news.
const UPDATE_ENDED_RUN: &str = "
    UPDATE runs SET gone_at = :gone_at, gone_reason = :gone_reason,
        size_bytes = coalesce(:size_bytes, size_bytes),
        snapshot = coalesce(:snapshot, snapshot)
    WHERE policy = :policy AND account = :account AND region = :region AND cluster = :cluster
        AND scheduled_at = :scheduled_at AND progress IS NULL";

/// A range that is told again may only have grown.
static UPSERT_MISSED_RANGE: LazyLock<String> =
    LazyLock::new(|| MISSED_RANGES.upsert() + " WHERE excluded.last_at > last_at");

static INSERT_EXTENSION: LazyLock<String> =
    LazyLock::new(|| EXTENSIONS.insert() + " ON CONFLICT DO NOTHING");

/// The first number that a name stood for stays.
static INSERT_ACCOUNT: LazyLock<String> =
    LazyLock::new(|| ACCOUNTS.insert() + " ON CONFLICT DO NOTHING");

/// Writes all changes or none; returns the runs that had ended otherwise before, and stay as they are.
pub(super) fn commit(file: &mut File, changes: &[Change]) -> Result<Vec<Run>, StoreError> {
    file.write(|transaction| write(transaction, changes))
}

fn write(transaction: &Transaction<'_>, changes: &[Change]) -> Result<Vec<Run>, Fault> {
    let (mut stay, mut unknown, mut receivers) = (Vec::new(), None, BTreeSet::new());
    for change in changes {
        match change {
            Change::Pair(pair, state) => write_pair(transaction, pair, state)?,
            Change::Clamped(pair, state) => {
                execute(transaction, &CLAMP_PAIR, &pair_row(pair, state))?;
            }
            Change::Run(run) => stay.extend(write_run(transaction, run)?),
            Change::Adopted(run) => {
                let recorded = write_adopted(transaction, run)?;
                *unknown.get_or_insert(false) |= recorded.is_none();
                stay.extend(recorded);
            }
            Change::Missed(range) => {
                execute(
                    transaction,
                    &UPSERT_MISSED_RANGE,
                    &MissedRangeRow::from(range),
                )?;
            }
            Change::Extended(extension) => {
                execute(
                    transaction,
                    &INSERT_EXTENSION,
                    &ExtensionRow::from(extension),
                )?;
            }
            Change::Account(name, number) => write_account(transaction, name, number)?,
            Change::Renamed(renaming) => rename::rename(transaction, renaming)?,
            // What was found without a record had one here: nothing was lost.
            Change::Rebuilt(_) if unknown == Some(false) => {}
            Change::Rebuilt(at) => meta::write_rebuilt(transaction, *at)?,
            Change::Removal(removal) => operations::write_removal(transaction, removal)?,
            Change::Passed(pass) => operations::write_pass(transaction, pass)?,
            Change::SnapshotAction(action) => operations::write_action(transaction, action)?,
            // What is told of a run that stays as it is, is not so.
            told if stay.iter().any(|run: &Run| told.tells_of(run)) => {}
            Change::Condition(condition) => outbox::write_condition(transaction, condition)?,
            Change::Message(message) => {
                outbox::write_message(transaction, message)?;
                receivers.insert(&message.receiver);
            }
        }
    }
    outbox::bound(transaction, &receivers)?;
    Ok(stay)
}

/// Writes a pair, whose instants only grow.
pub(super) fn write_pair(
    connection: &Connection,
    pair: &Pair,
    state: &PairState,
) -> Result<(), Fault> {
    execute(connection, &UPSERT_PAIR, &pair_row(pair, state)).map(drop)
}

/// Writes a run; returns the one in the store where that had ended otherwise.
fn write_run(transaction: &Transaction<'_>, run: &Run) -> Result<Option<Run>, Fault> {
    let stored = write_adopted(transaction, run)?;
    Ok(stored.filter(|stored| stored.state != run.state))
}

/// Writes a run that was found at AWS without a record; returns the one in the store where that had ended, which memory
/// had only forgotten.
fn write_adopted(transaction: &Transaction<'_>, run: &Run) -> Result<Option<Run>, Fault> {
    if upsert_run(transaction, run)? > 0 {
        return Ok(None);
    }
    // What is known of an open run says nothing about one that has ended since.
    if run.is_ended() {
        execute(transaction, UPDATE_ENDED_RUN, &RunRow::from(run))?;
    }
    load::run_of(transaction, &run.slot)
}

pub(super) fn upsert_run(connection: &Connection, run: &Run) -> Result<usize, Fault> {
    execute(connection, &UPSERT_RUN, &RunRow::from(run))
}

/// Writes whose number an account's name stands for.
pub(super) fn write_account(
    connection: &Connection,
    name: &AccountName,
    number: &str,
) -> Result<(), Fault> {
    let (name, number) = (name.clone(), number.to_owned());
    execute(connection, &INSERT_ACCOUNT, &AccountRow { name, number }).map(drop)
}
