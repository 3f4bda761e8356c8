//! The ways to a history: as it is, anew where it was lost or is damaged, and in memory where the storage cannot be written
//! now: with what can be read of it, and with nothing where nothing can.
//!
//! Owns: which of them is gone. Never gives up a history that may be sound.

use std::path::Path;

use chrono::{DateTime, Utc};

use super::{Behind, Found, Lost, StoreWriter};
use crate::error::StoreError;
use crate::file::{Check, File};
use crate::meta::{self, EndpointKind, NewDatabase};
use crate::shared::{Fence, Server};
use crate::tenure::Tenure;
use crate::{load, quarantine};
use redkeep_core::history::History;

impl StoreWriter {
    /// Opens the history as it is, or begins the first one.
    pub(crate) fn open(
        path: &Path,
        kind: EndpointKind,
        now: DateTime<Utc>,
        check: Check,
    ) -> Result<Found, StoreError> {
        check_not_lost(path, kind)?;
        let mut file = File::open_and(path, check)?;
        let identity = meta::bind(&mut file, kind, &NewDatabase::at(now))?;
        let history = load::load(&file.connection).map_err(|fault| fault.at(path))?;
        Ok(Self::found(path, kind, Some(file), history, identity))
    }

    /// Opens the copy of a history that is shared; its first holder begins the history.
    pub(crate) fn open_shared(
        server: Server,
        path: &Path,
        kind: EndpointKind,
        now: DateTime<Utc>,
        tenure: Tenure,
    ) -> Result<Found, StoreError> {
        let lease = match &tenure {
            Tenure::Leased(lease) => Some(lease),
            Tenure::Own | Tenure::Orphaned => None,
        };
        let fence = lease.map_or(Fence::Orphan, |lease| lease.fence());
        let mut file = File::open_replica(path, server, fence)?;
        let identity = match lease {
            Some(_) => {
                file.prepare_server()?;
                file.catch_up()?;
                let identity = meta::bind(&mut file, kind, &NewDatabase::at(now))?;
                // Records were lost: nothing is deleted until somebody has acknowledged that.
                file.note_loss(now)?;
                identity
            }
            None => meta::identify(&file, kind)?,
        };
        let history = load::load(&file.connection).map_err(|fault| fault.at(path))?;
        let mut found = Self::found(path, kind, Some(file), history, identity);
        found.is_checked = true;
        found.writer.tenure = tenure;
        Ok(found)
    }

    /// Opens the history, or begins a new one where it is damaged or lost, or reads it where it cannot be
    /// written.
    pub(crate) fn open_or_begin_anew(
        path: &Path,
        kind: EndpointKind,
        now: DateTime<Utc>,
        check: Check,
    ) -> Result<Found, StoreError> {
        match Self::open(path, kind, now, check) {
            Err(why) if why.is_damage() && !path.is_dir() => Self::anew(path, kind, now, why),
            Err(trouble) if trouble.is_storage() => Self::unwritable(path, kind, now, trouble),
            found => found,
        }
    }

    /// A new history in the place of one that was lost. Where the storage does not even take that, it is in
    /// memory until it does: the snapshots' tags tell the same again.
    pub(super) fn anew(
        path: &Path,
        kind: EndpointKind,
        now: DateTime<Utc>,
        why: StoreError,
    ) -> Result<Found, StoreError> {
        let known = quarantine::whose(path, kind)?;
        let moved = quarantine::set_aside(path, now);
        let moved_to = moved.as_ref().ok().cloned();
        let begun = NewDatabase {
            at: now,
            installation: known.map(|identity| identity.installation),
            rebuilt_at: Some(now),
        };
        let begins = |_| {
            let mut file = File::open(path)?;
            let identity = meta::bind(&mut file, kind, &begun)?;
            Ok((file, identity))
        };
        let history = History::rebuilt(now);
        let mut found = match moved.and_then(begins) {
            Ok((file, identity)) => Self::found(path, kind, Some(file), history, identity),
            Err(trouble) if trouble.is_storage() => {
                let mut found = Self::in_memory(path, kind, history, begun, trouble)?;
                if moved_to.is_none() {
                    found.writer.behind = Behind::Damaged;
                }
                found
            }
            Err(other) => return Err(other),
        };
        found.lost = Some(Lost { why, moved_to });
        Ok(found)
    }

