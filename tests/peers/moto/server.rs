//! moto's server as a process, and the few requests that need no signature.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::support::deadline::Deadline;
use crate::support::{Process, eventually, free_port};

/// A program of the peers.
pub fn peer(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("target/peers/bin")
        .join(name)
}

/// A moto of the test's own, empty.
pub struct Moto {
    _process: Process,
    _deadline: Deadline,
    pub address: SocketAddr,
}

impl Moto {
    /// `None`, with the reason on stderr, where moto is not installed.
    pub fn start() -> Option<Self> {
        let program = peer("moto_server");
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
            _deadline: Deadline::begin(None),
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
        stream
            .set_read_timeout(Some(Duration::from_secs(60)))
            .unwrap();
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

    pub fn create_cluster(&self, cluster: &str) {
        self.ask(&format!(
            "Action=CreateCluster&ClusterIdentifier={cluster}&NodeType=ra3.xlplus&MasterUsername=admin\
             &MasterUserPassword=Passw0rd1&DBName=dev"
        ));
    }

    /// The identifiers that begin with `prefix`: moto lists the automated snapshots of its own making too.
    pub fn manual_snapshots(&self, prefix: &str) -> Vec<String> {
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
