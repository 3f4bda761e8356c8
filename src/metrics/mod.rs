//! Every metric that redkeep exports: its name, its help, its labels.
//!
//! Owns: the text that Prometheus reads, and the registry of what is counted. What is counted and shown of pairs and
//! scopes is computed at each scrape from the last [`View`], which is itself a fold of the history: so the counters
//! survive a restart, no series outlives its pair, and a scrape is answered while the database is locked.
//! Only what the history does not keep is counted here as it happens: requests to AWS, and how long things
//! took. Never reads the clock, the database or the configuration file, and has no global.

mod families;
mod figures;
mod instance;
mod notifications;
mod process;
mod requests;
mod text;
mod view;

use std::collections::BTreeSet;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use prometheus::core::Collector;
use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry};

use self::families::Shown;
use self::notifications::Notifications;
use self::text::Text;
pub use self::view::{Former, Intervals, PairView, Reload, ScopeGauges, View, view};
use crate::names::PolicyName;
use crate::plan::Violation;
use crate::redshift::Operation;
use crate::run::{Outcome, Run, RunState};
use crate::slot::Scope;

/// The Content-Type of [`Metrics::encode`]; Prometheus 3 refuses a scrape without it.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// From a late tick of the ticker to the end of the longest default start window.
const START_DELAY_BUCKETS: [f64; 14] = [
    0.1, 0.5, 1.0, 2.0, 5.0, 15.0, 60.0, 300.0, 900.0, 1_800.0, 3_600.0, 7_200.0, 14_400.0,
    28_800.0,
];

/// From an empty cluster to the default completion window.
const SNAPSHOT_DURATION_BUCKETS: [f64; 12] = [
    10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1_800.0, 3_600.0, 7_200.0, 14_400.0, 43_200.0, 86_400.0,
];

