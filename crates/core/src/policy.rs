//! Policies: which clusters, when, how long kept.
//!
//! Owns: [`Policy`] and the selection of clusters by identifier, glob, tag and exclusion. Never asks AWS
//! and never reads a file: `config` makes policies, `plan` applies them to what was observed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::TimeDelta;
use globset::{Glob, GlobMatcher};

use crate::names::Tier;
use crate::names::{AccountName, ClusterId, PolicyName, Region, Retention, Tags};
use crate::schedule::{Blackout, Schedule};
use crate::slot::Scope;

/// A named rule, valid in itself and within its configuration.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Unique within the configuration.
    pub name: PolicyName,
    /// When, and in which time zone.
    pub schedule: Schedule,
    /// Which clusters.
    pub selector: Selector,
    /// The scopes in which it applies, in the order of the file.
    pub scopes: Vec<Scope>,
    /// How long AWS keeps each snapshot.
    pub retention: Retentions,
    /// The policy's own tags, put on every snapshot beside redkeep's.
    pub tags: Tags,
    /// The most by which a slot's start is delayed.
    pub jitter: TimeDelta,
    /// How long after its instant a slot may start; `None` takes the default from the interval.
    pub start_window: Option<TimeDelta>,
    /// Past this a snapshot that is still `creating` raises an alarm and no longer blocks.
    pub completion_window: TimeDelta,
    /// Whether a slot that could not start promptly is still made inside its start window.
    pub catch_up: bool,
    /// The blackouts that the policy keeps to.
    pub blackout: Vec<Arc<Blackout>>,
    /// A disabled policy starts nothing and keeps its history.
    pub enabled: bool,
    /// The age that the newest good snapshot may reach before that is an alarm.
    pub rpo: Option<TimeDelta>,
    /// What is kept from going.
    pub protection: Protection,
}

/// Which snapshots are kept from expiring, and which are deleted before they do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Protection {
    /// How many of a pair's newest good snapshots are kept; at least 1.
    pub min_good: usize,
    /// Whether their expiry is put off while no newer one comes.
    pub guard: bool,
    /// For how long, where the cluster no longer exists.
    pub guard_gone: TimeDelta,
    /// Base-tier snapshots beyond so many are deleted; `None` deletes nothing. At least `min_good`.
    pub keep_last: Option<usize>,
}

impl Default for Protection {
    fn default() -> Self {
        Policy::PROTECTION
    }
}

/// What holds where the policy file does not say, the one place of each default.
impl Policy {
    /// Of `jitter`.
    pub const JITTER: TimeDelta = TimeDelta::zero();
    /// Of `completion_window`.
    pub const COMPLETION_WINDOW: TimeDelta = TimeDelta::hours(24);
    /// Of `catch_up`.
    pub const CATCH_UP: bool = true;
    /// Of `enabled`.
    pub const ENABLED: bool = true;
    /// Of the keys that keep snapshots from going.
    pub const PROTECTION: Protection = Protection {
        min_good: 2,
        guard: true,
        guard_gone: TimeDelta::days(90),
        keep_last: None,
    };

    /// A policy that says no more than it must. It is for no cluster yet.
    pub fn new(name: PolicyName, schedule: Schedule, retention: Retentions) -> Self {
        Self {
            name,
            schedule,
            selector: Selector::default(),
            scopes: Vec::new(),
            retention,
            tags: Tags::new(),
            jitter: Self::JITTER,
            start_window: None,
            completion_window: Self::COMPLETION_WINDOW,
            catch_up: Self::CATCH_UP,
            blackout: Vec::new(),
            enabled: Self::ENABLED,
            rpo: None,
            protection: Self::PROTECTION,
        }
    }
}

impl Policy {
    /// Whether redkeep deletes snapshots of it: `keep_last` says so.
    pub fn prunes(&self) -> bool {
        self.protection.keep_last.is_some()
    }

    /// Whether both are due at the same times for the same clusters.
    pub fn is_due_like(&self, other: &Self) -> bool {
        let of = |one: &Self| {
            let zone = one.schedule.timezone().name().to_owned();
            let when = (one.enabled, one.schedule.expression().to_owned(), zone);
            (when, one.scopes.clone(), one.selector.written())
        };
        of(self) == of(other)
    }

