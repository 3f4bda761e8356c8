//! What was asked of the sandbox, for tests and for people who try a client.
//!
//! Owns: the last 1,000 requests and how each ended. Never keeps a password, an access key or a signature.

use std::collections::VecDeque;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::query::Params;

const ENTRIES_MAX: usize = 1_000;

/// One request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// When the request was read, by the sandbox's clock.
    pub received_at: DateTime<Utc>,
    /// The value of `Action`.
    pub operation: String,
    /// The number of the account that the caller acts in, if its key is known.
    pub account: Option<String>,
    /// From the credential scope.
    pub region: String,
    /// All parameters, passwords blotted out.
    pub parameters: Params,
    /// The fault that struck it.
    pub fault: Option<&'static str>,
    /// `ok` or the code of the refusal; absent while it runs and when it was never carried out.
    pub outcome: Option<String>,
}

/// The log.
#[derive(Debug, Clone, Default)]
pub struct RequestLog {
    entries: VecDeque<Entry>,
    /// How many have been forgotten: the number of the first entry.
    forgotten: u64,
}

impl RequestLog {
    /// Adds a request and gives its number; the oldest is forgotten when there are too many.
    pub fn push(&mut self, entry: Entry) -> u64 {
        if self.entries.len() == ENTRIES_MAX {
            self.entries.pop_front();
            self.forgotten += 1;
        }
        self.entries.push_back(entry);
        self.forgotten + self.entries.len() as u64 - 1
    }

    /// Writes down how the request of that number ended, if it is still known.
    pub fn finish(&mut self, number: u64, outcome: &str) {
        let place = number.checked_sub(self.forgotten);
        let place = place.and_then(|place| usize::try_from(place).ok());
        if let Some(entry) = place.and_then(|place| self.entries.get_mut(place)) {
            entry.outcome = Some(outcome.to_owned());
        }
    }

    /// Oldest first.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_keeps_the_newest_and_knows_how_each_ended() {
        let mut log = RequestLog::default();
        let entry = |number: u32| Entry {
            received_at: DateTime::UNIX_EPOCH,
            operation: format!("Operation{number}"),
            account: None,
            region: "eu-central-1".to_owned(),
            parameters: Params::default(),
            fault: None,
            outcome: None,
        };
        let numbers: Vec<u64> = (0..1_001).map(|number| log.push(entry(number))).collect();
        log.finish(numbers[0], "lost");
        log.finish(numbers[1_000], "ok");
        assert_eq!(log.entries().count(), 1_000);
        assert_eq!(
            log.entries().next().map(|entry| entry.operation.as_str()),
            Some("Operation1")
        );
        let ended: Vec<_> = log
            .entries()
            .filter(|entry| entry.outcome.is_some())
            .collect();
        assert_eq!(ended.len(), 1);
        assert_eq!(ended[0].operation, "Operation1000");
    }
}
