//! The same snapshots by the AWS CLI: the peer that a shell script in cron would be, a process for each snapshot.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::daemon::credentials;
use crate::server::Server;

/// So many are asked for; each takes as long as the one before.
pub const CALLS: usize = 5;

const SCRIPT: &str = r#"
for pair in "$@"; do
    "$AWS" redshift create-cluster-snapshot --endpoint-url "$URL" --region "${pair%/*}" --cluster-identifier "${pair#*/}" \
        --snapshot-identifier "cli-${pair#*/}" --manual-snapshot-retention-period 35 >/dev/null || exit
done
times
"#;

/// The CLI of tests/peers/install.sh, or the system's.
pub fn program() -> Option<PathBuf> {
    let peers = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/peers/bin/aws");
    let is_there = |program: &PathBuf| {
        let output = Command::new(program).arg("--version").output();
        output.is_ok_and(|output| output.status.success())
    };
    [peers, "aws".into()].into_iter().find(is_there)
}

/// The seconds of CPU for each snapshot.
pub fn run(program: &Path, server: &Server) -> f64 {
    let output = credentials(&mut Command::new("sh"))
        .args(["-c", SCRIPT, "sh"])
        .args(server.clusters().into_iter().take(CALLS))
        .env("AWS", program)
        .env("URL", format!("http://{}", server.address))
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    // The second line is of the children: "0m1.20s 0m0.15s".
    let told = String::from_utf8(output.stdout).unwrap();
    let children = told.lines().nth(1).unwrap();
    let seconds = children.split_whitespace().map(|span| {
        let (minutes, seconds) = span.trim_end_matches('s').split_once('m').unwrap();
        minutes.parse::<f64>().unwrap() * 60.0 + seconds.parse::<f64>().unwrap()
    });
    seconds.sum::<f64>() / CALLS as f64
}
