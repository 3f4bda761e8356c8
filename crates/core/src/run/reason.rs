//! Why AWS made no snapshot, or has made none yet.
//!
//! Owns: the reasons, and the words that the history and the JSON contract have for them. Never says what follows from
//! one.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::redshift::ErrorClass;

/// Why a create call was refused, or a run ended without a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum Reason {
    /// AWS refused for now.
    Throttled,
    /// Whether AWS carried the request out was not known.
    NoClearAnswer,
    /// The request never left.
    Unreachable,
    /// The cluster takes no snapshot in its status; `None` where the status is not known.
    ClusterState(Option<String>),
    /// The snapshot's name is taken.
    NameExists,
    /// The account holds as many manual snapshots as it may.
    Quota,
    /// AWS has no such cluster.
    NotFound,
    /// IAM does not allow it.
    AccessDenied,
    /// The credentials are expired or unknown.
    Credentials,
    /// The signature's time is off.
    ClockSkew,
    /// The request is wrong, and it is the policy that must change.
    Config,
    /// AWS gave a code that redkeep does not know.
    UnknownError,
    /// AWS accepted the snapshot but could not complete it.
    SnapshotFailed,
    /// The run's account was taken out of the policy file, so that nobody can follow the run any more.
    AccountRemoved,
    /// The snapshot was deleted before it was complete.
    Vanished,
    /// A newer slot was due too, after AWS had refused this one for the reason inside.
    Superseded(Box<Self>),
    /// The words of another version of redkeep, kept as they are.
    Recorded(String),
}

fn is_pausing(status: &str) -> bool {
    matches!(status, "paused" | "pausing")
}

const CLUSTER: &str = "cluster ";
const NO_STATUS: &str = "not available";
const SUPERSEDED: &str = "superseded: ";

impl Reason {
    /// The same, of a run whose place a newer slot has taken.
    #[must_use]
    pub fn superseded(self) -> Self {
        Self::Superseded(Box::new(self))
    }

    /// What AWS refused for, whether or not a newer slot has taken the run's place since.
    pub fn refusal(&self) -> &Self {
        match self {
            Self::Superseded(inside) => inside,
            reason => reason,
        }
    }

    /// Whether AWS refuses every create call alike for this until somebody does something about it, and so beyond the end of
    /// the slot that was refused.
    pub fn is_lasting(&self) -> bool {
        matches!(self, Self::Quota | Self::AccessDenied)
    }

    /// Whether AWS refuses for this whatever the cluster is: the cause is common to the account and region.
    pub fn is_of_scope(&self) -> bool {
        matches!(
            self,
            Self::Quota
                | Self::AccessDenied
                | Self::Credentials
                | Self::ClockSkew
                | Self::Throttled
                | Self::NoClearAnswer
                | Self::Unreachable
        )
    }

    /// Whether one snapshot that AWS accepts in the account and region shows that this is over for the others there. Where
    /// AWS throttles, it accepts some while it refuses others.
    pub fn ends_with_acceptance(&self) -> bool {
        self.is_of_scope() && !self.may_pass()
    }

    /// Whether a refusal for this is likely to be over before long without anybody doing anything.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::ClusterState(status) => !status.as_deref().is_some_and(is_pausing),
            Self::Throttled | Self::NoClearAnswer | Self::Unreachable | Self::SnapshotFailed => {
                true
            }
            _ => false,
        }
    }

    /// Whether the cluster is paused, so that it takes no snapshot until it is resumed.
    pub fn is_paused_cluster(&self) -> bool {
        matches!(self, Self::ClusterState(Some(status)) if is_pausing(status))
    }

    /// The reason that `words` are exactly the words of.
    pub fn known(words: &str) -> Option<Self> {
        Some(match words {
            "throttled" => Self::Throttled,
            "no clear answer" => Self::NoClearAnswer,
            "unreachable" => Self::Unreachable,
            "name exists" => Self::NameExists,
            "quota" => Self::Quota,
            "not_found" => Self::NotFound,
            "access denied" => Self::AccessDenied,
            "credentials" => Self::Credentials,
            "clock skew" => Self::ClockSkew,
            "config" => Self::Config,
            "unknown error" => Self::UnknownError,
            "snapshot failed" => Self::SnapshotFailed,
            "account removed" => Self::AccountRemoved,
            "deleted before it was available" => Self::Vanished,
            other => {
                let status = other.strip_prefix(CLUSTER)?;
                Self::ClusterState((status != NO_STATUS).then(|| status.to_owned()))
            }
        })
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Throttled => "throttled",
            Self::NoClearAnswer => "no clear answer",
            Self::Unreachable => "unreachable",
            Self::ClusterState(status) => {
                let status = status.as_deref().unwrap_or(NO_STATUS);
                return write!(f, "{CLUSTER}{status}");
            }
            Self::NameExists => "name exists",
            Self::Quota => "quota",
            Self::NotFound => "not_found",
            Self::AccessDenied => "access denied",
            Self::Credentials => "credentials",
            Self::ClockSkew => "clock skew",
            Self::Config => "config",
            Self::UnknownError => "unknown error",
            Self::SnapshotFailed => "snapshot failed",
            Self::AccountRemoved => "account removed",
            Self::Vanished => "deleted before it was available",
            Self::Superseded(inside) => return write!(f, "{SUPERSEDED}{inside}"),
            Self::Recorded(words) => words,
        })
    }
}

