//! `redkeep history` and `redkeep show`: what became of every slot.

use std::collections::BTreeSet;
use std::io::{BufWriter, Write};
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use clap::Args;
use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::error_chain::with_causes;
use crate::history::MissedRange;
use crate::logging::one_line;
use crate::names::{AccountName, ClusterId, PolicyName, Region, Trigger};
use crate::run::{Outcome, OutcomeKind, Run, RunState};
use crate::slot::rfc3339;
use crate::snapshot::{Hold, Snapshot};
use crate::store::{Reader, Record, RunFilter, StoreError};

use super::output::{Column, Output, Row, names_of, row, text, write_pages, write_rows};
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

row! {
    /// What became of a slot, or of a range of missed ones.
    HistoryRow {
        policy: String,
        account: String,
        region: String,
        cluster: String,
        scheduled_at: String,
        trigger: &'static str,
        snapshot_id: Option<String>,
        state: &'static str,
        reason: Option<String>,
        attempts: u32,
        starts_at: Option<String>,
        deadline_at: Option<String>,
        requested_at: Option<String>,
        accepted_at: Option<String>,
        available_at: Option<String>,
        ended_at: Option<String>,
        gone_at: Option<String>,
        gone_reason: Option<&'static str>,
        on_hold: Option<bool>,
        size_bytes: Option<u64>,
        tier: Option<&'static str>,
        tier_reason: Option<String>,
        retention_days: Option<i32>,
        slots: u64,
        last_scheduled_at: Option<String>,
        #[serde(serialize_with = "as_described")]
        snapshot: Option<Arc<Snapshot>>,
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

/// AWS's description of a snapshot, its members in alphabetical order.
fn as_described<S: Serializer>(
    snapshot: &Option<Arc<Snapshot>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    described(snapshot.as_deref()).serialize(serializer)
}

fn described(snapshot: Option<&Snapshot>) -> Value {
    serde_json::to_value(snapshot).unwrap_or_default()
}

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
    out.flush()?;
    filter
        .since
        .map_or(Ok(()), |since| note_left(&reader, since))
}

/// Says on stderr that slots from `since` on have left the history.
pub(super) fn note_left(reader: &Reader, since: DateTime<Utc>) -> Result<(), Failure> {
    let complete_from = reader.complete_from().map_err(unreadable)?;
    if let Some(complete_from) = complete_from.filter(|from| since < *from) {
        writeln!(
            std::io::stderr(),
            "note: slots before {} whose snapshots are gone have left the history, as history_retention says",
            rfc3339(complete_from)
        )?;
    }
    Ok(())
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

fn row(run: &Run) -> HistoryRow {
    let available = run.state == RunState::Ended(Outcome::Available);
    let (request, gone) = (&run.request, run.gone.as_ref());
    let [policy, account, region, cluster] = names_of(&run.slot.pair);
    HistoryRow {
        policy,
        account,
        region,
        cluster,
        scheduled_at: rfc3339(run.slot.scheduled_at),
        trigger: run.trigger.as_str(),
        snapshot_id: Some(request.snapshot_id.to_string()),
        state: run.word(),
        reason: run.reason(),
        attempts: run.attempts,
        starts_at: Some(rfc3339(request.starts_at)),
        deadline_at: Some(rfc3339(request.deadline)),
        requested_at: run.requested_at.map(rfc3339),
        accepted_at: run.accepted_at.map(rfc3339),
        available_at: run.ended_at.filter(|_| available).map(rfc3339),
        ended_at: run.ended_at.map(rfc3339),
        gone_at: gone.map(|gone| rfc3339(gone.at)),
        gone_reason: gone.map(|gone| gone.reason.as_str()),
        on_hold: on_hold(run),
        size_bytes: run.snapshot.as_ref().and_then(|one| one.size_bytes()),
        tier: Some(request.tier.as_str()),
        tier_reason: request.tier_reason.as_deref().map(str::to_owned),
        retention_days: Some(request.retention.days_or_minus_one()),
        slots: 1,
        last_scheduled_at: None,
        snapshot: run.description().cloned(),
    }
}

/// Whether somebody holds the snapshot, by what AWS told last; absent where there is none.
fn on_hold(run: &Run) -> Option<bool> {
    let there = run.description().filter(|_| run.gone.is_none());
    there.map(|snapshot| snapshot.hold() == Hold::Held)
}

fn range_row(range: &MissedRange) -> HistoryRow {
    let [policy, account, region, cluster] = names_of(&range.pair);
    HistoryRow {
        policy,
        account,
        region,
        cluster,
        scheduled_at: rfc3339(range.first_at),
        trigger: Trigger::Schedule.as_str(),
        state: OutcomeKind::Missed.as_str(),
        reason: Some(range.reason.as_str().to_owned()),
        slots: range.count,
        last_scheduled_at: Some(rfc3339(range.last_at)),
        ..HistoryRow::default()
    }
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
    let row = HistoryRow {
        snapshot: None,
        ..row(run)
    };
    let values = serde_json::to_value(&row).unwrap_or_default();
    for field in HistoryRow::FIELDS {
        if let Some(text) = values.get(field).and_then(plain) {
            writeln!(out, "{field:<20} {text}")?;
        }
    }
    if let Value::Object(members) = described(run.description().map(AsRef::as_ref)) {
        writeln!(out, "\nAs AWS described it last:")?;
        for (member, value) in &members {
            if let Some(text) = plain(value) {
                writeln!(out, "  {member:<46} {text}")?;
            }
        }
    }
    writeln!(
        out,
        "\nTo restore it into a new cluster:\n  {restore_command}"
    )?;
    Ok(())
}

/// A value on one line; `None` for what is absent or empty.
fn plain(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(one_line(text)),
        Value::Array(items) if items.is_empty() => None,
        Value::Object(members) if members.is_empty() => None,
        Value::Object(members) => {
            let pairs = members
                .iter()
                .filter_map(|(key, value)| Some(format!("{key}={}", plain(value)?)));
            Some(one_line(&pairs.collect::<Vec<_>>().join(" ")))
        }
        other => Some(one_line(&other.to_string())),
    }
}

/// The AWS CLI line that restores the snapshot ("restore-from-cluster-snapshot").
fn restore_command(run: &Run) -> String {
    let (pair, id) = (&run.slot.pair, &run.request.snapshot_id);
    format!(
        "aws redshift restore-from-cluster-snapshot --region {} --snapshot-identifier {id} \
         --snapshot-cluster-identifier {} --cluster-identifier {}-restored",
        pair.scope.region,
        pair.cluster,
        pair.cluster
            .as_str()
            .chars()
            .take(54)
            .collect::<String>()
            .trim_end_matches('-'),
    )
}
