//! Snapshots: their identifiers, their tags, and what AWS says of them.
//!
//! Owns: the identifier as a pure function of the slot, redkeep's tags, the Snapshot shape. Never calls AWS, and proves
//! nothing: that is `ownership`'s. The identifier is the idempotency token that
//! CreateClusterSnapshot lacks: whoever asks again for the same slot asks for the same name.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::digest;
use crate::names::{
    ClusterId, Namespace, PolicyName, Region, Retention, Tags, Tier, Trigger, Writer,
    account_in_arn,
};
use crate::slot::{Pair, Scope, Slot, rfc3339};

/// An identifier of a manual snapshot that redkeep makes:
/// `<namespace>-<policy>-<cluster>-<yyyymmdd>t<hhmmss>z-<hash8>`, and `-r1` at the end of a second attempt.
///
/// CreateClusterSnapshot documents the rule that it keeps to: 1 to 255 ASCII letters, digits and hyphens,
/// first a letter, no two hyphens in a row, none at the end.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SnapshotId(Arc<str>);

/// How many hex digits of a hash end the name of a slot's first snapshot.
const HASH_DIGITS: usize = 8;

/// The end of the name of a slot's second snapshot.
const SECOND: &str = "-r1";

/// Which attempt at a slot's snapshot: the first, or the one more after a snapshot that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Generation {
    /// The first.
    First,
    /// After the first one's snapshot went to `failed`.
    Second,
}

impl SnapshotId {
    /// The identifier of the snapshot that `slot` is to have.
    pub fn derive(namespace: &Namespace, slot: &Slot, generation: Generation) -> Self {
        Self::from_parts(
            namespace,
            &slot.pair.scope.region,
            &slot.pair.policy,
            &slot.pair.cluster,
            slot.scheduled_at,
            generation,
        )
    }

    /// The identifier for a slot whose parts are these.
    pub fn from_parts(
        namespace: &Namespace,
        region: &Region,
        policy: &PolicyName,
        cluster: &ClusterId,
        scheduled_at: DateTime<Utc>,
        generation: Generation,
    ) -> Self {
        let instant = rfc3339(scheduled_at);
        let parts = [
            namespace.as_str(),
            region.as_str(),
            policy.as_str(),
            cluster.as_str(),
            &instant,
        ];
        let hash = digest::hex(&digest::framed(parts), HASH_DIGITS);
        let stamp = scheduled_at.format("%Y%m%dt%H%M%Sz");
        let first = Self(format!("{namespace}-{policy}-{cluster}-{stamp}-{hash}").into());
        match generation {
            Generation::First => first,
            Generation::Second => first.second(),
        }
    }

    /// Which attempt at a slot's snapshot the name is for; nothing else ends in `-r1`, since the hash before
    /// it has eight characters.
    pub fn generation(&self) -> Generation {
        match self.0.ends_with(SECOND) {
            true => Generation::Second,
            false => Generation::First,
        }
    }

    /// The name of the one more attempt after the snapshot of this name failed.
    pub fn second(&self) -> Self {
        match self.generation() {
            Generation::First => Self(format!("{}{SECOND}", self.0).into()),
            Generation::Second => self.clone(),
        }
    }

    /// The name of the slot's first snapshot.
    pub fn first(&self) -> Self {
        match self.0.strip_suffix(SECOND) {
            Some(first) => Self(first.into()),
            None => self.clone(),
        }
    }

    /// Both names that the slot's snapshots can have, the first one first.
    pub fn generations(&self) -> [Self; 2] {
        let first = self.first();
        let second = first.second();
        [first, second]
    }

    /// The hash at its end, by which people name it: eight hex digits, and `-r1` of a second attempt.
    pub fn short(&self) -> &str {
        let first = self.0.strip_suffix(SECOND).unwrap_or(&self.0);
        let start = first.rfind('-').map_or(0, |hyphen| hyphen + 1);
        &self.0[start..]
    }

    /// Whether `text` is such a hash.
    pub fn is_short(text: &str) -> bool {
        let hash = text.strip_suffix(SECOND).unwrap_or(text);
        hash.len() == HASH_DIGITS && hash.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    }

    /// An identifier read back from redkeep's own history or from AWS.
    pub fn recorded(text: String) -> Self {
        Self(text.into())
    }

