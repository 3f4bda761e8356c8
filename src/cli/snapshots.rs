//! `redkeep snapshots`: the snapshots that exist now, by the history.
//!
//! Owns: the rows. Reads the history alone, whether or not a daemon runs; what AWS has told since it ran last is not there.

use std::io::{BufWriter, Write};

use chrono::{DateTime, TimeDelta, Utc};
use clap::Args;

use crate::run::Run;
use crate::slot::rfc3339;
use crate::store::{Presence, Reader, Record, RunFilter};

use super::filter::FilterArgs;
use super::history::{clocks_of, opened, unreadable};
use super::output::{Column, Tone, View, names_of, row, text, write_pages};
use super::runs::tone_of_state;
use super::times::InstantArg;
use super::view::{ClockArgs, Clocks, OutputArgs, age, size};
use super::{ConfigArgs, Failure};
use crate::told::run::{expires_at, on_hold};

/// Lists the snapshots that exist now, oldest first: age, size, retention, and when AWS lets them go.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  redkeep snapshots
  redkeep snapshots --cluster dw-prod --since 7d
  redkeep snapshots --on-hold
  redkeep snapshots --policy nightly -o wide
  redkeep snapshots --output json

The list comes from the history, whether or not the daemon runs. Snapshots that redkeep did not make are not
in it. `redkeep show`, `hold` and `release` take the short identifier too.")]
pub struct SnapshotsArgs {
    #[command(flatten)]
    config: ConfigArgs,
    #[command(flatten)]
    filter: FilterArgs,
    /// Only snapshots of slots from this time on: a date, an RFC 3339 time, or a duration before now (7d, 24h)
    #[arg(long, value_name = "WHEN", value_parser = InstantArg::read)]
    since: Option<InstantArg>,
    /// Only snapshots of slots up to this time
    #[arg(long, value_name = "WHEN", value_parser = InstantArg::read)]
    until: Option<InstantArg>,
    /// Only snapshots on hold
    #[arg(long)]
    on_hold: bool,
    /// Show at most this many, the newest
    #[arg(long, short = 'n', value_name = "N", conflicts_with = "on_hold")]
    limit: Option<u32>,
    #[command(flatten)]
    clocks: ClockArgs,
    #[command(flatten)]
    output: OutputArgs,
}

row! {
    /// A snapshot that exists.
    SnapshotRow {
        policy: String,
        account: String,
        region: String,
        cluster: String,
        scheduled_at: String,
        trigger: &'static str,
        snapshot_id: String,
        short_id: String,
        state: &'static str,
        created_at: Option<String>,
        age_seconds: Option<i64>,
        size_bytes: Option<u64>,
        tier: &'static str,
        retention_days: Option<i32>,
        expires_at: Option<String>,
        on_hold: Option<bool>,
    }
    beside {
        slot: String,
        retention: String,
        created: String,
        kept: String,
    }
}

const COLUMNS: &[Column<SnapshotRow>] = &[
    Column("slot", |row: &SnapshotRow| row.slot.clone())
        .zoned()
        .while_there_is_room(1),
    Column("policy", |row: &SnapshotRow| row.policy.clone()),
    Column("account", |row: &SnapshotRow| row.account.clone()).where_rows_differ(),
    Column("region", |row: &SnapshotRow| row.region.clone()).where_rows_differ(),
    Column("cluster", |row: &SnapshotRow| row.cluster.clone()),
    Column("id", |row: &SnapshotRow| row.short_id.clone()),
    Column("state", |row: &SnapshotRow| row.state.to_owned())
        .toned(|row| tone_of_state(row.state))
        .where_rows_differ(),
    Column("age", |row: &SnapshotRow| {
        text(
            &row.age_seconds
                .map(|seconds| age(TimeDelta::seconds(seconds))),
        )
    })
    .right(),
    Column("size", |row: &SnapshotRow| text(&row.size_bytes.map(size))).right(),
    Column("tier", |row: &SnapshotRow| row.tier.to_owned()),
    Column("retention", |row: &SnapshotRow| row.retention.clone())
        .right()
        .while_there_is_room(2),
    Column("expires", |row: &SnapshotRow| row.kept.clone()).toned(|row| match row.on_hold {
        Some(true) => Tone::Warning,
        _ => Tone::Plain,
    }),
    Column("trigger", |row: &SnapshotRow| row.trigger.to_owned()).wide(),
    Column("created_at", |row: &SnapshotRow| row.created.clone())
        .zoned()
        .wide(),
    Column("snapshot_id", |row: &SnapshotRow| row.snapshot_id.clone()).wide(),
];

