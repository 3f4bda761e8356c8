//! A `[[notify]]` table: who is told, of what, and by which way.
//!
//! Owns: what a receiver hears. Never holds an address that is a secret: only the place where it is read when a message
//! is sent.

use std::path::PathBuf;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use super::{Cause, Event, Severity, Subject};
use crate::names::{PolicyName, ReceiverName};
use crate::schedule::{Blackout, Schedule};

/// By which way a receiver is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ReceiverKind {
    /// redkeep's own JSON, by POST.
    Webhook,
    /// Slack's incoming webhooks, and Mattermost's.
    Slack,
    /// PagerDuty's Events API v2.
    Pagerduty,
    /// Mail, by SMTP with TLS.
    Email,
    /// Prometheus' Alertmanager, API v2.
    Alertmanager,
    /// The ping API of healthchecks.io, which others have too.
    Healthchecks,
}

impl ReceiverKind {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Webhook,
        Self::Slack,
        Self::Pagerduty,
        Self::Email,
        Self::Alertmanager,
        Self::Healthchecks,
    ];

    /// The word in the policy file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Webhook => "webhook",
            Self::Slack => "slack",
            Self::Pagerduty => "pagerduty",
            Self::Email => "email",
            Self::Alertmanager => "alertmanager",
            Self::Healthchecks => "healthchecks",
        }
    }

    /// Whether the receiver keeps a state of its own for each condition, so that the order of messages counts and of
    /// several old ones only the last does.
    pub fn is_stateful(self) -> bool {
        matches!(
            self,
            Self::Pagerduty | Self::Alertmanager | Self::Healthchecks
        )
    }
}

/// Where a secret is read when it is needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretPlace {
    /// A credential that systemd hands to the service.
    Credential(String),
    /// A file.
    File(PathBuf),
}

/// Where messages go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// This URL, which is no secret.
    Url(String),
    /// The URL that is read there.
    Secret(SecretPlace),
}

/// What mail needs beside a server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MailSettings {
    /// The sender.
    pub from: String,
    /// Who gets it.
    pub to: Vec<String>,
    /// By which name redkeep logs in; `None` where it does not.
    pub user: Option<String>,
}

/// Somebody who is told.
#[derive(Debug, Clone, PartialEq)]
pub struct Receiver {
    /// The name in the policy file.
    pub name: ReceiverName,
    /// By which way.
    pub kind: ReceiverKind,
    /// Where to.
    pub target: Target,
    /// The signature's key, the routing key or the password, where the kind has one.
    pub secret: Option<SecretPlace>,
    /// Whether plain http or SMTP without TLS to another host is what the operator wants.
    pub allow_clear: bool,
    /// The policies that it is told of, beside what concerns no single one; `None` for all.
    pub policies: Option<Vec<PolicyName>>,
    /// The least severe of what it is told.
    pub severity: Severity,
    /// What the receiver is told.
    pub events: Vec<Event>,
    /// How long something goes on before it is told again.
    pub repeat_after: TimeDelta,
    /// When the receiver is told nothing: what comes up meanwhile is told afterwards.
    pub quiet: Option<Arc<Blackout>>,
    /// What mail needs.
    pub mail: Option<MailSettings>,
}

impl Receiver {
    /// Of `repeat_after`.
    pub const REPEAT_AFTER: TimeDelta = TimeDelta::hours(24);
    /// Of `repeat_after`, where it is how often a sign of life is sent.
    pub const BEAT_EACH: TimeDelta = TimeDelta::seconds(60);
    /// Of `severity`.
    pub const SEVERITY: Severity = Severity::Warning;

    /// Whether the receiver is told of this.
    pub fn hears(&self, cause: Cause, subject: &Subject) -> bool {
        let is_severe = cause.event() == Event::Run || cause.severity() >= self.severity;
        is_severe && self.events.contains(&cause.event()) && self.is_of(subject)
    }

    /// What concerns no single policy concerns every receiver: a scope that cannot be reached is everybody's trouble.
    fn is_of(&self, subject: &Subject) -> bool {
        match (&self.policies, &subject.policy) {
            (None, _) | (Some(_), None) => true,
            (Some(policies), Some(policy)) => policies.contains(policy),
        }
    }

    /// The same receiver with what `change` makes of the schedule of its quiet.
    pub fn with_schedules(&self, change: impl Fn(&Schedule) -> Schedule) -> Self {
        let changed = |quiet: &Arc<Blackout>| {
            Arc::new(Blackout {
                schedule: change(&quiet.schedule),
                ..Blackout::clone(quiet)
            })
        };
        Self {
            quiet: self.quiet.as_ref().map(changed),
            ..self.clone()
        }
    }

    /// From when on a message that is decided at `now` may be delivered.
    pub fn due_at(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        let quiet = self.quiet.as_ref();
        quiet.and_then(|quiet| quiet.end_at(now)).unwrap_or(now)
    }
}
