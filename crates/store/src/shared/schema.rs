//! The server's tables.
//!
//! Owns: which there are beside those of the history, and bringing all of them up to date, in one transaction that only one
//! instance makes at a time, and during which nobody writes. Tables and columns are only ever added, and rows are left as
//! they are: an older redkeep goes on beside a newer one, as long as the server's `floor` lets it.

use super::tables::SharedTable;
use super::wire::{Trouble, Wire};
use super::{SHARD, number};
use crate::error::Fault;

/// The oldest version of the schema that may write beside this one. It is raised by a release that reads what an older one
/// does not write; then a rolling upgrade from there ends the older instance's term at once.
const FLOOR: i64 = 14;

/// Any number will do that nobody else takes: "redk".
const LOCK: i64 = 0x7265_646b;

/// For how long the tables are waited for, because everybody else then waits behind this instance. A vacuum of the server's own
/// gives way after a second. Who reads them for longer, as a backup does, is left alone, and it is tried again.
const MOST_WAIT: &str = "1500ms";

pub(super) fn prepare(wire: &Wire, tables: &[SharedTable], version: i64) -> Result<(), Fault> {
    match versions(wire)? {
        Some((_, floor)) if floor > version => Err(Fault::ServerNewer {
            got: floor,
            wanted: version,
        }),
        Some((got, _)) if got >= version => Ok(()),
        _ => match wire.script(script(wire.schema(), tables, version)) {
            // The server has answered a moment ago.
            Err(Trouble::Unreachable(why)) => Err(Fault::TablesInUse(why)),
            made => Ok(made?),
        },
    }
}

/// The version and the floor of a schema that is there.
fn versions(wire: &Wire) -> Result<Option<(i64, i64)>, Fault> {
    let asked = wire.query(
        "SELECT schema_version, floor FROM {s}.installation",
        Vec::new(),
    );
    match asked {
        Ok(rows) => Ok(rows
            .first()
            .map(|row| (number(row.first()), number(row.get(1))))),
        // There is no such schema, or no such table in it yet.
        Err(Trouble::Refused { code, .. }) if code == "3F000" || code == "42P01" => Ok(None),
        Err(trouble) => Err(trouble.into()),
    }
}

fn script(schema: &str, tables: &[SharedTable], version: i64) -> String {
    let own = own_tables(schema);
    let tables: String = tables
        .iter()
        .map(|table| table.definition(schema))
        .collect();
    format!(
        "BEGIN;
SET LOCAL client_min_messages = 'warning';
SET LOCAL lock_timeout = '10s';
SET LOCAL idle_in_transaction_session_timeout = '30s';
SELECT pg_advisory_xact_lock({LOCK});
SET LOCAL lock_timeout = '{MOST_WAIT}';
DO $$ BEGIN
    IF current_setting('server_encoding') <> 'UTF8' THEN
        RAISE EXCEPTION 'the encoding of the database is %, wanted UTF8', current_setting('server_encoding');
    END IF;
    IF to_regnamespace('{schema}') IS NULL THEN CREATE SCHEMA {schema}; END IF;
    IF to_regclass('{schema}.installation') IS NOT NULL THEN
        LOCK TABLE {schema}.leases, {schema}.installation IN ACCESS EXCLUSIVE MODE;
    END IF;
END $$;
{own}
{tables}
CREATE OR REPLACE FUNCTION {schema}.ended_run_stays() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    RAISE EXCEPTION 'an ended run stays as it is' USING ERRCODE = 'check_violation';
END $$;
DROP TRIGGER IF EXISTS runs_ended_stay ON {schema}.runs;
CREATE TRIGGER runs_ended_stay BEFORE UPDATE ON {schema}.runs FOR EACH ROW
    WHEN (OLD.progress IS NULL AND (OLD.state, OLD.reason, OLD.snapshot_id, OLD.ended_at)
        IS DISTINCT FROM (NEW.state, NEW.reason, NEW.snapshot_id, NEW.ended_at))
    EXECUTE FUNCTION {schema}.ended_run_stays();
INSERT INTO {schema}.installation (schema_version, floor) VALUES ({version}, {FLOOR})
    ON CONFLICT (one) DO UPDATE SET schema_version = greatest(installation.schema_version, excluded.schema_version),
        floor = greatest(installation.floor, excluded.floor);
COMMIT"
    )
}

