//! Alertmanager's API v2, for those who do not alert by redkeep's metrics.
//!
//! Owns: the alerts. An alert is told again every few minutes for as long as it goes on, as Prometheus does: an
//! Alertmanager forgets what it is not reminded of, and knows nothing after a restart.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value, json};

use super::words::details;
use crate::aws::Outgoing;
use crate::outbox::{Condition, Event, Message, MessageState};
use crate::slot::rfc3339;

/// How often what goes on is told again.
pub(super) const REMIND_EACH: TimeDelta = TimeDelta::minutes(5);
/// For how long an alert stands without that.
const STANDS_FOR: TimeDelta = TimeDelta::hours(1);

pub(super) fn request(
    url: &str,
    namespace: &str,
    messages: &[Message],
    now: DateTime<Utc>,
) -> Outgoing {
    let alerts = messages
        .iter()
        .map(|message| alert(message, namespace, now));
    post(url, alerts.collect())
}

/// Reminds it of everything that goes on.
pub(super) fn reminder(
    url: &str,
    namespace: &str,
    told: &[Condition],
    now: DateTime<Utc>,
) -> Outgoing {
    let messages = told.iter().map(|condition| Message {
        id: String::new(),
        receiver: condition.key.receiver.clone(),
        event: condition.key.cause.event(),
        state: MessageState::Begun,
        severity: condition.key.cause.severity(),
        dedup_key: condition.key.dedup_key(),
        since: condition.since,
        created_at: now,
        due_at: now,
        run_id: None,
        count: condition.count,
        content: condition.content.clone(),
    });
    let messages: Vec<Message> = messages.collect();
    request(url, namespace, &messages, now)
}

fn post(url: &str, alerts: Vec<Value>) -> Outgoing {
    const PATH: &str = "/api/v2/alerts";
    let base = url.trim_end_matches('/');
    let url = match base.ends_with(PATH) {
        true => base.to_owned(),
        false => format!("{base}{PATH}"),
    };
    Outgoing {
        url,
        headers: vec![("content-type", "application/json".to_owned())],
        body: Value::Array(alerts).to_string(),
    }
}

/// The labels are what tells an alert from others: nothing is in them that changes while it goes on.
fn alert(message: &Message, namespace: &str, now: DateTime<Utc>) -> Value {
    let content = &message.content;
    let mut labels = Map::new();
    let mut label = |name: &str, value: &str| labels.insert(name.to_owned(), value.into());
    label("alertname", &name(message.event));
    label("namespace", namespace);
    label("severity", message.severity.as_str());
    label("dedup_key", &message.dedup_key);
    let parts = [
        ("policy", &content.policy),
        ("account", &content.account),
        ("region", &content.region),
        ("cluster", &content.cluster),
    ];
    for (name, value) in parts {
        value.iter().for_each(|value| drop(label(name, value)));
    }
    let ends_at = match message.state {
        MessageState::Over => now,
        _ => now + STANDS_FOR,
    };
    json!({
        "labels": labels,
        "annotations": {
            "summary": content.title,
            "description": details(message).join("\n"),
            "action": content.action,
        },
        "startsAt": rfc3339(message.since.min(ends_at)),
        "endsAt": rfc3339(ends_at),
    })
}

/// `quota_near` as `RedkeepQuotaNear`, the name of redkeep's own rule.
fn name(event: Event) -> String {
    let capital = |word: &str| {
        let (first, rest) = word.split_at(word.len().min(1));
        first.to_ascii_uppercase() + rest
    };
    let words = event.as_str().split('_').map(capital);
    std::iter::once("Redkeep".to_owned()).chain(words).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alert_has_the_name_of_the_rule_of_the_same_thing() {
        assert_eq!(name(Event::QuotaNear), "RedkeepQuotaNear");
        assert_eq!(
            post("http://a:9093/", Vec::new()).url,
            "http://a:9093/api/v2/alerts"
        );
        let whole = "http://a/x/api/v2/alerts";
        assert_eq!(post(whole, Vec::new()).url, whole);
    }
}
