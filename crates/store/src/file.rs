//! The database file: where it lies, who may read it, whether it is sound.
//!
//! Owns: opening, creating and checking the file. Never reads a run, and never opens the file but through SQLite while
//! a connection of this process may have it: to close it again would undo the locks of all of them
//! (sqlite.org/howtocorrupt.html, section 2.2).

use std::ffi::OsStr;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};

use super::error::{Fault, StoreError};
use super::image;
use super::schema::latest_version;
use super::shared::{self, Fence, Pushed, Replica, Server};
use redkeep_serve::safe_file::{self, Refused, beside, directory_of, refused};

/// Before this version a WAL reset can corrupt a database (sqlite.org/wal.html, "The WAL-Reset Bug").
const OLDEST_SQLITE: i32 = 3_051_003;

/// How long to wait for somebody else's lock: a person's sqlite3 shell, a backup program.
const BUSY_TIMEOUT: Duration = Duration::from_secs(1);

/// How long to wait for those who read, before the log is begun anew.
const LOG_TIMEOUT: Duration = Duration::from_millis(200);

/// The log is shortened when it has grown by so much.
pub(super) const LOG_STEP: u64 = 16 << 20;

/// So often something is written anew because others have changed a shared history meanwhile.
const MOST_TRIES: u32 = 50;

/// The smallest page. What is shorter and not empty is no database; SQLite would take it for an empty one.
const SMALLEST: u64 = 512;

/// The largest history of which a command makes a copy in memory, to read it where there is no other way: with it the
/// command takes twice as much.
const LARGEST_IMAGE: u64 = 128 << 20;

