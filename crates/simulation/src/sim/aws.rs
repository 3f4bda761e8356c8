//! An account at AWS: the sandbox's pure model of it, and what others do there.
//!
//! Owns: what is there, what happened, and what a Describe sees. What a request does is `serve`'s.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use redkeep_core::redshift::{CreateRequest, ServerDate};
use redkeep_core::snapshot::{Snapshot, SnapshotId};
use redkeep_sandbox::account::{Account, AccountLimits, Region};
use redkeep_sandbox::cluster::{Cluster as ModelCluster, ClusterState};
use redkeep_sandbox::faults::{Fault, FaultPlan, FaultRule};
use redkeep_sandbox::operations::Modifier;
use redkeep_sandbox::snapshot::{Snapshot as ModelSnapshot, SnapshotFate};
use redkeep_sandbox::tag::Tag;

pub const REGION: &str = "eu-central-1";
pub const CREATE: &str = "CreateClusterSnapshot";
pub const SNAPSHOTS: &str = "DescribeClusterSnapshots";
/// What stands for the cluster in the faults of a listing.
pub const ALL: &str = "*";
pub const DELETE: &str = "DeleteClusterSnapshot";
pub const CLUSTERS: &str = "DescribeClusters";

/// The account, and what happened to it.
pub struct Aws {
    pub account: Account,
    pub faults: FaultPlan,
    /// How far the `Date` of the answers is ahead of true time; `None` sends none.
    pub date_ahead: Option<TimeDelta>,
    /// Every create call that was accepted.
    pub accepted: Vec<(String, DateTime<Utc>)>,
    /// Every call that changed a snapshot's retention.
    pub modified: Vec<(String, DateTime<Utc>)>,
    /// Every snapshot that a call of ours removed.
    pub removed: Vec<(String, DateTime<Utc>)>,
    /// What AWS tells of single snapshots otherwise than the model does.
    pub disguises: BTreeMap<String, fn(&mut Snapshot)>,
    /// The most snapshots that there were at once.
    pub most_held: usize,
    /// How often each operation was asked for.
    pub asked: BTreeMap<&'static str, u64>,
    /// Whether clusters tell the ARNs of their namespaces.
    pub tells_arns: bool,
    /// When the snapshots were listed, all pages.
    pub listings: Vec<DateTime<Utc>>,
    /// The codes with which create calls were refused, by the name that was asked for; `NO_CODE` where nothing clear came.
    pub refused: BTreeMap<String, BTreeSet<String>>,
    /// The last of them, by the name.
    pub last_codes: BTreeMap<String, String>,
    /// How often a create call was answered by a snapshot of its name that exists: whoever may not create is not told that.
    pub found_existing: usize,
    /// What somebody else deleted.
    pub deleted: BTreeSet<String>,
    /// What every listing fails with, while single snapshots are told of.
    pub blind: Option<Fault>,
    /// Between how many seconds a listing takes.
    pub slow: Option<(u64, u64)>,
    /// Whether each fifth minute a change of tags is answered as done, and is not.
    pub forgets_tags: bool,
    /// The ARNs whose tags stayed as they were.
    pub forgotten: BTreeSet<String>,
    /// What is listed beside the account's own.
    pub strangers: Vec<Arc<Snapshot>>,
    /// When somebody last changed something in the region.
    touched_at: Option<DateTime<Utc>>,
    /// What was last told of each snapshot: a description is made anew only when there is something new in it.
    told: Vec<Arc<Snapshot>>,
}

impl Default for Aws {
    fn default() -> Self {
        Self::numbered("123456789012")
    }
}

impl Aws {
    /// An account of its own number.
    pub fn numbered(number: &str) -> Self {
        let limits = AccountLimits {
            manual_snapshots: 100_000,
            ..AccountLimits::default()
        };
        Self {
            account: Account::new(number.to_owned(), limits),
            faults: FaultPlan::default(),
            date_ahead: Some(TimeDelta::zero()),
            accepted: Vec::new(),
            modified: Vec::new(),
            removed: Vec::new(),
            disguises: BTreeMap::new(),
            most_held: 0,
            asked: BTreeMap::new(),
            listings: Vec::new(),
            tells_arns: true,
            refused: BTreeMap::new(),
            last_codes: BTreeMap::new(),
            found_existing: 0,
            deleted: BTreeSet::new(),
            blind: None,
            slow: None,
            forgets_tags: false,
            forgotten: BTreeSet::new(),
            strangers: Vec::new(),
            touched_at: None,
            told: Vec::new(),
        }
    }

