//! An instance's place beside the others, while it waits.
//!
//! Owns: looking at the lease, keeping the copy of the history up to date meanwhile, and taking the lease when it is free.
//! Never takes it where the server's schema has no use for an instance as old as this one.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::Fence;
use super::dial::Server;
use super::instances::{Instance, Peers, leave, tell};
use super::keeper::HeldLease;
use super::lease::{self, LeaseView};
use super::wire::Wire;
use crate::error::{Fault, StoreError};
use crate::file::File;
use redkeep_core::history::Handover;
use redkeep_core::lease::{Pulse, RENEW_EACH, Sight, Watcher};
use redkeep_serve::clock::{Clock, boottime};

/// Each try to bring tables up to date that others use makes those wait who work.
const PREPARE_EACH: Duration = Duration::from_secs(30);

/// A term that begins.
#[derive(Debug, Clone)]
pub struct Taken {
    /// Its number.
    pub epoch: i64,
    /// From when on nobody may have recorded what was created: shortly before the last sign of life of the term before.
    pub unrecorded_since: Option<DateTime<Utc>>,
}

/// An instance's place beside the others, while it waits.
pub struct Seat {
    server: Server,
    wire: Wire,
    instance: Instance,
    watcher: Watcher,
    file: File,
    is_prepared: bool,
    /// Since when the tables could not be brought up to date, and why.
    held_up: Option<(Duration, String)>,
    /// Whether it works also on a history that was moved away.
    is_mover: bool,
    told_at: Option<Duration>,
    peers: Peers,
    since: DateTime<Utc>,
}

impl Seat {
    /// A place with its copy of the history at `path`; the server is not asked yet.
    ///
    /// # Errors
    /// Where the copy cannot be opened or made.
    pub fn new(
        server: Server,
        path: &Path,
        instance: Instance,
        now: DateTime<Utc>,
    ) -> Result<Self, StoreError> {
        let file = File::open_replica(path, server.clone(), Fence::Wish)?;
        let wire = Wire::new(server.clone()).map_err(StoreError::Thread)?;
        Ok(Self {
            server,
            wire,
            instance,
            watcher: Watcher::default(),
            file,
            is_prepared: false,
            held_up: None,
            is_mover: false,
            told_at: None,
            peers: Peers::default(),
            since: now,
        })
    }

    /// One that moves a history, also one that was moved before.
    pub(super) fn for_move(self) -> Self {
        Self {
            is_mover: true,
            ..self
        }
    }

    /// Looks at the lease, and brings the copy up to date. Where the server has lost what the copy had, that is noted in the
    /// history: whoever works deletes nothing then.
    ///
    /// # Errors
    /// [`StoreError::Unreachable`] where the server does not answer.
    pub fn look(&mut self, now: DateTime<Utc>) -> Result<(LeaseView, Sight), StoreError> {
        self.prepare()?;
        let began = boottime();
        let view = self.view()?;
        let ended = boottime();
        // Where this process has it, no term of its own goes on any more.
        let is_held = view
            .holder
            .as_ref()
            .is_some_and(|holder| *holder != self.instance.id);
        let sight = self.watcher.look(is_held, view.pulse, began, ended);
        // What keeps the copy from being written keeps nobody from seeing that the lease is free.
        if let Err(error @ StoreError::Unreachable { .. }) = self.catch_up(now) {
            return Err(error);
        }
        if self.told_at.is_none_or(|told| ended - told >= RENEW_EACH) {
            self.peers = self.tell("standby")?;
            self.told_at = Some(ended);
        }
        Ok((view, sight))
    }

    fn catch_up(&mut self, now: DateTime<Utc>) -> Result<(), StoreError> {
        self.file.catch_up()?;
        match self.file.has_lost() && !self.is_mover {
            true => self.file.note_loss(now),
            false => Ok(()),
        }
    }

    /// Brings the server's tables up to date, once, and refuses a history that was moved away.
    fn prepare(&mut self) -> Result<(), StoreError> {
        if self.is_prepared {
            return Ok(());
        }
        if let Some((at, why)) = &self.held_up
            && boottime() - *at < PREPARE_EACH
        {
            return Err(StoreError::TablesInUse { why: why.clone() });
        }
        let prepared = self.file.prepare_server();
        if let Err(StoreError::TablesInUse { why }) = &prepared {
            self.held_up = Some((boottime(), why.clone()));
        }
        prepared?;
        let moved_to = lease::moved_to(&self.wire);
        let moved_to = moved_to.map_err(|fault| fault.at(&self.file.path))?;
        if let (Some(to), false) = (moved_to, self.is_mover) {
            let place = self.server.database.place();
            return Err(StoreError::Moved { place, to });
        }
        self.is_prepared = true;
        Ok(())
    }

    /// The lease as it is; an error where the server wants a newer redkeep.
    fn view(&self) -> Result<LeaseView, StoreError> {
        let seen = lease::view(&self.wire).and_then(|view| view.check_floor().map(|()| view));
        seen.map_err(|fault| fault.at(&self.file.path))
    }

    /// Takes the lease, if it still has this pulse; `None` where somebody else was faster.
    ///
    /// # Errors
    /// As [`Seat::look`].
    pub fn take(&mut self, pulse: Pulse, now: DateTime<Utc>) -> Result<Option<Taken>, StoreError> {
        self.watcher.forget();
        let taken = self.try_take(pulse, now);
        taken.map_err(|fault| fault.at(&self.file.path))
    }

    fn try_take(&self, pulse: Pulse, now: DateTime<Utc>) -> Result<Option<Taken>, Fault> {
        let Instance { id, name, .. } = &self.instance;
        let taken = lease::take(&self.wire, (id, name), pulse, now, self.is_mover)?;
        Ok(taken.map(|begun| Taken {
            epoch: begun.epoch,
            unrecorded_since: Handover::unrecorded_since(begun.last_sign, now),
        }))
    }

    /// Renews the lease that was taken, from now on and on a thread of its own.
    ///
    /// # Errors
    /// Where the system gives no thread.
    pub fn keep(&self, taken: &Taken, clock: Arc<dyn Clock>) -> Result<HeldLease, StoreError> {
        HeldLease::keep(
            self.server.clone(),
            self.instance.clone(),
            taken.epoch,
            clock,
        )
    }

    /// Asks the holder to give the lease up.
    ///
    /// # Errors
    /// As [`Seat::look`].
    pub fn want(&self) -> Result<(), StoreError> {
        let asked = lease::want(&self.wire, &self.instance.name).map_err(Fault::from);
        asked.map(drop).map_err(|fault| fault.at(&self.file.path))
    }

    /// Leaves: the instance is not among the others any more.
    pub fn leave(&self) {
        // Who is gone is told from its age as well.
        let _ = leave(&self.wire, &self.instance);
    }

    /// How many instances there were when this one told of itself last.
    pub fn peers(&self) -> Peers {
        self.peers
    }

    /// Says which configuration is in force from now on.
    pub fn configured(&mut self, hash: String) {
        self.instance.config_hash = hash;
    }

    fn tell(&self, state: &str) -> Result<Peers, StoreError> {
        let told = tell(&self.wire, &self.instance, state, self.since);
        told.map_err(|fault| fault.at(&self.file.path))
    }
}

impl std::fmt::Debug for Seat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Seat")
            .field("instance", &self.instance)
            .finish_non_exhaustive()
    }
}
