//! A plain HTTP client, and ports that are free.
#![allow(dead_code, reason = "each test file uses its own part of this")]
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test that cannot go on fails, and the tests of the real binary live in real time"
)]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

pub fn http(address: SocketAddr, method: &str, path: &str, body: &str) -> Answer {
    let headers = "Content-Type: application/json\r\n";
    request(address, method, path, headers, body)
}

pub(super) fn request(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &str,
    body: &str,
) -> Answer {
    let patience = Duration::from_secs(10);
    let mut stream = connection(address, patience);
    stream.set_read_timeout(Some(patience)).unwrap();
    stream.set_write_timeout(Some(patience)).unwrap();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut text = Vec::new();
    stream.read_to_end(&mut text).unwrap();
    let text = String::from_utf8_lossy(&text).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    Answer {
        status: head
            .split(' ')
            .nth(1)
            .and_then(|code| code.parse().ok())
            .unwrap_or(0),
        head: head.to_owned(),
        body: if head.to_lowercase().contains("transfer-encoding: chunked") {
            unchunk(body)
        } else {
            body.to_owned()
        },
    }
}

/// A connection; whoever is to listen there may just be starting.
fn connection(address: SocketAddr, patience: Duration) -> TcpStream {
    let started = Instant::now();
    loop {
        match TcpStream::connect_timeout(&address, patience) {
            Ok(stream) => return stream,
            Err(error) => assert!(started.elapsed() < patience, "{address}: {error}"),
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn unchunk(body: &str) -> String {
    let (mut rest, mut whole) = (body, String::new());
    while let Some((size, after)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size.trim(), 16).unwrap_or(0);
        if size == 0 || size > after.len() {
            break;
        }
        whole.push_str(&after[..size]);
        rest = after[size..].trim_start_matches("\r\n");
    }
    whole
}

/// A port that was free a moment ago, and that no outgoing connection is given: one below those of Linux. It stays free
/// while its owner is away.
pub fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let beginning = std::process::id().wrapping_mul(64) % 20_000;
    loop {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = u16::try_from(10_000 + (beginning + number) % 20_000).unwrap();
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
