//! Conditions as one decision changes them.
//!
//! Owns: when a condition is told, told again, and over. What one decision has changed, its later steps see.

use std::collections::BTreeMap;

use chrono::TimeDelta;

use super::UNREACHABLE_AFTER;
use super::delivery::key_of_many;
use crate::digest;
use crate::history::Change;
use crate::outbox::{
    Cause, Condition, ConditionKey, Content, Message, MessageState, Receiver, ReceiverKind, Subject,
};
use crate::plan::Facts;

/// A decision in the making.
pub(super) struct Decision<'a> {
    pub(super) facts: Facts<'a>,
    /// The conditions that it has changed; `None` for one that is over.
    changed: BTreeMap<ConditionKey, Option<Condition>>,
    messages: Vec<Message>,
}

/// How long something has to go on before it is told.
fn patience(cause: Cause) -> TimeDelta {
    match cause {
        Cause::Unreachable => UNREACHABLE_AFTER,
        _ => TimeDelta::zero(),
    }
}

/// Whether a condition is seen to go on, or has happened once more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    Standing,
    Happened,
}

impl<'a> Decision<'a> {
    pub(super) fn new(facts: Facts<'a>) -> Self {
        Self {
            facts,
            changed: BTreeMap::new(),
            messages: Vec::new(),
        }
    }

    /// The receivers that are told of this.
    pub(super) fn hearers(
        &self,
        cause: Cause,
        subject: &Subject,
    ) -> impl Iterator<Item = &'a Receiver> + use<'a> {
        let subject = subject.clone();
        let receivers = self.facts.config.receivers.iter();
        receivers.filter(move |receiver| receiver.hears(cause, &subject))
    }

    pub(super) fn known(&self, key: &ConditionKey) -> Option<&Condition> {
        match self.changed.get(key) {
            Some(changed) => changed.as_ref(),
            None => self.facts.history.conditions.get(key),
        }
    }

    /// Notes that something goes on or has happened, for everybody who is told of it.
    pub(super) fn begin(
        &mut self,
        (cause, subject): (Cause, &Subject),
        seen: Seen,
        content: impl Fn() -> Content,
    ) {
        for receiver in self.hearers(cause, subject) {
            let key = ConditionKey::new(receiver, cause, subject);
            let state = self.due_state(&key, receiver);
            match (self.known(&key), state, seen) {
                (Some(_), None, Seen::Standing) => continue,
                (known, state, _) => {
                    let before = known.cloned();
                    self.note(receiver, (key, before), state, seen, content());
                }
            }
        }
    }

    /// What is to be told of a condition now; `None` where that is nothing.
    fn due_state(&self, key: &ConditionKey, receiver: &Receiver) -> Option<MessageState> {
        let now = self.facts.now;
        let patience = patience(key.cause);
        match self.known(key) {
            None => patience.is_zero().then_some(MessageState::Begun),
            Some(known) => match known.told_at {
                None => (now - known.since >= patience).then_some(MessageState::Begun),
                Some(told_at) => {
                    (now - told_at >= receiver.repeat_after).then_some(MessageState::Repeated)
                }
            },
        }
    }

    fn note(
        &mut self,
        receiver: &Receiver,
        (key, before): (ConditionKey, Option<Condition>),
        state: Option<MessageState>,
        seen: Seen,
        content: Content,
    ) {
        let now = self.facts.now;
        let before = before.unwrap_or_else(|| Condition::new(key, now));
        let happened = u32::from(seen == Seen::Happened || before.count == 0);
        let condition = Condition {
            told_at: state.map_or(before.told_at, |_| Some(now)),
            told_times: before.told_times + u32::from(state.is_some()),
            count: before.count.saturating_add(happened),
            content,
            ..before
        };
        if let Some(state) = state {
            self.tell(receiver, &condition, state, condition.content.clone());
        }
        self.put(condition);
    }

    /// Ends a condition, where it is known; who was told that it began is told that it is over.
    pub(super) fn end(&mut self, key: &ConditionKey, content: impl FnOnce(&Content) -> Content) {
        let Some(known) = self.known(key).cloned() else {
            return;
        };
        let mut receivers = self.facts.config.receivers.iter();
        let receiver = receivers.find(|receiver| receiver.name == key.receiver);
        if let (Some(receiver), Some(_)) = (receiver, known.told_at) {
            let content = content(&known.content);
            self.tell(receiver, &known, MessageState::Over, content);
            self.changed.insert(key.clone(), None);
            self.end_many(receiver, &known);
        }
        self.changed.insert(key.clone(), None);
    }

    /// Ends the one incident that may stand for many of the kind, when the last of them is over. PagerDuty takes no notice
    /// of the end of one that never began.
    fn end_many(&mut self, receiver: &Receiver, last: &Condition) {
        let event = last.key.cause.event();
        let is_same =
            |key: &ConditionKey| key.receiver == receiver.name && key.cause.event() == event;
        let known = self.facts.history.conditions.keys();
        let mut keys = known.chain(self.changed.keys()).filter(|key| is_same(key));
        let goes_on = |key: &ConditionKey| self.known(key).is_some_and(|one| one.told_at.is_some());
        if receiver.kind != ReceiverKind::Pagerduty || keys.any(goes_on) {
            return;
        }
        let Some(end) = self.messages.last().cloned() else {
            return;
        };
        let dedup_key = key_of_many(event);
        let id = digest::hex(&digest::framed([dedup_key.as_str(), end.id.as_str()]), 32);
        self.messages.push(Message {
            id,
            dedup_key,
            ..end
        });
    }

    /// Forgets a condition without a word.
    pub(super) fn forget(&mut self, key: &ConditionKey) {
        if self.known(key).is_some() {
            self.changed.insert(key.clone(), None);
        }
    }

    pub(super) fn put(&mut self, condition: Condition) {
        self.changed.insert(condition.key.clone(), Some(condition));
    }

    /// Puts a message about a condition into the outbox.
    pub(super) fn tell(
        &mut self,
        receiver: &Receiver,
        condition: &Condition,
        state: MessageState,
        content: Content,
    ) {
        let now = self.facts.now;
        let key = &condition.key;
        let run_id = (key.cause == Cause::Run).then(|| super::texts::run_id(key));
        self.messages.push(Message {
            id: Message::id_of(
                key,
                condition.since,
                state,
                condition.told_times,
                content.scheduled_at.as_deref(),
            ),
            receiver: receiver.name.clone(),
            event: key.cause.event(),
            state,
            severity: key.cause.severity(),
            dedup_key: key.dedup_key(),
            since: condition.since,
            created_at: now,
            due_at: receiver.due_at(now),
            run_id,
            count: condition.count,
            content,
        });
    }

    /// What is to be committed.
    pub(super) fn into_changes(self) -> Vec<Change> {
        let known = &self.facts.history.conditions;
        let conditions = self.changed.into_iter().filter_map(|(key, changed)| {
            let condition = match changed {
                Some(condition) => condition,
                None => Condition {
                    is_over: true,
                    ..known.get(&key)?.clone()
                },
            };
            Some(Change::Condition(Box::new(condition)))
        });
        let messages = self.messages.into_iter();
        let messages = messages.map(|message| Change::Message(Box::new(message)));
        conditions.chain(messages).collect()
    }
}
