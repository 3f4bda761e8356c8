//! Slots: which instants are due for which cluster, and when each may start.
//!
//! Owns: the identity of a scope, a pair and a slot, and a slot's timing (jitter, blackout, deadline) as
//! docs/semantics.md lays down. Never knows what became of a slot: that is a run's business.

use std::fmt;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};

use crate::digest;
use crate::names::{AccountName, ClusterId, PolicyName, Region};
use crate::policy::Policy;
use crate::schedule::{first_open, jitter};

/// One account in one region: one API client, one rate budget, one listing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scope {
    /// The account's name in the policy file.
    pub account: AccountName,
    /// The AWS region.
    pub region: Region,
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.account, self.region)
    }
}

/// A policy applied to one cluster: the unit that is activated, paused and reported on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pair {
    /// The policy.
    pub policy: PolicyName,
    /// Where the cluster is.
    pub scope: Scope,
    /// The cluster.
    pub cluster: ClusterId,
}

impl fmt::Display for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} in {}", self.policy, self.cluster, self.scope)
    }
}

/// One instant at which one snapshot of one cluster is due.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot {
    /// What is due.
    pub pair: Pair,
    /// The nominal instant, before jitter.
    pub scheduled_at: DateTime<Utc>,
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.pair, rfc3339(self.scheduled_at))
    }
}

/// RFC 3339 in UTC with `Z` and whole seconds, the form of every instant that redkeep writes.
pub fn rfc3339(instant: DateTime<Utc>) -> String {
    instant.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// When a slot may start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// The instant after jitter, before blackouts.
    pub ready_at: DateTime<Utc>,
    /// The first instant at which the snapshot may be asked for; `None` when a blackout covers the whole
    /// start window.
    pub starts_at: Option<DateTime<Utc>>,
    /// The instant from which it may no longer be asked for.
    pub deadline: DateTime<Utc>,
    /// From this slot to the next of its schedule.
    pub interval: TimeDelta,
}

/// Past this, a slot of a policy with `catch_up = false` is missed.
const PROMPT_WINDOW: TimeDelta = TimeDelta::minutes(5);
const SHORTEST_DEFAULT_WINDOW: TimeDelta = TimeDelta::seconds(60);
const LONGEST_DEFAULT_WINDOW: TimeDelta = TimeDelta::hours(8);

impl Slot {
    /// The slot as bytes that no change of wording moves, for what is random but repeatable: each part
    /// preceded by its length.
    pub fn seed(&self) -> Vec<u8> {
        let Scope { account, region } = &self.pair.scope;
        let instant = rfc3339(self.scheduled_at);
        let parts = [
            account.as_str(),
            region.as_str(),
            self.pair.policy.as_str(),
            self.pair.cluster.as_str(),
            &instant,
        ];
        digest::framed(parts)
    }

    /// The timing of this slot under `policy`.
    ///
    /// The deadline is `scheduled_at + start_window`, by default half the interval, at least 60 s and at
    /// most 8 h. Jitter is a hash of the slot below min(`jitter`, interval, window/2): the same after a
    /// restart, different between clusters.
    pub fn timing(&self, policy: &Policy) -> Timing {
        timing(policy, self.scheduled_at, |limit| {
            jitter(&self.seed(), limit)
        })
    }
}

/// The timing that the slots of every cluster share at an instant, if the policy has no jitter.
pub fn timing_of_all(policy: &Policy, scheduled_at: DateTime<Utc>) -> Option<Timing> {
    policy
        .jitter
        .is_zero()
        .then(|| timing(policy, scheduled_at, |_| TimeDelta::zero()))
}

fn timing(
    policy: &Policy,
    scheduled_at: DateTime<Utc>,
    delay: impl FnOnce(TimeDelta) -> TimeDelta,
) -> Timing {
    let interval = policy
        .schedule
        .next_after(scheduled_at)
        .map_or(LONGEST_DEFAULT_WINDOW * 2, |next| next - scheduled_at);
    let window = start_window(policy, interval);
    let deadline = scheduled_at + window;
    let ready_at = scheduled_at + delay(policy.jitter.min(interval).min(window / 2));
    Timing {
        ready_at,
        starts_at: first_open(&policy.blackouts(), ready_at).filter(|start| *start < deadline),
        deadline,
        interval,
    }
}

fn start_window(policy: &Policy, interval: TimeDelta) -> TimeDelta {
    let window = policy
        .start_window
        .unwrap_or_else(|| (interval / 2).clamp(SHORTEST_DEFAULT_WINDOW, LONGEST_DEFAULT_WINDOW));
    if policy.catch_up {
        window
    } else {
        window.min(PROMPT_WINDOW)
    }
}
