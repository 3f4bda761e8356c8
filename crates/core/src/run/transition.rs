//! Which event leads from which state to which.
//!
//! Owns: the events and [`Run::apply`]. Terminal states absorb: nothing leaves them. An event that means
//! nothing in a state changes nothing.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::{Outcome, Reason, Refusal, Run, RunState};
use crate::names::Retention;
use crate::names::Tier;
use crate::snapshot::{Snapshot, SnapshotStatus, tag};

/// What happens to a run.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// What the pair holds has changed since the slot became due, and with it the slot's tier.
    Promoted {
        /// The retention class.
        tier: Tier,
        /// Why it is of that class.
        reason: Option<String>,
        /// The period of that class.
        retention: Retention,
    },
    /// AWS is about to be asked; committed before the call.
    Asked,
    /// AWS refused for now.
    Refused {
        /// When to ask again.
        retry_at: DateTime<Utc>,
        /// What stood in the way.
        why: Reason,
        /// Code and message.
        message: String,
    },
    /// Whether AWS accepted is not known.
    Lost {
        /// When to look.
        look_at: DateTime<Utc>,
        /// What the transport said.
        message: String,
    },
    /// A look in doubt found nothing; look again.
    StillLost {
        /// When to look next.
        look_at: DateTime<Utc>,
    },
    /// A look in doubt found nothing for long enough: ask again.
    NotAccepted {
        /// When to ask.
        retry_at: DateTime<Utc>,
    },
    /// AWS has the snapshot, and it is ours.
    Seen {
        /// As AWS describes it.
        snapshot: Arc<Snapshot>,
        /// When to look next, if it is not complete.
        look_at: DateTime<Utc>,
    },
    /// The snapshot was accepted and is not there (yet, or no more).
    NotSeen {
        /// When to look next.
        look_at: DateTime<Utc>,
    },
    /// The run is to end with this outcome, once the snapshot's absence is proven.
    Concluding {
        /// The outcome.
        verdict: Outcome,
        /// Code and message, where AWS gave them.
        message: Option<String>,
    },
    /// A look made after the judgement found nothing.
    Absent,
    /// The name exists and is not ours.
    Contradicted {
        /// What contradicts.
        what: String,
    },
    /// The pair's previous snapshot is still being made.
    Overlapped,
    /// The configuration has no account to ask in: nobody can look for the snapshot any more.
    Placeless {
        /// The outcome.
        verdict: Outcome,
        /// What is wrong, for people.
        message: Option<String>,
    },
    /// The reason of a failed snapshot could not be had yet.
    Unexplained {
        /// When to ask again.
        ask_at: DateTime<Utc>,
    },
    /// The reason of a failed snapshot is known, as far as AWS tells it.
    Explained {
        /// AWS's text.
        message: String,
        /// When to ask for the second generation; `None` ends the run.
        retry_at: Option<DateTime<Utc>>,
    },
    /// An accepted snapshot was deleted before it was complete.
    Vanished,
}

impl Run {
    /// The run after `event`, which happened at `now`; an ended run stays as it is, whatever comes.
    ///
    /// `None` when the event means nothing in the present state, as an answer that comes late does not.
    pub fn apply(mut self, event: Event, now: DateTime<Utc>) -> Option<Self> {
        if self.is_ended() {
            return Some(self);
        }
        self.state = self.next_state(&event, now)?;
        self.note(event, now);
        Some(self)
    }

    fn next_state(&self, event: &Event, now: DateTime<Utc>) -> Option<RunState> {
        match event {
            // AWS or another host may have made the snapshot at any time.
            Event::Seen { snapshot, look_at } => seen(&self.state, snapshot, *look_at, now),
            Event::Contradicted { what } if !is_accepted(&self.state) => {
                Some(RunState::Ended(Outcome::Conflict(what.clone())))
            }
            Event::Placeless { verdict, .. } => Some(RunState::Ended(verdict.clone())),
            Event::Concluding { verdict, .. } if !is_accepted(&self.state) => {
                Some(RunState::Concluding {
                    since: now,
                    verdict: verdict.clone(),
                })
            }
            _ => match &self.state {
                RunState::Due => from_due(event),
                RunState::Waiting { refusal, .. } => from_waiting(refusal, event),
                RunState::Asking { refusal } => from_asking(refusal.as_ref(), event, now),
                RunState::InDoubt { since, .. } => from_in_doubt(*since, event, now),
                RunState::Concluding { verdict, .. } => from_judged(verdict, event),
                RunState::Creating { .. } => from_creating(event),
                RunState::Failing { since, .. } => from_failing(*since, event, now),
                RunState::Ended(_) => None,
            },
        }
    }

