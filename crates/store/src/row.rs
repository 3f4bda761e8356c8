//! Rows as redkeep's types: pairs, runs, ranges of missed slots, and what belongs to them.
//!
//! Owns: the columns of these tables, and how a row becomes a run, a pair or a range and comes of one.

use std::sync::Arc;

use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};
use rusqlite::Row;

use super::cell::{Exact, missed};
use super::error::Fault;
use super::table::{Stored, Table, fields, table};
use redkeep_core::history::{Extension, MissedRange, PairState};
use redkeep_core::names::{AccountName, ClusterId, PolicyName, Region, Retention, Tier, Trigger};
use redkeep_core::pause::Pause;
use redkeep_core::run::{Gone, GoneReason, Missed, Outcome, Run, RunState, SnapshotSpec};
use redkeep_core::schedule::ClockNote;
use redkeep_core::seen::Seen;
use redkeep_core::shared_tags::SharedTags;
use redkeep_core::slot::{Pair, Scope, Slot};
use redkeep_core::snapshot::{Snapshot, SnapshotId};

table! {
    /// A policy applied to one cluster.
    PairRow = PAIRS, "pairs", key (policy, account, region, cluster) {
        policy: PolicyName,
        account: AccountName,
        region: Region,
        cluster: ClusterId,
        active_from: DateTime<Utc>,
        watermark: DateTime<Utc>,
        schedule: String,
        timezone: String,
        zone_rules: Option<String>,
        local_watermark: Option<NaiveDateTime>,
        cluster_created_at: Option<Exact>,
        closed_at: Option<DateTime<Utc>>,
        cluster_gone_at: Option<DateTime<Utc>>,
    }
}

table! {
    /// A slot: what was asked for, and what became of it.
    RunRow = RUNS, "runs", key (policy, account, region, cluster, scheduled_at) {
        policy: PolicyName,
        account: AccountName,
        region: Region,
        cluster: ClusterId,
        scheduled_at: DateTime<Utc>,
        trigger: Trigger,
        state: String,
        reason: Option<String>,
        message: Option<String>,
        attempts: u32,
        snapshot_id: SnapshotId,
        tier: Tier,
        tier_reason: Option<Arc<str>>,
        retention_days: Retention,
        tags: SharedTags,
        starts_at: DateTime<Utc>,
        deadline_at: DateTime<Utc>,
        completion_window_seconds: TimeDelta,
        interval_seconds: TimeDelta,
        requested_at: Option<DateTime<Utc>>,
        asked_at: Option<DateTime<Utc>>,
        accepted_at: Option<DateTime<Utc>>,
        ended_at: Option<DateTime<Utc>>,
        gone_at: Option<DateTime<Utc>>,
        gone_reason: Option<GoneReason>,
        size_bytes: Option<i64>,
        snapshot: Option<Arc<Snapshot>>,
        progress: Option<RunState>,
    }
}

table! {
    /// How many slots of a pair ended so.
    TotalRow = TOTALS, "totals", key (policy, account, region, cluster, state) {
        policy: PolicyName,
        account: AccountName,
        region: Region,
        cluster: ClusterId,
        state: String,
        count: u64,
    }
}

table! {
    /// More than a hundred slots missed in a row.
    MissedRangeRow = MISSED_RANGES, "missed_ranges", key (policy, account, region, cluster, first_at) {
        policy: PolicyName,
        account: AccountName,
        region: Region,
        cluster: ClusterId,
        first_at: DateTime<Utc>,
        last_at: DateTime<Utc>,
        count: u64,
        reason: Missed,
    }
}

table! {
    /// The end of a snapshot that was put off.
    ExtensionRow = EXTENSIONS, "extensions",
    key (policy, account, region, cluster, scheduled_at, extended_at) {
        policy: PolicyName,
        account: AccountName,
        region: Region,
        cluster: ClusterId,
        scheduled_at: DateTime<Utc>,
        extended_at: DateTime<Utc>,
        from_days: Retention,
        to_days: Retention,
        reason: String,
    }
}

table! {
    /// A stretch in which a policy is paused.
    PauseRow = PAUSES, "pauses", key (policy, paused_at) {
        policy: PolicyName,
        paused_at: DateTime<Utc>,
        resumed_at: Option<DateTime<Utc>>,
    }
}

