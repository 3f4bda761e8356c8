//! The store, as those see it who deliver messages.
//!
//! Owns: their questions. What is kept of messages, `outbox` says.

use chrono::{DateTime, Utc};
use redkeep_core::names::ReceiverName;
use redkeep_core::notify::delivery::Queue;
use redkeep_core::outbox::Condition;
use rusqlite::Connection;

use super::error::Fault;
use super::{Delivered, Store, StoreError, outbox};

impl Store {
    /// What waits for a receiver, as of `now`.
    ///
    /// # Errors
    /// As [`Store::commit`].
    pub async fn queue(
        &self,
        receiver: ReceiverName,
        now: DateTime<Utc>,
    ) -> Result<Queue, StoreError> {
        self.read_outbox(move |connection| outbox::queue(connection, &receiver, now))
            .await
    }

    /// What a receiver was told of and goes on.
    ///
    /// # Errors
    /// As [`Store::commit`].
    pub async fn told(&self, receiver: ReceiverName) -> Result<Vec<Condition>, StoreError> {
        self.read_outbox(move |connection| outbox::told(connection, &receiver))
            .await
    }

    /// Notes that messages are delivered, or never will be.
    ///
    /// # Errors
    /// As [`Store::commit`].
    pub async fn end_messages(
        &self,
        receiver: ReceiverName,
        ended: Vec<(String, Delivered)>,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        self.outbox(move |connection| outbox::end(connection, &receiver, &ended, now))
            .await
    }

    /// Notes that an attempt to deliver messages failed, and when the next one comes.
    ///
    /// # Errors
    /// As [`Store::commit`].
    pub async fn put_off(
        &self,
        ids: Vec<String>,
        next_at: DateTime<Utc>,
        trouble: String,
    ) -> Result<(), StoreError> {
        self.outbox(move |connection| outbox::put_off(connection, &ids, next_at, &trouble))
            .await
    }

    /// Forgets the messages to receivers that are not among these.
    ///
    /// # Errors
    /// As [`Store::commit`].
    pub async fn retain_receivers(&self, receivers: Vec<ReceiverName>) -> Result<(), StoreError> {
        self.outbox(move |connection| outbox::retain(connection, &receivers))
            .await
    }

    /// Proves that the history can be written.
    ///
    /// # Errors
    /// As [`Store::commit`].
    pub async fn beat(&self, now: DateTime<Utc>) -> Result<(), StoreError> {
        self.outbox(move |connection| outbox::beat(connection, now))
            .await
    }

    async fn read_outbox<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.with_file(move |file| {
            file.check_in_place()?;
            question(&file.connection).map_err(|fault| fault.at(&file.path))
        })
        .await
    }

    async fn outbox<T: Send + 'static>(
        &self,
        work: impl Fn(&Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.with_file(move |file| file.write(|transaction| work(transaction)))
            .await
    }
}
