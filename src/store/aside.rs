//! A history that cannot be trusted is set aside, and never deleted.
//!
//! Owns: the names that a damaged file and its log get, and what can still be read of whose it was. Never
//! decides that a file is damaged.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};

use super::error::StoreError;
use super::file::{File, directory_of, exists, sync};
use super::meta::{self, EndpointKind, Identity};

/// A history and the files that SQLite keeps beside it.
const PARTS: [&str; 3] = ["", "-wal", "-shm"];

/// Where the daily copy of the history at `path` lies.
pub fn copy_of(path: &Path) -> PathBuf {
    path.with_extension("copy.db")
}

/// Renames the history at `path` and its log to a free name with the instant `now`, and returns that name.
///
/// The log goes first: a new file must never meet an old log.
pub(super) fn set_aside(path: &Path, now: DateTime<Utc>) -> Result<PathBuf, StoreError> {
    let aside = free_name(path, now);
    for part in PARTS.iter().rev() {
        let (from, to) = (with(path, part), with(&aside, part));
        if fs::symlink_metadata(&from).is_ok() {
            fs::rename(&from, to).map_err(StoreError::file("rename", &from))?;
        }
    }
    sync(directory_of(path))?;
    Ok(aside)
}

/// `history.db.damaged-20261124T013000Z`, with a number behind it where that is taken.
fn free_name(path: &Path, now: DateTime<Utc>) -> PathBuf {
    let name = with(path, &now.format(".damaged-%Y%m%dT%H%M%SZ").to_string());
    let is_taken = |name: &Path| {
        PARTS
            .iter()
            .any(|part| fs::symlink_metadata(with(name, part)).is_ok())
    };
    let mut free = name.clone();
    let mut number = 2;
    while is_taken(&free) {
        free = with(&name, &format!("-{number}"));
        number += 1;
    }
    free
}

/// Whether there is a log without its database: somebody has taken the file away, or emptied it.
pub(super) fn is_bereft(path: &Path) -> bool {
    let has_content = |part| fs::metadata(with(path, part)).is_ok_and(|found| found.len() > 0);
    !has_content("") && has_content("-wal")
}

/// Whether there is nothing in the place of the history that could be read.
pub(super) fn is_missing(path: &Path) -> bool {
    fs::metadata(path).map_or(true, |found| found.is_file() && found.len() == 0)
}

/// Whose history it is that cannot be used: as it says itself, else as its daily copy says.
///
/// A copy that belongs to another kind of endpoint says nothing.
pub(super) fn whose(path: &Path, kind: EndpointKind) -> Result<Option<Identity>, StoreError> {
    let read = |path: &Path| {
        let file = exists(path).ok().filter(|exists| *exists);
        let file = file.and_then(|_| File::connect_for_reading(path).ok())?;
        meta::read(&file.connection).ok()
    };
    if let Some((identity, got)) = read(path) {
        return match got == kind {
            true => Ok(Some(identity)),
            false => Err(StoreError::OtherEndpoint {
                path: path.to_owned(),
                got,
                wanted: kind,
            }),
        };
    }
    let copied = read(&copy_of(path)).filter(|(_, got)| *got == kind);
    Ok(copied.map(|(identity, _)| identity))
}

/// The path with something behind its name.
pub(super) fn with(path: &Path, end: &str) -> PathBuf {
    let mut name: OsString = path.as_os_str().to_owned();
    name.push(end);
    PathBuf::from(name)
}
