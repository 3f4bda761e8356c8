//! `hold` and `release` by the real binary, where AWS takes one step and refuses the other.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test that cannot go on fails, and the tests of the real binary live in real time"
)]

use std::time::Duration;

use crate::support::{Daemon, Dir, Sandbox, eventually, redkeep};

const SOON: Duration = Duration::from_secs(90);
const POLICY: &str = "[[account]]\nname = \"prod\"\nregions = [\"us-east-1\"]\n[[policy]]\nname = \"monthly\"\n\
     schedule = \"0 3 1 1 *\"\nclusters = [\"da\"]\nretention = \"35d\"\n";

/// A sandbox, a daemon, and a snapshot of ten days that was asked for by hand.
fn with_one(dir: &Dir) -> (Sandbox, Daemon, String) {
    let sandbox = Sandbox::start(&["--cluster", "da", "--snapshot-seconds", "1"]);
    let daemon = Daemon::start(dir, &sandbox.url, POLICY);
    let config = daemon.config.to_str().unwrap().to_owned();
    let take = [
        "take",
        "--policy",
        "monthly",
        "--cluster",
        "da",
        "--retention",
        "10d",
        "--config",
        &config,
    ];
    let taken = redkeep(&take);
    assert!(taken.status.success(), "{taken:?}");
    let rows = daemon.history();
    let id = rows[0]["snapshot_id"].as_str().unwrap().to_owned();
    (sandbox, daemon, id)
}

fn deny(sandbox: &Sandbox, operation: &str) {
    let fault = format!(
        r#"{{"operation": "{operation}",
            "fault": {{"kind": "error", "code": "AccessDenied", "status": 403, "message": "No."}}}}"#
    );
    sandbox.control("POST", "/_sandbox/faults", &fault);
}

#[test]
fn a_release_that_aws_lets_be_done_by_half_is_told_and_finished_later() {
    let dir = Dir::new();
    let (sandbox, mut daemon, id) = with_one(&dir);
    let config = daemon.config.to_str().unwrap().to_owned();
    let run = |command: &str| redkeep(&[command, &id, "--config", &config]);
    let held = run("hold");
    assert!(held.status.success(), "{held:?}");
    deny(&sandbox, "DeleteTags");
    let released = run("release");
    let said = String::from_utf8_lossy(&released.stderr).into_owned();
    assert_eq!(released.status.code(), Some(1), "{said}");
    assert!(
        said.contains("release is half done") && said.contains("AccessDenied"),
        "{said}"
    );
    let on_hold = daemon.history()[0]["on_hold"].clone();
    assert_eq!(on_hold, false, "with a period that ends it is not on hold");
    // Nothing is asked again and again.
    let before = sandbox.requests("DescribeClusterSnapshots").len();
    std::thread::sleep(Duration::from_secs(5));
    let after = sandbox.requests("DescribeClusterSnapshots").len();
    assert!(after <= before + 2, "{before} and {after} looks");
    // A new start goes on with it.
    daemon.process.signal("-TERM");
    daemon.process.exit_code(SOON);
    sandbox.control("DELETE", "/_sandbox/faults", "");
    daemon.restart(&dir);
    eventually("the tag is gone", SOON, || {
        let rows = daemon.history();
        rows[0]["snapshot"]["tags"]["redkeep:hold"].is_null()
    });
    let rows = daemon.history();
    assert_eq!(rows[0]["snapshot"]["manual_snapshot_retention_period"], 10);
}

#[test]
fn a_hold_that_aws_lets_be_done_by_half_is_told_and_a_release_undoes_it() {
    let dir = Dir::new();
    let (sandbox, daemon, id) = with_one(&dir);
    let config = daemon.config.to_str().unwrap().to_owned();
    let run = |command: &str| redkeep(&[command, &id, "--config", &config]);
    deny(&sandbox, "ModifyClusterSnapshot");
    let held = run("hold");
    let said = String::from_utf8_lossy(&held.stderr).into_owned();
    assert_eq!(held.status.code(), Some(1), "{said}");
    assert!(said.contains("hold is half done"), "{said}");
    let released = run("release");
    assert!(released.status.success(), "{released:?}");
    eventually("the tag is gone", SOON, || {
        daemon.history()[0]["snapshot"]["tags"]["redkeep:hold"].is_null()
    });
}
