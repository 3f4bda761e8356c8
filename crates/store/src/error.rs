//! What can go wrong with the history, told so that an operator knows what to do.
//!
//! Owns: [`StoreError`] and how SQLite's codes become one; `words` has what each says. Never decides what follows: the daemon asks
//! [`StoreError::is_storage`] and keeps creating snapshots.

mod words;

use std::fmt::Display;
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;

use super::EndpointKind;
use redkeep_serve::safe_file::Refused;

/// Why the history could not be opened, read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// A command wants to read a history that was never begun.
    Missing {
        /// The file that was looked for.
        path: PathBuf,
    },
    /// The database file is a symbolic link, which somebody may have planted.
    Symlink {
        /// The link.
        path: PathBuf,
    },
    /// The file, or one that SQLite keeps beside it, is another's, or no file at all.
    Refused {
        /// What is refused.
        path: PathBuf,
        /// Why.
        why: Refused,
    },
    /// The file is something else than an SQLite database.
    NotADatabase {
        /// The file.
        path: PathBuf,
    },
    /// The file is another program's database.
    Foreign {
        /// The file.
        path: PathBuf,
        /// Its application_id.
        got: i32,
        /// redkeep's.
        wanted: i32,
    },
    /// The file is damaged, or somebody wrote into it what redkeep never writes.
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What is wrong, with table, row and column where that is known.
        what: String,
    },
    /// The history was begun against another kind of endpoint: no toy snapshot may count for a real one.
    OtherEndpoint {
        /// The file.
        path: PathBuf,
        /// The kind that it was begun with.
        got: EndpointKind,
        /// The kind that is configured.
        wanted: EndpointKind,
    },
    /// A newer redkeep wrote the file.
    NewerSchema {
        /// The file.
        path: PathBuf,
        /// Its version.
        got: i64,
        /// The newest version known here.
        wanted: i64,
    },
    /// A command met a file that only the daemon may bring up to date.
    OlderSchema {
        /// The file.
        path: PathBuf,
        /// Its version.
        got: i64,
        /// The version wanted.
        wanted: i64,
    },
    /// The SQLite library has the WAL-reset bug, which can corrupt a database.
    OldSqlite {
        /// The version that redkeep was linked with.
        got: String,
        /// The first good version.
        wanted: String,
    },
    /// The storage cannot have a log beside the file (sqlite.org/wal.html, "Disadvantages").
    NoLog {
        /// The file.
        path: PathBuf,
        /// The journal mode that SQLite fell back to.
        got: String,
    },
    /// The open file is no longer the one at its path, so what is written would be lost.
    Replaced {
        /// The path.
        path: PathBuf,
    },
    /// The history was lost and rebuilt, and the copies tell more than it does.
    Rebuilt {
        /// The history.
        path: PathBuf,
    },
    /// A new copy has fewer records than those that it would replace, or is another installation's.
    WorthLess {
        /// The copy that stays.
        path: PathBuf,
    },
    /// The history cannot be written now, and is kept in memory.
    Unwritable {
        /// The file.
        path: PathBuf,
    },
    /// Somebody holds the file for longer than a commit takes; it is sound.
    Locked {
        /// The file.
        path: PathBuf,
        /// SQLite's error.
        source: rusqlite::Error,
    },
    /// The disk is full, read-only or failing; the file itself may be sound.
    Storage {
        /// The file.
        path: PathBuf,
        /// SQLite's error.
        source: rusqlite::Error,
    },
    /// A file or directory could not be made, read or renamed.
    File {
        /// The verb.
        doing: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// Any other error of SQLite.
    Sqlite {
        /// The file.
        path: PathBuf,
        /// SQLite's error.
        source: rusqlite::Error,
    },
    /// The schema could not be brought up to date; the file still has the old one.
    Migration {
        /// The file.
        path: PathBuf,
        /// What failed.
        source: Box<rusqlite_migration::Error>,
    },
    /// The server of a shared history does not answer.
    Unreachable {
        /// Why.
        why: String,
    },
    /// The server of a shared history refuses a statement.
    Server {
        /// Its SQLSTATE.
        code: String,
        /// Its words.
        message: String,
    },
    /// The schema on the server is a newer redkeep's, and older ones may not write into it.
    ServerNewer {
        /// The oldest version that may.
        got: i64,
        /// The version known here.
        wanted: i64,
    },
    /// The tables of a shared history could not be brought up to date, because others use them.
    TablesInUse {
        /// The server's words.
        why: String,
    },
    /// An instance works on the shared history, which is to be moved.
    InUse {
        /// Its name.
        by: String,
    },
    /// A history is to be moved to where another one is.
    Occupied {
        /// Where.
        place: String,
    },
    /// The history was moved elsewhere.
    Moved {
        /// Where it was.
        place: String,
        /// Where it is.
        to: String,
    },
    /// What was moved is not what there was.
    NotMoved {
        /// The table that differs.
        table: String,
    },
    /// Another instance has taken the lease: what this one knows is old.
    LeaseLost,
    /// The system gave the store no thread.
    Thread(#[source] io::Error),
    /// The store was closed, or its thread has died.
    Closed,
}

impl StoreError {
    /// Whether the system does not let this user get there.
    pub fn is_forbidden(&self) -> bool {
        matches!(self, Self::File { source, .. } if source.kind() == io::ErrorKind::PermissionDenied)
    }

    /// Whether the storage is at fault (full, read-only, failing, locked, gone) and not what is in it.
    ///
    /// Creating goes on then, and nothing is deleted (docs/semantics.md section 4).
    pub fn is_storage(&self) -> bool {
        matches!(
            self,
            Self::Storage { .. }
                | Self::Locked { .. }
                | Self::Unwritable { .. }
                | Self::File { .. }
                | Self::Replaced { .. }
                | Self::NoLog { .. }
                | Self::Unreachable { .. }
                | Self::Server { .. }
                | Self::TablesInUse { .. }
                | Self::LeaseLost
        )
    }

    /// Whether it is no trouble that passes: what is there belongs to somebody else, or to another redkeep.
    pub(super) fn is_refusal(&self) -> bool {
        matches!(
            self,
            Self::Symlink { .. }
                | Self::Refused { .. }
                | Self::Foreign { .. }
                | Self::OtherEndpoint { .. }
                | Self::NewerSchema { .. }
                | Self::OldSqlite { .. }
                | Self::ServerNewer { .. }
                | Self::Moved { .. }
        )
    }

    /// Whether what is in the file is at fault, so that it cannot be used again.
    pub(super) fn is_damage(&self) -> bool {
        matches!(
            self,
            Self::Corrupt { .. } | Self::NotADatabase { .. } | Self::Sqlite { .. }
        )
    }

    /// An error of `std::fs` with the file that it is about.
    pub(super) fn file(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File {
            doing,
            path,
            source,
        }
    }
}

/// An error inside the store, before the file's path is put to it.
#[derive(Debug)]
pub(super) enum Fault {
    /// SQLite refused.
    Sqlite(rusqlite::Error),
    /// What is stored is not what redkeep stores.
    Damage(String),
    /// The server of a shared history is away.
    Away(String),
    /// It refuses a statement.
    Server { code: String, message: String },
    /// Others use its tables, which are to be changed.
    TablesInUse(String),
    /// Its schema is a newer redkeep's.
    ServerNewer { got: i64, wanted: i64 },
    /// Another instance has the lease.
    LeaseLost,
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl Fault {
    /// The server is away, and why.
    pub(super) fn away(why: String) -> Self {
        Self::Away(why)
    }

    /// A value that redkeep cannot have written; `place` names table, row and column.
    pub(super) fn damage(place: impl Display, what: impl Display) -> Self {
        Self::Damage(format!("{place}: {what}"))
    }

    /// The error as the store's callers see it.
    pub(super) fn at(self, path: &Path) -> StoreError {
        let path = path.to_owned();
        let source = match self {
            Self::Damage(what) => return StoreError::Corrupt { path, what },
            Self::Away(why) => return StoreError::Unreachable { why },
            Self::Server { code, message } => return StoreError::Server { code, message },
            Self::TablesInUse(why) => return StoreError::TablesInUse { why },
            Self::ServerNewer { got, wanted } => return StoreError::ServerNewer { got, wanted },
            Self::LeaseLost => return StoreError::LeaseLost,
            Self::Sqlite(error) => error,
        };
        match source.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => StoreError::NotADatabase { path },
            Some(ErrorCode::DatabaseCorrupt) => StoreError::Corrupt {
                path,
                what: source.to_string(),
            },
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                StoreError::Locked { path, source }
            }
            Some(code) if is_storage(code) => StoreError::Storage { path, source },
            _ => StoreError::Sqlite { path, source },
        }
    }
}

fn is_storage(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::DiskFull
            | ErrorCode::ReadOnly
            | ErrorCode::SystemIoFailure
            | ErrorCode::CannotOpen
            | ErrorCode::PermissionDenied
            | ErrorCode::FileLockingProtocolFailed
            | ErrorCode::OutOfMemory
    )
}
