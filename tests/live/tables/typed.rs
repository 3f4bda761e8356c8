//! What people type: instants, and names that exist or do not.

use super::{CLUSTER, POLICY, err, nights, rows, told};
use crate::support::{Dir, Sandbox};

#[tokio::test]
async fn instants_are_understood_as_people_type_them() {
    let dir = Dir::new();
    let (config, runs) = nights(&dir).await;
    // It expired seven hours after its instant, and more than a day ago.
    let by_instant = rows(&told(&config, &["history", "--since", "34h", "-o", "json"]));
    assert_eq!(by_instant.len(), 2, "{by_instant:#?}");
    let since = [
        "history", "--since", "30h", "--state", "expired", "-o", "json",
    ];
    assert_eq!(rows(&told(&config, &since)).len(), 0);
    let ended = [
        "history",
        "--ended-since",
        "30h",
        "--state",
        "expired",
        "-o",
        "json",
    ];
    assert_eq!(rows(&told(&config, &ended)).len(), 1);
    let date = runs[2].slot.scheduled_at.format("%Y-%m-%d").to_string();
    let utc = ["history", "--utc", "--since", &date, "-o", "json"];
    assert_eq!(rows(&told(&config, &utc)).len(), 3);
    let yesterday = told(
        &config,
        &["snapshots", "--since", "yesterday", "-o", "json"],
    );
    assert_eq!(rows(&yesterday).len(), 0);
    assert_eq!(
        told(&config, &["history", "--since", "28.11.2026"])
            .status
            .code(),
        Some(2)
    );
}

#[tokio::test]
async fn a_name_that_does_not_exist_ends_every_command_with_2_and_a_suggestion() {
    let dir = Dir::new();
    let (config, _) = nights(&dir).await;
    let commands = [
        "history",
        "snapshots",
        "status",
        "plan",
        "forecast",
        "report",
        "coverage",
    ];
    for command in commands {
        for (option, name, meant) in [
            ("--policy", "nightly-of-warehuose", POLICY),
            ("--account", "prd", "prod"),
            ("--region", "eu-centrl-1", "eu-central-1"),
            ("--cluster", "analytics-warehouse-prod2", CLUSTER),
        ] {
            let output = told(&config, &[command, option, name]);
            assert_eq!(
                output.status.code(),
                Some(2),
                "{command} {option}: {output:?}"
            );
            let wanted = format!("did you mean {meant:?}?");
            assert!(
                err(&output).contains(&wanted),
                "{command}: {}",
                err(&output)
            );
        }
        let both = told(
            &config,
            &[command, "--policy", POLICY, "--cluster", CLUSTER],
        );
        assert_ne!(both.status.code(), Some(2), "{command}: {}", err(&both));
    }
    let explain = told(
        &config,
        &["explain", CLUSTER, "--policy", "nightly-of-warehuose"],
    );
    assert_eq!(explain.status.code(), Some(2), "{explain:?}");
    let iam = told(&config, &["iam-policy", "--account", "prd"]);
    assert_eq!(iam.status.code(), Some(2), "{iam:?}");
    let pause = told(&config, &["pause", "nightly-of-warehuose"]);
    assert!(
        err(&pause).contains(&format!("did you mean {POLICY:?}?")),
        "{pause:?}"
    );
}

#[tokio::test]
async fn a_name_that_only_the_history_knows_is_known() {
    let dir = Dir::new();
    let (config, _) = nights(&dir).await;
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text.replace(POLICY, "another")).unwrap();
    for command in ["history", "snapshots", "report"] {
        let output = told(&config, &[command, "--policy", POLICY, "-o", "json"]);
        assert_ne!(output.status.code(), Some(2), "{command}: {}", err(&output));
        assert!(!rows(&output).is_empty(), "{command}");
    }
}

#[test]
fn a_take_of_a_cluster_that_does_not_exist_is_refused_before_anything_is_begun() {
    let dir = Dir::new();
    let sandbox = Sandbox::start(&["--cluster", "dw-prod", "--snapshot-seconds", "1"]);
    let policy = "[[account]]\nname = \"prod\"\nregions = [\"us-east-1\"]\n[[policy]]\nname = \"nightly\"\n\
                  schedule = \"30 2 * * *\"\nclusters = [\"dw-*\"]\nretention = \"7d\"\n";
    let text = format!(
        "state_dir = \"state\"\nendpoint = \"{}\"\n{policy}",
        sandbox.url
    );
    let config = dir.write("redkeep.toml", &text);
    let wrong = told(
        &config,
        &["take", "--policy", "nightly", "--cluster", "dw-pord"],
    );
    assert_eq!(wrong.status.code(), Some(2), "{wrong:?}");
    assert!(
        err(&wrong).contains("did you mean \"dw-prod\"?; no snapshot was asked for"),
        "{wrong:?}"
    );
    assert!(!dir.0.join("state/history.db").exists());
    assert_eq!(sandbox.requests("CreateClusterSnapshot").len(), 0);
    let right = told(
        &config,
        &[
            "-o",
            "json",
            "take",
            "--policy",
            "nightly",
            "--cluster",
            "dw-prod",
        ],
    );
    assert_eq!(rows(&right)[0]["state"], "available", "{right:?}");
    assert!(
        err(&right).contains("asking AWS for the cluster dw-prod"),
        "{right:?}"
    );
}
