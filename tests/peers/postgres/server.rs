//! A real PostgreSQL in a directory of its own, two of which one follows the other, and a way to each that can be cut.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::{Process, finish, free_port};

/// A server of PostgreSQL, which ends with the thread that started it.
pub struct Postgres {
    pub port: u16,
    data: PathBuf,
}

static SERVER: OnceLock<Option<Postgres>> = OnceLock::new();

/// The server of all tests of this process; `None` where there is no PostgreSQL here, and none is required.
pub fn postgres() -> Option<&'static Postgres> {
    SERVER
        .get_or_init(|| programs().map(|bin| for_all(&bin)))
        .as_ref()
}

/// It lives for as long as this process does, and so does the thread that starts it.
fn for_all(bin: &Path) -> Postgres {
    let (bin, (started, server)) = (bin.to_owned(), channel());
    thread::spawn(move || {
        let mut made = Postgres::make(&bin, "all");
        let mut running = made.start(&bin);
        started.send(made).unwrap();
        running.wait()
    });
    server.recv().unwrap()
}

/// Where Debian has the server's programs, of the newest version; `None` where they are not, and need not be.
pub fn programs() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok();
    let programs =
        { versions.into_iter().flatten().flatten() }.map(|found| found.path().join("bin"));
    let found = programs.filter(|bin| bin.join("initdb").exists()).max();
    let is_required = std::env::var_os("REDKEEP_REQUIRE_PEERS").is_some();
    assert!(
        found.is_some() || !is_required,
        "PostgreSQL is not installed (Debian: postgresql)"
    );
    if found.is_none() {
        eprintln!("skipped: PostgreSQL is not installed");
    }
    found
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
    /// A new server, which does not run yet.
    fn make(bin: &Path, name: &str) -> Self {
        let server = Self::at(name);
        let mut initdb = as_its_user(&bin.join("initdb"));
        initdb.args(["-A", "trust", "-U", "redkeep", "--no-sync", "-D"]);
        succeed(initdb.arg(&server.data));
        server
    }

    fn at(name: &str) -> Self {
        let data = format!("redkeep-postgres-{}-{name}", std::process::id());
        Self {
            port: free_port(),
            data: std::env::temp_dir().join(data),
        }
    }

    /// Starts it, and waits until it answers.
    fn start(&mut self, bin: &Path) -> Child {
        let port = self.port.to_string();
        let running = as_its_user(&bin.join("postgres"))
            .arg("-D")
            .arg(&self.data)
            .args(["-p", &port, "-c", "listen_addresses=127.0.0.1"])
            .args(["-c", "unix_socket_directories=", "-c", "fsync=off"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        wait_for(self.port, "postgres");
        running
    }

    /// A new database, and the URL of it.
    pub fn database(&self) -> Database {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("test_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        self.psql(&format!("CREATE DATABASE {name}"));
        Database {
            ports: vec![self.port],
            name,
        }
    }

    fn psql(&self, sql: &str) -> String {
        let (said, is_fine) = psql(&[self.port], "postgres", sql);
        assert!(is_fine, "{sql}: {said}");
        said
    }
}

fn succeed(command: &mut Command) {
    let done = finish(command);
    assert!(
        done.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&done.stderr)
    );
}

/// Waits until a server answers, be it one that takes no writes.
fn wait_for(port: u16, database: &str) {
    let began = Instant::now();
    while !ask(&[port], "any", database, "SELECT 1").1 {
        let is_late = began.elapsed() > Duration::from_secs(30);
        assert!(!is_late, "the server at {port} did not start");
        thread::sleep(Duration::from_millis(100));
    }
}

/// What the one of several servers that takes writes says.
fn psql(ports: &[u16], database: &str, sql: &str) -> (String, bool) {
    ask(ports, "read-write", database, sql)
}

fn ask(ports: &[u16], wanted: &str, database: &str, sql: &str) -> (String, bool) {
    let hosts = vec!["127.0.0.1"; ports.len()].join(",");
    let ports: Vec<String> = ports.iter().map(u16::to_string).collect();
    let which = format!(
        "host={hosts} port={} user=redkeep dbname={database} target_session_attrs={wanted} connect_timeout=2",
        ports.join(",")
    );
    let output = Command::new("psql")
        .args(["-qAtX", "-v", "ON_ERROR_STOP=1", "-c", sql, &which])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    (said.trim_end().to_owned(), output.status.success())
}

/// A server of a test's own, and one that is kept like it.
pub struct Pair {
    bin: PathBuf,
    pub first: Postgres,
    pub second: Postgres,
    running: [Option<Process>; 2],
    /// The way of what is written from the first to the second.
    pub replication: Way,
}

impl Pair {
    /// The two, with a new database; what is written counts once both have it, until that is switched off.
    pub fn start() -> Option<(Self, Database)> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let bin = programs()?;
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let mut first = Postgres::make(&bin, &format!("pair-{number}-first"));
        let mut second = Postgres::at(&format!("pair-{number}-second"));
        let running = first.start(&bin);
        let replication = Way::to(first.port);
        let port = replication.port.to_string();
        let mut copy = as_its_user(&bin.join("pg_basebackup"));
        copy.args(["-h", "127.0.0.1", "-p", &port, "-U", "redkeep"]);
        copy.args(["-R", "-c", "fast", "--no-sync", "-D"]);
        succeed(copy.arg(&second.data));
        let follower = Process(second.start(&bin));
        first.set("synchronous_standby_names", "*");
        let database = first.database();
        let pair = Self {
            bin,
            running: [Some(Process(running)), Some(follower)],
            replication,
            first,
            second,
        };
        let database = Database {
            ports: vec![pair.first.port, pair.second.port],
            ..database
        };
        Some((pair, database))
    }

    /// The same, and the database names the one first that takes no writes.
    pub fn start_follower_first() -> Option<(Self, Database)> {
        let (pair, mut database) = Self::start()?;
        database.ports.reverse();
        Some((pair, database))
    }

    /// The first one is gone from one moment to the next.
    pub fn kill_first(&mut self) {
        self.running[0] = None;
    }

    /// Makes the second one take writes.
    pub fn promote(&self) {
        let mut promote = as_its_user(&self.bin.join("pg_ctl"));
        succeed(
            promote
                .args(["promote", "-w", "-s", "-D"])
                .arg(&self.second.data),
        );
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        self.running = [None, None];
        for server in [&self.first, &self.second] {
            drop(std::fs::remove_dir_all(&server.data));
        }
    }
}

