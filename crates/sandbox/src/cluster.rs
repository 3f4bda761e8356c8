//! A provisioned cluster and its states.
//!
//! Owns: which status a cluster shows at an instant, which of them admit an operation, and its answer
//! shape. Never takes a snapshot: that it must be `available` for one is asked here and decided there.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::account::Account;
use super::digest;
use super::error::{ApiError, Code};
use super::tag::{self, Tag};
use super::xml::Element;

/// What a cluster and the snapshots taken of it have in common.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterProperties {
    /// For example `ra3.large`.
    pub node_type: String,
    /// Compute nodes.
    pub number_of_nodes: u32,
    /// The admin user.
    pub master_username: String,
    /// The first database.
    pub db_name: String,
    /// The port the database listens on.
    pub port: u16,
    /// For example `eu-central-1a`.
    pub availability_zone: String,
    /// The VPC the cluster is in.
    pub vpc_id: String,
    /// Whether data is encrypted at rest.
    pub encrypted: bool,
    /// Whether traffic is kept inside the VPC.
    pub enhanced_vpc_routing: bool,
    /// When the cluster was created.
    pub created_at: DateTime<Utc>,
    /// Its name at first, if it has another by now; what is derived from the name stays with this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_identifier: Option<String>,
}

impl ClusterProperties {
    /// The first name of a cluster that is now called `identifier`.
    pub fn first_identifier<'a>(&'a self, identifier: &'a str) -> &'a str {
        self.first_identifier.as_deref().unwrap_or(identifier)
    }
}

/// One cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cluster {
    /// Its name, unique in the region.
    pub cluster_identifier: String,
    /// What the cluster is made of.
    pub properties: ClusterProperties,
    /// Days that automated snapshots would be kept.
    pub automated_snapshot_retention_days: u32,
    /// Days that a manual snapshot is kept when its request does not say; -1 for ever.
    pub manual_snapshot_retention_days: i32,
    /// Its tags.
    pub tags: Vec<Tag>,
    /// What the cluster is doing.
    pub state: ClusterState,
}

/// What a cluster is doing; what ends by itself knows when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClusterState {
    /// Being made; `available` from `until` on.
    Creating {
        /// When the work is done.
        until: DateTime<Utc>,
    },
    /// Being paused; `paused` from `until` on.
    Pausing {
        /// When the work is done.
        until: DateTime<Utc>,
    },
    /// Being resumed; `available` from `until` on.
    Resuming {
        /// When the work is done.
        until: DateTime<Utc>,
    },
    /// Being renamed; `available` under its new name from `until` on.
    Renaming {
        /// When the work is done.
        until: DateTime<Utc>,
        /// The new name.
        to: String,
    },
    /// Being deleted; gone from `until` on.
    Deleting {
        /// When the work is done.
        until: DateTime<Utc>,
    },
    /// In a status that does not change by itself: `available`, or one set by the control endpoint.
    Settled {
        /// The word DescribeClusters shows.
        status: String,
    },
}

impl ClusterState {
    /// Ready for work.
    pub fn available() -> Self {
        Self::Settled {
            status: "available".to_owned(),
        }
    }
}

impl Cluster {
    /// A cluster of the smallest current kind, with every setting at its default.
    pub fn with_defaults(cluster_identifier: &str, region: &str, now: DateTime<Utc>) -> Self {
        Self {
            cluster_identifier: cluster_identifier.to_owned(),
            properties: ClusterProperties {
                node_type: "ra3.large".to_owned(),
                number_of_nodes: 1,
                master_username: "awsuser".to_owned(),
                db_name: "dev".to_owned(),
                port: 5439,
                availability_zone: format!("{region}a"),
                vpc_id: format!("vpc-{}", digest::hex(&["vpc", region], 17)),
                encrypted: true,
                enhanced_vpc_routing: false,
                created_at: now,
                first_identifier: None,
            },
            automated_snapshot_retention_days: 1,
            manual_snapshot_retention_days: -1,
            tags: Vec::new(),
            state: ClusterState::available(),
        }
    }

