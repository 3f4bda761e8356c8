//! The page over a real socket: turns, headers, and what is said before there is anything to show.

use chrono::{DateTime, Utc};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use super::*;
use crate::deadline::Deadline;
use crate::http::Site;

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

async fn answer_to(request: &str, turns: usize) -> String {
    let _deadline = Deadline::begin(None);
    let site = Site {
        metrics: Arc::new(Metrics::new(DateTime::UNIX_EPOCH).unwrap()),
        health: Arc::new(Health::starting(Duration::ZERO)),
        clock: Arc::new(Fixed),
    };
    let source = Source {
        board: Arc::default(),
        forecasts: Forecasts::default(),
        metrics: Arc::clone(&site.metrics),
        health: Arc::clone(&site.health),
        clock: Arc::clone(&site.clock),
        options: " --config x.toml".to_owned(),
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let page = with_turns(source, PageAccess::Loopback, address, turns);
    let (stop, stopped) = oneshot::channel::<()>();
    let listening = http::listen(listener, Arc::new(site), Some(page), async {
        let _ = stopped.await;
    });
    let server = tokio::spawn(listening);
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("{request} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    stop.send(()).unwrap();
    server.await.unwrap();
    answer
}

#[tokio::test]
async fn whoever_finds_no_turn_is_sent_away_for_a_while_and_a_scrape_is_answered_all_the_same() {
    let answer = answer_to("GET /", 0).await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert!(answer.contains("retry-after: 2\r\n"), "{answer}");
    assert!(answer.contains("cache-control: no-store\r\n"), "{answer}");
    for path in ["/metrics", "/healthz", "/style.css"] {
        let answer = answer_to(&format!("HEAD {path}"), 0).await;
        assert!(!answer.contains("retry-after"), "{path}: {answer}");
    }
}

#[tokio::test]
async fn before_the_daemon_has_begun_that_is_told_and_so_is_that_its_loop_does_not_turn() {
    let answer = answer_to("GET /cluster?name=dw", 1).await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    for words in [
        "has not started its work yet",
        "The daemon does not work.",
        "last turned 100s ago",
        "redkeep status --config x.toml",
    ] {
        assert!(answer.contains(words), "{words}: {answer}");
    }
}

#[tokio::test]
async fn the_style_may_be_kept_and_has_its_own_address() {
    let answer = answer_to(&format!("GET {}", *STYLE_ADDRESS), 0).await;
    assert!(
        answer.contains("cache-control: private, max-age=86400, immutable\r\n"),
        "{answer}"
    );
    assert!(answer.contains("content-type: text/css"), "{answer}");
    assert!(answer.ends_with(STYLE), "{answer}");
}

#[test]
fn the_style_asks_for_nothing_from_elsewhere() {
    for reference in ["url(", "@import", "http"] {
        assert!(!STYLE.contains(reference), "{reference}");
    }
}
