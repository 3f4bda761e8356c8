//! Which part this process has where several share a history.
//!
//! Owns: whether it works, the number of the term, and whether the database answers. The last two are shown only where there
//! is a database.

use prometheus::core::Collector;
use prometheus::{IntGauge, IntGaugeVec, Opts};

/// The one shard: all scopes have one holder.
const SHARD: [&str; 1] = ["all"];

#[derive(Debug)]
pub(super) struct Instance {
    leader: IntGauge,
    epoch: IntGaugeVec,
    database_up: IntGaugeVec,
}

impl Instance {
    pub(super) fn new() -> prometheus::Result<Self> {
        let epoch = Opts::new(
            "redkeep_lease_epoch",
            "The number of the current term, as this instance last saw it; only if several instances share the \
             history.",
        );
        let database_up = Opts::new(
            "redkeep_database_up",
            "1 if the database answered the last request; only if several instances share the history.",
        );
        Ok(Self {
            leader: IntGauge::new(
                "redkeep_leader",
                "1 if this process takes the snapshots; 0 while it stands by.",
            )?,
            epoch: IntGaugeVec::new(epoch, &["shard"])?,
            database_up: IntGaugeVec::new(database_up, &["shard"])?,
        })
    }

    pub(super) fn collectors(&self) -> [Box<dyn Collector>; 3] {
        [
            Box::new(self.leader.clone()),
            Box::new(self.epoch.clone()),
            Box::new(self.database_up.clone()),
        ]
    }

    pub(super) fn works(&self, does: bool) {
        self.leader.set(i64::from(does));
    }

    pub(super) fn saw(&self, epoch: Option<i64>) {
        let up = self.database_up.with_label_values(&SHARD);
        up.set(i64::from(epoch.is_some()));
        // A term that is not known stays the one that was.
        let shown = self.epoch.with_label_values(&SHARD);
        if let Some(epoch) = epoch {
            shown.set(epoch);
        }
    }
}