/// So much of the history a command keeps in memory, in KiB below zero (sqlite.org/pragma.html): one that asks for each
/// of thousands of pairs comes by the same pages again and again.
const COMMAND_CACHE: i32 = -(32 << 10);

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

    /// Opens the local copy of a history that is shared, or makes it; one that is damaged is made anew: the server has all.
    pub(super) fn open_replica(
        path: &Path,
        server: Server,
        fence: Fence,
    ) -> Result<Self, StoreError> {
        let open = || Self::open_and(path, Check::LargeBeside);
        // One of another version would lack what others have written in columns that it does not know.
        if let Err(StoreError::OlderSchema { .. } | StoreError::NewerSchema { .. }) =
            Self::open_read_only(path)
        {
            Self::remove(path)?;
        }
        let mut file = match open() {
            Err(error) if error.is_damage() => {
                Self::remove(path)?;
                open()?
            }
            opened => opened?,
        };
        let begun = Replica::new(&file.connection, server, fence).and_then(|replica| {
            // What is lost with this machine's power is fetched again.
            file.connection
                .pragma_update(None, "synchronous", "NORMAL")?;
            Ok(replica)
        });
        file.replica = Some(begun.map_err(|fault| fault.at(path))?);
        Ok(file)
    }

    /// Makes the server's tables, or brings them up to date.
    pub(super) fn prepare_server(&self) -> Result<(), StoreError> {
        let prepare = |replica: &Replica| replica.prepare(latest_version());
        let prepared = self.replica.as_ref().map_or(Ok(()), prepare);
        prepared.map_err(|fault| fault.at(&self.path))
    }

    /// Takes in what others have changed on the server; whether anything was.
    pub(super) fn catch_up(&mut self) -> Result<bool, StoreError> {
        let Self {
            replica,
            connection,
            path,
            ..
        } = self;
        let pull = |replica: &Replica| replica.pull(connection);
        let pulled = replica.as_ref().map_or(Ok(false), pull);
        let is_new = pulled.map_err(|fault| fault.at(path))?;
        self.has_news |= is_new;
        Ok(is_new)
    }

    /// Whether something of others was taken in since this was asked last, also by a commit that was behind.
    pub(super) fn take_news(&mut self) -> bool {
        std::mem::take(&mut self.has_news)
    }

    /// Whether the server has lost a change that this copy had.
    pub(super) fn has_lost(&self) -> bool {
        self.replica.is_some() && shared::has_lost(&self.connection)
    }

    /// Has the server forget what every living copy has long taken in.
    pub(super) fn forget_old_changes(&self) -> Result<(), StoreError> {
        let forget = |replica: &Replica| replica.forget_old_changes();
        let forgotten = self.replica.as_ref().map_or(Ok(()), forget);
        forgotten.map_err(|fault| fault.at(&self.path))
    }

    /// Whether the server has seen other changes than this copy.
    pub(super) fn is_behind(&self, changes: i64) -> bool {
        let known = shared::change(&self.connection);
        self.replica.is_some() && known.is_none_or(|known| known != changes)
    }

    /// Writes what `work` changes, all of it or nothing. It is done again where others have changed a shared history
    /// meanwhile.
    pub(super) fn write<T>(
        &mut self,
        mut work: impl FnMut(&Transaction<'_>) -> Result<T, Fault>,
    ) -> Result<T, StoreError> {
        self.check_in_place()?;
        for _ in 0..MOST_TRIES {
            let written = self.try_write(&mut work);
            match written.map_err(|fault| fault.at(&self.path))? {
                Some(value) => return Ok(value),
                None => self.catch_up()?,
            };
        }
        let why = format!("others changed the history before each of {MOST_TRIES} tries");
        Err(StoreError::Unreachable { why })
    }

    /// `None` where nothing was written, because the copy is behind.
    fn try_write<T>(
        &mut self,
        work: &mut impl FnMut(&Transaction<'_>) -> Result<T, Fault>,
    ) -> Result<Option<T>, Fault> {
        // Immediate: waits for a lock at the beginning, where waiting is safe.
        let immediate = TransactionBehavior::Immediate;
        let transaction = self.connection.transaction_with_behavior(immediate)?;
        let value = work(&transaction)?;
        let push = |replica: &Replica| replica.push(&transaction);
        let pushed = self.replica.as_ref().map_or(Ok(Pushed::Done), push)?;
        if pushed == Pushed::Behind {
            return Ok(None);
        }
        transaction.commit()?;
        Ok(Some(value))
    }

    /// Removes the file with what SQLite keeps beside it.
    pub(super) fn remove(path: &Path) -> Result<(), StoreError> {
        for name in [""].iter().chain(&COMPANIONS) {
            safe_file::remove(&beside(path, name)).map_err(StoreError::file("remove", path))?;
        }
        Ok(())
    }

    /// Opens an existing history for reading where the storage takes no writing, not even SQLite's own file of locks.
    ///
    /// Without a log nobody else is writing it, and it is read as it lies. With one, SQLite keeps in memory what else
    /// it shares in that file, if there is such a file at all.
    pub(super) fn open_unwritable(path: &Path) -> Result<Self, StoreError> {
        match Self::open_read_only(path) {
            Err(error) if error.is_storage() => {
                let how = match beside(path, "-wal").exists() {
                    true => "readonly_shm=1",
                    false => "immutable=1",
                };
                let file = Self::connect_as(path, how)?;
                file.check_schema(false)?;
                Ok(file)
            }
            opened => opened,
        }
    }

    /// Opens an existing history for a command that reads: as above, and where even that fails for want of room, as its
    /// bytes lie on the disk, unless they are too many for the memory of a command.
    pub(super) fn open_for_command(path: &Path) -> Result<Self, StoreError> {
        let trouble = match Self::open_read_only(path) {
            Err(trouble @ StoreError::Storage { .. }) => trouble,
            opened => {
                let file = opened?;
                let kept = file
                    .connection
                    .pragma_update(None, "cache_size", COMMAND_CACHE);
                kept.map_err(|error| Fault::from(error).at(path))?;
                return Ok(file);
            }
        };
        let is_small = image::length(path) <= LARGEST_IMAGE;
        Self::open_unwritable(path)
            .or_else(|other| match is_small {
                true => Self::open_image(path),
                false => Err(other),
            })
            .map_err(|_| trouble)
    }

    /// The history as its bytes lie on the disk, brought up to date in memory, where SQLite cannot open it at all:
    /// there is no room for its file of locks, or somebody else holds it.
    ///
    /// No lock keeps others from writing meanwhile: what is not sound here says nothing of the file.
    pub(super) fn open_image(path: &Path) -> Result<Self, StoreError> {
        check_library(rusqlite::version_number())?;
        let identity = look(path)?;
        let connection = image::read(path)?;
        let connection = harden(connection).map_err(|error| Fault::from(error).at(path))?;
        let mut file = Self {
            path: path.to_owned(),
            connection,
            identity,
            is_checked: true,
            replica: None,
            has_news: false,
        };
        file.check_schema(true)?;
        file.check_sound().map_err(|fault| fault.at(path))?;
        file.migrate()?;
        Ok(file)
    }

    /// Opens an existing history of this version for reading.
    pub(super) fn open_read_only(path: &Path) -> Result<Self, StoreError> {
        Self::open_existing(path, OpenFlags::SQLITE_OPEN_READ_ONLY)
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

    /// A reading connection to whatever the file is.
    pub(super) fn connect_for_reading(path: &Path) -> Result<Self, StoreError> {
        Self::connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY)
    }

    fn connect(path: &Path, access: OpenFlags) -> Result<Self, StoreError> {
        Self::connect_by(path, without_links(path)?.as_os_str(), access)
    }

    /// A reading connection with a parameter of its own: "immutable", which takes no locks (sqlite.org/uri.html), or
    /// "readonly_shm", which writes into no file of locks (sqlite.org/walformat.html, "The WAL-Index").
    fn connect_as(path: &Path, how: &str) -> Result<Self, StoreError> {
        let resolved = without_links(path)?;
        let name = resolved.to_str().ok_or_else(|| not_text("read", path))?;
        let escaped = [('%', "%25"), ('?', "%3f"), ('#', "%23")]
            .into_iter()
            .fold(name.to_owned(), |name, (from, to)| name.replace(from, to));
        let name = format!("file:{escaped}?{how}");
        let access = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
        Self::connect_by(path, OsStr::new(&name), access)
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
