//! In which form and order what waits for a receiver is delivered.
//!
//! Owns: single messages, summaries of many of a kind, digests after a receiver was away, the distances between tries, and
//! what an old message to a receiver with a state of its own is still worth. Never sends anything.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};

use crate::digest;
use crate::outbox::{Content, Event, Message, MessageState, ReceiverKind};

/// More than this many of a kind within [`SUMMARY_WINDOW`] become one summary.
pub const MOST_OF_A_KIND: usize = 10;
/// The time in which they are counted.
pub const SUMMARY_WINDOW: TimeDelta = TimeDelta::minutes(5);
/// A message that could not be delivered for so long goes into a digest.
pub const DIGEST_AFTER: TimeDelta = TimeDelta::hours(24);
/// The longest distance between two tries.
pub const LONGEST_WAIT: TimeDelta = TimeDelta::hours(1);
/// The longest that a receiver may ask for with Retry-After.
pub const LONGEST_ASKED: TimeDelta = TimeDelta::hours(24);
/// The first distance between two tries.
const FIRST_WAIT: TimeDelta = TimeDelta::seconds(5);
/// How many lines of a summary or digest are shown.
pub const MOST_LINES: usize = 20;

/// A message that waits, and how it went so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// The message.
    pub message: Message,
    /// How often it was tried.
    pub attempts: u32,
    /// Not before this it is tried.
    pub next_at: DateTime<Utc>,
}

/// Messages that were too many to keep, by what they told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dropped {
    /// What they told.
    pub event: Event,
    /// How many.
    pub count: u64,
}

/// What waits for one receiver, in the order in which it was decided.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Queue {
    /// The messages.
    pub waiting: Vec<Waiting>,
    /// What was delivered as a message of its own within [`SUMMARY_WINDOW`], and when.
    pub delivered: Vec<(Event, MessageState, DateTime<Utc>)>,
    /// What was too much to keep since the last digest.
    pub dropped: Vec<Dropped>,
}

/// What is sent at once, and which messages that delivers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// What is sent: one message, or as many as the receiver takes at once.
    pub messages: Vec<Message>,
    /// The ids of the messages that are delivered with it.
    pub covers: Vec<String>,
    /// The ids of messages that are worth nothing any more.
    pub outdated: Vec<String>,
    /// In which form.
    pub form: Form,
}

/// The form of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Form {
    /// A message of its own.
    Single,
    /// One for many of a kind.
    Summary,
    /// One for everything that could not be delivered.
    Digest,
}

/// What to do next for a receiver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Send this.
    Send(Box<Delivery>),
    /// Nothing is to be sent before this instant.
    Wait(DateTime<Utc>),
    /// Nothing waits.
    Idle,
}

/// What to do next for a receiver of this kind, at `now`.
pub fn next(kind: ReceiverKind, queue: &Queue, now: DateTime<Utc>) -> Next {
    match kind.is_stateful() {
        true => next_in_order(kind, queue, now),
        false => next_of_any(queue, now),
    }
}

fn next_of_any(queue: &Queue, now: DateTime<Utc>) -> Next {
    let due: Vec<&Waiting> = queue
        .waiting
        .iter()
        .filter(|one| one.next_at <= now)
        .collect();
    let is_old =
        |one: &&Waiting| now - one.message.due_at.max(one.message.created_at) > DIGEST_AFTER;
    if due.iter().any(is_old) || (!queue.dropped.is_empty() && !due.is_empty()) {
        return send(digest_of(&due, &queue.dropped, now));
    }
    let mut wake = queue
        .waiting
        .iter()
        .map(|one| one.next_at)
        .filter(|at| *at > now)
        .min();
    let mut kinds: BTreeMap<(Event, MessageState), Vec<&Waiting>> = BTreeMap::new();
    for one in &due {
        let kind = (one.message.event, one.message.state);
        kinds.entry(kind).or_default().push(one);
    }
    let mut first: Option<Delivery> = None;
    for (kind, waiting) in &kinds {
        match of_a_kind(*kind, waiting, &queue.delivered, now) {
            Ok(delivery) => {
                let is_first = first.as_ref().is_none_or(|first| {
                    delivery.messages[0].created_at < first.messages[0].created_at
                });
                if is_first {
                    first = Some(delivery);
                }
            }
            Err(at) => wake = Some(wake.map_or(at, |wake| wake.min(at))),
        }
    }
    match (first, wake) {
        (Some(delivery), _) => send(delivery),
        (None, Some(at)) => Next::Wait(at),
        (None, None) => Next::Idle,
    }
}

