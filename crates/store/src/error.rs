//! What can go wrong with the history, told so that an operator knows what to do.
//!
//! Owns: [`StoreError`] and how SQLite's codes become one. Never decides what follows: the daemon asks
//! [`StoreError::is_storage`] and keeps creating snapshots.

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
    #[error("there is no history at {path}; \"redkeep run\" begins it at its first start")]
    Missing {
        /// The file that was looked for.
        path: PathBuf,
    },
    /// The database file is a symbolic link, which somebody may have planted.
    #[error(
        "{path} is a symbolic link, wanted a file; put the file itself there, or set state_dir to its directory"
    )]
    Symlink {
        /// The link.
        path: PathBuf,
    },
    /// The file, or one that SQLite keeps beside it, is another's, or no file at all.
    #[error("{path} is not used: {why}; move it away")]
    Refused {
        /// What is refused.
        path: PathBuf,
        /// Why.
        why: Refused,
    },
    /// The file is something else than an SQLite database.
    #[error(
        "{path} is not an SQLite database; \"redkeep run\" moves it aside and begins a new history"
    )]
    NotADatabase {
        /// The file.
        path: PathBuf,
    },
    /// The file is another program's database.
    #[error(
        "{path} is another program's database (application_id {got:#010x}, wanted {wanted:#010x}); \
         set state_dir to another directory"
    )]
    Foreign {
        /// The file.
        path: PathBuf,
        /// Its application_id.
        got: i32,
        /// redkeep's.
        wanted: i32,
    },
    /// The file is damaged, or somebody wrote into it what redkeep never writes.
    #[error(
        "{path} is damaged: {what}; \"redkeep run\" moves it aside and rebuilds what the snapshots tell, or put \
         the daily copy in its place"
    )]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What is wrong, with table, row and column where that is known.
        what: String,
    },
    /// The history was begun against another kind of endpoint: no toy snapshot may count for a real one.
    #[error(
        "{path} is the history of endpoint kind \"{got}\", the configuration wants \"{wanted}\"; set state_dir to another directory"
    )]
    OtherEndpoint {
        /// The file.
        path: PathBuf,
        /// The kind that it was begun with.
        got: EndpointKind,
        /// The kind that is configured.
        wanted: EndpointKind,
    },
    /// A newer redkeep wrote the file.
    #[error(
        "{path} has schema version {got}, this redkeep knows up to {wanted}; run the newer redkeep that wrote it"
    )]
    NewerSchema {
        /// The file.
        path: PathBuf,
        /// Its version.
        got: i64,
        /// The newest version known here.
        wanted: i64,
    },
    /// A command met a file that only the daemon may bring up to date.
    #[error(
        "{path} has schema version {got}, wanted {wanted}; start \"redkeep run\" once, which migrates it"
    )]
    OlderSchema {
        /// The file.
        path: PathBuf,
        /// Its version.
        got: i64,
        /// The version wanted.
        wanted: i64,
    },
    /// The SQLite library has the WAL-reset bug, which can corrupt a database.
    #[error(
        "SQLite {got} can corrupt a database in WAL mode, wanted {wanted} or newer; build redkeep with the bundled SQLite"
    )]
    OldSqlite {
        /// The version that redkeep was linked with.
        got: String,
        /// The first good version.
        wanted: String,
    },
    /// The storage cannot have a log beside the file (sqlite.org/wal.html, "Disadvantages").
    #[error(
        "{path} cannot be used with a log (journal_mode {got:?}, wanted \"wal\"); set state_dir to a local disk"
    )]
    NoLog {
        /// The file.
        path: PathBuf,
        /// The journal mode that SQLite fell back to.
        got: String,
    },
    /// The open file is no longer the one at its path, so what is written would be lost.
    #[error("{path} was removed or replaced while it was open; restart redkeep")]
    Replaced {
        /// The path.
        path: PathBuf,
    },
    /// The history was lost and rebuilt, and the copies tell more than it does.
    #[error(
        "{path} was lost and rebuilt: no copy of it is made until `redkeep prune --acknowledge` says that this is known"
    )]
    Rebuilt {
        /// The history.
        path: PathBuf,
    },
    /// A new copy has fewer records than those that it would replace, or is another installation's.
    #[error(
        "{path} and the copy before it have more records than the history now, or another installation's; move them to          where you keep them, and a new copy is made"
    )]
    WorthLess {
        /// The copy that stays.
        path: PathBuf,
    },
    /// Somebody holds the file for longer than a commit takes; it is sound.
    #[error(
        "{path} is locked by another program: end it, be it a shell of sqlite3 with an open transaction or a program \
         that copies files"
    )]
    Locked {
        /// The file.
        path: PathBuf,
        /// SQLite's error.
        source: rusqlite::Error,
    },
    /// The disk is full, read-only or failing; the file itself may be sound.
    #[error(
        "cannot use {path} now; look at the free space, the mount and the permissions of its directory"
    )]
    Storage {
        /// The file.
        path: PathBuf,
        /// SQLite's error.
        source: rusqlite::Error,
    },
    /// A file or directory could not be made, read or renamed.
    #[error("cannot {doing} {path}")]
    File {
        /// The verb.
        doing: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// Any other error of SQLite.
    #[error("{path}: a statement failed")]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// SQLite's error.
        source: rusqlite::Error,
    },
    /// The schema could not be brought up to date; the file still has the old one.
    #[error("cannot migrate {path}")]
    Migration {
        /// The file.
        path: PathBuf,
        /// What failed.
        source: Box<rusqlite_migration::Error>,
    },
    /// The system gave the store no thread.
    #[error("cannot start a thread for the store")]
    Thread(#[source] io::Error),
    /// The store was closed, or its thread has died.
    #[error("the store is closed")]
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
                | Self::File { .. }
                | Self::Replaced { .. }
                | Self::NoLog { .. }
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
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl Fault {
    /// A value that redkeep cannot have written; `place` names table, row and column.
    pub(super) fn damage(place: impl Display, what: impl Display) -> Self {
        Self::Damage(format!("{place}: {what}"))
    }

    /// The error as the store's callers see it.
    pub(super) fn at(self, path: &Path) -> StoreError {
        let path = path.to_owned();
        let source = match self {
            Self::Damage(what) => return StoreError::Corrupt { path, what },
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
