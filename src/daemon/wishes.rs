//! Hearing what people ask for beside the schedules.
//!
//! Owns: the look for requests, each second. Never carries one out: a wish becomes part of the history, and the
//! plan does the rest.

use tracing::{error, info};

use super::Daemon;
use crate::cause::with_causes;
use crate::engine::Request;
use crate::history::Change;
use crate::redshift::Redshift;

impl<R: Redshift> Daemon<R> {
    /// Takes in what people have asked for since the last look; `true` where there was something.
    pub(super) async fn heed(&mut self) -> bool {
        let requests = match self.parts.store.requests().await {
            Ok(requests) => requests,
            Err(error) if self.is_deaf => {
                drop(error);
                return false;
            }
            Err(error) => {
                self.is_deaf = true;
                let reason = with_causes(&error);
                error!(
                    reason,
                    "the history cannot be read; what people ask for waits"
                );
                return false;
            }
        };
        self.is_deaf = false;
        let Some(requests) = requests else {
            return false;
        };
        let journal = &self.journal;
        let news = self.parts.engine.receive(requests, journal);
        let is_news = !news.is_empty();
        for request in news {
            match request {
                Request::Pause(policy) => info!(%policy, "paused"),
                Request::Resume(policy) => info!(%policy, "resumed"),
                Request::Confirm(policy) => {
                    info!(%policy, "a plan to remove snapshots is confirmed")
                }
                Request::Errand(errand) => {
                    let (wanted, snapshot) = (errand.wanted.as_str(), &errand.snapshot);
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
