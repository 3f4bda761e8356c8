//! A run: the record of what became of a slot, as a state machine.
//!
//! ```text
//!  due ─┬─► skipped(overlap)                          ┌─► available
//!       ├─► missed(late | blackout | coalesced | …)   │
//!       └─► requested ──────────────────► creating ───┤
//!             │  ▲ waiting, asking, in doubt, judged  └─► failed(reason)
//!             │  └──────── the second generation ◄────────┘  (once, inside the start window)
//!             ├─► expired(the deadline passed before AWS accepted)
//!             ├─► failed(not_found | config)
//!             └─► conflict (the name exists and is not ours)
//! ```
//!
//! Owns: a run and its states; `transition` owns the events and which of them leads where. Never computes when
//! to try again (`retry`), never calls anything, never reads a clock.

mod outcome;
mod reason;
mod transition;

use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::names::{Retention, Tier, Trigger};
use crate::redshift::CreateRequest;
use crate::seen::{Seen, Tenure};
use crate::shared_tags::SharedTags;
use crate::slot::Slot;
use crate::snapshot::{Generation, Snapshot, SnapshotId};

pub use outcome::{Missed, Outcome, OutcomeKind};
pub use reason::Reason;
pub use transition::Event;

/// A slot's record.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// Which slot; a run is found by it.
    pub slot: Slot,
    /// What made the slot due.
    pub trigger: Trigger,
    /// What AWS is to be asked for, fixed when the slot became due.
    pub request: SnapshotSpec,
    /// Where the run stands.
    pub state: RunState,
    /// How many create calls were made, both generations together.
    pub attempts: u32,
    /// When the first create call was made.
    pub requested_at: Option<DateTime<Utc>>,
    /// When the last create call was made.
    pub asked_at: Option<DateTime<Utc>>,
    /// When AWS was first known to have the snapshot.
    pub accepted_at: Option<DateTime<Utc>>,
    /// When the run ended.
    pub ended_at: Option<DateTime<Utc>>,
    /// What AWS said last, with its code.
    pub message: Option<String>,
    /// The snapshot as last seen.
    pub snapshot: Option<Seen>,
    /// When and why the snapshot was no longer there; not the run's outcome.
    pub gone: Option<Gone>,
}

/// The whole request, committed before the first call, so that a later edit of the policy changes nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotSpec {
    /// The identifier, of the generation that the run is in.
    pub snapshot_id: SnapshotId,
    /// ManualSnapshotRetentionPeriod.
    pub retention: Retention,
    /// The retention class.
    pub tier: Tier,
    /// Why it is of that class, for people; `None` where the policy has one period for all.
    pub tier_reason: Option<Arc<str>>,
    /// All tags.
    pub tags: SharedTags,
    /// The first instant at which AWS may be asked.
    pub starts_at: DateTime<Utc>,
    /// The instant from which AWS may no longer be asked.
    pub deadline: DateTime<Utc>,
    /// How long the snapshot may stay `creating` before that is an alarm.
    pub completion_window: TimeDelta,
    /// From this slot to the next, which paces the following.
    pub interval: TimeDelta,
}

/// What became of the snapshot after the run had ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gone {
    /// When the snapshot was first seen to be missing.
    pub at: DateTime<Utc>,
    /// Why, as far as can be told.
    pub reason: GoneReason,
}

/// Why a snapshot is no longer there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GoneReason {
    /// Its retention period had passed.
    Expired,
    /// Somebody else deleted it.
    Deleted,
    /// redkeep removed it.
    Pruned,
}

impl GoneReason {
    /// The word in the history.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::Deleted => "deleted",
            Self::Pruned => "pruned",
        }
    }
}

/// Where a run stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// The slot's instant has come; AWS was not asked yet.
    Due,
    /// AWS refused for now, or is to be asked for the second snapshot.
    Waiting {
        /// When to ask again.
        until: DateTime<Utc>,
        /// What stood in the way.
        refusal: Refusal,
    },
    /// A create call is under way. After a restart this means: in doubt.
    Asking {
        /// What stood in the way before.
        refusal: Option<Refusal>,
    },
    /// The answer to a create call was lost: looks at what is there.
    InDoubt {
        /// Since when.
        since: DateTime<Utc>,
        /// When to look next.
        look_at: DateTime<Utc>,
    },
    /// The run is to end with this outcome, once the snapshot's absence is proven.
    Concluding {
        /// Only what was seen after this proves anything.
        since: DateTime<Utc>,
        /// The outcome.
        verdict: Outcome,
    },
    /// AWS has accepted.
    Creating {
        /// When to look next.
        look_at: DateTime<Utc>,
    },
    /// AWS says `failed`; the reason is being asked for.
    Failing {
        /// Since when.
        since: DateTime<Utc>,
        /// When to ask for the reason.
        ask_at: DateTime<Utc>,
    },
    /// Ended.
    Ended(Outcome),
}

