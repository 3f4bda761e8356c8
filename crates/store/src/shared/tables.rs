//! The tables that are shared, as the local copy of the history has them.
//!
//! Owns: which they are, their columns and keys, and the statements that follow from these alone, for SQLite and for
//! PostgreSQL. A migration that adds a table or a column needs nothing here.

use rusqlite::Connection;

use crate::error::Fault;

/// A table that is shared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SharedTable {
    pub(super) name: String,
    /// In their order in the local copy; none that is computed from others.
    pub(super) columns: Vec<Column>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) is_number: bool,
    pub(super) is_required: bool,
    pub(super) is_key: bool,
    /// What a row has that names no value, as SQL.
    pub(super) default: Option<String>,
}

const CAPTURING: &str = "WHEN (SELECT is_on FROM capturing)";

/// The local copy's own table, which is not shared.
const OWN: &str = "replica";

/// The tables of a local copy, by name.
pub(super) fn tables(connection: &Connection) -> Result<Vec<SharedTable>, Fault> {
    let mut statement = connection.prepare(
        "SELECT name FROM main.sqlite_schema
         WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND name <> ?1 ORDER BY name",
    )?;
    let names = statement.query_map([OWN], |row| row.get::<_, String>(0))?;
    let names = names.collect::<rusqlite::Result<Vec<_>>>()?;
    names
        .into_iter()
        .map(|name| {
            let columns = columns(connection, &name)?;
            Ok(SharedTable { name, columns })
        })
        .collect()
}

fn columns(connection: &Connection, table: &str) -> Result<Vec<Column>, Fault> {
    // What is computed is hidden here (sqlite.org/pragma.html, "table_info").
    let mut statement = connection
        .prepare("SELECT name, type, \"notnull\", pk, dflt_value FROM pragma_table_info(?1)")?;
    let columns = statement.query_map([table], |row| {
        let is_key = row.get::<_, i64>(3)? > 0;
        Ok(Column {
            name: row.get(0)?,
            is_number: row.get::<_, String>(1)? == "INTEGER",
            is_required: is_key || row.get(2)?,
            is_key,
            default: row.get(4)?,
        })
    })?;
    Ok(columns.collect::<rusqlite::Result<_>>()?)
}

impl Column {
    fn quoted(&self) -> String {
        format!("\"{}\"", self.name)
    }

    fn kind(&self) -> &'static str {
        match self.is_number {
            true => "bigint",
            false => "text",
        }
    }

    /// Its name and its type, as where rows are given as JSON.
    fn typed(&self) -> String {
        format!("{} {}", self.quoted(), self.kind())
    }

    /// As it stands in a table. A text is compared by its bytes, as SQLite does.
    fn defined(&self, is_required: bool) -> String {
        let collated = if self.is_number { "" } else { " COLLATE \"C\"" };
        let required = if is_required { " NOT NULL" } else { "" };
        let default = self.default.iter().map(|value| format!(" DEFAULT {value}"));
        let default: String = default.collect();
        format!("{}{collated}{default}{required}", self.typed())
    }

    /// A member of a JSON object that SQLite makes of a row.
    fn member(&self, row: &str) -> String {
        format!("'{}', {row}.{}", self.name, self.quoted())
    }
}

impl SharedTable {
    fn key(&self) -> impl Iterator<Item = &Column> {
        self.columns.iter().filter(|column| column.is_key)
    }

    fn others(&self) -> impl Iterator<Item = &Column> {
        self.columns.iter().filter(|column| !column.is_key)
    }

    /// Its columns, as statements name them.
    pub(super) fn column_list(&self) -> String {
        list(&self.columns, Column::quoted)
    }

    /// Those of its key.
    pub(super) fn key_list(&self) -> String {
        list(self.key(), Column::quoted)
    }

    /// The statements that make the table in `schema`, or give it the columns that it lacks.
    pub(super) fn definition(&self, schema: &str) -> String {
        let table = format!("{schema}.\"{}\"", self.name);
        let columns = list(&self.columns, |column| column.defined(column.is_required));
        let key = self.key_list();
        let added = list(self.others(), |column| {
            // Rows that are there already have the default, or nothing.
            let is_required = column.is_required && column.default.is_some();
            format!("ADD COLUMN IF NOT EXISTS {}", column.defined(is_required))
        });
        let mut text = format!(
            "CREATE TABLE IF NOT EXISTS {table} ({columns}, change bigint NOT NULL, epoch bigint NOT NULL, PRIMARY KEY ({key}));
             CREATE INDEX IF NOT EXISTS \"{}_by_change\" ON {table} (change);\n",
            self.name
        );
        if !added.is_empty() {
            text.extend(["ALTER TABLE ", &table, " ", &added, ";\n"]);
        }
        text
    }

