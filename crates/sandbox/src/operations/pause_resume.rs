//! PauseCluster and ResumeCluster.
//!
//! Checked: ClusterIdentifier, that the cluster is exactly `available` or `paused`. Not modelled: the
//! automated snapshot that pausing makes, node types that cannot pause, capacity at resumption.

use super::{Outcome, Request};
use crate::account::Account;
use crate::cluster::ClusterState;

/// Begins to pause a cluster.
///
/// Errors: MissingParameter, ClusterNotFound, InvalidClusterState unless it is `available`.
pub fn pause(account: &mut Account, request: &Request) -> Outcome {
    let until = account.limits.cluster_done_at(request.now);
    change(
        account,
        request,
        "available",
        ClusterState::Pausing { until },
    )
}

/// Begins to resume a cluster.
///
/// Errors: MissingParameter, ClusterNotFound, InvalidClusterState unless it is `paused`.
pub fn resume(account: &mut Account, request: &Request) -> Outcome {
    let until = account.limits.cluster_done_at(request.now);
    change(account, request, "paused", ClusterState::Resuming { until })
}

fn change(account: &mut Account, request: &Request, from: &str, to: ClusterState) -> Outcome {
    let identifier = request.params.required("ClusterIdentifier")?;
    let cluster = account
        .region_mut(&request.region, request.now)
        .cluster_mut(identifier)?;
    cluster.require_status(from, request.now)?;
    cluster.state = to;
    let cluster = cluster.clone();
    Ok(vec![cluster.element(account, &request.region, request.now)])
}

#[cfg(test)]
mod tests {
    use super::super::tests::{account, call, refusal};

    #[test]
    fn a_cluster_pauses_and_resumes_and_does_neither_twice() {
        let mut account = account();
        let pause = "PauseCluster&ClusterIdentifier=dw";
        let resume = "ResumeCluster&ClusterIdentifier=dw";
        let status = ["Cluster", "ClusterStatus"];
        assert_eq!(refusal(&mut account, 0, resume), "InvalidClusterState");
        assert_eq!(
            call(&mut account, 0, pause).unwrap().find(&status),
            Some("pausing")
        );
        assert_eq!(refusal(&mut account, 4, resume), "InvalidClusterState");
        assert_eq!(refusal(&mut account, 5, pause), "InvalidClusterState");
        assert_eq!(
            call(&mut account, 5, resume).unwrap().find(&status),
            Some("resuming")
        );
        assert!(call(&mut account, 10, pause).is_ok());
    }

    #[test]
    fn a_cluster_that_is_not_there_is_not_found() {
        let code = refusal(&mut account(), 0, "PauseCluster&ClusterIdentifier=other");
        assert_eq!(code, "ClusterNotFound");
    }
}
