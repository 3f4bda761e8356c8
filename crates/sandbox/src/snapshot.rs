//! A manual snapshot: what becomes of it, its progress and its expiry.
//!
//! Owns: the status and the progress figures at an instant, how long a snapshot lives, and its answer
//! shape. Never random: sizes are derived from names, and what will become of a snapshot is settled when
//! it is begun.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::account::Account;
use super::cluster::{Cluster, ClusterProperties};
use super::digest;
use super::error::{ApiError, Code};
use super::tag::{self, Tag};
use super::xml::Element;

const SECONDS_PER_DAY: i64 = 86_400;

/// One manual snapshot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Its name in lower case, unique in the account and region.
    pub snapshot_identifier: String,
    /// The cluster it was taken of.
    pub cluster_identifier: String,
    /// What that cluster was like at the time.
    pub properties: ClusterProperties,
    /// When the snapshot was begun; it holds the data as of this instant.
    pub created_at: DateTime<Utc>,
    /// Days it is kept, counted from `retention_started_at`; -1 for ever.
    pub retention_days: i32,
    /// Where the retention period begins.
    pub retention_started_at: DateTime<Utc>,
    /// Its tags.
    pub tags: Vec<Tag>,
    /// What becomes of it.
    pub fate: SnapshotFate,
    /// The first instant at which a Describe sees it; later than `created_at` only by a fault rule.
    pub visible_from: DateTime<Utc>,
}

/// What becomes of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SnapshotFate {
    /// Is `available` from `at` on.
    Completes {
        /// When.
        at: DateTime<Utc>,
    },
    /// Is `failed` from `at` on.
    Fails {
        /// When.
        at: DateTime<Utc>,
    },
    /// Is `creating` for ever.
    Stuck,
    /// Is in a status that the control endpoint has set, documented or not.
    Held {
        /// The word on the wire.
        status: String,
    },
}

/// The figures of `Snapshot` that move while it is being written.
struct Progress {
    written_megabytes: f64,
    rate_megabytes_per_second: f64,
    remaining_seconds: i64,
    elapsed_seconds: i64,
}

impl Snapshot {
    /// The status at `now`.
    pub fn status(&self, now: DateTime<Utc>) -> &str {
        match &self.fate {
            SnapshotFate::Completes { at } if now >= *at => "available",
            SnapshotFate::Fails { at } if now >= *at => "failed",
            SnapshotFate::Held { status } => status,
            _ => "creating",
        }
    }

    /// Requires the status to be one of `wanted`, or answers `InvalidClusterSnapshotState`.
    pub fn require_status(&self, wanted: &[&str], now: DateTime<Utc>) -> Result<(), ApiError> {
        let status = self.status(now);
        if wanted.contains(&status) {
            return Ok(());
        }
        let message = format!(
            "Snapshot {} is in the state '{status}'; it must be {} for this operation.",
            self.snapshot_identifier,
            wanted.join(" or ")
        );
        Err(ApiError::new(Code::InvalidClusterSnapshotState, message))
    }

    /// When AWS removes it by itself; `None` for one that is kept for ever.
    ///
    /// "The number of days that a manual snapshot is retained", from SnapshotRetentionStartTime on
    /// (API model, `Snapshot`).
    pub fn expires_at(&self) -> Option<DateTime<Utc>> {
        (self.retention_days > 0)
            .then(|| self.retention_started_at + TimeDelta::days(self.retention_days.into()))
    }

    /// Whether its retention period is over at `now`.
    pub fn has_expired(&self, now: DateTime<Utc>) -> bool {
        self.expires_at()
            .is_some_and(|expires_at| expires_at <= now)
    }

    /// The name AWS gives it in policies.
    pub fn arn(&self, account: &Account, region: &str) -> String {
        let resource = format!(
            "snapshot:{}/{}",
            self.cluster_identifier, self.snapshot_identifier
        );
        account.arn(region, &resource)
    }

    /// Goes with its cluster to another name.
    pub fn follow(&mut self, cluster: &Cluster) {
        let next = cluster.cluster_identifier.clone();
        let old = std::mem::replace(&mut self.cluster_identifier, next);
        self.properties.first_identifier.get_or_insert(old);
    }

    /// The size of all its data: 20,000 to 200,000 MB by cluster, and up to 1 % more by snapshot.
    pub fn total_megabytes(&self) -> u64 {
        let cluster = self.properties.first_identifier(&self.cluster_identifier);
        let base = 20_000 + digest::number(&["cluster", cluster]) % 180_000;
        base + digest::number(&["snapshot", &self.snapshot_identifier]) % (base / 100)
    }

