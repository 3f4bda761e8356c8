//! Addresses and keys that are secrets.
//!
//! Owns: reading them from a file or a credential of systemd, each time anew: a new one counts at once. Never keeps one,
//! and never says what one is.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::clock::sleep;

use crate::outbox::{SecretPlace, Target};

/// A longer one is no address and no key.
const LONGEST: u64 = 8 << 10;

/// Why a secret cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// systemd hands no credentials to this process.
    #[error("there is no credential {name:?}: CREDENTIALS_DIRECTORY is not set; {HINT}")]
    NoCredentials {
        /// The credential.
        name: String,
    },
    /// The file cannot be read.
    #[error("cannot read {}: {why}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's error.
        why: std::io::Error,
    },
    /// Its storage does not answer.
    #[error("cannot read {} in time: its storage does not answer", path.display())]
    Hangs {
        /// The file.
        path: PathBuf,
    },
    /// What stands in it is no single line.
    #[error("{} has no line of text, or more than one", path.display())]
    NoLine {
        /// The file.
        path: PathBuf,
    },
}

const HINT: &str = "LoadCredential= in the unit sets it";

/// Where messages go.
pub(super) async fn address(target: &Target) -> Result<String, SecretError> {
    match target {
        Target::Url(url) => Ok(url.clone()),
        Target::Secret(place) => read(place).await,
    }
}

/// What is kept there. A file on storage that hangs is waited for on a thread that may, and not for long.
pub(super) async fn read(place: &SecretPlace) -> Result<String, SecretError> {
    let path = match place {
        SecretPlace::File(path) => path.clone(),
        SecretPlace::Credential(name) => {
            let directory = std::env::var_os("CREDENTIALS_DIRECTORY");
            let directory =
                directory.ok_or_else(|| SecretError::NoCredentials { name: name.clone() })?;
            Path::new(&directory).join(name)
        }
    };
    in_time(path, LIMIT, line_of).await
}

/// How long a file is waited for: less than a whole attempt to deliver may take.
const LIMIT: Duration = Duration::from_secs(5);

/// The files that somebody is reading. A read that hangs cannot be cut off, and a second one would hang as well.
static BEING_READ: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

async fn in_time(
    path: PathBuf,
    limit: Duration,
    read: impl FnOnce(&Path) -> Result<String, SecretError> + Send + 'static,
) -> Result<String, SecretError> {
    let being_read = || BEING_READ.lock().unwrap_or_else(PoisonError::into_inner);
    let own = path.clone();
    let in_turn = async move {
        while !being_read().insert(own.clone()) {
            sleep(LOOK_AGAIN).await;
        }
        tokio::task::spawn_blocking(move || {
            let read = read(&own);
            being_read().remove(&own);
            read
        })
        .await
    };
    match tokio::time::timeout(limit, in_turn).await {
        Ok(Ok(read)) => read,
        Ok(Err(_)) | Err(_) => Err(SecretError::Hangs { path }),
    }
}

/// How often it is looked whether another task has read the file to its end.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

fn line_of(path: &Path) -> Result<String, SecretError> {
    let text = text_of(path)?;
    let line = text.trim();
    match line.is_empty() || line.chars().any(char::is_control) {
        true => Err(SecretError::NoLine {
            path: path.to_owned(),
        }),
        false => Ok(line.to_owned()),
    }
}

/// The text of a file that the operator has named. A link may lead to it, as to each file of a Secret of Kubernetes.
pub(crate) fn text_of(path: &Path) -> Result<String, SecretError> {
    let unreadable = |why| SecretError::Unreadable {
        path: path.to_owned(),
        why,
    };
    let mut text = String::new();
    // To open a pipe would wait for somebody who writes into it.
    if !path.metadata().map_err(unreadable)?.is_file() {
        return Err(unreadable(std::io::Error::other("it is no regular file")));
    }
    let file = File::open(path).map_err(unreadable)?;
    file.take(LONGEST)
        .read_to_string(&mut text)
        .map_err(unreadable)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn storage_that_hangs_holds_nobody_up_and_is_tried_by_one_thread_alone() {
        let path = PathBuf::from("/nowhere/that/hangs");
        let limit = Duration::from_millis(100);
        let (open, gate) = std::sync::mpsc::channel::<()>();
        let hanging = in_time(path.clone(), limit, move |_| {
            let _ = gate.recv();
            Ok("late".to_owned())
        });
        assert!(matches!(hanging.await, Err(SecretError::Hangs { .. })));
        let second = in_time(path.clone(), limit, |_| Ok("never tried".to_owned()));
        assert!(matches!(second.await, Err(SecretError::Hangs { .. })));
        drop(open);
        let limit = Duration::from_secs(30);
        let third = in_time(path, limit, |_| Ok("there".to_owned()));
        assert_eq!(third.await.unwrap(), "there");
    }

    #[tokio::test]
    async fn a_secret_is_one_line_and_no_error_tells_it() {
        let directory = std::env::temp_dir().join(format!("redkeep-secret-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let path = directory.join("url");
        std::fs::write(&path, " https://x/hunter2 \n").unwrap();
        assert_eq!(
            read(&SecretPlace::File(path.clone())).await.unwrap(),
            "https://x/hunter2"
        );
        std::fs::write(&path, "hunter2\nhunter3\n").unwrap();
        let told = read(&SecretPlace::File(path)).await.unwrap_err();
        let told = told.to_string();
        assert!(!told.contains("hunter"), "{told}");
        std::fs::remove_dir_all(directory).unwrap();
    }
}
