//! Why a command ends with anything but success.
//!
//! Owns: the kinds of failure, and the exit code of each.

use std::io;
use std::process::ExitCode;

use crate::config::ConfigErrors;

/// Why a command did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The configuration is not valid.
    #[error("{0}")]
    Config(String),
    /// The command line asks for something that there is not.
    #[error("{0}")]
    Usage(String),
    /// Another instance holds the state directory.
    #[error("{0}")]
    Busy(String),
    /// AWS cannot be reached.
    #[error("{0}")]
    Unreachable(String),
    /// A finding that the command was asked to look for; it has been told already.
    #[error("")]
    Finding,
    /// Standard output was closed by its reader, as `head` does.
    #[error("")]
    Closed,
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

impl Failure {
    /// The exit code, as documented in the help.
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Closed => 0,
            Self::Other(_) | Self::Finding => 1,
            Self::Usage(_) => 2,
            Self::Unreachable(_) => 69,
            Self::Busy(_) => 75,
            Self::Config(_) => 78,
        })
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::Closed,
            _ => Self::Other(format!("output cannot be written: {error}")),
        }
    }
}

/// All errors, below a line of their own when there are several, so that each is a line `file:line:column: …`.
pub(super) fn invalid(errors: ConfigErrors) -> Failure {
    Failure::Config(match errors.iter().len() {
        1 => errors.to_string(),
        count => format!("{count} errors in the configuration:\n{errors}"),
    })
}
