//! The task that delivers what waits for one receiver.
//!
//! Owns: the loop: ask what is next, try it, record what came of it. A failure puts off what was tried and the receiver as a
//! whole. What was delivered and could not be recorded is recorded before anything else is sent.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use redkeep_core::notify::delivery::{Delivery, Form, Next, next, wait_after};
use tokio::sync::Notify;
use tracing::{debug, error, info, warn};

use super::parcel::{Sent, in_time, post, send};
use super::{Means, alertmanager, secret};
use crate::clock::sleep;
use crate::error_chain::with_causes;
use crate::outbox::{Receiver, ReceiverKind};
use crate::store::Delivered;

/// Nobody sleeps longer, whatever is next: a wake-up may be lost, and a clock may be set.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);
/// How long a history that cannot be used is left alone.
const STORE_RETRY: Duration = Duration::from_secs(10);

/// What one task knows.
pub(super) struct Sender {
    receiver: Receiver,
    means: Means,
    /// Failures in a row.
    failures: u32,
    /// The receiver is left alone until then.
    not_before: DateTime<Utc>,
    /// What is to be recorded before anything else.
    unrecorded: Vec<(String, Delivered)>,
    /// When an Alertmanager is reminded next.
    remind_at: DateTime<Utc>,
    has_lost_store: bool,
}

impl Sender {
    pub(super) fn new(receiver: Receiver, means: Means) -> Self {
        let now = means.clock.now();
        Self {
            receiver,
            means,
            failures: 0,
            not_before: now,
            unrecorded: Vec::new(),
            remind_at: now,
            has_lost_store: false,
        }
    }

    /// Delivers for ever; says each time when nothing is to be sent.
    pub(super) async fn run(mut self, wake: Arc<Notify>, idle: Arc<Notify>) {
        loop {
            let pause = self.step().await;
            if pause.is_zero() {
                continue;
            }
            idle.notify_one();
            tokio::select! {
                () = wake.notified() => {}
                () = sleep(pause.min(LONGEST_SLEEP)) => {}
            }
        }
    }

    /// Does the next thing; returns how long nothing is to be done after it.
    async fn step(&mut self) -> Duration {
        if !self.record().await {
            return STORE_RETRY;
        }
        let now = self.means.clock.now();
        let name = self.receiver.name.clone();
        let queue = match self.means.store.queue(name, now).await {
            Ok(queue) => queue,
            Err(error) => return self.without_store(&with_causes(&error)),
        };
        self.has_lost_store = false;
        let waiting = queue.waiting.len();
        self.means
            .metrics
            .waiting(self.receiver.name.as_str(), waiting);
        if now < self.not_before {
            return span(self.not_before - now);
        }
        match next(self.receiver.kind, &queue, now) {
            Next::Send(delivery) => {
                self.deliver(*delivery, now).await;
                Duration::ZERO
            }
            Next::Wait(at) => {
                let reminded_at = self.reminded(now).await;
                until(at.min(reminded_at), now)
            }
            Next::Idle => until(self.reminded(now).await, now),
        }
    }

    fn without_store(&mut self, why: &str) -> Duration {
        if !self.has_lost_store {
            warn!(receiver = %self.receiver.name, reason = why, "no messages are delivered while the history cannot be used");
        }
        self.has_lost_store = true;
        STORE_RETRY
    }

    /// Writes down what was delivered; `false` where that cannot be written now.
    async fn record(&mut self) -> bool {
        if self.unrecorded.is_empty() {
            return true;
        }
        let (name, ended) = (self.receiver.name.clone(), self.unrecorded.clone());
        let now = self.means.clock.now();
        match self.means.store.end_messages(name, ended, now).await {
            Ok(()) => {
                self.unrecorded.clear();
                true
            }
            Err(error) => {
                self.without_store(&with_causes(&error));
                false
            }
        }
    }

