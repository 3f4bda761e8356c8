//! The ways to read a history that nobody may write, or that cannot be written now.
//!
//! Owns: those ways, from a connection like any to the bytes as they lie on the disk.

use std::ffi::OsStr;
use std::path::Path;

use rusqlite::OpenFlags;

use super::{File, beside, check_library, harden, look, not_text, without_links};
use crate::error::{Fault, StoreError};
use crate::image;

/// The largest history of which a command makes a copy in memory, to read it where there is no other way: with it the
/// command takes twice as much.
const LARGEST_IMAGE: u64 = 128 << 20;

/// How much of the history a command keeps in memory, in KiB below zero (sqlite.org/pragma.html): one that asks for each
/// of thousands of pairs comes by the same pages again and again.
const COMMAND_CACHE: i32 = -(32 << 10);

impl File {
    /// Opens an existing history for reading where the storage takes no writing, not even SQLite's own file of locks.
    ///
    /// Without a log nobody else is writing it, and it is read as it lies. With one, SQLite keeps in memory what else
    /// it shares in that file, if there is such a file at all.
    pub(crate) fn open_unwritable(path: &Path) -> Result<Self, StoreError> {
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
    pub(crate) fn open_for_command(path: &Path) -> Result<Self, StoreError> {
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
    pub(crate) fn open_image(path: &Path) -> Result<Self, StoreError> {
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
    pub(crate) fn open_read_only(path: &Path) -> Result<Self, StoreError> {
        Self::open_existing(path, OpenFlags::SQLITE_OPEN_READ_ONLY)
    }

    /// A reading connection to whatever the file is.
    pub(crate) fn connect_for_reading(path: &Path) -> Result<Self, StoreError> {
        Self::connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY)
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
}
