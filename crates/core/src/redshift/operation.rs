//! What redkeep asks of AWS: the one list of operations, which the requests, the metrics, IAM and the documentation read.

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

    /// AWS's name for it.
    pub fn as_str(self) -> &'static str {
        let action = self.action();
        action.split_once(':').map_or(action, |(_, name)| name)
    }

    /// How it may end, as metrics name it: `ok`, `other`, and the codes that AWS documents for it and that redkeep knows.
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
