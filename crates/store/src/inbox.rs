//! What people ask for beside the schedules: a snapshot now, a pause, a resumption, something done to a snapshot.
//!
//! Owns: the connection by which a command writes its request beside a running daemon, and the question by which
//! the daemon learns of it. A request for a snapshot is the run itself, open and due; nothing is written twice.
//! Never makes or migrates a file: only the holder of the state directory does.

use std::path::Path;
use std::sync::LazyLock;

use chrono::{DateTime, Utc};
use rusqlite::{Connection, params};

use super::cell::to_text;
use super::error::{Fault, StoreError};
use super::file::File;
use super::load::{each, pauses};
use super::meta::{self, Installation};
use super::operations;
use super::row::{self, PAUSES, PauseRow, RUNS, RunRow};
use super::shared::{Fence, Server};
use super::table::{bind, execute};
use super::write::upsert_run;
use redkeep_core::engine::Requests;
use redkeep_core::names::PolicyName;
use redkeep_core::operations::{Confirmation, SnapshotAction};
use redkeep_core::run::{Run, RunState};

/// Where the commands hand in their requests.
pub struct Inbox {
    file: File,
}

/// What became of the request for a snapshot.
#[derive(Debug, Clone, PartialEq)]
pub enum HandedIn {
    /// It is in the history, as handed in.
    New,
    /// Somebody asked for the same, and AWS has not begun with it: what it will hold is newer than both requests.
    Joined(Box<Run>),
    /// The pair has another run for that second; the next second is free.
    Occupied,
}

/// A pause that began in this second and was ended again goes on.
static PAUSE: LazyLock<String> = LazyLock::new(|| PAUSES.upsert());

impl Inbox {
    /// Opens the history at `path` for handing in requests, beside its owner.
    ///
    /// # Errors
    /// [`StoreError::Missing`] where there is none yet; otherwise as for the daemon, except that the pages
    /// are not checked and nothing is migrated.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        File::open_beside(path).map(|file| Self { file })
    }

    /// Opens the local copy at `path` of a history that is shared, and brings it up to date: what is handed in reaches the
    /// server before it counts.
    ///
    /// # Errors
    /// [`StoreError::Unreachable`] where the server does not answer; [`StoreError::Missing`] where no instance has begun the
    /// history.
    pub fn open_shared(path: &Path, server: Server) -> Result<Self, StoreError> {
        let mut file = File::open_replica(path, server, Fence::Wish)?;
        file.prepare_server()?;
        file.catch_up()?;
        match file.has_identity() {
            true => Ok(Self { file }),
            false => Err(StoreError::Missing {
                path: path.to_owned(),
            }),
        }
    }

    /// Whose history it is.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] names the row that redkeep did not write.
    pub fn identity(&self) -> Result<Installation, StoreError> {
        meta::identity(&self.file.connection).map_err(|fault| fault.at(&self.file.path))
    }

    /// Pauses `policy` from `now` on; returns since when it is paused, which may be earlier.
    ///
    /// # Errors
    /// As [`super::Store::commit`].
    pub fn pause(
        &mut self,
        policy: &PolicyName,
        now: DateTime<Utc>,
    ) -> Result<DateTime<Utc>, StoreError> {
        self.write(|connection| {
            if let Some(since) = pauses(connection)?.since(policy) {
                return Ok(since);
            }
            let pause = PauseRow {
                policy: policy.clone(),
                paused_at: now,
                resumed_at: None,
            };
            execute(connection, &PAUSE, &pause)?;
            Ok(pauses(connection)?.since(policy).unwrap_or(now))
        })
    }

    /// Ends the pause of `policy` at `now`; returns since when it had been paused, if it was.
    ///
    /// # Errors
    /// As [`super::Store::commit`].
    pub fn resume(
        &mut self,
        policy: &PolicyName,
        now: DateTime<Utc>,
    ) -> Result<Option<DateTime<Utc>>, StoreError> {
        self.write(|connection| {
            let since = pauses(connection)?.since(policy);
            connection.execute(
                "UPDATE pauses SET resumed_at = ?2 WHERE policy = ?1 AND resumed_at IS NULL",
                [policy.as_str(), &to_text(now)],
            )?;
            Ok(since)
        })
    }

    /// Asks for the snapshot of `run`, unless there is one to come that serves as well.
    ///
    /// # Errors
    /// As [`super::Store::commit`].
    pub fn take(&mut self, run: &Run) -> Result<HandedIn, StoreError> {
        self.write(|connection| {
            if let Some(other) = to_come(connection, run)? {
                return Ok(HandedIn::Joined(Box::new(other)));
            }
            if is_taken(connection, run)? {
                return Ok(HandedIn::Occupied);
            }
            upsert_run(connection, run)?;
            Ok(HandedIn::New)
        })
    }

    /// Takes a person's word that a plan is right; returns its number.
    ///
    /// # Errors
    /// As [`super::Store::commit`].
    pub fn confirm(&mut self, confirmation: &Confirmation) -> Result<i64, StoreError> {
        self.write(|connection| operations::insert_confirmation(connection, confirmation))
    }

    /// Asks for what is to be done to single snapshots; returns the numbers.
    ///
    /// # Errors
    /// As [`super::Store::commit`].
    pub fn ask(&mut self, actions: &[SnapshotAction]) -> Result<Vec<i64>, StoreError> {
        self.write(|connection| {
            let ids = actions.iter();
            ids.map(|action| operations::insert_action(connection, action))
                .collect()
        })
    }

    /// Takes a person's word that it is known that the history was rebuilt; returns when it was, if it was.
    ///
    /// # Errors
    /// As [`super::Store::commit`].
    pub fn acknowledge(&mut self) -> Result<Option<DateTime<Utc>>, StoreError> {
        self.write(operations::acknowledge)
    }

    fn write<T>(
        &mut self,
        wish: impl Fn(&Connection) -> Result<T, Fault>,
    ) -> Result<T, StoreError> {
        self.file.write(|transaction| wish(transaction))
    }
}

