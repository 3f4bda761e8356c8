//! What keeps slots from beginning in an account and region now, for commands beside the daemon.
//!
//! Owns: the file in the state directory by which the daemon tells it. What AWS refuses a slot is in the history; that no slot
//! begins at all is not, since it is nobody's outcome. There is no file where there is no such trouble, and nobody believes
//! one whose daemon is gone.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::safe_file;

/// A longer file is none of ours.
const LONGEST: u64 = 1 << 20;

/// What keeps slots from beginning in a scope.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Trouble {
    pub(crate) account: String,
    pub(crate) region: String,
    /// Since when, where that is known.
    pub(crate) since: Option<DateTime<Utc>>,
    /// What is so.
    pub(crate) words: String,
    /// What follows from it.
    pub(crate) meaning: String,
    /// The command that helps.
    pub(crate) command: String,
}

fn file_in(state_dir: &Path) -> PathBuf {
    state_dir.join("trouble.json")
}

/// Writes the file anew, or removes it where there is no trouble.
///
/// # Errors
/// Those of the file system.
pub(crate) fn write(state_dir: &Path, troubles: &[Trouble]) -> io::Result<()> {
    let path = file_in(state_dir);
    match troubles.is_empty() {
        true => safe_file::remove(&path),
        false => safe_file::replace(&path, &serde_json::to_vec(troubles)?),
    }
}

/// What the daemon of this state directory told last; nothing where it cannot be read.
pub(crate) fn read(state_dir: &Path) -> Vec<Trouble> {
    let Ok(file) = safe_file::open(&file_in(state_dir)) else {
        return Vec::new();
    };
    let mut text = Vec::new();
    let read = file.take(LONGEST).read_to_end(&mut text);
    read.ok()
        .and_then(|_| serde_json::from_slice(&text).ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_read_and_is_gone_when_it_is_over() {
        let dir = std::env::temp_dir().join(format!("redkeep-trouble-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let trouble = Trouble {
            account: "prod".to_owned(),
            region: "us-east-1".to_owned(),
            since: Some(DateTime::UNIX_EPOCH),
            words: "the clock".to_owned(),
            meaning: "No slot begins.".to_owned(),
            command: "redkeep doctor".to_owned(),
        };
        write(&dir, std::slice::from_ref(&trouble)).unwrap();
        assert_eq!(read(&dir), [trouble]);
        std::fs::write(file_in(&dir), "{").unwrap();
        assert_eq!(read(&dir), []);
        write(&dir, &[]).unwrap();
        write(&dir, &[]).unwrap();
        assert_eq!(read(&dir), []);
        std::fs::remove_dir_all(dir).unwrap();
    }
}
