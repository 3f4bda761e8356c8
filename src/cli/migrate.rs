//! `redkeep migrate`: moves a history into a database, or back.

use std::io::{self, Write};
use std::sync::Arc;

use clap::{Args, ValueEnum};

use crate::clock::Clock;
use crate::config;
use crate::store::{Move, Moved};

use super::database::{instance, server};
use super::state_lock::hold;
use super::wiring::{other, unusable_store};
use super::{ConfigArgs, Failure, invalid, sources};

/// Moves the history into the database of the table [database], or back out of it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  redkeep migrate --to postgres --dry-run
  redkeep migrate --to postgres
  redkeep migrate --to sqlite

Stop all instances first. redkeep compares both sides after it has written everything, and then marks the
old history as moved: `run` refuses to use it from then on.")]
pub struct MigrateArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Where to move the history
    #[arg(long, value_name = "WHERE")]
    to: Side,
    /// Print what would be moved, and move nothing
    #[arg(long)]
    dry_run: bool,
}

/// Where a history can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Side {
    /// Into the database that the table [database] names
    Postgres,
    /// Into state_dir
    Sqlite,
}

pub(super) async fn migrate(args: &MigrateArgs, clock: Arc<dyn Clock>) -> Result<(), Failure> {
    let sources = sources(&args.config).await;
    let config = config::load(&sources).map_err(invalid)?;
    let Some(shared) = config.database.clone() else {
        let what = "the policy file has no table [database], which says where the database is";
        return Err(Failure::Usage(what.to_owned()));
    };
    // Held until the end.
    let _hold = hold(&config.state_dir)?;
    let (server, process) = (
        server(&shared, &sources.environment),
        instance(&shared, &config).map_err(unusable_store)?,
    );
    let (own, replica) = (config.own_history(), config.database());
    let (to, is_dry_run) = (args.to, args.dry_run);
    let moved = tokio::task::spawn_blocking(move || {
        let moving = Move {
            own: &own,
            replica: &replica,
            server,
            instance: process,
            is_dry_run,
        };
        match to {
            Side::Postgres => moving.to_server(clock),
            Side::Sqlite => moving.to_own(clock),
        }
    });
    let moved = moved.await.map_err(other)?.map_err(unusable_store)?;
    tell(&moved, to, &shared.place(), args.dry_run)
}

fn tell(moved: &Moved, to: Side, database: &str, is_dry_run: bool) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    for (table, rows) in moved {
        writeln!(out, "{table:<16} {rows:>10}")?;
    }
    let rows: u64 = moved.iter().map(|(_, rows)| rows).sum();
    let place = match to {
        Side::Postgres => database,
        Side::Sqlite => "state_dir",
    };
    let what = if is_dry_run {
        "would be moved"
    } else {
        "were moved, and compared,"
    };
    writeln!(out, "{rows} rows {what} to {place}")?;
    if to == Side::Sqlite && !is_dry_run {
        writeln!(
            out,
            "take the table [database] out of the policy file before the next start"
        )?;
    }
    Ok(())
}
