//! The texts of a receiver: credentials' names, mail addresses, and URLs that are secrets.
//!
//! Owns: their grammars, as pure functions. Never knows where a text was written.

use redkeep_core::outbox::ReceiverKind;

/// The names that systemd allows for credentials.
pub(super) fn is_credential(text: &str) -> bool {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    !text.is_empty() && text.len() <= 255 && text.bytes().all(is_plain) && !text.starts_with('.')
}

/// Enough to find a slip; the server knows which addresses there are.
pub(super) fn is_address(text: &str) -> bool {
    let Some((user, host)) = text.rsplit_once('@') else {
        return false;
    };
    let is_plain = |b: u8| b.is_ascii_graphic() && !b"<>()[],;:\\\"".contains(&b);
    let is_host = |b: u8| b.is_ascii_alphanumeric() || b"-.".contains(&b);
    !user.is_empty() && !host.is_empty() && user.bytes().all(is_plain) && host.bytes().all(is_host)
}

/// What in a URL is a secret, in words; `None` where nothing is.
pub(super) fn secret_in(kind: ReceiverKind, url: &str) -> Option<&'static str> {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.contains('@') {
        return Some("a user name or a password in it");
    }
    if rest.contains('?') || rest.contains('#') {
        return Some("a query in it");
    }
    let path = rest.get(authority.len()..).unwrap_or_default();
    let segments = || path.split('/').filter(|segment| !segment.is_empty());
    // Such a URL lets whoever knows it write into the channel, or stop the check's alarm.
    let is_only_url = matches!(kind, ReceiverKind::Slack | ReceiverKind::Healthchecks);
    let may_be_token = |segment: &str| {
        let mixed = segment.bytes().any(|b| b.is_ascii_digit())
            && segment.bytes().any(|b| b.is_ascii_alphabetic());
        segment.len() >= 16 && mixed
    };
    if segments().any(may_be_token) || (is_only_url && segments().next().is_some()) {
        return Some("a token in its path");
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::PAGERDUTY;
    use super::*;

    #[test]
    fn a_url_that_is_a_secret_is_known_as_one() {
        use ReceiverKind::{Alertmanager, Healthchecks, Slack, Webhook};
        let slack = ["https://hooks.slack.com/services/", "T00000000/B00000000/x"].concat();
        for (kind, url) in [
            (Slack, slack.as_str()),
            (Slack, "https://chat.example.com/hooks/abc"),
            (Healthchecks, "https://hc.example.com/ping/nightly"),
            (Webhook, "https://me:hunter2@example.com/x"),
            (Webhook, "https://example.com/x?token=hunter2"),
            (Webhook, "https://example.com/hooks/5f0c9a3b2d1e4f60"),
            (Alertmanager, "https://u@am.example.com"),
        ] {
            assert!(secret_in(kind, url).is_some(), "{url}");
        }
        for (kind, url) in [
            (Webhook, "https://example.com/hooks/redkeep"),
            (Alertmanager, "http://127.0.0.1:9093/alertmanager"),
            (ReceiverKind::Email, "smtps://mail.example.com:465"),
            (ReceiverKind::Pagerduty, PAGERDUTY),
        ] {
            assert_eq!(secret_in(kind, url), None, "{url}");
        }
    }

    #[test]
    fn addresses_and_credentials_have_a_grammar() {
        for good in ["a@b", "redkeep+dw@mail.example.com"] {
            assert!(is_address(good), "{good}");
        }
        for bad in ["", "a", "@b", "a@", "a b@c", "a@b\nBcc: x@y", "<a@b>"] {
            assert!(!is_address(bad), "{bad}");
        }
        assert!(is_credential("redkeep.slack"));
        for bad in ["", "a/b", "../x", ".", "a b"] {
            assert!(!is_credential(bad), "{bad}");
        }
    }
}
