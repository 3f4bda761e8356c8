//! Which event leads from which state to which.
//!
//! Owns: the events and [`Run::apply`]. Terminal states absorb: nothing leaves them. An event that means
//! nothing in a state is an error of the caller's, never a silent change.

use chrono::{DateTime, Utc};

use super::{Outcome, Phase, Run, RunState};
use crate::snapshot::{Generation, Snapshot, SnapshotStatus};

/// What happens to a run.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// AWS is about to be asked; committed before the call.
    Asked,
    /// AWS refused for now.
    Refused {
        /// When to ask again.
        retry_at: DateTime<Utc>,
        /// What stood in the way, in a few words.
        why: String,
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
        snapshot: Box<Snapshot>,
        /// When to look next, if it is not complete.
        look_at: DateTime<Utc>,
    },
    /// The snapshot was accepted and is not there (yet, or no more).
    NotSeen {
        /// When to look next.
        look_at: DateTime<Utc>,
    },
    /// The run is to end so, once the snapshot's absence is proven.
    Judged {
        /// What it ends with.
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

/// An event that means nothing in the state that the run is in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a run that is {state} has no use for {event}")]
pub struct IllegalTransition {
    /// The state's word.
    pub state: &'static str,
    /// The event.
    pub event: String,
}

impl Run {
    /// The run after `event`, which happened at `now`.
    ///
    /// An ended run stays as it is, whatever comes.
    ///
    /// # Errors
    /// [`IllegalTransition`] when the event means nothing in the present state.
    pub fn apply(mut self, event: Event, now: DateTime<Utc>) -> Result<Self, IllegalTransition> {
        if self.is_ended() {
            return Ok(self);
        }
        self.state = self.next_state(&event, now)?;
        self.note(event, now);
        Ok(self)
    }

    fn next_state(&self, event: &Event, now: DateTime<Utc>) -> Result<RunState, IllegalTransition> {
        let next = match &self.state {
            RunState::Due => from_due(event, now),
            RunState::Requested { generation, phase } => {
                from_requested(*generation, phase, event, now)
            }
            RunState::Creating { generation, .. } => from_creating(*generation, event),
            RunState::Failing { .. } => from_failing(event),
            RunState::Ended(_) => None,
        };
        next.ok_or_else(|| IllegalTransition {
            state: self.state.word(),
            event: format!("{event:?}"),
        })
    }

    /// Keeps what the event tells beside the state.
    fn note(&mut self, event: Event, now: DateTime<Utc>) {
        match event {
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
            Event::Judged {
                message: Some(message),
                ..
            } => self.message = Some(message),
            Event::Seen { snapshot, .. } => {
                self.accepted_at.get_or_insert(now);
                self.snapshot = Some(*snapshot);
            }
            _ => {}
        }
        if self.is_ended() {
            self.ended_at = Some(now);
        }
    }
}

fn from_due(event: &Event, now: DateTime<Utc>) -> Option<RunState> {
    match event {
        Event::Overlapped => Some(RunState::Ended(Outcome::Skipped)),
        // Never asked for, so nothing can be refused, lost or doubted.
        Event::Asked | Event::Judged { .. } | Event::Contradicted { .. } | Event::Seen { .. } => {
            let never = Phase::Waiting {
                until: now,
                why: String::new(),
            };
            from_requested(Generation::First, &never, event, now)
        }
        _ => None,
    }
}

fn from_requested(
    generation: Generation,
    phase: &Phase,
    event: &Event,
    now: DateTime<Utc>,
) -> Option<RunState> {
    let next = match (phase, event) {
        (Phase::Waiting { .. }, Event::Asked) => Phase::Asking,
        (_, Event::Refused { retry_at, why, .. }) => Phase::Waiting {
            until: *retry_at,
            why: why.clone(),
        },
        (_, Event::Lost { look_at, .. }) => Phase::InDoubt {
            since: now,
            look_at: *look_at,
        },
        (Phase::InDoubt { since, .. }, Event::StillLost { look_at }) => Phase::InDoubt {
            since: *since,
            look_at: *look_at,
        },
        (Phase::InDoubt { .. }, Event::NotAccepted { retry_at }) => Phase::Waiting {
            until: *retry_at,
            why: "no clear answer".to_owned(),
        },
        (_, Event::Judged { verdict, .. }) => Phase::Judged {
            since: now,
            verdict: verdict.clone(),
        },
        (Phase::Judged { verdict, .. }, Event::Absent) => {
            return Some(RunState::Ended(verdict.clone()));
        }
        (_, Event::Contradicted { what }) => {
            return Some(RunState::Ended(Outcome::Conflict(what.clone())));
        }
        (_, Event::Seen { snapshot, look_at }) => {
            return Some(seen(generation, snapshot, *look_at));
        }
        _ => return None,
    };
    Some(RunState::Requested {
        generation,
        phase: next,
    })
}

fn from_creating(generation: Generation, event: &Event) -> Option<RunState> {
    match event {
        Event::Seen { snapshot, look_at } => Some(seen(generation, snapshot, *look_at)),
        Event::NotSeen { look_at } => Some(RunState::Creating {
            generation,
            look_at: *look_at,
        }),
        Event::Vanished => {
            let reason = "deleted before it was available".to_owned();
            Some(RunState::Ended(Outcome::Failed(reason)))
        }
        _ => None,
    }
}

fn from_failing(event: &Event) -> Option<RunState> {
    let Event::Explained { retry_at, .. } = event else {
        return None;
    };
    let reason = "snapshot failed".to_owned();
    Some(match retry_at {
        Some(until) => RunState::Requested {
            generation: Generation::Second,
            phase: Phase::Waiting {
                until: *until,
                why: reason,
            },
        },
        None => RunState::Ended(Outcome::Failed(reason)),
    })
}

fn seen(generation: Generation, snapshot: &Snapshot, look_at: DateTime<Utc>) -> RunState {
    match snapshot.status() {
        SnapshotStatus::Available => RunState::Ended(Outcome::Available),
        SnapshotStatus::Failed => RunState::Failing { generation },
        SnapshotStatus::Creating | SnapshotStatus::Unknown(_) => RunState::Creating {
            generation,
            look_at,
        },
    }
}
