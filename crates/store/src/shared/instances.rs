//! What people ask of the instances of a shared history.
//!
//! Owns: the list of the instances, the lease as it is, and the wish that its holder gives it up. It decides nothing: an
//! instance that is listed may be dead, and one that works may be missing.

use chrono::{DateTime, Utc};
use rusqlite::types::Value;

use super::dial::Server;
use super::lease::{LeaseView, SILENT_SECONDS, view};
use super::wire::Wire;
use super::{SHARD, number, text};
use crate::cell::parse_instant;
use crate::error::{Fault, StoreError};

/// An instance, as it told of itself last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownInstance {
    /// Its id.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// Its version of redkeep.
    pub version: String,
    /// A fingerprint of its configuration.
    pub config_hash: String,
    /// Since when it works, or stands by.
    pub since: Option<DateTime<Utc>>,
    /// How many seconds ago it told of itself, by the server's clock.
    pub seen_seconds: i64,
}

impl KnownInstance {
    /// Whether it told of itself within half a minute.
    pub fn is_alive(&self) -> bool {
        self.seen_seconds < SILENT_SECONDS
    }
}

/// The connection by which they are asked for.
pub struct Instances {
    wire: Wire,
}

impl Instances {
    /// Asks nothing yet.
    ///
    /// # Errors
    /// Where the system gives no thread.
    pub fn new(server: Server) -> Result<Self, StoreError> {
        let wire = Wire::new(server).map_err(StoreError::Thread)?;
        Ok(Self { wire })
    }

    /// Those that told of themselves within a day, by name.
    ///
    /// # Errors
    /// [`StoreError::Unreachable`] where the server does not answer; [`StoreError::Server`] where it has no such schema.
    pub fn list(&self) -> Result<Vec<KnownInstance>, StoreError> {
        let rows = self.ask(
            "SELECT id::text, name, version, config_hash, since, extract(epoch FROM now() - seen_at)::bigint
             FROM {s}.instances ORDER BY name, id",
            Vec::new(),
        )?;
        let known = rows.iter().map(|row| KnownInstance {
            id: text(row.first()),
            name: text(row.get(1)),
            version: text(row.get(2)),
            config_hash: text(row.get(3)),
            since: parse_instant(&text(row.get(4))).ok(),
            seen_seconds: number(row.get(5)),
        });
        Ok(known.collect())
    }

    /// The lease as it is.
    ///
    /// # Errors
    /// As [`Instances::list`].
    pub fn lease(&self) -> Result<LeaseView, StoreError> {
        view(&self.wire).map_err(plain)
    }

    /// Asks the holder to let another instance work, on behalf of `name`; whether there is a holder.
    ///
    /// # Errors
    /// As [`Instances::list`].
    pub fn ask_to_yield(&self, name: &str) -> Result<bool, StoreError> {
        let rows = self.ask(
            "UPDATE {s}.leases SET wanted_by = $2 WHERE shard = $1 AND holder IS NOT NULL RETURNING epoch",
            vec![Value::from(SHARD.to_owned()), Value::from(name.to_owned())],
        )?;
        Ok(!rows.is_empty())
    }

    /// The version of the server, and the time limits of this role that keep a connection that hangs from holding others up.
    ///
    /// # Errors
    /// As [`Instances::list`].
    pub fn settings(&self) -> Result<Vec<(String, String)>, StoreError> {
        let rows = self.ask(
            "SELECT name, setting FROM pg_settings WHERE name IN ('server_version', 'statement_timeout', 'lock_timeout',
                 'idle_in_transaction_session_timeout', 'synchronous_commit', 'fsync') ORDER BY name",
            Vec::new(),
        )?;
        Ok(rows
            .iter()
            .map(|row| (text(row.first()), text(row.get(1))))
            .collect())
    }

    fn ask(&self, sql: &str, values: Vec<Value>) -> Result<Vec<Vec<Value>>, StoreError> {
        let asked = self.wire.query(sql, values);
        asked.map_err(|trouble| plain(trouble.into()))
    }
}

impl std::fmt::Debug for Instances {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Instances")
            .field("schema", &self.wire.schema())
            .finish_non_exhaustive()
    }
}

/// An error that has no file.
fn plain(fault: Fault) -> StoreError {
    fault.at(std::path::Path::new("the shared history"))
}
