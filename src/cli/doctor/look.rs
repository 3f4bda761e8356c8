//! Looking at this machine.
//!
//! Owns: the system calls behind [`crate::doctor::Host`]. Never writes, and never judges what it sees.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use chrono::{DateTime, TimeDelta, Utc};
use rustix::fs::{Access, access, statvfs};
use rustix::process::geteuid;

use crate::cli::state_lock::holder;
use crate::config::Config;
use crate::doctor::{Directory, Host, Shared, Sound, Space};
use crate::history::PairState;
use crate::slot::Pair;
use crate::store;
use crate::store::{EndpointKind, Reader, StoreError};

pub(super) fn host(
    config: &Config,
    (kind, database): (EndpointKind, Option<Result<Shared, StoreError>>),
    now: DateTime<Utc>,
) -> Host {
    let state_dir = &config.state_dir;
    let directory = present(directory(state_dir));
    let is_there = matches!(directory, Ok(Some(_)));
    let history_bytes = fs::metadata(config.database()).map_or(0, |file| file.len());
    Host {
        state_dir: state_dir.clone(),
        holder: holder(state_dir).map_err(told),
        late_slot: late_slot(config, now),
        space: is_there.then(|| space(state_dir, history_bytes).map_err(told)),
        directory: directory.map_err(told),
        history: history(&config.database()),
        endpoint_kind: kind,
        database,
        copied_at: present(made_at(&store::copy_of(&config.database()))).map_err(told),
    }
}

/// The first slot that has come and has no record, by the history that is this machine's alone.
fn late_slot(config: &Config, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let is_alone = config.database.is_none();
    let reader = is_alone.then(|| Reader::open(&config.database()).ok())??;
    let history = reader.newest().ok()?;
    let next = |(pair, state): (&Pair, &PairState)| state.next_slot(config.policy(&pair.policy)?);
    let slots = history.pairs.iter().filter_map(next);
    slots.filter(|at| *at + TOLERANCE <= now).min()
}

/// So long a slot may be due before somebody should have taken it up.
const TOLERANCE: TimeDelta = TimeDelta::minutes(1);

fn told(error: io::Error) -> String {
    error.to_string()
}

/// What is not there is nothing, and no error.
fn present<T>(looked: io::Result<T>) -> io::Result<Option<T>> {
    match looked {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        looked => looked.map(Some),
    }
}

fn directory(path: &Path) -> io::Result<Directory> {
    let metadata = fs::metadata(path)?;
    Ok(Directory {
        is_directory: metadata.is_dir(),
        owner: metadata.uid(),
        mode: metadata.mode() & 0o777,
        user: geteuid().as_raw(),
        writable: access(path, Access::WRITE_OK | Access::EXEC_OK),
    })
}

fn space(path: &Path, history_bytes: u64) -> io::Result<Space> {
    let told = statvfs(path)?;
    Ok(Space {
        available_bytes: told.f_bavail.saturating_mul(told.f_frsize),
        available_files: (told.f_files > 0).then_some(told.f_favail),
        history_bytes,
    })
}

fn history(path: &Path) -> Result<Sound, StoreError> {
    let reader = Reader::open(path)?;
    reader.check_sound()?;
    let (identity, endpoint_kind) = reader.identity()?;
    // What cannot be read as redkeep's rows is damage too.
    reader.history()?;
    Ok(Sound {
        endpoint_kind,
        created_at: identity.created_at,
        schema_version: reader.schema_version()?,
    })
}

fn made_at(path: &Path) -> io::Result<DateTime<Utc>> {
    fs::metadata(path)?.modified().map(DateTime::from)
}