pub(super) async fn snapshots(args: &SnapshotsArgs, now: DateTime<Utc>) -> Result<(), Failure> {
    let (config, reader) = opened(&args.config).await?;
    let among = args.filter.checked(&config, Some(&reader))?;
    let clocks = clocks_of(args.clocks, &config, &among);
    let filter = RunFilter {
        since: args.since.map(|since| since.before(now, &clocks)),
        until: args.until.map(|until| until.before(now, &clocks)),
        presence: Some(Presence::There),
        limit: args.limit,
        among,
        ..RunFilter::default()
    };
    let view = View::of(&args.output, clocks).or_say(
        "No snapshot that redkeep made exists, or none matches what you asked for. `redkeep history` lists what \
         became of every slot.",
    );
    let mut out = BufWriter::new(std::io::stdout().lock());
    let begin = || pages(&reader, &filter, &view.clocks, args.on_hold, now);
    write_pages(&mut out, &view, COLUMNS, begin)?;
    Ok(out.flush()?)
}

/// The rows, a page at a time.
fn pages<'a>(
    reader: &'a Reader,
    filter: &RunFilter,
    clocks: &'a Clocks,
    only_held: bool,
    now: DateTime<Utc>,
) -> Result<impl FnMut() -> Result<Option<Vec<SnapshotRow>>, Failure> + use<'a>, Failure> {
    let mut pages = reader.pages(filter).map_err(unreadable)?;
    Ok(move || {
        let page = pages.next_page().map_err(unreadable)?;
        let rows = |page: Vec<Record>| {
            let runs = page.iter().filter_map(|record| match record {
                Record::Run(run) => Some(run),
                Record::Missed(_) => None,
            });
            let wanted = runs.filter(|run| !only_held || on_hold(run) == Some(true));
            wanted.map(|run| row(run, clocks, now)).collect()
        };
        Ok(page.map(rows))
    })
}

fn row(run: &Run, clocks: &Clocks, now: DateTime<Utc>) -> SnapshotRow {
    let [policy, account, region, cluster] = names_of(&run.slot.pair);
    let (created_at, expires_at) = (run.created_at(), expires_at(run));
    let told = run.snapshot.as_ref().and_then(|seen| seen.retention());
    let retention = told.unwrap_or(run.request.retention);
    let kept = match (on_hold(run), expires_at) {
        (Some(true), _) => "on hold".to_owned(),
        (_, None) => "never".to_owned(),
        (_, Some(at)) if at <= now => "now".to_owned(),
        (_, Some(at)) => format!("in {}", age(at - now)),
    };
    SnapshotRow {
        policy,
        account,
        region,
        cluster,
        scheduled_at: rfc3339(run.slot.scheduled_at),
        trigger: run.trigger.as_str(),
        snapshot_id: run.request.snapshot_id.to_string(),
        short_id: run.request.snapshot_id.short().to_owned(),
        state: run.word(),
        created_at: created_at.map(rfc3339),
        age_seconds: created_at.map(|at| (now - at).num_seconds().max(0)),
        size_bytes: run.snapshot.as_ref().and_then(|one| one.size_bytes()),
        tier: run.request.tier.as_str(),
        retention_days: Some(retention.days_or_minus_one()),
        expires_at: expires_at.map(rfc3339),
        on_hold: on_hold(run),
        slot: clocks.show(run.slot.scheduled_at),
        retention: retention.to_string(),
        created: text(&created_at.map(|at| clocks.show(at))),
        kept,
    }
}
