//! CreateClusterSnapshot.
//!
//! Checked, in this order: the form of every parameter, that the cluster exists, that it is exactly
//! `available`, that the name is free, the quota. The order between the last three is not documented;
//! this one makes the known hazard visible: a cluster that is not ready hides that the name is already
//! taken, even by the caller's own accepted snapshot, behind InvalidClusterState.
//! Not modelled: a cluster that refuses while it reads `available` (use a fault rule), the cluster's tags
//! (the real service is not documented to copy them either).

use chrono::{DateTime, TimeDelta, Utc};

use super::{Modifier, Outcome, Request};
use crate::account::{Account, AccountLimits, Region};
use crate::error::{ApiError, Code};
use crate::event::{Event, EventKind};
use crate::snapshot::{Snapshot, SnapshotFate};
use crate::tag::Tag;
use crate::{names, retention, tag};

/// What the parameters ask for.
pub(super) struct NewSnapshot {
    pub(super) snapshot_identifier: String,
    pub(super) cluster_identifier: String,
    pub(super) retention_days: Option<i32>,
    pub(super) tags: Vec<Tag>,
}

/// Begins a manual snapshot.
///
/// Errors: ClusterNotFound, InvalidClusterState, ClusterSnapshotAlreadyExists,
/// ClusterSnapshotQuotaExceeded, InvalidRetentionPeriodFault, InvalidTagFault, TagLimitExceededFault,
/// InvalidParameterValue, MissingParameter.
pub fn run(account: &mut Account, request: &Request) -> Outcome {
    let params = &request.params;
    let wanted = NewSnapshot {
        snapshot_identifier: names::snapshot_identifier(params.required("SnapshotIdentifier")?)?,
        cluster_identifier: params.required("ClusterIdentifier")?.to_owned(),
        retention_days: retention::manual(params)?,
        tags: tag::from_params(params)?,
    };
    let limits = account.limits.clone();
    let region = account.region_mut(&request.region, request.now);
    let snapshot = begin(region, &limits, request, wanted)?;
    Ok(vec![snapshot.element(
        account,
        &request.region,
        request.now,
    )])
}

/// Checks what is wanted against the region, and writes the snapshot down.
pub(super) fn begin(
    region: &mut Region,
    limits: &AccountLimits,
    request: &Request,
    wanted: NewSnapshot,
) -> Result<Snapshot, ApiError> {
    let cluster = region.cluster_mut(&wanted.cluster_identifier)?;
    cluster.require_status("available", request.now)?;
    let properties = cluster.properties.clone();
    // Absent means "the default number of days to retain a manual snapshot" of the cluster, which is -1
    // unless somebody chose otherwise; that agrees with both places of the documentation.
    let retention_days = wanted
        .retention_days
        .unwrap_or(cluster.manual_snapshot_retention_days);
    require_free_name(region, &wanted.snapshot_identifier)?;
    require_room(region, limits)?;
    let snapshot = Snapshot {
        snapshot_identifier: wanted.snapshot_identifier,
        cluster_identifier: wanted.cluster_identifier,
        properties,
        created_at: request.now,
        retention_days,
        retention_started_at: request.now,
        tags: wanted.tags,
        fate: fate(limits, request),
        visible_from: visible_from(request),
    };
    region.events.extend(events(&snapshot, &request.twist));
    region
        .snapshots
        .insert(snapshot.snapshot_identifier.clone(), snapshot.clone());
    Ok(snapshot)
}

fn require_free_name(region: &Region, identifier: &str) -> Result<(), ApiError> {
    if !region.snapshots.contains_key(identifier) {
        return Ok(());
    }
    let message = format!("A snapshot with the identifier {identifier} already exists.");
    Err(ApiError::new(Code::ClusterSnapshotAlreadyExists, message))
}

fn require_room(region: &Region, limits: &AccountLimits) -> Result<(), ApiError> {
    if region.snapshots.len() < usize::try_from(limits.manual_snapshots).unwrap_or(usize::MAX) {
        return Ok(());
    }
    let message = format!(
        "You have reached the quota of {} manual snapshots in this region.",
        limits.manual_snapshots
    );
    Err(ApiError::new(Code::ClusterSnapshotQuotaExceeded, message))
}

fn fate(limits: &AccountLimits, request: &Request) -> SnapshotFate {
    let at = limits.snapshot_done_at(request.now);
    match request.twist {
        Modifier::FailSnapshot { .. } => SnapshotFate::Fails { at },
        Modifier::StuckSnapshot => SnapshotFate::Stuck,
        Modifier::None | Modifier::LateSnapshot { .. } | Modifier::LoopMarker => {
            SnapshotFate::Completes { at }
        }
    }
}

fn visible_from(request: &Request) -> DateTime<Utc> {
    match request.twist {
        Modifier::LateSnapshot { seconds } => request.now + TimeDelta::seconds(seconds.into()),
        _ => request.now,
    }
}

