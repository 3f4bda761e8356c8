//! A receiver of notifications on loopback, which answers as it is told to.
#![allow(dead_code, reason = "each test file uses its own part of this")]
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test that cannot go on fails, and the tests of the real binary live in real time"
)]

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;

/// What it does with a request.
#[derive(Debug, Clone)]
pub enum Behaviour {
    /// Answers with this status and these headers.
    Answer(u16, &'static str),
    /// Takes the request and never answers.
    Hang,
    /// Takes the request and closes the connection.
    Close,
    /// Sends a body without end.
    Flood,
}

/// A request that came.
#[derive(Debug, Clone)]
pub struct Got {
    pub at: Instant,
    pub path: String,
    pub head: String,
    pub body: String,
    /// What it was answered with; 0 where it was not.
    pub status: u16,
}

impl Got {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or(Value::Null)
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines();
        let mut values = lines.filter_map(|line| line.split_once(": "));
        values
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }
}

#[derive(Default)]
struct State {
    /// What it does with the next requests, before it does what is usual.
    next: VecDeque<Behaviour>,
    usual: Option<Behaviour>,
    got: Vec<Got>,
}

/// The receiver; it listens for as long as the test runs.
#[derive(Clone)]
pub struct Receiver {
    pub address: SocketAddr,
    state: Arc<Mutex<State>>,
}

/// Decides on a request; `None` for success.
type Judge = fn(&Got) -> Option<(u16, String)>;

impl Receiver {
    pub fn start() -> Self {
        Self::strict(|_| None)
    }

    /// One that refuses what its documentation does not allow.
    pub fn strict(judge: Judge) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let receiver = Self {
            address: listener.local_addr().unwrap(),
            state: Arc::default(),
        };
        let serving = receiver.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let serving = serving.clone();
                std::thread::spawn(move || serving.serve(stream, judge));
            }
        });
        receiver
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Does this with the next requests.
    pub fn next(&self, behaviours: impl IntoIterator<Item = Behaviour>) {
        self.state.lock().unwrap().next.extend(behaviours);
    }

    /// Does this with every request from now on.
    pub fn always(&self, behaviour: Option<Behaviour>) {
        self.state.lock().unwrap().usual = behaviour;
    }

    pub fn got(&self) -> Vec<Got> {
        self.state.lock().unwrap().got.clone()
    }

    /// Those that were answered with success.
    pub fn taken(&self) -> Vec<Got> {
        let mut got = self.got();
        got.retain(|one| (200..300).contains(&one.status));
        got
    }

    /// Waits until so many were taken.
    pub fn wait(&self, count: usize, within: Duration) -> Vec<Got> {
        let started = Instant::now();
        loop {
            let taken = self.taken();
            if taken.len() >= count {
                return taken;
            }
            assert!(
                started.elapsed() < within,
                "not {count} within {within:?}: {:#?}",
                self.got()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn serve(&self, mut stream: TcpStream, judge: Judge) {
        let Some(mut got) = read(&stream) else { return };
        let behaviour = {
            let mut state = self.state.lock().unwrap();
            let usual = state.usual.clone();
            state.next.pop_front().or(usual)
        };
        let judged = judge(&got);
        let (status, headers, body) = match (&behaviour, judged) {
            (Some(Behaviour::Answer(status, headers)), _) => (*status, *headers, String::new()),
            (None, Some((status, body))) => (status, "", body),
            (None, None) => (200, "", "ok".to_owned()),
            (Some(_), _) => (0, "", String::new()),
        };
        got.status = status;
        self.state.lock().unwrap().got.push(got);
        match behaviour {
            Some(Behaviour::Hang) => std::thread::sleep(Duration::from_secs(120)),
            Some(Behaviour::Close) => {}
            Some(Behaviour::Flood) => {
                let head = "HTTP/1.1 500 x\r\ncontent-length: 99999999999\r\n\r\n";
                let mut sent = stream.write_all(head.as_bytes());
                while sent.is_ok() {
                    sent = stream.write_all(&[b'x'; 65_536]);
                }
            }
            _ => {
                let length = body.len();
                let head = format!("HTTP/1.1 {status} x\r\n{headers}content-length: {length}\r\n");
                let _ =
                    stream.write_all(format!("{head}connection: close\r\n\r\n{body}").as_bytes());
            }
        }
    }
}

fn read(stream: &TcpStream) -> Option<Got> {
    stream
        .set_read_timeout(Some(Duration::from_secs(30)))
        .ok()?;
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if line.trim().is_empty() {
            break;
        }
        head.push_str(&line);
    }
    let length = head.lines().filter_map(|line| line.split_once(": "));
    let length = { length }.find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let length: usize = length
        .and_then(|(_, text)| text.trim().parse().ok())
        .unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Got {
        at: Instant::now(),
        path: head.split(' ').nth(1)?.to_owned(),
        head: head.replace('\r', ""),
        body: String::from_utf8_lossy(&body).into_owned(),
        status: 0,
    })
}
