//! What receivers know, and what they are still to be told.
//!
//! Owns: the tables `conditions`, `outbox` and `outbox_dropped`, and their bounds. A message is written once, whoever
//! commits it again, and what has ended stays ended. Never holds a credential: addresses and keys are read where they are kept.

mod rows;

use std::collections::BTreeSet;
use std::sync::LazyLock;

use chrono::{DateTime, TimeDelta, Utc};
use rusqlite::{Connection, params};

use super::cell::{to_text, without_nul};
use super::error::Fault;
use super::load::each;
use super::table::{Stored, execute};
use redkeep_core::history::History;
use redkeep_core::names::ReceiverName;
use redkeep_core::notify::delivery::{Dropped, Queue, SUMMARY_WINDOW, Waiting};
use redkeep_core::outbox::{Condition, Event, Message};
use rows::{CONDITIONS, ConditionRow, MessageRow, OUTBOX, condition, pending};

/// How many messages of a receiver wait at most; older ones are only counted.
const MOST_WAITING: i64 = 1_000;
/// How many that have ended are kept at most of each receiver, and for how long.
const MOST_ENDED: i64 = 1_000;
const ENDED_FOR: TimeDelta = TimeDelta::days(7);

static UPSERT_CONDITION: LazyLock<String> = LazyLock::new(|| CONDITIONS.upsert());
static INSERT_MESSAGE: LazyLock<String> =
    LazyLock::new(|| OUTBOX.insert() + " ON CONFLICT DO NOTHING");

const DELETE_CONDITION: &str = "
    DELETE FROM conditions WHERE receiver = :receiver AND cause = :cause AND policy = :policy
        AND account = :account AND region = :region AND cluster = :cluster
        AND scheduled_at = :scheduled_at AND detail = :detail";

/// The messages of a receiver beyond the newest that may wait.
const TOO_MANY: &str = "receiver = ?1 AND ended_at IS NULL AND seq <= (
    SELECT seq FROM outbox WHERE receiver = ?1 AND ended_at IS NULL ORDER BY seq DESC LIMIT 1 OFFSET ?2)";

/// A message that waits, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    /// The message.
    pub message: Message,
    /// How often it was tried.
    pub attempts: u32,
    /// When it is tried next.
    pub next_at: DateTime<Utc>,
    /// Why the last attempt failed.
    pub trouble: Option<String>,
}

/// How the delivery of messages ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivered {
    /// Each by itself.
    Single,
    /// In one for many of a kind.
    Summary,
    /// In one for everything that could not be delivered.
    Digest,
    /// Not at all: a newer one says all that counts.
    Outdated,
    /// Not at all: the receiver says that it will never take them.
    Refused,
}

impl Delivered {
    /// The word in the history and in the metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Single => "delivered",
            Self::Summary => "summary",
            Self::Digest => "digest",
            Self::Outdated => "outdated",
            Self::Refused => "refused",
        }
    }
}

/// Reads what the receivers know.
pub(super) fn load(connection: &Connection, history: &mut History) -> Result<(), Fault> {
    for condition in conditions(connection, "")? {
        history.conditions.insert(condition.key.clone(), condition);
    }
    Ok(())
}

fn conditions(connection: &Connection, receiver: &str) -> Result<Vec<Condition>, Fault> {
    let mut statement =
        connection.prepare_cached(&(CONDITIONS.select() + " WHERE ?1 IN ('', receiver)"))?;
    let mut rows = statement.query([receiver])?;
    let mut conditions = Vec::new();
    while let Some(row) = rows.next()? {
        conditions.push(condition(row)?);
    }
    Ok(conditions)
}

/// What a receiver was told of and goes on.
pub(super) fn told(
    connection: &Connection,
    receiver: &ReceiverName,
) -> Result<Vec<Condition>, Fault> {
    let mut told = conditions(connection, receiver.as_str())?;
    told.retain(|condition| condition.told_at.is_some());
    Ok(told)
}

pub(super) fn write_condition(connection: &Connection, condition: &Condition) -> Result<(), Fault> {
    let row = ConditionRow::from(condition);
    let statement = match condition.is_over {
        true => DELETE_CONDITION,
        false => &UPSERT_CONDITION,
    };
    execute(connection, statement, &row).map(drop)
}

/// Writes a message, unless it is there already, also where it has ended since.
pub(super) fn write_message(connection: &Connection, message: &Message) -> Result<(), Fault> {
    execute(connection, &INSERT_MESSAGE, &MessageRow::from(message)).map(drop)
}

/// Sees to it that no receiver has more messages waiting than it may.
pub(super) fn bound(
    connection: &Connection,
    receivers: &BTreeSet<&ReceiverName>,
) -> Result<(), Fault> {
    for receiver in receivers {
        let bounds = params![receiver.as_str(), MOST_WAITING];
        let count = format!(
            "INSERT INTO outbox_dropped (receiver, event, count)
             SELECT receiver, event, count(*) FROM outbox WHERE {TOO_MANY} GROUP BY receiver, event
             ON CONFLICT DO UPDATE SET count = count + excluded.count"
        );
        if connection.prepare_cached(&count)?.execute(bounds)? > 0 {
            let delete = format!("DELETE FROM outbox WHERE {TOO_MANY}");
            connection.prepare_cached(&delete)?.execute(bounds)?;
        }
    }
    Ok(())
}

