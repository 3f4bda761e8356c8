//! An AWS account: regions, and in each its clusters, snapshots and events.
//!
//! Owns: what there is, what has gone by itself by `now`, and names (ARNs). Never reads a clock, never
//! logs, never does I/O. Time moves states without anybody's help: an instant at which something will
//! change is stored when it becomes known, and every look derives the present from it. So reading
//! changes nothing, and a restart needs no catching up.

use std::borrow::Cow;
use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::cluster::Cluster;
use super::error::{ApiError, Code};
use super::event::Event;
use super::snapshot::Snapshot;
use crate::names::partition;

/// How long events are kept (DescribeEvents: "for the past 14 days").
const EVENT_RETENTION: TimeDelta = TimeDelta::days(14);

/// Quotas and durations of the account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AccountLimits {
    /// Manual snapshots per region; 20 by default, as the Redshift Management Guide's quotas say.
    pub manual_snapshots: u32,
    /// Clusters per region; generous, because its default quota is not what is being tried here.
    pub clusters: u32,
    /// How long a snapshot is `creating`.
    pub snapshot_seconds: u32,
    /// How long a cluster is `creating`, `pausing`, `resuming`, `renaming` or `deleting`.
    pub cluster_seconds: u32,
}

impl Default for AccountLimits {
    fn default() -> Self {
        Self {
            manual_snapshots: 20,
            clusters: 1_000,
            snapshot_seconds: 5,
            cluster_seconds: 5,
        }
    }
}

impl AccountLimits {
    /// When a snapshot that begins at `now` is complete.
    pub fn snapshot_done_at(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        now + TimeDelta::seconds(self.snapshot_seconds.into())
    }

    /// When a change of a cluster that begins at `now` is complete.
    pub fn cluster_done_at(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        now + TimeDelta::seconds(self.cluster_seconds.into())
    }
}

/// What to change of an account's limits; what is `None` stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LimitsChange {
    /// See [`AccountLimits::manual_snapshots`].
    pub manual_snapshots: Option<u32>,
    /// See [`AccountLimits::clusters`].
    pub clusters: Option<u32>,
    /// See [`AccountLimits::snapshot_seconds`].
    pub snapshot_seconds: Option<u32>,
    /// See [`AccountLimits::cluster_seconds`].
    pub cluster_seconds: Option<u32>,
}

impl LimitsChange {
    /// Makes the change.
    pub fn apply(&self, limits: &mut AccountLimits) {
        let change = |limit: &mut u32, to: Option<u32>| *limit = to.unwrap_or(*limit);
        change(&mut limits.manual_snapshots, self.manual_snapshots);
        change(&mut limits.clusters, self.clusters);
        change(&mut limits.snapshot_seconds, self.snapshot_seconds);
        change(&mut limits.cluster_seconds, self.cluster_seconds);
    }
}

/// The whole state behind one account number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Account {
    /// Twelve digits.
    pub account_id: String,
    /// Quotas and durations.
    pub limits: AccountLimits,
    /// Regions by name; one that holds nothing is absent.
    pub regions: BTreeMap<String, Region>,
}

/// What one region holds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Region {
    /// Clusters by identifier; look through [`Region::clusters_at`], which knows which are gone.
    pub clusters: BTreeMap<String, Cluster>,
    /// Snapshots by identifier; look through [`Region::snapshots_at`], which knows which have expired.
    pub snapshots: BTreeMap<String, Snapshot>,
    /// Events in the order they were written; some lie in the future.
    pub events: Vec<Event>,
}

impl Account {
    /// An account that holds nothing.
    pub fn new(account_id: String, limits: AccountLimits) -> Self {
        Self {
            account_id,
            limits,
            regions: BTreeMap::new(),
        }
    }

    /// A region to look at; `None` when it holds nothing.
    pub fn region(&self, name: &str) -> Option<&Region> {
        self.regions.get(name)
    }

