//! What is counted of the process itself: the `process_*` family, and the lines of its log that were dropped.
//!
//! Owns: one correction to the library's collector, which takes the boot time from /proc/stat. Under
//! systemd's `ProcSubset=pid` that file is not there, and the start time would be 1970.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use prometheus::core::{Collector, Desc};
use prometheus::process_collector::ProcessCollector;
use prometheus::proto::{Counter, Gauge, Metric, MetricFamily, MetricType};

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
pub(super) struct DroppedLines(Desc);

impl DroppedLines {
    pub(super) fn new() -> prometheus::Result<Self> {
        let name = "redkeep_log_lines_dropped_total".to_owned();
        let help = "Log lines that were dropped since the start because the reader of the log was too slow.";
        Desc::new(name, help.to_owned(), Vec::new(), HashMap::new()).map(Self)
    }
}

impl Collector for DroppedLines {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.0]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let mut counter = Counter::default();
        counter.set_value(logging::lines_dropped() as f64);
        let mut metric = Metric::default();
        metric.set_counter(counter);
        let mut family = MetricFamily::default();
        family.set_name(self.0.fq_name.clone());
        family.set_help(self.0.help.clone());
        family.set_field_type(MetricType::COUNTER);
        family.set_metric(vec![metric]);
        vec![family]
    }
}
