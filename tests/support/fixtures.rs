//! What many tests begin with: a sandbox, a policy, a policy file.
#![allow(dead_code, reason = "each test file uses its own part of this")]
#![expect(
    clippy::disallowed_methods,
    reason = "the tests of the real binary live in real time"
)]

use std::path::PathBuf;
use std::time::Duration;

use super::{Dir, Sandbox};

pub const MINUTE: Duration = Duration::from_secs(60);

/// Policies of the cluster `dw` that differ in how often they are due.
pub const EACH_TWO_SECONDS: &str = "[[policy]]\nname = \"often\"\nschedule = \"*/2 * * * * *\"\nclusters = [\"dw\"]\nretention = \"7d\"\n";
pub const EACH_FIVE_SECONDS: &str = "[[policy]]\nname = \"often\"\nschedule = \"*/5 * * * * *\"\nclusters = [\"dw\"]\nretention = \"7d\"\n";

/// The same for any schedule and clusters.
pub fn often(schedule: &str, clusters: &str) -> String {
    format!(
        "[[policy]]\nname = \"often\"\nschedule = \"{schedule}\"\nclusters = [\"{clusters}\"]\nretention = \"7d\"\n"
    )
}

impl Sandbox {
    /// One with these clusters, a second for each snapshot, and a quota that is in nobody's way.
    pub fn of(clusters: &[&str]) -> Self {
        Self::taking("1", clusters, &[])
    }

    /// The same with so many seconds for each snapshot, and with more arguments.
    pub fn taking(seconds: &str, clusters: &[&str], more: &[&str]) -> Self {
        let clusters = clusters.iter().flat_map(|cluster| ["--cluster", cluster]);
        let limits = ["--snapshot-seconds", seconds, "--quota", "100000"];
        let arguments: Vec<&str> = clusters.chain(limits).chain(more.iter().copied()).collect();
        Self::start(&arguments)
    }
}

impl Dir {
    /// A policy file for commands without a daemon: an endpoint, other keys if they are wanted, and tables.
    pub fn policy_file(&self, endpoint: &str, rest: &str) -> PathBuf {
        let text = format!("state_dir = \"state\"\nendpoint = \"{endpoint}\"\n{rest}");
        self.write("redkeep.toml", &text)
    }

    /// The same for a daemon that listens on `port`.
    pub fn daemons_file(&self, port: u16, endpoint: &str, rest: &str) -> PathBuf {
        let listen = format!("listen = \"127.0.0.1:{port}\"\n");
        self.policy_file(endpoint, &(listen + rest))
    }
}

/// A schedule that is due once a minute: some seconds from now, when a daemon that starts or reloads has come that far,
/// and then for long not again. The second is an odd one, so that it is none of every two seconds.
pub fn soon_and_then_each_minute() -> String {
    let second = ((chrono::Utc::now().timestamp() + 7) % 60) | 1;
    format!("{second} * * * * *")
}