    /// A region as it is at `now`: a copy where a cluster has come to its new name since the last change.
    pub fn region_at(&self, name: &str, now: DateTime<Utc>) -> Cow<'_, Region> {
        match self.regions.get(name) {
            None => Cow::Owned(Region::default()),
            Some(region) if region.has_renamed(now) => {
                let mut region = region.clone();
                region.follow_renames(now);
                Cow::Owned(region)
            }
            Some(region) => Cow::Borrowed(region),
        }
    }

    /// A region to change, with what has gone by `now` swept out.
    pub fn region_mut(&mut self, name: &str, now: DateTime<Utc>) -> &mut Region {
        let region = self.regions.entry(name.to_owned()).or_default();
        region.sweep(now);
        region
    }

    /// An Amazon Resource Name of this account, in the partition of `region`.
    pub fn arn(&self, region: &str, resource: &str) -> String {
        let partition = partition(region);
        format!(
            "arn:{partition}:redshift:{region}:{}:{resource}",
            self.account_id
        )
    }
}

impl Region {
    /// The snapshots that a Describe sees at `now`, by identifier.
    pub fn snapshots_at(&self, now: DateTime<Utc>) -> impl Iterator<Item = &Snapshot> {
        self.snapshots
            .values()
            .filter(move |snapshot| !snapshot.has_expired(now) && snapshot.visible_from <= now)
    }

    /// The clusters whose deletion is not complete at `now`, by identifier.
    pub fn clusters_at(&self, now: DateTime<Utc>) -> impl Iterator<Item = &Cluster> {
        self.clusters
            .values()
            .filter(move |cluster| !cluster.is_gone(now))
    }

    /// Whether a cluster of that name is there at `now`.
    pub fn has_cluster(&self, identifier: &str, now: DateTime<Utc>) -> bool {
        self.clusters
            .get(identifier)
            .is_some_and(|cluster| !cluster.is_gone(now))
    }

    /// A cluster to change, once the region is swept; `ClusterNotFound` when there is none of that name.
    pub fn cluster_mut(&mut self, identifier: &str) -> Result<&mut Cluster, ApiError> {
        self.clusters
            .get_mut(identifier)
            .ok_or_else(|| cluster_not_found(identifier))
    }

    /// Whether a cluster has that name or is about to, once the region is swept.
    pub fn is_taken(&self, identifier: &str) -> bool {
        self.clusters.contains_key(identifier)
            || self
                .clusters
                .values()
                .any(|cluster| cluster.next_name() == Some(identifier))
    }

    /// A snapshot to change, once the region is swept; `ClusterSnapshotNotFound` when there is none of that
    /// name in any case.
    pub fn snapshot_mut(&mut self, identifier: &str) -> Result<&mut Snapshot, ApiError> {
        self.snapshots
            .get_mut(&identifier.to_ascii_lowercase())
            .ok_or_else(|| snapshot_not_found(identifier))
    }

    fn has_renamed(&self, now: DateTime<Utc>) -> bool {
        self.clusters
            .values()
            .any(|cluster| cluster.has_renamed(now))
    }

    /// Gives clusters the names that they have come to, and their snapshots with them.
    ///
    /// Those of an earlier cluster of the same name stay as they are.
    fn follow_renames(&mut self, now: DateTime<Utc>) {
        let renamed = self
            .clusters
            .extract_if(.., |_, cluster| cluster.has_renamed(now));
        for (old, mut cluster) in renamed.collect::<Vec<_>>() {
            cluster.take_next_name();
            let of_cluster = |snapshot: &&mut Snapshot| {
                snapshot.cluster_identifier == old
                    && snapshot.properties.created_at == cluster.properties.created_at
            };
            for snapshot in self.snapshots.values_mut().filter(of_cluster) {
                snapshot.follow(&cluster);
            }
            self.clusters
                .insert(cluster.cluster_identifier.clone(), cluster);
        }
    }

    fn sweep(&mut self, now: DateTime<Utc>) {
        self.follow_renames(now);
        self.clusters.retain(|_, cluster| !cluster.is_gone(now));
        self.snapshots
            .retain(|_, snapshot| !snapshot.has_expired(now));
        self.events
            .retain(|event| event.date > now - EVENT_RETENTION);
    }
}

/// The refusal for a cluster that is not there.
pub fn cluster_not_found(identifier: &str) -> ApiError {
    ApiError::new(
        Code::ClusterNotFound,
        format!("Cluster {identifier} not found."),
    )
}

/// The refusal for a snapshot that is not there.
pub fn snapshot_not_found(identifier: &str) -> ApiError {
    ApiError::new(
        Code::ClusterSnapshotNotFound,
        format!("Snapshot {identifier} not found."),
    )
}

/// Whether a text is the number of an account: twelve digits.
pub fn is_account_number(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}
