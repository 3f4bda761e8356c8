//! What the tests of the real binary share: a sandbox, a daemon, a directory, and a plain HTTP client.
#![allow(dead_code, reason = "each test file uses its own part of this")]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a test that cannot go on fails, and the tests of the real binary live in real time"
)]

pub mod deadline;
mod fixtures;
mod http;
pub mod process;
pub mod proxy;
pub mod receiver;
pub mod sources;
pub mod tunnel;

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant, SystemTime};

use serde_json::Value;

use deadline::Deadline;
#[allow(unused_imports, reason = "each test target uses its own part of this")]
pub use fixtures::{EACH_FIVE_SECONDS, EACH_TWO_SECONDS, MINUTE, often, soon_and_then_each_minute};
use http::request;
#[allow(unused_imports, reason = "each test target uses its own part of this")]
pub use http::{Answer, free_port, http};
pub use process::{Process, finish, first_line};

pub const REDKEEP: &str = env!("CARGO_BIN_EXE_redkeep");

/// A directory of the test's own, removed when the test passes. When it fails, the logs there are shown.
pub struct Dir(pub PathBuf, Deadline);

impl Dir {
    pub fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path =
            std::env::temp_dir().join(format!("redkeep-test-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        let deadline = Deadline::begin(Some(&path));
        Self(path, deadline)
    }

    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        match std::thread::panicking() {
            true => eprintln!("{}", self.1.logs()),
            false => drop(fs::remove_dir_all(&self.0)),
        }
    }
}

/// `redkeep sandbox` as a process of its own.
pub struct Sandbox {
    pub process: Process,
    pub url: String,
    _deadline: Deadline,
}

impl Sandbox {
    pub fn start(arguments: &[&str]) -> Self {
        let mut child = Command::new(REDKEEP)
            .args(["sandbox", "--listen", "127.0.0.1:0"])
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let url = first_line(&mut child);
        Self {
            process: Process(child),
            url,
            _deadline: Deadline::begin(None),
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.url.trim_start_matches("http://").parse().unwrap()
    }

    pub fn control(&self, method: &str, path: &str, body: &str) -> Value {
        let answer = http(self.address(), method, path, body);
        assert!(
            answer.status < 300,
            "{method} {path}: {} {}",
            answer.status,
            answer.body
        );
        serde_json::from_str(&answer.body).unwrap_or(Value::Null)
    }

    /// Asks for an operation in us-east-1 as a client would, with a signature that nobody computed.
    pub fn aws(&self, access_key: &str, form: &str) -> Answer {
        self.aws_in("us-east-1", access_key, form)
    }

    /// The same in another region.
    pub fn aws_in(&self, region: &str, access_key: &str, form: &str) -> Answer {
        let form = format!("Version=2012-12-01&Action={form}");
        self.signed(("redshift", region), access_key, &form)
    }

    /// The same of STS.
    pub fn sts(&self, access_key: &str, form: &str) -> Answer {
        let form = format!("Version=2011-06-15&Action={form}");
        self.signed(("sts", "us-east-1"), access_key, &form)
    }

    fn signed(&self, (service, region): (&str, &str), access_key: &str, form: &str) -> Answer {
        let now = chrono::Utc::now();
        let headers = format!(
            "Authorization: AWS4-HMAC-SHA256 Credential={access_key}/{}/{region}/{service}/aws4_request, \
             SignedHeaders=host;x-amz-date, Signature=00\r\nX-Amz-Date: {}\r\n\
             Content-Type: application/x-www-form-urlencoded\r\n",
            now.format("%Y%m%d"),
            now.format("%Y%m%dT%H%M%SZ")
        );
        request(self.address(), "POST", "/", &headers, form)
    }

    /// The operations received, oldest first, that have this name.
    pub fn requests(&self, operation: &str) -> Vec<Value> {
        let all = self.control("GET", "/_sandbox/requests", "");
        let all = all.as_array().cloned().unwrap_or_else(|| panic!("{all}"));
        all.into_iter()
            .filter(|request| request["operation"] == operation)
            .collect()
    }

    /// Identifiers of all manual snapshots there, in every region.
    pub fn snapshots(&self) -> Vec<String> {
        let mut found = Vec::new();
        collect_identifiers(&self.control("GET", "/_sandbox/state", ""), &mut found);
        found.sort();
        found.dedup();
        found
    }
}

fn collect_identifiers(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            if let Some(Value::String(id)) = members.get("snapshot_identifier") {
                found.push(id.clone());
            }
            members
                .values()
                .for_each(|value| collect_identifiers(value, found));
        }
        Value::Array(items) => items
            .iter()
            .for_each(|item| collect_identifiers(item, found)),
        _ => {}
    }
}

/// A daemon with a configuration and a state directory of its own.
pub struct Daemon {
    pub process: Process,
    pub config: PathBuf,
    pub listen: SocketAddr,
    pub log: PathBuf,
}

pub fn credentials(command: &mut Command) -> &mut Command {
    command
        .env("AWS_ACCESS_KEY_ID", "test")
        .env("AWS_SECRET_ACCESS_KEY", "secret-that-must-not-leak")
        .env("AWS_REGION", "us-east-1")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("AWS_CONFIG_FILE", "/nonexistent")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
        .env_remove("NOTIFY_SOCKET")
        .env_remove("HTTP_PROXY")
        .env_remove("http_proxy")
        .env_remove("HTTPS_PROXY")
        .env_remove("https_proxy")
        .env_remove("ALL_PROXY")
        .env_remove("all_proxy")
        .env_remove("NO_PROXY")
        .env_remove("no_proxy")
        // What these tests are told, and no settings.
        .env_remove("REDKEEP_KILLS")
        .env_remove("REDKEEP_SEED")
}

