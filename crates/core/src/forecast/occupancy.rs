//! Which snapshots there will be, and how long each stays.
//!
//! Owns: what is held now by the history, and what each coming slot adds: its tier, its period, and what
//! `keep_last` takes away again. Never counts.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, NaiveDate, Utc};

use crate::names::Tier;
use crate::names::{ClusterId, PolicyName};
use crate::outline::{Kept, Outline};
use crate::policy::Policy;
use crate::retention::{TierSlot, choose};
use crate::run::{Run, RunState};
use crate::seen::Tenure;
use crate::settings::Config;
use crate::slot::{Pair, Scope, Slot};
use crate::timing::timing_of_all;

use super::{Note, Sample, backlog, instant};

/// Of a snapshot that nothing makes expire.
const FOREVER: i64 = i64::MAX;

/// A snapshot's time at AWS, in Unix seconds, both ends included.
#[derive(Debug, Clone, Copy)]
pub(super) struct Interval {
    pub(super) from: i64,
    pub(super) until: i64,
    tier: Tier,
    bytes: Option<u64>,
    policy: usize,
}

/// All snapshots of a scope.
#[derive(Debug, Default)]
pub(super) struct Stays {
    pub(super) all: Vec<Interval>,
    policies: Vec<PolicyName>,
    /// From when on nothing that there is now is left to go, and of every tier the first that is to come is gone.
    pub(super) settled_at: i64,
    pub(super) sizes_known: usize,
}

impl Stays {
    /// What is held at one instant.
    pub(super) fn moment(&self, at: i64) -> Sample {
        let mut by_policy = BTreeMap::new();
        let (mut held, mut bytes) = (0, 0_u64);
        for stay in self.all.iter().filter(|stay| stay.covers(at)) {
            held += 1;
            bytes = bytes.saturating_add(stay.bytes.unwrap_or_default());
            if let Some(policy) = self.policies.get(stay.policy) {
                *by_policy.entry(policy.clone()).or_default() += 1;
            }
        }
        Sample {
            at: instant(at),
            held,
            by_policy,
            stored_bytes: (self.sizes_known > 0).then_some(bytes),
        }
    }

    /// What nobody knows the size of is taken to be as large as the others are on average.
    fn estimate_sizes(&mut self) {
        let sizes: Vec<u64> = self.all.iter().filter_map(|stay| stay.bytes).collect();
        if let Some(mean) = mean(&sizes) {
            for stay in &mut self.all {
                stay.bytes.get_or_insert(mean);
            }
        }
    }

    fn policy(&mut self, name: &PolicyName) -> usize {
        let known = self.policies.iter().position(|known| known == name);
        known.unwrap_or_else(|| {
            self.policies.push(name.clone());
            self.policies.len() - 1
        })
    }

    /// Adds what one pair has and will have.
    fn add(
        &mut self,
        mut kept: Vec<Interval>,
        coming: Vec<Interval>,
        keep_last: Option<usize>,
        now: i64,
    ) {
        let known: Vec<u64> = kept.iter().filter_map(|stay| stay.bytes).collect();
        self.sizes_known += known.len();
        let mean = mean(&known);
        let first_coming = kept.len();
        kept.extend(coming.into_iter().map(|stay| Interval {
            bytes: mean,
            ..stay
        }));
        if let Some(keep_last) = keep_last {
            prune(&mut kept, keep_last, now);
        }
        let (there, coming) = kept.split_at(first_coming);
        let gone = there.iter().map(|stay| stay.until);
        let gone = gone.filter(|until| *until != FOREVER);
        let first_of = |tier| coming.iter().find(|stay| stay.tier == tier);
        let firsts = Tier::ALL.into_iter().filter_map(first_of);
        let settled = gone.chain(firsts.map(|stay| stay.until)).max();
        self.settled_at = self.settled_at.max(settled.unwrap_or_default());
        self.all.extend(kept);
    }
}

impl Interval {
    fn covers(&self, at: i64) -> bool {
        self.from <= at && at <= self.until
    }
}

fn mean(sizes: &[u64]) -> Option<u64> {
    let sum = sizes
        .iter()
        .fold(0_u64, |sum, size| sum.saturating_add(*size));
    sum.checked_div(sizes.len() as u64)
}

/// Lets a base-tier snapshot go when so many newer ones have come.
fn prune(stays: &mut [Interval], keep_last: usize, now: i64) {
    let mut base: Vec<usize> = (0..stays.len())
        .filter(|index| stays[*index].tier == Tier::Base)
        .collect();
    base.sort_by_key(|index| stays[*index].from);
    for (old, new) in base.iter().zip(base.iter().skip(keep_last)) {
        let replaced_at = stays[*new].from.max(now);
        stays[*old].until = stays[*old].until.min(replaced_at);
    }
}

