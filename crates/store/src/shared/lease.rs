//! The lease, as the server has it, and what the server is told of the instances.
//!
//! Owns: the row of the lease and those of the instances. When a lease may be taken and for how long it may be trusted,
//! `redkeep_core::lease` says. Never asks what time the server has.

use std::path::Path;

use chrono::{DateTime, Utc};
use rusqlite::Connection;
use rusqlite::types::Value;

use super::wire::Wire;
use super::{SHARD, number, text};
use crate::cell::to_text;
use crate::error::{Fault, StoreError};
use crate::schema::latest_version;
use redkeep_core::lease::Pulse;

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

/// A lease as it was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseView {
    /// Its two counts.
    pub pulse: Pulse,
    /// The holder's id, if somebody holds it.
    pub holder: Option<String>,
    /// The holder's name.
    pub name: String,
    /// How many changes the shared history has seen.
    pub changes: i64,
    /// The name of whoever wants the holder to give it up.
    pub wanted_by: Option<String>,
    /// The oldest version of the schema that may write.
    pub floor: i64,
}

impl LeaseView {
    /// Refuses a server that wants a newer redkeep.
    pub(super) fn check_floor(&self) -> Result<(), Fault> {
        let (got, wanted) = (self.floor, latest_version());
        match got > wanted {
            true => Err(Fault::ServerNewer { got, wanted }),
            false => Ok(()),
        }
    }
}

/// Where the history on the server was moved to, if it was.
pub(super) fn moved_to(wire: &Wire) -> Result<Option<String>, Fault> {
    let rows = wire.query(
        "SELECT coalesce(moved_to, '') FROM {s}.installation",
        Vec::new(),
    )?;
    let to = rows.first().map(|row| text(row.first()));
    Ok(to.filter(|to| !to.is_empty()))
}

pub(super) fn view(wire: &Wire) -> Result<LeaseView, Fault> {
    let rows = wire.query(
        "SELECT epoch, renewals, coalesce(holder::text, ''), name, changes, coalesce(wanted_by, ''),
             (SELECT floor FROM {s}.installation) FROM {s}.leases WHERE shard = $1",
        vec![Value::from(SHARD.to_owned())],
    )?;
    let Some(row) = rows.first() else {
        return Err(Fault::away("its table leases has no row".to_owned()));
    };
    let filled = |at: usize| Some(text(row.get(at))).filter(|text| !text.is_empty());
    Ok(LeaseView {
        pulse: Pulse {
            epoch: number(row.first()),
            renewals: number(row.get(1)),
        },
        holder: filled(2),
        name: text(row.get(3)),
        changes: number(row.get(4)),
        wanted_by: filled(5),
        floor: number(row.get(6)),
    })
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
