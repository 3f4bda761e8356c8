//! ModifyCluster.
//!
//! Checked: ClusterIdentifier, that the cluster is exactly `available`, NewClusterIdentifier (form, and that no
//! cluster has that name or is about to), both retention periods, the form of MasterUserPassword. A cluster that
//! gets another name is `renaming` under the old one first; its snapshots follow it when it is done ("Renaming
//! clusters", Redshift Management Guide), its namespace stays. Not modelled: every other change, which is refused
//! with UnsupportedOperation; the new address of a renamed cluster is there at once.

use super::create_cluster::check_password;
use super::{Outcome, Request};
use crate::account::Account;
use crate::cluster::ClusterState;
use crate::error::{ApiError, Code};
use crate::query::Params;
use crate::{names, retention};

/// The changes of the API model that are not made here.
const UNSUPPORTED: [&str; 25] = [
    "AllowVersionUpgrade",
    "AvailabilityZone",
    "AvailabilityZoneRelocation",
    "ClusterParameterGroupName",
    "ClusterSecurityGroups.ClusterSecurityGroupName.1",
    "ClusterType",
    "ClusterVersion",
    "ElasticIp",
    "Encrypted",
    "EnhancedVpcRouting",
    "ExtraComputeForAutomaticOptimization",
    "HsmClientCertificateIdentifier",
    "HsmConfigurationIdentifier",
    "IpAddressType",
    "KmsKeyId",
    "MaintenanceTrackName",
    "ManageMasterPassword",
    "MasterPasswordSecretKmsKeyId",
    "MultiAZ",
    "NodeType",
    "NumberOfNodes",
    "Port",
    "PreferredMaintenanceWindow",
    "PubliclyAccessible",
    "VpcSecurityGroupIds.VpcSecurityGroupId.1",
];

/// Begins to change a cluster.
///
/// Errors: MissingParameter, InvalidParameterValue, InvalidRetentionPeriodFault, UnsupportedOperation,
/// ClusterNotFound, InvalidClusterState, ClusterAlreadyExists.
pub fn run(account: &mut Account, request: &Request) -> Outcome {
    let params = &request.params;
    let identifier = params.required("ClusterIdentifier")?;
    let new_name = params
        .optional("NewClusterIdentifier")
        .map(|name| names::cluster_identifier_named("NewClusterIdentifier", name))
        .transpose()?;
    let automated_days = retention::automated(params)?;
    let manual_days = retention::manual(params)?;
    params
        .raw("MasterUserPassword")
        .map_or(Ok(()), check_password)?;
    require_supported(params)?;
    let until = account.limits.cluster_done_at(request.now);
    let region = account.region_mut(&request.region, request.now);
    region
        .cluster_mut(identifier)?
        .require_status("available", request.now)?;
    if let Some(name) = new_name.as_deref().filter(|name| region.is_taken(name)) {
        let message = format!("Cluster {name} already exists.");
        return Err(ApiError::new(Code::ClusterAlreadyExists, message));
    }
    let cluster = region.cluster_mut(identifier)?;
    if let Some(days) = automated_days {
        cluster.automated_snapshot_retention_days = days;
    }
    if let Some(days) = manual_days {
        cluster.manual_snapshot_retention_days = days;
    }
    if let Some(to) = new_name {
        cluster.state = ClusterState::Renaming { until, to };
    }
    let cluster = cluster.clone();
    Ok(vec![cluster.element(account, &request.region, request.now)])
}

