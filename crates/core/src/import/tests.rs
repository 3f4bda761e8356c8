//! What becomes of crontabs and exports.

use super::*;

const CRONTAB: &str = "# snapshots\nCRON_TZ=Europe/Berlin\nMAILTO=ops@example.org\n\
    30 2 * * * aws redshift create-cluster-snapshot --region eu-central-1 --cluster-identifier dw-prod \
    --snapshot-identifier dw-$(date +%s) --manual-snapshot-retention-period 35\n\
    @daily root /usr/local/bin/redshift-snapshot.sh finance\n\
    5 4 * * sun /usr/bin/certbot renew\n";

#[test]
fn a_crontab_becomes_policies_and_what_is_no_snapshot_is_left_out() {
    let import = crontab(CRONTAB).unwrap();
    assert_eq!((import.drafts.len(), import.left_out.len()), (2, 1));
    let first = &import.drafts[0];
    assert_eq!(first.schedule, "30 2 * * *");
    assert_eq!(first.timezone.as_deref(), Some("Europe/Berlin"));
    assert_eq!(
        (first.clusters.clone(), first.retention_days),
        (vec!["dw-prod".to_owned()], Some(35))
    );
    let file = policy_file(&import, "crontab");
    assert!(file.contains("regions = [\"eu-central-1\"]"), "{file}");
    assert!(
        file.contains(
            "name = \"cron-dw-prod\"\nschedule = \"30 2 * * *\"\ntimezone = \"Europe/Berlin\""
        ),
        "{file}"
    );
    assert!(
        file.contains("clusters = [\"change-me\"]") && file.contains("# Left out:\n# "),
        "{file}"
    );
    assert!(crontab("5 4 * * sun /usr/bin/certbot renew").is_err());
}

#[test]
fn a_schedule_of_eventbridge_becomes_its_equivalent_with_cluster_and_period() {
    let text = r#"{"Name": "Nightly DW!", "Arn": "arn:aws:scheduler:us-west-2:111122223333:schedule/default/x",
        "ScheduleExpression": "cron(30 2 ? * 2-6 *)", "ScheduleExpressionTimezone": "America/New_York",
        "FlexibleTimeWindow": {"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 15}, "State": "DISABLED",
        "Target": {"Arn": "arn:aws:scheduler:::aws-sdk:redshift:createClusterSnapshot",
            "Input": "{\"ClusterIdentifier\": \"dw\", \"ManualSnapshotRetentionPeriod\": 7}"}}"#;
    let file = policy_file(&eventbridge(text).unwrap(), "eventbridge");
    for line in [
        "name = \"nightly-dw\"",
        "schedule = \"30 2 * * 1-5\"",
        "timezone = \"America/New_York\"",
        "clusters = [\"dw\"]",
        "retention = \"7d\"",
        "jitter = \"15m\"",
        "enabled = false",
        "regions = [\"us-west-2\"]",
    ] {
        assert!(file.lines().any(|one| one == line), "{line}\n{file}");
    }
    let other = text.replace("createClusterSnapshot", "pauseCluster");
    let other = eventbridge(&other).unwrap();
    assert_eq!((other.drafts.len(), other.left_out.len()), (0, 1));
    assert!(eventbridge("{}").is_err() && eventbridge("{").is_err());
}

#[test]
fn a_native_schedule_has_a_policy_for_each_definition_and_what_has_no_equivalent_is_a_comment() {
    let text = r#"{"SnapshotSchedules": [{"ScheduleIdentifier": "prod",
        "ScheduleDefinitions": ["cron(30 12 *)", "rate(7 hours)"],
        "AssociatedClusters": [{"ClusterIdentifier": "dw", "ScheduleAssociationState": "ACTIVE"}]}]}"#;
    let file = policy_file(&native(text).unwrap(), "native");
    assert!(
        file.contains("\nname = \"prod\"\nschedule = \"30 12 * * *\"\n"),
        "{file}"
    );
    assert!(
        file.contains("# NOT CARRIED OVER: ") && file.contains("\n# name = \"prod-2\"\n"),
        "{file}"
    );
}

#[test]
fn other_peoples_text_becomes_no_key() {
    let text = "30 2 * * * redshift-snapshot \u{1b}[31m\r[[policy]]";
    let import = Import {
        left_out: vec!["x\n[[policy]]".to_owned()],
        ..crontab(text).unwrap()
    };
    let file = policy_file(&import, "crontab");
    assert_eq!(
        file.lines()
            .filter(|line| line.starts_with("[[policy]]"))
            .count(),
        1,
        "{file}"
    );
}
