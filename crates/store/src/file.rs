//! The database file: where it lies, who may read it, whether it is sound.
//!
//! Owns: opening, creating and checking the file. Never reads a run, and never opens the file but through SQLite while
//! a connection of this process may have it: to close it again would undo the locks of all of them
//! (sqlite.org/howtocorrupt.html, section 2.2).

mod reading;
mod replica;

use std::ffi::OsStr;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::error::{Fault, StoreError};
use super::image;
use super::shared::Replica;
use redkeep_serve::safe_file::{self, Refused, beside, directory_of, refused};

/// Before this version a WAL reset can corrupt a database (sqlite.org/wal.html, "The WAL-Reset Bug").
const OLDEST_SQLITE: i32 = 3_051_003;

/// How long to wait for somebody else's lock: a person's sqlite3 shell, a backup program.
const BUSY_TIMEOUT: Duration = Duration::from_secs(1);

/// How long to wait for those who read, before the log is begun anew.
const LOG_TIMEOUT: Duration = Duration::from_millis(200);

/// The log is shortened when it has grown by so much.
pub(super) const LOG_STEP: u64 = 16 << 20;

/// The smallest page. What is shorter and not empty is no database; SQLite would take it for an empty one.
const SMALLEST: u64 = 512;

/// What SQLite keeps beside a database.
const COMPANIONS: [&str; 3] = ["-wal", "-shm", "-journal"];

/// An open database, with the path that its errors name.
pub(super) struct File {
    /// The path as the caller gave it.
    pub(super) path: PathBuf,
    /// The one connection of this handle.
    pub(super) connection: Connection,
    /// Device and inode.
    identity: (u64, u64),
    /// Whether all of it was looked at when it was opened.
    pub(super) is_checked: bool,
    /// The server of which this file is a copy; `None` where the file is the history itself.
    pub(super) replica: Option<Replica>,
    /// Whether something of others was taken in since that was asked last.
    has_news: bool,
}

/// When a history that is opened for writing is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Check {
    /// Before anything else, however long that takes: about a second for each gigabyte.
    First,
    /// The same where it is small or of an older version; else it is opened unchecked, and [`super::Store::check`] is to
    /// follow.
    LargeBeside,
}

/// A larger history is opened before it is checked: this much takes a tenth of a second.
const SMALL: u64 = 128 << 20;

