//! What the metrics show of pairs: of each, or of all that a policy has in a scope.
//!
//! Owns: how the figures of many clusters become one, so that an alert on that one fires where it would for any of
//! them: counts are added, and of instants the one that is worst.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};

use super::text::Labels;
use super::view::{PairView, View};
use crate::config::MetricsLabels;
use crate::history::Totals;
use crate::names::PolicyName;
use crate::slot::{Pair, Scope};

/// The figures of one set of series.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Figures {
    pub(super) labels: Labels,
    pub(super) totals: Totals,
    pub(super) extensions: u64,
    pub(super) in_progress: u64,
    pub(super) completion_deadline: Option<DateTime<Utc>>,
    pub(super) last_success: Option<DateTime<Utc>>,
    pub(super) active_since: DateTime<Utc>,
    pub(super) last_run: Option<DateTime<Utc>>,
    pub(super) next_run: Option<DateTime<Utc>>,
    pub(super) interval: Option<TimeDelta>,
    pub(super) rpo: Option<TimeDelta>,
    pub(super) size_bytes: Option<u64>,
}

/// The figures of a view, in the order in which they are shown.
pub(super) fn figures(view: &View) -> Vec<Figures> {
    match view.labels {
        MetricsLabels::Full => of_each(view),
        MetricsLabels::Scope => of_scopes(view),
    }
}

fn of_each(view: &View) -> Vec<Figures> {
    let mut pairs: Vec<&PairView> = view.pairs.iter().collect();
    pairs.sort_by_key(|view| {
        let pair = &view.pair;
        (&pair.scope, &pair.policy, &pair.cluster)
    });
    let pairs = pairs.into_iter();
    pairs
        .map(|view| Figures::of(view, of_pair(&view.pair)))
        .collect()
}

fn of_scopes(view: &View) -> Vec<Figures> {
    let mut groups: BTreeMap<(&Scope, &PolicyName), Figures> = BTreeMap::new();
    for one in &view.pairs {
        let (scope, policy) = (&one.pair.scope, &one.pair.policy);
        let figures = Figures::in_group(one);
        match groups.get_mut(&(scope, policy)) {
            Some(group) => group.add(&figures),
            None => drop(groups.insert((scope, policy), figures)),
        }
    }
    for ((scope, policy), former) in &view.former {
        if let Some(group) = groups.get_mut(&(scope, policy)) {
            group.totals = sum(group.totals, former.totals);
            group.extensions += former.extensions;
        }
    }
    groups.into_values().collect()
}

impl Figures {
    fn of(view: &PairView, labels: Labels) -> Self {
        Self {
            labels,
            totals: view.totals,
            extensions: view.extensions,
            in_progress: u64::from(view.in_progress),
            completion_deadline: view.completion_deadline,
            last_success: view.last_success,
            active_since: view.active_since,
            last_run: view.last_run,
            next_run: view.next_run,
            interval: view.interval,
            rpo: view.rpo,
            size_bytes: view.size_bytes,
        }
    }

    /// A cluster without a snapshot yet counts from its activation on: else the others would hide it.
    fn in_group(view: &PairView) -> Self {
        Self {
            last_success: view.last_success.or(Some(view.active_since)),
            ..Self::of(view, of_group(&view.pair))
        }
    }

    /// Takes another cluster of the same policy and scope in.
    fn add(&mut self, other: &Self) {
        self.totals = sum(self.totals, other.totals);
        self.extensions += other.extensions;
        self.in_progress += other.in_progress;
        self.completion_deadline = least(self.completion_deadline, other.completion_deadline);
        self.last_success = least(self.last_success, other.last_success);
        self.active_since = self.active_since.min(other.active_since);
        self.last_run = least(self.last_run, other.last_run);
        self.next_run = least(self.next_run, other.next_run);
        self.interval = least(self.interval, other.interval);
        self.rpo = least(self.rpo, other.rpo);
        self.size_bytes = match (self.size_bytes, other.size_bytes) {
            (Some(one), Some(other)) => Some(one + other),
            (one, other) => one.or(other),
        };
    }
}

fn sum(mut one: Totals, other: Totals) -> Totals {
    for (result, count) in other.by_result() {
        one.add(result, count);
    }
    one
}

/// The lesser of those that there are.
fn least<T: Ord + Copy>(one: Option<T>, other: Option<T>) -> Option<T> {
    one.into_iter().chain(other).min()
}

fn of_pair(pair: &Pair) -> Labels {
    Labels::new([
        ("account", pair.scope.account.as_str()),
        ("region", pair.scope.region.as_str()),
        ("policy", pair.policy.as_str()),
        ("cluster", pair.cluster.as_str()),
    ])
}

fn of_group(pair: &Pair) -> Labels {
    Labels::new([
        ("account", pair.scope.account.as_str()),
        ("region", pair.scope.region.as_str()),
        ("policy", pair.policy.as_str()),
    ])
}
