//! The instances of a shared history, as they tell of themselves, and what people ask of them.
//!
//! Owns: every statement on the list of the instances. It decides nothing: an instance that is listed may be dead, and one
//! that works may be missing.

use std::path::Path;

use chrono::{DateTime, Utc};
use rusqlite::Connection;
use rusqlite::types::Value;

use super::dial::Server;
use super::lease::{self, LeaseView};
use super::wire::Wire;
use super::{number, text};
use crate::cell::{parse_instant, to_text};
use crate::error::{Fault, StoreError};
use crate::schema::latest_version;

/// A process, as the other instances and people know it.
#[derive(Debug, Clone)]
pub struct Instance {
    /// Made anew at each start, so that no two processes have the same.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// Its version of redkeep.
    pub version: String,
    /// A fingerprint of its configuration.
    pub config_hash: String,
}

impl Instance {
    /// A process that begins.
    ///
    /// # Errors
    /// Where the system has no random numbers.
    pub fn new(name: String, version: &str, config_hash: String) -> Result<Self, StoreError> {
        let random = "SELECT lower(hex(randomblob(16)))";
        let made = Connection::open_in_memory()
            .and_then(|connection| connection.query_row(random, [], |row| row.get(0)));
        let id = made.map_err(|error| Fault::from(error).at(Path::new(":memory:")))?;
        Ok(Self {
            id: dashed(id),
            name,
            version: version.to_owned(),
            config_hash,
        })
    }
}

/// Thirty-two digits as a UUID is written.
fn dashed(mut digits: String) -> String {
    for at in [20, 16, 12, 8] {
        if digits.is_char_boundary(at) && digits.len() > at {
            digits.insert(at, '-');
        }
    }
    digits
}

/// An instance that has not told of itself for so long has ended, or cannot reach the database.
pub(super) const SILENT_SECONDS: i64 = 30;

/// How many instances there are, as one of them sees it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Peers {
    /// Those that told of themselves within half a minute, this one included.
    pub alive: i64,
    /// Those of them that have another configuration than this one.
    pub configured_otherwise: i64,
}

/// Tells the others and people what an instance does, and forgets those that were not seen for a day; returns how many there
/// are.
pub(super) fn tell(
    wire: &Wire,
    instance: &Instance,
    state: &str,
    since: DateTime<Utc>,
) -> Result<Peers, Fault> {
    let rows = wire.query(
        "WITH old AS (DELETE FROM {s}.instances WHERE seen_at < now() - interval '1 day'),
             told AS (INSERT INTO {s}.instances AS i (id, name, version, schema_version, config_hash, state, since)
                 VALUES ($1::uuid, $2, $3, $4, $5, $6, $7)
                 ON CONFLICT (id) DO UPDATE SET seen_at = now(), config_hash = excluded.config_hash, state = excluded.state,
                     since = CASE WHEN i.state = excluded.state THEN i.since ELSE excluded.since END)
         SELECT count(*), count(*) FILTER (WHERE config_hash <> $5) FROM {s}.instances
         WHERE id <> $1::uuid AND extract(epoch FROM now() - seen_at)::bigint < $8",
        vec![
            Value::from(instance.id.clone()),
            Value::from(instance.name.clone()),
            Value::from(instance.version.clone()),
            Value::from(latest_version()),
            Value::from(instance.config_hash.clone()),
            Value::from(state.to_owned()),
            Value::from(to_text(since)),
            Value::from(SILENT_SECONDS),
        ],
    )?;
    let row = rows.first().map(Vec::as_slice).unwrap_or_default();
    Ok(Peers {
        alive: number(row.first()) + 1,
        configured_otherwise: number(row.get(1)),
    })
}

/// Leaves: the instance is not among the others any more.
pub(super) fn leave(wire: &Wire, instance: &Instance) -> Result<(), Fault> {
    let left = wire.query(
        "DELETE FROM {s}.instances WHERE id = $1::uuid",
        vec![Value::from(instance.id.clone())],
    );
    Ok(left.map(drop)?)
}

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
        lease::view(&self.wire).map_err(plain)
    }

    /// Asks the holder to let another instance work, on behalf of `name`; whether there is a holder.
    ///
    /// # Errors
    /// As [`Instances::list`].
    pub fn ask_to_yield(&self, name: &str) -> Result<bool, StoreError> {
        lease::want(&self.wire, name).map_err(|trouble| plain(trouble.into()))
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
    fault.at(Path::new("the shared history"))
}
