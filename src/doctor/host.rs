//! What this machine shows: the state directory, its space, the history and its copy.
//!
//! Owns: the limits from which on each is a finding. Never touches a file.

use std::path::PathBuf;

use chrono::{DateTime, TimeDelta, Utc};
use rustix::io::Errno;

use super::{Finding, Severity};
use crate::error_chain::told_with_causes;
use crate::explain::span;
use crate::slot::rfc3339;
use crate::store::{EndpointKind, StoreError};

/// What was found on this machine.
#[derive(Debug)]
pub struct Host {
    /// Where the state is.
    pub state_dir: PathBuf,
    /// The directory; `None` where there is none. An error is in the system's words.
    pub directory: Result<Option<Directory>, String>,
    /// Who holds it.
    pub holder: Result<Holder, String>,
    /// The first slot that has come, and that nobody has taken up.
    pub late_slot: Option<DateTime<Utc>>,
    /// The space there; `None` where there is no directory.
    pub space: Option<Result<Space, String>>,
    /// The history: of which kind of endpoint, since when, in which schema, checked by SQLite.
    pub history: Result<Sound, StoreError>,
    /// The kind of endpoint that the configuration has.
    pub endpoint_kind: EndpointKind,
    /// The database of a history that is shared, as it answered.
    pub database: Option<Result<Shared, StoreError>>,
    /// When the daily copy was made; `None` where there is none.
    pub copied_at: Result<Option<DateTime<Utc>>, String>,
}

/// A database, as it answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shared {
    /// What it is called in messages.
    pub place: String,
    /// The server's version.
    pub version: String,
    /// The limits of this role that are not set, by which the server would end what hangs.
    pub unlimited: Vec<String>,
    /// Who works, if anybody does.
    pub works: Option<String>,
    /// How many instances told of themselves within half a minute.
    pub alive: usize,
    /// Whether those have different configurations.
    pub differ: bool,
}

/// Who holds a state directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holder {
    /// A daemon.
    Daemon,
    /// A command, for as long as it lasts.
    Command,
    /// None does.
    Nobody,
}

/// A directory, as the system describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directory {
    /// Whether the path is a directory.
    pub is_directory: bool,
    /// The owner's number.
    pub owner: u32,
    /// The permissions, nine bits.
    pub mode: u32,
    /// The number of the user who looks.
    pub user: u32,
    /// Whether that user may make files there; an error is in the system's words.
    pub writable: Result<(), Errno>,
}

/// The room that is left for a user without privileges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// Bytes that can be written.
    pub available_bytes: u64,
    /// Files that can be made; `None` where the file system has no such limit.
    pub available_files: Option<u64>,
    /// The size of the history.
    pub history_bytes: u64,
}

/// A history that can be read and is sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sound {
    /// The kind of endpoint that it was begun with.
    pub endpoint_kind: EndpointKind,
    /// When the history was begun.
    pub created_at: DateTime<Utc>,
    /// The version of its schema.
    pub schema_version: i64,
}

/// With less room than this the next commits may fail.
const LEAST_BYTES: u64 = 16 << 20;
/// Beside the history and its copy there should be so much for the log that SQLite writes before.
const LOG_BYTES: u64 = 64 << 20;
/// The copy is made once a day.
const OLDEST_COPY: TimeDelta = TimeDelta::hours(36);

/// What is to be said of `host` at `now`.
pub fn findings(host: &Host, now: DateTime<Utc>) -> Vec<Finding> {
    let mut findings = vec![directory(host), daemon(host)];
    findings.extend(host.space.as_ref().map(space));
    findings.push(history(host));
    findings.extend(copy(host, now));
    findings.extend(database(host));
    findings
}

fn directory(host: &Host) -> Finding {
    const CHECK: &str = "state_directory";
    let path = host.state_dir.display();
    let directory = match &host.directory {
        Err(error) => {
            let advice = "run this as root or as the daemon's user";
            return Finding::failed(CHECK, format!("{path} cannot be checked: {error}"), advice);
        }
        Ok(None) => {
            let advice = "nothing, if redkeep has never run: `redkeep run` creates it; otherwise check `state_dir`";
            return Finding::warning(CHECK, format!("{path} does not exist"), advice);
        }
        Ok(Some(directory)) => directory,
    };
    let found = format!(
        "{path}, owner {}, mode {:03o}",
        directory.owner, directory.mode
    );
    if !directory.is_directory {
        return Finding::failed(
            CHECK,
            format!("{path} is not a directory"),
            "set `state_dir` to one",
        );
    }
    if directory.mode & 0o022 != 0 {
        let found = format!("{found}: others may write there");
        return Finding::failed(CHECK, found, format!("chmod 700 {path}"));
    }
    if let Err(error) = &directory.writable {
        return Finding::failed(
            CHECK,
            format!(
                "{found}: user {} may not write there: {error}",
                directory.user
            ),
            match *error {
                Errno::ROFS => {
                    "mount its file system for writing: the kernel's log says why it is not"
                }
                _ => {
                    "run redkeep, and this command, as its owner; or give the directory to redkeep's user"
                }
            },
        );
    }
    if directory.mode & 0o055 != 0 {
        let found = format!("{found}: others may look into it");
        return Finding::warning(CHECK, found, format!("chmod 700 {path}"));
    }
    Finding::ok(CHECK, found)
}