    /// Its own schedule and those of its blackouts.
    pub fn schedules(&self) -> impl Iterator<Item = &Schedule> {
        let of_blackouts = self.blackout.iter().map(|blackout| &blackout.schedule);
        std::iter::once(&self.schedule).chain(of_blackouts)
    }

    /// The same policy with what `change` makes of each of its schedules.
    pub fn with_schedules(&self, change: impl Fn(&Schedule) -> Schedule) -> Self {
        let changed = |blackout: &Arc<Blackout>| {
            Arc::new(Blackout {
                schedule: change(&blackout.schedule),
                ..Blackout::clone(blackout)
            })
        };
        Self {
            schedule: change(&self.schedule),
            blackout: self.blackout.iter().map(changed).collect(),
            ..self.clone()
        }
    }

    /// The blackouts by reference, as the schedule functions take them.
    pub fn blackouts(&self) -> Vec<&Blackout> {
        self.blackout.iter().map(Arc::as_ref).collect()
    }
}

/// How long AWS keeps the snapshots of each tier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retentions {
    base: Retention,
    longer: BTreeMap<Tier, Retention>,
}

impl From<Retention> for Retentions {
    /// One period for all.
    fn from(base: Retention) -> Self {
        let longer = BTreeMap::new();
        Self { base, longer }
    }
}

impl Retentions {
    /// The same with a longer tier.
    #[must_use]
    pub fn with(mut self, tier: Tier, retention: Retention) -> Self {
        self.longer.insert(tier, retention);
        self
    }

    /// How long a snapshot of `tier` is kept.
    pub fn of(&self, tier: Tier) -> Retention {
        self.longer.get(&tier).copied().unwrap_or(self.base)
    }

    /// The tiers beside the base tier, the longest first.
    pub fn longer_tiers(&self) -> impl Iterator<Item = Tier> {
        self.longer.keys().rev().copied()
    }
}

/// A glob over cluster identifiers, as written in the file.
#[derive(Debug, Clone)]
pub struct ClusterGlob(GlobMatcher);

impl ClusterGlob {
    /// Compiles a pattern with `*`, `?`, `[…]` and `{…}`.
    pub fn parse(pattern: &str) -> Result<Self, globset::Error> {
        Glob::new(pattern).map(|glob| Self(glob.compile_matcher()))
    }

    /// The pattern as written.
    pub fn pattern(&self) -> &str {
        self.0.glob().glob()
    }

    /// Whether the cluster's identifier is one that it matches.
    pub fn matches(&self, cluster: &ClusterId) -> bool {
        self.0.is_match(cluster.as_str())
    }
}

/// Which clusters a policy is for.
#[derive(Debug, Clone, Default)]
pub struct Selector {
    /// Clusters named literally.
    pub literals: BTreeSet<ClusterId>,
    /// Patterns of cluster identifiers.
    pub globs: Vec<ClusterGlob>,
    /// Tags that a cluster must all have.
    pub cluster_tags: Tags,
    /// Patterns of clusters left out, whatever else matches.
    pub exclude: Vec<ClusterGlob>,
}

impl Selector {
    /// Whether a cluster with these tags, seen in a listing, is selected.
    pub fn selects(&self, cluster: &ClusterId, tags: &Tags) -> bool {
        let tagged = self
            .cluster_tags
            .iter()
            .all(|(key, value)| tags.get(key) == Some(value));
        self.named_by(cluster).is_some() && tagged && !self.excludes(cluster)
    }

    /// The identifier or pattern in `clusters` that names the cluster, as written in the file.
    pub fn named_by(&self, cluster: &ClusterId) -> Option<&str> {
        let literal = self.literals.get(cluster).map(ClusterId::as_str);
        literal.or_else(|| first_match(&self.globs, cluster))
    }

    /// The pattern in `exclude` that leaves the cluster out.
    pub fn excluded_by(&self, cluster: &ClusterId) -> Option<&str> {
        first_match(&self.exclude, cluster)
    }

    /// The clusters that are selected without having been seen: named literally, not excluded, and no
    /// tag to look for.
    pub fn certain(&self) -> impl Iterator<Item = &ClusterId> {
        self.unexcluded_literals()
            .filter(|_| self.cluster_tags.is_empty())
    }

    /// The clusters named literally that no exclusion takes away again.
    pub fn unexcluded_literals(&self) -> impl Iterator<Item = &ClusterId> {
        self.literals
            .iter()
            .filter(|cluster| !self.excludes(cluster))
    }

