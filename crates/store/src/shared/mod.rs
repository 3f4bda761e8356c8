//! A history that several instances share by PostgreSQL.
//!
//! Owns: the local copy of it, which is an SQLite file like any history, and how the two are kept alike. What is written is
//! written here first, in a transaction; the rows that it changed go to PostgreSQL as one statement, which does nothing
//! unless the copy was up to date and the writer still holds the lease; only then is the transaction committed. Reading
//! needs no server. Never writes a row that was made of an older state: one that is behind catches up and begins again.
//!
//! The server is the truth, the copy can be made anew from it at any time.

mod capture;
mod dial;
mod instances;
mod keeper;
mod lease;
mod migrate;
mod pull;
mod push;
mod schema;
mod seat;
mod tables;
mod wire;

pub use dial::{Password, Saying, Server};
pub use instances::{Instance, Instances, KnownInstance, Peers};
pub use keeper::HeldLease;
pub use lease::LeaseView;
pub use migrate::{Move, Moved};
pub use seat::{Seat, Taken};

use rusqlite::types::Value;
use rusqlite::{Connection, Transaction};

use crate::error::Fault;
pub(super) use redkeep_core::lease::Fence;
use redkeep_core::lease::Mark;
use tables::SharedTable;
use wire::{Statement, Trouble, Wire};

/// The one shard: all scopes have one holder.
const SHARD: &str = "all";

/// The server's side of a local copy.
pub(super) struct Replica {
    wire: Wire,
    tables: Vec<SharedTable>,
    pub(super) fence: Fence,
}

/// What became of rows that were handed to the server.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Pushed {
    /// They are written, or there were none.
    Done,
    /// The copy is behind: they were made of an older state.
    Behind,
}

impl Replica {
    /// The server's side of the copy on `connection`, whose own table and triggers are made here; nothing is asked yet.
    pub(super) fn new(
        connection: &Connection,
        server: Server,
        fence: Fence,
    ) -> Result<Self, Fault> {
        let tables = tables::tables(connection)?;
        capture::begin(connection, &tables)?;
        let wire = Wire::new(server).map_err(|error| Fault::away(error.to_string()))?;
        Ok(Self {
            wire,
            tables,
            fence,
        })
    }

    /// Makes the tables on the server, or brings them up to date.
    pub(super) fn prepare(&self, version: i64) -> Result<(), Fault> {
        schema::prepare(&self.wire, &self.tables, version)
    }

    /// Hands the rows that `transaction` has changed to the server.
    pub(super) fn push(&self, transaction: &Transaction<'_>) -> Result<Pushed, Fault> {
        push::push(self, transaction)
    }

    /// Brings the copy up to date; whether anything was new.
    pub(super) fn pull(&self, connection: &mut Connection) -> Result<bool, Fault> {
        pull::pull(self, connection)
    }

    /// Forgets the marks of changes that every living copy has long taken in.
    pub(super) fn forget_old_changes(&self) -> Result<(), Fault> {
        pull::forget_old(self)
    }
}

impl From<Trouble> for Fault {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Unreachable(why) => Self::away(why),
            Trouble::Refused { code, message } => Self::Server { code, message },
        }
    }
}

/// Whether the server has once lost a change that this copy had: told once, by the transaction that records it.
pub(super) fn take_loss(transaction: &Transaction<'_>) -> Result<bool, Fault> {
    let mark = capture::mark(transaction)?;
    let known = Mark {
        has_lost: false,
        ..mark.clone()
    };
    if mark.has_lost {
        capture::set_mark(transaction, &known)?;
    }
    Ok(mark.has_lost)
}

/// Whether the server has lost a change that a copy had, and no transaction has recorded that yet.
pub(super) fn has_lost(connection: &Connection) -> bool {
    capture::mark(connection).is_ok_and(|mark| mark.has_lost)
}

/// The last change that a copy has; `None` where that cannot be told.
pub(super) fn change(connection: &Connection) -> Option<i64> {
    capture::mark(connection).ok().map(|mark| mark.change)
}

fn text(value: Option<&Value>) -> String {
    match value {
        Some(Value::Text(text)) => text.clone(),
        _ => String::new(),
    }
}

fn number(value: Option<&Value>) -> i64 {
    match value {
        Some(Value::Integer(number)) => *number,
        _ => 0,
    }
}