impl File {
    /// Opens the history for writing, and checks all of it; makes and migrates it where needed.
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        Self::open_and(path, Check::First)
    }

    /// The same, checked when `check` says.
    pub(super) fn open_and(path: &Path, check: Check) -> Result<Self, StoreError> {
        check_library(rusqlite::version_number())?;
        make_directory(path)?;
        if !exists(path)? {
            create_private(path)?;
        }
        let mut file = Self::connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        file.check_schema(true)?;
        file.is_checked =
            check == Check::First || image::length(path) <= SMALL || !file.is_current();
        if file.is_checked {
            file.check_sound().map_err(|fault| fault.at(path))?;
        }
        file.set_durable()?;
        file.migrate()?;
        // Not before: a damaged file is set aside as it is, with its log.
        file.checkpoint_on_close(true)
            .map_err(|fault| fault.at(path))?;
        Ok(file)
    }

    /// Removes the file with what SQLite keeps beside it.
    pub(super) fn remove(path: &Path) -> Result<(), StoreError> {
        for name in [""].iter().chain(&COMPANIONS) {
            safe_file::remove(&beside(path, name)).map_err(StoreError::file("remove", path))?;
        }
        Ok(())
    }

    /// Opens an existing history of this version for writing beside its owner.
    pub(super) fn open_beside(path: &Path) -> Result<Self, StoreError> {
        let file = Self::open_existing(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        file.set_durable()?;
        file.checkpoint_on_close(true)
            .map_err(|fault| fault.at(path))?;
        Ok(file)
    }

    fn open_existing(path: &Path, access: OpenFlags) -> Result<Self, StoreError> {
        check_library(rusqlite::version_number())?;
        if !exists(path)? {
            return Err(StoreError::Missing {
                path: path.to_owned(),
            });
        }
        let file = Self::connect(path, access)?;
        file.check_schema(false)?;
        Ok(file)
    }

    fn connect(path: &Path, access: OpenFlags) -> Result<Self, StoreError> {
        Self::connect_by(path, without_links(path)?.as_os_str(), access)
    }

    fn connect_by(path: &Path, name: &OsStr, access: OpenFlags) -> Result<Self, StoreError> {
        let identity = look(path)?;
        let flags = access | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
        let connection = Connection::open_with_flags(name, flags)
            .and_then(harden)
            .map_err(|error| Fault::from(error).at(path))?;
        let file = Self {
            path: path.to_owned(),
            connection,
            identity,
            is_checked: false,
            replica: None,
            has_news: false,
        };
        file.checkpoint_on_close(false)
            .map_err(|fault| fault.at(path))?;
        Ok(file)
    }

    fn checkpoint_on_close(&self, does: bool) -> Result<(), Fault> {
        let setting = DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE;
        self.connection.set_db_config(setting, !does)?;
        Ok(())
    }

    /// A commit is on the disk when it returns.
    fn set_durable(&self) -> Result<(), StoreError> {
        let wal = "PRAGMA journal_mode = WAL";
        let mode: rusqlite::Result<String> = self.connection.query_row(wal, [], |row| row.get(0));
        let mode = mode.map_err(|error| Fault::from(error).at(&self.path))?;
        if mode != "wal" {
            let path = self.path.clone();
            return Err(StoreError::NoLog { path, got: mode });
        }
        self.set_synchronous().map_err(|fault| fault.at(&self.path))
    }

    fn set_synchronous(&self) -> Result<(), Fault> {
        self.connection.pragma_update(None, "synchronous", "FULL")?;
        // A backup that holds the log open must not leave it at its largest for ever: 64 MiB.
        self.connection
            .pragma_update(None, "journal_size_limit", 64 << 20)?;
        Ok(())
    }

    /// SQLite's own check of all pages and constraints.
    pub(super) fn check_sound(&self) -> Result<(), Fault> {
        let first: String = self
            .connection
            .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        if first == "ok" {
            return Ok(());
        }
        Err(Fault::damage("quick_check", first))
    }

    /// Refuses to write into a file that nobody will find again.
    pub(super) fn check_in_place(&self) -> Result<(), StoreError> {
        match inode(&self.path) {
            Ok(identity) if identity == self.identity => Ok(()),
            _ => Err(StoreError::Replaced {
                path: self.path.clone(),
            }),
        }
    }

    /// Moves the log into the file where the log has become `limit` bytes long, and waits a moment for those who read it:
    /// while readers follow each other without a gap, SQLite by itself never begins the log anew. The next limit.
    pub(super) fn shorten_log(&self, limit: u64) -> u64 {
        let log = beside(&self.path, "-wal");
        if image::length(&log) < limit {
            return limit;
        }
        let shorten = || -> rusqlite::Result<()> {
            self.connection.busy_timeout(LOG_TIMEOUT)?;
            self.truncate_log()
        };
        // The commit is safe in the log; what is wrong with the storage the next commit tells.
        let _ = shorten();
        let _ = self.connection.busy_timeout(BUSY_TIMEOUT);
        image::length(&log) + LOG_STEP
    }

    /// Moves the log into the file, and empties it unless somebody reads: then the answer's row says "busy".
    fn truncate_log(&self) -> rusqlite::Result<()> {
        let checkpoint = "PRAGMA wal_checkpoint(TRUNCATE)";
        self.connection.query_row(checkpoint, [], |_| Ok(()))
    }

    /// Lets go of the file as it is: its log stays beside it.
    pub(super) fn abandon(self) {
        // What is wrong with it is known.
        let _ = self.checkpoint_on_close(false);
    }

    /// Moves the log into the file and closes it.
    pub(super) fn close(self) -> Result<(), StoreError> {
        // While somebody reads, closing leaves the log to the next opening.
        let checkpoint = self.truncate_log();
        let closed = self.connection.close().map_err(|(_, error)| error);
        checkpoint
            .and(closed)
            .map_err(|error| Fault::from(error).at(&self.path))
    }
}

/// Makes a crafted database file harmless: its schema may not call anything that acts outside it.
fn harden(connection: Connection) -> rusqlite::Result<Connection> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    connection.pragma_update(None, "foreign_keys", true)?;
    Ok(connection)
}