/// What to send of one kind of messages; or when, where there were too many of it lately.
fn of_a_kind(
    (event, state): (Event, MessageState),
    waiting: &[&Waiting],
    delivered: &[(Event, MessageState, DateTime<Utc>)],
    now: DateTime<Utc>,
) -> Result<Delivery, DateTime<Utc>> {
    let lately = delivered
        .iter()
        .filter(|(one, with, at)| (*one, *with) == (event, state) && now - *at < SUMMARY_WINDOW);
    let lately: Vec<DateTime<Utc>> = lately.map(|(.., at)| *at).collect();
    if lately.len() + waiting.len() <= MOST_OF_A_KIND {
        return Ok(single(&waiting[0].message));
    }
    match lately.iter().min() {
        // The first of them have gone out by themselves; the others come together when their time is over.
        Some(first) if lately.len() >= MOST_OF_A_KIND => Err(*first + SUMMARY_WINDOW),
        Some(_) | None if waiting.len() > MOST_OF_A_KIND => Ok(summary_of(waiting, now)),
        Some(_) | None => Ok(single(&waiting[0].message)),
    }
}

/// To a receiver with a state of its own the messages go in their order. Of those that have become old only the last of
/// each condition is worth anything.
fn next_in_order(kind: ReceiverKind, queue: &Queue, now: DateTime<Utc>) -> Next {
    let Some(head) = queue.waiting.first() else {
        return Next::Idle;
    };
    let first_due = queue.waiting.iter().find(|one| one.message.due_at <= now);
    let Some(first) = first_due else {
        let at = queue.waiting.iter().map(|one| one.next_at).min();
        return Next::Wait(at.unwrap_or(head.next_at));
    };
    if first.next_at > now {
        return Next::Wait(first.next_at);
    }
    let due: Vec<&Waiting> = { queue.waiting.iter() }
        .filter(|one| one.message.due_at <= now)
        .collect();
    let outdated = outdated(&due, now);
    let mut left = due.iter().filter(|one| !outdated.contains(&one.message.id));
    let Some(first) = left.next() else {
        return send(Delivery {
            messages: Vec::new(),
            covers: Vec::new(),
            outdated,
            form: Form::Digest,
        });
    };
    let delivery = match kind {
        ReceiverKind::Alertmanager => all_at_once(first, left),
        ReceiverKind::Pagerduty => many_at_once(first, left, queue, now),
        _ => single(&first.message),
    };
    send(Delivery {
        outdated,
        ..delivery
    })
}

/// Alertmanager takes many alerts in one request, and groups them itself; of each alert one request has one state.
fn all_at_once<'a>(first: &Waiting, others: impl Iterator<Item = &'a &'a Waiting>) -> Delivery {
    let mut messages = vec![first.message.clone()];
    for one in others.map(|one| &one.message).take(99) {
        if messages
            .iter()
            .any(|before| before.dedup_key == one.dedup_key)
        {
            break;
        }
        messages.push(one.clone());
    }
    Delivery {
        covers: messages.iter().map(|one| one.id.clone()).collect(),
        messages,
        outdated: Vec::new(),
        form: Form::Single,
    }
}

/// Many incidents of a kind become one, which has a key of its own.
fn many_at_once<'a>(
    first: &'a Waiting,
    others: impl Iterator<Item = &'a &'a Waiting>,
    queue: &Queue,
    now: DateTime<Utc>,
) -> Delivery {
    let kind = (first.message.event, first.message.state);
    if first.message.state == MessageState::Over {
        return single(&first.message);
    }
    let same = others.filter(|one| (one.message.event, one.message.state) == kind);
    let same: Vec<&Waiting> = std::iter::once(first).chain(same.copied()).collect();
    let lately = queue
        .delivered
        .iter()
        .filter(|(event, state, at)| (*event, *state) == kind && now - *at < SUMMARY_WINDOW);
    match same.len() > MOST_OF_A_KIND || lately.count() >= MOST_OF_A_KIND && same.len() > 1 {
        true => summary_of(&same, now),
        false => single(&first.message),
    }
}

/// The ids of old messages whose condition has a newer one, and of ends whose beginning was never told.
fn outdated(due: &[&Waiting], now: DateTime<Utc>) -> Vec<String> {
    let is_old = |one: &Waiting| now - one.message.created_at > DIGEST_AFTER;
    let mut outdated = Vec::new();
    for (at, one) in due.iter().enumerate().filter(|(_, one)| is_old(one)) {
        let (before, after) = (&due[..at], &due[at + 1..]);
        let same = |other: &&Waiting| other.message.dedup_key == one.message.dedup_key;
        let is_end_of_untold = one.message.state == MessageState::Over
            && one.message.event != Event::Run
            && before.iter().copied().any(|other| same(&other));
        if after.iter().copied().any(|other| same(&other)) || is_end_of_untold {
            outdated.push(one.message.id.clone());
        }
    }
    outdated
}

