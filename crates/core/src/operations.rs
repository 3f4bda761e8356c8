//! What is done to snapshots that are there: removing them, holding them, taking them over.
//!
//! Owns: the records of it, as the history has them. Never decides (that is `retention` and `plan`), never calls
//! anything.

use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};

use crate::names::PolicyName;
use crate::observed::SKEW_LIMIT;
use crate::redshift::RedshiftError;
use crate::run::Reason;
use crate::slot::{Scope, Slot};
use crate::snapshot::SnapshotId;

/// From one pass over a policy's snapshots to the next.
pub const PRUNE_INTERVAL: TimeDelta = TimeDelta::hours(1);
/// How many snapshots are removed in a pass at most.
pub const MAX_DELETES_PER_PASS: usize = 5;

/// Names a snapshot among those of all accounts and regions.
pub type SnapshotKey = (Scope, SnapshotId);

/// Why a snapshot is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// The policy keeps the newest `keep_last`, and this one is older.
    Surplus,
    /// The snapshot failed more than a week ago: nobody can restore it.
    Failed,
}

impl Why {
    /// All reasons.
    pub const ALL: [Self; 2] = [Self::Surplus, Self::Failed];

    /// The word in the history and in the JSON contract.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Surplus => "surplus",
            Self::Failed => "failed",
        }
    }
}

/// The intent to remove a snapshot, committed before the call, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removal {
    /// The slot that the snapshot is for.
    pub slot: Slot,
    /// The snapshot; of a slot with two, it may be the one that failed.
    pub id: SnapshotId,
    /// Why.
    pub why: Why,
    /// When the removal was decided.
    pub planned_at: DateTime<Utc>,
    /// Whether AWS may have been asked already without an answer that counts: then it is only looked for, from
    /// this instant on, and never asked again. So it is after a restart.
    pub look_at: Option<DateTime<Utc>>,
    /// How it ended; `None` while it is open.
    pub end: Option<End>,
}

impl Removal {
    /// Where the snapshot is.
    pub fn key(&self) -> SnapshotKey {
        (self.slot.pair.scope.clone(), self.id.clone())
    }

    /// The same, ended so.
    #[must_use]
    pub fn ended(self, at: DateTime<Utc>, result: Result<String, Undone>) -> Self {
        let end = Some(End { at, result });
        Self { end, ..self }
    }
}

/// How a removal or an action ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// When.
    pub at: DateTime<Utc>,
    /// Done, with what is to be said of it; or not done, and why.
    pub result: Result<String, Undone>,
}

/// Why a removal or an action was not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undone {
    /// What AWS refused it for, where it was AWS that did.
    pub refusal: Option<Reason>,
    /// What else is to be said of it.
    pub message: String,
}

impl Undone {
    /// AWS refused it.
    pub fn refused(error: &RedshiftError) -> Self {
        Self {
            refusal: Some(Reason::from(error.class)),
            message: error.told(),
        }
    }
}

impl From<String> for Undone {
    /// Reads what the history has of it.
    fn from(text: String) -> Self {
        let refused = text
            .split_once(": ")
            .and_then(|(words, message)| Some((Reason::known(words)?, message.to_owned())));
        match refused {
            Some((reason, message)) => Self {
                refusal: Some(reason),
                message,
            },
            None => Self {
                refusal: None,
                message: text,
            },
        }
    }
}

impl fmt::Display for Undone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.refusal {
            Some(reason) => write!(f, "{reason}: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

impl End {
    /// Whether what was asked for was done.
    pub fn is_done(&self) -> bool {
        self.result.is_ok()
    }

    /// What is to be said of it.
    pub fn text(&self) -> String {
        match &self.result {
            Ok(text) => text.clone(),
            Err(why) => why.to_string(),
        }
    }

    /// Whether it was left undone because IAM does not allow it.
    pub fn is_denied(&self) -> bool {
        let refusal = self
            .result
            .as_ref()
            .err()
            .and_then(|why| why.refusal.as_ref());
        refusal == Some(&Reason::AccessDenied)
    }
}

/// What a pass over a policy's snapshots came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PassResult {
    /// The pass's plan is being carried out.
    Carried,
    /// The first under these rules: it only says what it would do.
    FirstPass,
    /// The pass would remove so many that a person has to confirm it.
    Breaker,
}

impl PassResult {
    /// All results.
    pub const ALL: [Self; 3] = [Self::Carried, Self::FirstPass, Self::Breaker];

    /// The word in the history.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Carried => "carried_out",
            Self::FirstPass => "first_pass",
            Self::Breaker => "breaker",
        }
    }
}