    /// What can be read of a history that cannot be written now.
    fn unwritable(
        path: &Path,
        kind: EndpointKind,
        now: DateTime<Utc>,
        trouble: StoreError,
    ) -> Result<Found, StoreError> {
        if quarantine::is_missing(path) {
            return Self::in_memory(
                path,
                kind,
                History::default(),
                NewDatabase::at(now),
                trouble,
            );
        }
        match Self::read(path, kind) {
            Ok(found) => Ok(found.with(trouble)),
            Err(why) if why.is_damage() => Self::anew(path, kind, now, why),
            Err(why) if why.is_refusal() => Err(why),
            Err(_) => Self::read_image(path, kind, now, trouble),
        }
    }

    fn read(path: &Path, kind: EndpointKind) -> Result<Found, StoreError> {
        let file = File::open_unwritable(path)?;
        file.check_sound().map_err(|fault| fault.at(path))?;
        let identity = meta::identify(&file, kind)?;
        let history = load::load(&file.connection).map_err(|fault| fault.at(path))?;
        Ok(Self::found(path, kind, None, history, identity))
    }

    /// What the bytes of the file tell, or else nothing: until it can be read, its history is unknown.
    fn read_image(
        path: &Path,
        kind: EndpointKind,
        now: DateTime<Utc>,
        trouble: StoreError,
    ) -> Result<Found, StoreError> {
        let begun = NewDatabase {
            installation: meta::provisional(path),
            ..NewDatabase::at(now)
        };
        let read = || -> Result<Found, StoreError> {
            let mut image = File::open_image(path)?;
            let identity = meta::bind(&mut image, kind, &begun)?;
            let history = load::load(&image.connection).map_err(|fault| fault.at(path))?;
            Ok(Self::found(path, kind, None, history, identity))
        };
        match read() {
            Ok(found) => Ok(found.with(trouble)),
            Err(why) if why.is_refusal() => Err(why),
            Err(_) => {
                let known = quarantine::whose_copy(path, kind);
                let begun = NewDatabase {
                    installation: known.map(|identity| identity.installation),
                    ..NewDatabase::at(now)
                };
                let history = History::default();
                let mut found = Self::in_memory(path, kind, history, begun, trouble)?;
                found.writer.behind = Behind::Unread;
                Ok(found)
            }
        }
    }

    /// A history that begins in memory, because there is no file to be had.
    fn in_memory(
        path: &Path,
        kind: EndpointKind,
        history: History,
        begun: NewDatabase,
        trouble: StoreError,
    ) -> Result<Found, StoreError> {
        let installation = begun.installation.or_else(|| meta::provisional(path));
        let begun = NewDatabase {
            installation,
            ..begun
        };
        let identity = meta::new_identity(&begun).map_err(|fault| fault.at(path))?;
        Ok(Self::found(path, kind, None, history, identity).with(trouble))
    }
}

impl Found {
    /// As found, and it cannot be written because of `trouble`.
    fn with(self, trouble: StoreError) -> Self {
        Self {
            trouble: Some(trouble),
            ..self
        }
    }
}

/// Refuses to begin where traces of a history are, its log or its daily copy, and not the history itself.
fn check_not_lost(path: &Path, kind: EndpointKind) -> Result<(), StoreError> {
    let is_lost = quarantine::has_orphan_wal(path)
        || quarantine::is_missing(path) && quarantine::whose(path, kind)?.is_some();
    if !is_lost {
        return Ok(());
    }
    let path = path.to_owned();
    let what = "it is missing or empty, but existed before".to_owned();
    Err(StoreError::Corrupt { path, what })
}