/// Every scope's snapshots between `now` and `until`, and what had to be assumed.
pub(super) fn of_scopes(
    config: &Config,
    past: &Outline,
    now: DateTime<Utc>,
    until: DateTime<Utc>,
) -> (BTreeMap<Scope, Stays>, Vec<Note>) {
    let (mut by_scope, mut notes) = (BTreeMap::<Scope, Stays>::new(), Vec::new());
    let mut done = BTreeSet::new();
    for policy in config.policies.iter().filter(|policy| policy.enabled) {
        if past.pauses.since(&policy.name).is_some() {
            notes.push(Note::Paused(policy.name.clone()));
        }
        let slots = Slots::of(policy, now, until);
        let targets = targets(policy, past, &mut notes);
        notes.extend(backlog::of(policy, targets.len(), now));
        for target in targets {
            let pair = target.pair(policy);
            let stays = by_scope.entry(target.scope.clone()).or_default();
            let index = stays.policy(&policy.name);
            let kept = kept(past, pair.as_ref(), index);
            let state = pair.as_ref().and_then(|pair| past.pairs.get(pair));
            let after = state.map_or(now, |state| now.max(state.watermark));
            let coming = slots.coming(pair.as_ref(), &kept, after, index);
            stays.add(kept, coming, policy.protection.keep_last, now.timestamp());
            done.extend(pair);
        }
    }
    // What gets no more snapshots keeps those that it has.
    let opened = past.open.keys().map(|slot| &slot.pair);
    let others: BTreeSet<&Pair> = past.kept.keys().chain(opened).collect();
    for pair in others.into_iter().filter(|pair| !done.contains(*pair)) {
        let stays = by_scope.entry(pair.scope.clone()).or_default();
        let index = stays.policy(&pair.policy);
        let kept = kept(past, Some(pair), index);
        stays.add(kept, Vec::new(), None, now.timestamp());
    }
    for stays in by_scope.values_mut() {
        stays.estimate_sizes();
    }
    notes.sort();
    notes.dedup();
    (by_scope, notes)
}

/// A cluster that will be taken snapshots of; without a name one that a pattern stands for.
struct Target {
    scope: Scope,
    cluster: Option<ClusterId>,
}

impl Target {
    fn pair(&self, policy: &Policy) -> Option<Pair> {
        Some(Pair {
            policy: policy.name.clone(),
            scope: self.scope.clone(),
            cluster: self.cluster.clone()?,
        })
    }
}

/// The clusters of a policy: those that the history knows, and as far as it knows nothing, those that the file names.
fn targets(policy: &Policy, past: &Outline, notes: &mut Vec<Note>) -> Vec<Target> {
    let of_policy = past
        .pairs
        .iter()
        .filter(|(pair, _)| pair.policy == policy.name);
    let is_unknown = of_policy.clone().next().is_none();
    let active = of_policy
        .filter(|(pair, state)| state.is_active() && policy.scopes.contains(&pair.scope))
        .filter(|(pair, _)| policy.selector.may_select(&pair.cluster));
    let mut targets: Vec<Target> = active
        .map(|(pair, _)| Target {
            scope: pair.scope.clone(),
            cluster: Some(pair.cluster.clone()),
        })
        .collect();
    for cluster in policy.selector.certain() {
        if targets
            .iter()
            .any(|known| known.cluster.as_ref() == Some(cluster))
        {
            continue;
        }
        if policy.scopes.len() > 1 {
            notes.push(Note::Somewhere(policy.name.clone(), cluster.clone()));
        }
        targets.extend(policy.scopes.iter().map(|scope| Target {
            scope: scope.clone(),
            cluster: Some(cluster.clone()),
        }));
    }
    if is_unknown {
        for pattern in patterns(policy) {
            notes.push(Note::Pattern(policy.name.clone(), pattern));
            targets.extend(policy.scopes.iter().map(|scope| Target {
                scope: scope.clone(),
                cluster: None,
            }));
        }
    }
    targets
}

/// What may name clusters that nobody has seen: the globs, and the names that have to have tags.
fn patterns(policy: &Policy) -> Vec<String> {
    let selector = &policy.selector;
    let tagged = selector
        .unexcluded_literals()
        .filter(|_| !selector.cluster_tags.is_empty());
    let globs = selector.globs.iter().map(|glob| glob.pattern().to_owned());
    globs.chain(tagged.map(ToString::to_string)).collect()
}

/// What the pair holds now, and what AWS is being asked for.
fn kept(past: &Outline, pair: Option<&Pair>, policy: usize) -> Vec<Interval> {
    let Some(pair) = pair else {
        return Vec::new();
    };
    let kept = past.kept_of(pair).iter().map(|one| stay(one, policy));
    let open = past.open_of(pair);
    kept.chain(open.filter_map(|run| stay_to_come(run, policy)))
        .collect()
}

