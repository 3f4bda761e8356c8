//! A recording proxy: every request and answer between redkeep and an endpoint, answers that get lost, and
//! exchanges that are stopped at a named point, so that something can be done to the client just then.
#![expect(
    clippy::disallowed_methods,
    reason = "the tests of the real binary live in real time"
)]

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use chrono::{DateTime, Utc};

/// No endpoint of a test answers with more.
const ANSWER_MAX: u64 = 64 << 20;

/// One request and the status of its answer; 0 before there is one.
#[derive(Debug, Clone)]
pub struct Exchange {
    /// When the request had arrived here.
    pub arrived_at: DateTime<Utc>,
    pub parameters: BTreeMap<String, String>,
    pub status: u16,
}

impl Exchange {
    pub fn get(&self, name: &str) -> &str {
        self.parameters.get(name).map_or("", String::as_str)
    }

    pub fn is(&self, action: &str) -> bool {
        self.get("Action") == action
    }
}

/// A point of an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The request has been read and not been forwarded.
    Arrived,
    /// The endpoint has answered, and the answer was not passed on.
    Answered,
    /// The answer has been passed on.
    Delivered,
}

/// An exchange that is stopped. Dropping it cuts the connection.
pub struct Held {
    pub exchange: Exchange,
    go_on: Sender<()>,
}

impl Held {
    pub fn go_on(self) {
        let _ = self.go_on.send(());
    }
}

struct Trap {
    stage: Stage,
    matches: fn(&Exchange) -> bool,
    catch: Sender<Held>,
}

#[derive(Default)]
struct Shared {
    exchanges: Mutex<Vec<Exchange>>,
    traps: Mutex<Vec<Trap>>,
    lost: Vec<usize>,
}

type Amend = Arc<dyn Fn(&Exchange, Vec<u8>) -> Vec<u8> + Send + Sync>;

pub struct Proxy {
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

impl Proxy {
    /// Forwards to `upstream`; the answers to create calls whose number, from 1, is in `lost` never arrive.
    pub fn start(upstream: SocketAddr, lost: &[usize]) -> Self {
        Self::amending(upstream, lost, |answer| answer)
    }

    /// The same, and every answer goes through `amend`.
    pub fn amending(upstream: SocketAddr, lost: &[usize], amend: fn(Vec<u8>) -> Vec<u8>) -> Self {
        Self::begin(upstream, lost, Arc::new(move |_, answer| amend(answer)))
    }

    /// The same, where what becomes of an answer depends on what was asked.
    pub fn answering(
        upstream: SocketAddr,
        amend: impl Fn(&Exchange, Vec<u8>) -> Vec<u8> + Send + Sync + 'static,
    ) -> Self {
        Self::begin(upstream, &[], Arc::new(amend))
    }

    fn begin(upstream: SocketAddr, lost: &[usize], amend: Amend) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            lost: lost.to_vec(),
            ..Shared::default()
        });
        let proxy = Self {
            address,
            shared: Arc::clone(&shared),
        };
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (shared, amend) = (Arc::clone(&shared), Arc::clone(&amend));
                thread::spawn(move || shared.forward(client, upstream, &*amend));
            }
        });
        proxy
    }

    pub fn creates(&self) -> Vec<Exchange> {
        self.all("CreateClusterSnapshot")
    }

    /// All exchanges so far of this action.
    pub fn all(&self, action: &str) -> Vec<Exchange> {
        let all = self.shared.exchanges.lock().unwrap().clone();
        all.into_iter()
            .filter(|exchange| exchange.is(action))
            .collect()
    }

    /// Stops the next exchange that matches at `stage`; while the receiver lives.
    pub fn stop_at(&self, stage: Stage, matches: fn(&Exchange) -> bool) -> Receiver<Held> {
        let (catch, caught) = channel();
        self.shared.traps.lock().unwrap().push(Trap {
            stage,
            matches,
            catch,
        });
        caught
    }
}

