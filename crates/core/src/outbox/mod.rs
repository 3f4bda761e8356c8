//! What receivers are told: events, the conditions that go on, and the messages that wait to be delivered.
//!
//! Owns: the words of notifications, who hears which of them, and what tells one message from another. Never decides what
//! is to be sent (`notify` does) and never holds a secret: where one is needed, only its place is named.

mod receiver;
mod words;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

pub use receiver::{MailSettings, Receiver, ReceiverKind, SecretPlace, Target};
pub use words::{Cause, Event, MessageState, Severity};

use crate::digest;
use crate::names::{AccountName, ClusterId, PolicyName, ReceiverName, Region};
use crate::slot::{Pair, Scope, Slot, rfc3339};

/// The longest text in a message, in characters: AWS's own may be of any length.
const LONGEST_TEXT: usize = 600;

/// What a condition is about; what does not apply is absent.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Subject {
    /// The policy.
    pub policy: Option<PolicyName>,
    /// The account.
    pub account: Option<AccountName>,
    /// The region.
    pub region: Option<Region>,
    /// The cluster.
    pub cluster: Option<ClusterId>,
    /// The slot's instant.
    pub scheduled_at: Option<DateTime<Utc>>,
    /// What else tells it from others, such as a snapshot's name.
    pub detail: String,
}

impl From<&Pair> for Subject {
    fn from(pair: &Pair) -> Self {
        Self {
            policy: Some(pair.policy.clone()),
            cluster: Some(pair.cluster.clone()),
            ..Self::from(&pair.scope)
        }
    }
}

impl From<&Scope> for Subject {
    fn from(scope: &Scope) -> Self {
        Self {
            account: Some(scope.account.clone()),
            region: Some(scope.region.clone()),
            ..Self::default()
        }
    }
}

impl From<&Slot> for Subject {
    fn from(slot: &Slot) -> Self {
        Self {
            scheduled_at: Some(slot.scheduled_at),
            ..Self::from(&slot.pair)
        }
    }
}

impl From<&PolicyName> for Subject {
    fn from(policy: &PolicyName) -> Self {
        Self {
            policy: Some(policy.clone()),
            ..Self::default()
        }
    }
}

impl Subject {
    /// All runs of a policy at one instant, which are one job.
    pub fn of_job(policy: &PolicyName, scheduled_at: DateTime<Utc>) -> Self {
        Self {
            scheduled_at: Some(scheduled_at),
            ..Self::from(policy)
        }
    }

    /// The scope, where it is about one.
    pub fn scope(&self) -> Option<Scope> {
        Some(Scope {
            account: self.account.clone()?,
            region: self.region.clone()?,
        })
    }

    /// The pair, where it is about one.
    pub fn pair(&self) -> Option<Pair> {
        Some(Pair {
            policy: self.policy.clone()?,
            scope: self.scope()?,
            cluster: self.cluster.clone()?,
        })
    }

    /// The slot, where it is about one.
    pub fn slot(&self) -> Option<Slot> {
        Some(Slot {
            pair: self.pair()?,
            scheduled_at: self.scheduled_at?,
        })
    }

    /// The parts as texts, empty where there is none: no two subjects have the same.
    pub fn parts(&self) -> [String; 6] {
        fn text(part: Option<&impl ToString>) -> String {
            part.map(ToString::to_string).unwrap_or_default()
        }
        [
            text(self.policy.as_ref()),
            text(self.account.as_ref()),
            text(self.region.as_ref()),
            text(self.cluster.as_ref()),
            self.scheduled_at.map(rfc3339).unwrap_or_default(),
            self.detail.clone(),
        ]
    }
}

/// What tells one condition from another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConditionKey {
    /// Who is told.
    pub receiver: ReceiverName,
    /// What goes on.
    pub cause: Cause,
    /// What the condition is about.
    pub subject: Subject,
}

impl ConditionKey {
    /// What `receiver` knows of the subject.
    pub fn new(receiver: &Receiver, cause: Cause, subject: &Subject) -> Self {
        Self {
            receiver: receiver.name.clone(),
            cause,
            subject: subject.clone(),
        }
    }

    /// The same for every receiver and every message of the condition, from its beginning to its end: 32 hex digits.
    pub fn dedup_key(&self) -> String {
        let parts = self.subject.parts();
        let parts = std::iter::once(self.cause.as_str()).chain(parts.iter().map(String::as_str));
        digest::hex(&digest::framed(parts), 32)
    }
}