    pub fn add_cluster(&mut self, name: &str, created_at: DateTime<Utc>) {
        let cluster = ModelCluster::with_defaults(name, REGION, created_at);
        self.region(created_at)
            .clusters
            .insert(name.to_owned(), cluster);
    }

    pub fn remove_cluster(&mut self, name: &str, now: DateTime<Utc>) {
        self.region(now).clusters.remove(name);
    }

    /// Snapshots that somebody else made.
    pub fn add_foreign_snapshots(&mut self, cluster: &str, count: u32, now: DateTime<Utc>) {
        let properties = self.region(now).clusters[cluster].properties.clone();
        for number in 0..count {
            let id = format!("foreign-{number}");
            let snapshot = ModelSnapshot {
                snapshot_identifier: id.clone(),
                cluster_identifier: cluster.to_owned(),
                properties: properties.clone(),
                created_at: now,
                retention_days: -1,
                retention_started_at: now,
                tags: Vec::new(),
                fate: SnapshotFate::Completes { at: now },
                visible_from: now,
            };
            self.region(now).snapshots.insert(id, snapshot);
        }
    }

    pub fn set_status(&mut self, cluster: &str, status: &str, now: DateTime<Utc>) {
        let state = ClusterState::Settled {
            status: status.to_owned(),
        };
        self.region(now).cluster_mut(cluster).unwrap().state = state;
    }

    /// The region, for somebody to change whatever he likes in it.
    pub fn region(&mut self, now: DateTime<Utc>) -> &mut Region {
        self.told.clear();
        self.touched_at = Some(now);
        self.account.region_mut(REGION, now)
    }

    pub fn snapshot_mut(&mut self, id: &str, now: DateTime<Utc>) -> &mut ModelSnapshot {
        self.region(now).snapshot_mut(id).unwrap()
    }

    /// Tells of a snapshot otherwise from now on.
    pub fn disguise(&mut self, id: &str, disguise: fn(&mut Snapshot), now: DateTime<Utc>) {
        self.region(now);
        self.disguises.insert(id.to_owned(), disguise);
    }

    /// Strikes every call of an operation, or so many, from now on.
    pub fn strike(&mut self, operation: &str, times: Option<u32>, fault: Fault) {
        self.faults.rules.push(FaultRule {
            operation: operation.to_owned(),
            account: None,
            region: None,
            cluster: None,
            times,
            after: 0,
            fault,
        });
    }

    /// Strikes the listings of snapshots, and not the looks for one by its name.
    pub fn strike_listings(&mut self, times: Option<u32>, fault: Fault) {
        self.strike(SNAPSHOTS, times, fault);
        if let Some(rule) = self.faults.rules.last_mut() {
            rule.cluster = Some(ALL.to_owned());
        }
    }

    pub fn refuse(&mut self, operation: &str, times: Option<u32>, code: &str, status: u16) {
        let fault = Fault::Error {
            code: code.to_owned(),
            status,
            message: "Injected.".to_owned(),
        };
        self.strike(operation, times, fault);
    }

    /// Whether no fault is waiting for a call.
    pub fn is_sound(&self) -> bool {
        let is_plain = self.blind.is_none() && self.slow.is_none() && self.strangers.is_empty();
        is_plain && self.faults.rules.iter().all(|rule| rule.times == Some(0))
    }

    /// When there is next something new to see, after an instant: something that happens by itself, or what somebody
    /// did at once.
    pub fn next_change(&self, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let region = self.account.region(REGION)?;
        let snapshots = region.snapshots.values().flat_map(|snapshot| {
            let ends_at = match snapshot.fate {
                SnapshotFate::Completes { at } | SnapshotFate::Fails { at } => Some(at),
                SnapshotFate::Stuck | SnapshotFate::Held { .. } => None,
            };
            [Some(snapshot.visible_from), ends_at, snapshot.expires_at()]
        });
        let clusters = region.clusters.values().map(|cluster| match cluster.state {
            ClusterState::Creating { until }
            | ClusterState::Pausing { until }
            | ClusterState::Resuming { until }
            | ClusterState::Renaming { until, .. }
            | ClusterState::Deleting { until } => Some(until),
            ClusterState::Settled { .. } => None,
        });
        let touched = std::iter::once(self.touched_at);
        let all = snapshots.chain(clusters).chain(touched).flatten();
        all.filter(|at| *at >= after).min()
    }