/// What stood in the way of a snapshot, and how often in a row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// What the run expires with, if it comes to that.
    pub why: Reason,
    /// Refusals for the same reason in a row, this one included.
    pub times: u32,
    /// When AWS refused; `None` in a record of a version that did not note this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<DateTime<Utc>>,
}

impl Run {
    /// The run of a slot that has just become due.
    pub fn due(slot: Slot, trigger: Trigger, request: SnapshotSpec) -> Self {
        Self {
            slot,
            trigger,
            request,
            state: RunState::Due,
            attempts: 0,
            requested_at: None,
            asked_at: None,
            accepted_at: None,
            ended_at: None,
            message: None,
            snapshot: None,
            gone: None,
        }
    }

    /// The bare word of the JSON contract: `due` until AWS is asked, then `requested` until it accepts, then
    /// `creating`, then the outcome.
    pub fn word(&self) -> &'static str {
        match &self.state {
            RunState::Due => "due",
            RunState::Concluding { .. } if self.attempts == 0 => "due",
            RunState::Waiting { .. }
            | RunState::Asking { .. }
            | RunState::InDoubt { .. }
            | RunState::Concluding { .. } => "requested",
            RunState::Creating { .. } | RunState::Failing { .. } => "creating",
            RunState::Ended(outcome) => outcome.word(),
        }
    }

    /// Which attempt at a snapshot the run is in.
    pub fn generation(&self) -> Generation {
        self.request.snapshot_id.generation()
    }

    /// How often in a row AWS refused for `why`, up to the create call that is under way.
    pub fn refusals_for(&self, why: &Reason) -> u32 {
        match &self.state {
            RunState::Asking {
                refusal: Some(refusal),
            } if refusal.why == *why => refusal.times,
            _ => 0,
        }
    }

    /// What AWS refused the run for, as long as AWS has not accepted it: what stands in the way now, also while AWS is asked
    /// once more, what it is judged to end with, or what it has ended with.
    pub fn refusal(&self) -> Option<&Reason> {
        match &self.state {
            RunState::Waiting { refusal, .. } => Some(&refusal.why),
            RunState::Asking { refusal } => refusal.as_ref().map(|refusal| &refusal.why),
            RunState::Concluding { verdict, .. } => verdict.refusal(),
            RunState::Ended(outcome) => outcome.refusal(),
            _ => None,
        }
        .filter(|_| self.accepted_at.is_none())
    }

    /// Whether AWS refused the run for something that lasts until somebody does something about it.
    pub fn is_refused_for_good(&self) -> bool {
        self.refusal().is_some_and(Reason::is_lasting)
    }

    /// How the run ended, if it has.
    pub fn outcome(&self) -> Option<&Outcome> {
        match &self.state {
            RunState::Ended(outcome) => Some(outcome),
            _ => None,
        }
    }

    /// Whether AWS refused the run for something that an acceptance in its account and region shows to be over.
    pub fn waits_for_acceptance(&self) -> bool {
        self.refusal().is_some_and(Reason::ends_with_acceptance)
    }

    /// When AWS refused the run last; where that was not noted, when AWS was asked.
    pub fn refused_at(&self) -> Option<DateTime<Utc>> {
        let refusal = match &self.state {
            RunState::Waiting { refusal, .. } => Some(refusal),
            RunState::Asking { refusal } => refusal.as_ref(),
            _ => None,
        };
        refusal.and_then(|refusal| refusal.at).or(self.asked_at)
    }

    /// Whether the run has its one outcome.
    pub fn is_ended(&self) -> bool {
        matches!(self.state, RunState::Ended(_))
    }

    /// Whether a complete snapshot came of it, and is still there.
    pub fn is_good(&self) -> bool {
        self.state == RunState::Ended(Outcome::Available) && self.gone.is_none()
    }

    /// Whether the run has ended and AWS still has a snapshot of it, complete or failed.
    pub fn has_snapshot(&self) -> bool {
        self.is_good() || self.is_ended() && self.snapshot.is_some() && self.gone.is_none()
    }

    /// Whether AWS is making the snapshot now.
    pub fn is_creating(&self) -> bool {
        matches!(self.state, RunState::Creating { .. })
    }

    /// Until when AWS should have made the snapshot that it is making: its acceptance and the completion window.
    pub fn completion_deadline(&self) -> Option<DateTime<Utc>> {
        let accepted = self.accepted_at.unwrap_or(self.slot.scheduled_at);
        self.is_creating()
            .then(|| accepted + self.request.completion_window)
    }

    /// SnapshotCreateTime, the instant whose data the snapshot holds; before AWS has told it, the acceptance.
    pub fn created_at(&self) -> Option<DateTime<Utc>> {
        let told = self.snapshot.as_ref().and_then(Seen::create_time);
        told.or(self.accepted_at)
    }

    /// When AWS lets its snapshot go, by what AWS has told of it, or else by what was asked for; `None` where that is never,
    /// or nothing was asked for yet.
    pub fn expires_at(&self) -> Option<DateTime<Utc>> {
        self.tenure().end()
    }

    /// By what it is told how long its snapshot is kept.
    pub fn tenure(&self) -> Tenure {
        let told = self.snapshot.as_ref();
        Tenure {
            told: told.and_then(Seen::retention),
            told_from: told.and_then(Seen::kept_from),
            created_at: self.created_at(),
            asked: self.request.retention,
        }
    }

    /// The ClusterCreateTime of the cluster that its snapshot was taken of, which stays when that gets another name.
    pub fn cluster_created_at(&self) -> Option<DateTime<Utc>> {
        self.snapshot.as_ref()?.cluster_create_time()
    }

    /// All that AWS told of its snapshot, where that is kept in mind.
    pub fn description(&self) -> Option<&Arc<Snapshot>> {
        self.snapshot.as_ref()?.whole()
    }

    /// The run as it is kept in mind: of a snapshot whose run has ended only what decisions need.
    pub fn condensed(mut self) -> Self {
        if self.is_ended() {
            self.snapshot = self.snapshot.map(|seen| Seen::Gist(seen.gist()));
        }
        if let Some(Seen::Gist(gist)) = &mut self.snapshot
            && gist.identifier == self.request.snapshot_id
        {
            // The same text, and not a copy of it.
            gist.identifier = self.request.snapshot_id.clone();
        }
        self
    }

    /// Shares what is the same with another run of the pair: there may be hundreds of thousands of runs.
    pub fn share_with(&mut self, other: &Self) {
        if self.slot.pair == other.slot.pair {
            self.slot.pair = other.slot.pair.clone();
        }
        self.request.tags.share_with(&other.request.tags);
        if self.request.tier_reason == other.request.tier_reason {
            self.request
                .tier_reason
                .clone_from(&other.request.tier_reason);
        }
        if let (Some(Seen::Gist(ours)), Some(Seen::Gist(theirs))) =
            (&mut self.snapshot, &other.snapshot)
            && ours.account_number == theirs.account_number
        {
            ours.account_number.clone_from(&theirs.account_number);
        }
    }

    /// The run that follows on `before`, with all that AWS told of its snapshot where `before` has that.
    pub fn after(mut self, before: Option<&Self>) -> Self {
        let known = before.and_then(|before| before.snapshot.as_ref());
        self.snapshot = self.snapshot.map(|seen| seen.with_rest_of(known));
        self
    }

    /// The outcome's reason and AWS's message as one text.
    pub fn reason(&self) -> Option<String> {
        let reason = self.outcome().and_then(Outcome::reason);
        match (reason, &self.message) {
            (Some(reason), Some(message)) => Some(format!("{reason}: {message}")),
            (Some(reason), None) => Some(reason),
            (None, _) if self.state == RunState::Ended(Outcome::Available) => None,
            (None, message) => message.clone(),
        }
    }

    /// What CreateClusterSnapshot is to be asked for.
    pub fn create_request(&self) -> CreateRequest {
        CreateRequest {
            snapshot_id: self.request.snapshot_id.clone(),
            cluster: self.slot.pair.cluster.clone(),
            retention: self.request.retention,
            tags: self.request.tags.to_tags(),
        }
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.slot, self.word())
    }
}
