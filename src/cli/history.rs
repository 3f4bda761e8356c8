//! `redkeep history`: what became of every slot.
//!
//! Owns: which runs are asked for, and following what becomes of them. How a run is shown is in `runs`.

use std::collections::BTreeMap;
use std::io::{BufWriter, Write};
use std::time::Duration;

use chrono::{DateTime, Utc};
use clap::Args;

use crate::clock::sleep;
use crate::config::Config;
use crate::error_chain::with_causes;
use crate::slot::{PairFilter, Slot, rfc3339};
use crate::store::{Presence, Reader, Record, RunFilter, StoreError};

use super::filter::FilterArgs;
use super::output::{Rows, View, write_pages};
use super::runs::{COLUMNS, HistoryRow, range_row, row};
use super::times::InstantArg;
use super::view::{ClockArgs, Clocks, OutputArgs};
use super::{ConfigArgs, Failure, load_to_read};

/// Lists runs, oldest first.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  redkeep history --limit 10
  redkeep history --policy nightly --since 7d
  redkeep history --state failed --output csv
  redkeep history --ended-since 2h --state expired    what has expired in the last 2 hours
  redkeep history --since 2026-11-01 --output json
  redkeep history --follow                            each slot, as its state changes

The table has short identifiers; `-o wide` prints whole ones, and `redkeep show` takes both. The last column
says if a snapshot is gone; --gone shows only those.")]
pub struct HistoryArgs {
    #[command(flatten)]
    config: ConfigArgs,
    #[command(flatten)]
    filter: FilterArgs,
    /// Only runs in this state
    #[arg(long, value_name = "STATE", value_parser = ["due", "requested", "creating", "available", "failed", "missed", "skipped", "expired", "conflict"])]
    state: Option<String>,
    /// Only slots from this time on: a date, an RFC 3339 time, or a duration before now (7d, 24h)
    #[arg(long, value_name = "WHEN", value_parser = InstantArg::read)]
    since: Option<InstantArg>,
    /// Only slots up to this time
    #[arg(long, value_name = "WHEN", value_parser = InstantArg::read)]
    until: Option<InstantArg>,
    /// Only slots whose outcome was recorded from this time on; a slot may end hours after it was due
    #[arg(long, value_name = "WHEN", value_parser = InstantArg::read)]
    ended_since: Option<InstantArg>,
    /// Only slots whose snapshot is gone
    #[arg(long)]
    gone: bool,
    /// Show at most this many, the newest
    #[arg(long, short = 'n', value_name = "N")]
    limit: Option<u32>,
    /// Keep running, and print each slot as its state changes, until Ctrl-C
    #[arg(long, short)]
    follow: bool,
    #[command(flatten)]
    clocks: ClockArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// With --follow, how many of the past are shown unless another number is asked for.
const RECENT: u32 = 10;
/// How often what is new is looked for.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

pub(super) async fn history(args: &HistoryArgs, now: DateTime<Utc>) -> Result<(), Failure> {
    let (config, reader) = opened(&args.config).await?;
    let among = args.filter.checked(&config, Some(&reader))?;
    let clocks = clocks_of(args.clocks, &config, &among);
    let filter = RunFilter {
        state: args.state.clone(),
        since: args.since.map(|since| since.before(now, &clocks)),
        until: args.until.map(|until| until.before(now, &clocks)),
        ended_since: args.ended_since.map(|since| since.before(now, &clocks)),
        presence: args.gone.then_some(Presence::Gone),
        limit: args.limit.or(args.follow.then_some(RECENT)),
        among,
        ..RunFilter::default()
    };
    let view = View::of(&args.output, clocks).or_say(empty(&reader)?);
    if args.follow {
        return follow(&reader, filter, &view).await;
    }
    let mut out = BufWriter::new(std::io::stdout().lock());
    let begin = || {
        let mut pages = reader.pages(&filter).map_err(unreadable)?;
        let clocks = &view.clocks;
        Ok(move || {
            let page = pages.next_page().map_err(unreadable)?;
            let rows = page.map(|page| page.iter().map(|one| record_row(one, clocks)).collect());
            Ok::<Option<Vec<HistoryRow>>, Failure>(rows)
        })
    };
    write_pages(&mut out, &view, COLUMNS, begin)?;
    out.flush()?;
    filter
        .since
        .map_or(Ok(()), |since| note_left(&reader, since))
}

/// Why there is no slot to show.
fn empty(reader: &Reader) -> Result<&'static str, Failure> {
    let any = RunFilter {
        limit: Some(1),
        ..RunFilter::default()
    };
    let is_new = reader.runs(&any).map_err(unreadable)?.is_empty()
        && reader.missed_ranges(&any).map_err(unreadable)?.is_empty();
    Ok(match is_new {
        true => "No slot has been due yet. `redkeep plan` lists the next ones.",
        false => "No slot matches what you asked for. `redkeep history` lists all.",
    })
}

