//! One attempt to deliver something: by which way, and what the answer means.
//!
//! Owns: the time-out, and that an answer other than success is none: a redirect is refused and not followed, since
//! where it leads nobody has written down. Never retries.

use chrono::{DateTime, TimeDelta, Utc};
use redkeep_core::notify::delivery::{Delivery, Form};

use super::{TIMEOUT, alertmanager, email, healthchecks, pagerduty, secret, slack, webhook};
use crate::aws::{HttpAnswer, Outgoing, OutgoingClient};
use crate::config::network;
use crate::names::Namespace;
use crate::outbox::{Message, Receiver, ReceiverKind, Target, bounded};
use crate::told::command;

/// What is delivered, and whose it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Contents<'a> {
    pub(super) delivery: &'a Delivery,
    pub(super) namespace: &'a Namespace,
}

impl<'a> Contents<'a> {
    /// The message; the delivery planner never makes one without.
    pub(super) fn message(&self) -> &'a Message {
        &self.delivery.messages[0]
    }

    pub(super) fn form(&self) -> Form {
        self.delivery.form
    }
}

/// What came of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sent {
    /// The receiver has it, and said this.
    Delivered(String),
    /// The receiver will never take it.
    Refused(String),
    /// The receiver may take the message later.
    Failed {
        /// Why not now.
        why: String,
        /// How long the receiver asks to be left alone.
        retry_after: Option<TimeDelta>,
    },
}

impl Sent {
    pub(super) fn failed(why: impl Into<String>) -> Self {
        Self::Failed {
            why: bounded(&why.into()),
            retry_after: None,
        }
    }
}

/// Makes one attempt, which takes ten seconds at most.
pub async fn send(
    client: &OutgoingClient,
    receiver: &Receiver,
    delivery: &Delivery,
    namespace: &Namespace,
    now: DateTime<Utc>,
) -> Sent {
    let delivery = &with_whole_commands(delivery);
    let contents = Contents {
        delivery,
        namespace,
    };
    let attempt = async {
        match receiver.kind {
            ReceiverKind::Email => email::send(receiver, &contents).await,
            _ => match request(receiver, &contents, now).await {
                Ok(outgoing) => post(client, receiver, outgoing, now).await,
                Err(failed) => failed,
            },
        }
    };
    in_time(attempt).await
}

/// The history has the commands alone.
fn with_whole_commands(delivery: &Delivery) -> Delivery {
    let mut delivery = delivery.clone();
    for message in &mut delivery.messages {
        message.content.action = command::whole(&message.content.action).into_owned();
    }
    delivery
}

/// What comes of an attempt, which takes ten seconds at most.
pub(super) async fn in_time(attempt: impl Future<Output = Sent>) -> Sent {
    let late = |_| Sent::failed(format!("no answer within {}s", TIMEOUT.as_secs()));
    tokio::time::timeout(TIMEOUT, attempt)
        .await
        .unwrap_or_else(late)
}

async fn request(
    receiver: &Receiver,
    contents: &Contents<'_>,
    now: DateTime<Utc>,
) -> Result<Outgoing, Sent> {
    let failed = |error: secret::SecretError| Sent::failed(error.to_string());
    let url = secret::address(&receiver.target).await.map_err(failed)?;
    let secret = match &receiver.secret {
        Some(place) => Some(secret::read(place).await.map_err(failed)?),
        None => None,
    };
    Ok(match receiver.kind {
        ReceiverKind::Webhook => webhook::request(url, secret.as_deref(), contents, now),
        ReceiverKind::Slack => slack::request(url, contents),
        ReceiverKind::Pagerduty => {
            pagerduty::request(url, secret.as_deref().unwrap_or_default(), contents)
        }
        ReceiverKind::Alertmanager => {
            let messages = &contents.delivery.messages;
            alertmanager::request(&url, contents.namespace.as_str(), messages, now)
        }
        ReceiverKind::Healthchecks => healthchecks::request(&url, contents.message()),
        ReceiverKind::Email => return Err(Sent::failed("mail is no request")),
    })
}

