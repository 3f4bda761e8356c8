//! How long the daemon lives, and how it ends.
//!
//! Owns: when its work is finished, the end of the calls in flight, and what is said of the whole. Snapshots are never
//! waited for at the end.

use std::time::Duration;

use tracing::{error, warn};

use crate::cause::with_causes;
use crate::redshift::Redshift;
use crate::run::Run;
use crate::slot::Slot;

use super::Daemon;

/// How long calls in flight may take to end after SIGTERM; then their outcome is unknown.
const DRAIN: Duration = Duration::from_secs(20);

/// Whether the daemon goes on for ever.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lifetime {
    /// Until it is stopped.
    Service,
    /// Until what one pass has started is finished.
    OnePass,
    /// Until this run, which a person asked for, has ended; others of the kind are worked on meanwhile.
    Wish(Slot),
    /// Until AWS has accepted it.
    WishAccepted(Slot),
    /// Until nothing is left of what people asked to be done to snapshots that are there.
    Upkeep,
}

/// How the daemon's work ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Stopped, or one pass finished with every run it had well.
    Well,
    /// One pass finished, and a run of it did not end with a snapshot.
    WithFailures,
    /// One pass could not reach AWS.
    Unreachable,
    /// One pass could not write the history at its end: nothing tells of what it did but the snapshots.
    Unwritten,
}

impl<R: Redshift> Daemon<R> {
    pub(super) fn is_finished(&self, lifetime: &Lifetime) -> bool {
        let engine = &self.parts.engine;
        let open = |slot: &Slot| {
            let run = engine.history().runs.get(slot);
            run.filter(|run| !run.is_ended() && engine.can_end(run))
        };
        match lifetime {
            Lifetime::Service => false,
            Lifetime::OnePass => self.is_pass_finished(),
            Lifetime::Wish(slot) => open(slot).is_none(),
            Lifetime::WishAccepted(slot) => open(slot).is_none_or(|run| run.accepted_at.is_some()),
            Lifetime::Upkeep => engine.is_idle(self.parts.clock.now()),
        }
    }

    /// Whether every scope was looked at, and nothing is open where AWS can be reached.
    fn is_pass_finished(&self) -> bool {
        let engine = &self.parts.engine;
        let views = &engine.observed().scopes;
        let looked = views
            .values()
            .all(|view| view.reached_at.is_some() || view.trouble.is_some());
        let can_end = |run: &&Run| {
            let view = views.get(&run.slot.pair.scope);
            engine.can_end(run) && view.is_some_and(|view| view.trouble.is_none())
        };
        looked
            && self.calls.is_empty()
            && engine.is_idle(self.parts.clock.now())
            && engine.history().open().find(can_end).is_none()
    }

    /// Lets the calls in flight end, and records what they bring.
    pub(super) async fn drain(&mut self) {
        self.parts.notifier.stopping();
        let drained = tokio::time::timeout(DRAIN, async {
            while let Some(reply) = self.calls.join_next_with_id().await {
                self.answered(reply);
                let changes = self.parts.engine.take_changes();
                self.commit(changes).await;
            }
        });
        if drained.await.is_err() {
            warn!(
                "calls in flight did not end in 20 s; their outcome is looked up at the next start"
            );
        }
        self.journal.hurry();
        self.write().await;
    }

    pub(super) async fn ending(self, lifetime: Lifetime) -> Ending {
        let unreachable = self
            .parts
            .engine
            .observed()
            .scopes
            .values()
            .any(|view| view.reached_at.is_none());
        let is_written = self.journal.is_written();
        if let Err(error) = self.parts.store.close().await {
            error!(
                reason = with_causes(&error),
                "the history was not closed cleanly; the next start checks it"
            );
        }
        match lifetime {
            Lifetime::Service
            | Lifetime::Wish(_)
            | Lifetime::WishAccepted(_)
            | Lifetime::Upkeep => Ending::Well,
            Lifetime::OnePass if !is_written => Ending::Unwritten,
            Lifetime::OnePass if unreachable => Ending::Unreachable,
            Lifetime::OnePass if self.failures > 0 => Ending::WithFailures,
            Lifetime::OnePass => Ending::Well,
        }
    }
}