    /// The part of a statement that puts the rows of parameter `number`, a JSON array, into the table, with the change and
    /// the epoch of `fence`.
    pub(super) fn put(&self, schema: &str, number: usize) -> String {
        let columns = self.column_list();
        let given = list(&self.columns, |column| format!("r.{}", column.quoted()));
        let typed = list(&self.columns, Column::typed);
        let others = self.others().map(Column::quoted);
        let set: Vec<String> = others
            .chain(["change".to_owned(), "epoch".to_owned()])
            .map(|column| format!("{column} = excluded.{column}"))
            .collect();
        format!(
            "INSERT INTO {schema}.\"{}\" ({columns}, change, epoch)
             SELECT {given}, fence.changes, fence.epoch FROM fence, json_to_recordset(${number}::json) AS r({typed})
             ON CONFLICT ({}) DO UPDATE SET {}",
            self.name,
            self.key_list(),
            set.join(", "),
        )
    }

    /// The part of a statement that takes the rows of the keys in parameter `number` out of the table.
    pub(super) fn take_out(&self, schema: &str, number: usize) -> String {
        let typed = list(self.key(), Column::typed);
        let same: Vec<String> = self
            .key()
            .map(|column| format!("t.{0} = r.{0}", column.quoted()))
            .collect();
        format!(
            "DELETE FROM {schema}.\"{}\" AS t USING fence, json_to_recordset(${number}::json) AS r({typed}) WHERE {}",
            self.name,
            same.join(" AND ")
        )
    }

    /// The question for the rows that were changed after the change that is parameter 1.
    pub(super) fn changed(&self, schema: &str) -> String {
        let columns = self.column_list();
        let name = &self.name;
        format!("SELECT {columns} FROM {schema}.\"{name}\" WHERE change > $1 ORDER BY change")
    }

    /// SQLite's statement that puts a row into the local copy.
    pub(super) fn put_here(&self) -> String {
        let columns = self.column_list();
        let marks = list(&self.columns, |_| "?".to_owned());
        let key = self.key_list();
        let set = list(self.others(), |column| {
            format!("{0} = excluded.{0}", column.quoted())
        });
        let then = match set.is_empty() {
            true => "NOTHING".to_owned(),
            false => format!("UPDATE SET {set}"),
        };
        format!(
            "INSERT INTO main.\"{}\" ({columns}) VALUES ({marks}) ON CONFLICT ({key}) DO {then}",
            self.name
        )
    }

    /// SQLite's statement that takes the row out of it whose key is parameter 1, a JSON object.
    pub(super) fn take_out_here(&self) -> String {
        let same: Vec<String> = self
            .key()
            .map(|column| format!("\"{0}\" = json_extract(?1, '$.\"{0}\"')", column.name))
            .collect();
        format!(
            "DELETE FROM main.\"{}\" WHERE {}",
            self.name,
            same.join(" AND ")
        )
    }

    /// SQLite's triggers that note each row that this connection changes, in `temp.outgoing`.
    pub(super) fn triggers(&self) -> String {
        let name = &self.name;
        let key = |which| object(self.key(), which);
        let note = |key: String, row: &str| {
            format!("INSERT INTO outgoing (name, key, row) VALUES ('{name}', {key}, {row});")
        };
        let (new, old) = (
            note(key("NEW"), &object(&self.columns, "NEW")),
            note(key("OLD"), "NULL"),
        );
        format!(
            "CREATE TEMP TRIGGER \"{name}_put\" AFTER INSERT ON main.\"{name}\" {CAPTURING} BEGIN {new} END;
             CREATE TEMP TRIGGER \"{name}_changed\" AFTER UPDATE ON main.\"{name}\" {CAPTURING} BEGIN {old} {new} END;
             CREATE TEMP TRIGGER \"{name}_taken_out\" AFTER DELETE ON main.\"{name}\" {CAPTURING} BEGIN {old} END;\n"
        )
    }
}

/// SQLite's JSON object of these columns of a row.
fn object<'a>(columns: impl IntoIterator<Item = &'a Column>, row: &str) -> String {
    format!(
        "json_object({})",
        list(columns, |column| column.member(row))
    )
}

fn list<'a>(
    columns: impl IntoIterator<Item = &'a Column>,
    text: impl Fn(&Column) -> String,
) -> String {
    let texts: Vec<String> = columns.into_iter().map(text).collect();
    texts.join(", ")
}
