//! Tables, and the one list of each one's columns.
//!
//! Owns: [`table!`], which makes of such a list the struct of a row, and how a row is read and bound. The statements that
//! name all columns are made of the same list; their text never holds a value. A column that somebody forgets where a row
//! is made or taken apart does not compile.

use std::fmt::Display;

use rusqlite::types::Value;
use rusqlite::{Connection, Row, Statement};

use super::cell::Field;
use super::error::Fault;

/// A table, its columns, and those of them that tell its rows apart.
pub(super) struct Table {
    pub(super) name: &'static str,
    pub(super) key: &'static [&'static str],
    pub(super) columns: &'static [&'static str],
    /// The parameters that stand for the columns in statements.
    pub(super) parameters: &'static [&'static str],
}

impl Table {
    /// The statement that reads its rows; conditions follow.
    pub(super) fn select(&self) -> String {
        format!("SELECT rowid, {} FROM {}", quoted(self.columns), self.name)
    }

    /// The columns as a statement reads them, some by what `made` says.
    pub(super) fn columns_as(&self, made: impl Fn(&str) -> Option<&'static str>) -> String {
        let column = |name: &&str| made(name).map_or_else(|| format!("\"{name}\""), str::to_owned);
        let columns: Vec<String> = self.columns.iter().map(column).collect();
        columns.join(", ")
    }

    /// The statement that adds a row; what is to be done where there is one already may follow.
    pub(super) fn insert(&self) -> String {
        let (columns, values) = (quoted(self.columns), self.parameters.join(", "));
        format!("INSERT INTO {} ({columns}) VALUES ({values})", self.name)
    }

    /// The statement that adds a row, or changes all but the key of the one that is there; a condition may follow.
    pub(super) fn upsert(&self) -> String {
        self.upsert_as(|column| format!("excluded.\"{column}\""))
    }

    /// The same, with what `made` says in each column of a row that is there.
    pub(super) fn upsert_as(&self, made: impl Fn(&str) -> String) -> String {
        let others = self.columns.iter();
        let others = others.filter(|column| !self.key.contains(column));
        let set = others.map(|column| format!("\"{column}\" = {}", made(column)));
        let set = set.collect::<Vec<_>>().join(", ");
        let (insert, key) = (self.insert(), quoted(self.key));
        format!("{insert} ON CONFLICT ({key}) DO UPDATE SET {set}")
    }
}

fn quoted(columns: &[&str]) -> String {
    format!("\"{}\"", columns.join("\", \""))
}

/// A row of a table, a field for each column.
pub(super) trait Stored: Sized {
    /// Where its rows are.
    const TABLE: &'static Table;

    /// Reads a row of [`Table::select`].
    fn read(row: &Row<'_>) -> Result<Self, Fault>;

    /// What its columns hold, in their order.
    fn values(&self) -> Result<Vec<Value>, Fault>;

    /// Damage in a column of a row.
    fn damage(row: &Row<'_>, column: &str, what: impl Display) -> Fault {
        damage(Self::TABLE, row, column, what)
    }
}

/// Declares a table and the struct of its rows: the columns in the order in which they are read, each with its type.
macro_rules! table {
    ($(#[$about:meta])* $row:ident = $table:ident, $name:literal, key ($($key:ident),+) {
        $($column:ident: $kind:ty,)+
    }) => {
        pub(super) const $table: $crate::table::Table = $crate::table::Table {
            name: $name,
            key: &[$(stringify!($key)),+],
            columns: &[$(stringify!($column)),+],
            parameters: &[$(concat!(":", stringify!($column))),+],
        };

        $(#[$about])*
        pub(super) struct $row {
            $(pub(super) $column: $kind,)+
        }

        impl $crate::table::Stored for $row {
            const TABLE: &'static $crate::table::Table = &$table;

            fn read(row: &rusqlite::Row<'_>) -> Result<Self, $crate::error::Fault> {
                let mut fields = $crate::table::fields(&$table, row);
                Ok(Self { $($column: fields.next()?,)+ })
            }

            fn values(&self) -> Result<Vec<rusqlite::types::Value>, $crate::error::Fault> {
                Ok(vec![$($crate::cell::Cell::bound(&self.$column)?,)+])
            }
        }
    };
}
pub(super) use table;

/// The columns of a row one after another, behind the row's number.
pub(super) struct Fields<'a> {
    table: &'a Table,
    row: &'a Row<'a>,
    next: usize,
}

pub(super) fn fields<'a>(table: &'a Table, row: &'a Row<'a>) -> Fields<'a> {
    Fields {
        table,
        row,
        next: 0,
    }
}

impl Fields<'_> {
    pub(super) fn next<T: super::cell::Cell>(&mut self) -> Result<T, Fault> {
        let field = Field {
            table: self.table,
            row: self.row,
            column: self.next,
        };
        self.next += 1;
        T::read(field)
    }
}

/// Runs a statement with what the columns of `row` hold; returns how many rows were changed.
pub(super) fn execute<R: Stored>(
    connection: &Connection,
    statement: &str,
    row: &R,
) -> Result<usize, Fault> {
    let mut statement = connection.prepare_cached(statement)?;
    bind(&mut statement, row)?;
    Ok(statement.raw_execute()?)
}

/// Binds what the columns of `row` hold, each in the place of the parameter of its name. A statement need not name all of
/// them.
pub(super) fn bind<R: Stored>(statement: &mut Statement<'_>, row: &R) -> Result<(), Fault> {
    let mut bound = 0;
    for (parameter, value) in R::TABLE.parameters.iter().zip(row.values()?) {
        // Where all columns are named in their order, nobody has to look for the name.
        let is_next = statement.parameter_name(bound + 1) == Some(*parameter);
        let index = match is_next {
            true => Some(bound + 1),
            false => statement.parameter_index(parameter)?,
        };
        if let Some(index) = index {
            statement.raw_bind_parameter(index, value)?;
            bound += 1;
        }
    }
    let wanted = statement.parameter_count();
    match bound == wanted {
        true => Ok(()),
        false => Err(rusqlite::Error::InvalidParameterCount(bound, wanted).into()),
    }
}

/// Damage in a column of a row.
pub(super) fn damage(table: &Table, row: &Row<'_>, column: &str, what: impl Display) -> Fault {
    let rowid = row
        .get::<_, i64>(0)
        .map_or("?".to_owned(), |rowid| rowid.to_string());
    let place = format_args!("table {}, row {rowid}, column {column}", table.name);
    Fault::damage(place, what)
}
