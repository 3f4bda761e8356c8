//! I21: a pair that is configured and guarded is not left without a good snapshot by AWS's expiry.
//!
//! Owns: what good snapshots each pair had at the host's last complete listing, and since when nothing has kept the
//! host from acting. It reads tags and AWS's state only, none of redkeep's decisions.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use redkeep::config::Config;
use redkeep::snapshot::{Snapshot, tag};

use super::aws::Aws;
use super::journal::Ledger;

/// So soon after a trouble the guard may not have had its turn yet.
const TURN: TimeDelta = TimeDelta::hours(1);

/// A policy and a cluster, by the tags of their snapshots.
type Protected = (String, String);

/// What a host has seen of the good snapshots that its pairs have.
#[derive(Default)]
pub struct Guarded {
    held: BTreeMap<Protected, BTreeSet<String>>,
    troubled_at: Option<DateTime<Utc>>,
}

impl Guarded {
    /// Something keeps the host from acting at `now`, which is true time, or has just ended to.
    pub fn troubled(&mut self, now: DateTime<Utc>) {
        self.troubled_at = Some(now);
    }

    /// Takes a complete listing in, of which none may show that a pair was left bare.
    pub fn listed(
        &mut self,
        snapshots: &[Arc<Snapshot>],
        (config, ledger): (&Config, &Ledger),
        aws: &Aws,
        now: DateTime<Utc>,
    ) {
        let held = held(snapshots);
        let before = std::mem::replace(&mut self.held, held);
        if self.troubled_at.is_some_and(|at| now < at + TURN) {
            return;
        }
        for ((policy, cluster), names) in before {
            let by_others = names.iter().any(|name| aws.deleted.contains(name));
            let is_bare = !self.held.contains_key(&(policy.clone(), cluster.clone()));
            assert!(
                !is_bare || by_others || !is_guarded(&policy, &cluster, config, ledger, now),
                "I21: {policy} of {cluster} is left with no good snapshot: {names:?} were the last"
            );
        }
    }
}

fn held(snapshots: &[Arc<Snapshot>]) -> BTreeMap<Protected, BTreeSet<String>> {
    let mut held: BTreeMap<Protected, BTreeSet<String>> = BTreeMap::new();
    for one in snapshots {
        let tag = |key: &str| one.tags.get(key).cloned();
        let is_good = one.status.as_deref() == Some("available");
        if let (Some(policy), Some(cluster), true) = (tag(tag::POLICY), tag(tag::CLUSTER), is_good)
        {
            let names = held.entry((policy, cluster)).or_default();
            names.insert(one.snapshot_identifier.clone());
        }
    }
    held
}

/// Whether the pair is configured, guarded, and not one whose cluster has been gone for as long as the guard keeps
/// what is left of it.
fn is_guarded(
    policy: &str,
    cluster: &str,
    config: &Config,
    ledger: &Ledger,
    now: DateTime<Utc>,
) -> bool {
    let mut configured = config.policies.iter();
    let Some(policy) = configured.find(|one| one.name.as_str() == policy) else {
        return false;
    };
    let mut pairs = ledger.pairs.iter();
    let pair =
        pairs.find(|(pair, _)| pair.policy == policy.name && pair.cluster.as_str() == cluster);
    let Some((pair, state)) = pair else {
        return false;
    };
    let gone_for = state.closed_at.map_or(TimeDelta::zero(), |at| now - at);
    policy.protection.guard
        && policy.selector.may_select(&pair.cluster)
        && gone_for < policy.protection.guard_gone
}
