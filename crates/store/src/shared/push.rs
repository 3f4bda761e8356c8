//! Rows that were changed here, to the server.
//!
//! Owns: the one statement. It raises the count of changes in the lease's row, if the last change is still the one that the
//! copy has ([`Mark::is_last_of`]), the writer still holds the lease and the schema still has use for it; everything else in
//! it hangs on that row. A process that is stopped meanwhile holds nothing up for longer than the server needs for the
//! statement.

use redkeep_core::lease::{Mark, Unwritten};
use rusqlite::Transaction;
use rusqlite::types::Value;

use super::capture::{self, Outgoing};
use super::lease::view;
use super::{Fence, Pushed, Replica, SHARD, Statement, number};
use crate::error::Fault;
use crate::schema::latest_version;

pub(super) fn push(replica: &Replica, transaction: &Transaction<'_>) -> Result<Pushed, Fault> {
    let outgoing = capture::outgoing(transaction)?;
    if outgoing.is_empty() {
        return Ok(Pushed::Done);
    }
    if !replica.fence.may_write() {
        return Err(Fault::away("this instance works without it".to_owned()));
    }
    let before = capture::mark(transaction)?;
    let id: String =
        transaction.query_row("SELECT lower(hex(randomblob(8)))", [], |row| row.get(0))?;
    let statement = statement(replica, &outgoing, &before, &id);
    let written = replica.wire.ask(statement)?;
    match written.first() {
        Some(row) => {
            let change = number(row.first());
            let has_lost = before.has_lost;
            let mark = Mark {
                change,
                id,
                has_lost,
            };
            capture::set_mark(transaction, &mark)?;
            Ok(Pushed::Done)
        }
        None => why_not(replica),
    }
}

/// Nothing was written: the server wants a newer redkeep, the lease is another's, or the copy is behind.
fn why_not(replica: &Replica) -> Result<Pushed, Fault> {
    let view = view(&replica.wire)?;
    view.check_floor()?;
    let holder = view.holder.as_deref();
    match replica.fence.unwritten(holder, view.pulse.epoch) {
        Unwritten::Behind => Ok(Pushed::Behind),
        Unwritten::LeaseLost => Err(Fault::LeaseLost),
    }
}

fn statement(replica: &Replica, outgoing: &Outgoing, before: &Mark, id: &str) -> Statement {
    let (schema, version) = (replica.wire.schema(), latest_version());
    let mut values = vec![
        Value::from(before.change),
        Value::from(SHARD.to_owned()),
        Value::from(id.to_owned()),
        Value::from(before.id.clone()),
    ];
    let holds = match &replica.fence {
        Fence::Holder { id, epoch } => {
            values.extend([Value::from(id.clone()), Value::from(*epoch)]);
            " AND holder = $5::uuid AND epoch = $6"
        }
        Fence::Wish | Fence::Orphan => "",
    };
    let mut parts = vec![
        format!(
            "fence AS MATERIALIZED (UPDATE {schema}.leases SET changes = changes + 1
             WHERE shard = $2 AND changes = $1{holds}
                 AND ($1 = 0 OR coalesce((SELECT id FROM {schema}.commits WHERE change = $1), '') = $4)
                 AND EXISTS (SELECT 1 FROM {schema}.installation WHERE floor <= {version})
             RETURNING changes, epoch)"
        ),
        format!(
            "noted AS (INSERT INTO {schema}.commits (change, id, epoch) SELECT changes, $3, epoch FROM fence)"
        ),
    ];
    for table in &replica.tables {
        let Some(rows) = outgoing.get(&table.name) else {
            continue;
        };
        let put: Vec<&String> = rows.values().flatten().collect();
        let gone = rows.iter().filter(|(_, row)| row.is_none());
        let gone: Vec<&String> = gone.map(|(key, _)| key).collect();
        let mut part = |rows: &[&String], text: &dyn Fn(usize) -> String| {
            if !rows.is_empty() {
                values.push(Value::from(array(rows)));
                let name = format!("part_{}", parts.len());
                parts.push(format!("{name} AS ({})", text(values.len())));
            }
        };
        let departed = |number| {
            format!(
                "INSERT INTO {schema}.departed (change, name, key)
                 SELECT fence.changes, '{}', x.value::text FROM fence, json_array_elements(${number}::json) AS x",
                table.name
            )
        };
        part(&put, &|number| table.put(schema, number));
        part(&gone, &|number| table.take_out(schema, number));
        part(&gone, &departed);
    }
    let sql = format!("WITH {} SELECT changes FROM fence", parts.join(",\n"));
    Statement { sql, values }
}

/// A JSON array.
fn array(members: &[&String]) -> String {
    let members: Vec<&str> = members.iter().map(|one| one.as_str()).collect();
    format!("[{}]", members.join(","))
}
