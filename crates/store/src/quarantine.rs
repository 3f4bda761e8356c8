//! A history that cannot be trusted is set aside, and never deleted.
//!
//! Owns: the names that a damaged file and its log get, and what can still be read of whose it was. Never
//! decides that a file is damaged.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};

use super::error::StoreError;
use super::file::{File, exists, sync_directory};
use super::meta::{self, EndpointKind, Installation};
use redkeep_serve::safe_file::beside;

/// A history and the files that SQLite keeps beside it.
const PARTS: [&str; 3] = ["", "-wal", "-shm"];

/// Where the daily copy of the history at `path` lies.
pub fn copy_of(path: &Path) -> PathBuf {
    path.with_extension("copy.db")
}

/// Where the copy before that one lies.
pub fn older_copy_of(path: &Path) -> PathBuf {
    path.with_extension("copy.older.db")
}

/// Renames the history at `path` and its log to a free name with the instant `now`, and returns that name.
///
/// The log goes first: a new file must never meet an old log.
pub(super) fn set_aside(path: &Path, now: DateTime<Utc>) -> Result<PathBuf, StoreError> {
    let quarantine = free_name(path, now);
    for part in PARTS.iter().rev() {
        let (from, to) = (beside(path, part), beside(&quarantine, part));
        if fs::symlink_metadata(&from).is_ok() {
            fs::rename(&from, to).map_err(StoreError::file("rename", &from))?;
        }
    }
    sync_directory(path)?;
    Ok(quarantine)
}

/// `history.db.damaged-20261124T013000Z`, with a number behind it where that is taken.
fn free_name(path: &Path, now: DateTime<Utc>) -> PathBuf {
    let name = beside(path, &now.format(".damaged-%Y%m%dT%H%M%SZ").to_string());
    let is_taken = |name: &Path| {
        PARTS
            .iter()
            .any(|part| fs::symlink_metadata(beside(name, part)).is_ok())
    };
    let mut free = name.clone();
    let mut number = 2;
    while is_taken(&free) {
        free = beside(&name, &format!("-{number}"));
        number += 1;
    }
    free
}

/// Whether there is a log without its database: somebody has taken the file away, or emptied it.
pub(super) fn has_orphan_wal(path: &Path) -> bool {
    let has_content = |part| fs::metadata(beside(path, part)).is_ok_and(|found| found.len() > 0);
    !has_content("") && has_content("-wal")
}

/// Whether there is nothing in the place of the history that could be read.
pub(super) fn is_missing(path: &Path) -> bool {
    match fs::metadata(path) {
        Ok(found) => found.is_file() && found.len() == 0,
        // What cannot even be looked at may be there.
        Err(error) => error.kind() == ErrorKind::NotFound,
    }
}

/// Whose history it is that cannot be used: as it says itself, else as its daily copies say.
///
/// A copy that belongs to another kind of endpoint says nothing.
pub(super) fn whose(path: &Path, kind: EndpointKind) -> Result<Option<Installation>, StoreError> {
    if let Some((identity, got)) = identity_of(path) {
        return match got == kind {
            true => Ok(Some(identity)),
            false => Err(StoreError::OtherEndpoint {
                path: path.to_owned(),
                got,
                wanted: kind,
            }),
        };
    }
    Ok(whose_copy(path, kind))
}

/// Whose the daily copies are, where they are of this kind of endpoint.
pub(super) fn whose_copy(path: &Path, kind: EndpointKind) -> Option<Installation> {
    let copies = [copy_of(path), older_copy_of(path)];
    let mut copied = copies.iter().filter_map(|copy| identity_of(copy));
    let ours = copied.find(|(_, got)| *got == kind)?;
    Some(ours.0)
}

fn identity_of(path: &Path) -> Option<(Installation, EndpointKind)> {
    let exists = exists(path).ok().filter(|exists| *exists);
    let file = exists.and_then(|_| File::connect_for_reading(path).ok())?;
    meta::read(&file.connection).ok()
}
