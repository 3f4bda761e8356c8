//! Changes into rows.
//!
//! Owns: the one transaction in which changes are written, and the rules that no change can break: an
//! ended run absorbs, activation and watermark only grow but for a clamp. Never reads what it writes back.

use chrono::{DateTime, SecondsFormat, Utc};
use rusqlite::{Connection, Transaction, TransactionBehavior, named_params};
use serde::Serialize;

use super::error::{Fault, StoreError};
use super::file::File;
use super::operations;
use super::row::{LOCAL, to_text};
use super::{meta, read, rename};
use redkeep_core::history::{Change, Extension, MissedRange, PairState};
use redkeep_core::names::AccountName;
use redkeep_core::run::{Run, RunState};
use redkeep_core::slot::Pair;

/// The statement that writes a pair; of two instants of activation or of the watermark it keeps `$keep`.
macro_rules! upsert_pair {
    ($keep:literal) => {
        concat!(
            "INSERT INTO pairs (policy, account, region, cluster, active_from, watermark, schedule, timezone,
                zone_rules, local_watermark, cluster_created_at, closed_at, cluster_gone_at)
            VALUES (:policy, :account, :region, :cluster, :active_from, :watermark, :schedule, :timezone,
                :zone_rules, :local_watermark, :cluster_created_at, :closed_at, :cluster_gone_at)
            ON CONFLICT (policy, account, region, cluster) DO UPDATE SET
                active_from = ", $keep, "(active_from, excluded.active_from),
                watermark = ", $keep, "(watermark, excluded.watermark),
                schedule = excluded.schedule, timezone = excluded.timezone,
                zone_rules = excluded.zone_rules, local_watermark = excluded.local_watermark,
                cluster_created_at = excluded.cluster_created_at, closed_at = excluded.closed_at,
                cluster_gone_at = excluded.cluster_gone_at"
        )
    };
}

pub(super) const UPSERT_PAIR: &str = upsert_pair!("max");
const CLAMP_PAIR: &str = upsert_pair!("min");

/// Changes nothing where the run in the store has ended.
const UPSERT_RUN: &str = "
    INSERT INTO runs (policy, account, region, cluster, scheduled_at, \"trigger\", state, reason, message,
        attempts, snapshot_id, tier, tier_reason, retention_days, tags, starts_at, deadline_at,
        completion_window_seconds, interval_seconds, requested_at, asked_at, accepted_at, ended_at, gone_at,
        gone_reason, size_bytes, snapshot, progress)
    VALUES (:policy, :account, :region, :cluster, :scheduled_at, :trigger, :state, :reason, :message,
        :attempts, :snapshot_id, :tier, :tier_reason, :retention_days, :tags, :starts_at, :deadline_at,
        :completion_window_seconds, :interval_seconds, :requested_at, :asked_at, :accepted_at, :ended_at,
        :gone_at, :gone_reason, :size_bytes, :snapshot, :progress)
    ON CONFLICT (policy, account, region, cluster, scheduled_at) DO UPDATE SET
        \"trigger\" = excluded.\"trigger\", state = excluded.state, reason = excluded.reason,
        message = excluded.message, attempts = excluded.attempts, snapshot_id = excluded.snapshot_id,
        tier = excluded.tier, tier_reason = excluded.tier_reason, retention_days = excluded.retention_days, tags = excluded.tags,
        starts_at = excluded.starts_at, deadline_at = excluded.deadline_at,
        completion_window_seconds = excluded.completion_window_seconds,
        interval_seconds = excluded.interval_seconds, requested_at = excluded.requested_at,
        asked_at = excluded.asked_at, accepted_at = excluded.accepted_at, ended_at = excluded.ended_at,
        gone_at = excluded.gone_at, gone_reason = excluded.gone_reason,
        size_bytes = excluded.size_bytes, snapshot = excluded.snapshot, progress = excluded.progress
    WHERE runs.progress IS NOT NULL";

/// All that an ended run still takes.
const UPDATE_ENDED_RUN: &str = "
    UPDATE runs SET gone_at = :gone_at, gone_reason = :gone_reason, size_bytes = :size_bytes,
        snapshot = :snapshot
    WHERE policy = :policy AND account = :account AND region = :region AND cluster = :cluster
        AND scheduled_at = :scheduled_at AND progress IS NULL";

/// A range that is told again may only have grown.
const UPSERT_MISSED_RANGE: &str = "
    INSERT INTO missed_ranges (policy, account, region, cluster, first_at, last_at, count, reason)
    VALUES (:policy, :account, :region, :cluster, :first_at, :last_at, :count, :reason)
    ON CONFLICT (policy, account, region, cluster, first_at) DO UPDATE SET
        last_at = excluded.last_at, count = excluded.count, reason = excluded.reason
    WHERE excluded.last_at > last_at";

