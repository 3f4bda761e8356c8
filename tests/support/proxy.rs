//! A recording proxy: every request and answer between redkeep and an endpoint, and answers that get lost.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// One request and the status of its answer.
#[derive(Debug, Clone)]
pub struct Exchange {
    pub parameters: BTreeMap<String, String>,
    pub status: u16,
}

impl Exchange {
    pub fn get(&self, name: &str) -> &str {
        self.parameters.get(name).map_or("", String::as_str)
    }
}

pub struct Proxy {
    pub address: SocketAddr,
    exchanges: Arc<Mutex<Vec<Exchange>>>,
}

impl Proxy {
    /// Forwards to `upstream`; the answers to create calls whose number, from 1, is in `lost` never arrive.
    pub fn start(upstream: SocketAddr, lost: &[usize]) -> Self {
        Self::amending(upstream, lost, |answer| answer)
    }

    /// The same, and every answer goes through `amend`.
    pub fn amending(upstream: SocketAddr, lost: &[usize], amend: fn(Vec<u8>) -> Vec<u8>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy = Self {
            address: listener.local_addr().unwrap(),
            exchanges: Arc::default(),
        };
        let (exchanges, lost) = (Arc::clone(&proxy.exchanges), lost.to_vec());
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (exchanges, lost) = (Arc::clone(&exchanges), lost.clone());
                thread::spawn(move || forward(client, upstream, &exchanges, &lost, amend));
            }
        });
        proxy
    }

    pub fn creates(&self) -> Vec<Exchange> {
        let all = self.exchanges.lock().unwrap().clone();
        all.into_iter()
            .filter(|exchange| exchange.get("Action") == "CreateClusterSnapshot")
            .collect()
    }
}

/// One exchange a connection: the answer says `Connection: close`.
fn forward(
    mut client: TcpStream,
    upstream: SocketAddr,
    exchanges: &Mutex<Vec<Exchange>>,
    lost: &[usize],
    amend: fn(Vec<u8>) -> Vec<u8>,
) -> Option<()> {
    client
        .set_read_timeout(Some(Duration::from_secs(30)))
        .ok()?;
    let request = read_request(&mut client)?;
    let text = String::from_utf8_lossy(&request).into_owned();
    let (head, body) = text.split_once("\r\n\r\n")?;
    let mut server = TcpStream::connect(upstream).ok()?;
    write!(server, "{head}\r\nConnection: close\r\n\r\n{body}").ok()?;
    let mut answer = Vec::new();
    server.read_to_end(&mut answer).ok()?;
    let status = String::from_utf8_lossy(&answer)
        .split(' ')
        .nth(1)
        .and_then(|code| code.parse().ok());
    let parameters: BTreeMap<String, String> = form_urlencoded::parse(body.as_bytes())
        .into_owned()
        .collect();
    let is_create = parameters
        .get("Action")
        .is_some_and(|action| action == "CreateClusterSnapshot");
    let number = {
        let mut exchanges = exchanges.lock().unwrap();
        exchanges.push(Exchange {
            parameters,
            status: status.unwrap_or(0),
        });
        exchanges
            .iter()
            .filter(|exchange| exchange.get("Action") == "CreateClusterSnapshot")
            .count()
    };
    if !(is_create && lost.contains(&number)) {
        client.write_all(&amend(answer)).ok()?;
    }
    Some(())
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
