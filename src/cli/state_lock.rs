//! The state directory: who holds it, and where its sandbox listens.
//!
//! Owns: the lock, whose time tells when it was held last, and the file by which a daemon asks a command for it. Every file in it is opened as
//! [`crate::safe_file`] does: whoever runs the service may have put anything there, and root may be looking.

use std::fs::{DirBuilder, File, TryLockError};
use std::io::{self, ErrorKind, Write};
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tracing::error;

use crate::aws::Target;
use crate::clock::{Clock, sleep};
use crate::config::{Config, Endpoint};
pub(super) use crate::doctor::Holder;
use crate::safe_file::{self, refused};

use super::Failure;

/// What a command that holds the state directory writes into the lock file; a daemon leaves it empty.
const COMMAND: &str = "a command\n";

/// How often a state directory that is held is tried, and how long in between: three seconds in all.
const LOCK_TRIES: (u32, Duration) = (30, Duration::from_millis(100));

/// The state directory, held for as long as this lives. The directory is locked itself beside its lock file: where
/// nothing can be written, there may be no such file.
#[derive(Debug)]
pub(super) struct Hold {
    _directory: Option<File>,
    lock: Option<Arc<File>>,
}

/// How often the holder writes down that it is there.
const SIGN_INTERVAL: Duration = Duration::from_secs(15);

impl Hold {
    /// Writes down that somebody holds the state directory, now and then for as long as that is so: the lock file's time is
    /// what tells later when it was held last. Storage that hangs holds nothing up.
    pub(super) fn keep_time(&self, clock: Arc<dyn Clock>) {
        let Some(lock) = self.lock.as_ref().map(Arc::downgrade) else {
            return;
        };
        tokio::spawn(async move {
            while let Some(lock) = lock.upgrade() {
                let now = clock.now();
                let _ = tokio::task::spawn_blocking(move || sign(&lock, now)).await;
                sleep(SIGN_INTERVAL).await;
            }
        });
    }

    /// The same for the last time.
    pub(super) fn sign_off(&self, now: DateTime<Utc>) {
        if let Some(lock) = &self.lock {
            sign(lock, now);
        }
    }
}

/// Where nothing can be written, nobody is told.
fn sign(lock: &File, now: DateTime<Utc>) {
    let _ = lock.set_modified(now.into());
}

/// When somebody was last seen to hold `state_dir`, whoever has read it since.
pub(super) fn last_held_at(state_dir: &Path) -> Option<DateTime<Utc>> {
    let lock = safe_file::open(&state_dir.join("lock")).ok()?;
    let modified = lock.metadata().and_then(|it| it.modified()).ok()?;
    Some(modified.into())
}

/// Why the state directory is not held.
enum Unheld {
    Busy,
    Unusable(io::Error),
}

impl From<io::Error> for Unheld {
    fn from(error: io::Error) -> Self {
        Self::Unusable(error)
    }
}

impl Unheld {
    fn at(self, state_dir: &Path) -> Failure {
        let place = state_dir.display();
        match self {
            Self::Busy => Failure::Busy(format!(
                "another redkeep uses the state directory {place}; stop it, or give this one its own `state_dir`"
            )),
            Self::Unusable(error) => Failure::Other(format!(
                "the state directory {place} cannot be used: {error}"
            )),
        }
    }

    /// Whether neither time nor room mends it: a planted lock, or no directory.
    fn is_for_good(&self) -> bool {
        match self {
            Self::Busy => true,
            Self::Unusable(error) => {
                let kind = error.kind();
                refused(error).is_some()
                    || matches!(kind, ErrorKind::NotADirectory | ErrorKind::AlreadyExists)
            }
        }
    }
}

/// Creates the state directory and holds it for a command.
pub(super) fn hold(state_dir: &Path) -> Result<Hold, Failure> {
    lock(state_dir, COMMAND).map_err(|unheld| unheld.at(state_dir))
}

/// As [`hold`], for the daemon: a command that holds the state directory is asked for it, and gives it up as soon
/// as its calls have ended. Storage that does not even take a lock ends no daemon.
pub(super) async fn hold_soon(state_dir: &Path) -> Result<Hold, Failure> {
    let mut tries = 0;
    loop {
        match lock(state_dir, "") {
            Err(Unheld::Busy) if tries < LOCK_TRIES.0 => {
                tries += 1;
                // Where it cannot be written, waiting has to do.
                let _ = safe_file::open_or_make(&wanted(state_dir), 0o644);
                sleep(LOCK_TRIES.1).await;
            }
            Ok(hold) => {
                let _ = safe_file::remove(&wanted(state_dir));
                return Ok(hold);
            }
            Err(unheld) if unheld.is_for_good() => return Err(unheld.at(state_dir)),
            Err(unheld) => {
                error!(
                    reason = unheld.at(state_dir).to_string(),
                    "snapshots continue, but nothing keeps a second redkeep from starting beside this one"
                );
                return Ok(Hold {
                    _directory: None,
                    lock: None,
                });
            }
        }
    }
}