fn require_supported(params: &Params) -> Result<(), ApiError> {
    let asked = UNSUPPORTED
        .into_iter()
        .find(|name| params.optional(name).is_some());
    match asked {
        None => Ok(()),
        Some(name) => {
            let message = format!("This sandbox cannot change {name}.");
            Err(ApiError::new(Code::UnsupportedOperation, message))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{account, call, refusal};
    use crate::account::Account;

    const RENAME: &str = "ModifyCluster&ClusterIdentifier=dw&NewClusterIdentifier=night";

    fn with_snapshot() -> Account {
        let mut account = account();
        let form = "CreateClusterSnapshot&ClusterIdentifier=dw&SnapshotIdentifier=a";
        call(&mut account, 0, form).unwrap();
        account
    }

    fn snapshot(account: &mut Account, seconds: i64, member: &str) -> String {
        let seen = call(account, seconds, "DescribeClusterSnapshots").unwrap();
        seen.find(&["Snapshots", "Snapshot", member])
            .unwrap()
            .to_owned()
    }

    #[test]
    fn a_cluster_is_renaming_and_then_has_its_new_name_and_its_snapshots_follow() {
        let mut account = with_snapshot();
        let size = snapshot(&mut account, 6, "TotalBackupSizeInMegaBytes");
        let begun = call(&mut account, 6, RENAME).unwrap();
        let member = |name| begun.find(&["Cluster", name]).unwrap();
        assert_eq!(member("ClusterStatus"), "renaming");
        let pending = ["Cluster", "PendingModifiedValues", "ClusterIdentifier"];
        assert_eq!(begun.find(&pending), Some("night"));
        assert_eq!(snapshot(&mut account, 10, "ClusterIdentifier"), "dw");
        let create = "CreateClusterSnapshot&ClusterIdentifier=dw&SnapshotIdentifier=b";
        assert_eq!(refusal(&mut account, 10, create), "InvalidClusterState");

        assert_eq!(snapshot(&mut account, 11, "ClusterIdentifier"), "night");
        assert!(snapshot(&mut account, 11, "SnapshotArn").ends_with(":snapshot:night/a"));
        let same_size = snapshot(&mut account, 11, "TotalBackupSizeInMegaBytes");
        assert_eq!(same_size, size);
        let old = "DescribeClusters&ClusterIdentifier=dw";
        assert_eq!(refusal(&mut account, 11, old), "ClusterNotFound");
        let new = "DescribeClusters&ClusterIdentifier=night";
        let seen = call(&mut account, 11, new).unwrap();
        let seen = |name| seen.find(&["Clusters", "Cluster", name]).unwrap();
        assert_eq!(seen("ClusterStatus"), "available");
        assert_eq!(seen("ClusterNamespaceArn"), member("ClusterNamespaceArn"));
        let own = "DescribeClusterSnapshots&ClusterExists=true&ClusterIdentifier=night";
        let own = call(&mut account, 11, own).unwrap();
        assert_eq!(own.texts(&["Snapshots", "Snapshot", "Status"]).len(), 1);
    }

    #[test]
    fn a_change_after_the_renaming_finds_the_new_name() {
        let mut account = with_snapshot();
        call(&mut account, 6, RENAME).unwrap();
        let back = "ModifyCluster&ClusterIdentifier=night&NewClusterIdentifier=dw";
        assert_eq!(refusal(&mut account, 10, back), "ClusterNotFound");
        call(&mut account, 11, back).unwrap();
        let delete = "DeleteClusterSnapshot&SnapshotIdentifier=a&SnapshotClusterIdentifier=dw";
        assert!(call(&mut account, 16, delete).is_ok());
    }

    #[test]
    fn snapshots_of_an_earlier_cluster_of_that_name_do_not_follow() {
        let mut account = with_snapshot();
        let gone = "DeleteCluster&ClusterIdentifier=dw&SkipFinalClusterSnapshot=true";
        call(&mut account, 6, gone).unwrap();
        let again = "CreateCluster&ClusterIdentifier=dw&NodeType=ra3.large&MasterUsername=admin\
                     &MasterUserPassword=Passw0rd";
        call(&mut account, 20, again).unwrap();
        call(&mut account, 30, RENAME).unwrap();
        assert_eq!(snapshot(&mut account, 40, "ClusterIdentifier"), "dw");
    }

    #[test]
    fn what_cannot_be_changed_is_refused_with_its_code() {
        let mut account = account();
        let more = "CreateCluster&ClusterIdentifier=other&NodeType=ra3.large&MasterUsername=admin\
                    &MasterUserPassword=Passw0rd";
        call(&mut account, 0, more).unwrap();
        for (form, code) in [
            ("", "MissingParameter"),
            ("&ClusterIdentifier=none", "ClusterNotFound"),
            ("&ClusterIdentifier=other", "InvalidClusterState"),
            (
                "&ClusterIdentifier=dw&NewClusterIdentifier=other",
                "ClusterAlreadyExists",
            ),
            (
                "&ClusterIdentifier=dw&NewClusterIdentifier=Night",
                "InvalidParameterValue",
            ),
            (
                "&ClusterIdentifier=dw&NodeType=ra3.xlplus",
                "UnsupportedOperation",
            ),
            (
                "&ClusterIdentifier=dw&MasterUserPassword=weak",
                "InvalidParameterValue",
            ),
            (
                "&ClusterIdentifier=dw&ManualSnapshotRetentionPeriod=0",
                "InvalidRetentionPeriodFault",
            ),
        ] {
            let form = format!("ModifyCluster{form}");
            assert_eq!(refusal(&mut account, 1, &form), code, "{form}");
        }
        call(&mut account, 1, RENAME).unwrap();
        let taken = more.replace("other", "night");
        assert_eq!(refusal(&mut account, 2, &taken), "ClusterAlreadyExists");
    }

    #[test]
    fn retention_periods_change_at_once() {
        let mut account = account();
        let form = "ModifyCluster&ClusterIdentifier=dw&ManualSnapshotRetentionPeriod=9\
                    &AutomatedSnapshotRetentionPeriod=0";
        let seen = call(&mut account, 0, form).unwrap();
        let member = |name| seen.find(&["Cluster", name]);
        assert_eq!(member("ManualSnapshotRetentionPeriod"), Some("9"));
        assert_eq!(member("AutomatedSnapshotRetentionPeriod"), Some("0"));
        assert_eq!(member("ClusterStatus"), Some("available"));
    }
}