    /// The answer shape `Snapshot` at `now`.
    ///
    /// Left out is what does not apply to a manual snapshot in its own region: KmsKeyId, SourceRegion,
    /// AccountsWithRestoreAccess and the two members about a managed admin password.
    pub fn element(&self, account: &Account, region: &str, now: DateTime<Utc>) -> Element {
        let mut children = self.identity(now);
        children.extend(self.cluster_facts());
        children.extend(self.figures(now));
        children.extend([
            Element::text("OwnerAccount", &account.account_id),
            tag::element(&self.tags),
            Element::text("ManualSnapshotRetentionPeriod", self.retention_days),
            Element::instant("SnapshotRetentionStartTime", self.retention_started_at),
            Element::text("SnapshotArn", self.arn(account, region)),
        ]);
        if let Some(expires_at) = self.expires_at() {
            let days = days_until(expires_at, now);
            children.push(Element::text("ManualSnapshotRemainingDays", days));
        }
        Element::group("Snapshot", children)
    }

    fn identity(&self, now: DateTime<Utc>) -> Vec<Element> {
        vec![
            Element::text("SnapshotIdentifier", &self.snapshot_identifier),
            Element::text("ClusterIdentifier", &self.cluster_identifier),
            Element::instant("SnapshotCreateTime", self.created_at),
            Element::text("Status", self.status(now)),
            Element::text("SnapshotType", "manual"),
        ]
    }

    fn cluster_facts(&self) -> Vec<Element> {
        let properties = &self.properties;
        vec![
            Element::text("Port", properties.port),
            Element::text("AvailabilityZone", &properties.availability_zone),
            Element::instant("ClusterCreateTime", properties.created_at),
            Element::text("MasterUsername", &properties.master_username),
            Element::text("ClusterVersion", "1.0"),
            Element::text("EngineFullVersion", "1.0.100000"),
            Element::text("NodeType", &properties.node_type),
            Element::text("NumberOfNodes", properties.number_of_nodes),
            Element::text("DBName", &properties.db_name),
            Element::text("VpcId", &properties.vpc_id),
            Element::text("Encrypted", properties.encrypted),
            Element::text("EncryptedWithHSM", false),
            Element::group(
                "RestorableNodeTypes",
                vec![Element::text("NodeType", &properties.node_type)],
            ),
            Element::text("EnhancedVpcRouting", properties.enhanced_vpc_routing),
            Element::text("MaintenanceTrackName", "current"),
        ]
    }

    fn figures(&self, now: DateTime<Utc>) -> Vec<Element> {
        let progress = self.progress(now);
        vec![
            Element::text("TotalBackupSizeInMegaBytes", self.total_megabytes()),
            Element::text(
                "ActualIncrementalBackupSizeInMegaBytes",
                self.incremental_megabytes(),
            ),
            Element::text("BackupProgressInMegaBytes", progress.written_megabytes),
            Element::text(
                "CurrentBackupRateInMegaBytesPerSecond",
                progress.rate_megabytes_per_second,
            ),
            Element::text("EstimatedSecondsToCompletion", progress.remaining_seconds),
            Element::text("ElapsedTimeInSeconds", progress.elapsed_seconds),
        ]
    }

    /// What this snapshot adds to the ones before it: 1 to 5 % of the whole.
    fn incremental_megabytes(&self) -> u32 {
        let total = self.total_megabytes();
        let percent = 1 + digest::number(&["increment", &self.snapshot_identifier]) % 5;
        u32::try_from(total * percent / 100).unwrap_or(u32::MAX)
    }

    /// Progress is even from the beginning to the end; a snapshot without an end writes nothing.
    fn progress(&self, now: DateTime<Utc>) -> Progress {
        let (SnapshotFate::Completes { at } | SnapshotFate::Fails { at }) = self.fate else {
            return Progress {
                written_megabytes: 0.0,
                rate_megabytes_per_second: 0.0,
                remaining_seconds: -1,
                elapsed_seconds: (now - self.created_at).num_seconds().max(0),
            };
        };
        let duration_seconds = (at - self.created_at).as_seconds_f64();
        let elapsed_seconds = (now - self.created_at)
            .as_seconds_f64()
            .clamp(0.0, duration_seconds);
        let size_megabytes = f64::from(self.incremental_megabytes());
        let share = if duration_seconds > 0.0 {
            elapsed_seconds / duration_seconds
        } else {
            1.0
        };
        let writing = self.status(now) == "creating" && duration_seconds > 0.0;
        Progress {
            written_megabytes: (size_megabytes * share).round(),
            rate_megabytes_per_second: if writing {
                size_megabytes / duration_seconds
            } else {
                0.0
            },
            remaining_seconds: if writing {
                (at - now).num_seconds().max(0)
            } else {
                0
            },
            elapsed_seconds: (now.min(at) - self.created_at).num_seconds().max(0),
        }
    }
}