fn check_library(version: i32) -> Result<(), StoreError> {
    if version >= OLDEST_SQLITE {
        return Ok(());
    }
    let dotted = |n: i32| format!("{}.{}.{}", n / 1_000_000, n / 1_000 % 1_000, n % 1_000);
    Err(StoreError::OldSqlite {
        got: dotted(version),
        wanted: dotted(OLDEST_SQLITE),
    })
}

/// What is missing of the directories is made for this user alone; what is there stays as it is.
fn make_directory(path: &Path) -> Result<(), StoreError> {
    let directory = directory_of(path);
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(StoreError::file("create directory", directory))
}

/// Whether the file is there; what cannot be a history of ours is refused.
pub(super) fn exists(path: &Path) -> Result<bool, StoreError> {
    match safe_file::look(path) {
        Ok(found) => Ok(found.is_some()),
        Err(error) => Err(unusable(path, "look at", error)),
    }
}

/// Device and inode of the file that SQLite is about to open, where it and what lies beside it can be trusted.
fn look(path: &Path) -> Result<(u64, u64), StoreError> {
    for end in COMPANIONS {
        let companion = beside(path, end);
        if let Err(error) = safe_file::look(&companion) {
            return Err(match refused(&error) {
                Some(why) => StoreError::Refused {
                    path: companion,
                    why,
                },
                None => StoreError::file("look at", &companion)(error),
            });
        }
    }
    let found = safe_file::look(path).map_err(|error| unusable(path, "look at", error))?;
    match found {
        Some(found) if (1..SMALLEST).contains(&found.len()) => Err(StoreError::NotADatabase {
            path: path.to_owned(),
        }),
        Some(found) => Ok((found.dev(), found.ino())),
        None => {
            let error = io::ErrorKind::NotFound.into();
            Err(StoreError::file("look at", path)(error))
        }
    }
}

/// An error of [`safe_file`] about the history itself.
pub(super) fn unusable(path: &Path, doing: &'static str, error: io::Error) -> StoreError {
    let (why, path) = (refused(&error), path.to_owned());
    match why {
        Some(Refused::Link) => StoreError::Symlink { path },
        Some(Refused::NotAFile) => StoreError::NotADatabase { path },
        Some(why) => StoreError::Refused { path, why },
        None => StoreError::file(doing, &path)(error),
    }
}

/// An empty file, which SQLite takes for an empty database; its log inherits the mode.
pub(super) fn create_private(path: &Path) -> Result<fs::File, StoreError> {
    safe_file::make(path, 0o600).map_err(StoreError::file("create", path))
}

/// The path with its directory resolved: NOFOLLOW refuses a link anywhere in the path, and systemd's
/// DynamicUser makes /var/lib/redkeep one.
fn without_links(path: &Path) -> Result<PathBuf, StoreError> {
    let directory = directory_of(path);
    let resolved =
        fs::canonicalize(directory).map_err(StoreError::file("look at directory", directory))?;
    Ok(path
        .file_name()
        .map_or(resolved.clone(), |name| resolved.join(name)))
}

/// The error about a path that SQLite cannot be given as a text.
pub(super) fn not_text(doing: &'static str, path: &Path) -> StoreError {
    let error = io::Error::new(io::ErrorKind::InvalidInput, "the path is not UTF-8");
    StoreError::file(doing, path)(error)
}

/// Has what became of the names beside `path` on the disk when it returns.
pub(super) fn sync_directory(path: &Path) -> Result<(), StoreError> {
    safe_file::sync_directory(path).map_err(StoreError::file("flush", directory_of(path)))
}

pub(super) fn inode(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|metadata| (metadata.dev(), metadata.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_sqlite_with_the_wal_reset_bug_is_refused_with_both_versions() {
        let error = check_library(3_051_002).unwrap_err().to_string();
        assert!(
            error.starts_with("SQLite 3.51.2 ") && error.contains("wanted 3.51.3"),
            "{error}"
        );
        check_library(OLDEST_SQLITE).unwrap();
        check_library(rusqlite::version_number()).unwrap();
    }

    #[test]
    fn a_bare_file_name_lies_in_the_working_directory() {
        assert_eq!(directory_of(Path::new("history.db")), Path::new("."));
        assert_eq!(directory_of(Path::new("/a/history.db")), Path::new("/a"));
    }
}