/// Posts a request, unless it would go in clear to another host and nobody wants that.
pub(super) async fn post(
    client: &OutgoingClient,
    receiver: &Receiver,
    outgoing: Outgoing,
    now: DateTime<Utc>,
) -> Sent {
    let is_http = ["http://", "https://"];
    if !is_http
        .iter()
        .any(|scheme| outgoing.url.starts_with(scheme))
    {
        return Sent::failed("the stored URL is not a URL: wanted https://…");
    }
    let host = network::host(&outgoing.url);
    let is_clear = network::is_clear(&outgoing.url) && !network::is_loopback(host);
    if is_clear && !receiver.allow_clear {
        return Sent::failed(
            "the URL is of plain http, wanted https: allow_clear = true in the policy file lets it pass",
        );
    }
    match client.post(outgoing).await {
        Ok(answer) => judged(receiver.kind, &without_secrets(receiver, answer), now),
        Err(unanswered) => Sent::failed(unanswered.to_string()),
    }
}

/// Servers repeat the path that was asked for, or what was posted: nothing is told of an answer that may have a secret in it.
fn without_secrets(receiver: &Receiver, answer: HttpAnswer) -> HttpAnswer {
    let is_address_secret = matches!(receiver.target, Target::Secret(_));
    // The signature of a webhook is no secret, and the key of PagerDuty stands in what is posted.
    let is_key_sent = receiver.kind == ReceiverKind::Pagerduty && receiver.secret.is_some();
    match is_address_secret || is_key_sent {
        true => HttpAnswer {
            body: String::new(),
            ..answer
        },
        false => answer,
    }
}

fn judged(kind: ReceiverKind, answer: &HttpAnswer, now: DateTime<Utc>) -> Sent {
    let said = bounded(answer.body.trim());
    let told = format!("HTTP {}: {said}", answer.status);
    let told = told.trim_end_matches(": ").to_owned();
    match (kind, answer.status) {
        (_, 200..=299) => Sent::Delivered(told),
        (_, 300..=399) => Sent::failed(format!(
            "HTTP {}: redkeep does not follow redirects; use the URL that it leads to",
            answer.status
        )),
        // "Events API v2 Overview": the event is wrong, and stays wrong.
        (ReceiverKind::Pagerduty | ReceiverKind::Alertmanager, 400) => Sent::Refused(told),
        // What is wrong with a ping is wrong with each try, and no other check is to wait for it.
        (ReceiverKind::Healthchecks, 400..=499) if ![408, 429].contains(&answer.status) => {
            Sent::Refused(told)
        }
        (_, 429 | 503) => Sent::Failed {
            why: told,
            retry_after: answer
                .retry_after
                .as_deref()
                .and_then(|text| waits_for(text, now)),
        },
        _ => Sent::failed(told),
    }
}

/// Retry-After has seconds or an instant (RFC 9110, 10.2.3).
fn waits_for(text: &str, now: DateTime<Utc>) -> Option<TimeDelta> {
    let text = text.trim();
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    // However many digits it has: the distance has a bound of its own.
    let seconds = is_number.then(|| text.parse::<u32>().unwrap_or(u32::MAX).into());
    let seconds = seconds.or_else(|| {
        let at = DateTime::parse_from_rfc2822(text).ok()?;
        Some((at.to_utc() - now).num_seconds())
    });
    seconds.and_then(TimeDelta::try_seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, retry_after: Option<&str>) -> HttpAnswer {
        HttpAnswer {
            status,
            retry_after: retry_after.map(str::to_owned),
            body: "ok\n".to_owned(),
        }
    }

    #[test]
    fn only_success_is_success() {
        let at = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
        let webhook = |status| judged(ReceiverKind::Webhook, &answer(status, None), at);
        assert_eq!(webhook(204), Sent::Delivered("HTTP 204: ok".to_owned()));
        for status in [199, 301, 302, 307, 400, 404, 410, 500, 503] {
            assert!(matches!(webhook(status), Sent::Failed { .. }), "{status}");
        }
        let refused = judged(ReceiverKind::Pagerduty, &answer(400, None), at);
        assert!(matches!(refused, Sent::Refused(_)));
    }

    #[test]
    fn retry_after_is_read_in_both_forms() {
        let at = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
        let waits = |text| waits_for(text, at).map(|wait| wait.num_seconds());
        assert_eq!(waits("120"), Some(120));
        assert_eq!(waits("Tue, 14 Nov 2023 22:14:20 GMT"), Some(60));
        assert_eq!(waits("soon"), None);
        assert_eq!(waits(&"9".repeat(40)), Some(u32::MAX.into()));
        let sent = judged(ReceiverKind::Slack, &answer(429, Some("30")), at);
        let wanted = Sent::Failed {
            why: "HTTP 429: ok".to_owned(),
            retry_after: Some(TimeDelta::seconds(30)),
        };
        assert_eq!(sent, wanted);
    }
}
