//! Polls the store once a second for operators' requests beside the schedules.
//!
//! Owns: the poll, and what the log says of each request. Never carries one out: a request becomes part of the history, and the
//! plan does the rest.

use tracing::{error, info};

use super::Daemon;
use crate::engine::Request;
use crate::error_chain::with_causes;
use crate::history::Change;
use crate::redshift::Redshift;

impl<R: Redshift> Daemon<R> {
    /// Takes in what people have asked for since the last look; `true` where there was something.
    pub(super) async fn receive(&mut self) -> bool {
        if self.writing.is_late() {
            // The store answers one question after another.
            return false;
        }
        let store = self.parts.store.clone();
        let patience = store.patience();
        let question = || async move { store.requests().await };
        let Some(asked) = self.asking.ask(patience, question).await else {
            return false;
        };
        let requests = match asked {
            Ok(requests) => requests,
            Err(error) if self.inbox_failed => {
                drop(error);
                return false;
            }
            Err(error) => {
                self.inbox_failed = true;
                let reason = with_causes(&error);
                error!(
                    reason,
                    "the history cannot be read; what commands ask for waits"
                );
                return false;
            }
        };
        self.inbox_failed = false;
        let Some(requests) = requests else {
            return false;
        };
        let pending = &self.pending;
        let news = self.parts.engine.receive(requests, pending);
        let is_news = !news.is_empty();
        for request in news {
            match request {
                Request::Pause(policy) => info!(%policy, "paused"),
                Request::Resume(policy) => info!(%policy, "resumed"),
                Request::Confirm(policy) => {
                    info!(%policy, "a plan to delete snapshots is confirmed")
                }
                Request::SnapshotAction(action) => {
                    let (wanted, snapshot) = (action.kind.as_str(), &action.snapshot);
                    info!(%snapshot, "asked for: {wanted}");
                }
                Request::Acknowledge => info!("the rebuilt history is acknowledged"),
                Request::Snapshot(run) => {
                    let change = Change::Run(run);
                    self.note(&change);
                    self.parts.engine.committed(vec![change], Vec::new());
                }
            }
        }
        if is_news {
            self.parts.engine.reach_out(self.parts.clock.now());
            self.connect().await;
        }
        is_news
    }
}