impl Daemon {
    /// Writes a configuration for `endpoint` with these policies and starts the daemon on it.
    pub fn start(dir: &Dir, endpoint: &str, policies: &str) -> Self {
        let port = free_port();
        let config = dir.daemons_file(port, endpoint, policies);
        Self::start_with(dir, &config, port)
    }

    pub fn start_with(dir: &Dir, config: &Path, port: u16) -> Self {
        Self::start_in(dir, config, port, &[])
    }

    /// Writes a configuration with these policies and starts the daemon on it, with variables of its own.
    pub fn start_among(dir: &Dir, policies: &str, environment: &[(&str, &str)]) -> Self {
        let port = free_port();
        let config = dir.write(
            "redkeep.toml",
            &format!("state_dir = \"state\"\nlisten = \"127.0.0.1:{port}\"\n{policies}"),
        );
        Self::start_in(dir, &config, port, environment)
    }

    fn start_in(dir: &Dir, config: &Path, port: u16, environment: &[(&str, &str)]) -> Self {
        let log = dir.0.join("log");
        let file = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&log)
            .unwrap();
        let mut command = Command::new(REDKEEP);
        let child = credentials(&mut command)
            .envs(environment.iter().copied())
            .args(["run", "--config"])
            .arg(config)
            .stdout(Stdio::null())
            .stderr(file)
            .spawn()
            .unwrap();
        Self {
            process: Process(child),
            config: config.to_owned(),
            listen: SocketAddr::from(([127, 0, 0, 1], port)),
            log,
        }
    }

    pub fn restart(&mut self, dir: &Dir) {
        *self = Self::start_with(dir, &self.config.clone(), self.listen.port());
    }

    pub fn kill_9(&mut self) {
        self.process.0.kill().unwrap();
        self.process.0.wait().unwrap();
    }

    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    pub fn history(&self) -> Vec<Value> {
        history(&self.config)
    }

    pub fn metrics(&self) -> String {
        http(self.listen, "GET", "/metrics", "").body
    }

    /// Waits until `condition` of the history holds, and returns the history.
    pub fn wait(
        &self,
        what: &str,
        within: Duration,
        condition: impl Fn(&[Value]) -> bool,
    ) -> Vec<Value> {
        let started = Instant::now();
        let state = self.config.with_file_name("state");
        let (mut asked, mut before, mut rows) = (None::<Instant>, Traces::default(), Vec::new());
        loop {
            let traces = traces(&state);
            let is_old = asked.is_none_or(|asked| asked.elapsed() > Duration::from_secs(1));
            if is_old || traces != before {
                rows = self.history();
                (asked, before) = (Some(Instant::now()), traces);
            }
            if condition(&rows) {
                return rows;
            }
            assert!(
                started.elapsed() < within,
                "not within {within:?}: {what}\n{rows:#?}\n{}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

/// Length and time of what SQLite writes: while they are the same, nobody has written into the history.
type Traces = [Option<(u64, SystemTime)>; 2];

/// Asking for the history is a process of its own, which would cost more than all daemons together if it were asked five
/// times a second.
fn traces(state: &Path) -> Traces {
    ["history.db", "history.db-wal"].map(|name| {
        let file = fs::metadata(state.join(name)).ok()?;
        Some((file.len(), file.modified().ok()?))
    })
}

pub fn history(config: &Path) -> Vec<Value> {
    let output = redkeep(&[
        "history",
        "--output",
        "json",
        "--config",
        config.to_str().unwrap(),
    ]);
    match output.status.code() {
        Some(0) => serde_json::from_slice(&output.stdout).unwrap(),
        // Not there yet: the daemon has not made it.
        _ => Vec::new(),
    }
}

/// Runs a command to its end.
pub fn redkeep(arguments: &[&str]) -> Output {
    finish(credentials(&mut Command::new(REDKEEP)).args(arguments))
}

pub fn in_state<'a>(rows: &'a [Value], state: &'a str) -> impl Iterator<Item = &'a Value> {
    rows.iter().filter(move |row| row["state"] == state)
}

/// Every run that was asked for was asked for within 2 s of its slot.
pub fn assert_prompt<'a>(rows: impl Iterator<Item = &'a Value>) {
    for row in rows {
        let at = |field: &str| {
            let text = row[field].as_str();
            text.and_then(|text| chrono::DateTime::parse_from_rfc3339(text).ok())
        };
        if let (Some(requested), Some(scheduled)) = (at("requested_at"), at("scheduled_at")) {
            // Both are shown in whole seconds, so a difference of one is less than two.
            assert!((requested - scheduled).num_seconds() < 2, "{row:#}");
        }
    }
}

/// Tells the threads of a scope that the test is over, also when it is over because it failed: a scope waits for them.
pub struct AtTheEnd<'a>(pub &'a AtomicBool);

impl Drop for AtTheEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Waits until `condition` holds.
pub fn eventually(what: &str, within: Duration, condition: impl Fn() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < within, "not within {within:?}: {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}
