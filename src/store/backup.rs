//! The daily copy of the history.
//!
//! Owns: making a whole, checked copy appear under its name at once. Never touches the writing connection:
//! the copy is made through a reading one, so that commits do not wait for it.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::error::{Fault, StoreError};
use super::file::{File, create_private, directory_of, not_text, sync};

/// Copies the history at `from` to `to`, mode 0600, replacing an older copy only when the new one is
/// complete, checked and on the disk.
pub(super) fn backup(from: &Path, to: &Path) -> Result<(), StoreError> {
    let temporary = beside(to)?;
    remove_if_there(&temporary)?;
    create_private(&temporary)?;
    let made = copy(from, &temporary).and_then(|()| {
        fs::rename(&temporary, to).map_err(StoreError::file("rename the copy to", to))
    });
    if made.is_err() {
        // Half a copy is of no use and may be what fills the disk; the first error is the one to tell.
        remove_if_there(&temporary).ok();
    }
    made?;
    sync(directory_of(to))
}

fn copy(from: &Path, to: &Path) -> Result<(), StoreError> {
    let source = File::open_read_only(from)?;
    let name = to.to_str().ok_or_else(|| not_text("copy to", to))?;
    source
        .connection
        .execute("VACUUM INTO ?1", [name])
        .map_err(|error| Fault::from(error).at(to))?;
    let copied = File::open_read_only(to)?;
    copied.check_sound().map_err(|fault| fault.at(to))?;
    // VACUUM INTO does not (sqlite.org/lang_vacuum.html).
    sync(to)
}

/// A name in the same directory, absolute, so that SQLite cannot read it as a `file:` URI.
fn beside(to: &Path) -> Result<PathBuf, StoreError> {
    let mut name: OsString = std::path::absolute(to)
        .map_err(StoreError::file("copy to", to))?
        .into_os_string();
    name.push(".partial");
    Ok(PathBuf::from(name))
}

fn remove_if_there(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(StoreError::file("remove", path)(error))
        }
        _ => Ok(()),
    }
}
