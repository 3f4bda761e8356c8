//! What is counted of the process itself: the `process_*` family, and the lines of its log that were dropped.
//!
//! Owns: one correction to the library's collector, which takes the boot time from /proc/stat. Under
//! systemd's `ProcSubset=pid` that file is not there, and the start time would be 1970.

use chrono::{DateTime, Utc};
use prometheus::core::{Collector, Desc};
use prometheus::process_collector::ProcessCollector;
use prometheus::proto::{Gauge, MetricFamily, MetricType};

use super::families::{Family, Sample};
use crate::logging;

const START_TIME: &str = "process_start_time_seconds";

/// The process as the kernel sees it, and its start by our own clock where the kernel does not tell.
pub(super) struct Process {
    inner: ProcessCollector,
    started_at: DateTime<Utc>,
}

impl Process {
    pub(super) fn new(started_at: DateTime<Utc>) -> Self {
        Self {
            inner: ProcessCollector::for_self(),
            started_at,
        }
    }
}

impl Collector for Process {
    fn desc(&self) -> Vec<&Desc> {
        self.inner.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let mut families = self.inner.collect();
        let start_times = families
            .iter_mut()
            .filter(|family| family.name() == START_TIME);
        for metric in start_times.flat_map(MetricFamily::mut_metric) {
            if metric.get_gauge().get_value() == 0.0 {
                let mut gauge = Gauge::default();
                gauge.set_value(self.started_at.timestamp() as f64);
                metric.set_gauge(gauge);
            }
        }
        families
    }
}

/// The lines of this process's log that were dropped.
pub(super) struct DroppedLines(Family);

impl DroppedLines {
    pub(super) fn new() -> prometheus::Result<Self> {
        let family = Family::new(
            "redkeep_log_lines_dropped_total",
            "Lines of the log that were dropped because whoever reads it did not keep up, since the daemon started.",
            MetricType::COUNTER,
            &[],
        );
        family.map(Self)
    }
}

impl Collector for DroppedLines {
    fn desc(&self) -> Vec<&Desc> {
        vec![self.0.desc()]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let sample = Sample {
            labels: Vec::new(),
            value: logging::lines_dropped() as f64,
        };
        vec![self.0.of(vec![sample])]
    }
}
