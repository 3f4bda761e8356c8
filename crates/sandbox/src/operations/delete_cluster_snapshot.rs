//! DeleteClusterSnapshot.
//!
//! Checked: SnapshotIdentifier; SnapshotClusterIdentifier, when given, must be the snapshot's cluster; the
//! snapshot must be `available`, `failed` or `cancelled`. Not modelled: accounts with restore access, a snapshot
//! that a newer one depends on, IAM policies for which SnapshotClusterIdentifier is required.

use chrono::{DateTime, Utc};

use super::{Outcome, Request};
use crate::account::{Account, Region, snapshot_not_found};
use crate::error::ApiError;
use crate::event::{Event, EventKind};
use crate::snapshot::Snapshot;

/// Deletes a manual snapshot at once; the answer shows it with the status `deleted`.
///
/// Errors: MissingParameter, ClusterSnapshotNotFound, InvalidClusterSnapshotState.
pub fn run(account: &mut Account, request: &Request) -> Outcome {
    let identifier = request.params.required("SnapshotIdentifier")?;
    let cluster = request.params.optional("SnapshotClusterIdentifier");
    let region = account.region_mut(&request.region, request.now);
    let snapshot = delete(region, identifier, cluster, request.now)?;
    let element = snapshot.element(account, &request.region, request.now);
    Ok(vec![element.with_text("Status", "deleted")])
}

/// Checks one wish against a region that is swept, and carries it out.
pub(super) fn delete(
    region: &mut Region,
    identifier: &str,
    cluster: Option<&str>,
    now: DateTime<Utc>,
) -> Result<Snapshot, ApiError> {
    let identifier = identifier.to_ascii_lowercase();
    require_deletable(region, &identifier, cluster, now)?;
    let Some(snapshot) = region.snapshots.remove(&identifier) else {
        return Err(snapshot_not_found(&identifier));
    };
    region.events.push(Event::new(
        EventKind::Deleted,
        &identifier,
        &snapshot.cluster_identifier,
        now,
        None,
    ));
    Ok(snapshot)
}

fn require_deletable(
    region: &Region,
    identifier: &str,
    cluster: Option<&str>,
    now: DateTime<Utc>,
) -> Result<(), ApiError> {
    let snapshot = region
        .snapshots
        .get(identifier)
        .filter(|snapshot| cluster.is_none_or(|cluster| cluster == snapshot.cluster_identifier))
        .ok_or_else(|| snapshot_not_found(identifier))?;
    snapshot.require_status(&["available", "failed", "cancelled"], now)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{account, call, call_with, refusal};
    use crate::operations::Modifier;

    const CREATE: &str = "CreateClusterSnapshot&ClusterIdentifier=dw&SnapshotIdentifier=a";
    const DELETE: &str = "DeleteClusterSnapshot&SnapshotIdentifier=A";

    #[test]
    fn a_snapshot_is_deleted_once_it_is_available_and_then_it_is_not_found() {
        let mut account = account();
        call(&mut account, 0, CREATE).unwrap();
        assert_eq!(
            refusal(&mut account, 4, DELETE),
            "InvalidClusterSnapshotState"
        );
        let other = format!("{DELETE}&SnapshotClusterIdentifier=other");
        assert_eq!(refusal(&mut account, 5, &other), "ClusterSnapshotNotFound");
        let gone = call(
            &mut account,
            5,
            &format!("{DELETE}&SnapshotClusterIdentifier=dw"),
        )
        .unwrap();
        assert_eq!(gone.find(&["Snapshot", "Status"]), Some("deleted"));
        assert_eq!(refusal(&mut account, 6, DELETE), "ClusterSnapshotNotFound");
    }

    #[test]
    fn a_failed_snapshot_can_be_deleted_and_a_stuck_one_never() {
        let mut account = account();
        let plan = Modifier::FailSnapshot {
            reason: String::new(),
        };
        call_with(&mut account, 0, CREATE, plan).unwrap();
        assert!(call(&mut account, 5, DELETE).is_ok());
        call_with(&mut account, 6, CREATE, Modifier::StuckSnapshot).unwrap();
        assert_eq!(
            refusal(&mut account, 9_999, DELETE),
            "InvalidClusterSnapshotState"
        );
    }
}
