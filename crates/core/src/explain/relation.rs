//! Which policies touch a cluster, and which small thing keeps the others away.
//!
//! Owns: the comparison of a name with the policies and with the pairs that the history has. Never says that a
//! cluster exists: only a listing can.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use crate::history::{History, PairState};
use crate::names::{ClusterId, PolicyName};
use crate::policy::Policy;
use crate::settings::Config;
use crate::slot::{Pair, Scope, rfc3339};

/// A policy in one scope (or in all of its scopes), and what it is to the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The policy, which may be in the history only.
    pub policy: PolicyName,
    /// The scope; `None` where the cluster could be in any of the policy's scopes.
    pub scope: Option<Scope>,
    /// What the policy is to the cluster.
    pub relation: Relation,
}

/// What a policy is to a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Relation {
    /// The policy takes the cluster's snapshots.
    Touches {
        /// The identifier or pattern in the file that names the cluster.
        named_by: String,
        /// Since when; `None` before the daemon has made it active.
        active_since: Option<DateTime<Utc>>,
    },
    /// The policy does not, and little is missing.
    Nearly(Near),
}

/// What keeps a policy away from a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Near {
    /// `enabled = false`.
    Disabled,
    /// A pattern in `exclude`.
    Excluded(String),
    /// The cluster needs these tags, and no listing has shown it with them.
    Tags(String),
    /// The cluster was seen here, and the policy works elsewhere.
    Elsewhere(Vec<Scope>),
    /// No complete listing has shown a cluster of this name.
    NotSeen(String),
    /// The pair was closed at this instant, and the policy would take it up again.
    Closed(DateTime<Utc>),
    /// The policy named it before, and does not any more.
    NoLongerNamed,
    /// The policy is not in the file any more.
    Removed,
    /// A literal name in the file is one letter away.
    Misspelt(ClusterId),
}

impl Part {
    /// The pair, where the scope is known.
    pub fn pair(&self, cluster: &ClusterId) -> Option<Pair> {
        Some(Pair {
            policy: self.policy.clone(),
            scope: self.scope.clone()?,
            cluster: cluster.clone(),
        })
    }
}

impl Relation {
    /// Whether the policy takes the cluster's snapshots.
    pub fn touches(&self) -> bool {
        matches!(self, Self::Touches { .. })
    }

    /// The relation in words, to follow the policy's name.
    pub fn words(&self) -> String {
        match self {
            Self::Touches {
                named_by,
                active_since: Some(since),
            } => format!("selected by {named_by:?}; active since {}", rfc3339(*since)),
            Self::Touches { named_by, .. } => format!(
                "selected by {named_by:?}; not active yet: a running daemon activates it when AWS has answered and, \
                 for a pattern, a listing has shown the cluster"
            ),
            Self::Nearly(near) => near.words(),
        }
    }
}

impl Near {
    fn words(&self) -> String {
        match self {
            Self::Disabled => "the policy is disabled (`enabled = false`)".to_owned(),
            Self::Excluded(pattern) => format!("left out by `exclude`: {pattern:?} matches it"),
            Self::Tags(wanted) => format!(
                "the policy selects only clusters with the tags {wanted} (`cluster_tags`), and no listing has shown \
                 the cluster with them"
            ),
            Self::Elsewhere(seen) => format!(
                "the cluster was seen in {}, which the policy does not include (`accounts`, `regions`)",
                joined(seen)
            ),
            Self::NotSeen(named_by) => format!(
                "{named_by:?} would select it, but no complete listing has shown a cluster of this name"
            ),
            Self::Closed(at) => format!(
                "inactive since {}: complete listings have not shown the cluster since then (deleted, renamed, or \
                 its tags changed); it becomes active again when the cluster reappears",
                rfc3339(*at)
            ),
            Self::NoLongerNamed => "`clusters` no longer selects it".to_owned(),
            Self::Removed => "the policy is no longer in the file".to_owned(),
            Self::Misspelt(literal) => {
                format!("`clusters` names {:?}, one letter away", literal.as_str())
            }
        }
    }
}

fn joined(scopes: &[Scope]) -> String {
    let told: Vec<String> = scopes.iter().map(Scope::to_string).collect();
    told.join(", ")
}

/// What every policy is to `cluster`, in the order of the file; policies that have nothing to do with it are
/// left out, and those that only the history knows come last.
///
/// `history` is `None` where no daemon has run yet: then a name that matches is enough.
pub fn relations(config: &Config, history: Option<&History>, cluster: &ClusterId) -> Vec<Part> {
    let pairs = history.map_or_else(BTreeMap::new, |history| pairs_of(history, cluster));
    let configured = config
        .policies
        .iter()
        .flat_map(|policy| of_policy(policy, history.is_some(), &pairs, cluster));
    let removed = pairs
        .keys()
        .filter(|pair| config.policy(&pair.policy).is_none())
        .map(|pair| part(&pair.policy, Some(&pair.scope), Near::Removed));
    configured.chain(removed).collect()
}

