//! The database file: where it lies, who may read it, whether it is ours and sound.
//!
//! Owns: opening, creating, checking and migrating the file. Never reads a run: what cannot be trusted is
//! refused here, so that `read` and `write` meet only a file of redkeep's own version.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, lchown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use include_dir::{Dir, include_dir};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use rusqlite_migration::Migrations;
use rustix::process::geteuid;

use super::aside::with;
use super::error::{Fault, StoreError};

static MIGRATIONS: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/migrations");

/// 'redk' in ASCII; `migrations/01-init` sets it.
pub(super) const APPLICATION_ID: i32 = 0x7265_646b;

/// Before this version a WAL reset can corrupt a database (sqlite.org/wal.html, "The WAL-Reset Bug").
const OLDEST_SQLITE: i32 = 3_051_003;

/// How long to wait for somebody else's lock: a person's sqlite3 shell, a backup program.
const BUSY_TIMEOUT: Duration = Duration::from_secs(1);

/// The first 16 bytes of every SQLite database ("Database File Format", section 1.3.1).
const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// An open database, with the path that its errors name.
pub(super) struct File {
    /// The path as the caller gave it.
    pub(super) path: PathBuf,
    /// The one connection of this handle.
    pub(super) connection: Connection,
    /// Device and inode.
    identity: (u64, u64),
}

impl File {
    /// Opens the history for writing; makes and migrates it where needed.
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        check_library(rusqlite::version_number())?;
        make_directory(path)?;
        if !exists(path)? {
            create_private(path)?;
        }
        let mut file = Self::connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        file.check_schema(true)?;
        file.check_sound().map_err(|fault| fault.at(path))?;
        file.set_durable()?;
        file.migrate()?;
        // Not before: a damaged file is set aside as it is, with its log.
        file.checkpoint_on_close(true)
            .map_err(|fault| fault.at(path))?;
        Ok(file)
    }

    /// Opens an existing history on a storage that takes no writing, not even SQLite's own file of locks: then
    /// nobody else can be writing it either, and if it has no log, it is read as it lies.
    pub(super) fn open_unwritable(path: &Path) -> Result<Self, StoreError> {
        match Self::open_read_only(path) {
            Err(error) if error.is_storage() && !with(path, "-wal").exists() => {
                let file = Self::connect_as_it_lies(path)?;
                file.check_schema(false)?;
                Ok(file)
            }
            opened => opened,
        }
    }

    /// Opens an existing history of this version for reading.
    pub(super) fn open_read_only(path: &Path) -> Result<Self, StoreError> {
        check_library(rusqlite::version_number())?;
        if !exists(path)? {
            return Err(StoreError::Missing {
                path: path.to_owned(),
            });
        }
        let file = Self::connect_for_reading(path)?;
        file.check_schema(false)?;
        Ok(file)
    }

    /// Opens an existing history of this version for writing beside its owner.
    pub(super) fn open_beside(path: &Path) -> Result<Self, StoreError> {
        check_library(rusqlite::version_number())?;
        if !exists(path)? {
            return Err(StoreError::Missing {
                path: path.to_owned(),
            });
        }
        let file = Self::connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        file.check_schema(false)?;
        file.set_durable()?;
        file.checkpoint_on_close(true)
            .map_err(|fault| fault.at(path))?;
        Ok(file)
    }

    /// A reading connection to whatever the file is.
    pub(super) fn connect_for_reading(path: &Path) -> Result<Self, StoreError> {
        Self::connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY)
    }

    fn connect(path: &Path, access: OpenFlags) -> Result<Self, StoreError> {
        Self::connect_by(path, without_links(path)?.as_os_str(), access)
    }

    /// A reading connection that takes no locks ("immutable" in sqlite.org/uri.html).
    fn connect_as_it_lies(path: &Path) -> Result<Self, StoreError> {
        let resolved = without_links(path)?;
        let name = resolved.to_str().ok_or_else(|| not_text("read", path))?;
        let escaped = [('%', "%25"), ('?', "%3f"), ('#', "%23")]
            .into_iter()
            .fold(name.to_owned(), |name, (from, to)| name.replace(from, to));
        let name = format!("file:{escaped}?immutable=1");
        let access = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
        Self::connect_by(path, OsStr::new(&name), access)
    }

    fn connect_by(path: &Path, name: &OsStr, access: OpenFlags) -> Result<Self, StoreError> {
        check_magic(path)?;
        let identity = inode(path).map_err(StoreError::file("look at", path))?;
        let flags = access | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
        let connection = Connection::open_with_flags(name, flags)
            .and_then(harden)
            .map_err(|error| Fault::from(error).at(path))?;
        let file = Self {
            path: path.to_owned(),
            connection,
            identity,
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

    /// Refuses other programs' files and versions that are not known here, before anything is written.
    fn check_schema(&self, may_migrate: bool) -> Result<(), StoreError> {
        let path = self.path.clone();
        let [application_id, version, tables] = self.marks().map_err(|fault| fault.at(&path))?;
        let wanted = latest_version();
        let is_new = [application_id, version, tables] == [0, 0, 0];
        if is_new && !may_migrate {
            Err(StoreError::Missing { path })
        } else if !is_new && application_id != i64::from(APPLICATION_ID) && self.has_our_tables() {
            let what = format!("its application_id is {application_id:#010x}");
            Err(StoreError::Corrupt { path, what })
        } else if !is_new && application_id != i64::from(APPLICATION_ID) {
            let got = i32::try_from(application_id).unwrap_or_default();
            Err(StoreError::Foreign {
                path,
                got,
                wanted: APPLICATION_ID,
            })
        } else if version > wanted {
            Err(StoreError::NewerSchema {
                path,
                got: version,
                wanted,
            })
        } else if version < wanted && !may_migrate {
            Err(StoreError::OlderSchema {
                path,
                got: version,
                wanted,
            })
        } else {
            Ok(())
        }
    }

    /// `application_id`, `user_version` and the number of objects in the schema.
    pub(super) fn marks(&self) -> Result<[i64; 3], Fault> {
        let one = |sql| self.connection.query_row(sql, [], |row| row.get(0));
        Ok([
            one("PRAGMA application_id")?,
            one("PRAGMA user_version")?,
            one("SELECT count(*) FROM sqlite_schema")?,
        ])
    }

    /// Whether the tables are ours, whatever the header says.
    fn has_our_tables(&self) -> bool {
        let count = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name IN ('meta', 'pairs', 'runs')";
        let found = self.connection.query_row(count, [], |row| row.get(0));
        found == Ok(3)
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

    /// Each migration is one transaction together with its version: old or new, never mixed.
    fn migrate(&mut self) -> Result<(), StoreError> {
        migrations()
            .and_then(|migrations| migrations.to_latest(&mut self.connection))
            .map_err(|error| match error {
                rusqlite_migration::Error::RusqliteError { err, .. } => {
                    Fault::from(err).at(&self.path)
                }
                other => StoreError::Migration {
                    path: self.path.clone(),
                    source: Box::new(other),
                },
            })
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

    /// Moves the log into the file and closes it.
    pub(super) fn close(self) -> Result<(), StoreError> {
        // The answer's row says "busy" while somebody reads; closing then leaves the log to the next opening.
        let checkpoint = self
            .connection
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
        let closed = self.connection.close().map_err(|(_, error)| error);
        checkpoint
            .and(closed)
            .map_err(|error| Fault::from(error).at(&self.path))
    }
}

/// The migrations in `migrations/`, in order.
fn migrations() -> Result<Migrations<'static>, rusqlite_migration::Error> {
    Migrations::from_directory(&MIGRATIONS)
}

/// The schema version of this redkeep: one for each migration.
fn latest_version() -> i64 {
    i64::try_from(MIGRATIONS.dirs().count()).unwrap_or(i64::MAX)
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

/// The directory of `path`, which is `.` for a bare name.
pub(super) fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
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

/// Whether the file is there; a symbolic link is refused, wherever it points.
pub(super) fn exists(path: &Path) -> Result<bool, StoreError> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_symlink() => Err(StoreError::Symlink {
            path: path.to_owned(),
        }),
        Ok(metadata) if !metadata.is_file() => Err(StoreError::NotADatabase {
            path: path.to_owned(),
        }),
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(StoreError::file("look at", path)(error)),
    }
}

/// An empty file, which SQLite takes for an empty database; its log inherits the mode.
pub(super) fn create_private(path: &Path) -> Result<(), StoreError> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(StoreError::file("create", path))?;
    hand_over(path).map_err(StoreError::file("give to its directory's owner", path))
}

