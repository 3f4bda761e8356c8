//! The accounts in a file.
//!
//! Owns: loading, and replacing the file so that a crash at any instant leaves the old or the new content
//! and never a mixture. Never decides when to write.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::cloud::Cloud;
use redkeep_serve::safe_file;

/// Raised when the shape of the file changes.
const FORMAT: u32 = 1;

/// Why the state could not be loaded or kept.
#[derive(Debug, thiserror::Error)]
pub enum StateFileError {
    /// The file is there and cannot be read.
    #[error("cannot read the sandbox's state file {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is there and holds something else.
    #[error("the sandbox's state file {path} is damaged; move it away to start with a new one")]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// Where it is damaged.
        source: serde_json::Error,
    },
    /// The file was written by another version.
    #[error(
        "the sandbox's state file {path} has format {found}, wanted {FORMAT}; move it away to start with a new one"
    )]
    Format {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
    /// The file cannot be replaced.
    #[error("cannot write the sandbox's state file {path}")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

#[derive(Serialize)]
struct Written<'a> {
    format: u32,
    #[serde(flatten)]
    cloud: &'a Cloud,
}

#[derive(Deserialize)]
struct Format {
    format: u32,
}

/// The accounts in the file; `None` when there is no file.
pub fn load(path: &Path) -> Result<Option<Cloud>, StateFileError> {
    let mut text = Vec::new();
    match safe_file::open(path).and_then(|mut file| file.read_to_end(&mut text)) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => {
            return Err(StateFileError::Read {
                path: path.to_owned(),
                source,
            });
        }
    }
    let corrupt = |source| StateFileError::Corrupt {
        path: path.to_owned(),
        source,
    };
    // The format is read on its own first: a file of another one need not have today's shape.
    let Format { format } = serde_json::from_slice(&text).map_err(corrupt)?;
    if format != FORMAT {
        return Err(StateFileError::Format {
            path: path.to_owned(),
            found: format,
        });
    }
    serde_json::from_slice(&text).map(Some).map_err(corrupt)
}

/// Replaces the file; when this returns, the accounts survive a crash and a power cut.
pub fn save(path: &Path, cloud: &Cloud) -> Result<(), StateFileError> {
    let write = |source: io::Error| StateFileError::Write {
        path: path.to_owned(),
        source,
    };
    let written = Written {
        format: FORMAT,
        cloud,
    };
    let text = serde_json::to_vec(&written).map_err(|error| write(error.into()))?;
    safe_file::replace(path, &text).map_err(write)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::operations::tests::{account, call, start};
    use crate::role::RoleSession;

    fn directory(name: &str) -> PathBuf {
        let path =
            std::env::temp_dir().join(format!("redkeep-state-file-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        path
    }

    #[test]
    fn accounts_come_back_as_they_were_kept() {
        let directory = directory("round-trip");
        let path = directory.join("sandbox.json");
        assert_eq!(load(&path).unwrap(), None);
        let mut account = account();
        for form in [
            "CreateClusterSnapshot&ClusterIdentifier=dw&SnapshotIdentifier=a&Tags.Tag.1.Key=k",
            "PauseCluster&ClusterIdentifier=dw",
        ] {
            call(&mut account, 0, form).unwrap();
        }
        let mut cloud = Cloud::new(account);
        cloud.roles.denied.insert("role".to_owned());
        let session = RoleSession {
            account_id: "111122223333".to_owned(),
            role_name: "redkeep".to_owned(),
            session_name: "night".to_owned(),
            expires_at: start(),
        };
        cloud.grant(session, start());
        save(&path, &cloud).unwrap();
        assert_eq!(load(&path).unwrap(), Some(cloud));
        fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn a_file_from_before_there_were_several_accounts_is_read() {
        let directory = directory("one-account");
        let path = directory.join("sandbox.json");
        let text = serde_json::json!({ "format": 1, "account": account() });
        fs::write(&path, text.to_string()).unwrap();
        assert_eq!(load(&path).unwrap(), Some(Cloud::new(account())));
        fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn a_damaged_file_and_one_of_another_format_are_refused_by_name() {
        let directory = directory("damaged");
        let path = directory.join("sandbox.json");
        for (text, wanted) in [
            ("{\"format\":1,", "damaged"),
            ("{\"format\":2}", "format 2"),
        ] {
            fs::write(&path, text).unwrap();
            let message = load(&path).unwrap_err().to_string();
            assert!(
                message.contains(wanted) && message.contains("sandbox.json"),
                "{message}"
            );
        }
        fs::remove_dir_all(directory).unwrap();
    }
}