const INSERT_EXTENSION: &str = "
    INSERT INTO extensions (policy, account, region, cluster, scheduled_at, extended_at, from_days, to_days,
        reason)
    VALUES (:policy, :account, :region, :cluster, :scheduled_at, :extended_at, :from_days, :to_days, :reason)
    ON CONFLICT DO NOTHING";

/// Writes all changes or none; returns the runs that had ended otherwise before, and stay as they are.
pub(super) fn commit(file: &mut File, changes: &[Change]) -> Result<Vec<Run>, StoreError> {
    file.check_in_place()?;
    write(&mut file.connection, changes).map_err(|fault| fault.at(&file.path))
}

fn write(connection: &mut Connection, changes: &[Change]) -> Result<Vec<Run>, Fault> {
    // Immediate: waits for a lock at the beginning, where waiting is safe.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let (mut stay, mut unknown) = (Vec::new(), None);
    for change in changes {
        match change {
            Change::Pair(pair, state) => write_pair(&transaction, UPSERT_PAIR, pair, state)?,
            Change::Clamped(pair, state) => write_pair(&transaction, CLAMP_PAIR, pair, state)?,
            Change::Run(run) => stay.extend(write_run(&transaction, run)?),
            Change::Adopted(run) => {
                let recorded = write_adopted(&transaction, run)?;
                *unknown.get_or_insert(false) |= recorded.is_none();
                stay.extend(recorded);
            }
            Change::Missed(range) => write_missed_range(&transaction, range)?,
            Change::Extended(extension) => write_extension(&transaction, extension)?,
            Change::Account(name, number) => write_account(&transaction, name, number)?,
            Change::Renamed(renaming) => rename::rename(&transaction, renaming)?,
            // What was found without a record had one here: nothing was lost.
            Change::Rebuilt(_) if unknown == Some(false) => {}
            Change::Rebuilt(at) => meta::write_rebuilt(&transaction, *at)?,
            Change::Removal(removal) => operations::write_removal(&transaction, removal)?,
            Change::Passed(pass) => operations::write_pass(&transaction, pass)?,
            Change::SnapshotAction(action) => operations::write_action(&transaction, action)?,
        }
    }
    transaction.commit()?;
    Ok(stay)
}

pub(super) fn write_pair(
    connection: &Connection,
    statement: &str,
    pair: &Pair,
    state: &PairState,
) -> Result<(), Fault> {
    // ClusterCreateTime is compared for equality with what AWS says: every digit counts.
    let exact = |instant: DateTime<Utc>| instant.to_rfc3339_opts(SecondsFormat::AutoSi, true);
    connection
        .prepare_cached(statement)?
        .execute(named_params! {
            ":policy": pair.policy.as_str(),
            ":account": pair.scope.account.as_str(),
            ":region": pair.scope.region.as_str(),
            ":cluster": pair.cluster.as_str(),
            ":active_from": to_text(state.active_from),
            ":watermark": to_text(state.watermark),
            ":schedule": state.schedule,
            ":timezone": state.timezone,
            ":zone_rules": state.clocks.as_ref().map(|note| &note.rules),
            ":local_watermark": state.clocks.as_ref().map(|note| note.local.format(LOCAL).to_string()),
            ":cluster_created_at": state.cluster_created_at.map(exact),
            ":closed_at": state.closed_at.map(to_text),
            ":cluster_gone_at": state.cluster_gone_at.map(to_text),
        })?;
    Ok(())
}

/// Writes a run; returns the one in the store where that had ended otherwise.
fn write_run(transaction: &Transaction<'_>, run: &Run) -> Result<Option<Run>, Fault> {
    let stored = write_adopted(transaction, run)?;
    Ok(stored.filter(|stored| stored.state != run.state))
}

/// Writes a run that was found at AWS without a record; returns the one in the store where that had ended, which memory
/// had only forgotten.
fn write_adopted(transaction: &Transaction<'_>, run: &Run) -> Result<Option<Run>, Fault> {
    if upsert_run(transaction, run)? > 0 {
        return Ok(None);
    }
    // What is known of an open run says nothing about one that has ended since.
    if run.is_ended() {
        update_ended_run(transaction, run)?;
    }
    read::run_of(transaction, &run.slot)
}

