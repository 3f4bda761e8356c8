//! The listener under abuse: the real binary goes on taking snapshots and answers a scrape every second, whatever
//! strangers do to its port.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test that cannot go on fails, and the tests of the real binary live in real time"
)]

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::{AtTheEnd, Daemon, Dir, EACH_TWO_SECONDS, Sandbox, http, in_state};
use serde_json::Value;

/// Longer than the listener waits for the head of a request.
const HEADER_TIMEOUT_OVER: Duration = Duration::from_millis(11_500);

/// A daemon that has taken its first snapshot and goes on, and what it needs.
fn busy() -> (Dir, Sandbox, Daemon) {
    let dir = Dir::new();
    let sandbox = Sandbox::taking("0", &["dw"], &[]);
    let daemon = Daemon::start(&dir, &sandbox.url, EACH_TWO_SECONDS);
    daemon.wait("a first snapshot", Duration::from_secs(60), |rows| {
        in_state(rows, "available").next().is_some()
    });
    (dir, sandbox, daemon)
}

/// A daemon at work, and what it serves while `abuse` lasts, which is for some seconds again and again.
fn at_work(abuse: impl Fn(&Daemon)) {
    let (_dir, _sandbox, daemon) = busy();
    let (began_at, over) = (chrono::Utc::now(), AtomicBool::new(false));
    let scrapes = thread::scope(|scope| {
        let scraping = scope.spawn(|| scrape_until(daemon.listen, &over));
        let end = AtTheEnd(&over);
        let started = Instant::now();
        while started.elapsed() < Duration::from_secs(4) {
            abuse(&daemon);
        }
        drop(end);
        scraping.join().unwrap()
    });
    assert!(scrapes >= 4, "only {scrapes} scrapes");
    let later = daemon.wait("snapshots went on", Duration::from_secs(20), |rows| {
        slots_since(rows, began_at).any(|row| row["state"] == "available")
    });
    for row in slots_since(&later, began_at).filter(|row| !row["requested_at"].is_null()) {
        let late = instant(&row["requested_at"]) - instant(&row["scheduled_at"]);
        assert!(late.num_seconds() <= 2, "{row:#}");
    }
    assert!(!daemon.log().contains("panicked"), "{}", daemon.log());
}

fn instant(value: &Value) -> chrono::DateTime<chrono::Utc> {
    value.as_str().unwrap().parse().unwrap()
}

fn slots_since(
    rows: &[Value],
    began_at: chrono::DateTime<chrono::Utc>,
) -> impl Iterator<Item = &Value> {
    rows.iter()
        .filter(move |row| instant(&row["scheduled_at"]) > began_at)
}

/// How long a scrape may take. One second of it is the kernel's, which asks again for a connection that came in a flood of
/// others; Prometheus waits for ten.
const SCRAPE_TIMEOUT: Duration = Duration::from_millis(2_500);

/// Scrapes every second; each has to be answered in time.
fn scrape_until(listen: SocketAddr, over: &AtomicBool) -> usize {
    let mut scrapes = 0;
    while !over.load(Ordering::Relaxed) {
        let asked = Instant::now();
        let answer = http(listen, "GET", "/metrics", "");
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert!(answer.body.contains("redkeep_build_info"));
        let took = asked.elapsed();
        assert!(took < SCRAPE_TIMEOUT, "a scrape took {took:?}");
        scrapes += 1;
        thread::sleep(Duration::from_secs(1).saturating_sub(took));
    }
    scrapes
}

/// Sends bytes and reads all that comes back, also while it is still sending.
fn answer_to(listen: SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(listen).unwrap();
    stream.set_read_timeout(Some(HEADER_TIMEOUT_OVER)).unwrap();
    let mut writer = stream.try_clone().unwrap();
    let request = request.to_vec();
    // The listener need not read everything.
    let writing = thread::spawn(move || writer.write_all(&request));
    let answer = read_all(&mut stream);
    let _ = writing.join().unwrap();
    answer
}

/// What arrives until the connection ends; one that is reset may have lost answers.
fn read_all(stream: &mut TcpStream) -> String {
    let (mut answer, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => answer.extend_from_slice(&buffer[..read]),
            Err(error) => {
                let so_far = String::from_utf8_lossy(&answer);
                panic!("the connection did not end: {error}, {so_far}");
            }
        }
    }
    String::from_utf8_lossy(&answer).into_owned()
}

fn is_closed(stream: &mut TcpStream) -> bool {
    stream
        .set_read_timeout(Some(Duration::from_millis(1)))
        .unwrap();
    match stream.read(&mut [0; 64]) {
        Ok(0) => true,
        Ok(_) => is_closed(stream),
        Err(error) => !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
    }
}

