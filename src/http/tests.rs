//! Each path over a real socket, and the verdicts.

use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;

use super::*;
use crate::deadline::Deadline;
use crate::slot::Scope;

/// A clock that has run for 100 s.
struct Fixed;

impl Clock for Fixed {
    fn now(&self) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH
    }

    fn monotonic(&self) -> Duration {
        Duration::from_secs(100)
    }
}

/// Answers to raw requests on one listener each.
async fn answer_to(request: &str, change: impl FnOnce(&mut Condition)) -> String {
    let answer = bytes_to(request, "", change).await;
    String::from_utf8(answer).unwrap()
}

async fn bytes_to(request: &str, headers: &str, change: impl FnOnce(&mut Condition)) -> Vec<u8> {
    let _deadline = Deadline::begin(None);
    let health = Health::starting(Duration::from_secs(100));
    health.update(change);
    let site = Arc::new(Site {
        metrics: Arc::new(Metrics::new(DateTime::UNIX_EPOCH).unwrap()),
        health: Arc::new(health),
        clock: Arc::new(Fixed),
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let server = tokio::spawn(listen(listener, site, None, async {
        let _ = stopped.await;
    }));
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request =
        format!("{request} HTTP/1.1\r\nHost: localhost\r\n{headers}Connection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    stop.send(()).unwrap();
    server.await.unwrap();
    answer
}

fn well(condition: &mut Condition) {
    condition.configured = true;
    condition.history_trouble = None;
}

fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").unwrap().1
}

#[tokio::test]
async fn metrics_have_the_content_type_that_prometheus_wants() {
    let answer = answer_to("GET /metrics", well).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(
        answer.contains("content-type: text/plain; version=0.0.4; charset=utf-8\r\n"),
        "{answer}"
    );
    assert!(
        body(&answer).contains("\nprocess_resident_memory_bytes "),
        "{answer}"
    );
}

#[tokio::test]
async fn metrics_come_in_gzip_to_whoever_takes_it() {
    let answer = bytes_to("GET /metrics", "Accept-Encoding: gzip\r\n", well).await;
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n");
    let (head, body) = answer.split_at(end.unwrap() + 4);
    let head = std::str::from_utf8(head).unwrap();
    for line in ["content-encoding: gzip\r\n", "vary: accept-encoding\r\n"] {
        assert!(head.contains(line), "{head}");
    }
    let mut text = String::new();
    let mut decoder = flate2::read::GzDecoder::new(body);
    std::io::Read::read_to_string(&mut decoder, &mut text).unwrap();
    assert!(text.contains("\nprocess_resident_memory_bytes "), "{text}");
}

#[tokio::test]
async fn head_is_get_without_the_body() {
    for path in ["/", "/metrics", "/healthz", "/readyz"] {
        let answer = answer_to(&format!("HEAD {path}"), well).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
        assert_eq!(body(&answer), "");
    }
}

#[tokio::test]
async fn other_paths_are_not_there_and_other_methods_are_not_allowed() {
    for path in ["/metrics/", "/status", "/../etc/passwd", "/%2e%2e/"] {
        let answer = answer_to(&format!("GET {path}"), well).await;
        assert!(answer.starts_with("HTTP/1.1 404"), "{path}: {answer}");
    }
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"] {
        let answer = answer_to(&format!("{method} /healthz"), well).await;
        assert!(answer.starts_with("HTTP/1.1 405"), "{method}: {answer}");
        assert!(answer.contains("allow: GET,HEAD\r\n"), "{method}: {answer}");
    }
}

#[tokio::test]
async fn the_index_names_every_path() {
    let answer = answer_to("GET /", well).await;
    for path in ["/metrics", "/healthz", "/readyz"] {
        assert!(body(&answer).contains(path), "{answer}");
    }
}

#[tokio::test]
async fn a_head_beyond_the_limit_is_answered_431() {
    let padding = "x".repeat(20_000);
    let answer = answer_to(&format!("GET /{padding}"), well).await;
    assert!(
        answer.starts_with("HTTP/1.1 431") || answer.starts_with("HTTP/1.1 414"),
        "{answer}"
    );
}

#[tokio::test]
async fn a_daemon_at_work_is_healthy_and_one_that_hangs_says_since_when() {
    let answer = answer_to("GET /healthz", well).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(body(&answer), "ok\n");
    let answer = answer_to("GET /healthz", |condition| {
        condition.last_turn = Duration::from_secs(9)
    })
    .await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert_eq!(body(&answer), "the daemon's loop last turned 91s ago\n");
}

#[tokio::test]
async fn readiness_gives_every_reason_on_a_line_of_its_own() {
    let answer = answer_to("GET /readyz", |_| ()).await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert_eq!(
        body(&answer),
        "configuration: not loaded yet\nhistory: not opened yet\n"
    );
    let answer = answer_to("GET /readyz", |condition| {
        condition.configured = true;
        condition.history_trouble = Some("disk\nfull".to_owned());
        let scope = Scope {
            account: "prod".parse().unwrap(),
            region: "eu-central-1".parse().unwrap(),
        };
        condition.unreached = vec![(scope, "not reached yet".to_owned())];
    })
    .await;
    assert_eq!(
        body(&answer),
        "history: disk\\nfull\nprod/eu-central-1: not reached yet\n"
    );
}

#[test]
fn ninety_seconds_without_a_turn_are_still_alive() {
    let condition = Health::starting(Duration::from_secs(10)).condition();
    assert_eq!(
        alive(&condition, Duration::from_secs(100)),
        ProbeAnswer::Good
    );
    assert_ne!(
        alive(&condition, Duration::from_millis(100_001)),
        ProbeAnswer::Good
    );
    // A reading older than the turn, of a scrape that raced with it, is no hang.
    assert_eq!(alive(&condition, Duration::ZERO), ProbeAnswer::Good);
}

#[tokio::test(flavor = "current_thread")]
async fn a_probe_is_answered_while_every_thread_of_the_daemon_is_busy() {
    let _deadline = Deadline::begin(None);
    let health = Health::starting(Duration::from_secs(100));
    health.update(well);
    let site = Arc::new(Site {
        metrics: Arc::new(Metrics::new(DateTime::UNIX_EPOCH).unwrap()),
        health: Arc::new(health),
        clock: Arc::new(Fixed),
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = listen_apart(listener, site, None, async {
        let _ = stopped.await;
    });
    let serving = serving.await.unwrap();
    // Blocks the only thread of this runtime until the answer is there.
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    let request = "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    std::io::Write::write_all(&mut stream, request.as_bytes()).unwrap();
    let mut answer = String::new();
    std::io::Read::read_to_string(&mut stream, &mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    stop.send(()).unwrap();
    serving.end().await;
    assert!(std::net::TcpStream::connect(address).is_err());
}
