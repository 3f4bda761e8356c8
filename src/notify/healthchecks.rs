//! The ping API of healthchecks.io, which others have too.
//!
//! Owns: the URL of each ping: `/start`, `/fail`, the bare one for success, with the run's id; `/log` for a trial, which
//! changes nothing of the check.

use super::words::plain;
use crate::aws::Outgoing;
use crate::outbox::{Event, Message, MessageState};

/// The place of the policy's name in a URL.
const POLICY: &str = "{policy}";

pub(super) fn request(url: &str, message: &Message) -> Outgoing {
    let signal = match (message.event, message.state) {
        (Event::Test, _) => "/log",
        (_, MessageState::Started) => "/start",
        (_, MessageState::Begun | MessageState::Repeated) => "/fail",
        (_, MessageState::Over) => "",
    };
    Outgoing {
        url: ping(url, signal, message),
        headers: vec![
            ("content-type", "text/plain; charset=utf-8".to_owned()),
            ("idempotency-key", message.id.clone()),
        ],
        body: plain(message),
    }
}

/// The daemon's own sign of life.
pub(super) fn sign_of_life(url: &str, body: String) -> Outgoing {
    Outgoing {
        url: url.to_owned(),
        headers: vec![("content-type", "text/plain; charset=utf-8".to_owned())],
        body,
    }
}

fn ping(url: &str, signal: &str, message: &Message) -> String {
    let policy = message.content.policy.as_deref().unwrap_or("redkeep");
    let url = url.replace(POLICY, policy);
    let (path, query) = match url.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (url.as_str(), None),
    };
    let run_id = message.run_id.as_ref().map(|id| format!("rid={id}"));
    let parts: Vec<&str> = query.into_iter().chain(run_id.as_deref()).collect();
    let mark = if parts.is_empty() { "" } else { "?" };
    let path = path.trim_end_matches('/');
    format!("{path}{signal}{mark}{}", parts.join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ping_keeps_the_query_and_names_the_policy() {
        let at = chrono::DateTime::UNIX_EPOCH;
        let mut message = redkeep_core::notify::test_message(&"hc".parse().unwrap(), at);
        message.event = Event::Run;
        message.run_id = Some("r".to_owned());
        message.content.policy = Some("nightly".to_owned());
        let url = "https://hc.example.com/KEY/{policy}/?create=1";
        message.state = MessageState::Started;
        let wanted = "https://hc.example.com/KEY/nightly/start?create=1&rid=r";
        assert_eq!(request(url, &message).url, wanted);
        message.state = MessageState::Begun;
        assert_eq!(
            request("https://h/u", &message).url,
            "https://h/u/fail?rid=r"
        );
        message.state = MessageState::Over;
        assert_eq!(request("https://h/u", &message).url, "https://h/u?rid=r");
        message.event = Event::Test;
        message.run_id = None;
        assert_eq!(request("https://h/u", &message).url, "https://h/u/log");
    }
}
