//! The daemon under measurement.

use std::fmt::Write as _;
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

use crate::server::{OTHER, Server};
use crate::{Arguments, OTHER_AFTER};

/// A daemon that is stopped when it is dropped, also by a panic.
pub struct Daemon {
    pub address: SocketAddr,
    child: Child,
    dir: PathBuf,
    /// What the service manager is told.
    told: Receiver<String>,
}

impl Daemon {
    /// Starts it with slots at `due`, and waits until it says READY=1, as systemd does.
    pub fn start(arguments: &Arguments, server: &Server, due: DateTime<Utc>) -> Self {
        let dir = fresh_dir();
        let address = free_address();
        let config = dir.join("redkeep.toml");
        fs::write(&config, policy_file(arguments, server, address, due)).unwrap();
        let manager = UnixDatagram::bind(dir.join("notify")).unwrap();
        let log = fs::File::create(dir.join("log")).unwrap();
        let child = credentials(&mut Command::new(&arguments.redkeep))
            .args(["run", "--config"])
            .arg(&config)
            .env("NOTIFY_SOCKET", dir.join("notify"))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let daemon = Self {
            address,
            child,
            dir,
            told: listen(manager),
        };
        daemon.wait_to_hear("READY=1");
        daemon
    }

    /// Waits until the service manager is told this.
    fn wait_to_hear(&self, wanted: &str) {
        loop {
            let told = self.told.recv_timeout(PATIENCE).unwrap_or_else(|error| {
                panic!("no {wanted}: {error}\n{}", self.log());
            });
            if told.contains(wanted) {
                return;
            }
        }
    }

    /// Sends a SIGTERM; how long it takes until the daemon says that it has heard it.
    pub fn stop(&self) -> Duration {
        let began = Instant::now();
        let pid = self.child.id().to_string();
        let _ = Command::new("kill").arg(pid).status();
        self.wait_to_hear("STOPPING=1");
        began.elapsed()
    }

    /// User and system time (proc(5)), in clock ticks of 10 ms.
    pub fn cpu_seconds(&self) -> f64 {
        cpu_seconds_in(&self.proc("stat"))
    }

    /// The most memory that was resident.
    pub fn peak_mib(&self) -> f64 {
        let status = self.proc("status");
        let line = status
            .lines()
            .find(|line| line.starts_with("VmHWM:"))
            .unwrap();
        let kibibytes = line.split_whitespace().nth(1).unwrap();
        kibibytes.parse::<f64>().unwrap() / 1024.0
    }

    fn proc(&self, name: &str) -> String {
        fs::read_to_string(format!("/proc/{}/{name}", self.child.id())).unwrap()
    }

    fn log(&self) -> String {
        fs::read_to_string(self.dir.join("log")).unwrap_or_default()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = Command::new("kill")
            .arg(self.child.id().to_string())
            .status();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// How long the daemon may take until it says what is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// Reads what the service manager is told, as fast as it comes.
fn listen(manager: UnixDatagram) -> Receiver<String> {
    let (sender, told) = mpsc::channel();
    thread::spawn(move || {
        let mut message = [0; 4096];
        while let Ok(length) = manager.recv(&mut message) {
            let text = String::from_utf8_lossy(&message[..length]).into_owned();
            if sender.send(text).is_err() {
                break;
            }
        }
    });
    told
}

/// User and system time as `stat` of a process tells it (proc(5)), in clock ticks of 10 ms.
pub fn cpu_seconds_in(stat: &str) -> f64 {
    let (_, fields) = stat.rsplit_once(')').unwrap();
    let fields: Vec<&str> = fields.split_whitespace().collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

/// One policy for every cluster, due in the second of `due` and then not for a year.
fn policy_file(
    arguments: &Arguments,
    server: &Server,
    listen: SocketAddr,
    due: DateTime<Utc>,
) -> String {
    let mut text = format!(
        "state_dir = \"state\"\nlisten = \"{listen}\"\nendpoint = \"http://{}\"\n{}\n",
        server.address, arguments.head
    );
    let regions = server.regions();
    write!(
        text,
        "[[account]]\nname = \"fleet\"\nregions = {regions:?}\nsnapshot_quota = 100000\n"
    )
    .unwrap();
    let mut policy = |name: &str, at: DateTime<Utc>, clusters: &str| {
        let schedule = at.format("%-S %-M %-H %-d %-m *");
        write!(
            text,
            "[[policy]]\nname = \"{name}\"\nschedule = \"{schedule}\"\nclusters = [\"{clusters}\"]\nretention = \"35d\"\n"
        )
        .unwrap();
    };
    policy("due", due, "dw-*");
    if arguments.meanwhile {
        policy("other", due + OTHER_AFTER, OTHER);
    }
    text
}

/// The variables under which a program finds credentials, and no others.
pub fn credentials(command: &mut Command) -> &mut Command {
    command
        .env("AWS_ACCESS_KEY_ID", "fleet")
        .env("AWS_SECRET_ACCESS_KEY", "fleet")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("AWS_CONFIG_FILE", "/nonexistent")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
}

/// What the program says of itself.
pub fn version(redkeep: &Path) -> String {
    let output = Command::new(redkeep).arg("--version").output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn fresh_dir() -> PathBuf {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let dir = std::env::temp_dir().join(format!("redkeep-fleet-{}-{number}", std::process::id()));
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir).unwrap();
    dir
}

/// A port that was free a moment ago.
fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
}