impl Postgres {
    /// Changes a setting of a server that runs.
    pub fn set(&self, name: &str, value: &str) {
        for sql in [
            &format!("ALTER SYSTEM SET {name} = '{value}'"),
            "SELECT pg_reload_conf()",
        ] {
            let (said, is_fine) = ask(&[self.port], "any", "postgres", sql);
            assert!(is_fine, "{sql}: {said}");
        }
    }
}

/// Somebody at a terminal.
pub struct Person {
    keys: ChildStdin,
    psql: Process,
}

impl Person {
    /// Ends the transaction.
    pub fn leave(mut self) {
        drop(self.keys);
        self.psql.exit_code(Duration::from_secs(10));
    }
}

/// A database of a test.
pub struct Database {
    /// Those of its servers, of which one takes writes.
    pub ports: Vec<u16>,
    pub name: String,
}

impl Database {
    pub fn url(&self) -> String {
        self.url_at(&self.ports)
    }

    pub fn url_at(&self, ports: &[u16]) -> String {
        let hosts: Vec<String> = ports
            .iter()
            .map(|port| format!("127.0.0.1:{port}"))
            .collect();
        format!("postgres://redkeep@{}/{}", hosts.join(","), self.name)
    }

    /// What the server says, also where that is an error.
    pub fn said(&self, sql: &str) -> String {
        psql(&self.ports, &self.name, sql).0
    }

    /// A person who has a transaction open in which this was done.
    pub fn person(&self, sql: &str) -> Person {
        let mut psql = Command::new("psql");
        let port = self.ports[0].to_string();
        psql.args(["-h", "127.0.0.1", "-p", &port, "-U", "redkeep", "-qAtX"]);
        psql.arg(&self.name)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut psql = psql.spawn().unwrap();
        let (mut keys, screen) = (psql.stdin.take().unwrap(), psql.stdout.take().unwrap());
        writeln!(keys, "BEGIN; {sql}; \\echo done").unwrap();
        let mut lines = BufReader::new(screen).lines();
        assert!(lines.any(|line| line.unwrap() == "done"), "{sql}");
        Person {
            keys,
            psql: Process(psql),
        }
    }

    pub fn sql(&self, sql: &str) -> String {
        let (said, is_fine) = psql(&self.ports, &self.name, sql);
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
    let (users, server) = (users.display(), database.ports[0]);
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
    wait_for(port, &database.name);
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