/// Says on stderr that slots from `since` on have left the history.
pub(super) fn note_left(reader: &Reader, since: DateTime<Utc>) -> Result<(), Failure> {
    let complete_from = reader.complete_from().map_err(unreadable)?;
    if let Some(complete_from) = complete_from.filter(|from| since < *from) {
        writeln!(
            std::io::stderr(),
            "note: slots before {} whose snapshots are gone were removed from the history, as history_retention says",
            rfc3339(complete_from)
        )?;
    }
    Ok(())
}

/// The clocks of the policies that are shown.
pub(super) fn clocks_of(args: ClockArgs, config: &Config, among: &PairFilter) -> Clocks {
    match among.policies.as_slice() {
        [] => Clocks::of_all(args, config),
        policies => Clocks::choose(args, config, policies.iter().map(|name| name.as_str())),
    }
}

/// Writes the newest, and then whatever is new, until the command is stopped.
async fn follow(reader: &Reader, filter: RunFilter, view: &View) -> Result<(), Failure> {
    let mut seen: BTreeMap<Slot, (String, bool)> = BTreeMap::new();
    let mut rows: Option<Rows<'_, HistoryRow>> = None;
    let mut filter = filter;
    loop {
        let runs = reader.runs(&filter).map_err(unreadable)?;
        let is_told = |run: &crate::run::Run| seen.get(&run.slot).map(|(told, _)| told.clone());
        let fresh: Vec<HistoryRow> = { runs.iter() }
            .filter(|run| is_told(run) != Some(told(run)))
            .map(|run| row(run, &view.clocks))
            .collect();
        let rows = rows.get_or_insert_with(|| Rows::begin(view, COLUMNS, &fresh));
        rows.write(&mut std::io::stdout().lock(), &fresh)?;
        for run in &runs {
            seen.insert(run.slot.clone(), (told(run), run.is_ended()));
        }
        // What is open may change, and what is newer may come; nothing else is asked for again.
        let open = seen.iter().filter(|(_, (_, is_ended))| !is_ended);
        let open = open.map(|(slot, _)| slot.scheduled_at).min();
        let newest = seen.keys().map(|slot| slot.scheduled_at).max();
        filter.since = open.or(newest).or(filter.since);
        filter.limit = filter.since.is_none().then_some(RECENT);
        let since = filter.since;
        seen.retain(|slot, _| since.is_none_or(|since| slot.scheduled_at >= since));
        sleep(POLL_INTERVAL).await;
    }
}

/// What a line tells of a run: when it is another, there is another line.
fn told(run: &crate::run::Run) -> String {
    format!("{} {}", run.word(), run.reason().unwrap_or_default())
}

fn record_row(record: &Record, clocks: &Clocks) -> HistoryRow {
    match record {
        Record::Run(run) => row(run, clocks),
        Record::Missed(range) => range_row(range, clocks),
    }
}

/// The configuration, as far as it can be read, and the history.
pub(super) async fn opened(config: &ConfigArgs) -> Result<(Config, Reader), Failure> {
    let (config, _) = load_to_read(config).await?;
    let reader = Reader::open(&config.database()).map_err(unreadable)?;
    Ok((config, reader))
}

pub(super) fn unreadable(error: StoreError) -> Failure {
    let said = with_causes(&error);
    Failure::Other(match error.is_forbidden() {
        true => format!("{said}; only the service's user and root can read the history"),
        false => said,
    })
}
