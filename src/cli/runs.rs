//! A run as a row: the fields of the JSON contract, and what a table shows of them.
//!
//! Owns: the row of `history`, which `take` and `show` print too. Never reads the history.

use std::io::{self, Write};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::history::MissedRange;
use crate::names::Trigger;
use crate::run::{Outcome, OutcomeKind, Run, RunState};
use crate::slot::rfc3339;
use crate::snapshot::{Hold, Snapshot};

use super::output::{Column, Tone, View, names_of, row, text, write_rows};
use super::view::{Clocks, size};

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
        expires_at: Option<String>,
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
    beside {
        at: String,
        short_id: String,
        what_came: String,
    }
}

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

/// AWS's description of a snapshot, its members in alphabetical order.
fn as_described<S: Serializer>(
    snapshot: &Option<Arc<Snapshot>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    described(snapshot.as_deref()).serialize(serializer)
}

pub(super) fn described(snapshot: Option<&Snapshot>) -> Value {
    serde_json::to_value(snapshot).unwrap_or_default()
}

/// Writes runs as `history` does.
pub(super) fn write_runs(out: &mut impl Write, view: &View, runs: &[Run]) -> io::Result<()> {
    let rows: Vec<HistoryRow> = runs.iter().map(|run| row(run, &view.clocks)).collect();
    write_rows(out, view.clone(), COLUMNS, &rows)
}

pub(super) fn row(run: &Run, clocks: &Clocks) -> HistoryRow {
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
        expires_at: expires_at(run).map(rfc3339),
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
        at: clocks.show(run.slot.scheduled_at),
        short_id: request.snapshot_id.short().to_owned(),
        what_came: what_came(run, clocks),
    }
}

/// When AWS lets the snapshot go, of one that is there.
pub(super) fn expires_at(run: &Run) -> Option<DateTime<Utc>> {
    run.expires_at().filter(|_| run.has_snapshot())
}

/// Whether somebody holds the snapshot, by what AWS told last; absent where there is none.
pub(super) fn on_hold(run: &Run) -> Option<bool> {
    let there = run.description().filter(|_| run.gone.is_none());
    there.map(|snapshot| snapshot.hold() == Hold::Held)
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
        (_, None) => "kept for ever".to_owned(),
    }
}

pub(super) fn range_row(range: &MissedRange, clocks: &Clocks) -> HistoryRow {
    let [policy, account, region, cluster] = names_of(&range.pair);
    let last = clocks.show(range.last_at);
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
        at: clocks.show(range.first_at),
        what_came: format!(
            "{}: {} slots until {last}",
            range.reason.as_str(),
            range.count
        ),
        ..HistoryRow::default()
    }
}
