//! The rows about what is done to snapshots that are there.
//!
//! Owns: the tables `removals`, `prune_passes`, `confirmations` and `actions`. A removal that is read while it is open
//! is in doubt: nobody knows whether AWS was asked.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use rusqlite::{Connection, Row, named_params};

use super::error::Fault;
use super::read::each;
use super::row::{Fields, Table, pair_of, to_text};
use super::write::json;
use redkeep_core::history::{Change, History};
use redkeep_core::names::PolicyName;
use redkeep_core::operations::{
    ActionKind, Confirmation, End, Pass, PassResult, Removal, SnapshotAction, Why,
};
use redkeep_core::slot::Slot;
use redkeep_core::snapshot::SnapshotId;

pub(super) const REMOVALS: Table = Table {
    name: "removals",
    columns: &[
        "policy",
        "account",
        "region",
        "cluster",
        "scheduled_at",
        "snapshot_id",
        "reason",
        "planned_at",
        "ended_at",
        "result",
        "message",
    ],
};

const PASSES: Table = Table {
    name: "prune_passes",
    columns: &[
        "policy",
        "rules",
        "passed_at",
        "result",
        "plan_hash",
        "plan",
    ],
};

const CONFIRMATIONS: Table = Table {
    name: "confirmations",
    columns: &[
        "id",
        "policy",
        "rules",
        "plan_hash",
        "plan",
        "confirmed_at",
        "begun_at",
    ],
};

pub(super) const ERRANDS: Table = Table {
    name: "errands",
    columns: &[
        "policy",
        "account",
        "region",
        "cluster",
        "scheduled_at",
        "id",
        "wanted",
        "snapshot_id",
        "asked_at",
        "ended_at",
        "result",
        "message",
        "trouble",
    ],
};

/// Enough of the last removals for a listing that lags behind; nothing is lost by a few more.
const LAST_REMOVED: &str = " WHERE result = 'removed' ORDER BY ended_at DESC LIMIT 100";

/// Reads what is open, and the newest passes and confirmations.
pub(super) fn load(connection: &Connection, history: &mut History) -> Result<(), Fault> {
    // Of a snapshot's removals only the last can be done: what is told after the others stands.
    each(
        connection,
        &(REMOVALS.select() + " ORDER BY planned_at"),
        |row| {
            history.apply(Change::Removal(Box::new(removal(row)?)));
            Ok(())
        },
    )?;
    each(connection, &(REMOVALS.select() + LAST_REMOVED), |row| {
        history.apply(Change::Removal(Box::new(removal(row)?)));
        Ok(())
    })?;
    each(connection, &PASSES.select(), |row| {
        let pass = pass(row)?;
        history.passes.insert(pass.policy.clone(), pass);
        Ok(())
    })?;
    history.confirmations = confirmations(connection)?;
    for action in open_actions(connection)? {
        history.actions.insert(action.id, action);
    }
    Ok(())
}

/// The newest confirmation of each policy.
pub(super) fn confirmations(
    connection: &Connection,
) -> Result<BTreeMap<PolicyName, Confirmation>, Fault> {
    let mut newest = BTreeMap::new();
    let rows = CONFIRMATIONS.select()
        + " WHERE id IN (SELECT max(id) FROM confirmations GROUP BY policy) AND void_at IS NULL";
    each(connection, &rows, |row| {
        let confirmation = confirmation(row)?;
        newest.insert(confirmation.policy.clone(), confirmation);
        Ok(())
    })?;
    Ok(newest)
}

/// What people want done and is not done yet.
pub(super) fn open_actions(connection: &Connection) -> Result<Vec<SnapshotAction>, Fault> {
    let mut actions = Vec::new();
    let rows = ERRANDS.select() + " WHERE ended_at IS NULL";
    each(connection, &rows, |row| {
        actions.push(action(row)?);
        Ok(())
    })?;
    Ok(actions)
}

/// A row of [`REMOVALS`].
pub(super) fn removal(row: &Row<'_>) -> Result<Removal, Fault> {
    let table = &REMOVALS;
    let fields = Fields { table, row };
    let planned_at = fields.instant("planned_at")?;
    Ok(Removal {
        slot: slot(fields)?,
        id: SnapshotId::recorded(fields.get("snapshot_id")?),
        why: word(fields, "reason", Why::ALL, Why::as_str)?,
        planned_at,
        look_at: Some(planned_at),
        end: end(fields, "removed")?,
    })
}