    /// Whether a cluster of this name may be selected, whatever its tags are.
    pub fn may_select(&self, cluster: &ClusterId) -> bool {
        self.selects(cluster, &self.cluster_tags)
    }

    /// Everything as it was written.
    fn written(&self) -> (Vec<String>, Vec<String>, Tags) {
        let patterns = |globs: &[ClusterGlob]| -> Vec<String> {
            globs.iter().map(|glob| glob.pattern().to_owned()).collect()
        };
        let literals = self.literals.iter().map(ToString::to_string);
        let named = literals.chain(patterns(&self.globs)).collect();
        (named, patterns(&self.exclude), self.cluster_tags.clone())
    }

    fn excludes(&self, cluster: &ClusterId) -> bool {
        self.excluded_by(cluster).is_some()
    }
}

fn first_match<'a>(globs: &'a [ClusterGlob], cluster: &ClusterId) -> Option<&'a str> {
    let glob = globs.iter().find(|glob| glob.matches(cluster))?;
    Some(glob.pattern())
}

/// A name for credentials and the regions to use them in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Unique within the configuration.
    pub name: AccountName,
    /// The regions to work in, at least one.
    pub regions: Vec<Region>,
    /// The quota of manual snapshots in each region.
    pub snapshot_quota: u32,
    /// The most requests a second that are sent to AWS in each region.
    pub max_requests_per_second: u32,
    /// Whose credentials are used.
    pub identity: CredentialSource,
}

/// Whose credentials an account's calls are signed with. No secret is in it: the SDK finds those.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct CredentialSource {
    /// A profile of the AWS configuration files; `None` takes the SDK's default chain.
    pub profile: Option<String>,
    /// The role that is assumed with those credentials.
    pub role: Option<Role>,
}

/// A role to assume ("AssumeRole" in the STS API reference).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Role {
    /// Its ARN.
    pub arn: String,
    /// The external id that its trust policy wants.
    pub external_id: Option<String>,
    /// The name of the sessions; `None` takes the namespace.
    pub session_name: Option<String>,
}

impl Role {
    /// The number of the AWS account that the role is in.
    pub fn account_number(&self) -> Option<&str> {
        self.arn.split(':').nth(4)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selector(clusters: &[&str], exclude: &[&str], tags: &[(&str, &str)]) -> Selector {
        let globs = |patterns: &[&str]| -> Vec<ClusterGlob> {
            patterns
                .iter()
                .map(|pattern| ClusterGlob::parse(pattern).unwrap())
                .collect()
        };
        let (patterns, literals): (Vec<&str>, Vec<&str>) =
            clusters.iter().partition(|name| name.contains('*'));
        Selector {
            literals: literals.iter().map(|name| name.parse().unwrap()).collect(),
            globs: globs(&patterns),
            cluster_tags: tags
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect(),
            exclude: globs(exclude),
        }
    }

    fn selects(selector: &Selector, cluster: &str, tags: &[(&str, &str)]) -> bool {
        let tags = tags
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        selector.selects(&cluster.parse().unwrap(), &tags)
    }

    #[test]
    fn an_exclusion_beats_a_literal_name_and_a_glob() {
        let selector = selector(&["dw-*", "finance"], &["dw-scratch*", "fin*"], &[]);
        assert!(selects(&selector, "dw-prod", &[]));
        assert!(!selects(&selector, "dw-scratch-1", &[]));
        assert!(!selects(&selector, "finance", &[]));
        assert_eq!(selector.certain().count(), 0);
    }

    #[test]
    fn every_tag_given_must_match_exactly() {
        let selector = selector(&["*"], &[], &[("env", "prod"), ("team", "data")]);
        assert!(selects(
            &selector,
            "dw",
            &[("env", "prod"), ("team", "data"), ("x", "y")]
        ));
        assert!(!selects(&selector, "dw", &[("env", "prod")]));
        assert!(!selects(
            &selector,
            "dw",
            &[("env", "prod"), ("team", "Data")]
        ));
    }

    #[test]
    fn a_literal_name_with_tags_to_look_for_is_not_certain() {
        assert_eq!(selector(&["finance"], &[], &[]).certain().count(), 1);
        assert_eq!(
            selector(&["finance"], &[], &[("a", "b")]).certain().count(),
            0
        );
    }
}
