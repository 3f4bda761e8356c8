//! When what waits is delivered, to receivers that are up or not.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};

use super::super::delivery::{
    DIGEST_AFTER, Delivery, Form, LONGEST_WAIT, Next, Queue, Waiting, next, wait_after,
};
use super::{Installation, receiver};
use crate::outbox::{Message, MessageState, ReceiverKind};
use crate::run::Outcome;
use crate::test_fixtures::at;

pub(super) fn queue_of(messages: &[Message]) -> Queue {
    let waiting = messages.iter().map(|message| Waiting {
        message: message.clone(),
        attempts: 0,
        next_at: message.due_at,
    });
    Queue {
        waiting: waiting.collect(),
        ..Queue::default()
    }
}

/// A receiver that is up or not, and what it got.
struct Post {
    kind: ReceiverKind,
    queue: Queue,
    now: DateTime<Utc>,
    got: Vec<Delivery>,
    tries: u32,
    failures: u32,
}

impl Post {
    fn new(kind: ReceiverKind, messages: &[Message], now: DateTime<Utc>) -> Self {
        Self {
            kind,
            queue: queue_of(messages),
            now,
            got: Vec::new(),
            tries: 0,
            failures: 0,
        }
    }

    /// Lives until then as the sender does, with a receiver that is up or down.
    fn live(&mut self, until: DateTime<Utc>, is_up: bool) {
        while self.now < until {
            match next(self.kind, &self.queue, self.now) {
                Next::Idle => self.now = until,
                Next::Wait(at) => self.now = at.min(until),
                Next::Send(delivery) => self.attempt(*delivery, is_up),
            }
        }
    }

    fn attempt(&mut self, delivery: Delivery, is_up: bool) {
        self.tries += 1;
        let ids: BTreeSet<&String> = delivery.covers.iter().chain(&delivery.outdated).collect();
        if is_up || delivery.messages.is_empty() {
            self.failures = 0;
            let now = self.now;
            if delivery.form == Form::Single {
                let told = delivery.messages.iter();
                self.queue
                    .delivered
                    .extend(told.map(|one| (one.event, one.state, now)));
            }
            self.queue
                .waiting
                .retain(|one| !ids.contains(&one.message.id));
            self.got.push(delivery);
            return;
        }
        self.failures += 1;
        let at = self.now + wait_after(self.failures, None, "post");
        for one in &mut self.queue.waiting {
            if delivery.covers.contains(&one.message.id) {
                one.next_at = at;
                one.attempts += 1;
            }
        }
        // The receiver as a whole is left alone.
        self.now = at;
    }

    fn forms(&self) -> Vec<(Form, usize)> {
        let got = self.got.iter();
        got.map(|one| (one.form, one.covers.len())).collect()
    }
}

/// That many failures, each of a cluster of its own.
fn many(count: usize, at: DateTime<Utc>) -> Vec<Message> {
    let mut here = Installation::new(vec![receiver("ops", ReceiverKind::Webhook)]);
    here.now = at;
    let clusters = (0..count).map(|number| format!("dw-{number}"));
    clusters.flat_map(|cluster| here.fails(&cluster)).collect()
}

#[test]
fn a_receiver_that_was_away_for_three_days_gets_one_digest() {
    let began = at("2026-11-24T00:00:00Z");
    let mut messages = Vec::new();
    for hours in 0..72 {
        messages.extend(
            many(1, began + TimeDelta::hours(hours))
                .into_iter()
                .map(|mut one| {
                    one.id = format!("{hours:032}");
                    one
                }),
        );
    }
    let mut post = Post::new(ReceiverKind::Webhook, &messages, began);
    post.live(began + TimeDelta::hours(72), false);
    assert_eq!(post.got, []);
    assert!(post.tries < 120, "{} tries in three days", post.tries);
    post.live(began + TimeDelta::hours(72) + LONGEST_WAIT * 2, true);
    assert_eq!(post.forms(), [(Form::Digest, 72)]);
    let digest = &post.got[0].messages[0];
    assert!(
        digest.content.title.contains("72 × failed"),
        "{}",
        digest.content.title
    );
    assert_eq!(digest.content.reason.lines().count(), 21);
}

#[test]
fn a_message_is_tried_at_growing_distances_and_goes_out_within_an_hour_of_the_return() {
    let began = at("2026-11-24T00:00:00Z");
    let mut post = Post::new(ReceiverKind::Webhook, &many(1, began), began);
    post.live(began + TimeDelta::hours(20), false);
    assert!(
        (20..60).contains(&post.tries),
        "{} tries in 20 hours",
        post.tries
    );
    let back = post.now;
    post.live(back + LONGEST_WAIT, true);
    assert_eq!(post.forms(), [(Form::Single, 1)]);
}

#[test]
fn many_of_a_kind_at_once_are_one_summary_and_ten_are_ten() {
    let began = at("2026-11-24T00:00:00Z");
    let mut post = Post::new(ReceiverKind::Slack, &many(10, began), began);
    post.live(began + TimeDelta::hours(1), true);
    assert_eq!(post.forms(), [(Form::Single, 1); 10]);
    let mut post = Post::new(ReceiverKind::Slack, &many(214, began), began);
    post.live(began + TimeDelta::hours(1), true);
    assert_eq!(post.forms(), [(Form::Summary, 214)]);
    let title = &post.got[0].messages[0].content.title;
    assert_eq!(title, "redkeep: 214 × failed");
}

#[test]
fn of_many_that_come_one_by_one_the_first_ten_come_at_once_and_the_others_together() {
    let began = at("2026-11-24T00:00:00Z");
    let messages = many(30, began);
    let mut post = Post::new(ReceiverKind::Slack, &[], began);
    for message in &messages {
        post.queue
            .waiting
            .extend(queue_of(std::slice::from_ref(message)).waiting);
        let until = post.now + TimeDelta::seconds(2);
        post.live(until, true);
    }
    assert_eq!(post.forms(), [(Form::Single, 1); 10]);
    post.live(began + TimeDelta::minutes(20), true);
    assert_eq!(post.forms()[10..], [(Form::Summary, 20)]);
    let all: BTreeSet<&String> = post.got.iter().flat_map(|one| &one.covers).collect();
    assert_eq!(all.len(), 30, "none is lost");
}

#[test]
fn a_receiver_with_a_state_gets_messages_in_order_and_of_old_ones_the_last() {
    let mut here = Installation::new(vec![receiver("pd", ReceiverKind::Pagerduty)]);
    let began = here.now;
    let mut messages = here.fails("dw");
    here.pass(TimeDelta::hours(1));
    messages.extend(here.fails("finance"));
    messages.extend(here.ends("dw", Outcome::Available));
    let mut post = Post::new(ReceiverKind::Pagerduty, &messages, began);
    post.live(began + TimeDelta::hours(2), true);
    let got: Vec<MessageState> = post.got.iter().map(|one| one.messages[0].state).collect();
    use MessageState::{Begun, Over};
    assert_eq!(got[..3], [Begun, Begun, Over]);
    // Down for two days: what began and ended meanwhile is nothing to tell.
    let mut post = Post::new(ReceiverKind::Pagerduty, &messages, began);
    post.live(began + DIGEST_AFTER * 2, false);
    post.live(began + DIGEST_AFTER * 3, true);
    let told: Vec<&Message> = post.got.iter().flat_map(|one| &one.messages).collect();
    let told: Vec<_> = told
        .iter()
        .map(|one| one.content.cluster.as_deref())
        .collect();
    assert_eq!(told[0], Some("finance"));
    assert!(post.queue.waiting.is_empty());
}