fn pass(row: &Row<'_>) -> Result<Pass, Fault> {
    let table = &PASSES;
    let fields = Fields { table, row };
    Ok(Pass {
        policy: fields.parsed("policy")?,
        rules: fields.get("rules")?,
        passed_at: fields.instant("passed_at")?,
        result: word(fields, "result", PassResult::ALL, PassResult::as_str)?,
        plan_hash: fields.get("plan_hash")?,
        plan: fields.json("plan")?,
        confirmation: None,
    })
}

fn confirmation(row: &Row<'_>) -> Result<Confirmation, Fault> {
    let table = &CONFIRMATIONS;
    let fields = Fields { table, row };
    Ok(Confirmation {
        id: fields.get("id")?,
        policy: fields.parsed("policy")?,
        rules: fields.get("rules")?,
        plan_hash: fields.get("plan_hash")?,
        plan: fields.json("plan")?,
        confirmed_at: fields.instant("confirmed_at")?,
        is_begun: fields.instant_if_any("begun_at")?.is_some(),
    })
}

/// A row of [`ERRANDS`].
pub(super) fn action(row: &Row<'_>) -> Result<SnapshotAction, Fault> {
    let table = &ERRANDS;
    let fields = Fields { table, row };
    Ok(SnapshotAction {
        id: fields.get("id")?,
        kind: word(fields, "wanted", ActionKind::ALL, ActionKind::as_str)?,
        slot: slot(fields)?,
        snapshot: SnapshotId::recorded(fields.get("snapshot_id")?),
        asked_at: fields.instant("asked_at")?,
        trouble: fields.get("trouble")?,
        end: end(fields, "done")?,
    })
}

fn slot(fields: Fields<'_>) -> Result<Slot, Fault> {
    Ok(Slot {
        pair: pair_of(fields.table, fields.row)?,
        scheduled_at: fields.instant("scheduled_at")?,
    })
}

fn end(fields: Fields<'_>, done: &str) -> Result<Option<End>, Fault> {
    let Some(at) = fields.instant_if_any("ended_at")? else {
        return Ok(None);
    };
    let (result, message): (String, String) = (fields.get("result")?, fields.get("message")?);
    let result = match result == done {
        true => Ok(message),
        false => Err(message),
    };
    Ok(Some(End { at, result }))
}

fn word<T: Copy, const N: usize>(
    fields: Fields<'_>,
    column: &str,
    all: [T; N],
    as_str: fn(T) -> &'static str,
) -> Result<T, Fault> {
    let got: String = fields.get(column)?;
    let found = all.into_iter().find(|one| as_str(*one) == got);
    found.ok_or_else(|| {
        let wanted = all.map(as_str).join(", ");
        fields.damage(column, format_args!("got {got:?}, wanted one of {wanted}"))
    })
}

pub(super) fn write_removal(connection: &Connection, removal: &Removal) -> Result<(), Fault> {
    let pair = &removal.slot.pair;
    let end = removal.end.as_ref();
    connection
        .prepare_cached(
            "INSERT INTO removals (policy, account, region, cluster, scheduled_at, snapshot_id, reason, planned_at,
                 ended_at, result, message)
             VALUES (:policy, :account, :region, :cluster, :scheduled_at, :snapshot_id, :reason, :planned_at,
                 :ended_at, :result, :message)
             ON CONFLICT (account, region, snapshot_id, planned_at) DO UPDATE SET
                 ended_at = excluded.ended_at, result = excluded.result, message = excluded.message
             WHERE ended_at IS NULL",
        )?
        .execute(named_params! {
            ":policy": pair.policy.as_str(),
            ":account": pair.scope.account.as_str(),
            ":region": pair.scope.region.as_str(),
            ":cluster": pair.cluster.as_str(),
            ":scheduled_at": to_text(removal.slot.scheduled_at),
            ":snapshot_id": removal.id.as_str(),
            ":reason": removal.why.as_str(),
            ":planned_at": to_text(removal.planned_at),
            ":ended_at": end.map(|end| to_text(end.at)),
            ":result": end.map(|end| if end.is_done() { "removed" } else { "kept" }),
            ":message": end.map(End::text),
        })?;
    Ok(())
}

