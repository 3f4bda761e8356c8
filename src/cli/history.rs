//! `redkeep history` and `redkeep show`: what became of every slot.

use std::collections::BTreeSet;
use std::io::{BufWriter, Write};

use chrono::{DateTime, TimeDelta, Utc};
use clap::Args;
use serde::Serialize;

use crate::error_chain::with_causes;
use crate::names::{AccountName, ClusterId, PolicyName, Region};
use crate::run::Run;
use crate::store::{Reader, Record, RunFilter, StoreError};
use crate::told::run::{HistoryRow, Shown, range_row, restore_command, row, shown};

use super::output::{Column, Output, Row, text, write_pages, write_rows};
use super::{ConfigArgs, Failure, instant_from, load_to_read};

/// Lists runs, oldest first.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  redkeep history --limit 10
  redkeep history --policy nightly --since 7d
  redkeep history --state failed --output csv
  redkeep history --since 2026-11-01T00:00:00Z --output json")]
pub struct HistoryArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Only this policy
    #[arg(long, value_name = "NAME")]
    policy: Option<PolicyName>,
    /// Only this account
    #[arg(long, value_name = "NAME")]
    account: Option<AccountName>,
    /// Only this region
    #[arg(long, value_name = "REGION")]
    region: Option<Region>,
    /// Only this cluster
    #[arg(long, value_name = "ID")]
    cluster: Option<ClusterId>,
    /// Only runs in this state
    #[arg(long, value_name = "STATE", value_parser = ["due", "requested", "creating", "available", "failed", "missed", "skipped", "expired", "conflict"])]
    state: Option<String>,
    /// Only slots from this instant on (RFC 3339), or from so long ago on (7d, 24h)
    #[arg(long, value_name = "INSTANT|DURATION", value_parser = InstantArg::read)]
    since: Option<InstantArg>,
    /// Only slots up to this instant (RFC 3339), or up to so long ago
    #[arg(long, value_name = "INSTANT|DURATION", value_parser = InstantArg::read)]
    until: Option<InstantArg>,
    /// Only the newest so many
    #[arg(long, value_name = "N")]
    limit: Option<u32>,
    /// The form of the output
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

/// Shows one snapshot with everything that is known of it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  redkeep show redkeep-nightly-dw-prod-20261124t013000z-3fa9c1d2
  redkeep show redkeep-nightly-dw-prod-20261124t013000z-3fa9c1d2 --output json")]
pub struct ShowArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// The snapshot's identifier, as `history` and `plan` show it
    #[arg(value_name = "ID")]
    id: String,
    #[command(flatten)]
    place: PlaceArgs,
    /// The form of the output
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

/// Where a snapshot is, of several that bear its name: it is unique in an account and region only.
#[derive(Debug, Args)]
pub(super) struct PlaceArgs {
    /// Its account, where several have one of that name
    #[arg(long, value_name = "NAME")]
    account: Option<AccountName>,
    /// Its region, where there is one of that name in several
    #[arg(long, value_name = "REGION")]
    region: Option<Region>,
}

/// The runs that have, or first had, a snapshot of that name.
pub(super) fn named(reader: &Reader, id: &str, place: &PlaceArgs) -> Result<Vec<Run>, Failure> {
    let filter = RunFilter {
        snapshot_id: Some(id.to_owned()),
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
        "got {id:?}, which is in {scopes}: say which with --account or --region"
    ))
}

/// An instant, or a duration before now.
#[derive(Debug, Clone, Copy)]
pub(super) enum InstantArg {
    At(DateTime<Utc>),
    Ago(TimeDelta),
}

impl InstantArg {
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let ago = humantime::parse_duration(text)
            .ok()
            .and_then(|ago| TimeDelta::from_std(ago).ok());
        match ago {
            Some(ago) => Ok(Self::Ago(ago)),
            None => instant_from(text)
                .map(Self::At)
                .map_err(|wanted| format!("{wanted}, or a duration such as 7d")),
        }
    }

    pub(super) fn before(self, now: DateTime<Utc>) -> DateTime<Utc> {
        match self {
            Self::At(at) => at,
            Self::Ago(ago) => now.checked_sub_signed(ago).unwrap_or(DateTime::UNIX_EPOCH),
        }
    }
}