/// The start, and the end if there will be one.
fn events(snapshot: &Snapshot, twist: &Modifier) -> Vec<Event> {
    let event = |kind, date, reason: Option<&str>| {
        let (name, cluster) = (&snapshot.snapshot_identifier, &snapshot.cluster_identifier);
        Event::new(kind, name, cluster, date, reason)
    };
    let reason = match twist {
        Modifier::FailSnapshot { reason } => Some(reason.as_str()),
        _ => None,
    };
    let start = event(EventKind::Started, snapshot.created_at, None);
    match snapshot.fate {
        SnapshotFate::Completes { at } => vec![start, event(EventKind::Completed, at, None)],
        SnapshotFate::Fails { at } => vec![start, event(EventKind::Failed, at, reason)],
        SnapshotFate::Stuck | SnapshotFate::Held { .. } => vec![start],
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{account, call, call_with, refusal};
    use crate::cluster::ClusterState;
    use crate::operations::Modifier;

    const CREATE: &str = "CreateClusterSnapshot&ClusterIdentifier=dw";

    #[test]
    fn a_snapshot_is_creating_with_what_was_asked_for() {
        let form = format!(
            "{CREATE}&SnapshotIdentifier=My-Snap&ManualSnapshotRetentionPeriod=35&Tags.Tag.1.Key=a&Tags.Tag.1.Value=b"
        );
        let made = call(&mut account(), 0, &form).unwrap();
        for (member, value) in [
            ("SnapshotIdentifier", "my-snap"),
            ("Status", "creating"),
            ("ManualSnapshotRetentionPeriod", "35"),
            ("ManualSnapshotRemainingDays", "35"),
            ("SnapshotCreateTime", "2026-11-24T00:00:00.000Z"),
            (
                "SnapshotArn",
                "arn:aws:redshift:eu-central-1:123456789012:snapshot:dw/my-snap",
            ),
        ] {
            assert_eq!(made.find(&["Snapshot", member]), Some(value), "{member}");
        }
        assert_eq!(made.find(&["Snapshot", "Tags", "Tag", "Key"]), Some("a"));
    }

    #[test]
    fn what_the_documentation_forbids_is_refused_with_its_code() {
        let mut account = account();
        call(
            &mut account,
            0,
            &format!("{CREATE}&SnapshotIdentifier=taken"),
        )
        .unwrap();
        for (form, code) in [
            (
                "CreateClusterSnapshot&ClusterIdentifier=dw".to_owned(),
                "MissingParameter",
            ),
            (
                "CreateClusterSnapshot&SnapshotIdentifier=a".to_owned(),
                "MissingParameter",
            ),
            (
                format!("{CREATE}&SnapshotIdentifier="),
                "InvalidParameterValue",
            ),
            (
                format!("{CREATE}&SnapshotIdentifier=a--b"),
                "InvalidParameterValue",
            ),
            (
                format!("{CREATE}&SnapshotIdentifier=TAKEN"),
                "ClusterSnapshotAlreadyExists",
            ),
            (
                "CreateClusterSnapshot&ClusterIdentifier=other&SnapshotIdentifier=taken".to_owned(),
                "ClusterNotFound",
            ),
            (
                format!("{CREATE}&SnapshotIdentifier=a&ManualSnapshotRetentionPeriod=3654"),
                "InvalidRetentionPeriodFault",
            ),
            (
                format!("{CREATE}&SnapshotIdentifier=a&ManualSnapshotRetentionPeriod=0"),
                "InvalidRetentionPeriodFault",
            ),
            (
                format!("{CREATE}&SnapshotIdentifier=a&Tags.Tag.1.Key=a*"),
                "InvalidTagFault",
            ),
        ] {
            assert_eq!(refusal(&mut account, 0, &form), code, "{form}");
        }
    }

    #[test]
    fn a_cluster_that_is_not_ready_hides_that_the_name_is_taken() {
        let mut account = account();
        let form = format!("{CREATE}&SnapshotIdentifier=taken");
        call(&mut account, 0, &form).unwrap();
        call(&mut account, 1, "PauseCluster&ClusterIdentifier=dw").unwrap();
        assert_eq!(refusal(&mut account, 2, &form), "InvalidClusterState");
    }

    #[test]
    fn the_quota_counts_the_region_and_expiry_makes_room() {
        let mut account = account();
        account.limits.manual_snapshots = 2;
        let form = |name: &str| {
            format!("{CREATE}&SnapshotIdentifier={name}&ManualSnapshotRetentionPeriod=1")
        };
        call(&mut account, 0, &form("a")).unwrap();
        call(&mut account, 60, &form("b")).unwrap();
        assert_eq!(
            refusal(&mut account, 61, &form("c")),
            "ClusterSnapshotQuotaExceeded"
        );
        assert_eq!(
            refusal(&mut account, 61, &form("a")),
            "ClusterSnapshotAlreadyExists"
        );
        assert!(call(&mut account, 86_400, &form("c")).is_ok());
        assert!(call(&mut account, 86_460, &form("a")).is_ok());
    }

    #[test]
    fn the_clusters_own_default_retention_is_used_when_none_is_asked_for() {
        let mut account = account();
        let region = account.regions.get_mut("eu-central-1").unwrap();
        let cluster = region.clusters.get_mut("dw").unwrap();
        cluster.manual_snapshot_retention_days = 9;
        cluster.state = ClusterState::available();
        let made = call(&mut account, 0, &format!("{CREATE}&SnapshotIdentifier=a")).unwrap();
        assert_eq!(
            made.find(&["Snapshot", "ManualSnapshotRetentionPeriod"]),
            Some("9")
        );
    }

    #[test]
    fn a_late_snapshot_holds_its_name_before_anybody_sees_it() {
        let mut account = account();
        let form = format!("{CREATE}&SnapshotIdentifier=a");
        call_with(
            &mut account,
            0,
            &form,
            Modifier::LateSnapshot { seconds: 60 },
        )
        .unwrap();
        let describe = "DescribeClusterSnapshots&SnapshotIdentifier=a";
        assert_eq!(
            refusal(&mut account, 59, describe),
            "ClusterSnapshotNotFound"
        );
        assert_eq!(
            refusal(&mut account, 59, &form),
            "ClusterSnapshotAlreadyExists"
        );
        assert!(call(&mut account, 60, describe).is_ok());
    }
}
