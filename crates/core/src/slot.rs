//! Slots: which instants are due for which cluster.
//!
//! Owns: the identity of a scope, a pair and a slot. Never knows when a slot may start (`timing`) or what became of it
//! (`run`).

use std::fmt;

use chrono::{DateTime, SecondsFormat, Utc};

use crate::digest;
use crate::names::{AccountName, ClusterId, PolicyName, Region};

/// One account in one region: one API client, one rate budget, one listing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scope {
    /// The account's name in the policy file.
    pub account: AccountName,
    /// The AWS region.
    pub region: Region,
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.account, self.region)
    }
}

/// A policy applied to one cluster: the unit that is activated, paused and reported on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pair {
    /// The policy.
    pub policy: PolicyName,
    /// Where the cluster is.
    pub scope: Scope,
    /// The cluster.
    pub cluster: ClusterId,
}

impl fmt::Display for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} in {}", self.policy, self.cluster, self.scope)
    }
}

/// Which pairs are asked for: of each list that is not empty, the pair's name must be one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PairFilter {
    /// Of one of these policies.
    pub policies: Vec<PolicyName>,
    /// In one of these accounts.
    pub accounts: Vec<AccountName>,
    /// In one of these regions.
    pub regions: Vec<Region>,
    /// Of one of these clusters.
    pub clusters: Vec<ClusterId>,
}

impl PairFilter {
    /// Whether the pair is asked for.
    pub fn has(&self, pair: &Pair) -> bool {
        self.has_policy(&pair.policy)
            && self.has_scope(&pair.scope)
            && is_one_of(&self.clusters, &pair.cluster)
    }

    /// Whether pairs of the policy are asked for.
    pub fn has_policy(&self, policy: &PolicyName) -> bool {
        is_one_of(&self.policies, policy)
    }

    /// Whether pairs in the scope are asked for.
    pub fn has_scope(&self, scope: &Scope) -> bool {
        is_one_of(&self.accounts, &scope.account) && is_one_of(&self.regions, &scope.region)
    }

    /// Whether pairs of the cluster are asked for.
    pub fn has_cluster(&self, cluster: &ClusterId) -> bool {
        is_one_of(&self.clusters, cluster)
    }
}

fn is_one_of<T: PartialEq>(wanted: &[T], name: &T) -> bool {
    wanted.is_empty() || wanted.contains(name)
}

/// One instant at which one snapshot of one cluster is due.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot {
    /// What is due.
    pub pair: Pair,
    /// The nominal instant, before jitter.
    pub scheduled_at: DateTime<Utc>,
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.pair, rfc3339(self.scheduled_at))
    }
}

/// RFC 3339 in UTC with `Z` and whole seconds, the form of every instant that redkeep writes.
pub fn rfc3339(instant: DateTime<Utc>) -> String {
    instant.to_rfc3339_opts(SecondsFormat::Secs, true)
}

impl Slot {
    /// The slot as bytes that no change of wording moves, for what is random but repeatable: each part
    /// preceded by its length.
    pub fn seed(&self) -> Vec<u8> {
        let Scope { account, region } = &self.pair.scope;
        let instant = rfc3339(self.scheduled_at);
        let parts = [
            account.as_str(),
            region.as_str(),
            self.pair.policy.as_str(),
            self.pair.cluster.as_str(),
            &instant,
        ];
        digest::framed(parts)
    }
}
