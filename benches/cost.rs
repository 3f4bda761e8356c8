//! What redkeep costs: `cargo bench --bench cost`.
//!
//! Measures the release binary from outside, as a service manager and a shell see it: the time of `check`
//! beside the bare start of the program, the time from the start to READY, and what an idle daemon with ten
//! policies takes of a core and of memory. Figures of one run on one machine; the ratios travel better.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a benchmark measures real time and prints what it measured"
)]

use std::fmt::Write as _;
use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const REDKEEP: &str = env!("CARGO_BIN_EXE_redkeep");
const IDLE: Duration = Duration::from_secs(60);

fn main() {
    let dir = std::env::temp_dir().join(format!("redkeep-cost-{}", std::process::id()));
    fs::create_dir_all(&dir).unwrap();
    let config = dir.join("redkeep.toml");
    fs::write(&config, policies()).unwrap();

    let start = median(20, || run(&["--version"]));
    let check = median(20, || run(&["check", "--config", config.to_str().unwrap()]));
    println!(
        "check           {:>8.1} ms   {:.1} × the bare start ({:.1} ms)",
        ms(check),
        check.as_secs_f64() / start.as_secs_f64(),
        ms(start)
    );

    let ready = median(10, || {
        let _ = fs::remove_dir_all(dir.join("state"));
        let (child, ready) = start_daemon(&dir, &config);
        drop(child);
        ready
    });
    println!(
        "start to READY  {:>8.1} ms   {:.1} × the bare start (empty history)",
        ms(ready),
        ready.as_secs_f64() / start.as_secs_f64()
    );

    let (child, _) = start_daemon(&dir, &config);
    std::thread::sleep(Duration::from_secs(5));
    let before = cpu_seconds(child.0.id());
    std::thread::sleep(IDLE);
    let used = cpu_seconds(child.0.id()) - before;
    println!(
        "idle            {:>8.3} % of a core over {} s with 10 policies",
        used / IDLE.as_secs_f64() * 100.0,
        IDLE.as_secs()
    );
    println!("resident        {:>8.1} MiB", resident_mib(child.0.id()));
    drop(child);
    let _ = fs::remove_dir_all(&dir);
}

/// Ten policies that are not due while the benchmark runs, on the embedded sandbox.
fn policies() -> String {
    let mut text =
        "state_dir = \"state\"\nlisten = \"127.0.0.1:0\"\nendpoint = \"sandbox\"\n".to_owned();
    for number in 0..10 {
        write!(
            text,
            "\n[[policy]]\nname = \"p{number}\"\nschedule = \"{number} 3 1 1 *\"\nclusters = [\"*\"]\nretention = \"35d\"\n"
        )
        .unwrap();
    }
    text
}

fn median(times: usize, mut measure: impl FnMut() -> Duration) -> Duration {
    let mut all: Vec<Duration> = (0..times).map(|_| measure()).collect();
    all.sort();
    all[times / 2]
}

fn run(arguments: &[&str]) -> Duration {
    let started = Instant::now();
    let status = Command::new(REDKEEP)
        .args(arguments)
        .env("AWS_REGION", "us-east-1")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success(), "{arguments:?}: {status}");
    started.elapsed()
}

/// Starts the daemon and waits until it says READY=1, as systemd does.
fn start_daemon(dir: &Path, config: &Path) -> (Daemon, Duration) {
    let socket = dir.join("notify");
    let _ = fs::remove_file(&socket);
    let manager = UnixDatagram::bind(&socket).unwrap();
    manager
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    let started = Instant::now();
    let daemon = Command::new(REDKEEP)
        .args(["run", "--config"])
        .arg(config)
        .env("NOTIFY_SOCKET", &socket)
        .env("AWS_REGION", "us-east-1")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map(Daemon)
        .unwrap();
    let mut message = [0; 4096];
    loop {
        let length = manager.recv(&mut message).unwrap();
        if String::from_utf8_lossy(&message[..length]).contains("READY=1") {
            return (daemon, started.elapsed());
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

/// User and system time of a process (proc(5)), in clock ticks of 10 ms.
fn cpu_seconds(pid: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap()
        .split_whitespace()
        .collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

fn resident_mib(pid: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    line.split_whitespace()
        .nth(1)
        .unwrap()
        .parse::<f64>()
        .unwrap()
        / 1024.0
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}
