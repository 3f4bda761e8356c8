//! The schema: which version of whose database it is, and how it comes up to date.
//!
//! Owns: the migrations. Never reads a row: what cannot be trusted is refused here, so that `read` and `write` meet
//! only a file of redkeep's own version.

use include_dir::{Dir, include_dir};
use rusqlite_migration::Migrations;

use super::error::{Fault, StoreError};
use super::file::File;

static MIGRATIONS: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/../../migrations");

/// 'redk' in ASCII; `migrations/01-init` sets it.
const APPLICATION_ID: i32 = 0x7265_646b;

impl File {
    /// Refuses other programs' files and versions that are not known here, before anything is written.
    pub(super) fn check_schema(&self, may_migrate: bool) -> Result<(), StoreError> {
        let path = self.path.clone();
        let [application_id, version, tables] = self.marks().map_err(|fault| fault.at(&path))?;
        let wanted = latest_version();
        let is_new = [application_id, version, tables] == [0, 0, 0];
        let is_begun = || !self.has_our_tables() || self.has_identity();
        if !may_migrate && (is_new || !is_begun()) {
            Err(StoreError::Missing { path })
        } else if !is_new && application_id != i64::from(APPLICATION_ID) && self.has_our_tables() {
            let what = format!("its application_id is {application_id:#010x}");
            Err(StoreError::Corrupt { path, what })
        } else if !is_new && application_id != i64::from(APPLICATION_ID) {
            let got = i32::try_from(application_id).unwrap_or_default();
            Err(StoreError::Foreign {
                path,
                got,
                wanted: APPLICATION_ID,
            })
        } else if version > wanted {
            Err(StoreError::NewerSchema {
                path,
                got: version,
                wanted,
            })
        } else if version < wanted && !may_migrate {
            Err(StoreError::OlderSchema {
                path,
                got: version,
                wanted,
            })
        } else {
            Ok(())
        }
    }

    /// Whether nothing has to be migrated.
    pub(super) fn is_current(&self) -> bool {
        self.marks()
            .is_ok_and(|[_, version, _]| version == latest_version())
    }

    /// `application_id`, `user_version` and the number of objects in the schema.
    pub(super) fn marks(&self) -> Result<[i64; 3], Fault> {
        let one = |sql| self.connection.query_row(sql, [], |row| row.get(0));
        Ok([
            one("PRAGMA application_id")?,
            one("PRAGMA user_version")?,
            one("SELECT count(*) FROM sqlite_schema")?,
        ])
    }

    /// Whether the tables are ours, whatever the header says.
    fn has_our_tables(&self) -> bool {
        let count = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name IN ('meta', 'pairs', 'runs')";
        let found = self.connection.query_row(count, [], |row| row.get(0));
        found == Ok(3)
    }

    /// Whether its owner has begun it: the tables of a new file are there a moment before its first rows.
    pub(super) fn has_identity(&self) -> bool {
        let first = "SELECT EXISTS (SELECT 1 FROM meta)";
        let found = self.connection.query_row(first, [], |row| row.get(0));
        found != Ok(false)
    }

    /// Each migration is one transaction together with its version: old or new, never mixed.
    pub(super) fn migrate(&mut self) -> Result<(), StoreError> {
        migrations()
            .and_then(|migrations| migrations.to_latest(&mut self.connection))
            .map_err(|error| match error {
                rusqlite_migration::Error::RusqliteError { err, .. } => {
                    Fault::from(err).at(&self.path)
                }
                other => StoreError::Migration {
                    path: self.path.clone(),
                    source: Box::new(other),
                },
            })
    }
}

/// The migrations in `migrations/`, in order.
fn migrations() -> Result<Migrations<'static>, rusqlite_migration::Error> {
    Migrations::from_directory(&MIGRATIONS)
}

/// The schema version of this redkeep: one for each migration.
pub(super) fn latest_version() -> i64 {
    i64::try_from(MIGRATIONS.dirs().count()).unwrap_or(i64::MAX)
}

/// A new history in memory, of the schema as it was in this version.
#[cfg(test)]
pub(super) fn migrated(version: i64) -> rusqlite::Connection {
    let mut connection = rusqlite::Connection::open_in_memory().unwrap();
    let version = usize::try_from(version).unwrap();
    let migrated = migrations().unwrap().to_version(&mut connection, version);
    migrated.unwrap();
    connection
}

/// The statements of the migration to this version.
#[cfg(test)]
pub(super) fn statements(version: i64) -> &'static str {
    let prefix = format!("{version:02}-");
    let is_it = |dir: &&Dir<'static>| dir.path().to_string_lossy().starts_with(&prefix);
    let migration = MIGRATIONS.dirs().find(is_it).unwrap();
    let file = migration.get_file(migration.path().join("up.sql")).unwrap();
    file.contents_utf8().unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::Connection;

    #[test]
    fn every_migration_is_valid_and_one_directory() {
        migrations().unwrap().validate().unwrap();
        let mut connection = Connection::open_in_memory().unwrap();
        migrations().unwrap().to_latest(&mut connection).unwrap();
        let version: i64 = connection
            .query_row("PRAGMA user_version", [], |row| row.get(0))
            .unwrap();
        assert_eq!(version, latest_version());
    }

    #[test]
    fn the_migration_marks_the_file_as_ours() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrations().unwrap().to_latest(&mut connection).unwrap();
        let id: i32 = connection
            .query_row("PRAGMA application_id", [], |row| row.get(0))
            .unwrap();
        assert_eq!(id, APPLICATION_ID);
    }
}
