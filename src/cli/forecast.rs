//! `redkeep forecast`: the snapshots that the policies will hold, against the quota.

mod picture;

use std::io::Write;
use std::path::PathBuf;

use chrono::{DateTime, Utc};
use clap::Args;
use serde_json::{Value, json};

use crate::config::Config;
use crate::forecast::{Forecast, Sample, ScopeForecast, forecast as foretell};
use crate::history::History;
use crate::slot::rfc3339;
use crate::store::{Reader, StoreError};

use super::history::unreadable;
use super::output::{Output, Row, write_rows};
use super::{ConfigArgs, Failure, instant, load};

/// Foretells how many manual snapshots each account will hold in each region, and compares that with the quota.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  redkeep forecast                                a year, as a table and a plot
  redkeep forecast --days 90 --svg forecast.svg   a quarter, and as a picture
  redkeep forecast --daily --output csv           the number on each date

AWS is not asked: what the history holds is counted, and what the coming slots add to it; snapshots that redkeep
did not make are not known.")]
pub struct ForecastArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// How many days to look ahead
    #[arg(long, value_name = "N", default_value_t = YEAR, value_parser = clap::value_parser!(u16).range(1..=3653))]
    days: u16,
    /// A row for each date rather than for each account and region
    #[arg(long)]
    daily: bool,
    /// Write a picture to this file too (SVG)
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// The form of the output
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

/// How far a forecast looks by default, in days.
pub(super) const YEAR: u16 = 365;

const FIELDS: &[&str] = &[
    "account",
    "region",
    "snapshot_quota",
    "held",
    "peak",
    "peak_at",
    "steady",
    "over_quota_at",
    "stored_bytes",
    "peak_stored_bytes",
    "sizes_known",
    "policies",
];
const COLUMNS: &[&str] = &[
    "account",
    "region",
    "held",
    "peak",
    "peak_at",
    "steady",
    "snapshot_quota",
    "over_quota_at",
    "stored_bytes",
    "peak_stored_bytes",
];
const DAILY: &[&str] = &["account", "region", "date", "held", "snapshot_quota"];
const SHARES: &[&str] = &["account", "region", "policy", "held", "peak", "steady"];

pub(super) async fn forecast(args: &ForecastArgs, now: DateTime<Utc>) -> Result<(), Failure> {
    let config = load(&args.config).await?;
    let history = known(&config)?;
    let forecast = foretell(&config, &history, now, args.days);
    let mut out = std::io::stdout().lock();
    let rows: Vec<Row> = match args.daily {
        true => forecast.scopes.iter().flat_map(by_day).collect(),
        false => forecast.scopes.iter().map(row).collect(),
    };
    let (fields, columns) = match args.daily {
        true => (DAILY, DAILY),
        false => (FIELDS, COLUMNS),
    };
    write_rows(&mut out, args.output, fields, columns, &rows)?;
    if args.output == Output::Table && !args.daily {
        let shares: Vec<Row> = forecast.scopes.iter().flat_map(shares).collect();
        writeln!(out)?;
        write_rows(&mut out, Output::Table, SHARES, SHARES, &shares)?;
        for scope in &forecast.scopes {
            writeln!(out, "\n{}", picture::plot(scope))?;
        }
    }
    if let Some(path) = &args.svg {
        let svg = picture::svg(&forecast).map_err(Failure::Other)?;
        let unwritable =
            |error| Failure::Other(format!("{} cannot be written: {error}", path.display()));
        std::fs::write(path, svg).map_err(unwritable)?;
    }
    tell_notes(&forecast, args.days)?;
    Ok(())
}

/// The history, or none where there is none yet.
pub(super) fn known(config: &Config) -> Result<History, Failure> {
    match Reader::open(&config.database()).and_then(|reader| reader.history()) {
        Err(StoreError::Missing { .. }) => Ok(History::default()),
        read => read.map_err(unreadable),
    }
}

fn tell_notes(forecast: &Forecast, days: u16) -> std::io::Result<()> {
    let mut err = std::io::stderr().lock();
    for note in &forecast.notes {
        writeln!(err, "note: {note}")?;
    }
    for scope in &forecast.scopes {
        let place = &scope.scope;
        if scope.steady.is_none() {
            writeln!(err, "note: {place}: not settled within {days} days")?;
        }
        if scope.peak.stored_bytes.is_some() {
            let count = scope.sizes_known;
            writeln!(
                err,
                "note: {place}: bytes are estimated from the increments of {count} snapshots"
            )?;
        }
    }
    Ok(())
}

fn row(scope: &ScopeForecast) -> Row {
    let bytes = |moment: &Sample| Value::from(moment.stored_bytes);
    let policies: Vec<Value> = shares(scope)
        .iter()
        .map(|share| {
            let field = |name| share.get(name).cloned().unwrap_or_default();
            json!({
                "policy": field("policy"),
                "held": field("held"),
                "peak": field("peak"),
                "steady": field("steady"),
            })
        })
        .collect();
    of_scope(scope)
        .with("snapshot_quota", scope.quota)
        .with("held", scope.now.held)
        .with("peak", scope.peak.held)
        .with("peak_at", rfc3339(scope.peak.at))
        .with("steady", scope.steady.as_ref().map(|steady| steady.held))
        .with("over_quota_at", instant(scope.over_quota_at))
        .with("stored_bytes", bytes(&scope.now))
        .with("peak_stored_bytes", bytes(&scope.peak))
        .with("sizes_known", scope.sizes_known)
        .with("policies", policies)
}

fn by_day(scope: &ScopeForecast) -> impl Iterator<Item = Row> + use<'_> {
    scope.days.iter().map(move |day| {
        of_scope(scope)
            .with("date", day.date.to_string())
            .with("held", day.held)
            .with("snapshot_quota", scope.quota)
    })
}

/// What each policy contributes at the three moments.
fn shares(scope: &ScopeForecast) -> Vec<Row> {
    let moments = [Some(&scope.now), Some(&scope.peak), scope.steady.as_ref()];
    let policies: std::collections::BTreeSet<_> = moments
        .iter()
        .flatten()
        .flat_map(|moment| moment.by_policy.keys())
        .collect();
    let share = |policy| {
        let at = |moment: Option<&Sample>| {
            moment.map(|moment| moment.by_policy.get(policy).copied().unwrap_or_default())
        };
        of_scope(scope)
            .with("policy", policy.as_str())
            .with("held", at(moments[0]))
            .with("peak", at(moments[1]))
            .with("steady", at(moments[2]))
    };
    policies.into_iter().map(share).collect()
}

fn of_scope(scope: &ScopeForecast) -> Row {
    Row::default()
        .with("account", scope.scope.account.as_str())
        .with("region", scope.scope.region.as_str())
}
