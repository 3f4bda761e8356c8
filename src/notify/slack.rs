//! Slack's incoming webhooks, and Mattermost's, which take the same.
//!
//! Owns: the text, with what both would read as markup made harmless.

use serde_json::json;

use super::parcel::Contents;
use super::words::{details, headline};
use crate::aws::Outgoing;

pub(super) fn request(url: String, contents: &Contents<'_>) -> Outgoing {
    let message = contents.message();
    let mut lines = vec![escaped(&headline(message))];
    lines.extend(details(message).iter().map(|line| escaped(line)));
    if !message.content.action.is_empty() {
        lines.push(format!("`{}`", message.content.action.replace('`', "'")));
    }
    Outgoing {
        url,
        headers: vec![("content-type", "application/json".to_owned())],
        body: json!({ "text": lines.join("\n") }).to_string(),
    }
}

/// "Escaping text" in Slack's documentation: these three; then nobody is mentioned and nothing is a link.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_message_mentions_anybody() {
        assert_eq!(escaped("<!channel> a & b"), "&lt;!channel&gt; a &amp; b");
    }
}
