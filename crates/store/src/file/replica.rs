//! The local copy of a history that is shared: how it is opened, kept up to date and written.
//!
//! Owns: that what is written here reaches the server first, and is made anew where others were faster. A history of one's own
//! is written by the same way, without a server.

use std::path::Path;

use chrono::{DateTime, Utc};
use rusqlite::{Transaction, TransactionBehavior};

use super::{Check, File};
use crate::error::{Fault, StoreError};
use crate::meta;
use crate::schema::latest_version;
use crate::shared::{self, Fence, Pushed, Replica, Server};

/// How often something is written anew because others have changed a shared history meanwhile.
const MOST_TRIES: u32 = 50;

impl File {
    /// Opens the local copy of a history that is shared, or makes it; one that is damaged is made anew: the server has all.
    pub(crate) fn open_replica(
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
    pub(crate) fn prepare_server(&self) -> Result<(), StoreError> {
        let prepare = |replica: &Replica| replica.prepare(latest_version());
        let prepared = self.replica.as_ref().map_or(Ok(()), prepare);
        prepared.map_err(|fault| fault.at(&self.path))
    }

    /// Takes in what others have changed on the server; whether anything was.
    pub(crate) fn catch_up(&mut self) -> Result<bool, StoreError> {
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
    pub(crate) fn take_news(&mut self) -> bool {
        std::mem::take(&mut self.has_news)
    }

    /// Whether the server has lost a change that this copy had.
    pub(crate) fn has_lost(&self) -> bool {
        self.replica.is_some() && shared::has_lost(&self.connection)
    }

    /// Notes in the history that the server has lost what this copy had, if that is not noted yet.
    pub(crate) fn note_loss(&mut self, now: DateTime<Utc>) -> Result<(), StoreError> {
        self.write(|transaction| match shared::take_loss(transaction)? {
            true => meta::write_rebuilt(transaction, now),
            false => Ok(()),
        })
    }

    /// Has the server forget what every living copy has long taken in.
    pub(crate) fn forget_old_changes(&self) -> Result<(), StoreError> {
        let forget = |replica: &Replica| replica.forget_old_changes();
        let forgotten = self.replica.as_ref().map_or(Ok(()), forget);
        forgotten.map_err(|fault| fault.at(&self.path))
    }

    /// Whether the server has seen other changes than this copy.
    pub(crate) fn is_behind(&self, changes: i64) -> bool {
        let known = shared::change(&self.connection);
        self.replica.is_some() && known.is_none_or(|known| known != changes)
    }

    /// Writes what `work` changes, all of it or nothing. It is done again where others have changed a shared history
    /// meanwhile.
    pub(crate) fn write<T>(
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
}