#[test]
fn slow_headers_are_cut_off_and_disturb_nobody() {
    at_work(|daemon| {
        let connect = |_| TcpStream::connect(daemon.listen).unwrap();
        let mut strangers: Vec<TcpStream> = (0..50).map(connect).collect();
        let started = Instant::now();
        while started.elapsed() < HEADER_TIMEOUT_OVER {
            for stranger in &mut strangers {
                let _ = stranger.write_all(b"X");
            }
            thread::sleep(Duration::from_millis(200));
        }
        let open = strangers
            .iter_mut()
            .filter_map(|it| (!is_closed(it)).then_some(()));
        assert_eq!(open.count(), 0, "a slow header has no end");
    });
}

#[test]
fn a_thousand_idle_connections_are_closed_and_disturb_nobody() {
    at_work(|daemon| {
        let mut strangers: Vec<TcpStream> = Vec::new();
        for _ in 0..1_000 {
            strangers.push(TcpStream::connect(daemon.listen).unwrap());
            // More than the limit of open files leaves to the other tests of this process need not be kept.
            if strangers.len() > 700 {
                strangers.remove(0);
            }
        }
        thread::sleep(HEADER_TIMEOUT_OVER);
        let open = strangers
            .iter_mut()
            .filter_map(|it| (!is_closed(it)).then_some(()));
        assert_eq!(open.count(), 0, "an idle connection stays for ever");
    });
}

#[test]
fn a_header_of_eight_megabytes_is_answered_431() {
    at_work(|daemon| {
        let padding = "x".repeat(8 << 20);
        let request = format!("GET /metrics HTTP/1.1\r\nHost: x\r\nX-Padding: {padding}\r\n\r\n");
        let answer = answer_to(daemon.listen, request.as_bytes());
        assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    });
}

#[test]
fn other_methods_are_answered_405_and_other_paths_404_with_or_without_a_body() {
    at_work(|daemon| {
        for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"] {
            let answer = http(daemon.listen, method, "/metrics", "{\"a\": 1}");
            assert_eq!(answer.status, 405, "{method}: {}", answer.head);
        }
        let paths = [
            "/../../etc/passwd",
            "/%2e%2e/%2e%2e/etc/passwd",
            "/metrics/../../etc/passwd",
            "/..%2fmetrics",
            "//metrics",
            "/metrics%00",
            "/history.db",
            "/-/reload",
        ];
        for path in paths {
            for method in ["GET", "POST", "HEAD"] {
                let answer = http(daemon.listen, method, path, "");
                assert_eq!(answer.status, 404, "{method} {path}: {}", answer.head);
            }
        }
    });
}

#[test]
fn a_body_that_nobody_wants_changes_nothing() {
    at_work(|daemon| {
        let body = "x".repeat(100_000);
        let answer = http(daemon.listen, "GET", "/healthz", &body);
        assert_eq!((answer.status, answer.body.as_str()), (200, "ok\n"));
        let endless = b"GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\nx";
        let answer = answer_to(daemon.listen, endless);
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    });
}

#[test]
fn garbage_behind_a_request_and_instead_of_one_ends_only_its_own_connection() {
    at_work(|daemon| {
        let mut piped = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n".repeat(20);
        piped.extend((0..=255).cycle().take(50_000));
        piped.extend(b"\r\n\r\n");
        let answer = answer_to(daemon.listen, &piped);
        assert_eq!(answer.matches("HTTP/1.1 200").count(), 20, "{answer}");
        assert!(answer.contains("HTTP/1.1 400"), "{answer}");
        let lines: [&[u8]; 5] = [
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 a TLS hello\r\n\r\n",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost x\r\n\r\n",
            b"GET /metrics HTTP/9.9\r\n\r\n",
            b"\0\0\0\0\r\n\r\n",
        ];
        for line in lines {
            let answer = answer_to(daemon.listen, line);
            assert!(
                answer.is_empty() || answer.starts_with("HTTP/1.1 4"),
                "{answer}"
            );
        }
    });
}

#[test]
fn a_scrape_is_answered_while_somebody_else_holds_the_lock_of_the_database() {
    let (dir, sandbox, daemon) = busy();
    let mut other = rusqlite::Connection::open(dir.0.join("state/history.db")).unwrap();
    let lock = other
        .transaction_with_behavior(rusqlite::TransactionBehavior::Exclusive)
        .unwrap();
    let (before, over) = (sandbox.snapshots().len(), AtomicBool::new(false));
    let scrapes = thread::scope(|scope| {
        let scraping = scope.spawn(|| scrape_until(daemon.listen, &over));
        let end = AtTheEnd(&over);
        thread::sleep(Duration::from_secs(12));
        drop(end);
        scraping.join().unwrap()
    });
    assert!(scrapes >= 11, "only {scrapes} scrapes in 12 s");
    let after = sandbox.snapshots();
    assert!(
        after.len() > before,
        "no snapshot while the history was locked"
    );
    drop(lock);
    // What could not be written then is written now.
    daemon.wait(
        "the history has them all",
        Duration::from_secs(60),
        |rows| {
            let recorded = |id: &String| {
                in_state(rows, "available").any(|row| row["snapshot_id"] == id.as_str())
            };
            after.iter().all(recorded)
        },
    );
}
