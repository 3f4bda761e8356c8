//! What becomes of the history when it cannot be written, and when it can again.
//!
//! Owns: what is told of it, and taking in a history that could not even be read at the start. Never waits for the
//! storage: snapshots go on.

use tracing::{error, warn};

use super::{Daemon, event_log};
use crate::error_chain::with_causes;
use crate::redshift::Redshift;
use crate::store::{Reread, Store, StoreError};

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
                error!(
                    reason,
                    "the history cannot be read; a restart tries it again"
                );
                return;
            }
        };
        warn!("the history that could not be read at the start is known now");
        let Reread { history, identity } = found;
        let now = self.parts.clock.now();
        self.parts
            .engine
            .reread(history, identity.installation, now);
        self.connect().await;
    }
}

/// The loop goes on meanwhile: the copy is read through a connection of its own.
pub(super) async fn copy(store: Store) {
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
