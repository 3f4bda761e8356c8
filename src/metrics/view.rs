//! What the metrics are computed from.
//!
//! Owns: the fold from configuration, history and observation to a [`View`]. Pure: the same history gives
//! the same numbers, before and after a restart.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};

use crate::config::{Config, Endpoint, MetricsLabels};
use crate::coverage::unprotected;
use crate::history::{History, PairState, Totals};
use crate::names::{ClusterId, PolicyName};
use crate::observed::{Observed, ServerClock};
use crate::plan::Blocked;
use crate::policy::Policy;
use crate::run::Run;
use crate::schedule::Upcoming;
use crate::slot::{Pair, Scope};
use crate::tzdb::ZoneData;

/// Everything that a scrape shows of pairs, scopes and the daemon.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct View {
    /// Whose series are shown.
    pub labels: MetricsLabels,
    /// The active pairs.
    pub pairs: Vec<PairView>,
    /// What was counted of pairs that are active no more, where the series are those of scopes: the sum of a policy is never
    /// to fall, since Prometheus would take that for a new beginning, and what is left of it for an increase.
    pub former: BTreeMap<(Scope, PolicyName), Former>,
    /// The configured scopes.
    pub scopes: Vec<ScopeGauges>,
    /// The configured policies.
    pub policies: BTreeSet<PolicyName>,
    /// The configured policies that are paused, and since when.
    pub paused: BTreeMap<PolicyName, DateTime<Utc>>,
    /// What keeps each policy that removes snapshots from removing them.
    pub prune_blocked: BTreeMap<PolicyName, BTreeSet<Blocked>>,
    /// How the configuration was read last.
    pub reload: Reload,
    /// Whether the history could be written when that was last tried.
    pub history_writable: bool,
    /// Whether the snapshots are only the sandbox's.
    pub sandbox: bool,
    /// The time zone data that the schedules are read with.
    pub zone_data: ZoneData,
}

/// What a scrape shows of a pair.
#[derive(Debug, Clone, PartialEq)]
pub struct PairView {
    /// Which pair.
    pub pair: Pair,
    /// How its runs ended.
    pub totals: Totals,
    /// How often the end of one of its snapshots was put off.
    pub extensions: u64,
    /// Whether one of its runs has no outcome yet.
    pub in_progress: bool,
    /// Until when AWS should have made the oldest snapshot that it is making for the pair.
    pub completion_deadline: Option<DateTime<Utc>>,
    /// When AWS created the newest complete snapshot that is still there.
    pub last_success: Option<DateTime<Utc>>,
    /// When the pair became active.
    pub active_since: DateTime<Utc>,
    /// The nominal instant of the newest run.
    pub last_run: Option<DateTime<Utc>>,
    /// The nominal instant of the first slot that has no record yet.
    pub next_run: Option<DateTime<Utc>>,
    /// The longest time between two slots within a year.
    pub interval: Option<TimeDelta>,
    /// The age that the newest good snapshot may reach, where the policy sets one.
    pub rpo: Option<TimeDelta>,
    /// The size of the newest complete snapshot that is still there.
    pub size_bytes: Option<u64>,
}

/// What was counted of pairs that are active no more.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Former {
    /// How their runs ended.
    pub totals: Totals,
    /// How often the end of one of their snapshots was put off.
    pub extensions: u64,
}

/// What a scrape shows of a scope.
#[derive(Debug, Clone, PartialEq)]
pub struct ScopeGauges {
    /// Which scope.
    pub scope: Scope,
    /// How many manual snapshots it holds.
    pub manual_snapshots: Option<usize>,
    /// How many of its clusters no policy selects.
    pub unprotected_clusters: Option<usize>,
    /// The first of them by name, for whoever is told of them.
    pub unprotected: Vec<ClusterId>,
    /// How many it may hold.
    pub quota: u32,
    /// Our clock minus AWS's.
    pub clock_skew: Option<TimeDelta>,
    /// How many requests a second redkeep allows itself.
    pub request_rate_limit: Option<f64>,
}

/// How the configuration was read last; the reading at the start counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reload {
    /// Whether the policy file was valid at the last reload.
    pub successful: bool,
    /// When a valid policy file was last read.
    pub succeeded_at: Option<DateTime<Utc>>,
}

/// The longest time between two slots of each policy, which is too dear to compute for each view.
#[derive(Debug, Clone)]
pub struct Intervals {
    computed_at: DateTime<Utc>,
    by_policy: BTreeMap<PolicyName, TimeDelta>,
}

impl Intervals {
    /// Computes the intervals of all policies over the year from `now`.
    pub fn compute(config: &Config, now: DateTime<Utc>) -> Self {
        let interval = |policy: &Policy| {
            let longest = policy
                .schedule
                .longest_interval(now, now + TimeDelta::days(365))?;
            Some((policy.name.clone(), longest))
        };
        Self {
            computed_at: now,
            by_policy: config.policies.iter().filter_map(interval).collect(),
        }
    }

    /// Whether they are a day old, or from a future that the clock has left.
    pub fn is_stale(&self, now: DateTime<Utc>) -> bool {
        (now - self.computed_at).abs() >= TimeDelta::days(1)
    }
}

