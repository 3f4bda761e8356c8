//! How long the daemon lives, and how it ends.
//!
//! Owns: when its work is finished, the end of the calls in flight, and what is said of the whole. Snapshots are never
//! waited for at the end.

use std::time::Duration;

use tracing::{error, warn};

use crate::error_chain::with_causes;
use crate::redshift::Redshift;
use crate::run::Run;
use crate::slot::Slot;

use super::Daemon;

/// How long calls in flight may take to end after SIGTERM; then their outcome is unknown.
const DRAIN: Duration = Duration::from_secs(20);

/// How long one pass that ends lets receivers answer: whoever has a timer of his own would hear of it a day later. A
/// daemon that is stopped waits for none.
const SETTLE: Duration = Duration::from_secs(10);

/// Whether the daemon goes on for ever.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mode {
    /// Until it is stopped.
    Service,
    /// Until what one pass has started is finished.
    OnePass,
    /// Until this run, which a person asked for, has ended; others of the kind are worked on meanwhile.
    Take(Slot),
    /// Until AWS has accepted it.
    TakeAccepted(Slot),
    /// Until nothing is left of what people asked to be done to snapshots that are there.
    Operations,
}

/// How the daemon's work ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Stopped, or one pass finished with every run it had well.
    Well,
    /// One pass finished, and a run of it did not end with a snapshot.
    WithFailures,
    /// One pass could not reach AWS.
    Unreachable,
    /// Another instance works on the history; this one did not wait for its calls.
    Superseded,
    /// Stopped, because somebody wants another instance to work.
    Yielded,
    /// One pass could not write the history at its end: nothing tells of what it did but the snapshots.
    Unwritten,
}

impl<R: Redshift> Daemon<R> {
    pub(super) fn is_finished(&self, mode: &Mode) -> bool {
        let engine = &self.parts.engine;
        let open = |slot: &Slot| {
            let run = engine.history().runs.get(slot);
            run.filter(|run| !run.is_ended() && engine.can_end(run))
        };
        match mode {
            Mode::Service => false,
            Mode::OnePass => self.is_pass_finished(),
            Mode::Take(slot) => open(slot).is_none(),
            Mode::TakeAccepted(slot) => open(slot).is_none_or(|run| run.accepted_at.is_some()),
            Mode::Operations => engine.is_idle(self.parts.clock.now()),
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
        if !self.is_asked_to_yield {
            self.parts.notifier.stopping();
        }
        let drained = tokio::time::timeout(DRAIN, async {
            while let Some(reply) = self.calls.join_next_with_id().await {
                self.answered(reply);
                let changes = self.parts.engine.take_changes(self.parts.clock.now());
                self.commit(changes).await;
            }
        });
        if drained.await.is_err() {
            warn!(
                "calls under way did not end within 20 seconds; the next start looks up their outcome"
            );
        }
        if self.writing.is_late() {
            self.writing.answered().await;
        }
        self.pending.hurry();
        self.commit(Vec::new()).await;
        // It is the last: also one that takes its time is waited for.
        if self.writing.is_late() {
            self.writing.answered().await;
            self.pending.hurry();
            self.commit(Vec::new()).await;
        }
    }

    /// Ends at once, as another instance has taken over: what was not written is in the snapshots' tags, and the other one
    /// finds it there.
    pub(super) async fn superseded(mut self) -> Exit {
        warn!("another instance has taken over; this one has stopped working");
        self.calls.abort_all();
        self.senders.stop();
        // Nothing of its own is written any more.
        let _ = self.parts.store.close().await;
        Exit::Superseded
    }

    pub(super) async fn ending(mut self, mode: Mode) -> Exit {
        let unreachable = self
            .parts
            .engine
            .observed()
            .scopes
            .values()
            .any(|view| view.reached_at.is_none());
        let is_written = self.pending.is_written();
        if mode == Mode::Service && !is_written {
            warn!(
                "the history could not be written at the end: whoever works next finds the snapshots by their tags"
            );
        }
        if mode == Mode::OnePass {
            self.senders.settle(SETTLE).await;
            // Whoever has a timer of his own has no daemon that does it each night.
            self.tidy().await;
        }
        self.senders.stop();
        if let Err(error) = self.parts.store.clone().close().await {
            error!(
                reason = with_causes(&error),
                "the history was not closed cleanly; the next start checks it"
            );
        }
        self.parts.store.give_up().await;
        match mode {
            _ if self.is_asked_to_yield => Exit::Yielded,
            Mode::Service | Mode::Take(_) | Mode::TakeAccepted(_) | Mode::Operations => Exit::Well,
            Mode::OnePass if !is_written => Exit::Unwritten,
            Mode::OnePass if unreachable => Exit::Unreachable,
            Mode::OnePass if self.failures > 0 => Exit::WithFailures,
            Mode::OnePass => Exit::Well,
        }
    }
}
