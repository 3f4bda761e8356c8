//! What each error of the store says to people, and what they can do about it.
//!
//! Owns: those words. A variant without words does not compile.

use std::fmt::{self, Display};
use std::path::Path;

use super::StoreError;

/// The code of what redkeep's own statements refuse (`RAISE EXCEPTION`).
const OWN_REFUSAL: &str = "P0001";

const REBUILT: &str = "was lost and rebuilt: redkeep makes no copy of it until somebody runs `redkeep prune --acknowledge`";
const WORTH_LESS: &str =
    "and the copy before it have more records than the history now, or another installation's";

impl Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.problem())?;
        match self.hint() {
            Some(hint) => write!(f, "; {hint}"),
            None => Ok(()),
        }
    }
}

impl StoreError {
    /// What is wrong, without what to do about it and without its cause.
    pub fn problem(&self) -> String {
        match self {
            Self::Missing { path } => format!("there is no history at {}", path.display()),
            Self::Symlink { path } => of(path, "is a symbolic link, wanted a file"),
            Self::Refused { path, why } => {
                format!("redkeep does not use {}: {why}", path.display())
            }
            Self::NotADatabase { path } => of(path, "is not an SQLite database"),
            Self::Foreign { path, got, wanted } => {
                let ids = format_args!("application_id {got:#010x}, wanted {wanted:#010x}");
                of(path, format_args!("is another program's database ({ids})"))
            }
            Self::Corrupt { path, what } => of(path, format_args!("is damaged: {what}")),
            Self::OtherEndpoint { path, got, wanted } => {
                let kinds = format_args!("\"{got}\", the configuration wants \"{wanted}\"");
                of(
                    path,
                    format_args!("is the history of endpoint kind {kinds}"),
                )
            }
            Self::NewerSchema { path, got, wanted } => {
                let known = format_args!("{got}, this redkeep knows up to {wanted}");
                of(path, format_args!("has schema version {known}"))
            }
            Self::OlderSchema { path, got, wanted } => of(
                path,
                format_args!("has schema version {got}, wanted {wanted}"),
            ),
            Self::OldSqlite { got, wanted } => {
                format!("SQLite {got} can corrupt a database in WAL mode, wanted {wanted} or newer")
            }
            Self::NoLog { path, got } => {
                let mode = format_args!("journal_mode {got:?}, wanted \"wal\"");
                of(path, format_args!("cannot be used with a log ({mode})"))
            }
            Self::Replaced { path } => of(path, "was removed or replaced while it was open"),
            Self::Rebuilt { path } => of(path, REBUILT),
            Self::WorthLess { path } => of(path, WORTH_LESS),
            Self::Locked { path, .. } => of(path, "is locked by another program"),
            Self::Unwritable { path } => of(path, "cannot be written now"),
            Self::Storage { path, .. } => format!("cannot use {} now", path.display()),
            Self::File { doing, path, .. } => format!("cannot {doing} {}", path.display()),
            Self::Sqlite { path, .. } => format!("{}: a statement failed", path.display()),
            Self::Migration { path, .. } => format!("cannot migrate {}", path.display()),
            Self::Thread(_) => "cannot start a thread for the store".to_owned(),
            Self::Closed => "the store is closed".to_owned(),
            Self::Unreachable { why } => format!("the database server cannot be used now: {why}"),
            Self::Server { code, message } => refused(code, message),
            Self::ServerNewer { got, wanted } => server_newer(*got, *wanted),
            Self::TablesInUse { why } => {
                format!("the tables of the shared history cannot be brought up to date now: {why}")
            }
            Self::InUse { by } => format!("{by} works on the shared history"),
            Self::Occupied { place } => format!("{place} has a history already"),
            Self::Moved { place, to } => format!("the history in {place} was moved to {to}"),
            Self::NotMoved { table } => not_moved(table),
            Self::LeaseLost => "another instance has taken over".to_owned(),
        }
    }

    /// What an operator can do about it, where that is known.
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::Missing { .. } => "`redkeep run` creates it at its first start",
            Self::Symlink { .. } => "put the file itself there, or set state_dir to its directory",
            Self::Refused { .. } => "move it away",
            Self::NotADatabase { .. } => "`redkeep run` moves it aside and creates a new history",
            Self::Foreign { .. } | Self::OtherEndpoint { .. } => {
                "set state_dir to another directory"
            }
            Self::Corrupt { .. } => {
                "`redkeep run` moves it aside and rebuilds the records from the snapshots; or put the daily copy in \
                 its place"
            }
            Self::Unreachable { .. } => {
                "check the server and the table [database]; `redkeep doctor` says more"
            }
            Self::TablesInUse { .. } => {
                "redkeep tries again; end the backup, or the other session, that reads them for long"
            }
            Self::InUse { .. } => "stop all instances first",
            Self::Occupied { .. } => "it is another installation's; choose another place",
            Self::Moved { .. } => {
                "change the table [database] of the policy file, or move it back by `redkeep migrate`"
            }
            Self::Server { code, .. } if code == OWN_REFUSAL => return None,
            Self::Server { .. } => {
                "the role must own the schema, or have the right to create it and everything in it"
            }
            Self::NewerSchema { .. } | Self::ServerNewer { .. } => {
                "run the newer redkeep that wrote it"
            }
            Self::OlderSchema { .. } => "start `redkeep run` once, which migrates it",
            Self::OldSqlite { .. } => "build redkeep with the bundled SQLite",
            Self::NoLog { .. } => "set state_dir to a local disk",
            Self::Replaced { .. } => "restart redkeep",
            Self::WorthLess { .. } => {
                "move both copies to a safe place; then redkeep makes a new one"
            }
            Self::Locked { .. } => {
                "end that program, such as an sqlite3 shell with an open transaction or a program that copies files"
            }
            Self::Storage { .. } | Self::Unwritable { .. } => {
                "check the free space, the mount and the permissions of its directory"
            }
            Self::Rebuilt { .. }
            | Self::File { .. }
            | Self::Sqlite { .. }
            | Self::Migration { .. }
            | Self::LeaseLost
            | Self::NotMoved { .. }
            | Self::Thread(_)
            | Self::Closed => return None,
        })
    }
}

/// What is said of a file.
fn of(path: &Path, what: impl Display) -> String {
    format!("{} {what}", path.display())
}

fn refused(code: &str, message: &str) -> String {
    match code {
        OWN_REFUSAL => format!("the database server cannot have the history: {message}"),
        _ => format!("the database server refuses a statement: {message} (SQLSTATE {code})"),
    }
}

fn server_newer(got: i64, wanted: i64) -> String {
    format!(
        "the shared history wants schema version {got} or newer, this redkeep knows up to {wanted}"
    )
}

fn not_moved(table: &str) -> String {
    format!(
        "the table {table} is not the same on both sides; the history that was there before is unchanged"
    )
}
