//! The words of notifications, as the policy file, the messages and the history have them.
//!
//! Owns: causes, the events that they are told as, how bad each is. Never knows a receiver.

use serde::{Deserialize, Serialize};

/// What a receiver may ask to be told of: the words of `events`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(
    missing_docs,
    reason = "docs/notifications.md says what each of these words means"
)]
pub enum Event {
    Failed,
    Expired,
    Missed,
    Conflict,
    Refused,
    Overdue,
    Stuck,
    QuotaNear,
    QuotaReached,
    PruneBlocked,
    Guard,
    Hold,
    Unreachable,
    Credentials,
    ClockSkew,
    NoSuchCluster,
    /// A run as a job that a service of heartbeats watches.
    Run,
    /// The daemon's own sign of life.
    Heartbeat,
    /// A person wants to see whether a message arrives.
    Test,
}

impl Event {
    /// Those that `events` may name and that are messages for people.
    pub const TOLD: [Self; 16] = [
        Self::Failed,
        Self::Expired,
        Self::Missed,
        Self::Conflict,
        Self::Refused,
        Self::Overdue,
        Self::Stuck,
        Self::QuotaNear,
        Self::QuotaReached,
        Self::PruneBlocked,
        Self::Guard,
        Self::Hold,
        Self::Unreachable,
        Self::Credentials,
        Self::ClockSkew,
        Self::NoSuchCluster,
    ];

    /// All of them.
    pub const ALL: [Self; 19] = {
        let mut all = [Self::Test; 19];
        let mut at = 0;
        while at < Self::TOLD.len() {
            all[at] = Self::TOLD[at];
            at += 1;
        }
        all[at] = Self::Run;
        all[at + 1] = Self::Heartbeat;
        all
    };

    /// The word in the policy file, in messages and in the history.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Expired => "expired",
            Self::Missed => "missed",
            Self::Conflict => "conflict",
            Self::Refused => "refused",
            Self::Overdue => "overdue",
            Self::Stuck => "stuck",
            Self::QuotaNear => "quota_near",
            Self::QuotaReached => "quota_reached",
            Self::PruneBlocked => "prune_blocked",
            Self::Guard => "guard",
            Self::Hold => "hold",
            Self::Unreachable => "unreachable",
            Self::Credentials => "credentials",
            Self::ClockSkew => "clock_skew",
            Self::NoSuchCluster => "no_such_cluster",
            Self::Run => "run",
            Self::Heartbeat => "heartbeat",
            Self::Test => "test",
        }
    }
}

/// How bad something is; the least severe first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Good to know.
    Info,
    /// Somebody should look at it some day soon.
    Warning,
    /// A cluster is without a snapshot that it should have, or soon will be.
    Critical,
}

impl Severity {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Info, Self::Warning, Self::Critical];

    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// Where a condition stands, as a message tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MessageState {
    /// A run has begun; only services of heartbeats are told.
    Started,
    /// The condition has begun.
    Begun,
    /// The condition still goes on, or has happened again.
    Repeated,
    /// The condition is over.
    Over,
}

impl MessageState {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Started, Self::Begun, Self::Repeated, Self::Over];

    /// The word in messages and in the history.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Begun => "begun",
            Self::Repeated => "repeated",
            Self::Over => "over",
        }
    }
}

macro_rules! causes {
    ($($(#[$about:meta])* $cause:ident, $word:literal, $event:ident, $severity:ident;)+) => {
        /// What is so, or has happened.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Cause {
            $($(#[$about])* $cause,)+
        }

        impl Cause {
            /// All of them.
            pub const ALL: [Self; [$(Self::$cause),+].len()] = [$(Self::$cause),+];

            /// The word in the history.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$cause => $word,)+
                }
            }

            /// The event that the cause is told as.
            pub fn event(self) -> Event {
                match self {
                    $(Self::$cause => Event::$event,)+
                }
            }

            /// How bad it is.
            pub fn severity(self) -> Severity {
                match self {
                    $(Self::$cause => Severity::$severity,)+
                }
            }
        }
    };
}

causes! {
    /// A run has failed; the pair has no good one since.
    Failed, "failed", Failed, Critical;
    /// A run has expired.
    Expired, "expired", Expired, Critical;
    /// A slot was missed, and nobody had ordered that.
    Missed, "missed", Missed, Warning;
    /// A snapshot of a run's name is not redkeep's.
    Conflict, "conflict", Conflict, Critical;
    /// AWS has refused an open slot for long; its start window has not ended.
    Refused, "refused", Refused, Warning;
    /// The newest good snapshot is older than `rpo`.
    Overdue, "overdue", Overdue, Critical;
    /// A snapshot is `creating` for too long.
    StillCreating, "still_creating", Stuck, Warning;
    /// A snapshot has a status that nobody knows.
    UnknownStatus, "unknown_status", Stuck, Warning;
    /// Few manual snapshots are left of a quota.
    QuotaNear, "quota_near", QuotaNear, Warning;
    /// None is left.
    QuotaReached, "quota_reached", QuotaReached, Critical;
    /// A policy's snapshots are not removed.
    PruneBlocked, "prune_blocked", PruneBlocked, Warning;
    /// A confirmation was not used in time.
    ConfirmationLapsed, "confirmation_lapsed", PruneBlocked, Warning;
    /// The end of one of the last good snapshots was put off.
    GuardWorks, "guard_works", Guard, Info;
    /// The end of one of the last good snapshots cannot be put off.
    GuardRefused, "guard_refused", Guard, Critical;
    /// The last good snapshots of a cluster that is gone expire soon.
    LettingGo, "letting_go", Guard, Warning;
    /// A snapshot has the tag of a hold and expires all the same.
    HalfHeld, "half_held", Hold, Warning;
    /// A scope's listings fail.
    Unreachable, "unreachable", Unreachable, Critical;
    /// IAM does not let a snapshot be made.
    AccessDenied, "access_denied", Credentials, Critical;
    /// The credentials belong to another account.
    OtherAccount, "other_account", Credentials, Critical;
    /// Two scopes are one.
    SameAccount, "same_account", Credentials, Warning;
    /// Whose account it is cannot be asked.
    Unidentified, "unidentified", Credentials, Warning;
    /// The clocks differ.
    ClockSkew, "clock_skew", ClockSkew, Critical;
    /// A policy names a cluster that is not listed.
    NoSuchCluster, "no_such_cluster", NoSuchCluster, Warning;
    /// The runs of one instant of a policy, as a job.
    Run, "run", Run, Info;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_there_once_and_every_event_has_a_cause() {
        let mut words = Cause::ALL.map(Cause::as_str).to_vec();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), Cause::ALL.len());
        for event in Event::TOLD {
            assert!(
                Cause::ALL.iter().any(|cause| cause.event() == event),
                "{event:?}"
            );
        }
        let mut all = Event::ALL.to_vec();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), Event::ALL.len());
    }
}
