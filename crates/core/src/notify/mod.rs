//! What receivers are told, and when.
//!
//! Owns: the step from what changes (`changes`) and from what is so (`standing`) to conditions and messages, which are
//! committed together with the change that causes them; what a message says (`texts`); and in which form and order what
//! waits is delivered (`delivery`). Never sends anything: a task of the daemon does, and no slot waits for it.
//!
//! Every message is about a *condition*, which begins, goes on and is over. A failed run begins one for its pair, and the
//! next good snapshot ends it; an alarm (`plan::alarms`, the one place where they are found) is one for as long as it is
//! there. Conditions are part of the history: what was told is known after a restart, and is told once.

mod changes;
mod decision;
pub mod delivery;
mod pings;
mod standing;
#[cfg(test)]
mod tests;
mod texts;

use chrono::{DateTime, TimeDelta, Utc};

use crate::history::Change;
use crate::names::ReceiverName;
use crate::outbox::{Content, Event, Message, MessageState, Severity};
use crate::plan::Facts;

pub use standing::{Course, course_of};
pub use texts::local_time;

/// How long a scope has to be out of reach before anybody is told: a connection that fails once is no news.
pub const UNREACHABLE_AFTER: TimeDelta = TimeDelta::minutes(10);

/// What the changes that are about to be committed tell the receivers, to be committed with them.
pub fn of_changes(facts: Facts<'_>, changes: &[Change]) -> Vec<Change> {
    if facts.config.receivers.is_empty() {
        return Vec::new();
    }
    changes::told(facts, changes)
}

/// What goes on and what is over, against what the receivers know.
pub fn of_standing(facts: Facts<'_>) -> Vec<Change> {
    if facts.config.receivers.is_empty() && facts.history.conditions.is_empty() {
        return Vec::new();
    }
    standing::told(facts)
}

/// The message by which a person tries whether a receiver hears anything.
pub fn test_message(receiver: &ReceiverName, now: DateTime<Utc>) -> Message {
    let id = crate::digest::hex(
        format!("test {receiver} {}", now.timestamp_millis()).as_bytes(),
        32,
    );
    Message {
        dedup_key: crate::digest::hex(format!("test {receiver}").as_bytes(), 32),
        run_id: Some(texts::uuid(&id)),
        id,
        receiver: receiver.clone(),
        event: Event::Test,
        state: MessageState::Begun,
        severity: Severity::Info,
        since: now,
        created_at: now,
        due_at: now,
        count: 1,
        content: Content {
            title: "redkeep: a test".to_owned(),
            reason: "somebody ran `redkeep notify --test`; nothing is wrong".to_owned(),
            action: "redkeep status".to_owned(),
            ..Content::default()
        },
    }
}