    /// Keeps what the event tells beside the state.
    fn note(&mut self, event: Event, now: DateTime<Utc>) {
        match event {
            Event::Promoted {
                tier,
                reason,
                retention,
            } => {
                let tags = &mut self.request.tags;
                tags.insert(tag::TIER.to_owned(), tier.as_str().to_owned());
                self.request.tier = tier;
                self.request.tier_reason = reason.map(Into::into);
                self.request.retention = retention;
            }
            Event::Asked => {
                self.attempts += 1;
                self.requested_at.get_or_insert(now);
                self.asked_at = Some(now);
            }
            Event::Refused { message, .. } | Event::Lost { message, .. } => {
                self.message = Some(message);
            }
            Event::Explained { message, retry_at } => {
                self.message = Some(message);
                if retry_at.is_some() {
                    self.request.snapshot_id = self.request.snapshot_id.second();
                    self.accepted_at = None;
                }
            }
            Event::Concluding {
                message: Some(message),
                ..
            }
            | Event::Placeless {
                message: Some(message),
                ..
            } => self.message = Some(message),
            Event::Seen { snapshot, .. } => {
                if self.accepted_at.is_none() {
                    self.adopt_terms(&snapshot);
                }
                self.accepted_at.get_or_insert(now);
                self.snapshot = Some(snapshot.into());
            }
            _ => {}
        }
        if self.is_ended() {
            self.ended_at = Some(now);
        }
    }
}

impl Run {
    /// Another host may have asked for another tier: what AWS has is what counts.
    fn adopt_terms(&mut self, snapshot: &Snapshot) {
        let tier = snapshot
            .tags
            .get(tag::TIER)
            .and_then(|word| word.parse().ok());
        if let Some(tier) = tier.filter(|tier| *tier != self.request.tier) {
            self.request.tier = tier;
            self.request.tier_reason = Some("as another host asked for it".into());
        }
        self.request.retention = snapshot.retention().unwrap_or(self.request.retention);
    }
}

/// Whether AWS is known to have, or to have had, the snapshot.
fn is_accepted(state: &RunState) -> bool {
    matches!(
        state,
        RunState::Creating { .. } | RunState::Failing { .. } | RunState::Ended(_)
    )
}

fn from_due(event: &Event) -> Option<RunState> {
    match event {
        Event::Promoted { .. } => Some(RunState::Due),
        Event::Asked => Some(RunState::Asking { refusal: None }),
        Event::Overlapped => Some(RunState::Ended(Outcome::Skipped)),
        _ => None,
    }
}

fn from_waiting(refusal: &Refusal, event: &Event) -> Option<RunState> {
    let refusal = Some(refusal.clone());
    (*event == Event::Asked).then_some(RunState::Asking { refusal })
}

fn from_asking(before: Option<&Refusal>, event: &Event, now: DateTime<Utc>) -> Option<RunState> {
    match event {
        Event::Refused { retry_at, why, .. } => {
            let before = before.filter(|before| before.why == *why);
            let times = before.map_or(0, |before| before.times) + 1;
            let refusal = Refusal {
                why: why.clone(),
                times,
                at: Some(now),
            };
            Some(RunState::Waiting {
                until: *retry_at,
                refusal,
            })
        }
        Event::Lost { look_at, .. } => Some(RunState::InDoubt {
            since: now,
            look_at: *look_at,
        }),
        _ => None,
    }
}

fn from_in_doubt(since: DateTime<Utc>, event: &Event, now: DateTime<Utc>) -> Option<RunState> {
    match event {
        Event::StillLost { look_at } => Some(RunState::InDoubt {
            // A clock that was set back does not make the doubt last longer.
            since: since.min(now),
            look_at: *look_at,
        }),
        Event::NotAccepted { retry_at } => {
            let refusal = Refusal {
                why: Reason::NoClearAnswer,
                times: 1,
                at: Some(now),
            };
            Some(RunState::Waiting {
                until: *retry_at,
                refusal,
            })
        }
        _ => None,
    }
}

fn from_judged(verdict: &Outcome, event: &Event) -> Option<RunState> {
    (*event == Event::Absent).then(|| RunState::Ended(verdict.clone()))
}

fn from_creating(event: &Event) -> Option<RunState> {
    match event {
        Event::NotSeen { look_at } => Some(RunState::Creating { look_at: *look_at }),
        Event::Vanished => Some(RunState::Ended(Outcome::Failed(Reason::Vanished))),
        _ => None,
    }
}

fn from_failing(since: DateTime<Utc>, event: &Event, now: DateTime<Utc>) -> Option<RunState> {
    match event {
        Event::Unexplained { ask_at } => Some(RunState::Failing {
            since,
            ask_at: *ask_at,
        }),
        Event::Explained {
            retry_at: Some(until),
            ..
        } => {
            let refusal = Refusal {
                why: Reason::SnapshotFailed,
                times: 1,
                at: Some(now),
            };
            Some(RunState::Waiting {
                until: *until,
                refusal,
            })
        }
        Event::Explained { .. } => Some(RunState::Ended(Outcome::Failed(Reason::SnapshotFailed))),
        _ => None,
    }
}

fn seen(
    state: &RunState,
    snapshot: &Snapshot,
    look_at: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Option<RunState> {
    if let RunState::Failing { .. } = state {
        return None;
    }
    Some(match snapshot.status() {
        SnapshotStatus::Available => RunState::Ended(Outcome::Available),
        SnapshotStatus::Failed => RunState::Failing {
            since: now,
            ask_at: now,
        },
        SnapshotStatus::Creating | SnapshotStatus::Unknown(_) => RunState::Creating { look_at },
    })
}
