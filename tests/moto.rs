//! The real binary against moto's server, an emulator of AWS that nobody here wrote.
//!
//! `tests/peers/install.sh` installs it. Without it these tests say that they are skipped; with
//! `REDKEEP_REQUIRE_PEERS=1` its absence is a failure.
#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test that cannot go on fails, and the tests of the real binary live in real time"
)]

mod support;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use support::proxy::{Exchange, Proxy};
use support::{Daemon, Dir, Process, eventually, free_port, in_state};

struct Moto {
    _process: Process,
    address: SocketAddr,
}

impl Moto {
    /// `None`, with the reason on stderr, where moto is not installed.
    fn start() -> Option<Self> {
        let program =
            PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/peers/bin/moto_server");
        if !program.exists() {
            let required = std::env::var_os("REDKEEP_REQUIRE_PEERS").is_some();
            assert!(
                !required,
                "moto is not installed: run tests/peers/install.sh"
            );
            eprintln!("skipped, because moto is not installed: run tests/peers/install.sh");
            return None;
        }
        let port = free_port();
        let child = Command::new(program)
            .args(["-H", "127.0.0.1", "-p", &port.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let moto = Self {
            _process: Process(child),
            address: SocketAddr::from(([127, 0, 0, 1], port)),
        };
        eventually("moto listens", Duration::from_secs(60), || {
            TcpStream::connect(moto.address).is_ok()
        });
        Some(moto)
    }

    fn ask(&self, parameters: &str) -> String {
        let body = format!("Version=2012-12-01&{parameters}");
        let mut stream = TcpStream::connect(self.address).unwrap();
        write!(
            stream,
            "POST / HTTP/1.1\r\nHost: redshift.us-east-1.amazonaws.com\r\nConnection: close\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nAuthorization: AWS4-HMAC-SHA256 \
             Credential=test/20261124/us-east-1/redshift/aws4_request, SignedHeaders=host, Signature=0\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        answer
    }

    fn create_cluster(&self, cluster: &str) {
        self.ask(&format!(
            "Action=CreateCluster&ClusterIdentifier={cluster}&NodeType=ra3.xlplus&MasterUsername=admin\
             &MasterUserPassword=Passw0rd1&DBName=dev"
        ));
    }

    /// The identifiers that begin with `prefix`: moto lists the automated snapshots of its own making too.
    fn manual_snapshots(&self, prefix: &str) -> Vec<String> {
        let answer = self.ask("Action=DescribeClusterSnapshots&SnapshotType=manual");
        let mut found: Vec<String> = answer
            .split("<SnapshotIdentifier>")
            .skip(1)
            .filter_map(|rest| Some(rest.split_once("</SnapshotIdentifier>")?.0.to_owned()))
            .filter(|id| id.starts_with(prefix))
            .collect();
        found.sort();
        found
    }
}

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
    let once = support::redkeep(&["run", "--once", "--config", daemon.config.to_str().unwrap()]);
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
