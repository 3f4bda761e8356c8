//! Pauses: the stretches in which a policy's slots are not started.
//!
//! Owns: which slots a pause covers. Never asks what the time is: a slot is judged by its own instant, so that
//! it is missed (paused) whether the daemon ran through the pause or was down for all of it.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use crate::names::PolicyName;

/// From one `pause` to the next `resume`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pause {
    /// Slots after this instant …
    pub paused_at: DateTime<Utc>,
    /// … up to and including this one are not started; `None` while it lasts.
    pub resumed_at: Option<DateTime<Utc>>,
}

impl Pause {
    fn covers(&self, scheduled_at: DateTime<Utc>) -> bool {
        let begun = self.paused_at < scheduled_at;
        begun && self.resumed_at.is_none_or(|end| scheduled_at <= end)
    }
}

/// All pauses that there have been, by policy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pauses(BTreeMap<PolicyName, Vec<Pause>>);

impl Pauses {
    /// Whether the slot of `policy` at `scheduled_at` falls into a pause.
    pub fn covers(&self, policy: &PolicyName, scheduled_at: DateTime<Utc>) -> bool {
        let mut pauses = self.0.get(policy).into_iter().flatten();
        pauses.any(|pause| pause.covers(scheduled_at))
    }

    /// Since when `policy` is paused; `None` where it is not.
    pub fn since(&self, policy: &PolicyName) -> Option<DateTime<Utc>> {
        let mut pauses = self.0.get(policy)?.iter();
        pauses
            .find(|pause| pause.resumed_at.is_none())
            .map(|pause| pause.paused_at)
    }

    /// The policies that are paused now.
    pub fn policies(&self) -> impl Iterator<Item = &PolicyName> {
        self.0.keys().filter(|policy| self.since(policy).is_some())
    }
}

impl FromIterator<(PolicyName, Pause)> for Pauses {
    fn from_iter<I: IntoIterator<Item = (PolicyName, Pause)>>(pauses: I) -> Self {
        let mut by_policy = Self::default();
        for (policy, pause) in pauses {
            by_policy.0.entry(policy).or_default().push(pause);
        }
        by_policy
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(60 * minute, 0).unwrap()
    }

    #[test]
    fn a_pause_covers_the_slots_after_its_beginning_up_to_its_end() {
        let policy: PolicyName = "nightly".parse().unwrap();
        let pause = |paused, resumed: Option<i64>| {
            let resumed_at = resumed.map(at);
            let paused_at = at(paused);
            (
                policy.clone(),
                Pause {
                    paused_at,
                    resumed_at,
                },
            )
        };
        let pauses = Pauses::from_iter([pause(10, Some(20)), pause(30, None)]);
        let covered =
            [10, 11, 20, 21, 30, 31, 9999].map(|minute| pauses.covers(&policy, at(minute)));
        assert_eq!(covered, [false, true, true, false, false, true, true]);
        assert_eq!(pauses.since(&policy), Some(at(30)));
        assert_eq!(
            Pauses::from_iter([pause(10, Some(20))]).since(&policy),
            None
        );
        assert!(!pauses.covers(&"hourly".parse().unwrap(), at(11)));
    }
}