/// Gives a file that root has made in another user's directory to that user: a command by root comes before or
/// beside a service that could not open it otherwise. SQLite does the same with the log.
pub fn hand_over(path: &Path) -> io::Result<()> {
    if !geteuid().is_root() {
        return Ok(());
    }
    let directory = fs::metadata(directory_of(path))?;
    let file = fs::symlink_metadata(path)?;
    if file.uid() == directory.uid() {
        return Ok(());
    }
    lchown(path, Some(directory.uid()), Some(directory.gid()))
}

/// Something that is not even a database is never handed to SQLite, which would lock and might write it.
fn check_magic(path: &Path) -> Result<(), StoreError> {
    let mut head = Vec::with_capacity(MAGIC.len());
    fs::File::open(path)
        .and_then(|file| file.take(MAGIC.len() as u64).read_to_end(&mut head))
        .map_err(StoreError::file("read", path))?;
    if head.is_empty() || head == MAGIC {
        return Ok(());
    }
    Err(StoreError::NotADatabase {
        path: path.to_owned(),
    })
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

/// Has the directory or file on the disk when it returns.
pub(super) fn sync(path: &Path) -> Result<(), StoreError> {
    fs::File::open(path)
        .and_then(|file| file.sync_all())
        .map_err(StoreError::file("flush", path))
}

fn inode(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|metadata| (metadata.dev(), metadata.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_migration_is_valid_and_one_directory() {
        migrations().unwrap().validate().unwrap();
        let mut connection = Connection::open_in_memory().unwrap();
        migrations().unwrap().to_latest(&mut connection).unwrap();
        let version: i64 = connection
            .query_row("PRAGMA user_version", [], |row| row.get(0))
            .unwrap();
        assert_eq!(version, latest_version());
    }

    #[test]
    fn the_migration_marks_the_file_as_ours() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrations().unwrap().to_latest(&mut connection).unwrap();
        let id: i32 = connection
            .query_row("PRAGMA application_id", [], |row| row.get(0))
            .unwrap();
        assert_eq!(id, APPLICATION_ID);
    }

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
