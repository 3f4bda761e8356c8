//! What becomes of the history when it cannot be written, and when it can again.
//!
//! Owns: what is told of it, and taking in a history that could not even be read at the start. Never waits for the
//! storage: snapshots go on.

use chrono::{DateTime, Utc};
use tracing::{error, info, warn};

use super::{Daemon, event_log};
use crate::error_chain::with_causes;
use crate::names::Retention;
use crate::redshift::Redshift;
use crate::run::Run;
use crate::store::{Reread, StartedOver, Store, StoreError, Tidied};

impl<R: Redshift> Daemon<R> {
    /// Takes in how the history was found.
    pub(super) fn begin_writing(&mut self) {
        let trouble = self.parts.trouble.take();
        if trouble.is_some() {
            self.pending.failed(self.parts.clock.monotonic());
        }
        let is_written = self.pending.is_written();
        self.parts.engine.set_written(is_written);
        self.tell_writing(false, trouble);
    }

    /// Has the store write what is to be written; returns the runs that it has otherwise. One that does not answer in time
    /// is not waited for: slots start meanwhile, and what it answers is taken in when it comes.
    pub(super) async fn write(&mut self) -> Vec<Run> {
        let was_failing = self.pending.is_failing();
        let store = self.parts.store.clone();
        let patience = store.patience();
        let pending = &mut self.pending;
        let question = || {
            let changes = pending.send();
            async move { store.commit(changes).await }
        };
        let (stay, trouble) = match self.writing.ask(patience, question).await {
            Some(Ok(stay)) => {
                self.senders.wake(self.pending.told());
                self.pending.written();
                (stay, None)
            }
            Some(Err(error)) => {
                self.pending.failed(self.parts.clock.monotonic());
                (Vec::new(), Some(with_causes(&error)))
            }
            None => {
                self.pending.late(self.parts.clock.monotonic());
                return Vec::new();
            }
        };
        let has_recovered = was_failing && trouble.is_none();
        self.tell_writing(was_failing, trouble);
        if has_recovered {
            self.reread().await;
        }
        stay
    }

    pub(super) fn tell_writing(&self, was_failing: bool, trouble: Option<String>) {
        event_log::writing(was_failing, trouble.as_deref());
        self.parts
            .health
            .update(|health| health.history_trouble = trouble);
    }

    /// Takes in the history of a file that could not be read at the start, as a restart would: what was to be done
    /// before is due, and calls that a former daemon made are in doubt.
    pub(super) async fn reread(&mut self) {
        let found = match self.parts.store.reread().await {
            Ok(None) => return,
            Ok(Some(found)) => found,
            Err(error) => {
                let reason = with_causes(&error);
                error!(reason, "the history cannot be read; a restart tries again");
                return;
            }
        };
        warn!("the history, which could not be read at the start, has been read");
        let Reread { history, identity } = found;
        let now = self.parts.clock.now();
        self.parts
            .engine
            .reread(history, identity.installation, now);
        self.connect().await;
    }

    /// Has the history checked, where it was opened unchecked.
    pub(super) fn begin_checking(&mut self) {
        if !self.parts.is_checked {
            let store = self.parts.store.clone();
            let now = self.parts.clock.now();
            self.check.spawn(async move { store.check(now).await });
        }
    }

    /// Goes on with a new history where the one that was opened is damaged; returns whether it is.
    pub(super) async fn checked(
        &mut self,
        checked: Result<Option<StartedOver>, StoreError>,
    ) -> bool {
        let over = match checked {
            Ok(None) => return false,
            Ok(Some(over)) => over,
            Err(error) => {
                warn!(
                    reason = with_causes(&error),
                    "the history could not be checked; `redkeep doctor` checks it too"
                );
                return false;
            }
        };
        if let Some(lost) = &over.lost {
            event_log::tell_lost(lost);
        }
        let (now, installation) = (self.parts.clock.now(), over.identity.installation);
        let engine = &mut self.parts.engine;
        engine.start_over(over.history, installation, now);
        self.connect().await;
        true
    }

    /// The history's daily copy, and what leaves it thereafter. The loop goes on meanwhile: both read through connections
    /// of their own.
    pub(super) fn upkeep(&self) -> impl Future<Output = ()> + use<R> {
        let (store, tidying) = (self.parts.store.clone(), self.tidy());
        async move {
            copy(&store).await;
            tidying.await;
        }
    }

    /// Has leave the history what is too old for it.
    pub(super) fn tidy(&self) -> impl Future<Output = ()> + use<R> {
        let store = self.parts.store.clone();
        let kept = self.parts.engine.config().history_retention;
        let now = self.parts.clock.now();
        async move { tidy(&store, kept, now).await }
    }
}

async fn tidy(store: &Store, kept: Retention, now: DateTime<Utc>) {
    match store.tidy(kept, now).await {
        Ok(Tidied {
            rows: 0,
            descriptions: 0,
        }) => {}
        Ok(Tidied { rows, descriptions }) => info!(
            rows,
            descriptions,
            history_retention = %kept,
            "removed from the history: rows older than history_retention, and AWS's descriptions of snapshots that \
             have been gone for 30 days"
        ),
        Err(error) => error!(
            reason = with_causes(&error),
            "old rows could not be removed from the history; redkeep tries again tomorrow"
        ),
    }
}

async fn copy(store: &Store) {
    match store.backup().await {
        Ok(()) => {}
        Err(error @ StoreError::Rebuilt { .. }) => {
            warn!(reason = with_causes(&error), "no daily copy of the history");
        }
        Err(error) => error!(
            reason = with_causes(&error),
            "the daily copy of the history failed"
        ),
    }
}
