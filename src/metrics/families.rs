//! The metrics that are computed from the view at each scrape.
//!
//! Owns: the table of their names, help texts and labels, and the way from a value to the library's types.
//! One collector for all of them, so that a scrape sees one view and not two.

use std::sync::{Arc, PoisonError};

use chrono::{DateTime, Utc};
use prometheus::core::{Collector, Desc};
use prometheus::proto::{Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType};

use super::Published;
use super::view::{PairView, ScopeGauges, View};
use crate::names::PolicyName;
use crate::plan::Blocked;

const PAIR: &[&str] = &["account", "region", "policy", "cluster"];
const SCOPE: &[&str] = &["account", "region"];

/// One value with the values of its labels, in the order of the family's label names.
pub(super) struct Sample {
    pub(super) labels: Vec<String>,
    pub(super) value: f64,
}

/// How a metric's samples come from a view.
type Samples = fn(&View) -> Vec<Sample>;

/// A metric of the table.
struct Definition {
    name: &'static str,
    help: &'static str,
    kind: MetricType,
    labels: &'static [&'static str],
    samples: Samples,
}

const fn gauge(
    name: &'static str,
    help: &'static str,
    labels: &'static [&'static str],
    samples: Samples,
) -> Definition {
    Definition {
        name,
        help,
        kind: MetricType::GAUGE,
        labels,
        samples,
    }
}