/// Whole days until `then`, rounded up.
fn days_until(then: DateTime<Utc>, now: DateTime<Utc>) -> i64 {
    let seconds = (then - now).num_seconds();
    seconds.div_euclid(SECONDS_PER_DAY) + i64::from(seconds.rem_euclid(SECONDS_PER_DAY) > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::Cluster;

    const START: DateTime<Utc> = DateTime::UNIX_EPOCH;

    fn snapshot(fate: SnapshotFate, retention_days: i32) -> Snapshot {
        Snapshot {
            snapshot_identifier: "s".to_owned(),
            cluster_identifier: "dw".to_owned(),
            properties: Cluster::with_defaults("dw", "eu-central-1", START).properties,
            created_at: START,
            retention_days,
            retention_started_at: START,
            tags: Vec::new(),
            fate,
            visible_from: START,
        }
    }

    fn seen(snapshot: &Snapshot, seconds: i64, member: &str) -> Option<String> {
        let account = Account::new("123456789012".to_owned(), Default::default());
        let element = snapshot.element(
            &account,
            "eu-central-1",
            START + TimeDelta::seconds(seconds),
        );
        element.find(&[member]).map(str::to_owned)
    }

    #[test]
    fn a_snapshot_makes_progress_and_then_stands_still() {
        let at = START + TimeDelta::seconds(10);
        let snapshot = snapshot(SnapshotFate::Completes { at }, -1);
        let figure = |seconds, member| {
            seen(&snapshot, seconds, member)
                .unwrap()
                .parse::<f64>()
                .unwrap()
        };
        let whole = figure(0, "ActualIncrementalBackupSizeInMegaBytes");
        assert_eq!(figure(0, "BackupProgressInMegaBytes"), 0.0);
        assert_eq!(
            figure(5, "BackupProgressInMegaBytes"),
            (whole / 2.0).round()
        );
        assert_eq!(figure(4, "EstimatedSecondsToCompletion"), 6.0);
        assert!(figure(4, "CurrentBackupRateInMegaBytesPerSecond") > 0.0);
        assert_eq!(figure(99, "BackupProgressInMegaBytes"), whole);
        assert_eq!(figure(99, "CurrentBackupRateInMegaBytesPerSecond"), 0.0);
        assert_eq!(figure(99, "ElapsedTimeInSeconds"), 10.0);
    }

    #[test]
    fn each_fate_shows_its_status() {
        let at = START + TimeDelta::seconds(10);
        for (fate, last) in [
            (SnapshotFate::Completes { at }, "available"),
            (SnapshotFate::Fails { at }, "failed"),
            (SnapshotFate::Stuck, "creating"),
        ] {
            let snapshot = snapshot(fate, -1);
            assert_eq!(seen(&snapshot, 9, "Status").as_deref(), Some("creating"));
            assert_eq!(seen(&snapshot, 10, "Status").as_deref(), Some(last));
        }
    }

    #[test]
    fn remaining_days_are_rounded_up_and_absent_for_ever() {
        let fate = SnapshotFate::Stuck;
        let seven = snapshot(fate.clone(), 7);
        assert_eq!(
            seen(&seven, 0, "ManualSnapshotRemainingDays").as_deref(),
            Some("7")
        );
        assert_eq!(
            seen(&seven, 1, "ManualSnapshotRemainingDays").as_deref(),
            Some("7")
        );
        assert_eq!(
            seen(&seven, SECONDS_PER_DAY, "ManualSnapshotRemainingDays").as_deref(),
            Some("6")
        );
        assert!(!seven.has_expired(START + TimeDelta::days(7) - TimeDelta::seconds(1)));
        assert!(seven.has_expired(START + TimeDelta::days(7)));
        assert_eq!(
            seen(&snapshot(fate, -1), 0, "ManualSnapshotRemainingDays"),
            None
        );
    }

    #[test]
    fn a_snapshot_that_takes_no_time_is_available_at_once_and_divides_by_nothing() {
        let snapshot = snapshot(SnapshotFate::Completes { at: START }, -1);
        assert_eq!(seen(&snapshot, 0, "Status").as_deref(), Some("available"));
        assert_eq!(
            seen(&snapshot, 0, "CurrentBackupRateInMegaBytesPerSecond").as_deref(),
            Some("0")
        );
    }
}