/// Something that goes on, as far as a receiver knows of it. It is kept until it is over, so that a restart neither
/// repeats nor forgets what was told.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    /// What tells it from others.
    pub key: ConditionKey,
    /// Since when redkeep has seen it.
    pub since: DateTime<Utc>,
    /// When the condition was told last; `None` while it is too young to be told.
    pub told_at: Option<DateTime<Utc>>,
    /// How often it was told.
    pub told_times: u32,
    /// How often it has happened, where it is something that happens.
    pub count: u32,
    /// What is said of it.
    pub content: Content,
    /// The condition has ended, and is forgotten.
    pub is_over: bool,
}

impl Condition {
    /// One that is seen for the first time, and of which nobody was told.
    pub fn new(key: ConditionKey, since: DateTime<Utc>) -> Self {
        Self {
            key,
            since,
            told_at: None,
            told_times: 0,
            count: 0,
            content: Content::default(),
            is_over: false,
        }
    }
}

/// What a message says, in texts for people and programs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Content {
    /// One line that says what is so, and of what.
    pub title: String,
    /// Why, as far as it is known.
    pub reason: String,
    /// What to do: a command.
    pub action: String,
    /// The policy.
    pub policy: Option<String>,
    /// The account's name in the policy file.
    pub account: Option<String>,
    /// The region.
    pub region: Option<String>,
    /// The cluster.
    pub cluster: Option<String>,
    /// The slot, RFC 3339 in UTC.
    pub scheduled_at: Option<String>,
    /// The slot on the policy's clocks, with the zone's name.
    pub local_time: Option<String>,
    /// The snapshot's name.
    pub snapshot_id: Option<String>,
}

/// A message to one receiver, from the moment it is decided until it is delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The same in every attempt to deliver it, and another for every other message: 32 hex digits.
    pub id: String,
    /// Who is told.
    pub receiver: ReceiverName,
    /// What kind of thing it is.
    pub event: Event,
    /// Whether that began, goes on or is over.
    pub state: MessageState,
    /// How bad it is while it goes on.
    pub severity: Severity,
    /// The same for all messages of one condition.
    pub dedup_key: String,
    /// Since when the condition goes on.
    pub since: DateTime<Utc>,
    /// When the message was decided.
    pub created_at: DateTime<Utc>,
    /// Not before this it is delivered: the receiver wants quiet until then.
    pub due_at: DateTime<Utc>,
    /// The run that a ping belongs to, as a UUID.
    pub run_id: Option<String>,
    /// How often it has happened so far.
    pub count: u32,
    /// What the message says.
    pub content: Content,
}

impl Message {
    /// How bad it is now: what is over is no more than worth knowing.
    pub fn severity_now(&self) -> Severity {
        match self.state {
            MessageState::Over => Severity::Info,
            _ => self.severity,
        }
    }

    /// The id of the `number`th message of a condition that began at `since`, about this slot: of a pair, several slots may
    /// end within a second.
    pub fn id_of(
        key: &ConditionKey,
        since: DateTime<Utc>,
        state: MessageState,
        number: u32,
        slot: Option<&str>,
    ) -> String {
        let (dedup_key, since, number) = (key.dedup_key(), rfc3339(since), number.to_string());
        let parts = [
            key.receiver.as_str(),
            &dedup_key,
            &since,
            state.as_str(),
            &number,
            slot.unwrap_or_default(),
        ];
        digest::hex(&digest::framed(parts), 32)
    }
}

/// A text as a message may have it: of one line, and no longer than a person reads.
pub fn bounded(text: &str) -> String {
    let mut line: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(LONGEST_TEXT)
        .collect();
    if text.chars().nth(LONGEST_TEXT).is_some() {
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_of_aws_becomes_one_bounded_line() {
        assert_eq!(bounded("a\nb\u{1b}[0m"), "a b [0m");
        assert_eq!(bounded(&"x".repeat(601)).chars().count(), 601);
    }

    #[test]
    fn what_happened_of_one_receiver_has_another_id_than_the_same_of_another() {
        let key = |receiver: &str| ConditionKey {
            receiver: receiver.parse().unwrap(),
            cause: Cause::Failed,
            subject: Subject::default(),
        };
        let at = DateTime::UNIX_EPOCH;
        let id = |receiver, state| Message::id_of(&key(receiver), at, state, 1, None);
        assert_eq!(id("a", MessageState::Begun), id("a", MessageState::Begun));
        assert_ne!(id("a", MessageState::Begun), id("b", MessageState::Begun));
        assert_ne!(id("a", MessageState::Begun), id("a", MessageState::Over));
        assert_eq!(key("a").dedup_key(), key("b").dedup_key());
    }
}
