//! Hearing what people ask for beside the schedules.
//!
//! Owns: the look for wishes, each second. Never carries one out: a wish becomes part of the history, and the
//! plan does the rest.

use tracing::{error, info};

use super::Daemon;
use crate::cause::with_causes;
use crate::history::Change;
use crate::redshift::Redshift;
use crate::world::Wish;

impl<R: Redshift> Daemon<R> {
    /// Takes in what people have asked for since the last look; `true` where there was something.
    pub(super) async fn heed(&mut self) -> bool {
        let wishes = match self.parts.store.wishes().await {
            Ok(wishes) => wishes,
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
        let Some(wishes) = wishes else { return false };
        let journal = &self.journal;
        let news = self.parts.world.heed(wishes, journal);
        let is_news = !news.is_empty();
        for wish in news {
            match wish {
                Wish::Pause(policy) => info!(%policy, "paused"),
                Wish::Resume(policy) => info!(%policy, "resumed"),
                Wish::Confirm(policy) => info!(%policy, "a plan to remove snapshots is confirmed"),
                Wish::Errand(errand) => {
                    let (wanted, snapshot) = (errand.wanted.as_str(), &errand.snapshot);
                    info!(%snapshot, "asked for: {wanted}");
                }
                Wish::Acknowledge => info!("the rebuilt history is acknowledged"),
                Wish::Snapshot(run) => {
                    let change = Change::Run(run);
                    self.note(&change);
                    self.parts.world.apply(vec![change]);
                }
            }
        }
        if is_news {
            self.parts.world.reach_out(self.parts.clock.now());
            self.connect().await;
        }
        is_news
    }
}