table! {
    /// The number that an account's name stands for.
    AccountRow = ACCOUNTS, "accounts", key (name) {
        name: AccountName,
        number: String,
    }
}

/// The pair of a row that has its four parts.
macro_rules! pair_in {
    ($row:ident) => {
        Pair {
            policy: $row.policy,
            scope: Scope {
                account: $row.account,
                region: $row.region,
            },
            cluster: $row.cluster,
        }
    };
}

/// The slot of a row that has its five parts.
macro_rules! slot_in {
    ($row:ident) => {
        Slot {
            scheduled_at: $row.scheduled_at,
            pair: $crate::row::pair_in!($row),
        }
    };
}
pub(super) use {pair_in, slot_in};

/// The four parts of a pair.
pub(super) fn parts(pair: &Pair) -> (PolicyName, AccountName, Region, ClusterId) {
    let Pair {
        policy,
        scope: Scope { account, region },
        cluster,
    } = pair.clone();
    (policy, account, region, cluster)
}

/// The pair that a row of a table begins with, behind its number.
pub(super) fn pair_of(table: &Table, row: &Row<'_>) -> Result<Pair, Fault> {
    let mut fields = fields(table, row);
    Ok(Pair {
        policy: fields.next()?,
        scope: Scope {
            account: fields.next()?,
            region: fields.next()?,
        },
        cluster: fields.next()?,
    })
}

/// A row of [`PAIRS`].
pub(super) fn pair(row: &Row<'_>) -> Result<(Pair, PairState), Fault> {
    let row = PairRow::read(row)?;
    let clocks = row.zone_rules.zip(row.local_watermark);
    let state = PairState {
        active_from: row.active_from,
        watermark: row.watermark,
        schedule: row.schedule,
        timezone: row.timezone,
        clocks: clocks.map(|(rules, local)| ClockNote { rules, local }),
        cluster_created_at: row.cluster_created_at.map(|exact| exact.0),
        closed_at: row.closed_at,
        cluster_gone_at: row.cluster_gone_at,
    };
    Ok((pair_in!(row), state))
}

/// The row of a pair.
pub(super) fn pair_row(pair: &Pair, state: &PairState) -> PairRow {
    let (policy, account, region, cluster) = parts(pair);
    let (rules, local) = state
        .clocks
        .clone()
        .map(|note| (note.rules, note.local))
        .unzip();
    PairRow {
        policy,
        account,
        region,
        cluster,
        active_from: state.active_from,
        watermark: state.watermark,
        schedule: state.schedule.clone(),
        timezone: state.timezone.clone(),
        zone_rules: rules,
        local_watermark: local,
        cluster_created_at: state.cluster_created_at.map(Exact),
        closed_at: state.closed_at,
        cluster_gone_at: state.cluster_gone_at,
    }
}

/// A row of [`PAUSES`].
pub(super) fn pause(row: &Row<'_>) -> Result<(PolicyName, Pause), Fault> {
    let row = PauseRow::read(row)?;
    let pause = Pause {
        paused_at: row.paused_at,
        resumed_at: row.resumed_at,
    };
    Ok((row.policy, pause))
}

/// A row of [`ACCOUNTS`].
pub(super) fn account(row: &Row<'_>) -> Result<(AccountName, String), Fault> {
    let row = AccountRow::read(row)?;
    Ok((row.name, row.number))
}

/// A row of [`MISSED_RANGES`].
pub(super) fn missed_range(row: &Row<'_>) -> Result<MissedRange, Fault> {
    let row = MissedRangeRow::read(row)?;
    Ok(MissedRange {
        pair: pair_in!(row),
        first_at: row.first_at,
        last_at: row.last_at,
        count: row.count,
        reason: row.reason,
    })
}

impl From<&MissedRange> for MissedRangeRow {
    fn from(range: &MissedRange) -> Self {
        let (policy, account, region, cluster) = parts(&range.pair);
        Self {
            policy,
            account,
            region,
            cluster,
            first_at: range.first_at,
            last_at: range.last_at,
            count: range.count,
            reason: range.reason,
        }
    }
}

impl From<&Extension> for ExtensionRow {
    fn from(extension: &Extension) -> Self {
        let (policy, account, region, cluster) = parts(&extension.slot.pair);
        Self {
            policy,
            account,
            region,
            cluster,
            scheduled_at: extension.slot.scheduled_at,
            extended_at: extension.extended_at,
            from_days: extension.from,
            to_days: extension.to,
            reason: extension.reason.clone(),
        }
    }
}