const DEFINITIONS: &[Definition] = &[
    Definition {
        name: "redkeep_runs_total",
        help: "Runs that have ended, by result, over the whole history.",
        kind: MetricType::COUNTER,
        labels: &["account", "region", "policy", "cluster", "result"],
        samples: runs,
    },
    Definition {
        name: "redkeep_guard_extensions_total",
        help: "Expiries of good snapshots that were put off because no newer one had come, over the whole history.",
        kind: MetricType::COUNTER,
        labels: PAIR,
        samples: |view| pairs(view, |pair| Some(pair.extensions as f64)),
    },
    gauge(
        "redkeep_run_in_progress",
        "1 while a run has no result yet.",
        PAIR,
        |view| pairs(view, |pair| Some(flag(pair.in_progress))),
    ),
    gauge(
        "redkeep_completion_deadline_timestamp_seconds",
        "Until when AWS should have made the snapshot that it is making (completion_window); absent while it makes none.",
        PAIR,
        |view| pairs(view, |pair| pair.completion_deadline.map(seconds)),
    ),
    gauge(
        "redkeep_last_success_timestamp_seconds",
        "SnapshotCreateTime of the newest complete snapshot that still exists; absent before the first.",
        PAIR,
        |view| pairs(view, |pair| pair.last_success.map(seconds)),
    ),
    gauge(
        "redkeep_active_since_timestamp_seconds",
        "When the policy became active for the cluster.",
        PAIR,
        |view| pairs(view, |pair| Some(seconds(pair.active_since))),
    ),
    gauge(
        "redkeep_last_run_timestamp_seconds",
        "The instant for which the newest run was scheduled, whatever came of it.",
        PAIR,
        |view| pairs(view, |pair| pair.last_run.map(seconds)),
    ),
    gauge(
        "redkeep_next_run_timestamp_seconds",
        "The instant for which the next run is scheduled; in the past when that run is overdue.",
        PAIR,
        |view| pairs(view, |pair| pair.next_run.map(seconds)),
    ),
    gauge(
        "redkeep_schedule_interval_seconds",
        "The longest time between two scheduled runs within the next year.",
        PAIR,
        |view| {
            pairs(view, |pair| {
                pair.interval.map(|interval| interval.as_seconds_f64())
            })
        },
    ),
    gauge(
        "redkeep_rpo_seconds",
        "The age that the newest complete snapshot may reach (rpo); absent where the policy sets none.",
        PAIR,
        |view| pairs(view, |pair| pair.rpo.map(|rpo| rpo.as_seconds_f64())),
    ),
    gauge(
        "redkeep_snapshot_size_bytes",
        "TotalBackupSizeInMegaBytes of the newest complete snapshot that still exists, in bytes.",
        PAIR,
        |view| pairs(view, |pair| pair.size_bytes.map(|bytes| bytes as f64)),
    ),
    gauge(
        "redkeep_policy_paused_timestamp_seconds",
        "When the policy was paused; absent while it is not.",
        &["policy"],
        |view| {
            let sample = |(policy, since): (&PolicyName, &DateTime<Utc>)| Sample {
                labels: vec![policy.to_string()],
                value: seconds(*since),
            };
            view.paused.iter().map(sample).collect()
        },
    ),
    gauge(
        "redkeep_prune_blocked",
        "1 while the reason keeps redkeep from deleting what keep_last leaves over; policies with keep_last only.",
        &["policy", "reason"],
        |view| {
            let policies = view.prune_blocked.iter();
            let samples = policies.flat_map(|(policy, blocked)| {
                Blocked::ALL.map(|reason| Sample {
                    labels: vec![policy.to_string(), reason.as_str().to_owned()],
                    value: flag(blocked.contains(&reason)),
                })
            });
            samples.collect()
        },
    ),
    gauge(
        "redkeep_manual_snapshots",
        "Manual snapshots in the region, redkeep's and others; absent before the first listing.",
        SCOPE,
        |view| {
            scopes(view, |scope| {
                scope.manual_snapshots.map(|count| count as f64)
            })
        },
    ),
    gauge(
        "redkeep_manual_snapshot_quota",
        "Manual snapshots that the region may hold, as configured.",
        SCOPE,
        |view| scopes(view, |scope| Some(f64::from(scope.quota))),
    ),
    gauge(
        "redkeep_unprotected_clusters",
        "Clusters in the region that no enabled policy selects; absent before the first listing.",
        SCOPE,
        |view| {
            scopes(view, |scope| {
                scope.unprotected_clusters.map(|count| count as f64)
            })
        },
    ),
    gauge(
        "redkeep_clock_skew_seconds",
        "This machine's clock minus that of AWS; absent while that is not known.",
        SCOPE,
        |view| {
            scopes(view, |scope| {
                scope.clock_skew.map(|skew| skew.as_seconds_f64())
            })
        },
    ),
    gauge(
        "redkeep_config_last_reload_successful",
        "1 if the configuration was valid when it was last read.",
        &[],
        |view| one(Some(flag(view.reload.successful))),
    ),
    gauge(
        "redkeep_config_last_reload_success_timestamp_seconds",
        "When a valid configuration was last read.",
        &[],
        |view| one(view.reload.succeeded_at.map(seconds)),
    ),
    gauge(
        "redkeep_history_writable",
        "1 if the history could be written when that was last tried; while it cannot, it is kept in memory and nothing is deleted.",
        &[],
        |view| one(Some(flag(view.history_writable))),
    ),
    gauge(
        "redkeep_sandbox",
        "1 if the snapshots are those of the embedded sandbox and protect nothing.",
        &[],
        |view| one(Some(flag(view.sandbox))),
    ),
    gauge(
        "redkeep_tzdb_info",
        "The version of IANA's time zone data that schedules are read with, and whose copy it is (bundled or system); always 1.",
        &["version", "source"],
        |view| {
            let data = &view.zone_data;
            vec![Sample {
                labels: vec![data.version.to_string(), data.source.as_str().to_owned()],
                value: 1.0,
            }]
        },
    ),
    gauge(
        "redkeep_build_info",
        "The version of redkeep; always 1.",
        &["version"],
        |_| {
            vec![Sample {
                labels: vec![env!("CARGO_PKG_VERSION").to_owned()],
                value: 1.0,
            }]
        },
    ),
];

fn runs(view: &View) -> Vec<Sample> {
    let results = |pair: &PairView| {
        let labels = pair_labels(pair);
        pair.totals.by_result().map(|(result, count)| Sample {
            labels: labels
                .iter()
                .cloned()
                .chain([result.as_str().to_owned()])
                .collect(),
            value: count as f64,
        })
    };
    view.pairs.iter().flat_map(results).collect()
}

