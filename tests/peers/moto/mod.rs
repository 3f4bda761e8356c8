//! The real binary against moto's server, an emulator of AWS that nobody here wrote.
//!
//! `tests/peers/install.sh` installs it. Without it these tests say that they are skipped; with
//! `REDKEEP_REQUIRE_PEERS=1` its absence is a failure.
#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test that cannot go on fails, and the tests of the real binary live in real time"
)]

mod roles;
pub mod server;

use std::collections::BTreeMap;
use std::time::Duration;

use self::server::Moto;
use crate::support::proxy::{Exchange, Proxy};
use crate::support::{Daemon, Dir, in_state};

const POLICIES: &str = r#"
namespace = "night"

[[policy]]
name = "often"
schedule = "*/4 * * * * *"
clusters = ["dw-*"]
retention = "14d"
tags = { team = "data", "cost center" = "42" }

[[policy]]
name = "for-ever"
schedule = "*/10 * * * * *"
clusters = ["dw-one"]
retention = "forever"
"#;

#[test]
fn what_moto_lists_is_what_the_history_says_also_with_lost_replies_and_a_kill_9_in_the_middle() {
    let Some(moto) = Moto::start() else { return };
    moto.create_cluster("dw-one");
    moto.create_cluster("dw-two");
    let proxy = Proxy::start(moto.address, &[2, 5]);
    let dir = Dir::new();
    let mut daemon = Daemon::start(&dir, &format!("http://{}", proxy.address), POLICIES);
    let minutes = Duration::from_secs(120);
    for wanted in [4, 9, 14] {
        daemon.wait("more snapshots", minutes, |rows| {
            in_state(rows, "available").count() >= wanted
        });
        daemon.kill_9();
        daemon.restart(&dir);
    }
    daemon.wait("settled", minutes, |rows| {
        in_state(rows, "available").count() >= 18
    });
    daemon.process.signal("-TERM");
    daemon.process.exit_code(Duration::from_secs(25));
    let once =
        crate::support::redkeep(&["run", "--once", "--config", daemon.config.to_str().unwrap()]);
    assert!(once.status.code().is_some_and(|code| code <= 1), "{once:?}");

    let rows = daemon.history();
    let mut recorded: Vec<String> = in_state(&rows, "available")
        .map(|row| row["snapshot_id"].as_str().unwrap().to_owned())
        .collect();
    recorded.sort();
    assert_eq!(
        recorded,
        moto.manual_snapshots("night-"),
        "{}",
        daemon.log()
    );
    let slots: std::collections::BTreeSet<_> = rows
        .iter()
        .map(|row| [&row["policy"], &row["cluster"], &row["scheduled_at"]].map(ToString::to_string))
        .collect();
    assert_eq!(slots.len(), rows.len(), "a slot has two records");
    check_creates(&proxy.creates());
}

/// Every create call is valid by the API model and documentation, and no name was made twice.
fn check_creates(creates: &[Exchange]) {
    let mut made: BTreeMap<&str, usize> = BTreeMap::new();
    for create in creates {
        let id = create.get("SnapshotIdentifier");
        assert!(is_valid_identifier(id), "{id:?}");
        assert!(create.get("ClusterIdentifier").starts_with("dw-"));
        let forever = id.starts_with("night-for-ever-");
        let retention = create.get("ManualSnapshotRetentionPeriod");
        assert_eq!(retention, if forever { "-1" } else { "14" });
        let tags = tags(create);
        assert_eq!(
            tags.get("redkeep:namespace").map(String::as_str),
            Some("night")
        );
        for key in ["policy", "cluster", "slot", "tier", "trigger", "writer"] {
            assert!(
                tags.contains_key(&format!("redkeep:{key}")),
                "{key} is missing in {tags:?}"
            );
        }
        assert_eq!(
            tags.get("cost center").map(String::as_str),
            (!forever).then_some("42")
        );
        for name in create.parameters.keys() {
            let known = [
                "Action",
                "Version",
                "SnapshotIdentifier",
                "ClusterIdentifier",
            ]
            .contains(&name.as_str())
                || name == "ManualSnapshotRetentionPeriod"
                || name.starts_with("Tags.Tag.");
            assert!(known, "{name} is no parameter of CreateClusterSnapshot");
        }
        if create.status == 200 {
            *made.entry(id).or_default() += 1;
        }
    }
    assert!(
        made.len() >= 18 && made.values().all(|times| *times == 1),
        "{made:?}"
    );
}

fn is_valid_identifier(id: &str) -> bool {
    (1..=255).contains(&id.len())
        && id.starts_with(|c: char| c.is_ascii_lowercase())
        && id
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !id.contains("--")
        && !id.ends_with('-')
}

fn tags(create: &Exchange) -> BTreeMap<String, String> {
    (1..=50)
        .map(|number| format!("Tags.Tag.{number}"))
        .map_while(|tag| {
            let key = create.parameters.get(&format!("{tag}.Key"))?;
            Some((key.clone(), create.get(&format!("{tag}.Value")).to_owned()))
        })
        .collect()
}
