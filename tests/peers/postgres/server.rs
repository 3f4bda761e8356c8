//! A real PostgreSQL in a directory of its own, and a way to it that can be cut.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::{finish, free_port};

/// The server of all tests of this process, which ends with it.
pub struct Postgres {
    port: u16,
}

static SERVER: OnceLock<Option<Postgres>> = OnceLock::new();

/// The server; `None` where there is no PostgreSQL here, and none is required.
pub fn postgres() -> Option<&'static Postgres> {
    let started = SERVER.get_or_init(|| match programs() {
        Some(programs) => Some(Postgres::start(&programs)),
        None => {
            let is_required = std::env::var_os("REDKEEP_REQUIRE_PEERS").is_some();
            assert!(
                !is_required,
                "PostgreSQL is not installed (Debian: postgresql)"
            );
            eprintln!("skipped: PostgreSQL is not installed");
            None
        }
    });
    started.as_ref()
}

/// Where Debian has the server's programs, of the newest version.
fn programs() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?.flatten();
    let programs = versions.map(|version| version.path().join("bin"));
    programs.filter(|bin| bin.join("initdb").exists()).max()
}

/// PostgreSQL refuses to run as root, and then runs as its own user.
fn as_its_user(program: &Path) -> Command {
    let is_root = finish(Command::new("id").arg("-u")).stdout == b"0\n";
    let mut command = Command::new("setpriv");
    // It ends with the thread that has started it.
    command.args(["--pdeathsig", "KILL"]);
    if is_root {
        command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]);
    }
    command
        .arg(program)
        .env("HOME", "/tmp")
        .env("LC_ALL", "C.UTF-8");
    command
}

impl Postgres {
    fn start(programs: &Path) -> Self {
        let port = free_port();
        let data = std::env::temp_dir().join(format!("redkeep-postgres-{}", std::process::id()));
        let made = as_its_user(&programs.join("initdb"))
            .args(["-A", "trust", "-U", "redkeep", "--no-sync", "-D"])
            .arg(&data)
            .output()
            .unwrap();
        assert!(
            made.status.success(),
            "{}",
            String::from_utf8_lossy(&made.stderr)
        );
        let program = programs.join("postgres");
        // A thread that never ends, so that the server lives for as long as this process.
        thread::spawn(move || {
            let server = as_its_user(&program)
                .arg("-D")
                .arg(&data)
                .args(["-p", &port.to_string(), "-c", "listen_addresses=127.0.0.1"])
                .args(["-c", "unix_socket_directories=", "-c", "fsync=off"])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn();
            drop(server.unwrap().wait());
        });
        let server = Self { port };
        let began = Instant::now();
        while !server.psql("postgres", "SELECT 1").1 {
            assert!(
                began.elapsed() < Duration::from_secs(30),
                "PostgreSQL did not start"
            );
            thread::sleep(Duration::from_millis(100));
        }
        server
    }

    /// A new database, and the URL of it.
    pub fn database(&self) -> Database {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("test_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let (said, is_made) = self.psql("postgres", &format!("CREATE DATABASE {name}"));
        assert!(is_made, "{said}");
        Database {
            port: self.port,
            name,
        }
    }

    fn psql(&self, database: &str, sql: &str) -> (String, bool) {
        psql(self.port, database, sql)
    }
}

fn psql(port: u16, database: &str, sql: &str) -> (String, bool) {
    let port = port.to_string();
    let output = Command::new("psql")
        .args(["-h", "127.0.0.1", "-p", &port, "-U", "redkeep", "-qAtX"])
        .args(["-v", "ON_ERROR_STOP=1", "-c", sql, database])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    (said.trim_end().to_owned(), output.status.success())
}

/// A database of a test.
pub struct Database {
    pub port: u16,
    pub name: String,
}

impl Database {
    pub fn url(&self) -> String {
        self.url_at(self.port)
    }

