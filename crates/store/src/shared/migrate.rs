//! A history that moves: out of a file of its own into a database, or back.
//!
//! Owns: copying every row of every table, some thousand at a time, the comparison of both sides afterwards, and the mark on
//! the side that was left, which nothing works on any more. Never writes into a side that holds another history.

use std::path::Path;
use std::sync::Arc;

use rusqlite::types::Value;
use rusqlite::{Connection, Transaction, params};

use super::dial::Server;
use super::keeper::HeldLease;
use super::lease::moved_to;
use super::seat::Seat;
use super::tables::SharedTable;
use super::wire::Wire;
use super::{Instance, capture, tables};
use crate::cell::without_nul;
use crate::error::{Fault, StoreError};
use crate::file::File;
use crate::meta;
use redkeep_core::lease::{LOOK_EACH, Sight, TAKEOVER_AFTER};
use redkeep_serve::clock::{Clock, boottime, sleep};
use redkeep_serve::safe_file;
use tokio::runtime::Handle;

/// How many rows are moved at once.
const BATCH: i64 = 2_000;

/// What was moved, or would be: the tables that have rows, and how many.
pub type Moved = Vec<(String, u64)>;

/// The two sides of a history that moves, and how.
pub struct Move<'a> {
    /// The file of one's own.
    pub own: &'a Path,
    /// This machine's copy of the shared one.
    pub replica: &'a Path,
    /// The server.
    pub server: Server,
    /// This process.
    pub instance: Instance,
    /// Whether only to say what would be moved.
    pub is_dry_run: bool,
}

impl Move<'_> {
    /// Moves the history of the file into the database.
    ///
    /// # Errors
    /// [`StoreError::InUse`] where an instance works, [`StoreError::Occupied`] where the database has a history; else as
    /// [`crate::Store::open`].
    pub fn to_server(self, clock: Arc<dyn Clock>) -> Result<Moved, StoreError> {
        if !self.own.exists() {
            let path = self.own.to_owned();
            return Err(StoreError::Missing { path });
        }
        let mut own = File::open(self.own)?;
        let place = self.server.database.place();
        // One that was marked by a move that did not end is moved again.
        match meta::check_not_moved(&own) {
            Err(StoreError::Moved { to, .. }) if to == place => {}
            checked => checked?,
        }
        let counted = count(&own).map_err(|fault| fault.at(self.own))?;
        if self.is_dry_run {
            return Ok(counted);
        }
        leave_out_nuls(&mut own)?;
        let lease = self.lease(&clock)?;
        let moved = self.fill_server(own, &lease, &place);
        // Also after a failure: nothing of it is live, and it is begun again.
        lease.give_up();
        moved?;
        Ok(counted)
    }

    /// No instance works on the server before the own history is marked as moved.
    fn fill_server(&self, mut own: File, lease: &HeldLease, place: &str) -> Result<(), StoreError> {
        let mut file = File::open_replica(self.replica, self.server.clone(), lease.fence())?;
        file.catch_up()?;
        let wire = Wire::new(self.server.clone()).map_err(StoreError::Thread)?;
        if file.has_identity() && !is_left(&wire, self.own)? {
            // One that is marked has been moved here.
            meta::check_not_moved(&own)?;
            let (there, here) = (
                meta::identity(&file.connection),
                meta::identity(&own.connection),
            );
            let is_same = matches!((&there, &here), (Ok(there), Ok(here)) if there == here);
            if !is_same {
                let place = place.to_owned();
                return Err(StoreError::Occupied { place });
            }
        }
        say_left(
            &wire,
            Some("where it comes from: the move has not ended"),
            self.own,
        )?;
        let shared = tables::tables(&file.connection).map_err(|fault| fault.at(self.own))?;
        fill(&mut file, self.own, &shared)?;
        drop(file);
        // The copy is made anew from the server, so that what is compared is what was sent.
        File::remove(self.replica)?;
        let mut file = File::open_replica(self.replica, self.server.clone(), lease.fence())?;
        file.catch_up()?;
        compare(&file, self.own, &shared)?;
        own.write(|transaction| meta::write_moved(transaction, place))?;
        say_left(&wire, None, self.own)?;
        own.close()
    }

    /// Moves the history of the database into the file.
    ///
    /// # Errors
    /// [`StoreError::InUse`] where an instance works, [`StoreError::Occupied`] where the file holds a history; else as
    /// [`crate::Store::open`].
    pub fn to_own(self, clock: Arc<dyn Clock>) -> Result<Moved, StoreError> {
        if self.own.exists() {
            let there = File::open(self.own)?;
            if meta::check_not_moved(&there).is_ok() && there.has_identity() {
                let place = self.own.display().to_string();
                return Err(StoreError::Occupied { place });
            }
        }
        let lease = self.lease(&clock)?;
        let moved = self.fill_own(&lease);
        lease.give_up();
        moved
    }

    fn fill_own(&self, lease: &HeldLease) -> Result<Moved, StoreError> {
        let to = self.own.display().to_string();
        let mut file = File::open_replica(self.replica, self.server.clone(), lease.fence())?;
        file.catch_up()?;
        let wire = Wire::new(self.server.clone()).map_err(StoreError::Thread)?;
        let left = moved_to(&wire).map_err(|fault| fault.at(self.replica))?;
        // One that was marked by a move that did not end is moved again.
        if !file.has_identity() || left.is_some_and(|left| left != to) {
            let path = self.replica.to_owned();
            return Err(StoreError::Missing { path });
        }
        let counted = count(&file).map_err(|fault| fault.at(self.replica))?;
        if self.is_dry_run {
            return Ok(counted);
        }
        let shared = tables::tables(&file.connection).map_err(|fault| fault.at(self.own))?;
        file.close()?;
        let new = self.own.with_extension("new");
        File::remove(&new)?;
        let mut made = File::open(&new)?;
        fill(&mut made, self.replica, &shared)?;
        compare(&made, self.replica, &shared)?;
        made.close()?;
        say_left(&wire, Some(&to), self.own)?;
        File::remove(self.own)?;
        std::fs::rename(&new, self.own).map_err(StoreError::file("rename", &new))?;
        safe_file::sync_directory(self.own).map_err(StoreError::file("flush", self.own))?;
        Ok(counted)
    }

    /// The lease, which keeps every instance away meanwhile.
    fn lease(&self, clock: &Arc<dyn Clock>) -> Result<HeldLease, StoreError> {
        let now = clock.now();
        let mut seat = Seat::new(
            self.server.clone(),
            self.replica,
            self.instance.clone(),
            now,
        )?
        .for_move();
        // One that has ended without a word holds the lease until nobody has seen it for long.
        let began = boottime();
        let pulse = loop {
            match seat.look(clock.now())? {
                (_, Sight::Free(pulse)) => break pulse,
                (view, Sight::Held) if boottime() - began > TAKEOVER_AFTER + LOOK_EACH * 5 => {
                    return Err(StoreError::InUse { by: view.name });
                }
                (_, Sight::Held) => Handle::current().block_on(sleep(LOOK_EACH)),
            }
        };
        let taken = seat.take(pulse, now)?;
        let in_use = || StoreError::InUse {
            by: "another instance".to_owned(),
        };
        let lease = seat.keep(&taken.ok_or_else(in_use)?, Arc::clone(clock))?;
        seat.leave();
        Ok(lease)
    }
}

