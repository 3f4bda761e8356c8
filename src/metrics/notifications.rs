//! The count of messages to receivers, and how many wait.
//!
//! Owns: one series for each receiver and result, which go when the receiver goes.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use prometheus::core::Collector;
use prometheus::{IntCounterVec, IntGaugeVec, Opts};

/// What becomes of a message: `failed` counts attempts, the others messages.
pub const RESULTS: [&str; 3] = ["delivered", "failed", "refused"];

#[derive(Debug)]
pub(super) struct Notifications {
    counts: IntCounterVec,
    waiting: IntGaugeVec,
    present: Mutex<BTreeSet<String>>,
}

impl Notifications {
    pub(super) fn new() -> prometheus::Result<Self> {
        let counts = Opts::new(
            "redkeep_notifications_total",
            "Messages to a receiver since the start, by result; failed counts attempts.",
        );
        let waiting = Opts::new(
            "redkeep_notifications_pending",
            "Messages that wait for delivery to a receiver.",
        );
        Ok(Self {
            counts: IntCounterVec::new(counts, &["name", "result"])?,
            waiting: IntGaugeVec::new(waiting, &["name"])?,
            present: Mutex::default(),
        })
    }

    pub(super) fn collectors(&self) -> [Box<dyn Collector>; 2] {
        [
            Box::new(self.counts.clone()),
            Box::new(self.waiting.clone()),
        ]
    }

    /// Begins with 0 for these receivers, and drops the series of all others.
    pub(super) fn keep<'a>(&self, receivers: impl Iterator<Item = &'a str>) {
        let wanted: BTreeSet<String> = receivers.map(str::to_owned).collect();
        let mut present = self.present.lock().unwrap_or_else(PoisonError::into_inner);
        for gone in present.difference(&wanted) {
            for result in RESULTS {
                // One that is not there is what is wanted.
                let _ = self.counts.remove_label_values(&[gone, result]);
            }
            let _ = self.waiting.remove_label_values(&[gone]);
        }
        for name in &wanted {
            for result in RESULTS {
                self.counts.with_label_values(&[name.as_str(), result]);
            }
            self.waiting.with_label_values(&[name.as_str()]);
        }
        *present = wanted;
    }

    /// Shows of no receiver what waits for it: that is another instance's from now on.
    pub(super) fn retire(&self) {
        self.waiting.reset();
    }

    pub(super) fn count(&self, name: &str, result: &str, count: usize) {
        self.counts
            .with_label_values(&[name, result])
            .inc_by(count as u64);
    }

    pub(super) fn waits(&self, name: &str, count: usize) {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        self.waiting.with_label_values(&[name]).set(count);
    }
}
