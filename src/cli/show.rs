//! `redkeep show`: one snapshot, with everything that is known of it.
//!
//! Owns: finding a run by its snapshot's name, whole or short, and the line that restores the snapshot: of one that is gone
//! there is none.

use std::collections::BTreeSet;
use std::io::Write;

use clap::Args;
use serde::Serialize;

use crate::config::Config;
use crate::names::{AccountName, Region};
use crate::run::Run;
use crate::slot::rfc3339;
use crate::snapshot::SnapshotId;
use crate::store::{Reader, RunFilter};
use crate::told::run::{HistoryRow, Shown, restore_command, row, shown};

use super::filter::{Kind, Names};
use super::history::{opened, unreadable};
use super::output::{Output, Row, write_rows};
use super::view::OutputArgs;
use super::{ConfigArgs, Failure};
use crate::told::command;

/// Shows one snapshot with everything that is known of it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  redkeep show redkeep-nightly-dw-prod-20261124t013000z-3fa9c1d2
  redkeep show 3fa9c1d2                               by the 8 characters at its end
  redkeep show redkeep-nightly-dw-prod-20261124t013000z-3fa9c1d2 --output json")]
pub struct ShowArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// The snapshot's identifier, or the 8 characters at its end
    #[arg(value_name = "ID")]
    id: String,
    #[command(flatten)]
    place: PlaceArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// Where a snapshot is, of several that bear its name: it is unique in an account and region only.
#[derive(Debug, Args)]
pub(super) struct PlaceArgs {
    /// The snapshot's account, if several accounts have a snapshot of that name
    #[arg(long, value_name = "NAME")]
    account: Option<AccountName>,
    /// The snapshot's region, if several regions have a snapshot of that name
    #[arg(long, value_name = "REGION")]
    region: Option<Region>,
}

/// The runs that have, or first had, a snapshot of that name, which may be short.
pub(super) fn named(reader: &Reader, id: &str, place: &PlaceArgs) -> Result<Vec<Run>, Failure> {
    let is_short = SnapshotId::is_short(id);
    let filter = RunFilter {
        snapshot_id: (!is_short).then(|| id.to_owned()),
        short_id: is_short.then(|| id.to_owned()),
        account: place.account.clone(),
        region: place.region.clone(),
        ..RunFilter::default()
    };
    reader.runs(&filter).map_err(unreadable)
}

/// Several have it: the command does not choose.
pub(super) fn ambiguous(id: &str, runs: &[Run]) -> Failure {
    let scopes: BTreeSet<String> = { runs.iter() }
        .map(|run| run.slot.pair.scope.to_string())
        .collect();
    let scopes = scopes.into_iter().collect::<Vec<_>>().join(", ");
    Failure::Usage(format!(
        "got {id:?}, which is in {scopes}: name one with --account or --region, or write the whole identifier"
    ))
}

/// A run with the command that restores its snapshot.
#[derive(Debug, Serialize)]
struct ShowRow {
    #[serde(flatten)]
    run: HistoryRow,
    restore_command: Option<String>,
}

impl Row for ShowRow {
    const FIELDS: &'static [&'static str] = &{
        let mut fields = ["restore_command"; HistoryRow::FIELDS.len() + 1];
        let (of_run, _) = fields.split_at_mut(HistoryRow::FIELDS.len());
        of_run.copy_from_slice(HistoryRow::FIELDS);
        fields
    };
}

/// That there is no such snapshot, and what to type where it is the name of a cluster.
fn unknown(config: &Config, reader: &Reader, id: &str) -> Result<Failure, Failure> {
    let clusters = Names::new(config, Some(reader)).all(Kind::Cluster)?;
    let told = match clusters.contains(id) {
        true => format!(
            "{id} is a cluster, not a snapshot: `redkeep explain {id}` explains its slots, `redkeep snapshots \
             --cluster {id}` lists its snapshots"
        ),
        false => {
            format!("no run has the snapshot {id:?}; `redkeep snapshots` lists those that exist")
        }
    };
    Ok(Failure::Other(told))
}

pub(super) async fn show(args: &ShowArgs) -> Result<(), Failure> {
    let (config, reader) = opened(&args.config).await?;
    let mut runs = named(&reader, &args.id, &args.place)?;
    let Some(run) = runs.pop() else {
        return Err(unknown(&config, &reader, &args.id)?);
    };
    if !runs.is_empty() {
        runs.push(run);
        return Err(ambiguous(&args.id, &runs));
    }
    let restore_command = restore_command(&run);
    let mut out = std::io::stdout().lock();
    match args.output.output {
        Output::Table | Output::Wide => write_text(&mut out, &run, restore_command.as_deref()),
        other => {
            let run = row(&run);
            let row = ShowRow {
                run,
                restore_command,
            };
            Ok(write_rows(&mut out, other, &[], &[row])?)
        }
    }
}

/// A line for each field, and one for each member of AWS's description.
fn write_text(
    out: &mut impl Write,
    run: &Run,
    restore_command: Option<&str>,
) -> Result<(), Failure> {
    let Shown { fields, described } = shown(run);
    for (field, text) in fields {
        writeln!(out, "{field:<20} {text}")?;
    }
    if !described.is_empty() {
        writeln!(out, "\nAs AWS described it last:")?;
        for (member, text) in described {
            writeln!(out, "  {member:<46} {text}")?;
        }
    }
    match (restore_command, &run.gone) {
        (Some(command), _) => writeln!(out, "\nTo restore it into a new cluster:\n  {command}")?,
        (None, Some(gone)) => {
            let told = format!(
                "It has been gone since {} ({}) and cannot be restored; `redkeep snapshots` lists those that exist.",
                rfc3339(gone.at),
                gone.reason.as_str()
            );
            writeln!(out, "\n{}", command::whole(&told))?;
        }
        (None, None) => writeln!(out, "\nThere is no complete snapshot to restore.")?,
    }
    Ok(())
}