/// What the metrics show at this moment of configuration, history and observation.
pub fn view(
    config: &Config,
    history: &History,
    observed: &Observed,
    intervals: &Intervals,
    reload: Reload,
) -> View {
    View {
        labels: config.metrics_labels,
        former: match config.metrics_labels {
            MetricsLabels::Full => BTreeMap::new(),
            MetricsLabels::Scope => former(history),
        },
        pairs: pair_views(config, history, intervals),
        scopes: config
            .scopes()
            .into_iter()
            .map(|scope| scope_gauges(config, observed, scope))
            .collect(),
        policies: config
            .policies
            .iter()
            .map(|policy| policy.name.clone())
            .collect(),
        paused: config
            .policies
            .iter()
            .filter_map(|policy| Some((policy.name.clone(), history.pauses.since(&policy.name)?)))
            .collect(),
        prune_blocked: BTreeMap::new(),
        reload,
        history_writable: true,
        sandbox: matches!(config.endpoint, Endpoint::Sandbox),
        zone_data: config.zone_data.clone(),
    }
}

/// The pairs that have series: open, and of a policy that is still there.
fn active<'a>(
    config: &'a Config,
    history: &'a History,
) -> impl Iterator<Item = (&'a Policy, &'a Pair, &'a PairState)> {
    history
        .pairs
        .iter()
        .filter(|(_, state)| state.is_active())
        .filter_map(|(pair, state)| Some((config.policy(&pair.policy)?, pair, state)))
}

fn former(history: &History) -> BTreeMap<(Scope, PolicyName), Former> {
    let mut former: BTreeMap<_, Former> = BTreeMap::new();
    let is_former = |pair: &Pair| !history.pairs.get(pair).is_some_and(PairState::is_active);
    let group = |pair: &Pair| (pair.scope.clone(), pair.policy.clone());
    for (pair, totals) in history.totals.iter().filter(|(pair, _)| is_former(pair)) {
        let former = former.entry(group(pair)).or_default();
        for (result, count) in totals.by_result() {
            former.totals.add(result, count);
        }
    }
    for (pair, count) in history
        .extensions
        .iter()
        .filter(|(pair, _)| is_former(pair))
    {
        former.entry(group(pair)).or_default().extensions += count;
    }
    former
}

fn pair_views(config: &Config, history: &History, intervals: &Intervals) -> Vec<PairView> {
    let mut upcoming = Upcoming::default();
    let pairs = active(config, history);
    let views = pairs.map(|(policy, pair, state)| {
        let next = upcoming.after(&policy.schedule, state.watermark);
        let next = next.filter(|_| policy.enabled);
        pair_view((policy, pair), (state, next), history, intervals)
    });
    views.collect()
}

fn pair_view(
    (policy, pair): (&Policy, &Pair),
    (state, next_run): (&PairState, Option<DateTime<Utc>>),
    history: &History,
    intervals: &Intervals,
) -> PairView {
    let good = history.last_good(pair);
    let snapshot = good.and_then(|run| run.snapshot.as_ref());
    PairView {
        pair: pair.clone(),
        totals: history.totals.get(pair).copied().unwrap_or_default(),
        extensions: history.extensions.get(pair).copied().unwrap_or_default(),
        in_progress: history.of_pair(pair).any(|run| !run.is_ended()),
        completion_deadline: history
            .of_pair(pair)
            .filter_map(Run::completion_deadline)
            .min(),
        last_success: good.and_then(Run::created_at),
        active_since: state.active_from,
        last_run: history
            .of_pair(pair)
            .next_back()
            .map(|run| run.slot.scheduled_at),
        next_run,
        interval: intervals.by_policy.get(&pair.policy).copied(),
        rpo: policy.rpo,
        size_bytes: snapshot.and_then(|snapshot| snapshot.size_bytes()),
    }
}

/// How many of the clusters that nothing protects are named.
const NAMED: usize = 5;

/// Not known before the first listing, nor where another scope does the work.
fn unprotected_clusters(
    config: &Config,
    observed: &Observed,
    scope: &Scope,
) -> Option<(usize, Vec<ClusterId>)> {
    let view = observed.scopes.get(scope)?;
    let clusters = view.clusters.as_ref().filter(|_| view.barred.is_none())?;
    let mut count = 0;
    let mut named = Vec::new();
    for cluster in unprotected(config, scope, clusters.values()) {
        count += 1;
        if named.len() < NAMED {
            named.push(cluster.id.clone());
        }
    }
    Some((count, named))
}

fn scope_gauges(config: &Config, observed: &Observed, scope: Scope) -> ScopeGauges {
    let seen = observed.scopes.get(&scope);
    let clock = seen.map(|view| view.server_clock);
    let unprotected = unprotected_clusters(config, observed, &scope);
    ScopeGauges {
        request_rate_limit: seen.map(|view| view.budget.last_pace()),
        manual_snapshots: observed.manual_snapshots(&scope),
        unprotected_clusters: unprotected.as_ref().map(|(count, _)| *count),
        unprotected: unprotected.map(|(_, named)| named).unwrap_or_default(),
        quota: config.quota(&scope),
        clock_skew: match clock {
            Some(ServerClock::Skew(skew)) => Some(skew),
            Some(ServerClock::Unasked | ServerClock::Undated) | None => None,
        },
        scope,
    }
}