    /// The status at `now`, in AWS's words.
    pub fn status(&self, now: DateTime<Utc>) -> &str {
        match &self.state {
            ClusterState::Creating { until } if now < *until => "creating",
            ClusterState::Pausing { until } if now < *until => "pausing",
            ClusterState::Resuming { until } if now < *until => "resuming",
            ClusterState::Renaming { until, .. } if now < *until => "renaming",
            ClusterState::Deleting { .. } => "deleting",
            ClusterState::Pausing { .. } => "paused",
            ClusterState::Creating { .. }
            | ClusterState::Resuming { .. }
            | ClusterState::Renaming { .. } => "available",
            ClusterState::Settled { status } => status,
        }
    }

    /// Whether its deletion is complete at `now`.
    pub fn is_gone(&self, now: DateTime<Utc>) -> bool {
        matches!(self.state, ClusterState::Deleting { until } if until <= now)
    }

    /// The name that it is about to have, or has come to.
    pub fn next_name(&self) -> Option<&str> {
        match &self.state {
            ClusterState::Renaming { to, .. } => Some(to),
            _ => None,
        }
    }

    /// Whether the cluster has come to another name by `now`.
    pub fn has_renamed(&self, now: DateTime<Utc>) -> bool {
        matches!(self.state, ClusterState::Renaming { until, .. } if until <= now)
    }

    /// Ends its renaming.
    pub fn take_next_name(&mut self) {
        if let Some(next) = self.next_name().map(str::to_owned) {
            let old = std::mem::replace(&mut self.cluster_identifier, next);
            self.properties.first_identifier.get_or_insert(old);
            self.state = ClusterState::available();
        }
    }

    /// The name AWS gives it in policies.
    pub fn arn(&self, account: &Account, region: &str) -> String {
        account.arn(region, &format!("cluster:{}", self.cluster_identifier))
    }

    /// Requires the status to be exactly `wanted`, or answers `InvalidClusterState`.
    ///
    /// `available, prep-for-resize` and `available, resize-cleanup` do not count as `available`
    /// (Redshift Management Guide, "Cluster status").
    pub fn require_status(&self, wanted: &str, now: DateTime<Utc>) -> Result<(), ApiError> {
        let status = self.status(now);
        if status == wanted {
            return Ok(());
        }
        let message = format!(
            "Cluster {} is in the state '{status}'; it must be '{wanted}' for this operation.",
            self.cluster_identifier
        );
        Err(ApiError::new(Code::InvalidClusterState, message))
    }

    /// The answer shape `Cluster`.
    ///
    /// Left out is what the sandbox has no idea of: security and subnet groups, IAM roles, HSM, resize
    /// progress, maintenance windows, snapshot schedules and copies.
    pub fn element(&self, account: &Account, region: &str, now: DateTime<Utc>) -> Element {
        let properties = &self.properties;
        let status = self.status(now);
        let namespace = digest::uuid(&[
            "namespace",
            &account.account_id,
            region,
            properties.first_identifier(&self.cluster_identifier),
        ]);
        let mut children = vec![
            Element::text("ClusterIdentifier", &self.cluster_identifier),
            Element::text("NodeType", &properties.node_type),
            Element::text("ClusterStatus", status),
            Element::text("ClusterAvailabilityStatus", availability(status)),
            Element::text("MasterUsername", &properties.master_username),
            Element::text("DBName", &properties.db_name),
        ];
        // A cluster has no address before it has been made.
        if status != "creating" {
            children.push(self.endpoint(account, region));
        }
        children.extend([
            Element::instant("ClusterCreateTime", properties.created_at),
            Element::text(
                "AutomatedSnapshotRetentionPeriod",
                self.automated_snapshot_retention_days,
            ),
            Element::text(
                "ManualSnapshotRetentionPeriod",
                self.manual_snapshot_retention_days,
            ),
            Element::text("VpcId", &properties.vpc_id),
            Element::text("AvailabilityZone", &properties.availability_zone),
            Element::group("PendingModifiedValues", self.pending().collect()),
            Element::text("ClusterVersion", "1.0"),
            Element::text("AllowVersionUpgrade", true),
            Element::text("NumberOfNodes", properties.number_of_nodes),
            Element::text("PubliclyAccessible", false),
            Element::text("Encrypted", properties.encrypted),
            tag::element(&self.tags),
            Element::text("EnhancedVpcRouting", properties.enhanced_vpc_routing),
            Element::text("MaintenanceTrackName", "current"),
            Element::text("AvailabilityZoneRelocationStatus", "disabled"),
            Element::text(
                "ClusterNamespaceArn",
                account.arn(region, &format!("namespace:{namespace}")),
            ),
            Element::text("MultiAZ", "Disabled"),
        ]);
        Element::group("Cluster", children)
    }

