//! The metrics that are computed from the view at each scrape.
//!
//! Owns: the table of their names, help texts and labels, and how each is shown. One view for all of them, so that a
//! scrape never sees two.

use chrono::{DateTime, Utc};

use super::figures::{Figures, figures};
use super::requests::Requests;
use super::text::{Kind, Labels, Lines, Text};
use super::view::{ScopeGauges, View};
use crate::plan::Blocked;

/// What a scrape shows, with the labels of its pairs and scopes written, and in the order in which they are shown.
pub(super) struct Shown<'a> {
    view: &'a View,
    pairs: Vec<Figures>,
    scopes: Vec<(Labels, &'a ScopeGauges)>,
    requests: &'a Requests,
}

/// How a metric's lines come from what is shown.
type Show = fn(&Shown, &mut Lines);

/// A metric of the table.
pub(super) struct Definition {
    pub(super) name: &'static str,
    help: &'static str,
    kind: Kind,
    show: Show,
}

const fn gauge(name: &'static str, help: &'static str, show: Show) -> Definition {
    Definition {
        name,
        help,
        kind: Kind::Gauge,
        show,
    }
}

const fn counter(name: &'static str, help: &'static str, show: Show) -> Definition {
    Definition {
        name,
        help,
        kind: Kind::Counter,
        show,
    }
}

impl Definition {
    pub(super) fn write(&self, shown: &Shown, text: &mut Text) {
        let mut lines = text.family(self.name, self.help, self.kind);
        (self.show)(shown, &mut lines);
    }
}

/// The whole table, in the order of the names: that of the text.
pub(super) fn definitions() -> Vec<&'static Definition> {
    let mut all: Vec<_> = DEFINITIONS.iter().collect();
    all.sort_by_key(|definition| definition.name);
    all
}

const DEFINITIONS: &[Definition] = &[
    counter(
        "redkeep_runs_total",
        "Runs that have ended, by result, over the whole history.",
        runs,
    ),
    counter(
        "redkeep_guard_extensions_total",
        "How often the guard extended a good snapshot that was about to expire, over the whole history.",
        |shown, lines| pairs(shown, lines, |pair| Some(pair.extensions as f64)),
    ),
    counter(
        "redkeep_aws_requests_total",
        "Requests to AWS since the daemon started, by their outcome: ok, the error's code, or other.",
        |shown, lines| shown.requests.write(lines),
    ),
    gauge(
        "redkeep_run_in_progress",
        "1 while a run has no result yet.",
        |shown, lines| pairs(shown, lines, |pair| Some(pair.in_progress as f64)),
    ),
    gauge(
        "redkeep_completion_deadline_timestamp_seconds",
        "When the snapshot that AWS is making should be complete (acceptance + completion_window); absent while AWS \
         makes none.",
        |shown, lines| pairs(shown, lines, |pair| pair.completion_deadline.map(seconds)),
    ),
    gauge(
        "redkeep_last_success_timestamp_seconds",
        "SnapshotCreateTime of the newest complete snapshot that still exists; absent before the first.",
        |shown, lines| pairs(shown, lines, |pair| pair.last_success.map(seconds)),
    ),
    gauge(
        "redkeep_active_since_timestamp_seconds",
        "When the policy became active for the cluster.",
        |shown, lines| pairs(shown, lines, |pair| Some(seconds(pair.active_since))),
    ),
    gauge(
        "redkeep_last_run_timestamp_seconds",
        "The instant of the newest slot that has a run, whatever its result.",
        |shown, lines| pairs(shown, lines, |pair| pair.last_run.map(seconds)),
    ),
    gauge(
        "redkeep_next_run_timestamp_seconds",
        "The instant of the next slot; in the past when that slot is overdue.",
        |shown, lines| pairs(shown, lines, |pair| pair.next_run.map(seconds)),
    ),
    gauge(
        "redkeep_schedule_interval_seconds",
        "The longest time between two slots within the next year.",
        |shown, lines| {
            pairs(shown, lines, |pair| {
                pair.interval.map(|interval| interval.as_seconds_f64())
            })
        },
    ),
    gauge(
        "redkeep_rpo_seconds",
        "The policy's rpo: the age that the newest good snapshot may reach; absent if the policy has none.",
        |shown, lines| {
            pairs(shown, lines, |pair| {
                pair.rpo.map(|rpo| rpo.as_seconds_f64())
            })
        },
    ),
    gauge(
        "redkeep_snapshot_size_bytes",
        "TotalBackupSizeInMegaBytes of the newest complete snapshot that still exists, in bytes.",
        |shown, lines| {
            pairs(shown, lines, |pair| {
                pair.size_bytes.map(|bytes| bytes as f64)
            })
        },
    ),
    gauge(
        "redkeep_policy_paused_timestamp_seconds",
        "When the policy was paused; absent while it is not.",
        |shown, lines| {
            for (policy, since) in &shown.view.paused {
                lines.add(&Labels::new([("policy", policy.as_str())]), seconds(*since));
            }
        },
    ),
    gauge(
        "redkeep_prune_blocked",
        "1 while the reason keeps redkeep from deleting the snapshots beyond keep_last; only for policies with \
         keep_last.",
        prune_blocked,
    ),
    gauge(
        "redkeep_manual_snapshots",
        "Manual snapshots in the region, also those that redkeep did not make; absent before the first listing.",
        |shown, lines| {
            scopes(shown, lines, |scope| {
                scope.manual_snapshots.map(|count| count as f64)
            })
        },
    ),
    gauge(
        "redkeep_manual_snapshot_quota",
        "Manual snapshots that the region may have, as configured (snapshot_quota).",
        |shown, lines| scopes(shown, lines, |scope| Some(f64::from(scope.quota))),
    ),
    gauge(
        "redkeep_unprotected_clusters",
        "Clusters in the region that no enabled policy selects; absent before the first listing.",
        |shown, lines| {
            scopes(shown, lines, |scope| {
                scope.unprotected_clusters.map(|count| count as f64)
            })
        },
    ),
    gauge(
        "redkeep_clock_skew_seconds",
        "This machine's clock minus AWS's clock; absent while it is not known.",
        |shown, lines| {
            scopes(shown, lines, |scope| {
                scope.clock_skew.map(|skew| skew.as_seconds_f64())
            })
        },
    ),
    gauge(
        "redkeep_request_rate_limit",
        "Requests a second to AWS that redkeep allows itself in the region: halved by throttling, else growing.",
        |shown, lines| scopes(shown, lines, |scope| scope.request_rate_limit),
    ),
    gauge(
        "redkeep_config_last_reload_successful",
        "1 if the configuration was valid when it was last read.",
        |shown, lines| lines.add(&Labels::default(), flag(shown.view.reload.successful)),
    ),
    gauge(
        "redkeep_config_last_reload_success_timestamp_seconds",
        "When a valid configuration was last read.",
        |shown, lines| {
            lines.add(
                &Labels::default(),
                shown.view.reload.succeeded_at.map(seconds),
            )
        },
    ),
    gauge(
        "redkeep_history_writable",
        "1 if the last write to the history succeeded; if not, redkeep keeps the history in memory and deletes \
         nothing.",
        |shown, lines| lines.add(&Labels::default(), flag(shown.view.history_writable)),
    ),
    gauge(
        "redkeep_sandbox",
        "1 if redkeep uses the embedded sandbox, whose snapshots protect nothing.",
        |shown, lines| lines.add(&Labels::default(), flag(shown.view.sandbox)),
    ),
    gauge(
        "redkeep_tzdb_info",
        "The version of IANA's time zone data that redkeep uses for schedules, and its source (bundled or system); \
         always 1.",
        |shown, lines| {
            let data = &shown.view.zone_data;
            let version = data.version.to_string();
            let labels = [("version", &*version), ("source", data.source.as_str())];
            lines.add(&Labels::new(labels), 1.0);
        },
    ),
    gauge(
        "redkeep_build_info",
        "The version of redkeep; always 1.",
        |_, lines| {
            let labels = Labels::new([("version", env!("CARGO_PKG_VERSION"))]);
            lines.add(&labels, 1.0);
        },
    ),
];

