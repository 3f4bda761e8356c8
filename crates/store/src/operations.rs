//! The rows about what is done to snapshots that are there.
//!
//! Owns: the tables `removals`, `prune_passes`, `confirmations` and `errands`. A removal that is read while it is open
//! is in doubt: nobody knows whether AWS was asked.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use chrono::{DateTime, Utc};
use rusqlite::{Connection, Row};

use super::cell::to_text;
use super::error::Fault;
use super::load::each;
use super::row::{parts, slot_in};
use super::table::{Stored, execute, table};
use redkeep_core::history::{Change, History};
use redkeep_core::names::{AccountName, ClusterId, PolicyName, Region};
use redkeep_core::operations::{
    ActionKind, Confirmation, End, Pass, PassResult, Removal, SnapshotAction, Why,
};
use redkeep_core::slot::{Pair, Scope, Slot};
use redkeep_core::snapshot::SnapshotId;

table! {
    /// The intent to remove a snapshot, and what came of it.
    RemovalRow = REMOVALS, "removals", key (account, region, snapshot_id, planned_at) {
        policy: PolicyName,
        account: AccountName,
        region: Region,
        cluster: ClusterId,
        scheduled_at: DateTime<Utc>,
        snapshot_id: SnapshotId,
        reason: Why,
        planned_at: DateTime<Utc>,
        ended_at: Option<DateTime<Utc>>,
        result: Option<String>,
        message: Option<String>,
    }
}

table! {
    /// The newest pass over a policy's snapshots.
    PassRow = PASSES, "prune_passes", key (policy) {
        policy: PolicyName,
        rules: String,
        passed_at: DateTime<Utc>,
        result: PassResult,
        plan_hash: String,
        plan: Vec<String>,
    }
}

table! {
    /// A person's word that a plan is right. A new one has no number yet.
    ConfirmationRow = CONFIRMATIONS, "confirmations", key (id) {
        id: Option<i64>,
        policy: PolicyName,
        rules: String,
        plan_hash: String,
        plan: Vec<String>,
        confirmed_at: DateTime<Utc>,
        begun_at: Option<DateTime<Utc>>,
    }
}

table! {
    /// What a person wants done to a snapshot, and what came of it. A new one has no number yet.
    ActionRow = ERRANDS, "errands", key (id) {
        policy: PolicyName,
        account: AccountName,
        region: Region,
        cluster: ClusterId,
        scheduled_at: DateTime<Utc>,
        id: Option<i64>,
        wanted: ActionKind,
        snapshot_id: SnapshotId,
        asked_at: DateTime<Utc>,
        ended_at: Option<DateTime<Utc>>,
        result: Option<String>,
        message: Option<String>,
        trouble: Option<String>,
    }
}

/// What a removal is stays; only how it ended is told later, and once.
static UPSERT_REMOVAL: LazyLock<String> = LazyLock::new(|| {
    REMOVALS.insert()
        + " ON CONFLICT (account, region, snapshot_id, planned_at) DO UPDATE SET
             ended_at = excluded.ended_at, result = excluded.result, message = excluded.message
         WHERE ended_at IS NULL"
});
static UPSERT_PASS: LazyLock<String> = LazyLock::new(|| PASSES.upsert());
static INSERT_CONFIRMATION: LazyLock<String> = LazyLock::new(|| CONFIRMATIONS.insert());
static INSERT_ERRAND: LazyLock<String> = LazyLock::new(|| ERRANDS.insert());

/// What came of an action; the command has written the action.
const UPDATE_ERRAND: &str = "
    UPDATE errands SET trouble = :trouble, ended_at = :ended_at, result = :result, message = :message
    WHERE id = :id AND ended_at IS NULL";

/// The removals that the next decision may need.
pub(super) const WANTED_REMOVALS: [&str; 3] = [
    // Enough of the last ones for a listing that lags behind; nothing is lost by a few more.
    " WHERE result = 'removed' ORDER BY ended_at DESC LIMIT 100",
    // After which the snapshot was kept. Of a snapshot's removals only the last tells.
    " WHERE result = 'kept' AND NOT EXISTS (SELECT 1 FROM removals AS later WHERE later.account = removals.account
         AND later.region = removals.region AND later.snapshot_id = removals.snapshot_id
         AND later.planned_at > removals.planned_at) ORDER BY planned_at",
    " WHERE ended_at IS NULL ORDER BY planned_at",
];

/// Reads what is open, and the newest passes and confirmations.
pub(super) fn load(connection: &Connection, history: &mut History) -> Result<(), Fault> {
    for condition in WANTED_REMOVALS {
        each(connection, &(REMOVALS.select() + condition), |row| {
            history.apply(Change::Removal(Box::new(removal(row)?)));
            Ok(())
        })?;
    }
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
    let row = RemovalRow::read(row)?;
    Ok(Removal {
        id: row.snapshot_id,
        why: row.reason,
        planned_at: row.planned_at,
        look_at: Some(row.planned_at),
        end: end(row.ended_at, row.result, row.message, REMOVED),
        slot: slot_in!(row),
    })
}

