//! PagerDuty's Events API v2.
//!
//! Owns: the event: `trigger` when something begins or goes on, `resolve` when it is over, with the key of the condition.

use serde_json::json;

use super::parcel::Contents;
use super::words::details;
use crate::aws::Outgoing;
use crate::outbox::{Message, MessageState, Severity};
use crate::slot::rfc3339;

/// The longest summary that PagerDuty takes, in characters.
const LONGEST_SUMMARY: usize = 1024;

pub(super) fn request(url: String, routing_key: &str, contents: &Contents<'_>) -> Outgoing {
    let message = contents.message();
    let mut event = json!({
        "routing_key": routing_key,
        "event_action": "resolve",
        "dedup_key": message.dedup_key,
    });
    if message.state != MessageState::Over {
        event["event_action"] = "trigger".into();
        event["client"] = "redkeep".into();
        event["payload"] = payload(message, contents.namespace.as_str());
    }
    Outgoing {
        url,
        headers: vec![("content-type", "application/json".to_owned())],
        body: event.to_string(),
    }
}

fn payload(message: &Message, namespace: &str) -> serde_json::Value {
    let content = &message.content;
    let summary: String = content.title.chars().take(LONGEST_SUMMARY).collect();
    let severity = match message.severity {
        Severity::Info => "info",
        Severity::Warning => "warning",
        Severity::Critical => "critical",
    };
    let region = content.region.as_deref().unwrap_or("all regions");
    json!({
        "summary": summary,
        "source": format!("{namespace} in {region}"),
        "severity": severity,
        "timestamp": rfc3339(message.created_at),
        "component": content.cluster,
        "group": content.policy,
        "class": message.event.as_str(),
        "custom_details": {
            "id": message.id,
            "details": details(message),
            "action": content.action,
            "account": content.account,
            "scheduled_at": content.scheduled_at,
            "snapshot_id": content.snapshot_id,
        },
    })
}