/// The tables that no local copy has.
fn own_tables(schema: &str) -> String {
    format!(
        "CREATE TABLE IF NOT EXISTS {schema}.installation (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    schema_version bigint NOT NULL,
    floor bigint NOT NULL,
    moved_to text
);
CREATE TABLE IF NOT EXISTS {schema}.leases (
    shard text PRIMARY KEY,
    holder uuid,
    name text NOT NULL DEFAULT '',
    epoch bigint NOT NULL DEFAULT 0,
    renewals bigint NOT NULL DEFAULT 0,
    changes bigint NOT NULL DEFAULT 0,
    floor bigint NOT NULL DEFAULT 0,
    wanted_by text
) WITH (fillfactor = 50);
INSERT INTO {schema}.leases (shard) VALUES ('{SHARD}') ON CONFLICT DO NOTHING;
CREATE TABLE IF NOT EXISTS {schema}.terms (
    shard text NOT NULL,
    epoch bigint NOT NULL,
    holder uuid NOT NULL,
    name text NOT NULL,
    begun_at text NOT NULL,
    renewed_at text NOT NULL,
    ended_at text,
    PRIMARY KEY (shard, epoch, holder)
);
CREATE TABLE IF NOT EXISTS {schema}.instances (
    id uuid PRIMARY KEY,
    name text NOT NULL,
    version text NOT NULL,
    schema_version bigint NOT NULL,
    config_hash text NOT NULL,
    state text NOT NULL,
    since text NOT NULL,
    seen_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE IF NOT EXISTS {schema}.commits (
    change bigint PRIMARY KEY,
    id text NOT NULL,
    epoch bigint NOT NULL,
    made_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE IF NOT EXISTS {schema}.departed (
    change bigint NOT NULL,
    name text NOT NULL,
    key text NOT NULL
);
CREATE INDEX IF NOT EXISTS departed_by_change ON {schema}.departed (change);"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{latest_version, migrated, statements};
    use crate::shared::tables::tables;
    use rusqlite::Connection;

    /// Why an instance of the schema `before` could not go on beside one of the schema `after`.
    fn what_does_not_only_add(before: &Connection, after: &Connection) -> Option<String> {
        let after = tables(after).unwrap();
        for table in tables(before).unwrap() {
            let name = &table.name;
            let Some(now) = after.iter().find(|now| now.name == *name) else {
                return Some(format!("the table {name} is gone"));
            };
            for column in &table.columns {
                if !now.columns.contains(column) {
                    return Some(format!("{name}.{} is not as it was", column.name));
                }
            }
            let added = now.columns.iter();
            let mut added = added.filter(|column| !table.columns.contains(column));
            let needed = |column: &&_| {
                let column: &super::super::tables::Column = column;
                column.is_key || column.is_required && column.default.is_none()
            };
            if let Some(column) = added.find(needed) {
                return Some(format!("{name}.{} has to be written", column.name));
            }
        }
        None
    }

    fn with(sql: &str) -> Connection {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(sql).unwrap();
        connection
    }

    #[test]
    fn from_the_floor_on_every_version_only_adds_to_the_one_before() {
        for version in FLOOR..latest_version() {
            let (before, after) = (migrated(version), migrated(version + 1));
            assert_eq!(what_does_not_only_add(&before, &after), None, "{version}");
            // The server's rows are brought up to date by nobody.
            let changed = { statements(version + 1).lines() }.find(|line| {
                ["UPDATE ", "DELETE ", "INSERT "]
                    .iter()
                    .any(|word| line.starts_with(word))
            });
            assert_eq!(changed, None, "{version}");
        }
    }

    #[test]
    fn what_an_older_instance_could_not_write_beside_is_noticed() {
        let before = with("CREATE TABLE a (k TEXT PRIMARY KEY, x INTEGER) STRICT");
        let told = |sql: &str| what_does_not_only_add(&before, &with(sql)).unwrap_or_default();
        let table = |rest: &str| {
            told(&format!(
                "CREATE TABLE a (k TEXT PRIMARY KEY, {rest}) STRICT"
            ))
        };
        assert_eq!(table("x INTEGER, y TEXT, z INTEGER NOT NULL DEFAULT 0"), "");
        assert_eq!(table("x INTEGER, y TEXT NOT NULL"), "a.y has to be written");
        assert_eq!(table("x INTEGER NOT NULL"), "a.x is not as it was");
        assert_eq!(table("y INTEGER"), "a.x is not as it was");
        assert_eq!(told("CREATE TABLE b (k TEXT)"), "the table a is gone");
    }

    #[test]
    fn a_column_that_is_added_has_its_default_on_the_server() {
        let made = with(
            "CREATE TABLE a (k TEXT PRIMARY KEY, z INTEGER NOT NULL DEFAULT 7, t TEXT NOT NULL) STRICT",
        );
        let definition = tables(&made).unwrap()[0].definition("s");
        let added = "ADD COLUMN IF NOT EXISTS \"z\" bigint DEFAULT 7 NOT NULL, ADD COLUMN IF NOT EXISTS \"t\" text COLLATE \"C\"";
        assert!(definition.contains(added), "{definition}");
    }
}
