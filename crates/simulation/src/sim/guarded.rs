//! I21: a pair that is configured and guarded is not left without a good snapshot by AWS's expiry.
//!
//! Owns: what good snapshots each pair had at the host's last complete listing, and since when nothing has kept the
//! host from acting. It reads tags and AWS's state only, none of redkeep's decisions.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use redkeep_core::slot::Scope;
use redkeep_core::snapshot::{Snapshot, tag};
use redkeep_policy_file::Config;

use super::aws::Aws;
use super::ledger::Ledger;

/// For how long after a trouble the guard may not have had its turn yet.
const TURN: TimeDelta = TimeDelta::hours(1);

/// What a host has seen of the snapshots that its pairs have.
#[derive(Default)]
pub struct Guarded {
    /// The last complete listing of each scope, in the order of the names.
    held: BTreeMap<Scope, Vec<Arc<Snapshot>>>,
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
        (scope, snapshots): (&Scope, &[Arc<Snapshot>]),
        (config, ledger): (&Config, &Ledger),
        aws: &Aws,
        now: DateTime<Utc>,
    ) {
        let before = self.held.insert(scope.clone(), snapshots.to_vec());
        let before = before.unwrap_or_default();
        if self.troubled_at.is_some_and(|at| now < at + TURN) {
            return;
        }
        let names: HashSet<&str> = names_of(snapshots.iter()).collect();
        let gone = before
            .iter()
            .filter(|one| !names.contains(one.snapshot_identifier.as_str()));
        for (policy, cluster) in gone.filter_map(|one| protected(one)) {
            let is_of = |one: &&Arc<Snapshot>| protected(one) == Some((policy, cluster));
            let last: Vec<&str> = names_of(before.iter().filter(is_of)).collect();
            let by_others = last.iter().any(|name| aws.deleted.contains(*name));
            // A cluster that was renamed goes on under the new name.
            let created_at = |one: &Snapshot| one.cluster_create_time;
            let incarnations: HashSet<_> = before
                .iter()
                .filter(is_of)
                .map(|one| created_at(one))
                .collect();
            let follows = |one: &Snapshot| {
                protected(one).is_some_and(|(other, _)| other == policy)
                    && incarnations.contains(&created_at(one))
            };
            let is_bare = !snapshots.iter().any(|one| is_of(&one))
                && !snapshots.iter().map(AsRef::as_ref).any(follows);
            assert!(
                !is_bare || by_others || !is_guarded((policy, scope, cluster), config, ledger, now),
                "I21: {policy} of {cluster} in {scope} is left with no good snapshot: {last:?} were the last"
            );
        }
    }
}

fn names_of<'a>(
    snapshots: impl Iterator<Item = &'a Arc<Snapshot>>,
) -> impl Iterator<Item = &'a str> {
    snapshots.map(|one| one.snapshot_identifier.as_str())
}

/// The policy and the cluster that a good snapshot protects, by its tags.
fn protected(one: &Snapshot) -> Option<(&str, &str)> {
    let tag = |key: &str| one.tags.get(key).map(String::as_str);
    let is_good = one.status.as_deref() == Some("available");
    tag(tag::POLICY).zip(tag(tag::CLUSTER)).filter(|_| is_good)
}

/// Whether the pair is configured, guarded, and not one whose cluster has been gone for as long as the guard keeps
/// what is left of it.
fn is_guarded(
    (policy, scope, cluster): (&str, &Scope, &str),
    config: &Config,
    ledger: &Ledger,
    now: DateTime<Utc>,
) -> bool {
    let mut configured = config.policies.iter();
    let Some(policy) = configured.find(|one| one.name.as_str() == policy) else {
        return false;
    };
    let mut pairs = ledger.pairs.iter();
    let pair = pairs.find(|(pair, _)| {
        pair.policy == policy.name && pair.scope == *scope && pair.cluster.as_str() == cluster
    });
    let Some((pair, state)) = pair else {
        return false;
    };
    // While the pair is active its policy names the cluster, whether that is there or not.
    let gone_at = state
        .closed_at
        .and(state.cluster_gone_at)
        .or(state.closed_at);
    let gone_for = gone_at.map_or(TimeDelta::zero(), |at| now - at);
    policy.protection.guard
        && policy.scopes.contains(scope)
        && policy.selector.may_select(&pair.cluster)
        && gone_for < policy.protection.guard_gone
}