impl From<&Removal> for RemovalRow {
    fn from(removal: &Removal) -> Self {
        let (policy, account, region, cluster) = parts(&removal.slot.pair);
        let (ended_at, result, message) = ending(removal.end.as_ref(), REMOVED);
        Self {
            policy,
            account,
            region,
            cluster,
            scheduled_at: removal.slot.scheduled_at,
            snapshot_id: removal.id.clone(),
            reason: removal.why,
            planned_at: removal.planned_at,
            ended_at,
            result,
            message,
        }
    }
}

fn pass(row: &Row<'_>) -> Result<Pass, Fault> {
    let row = PassRow::read(row)?;
    Ok(Pass {
        policy: row.policy,
        rules: row.rules,
        passed_at: row.passed_at,
        result: row.result,
        plan_hash: row.plan_hash,
        plan: row.plan,
        confirmation: None,
    })
}

impl From<&Pass> for PassRow {
    fn from(pass: &Pass) -> Self {
        let Pass {
            policy,
            rules,
            passed_at,
            result,
            plan_hash,
            plan,
            confirmation: _,
        } = pass.clone();
        Self {
            policy,
            rules,
            passed_at,
            result,
            plan_hash,
            plan,
        }
    }
}

fn confirmation(row: &Row<'_>) -> Result<Confirmation, Fault> {
    let damage = || ConfirmationRow::damage(row, "id", "NULL");
    let row = ConfirmationRow::read(row)?;
    Ok(Confirmation {
        id: row.id.ok_or_else(damage)?,
        policy: row.policy,
        rules: row.rules,
        plan_hash: row.plan_hash,
        plan: row.plan,
        confirmed_at: row.confirmed_at,
        is_begun: row.begun_at.is_some(),
    })
}

/// A row of [`ERRANDS`].
pub(super) fn action(row: &Row<'_>) -> Result<SnapshotAction, Fault> {
    let damage = || ActionRow::damage(row, "id", "NULL");
    let row = ActionRow::read(row)?;
    Ok(SnapshotAction {
        id: row.id.ok_or_else(damage)?,
        kind: row.wanted,
        snapshot: row.snapshot_id,
        asked_at: row.asked_at,
        trouble: row.trouble,
        end: end(row.ended_at, row.result, row.message, DONE),
        slot: slot_in!(row),
    })
}

impl From<&SnapshotAction> for ActionRow {
    fn from(action: &SnapshotAction) -> Self {
        let (policy, account, region, cluster) = parts(&action.slot.pair);
        let (ended_at, result, message) = ending(action.end.as_ref(), DONE);
        Self {
            policy,
            account,
            region,
            cluster,
            scheduled_at: action.slot.scheduled_at,
            id: Some(action.id),
            wanted: action.kind,
            snapshot_id: action.snapshot.clone(),
            asked_at: action.asked_at,
            ended_at,
            result,
            message,
            trouble: action.trouble.clone(),
        }
    }
}

/// How a table says that something ended well, and that it did not.
type Words = [&'static str; 2];
const REMOVED: Words = ["removed", "kept"];
const DONE: Words = ["done", "failed"];

/// The end that three columns tell; the database sees to it that all of them are there, or none.
fn end(
    at: Option<DateTime<Utc>>,
    result: Option<String>,
    message: Option<String>,
    [good, _]: Words,
) -> Option<End> {
    let (at, result, message) = (at?, result?, message?);
    let result = match result == good {
        true => Ok(message),
        false => Err(message.into()),
    };
    Some(End { at, result })
}

/// The three columns that tell of an end.
fn ending(
    end: Option<&End>,
    [good, bad]: Words,
) -> (Option<DateTime<Utc>>, Option<String>, Option<String>) {
    let word = |end: &End| if end.is_done() { good } else { bad }.to_owned();
    (
        end.map(|end| end.at),
        end.map(word),
        end.map(|end| end.text().to_owned()),
    )
}

pub(super) fn write_removal(connection: &Connection, removal: &Removal) -> Result<(), Fault> {
    execute(connection, &UPSERT_REMOVAL, &RemovalRow::from(removal)).map(drop)
}

pub(super) fn write_pass(connection: &Connection, pass: &Pass) -> Result<(), Fault> {
    execute(connection, &UPSERT_PASS, &PassRow::from(pass))?;
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
    execute(connection, UPDATE_ERRAND, &ActionRow::from(action)).map(drop)
}

/// Hands an action in; returns its number.
pub(super) fn insert_action(
    connection: &Connection,
    action: &SnapshotAction,
) -> Result<i64, Fault> {
    let row = ActionRow {
        id: None,
        ..ActionRow::from(action)
    };
    execute(connection, &INSERT_ERRAND, &row)?;
    Ok(connection.last_insert_rowid())
}

/// Hands a confirmation in; returns its number.
pub(super) fn insert_confirmation(
    connection: &Connection,
    confirmation: &Confirmation,
) -> Result<i64, Fault> {
    let row = ConfirmationRow {
        id: None,
        policy: confirmation.policy.clone(),
        rules: confirmation.rules.clone(),
        plan_hash: confirmation.plan_hash.clone(),
        plan: confirmation.plan.clone(),
        confirmed_at: confirmation.confirmed_at,
        begun_at: None,
    };
    execute(connection, &INSERT_CONFIRMATION, &row)?;
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