/// A run with the command that restores its snapshot.
#[derive(Debug, Serialize)]
struct ShowRow {
    #[serde(flatten)]
    run: HistoryRow,
    restore_command: String,
}

impl Row for ShowRow {
    const FIELDS: &'static [&'static str] = &{
        let mut fields = ["restore_command"; HistoryRow::FIELDS.len() + 1];
        let (of_run, _) = fields.split_at_mut(HistoryRow::FIELDS.len());
        of_run.copy_from_slice(HistoryRow::FIELDS);
        fields
    };
}

const COLUMNS: &[Column<HistoryRow>] = &[
    Column("scheduled_at", |row| row.scheduled_at.clone()),
    Column("policy", |row| row.policy.clone()),
    Column("account", |row| row.account.clone()),
    Column("region", |row| row.region.clone()),
    Column("cluster", |row| row.cluster.clone()),
    Column("state", |row| row.state.to_owned()),
    Column("attempts", |row| row.attempts.to_string()),
    Column("size_bytes", |row| text(&row.size_bytes)),
    Column("snapshot_id", |row| text(&row.snapshot_id)),
    Column("reason", |row| text(&row.reason)),
];

pub(super) async fn history(args: &HistoryArgs, now: DateTime<Utc>) -> Result<(), Failure> {
    let filter = RunFilter {
        policy: args.policy.clone(),
        account: args.account.clone(),
        region: args.region.clone(),
        cluster: args.cluster.clone(),
        state: args.state.clone(),
        since: args.since.map(|since| since.before(now)),
        until: args.until.map(|until| until.before(now)),
        limit: args.limit,
        snapshot_id: None,
    };
    let reader = open(&args.config).await?;
    let mut out = BufWriter::new(std::io::stdout().lock());
    let begin = || {
        let mut pages = reader.pages(&filter).map_err(unreadable)?;
        Ok(move || {
            let page = pages.next_page().map_err(unreadable)?;
            Ok(page.map(|page| page.iter().map(record_row).collect()))
        })
    };
    write_pages::<_, Failure, _>(&mut out, args.output, COLUMNS, begin)?;
    Ok(out.flush()?)
}

fn record_row(record: &Record) -> HistoryRow {
    match record {
        Record::Run(run) => row(run),
        Record::Missed(range) => range_row(range),
    }
}

pub(super) async fn open(config: &ConfigArgs) -> Result<Reader, Failure> {
    let (config, _) = load_to_read(config).await?;
    Reader::open(&config.database()).map_err(unreadable)
}

pub(super) fn unreadable(error: StoreError) -> Failure {
    let said = with_causes(&error);
    Failure::Other(match error.is_forbidden() {
        true => format!("{said}; the history is readable for the service's user and for root"),
        false => said,
    })
}

/// Writes runs as `history` does.
pub(super) fn write_runs(
    out: &mut impl Write,
    output: Output,
    runs: &[Run],
) -> std::io::Result<()> {
    let rows: Vec<HistoryRow> = runs.iter().map(row).collect();
    write_rows(out, output, COLUMNS, &rows)
}

pub(super) async fn show(args: &ShowArgs) -> Result<(), Failure> {
    let reader = open(&args.config).await?;
    let mut runs = named(&reader, &args.id, &args.place)?;
    let Some(run) = runs.pop() else {
        return Err(Failure::Other(format!(
            "no run has the snapshot {:?}; `redkeep history` lists those that there are",
            args.id
        )));
    };
    if !runs.is_empty() {
        runs.push(run);
        return Err(ambiguous(&args.id, &runs));
    }
    let restore_command = restore_command(&run);
    let mut out = std::io::stdout().lock();
    match args.output {
        Output::Table => write_text(&mut out, &run, &restore_command),
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
fn write_text(out: &mut impl Write, run: &Run, restore_command: &str) -> Result<(), Failure> {
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
    writeln!(
        out,
        "\nTo restore it into a new cluster:\n  {restore_command}"
    )?;
    Ok(())
}
