//! What the messages that wait tell of the receivers.
//!
//! Owns: when a receiver is a finding. Never sends anything: `redkeep notify --test NAME` does.

use super::Finding;
use crate::names::ReceiverName;
use crate::store::Pending;

const CHECK: &str = "receivers";

/// What is to be said of these receivers; nothing where there is none.
pub fn findings<'a>(
    names: impl Iterator<Item = &'a ReceiverName>,
    pending: &[Pending],
) -> Vec<Finding> {
    names.map(|name| finding(name, pending)).collect()
}

fn finding(name: &ReceiverName, pending: &[Pending]) -> Finding {
    let waiting = pending.iter().filter(|one| one.message.receiver == *name);
    let waiting: Vec<&Pending> = waiting.collect();
    let tried = waiting.iter().filter(|one| one.trouble.is_some());
    let Some(last) = tried.max_by_key(|one| one.next_at) else {
        let found = match waiting.len() {
            0 => format!("{name}: no message waits"),
            1 => format!("{name}: one message waits"),
            count => format!("{name}: {count} messages wait"),
        };
        return Finding::ok(CHECK, found);
    };
    let attempts = waiting.iter().map(|one| one.attempts).max().unwrap_or(0);
    let trouble = last.trouble.as_deref().unwrap_or_default();
    let found = match waiting.len() {
        1 => format!("{name}: one message waits after {attempts} attempts: {trouble}"),
        count => format!("{name}: {count} messages wait after {attempts} attempts: {trouble}"),
    };
    let advice = format!("`redkeep notify --test {name}` shows what the receiver answers");
    Finding::failed(CHECK, found, advice)
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};

    use super::*;
    use crate::doctor::Severity;
    use redkeep_core::notify::test_message;

    #[test]
    fn a_receiver_that_accepts_nothing_is_a_failure_and_one_whose_messages_wait_is_none() {
        let names: [ReceiverName; 2] = ["ops", "mail"].map(|name| name.parse().unwrap());
        let now = DateTime::<Utc>::UNIX_EPOCH;
        let waits = |name: &ReceiverName, trouble: Option<&str>| Pending {
            message: test_message(name, now),
            attempts: 3,
            next_at: now,
            trouble: trouble.map(str::to_owned),
        };
        let pending = [
            waits(&names[0], Some("connection refused")),
            waits(&names[1], None),
        ];
        let told = findings(names.iter(), &pending);
        assert_eq!(told[0].verdict, Severity::Failed);
        assert!(told[0].found.ends_with("connection refused"), "{told:?}");
        assert_eq!(told[1].verdict, Severity::Ok);
        assert_eq!(findings([].iter(), &pending), []);
    }
}
