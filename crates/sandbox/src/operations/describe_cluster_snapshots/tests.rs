//! What DescribeClusterSnapshots finds, refuses and pages.

use super::super::tests::{account, call, refusal};
use crate::account::Account;

const DESCRIBE: &str = "DescribeClusterSnapshots";
const FIRST: [&str; 3] = ["Snapshots", "Snapshot", "SnapshotIdentifier"];

/// An account with the snapshots a, b and c, one second apart, of which b has a tag.
fn three() -> Account {
    let mut account = account();
    for (seconds, name, more) in [
        (0, "a", ""),
        (1, "b", "&Tags.Tag.1.Key=env&Tags.Tag.1.Value=prod"),
        (2, "c", "&ManualSnapshotRetentionPeriod=1"),
    ] {
        let form =
            format!("CreateClusterSnapshot&ClusterIdentifier=dw&SnapshotIdentifier={name}{more}");
        call(&mut account, seconds, &form).unwrap();
    }
    account
}

fn first(account: &mut Account, seconds: i64, form: &str) -> Option<String> {
    let answer = call(account, seconds, &format!("{DESCRIBE}{form}")).unwrap();
    answer.find(&FIRST).map(str::to_owned)
}

#[test]
fn each_filter_finds_what_it_should() {
    let mut account = three();
    let arn = "arn:aws:redshift:eu-central-1:123456789012:snapshot:dw/b";
    for (form, wanted) in [
        ("", Some("a")),
        ("&SnapshotIdentifier=B", Some("b")),
        (&format!("&SnapshotArn={arn}"), Some("b")),
        ("&ClusterIdentifier=other", None),
        ("&SnapshotType=manual", Some("a")),
        ("&SnapshotType=automated", None),
        ("&OwnerAccount=123456789012", Some("a")),
        ("&OwnerAccount=999999999999", None),
        ("&StartTime=2026-11-24T00:00:01Z", Some("b")),
        ("&EndTime=2026-11-23T23:59:59Z", None),
        ("&TagKeys.TagKey.1=env&TagKeys.TagKey.2=other", Some("b")),
        ("&TagValues.TagValue.1=prod", Some("b")),
        ("&TagKeys.TagKey.1=other&TagValues.TagValue.1=other", None),
        ("&ClusterExists=false", None),
        ("&ClusterExists=true&ClusterIdentifier=dw", Some("a")),
        (
            "&SortingEntities.SnapshotSortingEntity.1.Attribute=CREATE_TIME&SortingEntities.SnapshotSortingEntity.1.SortOrder=DESC",
            Some("c"),
        ),
        ("&SortingEntities.member.1.Attribute=CREATE_TIME", Some("a")),
    ] {
        assert_eq!(first(&mut account, 10, form).as_deref(), wanted, "{form}");
    }
}

#[test]
fn orphans_are_found_once_their_cluster_is_gone() {
    let mut account = three();
    call(
        &mut account,
        3,
        "DeleteCluster&ClusterIdentifier=dw&SkipFinalClusterSnapshot=true",
    )
    .unwrap();
    assert_eq!(first(&mut account, 4, "&ClusterExists=false"), None);
    assert_eq!(
        first(&mut account, 8, "&ClusterExists=false").as_deref(),
        Some("a")
    );
    let named = "&ClusterExists=false&ClusterIdentifier=dw";
    assert_eq!(first(&mut account, 8, named).as_deref(), Some("a"));
    assert_eq!(
        first(&mut account, 8, "&ClusterExists=true&ClusterIdentifier=dw"),
        None
    );
}

#[test]
fn an_expired_snapshot_is_not_found_although_nothing_was_written() {
    let mut account = three();
    let before = account.clone();
    assert_eq!(
        first(&mut account, 86_401, "&SnapshotIdentifier=c").as_deref(),
        Some("c")
    );
    let form = format!("{DESCRIBE}&SnapshotIdentifier=c");
    assert_eq!(
        refusal(&mut account, 86_402, &form),
        "ClusterSnapshotNotFound"
    );
    assert_eq!(account, before);
}

#[test]
fn what_cannot_be_asked_is_refused_with_its_code() {
    let mut account = three();
    let entity = "&SortingEntities.SnapshotSortingEntity";
    for (form, code) in [
        (
            "&SnapshotIdentifier=a&ClusterIdentifier=dw".to_owned(),
            "InvalidParameterCombination",
        ),
        (
            "&ClusterExists=true".to_owned(),
            "InvalidParameterCombination",
        ),
        ("&SnapshotType=shared".to_owned(), "InvalidParameterValue"),
        ("&MaxRecords=5".to_owned(), "InvalidParameterValue"),
        ("&Marker=abc".to_owned(), "InvalidParameterValue"),
        (
            "&SnapshotIdentifier=other".to_owned(),
            "ClusterSnapshotNotFound",
        ),
        (
            "&SnapshotArn=arn:aws:redshift:x".to_owned(),
            "ClusterSnapshotNotFound",
        ),
        (
            format!("{entity}.1.Attribute=NAME"),
            "InvalidParameterValue",
        ),
        (
            format!(
                "{entity}.1.Attribute=CREATE_TIME&SortingEntities.SnapshotSortingEntity.2.Attribute=CREATE_TIME"
            ),
            "InvalidParameterCombination",
        ),
    ] {
        assert_eq!(
            refusal(&mut account, 10, &format!("{DESCRIBE}{form}")),
            code,
            "{form}"
        );
    }
}
