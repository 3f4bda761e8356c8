//! What receivers know, and what they are still to be told.
//!
//! Owns: the tables `conditions`, `outbox` and `outbox_dropped`, and their bounds. A message is written once, whoever
//! commits it again, and what has ended stays ended. Never holds a credential: addresses and keys are read where they are kept.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use chrono::{DateTime, TimeDelta, Utc};
use rusqlite::{Connection, Row, params};

use super::cell::{parse_instant, to_text};
use super::error::Fault;
use super::load::each;
use super::table::{Stored, execute, table};
use redkeep_core::history::History;
use redkeep_core::names::ReceiverName;
use redkeep_core::notify::delivery::{Dropped, Queue, SUMMARY_WINDOW, Waiting};
use redkeep_core::outbox::{
    Cause, Condition, ConditionKey, Content, Event, Message, MessageState, Severity, Subject,
};

/// So many messages of a receiver wait at most; older ones are only counted.
const MOST_WAITING: i64 = 1_000;
/// So many that have ended are kept at most of each receiver, and for so long.
const MOST_ENDED: i64 = 1_000;
const ENDED_FOR: TimeDelta = TimeDelta::days(7);

table! {
    /// What a receiver knows of something that goes on; an empty text where a part does not apply.
    ConditionRow = CONDITIONS, "conditions",
    key (receiver, cause, policy, account, region, cluster, scheduled_at, detail) {
        receiver: ReceiverName,
        cause: Cause,
        policy: String,
        account: String,
        region: String,
        cluster: String,
        scheduled_at: String,
        detail: String,
        since: DateTime<Utc>,
        told_at: Option<DateTime<Utc>>,
        told_times: u32,
        count: u32,
        content: Content,
    }
}

table! {
    /// A message, and how its delivery went.
    MessageRow = OUTBOX, "outbox", key (id) {
        id: String,
        receiver: ReceiverName,
        event: Event,
        state: MessageState,
        severity: Severity,
        dedup_key: String,
        since: DateTime<Utc>,
        created_at: DateTime<Utc>,
        due_at: DateTime<Utc>,
        run_id: Option<String>,
        count: u32,
        content: Content,
        attempts: u32,
        next_at: DateTime<Utc>,
        trouble: Option<String>,
        ended_at: Option<DateTime<Utc>>,
        result: Option<String>,
    }
}

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

fn condition(row: &Row<'_>) -> Result<Condition, Fault> {
    let damage = |what: &str| ConditionRow::damage(row, what, "it is no name");
    let stored = ConditionRow::read(row)?;
    let scheduled_at = match stored.scheduled_at.as_str() {
        "" => None,
        text => Some(
            parse_instant(text).map_err(|what| ConditionRow::damage(row, "scheduled_at", what))?,
        ),
    };
    let subject = Subject {
        policy: named(&stored.policy).map_err(|()| damage("policy"))?,
        account: named(&stored.account).map_err(|()| damage("account"))?,
        region: named(&stored.region).map_err(|()| damage("region"))?,
        cluster: named(&stored.cluster).map_err(|()| damage("cluster"))?,
        scheduled_at,
        detail: stored.detail,
    };
    Ok(Condition {
        key: ConditionKey {
            receiver: stored.receiver,
            cause: stored.cause,
            subject,
        },
        since: stored.since,
        told_at: stored.told_at,
        told_times: stored.told_times,
        count: stored.count,
        content: stored.content,
        is_over: false,
    })
}

fn named<T: std::str::FromStr>(text: &str) -> Result<Option<T>, ()> {
    match text {
        "" => Ok(None),
        text => text.parse().map(Some).map_err(drop),
    }
}

impl From<&Condition> for ConditionRow {
    fn from(condition: &Condition) -> Self {
        let [policy, account, region, cluster, _, detail] = condition.key.subject.parts();
        let scheduled_at = condition.key.subject.scheduled_at;
        Self {
            receiver: condition.key.receiver.clone(),
            cause: condition.key.cause,
            policy,
            account,
            region,
            cluster,
            scheduled_at: scheduled_at.map(to_text).unwrap_or_default(),
            detail,
            since: condition.since,
            told_at: condition.told_at,
            told_times: condition.told_times,
            count: condition.count,
            content: condition.content.clone(),
        }
    }
}

impl From<&Message> for MessageRow {
    fn from(message: &Message) -> Self {
        let one = message.clone();
        Self {
            id: one.id,
            receiver: one.receiver,
            event: one.event,
            state: one.state,
            severity: one.severity,
            dedup_key: one.dedup_key,
            since: one.since,
            created_at: one.created_at,
            due_at: one.due_at,
            run_id: one.run_id,
            count: one.count,
            content: one.content,
            attempts: 0,
            next_at: one.due_at,
            trouble: None,
            ended_at: None,
            result: None,
        }
    }
}

fn pending(row: &Row<'_>) -> Result<Pending, Fault> {
    let row = MessageRow::read(row)?;
    Ok(Pending {
        message: Message {
            id: row.id,
            receiver: row.receiver,
            event: row.event,
            state: row.state,
            severity: row.severity,
            dedup_key: row.dedup_key,
            since: row.since,
            created_at: row.created_at,
            due_at: row.due_at,
            run_id: row.run_id,
            count: row.count,
            content: row.content,
        },
        attempts: row.attempts,
        next_at: row.next_at,
        trouble: row.trouble,
    })
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
            .execute([id.as_str(), &to_text(next_at), trouble])?;
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