/// What waits for a receiver.
pub(super) fn queue(
    connection: &Connection,
    receiver: &ReceiverName,
    now: DateTime<Utc>,
) -> Result<Queue, Fault> {
    let mut queue = Queue::default();
    let waiting = OUTBOX.select() + " WHERE receiver = ?1 AND ended_at IS NULL ORDER BY seq";
    let mut statement = connection.prepare_cached(&waiting)?;
    let mut rows = statement.query([receiver.as_str()])?;
    while let Some(row) = rows.next()? {
        let one = pending(row)?;
        queue.waiting.push(Waiting {
            message: one.message,
            attempts: one.attempts,
            next_at: one.next_at,
        });
    }
    let lately = OUTBOX.select()
        + " WHERE receiver = ?1 AND ended_at IS NOT NULL AND ended_at > ?2 AND result = 'delivered'";
    let mut statement = connection.prepare_cached(&lately)?;
    let mut rows = statement.query([receiver.as_str(), &to_text(now - SUMMARY_WINDOW)])?;
    while let Some(row) = rows.next()? {
        let row = MessageRow::read(row)?;
        let at = row.ended_at.unwrap_or(now);
        queue.delivered.push((row.event, row.state, at));
    }
    let mut statement =
        connection.prepare_cached("SELECT event, count FROM outbox_dropped WHERE receiver = ?1")?;
    let mut rows = statement.query([receiver.as_str()])?;
    while let Some(row) = rows.next()? {
        let (word, count): (String, i64) = (row.get(0)?, row.get(1)?);
        let event = Event::ALL.into_iter().find(|event| event.as_str() == word);
        queue.dropped.extend(event.map(|event| Dropped {
            event,
            count: count.unsigned_abs(),
        }));
    }
    Ok(queue)
}

/// Every message that waits, the oldest first.
pub(super) fn all_pending(connection: &Connection) -> Result<Vec<Pending>, Fault> {
    let mut all = Vec::new();
    let waiting = OUTBOX.select() + " WHERE ended_at IS NULL ORDER BY seq";
    each(connection, &waiting, |row| {
        all.push(pending(row)?);
        Ok(())
    })?;
    Ok(all)
}

/// Notes that messages are delivered, or never will be, and forgets what ended long ago.
pub(super) fn end(
    connection: &Connection,
    receiver: &ReceiverName,
    ended: &[(String, Delivered)],
    now: DateTime<Utc>,
) -> Result<(), Fault> {
    let at = to_text(now);
    for (id, how) in ended {
        connection
            .prepare_cached(
                "UPDATE outbox SET ended_at = ?2, result = ?3, attempts = attempts + 1
                 WHERE id = ?1 AND ended_at IS NULL",
            )?
            .execute([id, &at, how.as_str()])?;
    }
    if ended.iter().any(|(_, how)| *how == Delivered::Digest) {
        connection.execute(
            "DELETE FROM outbox_dropped WHERE receiver = ?1",
            [receiver.as_str()],
        )?;
    }
    connection
        .prepare_cached("DELETE FROM outbox WHERE receiver = ?1 AND ended_at < ?2")?
        .execute([receiver.as_str(), &to_text(now - ENDED_FOR)])?;
    connection
        .prepare_cached(
            "DELETE FROM outbox WHERE seq IN (
                 SELECT seq FROM outbox WHERE receiver = ?1 AND ended_at IS NOT NULL
                 ORDER BY ended_at DESC LIMIT -1 OFFSET ?2)",
        )?
        .execute(params![receiver.as_str(), MOST_ENDED])?;
    Ok(())
}

/// Notes that an attempt failed, and when the next one comes.
pub(super) fn put_off(
    connection: &Connection,
    ids: &[String],
    next_at: DateTime<Utc>,
    trouble: &str,
) -> Result<(), Fault> {
    for id in ids {
        connection
            .prepare_cached(
                "UPDATE outbox SET attempts = attempts + 1, next_at = ?2, trouble = ?3
                 WHERE id = ?1 AND ended_at IS NULL",
            )?
            .execute([id.as_str(), &to_text(next_at), &without_nul(trouble)])?;
    }
    Ok(())
}

/// Forgets the messages to receivers that are in the policy file no more.
pub(super) fn retain(connection: &Connection, receivers: &[ReceiverName]) -> Result<(), Fault> {
    let names: Vec<&str> = receivers.iter().map(ReceiverName::as_str).collect();
    let names = serde_json::to_string(&names)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))?;
    for table in ["outbox", "outbox_dropped"] {
        let gone =
            format!("DELETE FROM {table} WHERE receiver NOT IN (SELECT value FROM json_each(?1))");
        connection.execute(&gone, [&names])?;
    }
    Ok(())
}

/// Proves that the history can be written.
pub(super) fn beat(connection: &Connection, now: DateTime<Utc>) -> Result<(), Fault> {
    connection
        .prepare_cached(
            "INSERT INTO meta (key, value) VALUES ('heartbeat_at', ?1)
             ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        )?
        .execute([to_text(now)])?;
    Ok(())
}

/// Moves what is known of an account's conditions under its new name.
pub(super) fn rename(connection: &Connection, from: &str, to: &str) -> Result<(), Fault> {
    connection.execute(
        "UPDATE OR REPLACE conditions SET account = ?2 WHERE account = ?1",
        [from, to],
    )?;
    Ok(())
}
