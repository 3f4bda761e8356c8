//! Events about snapshots.
//!
//! Owns: the identifiers, categories and severities of the events that a snapshot causes (from the output
//! of `describe-event-categories`; the sentences are this sandbox's own), and the answer shape. Never
//! decides when one happens. An event that is certain to come is written at once with its date in the
//! future, and nobody sees it before.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};

use super::xml::Element;

/// Something that happened, or will have at `date`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// The snapshot's identifier.
    pub source_identifier: String,
    /// When it happens.
    pub date: DateTime<Utc>,
    /// What happens.
    pub kind: EventKind,
    /// The text for people.
    pub message: String,
}

/// The kinds of event a manual snapshot causes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// It was begun.
    Started,
    /// It became `available`.
    Completed,
    /// It became `failed`.
    Failed,
    /// Somebody deleted it; an expiry causes no event.
    Deleted,
}

impl Event {
    /// An event about `snapshot` of `cluster`; `reason` is appended to the sentence.
    pub fn new(
        kind: EventKind,
        snapshot: &str,
        cluster: &str,
        date: DateTime<Utc>,
        reason: Option<&str>,
    ) -> Self {
        let verb = kind.describe().verb;
        let at = date.to_rfc3339_opts(SecondsFormat::Secs, true);
        let reason = reason.map(|text| format!(" {text}")).unwrap_or_default();
        Self {
            source_identifier: snapshot.to_owned(),
            date,
            kind,
            message: format!(
                "Manual snapshot {snapshot} of cluster {cluster} {verb} at {at}.{reason}"
            ),
        }
    }

    /// The answer shape `Event`.
    pub fn element(&self) -> Element {
        let facts = self.kind.describe();
        Element::group(
            "Event",
            vec![
                Element::text("SourceIdentifier", &self.source_identifier),
                Element::text("SourceType", "cluster-snapshot"),
                Element::text("Message", &self.message),
                Element::group(
                    "EventCategories",
                    vec![Element::text("EventCategory", facts.category)],
                ),
                Element::text("Severity", facts.severity),
                Element::instant("Date", self.date),
                Element::text("EventId", facts.event_id),
            ],
        )
    }
}

struct Facts {
    event_id: &'static str,
    category: &'static str,
    severity: &'static str,
    verb: &'static str,
}

impl EventKind {
    fn describe(self) -> Facts {
        let (event_id, category, severity, verb) = match self {
            Self::Started => ("REDSHIFT-EVENT-2009", "management", "INFO", "was started"),
            Self::Completed => ("REDSHIFT-EVENT-3004", "monitoring", "INFO", "was completed"),
            Self::Failed => ("REDSHIFT-EVENT-3503", "monitoring", "ERROR", "failed"),
            Self::Deleted => ("REDSHIFT-EVENT-2011", "management", "INFO", "was deleted"),
        };
        Facts {
            event_id,
            category,
            severity,
            verb,
        }
    }
}
