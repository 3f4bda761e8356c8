//! A message as lines for people.
//!
//! Owns: the order in which they read it. What each kind of receiver makes of the lines is its own.

use crate::outbox::{Message, MessageState};

/// The first line: how bad it is, or that it is over, and what it is.
pub(super) fn headline(message: &Message) -> String {
    let mark = match message.state {
        MessageState::Over => "ok",
        MessageState::Started => "started",
        MessageState::Begun | MessageState::Repeated => message.severity.as_str(),
    };
    let again = match message.state {
        MessageState::Repeated => " (still)",
        _ => "",
    };
    format!("[{mark}] {}{again}", message.content.title)
}

/// The lines below it: slot, reason, since when, and what helps.
pub(super) fn details(message: &Message) -> Vec<String> {
    let content = &message.content;
    let mut lines = Vec::new();
    if let Some(slot) = content
        .local_time
        .as_ref()
        .or(content.scheduled_at.as_ref())
    {
        lines.push(format!("slot: {slot}"));
    }
    if !content.reason.is_empty() {
        lines.push(content.reason.clone());
    }
    if message.state == MessageState::Repeated {
        let since = crate::slot::rfc3339(message.since);
        let times = match message.count {
            0 | 1 => String::new(),
            times => format!(", {times} times"),
        };
        lines.push(format!("since {since}{times}"));
    }
    lines
}

/// The whole, a line each, with the command that helps.
pub(super) fn plain(message: &Message) -> String {
    let mut lines = vec![headline(message)];
    lines.extend(details(message));
    if !message.content.action.is_empty() {
        lines.push(format!("→ {}", message.content.action));
    }
    lines.join("\n")
}
