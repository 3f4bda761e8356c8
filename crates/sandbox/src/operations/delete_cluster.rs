//! DeleteCluster.
//!
//! Checked: ClusterIdentifier, that SkipFinalClusterSnapshot is true or FinalClusterSnapshotIdentifier
//! given (not both), FinalClusterSnapshotRetentionPeriod, that the cluster is exactly `available` when a
//! final snapshot is wanted and not already `deleting`. Manual snapshots stay. Not modelled: the status
//! `final-snapshot`; the final snapshot is begun like any other and outlives the cluster.

use super::create_cluster_snapshot::{NewSnapshot, begin};
use super::{Outcome, Request};
use crate::account::Account;
use crate::cluster::ClusterState;
use crate::error::{ApiError, Code};
use crate::query::Params;
use crate::{names, retention};

/// Begins to delete a cluster.
///
/// Errors: MissingParameter, InvalidParameterCombination, ClusterNotFound, InvalidClusterState, and those
/// of CreateClusterSnapshot when a final snapshot is wanted.
pub fn run(account: &mut Account, request: &Request) -> Outcome {
    let identifier = request.params.required("ClusterIdentifier")?;
    let final_snapshot = final_snapshot(&request.params, identifier)?;
    let limits = account.limits.clone();
    let region = account.region_mut(&request.region, request.now);
    let status = region
        .cluster_mut(identifier)?
        .status(request.now)
        .to_owned();
    if status == "deleting" {
        let message = format!("Cluster {identifier} is already being deleted.");
        return Err(ApiError::new(Code::InvalidClusterState, message));
    }
    if let Some(wanted) = final_snapshot {
        begin(region, &limits, request, wanted)?;
    }
    let cluster = region.cluster_mut(identifier)?;
    cluster.state = ClusterState::Deleting {
        until: limits.cluster_done_at(request.now),
    };
    let cluster = cluster.clone();
    Ok(vec![cluster.element(account, &request.region, request.now)])
}

fn final_snapshot(params: &Params, cluster: &str) -> Result<Option<NewSnapshot>, ApiError> {
    let skip = params.boolean("SkipFinalClusterSnapshot")?.unwrap_or(false);
    let combination =
        |message: &str| Err(ApiError::new(Code::InvalidParameterCombination, message));
    match (skip, params.optional("FinalClusterSnapshotIdentifier")) {
        (true, None) => Ok(None),
        (true, Some(_)) => combination(
            "FinalClusterSnapshotIdentifier can't be given when SkipFinalClusterSnapshot is true.",
        ),
        (false, None) => combination(
            "FinalClusterSnapshotIdentifier is required unless SkipFinalClusterSnapshot is true.",
        ),
        (false, Some(name)) => Ok(Some(NewSnapshot {
            snapshot_identifier: names::snapshot_identifier(name)?,
            cluster_identifier: cluster.to_owned(),
            retention_days: retention::manual_named("FinalClusterSnapshotRetentionPeriod", params)?,
            tags: Vec::new(),
        })),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{account, call, refusal};

    #[test]
    fn a_deleted_cluster_goes_and_its_final_snapshot_stays() {
        let mut account = account();
        let form = "DeleteCluster&ClusterIdentifier=dw&FinalClusterSnapshotIdentifier=last";
        let made = call(&mut account, 0, form).unwrap();
        assert_eq!(made.find(&["Cluster", "ClusterStatus"]), Some("deleting"));
        assert_eq!(refusal(&mut account, 1, form), "InvalidClusterState");
        assert_eq!(
            refusal(&mut account, 5, "DescribeClusters&ClusterIdentifier=dw"),
            "ClusterNotFound"
        );
        let seen = call(
            &mut account,
            5,
            "DescribeClusterSnapshots&SnapshotIdentifier=last",
        )
        .unwrap();
        assert_eq!(
            seen.find(&["Snapshots", "Snapshot", "Status"]),
            Some("available")
        );
    }

    #[test]
    fn a_final_snapshot_is_either_named_or_skipped() {
        for form in [
            "",
            "&SkipFinalClusterSnapshot=true&FinalClusterSnapshotIdentifier=a",
        ] {
            let code = refusal(
                &mut account(),
                0,
                &format!("DeleteCluster&ClusterIdentifier=dw{form}"),
            );
            assert_eq!(code, "InvalidParameterCombination", "{form}");
        }
    }
}
