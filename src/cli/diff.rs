//! `redkeep diff`: what another policy file would change.
//!
//! Owns: reading both files and the rows. Asks AWS nothing and reads no history; what follows from a difference is `edit`'s.

use std::io::Write;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use clap::Args;

use crate::config::Config;
use crate::edit::{Difference, differences};
use crate::slot::rfc3339;

use super::output::{Column, Tone, View, row, text, write_rows};
use super::view::{ClockArgs, Clocks, OutputArgs};
use super::{ConfigArgs, Failure, load_alone};

/// Compares two policy files: slots that come or go, retention, quota, what the guard and pruning would do otherwise.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  redkeep diff /etc/redkeep/redkeep.toml new.toml
  redkeep diff old.toml new.toml --days 30
  redkeep diff old.toml new.toml --output json        every slot that is added or removed

Exits with 0 when both files do the same, 1 when something is different, 78 when one of them is not valid.
Asks AWS nothing, and does not read the history: where a policy selects clusters by a glob or by tags, the
table shows the pattern.")]
pub struct DiffArgs {
    /// The policy file before the change
    #[arg(value_name = "OLD")]
    old: PathBuf,
    /// The policy file after the change
    #[arg(value_name = "NEW")]
    new: PathBuf,
    /// Compare the slots of this many days
    #[arg(long, value_name = "N", default_value_t = 7, value_parser = clap::value_parser!(u16).range(1..=366))]
    days: u16,
    #[command(flatten)]
    clocks: ClockArgs,
    #[command(flatten)]
    output: OutputArgs,
}

row! {
    /// Something that is different.
    DiffRow {
        policy: Option<String>,
        account: Option<String>,
        region: Option<String>,
        cluster: Option<String>,
        what: &'static str,
        old: Option<String>,
        new: Option<String>,
        effect: String,
        slots_added: Vec<String>,
        slots_removed: Vec<String>,
    }
    beside {
        told: String,
    }
}

const COLUMNS: &[Column<DiffRow>] = &[
    Column("policy", |row: &DiffRow| text(&row.policy)),
    Column("account", |row: &DiffRow| text(&row.account)).wide(),
    Column("region", |row: &DiffRow| text(&row.region)).wide(),
    Column("cluster", |row: &DiffRow| text(&row.cluster)).where_filled(),
    Column("what", |row: &DiffRow| row.what.to_owned()),
    Column("old", |row: &DiffRow| text(&row.old)).toned(|_| Tone::Bad),
    Column("new", |row: &DiffRow| text(&row.new)).toned(|_| Tone::Good),
    Column("effect", |row: &DiffRow| row.told.clone()).broken(),
];

pub(super) async fn diff(args: &DiffArgs, now: DateTime<Utc>) -> Result<(), Failure> {
    let (old, new) = (at(&args.old).await?, at(&args.new).await?);
    let found = differences(&old, &new, now, args.days);
    let view = View::of(&args.output, Clocks::of_all(args.clocks, &new));
    let rows: Vec<DiffRow> = found.iter().map(|one| row(one, &view.clocks)).collect();
    let mut out = std::io::stdout().lock();
    if rows.is_empty() && view.output.is_table() {
        writeln!(std::io::stderr(), "both files do the same")?;
        return Ok(());
    }
    write_rows(&mut out, view, COLUMNS, &rows)?;
    match rows.is_empty() {
        true => Ok(()),
        false => Err(Failure::Finding),
    }
}

async fn at(file: &Path) -> Result<Config, Failure> {
    let named = ConfigArgs {
        config: file.to_owned(),
    };
    let mut config = load_alone(&named).await?;
    // Beside the file, wherever that lies: a copy of it elsewhere means the same.
    let beside = file.parent().unwrap_or(Path::new(""));
    if let Ok(relative) = config.state_dir.strip_prefix(beside) {
        config.state_dir = relative.to_owned();
    }
    Ok(config)
}

fn row(one: &Difference, clocks: &Clocks) -> DiffRow {
    let scope = one.target.as_ref().map(|(scope, _)| scope);
    let instants = |slots: &[DateTime<Utc>]| slots.iter().map(|at| rfc3339(*at)).collect();
    let told = |slots: &[DateTime<Utc>], verb: &str| {
        let (first, count) = (slots.first()?, slots.len());
        let first = clocks.show(*first);
        Some(match count {
            1 => format!("1 slot {verb}: {first}"),
            _ => format!("{count} slots {verb}, the first {first}"),
        })
    };
    let slots = [told(&one.added, "come"), told(&one.removed, "go")];
    let slots: Vec<String> = slots.into_iter().flatten().collect();
    let effect = match slots.is_empty() {
        true => one.effect.clone(),
        false => format!("{} ({})", slots.join("; "), clocks.name()),
    };
    DiffRow {
        policy: one.policy.as_ref().map(ToString::to_string),
        account: scope.map(|scope| scope.account.to_string()),
        region: scope.map(|scope| scope.region.to_string()),
        cluster: one.target.as_ref().map(|(_, cluster)| cluster.clone()),
        what: one.what,
        old: one.old.clone(),
        new: one.new.clone(),
        effect: effect.clone(),
        slots_added: instants(&one.added),
        slots_removed: instants(&one.removed),
        told: effect,
    }
}
