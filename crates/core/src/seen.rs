//! What is kept in mind of a snapshot that was seen.
//!
//! Owns: which of the members of AWS's description decisions are made of. While a run is open, all of them are kept in
//! mind, since it follows them; of a run that has ended only these, for there may be hundreds of thousands, and the store
//! has the rest.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::names::{Retention, Tags};
use crate::shared_tags::{SharedTags, hash_tags};
use crate::snapshot::{RestoreAccess, Snapshot, SnapshotId};

/// A snapshot as last seen.
#[derive(Debug, Clone, PartialEq)]
pub enum Seen {
    /// With all that AWS told.
    Whole(Arc<Snapshot>),
    /// With what decisions need.
    Gist(Gist),
}

/// What decisions need of a snapshot whose run has ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Gist {
    /// SnapshotIdentifier: of a slot with two it may be the first one's.
    pub identifier: SnapshotId,
    /// SnapshotCreateTime.
    pub create_time: Option<DateTime<Utc>>,
    /// ClusterCreateTime.
    pub cluster_create_time: Option<DateTime<Utc>>,
    /// ManualSnapshotRetentionPeriod.
    pub retention_period: Option<i32>,
    /// SnapshotRetentionStartTime.
    pub retention_start: Option<DateTime<Utc>>,
    /// TotalBackupSizeInMegaBytes in bytes.
    pub size_bytes: Option<u64>,
    /// ActualIncrementalBackupSizeInMegaBytes.
    pub incremental_megabytes: Option<f64>,
    /// The account that owns it.
    pub account_number: Option<Arc<str>>,
    /// What people may change of it.
    pub terms: Terms,
}

/// By what it is told how long a snapshot is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tenure {
    /// How long AWS keeps it; `None` where AWS has not told.
    pub told: Option<Retention>,
    /// Since when AWS counts that; `None` where AWS has not told.
    pub told_from: Option<DateTime<Utc>>,
    /// SnapshotCreateTime; before AWS has told it, the acceptance.
    pub created_at: Option<DateTime<Utc>>,
    /// How long it was asked to be kept.
    pub asked: Retention,
}

impl Tenure {
    /// When AWS lets it go, by what AWS has told of it, or else by what was asked for; `None` where that is never, or
    /// nothing was asked for yet.
    pub fn end(&self) -> Option<DateTime<Utc>> {
        let from = self.told_from.or(self.created_at)?;
        self.told.unwrap_or(self.asked).end(from)
    }

    /// The same, only by what AWS has told.
    pub fn told_end(&self) -> Option<DateTime<Utc>> {
        self.told?.end(self.told_from?)
    }
}

/// A mark of what people may change of a snapshot: its tags, and who may restore it. It holds within one process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms(u64);

impl Terms {
    /// Of these tags and accounts.
    pub fn of(tags: &Tags, access: &[RestoreAccess]) -> Self {
        let mut hasher = DefaultHasher::new();
        hash_tags(tags, &mut hasher);
        access.hash(&mut hasher);
        Self(hasher.finish())
    }

    /// The same, of tags as a run asked for them.
    pub fn as_asked(tags: &SharedTags, access: &[RestoreAccess]) -> Self {
        let mut hasher = DefaultHasher::new();
        tags.hash(&mut hasher);
        access.hash(&mut hasher);
        Self(hasher.finish())
    }
}

impl From<&Snapshot> for Gist {
    fn from(snapshot: &Snapshot) -> Self {
        Self {
            identifier: SnapshotId::recorded(snapshot.snapshot_identifier.clone()),
            create_time: snapshot.snapshot_create_time,
            cluster_create_time: snapshot.cluster_create_time,
            retention_period: snapshot.manual_snapshot_retention_period,
            retention_start: snapshot.snapshot_retention_start_time,
            size_bytes: snapshot.size_bytes(),
            incremental_megabytes: snapshot.actual_incremental_backup_size_in_mega_bytes,
            account_number: snapshot.account_number().map(Arc::from),
            terms: Terms::of(&snapshot.tags, &snapshot.accounts_with_restore_access),
        }
    }
}

impl From<Arc<Snapshot>> for Seen {
    fn from(snapshot: Arc<Snapshot>) -> Self {
        Self::Whole(snapshot)
    }
}

