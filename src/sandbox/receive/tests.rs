//! The sandbox over real sockets: faults, the control endpoint, and what survives.

use std::net::SocketAddr;
use std::path::PathBuf;

use chrono::{DateTime, Utc};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::clock::Clock;
use crate::sandbox::operations::tests::start;
use crate::sandbox::{AccountLimits, SandboxError, SandboxOptions, SeedCluster};

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
            region: "eu-central-1".to_owned(),
            cluster_identifier: "dw".to_owned(),
        }],
        limits: Some(AccountLimits::default()),
        faults: Default::default(),
    }
}

/// Serves a sandbox for as long as the test's runtime lives.
async fn serve(options: SandboxOptions) -> Client {
    let sandbox = Arc::new(Sandbox::open(options, Arc::new(Stopped)).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(sandbox.serve(listener, std::future::pending()));
    Client { address }
}

struct Client {
    address: SocketAddr,
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

    /// An operation in Frankfurt.
    async fn aws(&self, form: &str) -> String {
        self.signed(
            "eu-central-1/redshift",
            &format!("Version=2012-12-01&Action={form}"),
        )
        .await
    }

    async fn signed(&self, scope: &str, body: &str) -> String {
        let header = format!(
            "Authorization: AWS4-HMAC-SHA256 Credential=AKID/20261124/{scope}/aws4_request\r\n"
        );
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
    let header =
        "Authorization: AWS4-HMAC-SHA256 Credential=A/d/eu-central-1/redshift/aws4_request\r\n";
    assert!(
        client
            .send("GET", &query, header, "")
            .await
            .contains("<ClusterIdentifier>dw<")
    );
}

#[tokio::test]
async fn the_clock_that_is_shown_is_the_one_that_counts() {
    let client = serve(options(None)).await;
    assert!(
        client
            .aws(&create("a"))
            .await
            .contains("date: Tue, 24 Nov 2026 00:00:00 GMT")
    );
    let answer = client
        .control("PUT", "clock", r#"{"offset_seconds":3600}"#)
        .await;
    assert!(answer.contains("2026-11-24T01:00:00Z"), "{answer}");
    let answer = client.aws("DescribeClusterSnapshots").await;
    assert!(
        answer.contains("date: Tue, 24 Nov 2026 01:00:00 GMT"),
        "{answer}"
    );
    assert!(answer.contains("<Status>available</Status>"), "{answer}");
    assert!(
        client
            .control("GET", "nothing", "")
            .await
            .contains("date: Tue, 24 Nov 2026 01:00:00 GMT")
    );
}

#[tokio::test]
async fn the_bench_can_be_set_and_looked_at() {
    let client = serve(options(None)).await;
    let status = r#"{"region":"eu-central-1","status":"available, prep-for-resize"}"#;
    assert!(
        client
            .control("POST", "clusters/dw/state", status)
            .await
            .starts_with("HTTP/1.1 200")
    );
    assert!(
        client
            .aws(&create("a"))
            .await
            .contains("<Code>InvalidClusterState</Code>")
    );
    assert!(
        client
            .control("POST", "clusters/no/state", status)
            .await
            .starts_with("HTTP/1.1 404")
    );
    assert!(
        client
            .control("PUT", "limits", r#"{"manual_snapshots":7}"#)
            .await
            .contains("\"snapshot_seconds\": 5")
    );
    assert!(
        client
            .control("PUT", "limits", r#"{"snapshots":7}"#)
            .await
            .starts_with("HTTP/1.1 400")
    );
    assert!(
        client
            .control("GET", "state", "")
            .await
            .contains("prep-for-resize")
    );
    client.fault(r#"{"kind":"stuck_snapshot"}"#).await;
    assert!(
        client
            .control("GET", "faults", "")
            .await
            .contains("stuck_snapshot")
    );
    assert!(
        client
            .control("DELETE", "faults", "")
            .await
            .ends_with("[]\n")
    );
    let bad = r#"[{"operation":"*","fault":{"kind":"html","status":200}}]"#;
    assert!(
        client
            .control("PUT", "faults", bad)
            .await
            .starts_with("HTTP/1.1 400")
    );
}

#[tokio::test]
async fn the_request_log_shows_what_was_asked_and_how_it_ended_and_no_password() {
    let client = serve(options(None)).await;
    client
        .aws("CreateCluster&ClusterIdentifier=x&MasterUserPassword=Passw0rd")
        .await;
    client.aws("Unknown").await;
    let log = client.control("GET", "requests", "").await;
    assert!(
        log.contains("\"MissingParameter\"") && log.contains("\"InvalidAction\""),
        "{log}"
    );
    assert!(!log.contains("Passw0rd") && !log.contains("AKID"), "{log}");
}

#[tokio::test]
async fn a_snapshot_can_be_put_into_a_status_that_no_client_knows() {
    let client = serve(options(None)).await;
    client.aws(&create("a")).await;
    let status = r#"{"region":"eu-central-1","status":"pondering"}"#;
    assert!(
        client
            .control("POST", "snapshots/a/state", status)
            .await
            .contains("pondering")
    );
    let answer = client.aws("DescribeClusterSnapshots").await;
    assert!(answer.contains("<Status>pondering</Status>"), "{answer}");
}

#[tokio::test]
async fn a_marker_that_loops_gives_the_first_page_again_and_again() {
    let mut options = options(None);
    options.clusters = (0..21)
        .map(|number| SeedCluster {
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

fn directory(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("redkeep-sandbox-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&path).unwrap();
    path
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_a_crash_and_for_its_account_only() {
    let directory = directory("crash");
    let path = directory.join("sandbox.json");
    let first = serve(options(Some(path.clone()))).await;
    assert!(first.aws(&create("a")).await.starts_with("HTTP/1.1 200"));
    // Nothing is told to the first sandbox: the second sees what a kill would have left.
    let second = serve(options(Some(path.clone()))).await;
    assert!(second.has("a").await);
    let other = SandboxOptions {
        account_id: "999999999999".to_owned(),
        ..options(Some(path))
    };
    let error = Sandbox::open(other, Arc::new(Stopped)).err();
    assert!(
        matches!(error, Some(SandboxError::OtherAccount { .. })),
        "{error:?}"
    );
    std::fs::remove_dir_all(directory).unwrap();
}

#[tokio::test]
async fn a_change_that_cannot_be_kept_is_refused_and_not_made() {
    let directory = directory("no-disk");
    let client = serve(options(Some(directory.join("sandbox.json")))).await;
    std::fs::remove_dir_all(&directory).unwrap();
    let answer = client.aws(&create("a")).await;
    assert!(
        answer.starts_with("HTTP/1.1 500") && answer.contains("Receiver"),
        "{answer}"
    );
    assert!(!client.has("a").await);
}

#[test]
fn a_wrong_account_number_and_a_wrong_seed_are_refused() {
    let account = SandboxOptions {
        account_id: "12".to_owned(),
        ..options(None)
    };
    let mut seed = options(None);
    seed.clusters[0].cluster_identifier = "Dw".to_owned();
    for (options, wanted) in [(account, "twelve digits"), (seed, "'Dw'")] {
        let message = Sandbox::open(options, Arc::new(Stopped))
            .err()
            .map(|error| error.to_string());
        assert!(
            message.as_deref().is_some_and(|text| text.contains(wanted)),
            "{message:?}"
        );
    }
}
