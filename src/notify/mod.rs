//! Telling people what happens: the tasks that deliver messages, and the sign of life.
//!
//! Owns: one task for each receiver, so that none waits for another, and the whole of what leaves for them. Never decides
//! what is told or when (`redkeep_core::notify` does), and never makes the daemon wait: its loop, a scrape and the end of the
//! process go on whatever a receiver does. Addresses and keys are read when a message is sent and are kept nowhere.

mod alertmanager;
mod email;
mod healthchecks;
mod heartbeat;
mod pagerduty;
mod parcel;
mod secret;
mod sender;
mod slack;
mod webhook;
mod words;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tracing::debug;

use crate::aws::OutgoingClient;
use crate::clock::Clock;
use crate::error_chain::with_causes;
use crate::http::Health;
use crate::metrics::Metrics;
use crate::names::{Namespace, ReceiverName};
use crate::outbox::{Event, Receiver};
use crate::store::Store;

pub use parcel::{Sent, send};
pub use secret::SecretError;
pub(crate) use secret::text_of;

use sender::Sender;

/// What one attempt may take.
pub const TIMEOUT: Duration = Duration::from_secs(10);

/// What every task needs.
#[derive(Clone)]
pub struct Means {
    /// Where the messages wait.
    pub store: Store,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Where deliveries are counted.
    pub metrics: Arc<Metrics>,
    /// How the daemon is, for its sign of life.
    pub health: Arc<Health>,
    /// Whose messages they are.
    pub namespace: Namespace,
    /// What sends.
    pub client: OutgoingClient,
}

/// The tasks, one for each receiver.
#[derive(Default)]
pub struct Senders {
    tasks: BTreeMap<ReceiverName, Task>,
}

struct Task {
    receiver: Receiver,
    handle: AbortHandle,
    wake: Arc<Notify>,
    idle: Arc<Notify>,
}

impl Drop for Task {
    fn drop(&mut self) {
        // What is on its way is in doubt, and is sent again by the next daemon under the same id.
        self.handle.abort();
    }
}

impl Senders {
    /// Begins a task for each of these receivers that is new or another than before, and ends those of all others.
    pub async fn set(&mut self, receivers: &[Receiver], means: &Means) {
        self.tasks
            .retain(|_, task| receivers.contains(&task.receiver) && !task.handle.is_finished());
        let names = receivers.iter().map(|one| one.name.clone()).collect();
        if let Err(error) = means.store.retain_receivers(names).await {
            let reason = with_causes(&error);
            debug!(
                reason,
                "messages to receivers that are gone stay until the next start"
            );
        }
        means
            .metrics
            .set_receivers(receivers.iter().map(|one| one.name.as_str()));
        for receiver in receivers {
            if self.tasks.contains_key(&receiver.name) {
                continue;
            }
            let (wake, idle) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
            let (own, means) = (receiver.clone(), means.clone());
            let handle = match receiver.events.as_slice() {
                [Event::Heartbeat] => tokio::spawn(heartbeat::beat(own, means)),
                _ => {
                    let sender = Sender::new(own, means);
                    tokio::spawn(sender.run(Arc::clone(&wake), Arc::clone(&idle)))
                }
            };
            let task = Task {
                receiver: receiver.clone(),
                handle: handle.abort_handle(),
                wake,
                idle,
            };
            self.tasks.insert(receiver.name.clone(), task);
        }
    }

    /// Says that something waits for these receivers.
    pub fn wake<'a>(&self, receivers: impl Iterator<Item = &'a ReceiverName>) {
        for task in receivers.filter_map(|name| self.tasks.get(name)) {
            task.wake.notify_one();
        }
    }

    /// Lets every receiver that answers have what waits for it, for as long as `patience`: one pass that ends leaves nothing
    /// behind that could go out at once.
    pub async fn settle(&self, patience: Duration) {
        let all = async {
            let senders = self.tasks.values();
            for task in senders.filter(|task| task.receiver.events != [Event::Heartbeat]) {
                // It may have been idle before, and may have been in the midst of a look: the third time it has looked at
                // everything that was written.
                for _ in 0..3 {
                    task.wake.notify_one();
                    task.idle.notified().await;
                }
            }
        };
        drop(tokio::time::timeout(patience, all).await);
    }

    /// Ends every task, wherever it is.
    pub fn stop(&mut self) {
        self.tasks.clear();
    }
}
