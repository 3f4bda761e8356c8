//! Looking at the state directory of a daemon that may be running.
//!
//! Owns: whether somebody holds it, and where its sandbox listens. Never makes or changes a file in it.

use std::fs::{File, TryLockError};
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::path::Path;

use crate::aws::Target;
use crate::config::{Config, Endpoint};
pub(super) use crate::doctor::Holder;

/// What a command that holds the state directory writes into the lock file; a daemon leaves it empty.
pub(super) const COMMAND: &str = "a command\n";

/// Who holds `state_dir`.
///
/// The lock is taken for an instant where it is free: there is no way to ask for it without.
///
/// # Errors
/// When the lock file is there and cannot be looked at.
pub(super) fn holder(state_dir: &Path) -> io::Result<Holder> {
    let file = match File::open(state_dir.join("lock")) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Holder::Nobody),
        file => file?,
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(Holder::Nobody),
        Err(TryLockError::WouldBlock) => Ok(match io::read_to_string(&file) {
            Ok(told) if told == COMMAND => Holder::Command,
            // Where nothing can be written there, it is a daemon sooner than a command.
            _ => Holder::Daemon,
        }),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Where the embedded sandbox of the daemon that holds `state_dir` listens.
fn sandbox_address(state_dir: &Path) -> Option<SocketAddr> {
    let text = std::fs::read_to_string(state_dir.join("sandbox.address")).ok()?;
    text.trim().parse().ok()
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