pub(super) fn write_pass(connection: &Connection, pass: &Pass) -> Result<(), Fault> {
    connection
        .prepare_cached(
            "INSERT INTO prune_passes (policy, rules, passed_at, result, plan_hash, plan)
             VALUES (:policy, :rules, :passed_at, :result, :plan_hash, :plan)
             ON CONFLICT (policy) DO UPDATE SET rules = excluded.rules, passed_at = excluded.passed_at,
                 result = excluded.result, plan_hash = excluded.plan_hash, plan = excluded.plan",
        )?
        .execute(named_params! {
            ":policy": pass.policy.as_str(),
            ":rules": pass.rules,
            ":passed_at": to_text(pass.passed_at),
            ":result": pass.result.as_str(),
            ":plan_hash": pass.plan_hash,
            ":plan": json(&pass.plan)?,
        })?;
    connection
        .prepare_cached(
            "UPDATE confirmations SET begun_at = ?2 WHERE id = ?1 AND begun_at IS NULL",
        )?
        .execute((pass.confirmation, to_text(pass.passed_at)))?;
    connection
        .prepare_cached(
            "UPDATE confirmations SET void_at = ?3
             WHERE policy = ?1 AND rules <> ?2 AND begun_at IS NOT NULL AND void_at IS NULL",
        )?
        .execute((pass.policy.as_str(), &pass.rules, to_text(pass.passed_at)))?;
    Ok(())
}

/// Writes what came of an action; the command has written the action.
pub(super) fn write_action(connection: &Connection, action: &SnapshotAction) -> Result<(), Fault> {
    let end = action.end.as_ref();
    connection
        .prepare_cached(
            "UPDATE errands SET trouble = ?2, ended_at = ?3, result = ?4, message = ?5
             WHERE id = ?1 AND ended_at IS NULL",
        )?
        .execute((
            action.id,
            &action.trouble,
            end.map(|end| to_text(end.at)),
            end.map(|end| if end.is_done() { "done" } else { "failed" }),
            end.map(End::text),
        ))?;
    Ok(())
}

/// Hands an action in; returns its number.
pub(super) fn insert_action(
    connection: &Connection,
    action: &SnapshotAction,
) -> Result<i64, Fault> {
    let pair = &action.slot.pair;
    connection.execute(
        "INSERT INTO errands (wanted, policy, account, region, cluster, scheduled_at, snapshot_id, asked_at)
         VALUES (:wanted, :policy, :account, :region, :cluster, :scheduled_at, :snapshot_id, :asked_at)",
        named_params! {
            ":wanted": action.kind.as_str(),
            ":policy": pair.policy.as_str(),
            ":account": pair.scope.account.as_str(),
            ":region": pair.scope.region.as_str(),
            ":cluster": pair.cluster.as_str(),
            ":scheduled_at": to_text(action.slot.scheduled_at),
            ":snapshot_id": action.snapshot.as_str(),
            ":asked_at": to_text(action.asked_at),
        },
    )?;
    Ok(connection.last_insert_rowid())
}

/// Hands a confirmation in; returns its number.
pub(super) fn insert_confirmation(
    connection: &Connection,
    confirmation: &Confirmation,
) -> Result<i64, Fault> {
    connection.execute(
        "INSERT INTO confirmations (policy, rules, plan_hash, plan, confirmed_at)
         VALUES (:policy, :rules, :plan_hash, :plan, :confirmed_at)",
        named_params! {
            ":policy": confirmation.policy.as_str(),
            ":rules": confirmation.rules,
            ":plan_hash": confirmation.plan_hash,
            ":plan": json(&confirmation.plan)?,
            ":confirmed_at": to_text(confirmation.confirmed_at),
        },
    )?;
    Ok(connection.last_insert_rowid())
}

/// Takes it that the history was lost and rebuilt; what was announced before is to be announced anew.
pub(super) fn acknowledge(connection: &Connection) -> Result<Option<DateTime<Utc>>, Fault> {
    let rebuilt_at = super::meta::rebuilt_at(connection)?;
    connection.execute("DELETE FROM meta WHERE key = 'rebuilt_at'", [])?;
    if rebuilt_at.is_some() {
        connection.execute("DELETE FROM prune_passes", [])?;
        connection.execute(
            "UPDATE confirmations SET void_at = ?1 WHERE void_at IS NULL",
            [rebuilt_at.map(to_text)],
        )?;
    }
    Ok(rebuilt_at)
}
