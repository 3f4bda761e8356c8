//! What redkeep asks of AWS: the one list of operations, which the requests, the metrics, IAM and the documentation read,
//! and the trait by which they are called.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use super::{Answer, Cluster, CreateRequest, SnapshotEvent};
use crate::names::Retention;
use crate::snapshot::{Snapshot, SnapshotId};

/// An operation of Amazon Redshift, or of STS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// Takes a snapshot.
    CreateClusterSnapshot,
    /// Holds a snapshot, or takes it over.
    CreateTags,
    /// Removes what `keep_last` leaves over.
    DeleteClusterSnapshot,
    /// Releases a snapshot.
    DeleteTags,
    /// Follows snapshots.
    DescribeClusterSnapshots,
    /// Finds the clusters.
    DescribeClusters,
    /// Finds out why a snapshot failed.
    DescribeEvents,
    /// Tells which account this is.
    GetCallerIdentity,
    /// Keeps a snapshot for longer.
    ModifyClusterSnapshot,
}

/// What any operation may be answered with. Other codes that redkeep knows are rarer ones for the same causes.
const COMMON: &[&str] = &[
    "AccessDenied",
    "ExpiredToken",
    "InternalFailure",
    "InvalidClientTokenId",
    "RequestExpired",
    "ServiceUnavailable",
    "SignatureDoesNotMatch",
    "Throttling",
    "ok",
    "other",
];

impl Operation {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::CreateClusterSnapshot,
        Self::CreateTags,
        Self::DeleteClusterSnapshot,
        Self::DeleteTags,
        Self::DescribeClusterSnapshots,
        Self::DescribeClusters,
        Self::DescribeEvents,
        Self::GetCallerIdentity,
        Self::ModifyClusterSnapshot,
    ];

    /// The action that IAM must allow for it.
    pub const fn action(self) -> &'static str {
        match self {
            Self::CreateClusterSnapshot => "redshift:CreateClusterSnapshot",
            Self::CreateTags => "redshift:CreateTags",
            Self::DeleteClusterSnapshot => "redshift:DeleteClusterSnapshot",
            Self::DeleteTags => "redshift:DeleteTags",
            Self::DescribeClusterSnapshots => "redshift:DescribeClusterSnapshots",
            Self::DescribeClusters => "redshift:DescribeClusters",
            Self::DescribeEvents => "redshift:DescribeEvents",
            Self::GetCallerIdentity => "sts:GetCallerIdentity",
            Self::ModifyClusterSnapshot => "redshift:ModifyClusterSnapshot",
        }
    }

    /// Whether the operation only looks in Redshift, so that IAM ties it to no resource.
    pub fn is_look(self) -> bool {
        self.action().starts_with("redshift:Describe")
    }

    /// AWS's name for it.
    pub fn as_str(self) -> &'static str {
        let action = self.action();
        action.split_once(':').map_or(action, |(_, name)| name)
    }

    /// How a request may end, as metrics name the ends: `ok`, `other`, and the codes that AWS documents for it and that redkeep knows.
    pub fn codes(self) -> impl Iterator<Item = &'static str> {
        let own: &[&str] = match self {
            Self::CreateClusterSnapshot => &[
                "ClusterNotFound",
                "ClusterSnapshotAlreadyExists",
                "ClusterSnapshotQuotaExceeded",
                "InvalidClusterState",
                "InvalidRetentionPeriodFault",
                "InvalidTagFault",
                "TagLimitExceededFault",
            ],
            Self::CreateTags => &["InvalidTagFault", "TagLimitExceededFault"],
            Self::DeleteTags => &["InvalidTagFault"],
            Self::DeleteClusterSnapshot => &["ClusterSnapshotNotFound"],
            Self::DescribeClusterSnapshots => &["ClusterNotFound", "ClusterSnapshotNotFound"],
            Self::DescribeClusters => &["ClusterNotFound"],
            Self::ModifyClusterSnapshot => {
                &["ClusterSnapshotNotFound", "InvalidRetentionPeriodFault"]
            }
            Self::DescribeEvents | Self::GetCallerIdentity => &[],
        };
        COMMON.iter().chain(own).copied()
    }
}

/// Redshift in one scope.
///
/// Every method makes the call once (no retries: the run's state machine is the only retry layer), inside
/// bounded time, and returns the answer as it came.
pub trait Redshift: Send + Sync + 'static {
    /// All clusters, all pages (DescribeClusters).
    fn clusters(&self) -> impl Future<Output = Answer<Vec<Cluster>>> + Send;

    /// All manual snapshots, all pages (DescribeClusterSnapshots), the pages of a long listing so far apart.
    fn snapshots(
        &self,
        page_pause: Duration,
    ) -> impl Future<Output = Answer<Vec<Arc<Snapshot>>>> + Send;

    /// The snapshots of one name: at most one of ours, and those that other accounts share with us. None when
    /// AWS says that there is none.
    fn snapshot(&self, id: &SnapshotId) -> impl Future<Output = Answer<Vec<Arc<Snapshot>>>> + Send;

    /// Asks for a snapshot (CreateClusterSnapshot).
    fn create(&self, request: &CreateRequest)
    -> impl Future<Output = Answer<Arc<Snapshot>>> + Send;

    /// Sets how long a manual snapshot is kept, counted from its SnapshotRetentionStartTime
    /// (ModifyClusterSnapshot, never with `Force`).
    fn keep_for(
        &self,
        id: &SnapshotId,
        retention: Retention,
    ) -> impl Future<Output = Answer<Arc<Snapshot>>> + Send;

    /// Removes a manual snapshot of the cluster (DeleteClusterSnapshot with SnapshotClusterIdentifier).
    fn delete(&self, id: &SnapshotId, cluster: &str) -> impl Future<Output = Answer<()>> + Send;

    /// Sets a tag of the resource with this ARN (CreateTags).
    fn tag(&self, arn: &str, key: &str, value: &str) -> impl Future<Output = Answer<()>> + Send;

    /// Removes a tag of the resource with this ARN (DeleteTags).
    fn untag(&self, arn: &str, key: &str) -> impl Future<Output = Answer<()>> + Send;

    /// The events of a snapshot in the last 14 days (DescribeEvents).
    fn events(&self, id: &SnapshotId) -> impl Future<Output = Answer<Vec<SnapshotEvent>>> + Send;

    /// The number of the account that the credentials belong to (STS GetCallerIdentity).
    fn account_number(&self) -> impl Future<Output = Answer<String>> + Send;
}
