//! Which rows a transaction changes.
//!
//! Owns: `temp.outgoing`, which triggers of this connection alone fill with each row as it is after each change, and the
//! table `replica`: how far the copy is. A row that was taken out stands there with its key alone.

use std::collections::BTreeMap;

use redkeep_core::lease::Mark;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OptionalExtension, params};

use super::tables::SharedTable;
use crate::error::Fault;

/// The rows that were changed, as they are at last: by table and by key, a JSON object, all of the row as a JSON object;
/// `None` where it was taken out.
pub(super) type Outgoing = BTreeMap<String, BTreeMap<String, Option<String>>>;

/// Begins to note what this connection changes in `tables`.
pub(super) fn begin(connection: &Connection, tables: &[SharedTable]) -> Result<(), Fault> {
    let mut script = "
        CREATE TABLE IF NOT EXISTS main.replica (
            one    INTEGER PRIMARY KEY CHECK (one = 1),
            change INTEGER NOT NULL,
            id     TEXT    NOT NULL,
            has_lost INTEGER NOT NULL
        ) STRICT;
        CREATE TEMP TABLE outgoing (
            seq INTEGER PRIMARY KEY, name TEXT NOT NULL, key TEXT NOT NULL, row TEXT
        ) STRICT;
        CREATE TEMP TABLE capturing (is_on INTEGER NOT NULL) STRICT;
        INSERT INTO capturing (is_on) VALUES (1);"
        .to_owned();
    script.extend(tables.iter().map(SharedTable::triggers));
    Ok(connection.execute_batch(&script)?)
}

pub(super) fn mark(connection: &Connection) -> Result<Mark, Fault> {
    let read = |row: &rusqlite::Row<'_>| {
        Ok(Mark {
            change: row.get(0)?,
            id: row.get(1)?,
            has_lost: row.get(2)?,
        })
    };
    let mark = connection
        .query_row("SELECT change, id, has_lost FROM main.replica", [], read)
        .optional()?;
    Ok(mark.unwrap_or_default())
}

pub(super) fn set_mark(connection: &Connection, mark: &Mark) -> Result<(), Fault> {
    connection.execute(
        "INSERT INTO main.replica (one, change, id, has_lost) VALUES (1, ?1, ?2, ?3)
         ON CONFLICT DO UPDATE SET change = excluded.change, id = excluded.id, has_lost = excluded.has_lost",
        params![mark.change, mark.id, mark.has_lost],
    )?;
    Ok(())
}

/// The rows that were changed since it was asked last.
pub(super) fn outgoing(connection: &Connection) -> Result<Outgoing, Fault> {
    let mut outgoing = Outgoing::new();
    let mut statement =
        connection.prepare_cached("SELECT name, key, row FROM temp.outgoing ORDER BY seq")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let table = outgoing.entry(row.get(0)?).or_default();
        table.insert(row.get(1)?, row.get(2)?);
    }
    connection
        .prepare_cached("DELETE FROM temp.outgoing")?
        .execute([])?;
    Ok(outgoing)
}

/// Has the tables' own triggers work, or not: of rows that come from elsewhere they have done their work where these were
/// first written. Returns whether they worked before.
pub(super) fn set_triggers(connection: &Connection, are_on: bool) -> Result<bool, Fault> {
    let option = DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER;
    let were_on = connection.db_config(option)?;
    connection.set_db_config(option, are_on)?;
    Ok(were_on)
}

/// Whether what this connection changes is noted from now on.
pub(super) fn set_capturing(connection: &Connection, is_on: bool) -> Result<(), Fault> {
    connection
        .prepare_cached("UPDATE temp.capturing SET is_on = ?1")?
        .execute([is_on])?;
    Ok(())
}
