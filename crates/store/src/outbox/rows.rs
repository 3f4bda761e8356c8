//! The rows of what receivers know and of messages, and what they stand for.
//!
//! Owns: their columns, and the way there and back.

use chrono::{DateTime, Utc};
use rusqlite::Row;

use super::Pending;
use crate::cell::{parse_instant, to_text};
use crate::error::Fault;
use crate::table::{Stored, table};
use redkeep_core::names::ReceiverName;
use redkeep_core::outbox::{
    Cause, Condition, ConditionKey, Content, Event, Message, MessageState, Severity, Subject,
};

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

pub(super) fn condition(row: &Row<'_>) -> Result<Condition, Fault> {
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

pub(super) fn pending(row: &Row<'_>) -> Result<Pending, Fault> {
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