    async fn deliver(&mut self, delivery: Delivery, now: DateTime<Utc>) {
        let outdated = delivery.outdated.iter().cloned();
        self.unrecorded
            .extend(outdated.map(|id| (id, Delivered::Outdated)));
        if delivery.messages.is_empty() {
            self.record().await;
            return;
        }
        let Means {
            client, namespace, ..
        } = &self.means;
        let sent = send(client, &self.receiver, &delivery, namespace, now).await;
        let how = match delivery.form {
            Form::Single => Delivered::Single,
            Form::Summary => Delivered::Summary,
            Form::Digest => Delivered::Digest,
        };
        match sent {
            Sent::Delivered(said) => self.delivered(&delivery, how, &said),
            Sent::Refused(why) => {
                error!(receiver = %self.receiver.name, reason = why, "a receiver refused a message permanently");
                self.count("refused", delivery.covers.len());
                self.end(&delivery, Delivered::Refused);
            }
            Sent::Failed { why, retry_after } => self.failed(delivery, why, retry_after).await,
        }
        self.record().await;
    }

    fn delivered(&mut self, delivery: &Delivery, how: Delivered, said: &str) {
        let name = &self.receiver.name;
        if self.failures > 0 {
            info!(receiver = %name, "messages are delivered again");
        }
        for id in &delivery.covers {
            debug!(receiver = %name, id, said, "delivered");
        }
        self.failures = 0;
        self.count("delivered", delivery.covers.len());
        self.end(delivery, how);
    }

    fn end(&mut self, delivery: &Delivery, how: Delivered) {
        let covered = delivery.covers.iter().cloned();
        self.unrecorded.extend(covered.map(|id| (id, how)));
    }

    async fn failed(&mut self, delivery: Delivery, why: String, asked: Option<TimeDelta>) {
        let name = self.receiver.name.clone();
        if self.failures == 0 {
            warn!(receiver = %name, reason = why, "a message cannot be delivered; redkeep tries again");
        }
        self.failures = self.failures.saturating_add(1);
        self.count("failed", 1);
        let wait = wait_after(self.failures, asked, name.as_str());
        let now = self.means.clock.now();
        self.not_before = now + wait;
        let put_off = self
            .means
            .store
            .put_off(delivery.covers, self.not_before, why);
        if let Err(error) = put_off.await {
            self.without_store(&with_causes(&error));
        }
    }

    fn count(&self, result: &str, messages: usize) {
        let name = self.receiver.name.as_str();
        self.means.metrics.notified(name, result, messages);
    }

    /// Reminds an Alertmanager of what goes on, where it is time; returns when it is next.
    async fn reminded(&mut self, now: DateTime<Utc>) -> DateTime<Utc> {
        let longest = now + TimeDelta::seconds(60);
        if self.receiver.kind != ReceiverKind::Alertmanager {
            return longest;
        }
        if self.remind_at <= now {
            self.remind_at = now + alertmanager::REMIND_EACH;
            self.remind(now).await;
        }
        self.remind_at.min(longest)
    }

    /// What comes of it is not recorded: the next reminder says the same.
    async fn remind(&self, now: DateTime<Utc>) {
        let Ok(told) = self.means.store.told(self.receiver.name.clone()).await else {
            return;
        };
        let url = secret::address(&self.receiver.target).await;
        let (false, Ok(url)) = (told.is_empty(), url) else {
            return;
        };
        let namespace = self.means.namespace.as_str();
        let reminder = alertmanager::reminder(&url, namespace, &told, now);
        let sent = post(&self.means.client, &self.receiver, reminder, now);
        if let Sent::Failed { why, .. } = in_time(sent).await {
            debug!(receiver = %self.receiver.name, reason = why, "the reminder was not taken");
        }
    }
}

fn until(at: DateTime<Utc>, now: DateTime<Utc>) -> Duration {
    span(at - now).max(Duration::from_millis(50))
}

fn span(wait: TimeDelta) -> Duration {
    wait.to_std().unwrap_or_default()
}
