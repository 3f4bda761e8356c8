//! `redkeep forecast`: the snapshots that the policies will hold, against the quota.

mod plot;

use std::collections::BTreeSet;
use std::io::Write;
use std::path::PathBuf;

use chrono::{DateTime, Utc};
use clap::Args;

use crate::config::Config;
use crate::forecast::{Forecast, Sample, ScopeForecast, YEAR, forecast as foretell};
use crate::names::PolicyName;
use crate::outline::Outline;
use crate::slot::rfc3339;
use crate::store::{Reader, StoreError};
use crate::told::picture;

use super::filter::FilterArgs;
use super::history::unreadable;
use super::output::{Column, Tone, View, row, text, write_rows};
use super::view::{OutputArgs, size};
use super::{ConfigArgs, Failure, load};

/// Foretells how many manual snapshots each account will hold in each region, and compares that with the quota.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  redkeep forecast                                a year, as a table and a plot
  redkeep forecast --days 90 --svg forecast.svg   90 days, also as a picture
  redkeep forecast --daily --output csv           the number on each date

Asks AWS nothing. The forecast counts the snapshots in the history and those of the slots to come; it does
not know snapshots that redkeep did not make.")]
pub struct ForecastArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// How many days to look ahead
    #[arg(long, value_name = "N", default_value_t = YEAR, value_parser = clap::value_parser!(u16).range(1..=3653))]
    days: u16,
    /// Print a row for each date instead of one for each account and region
    #[arg(long)]
    daily: bool,
    /// Also write a picture (SVG) to this file
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    #[command(flatten)]
    filter: FilterArgs,
    #[command(flatten)]
    output: OutputArgs,
}

row! {
    /// How many snapshots there will be in an account and region.
    ForecastRow {
        account: String,
        region: String,
        snapshot_quota: u32,
        held: usize,
        peak: usize,
        peak_at: String,
        steady: Option<usize>,
        over_quota_at: Option<String>,
        stored_bytes: Option<u64>,
        peak_stored_bytes: Option<u64>,
        sizes_known: usize,
        policies: Vec<Share>,
    }
    beside {
        peak_date: String,
        over_quota_date: Option<String>,
    }
}

const COLUMNS: &[Column<ForecastRow>] = &[
    Column("account", |row: &ForecastRow| row.account.clone()),
    Column("region", |row: &ForecastRow| row.region.clone()),
    Column("held", |row: &ForecastRow| row.held.to_string()).right(),
    Column("peak", |row: &ForecastRow| row.peak.to_string()).right(),
    Column("peak_at", |row: &ForecastRow| row.peak_date.clone()),
    Column("steady", |row: &ForecastRow| text(&row.steady)).right(),
    Column("quota", |row: &ForecastRow| row.snapshot_quota.to_string()).right(),
    Column("over_quota", |row: &ForecastRow| text(&row.over_quota_date))
        .toned(|_| Tone::Bad)
        .where_filled(),
    Column("stored", |row: &ForecastRow| {
        text(&row.stored_bytes.map(size))
    })
    .right()
    .where_filled(),
    Column("at_the_peak", |row: &ForecastRow| {
        text(&row.peak_stored_bytes.map(size))
    })
    .right()
    .where_filled(),
];

row! {
    /// How many snapshots there will be on a date.
    DayRow {
        account: String,
        region: String,
        date: String,
        held: usize,
        snapshot_quota: u32,
    }
}

const DAY_COLUMNS: &[Column<DayRow>] = &[
    Column("account", |row| row.account.clone()),
    Column("region", |row| row.region.clone()),
    Column("date", |row| row.date.clone()),
    Column("held", |row| row.held.to_string()),
    Column("snapshot_quota", |row| row.snapshot_quota.to_string()),
];

row! {
    /// What a policy contributes at the three moments.
    Share {
        held: Option<usize>,
        peak: Option<usize>,
        policy: String,
        steady: Option<usize>,
    }
    beside {
        account: String,
        region: String,
    }
}

const SHARE_COLUMNS: &[Column<Share>] = &[
    Column("account", |row| row.account.clone()),
    Column("region", |row| row.region.clone()),
    Column("policy", |row| row.policy.clone()),
    Column("held", |row| text(&row.held)),
    Column("peak", |row| text(&row.peak)),
    Column("steady", |row| text(&row.steady)),
];