impl Shared {
    /// One exchange a connection: the answer says `Connection: close`.
    fn forward(
        &self,
        mut client: TcpStream,
        upstream: SocketAddr,
        amend: &(dyn Fn(&Exchange, Vec<u8>) -> Vec<u8> + Send + Sync),
    ) -> Option<()> {
        client
            .set_read_timeout(Some(Duration::from_secs(30)))
            .ok()?;
        let request = read_request(&mut client)?;
        let text = String::from_utf8_lossy(&request).into_owned();
        let (head, body) = text.split_once("\r\n\r\n")?;
        let mut exchange = Exchange {
            arrived_at: Utc::now(),
            parameters: form_urlencoded::parse(body.as_bytes())
                .into_owned()
                .collect(),
            status: 0,
        };
        self.pass(Stage::Arrived, &exchange)?;
        let mut server = TcpStream::connect(upstream).ok()?;
        // Longer than any client waits.
        server
            .set_read_timeout(Some(Duration::from_secs(35)))
            .ok()?;
        write!(server, "{head}\r\nConnection: close\r\n\r\n{body}").ok()?;
        let mut answer = Vec::new();
        server.take(ANSWER_MAX).read_to_end(&mut answer).ok()?;
        exchange.status = String::from_utf8_lossy(&answer)
            .split(' ')
            .nth(1)
            .and_then(|code| code.parse().ok())
            .unwrap_or(0);
        let is_lost = self.record(&exchange);
        self.pass(Stage::Answered, &exchange)?;
        if !is_lost {
            client.write_all(&amend(&exchange, answer)).ok()?;
            self.pass(Stage::Delivered, &exchange)?;
        }
        Some(())
    }

    /// Whether the answer is to get lost.
    fn record(&self, exchange: &Exchange) -> bool {
        let mut exchanges = self.exchanges.lock().unwrap();
        exchanges.push(exchange.clone());
        let is_create = |exchange: &&Exchange| exchange.is("CreateClusterSnapshot");
        let number = exchanges.iter().filter(is_create).count();
        is_create(&exchange) && self.lost.contains(&number)
    }

    /// Waits where a trap is set; `None` when the exchange is to end here.
    fn pass(&self, stage: Stage, exchange: &Exchange) -> Option<()> {
        let (go_on, gone_on) = channel();
        {
            let mut traps = self.traps.lock().unwrap();
            let fits = |trap: &Trap| trap.stage == stage && (trap.matches)(exchange);
            let mut is_caught = false;
            // A trap that nobody waits at any more catches nothing.
            while let (false, Some(place)) = (is_caught, traps.iter().position(fits)) {
                let held = Held {
                    exchange: exchange.clone(),
                    go_on: go_on.clone(),
                };
                is_caught = traps.remove(place).catch.send(held).is_ok();
            }
            if !is_caught {
                return Some(());
            }
        }
        drop(go_on);
        gone_on.recv().ok()
    }
}

fn read_request(client: &mut TcpStream) -> Option<Vec<u8>> {
    let (mut request, mut buffer) = (Vec::new(), [0; 8192]);
    loop {
        let read = client.read(&mut buffer).ok().filter(|read| *read > 0)?;
        request.extend_from_slice(&buffer[..read]);
        let text = String::from_utf8_lossy(&request);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|line| {
                    line.to_lowercase()
                        .strip_prefix("content-length:")?
                        .trim()
                        .parse()
                        .ok()
                })
                .unwrap_or(0);
            if body.len() >= length {
                return Some(request);
            }
        }
    }
}

/// The answer with what `change` makes of its body, whatever its head says of the length.
pub fn with_body(answer: &[u8], change: impl FnOnce(&str) -> String) -> Vec<u8> {
    let text = String::from_utf8_lossy(answer);
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return answer.to_vec();
    };
    let head = head
        .lines()
        .filter(|line| !line.to_lowercase().starts_with("content-length"));
    let (head, body) = (head.collect::<Vec<_>>().join("\r\n"), change(body));
    format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}
