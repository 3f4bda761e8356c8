//! How a run ends.
//!
//! Owns: the outcomes, their words, and which of them nobody is to blame for. Never decides which one it is.

use serde::{Deserialize, Serialize};

use super::reason::Reason;

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The snapshot is complete.
    Available,
    /// AWS refused for good, or the snapshot failed.
    Failed(Reason),
    /// The slot was not started in time.
    Missed(Missed),
    /// The pair's previous snapshot was still being made.
    Skipped,
    /// The deadline passed before AWS accepted.
    Expired(Reason),
    /// The name exists, and is not ours.
    Conflict(String),
}

/// Why a slot was not started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Missed {
    /// Its start window was over.
    Late,
    /// A blackout covered its start window.
    Blackout,
    /// A newer slot of the pair was due too.
    Coalesced,
    /// The policy was switched off or removed before it started.
    Disabled,
    /// The policy was paused.
    Paused,
}

impl Missed {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Late,
        Self::Blackout,
        Self::Coalesced,
        Self::Disabled,
        Self::Paused,
    ];

    /// The one with this word in the history.
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|missed| missed.as_str() == word)
    }

    /// The word in the history.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Late => "late",
            Self::Blackout => "blackout",
            Self::Coalesced => "coalesced",
            Self::Disabled => "disabled",
            Self::Paused => "paused",
        }
    }

    /// Whether somebody wanted it so: the one rule by which `report`, `status` and the page excuse a slot without a
    /// snapshot, and receivers are not told of one.
    pub fn is_excused(self) -> bool {
        match self {
            Self::Blackout | Self::Disabled | Self::Paused => true,
            Self::Late | Self::Coalesced => false,
        }
    }
}

impl Outcome {
    /// Whether the slot brought no snapshot, and somebody wanted it so.
    pub fn is_excused(&self) -> bool {
        matches!(self, Self::Missed(why) if why.is_excused())
    }

    /// What AWS refused for, where that ended the slot.
    pub fn refusal(&self) -> Option<&Reason> {
        match self {
            Self::Failed(why) | Self::Expired(why) => Some(why.refusal()),
            _ => None,
        }
    }

    /// The outcome without its reason.
    pub fn kind(&self) -> OutcomeKind {
        match self {
            Self::Available => OutcomeKind::Available,
            Self::Failed(_) => OutcomeKind::Failed,
            Self::Missed(_) => OutcomeKind::Missed,
            Self::Skipped => OutcomeKind::Skipped,
            Self::Expired(_) => OutcomeKind::Expired,
            Self::Conflict(_) => OutcomeKind::Conflict,
        }
    }

    /// The bare word of the JSON contract and of the metric's `result`.
    pub fn word(&self) -> &'static str {
        self.kind().as_str()
    }

    /// The words of the reason, where there is one to give.
    pub fn reason(&self) -> Option<String> {
        match self {
            Self::Available => None,
            Self::Failed(reason) | Self::Expired(reason) => Some(reason.to_string()),
            Self::Conflict(what) => Some(what.clone()),
            Self::Missed(missed) => Some(missed.as_str().to_owned()),
            Self::Skipped => Some("overlap".to_owned()),
        }
    }
}

/// An outcome without its reason, as runs are counted by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutcomeKind {
    /// [`Outcome::Available`].
    Available,
    /// [`Outcome::Failed`].
    Failed,
    /// [`Outcome::Missed`].
    Missed,
    /// [`Outcome::Skipped`].
    Skipped,
    /// [`Outcome::Expired`].
    Expired,
    /// [`Outcome::Conflict`].
    Conflict,
}

impl OutcomeKind {
    /// All of them, in the order of the documentation.
    pub const ALL: [Self; 6] = [
        Self::Available,
        Self::Failed,
        Self::Missed,
        Self::Skipped,
        Self::Expired,
        Self::Conflict,
    ];

    /// The one with this word in the history.
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }

    /// The word in the history, in the JSON contract and in the metric's `result`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Available => "available",
            Self::Failed => "failed",
            Self::Missed => "missed",
            Self::Skipped => "skipped",
            Self::Expired => "expired",
            Self::Conflict => "conflict",
        }
    }
}
