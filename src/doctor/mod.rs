//! What is wrong with an installation, and what to do: the judgement of `redkeep doctor`.
//!
//! Owns: the checks and the step from facts to findings, `host` for what this machine shows, `receivers` for the messages that wait, `zones` for its time
//! zones and `scopes` for what AWS answered. Pure; the command gathers the facts. Never judges a policy's clusters or slots: that is `explain`'s
//! and `status`'s.

mod host;
mod receivers;
mod scopes;
mod zones;

use crate::slot::Scope;

pub use host::{Directory, Holder, Host, Shared, Sound, Space, findings as of_host};
pub use receivers::findings as of_receivers;
pub use scopes::{
    Asked, Evidence, Holding, ProbeResult, Question, deleting, evidence, findings as of_scopes,
    refused_now,
};
pub use zones::finding as of_zones;

/// What one check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What was checked, a word of the JSON contract; permissions as IAM names them.
    pub check: &'static str,
    /// Where; `None` for what concerns the whole installation.
    pub scope: Option<Scope>,
    /// How bad it is.
    pub verdict: Severity,
    /// What was found.
    pub found: String,
    /// What to do about it.
    pub advice: Option<String>,
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// As it should be.
    Ok,
    /// The thing may work, or that could not be found out.
    Warning,
    /// redkeep cannot do its work like this.
    Failed,
}

impl Severity {
    /// The word of the JSON contract.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Failed => "failed",
        }
    }
}

impl Finding {
    /// All is as it should be.
    pub fn ok(check: &'static str, found: impl Into<String>) -> Self {
        Self {
            check,
            scope: None,
            verdict: Severity::Ok,
            found: found.into(),
            advice: None,
        }
    }

    /// The thing may work, or that could not be found out.
    pub fn warning(
        check: &'static str,
        found: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Self {
            verdict: Severity::Warning,
            advice: Some(advice.into()),
            ..Self::ok(check, found)
        }
    }

    /// redkeep cannot do its work like this.
    pub fn failed(
        check: &'static str,
        found: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Self {
            verdict: Severity::Failed,
            ..Self::warning(check, found, advice)
        }
    }

    fn at(self, scope: &Scope) -> Self {
        Self {
            scope: Some(scope.clone()),
            ..self
        }
    }
}