fn count(file: &File) -> Result<Moved, Fault> {
    let shared = tables::tables(&file.connection)?;
    let mut counted = Moved::new();
    for table in shared {
        let sql = format!("SELECT count(*) FROM main.\"{}\"", table.name);
        let rows: i64 = file.connection.query_row(&sql, [], |row| row.get(0))?;
        if rows > 0 {
            counted.push((table.name, rows.unsigned_abs()));
        }
    }
    Ok(counted)
}

/// Earlier versions kept a NUL in a text, which the server has no place for.
fn leave_out_nuls(file: &mut File) -> Result<(), StoreError> {
    without_triggers(file, |file| file.write(replace_nuls))
}

fn replace_nuls(transaction: &Transaction<'_>) -> Result<(), Fault> {
    for table in tables::tables(transaction)? {
        for column in table.columns.iter().filter(|column| !column.is_number) {
            let (table, column) = (&table.name, &column.name);
            let mut has_nul = transaction.prepare(&format!(
                "SELECT DISTINCT \"{column}\" FROM main.\"{table}\" WHERE instr(\"{column}\", char(0)) > 0"
            ))?;
            let texts = has_nul.query_map([], |row| row.get::<_, String>(0))?;
            for text in texts.collect::<rusqlite::Result<Vec<_>>>()? {
                let set = format!(
                    "UPDATE main.\"{table}\" SET \"{column}\" = ?2 WHERE \"{column}\" = ?1"
                );
                transaction.execute(&set, params![text, without_nul(&text)])?;
            }
        }
    }
    Ok(())
}