/// Ends when a daemon asks for the state directory that this process holds.
pub(super) async fn daemon_wants(state_dir: &Path) {
    // One that was left by a daemon that has given up asks for nothing.
    let _ = safe_file::remove(&wanted(state_dir));
    while !wanted(state_dir).exists() {
        sleep(LOCK_TRIES.1).await;
    }
}

fn wanted(state_dir: &Path) -> PathBuf {
    state_dir.join("lock.wanted")
}

/// Creates the state directory and locks it; `who` is for people who look.
fn lock(state_dir: &Path, who: &str) -> Result<Hold, Unheld> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(state_dir)?;
    let directory = held(File::open(state_dir))?;
    let path = state_dir.join("lock");
    let file = safe_file::open_or_make(&path, 0o644).or_else(|error| match refused(&error) {
        Some(_) => Err(error),
        // Where nothing can be written, the file of an earlier start is locked as well.
        None => safe_file::open(&path).map_err(|_| error),
    });
    let file = match file {
        Err(error) if refused(&error).is_some() => return Err(error.into()),
        file => held(file)?,
    };
    let (directory, file) = match (directory, file) {
        (Err(_), Err(error)) => return Err(error.into()),
        (directory, file) => (directory.ok(), file.ok()),
    };
    if let Some(mut file) = file.as_ref() {
        // Where nothing can be written, nobody is told.
        let _ = file
            .set_len(0)
            .and_then(|()| file.write_all(who.as_bytes()));
    }
    Ok(Hold {
        _directory: directory,
        lock: file.map(Arc::new),
    })
}

/// The file, locked; what cannot be locked for another reason than that somebody holds it is the inner error.
fn held(file: io::Result<File>) -> Result<io::Result<File>, Unheld> {
    let file = match file {
        Ok(file) => file,
        Err(error) => return Ok(Err(error)),
    };
    match file.try_lock() {
        Ok(()) => Ok(Ok(file)),
        Err(TryLockError::WouldBlock) => Err(Unheld::Busy),
        Err(TryLockError::Error(error)) => Ok(Err(error)),
    }
}

/// Who holds `state_dir`.
///
/// The lock is taken for an instant where it is free: there is no way to ask for it without.
///
/// # Errors
/// When what is locked is there and cannot be looked at.
pub(super) fn holder(state_dir: &Path) -> io::Result<Holder> {
    let is_held = |file: &File| match file.try_lock_shared() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(error),
    };
    let directory = match File::open(state_dir) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Holder::Nobody),
        directory => directory?,
    };
    // Where a directory cannot be locked, the file tells.
    let by_directory = is_held(&directory).unwrap_or(false);
    let told = match safe_file::open(&state_dir.join("lock")) {
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        file => {
            let file = file?;
            (by_directory || is_held(&file)?).then(|| io::read_to_string(&file))
        }
    };
    Ok(match told {
        Some(Ok(told)) if told == COMMAND => Holder::Command,
        // Where nothing can be written there, it is a daemon sooner than a command.
        Some(_) => Holder::Daemon,
        None if by_directory => Holder::Daemon,
        None => Holder::Nobody,
    })
}

/// The file in which the embedded sandbox keeps its address.
pub(super) fn address_file(state_dir: &Path) -> PathBuf {
    state_dir.join("sandbox.address")
}

/// Where the embedded sandbox of the daemon that holds `state_dir` listens, or listened before.
pub(super) fn sandbox_address(state_dir: &Path) -> Option<SocketAddr> {
    let file = safe_file::open(&address_file(state_dir)).ok()?;
    io::read_to_string(file).ok()?.trim().parse().ok()
}

/// Whom a command asks that starts no sandbox of its own; nobody where the sandbox of the configuration does not run.
///
/// `is_held` tells whether a daemon holds the state directory.
pub(super) fn target(config: &Config, is_held: bool) -> Option<Target> {
    match &config.endpoint {
        Endpoint::Aws => Some(Target::Ambient),
        Endpoint::Url(url) => Some(Target::Url(url.clone())),
        // An address that a daemon has left behind may be anybody's by now.
        Endpoint::Sandbox => sandbox_address(&config.state_dir)
            .filter(|_| is_held)
            .map(|address| Target::Sandbox(format!("http://{address}"))),
    }
}