pub(super) async fn forecast(args: &ForecastArgs, now: DateTime<Utc>) -> Result<(), Failure> {
    let config = load(&args.config).await?;
    let reader = reader(&config)?;
    let wanted = args.filter.checked(&config, reader.as_ref())?;
    let past = outline_of(reader.as_ref())?;
    let mut forecast = foretell(&config, &past, now, args.days);
    forecast
        .scopes
        .retain(|scope| wanted.has_scope(&scope.scope));
    let view = View::plain(&args.output)
        .or_say("None of the enabled policies that you asked for takes snapshots there.");
    let mut out = std::io::stdout().lock();
    let scopes = &forecast.scopes;
    if args.daily {
        let days: Vec<DayRow> = scopes.iter().flat_map(by_day).collect();
        write_rows(&mut out, view.clone(), DAY_COLUMNS, &days)?;
    } else {
        let rows: Vec<ForecastRow> = scopes.iter().map(row).collect();
        write_rows(&mut out, view.clone(), COLUMNS, &rows)?;
    }
    if args.output.output.is_table() && !args.daily {
        let shares: Vec<Share> = scopes.iter().flat_map(shares).collect();
        writeln!(out)?;
        write_rows(&mut out, view.clone(), SHARE_COLUMNS, &shares)?;
        for scope in scopes {
            writeln!(out, "\n{}", plot::plot(scope, &view))?;
        }
    }
    if let Some(path) = &args.svg {
        let svg = picture::svg(&forecast, picture::Frame::Wide).map_err(Failure::Other)?;
        let unwritable =
            |error| Failure::Other(format!("{} cannot be written: {error}", path.display()));
        std::fs::write(path, svg).map_err(unwritable)?;
    }
    tell_notes(&forecast, args.days)?;
    Ok(())
}

/// The history in outline, or none where there is none yet.
pub(super) fn past(config: &Config) -> Result<Outline, Failure> {
    outline_of(reader(config)?.as_ref())
}

/// The history's reader; `None` where there is no history yet.
pub(super) fn reader(config: &Config) -> Result<Option<Reader>, Failure> {
    match Reader::open(&config.database()) {
        Err(StoreError::Missing { .. }) => Ok(None),
        opened => opened.map(Some).map_err(unreadable),
    }
}

fn outline_of(reader: Option<&Reader>) -> Result<Outline, Failure> {
    let read = reader.map(Reader::outline).transpose();
    Ok(read.map_err(unreadable)?.unwrap_or_default())
}

fn tell_notes(forecast: &Forecast, days: u16) -> std::io::Result<()> {
    let mut err = std::io::stderr().lock();
    for note in &forecast.notes {
        writeln!(err, "note: {note}")?;
    }
    for scope in &forecast.scopes {
        let place = &scope.scope;
        if scope.steady.is_none() {
            writeln!(
                err,
                "note: {place}: the number of snapshots does not settle within {days} days"
            )?;
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

fn row(forecast: &ScopeForecast) -> ForecastRow {
    ForecastRow {
        account: forecast.scope.account.to_string(),
        region: forecast.scope.region.to_string(),
        snapshot_quota: forecast.quota,
        held: forecast.now.held,
        peak: forecast.peak.held,
        peak_at: rfc3339(forecast.peak.at),
        steady: forecast.steady.as_ref().map(|steady| steady.held),
        over_quota_at: forecast.over_quota_at.map(rfc3339),
        stored_bytes: forecast.now.stored_bytes,
        peak_stored_bytes: forecast.peak.stored_bytes,
        sizes_known: forecast.sizes_known,
        policies: shares(forecast),
        peak_date: forecast.peak.at.date_naive().to_string(),
        over_quota_date: forecast.over_quota_at.map(|at| at.date_naive().to_string()),
    }
}

fn by_day(forecast: &ScopeForecast) -> impl Iterator<Item = DayRow> + use<'_> {
    forecast.days.iter().map(move |day| DayRow {
        account: forecast.scope.account.to_string(),
        region: forecast.scope.region.to_string(),
        date: day.date.to_string(),
        held: day.held,
        snapshot_quota: forecast.quota,
    })
}

/// What each policy contributes.
fn shares(forecast: &ScopeForecast) -> Vec<Share> {
    let (now, peak, steady) = (&forecast.now, &forecast.peak, forecast.steady.as_ref());
    let moments = [Some(now), Some(peak), steady];
    let policies: BTreeSet<&PolicyName> = moments
        .iter()
        .flatten()
        .flat_map(|moment| moment.by_policy.keys())
        .collect();
    let share = |policy: &PolicyName| {
        let at = |moment: &Sample| moment.by_policy.get(policy).copied().unwrap_or_default();
        Share {
            account: forecast.scope.account.to_string(),
            region: forecast.scope.region.to_string(),
            policy: policy.to_string(),
            held: Some(at(now)),
            peak: Some(at(peak)),
            steady: steady.map(at),
        }
    };
    policies.into_iter().map(share).collect()
}
