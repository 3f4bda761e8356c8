//! The sandbox over real sockets: faults, the control endpoint, and what survives.

use std::net::SocketAddr;
use std::path::PathBuf;

use chrono::{DateTime, Utc};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::deadline::Deadline;
use crate::operations::tests::start;
use crate::{LimitsChange, SandboxOptions, SeedCluster};
use redkeep_serve::clock::Clock;

mod accounts;
mod harness;
mod state;

/// A clock that stands at the start of the tests.
struct Stopped;

impl Clock for Stopped {
    fn now(&self) -> DateTime<Utc> {
        start()
    }

    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }
}

fn options(state_file: Option<PathBuf>) -> SandboxOptions {
    SandboxOptions {
        account_id: "123456789012".to_owned(),
        state_file,
        clusters: vec![SeedCluster {
            account_id: None,
            region: "eu-central-1".to_owned(),
            cluster_identifier: "dw".to_owned(),
        }],
        limits: LimitsChange::default(),
        faults: Default::default(),
    }
}

/// Serves a sandbox for as long as the test's runtime lives.
async fn serve(options: SandboxOptions) -> Client {
    let sandbox = Arc::new(Sandbox::open(options, Arc::new(Stopped)).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(sandbox.serve(listener, std::future::pending()));
    Client {
        address,
        _deadline: Deadline::begin(None),
    }
}

struct Client {
    address: SocketAddr,
    _deadline: Deadline,
}

impl Client {
    /// Sends one request and reads until the server closes.
    async fn send(&self, method: &str, path: &str, headers: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let length = body.len();
        let text = format!(
            "{method} {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n{headers}Content-Length: {length}\r\n\r\n{body}"
        );
        stream.write_all(text.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let read = stream.read_to_end(&mut answer);
        let _ = tokio::time::timeout(Duration::from_secs(5), read)
            .await
            .unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// An operation with temporary credentials, so many seconds after the start.
    async fn temporary(&self, credentials: &(String, String), seconds: i64, form: &str) -> String {
        let (key, token) = credentials;
        let header = format!(
            "{}{}X-Amz-Security-Token: {token}\r\n",
            authorization(key, "eu-central-1/redshift"),
            date(seconds)
        );
        let body = format!("Version=2012-12-01&Action={form}");
        self.send("POST", "/", &header, &body).await
    }

    async fn assume(&self, role: &str) -> String {
        let form =
            format!("Version=2011-06-15&Action=AssumeRole&RoleArn={role}&RoleSessionName=night");
        self.signed("us-east-1/sts", &form).await
    }

    /// An operation in Frankfurt.
    async fn aws(&self, form: &str) -> String {
        self.signed(
            "eu-central-1/redshift",
            &format!("Version=2012-12-01&Action={form}"),
        )
        .await
    }

    async fn signed(&self, scope: &str, body: &str) -> String {
        let header = format!("{}{}", authorization("AKID", scope), date(0));
        self.send("POST", "/", &header, body).await
    }

    async fn control(&self, method: &str, path: &str, body: &str) -> String {
        self.send(method, &format!("/_sandbox/{path}"), "", body)
            .await
    }

    async fn fault(&self, fault: &str) {
        let rule = format!(r#"{{"operation":"CreateClusterSnapshot","times":1,"fault":{fault}}}"#);
        let answer = self.control("POST", "faults", &rule).await;
        assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    }

    async fn has(&self, snapshot: &str) -> bool {
        let form = format!("DescribeClusterSnapshots&SnapshotIdentifier={snapshot}");
        self.aws(&form).await.contains("<Snapshots><Snapshot>")
    }
}

fn authorization(key: &str, scope: &str) -> String {
    format!(
        "Authorization: AWS4-HMAC-SHA256 Credential={key}/20261124/{scope}/aws4_request, SignedHeaders=host, \
         Signature=00\r\n"
    )
}

/// The date of a request so many seconds after the start.
fn date(seconds: i64) -> String {
    let at = start() + chrono::TimeDelta::seconds(seconds);
    format!("X-Amz-Date: {}\r\n", at.format("%Y%m%dT%H%M%SZ"))
}

/// The text of the first element of that name.
fn member<'a>(answer: &'a str, name: &str) -> &'a str {
    let (_, rest) = answer.split_once(&format!("<{name}>")).unwrap();
    rest.split_once('<').unwrap().0
}

fn create(snapshot: &str) -> String {
    format!("CreateClusterSnapshot&ClusterIdentifier=dw&SnapshotIdentifier={snapshot}")
}

#[tokio::test]
async fn each_fault_shows_the_client_what_it_says_and_does_or_does_not_do_the_work() {
    let client = serve(options(None)).await;
    for (number, (fault, head, is_done)) in [
        (r#"{"kind":"lost_reply"}"#, "", true),
        (r#"{"kind":"reset"}"#, "", false),
        (r#"{"kind":"empty"}"#, "HTTP/1.1 200", true),
        (r#"{"kind":"truncate"}"#, "HTTP/1.1 200", true),
        (r#"{"kind":"html","status":502}"#, "HTTP/1.1 502", false),
        (
            r#"{"kind":"error","code":"Throttling"}"#,
            "HTTP/1.1 400",
            false,
        ),
        (r#"{"kind":"fail_snapshot"}"#, "HTTP/1.1 200", true),
        (
            r#"{"kind":"latency","milliseconds":30}"#,
            "HTTP/1.1 200",
            true,
        ),
    ]
    .into_iter()
    .enumerate()
    {
        client.fault(fault).await;
        let name = format!("s{number}");
        let answer = client.aws(&create(&name)).await;
        assert!(
            answer.starts_with(head) && answer.is_empty() == head.is_empty(),
            "{fault}: {answer}"
        );
        assert_eq!(
            answer.ends_with("</CreateClusterSnapshotResponse>\n"),
            is_whole(fault),
            "{fault}"
        );
        assert_eq!(client.has(&name).await, is_done, "{fault}");
    }
}

fn is_whole(fault: &str) -> bool {
    fault.contains("fail_snapshot") || fault.contains("latency")
}

#[tokio::test]
async fn half_of_a_truncated_answer_arrives() {
    let client = serve(options(None)).await;
    client.fault(r#"{"kind":"truncate"}"#).await;
    let answer = client.aws(&create("a")).await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let length: usize = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .and_then(|text| text.parse().ok())
        .unwrap();
    assert_eq!(body.len(), length / 2);
}

#[tokio::test]
async fn a_call_that_hangs_gives_no_answer_and_does_nothing() {
    let client = serve(options(None)).await;
    client.fault(r#"{"kind":"hang"}"#).await;
    let form = create("a");
    let waiting = tokio::time::timeout(Duration::from_millis(200), client.aws(&form)).await;
    assert!(waiting.is_err());
    assert!(!client.has("a").await);
}

#[tokio::test]
async fn who_asks_decides_what_is_seen() {
    let client = serve(options(None)).await;
    let describe = "Version=2012-12-01&Action=DescribeClusters";
    assert!(
        client
            .signed("eu-central-1/redshift", describe)
            .await
            .contains("<ClusterIdentifier>dw<")
    );
    assert!(
        !client
            .signed("us-east-1/redshift", describe)
            .await
            .contains("<ClusterIdentifier>")
    );
    assert!(
        client
            .signed("eu-central-1/s3", describe)
            .await
            .contains("SignatureDoesNotMatch")
    );
    let who = client
        .signed(
            "us-east-1/sts",
            "Version=2011-06-15&Action=GetCallerIdentity",
        )
        .await;
    assert!(
        who.contains("https://sts.amazonaws.com/doc/2011-06-15/"),
        "{who}"
    );
    assert!(
        client
            .send("POST", "/", "", describe)
            .await
            .starts_with("HTTP/1.1 403")
    );
    let query = format!("/?{describe}");
    let header = authorization("A", "eu-central-1/redshift") + &date(0);
    assert!(
        client
            .send("GET", &query, &header, "")
            .await
            .contains("<ClusterIdentifier>dw<")
    );
}

#[tokio::test]
async fn a_marker_that_loops_gives_the_first_page_again_and_again() {
    let mut options = options(None);
    options.clusters = (0..21)
        .map(|number| SeedCluster {
            account_id: None,
            region: "eu-central-1".to_owned(),
            cluster_identifier: format!("dw{number:02}"),
        })
        .collect();
    let client = serve(options).await;
    let rule = r#"{"operation":"DescribeClusters","fault":{"kind":"loop_marker"}}"#;
    client.control("POST", "faults", rule).await;
    let marker = |answer: &str| {
        let (_, rest) = answer.split_once("<Marker>")?;
        Some(rest.split_once("</Marker>")?.0.to_owned())
    };
    let first = client.aws("DescribeClusters&MaxRecords=20").await;
    let place = marker(&first).unwrap();
    let form = format!("DescribeClusters&MaxRecords=20&Marker={place}");
    assert_eq!(marker(&client.aws(&form).await), Some(place));
}

#[tokio::test]
async fn a_body_that_is_too_long_is_refused() {
    let client = serve(options(None)).await;
    let form = format!("DescribeClusters&X={}", "x".repeat(BODY_BYTES_MAX));
    let answer = client.aws(&form).await;
    assert!(answer.contains("RequestEntityTooLarge"), "{answer}");
}