    pub fn url_at(&self, port: u16) -> String {
        format!("postgres://redkeep@127.0.0.1:{port}/{}", self.name)
    }

    /// What the server says, also where that is an error.
    pub fn said(&self, sql: &str) -> String {
        psql(self.port, &self.name, sql).0
    }

    pub fn sql(&self, sql: &str) -> String {
        let (said, is_fine) = psql(self.port, &self.name, sql);
        assert!(is_fine, "{sql}: {said}");
        said
    }
}

/// PgBouncer before the server, in transaction mode with two connections for everybody; `None` where it is not installed and
/// not required. It ends with the test's process.
pub fn pgbouncer(database: &Database) -> Option<u16> {
    let program = Path::new("/usr/sbin/pgbouncer");
    if !program.exists() {
        let is_required = std::env::var_os("REDKEEP_REQUIRE_PEERS").is_some();
        assert!(
            !is_required,
            "PgBouncer is not installed (Debian: pgbouncer)"
        );
        eprintln!("skipped: PgBouncer is not installed");
        return None;
    }
    let port = free_port();
    let place = std::env::temp_dir().join(format!("redkeep-pgbouncer-{}", database.name));
    std::fs::create_dir_all(&place).unwrap();
    let users = place.join("users");
    std::fs::write(&users, "\"redkeep\" \"\"\n").unwrap();
    let settings = place.join("pgbouncer.ini");
    let (users, server) = (users.display(), database.port);
    let text = format!(
        "[databases]\n* = host=127.0.0.1 port={server}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
         auth_type = trust\nauth_file = {users}\npool_mode = transaction\ndefault_pool_size = 2\nunix_socket_dir =\n"
    );
    std::fs::write(&settings, text).unwrap();
    let program = program.to_owned();
    thread::spawn(move || {
        let bouncer = as_its_user(&program)
            .arg(&settings)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        drop(bouncer.unwrap().wait());
    });
    let began = Instant::now();
    while !psql(port, &database.name, "SELECT 1").1 {
        let is_late = began.elapsed() > Duration::from_secs(15);
        assert!(!is_late, "PgBouncer did not start");
        thread::sleep(Duration::from_millis(100));
    }
    Some(port)
}

const OPEN: u8 = 0;
const CUT: u8 = 1;
const FROZEN: u8 = 2;

/// A way to a server that can be cut or frozen.
pub struct Way {
    pub port: u16,
    state: Arc<AtomicU8>,
}

impl Way {
    pub fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let way = Self {
            port: listener.local_addr().unwrap().port(),
            state: Arc::default(),
        };
        let state = Arc::clone(&way.state);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let server = TcpStream::connect(("127.0.0.1", port));
                if let (Ok(server), OPEN | FROZEN) = (server, state.load(Ordering::Relaxed)) {
                    for (from, to) in [(&client, &server), (&server, &client)] {
                        let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                        let state = Arc::clone(&state);
                        thread::spawn(move || pass_on(from, to, &state));
                    }
                }
            }
        });
        way
    }

    pub fn cut(&self) {
        self.state.store(CUT, Ordering::Relaxed);
    }

    pub fn freeze(&self) {
        self.state.store(FROZEN, Ordering::Relaxed);
    }

    pub fn open(&self) {
        self.state.store(OPEN, Ordering::Relaxed);
    }
}

fn pass_on(mut from: TcpStream, mut to: TcpStream, state: &AtomicU8) {
    from.set_read_timeout(Some(Duration::from_millis(50)))
        .unwrap();
    let mut buffer = [0; 65_536];
    loop {
        let read = match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(_) if state.load(Ordering::Relaxed) == CUT => break,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => continue,
            Err(_) => break,
        };
        while state.load(Ordering::Relaxed) == FROZEN {
            thread::sleep(Duration::from_millis(20));
        }
        if state.load(Ordering::Relaxed) == CUT || to.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    for stream in [from, to] {
        let _ = stream.shutdown(Shutdown::Both);
    }
}
