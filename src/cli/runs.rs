//! A run as a row of a table.
//!
//! Owns: the columns of `history`, which `take` prints too, and how states look. The fields are `told::run`'s. Never reads
//! the history.

use std::io::{self, Write};

use crate::history::MissedRange;
use crate::run::Run;
use crate::told::{self, run::expires_at, run::on_hold};

use super::output::{Column, Tone, View, text, write_rows};
use super::view::{Clocks, size};

pub(super) use crate::told::run::HistoryRow;

pub(super) const COLUMNS: &[Column<HistoryRow>] = &[
    Column("at", |row: &HistoryRow| row.at.clone()).zoned(),
    Column("policy", |row: &HistoryRow| row.policy.clone()),
    Column("account", |row: &HistoryRow| row.account.clone()).where_rows_differ(),
    Column("region", |row: &HistoryRow| row.region.clone()).where_rows_differ(),
    Column("cluster", |row: &HistoryRow| row.cluster.clone()),
    Column("state", |row: &HistoryRow| row.state.to_owned()).toned(tone),
    Column("id", |row: &HistoryRow| row.short_id.clone()).while_there_is_room(1),
    Column("size", |row: &HistoryRow| text(&row.size_bytes.map(size)))
        .right()
        .while_there_is_room(2),
    Column("trigger", |row: &HistoryRow| row.trigger.to_owned()).wide(),
    Column("tier", |row: &HistoryRow| text(&row.tier)).wide(),
    Column("attempts", |row: &HistoryRow| row.attempts.to_string())
        .right()
        .wide(),
    Column("snapshot_id", |row: &HistoryRow| text(&row.snapshot_id)).wide(),
    Column("expires_/_gone_/_why", |row: &HistoryRow| {
        row.what_came.clone()
    })
    .broken(),
];

/// How the state of a run looks.
pub(super) fn tone(row: &HistoryRow) -> Tone {
    match (row.state, &row.gone_at) {
        (_, Some(_)) => Tone::Faint,
        (state, None) => tone_of_state(state),
    }
}

/// How a state looks.
pub(super) fn tone_of_state(state: &str) -> Tone {
    match state {
        "available" => Tone::Good,
        "due" | "requested" | "creating" => Tone::Busy,
        "skipped" => Tone::Warning,
        _ => Tone::Bad,
    }
}

/// Writes runs as `history` does.
pub(super) fn write_runs(out: &mut impl Write, view: &View, runs: &[Run]) -> io::Result<()> {
    let rows: Vec<HistoryRow> = runs.iter().map(|run| row(run, &view.clocks)).collect();
    write_rows(out, view.clone(), COLUMNS, &rows)
}

/// What became of a run's slot, with what a table shows of it.
pub(super) fn row(run: &Run, clocks: &Clocks) -> HistoryRow {
    HistoryRow {
        at: clocks.show(run.slot.scheduled_at),
        short_id: run.request.snapshot_id.short().to_owned(),
        what_came: what_came(run, clocks),
        ..told::run::row(run)
    }
}

/// What became of the snapshot, or why there is none.
fn what_came(run: &Run, clocks: &Clocks) -> String {
    if let Some(gone) = &run.gone {
        return format!("gone {}: {}", clocks.date(gone.at), gone.reason.as_str());
    }
    if !run.is_good() {
        return run.reason().unwrap_or_default();
    }
    match (on_hold(run), expires_at(run)) {
        (Some(true), _) => "on hold".to_owned(),
        (_, Some(at)) => format!("expires {}", clocks.date(at)),
        (_, None) => "kept forever".to_owned(),
    }
}

/// What became of many slots in a row.
pub(super) fn range_row(range: &MissedRange, clocks: &Clocks) -> HistoryRow {
    let (why, count) = (range.reason.as_str(), range.count);
    let last = clocks.show(range.last_at);
    HistoryRow {
        at: clocks.show(range.first_at),
        what_came: format!("{why}: {count} slots until {last}"),
        ..told::run::range_row(range)
    }
}