fn daemon(host: &Host) -> Finding {
    const CHECK: &str = "daemon";
    let advice = "start the service, or `redkeep run`";
    match &host.holder {
        Ok(Holder::Daemon) => Finding::ok(CHECK, "a redkeep runs on this state directory"),
        Ok(holder) => {
            let found = match holder {
                Holder::Command => {
                    "only a command (`redkeep take`) works on this state directory, so no slot of a schedule starts"
                }
                _ => "no redkeep runs on this state directory, so no snapshot is taken",
            };
            // Where nothing was due yet, nobody has started the service yet.
            match host.late_slot {
                Some(at) => Finding::failed(
                    CHECK,
                    format!("{found}; the slot of {} has not started", rfc3339(at)),
                    advice,
                ),
                None => Finding::warning(CHECK, found, advice),
            }
        }
        Err(error) => Finding::warning(
            CHECK,
            format!("redkeep cannot find out whether a daemon runs: {error}"),
            "run this as root or as the daemon's user",
        ),
    }
}

fn space(space: &Result<Space, String>) -> Finding {
    const CHECK: &str = "free_space";
    let space = match space {
        Ok(space) => space,
        Err(error) => {
            let advice = "check the mount";
            return Finding::warning(
                CHECK,
                format!("the free space cannot be read: {error}"),
                advice,
            );
        }
    };
    let found = format!(
        "{} MiB free, history {} MiB",
        space.available_bytes >> 20,
        space.history_bytes.div_ceil(1 << 20)
    );
    let wanted = 2 * space.history_bytes + LOG_BYTES;
    let advice = format!(
        "free some space: the history, its daily copy and its log need {} MiB",
        wanted >> 20
    );
    if space.available_files == Some(0) {
        Finding::failed(
            CHECK,
            format!("{found}, and no file can be made"),
            "delete files there",
        )
    } else if space.available_bytes < LEAST_BYTES {
        Finding::failed(CHECK, found, advice)
    } else if space.available_bytes < wanted {
        Finding::warning(CHECK, found, advice)
    } else {
        Finding::ok(CHECK, found)
    }
}

fn history(host: &Host) -> Finding {
    const CHECK: &str = "history";
    match &host.history {
        Ok(sound) if sound.endpoint_kind != host.endpoint_kind => Finding::failed(
            CHECK,
            format!(
                "it was created with the endpoint kind {}, but the configuration has {}",
                sound.endpoint_kind, host.endpoint_kind
            ),
            "set `state_dir` to another directory, or `endpoint` back",
        ),
        Ok(sound) => Finding::ok(
            CHECK,
            format!(
                "intact (quick_check), schema version {}, created {} with the endpoint kind {}",
                sound.schema_version,
                rfc3339(sound.created_at),
                sound.endpoint_kind
            ),
        ),
        Err(StoreError::Missing { .. }) => Finding::warning(
            CHECK,
            "there is none",
            "nothing, if redkeep has never run: `redkeep run` creates it; otherwise check `state_dir`",
        ),
        Err(error @ StoreError::OlderSchema { .. }) => unusable(Severity::Warning, error),
        Err(error) => unusable(Severity::Failed, error),
    }
}

/// A finding of a history that cannot be used.
fn unusable(verdict: Severity, error: &StoreError) -> Finding {
    let found = told_with_causes(error.problem(), error);
    let advice = error.hint();
    let advice =
        advice.unwrap_or("check the file, its directory, and which user runs this command");
    Finding {
        verdict,
        ..Finding::warning("history", found, advice)
    }
}

fn database(host: &Host) -> Option<Finding> {
    const CHECK: &str = "database";
    let shared = match host.database.as_ref()? {
        Ok(shared) => shared,
        Err(error) => {
            let found = told_with_causes(error.problem(), error);
            let advice = error.hint().unwrap_or("check the server");
            return Some(Finding::failed(CHECK, found, advice));
        }
    };
    let works = shared.works.as_deref().unwrap_or("nobody");
    let found = format!(
        "{}, PostgreSQL {}, {works} works, {} alive",
        shared.place, shared.version, shared.alive
    );
    Some(if shared.works.is_none() {
        Finding::failed(
            CHECK,
            found,
            "start `redkeep run`, and look at `redkeep instances`",
        )
    } else if shared.differ {
        let found = format!("{found}; they have different configurations");
        Finding::warning(CHECK, found, "give all instances the same policy file")
    } else if !shared.unlimited.is_empty() {
        let limits = shared.unlimited.join(", ");
        let found = format!("{found}; the role has no limit for {limits}");
        Finding::warning(
            CHECK,
            found,
            "ALTER ROLE ... SET statement_timeout = '10s', lock_timeout = '3s' and idle_in_transaction_session_timeout = '60s'",
        )
    } else {
        Finding::ok(CHECK, found)
    })
}

/// Nothing where there is no history to copy.
fn copy(host: &Host, now: DateTime<Utc>) -> Option<Finding> {
    const CHECK: &str = "daily_copy";
    if host.database.is_some() {
        // The database's own backups are the copies.
        return None;
    }
    let advice =
        "make sure that the daemon runs at 03:17 UTC, and look in its log for \"the daily copy\"";
    let begun = match &host.history {
        Ok(sound) => Some(sound.created_at),
        Err(StoreError::Missing { .. }) => return None,
        Err(_) => None,
    };
    let is_young = begun.is_some_and(|begun| now - begun <= OLDEST_COPY);
    Some(match &host.copied_at {
        Err(error) => Finding::warning(CHECK, format!("it cannot be checked: {error}"), advice),
        Ok(None) if is_young => {
            Finding::ok(CHECK, "none yet: the history is younger than 36 hours")
        }
        Ok(None) => Finding::warning(CHECK, "there is none", advice),
        Ok(Some(at)) if now - *at > OLDEST_COPY => Finding::warning(
            CHECK,
            format!("the last one is {} old", span(now - *at)),
            advice,
        ),
        Ok(Some(at)) => Finding::ok(CHECK, format!("made {}", rfc3339(*at))),
    })
}
