//! ModifyClusterSnapshot.
//!
//! Checked: SnapshotIdentifier, ManualSnapshotRetentionPeriod, that the snapshot is `available`, that the new
//! period has not passed already. With Force such a snapshot is deleted at once. Not modelled: accounts with
//! restore access. SnapshotRetentionStartTime does not move: the period counts from the beginning.

use chrono::{DateTime, Utc};

use super::{Outcome, Request};
use crate::account::{Account, Region};
use crate::error::{ApiError, Code};
use crate::query::Params;
use crate::retention;
use crate::snapshot::Snapshot;

/// What the parameters ask for.
pub(super) struct Modification {
    retention_days: Option<i32>,
    force: bool,
}

impl Modification {
    /// Reads ManualSnapshotRetentionPeriod and Force.
    pub(super) fn from_params(params: &Params) -> Result<Self, ApiError> {
        Ok(Self {
            retention_days: retention::manual(params)?,
            force: params.boolean("Force")?.unwrap_or(false),
        })
    }
}

/// Changes how long a manual snapshot is kept.
///
/// Errors: MissingParameter, ClusterSnapshotNotFound, InvalidClusterSnapshotState,
/// InvalidRetentionPeriodFault.
pub fn run(account: &mut Account, request: &Request) -> Outcome {
    let params = &request.params;
    let identifier = params.required("SnapshotIdentifier")?;
    let wanted = Modification::from_params(params)?;
    let region = account.region_mut(&request.region, request.now);
    let changed = modify(region, identifier, &wanted, request.now)?;
    Ok(vec![changed.element(account, &request.region, request.now)])
}

/// Checks a wanted for one snapshot against a region that is swept, and carries it out.
pub(super) fn modify(
    region: &mut Region,
    identifier: &str,
    wanted: &Modification,
    now: DateTime<Utc>,
) -> Result<Snapshot, ApiError> {
    let snapshot = region.snapshot_mut(identifier)?;
    snapshot.require_status(&["available"], now)?;
    let mut changed = snapshot.clone();
    changed.retention_days = wanted.retention_days.unwrap_or(snapshot.retention_days);
    if changed.has_expired(now) && !wanted.force {
        let message =
            format!("The retention period of snapshot {identifier} would lie in the past.");
        return Err(ApiError::new(Code::InvalidRetentionPeriod, message));
    }
    // What has expired by this is swept out at the next change and is invisible from now on.
    snapshot.clone_from(&changed);
    Ok(changed)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{account, call, refusal};

    const CREATE: &str = "CreateClusterSnapshot&ClusterIdentifier=dw&SnapshotIdentifier=a";
    const MODIFY: &str = "ModifyClusterSnapshot&SnapshotIdentifier=A&ManualSnapshotRetentionPeriod";
    const DAY: i64 = 86_400;

    #[test]
    fn a_period_is_extended_from_where_it_began() {
        let mut account = account();
        call(
            &mut account,
            0,
            &format!("{CREATE}&ManualSnapshotRetentionPeriod=7"),
        )
        .unwrap();
        assert_eq!(
            refusal(&mut account, 1, &format!("{MODIFY}=14")),
            "InvalidClusterSnapshotState"
        );
        let changed = call(&mut account, 6 * DAY, &format!("{MODIFY}=14")).unwrap();
        assert_eq!(
            changed.find(&["Snapshot", "ManualSnapshotRemainingDays"]),
            Some("8")
        );
        let held = call(&mut account, 6 * DAY, &format!("{MODIFY}=-1")).unwrap();
        assert_eq!(
            held.find(&["Snapshot", "ManualSnapshotRemainingDays"]),
            None
        );
    }

    #[test]
    fn a_period_that_has_passed_is_refused_and_with_force_it_deletes() {
        let mut account = account();
        call(&mut account, 0, CREATE).unwrap();
        assert_eq!(
            refusal(&mut account, 3 * DAY, &format!("{MODIFY}=2")),
            "InvalidRetentionPeriodFault"
        );
        assert_eq!(
            refusal(&mut account, 3 * DAY, &format!("{MODIFY}=0")),
            "InvalidRetentionPeriodFault"
        );
        call(&mut account, 3 * DAY, &format!("{MODIFY}=2&Force=true")).unwrap();
        assert_eq!(
            refusal(&mut account, 3 * DAY, &format!("{MODIFY}=2")),
            "ClusterSnapshotNotFound"
        );
    }
}
