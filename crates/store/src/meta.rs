//! Whose history it is.
//!
//! Owns: the table `meta`, the installation's id and the kind of endpoint that a history is bound to.
//! Never changes either once they are written.

use std::path::Path;
use std::{fmt, fs};

use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension, Transaction};

use super::cell::{parse_instant, to_text};
use super::error::{Fault, StoreError};
use super::file::File;
use redkeep_core::digest;
use redkeep_core::names::Writer;

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
pub struct Installation {
    /// Its id, the value of the tag `redkeep:writer`: 16 random hexadecimal digits, made once.
    pub installation: Writer,
    /// When the history was begun, in whole seconds.
    pub created_at: DateTime<Utc>,
}

/// What a new history begins with.
pub(super) struct NewDatabase {
    /// When.
    pub at: DateTime<Utc>,
    /// Whose, where that is known; else an id is made.
    pub installation: Option<Writer>,
    /// When its records were lost, if they were.
    pub rebuilt_at: Option<DateTime<Utc>>,
}

impl NewDatabase {
    /// The history of a new installation.
    pub(super) fn at(at: DateTime<Utc>) -> Self {
        Self {
            at,
            installation: None,
            rebuilt_at: None,
        }
    }
}

/// The identity that a history of this kind begins with, before there is a file.
pub(super) fn new_identity(begun: &NewDatabase) -> Result<Installation, Fault> {
    let made = |text: String| {
        text.parse()
            .map_err(|error| Fault::damage("a new id", error))
    };
    let installation = match &begun.installation {
        Some(installation) => installation.clone(),
        None => Connection::open_in_memory()?
            .query_row("SELECT lower(hex(randomblob(8)))", [], |row| row.get(0))
            .map_err(Fault::from)
            .and_then(made)?,
    };
    Ok(Installation {
        installation,
        created_at: begun.at,
    })
}

/// The id of an installation that has nowhere to keep one yet: the same at each start on this machine, so that the
/// snapshots of every such start are of the installation that the first file begins with. `None` where nothing tells
/// this machine from others; nobody may take another installation's snapshots for its own.
pub(super) fn provisional(path: &Path) -> Option<Writer> {
    let told = |file: &str| {
        let text = fs::read_to_string(file).ok()?;
        let text = text.trim().to_owned();
        (!text.is_empty()).then_some(text)
    };
    let machine = told("/etc/machine-id")?;
    let host = told("/proc/sys/kernel/hostname")?;
    let place = std::path::absolute(path).ok()?;
    let place = place.as_os_str().as_encoded_bytes();
    let parts = [
        b"redkeep installation",
        machine.as_bytes(),
        host.as_bytes(),
        place,
    ];
    digest::hex(&parts.join(&0), 16).parse().ok()
}

/// Refuses a history that was moved elsewhere: two with the same id could both delete.
pub(super) fn check_not_moved(file: &File) -> Result<(), StoreError> {
    let moved = parsed_if_any(&file.connection, "moved_to", |text| Ok(text.to_owned()));
    match moved.map_err(|fault| fault.at(&file.path))? {
        None => Ok(()),
        Some(to) => Err(StoreError::Moved {
            place: file.path.display().to_string(),
            to,
        }),
    }
}

/// Where the history in the file at `path` was moved to; `None` where it was not, or where that cannot be told.
pub fn moved_to(path: &Path) -> Option<String> {
    let file = File::open_read_only(path).ok()?;
    let moved = parsed_if_any(&file.connection, "moved_to", |text| Ok(text.to_owned()));
    moved.ok().flatten()
}

/// Notes that the history was moved to `place`.
pub(super) fn write_moved(connection: &Connection, place: &str) -> Result<(), Fault> {
    connection.execute(
        "INSERT INTO meta (key, value) VALUES ('moved_to', ?1)
         ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        [place],
    )?;
    Ok(())
}

/// Binds a new history to `kind` and to what it begins with, and refuses an old one that is bound to another.
pub(super) fn bind(
    file: &mut File,
    kind: EndpointKind,
    begun: &NewDatabase,
) -> Result<Installation, StoreError> {
    check_not_moved(file)?;
    file.write(|transaction| write(transaction, kind, begun))?;
    identify(file, kind)
}

/// Whose history it is; refuses one that is bound to another kind.
pub(super) fn identify(file: &File, kind: EndpointKind) -> Result<Installation, StoreError> {
    let path = file.path.clone();
    let (identity, got) = read(&file.connection).map_err(|fault| fault.at(&path))?;
    if got != kind {
        return Err(StoreError::OtherEndpoint {
            path,
            got,
            wanted: kind,
        });
    }
    Ok(identity)
}

fn write(
    transaction: &Transaction<'_>,
    kind: EndpointKind,
    begun: &NewDatabase,
) -> Result<(), Fault> {
    let identity = new_identity(begun)?;
    let added = transaction.execute(
        "INSERT INTO meta (key, value) VALUES
             ('installation', ?1), ('created_at', ?2), ('endpoint_kind', ?3)
         ON CONFLICT DO NOTHING",
        [
            identity.installation.as_str(),
            &to_text(begun.at),
            kind.as_str(),
        ],
    )?;
    if let (3, Some(at)) = (added, begun.rebuilt_at) {
        write_rebuilt(transaction, at)?;
    }
    Ok(())
}

/// Whose history it is, as the file says.
pub(super) fn identity(connection: &Connection) -> Result<Installation, Fault> {
    Ok(Installation {
        installation: parsed(connection, "installation", |text| {
            text.parse().map_err(|error| format!("{error}"))
        })?,
        created_at: parsed(connection, "created_at", parse_instant)?,
    })
}

/// The same, and of which kind of endpoint.
pub(super) fn read(connection: &Connection) -> Result<(Installation, EndpointKind), Fault> {
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

/// From when on every slot that has ended is in the history; `None` where none has left it.
pub(super) fn complete_from(connection: &Connection) -> Result<Option<DateTime<Utc>>, Fault> {
    parsed_if_any(connection, "complete_from", parse_instant)
}

/// Notes that slots before `instant` leave the history; the latest such instant counts.
pub(super) fn write_complete_from(connection: &Connection, instant: &str) -> Result<(), Fault> {
    connection.execute(
        "INSERT INTO meta (key, value) VALUES ('complete_from', ?1)
         ON CONFLICT DO UPDATE SET value = max(value, excluded.value)",
        [instant],
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