fn pairs(view: &View, value: fn(&PairView) -> Option<f64>) -> Vec<Sample> {
    let sample = |pair| {
        Some(Sample {
            value: value(pair)?,
            labels: pair_labels(pair).to_vec(),
        })
    };
    view.pairs.iter().filter_map(sample).collect()
}

fn pair_labels(view: &PairView) -> [String; 4] {
    let pair = &view.pair;
    [
        pair.scope.account.to_string(),
        pair.scope.region.to_string(),
        pair.policy.to_string(),
        pair.cluster.to_string(),
    ]
}

fn scopes(view: &View, value: fn(&ScopeGauges) -> Option<f64>) -> Vec<Sample> {
    let sample = |gauges: &ScopeGauges| {
        Some(Sample {
            value: value(gauges)?,
            labels: vec![
                gauges.scope.account.to_string(),
                gauges.scope.region.to_string(),
            ],
        })
    };
    view.scopes.iter().filter_map(sample).collect()
}

fn one(value: Option<f64>) -> Vec<Sample> {
    let sample = |value| Sample {
        labels: Vec::new(),
        value,
    };
    value.map(sample).into_iter().collect()
}

fn flag(set: bool) -> f64 {
    f64::from(u8::from(set))
}

/// Unix seconds; AWS gives milliseconds.
fn seconds(instant: DateTime<Utc>) -> f64 {
    instant.timestamp_millis() as f64 / 1000.0
}

/// A metric's description, and its samples as the library wants them.
#[derive(Debug, Clone)]
pub(super) struct Family {
    desc: Desc,
    kind: MetricType,
}

impl Family {
    pub(super) fn new(
        name: &str,
        help: &str,
        kind: MetricType,
        labels: &[&str],
    ) -> prometheus::Result<Self> {
        let labels = labels.iter().map(|label| (*label).to_owned()).collect();
        let desc = Desc::new(name.to_owned(), help.to_owned(), labels, Default::default())?;
        Ok(Self { desc, kind })
    }

    pub(super) fn desc(&self) -> &Desc {
        &self.desc
    }

    pub(super) fn of(&self, samples: Vec<Sample>) -> MetricFamily {
        let mut family = MetricFamily::default();
        family.set_name(self.desc.fq_name.clone());
        family.set_help(self.desc.help.clone());
        family.set_field_type(self.kind);
        family.set_metric(
            samples
                .into_iter()
                .map(|sample| self.metric(sample))
                .collect(),
        );
        family
    }

    fn metric(&self, sample: Sample) -> Metric {
        let mut metric = Metric::default();
        let names = self.desc.variable_labels.iter();
        metric.set_label(
            names
                .zip(sample.labels)
                .map(|(name, value)| label(name, value))
                .collect(),
        );
        if self.kind == MetricType::COUNTER {
            let mut counter = Counter::default();
            counter.set_value(sample.value);
            metric.set_counter(counter);
        } else {
            let mut gauge = Gauge::default();
            gauge.set_value(sample.value);
            metric.set_gauge(gauge);
        }
        metric
    }
}

fn label(name: &str, value: String) -> LabelPair {
    let mut label = LabelPair::default();
    label.set_name(name.to_owned());
    label.set_value(value);
    label
}

/// All metrics of the table, from the view that was published last.
pub(super) struct Families {
    published: Published,
    families: Vec<(Family, Samples)>,
}

impl Families {
    pub(super) fn new(published: Published) -> prometheus::Result<Self> {
        let family = |definition: &Definition| {
            let Definition {
                name,
                help,
                kind,
                labels,
                samples,
            } = definition;
            Ok((Family::new(name, help, *kind, labels)?, *samples))
        };
        Ok(Self {
            published,
            families: DEFINITIONS
                .iter()
                .map(family)
                .collect::<prometheus::Result<_>>()?,
        })
    }
}

impl Collector for Families {
    fn desc(&self) -> Vec<&Desc> {
        self.families
            .iter()
            .map(|(family, _)| family.desc())
            .collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let published = self
            .published
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let Some(view) = published.as_ref().map(Arc::clone) else {
            return Vec::new();
        };
        drop(published);
        self.families
            .iter()
            .map(|(family, samples)| family.of(samples(&view)))
            .collect()
    }
}
