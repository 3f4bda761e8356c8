//! BatchModifyClusterSnapshots.
//!
//! Checked: 1 to 100 identifiers in SnapshotIdentifierList, ManualSnapshotRetentionPeriod, Force; each snapshot
//! then as ModifyClusterSnapshot checks it. What cannot be modified is in Errors, and the answer is a success all
//! the same. Not modelled: what ModifyClusterSnapshot does not either.

use super::modify_cluster_snapshot::{Modification, modify};
use super::{BatchError, Outcome, Request, batch_answer, missing};
use crate::account::Account;
use crate::error::{ApiError, Code};

const SNAPSHOTS_MAX: usize = 100;

/// Modifies those of the snapshots that can be modified.
///
/// Errors: MissingParameter, InvalidRetentionPeriodFault, BatchModifyClusterSnapshotsLimitExceededFault.
pub fn run(account: &mut Account, request: &Request) -> Outcome {
    let identifiers = request.params.strings("SnapshotIdentifierList", "String");
    let wanted = Modification::from_params(&request.params)?;
    if identifiers.is_empty() {
        return Err(missing("SnapshotIdentifierList"));
    }
    if identifiers.len() > SNAPSHOTS_MAX {
        let message = format!("You can modify at most {SNAPSHOTS_MAX} snapshots at once.");
        let code = Code::BatchModifyClusterSnapshotsLimitExceeded;
        return Err(ApiError::new(code, message));
    }
    let (mut modified, mut errors) = (Vec::new(), Vec::new());
    let region = account.region_mut(&request.region, request.now);
    for identifier in identifiers {
        match modify(region, &identifier, &wanted, request.now) {
            Ok(snapshot) => modified.push(snapshot.snapshot_identifier),
            Err(error) => errors.push(BatchError {
                snapshot: identifier,
                cluster: None,
                error,
            }),
        }
    }
    Ok(batch_answer(&modified, &errors))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{account, call, refusal};

    const BATCH: &str = "BatchModifyClusterSnapshots&ManualSnapshotRetentionPeriod=2";
    const MEMBER: &str = "SnapshotIdentifierList.String";
    const DAY: i64 = 86_400;

    #[test]
    fn what_can_be_modified_is_and_force_deletes_what_has_passed() {
        let mut account = account();
        for (seconds, name) in [(0, "old"), (3 * DAY, "new")] {
            let form =
                format!("CreateClusterSnapshot&ClusterIdentifier=dw&SnapshotIdentifier={name}");
            call(&mut account, seconds, &form).unwrap();
        }
        let form = format!("{BATCH}&{MEMBER}.1=old&{MEMBER}.2=New&{MEMBER}.3=never");
        let answer = call(&mut account, 3 * DAY + 9, &form).unwrap();
        assert_eq!(answer.texts(&["Resources", "String"]), ["new"]);
        let codes = answer.texts(&["Errors", "SnapshotErrorMessage", "FailureCode"]);
        assert_eq!(
            codes,
            ["InvalidRetentionPeriodFault", "ClusterSnapshotNotFound"]
        );
        let forced = format!("{BATCH}&Force=true&{MEMBER}.1=old");
        let answer = call(&mut account, 3 * DAY + 9, &forced).unwrap();
        assert_eq!(answer.texts(&["Resources", "String"]), ["old"]);
        let describe = "DescribeClusterSnapshots&SnapshotIdentifier=old";
        let code = refusal(&mut account, 3 * DAY + 9, describe);
        assert_eq!(code, "ClusterSnapshotNotFound");
    }

    #[test]
    fn none_too_many_and_a_wrong_period_are_refused() {
        let mut account = account();
        assert_eq!(refusal(&mut account, 0, BATCH), "MissingParameter");
        let many: String = (1..=101).map(|n| format!("&{MEMBER}.{n}=s{n}")).collect();
        assert_eq!(
            refusal(&mut account, 0, &format!("{BATCH}{many}")),
            "BatchModifyClusterSnapshotsLimitExceededFault"
        );
        let wrong = format!("{BATCH}0000&{MEMBER}.1=a");
        assert_eq!(
            refusal(&mut account, 0, &wrong),
            "InvalidRetentionPeriodFault"
        );
    }
}