pub(super) fn upsert_run(connection: &Connection, run: &Run) -> Result<usize, Fault> {
    let Run { slot, request, .. } = run;
    let (reason, progress) = match &run.state {
        RunState::Ended(outcome) => (outcome.reason(), None),
        open => (None, Some(json(open)?)),
    };
    Ok(connection
        .prepare_cached(UPSERT_RUN)?
        .execute(named_params! {
            ":policy": slot.pair.policy.as_str(),
            ":account": slot.pair.scope.account.as_str(),
            ":region": slot.pair.scope.region.as_str(),
            ":cluster": slot.pair.cluster.as_str(),
            ":scheduled_at": to_text(slot.scheduled_at),
            ":trigger": run.trigger.as_str(),
            ":state": run.word(),
            ":reason": reason,
            ":message": run.message,
            ":attempts": run.attempts,
            ":snapshot_id": request.snapshot_id.as_str(),
            ":tier": request.tier.as_str(),
            ":tier_reason": request.tier_reason,
            ":retention_days": request.retention.days_or_minus_one(),
            ":tags": json(&request.tags)?,
            ":starts_at": to_text(request.starts_at),
            ":deadline_at": to_text(request.deadline),
            ":completion_window_seconds": request.completion_window.num_seconds(),
            ":interval_seconds": request.interval.num_seconds(),
            ":requested_at": run.requested_at.map(to_text),
            ":asked_at": run.asked_at.map(to_text),
            ":accepted_at": run.accepted_at.map(to_text),
            ":ended_at": run.ended_at.map(to_text),
            ":gone_at": run.gone.as_ref().map(|gone| to_text(gone.at)),
            ":gone_reason": run.gone.as_ref().map(|gone| gone.reason.as_str()),
            ":size_bytes": size_bytes(run),
            ":snapshot": run.snapshot.as_deref().map(json).transpose()?,
            ":progress": progress,
        })?)
}

fn update_ended_run(transaction: &Transaction<'_>, run: &Run) -> Result<(), Fault> {
    let pair = &run.slot.pair;
    transaction
        .prepare_cached(UPDATE_ENDED_RUN)?
        .execute(named_params! {
            ":policy": pair.policy.as_str(),
            ":account": pair.scope.account.as_str(),
            ":region": pair.scope.region.as_str(),
            ":cluster": pair.cluster.as_str(),
            ":scheduled_at": to_text(run.slot.scheduled_at),
            ":gone_at": run.gone.as_ref().map(|gone| to_text(gone.at)),
            ":gone_reason": run.gone.as_ref().map(|gone| gone.reason.as_str()),
            ":size_bytes": size_bytes(run),
            ":snapshot": run.snapshot.as_deref().map(json).transpose()?,
        })?;
    Ok(())
}

fn write_missed_range(transaction: &Transaction<'_>, range: &MissedRange) -> Result<(), Fault> {
    let pair = &range.pair;
    transaction
        .prepare_cached(UPSERT_MISSED_RANGE)?
        .execute(named_params! {
            ":policy": pair.policy.as_str(),
            ":account": pair.scope.account.as_str(),
            ":region": pair.scope.region.as_str(),
            ":cluster": pair.cluster.as_str(),
            ":first_at": to_text(range.first_at),
            ":last_at": to_text(range.last_at),
            ":count": i64::try_from(range.count).unwrap_or(i64::MAX),
            ":reason": range.reason.as_str(),
        })?;
    Ok(())
}

fn write_extension(transaction: &Transaction<'_>, extension: &Extension) -> Result<(), Fault> {
    let pair = &extension.slot.pair;
    transaction
        .prepare_cached(INSERT_EXTENSION)?
        .execute(named_params! {
            ":policy": pair.policy.as_str(),
            ":account": pair.scope.account.as_str(),
            ":region": pair.scope.region.as_str(),
            ":cluster": pair.cluster.as_str(),
            ":scheduled_at": to_text(extension.slot.scheduled_at),
            ":extended_at": to_text(extension.extended_at),
            ":from_days": extension.from.days_or_minus_one(),
            ":to_days": extension.to.days_or_minus_one(),
            ":reason": extension.reason,
        })?;
    Ok(())
}

/// The first number that a name stood for stays.
fn write_account(
    transaction: &Transaction<'_>,
    name: &AccountName,
    number: &str,
) -> Result<(), Fault> {
    transaction
        .prepare_cached(
            "INSERT INTO accounts (name, number) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
        )?
        .execute([name.as_str(), number])?;
    Ok(())
}

fn size_bytes(run: &Run) -> Option<i64> {
    let bytes = run.snapshot.as_ref()?.size_bytes()?;
    i64::try_from(bytes).ok()
}

pub(super) fn json<T: Serialize>(value: &T) -> Result<String, Fault> {
    serde_json::to_string(value)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)).into())
}
