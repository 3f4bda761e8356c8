//! The same snapshots by boto3: the peer that a script in cron would be.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::daemon::credentials;
use crate::server::Server;

pub const THREADS: usize = 32;

const SCRIPT: &str = r#"
import resource, sys, time
from concurrent.futures import ThreadPoolExecutor
import boto3, botocore.config
url, threads, *work = sys.argv[1:]
config = botocore.config.Config(max_pool_connections=int(threads))
began = time.monotonic()
clients = {}
def client(region):
    return boto3.client("redshift", region_name=region, endpoint_url=url, config=config)
def take(pair):
    region, cluster = pair.split("/")
    clients[region].create_cluster_snapshot(
        ClusterIdentifier=cluster, SnapshotIdentifier="boto3-" + cluster, ManualSnapshotRetentionPeriod=35,
        Tags=[{"Key": f"key-{number}", "Value": cluster} for number in range(7)])
for region in sorted({pair.split("/")[0] for pair in work}):
    clients[region] = client(region)
with ThreadPoolExecutor(int(threads)) as pool:
    list(pool.map(take, work))
wall = time.monotonic() - began
used = resource.getrusage(resource.RUSAGE_SELF)
print(boto3.__version__, wall, used.ru_utime + used.ru_stime)
"#;

/// A Python that has boto3: that of tests/peers/install.sh, or the system's.
pub fn python() -> Option<PathBuf> {
    let peers = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/peers/bin/python");
    let has_boto3 = |python: &PathBuf| {
        let mut command = Command::new(python);
        let output = command.args(["-c", "import boto3"]).output();
        output.is_ok_and(|output| output.status.success())
    };
    [peers, "python3".into()].into_iter().find(has_boto3)
}

/// boto3's version, and the seconds that it took and of CPU, its start and import included in the latter.
pub fn run(python: &Path, server: &Server) -> (String, f64, f64) {
    let output = credentials(&mut Command::new(python))
        .args(["-c", SCRIPT, &format!("http://{}", server.address)])
        .arg(THREADS.to_string())
        .args(server.clusters())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let told = String::from_utf8(output.stdout).unwrap();
    let [version, wall, cpu] = told.split_whitespace().collect::<Vec<_>>()[..] else {
        panic!("boto3 says {told}");
    };
    (
        version.to_owned(),
        wall.parse().unwrap(),
        cpu.parse().unwrap(),
    )
}