    pub fn heal(&mut self) {
        self.faults.rules.clear();
        (self.blind, self.slow) = (None, None);
        self.forgets_tags = false;
        self.strangers.clear();
    }

    /// What the date of an answer would be.
    pub fn date(&self, now: DateTime<Utc>) -> ServerDate {
        match self.date_ahead {
            Some(ahead) => ServerDate::At((now + ahead).trunc_subsecs(0)),
            None => ServerDate::Undated,
        }
    }

    /// Makes a snapshot as somebody else would, with these tags.
    pub fn plant(&mut self, id: &str, tags: &[(&str, &str)], now: DateTime<Utc>) {
        let own = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        let request = CreateRequest {
            snapshot_id: SnapshotId::recorded(id.to_owned()),
            cluster: "dw".parse().unwrap(),
            retention: "35d".parse().unwrap(),
            tags: tags.iter().map(own).collect(),
        };
        self.create(REGION, &request, Modifier::None, now).unwrap();
    }

    /// Somebody else deletes a snapshot.
    pub fn delete(&mut self, id: &str, now: DateTime<Utc>) {
        self.region(now).snapshots.remove(id);
        self.deleted.insert(id.to_owned());
    }

    /// The snapshots that a Describe sees.
    pub fn listed(&mut self, region: &str, now: DateTime<Utc>) -> Vec<Arc<Snapshot>> {
        let (account, disguises) = (&self.account, &self.disguises);
        let mut before = self.told.iter().peekable();
        let seen = account.region_at(region, now);
        let all: Vec<Arc<Snapshot>> = seen
            .snapshots_at(now)
            .map(|snapshot| {
                // Both are in the order of the names.
                while before
                    .next_if(|one| one.snapshot_identifier < snapshot.snapshot_identifier)
                    .is_some()
                {}
                match before.peek() {
                    Some(told) if is_up_to_date(told, snapshot, now) => Arc::clone(told),
                    _ => {
                        let mut fresh = described(account, region, snapshot, now);
                        if let Some(disguise) = disguises.get(&snapshot.snapshot_identifier) {
                            disguise(&mut fresh);
                        }
                        Arc::new(fresh)
                    }
                }
            })
            .collect();
        self.told.clone_from(&all);
        all
    }
}

/// What changes by itself, or by a later snapshot of the same name; all else goes through [`Aws::region`].
fn is_up_to_date(told: &Snapshot, snapshot: &ModelSnapshot, now: DateTime<Utc>) -> bool {
    told.snapshot_identifier == snapshot.snapshot_identifier
        && told.status.as_deref() == Some(snapshot.status(now))
        && told.snapshot_create_time == Some(snapshot.created_at)
        && told.manual_snapshot_retention_period == Some(snapshot.retention_days)
        && told.cluster_identifier.as_deref() == Some(&snapshot.cluster_identifier)
}

pub(super) fn described(
    account: &Account,
    region: &str,
    snapshot: &ModelSnapshot,
    now: DateTime<Utc>,
) -> Snapshot {
    Snapshot {
        snapshot_identifier: snapshot.snapshot_identifier.clone(),
        cluster_identifier: Some(snapshot.cluster_identifier.clone()),
        snapshot_create_time: Some(snapshot.created_at),
        status: Some(snapshot.status(now).to_owned()),
        cluster_create_time: Some(snapshot.properties.created_at),
        snapshot_type: Some("manual".to_owned()),
        owner_account: Some(account.account_id.clone()),
        total_backup_size_in_mega_bytes: Some(snapshot.total_megabytes() as f64),
        tags: tags(&snapshot.tags),
        manual_snapshot_retention_period: Some(snapshot.retention_days),
        snapshot_retention_start_time: Some(snapshot.retention_started_at),
        snapshot_arn: Some(snapshot.arn(account, region)),
        ..Snapshot::default()
    }
}

pub(super) fn tags(tags: &[Tag]) -> redkeep_core::names::Tags {
    tags.iter()
        .map(|tag| (tag.key.clone(), tag.value.clone()))
        .collect()
}
