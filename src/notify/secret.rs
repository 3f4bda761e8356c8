//! Addresses and keys that are secrets.
//!
//! Owns: reading them from a file or a credential of systemd, each time anew: a new one counts at once. Never keeps one,
//! and never says what one is.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

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
    /// What stands in it is no single line.
    #[error("{} has no line of text, or more than one", path.display())]
    NoLine {
        /// The file.
        path: PathBuf,
    },
}

const HINT: &str = "LoadCredential= in the unit sets it";

/// Where messages go.
pub(super) fn address(target: &Target) -> Result<String, SecretError> {
    match target {
        Target::Url(url) => Ok(url.clone()),
        Target::Secret(place) => read(place),
    }
}

/// What is kept there.
pub(super) fn read(place: &SecretPlace) -> Result<String, SecretError> {
    match place {
        SecretPlace::File(path) => line_of(path),
        SecretPlace::Credential(name) => {
            let directory = std::env::var_os("CREDENTIALS_DIRECTORY");
            let directory =
                directory.ok_or_else(|| SecretError::NoCredentials { name: name.clone() })?;
            line_of(&Path::new(&directory).join(name))
        }
    }
}

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

    #[test]
    fn a_secret_is_one_line_and_no_error_tells_it() {
        let directory = std::env::temp_dir().join(format!("redkeep-secret-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let path = directory.join("url");
        std::fs::write(&path, " https://x/hunter2 \n").unwrap();
        assert_eq!(
            read(&SecretPlace::File(path.clone())).unwrap(),
            "https://x/hunter2"
        );
        std::fs::write(&path, "hunter2\nhunter3\n").unwrap();
        let told = read(&SecretPlace::File(path)).unwrap_err().to_string();
        assert!(!told.contains("hunter"), "{told}");
        std::fs::remove_dir_all(directory).unwrap();
    }
}
