//! An account's rows under its new name.
//!
//! Owns: the statements that move them, and what stays where both names have a row of one slot, by the same rules as the
//! history in memory (`history::one_run`, `history::one_pair`).

use rusqlite::{Connection, named_params};

use super::cell::to_text;
use super::error::Fault;
use super::load::each;
use super::outbox;
use super::row::{self, PAIRS};
use super::write::{write_account, write_pair};
use redkeep_core::history::{Renaming, one_pair};

const NOTE: &str = "
    INSERT INTO renamings (from_name, to_name, number, renamed_at)
    VALUES (:from, :to, :number, :at) ON CONFLICT DO NOTHING";

/// Of a slot's two rows the complete one stays, else the one that has ended, else the one that AWS has accepted, else the
/// old one. After these no slot has two.
const DROP_RUNS: [&str; 2] = [
    "DELETE FROM runs AS old WHERE account = :from AND EXISTS (
         SELECT 1 FROM runs AS new WHERE new.account = :to AND new.policy = old.policy
             AND new.region = old.region AND new.cluster = old.cluster
             AND new.scheduled_at = old.scheduled_at
             AND 4 * (new.state = 'available') + 2 * (new.progress IS NULL) + (new.accepted_at IS NOT NULL)
                 > 4 * (old.state = 'available') + 2 * (old.progress IS NULL) + (old.accepted_at IS NOT NULL))",
    "DELETE FROM runs AS new WHERE account = :to AND EXISTS (
         SELECT 1 FROM runs AS old WHERE old.account = :from AND new.policy = old.policy
             AND new.region = old.region AND new.cluster = old.cluster
             AND new.scheduled_at = old.scheduled_at)",
];

/// Every table whose rows are an account's. A row that is under the new name already stays.
const TABLES: [&str; 5] = ["runs", "missed_ranges", "extensions", "removals", "errands"];

/// Moves everything of an account under its new name.
pub(super) fn rename(connection: &Connection, renaming: &Renaming) -> Result<(), Fault> {
    let (from, to) = (renaming.from.as_str(), renaming.to.as_str());
    connection.prepare_cached(NOTE)?.execute(named_params! {
        ":from": from, ":to": to, ":number": renaming.number, ":at": to_text(renaming.renamed_at),
    })?;
    for statement in DROP_RUNS {
        connection.execute(statement, named_params! { ":from": from, ":to": to })?;
    }
    for table in TABLES {
        let update = format!("UPDATE OR IGNORE {table} SET account = ?2 WHERE account = ?1");
        connection.execute(&update, [from, to])?;
        let left = format!("DELETE FROM {table} WHERE account = ?1");
        connection.execute(&left, [from])?;
    }
    outbox::rename(connection, from, to)?;
    rename_pairs(connection, renaming)?;
    connection.execute("DELETE FROM accounts WHERE name = ?1", [from])?;
    write_account(connection, &renaming.to, &renaming.number)
}

fn rename_pairs(connection: &Connection, renaming: &Renaming) -> Result<(), Fault> {
    let (mut olds, mut news) = (Vec::new(), std::collections::BTreeMap::new());
    each(connection, &PAIRS.select(), |row| {
        let (pair, state) = row::pair(row)?;
        if pair.scope.account == renaming.from {
            olds.push((renaming.moved(pair), state));
        } else if pair.scope.account == renaming.to {
            news.insert(pair, state);
        }
        Ok(())
    })?;
    let from = renaming.from.as_str();
    connection.execute("DELETE FROM pairs WHERE account = ?1", [from])?;
    for (pair, old) in olds {
        let state = match news.remove(&pair) {
            Some(new) => one_pair(old, new),
            None => old,
        };
        // Of two watermarks the one that stays is not the greater, but the one that has its records.
        connection.execute(
            "DELETE FROM pairs WHERE policy = ?1 AND account = ?2 AND region = ?3 AND cluster = ?4",
            [
                pair.policy.as_str(),
                pair.scope.account.as_str(),
                pair.scope.region.as_str(),
                pair.cluster.as_str(),
            ],
        )?;
        write_pair(connection, &pair, &state)?;
    }
    Ok(())
}