fn send(delivery: Delivery) -> Next {
    Next::Send(Box::new(delivery))
}

fn single(message: &Message) -> Delivery {
    Delivery {
        messages: vec![message.clone()],
        covers: vec![message.id.clone()],
        outdated: Vec::new(),
        form: Form::Single,
    }
}

/// The key of the one incident that stands for many of a kind.
pub fn key_of_many(event: Event) -> String {
    let parts = ["many", event.as_str()];
    digest::hex(&digest::framed(parts), 32)
}

fn summary_of(waiting: &[&Waiting], now: DateTime<Utc>) -> Delivery {
    let first = &waiting[0].message;
    let word = match first.state {
        MessageState::Over => format!("{}: over", first.event.as_str()),
        _ => first.event.as_str().to_owned(),
    };
    let message = Message {
        dedup_key: key_of_many(first.event),
        content: Content {
            title: format!("redkeep: {} × {word}", waiting.len()),
            reason: lines(waiting),
            action: "redkeep status".to_owned(),
            ..Content::default()
        },
        ..together(waiting, now)
    };
    covering(message, waiting, Form::Summary)
}

fn digest_of(waiting: &[&Waiting], dropped: &[Dropped], now: DateTime<Utc>) -> Delivery {
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for one in waiting {
        *counts.entry(one.message.event.as_str()).or_default() += 1;
    }
    for one in dropped {
        *counts.entry(one.event.as_str()).or_default() += one.count;
    }
    let total: u64 = counts.values().sum();
    let counts: Vec<String> = counts
        .iter()
        .map(|(event, count)| format!("{count} × {event}"))
        .collect();
    let first = together(waiting, now);
    let since = crate::slot::rfc3339(first.created_at);
    let message = Message {
        content: Content {
            title: format!(
                "redkeep: {total} messages since {since} could not be delivered: {}",
                counts.join(", ")
            ),
            reason: lines(waiting),
            action: "redkeep status".to_owned(),
            ..Content::default()
        },
        ..first
    };
    covering(message, waiting, Form::Digest)
}

/// The parts that a message for many has of all of them.
fn together(waiting: &[&Waiting], now: DateTime<Utc>) -> Message {
    let ids = waiting.iter().map(|one| one.message.id.as_str());
    let id = digest::hex(&digest::framed(ids), 32);
    let messages = || waiting.iter().map(|one| &one.message);
    let first = &waiting[0].message;
    let severity = messages().map(|one| one.severity).max();
    Message {
        severity: severity.unwrap_or(first.severity),
        created_at: messages().map(|one| one.created_at).min().unwrap_or(now),
        since: messages().map(|one| one.since).min().unwrap_or(now),
        dedup_key: id.clone(),
        count: u32::try_from(waiting.len()).unwrap_or(u32::MAX),
        id,
        run_id: None,
        ..first.clone()
    }
}

/// The newest titles, a line each.
fn lines(waiting: &[&Waiting]) -> String {
    let newest = waiting.iter().rev().take(MOST_LINES);
    let mut lines: Vec<String> = newest
        .map(|one| one.message.content.title.clone())
        .collect();
    if waiting.len() > MOST_LINES {
        lines.push(format!("and {} more", waiting.len() - MOST_LINES));
    }
    lines.join("\n")
}

fn covering(message: Message, waiting: &[&Waiting], form: Form) -> Delivery {
    Delivery {
        messages: vec![message],
        covers: waiting.iter().map(|one| one.message.id.clone()).collect(),
        outdated: Vec::new(),
        form,
    }
}

/// How long to wait after the `failures`th failure in a row, or for as long as the receiver asks: longer each time, up to
/// an hour, and not at the same instant as others.
pub fn wait_after(failures: u32, asked: Option<TimeDelta>, seed: &str) -> TimeDelta {
    let grown = FIRST_WAIT * 2_i32.pow(failures.saturating_sub(1).min(10));
    let half = grown.min(LONGEST_WAIT) / 2;
    let seed = format!("{seed} {failures}");
    let wait = half + crate::schedule::jitter(seed.as_bytes(), half);
    asked.map_or(wait, |asked| {
        asked.clamp(TimeDelta::seconds(1), LONGEST_ASKED).max(wait)
    })
}