impl From<Snapshot> for Seen {
    fn from(snapshot: Snapshot) -> Self {
        Self::Whole(snapshot.into())
    }
}

impl Seen {
    /// All that AWS told, where that is kept in mind.
    pub fn whole(&self) -> Option<&Arc<Snapshot>> {
        match self {
            Self::Whole(snapshot) => Some(snapshot),
            Self::Gist(_) => None,
        }
    }

    /// What decisions need of it.
    pub fn gist(&self) -> Gist {
        match self {
            Self::Whole(snapshot) => Gist::from(&**snapshot),
            Self::Gist(gist) => gist.clone(),
        }
    }

    /// The same, with all that AWS told where `before` has that of the very same.
    pub fn with_rest_of(self, before: Option<&Self>) -> Self {
        match (&self, before) {
            (Self::Gist(gist), Some(Self::Whole(whole))) if *gist == Gist::from(&**whole) => {
                Self::Whole(Arc::clone(whole))
            }
            _ => self,
        }
    }

    /// SnapshotIdentifier.
    pub fn identifier(&self) -> &str {
        match self {
            Self::Whole(snapshot) => &snapshot.snapshot_identifier,
            Self::Gist(gist) => gist.identifier.as_str(),
        }
    }

    /// SnapshotCreateTime.
    pub fn create_time(&self) -> Option<DateTime<Utc>> {
        match self {
            Self::Whole(snapshot) => snapshot.snapshot_create_time,
            Self::Gist(gist) => gist.create_time,
        }
    }

    /// ClusterCreateTime.
    pub fn cluster_create_time(&self) -> Option<DateTime<Utc>> {
        match self {
            Self::Whole(snapshot) => snapshot.cluster_create_time,
            Self::Gist(gist) => gist.cluster_create_time,
        }
    }

    /// TotalBackupSizeInMegaBytes in bytes.
    pub fn size_bytes(&self) -> Option<u64> {
        match self {
            Self::Whole(snapshot) => snapshot.size_bytes(),
            Self::Gist(gist) => gist.size_bytes,
        }
    }

    /// ActualIncrementalBackupSizeInMegaBytes.
    pub fn incremental_megabytes(&self) -> Option<f64> {
        match self {
            Self::Whole(snapshot) => snapshot.actual_incremental_backup_size_in_mega_bytes,
            Self::Gist(gist) => gist.incremental_megabytes,
        }
    }

    /// The account that owns it.
    pub fn account_number(&self) -> Option<&str> {
        match self {
            Self::Whole(snapshot) => snapshot.account_number(),
            Self::Gist(gist) => gist.account_number.as_deref(),
        }
    }

    /// How long AWS keeps it; `None` where AWS does not tell.
    pub fn retention(&self) -> Option<Retention> {
        match self {
            Self::Whole(snapshot) => snapshot.retention(),
            Self::Gist(gist) => Retention::from_days(gist.retention_period?.into()),
        }
    }

    /// Since when its retention period counts.
    pub fn kept_from(&self) -> Option<DateTime<Utc>> {
        match self {
            Self::Whole(snapshot) => snapshot.kept_from(),
            Self::Gist(gist) => gist.retention_start.or(gist.create_time),
        }
    }

    /// When AWS lets it go; `None` where that is never, or AWS does not tell.
    pub fn expires_at(&self) -> Option<DateTime<Utc>> {
        self.retention()?.end(self.kept_from()?)
    }

    /// Whether nothing that people may change of it is otherwise in `later`: until when it is kept, who may restore it,
    /// its tags.
    pub fn has_terms_of(&self, later: &Snapshot) -> bool {
        let (period, start, terms) = match self {
            Self::Whole(one) => (
                one.manual_snapshot_retention_period,
                one.snapshot_retention_start_time,
                Terms::of(&one.tags, &one.accounts_with_restore_access),
            ),
            Self::Gist(gist) => (gist.retention_period, gist.retention_start, gist.terms),
        };
        period == later.manual_snapshot_retention_period
            && start == later.snapshot_retention_start_time
            && terms == Terms::of(&later.tags, &later.accounts_with_restore_access)
    }
}