    /// The identifier as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SnapshotId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// The keys of the tags that redkeep puts on every snapshot, in the create call itself.
pub mod tag {
    /// How all of them begin.
    pub const PREFIX: &str = "redkeep:";
    /// The namespace.
    pub const NAMESPACE: &str = "redkeep:namespace";
    /// The policy.
    pub const POLICY: &str = "redkeep:policy";
    /// The cluster's name when the snapshot was made; it stays true after a rename.
    pub const CLUSTER: &str = "redkeep:cluster";
    /// The nominal instant, RFC 3339.
    pub const SLOT: &str = "redkeep:slot";
    /// The retention class.
    pub const TIER: &str = "redkeep:tier";
    /// `schedule` or `manual`.
    pub const TRIGGER: &str = "redkeep:trigger";
    /// The installation that made it.
    pub const WRITER: &str = "redkeep:writer";
    /// Only while somebody holds the snapshot: the period that it had before, in days, -1 for ever.
    pub const HOLD: &str = "redkeep:hold";
    /// How many tags redkeep adds to a policy's own.
    pub const COUNT: usize = 7;
}

/// Everything that goes into a snapshot's tags beside the policy's own.
#[derive(Debug, Clone, Copy)]
pub struct Label<'a> {
    /// The namespace.
    pub namespace: &'a Namespace,
    /// The slot that the snapshot is for.
    pub slot: &'a Slot,
    /// Its retention class.
    pub tier: Tier,
    /// What made the slot due.
    pub trigger: Trigger,
    /// This installation.
    pub writer: &'a Writer,
}

impl Label<'_> {
    /// All tags of a snapshot: the policy's own and redkeep's.
    pub fn tags(&self, own: &Tags) -> Tags {
        let ours = [
            (tag::NAMESPACE, self.namespace.to_string()),
            (tag::POLICY, self.slot.pair.policy.to_string()),
            (tag::CLUSTER, self.slot.pair.cluster.to_string()),
            (tag::SLOT, rfc3339(self.slot.scheduled_at)),
            (tag::TIER, self.tier.as_str().to_owned()),
            (tag::TRIGGER, self.trigger.as_str().to_owned()),
            (tag::WRITER, self.writer.to_string()),
        ];
        let mut tags = own.clone();
        tags.extend(ours.map(|(key, value)| (key.to_owned(), value)));
        tags
    }
}

/// Whether somebody holds a snapshot. It takes two things of AWS, and a refusal may leave one of them undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// Nobody does: it has no tag [`tag::HOLD`].
    Free,
    /// The snapshot has the tag, and yet a period that ends: a hold or a release that was not finished, or a tag set by hand.
    Half,
    /// The snapshot has the tag, and its period is infinite.
    Held,
}

/// The hold of a snapshot with or without the tag, and with this period.
pub fn hold_of(is_tagged: bool, period: Option<i32>) -> Hold {
    match (is_tagged, period) {
        (false, _) => Hold::Free,
        (true, Some(days)) if days == Retention::Forever.days_or_minus_one() => Hold::Held,
        (true, _) => Hold::Half,
    }
}

/// A snapshot's status in AWS's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SnapshotStatus {
    /// Under way.
    Creating,
    /// Complete.
    Available,
    /// Ended without a usable snapshot.
    Failed,
    /// A word that the documentation does not give; counts as still creating.
    Unknown(String),
}

impl SnapshotStatus {
    /// Reads AWS's word, as "DescribeClusterSnapshots" documents it.
    pub fn read(word: &str) -> Self {
        match word {
            "creating" => Self::Creating,
            "available" => Self::Available,
            "failed" => Self::Failed,
            other => Self::Unknown(other.to_owned()),
        }
    }

    /// AWS's word.
    pub fn word(&self) -> &str {
        match self {
            Self::Creating => "creating",
            Self::Available => "available",
            Self::Failed => "failed",
            Self::Unknown(word) => word,
        }
    }
}

/// The Snapshot shape of the API (2012-12-01), all 37 members, with names in snake case.
///
/// Instants are UTC; sizes are megabytes as AWS gives them. A member that AWS left out is absent.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[expect(
    missing_docs,
    reason = "the members are AWS's, and documented there under the same names"
)]
pub struct Snapshot {
    pub snapshot_identifier: String,
    pub cluster_identifier: Option<String>,
    pub snapshot_create_time: Option<DateTime<Utc>>,
    pub status: Option<String>,
    pub port: Option<i32>,
    pub availability_zone: Option<String>,
    pub cluster_create_time: Option<DateTime<Utc>>,
    pub master_username: Option<String>,
    pub cluster_version: Option<String>,
    pub engine_full_version: Option<String>,
    pub snapshot_type: Option<String>,
    pub node_type: Option<String>,
    pub number_of_nodes: Option<i32>,
    pub db_name: Option<String>,
    pub vpc_id: Option<String>,
    pub encrypted: Option<bool>,
    pub kms_key_id: Option<String>,
    pub encrypted_with_hsm: Option<bool>,
    pub accounts_with_restore_access: Vec<RestoreAccess>,
    pub owner_account: Option<String>,
    pub total_backup_size_in_mega_bytes: Option<f64>,
    pub actual_incremental_backup_size_in_mega_bytes: Option<f64>,
    pub backup_progress_in_mega_bytes: Option<f64>,
    pub current_backup_rate_in_mega_bytes_per_second: Option<f64>,
    pub estimated_seconds_to_completion: Option<i64>,
    pub elapsed_time_in_seconds: Option<i64>,
    pub source_region: Option<String>,
    pub tags: BTreeMap<String, String>,
    pub restorable_node_types: Vec<String>,
    pub enhanced_vpc_routing: Option<bool>,
    pub maintenance_track_name: Option<String>,
    pub manual_snapshot_retention_period: Option<i32>,
    pub manual_snapshot_remaining_days: Option<i32>,
    pub snapshot_retention_start_time: Option<DateTime<Utc>>,
    pub master_password_secret_arn: Option<String>,
    pub master_password_secret_kms_key_id: Option<String>,
    pub snapshot_arn: Option<String>,
}