fn part(policy: &PolicyName, scope: Option<&Scope>, near: Near) -> Part {
    Part {
        policy: policy.clone(),
        scope: scope.cloned(),
        relation: Relation::Nearly(near),
    }
}

type Pairs<'a> = BTreeMap<&'a Pair, &'a PairState>;

fn pairs_of<'a>(history: &'a History, cluster: &ClusterId) -> Pairs<'a> {
    let pairs = history.pairs.iter();
    pairs.filter(|(pair, _)| pair.cluster == *cluster).collect()
}

fn of_policy(
    policy: &Policy,
    has_history: bool,
    pairs: &Pairs<'_>,
    cluster: &ClusterId,
) -> Vec<Part> {
    let known: Vec<Part> = pairs
        .iter()
        .filter(|(pair, _)| pair.policy == policy.name)
        .map(|(pair, state)| Part {
            policy: policy.name.clone(),
            scope: Some(pair.scope.clone()),
            relation: of_pair(policy, pair, state),
        })
        .collect();
    if !known.is_empty() {
        return known;
    }
    let relation = of_name(policy, has_history, pairs, cluster);
    let scope = Some(&policy.scopes).filter(|scopes| scopes.len() == 1);
    relation
        .map(|relation| Part {
            policy: policy.name.clone(),
            scope: scope.and_then(|scopes| scopes.first()).cloned(),
            relation,
        })
        .into_iter()
        .collect()
}

/// Of a policy that has had the cluster.
fn of_pair(policy: &Policy, pair: &Pair, state: &PairState) -> Relation {
    let selector = &policy.selector;
    let Some(named_by) = selector.named_by(&pair.cluster) else {
        return Relation::Nearly(Near::NoLongerNamed);
    };
    Relation::Nearly(if let Some(pattern) = selector.excluded_by(&pair.cluster) {
        Near::Excluded(pattern.to_owned())
    } else if !policy.enabled {
        Near::Disabled
    } else if !policy.scopes.contains(&pair.scope) {
        Near::Elsewhere(vec![pair.scope.clone()])
    } else if let Some(at) = state.closed_at {
        Near::Closed(at)
    } else {
        return Relation::Touches {
            named_by: named_by.to_owned(),
            active_since: Some(state.active_from),
        };
    })
}

/// Of a policy that never had the cluster; `None` where it has nothing to do with it.
fn of_name(
    policy: &Policy,
    has_history: bool,
    pairs: &Pairs<'_>,
    cluster: &ClusterId,
) -> Option<Relation> {
    let selector = &policy.selector;
    let Some(named_by) = selector.named_by(cluster) else {
        return misspelt(policy, cluster);
    };
    let is_certain = policy.scopes.len() == 1 && selector.certain().any(|named| named == cluster);
    let elsewhere = seen_elsewhere(policy, pairs);
    Some(Relation::Nearly(
        if let Some(pattern) = selector.excluded_by(cluster) {
            Near::Excluded(pattern.to_owned())
        } else if !policy.enabled {
            Near::Disabled
        } else if !elsewhere.is_empty() && !is_certain {
            Near::Elsewhere(elsewhere)
        } else if !selector.cluster_tags.is_empty() {
            Near::Tags(wanted_tags(policy))
        } else if has_history && !is_certain {
            Near::NotSeen(named_by.to_owned())
        } else {
            return Some(Relation::Touches {
                named_by: named_by.to_owned(),
                active_since: None,
            });
        },
    ))
}

/// Where other policies have the cluster, if that is nowhere that this one works.
fn seen_elsewhere(policy: &Policy, pairs: &Pairs<'_>) -> Vec<Scope> {
    let active = pairs.iter().filter(|(_, state)| state.is_active());
    let mut seen: Vec<Scope> = active.map(|(pair, _)| pair.scope.clone()).collect();
    seen.sort();
    seen.dedup();
    match seen.iter().any(|scope| policy.scopes.contains(scope)) {
        true => Vec::new(),
        false => seen,
    }
}

fn wanted_tags(policy: &Policy) -> String {
    let tags = policy.selector.cluster_tags.iter();
    let told: Vec<String> = tags.map(|(key, value)| format!("{key}={value}")).collect();
    told.join(", ")
}

fn misspelt(policy: &Policy, cluster: &ClusterId) -> Option<Relation> {
    let literals = policy.selector.literals.iter();
    let mut near = literals
        .filter(|literal| strsim::damerau_levenshtein(literal.as_str(), cluster.as_str()) == 1);
    near.next()
        .map(|literal| Relation::Nearly(Near::Misspelt(literal.clone())))
}