fn stay(kept: &Kept, policy: usize) -> Interval {
    let bytes = kept.incremental_megabytes;
    let bytes = bytes.map(|size| (size * 1_048_576.0).round());
    Interval {
        bytes: bytes
            .filter(|bytes| (0.0..9.0e18).contains(bytes))
            .map(|bytes| bytes as u64),
        ..interval(kept.scheduled_at, kept.tenure, kept.tier, policy)
    }
}

/// Of a run that has no outcome yet, unless it is to end without a snapshot.
fn stay_to_come(run: &Run, policy: usize) -> Option<Interval> {
    let from = match run.state {
        RunState::Concluding { .. } | RunState::Failing { .. } | RunState::Ended(_) => return None,
        RunState::Due | RunState::Waiting { .. } => run.request.starts_at,
        _ => run.slot.scheduled_at,
    };
    Some(interval(from, run.tenure(), run.request.tier, policy))
}

fn interval(from: DateTime<Utc>, tenure: Tenure, tier: Tier, policy: usize) -> Interval {
    Interval {
        from: from.timestamp(),
        // The guard and people change the period at AWS.
        until: timestamp(match tenure.created_at {
            Some(_) => tenure.end(),
            None => tenure.asked.end(from),
        }),
        tier,
        bytes: None,
        policy,
    }
}

/// The second of an end; [`FOREVER`] where there is none.
fn timestamp(end: Option<DateTime<Utc>>) -> i64 {
    end.map_or(FOREVER, |end| end.timestamp())
}

/// The coming slots of a policy, the same for all of its clusters.
struct Slots<'a> {
    policy: &'a Policy,
    instants: Vec<DateTime<Utc>>,
    has_tiers: bool,
}

impl<'a> Slots<'a> {
    fn of(policy: &'a Policy, now: DateTime<Utc>, until: DateTime<Utc>) -> Self {
        Self {
            policy,
            instants: policy.schedule.slots_between(now, until).collect(),
            has_tiers: policy.retention.longer_tiers().next().is_some(),
        }
    }

    /// The snapshots that the slots after `after` bring to one cluster, which holds `kept`.
    fn coming(
        &self,
        pair: Option<&Pair>,
        kept: &[Interval],
        after: DateTime<Utc>,
        policy: usize,
    ) -> Vec<Interval> {
        let first = self.instants.partition_point(|at| *at <= after);
        let mut tiers = Tiers::of(self.policy, kept);
        let slots = self.instants[first..].iter();
        let open = slots.filter(|at| !self.is_blacked_out(pair, **at));
        open.map(|at| {
            let tier = match self.has_tiers {
                true => tiers.next(*at),
                false => Tier::Base,
            };
            Interval {
                from: at.timestamp(),
                until: timestamp(self.policy.retention.of(tier).end(*at)),
                tier,
                bytes: None,
                policy,
            }
        })
        .collect()
    }

    /// Whether a blackout covers the slot's whole start window.
    fn is_blacked_out(&self, pair: Option<&Pair>, scheduled_at: DateTime<Utc>) -> bool {
        if self.policy.blackout.is_empty() {
            return false;
        }
        let timing = match pair.cloned() {
            Some(pair) => Some(Slot { pair, scheduled_at }.timing(self.policy)),
            None => timing_of_all(self.policy, scheduled_at),
        };
        timing.is_some_and(|timing| timing.starts_at.is_none())
    }
}

/// The tiers of one cluster's slots in their order.
struct Tiers<'a> {
    policy: &'a Policy,
    held: Vec<(TierSlot, i64)>,
    date: Option<NaiveDate>,
}

impl<'a> Tiers<'a> {
    fn of(policy: &'a Policy, kept: &[Interval]) -> Self {
        let longer = kept.iter().filter(|stay| stay.tier != Tier::Base);
        let held = longer.map(|stay| {
            let (scheduled_at, tier) = (instant(stay.from), stay.tier);
            (TierSlot { scheduled_at, tier }, stay.until)
        });
        Self {
            policy,
            held: held.collect(),
            date: None,
        }
    }

    /// The tier of the next slot, which from then on is held.
    ///
    /// Every period is made of whole dates, so that after the first slot of a date none is left open, as long
    /// as nothing expires.
    fn next(&mut self, at: DateTime<Utc>) -> Tier {
        let seconds = at.timestamp();
        let before = self.held.len();
        self.held.retain(|(_, until)| *until >= seconds);
        let zone = self.policy.schedule.timezone();
        let date = Some(zone.local(at).date_naive());
        if self.date == date && self.held.len() == before {
            return Tier::Base;
        }
        self.date = date;
        let held: Vec<TierSlot> = self.held.iter().map(|(held, _)| *held).collect();
        let tier = choose(self.policy, at, &held).tier;
        if tier != Tier::Base {
            let until = timestamp(self.policy.retention.of(tier).end(at));
            let scheduled_at = at;
            self.held.push((TierSlot { scheduled_at, tier }, until));
        }
        tier
    }
}