impl From<String> for Reason {
    /// Reads the words of the history; what no reason has stays as it is.
    fn from(words: String) -> Self {
        if let Some(known) = Self::known(&words) {
            return known;
        }
        // Not further down: the history may be anybody's text.
        match words.strip_prefix(SUPERSEDED) {
            Some(inside) => {
                let known = Self::known(inside);
                known.unwrap_or_else(|| Self::Recorded(inside.to_owned()))
            }
            .superseded(),
            None => Self::Recorded(words),
        }
    }
}

impl From<&str> for Reason {
    fn from(words: &str) -> Self {
        Self::from(words.to_owned())
    }
}

impl From<Reason> for String {
    fn from(reason: Reason) -> Self {
        reason.to_string()
    }
}

impl From<ErrorClass> for Reason {
    fn from(class: ErrorClass) -> Self {
        match class {
            ErrorClass::Throttled => Self::Throttled,
            ErrorClass::Unknown => Self::NoClearAnswer,
            ErrorClass::Unsent => Self::Unreachable,
            ErrorClass::ClusterState => Self::ClusterState(None),
            ErrorClass::AlreadyExists => Self::NameExists,
            ErrorClass::Quota => Self::Quota,
            ErrorClass::ClusterNotFound | ErrorClass::SnapshotNotFound => Self::NotFound,
            ErrorClass::AccessDenied => Self::AccessDenied,
            ErrorClass::Credentials => Self::Credentials,
            ErrorClass::ClockSkew => Self::ClockSkew,
            ErrorClass::Invalid => Self::Config,
            ErrorClass::Other => Self::UnknownError,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_is_read_from_its_own_words() {
        let words = [
            ("throttled", Reason::Throttled),
            ("no clear answer", Reason::NoClearAnswer),
            ("unreachable", Reason::Unreachable),
            ("cluster not available", Reason::ClusterState(None)),
            (
                "cluster paused",
                Reason::ClusterState(Some("paused".to_owned())),
            ),
            ("name exists", Reason::NameExists),
            ("quota", Reason::Quota),
            ("not_found", Reason::NotFound),
            ("access denied", Reason::AccessDenied),
            ("credentials", Reason::Credentials),
            ("clock skew", Reason::ClockSkew),
            ("config", Reason::Config),
            ("unknown error", Reason::UnknownError),
            ("snapshot failed", Reason::SnapshotFailed),
            ("account removed", Reason::AccountRemoved),
            ("deleted before it was available", Reason::Vanished),
            (
                "superseded: access denied",
                Reason::AccessDenied.superseded(),
            ),
        ];
        for (words, reason) in words {
            assert_eq!(Reason::from(words), reason);
            assert_eq!(reason.to_string(), words);
        }
    }

    #[test]
    fn words_of_another_version_are_kept() {
        for words in [
            "",
            "Quota",
            "quota ",
            "cluster",
            "cluster ",
            "superseded: ",
            "superseded: superseded: quota",
            "superseded: the moon",
            "a \u{1b}[31m word",
        ] {
            assert_eq!(Reason::from(words).to_string(), words);
        }
        let many = SUPERSEDED.repeat(1_000_000);
        assert_eq!(Reason::from(many.as_str()).to_string(), many);
    }
}