impl std::fmt::Debug for Inbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inbox")
            .field("path", &self.file.path)
            .finish_non_exhaustive()
    }
}

/// A run that a person asked for and AWS has not accepted, kept for as long as `run`.
fn to_come(connection: &Connection, run: &Run) -> Result<Option<Run>, Fault> {
    let condition = " WHERE policy = :policy AND account = :account AND region = :region
        AND cluster = :cluster AND \"trigger\" = 'manual' AND progress IS NOT NULL
        AND accepted_at IS NULL AND retention_days = :retention_days
        AND deadline_at > :scheduled_at";
    let mut statement = connection.prepare(&(RUNS.select() + condition))?;
    bind(&mut statement, &RunRow::from(run))?;
    let mut rows = statement.raw_query();
    while let Some(row) = rows.next()? {
        let other = row::run(row)?;
        // In any other state AWS may have begun, or it is to end without a snapshot.
        if matches!(other.state, RunState::Due | RunState::Waiting { .. }) {
            return Ok(Some(other));
        }
    }
    Ok(None)
}

fn is_taken(connection: &Connection, run: &Run) -> Result<bool, Fault> {
    let mut statement = connection.prepare(
        "SELECT EXISTS (SELECT 1 FROM runs WHERE policy = :policy AND account = :account
            AND region = :region AND cluster = :cluster AND scheduled_at = :scheduled_at)",
    )?;
    bind(&mut statement, &RunRow::from(run))?;
    let mut rows = statement.raw_query();
    let taken = rows.next()?.map(|row| row.get(0)).transpose()?;
    Ok(taken.unwrap_or_default())
}

/// What is asked for, if another connection has written since `seen`; `seen` becomes the present.
pub(super) fn news(
    connection: &Connection,
    seen: &mut Option<i64>,
) -> Result<Option<Requests>, Fault> {
    // Changes whenever another connection has committed (sqlite.org/pragma.html, "data_version").
    let version = connection.query_row("PRAGMA data_version", params![], |row| row.get(0))?;
    if *seen == Some(version) {
        return Ok(None);
    }
    let mut wishes = Requests {
        pauses: pauses(connection)?,
        runs: Vec::new(),
        confirmations: operations::confirmations(connection)?,
        actions: operations::open_actions(connection)?,
        rebuilt_at: meta::rebuilt_at(connection)?,
    };
    let open = RUNS.select() + " WHERE progress IS NOT NULL AND \"trigger\" = 'manual'";
    each(connection, &open, |row| {
        wishes.runs.push(row::run(row)?);
        Ok(())
    })?;
    *seen = Some(version);
    Ok(Some(wishes))
}
