//! Which part this process has where several share a history.
//!
//! Owns: whether it works, the number of the term, whether the database answers, and how many instances there are. All but the
//! first are shown only where there is a database.

use prometheus::core::Collector;
use prometheus::{IntGauge, IntGaugeVec, Opts};

/// The one shard: all scopes have one holder.
const SHARD: [&str; 1] = ["all"];

/// A series without labels that is there once it has a value.
const NONE: [&str; 0] = [];

#[derive(Debug)]
pub(super) struct Instance {
    leader: IntGauge,
    epoch: IntGaugeVec,
    database_up: IntGaugeVec,
    instances: IntGaugeVec,
    configured_otherwise: IntGaugeVec,
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
        let instances = Opts::new(
            "redkeep_instances",
            "Instances that share the history and were seen within the last 30 seconds, this one included; only if several instances share the history.",
        );
        let configured_otherwise = Opts::new(
            "redkeep_instances_configured_otherwise",
            "Instances among them that have another configuration than this one.",
        );
        Ok(Self {
            instances: IntGaugeVec::new(instances, &[])?,
            configured_otherwise: IntGaugeVec::new(configured_otherwise, &[])?,
            leader: IntGauge::new(
                "redkeep_leader",
                "1 if this process takes the snapshots; 0 while it stands by.",
            )?,
            epoch: IntGaugeVec::new(epoch, &["shard"])?,
            database_up: IntGaugeVec::new(database_up, &["shard"])?,
        })
    }

    pub(super) fn collectors(&self) -> [Box<dyn Collector>; 5] {
        [
            Box::new(self.instances.clone()),
            Box::new(self.configured_otherwise.clone()),
            Box::new(self.leader.clone()),
            Box::new(self.epoch.clone()),
            Box::new(self.database_up.clone()),
        ]
    }

    pub(super) fn works(&self, does: bool) {
        self.leader.set(i64::from(does));
    }

    pub(super) fn counted(&self, alive: i64, configured_otherwise: i64) {
        self.instances.with_label_values(&NONE).set(alive);
        let otherwise = self.configured_otherwise.with_label_values(&NONE);
        otherwise.set(configured_otherwise);
    }

    pub(super) fn saw(&self, is_up: bool, epoch: Option<i64>) {
        let up = self.database_up.with_label_values(&SHARD);
        up.set(i64::from(is_up));
        if !is_up {
            // Nobody knows how many there are now.
            self.instances.reset();
            self.configured_otherwise.reset();
        }
        // A term that is not known stays the one that was.
        let shown = self.epoch.with_label_values(&SHARD);
        if let Some(epoch) = epoch {
            shown.set(epoch);
        }
    }
}