/// A row of [`TOTALS`].
pub(super) fn total(row: &Row<'_>) -> Result<(Pair, String, u64), Fault> {
    let row = TotalRow::read(row)?;
    Ok((pair_in!(row), row.state, row.count))
}

/// A row of [`RUNS`].
pub(super) fn run(row: &Row<'_>) -> Result<Run, Fault> {
    run_of(row, RunRow::read(row)?)
}

/// The run of what was read of a row.
pub(super) fn run_of(from: &Row<'_>, mut row: RunRow) -> Result<Run, Fault> {
    let damage = |column: &str, what: String| RunRow::damage(from, column, what);
    Ok(Run {
        trigger: row.trigger,
        state: state(&mut row).map_err(|(column, what)| damage(column, what))?,
        attempts: row.attempts,
        requested_at: row.requested_at,
        asked_at: row.asked_at,
        accepted_at: row.accepted_at,
        ended_at: row.ended_at,
        message: row.message,
        snapshot: row.snapshot.map(Seen::from),
        gone: match (row.gone_at, row.gone_reason) {
            (Some(at), Some(reason)) => Some(Gone { at, reason }),
            (Some(_), None) => return Err(damage("gone_reason", "NULL".to_owned())),
            (None, _) => None,
        },
        request: SnapshotSpec {
            snapshot_id: row.snapshot_id,
            retention: row.retention_days,
            tier: row.tier,
            tier_reason: row.tier_reason,
            tags: row.tags,
            starts_at: row.starts_at,
            deadline: row.deadline_at,
            completion_window: row.completion_window_seconds,
            interval: row.interval_seconds,
        },
        slot: slot_in!(row),
    })
}

/// An open run stands in `progress`; an ended one is told by its word and its reason. The error has its column.
fn state(row: &mut RunRow) -> Result<RunState, (&'static str, String)> {
    match row.progress.take() {
        Some(RunState::Ended(_)) => Err(("progress", "an ended run, wanted NULL".to_owned())),
        Some(open) => Ok(open),
        None => outcome(&row.state, row.reason.take()).map(RunState::Ended),
    }
}

fn outcome(word: &str, reason: Option<String>) -> Result<Outcome, (&'static str, String)> {
    let reason = reason.ok_or_else(|| ("reason", "NULL".to_owned()));
    Ok(match word {
        "available" => Outcome::Available,
        "failed" => Outcome::Failed(reason?.into()),
        "missed" => Outcome::Missed(missed(&reason?).map_err(|what| ("reason", what))?),
        "skipped" => Outcome::Skipped,
        "expired" => Outcome::Expired(reason?.into()),
        "conflict" => Outcome::Conflict(reason?),
        other => {
            let what = format!("got {other:?}, wanted an ended run's word");
            return Err(("state", what));
        }
    })
}

impl From<&Run> for RunRow {
    fn from(run: &Run) -> Self {
        let (policy, account, region, cluster) = parts(&run.slot.pair);
        let request = run.request.clone();
        let (reason, progress) = match &run.state {
            RunState::Ended(outcome) => (outcome.reason().map(|reason| reason.to_string()), None),
            open => (None, Some(open.clone())),
        };
        let size = run.snapshot.as_ref().and_then(Seen::size_bytes);
        Self {
            policy,
            account,
            region,
            cluster,
            scheduled_at: run.slot.scheduled_at,
            trigger: run.trigger,
            state: run.word().to_owned(),
            reason,
            message: run.message.clone(),
            attempts: run.attempts,
            snapshot_id: request.snapshot_id,
            tier: request.tier,
            tier_reason: request.tier_reason,
            retention_days: request.retention,
            tags: request.tags,
            starts_at: request.starts_at,
            deadline_at: request.deadline,
            completion_window_seconds: request.completion_window,
            interval_seconds: request.interval,
            requested_at: run.requested_at,
            asked_at: run.asked_at,
            accepted_at: run.accepted_at,
            ended_at: run.ended_at,
            gone_at: run.gone.as_ref().map(|gone| gone.at),
            gone_reason: run.gone.as_ref().map(|gone| gone.reason),
            size_bytes: size.and_then(|bytes| i64::try_from(bytes).ok()),
            snapshot: run.description().cloned(),
            progress,
        }
    }
}
