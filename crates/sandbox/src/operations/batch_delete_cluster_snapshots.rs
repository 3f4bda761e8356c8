//! BatchDeleteClusterSnapshots.
//!
//! Checked: 1 to 100 Identifiers; each then as DeleteClusterSnapshot checks it. What cannot be deleted is in
//! Errors, and the answer is a success all the same. Not modelled: what DeleteClusterSnapshot does not either.

use super::delete_cluster_snapshot::delete;
use super::{BatchError, Outcome, Request, batch_answer, missing};
use crate::account::Account;
use crate::error::{ApiError, Code};

const SNAPSHOTS_MAX: usize = 100;

/// Deletes those of the snapshots that can be deleted.
///
/// Errors: MissingParameter, BatchDeleteRequestSizeExceeded.
pub fn run(account: &mut Account, request: &Request) -> Outcome {
    let wishes = request
        .params
        .members("Identifiers", "DeleteClusterSnapshotMessage");
    if wishes.is_empty() {
        return Err(missing("Identifiers"));
    }
    if wishes.len() > SNAPSHOTS_MAX {
        let message = format!("You can delete at most {SNAPSHOTS_MAX} snapshots at once.");
        return Err(ApiError::new(Code::BatchDeleteRequestSizeExceeded, message));
    }
    let (mut deleted, mut errors) = (Vec::new(), Vec::new());
    let region = account.region_mut(&request.region, request.now);
    for wish in wishes {
        let identifier = wish.get("SnapshotIdentifier").copied();
        let cluster = wish.get("SnapshotClusterIdentifier").copied();
        let cluster = cluster.filter(|cluster| !cluster.is_empty());
        let identifier = identifier.ok_or_else(|| missing("SnapshotIdentifier"))?;
        match delete(region, identifier, cluster, request.now) {
            Ok(snapshot) => deleted.push(snapshot.snapshot_identifier),
            Err(error) => errors.push(BatchError {
                snapshot: identifier.to_owned(),
                cluster: cluster.map(str::to_owned),
                error,
            }),
        }
    }
    Ok(batch_answer(&deleted, &errors))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{account, call, refusal};

    const BATCH: &str = "BatchDeleteClusterSnapshots";
    const MEMBER: &str = "Identifiers.DeleteClusterSnapshotMessage";

    #[test]
    fn what_can_be_deleted_is_and_the_rest_is_told_one_by_one() {
        let mut account = account();
        for (seconds, name) in [(0, "a"), (0, "b"), (9, "young")] {
            let form =
                format!("CreateClusterSnapshot&ClusterIdentifier=dw&SnapshotIdentifier={name}");
            call(&mut account, seconds, &form).unwrap();
        }
        let form = format!(
            "{BATCH}&{MEMBER}.1.SnapshotIdentifier=A&{MEMBER}.2.SnapshotIdentifier=young\
             &{MEMBER}.3.SnapshotIdentifier=b&{MEMBER}.3.SnapshotClusterIdentifier=other\
             &{MEMBER}.4.SnapshotIdentifier=a"
        );
        let answer = call(&mut account, 10, &form).unwrap();
        assert_eq!(answer.texts(&["Resources", "String"]), ["a"]);
        let member = |name| answer.texts(&["Errors", "SnapshotErrorMessage", name]);
        assert_eq!(member("SnapshotIdentifier"), ["young", "b", "a"]);
        assert_eq!(member("SnapshotClusterIdentifier"), ["other"]);
        assert_eq!(
            member("FailureCode"),
            [
                "InvalidClusterSnapshotState",
                "ClusterSnapshotNotFound",
                "ClusterSnapshotNotFound"
            ]
        );
    }

    #[test]
    fn none_and_more_than_a_hundred_are_refused() {
        let mut account = account();
        assert_eq!(refusal(&mut account, 0, BATCH), "MissingParameter");
        let many = |count| -> String {
            let member = |n| format!("&{MEMBER}.{n}.SnapshotIdentifier=s{n}");
            (1..=count).map(member).collect()
        };
        assert!(call(&mut account, 0, &format!("{BATCH}{}", many(100))).is_ok());
        assert_eq!(
            refusal(&mut account, 0, &format!("{BATCH}{}", many(101))),
            "BatchDeleteRequestSizeExceeded"
        );
    }
}
