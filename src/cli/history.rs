//! `redkeep history` and `redkeep show`: what became of every slot.

use std::collections::BTreeSet;
use std::io::{BufWriter, Write};

use chrono::{DateTime, TimeDelta, Utc};
use clap::Args;
use serde_json::Value;

use crate::error_chain::with_causes;
use crate::history::MissedRange;
use crate::logging::one_line;
use crate::names::{AccountName, ClusterId, PolicyName, Region};
use crate::run::{Outcome, Run, RunState};
use crate::slot::rfc3339;
use crate::snapshot::Hold;
use crate::store::{Reader, Record, RunFilter, StoreError};

use super::output::{Output, Row, write_pages, write_rows};
use super::{ConfigArgs, Failure, instant, instant_from, load_to_read};

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

const FIELDS: &[&str] = &[
    "policy",
    "account",
    "region",
    "cluster",
    "scheduled_at",
    "trigger",
    "snapshot_id",
    "state",
    "reason",
    "attempts",
    "starts_at",
    "deadline_at",
    "requested_at",
    "accepted_at",
    "available_at",
    "ended_at",
    "gone_at",
    "gone_reason",
    "on_hold",
    "size_bytes",
    "tier",
    "tier_reason",
    "retention_days",
    "slots",
    "last_scheduled_at",
    "snapshot",
];
const COLUMNS: &[&str] = &[
    "scheduled_at",
    "policy",
    "account",
    "region",
    "cluster",
    "state",
    "attempts",
    "size_bytes",
    "snapshot_id",
    "reason",
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
            let row = |record: &Record| record_row(record, args.output);
            Ok(page.map(|page| page.iter().map(row).collect()))
        })
    };
    write_pages::<Failure, _>(&mut out, args.output, FIELDS, COLUMNS, begin)?;
    Ok(out.flush()?)
}

/// A table shows nothing of AWS's description.
fn record_row(record: &Record, output: Output) -> Row {
    match record {
        Record::Run(run) if output == Output::Table => row_without_snapshot(run),
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
    let rows: Vec<Row> = runs.iter().map(row).collect();
    write_rows(out, output, FIELDS, COLUMNS, &rows)
}

fn row(run: &Run) -> Row {
    let snapshot = run
        .snapshot
        .as_deref()
        .and_then(|snapshot| serde_json::to_value(snapshot).ok());
    row_without_snapshot(run).with("snapshot", snapshot)
}

fn row_without_snapshot(run: &Run) -> Row {
    let pair = &run.slot.pair;
    let available = run.state == RunState::Ended(Outcome::Available);
    Row::of_pair(pair)
        .with("scheduled_at", rfc3339(run.slot.scheduled_at))
        .with("trigger", run.trigger.as_str())
        .with("snapshot_id", run.request.snapshot_id.as_str())
        .with("state", run.word())
        .with("reason", run.reason())
        .with("attempts", run.attempts)
        .with("starts_at", rfc3339(run.request.starts_at))
        .with("deadline_at", rfc3339(run.request.deadline))
        .with("requested_at", instant(run.requested_at))
        .with("accepted_at", instant(run.accepted_at))
        .with("available_at", instant(run.ended_at.filter(|_| available)))
        .with("ended_at", instant(run.ended_at))
        .with("gone_at", instant(run.gone.as_ref().map(|gone| gone.at)))
        .with(
            "gone_reason",
            run.gone.as_ref().map(|gone| gone.reason.as_str()),
        )
        .with("on_hold", on_hold(run))
        .with(
            "size_bytes",
            run.snapshot
                .as_ref()
                .and_then(|snapshot| snapshot.size_bytes()),
        )
        .with("tier", run.request.tier.as_str())
        .with("tier_reason", run.request.tier_reason.as_deref())
        .with("retention_days", run.request.retention.days_or_minus_one())
        .with("slots", 1)
}

/// Whether somebody holds the snapshot, by what AWS told last; absent where there is none.
fn on_hold(run: &Run) -> Option<bool> {
    let there = run.snapshot.as_ref().filter(|_| run.gone.is_none());
    there.map(|snapshot| snapshot.hold() == Hold::Held)
}

fn range_row(range: &MissedRange) -> Row {
    Row::of_pair(&range.pair)
        .with("scheduled_at", rfc3339(range.first_at))
        .with("trigger", "schedule")
        .with("state", "missed")
        .with("reason", range.reason.as_str())
        .with("attempts", 0)
        .with("slots", range.count)
        .with("last_scheduled_at", rfc3339(range.last_at))
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
    let row = row(&run).with("restore_command", restore_command(&run));
    let mut out = std::io::stdout().lock();
    if args.output != Output::Table {
        let fields: Vec<&str> = FIELDS.iter().copied().chain(["restore_command"]).collect();
        write_rows(&mut out, args.output, &fields, &[], &[row])?;
        return Ok(());
    }
    for field in FIELDS.iter().filter(|field| **field != "snapshot") {
        if let Some(text) = row.get(field).and_then(plain) {
            writeln!(out, "{field:<20} {text}")?;
        }
    }
    if let Some(Value::Object(members)) = row.get("snapshot") {
        writeln!(out, "\nAs AWS described it last:")?;
        for (member, value) in members {
            if let Some(text) = plain(value) {
                writeln!(out, "  {member:<46} {text}")?;
            }
        }
    }
    writeln!(
        out,
        "\nTo restore it into a new cluster:\n  {}",
        restore_command(&run)
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
