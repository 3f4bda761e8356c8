//! Fakes of the servers that credentials come from, on loopback, healthy, slow or broken as the test wants them.
#![allow(dead_code, reason = "each test file uses its own part of this")]
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test that cannot go on fails, and the tests of the real binary live in real time"
)]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// How a fake answers.
#[derive(Debug, Clone)]
pub enum Mood {
    Healthy,
    /// After this time.
    Slow(Duration),
    /// With this status and text, whatever is asked.
    Broken(u16, &'static str),
}

/// What a request says.
pub struct Asked {
    pub head: String,
    pub body: String,
}

impl Asked {
    pub fn begins(&self, line: &str) -> bool {
        self.head.starts_with(line)
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        let (_, value) = lines.find(|(known, _)| known.eq_ignore_ascii_case(name))?;
        Some(value)
    }
}

/// An answer that is there already, or a status with its headers and text.
pub enum Reply {
    Raw(Vec<u8>),
    Text(u16, &'static str, String),
}

pub struct Fake {
    pub address: SocketAddr,
    mood: Arc<Mutex<Mood>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Fake {
    fn start(answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let fake = Self {
            address: listener.local_addr().unwrap(),
            mood: Arc::new(Mutex::new(Mood::Healthy)),
            asked: Arc::default(),
        };
        let (mood, asked) = (Arc::clone(&fake.mood), Arc::clone(&fake.asked));
        let answer = Arc::new(answer);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (mood, asked) = (Arc::clone(&mood), Arc::clone(&asked));
                let answer = Arc::clone(&answer);
                thread::spawn(move || serve(client, &mood, &asked, &*answer));
            }
        });
        fake
    }

    pub fn be(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The first lines of all requests.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    /// An instance's metadata, IMDSv2 only, whose role has this access key.
    pub fn instance(access_key: &'static str) -> Self {
        const ROLE: &str = "GET /latest/meta-data/iam/security-credentials/";
        Self::start(move |asked| {
            let has_token = asked.header("x-aws-ec2-metadata-token") == Some("TOKEN");
            if asked.begins("PUT /latest/api/token ") {
                assert!(
                    asked
                        .header("x-aws-ec2-metadata-token-ttl-seconds")
                        .is_some()
                );
                let ttl = "X-Aws-Ec2-Metadata-Token-Ttl-Seconds: 21600\r\n";
                Reply::Text(200, ttl, "TOKEN".to_owned())
            } else if !has_token {
                Reply::Text(401, "", String::new())
            } else if asked.begins(&format!("{ROLE} ")) {
                Reply::Text(200, "", "redkeep-role".to_owned())
            } else if asked.begins(&format!("{ROLE}redkeep-role ")) {
                Reply::Text(200, "", document(access_key))
            } else {
                Reply::Text(404, "", String::new())
            }
        })
    }

    /// A container's credentials, for whoever has this token.
    pub fn container(access_key: &'static str, token: &'static str) -> Self {
        Self::start(move |asked| {
            if !token.is_empty() && asked.header("authorization") != Some(token) {
                return Reply::Text(403, "", r#"{"code":"Forbidden"}"#.to_owned());
            }
            Reply::Text(200, "", document(access_key))
        })
    }

    /// All of AWS that the sandbox at `upstream` is, and the role of whoever has a web identity token.
    pub fn front(upstream: SocketAddr, access_key: &'static str) -> Self {
        Self::start(move |asked| {
            if !asked.body.contains("Action=AssumeRoleWithWebIdentity") {
                return Reply::Raw(forward(asked, upstream));
            }
            if !asked.body.contains("WebIdentityToken=a.jwt.token&")
                && !asked.body.ends_with("a.jwt.token")
            {
                let text = "<ErrorResponse><Error><Code>InvalidIdentityToken</Code><Message>no</Message></Error></ErrorResponse>";
                return Reply::Text(400, "", text.to_owned());
            }
            let text = format!(
                "<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials>\
                 <AccessKeyId>{access_key}</AccessKeyId><SecretAccessKey>s</SecretAccessKey>\
                 <SessionToken>t</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration></Credentials>\
                 </AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"
            );
            Reply::Text(200, "Content-Type: text/xml\r\n", text)
        })
    }
}

/// Credentials as metadata services give them.
pub fn document(access_key: &str) -> String {
    format!(
        r#"{{"Code":"Success","AccessKeyId":"{access_key}","SecretAccessKey":"s","Token":"t","Expiration":"2099-01-01T00:00:00Z"}}"#
    )
}

fn serve(
    mut client: TcpStream,
    mood: &Mutex<Mood>,
    log: &Mutex<Vec<String>>,
    answer: &dyn Fn(&Asked) -> Reply,
) -> Option<()> {
    client
        .set_read_timeout(Some(Duration::from_secs(30)))
        .ok()?;
    let asked = read(&mut client)?;
    log.lock()
        .unwrap()
        .push(asked.head.lines().next().unwrap_or_default().to_owned());
    let mood = mood.lock().unwrap().clone();
    let reply = match mood {
        Mood::Healthy => answer(&asked),
        Mood::Slow(time) => {
            thread::sleep(time);
            answer(&asked)
        }
        Mood::Broken(status, text) => Reply::Text(status, "", text.to_owned()),
    };
    match reply {
        Reply::Raw(bytes) => client.write_all(&bytes).ok(),
        Reply::Text(status, headers, text) => write!(
            client,
            "HTTP/1.1 {status} X\r\nConnection: close\r\n{headers}Content-Length: {}\r\n\r\n{text}",
            text.len()
        )
        .ok(),
    }
}

fn forward(asked: &Asked, upstream: SocketAddr) -> Vec<u8> {
    let mut server = TcpStream::connect(upstream).unwrap();
    server
        .set_read_timeout(Some(Duration::from_secs(35)))
        .unwrap();
    let (head, body) = (&asked.head, &asked.body);
    write!(server, "{head}\r\nConnection: close\r\n\r\n{body}").unwrap();
    let mut answer = Vec::new();
    server.read_to_end(&mut answer).unwrap();
    answer
}

fn read(client: &mut TcpStream) -> Option<Asked> {
    let (mut bytes, mut buffer) = (Vec::new(), [0; 8192]);
    loop {
        let read = client.read(&mut buffer).ok().filter(|read| *read > 0)?;
        bytes.extend_from_slice(&buffer[..read]);
        let text = String::from_utf8_lossy(&bytes);
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let asked = Asked {
            head: head.to_owned(),
            body: body.to_owned(),
        };
        let length = asked
            .header("content-length")
            .and_then(|text| text.parse().ok());
        if body.len() >= length.unwrap_or(0) {
            return Some(asked);
        }
    }
}
