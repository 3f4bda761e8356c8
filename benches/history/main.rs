//! What a large history costs: `cargo bench --bench history`.
//!
//! Clones a history to a million rows of 5,000 pairs, 170,000 of their snapshots still there, and measures the release
//! binary from outside: the time until the daemon listens, what it takes of memory, and the time of each command that
//! reads the history; each beside the same with a tenth of the rows. `REDKEEP_ROWS` is another number of rows,
//! `REDKEEP_BINARY` another binary, `REDKEEP_HISTORY` a directory in which the histories stay for the next time.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a benchmark measures real time and prints what it measured"
)]

mod generate;

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// What is measured, in the order in which it is told.
const COMMANDS: [(&str, &[&str]); 7] = [
    ("status", &["status"]),
    ("explain", &["explain", "dw-0003"]),
    ("coverage", &["coverage"]),
    ("forecast", &["forecast"]),
    ("report --since 30d", &["report", "--since", "30d"]),
    ("history --limit 1000", &["history", "--limit", "1000"]),
    ("history, whole", &["history", "--output", "csv"]),
];

fn main() {
    let rows = std::env::var("REDKEEP_ROWS").map_or(1_000_000, |rows| rows.parse().unwrap());
    let kept = std::env::var_os("REDKEEP_HISTORY").map(PathBuf::from);
    let dir = kept.clone().unwrap_or_else(|| {
        std::env::temp_dir().join(format!("redkeep-history-{}", std::process::id()))
    });
    let small = measure(&dir.join((rows / 10).to_string()), rows / 10);
    let large = measure(&dir.join(rows.to_string()), rows);
    for ((what, unit, few), (_, _, many)) in small.iter().zip(&large) {
        println!(
            "{what:<22} {many:>9.2} {unit:<4} {:>6.1} × a tenth of the rows",
            many / few
        );
    }
    println!(
        "{:<22} {:>9.0} bytes a snapshot that is there, its part of its pair included",
        "memory",
        (of(&large, "resident") - of(&small, "resident")) * 1_048_576.0
            / f64::from(generate::there(rows) - generate::there(rows / 10))
    );
    if kept.is_none() {
        let _ = fs::remove_dir_all(&dir);
    }
}

/// What, in which unit, and how much.
type Figure = (&'static str, &'static str, f64);

fn of(figures: &[Figure], what: &str) -> f64 {
    figures.iter().find(|figure| figure.0 == what).unwrap().2
}

fn measure(dir: &Path, rows: u32) -> Vec<Figure> {
    let state = dir.join("state");
    if !state.join("history.db").exists() {
        fs::create_dir_all(&state).unwrap();
        let begun = Instant::now();
        generate::history(&state.join("history.db"), rows);
        let size = fs::metadata(state.join("history.db")).unwrap().len() >> 20;
        println!(
            "{rows} rows, {size} MiB, made in {:.1} s",
            begun.elapsed().as_secs_f64()
        );
    }
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let config = dir.join("daemon.toml");
    fs::write(&config, generate::policies(&url(&silent))).unwrap();
    // The first start brings an older history up to date.
    drop(start(dir, &config));
    let (daemon, ready) = start(dir, &config);
    thread::sleep(Duration::from_millis(500));
    let resident = mib(daemon.0.id(), "VmRSS:");
    let peak = mib(daemon.0.id(), "VmHWM:");
    drop(daemon);
    let mut figures = vec![
        ("start to READY", "s", ready.as_secs_f64()),
        ("resident", "MiB", resident),
        ("resident at most", "MiB", peak),
    ];
    let aws = TcpListener::bind("127.0.0.1:0").unwrap();
    let config = dir.join("redkeep.toml");
    fs::write(&config, generate::policies(&url(&aws))).unwrap();
    thread::spawn(move || {
        aws.incoming()
            .flatten()
            .for_each(|one| drop(thread::spawn(|| answer(one))))
    });
    for (what, arguments) in COMMANDS {
        figures.push((what, "s", run(arguments, &config).as_secs_f64()));
    }
    figures
}

fn url(listener: &TcpListener) -> String {
    format!("http://{}", listener.local_addr().unwrap())
}

fn binary() -> PathBuf {
    std::env::var_os("REDKEEP_BINARY").map_or(env!("CARGO_BIN_EXE_redkeep").into(), PathBuf::from)
}

fn redkeep(arguments: &[&str], config: &Path) -> Command {
    let mut command = Command::new(binary());
    command
        .args(arguments)
        .arg("--config")
        .arg(config)
        .env("AWS_REGION", "us-east-1")
        .env("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
        .env("AWS_SECRET_ACCESS_KEY", "x")
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

/// The faster one of two runs.
fn run(arguments: &[&str], config: &Path) -> Duration {
    let once = || {
        let begun = Instant::now();
        redkeep(arguments, config).status().unwrap();
        begun.elapsed()
    };
    once().min(once())
}

/// Starts the daemon and waits until it says READY=1, as systemd does. AWS never answers it.
fn start(dir: &Path, config: &Path) -> (Daemon, Duration) {
    let socket = dir.join("notify");
    let _ = fs::remove_file(&socket);
    let manager = UnixDatagram::bind(&socket).unwrap();
    let wait = Some(Duration::from_secs(300));
    manager.set_read_timeout(wait).unwrap();
    let begun = Instant::now();
    let mut command = redkeep(&["run"], config);
    let daemon = Daemon(command.env("NOTIFY_SOCKET", &socket).spawn().unwrap());
    let mut message = [0; 4096];
    loop {
        let length = manager.recv(&mut message).unwrap();
        if String::from_utf8_lossy(&message[..length]).contains("READY=1") {
            return (daemon, begun.elapsed());
        }
    }
}

/// A daemon that is stopped when it is dropped, also by a panic.
struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg(self.0.id().to_string()).status();
        let _ = self.0.wait();
    }
}

/// A figure of a process in MiB (proc(5)).
fn mib(pid: u32, what: &str) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with(what)).unwrap();
    let kib = line.split_whitespace().nth(1).unwrap();
    kib.parse::<f64>().unwrap() / 1024.0
}

/// AWS where nothing is: one answer to each request of a connection.
fn answer(mut stream: TcpStream) {
    let mut request = Vec::new();
    let mut chunk = [0; 65_536];
    while let Ok(length @ 1..) = stream.read(&mut chunk) {
        request.extend_from_slice(&chunk[..length]);
        let text = String::from_utf8_lossy(&request).to_ascii_lowercase();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head.split_once("content-length: ").map_or(0, |(_, rest)| {
            rest.split("\r\n").next().unwrap().parse().unwrap()
        });
        if body.len() < length {
            continue;
        }
        let action = body
            .split('&')
            .find_map(|pair| pair.strip_prefix("action="));
        let xml = generate::nothing(action.unwrap_or_default());
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length:";
        if stream
            .write_all(format!("{head} {}\r\n\r\n{xml}", xml.len()).as_bytes())
            .is_err()
        {
            return;
        }
        request.clear();
    }
}
