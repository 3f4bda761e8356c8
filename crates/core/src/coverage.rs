//! Coverage: the clusters that nothing protects, and the policies that protect nothing.
//!
//! Owns: what counts as unprotected, for `redkeep coverage` and for the daemon's metric alike. Pure: it decides from
//! listings that somebody else has made. A paused policy protects still; its pause is told elsewhere.

use std::collections::BTreeMap;

use crate::history::History;
use crate::names::{ClusterId, PolicyName};
use crate::policy::Policy;
use crate::redshift::Cluster;
use crate::settings::Config;
use crate::slot::{Pair, Scope};
use crate::suggest::nearest;

/// The clusters of each scope, or why they are not known.
pub type Seen = BTreeMap<Scope, Result<Vec<Cluster>, String>>;

/// Something that an operator who wants every cluster protected should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// No enabled policy selects the cluster.
    Unprotected {
        /// Where the cluster is.
        scope: Scope,
        /// The cluster.
        cluster: ClusterId,
        /// A policy that would, were it enabled.
        disabled: Option<PolicyName>,
    },
    /// A policy selects the cluster, and there is no good snapshot of it yet.
    NoGoodSnapshot(Pair),
    /// The policy selects no cluster in any of its scopes.
    MatchesNothing(PolicyName),
    /// The policy names a cluster that is in none of its scopes; one there has nearly that name, perhaps.
    NoSuchCluster(PolicyName, ClusterId, Option<ClusterId>),
    /// What the scope has is not known.
    NotSeen(Scope, String),
}

impl Finding {
    /// The bare word of the JSON contract.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Unprotected { .. } => "unprotected",
            Self::NoGoodSnapshot(_) => "no_good_snapshot",
            Self::MatchesNothing(_) => "matches_nothing",
            Self::NoSuchCluster(..) => "no_such_cluster",
            Self::NotSeen(..) => "not_seen",
        }
    }

    /// What is to be said of it, for people.
    pub fn words(&self) -> String {
        match self {
            Self::Unprotected { disabled: None, .. } => "no policy selects it".to_owned(),
            Self::Unprotected {
                disabled: Some(policy),
                ..
            } => format!("only the policy {policy} selects it, and that policy is disabled"),
            Self::NoGoodSnapshot(_) => "it has no good snapshot of this policy yet".to_owned(),
            Self::MatchesNothing(_) => "the policy selects no cluster anywhere".to_owned(),
            Self::NoSuchCluster(_, _, near) => {
                let said = "the policy names it, and no cluster of that name has the policy's tags";
                match near {
                    Some(near) => format!("{said}; did you mean {near}?"),
                    None => said.to_owned(),
                }
            }
            Self::NotSeen(_, why) => why.clone(),
        }
    }
}

/// Of `clusters`, those that no enabled policy selects in the scope.
pub fn unprotected<'a>(
    config: &'a Config,
    scope: &'a Scope,
    clusters: impl IntoIterator<Item = &'a Cluster>,
) -> impl Iterator<Item = &'a Cluster> {
    clusters.into_iter().filter(move |cluster| {
        let mut selecting = selecting(config, scope, cluster);
        !selecting.any(|policy| policy.enabled)
    })
}

fn selecting<'a>(
    config: &'a Config,
    scope: &'a Scope,
    cluster: &'a Cluster,
) -> impl Iterator<Item = &'a Policy> {
    config.policies.iter().filter(move |policy| {
        policy.scopes.contains(scope) && policy.selector.selects(&cluster.id, &cluster.tags)
    })
}

/// Everything that is to be said of what was seen: what is not known, unprotected clusters, clusters without a
/// snapshot, and policies without a cluster.
pub fn findings(config: &Config, history: &History, seen: &Seen) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (scope, clusters) in seen {
        match clusters {
            Err(why) => findings.push(Finding::NotSeen(scope.clone(), why.clone())),
            Ok(clusters) => findings.extend(of_scope(config, scope, clusters)),
        }
    }
    for policy in config.policies.iter().filter(|policy| policy.enabled) {
        findings.extend(without_snapshot(history, policy, seen).map(Finding::NoGoodSnapshot));
    }
    for policy in config.policies.iter().filter(|policy| policy.enabled) {
        findings.extend(of_policy(policy, seen));
    }
    findings
}

fn of_scope<'a>(
    config: &'a Config,
    scope: &'a Scope,
    clusters: &'a [Cluster],
) -> impl Iterator<Item = Finding> + 'a {
    unprotected(config, scope, clusters).map(|cluster| Finding::Unprotected {
        scope: scope.clone(),
        cluster: cluster.id.clone(),
        disabled: selecting(config, scope, cluster)
            .next()
            .map(|policy| policy.name.clone()),
    })
}

/// The clusters that were seen and that the policy selects, with where they are.
fn selected<'a>(
    policy: &'a Policy,
    seen: &'a Seen,
) -> impl Iterator<Item = (&'a Scope, &'a Cluster)> {
    let of_policy = seen
        .iter()
        .filter(|(scope, _)| policy.scopes.contains(scope));
    of_policy
        .flat_map(|(scope, clusters)| clusters.iter().flatten().map(move |one| (scope, one)))
        .filter(|(_, cluster)| policy.selector.selects(&cluster.id, &cluster.tags))
}

fn without_snapshot<'a>(
    history: &'a History,
    policy: &'a Policy,
    seen: &'a Seen,
) -> impl Iterator<Item = Pair> + 'a {
    let pairs = selected(policy, seen).map(|(scope, cluster)| Pair {
        policy: policy.name.clone(),
        scope: scope.clone(),
        cluster: cluster.id.clone(),
    });
    pairs.filter(|pair| history.last_good(pair).is_none())
}

/// What the policy's own words name in vain; nothing can be said before all of its scopes were seen.
fn of_policy(policy: &Policy, seen: &Seen) -> Vec<Finding> {
    let is_seen = |scope| seen.get(scope).is_some_and(|clusters| clusters.is_ok());
    if !policy.scopes.iter().all(is_seen) {
        return Vec::new();
    }
    let selects_nothing = selected(policy, seen).next().is_none();
    let nothing = selects_nothing.then(|| Finding::MatchesNothing(policy.name.clone()));
    let is_there = |name: &&ClusterId| selected(policy, seen).any(|(_, one)| one.id == **name);
    let literals = policy.selector.unexcluded_literals();
    let missing = literals.filter(|name| !is_there(name)).map(|name| {
        let others = policy.scopes.iter().filter_map(|scope| seen.get(scope));
        let others = others.flatten().flatten().map(|cluster| &cluster.id);
        let near = nearest_cluster(name, others).cloned();
        Finding::NoSuchCluster(policy.name.clone(), name.clone(), near)
    });
    nothing.into_iter().chain(missing).collect()
}

/// The cluster that a misspelt name most likely stands for.
pub fn nearest_cluster<'a>(
    name: &ClusterId,
    clusters: impl IntoIterator<Item = &'a ClusterId>,
) -> Option<&'a ClusterId> {
    let others: Vec<&ClusterId> = clusters.into_iter().filter(|id| *id != name).collect();
    let near = nearest(name.as_str(), others.iter().map(|id| id.as_str()))?;
    others.into_iter().find(|id| id.as_str() == near)
}

#[cfg(test)]
mod tests;