impl<'a> Shown<'a> {
    pub(super) fn new(view: &'a View, requests: &'a Requests) -> Self {
        let mut scopes: Vec<&ScopeGauges> = view.scopes.iter().collect();
        scopes.sort_by_key(|gauges| &gauges.scope);
        Self {
            view,
            pairs: figures(view),
            scopes: scopes
                .into_iter()
                .map(|gauges| (of_scope(gauges), gauges))
                .collect(),
            requests,
        }
    }
}

fn of_scope(gauges: &ScopeGauges) -> Labels {
    let scope = &gauges.scope;
    Labels::new([
        ("account", scope.account.as_str()),
        ("region", scope.region.as_str()),
    ])
}

fn runs(shown: &Shown, lines: &mut Lines) {
    for pair in &shown.pairs {
        let mut results = pair.totals.by_result();
        results.sort_by_key(|(result, _)| result.as_str());
        for (result, count) in results {
            lines.add_with(&pair.labels, ("result", result.as_str()), count as f64);
        }
    }
}

fn prune_blocked(shown: &Shown, lines: &mut Lines) {
    let mut reasons = Blocked::ALL;
    reasons.sort_by_key(|reason| reason.as_str());
    for (policy, blocked) in &shown.view.prune_blocked {
        let labels = Labels::new([("policy", policy.as_str())]);
        for reason in reasons {
            let value = flag(blocked.contains(&reason));
            lines.add_with(&labels, ("reason", reason.as_str()), value);
        }
    }
}

fn pairs(shown: &Shown, lines: &mut Lines, value: fn(&Figures) -> Option<f64>) {
    for pair in &shown.pairs {
        lines.add(&pair.labels, value(pair));
    }
}

fn scopes(shown: &Shown, lines: &mut Lines, value: fn(&ScopeGauges) -> Option<f64>) {
    for (labels, gauges) in &shown.scopes {
        lines.add(labels, value(gauges));
    }
}

fn flag(set: bool) -> f64 {
    f64::from(u8::from(set))
}

/// Unix seconds; AWS gives milliseconds.
fn seconds(instant: DateTime<Utc>) -> f64 {
    instant.timestamp_millis() as f64 / 1000.0
}
