//! Whether the daemon is alive, and whether it is ready.
//!
//! Owns: the condition that the daemon reports and the two verdicts on it. Never looks for itself: a probe
//! that called AWS or the database would be slow or wrong at the moment it is needed. A daemon that cannot
//! reach AWS is alive and not ready: restarting it would not help, and it must not be told healthy.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::logging::one_line;
use crate::slot::Scope;

/// Without a turn of its loop for so long, the daemon hangs: it never sleeps longer than 30 s.
pub const STALLED_AFTER: Duration = Duration::from_secs(90);

/// Why no snapshot can be taken in a scope that has neither answered nor failed since the start.
pub const NOT_YET: &str = "not reached yet";

/// How the daemon is, by its own account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// When its loop last turned, in monotonic time.
    pub last_turn: Duration,
    /// Whether a valid configuration has been loaded.
    pub configured: bool,
    /// What is wrong with the history; `None` when it can be read and written.
    pub history_trouble: Option<String>,
    /// The scopes in which no snapshot can be taken, each with the reason.
    pub unreached: Vec<(Scope, String)>,
}

/// The condition, shared between the daemon and its listener.
#[derive(Debug)]
pub struct Health {
    condition: Mutex<Condition>,
}

impl Condition {
    /// Whether nothing is wrong but that the daemon has only just begun: no scope has answered, and none has failed.
    pub fn is_beginning(&self) -> bool {
        let has_failed = self.unreached.iter().any(|(_, why)| why != NOT_YET);
        !self.configured || !self.unreached.is_empty() && !has_failed
    }
}

impl Health {
    /// A daemon that starts at `now` of monotonic time, and has done nothing yet.
    pub fn starting(now: Duration) -> Self {
        Self {
            condition: Mutex::new(Condition {
                last_turn: now,
                configured: false,
                history_trouble: Some("not opened yet".to_owned()),
                unreached: Vec::new(),
            }),
        }
    }

    /// Changes the condition.
    pub fn update(&self, change: impl FnOnce(&mut Condition)) {
        change(
            &mut self
                .condition
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        );
    }

    /// The condition as it is now.
    pub fn condition(&self) -> Condition {
        self.condition
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// The answer to a probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProbeAnswer {
    /// All is well.
    Good,
    /// Something is not, one reason each.
    Bad(Vec<String>),
}

impl ProbeAnswer {
    fn of(reasons: Vec<String>) -> Self {
        if reasons.is_empty() {
            Self::Good
        } else {
            Self::Bad(reasons)
        }
    }
}

impl fmt::Display for ProbeAnswer {
    /// A line for each reason, whatever the reasons hold.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Good => f.write_str("ok\n"),
            Self::Bad(reasons) => reasons
                .iter()
                .try_for_each(|reason| writeln!(f, "{}", one_line(reason))),
        }
    }
}

/// Whether the daemon's loop still turns, at `now` of monotonic time.
pub fn alive(condition: &Condition, now: Duration) -> ProbeAnswer {
    let idle = now.saturating_sub(condition.last_turn);
    let stalled = format!("the daemon's loop last turned {}s ago", idle.as_secs());
    ProbeAnswer::of(
        (idle > STALLED_AFTER)
            .then_some(stalled)
            .into_iter()
            .collect(),
    )
}

/// Whether the daemon can do its work.
pub fn ready(condition: &Condition) -> ProbeAnswer {
    let mut reasons = Vec::new();
    if !condition.configured {
        reasons.push("configuration: not loaded yet".to_owned());
    }
    if let Some(trouble) = &condition.history_trouble {
        reasons.push(format!("history: {trouble}"));
    }
    let unreached = condition.unreached.iter();
    reasons.extend(unreached.map(|(scope, why)| format!("{scope}: {why}")));
    ProbeAnswer::of(reasons)
}