    fn pending(&self) -> impl Iterator<Item = Element> {
        let next = self.next_name();
        next.map(|name| Element::text("ClusterIdentifier", name))
            .into_iter()
    }

    fn endpoint(&self, account: &Account, region: &str) -> Element {
        let host = digest::hex(&["endpoint", &account.account_id, region], 12);
        let address = format!(
            "{}.{host}.{region}.redshift.amazonaws.com",
            self.cluster_identifier
        );
        Element::group(
            "Endpoint",
            vec![
                Element::text("Address", address),
                Element::text("Port", self.properties.port),
            ],
        )
    }
}

/// The documented ClusterAvailabilityStatus that goes with a ClusterStatus.
///
/// The values are documented, which status shows which is not; a word the sandbox does not know is
/// `Unavailable`.
fn availability(status: &str) -> &'static str {
    match status {
        "available"
        | "available, prep-for-resize"
        | "available, resize-cleanup"
        | "storage-full"
        | "final-snapshot" => "Available",
        "cancelling-resize" | "modifying" | "renaming" | "resizing" | "rotating-keys"
        | "updating-hsm" => "Modifying",
        "rebooting" => "Maintenance",
        "hardware-failure" => "Failed",
        _ => "Unavailable",
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    #[test]
    fn a_cluster_changes_by_itself_at_the_stored_instant() {
        let start = DateTime::UNIX_EPOCH;
        let until = start + TimeDelta::seconds(5);
        for (state, during, after) in [
            (ClusterState::Creating { until }, "creating", "available"),
            (ClusterState::Pausing { until }, "pausing", "paused"),
            (ClusterState::Resuming { until }, "resuming", "available"),
        ] {
            let mut cluster = Cluster::with_defaults("dw", "eu-central-1", start);
            cluster.state = state;
            assert_eq!(cluster.status(until - TimeDelta::milliseconds(1)), during);
            assert_eq!(cluster.status(until), after);
        }
    }

    #[test]
    fn a_status_that_only_begins_with_available_is_not_available() {
        let now = DateTime::UNIX_EPOCH;
        let mut cluster = Cluster::with_defaults("dw", "eu-central-1", now);
        assert_eq!(cluster.require_status("available", now), Ok(()));
        cluster.state = ClusterState::Settled {
            status: "available, resize-cleanup".to_owned(),
        };
        let error = cluster.require_status("available", now).unwrap_err();
        assert_eq!(
            (error.code.as_str(), error.status),
            ("InvalidClusterState", 400)
        );
    }

    #[test]
    fn a_cluster_that_is_being_made_has_no_address() {
        let now = DateTime::UNIX_EPOCH;
        let account = Account::new("123456789012".to_owned(), Default::default());
        let mut cluster = Cluster::with_defaults("dw", "eu-central-1", now);
        let port = ["Endpoint", "Port"];
        assert_eq!(
            cluster.element(&account, "eu-central-1", now).find(&port),
            Some("5439")
        );
        cluster.state = ClusterState::Creating {
            until: now + TimeDelta::seconds(1),
        };
        assert_eq!(
            cluster.element(&account, "eu-central-1", now).find(&port),
            None
        );
    }
}
