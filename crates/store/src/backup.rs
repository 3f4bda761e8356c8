//! The daily copies of the history.
//!
//! Owns: making a whole, checked copy appear under its name at once, and which of the two older ones gives way to it.
//! What is worth more is never replaced by what is worth less. Never touches the writing connection: the copy is made
//! through a reading one, so that commits do not wait for it.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::error::{Fault, StoreError};
use super::file::{File, create_private, exists, inode, not_text, sync_directory};
use super::meta;
use redkeep_core::names::Writer;
use redkeep_serve::safe_file::{self, beside};

/// What a copy is worth: whose records it has, and how many.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Worth {
    installation: Writer,
    records: i64,
}

impl Worth {
    /// Whether nothing is lost when `other` is gone and this one is there.
    fn makes_up_for(&self, other: Option<&Self>) -> bool {
        other.is_none_or(|other| {
            self.installation == other.installation && self.records >= other.records
        })
    }
}

/// Copies the history at `from` to `to`, mode 0600, when the copy is complete, checked and on the disk. The copy that
/// was there becomes the one at `older`.
pub(super) fn backup(from: &Path, to: &Path, older: &Path) -> Result<(), StoreError> {
    let temporary = beside(&absolute(to)?, ".partial");
    remove(&temporary)?;
    let made = copy(from, &temporary).and_then(|worth| take_place(&worth, &temporary, to, older));
    if made.is_err() {
        // Half a copy is of no use and may be what fills the disk; the first error is the one to tell.
        let _ = safe_file::remove(&temporary);
    }
    made?;
    sync_directory(to)
}

/// Gives the copy its name, where that costs nothing that is worth more.
fn take_place(worth: &Worth, copy: &Path, to: &Path, older: &Path) -> Result<(), StoreError> {
    let (newest, oldest) = (worth_of(to)?, worth_of(older)?);
    if let Some(newest) = &newest
        && newest.makes_up_for(oldest.as_ref())
    {
        rename(to, older)?;
    } else if !worth.makes_up_for(newest.as_ref()) {
        return Err(StoreError::WorthLess {
            path: to.to_owned(),
        });
    }
    rename(copy, to)
}

fn copy(from: &Path, to: &Path) -> Result<Worth, StoreError> {
    let source = File::open_read_only(from)?;
    let rebuilt_at = meta::rebuilt_at(&source.connection).map_err(|fault| fault.at(from))?;
    if rebuilt_at.is_some() {
        return Err(StoreError::Rebuilt {
            path: from.to_owned(),
        });
    }
    let name = to.to_str().ok_or_else(|| not_text("copy to", to))?;
    let made = create_private(to)?;
    source
        .connection
        .execute("VACUUM INTO ?1", [name])
        .map_err(|error| Fault::from(error).at(to))?;
    let worth = worth_of_sound(to)?;
    // VACUUM INTO does not (sqlite.org/lang_vacuum.html).
    let flushed = made.sync_all().and_then(|()| made.metadata());
    let written = flushed.map_err(StoreError::file("flush", to))?;
    match inode(to) {
        Ok(place) if place == (written.dev(), written.ino()) => Ok(worth),
        _ => Err(StoreError::Replaced {
            path: to.to_owned(),
        }),
    }
}

/// What an older copy is worth; `None` where there is none, and where it is of no use.
fn worth_of(path: &Path) -> Result<Option<Worth>, StoreError> {
    if !exists(path)? {
        return Ok(None);
    }
    match worth_of_sound(path) {
        Ok(worth) => Ok(Some(worth)),
        Err(error) if error.is_damage() || matches!(error, StoreError::Missing { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

fn worth_of_sound(path: &Path) -> Result<Worth, StoreError> {
    let copy = File::connect_for_reading(path)?;
    let worth = || -> Result<Worth, Fault> {
        copy.check_sound()?;
        let (identity, _) = meta::read(&copy.connection)?;
        Ok(Worth {
            installation: identity.installation,
            records: records(&copy.connection)?,
        })
    };
    worth().map_err(|fault| fault.at(path))
}

/// How many outcomes it knows of, and open runs: those that have left it count too. Before version 10 they had to be
/// counted.
fn records(connection: &Connection) -> Result<i64, Fault> {
    let is_kept = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'totals')";
    let count = match connection.query_row(is_kept, [], |row| row.get(0))? {
        true => {
            "SELECT (SELECT coalesce(sum(count), 0) FROM totals)
                 + (SELECT count(*) FROM runs WHERE progress IS NOT NULL)"
        }
        false => {
            "SELECT (SELECT count(*) FROM runs) + (SELECT coalesce(sum(count), 0) FROM missed_ranges)"
        }
    };
    Ok(connection.query_row(count, [], |row| row.get(0))?)
}

/// SQLite cannot read an absolute path as a `file:` URI.
fn absolute(path: &Path) -> Result<PathBuf, StoreError> {
    std::path::absolute(path).map_err(StoreError::file("copy to", path))
}

fn rename(from: &Path, to: &Path) -> Result<(), StoreError> {
    fs::rename(from, to).map_err(StoreError::file("rename the copy to", to))
}

fn remove(path: &Path) -> Result<(), StoreError> {
    safe_file::remove(path).map_err(StoreError::file("remove", path))
}