/// The newest pass over a policy's snapshots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pass {
    /// Whose.
    pub policy: PolicyName,
    /// The fingerprint of the rules by which it judged.
    pub rules: String,
    /// When.
    pub passed_at: DateTime<Utc>,
    /// What came of it.
    pub result: PassResult,
    /// The plan's hash.
    pub plan_hash: String,
    /// Everything that the plan would remove, the oldest first, as [`named`] names it.
    pub plan: Vec<String>,
    /// The confirmation that it was made with.
    pub confirmation: Option<i64>,
}

/// A person's word that a plan is right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confirmation {
    /// Its number in the history.
    pub id: i64,
    /// Whose plan.
    pub policy: PolicyName,
    /// The fingerprint of the rules that the plan was made by; under others it is void.
    pub rules: String,
    /// The plan's hash.
    pub plan_hash: String,
    /// The snapshots that may go, as [`named`] names them.
    pub plan: Vec<String>,
    /// When.
    pub confirmed_at: DateTime<Utc>,
    /// Whether a pass was made for it.
    pub is_begun: bool,
}

impl Confirmation {
    /// For how long a person's word holds that no pass is made for.
    pub const VALID_FOR: TimeDelta = TimeDelta::hours(24);

    /// When the confirmation lapses: what is true of the snapshots then is not what the person has seen. One that is being carried out
    /// has the time that this takes beside.
    pub fn lapses_at(&self) -> DateTime<Utc> {
        let passes = self.plan.len().div_ceil(MAX_DELETES_PER_PASS);
        let passes = i32::try_from(passes).unwrap_or(i32::MAX);
        let takes = PRUNE_INTERVAL.checked_mul(passes).filter(|_| self.is_begun);
        let lapses_at = self.confirmed_at + Self::VALID_FOR;
        lapses_at
            .checked_add_signed(takes.unwrap_or_default())
            .unwrap_or(lapses_at)
    }

    /// Whether the confirmation holds at `now`. One of the future was given by a clock that was wrong.
    pub fn holds_at(&self, now: DateTime<Utc>) -> bool {
        self.confirmed_at <= now + SKEW_LIMIT && now < self.lapses_at()
    }

    /// Whether nothing is left of it after `pass`: it was used, and other rules have come since.
    pub fn is_void_after(&self, pass: &Pass) -> bool {
        self.is_begun && self.rules != pass.rules
    }
}

/// A snapshot's name among those of all accounts and regions, in one word.
pub fn named(place: &SnapshotKey) -> String {
    let (scope, id) = place;
    format!("{}/{}/{id}", scope.account, scope.region)
}

/// What a person wants done to a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActionKind {
    /// The snapshot is to be kept until somebody releases it.
    Hold,
    /// The snapshot is to be kept as long as before the hold.
    Release,
    /// This installation is to be the snapshot's writer.
    Takeover,
}

impl ActionKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Hold, Self::Release, Self::Takeover];

    /// The word in the history, which is the command's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hold => "hold",
            Self::Release => "release",
            Self::Takeover => "takeover",
        }
    }
}

/// One thing that a person wants done to one snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotAction {
    /// Its number in the history; 0 before it is there.
    pub id: i64,
    /// What.
    pub kind: ActionKind,
    /// The slot that the snapshot is for.
    pub slot: Slot,
    /// The snapshot.
    pub snapshot: SnapshotId,
    /// When the action was asked for.
    pub asked_at: DateTime<Utc>,
    /// What keeps it from being finished, where some of it is done: then it is carried on for as long as that takes.
    pub trouble: Option<String>,
    /// How it ended; `None` while it is open.
    pub end: Option<End>,
}

impl SnapshotAction {
    /// For how long one of which nothing is done is tried.
    pub const VALID_FOR: TimeDelta = TimeDelta::minutes(2);

    /// What a person wants done at `asked_at`.
    pub fn new(
        wanted: ActionKind,
        slot: Slot,
        snapshot: SnapshotId,
        asked_at: DateTime<Utc>,
    ) -> Self {
        Self {
            id: 0,
            kind: wanted,
            slot,
            snapshot,
            asked_at,
            trouble: None,
            end: None,
        }
    }

    /// Whether its time is over at `now`.
    pub fn is_over(&self, now: DateTime<Utc>) -> bool {
        now >= self.asked_at + Self::VALID_FOR
    }

    /// Whether `later` takes its place: what a person wants of a snapshot last is what counts.
    pub fn gives_way_to(&self, later: &Self) -> bool {
        let is_of_hold = |one: &Self| one.kind != ActionKind::Takeover;
        let is_same = self.slot == later.slot && self.snapshot == later.snapshot;
        is_same && self.id < later.id && is_of_hold(self) && is_of_hold(later)
    }

    /// The same, ended so.
    #[must_use]
    pub fn ended(self, at: DateTime<Utc>, result: Result<String, Undone>) -> Self {
        let end = Some(End { at, result });
        Self { end, ..self }
    }
}
