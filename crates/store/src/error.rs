//! What can go wrong with the history, told so that an operator knows what to do.
//!
//! Owns: [`StoreError`] and how SQLite's codes become one. Never decides what follows: the daemon asks
//! [`StoreError::is_storage`] and keeps creating snapshots.

use std::fmt::{self, Display};
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

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.problem())?;
        match self.hint() {
            Some(hint) => write!(f, "; {hint}"),
            None => Ok(()),
        }
    }
}

impl StoreError {
    /// What is wrong, without what to do about it and without its cause.
    pub fn problem(&self) -> String {
        match self {
            Self::Missing { path } => format!("there is no history at {}", path.display()),
            Self::Symlink { path } => {
                format!("{} is a symbolic link, wanted a file", path.display())
            }
            Self::Refused { path, why } => {
                format!("redkeep does not use {}: {why}", path.display())
            }
            Self::NotADatabase { path } => format!("{} is not an SQLite database", path.display()),
            Self::Foreign { path, got, wanted } => format!(
                "{} is another program's database (application_id {got:#010x}, wanted {wanted:#010x})",
                path.display()
            ),
            Self::Corrupt { path, what } => format!("{} is damaged: {what}", path.display()),
            Self::OtherEndpoint { path, got, wanted } => format!(
                "{} is the history of endpoint kind \"{got}\", the configuration wants \"{wanted}\"",
                path.display()
            ),
            Self::NewerSchema { path, got, wanted } => format!(
                "{} has schema version {got}, this redkeep knows up to {wanted}",
                path.display()
            ),
            Self::OlderSchema { path, got, wanted } => format!(
                "{} has schema version {got}, wanted {wanted}",
                path.display()
            ),
            Self::OldSqlite { got, wanted } => {
                format!("SQLite {got} can corrupt a database in WAL mode, wanted {wanted} or newer")
            }
            Self::NoLog { path, got } => format!(
                "{} cannot be used with a log (journal_mode {got:?}, wanted \"wal\")",
                path.display()
            ),
            Self::Replaced { path } => format!(
                "{} was removed or replaced while it was open",
                path.display()
            ),
            Self::Rebuilt { path } => format!(
                "{} was lost and rebuilt: redkeep makes no copy of it until somebody runs `redkeep prune \
                 --acknowledge`",
                path.display()
            ),
            Self::WorthLess { path } => format!(
                "{} and the copy before it have more records than the history now, or another installation's",
                path.display()
            ),
            Self::Locked { path, .. } => {
                format!("{} is locked by another program", path.display())
            }
            Self::Unwritable { path } => format!("{} cannot be written now", path.display()),
            Self::Storage { path, .. } => format!("cannot use {} now", path.display()),
            Self::File { doing, path, .. } => format!("cannot {doing} {}", path.display()),
            Self::Sqlite { path, .. } => format!("{}: a statement failed", path.display()),
            Self::Migration { path, .. } => format!("cannot migrate {}", path.display()),
            Self::Thread(_) => "cannot start a thread for the store".to_owned(),
            Self::Closed => "the store is closed".to_owned(),
            shared => shared.problem_of_shared(),
        }
    }

    /// The same of a history that is shared.
    fn problem_of_shared(&self) -> String {
        match self {
            Self::Unreachable { why } => format!("the database server cannot be used now: {why}"),
            Self::Server { code, message } => {
                format!("the database server refuses a statement: {message} (SQLSTATE {code})")
            }
            Self::ServerNewer { got, wanted } => format!(
                "the shared history wants schema version {got} or newer, this redkeep knows up to {wanted}"
            ),
            Self::InUse { by } => format!("{by} works on the shared history"),
            Self::Occupied { place } => format!("{place} has a history already"),
            Self::Moved { place, to } => {
                format!("the history in {place} was moved to {to}")
            }
            Self::NotMoved { table } => {
                format!(
                    "the table {table} is not the same on both sides; the history that was there before is unchanged"
                )
            }
            Self::LeaseLost => "another instance has taken over".to_owned(),
            own => format!("{own:?}"),
        }
    }

    /// What an operator can do about it, where that is known.
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::Missing { .. } => "`redkeep run` creates it at its first start",
            Self::Symlink { .. } => "put the file itself there, or set state_dir to its directory",
            Self::Refused { .. } => "move it away",
            Self::NotADatabase { .. } => "`redkeep run` moves it aside and creates a new history",
            Self::Foreign { .. } | Self::OtherEndpoint { .. } => {
                "set state_dir to another directory"
            }
            Self::Corrupt { .. } => {
                "`redkeep run` moves it aside and rebuilds the records from the snapshots; or put the daily copy in \
                 its place"
            }
            Self::Unreachable { .. } => {
                "check the server and the table [database]; `redkeep doctor` says more"
            }
            Self::InUse { .. } => "stop all instances first",
            Self::Occupied { .. } => "it is another installation's; choose another place",
            Self::Moved { .. } => {
                "change the table [database] of the policy file, or move it back by `redkeep migrate`"
            }
            Self::Server { .. } => {
                "the role must own the schema, or have the right to create it and everything in it"
            }
            Self::NewerSchema { .. } | Self::ServerNewer { .. } => {
                "run the newer redkeep that wrote it"
            }
            Self::OlderSchema { .. } => "start `redkeep run` once, which migrates it",
            Self::OldSqlite { .. } => "build redkeep with the bundled SQLite",
            Self::NoLog { .. } => "set state_dir to a local disk",
            Self::Replaced { .. } => "restart redkeep",
            Self::WorthLess { .. } => {
                "move both copies to a safe place; then redkeep makes a new one"
            }
            Self::Locked { .. } => {
                "end that program, such as an sqlite3 shell with an open transaction or a program that copies files"
            }
            Self::Storage { .. } | Self::Unwritable { .. } => {
                "check the free space, the mount and the permissions of its directory"
            }
            Self::Rebuilt { .. }
            | Self::File { .. }
            | Self::Sqlite { .. }
            | Self::Migration { .. }
            | Self::LeaseLost
            | Self::NotMoved { .. }
            | Self::Thread(_)
            | Self::Closed => return None,
        })
    }

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