/// Does `work` on rows that were first written elsewhere.
fn without_triggers<T>(
    file: &mut File,
    work: impl FnOnce(&mut File) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let set = |file: &File, are_on| {
        let set = capture::set_triggers(&file.connection, are_on);
        set.map_err(|fault| fault.at(&file.path))
    };
    let were_on = set(file, false)?;
    let done = work(file);
    set(file, were_on)?;
    done
}

/// Puts the rows of the history at `from` into `file`, in the place of what it has; those that tell whose it is come last.
fn fill(file: &mut File, from: &Path, shared: &[SharedTable]) -> Result<(), StoreError> {
    let path = file.path.clone();
    let name = from.to_string_lossy();
    let attached = file
        .connection
        .execute("ATTACH DATABASE ?1 AS other", [name]);
    attached.map_err(|error| Fault::from(error).at(&path))?;
    without_triggers(file, |file| copy_rows(file, shared))?;
    let detached = file.connection.execute_batch("DETACH DATABASE other");
    detached.map_err(|error| Fault::from(error).at(&path))
}

/// Puts the rows of the attached history into `file`.
fn copy_rows(file: &mut File, shared: &[SharedTable]) -> Result<(), StoreError> {
    let (last, others): (Vec<_>, Vec<_>) = shared.iter().partition(|table| table.name == "meta");
    for table in others.iter().chain(&last) {
        file.write(|transaction| {
            transaction.execute(&format!("DELETE FROM main.\"{}\"", table.name), [])?;
            Ok(())
        })?;
    }
    for table in others.iter().chain(&last) {
        let columns = table.column_list();
        let key = table.key_list();
        let name = &table.name;
        // By the key's order: it has an index, and no row changes meanwhile.
        let copy = format!(
            "INSERT INTO main.\"{name}\" ({columns}) SELECT {columns} FROM other.\"{name}\" WHERE {} ORDER BY {key} LIMIT ?1 OFFSET ?2",
            is_moved(name)
        );
        let mut offset = 0;
        loop {
            let copied = file.write(|transaction| {
                let mut copy = transaction.prepare_cached(&copy)?;
                Ok(copy.execute(params![BATCH, offset])?)
            })?;
            offset += BATCH;
            if copied < usize::try_from(BATCH).unwrap_or(usize::MAX) {
                break;
            }
        }
    }
    Ok(())
}

/// The condition of the rows that move: that a history was moved is told on its own side only.
fn is_moved(table: &str) -> &'static str {
    match table {
        "meta" => "key <> 'moved_to'",
        _ => "true",
    }
}

/// Refuses two sides that are not the same, row for row.
fn compare(file: &File, with: &Path, shared: &[SharedTable]) -> Result<(), StoreError> {
    let differing = |connection: &Connection| -> Result<Option<String>, Fault> {
        connection.execute("ATTACH DATABASE ?1 AS other", [with.to_string_lossy()])?;
        for table in shared {
            let (name, columns) = (&table.name, table.column_list());
            let (here, there) = (
                format!(
                    "SELECT {columns} FROM main.\"{name}\" WHERE {}",
                    is_moved(name)
                ),
                format!(
                    "SELECT {columns} FROM other.\"{name}\" WHERE {}",
                    is_moved(name)
                ),
            );
            let sql = format!(
                "SELECT EXISTS ({here} EXCEPT {there}) OR EXISTS ({there} EXCEPT {here})
                 OR (SELECT count(*) FROM ({here})) <> (SELECT count(*) FROM ({there}))"
            );
            if connection.query_row(&sql, [], |row| row.get(0))? {
                return Ok(Some(name.clone()));
            }
        }
        connection.execute_batch("DETACH DATABASE other")?;
        Ok(None)
    };
    let found = differing(&file.connection).map_err(|fault| fault.at(&file.path))?;
    match found {
        None => Ok(()),
        Some(table) => Err(StoreError::NotMoved { table }),
    }
}

/// Whether the history on the server was moved away.
fn is_left(wire: &Wire, path: &Path) -> Result<bool, StoreError> {
    let moved = moved_to(wire).map_err(|fault| fault.at(path))?;
    Ok(moved.is_some())
}

fn say_left(wire: &Wire, to: Option<&str>, path: &Path) -> Result<(), StoreError> {
    let to = to.map_or(Value::Null, |to| Value::from(to.to_owned()));
    let asked = wire.query("UPDATE {s}.installation SET moved_to = $1", vec![to]);
    asked
        .map(drop)
        .map_err(|trouble| Fault::from(trouble).at(path))
}