/// An account that may restore a snapshot (AccountWithRestoreAccess).
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[expect(
    missing_docs,
    reason = "the members are AWS's, and documented there under the same names"
)]
pub struct RestoreAccess {
    pub account_id: Option<String>,
    pub account_alias: Option<String>,
}

/// The slot that a snapshot's tags name; where it is, is not in them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The policy.
    pub policy: PolicyName,
    /// The cluster's name when the snapshot was made.
    pub cluster: ClusterId,
    /// The nominal instant.
    pub scheduled_at: DateTime<Utc>,
}

impl Claim {
    /// The slot, for a snapshot that was found in `scope`.
    pub fn slot(self, scope: &Scope) -> Slot {
        let pair = Pair {
            policy: self.policy,
            scope: scope.clone(),
            cluster: self.cluster,
        };
        Slot {
            pair,
            scheduled_at: self.scheduled_at,
        }
    }
}

impl Snapshot {
    /// The status, a missing one read as unknown.
    pub fn status(&self) -> SnapshotStatus {
        SnapshotStatus::read(self.status.as_deref().unwrap_or(""))
    }

    /// Whether somebody holds it.
    pub fn hold(&self) -> Hold {
        let is_tagged = self.tags.contains_key(tag::HOLD);
        hold_of(is_tagged, self.manual_snapshot_retention_period)
    }

    /// TotalBackupSizeInMegaBytes in bytes.
    pub fn size_bytes(&self) -> Option<u64> {
        let megabytes = self.total_backup_size_in_mega_bytes?;
        let bytes = (megabytes * 1_048_576.0).round();
        (0.0..9.0e18).contains(&bytes).then_some(bytes as u64)
    }

    /// Whether its tags say that an installation of this namespace made it. That is no proof; see [`crate::ownership`].
    pub fn claims(&self, namespace: &Namespace) -> bool {
        let told = self.tags.get(tag::NAMESPACE);
        told.is_some_and(|told| told == namespace.as_str())
    }

    /// Since when its retention period counts: SnapshotRetentionStartTime, or else SnapshotCreateTime.
    pub fn kept_from(&self) -> Option<DateTime<Utc>> {
        self.snapshot_retention_start_time
            .or(self.snapshot_create_time)
    }

    /// How long AWS keeps it; `None` where AWS does not tell.
    pub fn retention(&self) -> Option<Retention> {
        Retention::from_days(self.manual_snapshot_retention_period?.into())
    }

    /// When AWS lets it go; `None` where that is never, or AWS does not tell.
    pub fn expires_at(&self) -> Option<DateTime<Utc>> {
        self.retention()?.end(self.kept_from()?)
    }

    /// What its tags say it is of, where they are complete and say that an installation of this namespace made it. That is
    /// no proof; see [`crate::ownership`].
    pub fn claim(&self, namespace: &Namespace) -> Option<Claim> {
        let tag = |key: &str| self.tags.get(key).filter(|_| self.claims(namespace));
        let told = tag(tag::SLOT)?;
        let scheduled_at = DateTime::parse_from_rfc3339(told).ok()?.to_utc();
        let claim = Claim {
            policy: tag(tag::POLICY)?.parse().ok()?,
            cluster: tag(tag::CLUSTER)?.parse().ok()?,
            scheduled_at,
        };
        (rfc3339(scheduled_at) == *told).then_some(claim)
    }

    /// The account that owns it: OwnerAccount, or else the account in SnapshotArn.
    pub fn account_number(&self) -> Option<&str> {
        self.owner_account
            .as_deref()
            .filter(|number| !number.is_empty())
            .or_else(|| account_in_arn(self.snapshot_arn.as_deref()?))
    }
}
