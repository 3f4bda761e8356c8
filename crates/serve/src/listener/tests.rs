//! The bounds of the loop, each tried over a real socket.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::routing::get;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;

use super::*;
use crate::deadline::Deadline;

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n";

const CLOSING: &[u8] = b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";

struct Served {
    address: SocketAddr,
    /// Told when a request has reached `/slow` or `/never`.
    entered: Arc<Notify>,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<()>,
    _deadline: Deadline,
}

/// Serves `/` at once, `/slow` after 200 ms and `/never` not at all.
async fn start(limits: Limits) -> Served {
    let entered = Arc::new(Notify::new());
    let (slow, never) = (Arc::clone(&entered), Arc::clone(&entered));
    let app = Router::new()
        .route("/", get(|| async { "hello" }))
        .route(
            "/slow",
            get(|| async move {
                slow.notify_one();
                clock::sleep(Duration::from_millis(200)).await;
                "slow"
            }),
        )
        .route(
            "/never",
            get(|| async move {
                never.notify_one();
                std::future::pending::<&'static str>().await
            }),
        );
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let shutdown = async {
        let _ = stopped.await;
    };
    let ended = tokio::spawn(serve(listener, app, limits, shutdown));
    Served {
        address,
        entered,
        stop,
        ended,
        _deadline: Deadline::begin(None),
    }
}

fn short() -> Limits {
    Limits {
        connections: 2,
        header_timeout: Duration::from_millis(150),
        header_bytes: 8_192,
        connection_lifetime: Duration::from_secs(20),
        drain: Duration::from_millis(400),
    }
}

impl Served {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Writes `bytes` and reads until the server closes, at most 5 s.
    async fn exchange(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect().await;
        // The server may have closed already, which is what some tests are about.
        let _ = stream.write_all(bytes).await;
        to_end(&mut stream).await
    }
}

async fn to_end(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    let read = stream.read_to_end(&mut text);
    let _ = tokio::time::timeout(Duration::from_secs(5), read)
        .await
        .unwrap();
    String::from_utf8_lossy(&text).into_owned()
}

#[tokio::test]
async fn a_request_is_answered_and_an_idle_connection_is_closed_after_it() {
    let served = start(short()).await;
    let text = served.exchange(GET).await;
    assert!(
        text.starts_with("HTTP/1.1 200") && text.ends_with("hello"),
        "{text}"
    );
}

#[tokio::test]
async fn a_client_that_says_nothing_or_only_half_a_head_is_closed() {
    let served = start(short()).await;
    assert_eq!(served.exchange(b"").await, "");
    let text = served.exchange(&GET[..20]).await;
    assert!(!text.contains("200"), "{text}");
}

#[tokio::test]
async fn a_head_that_is_too_long_is_answered_431() {
    let served = start(short()).await;
    let mut bytes = b"GET / HTTP/1.1\r\nX: ".to_vec();
    bytes.resize(20_000, b'x');
    let text = served.exchange(&bytes).await;
    assert!(text.starts_with("HTTP/1.1 431"), "{text}");
}

/// How much is sent behind the requests, more than any buffer of the kernel takes while nobody reads.
const FLOOD: usize = 8 << 20;

#[tokio::test]
async fn a_client_gets_every_answer_that_it_was_sent_also_when_it_goes_on_sending() {
    let served = start(short()).await;
    for round in 0..20 {
        let mut stream = served.connect().await;
        let mut bytes = GET.repeat(20);
        bytes.resize(bytes.len() + FLOOD, 0xff);
        stream.write_all(&bytes).await.unwrap();
        let mut text = Vec::new();
        let read = stream.read_to_end(&mut text);
        let read = tokio::time::timeout(Duration::from_secs(20), read).await;
        let read = read.unwrap();
        assert!(read.is_ok(), "round {round}: {read:?}");
        let text = String::from_utf8_lossy(&text);
        assert_eq!(text.matches("HTTP/1.1 200").count(), 20, "{text}");
        assert!(text.contains("HTTP/1.1 400"), "{text}");
    }
}

#[tokio::test]
async fn a_client_that_sends_without_end_is_closed_all_the_same() {
    let served = start(short()).await;
    let mut stream = served.connect().await;
    let flood = async {
        let mut sent = 0;
        while stream.write_all(&[0xff; 65_536]).await.is_ok() {
            sent += 65_536;
        }
        sent
    };
    let sent = tokio::time::timeout(Duration::from_secs(20), flood).await;
    let sent = sent.unwrap();
    assert!(sent > LINGER.1, "{sent}");
}

/// Idle connections stay for a minute: only making room ends one within the bound of `to_end`.
fn patient() -> Limits {
    Limits {
        header_timeout: Duration::from_secs(60),
        ..short()
    }
}

#[tokio::test]
async fn idle_connections_do_not_shut_out_a_request_the_oldest_makes_room() {
    let served = start(patient()).await;
    let (mut oldest, _newer) = (served.connect().await, served.connect().await);
    assert!(served.exchange(CLOSING).await.ends_with("hello"));
    assert_eq!(to_end(&mut oldest).await, "");
}

#[tokio::test]
async fn while_every_connection_has_a_request_under_way_the_next_is_closed_at_once() {
    let served = start(patient()).await;
    let mut busy = [served.connect().await, served.connect().await];
    for stream in &mut busy {
        stream
            .write_all(b"GET /never HTTP/1.1\r\nHost: h\r\n\r\n")
            .await
            .unwrap();
        served.entered.notified().await;
    }
    assert_eq!(served.exchange(CLOSING).await, "");
    drop(busy);
    let mut tries = 0;
    while !served.exchange(CLOSING).await.contains("hello") {
        tries += 1;
        assert!(tries < 100, "no room came back");
        clock::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn shutdown_lets_a_request_in_flight_finish() {
    let served = start(short()).await;
    let mut stream = served.connect().await;
    stream
        .write_all(b"GET /slow HTTP/1.1\r\nHost: h\r\n\r\n")
        .await
        .unwrap();
    served.entered.notified().await;
    served.stop.send(()).unwrap();
    assert!(to_end(&mut stream).await.ends_with("slow"));
    served.ended.await.unwrap();
}

#[tokio::test]
async fn shutdown_does_not_wait_for_a_request_without_end() {
    let served = start(short()).await;
    let mut stream = served.connect().await;
    stream
        .write_all(b"GET /never HTTP/1.1\r\nHost: h\r\n\r\n")
        .await
        .unwrap();
    served.entered.notified().await;
    served.stop.send(()).unwrap();
    tokio::time::timeout(Duration::from_secs(3), served.ended)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(to_end(&mut stream).await, "");
}

#[tokio::test]
async fn a_connection_ends_at_the_end_of_its_life() {
    let served = start(Limits {
        connection_lifetime: Duration::from_millis(200),
        ..short()
    })
    .await;
    let text = served
        .exchange(b"GET /never HTTP/1.1\r\nHost: h\r\n\r\n")
        .await;
    assert_eq!(text, "");
}