/// Up to the timeout of an operation.
const REQUEST_BUCKETS: [f64; 10] = [0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

/// Why there are no metrics.
#[derive(Debug, thiserror::Error)]
pub enum MetricsError {
    /// A definition contradicts itself or another.
    #[error("cannot set up the metrics")]
    Setup(#[source] prometheus::Error),
    /// The collected values cannot be written.
    #[error("cannot write the metrics")]
    Encode(#[source] prometheus::Error),
    /// What they are written to takes no more.
    #[error("cannot hand the metrics on")]
    HandOn(#[source] io::Error),
}

/// The metrics of one daemon.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    published: Mutex<Option<Arc<View>>>,
    requests: requests::Requests,
    request_duration: HistogramVec,
    policies: PolicyHistograms,
    violations: IntCounterVec,
    notifications: Notifications,
    instance: instance::Instance,
}

/// The histograms by policy, and the policies that have them.
#[derive(Debug)]
struct PolicyHistograms {
    start_delay: HistogramVec,
    snapshot_duration: HistogramVec,
    present: Mutex<BTreeSet<PolicyName>>,
}

impl Metrics {
    /// All metrics, with nothing published yet. `started_at` is when this process started.
    pub fn new(started_at: DateTime<Utc>) -> Result<Self, MetricsError> {
        Self::set_up(started_at).map_err(MetricsError::Setup)
    }

    fn set_up(started_at: DateTime<Utc>) -> prometheus::Result<Self> {
        let metrics = Self {
            registry: Registry::new(),
            requests: requests::Requests::default(),
            request_duration: request_duration()?,
            policies: PolicyHistograms::new()?,
            violations: violations()?,
            notifications: Notifications::new()?,
            instance: instance::Instance::new()?,
            published: Mutex::default(),
        };
        let collectors: [Box<dyn Collector>; 6] = [
            Box::new(metrics.request_duration.clone()),
            Box::new(metrics.policies.start_delay.clone()),
            Box::new(metrics.policies.snapshot_duration.clone()),
            Box::new(metrics.violations.clone()),
            Box::new(process::Process::new(started_at)),
            Box::new(process::DroppedLines::new()?),
        ];
        for collector in collectors
            .into_iter()
            .chain(metrics.notifications.collectors())
            .chain(metrics.instance.collectors())
        {
            metrics.registry.register(collector)?;
        }
        Ok(metrics)
    }

    /// Counts a request to AWS. `code` is a word of a closed set, as [`crate::aws::Meter`] gives it, so that no
    /// answer can make series without end.
    pub fn request(
        &self,
        scope: &Scope,
        operation: Operation,
        code: &'static str,
        duration: Duration,
    ) {
        self.requests.count(scope, operation, code);
        self.request_duration
            .with_label_values(&[operation.as_str()])
            .observe(duration.as_secs_f64());
    }

    /// Notes how late a run was started: from the first instant at which AWS could be asked (the slot's
    /// instant after jitter and blackout, `Request::starts_at`) to the first create call. Jitter is
    /// meant, and so no delay.
    pub fn started(&self, policy: &PolicyName, delay: Duration) {
        self.policies
            .observe(&self.policies.start_delay, policy, delay);
    }

    /// Notes how long a snapshot took, from its acceptance to the look that found it complete.
    pub fn completed(&self, policy: &PolicyName, duration: Duration) {
        self.policies
            .observe(&self.policies.snapshot_duration, policy, duration);
    }

    /// Notes what one step of a run tells about durations: the first create call, and the completion.
    ///
    /// A snapshot that was complete when it was first seen tells nothing of how long it took.
    pub fn stepped(&self, before: Option<&Run>, after: &Run) {
        let policy = &after.slot.pair.policy;
        let asked_before = before.is_some_and(|run| run.requested_at.is_some());
        if let (false, Some(requested_at)) = (asked_before, after.requested_at) {
            self.started(policy, since(after.request.starts_at, requested_at));
        }
        let accepted_at = before
            .filter(|run| !run.is_ended())
            .and_then(|run| run.accepted_at);
        if after.state == RunState::Ended(Outcome::Available)
            && let (Some(accepted_at), Some(ended_at)) = (accepted_at, after.ended_at)
        {
            self.completed(policy, since(accepted_at, ended_at));
        }
    }

    /// Counts a plan that broke a rule of redkeep's own.
    pub fn violated(&self, violation: &Violation) {
        let invariant = [violation.invariant()];
        self.violations.with_label_values(&invariant).inc();
    }

    /// Begins with 0 for each of these receivers, and drops the series of all others.
    pub fn set_receivers<'a>(&self, names: impl Iterator<Item = &'a str>) {
        self.notifications.keep(names);
    }

    /// Counts messages to a receiver by what became of them.
    pub fn notified(&self, receiver: &str, result: &str, count: usize) {
        self.notifications.count(receiver, result, count);
    }

    /// Notes how many messages wait for a receiver.
    pub fn waiting(&self, receiver: &str, count: usize) {
        self.notifications.waits(receiver, count);
    }

    /// Makes `view` what the next scrape shows, and drops every series of what is not in it.
    pub fn publish(&self, view: View) {
        self.requests
            .keep(view.scopes.iter().map(|gauges| &gauges.scope));
        self.policies.keep(&view.policies);
        *self
            .published
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(view));
    }

    /// Notes whether this process takes the snapshots.
    pub fn works(&self, does: bool) {
        self.instance.works(does);
    }

    /// Notes whether the database answered, and the term as it has it, where it says so.
    pub fn saw_database(&self, is_up: bool, epoch: Option<i64>) {
        self.instance.saw(is_up, epoch);
    }

    /// Notes how many instances share the history, and how many of these have another configuration.
    pub fn saw_instances(&self, alive: i64, configured_otherwise: i64) {
        self.instance.counted(alive, configured_otherwise);
    }

    /// Shows nothing of pairs, scopes and messages that wait any more: another instance works on them.
    pub fn retire(&self) {
        self.requests.keep(std::iter::empty());
        self.policies.keep(&BTreeSet::new());
        self.instance.works(false);
        self.notifications.retire();
        let mut published = self
            .published
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *published = None;
    }

    /// All metrics in the text format 0.0.4, by name.
    pub fn encode(&self) -> Result<String, MetricsError> {
        let mut text = Vec::new();
        self.write(&mut text)?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    /// Writes the same into `sink`, piece by piece. Takes milliseconds for thousands of pairs.
    pub fn write(&self, sink: &mut dyn io::Write) -> Result<(), MetricsError> {
        let view = self.view();
        let shown = view.as_ref().map(|view| Shown::new(view, &self.requests));
        let mut text = Text::new(sink);
        let mut counted = self.registry.gather().into_iter().peekable();
        for definition in families::definitions() {
            while let Some(family) = counted.next_if(|family| family.name() < definition.name) {
                text.library(family).map_err(MetricsError::Encode)?;
            }
            if let Some(shown) = &shown {
                definition.write(shown, &mut text);
            }
        }
        for family in counted {
            text.library(family).map_err(MetricsError::Encode)?;
        }
        text.finish().map_err(MetricsError::HandOn)
    }

    /// What was published last.
    pub(crate) fn view(&self) -> Option<Arc<View>> {
        let published = self.published.lock();
        published.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The count of broken invariants, with 0 for each that can be seen in a plan.
fn violations() -> prometheus::Result<IntCounterVec> {
    let help = "Plans since the start that broke one of redkeep's own rules: a defect of redkeep.";
    let options = Opts::new("redkeep_invariant_violations_total", help);
    let counts = IntCounterVec::new(options, &["invariant"])?;
    for invariant in Violation::INVARIANTS {
        counts.with_label_values(&[invariant]);
    }
    Ok(counts)
}

impl PolicyHistograms {
    fn new() -> prometheus::Result<Self> {
        let start_delay = HistogramOpts::new(
            "redkeep_start_delay_seconds",
            "Time from the instant at which a run could start (after jitter and blackout) to its first create call.",
        );
        let snapshot_duration = HistogramOpts::new(
            "redkeep_snapshot_duration_seconds",
            "Time from AWS's acceptance of a snapshot to its completion.",
        );
        Ok(Self {
            start_delay: HistogramVec::new(
                start_delay.buckets(START_DELAY_BUCKETS.to_vec()),
                &["policy"],
            )?,
            snapshot_duration: HistogramVec::new(
                snapshot_duration.buckets(SNAPSHOT_DURATION_BUCKETS.to_vec()),
                &["policy"],
            )?,
            present: Mutex::default(),
        })
    }

    /// A policy that is not configured (any more) gets no series: an answer may come after a reload.
    fn observe(&self, histogram: &HistogramVec, policy: &PolicyName, duration: Duration) {
        let present = self.present.lock().unwrap_or_else(PoisonError::into_inner);
        if present.contains(policy) {
            histogram
                .with_label_values(&[policy.as_str()])
                .observe(duration.as_secs_f64());
        }
    }

    fn keep(&self, configured: &BTreeSet<PolicyName>) {
        let mut present = self.present.lock().unwrap_or_else(PoisonError::into_inner);
        if *present == *configured {
            return;
        }
        for histogram in [&self.start_delay, &self.snapshot_duration] {
            for policy in present.difference(configured) {
                // It is there: every present policy was created below. If it were not, nothing is lost.
                let _ = histogram.remove_label_values(&[policy.as_str()]);
            }
            for policy in configured {
                histogram.with_label_values(&[policy.as_str()]);
            }
        }
        present.clone_from(configured);
    }
}

fn request_duration() -> prometheus::Result<HistogramVec> {
    let options = HistogramOpts::new(
        "redkeep_aws_request_duration_seconds",
        "How long a request to AWS took, with any result.",
    );
    let histogram = HistogramVec::new(options.buckets(REQUEST_BUCKETS.to_vec()), &["operation"])?;
    for operation in Operation::ALL {
        histogram.with_label_values(&[operation.as_str()]);
    }
    Ok(histogram)
}

/// Zero when the clock was set back between the two.
fn since(from: DateTime<Utc>, until: DateTime<Utc>) -> Duration {
    (until - from).to_std().unwrap_or_default()
}
