//! Whose history it is.
//!
//! Owns: the table `meta`, the installation's id and the kind of endpoint that a history is bound to.
//! Never changes either once they are written.

use std::fmt;

use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension, TransactionBehavior};

use super::error::{Fault, StoreError};
use super::file::File;
use super::row::{parse_instant, to_text};
use crate::names::Writer;

/// What a history's snapshots are: those of one kind never count for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndpointKind {
    /// Amazon Redshift.
    Aws,
    /// The embedded sandbox.
    Sandbox,
    /// Any other endpoint, given by URL.
    Other,
}

impl EndpointKind {
    const ALL: [Self; 3] = [Self::Aws, Self::Sandbox, Self::Other];

    /// The word in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Aws => "aws",
            Self::Sandbox => "sandbox",
            Self::Other => "other",
        }
    }
}

impl fmt::Display for EndpointKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The installation that a history belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Its id, the value of the tag `redkeep:writer`: 16 random hexadecimal digits, made once.
    pub installation: Writer,
    /// When the history was begun, in whole seconds.
    pub created_at: DateTime<Utc>,
}

/// Binds a new history to `kind`, and refuses an old one that is bound to another.
pub(super) fn bind(
    file: &mut File,
    kind: EndpointKind,
    now: DateTime<Utc>,
) -> Result<Identity, StoreError> {
    let path = file.path.clone();
    let (identity, got) =
        write_and_read(&mut file.connection, kind, now).map_err(|fault| fault.at(&path))?;
    if got != kind {
        return Err(StoreError::OtherEndpoint {
            path,
            got,
            wanted: kind,
        });
    }
    Ok(identity)
}

fn write_and_read(
    connection: &mut Connection,
    kind: EndpointKind,
    now: DateTime<Utc>,
) -> Result<(Identity, EndpointKind), Fault> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute(
        "INSERT INTO meta (key, value) VALUES
             ('installation', lower(hex(randomblob(8)))), ('created_at', ?1), ('endpoint_kind', ?2)
         ON CONFLICT DO NOTHING",
        [to_text(now).as_str(), kind.as_str()],
    )?;
    let found = read(&transaction)?;
    transaction.commit()?;
    Ok(found)
}

/// Whose history it is, as the file says.
pub(super) fn identity(connection: &Connection) -> Result<Identity, Fault> {
    Ok(Identity {
        installation: parsed(connection, "installation", |text| {
            text.parse().map_err(|error| format!("{error}"))
        })?,
        created_at: parsed(connection, "created_at", parse_instant)?,
    })
}

/// The same, and of which kind of endpoint.
pub(super) fn read(connection: &Connection) -> Result<(Identity, EndpointKind), Fault> {
    let identity = identity(connection)?;
    let kind = parsed(connection, "endpoint_kind", |text| {
        EndpointKind::ALL
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or_else(|| format!("got {text:?}, wanted aws, sandbox or other"))
    })?;
    Ok((identity, kind))
}

/// When records were first found to be lost, as long as nobody has acknowledged that.
pub(super) fn rebuilt_at(connection: &Connection) -> Result<Option<DateTime<Utc>>, Fault> {
    parsed_if_any(connection, "rebuilt_at", parse_instant)
}

/// Notes that records were found to be lost; the first time counts.
pub(super) fn write_rebuilt(connection: &Connection, at: DateTime<Utc>) -> Result<(), Fault> {
    connection.execute(
        "INSERT INTO meta (key, value) VALUES ('rebuilt_at', ?1) ON CONFLICT DO NOTHING",
        [to_text(at)],
    )?;
    Ok(())
}

fn parsed<T>(
    connection: &Connection,
    key: &str,
    parse: impl FnOnce(&str) -> Result<T, String>,
) -> Result<T, Fault> {
    parsed_if_any(connection, key, parse)?.ok_or_else(|| Fault::damage(place(key), "missing"))
}

fn parsed_if_any<T>(
    connection: &Connection,
    key: &str,
    parse: impl FnOnce(&str) -> Result<T, String>,
) -> Result<Option<T>, Fault> {
    let select = "SELECT value FROM meta WHERE key = ?1";
    let text: Option<String> = connection
        .query_row(select, [key], |row| row.get(0))
        .optional()?;
    let value = text.map(|text| parse(&text)).transpose();
    value.map_err(|what| Fault::damage(place(key), what))
}

fn place(key: &str) -> String {
    format!("table meta, row {key}, column value")
}
