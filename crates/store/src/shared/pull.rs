//! Rows that were changed elsewhere, from the server.
//!
//! Owns: bringing the copy up to date: by the rows that have changed since, or, where the copy is of another server, of one
//! that was set back, or older than the server's memory of what was taken out, by all rows anew. Either in one transaction.

use redkeep_core::lease::{Mark, Since};
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, TransactionBehavior};

use super::capture;
use super::lease::line;
use super::{Replica, SHARD, Statement, number, text};
use crate::error::Fault;

/// For how long the server remembers what was taken out of a table. A copy that is older is made anew.
const REMEMBERED_FOR: &str = "7 days";

pub(super) fn pull(replica: &Replica, connection: &mut Connection) -> Result<bool, Fault> {
    let mark = capture::mark(connection)?;
    let line = line(&replica.wire, &mark)?;
    let Some(since) = mark.since(&line) else {
        return Ok(false);
    };
    let were_on = capture::set_triggers(connection, false)?;
    let is_quiet = capture::set_capturing(connection, false);
    let taken_in = is_quiet.and_then(|()| take_in(replica, connection, &since));
    let captures = capture::set_capturing(connection, true);
    capture::set_triggers(connection, were_on)?;
    captures.and(taken_in).map(|()| true)
}

fn take_in(replica: &Replica, connection: &mut Connection, since: &Since) -> Result<(), Fault> {
    let schema = replica.wire.schema();
    let since_then = |sql: String| Statement {
        sql,
        values: vec![Value::from(since.change)],
    };
    let mut questions = vec![
        Statement {
            sql: format!(
                "SELECT changes, coalesce(id, '') FROM {schema}.leases LEFT JOIN {schema}.commits ON change = changes
                 WHERE shard = $1"
            ),
            values: vec![Value::from(SHARD.to_owned())],
        },
        since_then(format!(
            "SELECT name, key FROM {schema}.departed WHERE change > $1 ORDER BY change"
        )),
    ];
    let of_tables = replica.tables.iter().map(|table| table.changed(schema));
    questions.extend(of_tables.map(since_then));
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let before = installation(&transaction)?;
    if since.is_anew {
        for table in &replica.tables {
            transaction.execute(&format!("DELETE FROM main.\"{}\"", table.name), [])?;
        }
    }
    for part in replica.wire.stream(questions)? {
        let part = part?;
        match part.question {
            0 => {
                let row = part.rows.first().map(Vec::as_slice).unwrap_or_default();
                let (change, id) = (number(row.first()), text(row.get(1)));
                let has_lost = since.has_lost;
                let mark = Mark {
                    change,
                    id,
                    has_lost,
                };
                capture::set_mark(&transaction, &mark)?;
            }
            1 => take_out(replica, &transaction, &part.rows)?,
            question => {
                if let Some(table) = replica.tables.get(question - 2) {
                    let mut put = transaction.prepare_cached(&table.put_here())?;
                    for row in part.rows {
                        put.execute(rusqlite::params_from_iter(row))?;
                    }
                }
            }
        }
    }
    let after = installation(&transaction)?;
    if after.is_some() && after != before {
        // The copy was of another history, of which this one has lost nothing.
        let mark = capture::mark(&transaction)?;
        let mark = Mark {
            has_lost: false,
            ..mark
        };
        capture::set_mark(&transaction, &mark)?;
    }
    Ok(transaction.commit()?)
}

fn installation(connection: &Connection) -> Result<Option<String>, Fault> {
    let id = "SELECT value FROM main.meta WHERE key = 'installation'";
    Ok(connection.query_row(id, [], |row| row.get(0)).optional()?)
}

fn take_out(
    replica: &Replica,
    connection: &Connection,
    departed: &[Vec<Value>],
) -> Result<(), Fault> {
    for row in departed {
        let name = text(row.first());
        let table = replica.tables.iter().find(|table| table.name == name);
        if let Some(table) = table {
            let mut take_out = connection.prepare_cached(&table.take_out_here())?;
            take_out.execute([text(row.get(1))])?;
        }
    }
    Ok(())
}

/// The lease's row says up to where, before that is so.
pub(super) fn forget_old(replica: &Replica) -> Result<(), Fault> {
    let old = format!(
        "SELECT coalesce(max(change), 0) AS change FROM {{s}}.commits
         WHERE made_at < now() - interval '{REMEMBERED_FOR}' AND change < (SELECT changes FROM {{s}}.leases WHERE shard = $1)"
    );
    replica.wire.query(
        &format!(
            "WITH old AS ({old}),
             raised AS (UPDATE {{s}}.leases SET floor = greatest(floor, old.change) FROM old WHERE shard = $1),
             out AS (DELETE FROM {{s}}.departed AS d USING old WHERE d.change <= old.change)
             DELETE FROM {{s}}.commits AS c USING old WHERE c.change < old.change"
        ),
        vec![Value::from(SHARD.to_owned())],
    )?;
    Ok(())
}
