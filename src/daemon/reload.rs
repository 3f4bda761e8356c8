//! Reading the configuration anew.
//!
//! Owns: the swap of the configuration and of the clients that it concerns. Never lets a bad file in: the
//! configuration in force stays until a valid one is there.

use chrono::{DateTime, Utc};
use tracing::{error, info, warn};

use super::Daemon;
use super::zones::tell_renewed;
use crate::config::Config;
use crate::metrics::{Intervals, Reload};
use crate::redshift::Redshift;

impl<R: Redshift> Daemon<R> {
    /// Reads the configuration anew, and tells what came of it.
    pub(super) async fn reload(&mut self) {
        self.parts.notifier.reloading();
        let now = self.parts.clock.now();
        match (self.parts.reload)().await {
            Ok(config) => {
                for warning in &config.warnings {
                    warn!("{warning}");
                }
                // What has become due under the old configuration keeps it.
                self.turn().await;
                let config = keep_what_needs_a_restart(self.parts.engine.config(), config);
                tell_renewed(self.parts.engine.config(), &config);
                self.parts.engine.reconfigure(config, now);
                self.tell_configuration();
                let fingerprint = self.parts.engine.config().fingerprint();
                self.parts.store.configured(fingerprint);
                self.reload = loaded(now);
                self.intervals = Intervals::compute(self.parts.engine.config(), now);
                self.set_senders().await;
                info!("configuration reloaded");
            }
            Err(errors) => {
                self.reload.successful = false;
                for error in errors.iter() {
                    error!(%error, "bad configuration");
                }
                error!("configuration not reloaded, the old one stays in use");
            }
        }
        self.renew_clients(now).await;
        self.parts.notifier.ready(&self.status());
    }

    /// Makes the clients anew: AWS's own files may have changed too. A scope with open runs keeps its client though its
    /// account is gone from the file.
    async fn renew_clients(&mut self, now: DateTime<Utc>) {
        let config = &self.parts.engine.config();
        self.clients
            .retain(|scope, _| config.account(&scope.account).is_none());
        self.parts.engine.look_again(now);
        self.connect().await;
    }
}

/// What a valid configuration read at `now` leaves.
pub(super) fn loaded(now: DateTime<Utc>) -> Reload {
    Reload {
        successful: true,
        succeeded_at: Some(now),
    }
}

/// Some keys are bound at the start: a change of them waits for the next.
fn keep_what_needs_a_restart(old: &Config, new: Config) -> Config {
    let kept = Config {
        state_dir: old.state_dir.clone(),
        listen: old.listen,
        page: old.page,
        endpoint: old.endpoint.clone(),
        writer: old.writer.clone(),
        log: old.log,
        ..new.clone()
    };
    let changed = (
        &kept.state_dir,
        kept.listen,
        kept.page,
        &kept.endpoint,
        &kept.writer,
        kept.log,
    ) != (
        &new.state_dir,
        new.listen,
        new.page,
        &new.endpoint,
        &new.writer,
        new.log,
    );
    if changed {
        warn!(
            "a change of state_dir, listen, page, endpoint, writer or [log] takes effect at the next start"
        );
    }
    kept
}
