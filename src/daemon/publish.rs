//! Telling the outside how things stand.
//!
//! Owns: what the metrics, the probes and the service manager are given. Never waits for any of them.

use tracing::warn;

use super::Daemon;
use crate::clock::boottime;
use crate::engine::Engine;
use crate::http::health::NOT_YET;
use crate::metrics::{self, Intervals};
use crate::observed::ScopeView;
use crate::redshift::Redshift;
use crate::slot::Scope;

impl<R: Redshift> Daemon<R> {
    /// Tells the metrics and the service manager how things stand.
    pub(super) fn publish(&mut self) {
        let now = self.parts.clock.now();
        if self.intervals.is_stale(now) {
            self.intervals = Intervals::compute(self.parts.engine.config(), now);
        }
        let engine = &self.parts.engine;
        let (config, history, observed) = (engine.config(), engine.history(), engine.observed());
        let mut view = metrics::view(config, history, observed, &self.intervals, self.reload);
        view.history_writable = !self.pending.is_failing();
        view.prune_blocked = self.parts.engine.prune_blocked(now);
        self.parts.metrics.publish(view);
        self.parts.metrics.works(true);
        if let Some(epoch) = self.parts.store.epoch() {
            let is_up = self.parts.store.is_trusted();
            self.parts
                .metrics
                .saw_database(is_up, is_up.then_some(epoch));
        }
        self.tell_status();
    }

    /// Tells how many instances share the history, and the log once where they have had different configurations for long.
    pub(super) fn tell_instances(&mut self) {
        let Some(peers) = self.parts.store.peers() else {
            return;
        };
        let (alive, otherwise) = (peers.alive, peers.configured_otherwise);
        self.parts.metrics.saw_instances(alive, otherwise);
        if self.disagreement.see(otherwise > 0, boottime()) {
            warn_of_configurations(otherwise);
        }
    }

    /// Tells the page which configuration is in force.
    pub(super) fn tell_configuration(&self) {
        let config = self.parts.engine.config().clone();
        self.parts.board.configure(config);
    }

    /// Says that the loop turns, and what it cannot reach: after every turn.
    pub(super) fn beat(&mut self) {
        let turned_at = self.parts.clock.monotonic();
        let unreached = unreached(&self.parts.engine);
        self.parts.health.update(|health| {
            health.last_turn = turned_at;
            health.configured = true;
            health.unreached = unreached;
        });
        self.parts.notifier.feed_watchdog();
    }

    /// The service manager is told only what it does not know yet.
    fn tell_status(&mut self) {
        let status = self.status();
        if status != self.status_told {
            self.parts.notifier.status(&status);
            self.status_told = status;
        }
    }

    pub(super) fn status(&self) -> String {
        let engine = &self.parts.engine;
        let pairs = engine
            .history()
            .pairs
            .values()
            .filter(|state| state.is_active())
            .count();
        let open = engine.history().open().count();
        let policies = engine.config().policies.len();
        let reload = if self.reload.successful {
            ""
        } else {
            "; last reload failed"
        };
        format!("{policies} policies, {pairs} pairs, {open} runs open{reload}")
    }
}

/// Says that instances have had different configurations for long.
pub fn warn_of_configurations(otherwise: i64) {
    warn!(
        otherwise,
        "other instances have had another configuration than this one for 10 minutes; that of the one that works counts"
    );
}

/// The scopes that have never answered a listing, and those that lack credentials since.
pub(super) fn unreached(engine: &Engine) -> Vec<(Scope, String)> {
    let scopes = engine.observed().scopes.iter();
    let why = |view: &ScopeView| match (&view.trouble, view.reached_at) {
        (None, None) => Some(NOT_YET.to_owned()),
        (Some(trouble), None) => Some(format!("{NOT_YET}: {trouble}")),
        (Some(trouble), Some(_)) if view.lacks_credentials => Some(trouble.clone()),
        (_, Some(_)) => None,
    };
    scopes
        .filter_map(|(scope, view)| Some((scope.clone(), why(view)?)))
        .collect()
}
