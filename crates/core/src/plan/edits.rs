//! Pairs that the configuration has under another schedule than the history, or not at all.
//!
//! Owns: closing the old schedule first. A pair's slots up to the edit are those of the schedule that it was activated
//! under, also where the edit was made while the daemon was down or AWS did not answer: they get their records, and inside
//! their windows their snapshots, before the pair goes on under the new one. The edit is the instant at which the daemon
//! first saw it. What the history has of an old schedule and nobody can read any more holds nothing up. A cluster that
//! comes and goes is no edit.

use chrono::{DateTime, Utc};

use super::Facts;
use crate::history::PairState;
use crate::names::{PolicyName, Retention};
use crate::policy::Policy;
use crate::schedule::{Schedule, Zone};
use crate::slot::Pair;
use crate::tzdb;

/// What a pair was, up to an edit of the configuration.
pub(super) struct Old {
    /// The policy as it is, with the schedule as it was.
    pub(super) policy: Policy,
    /// The edit.
    pub(super) until: DateTime<Utc>,
}

impl Old {
    /// Whether a slot of the old schedule has not been taken up.
    pub(super) fn has_more(&self, state: &PairState) -> bool {
        let next = self.policy.schedule.next_after(state.watermark);
        next.is_some_and(|next| next <= self.until)
    }
}

/// The pair as it was, if the configuration has it no longer so; `None` also where that cannot be told.
pub(super) fn old(facts: Facts<'_>, pair: &Pair, state: &PairState) -> Option<Old> {
    if !state.is_active() || is_in_force(facts, pair, state) {
        return None;
    }
    let schedule = Schedule::parse(&state.schedule, zone(facts, &state.timezone)?).ok()?;
    let policy = match facts.config.policy(&pair.policy) {
        Some(policy) => Policy {
            schedule,
            ..policy.clone()
        },
        None => withdrawn(pair.policy.clone(), schedule),
    };
    let until = edited_at(facts, pair)?;
    Some(Old { policy, until })
}

/// The zone of that name: as the configuration has it, where it does.
fn zone(facts: Facts<'_>, name: &str) -> Option<Zone> {
    let policies = facts.config.policies.iter();
    let mut configured = policies.map(|policy| policy.schedule.timezone());
    let known = configured.find(|zone| zone.name() == name).cloned();
    known.or_else(|| tzdb::bundled(name))
}

/// Whether the configuration has the pair as the history has it.
fn is_in_force(facts: Facts<'_>, pair: &Pair, state: &PairState) -> bool {
    let policy = facts.config.policy(&pair.policy);
    policy.is_some_and(|policy| has(policy, pair) && is_scheduled_so(policy, state))
}

/// Whether the policy is for the pair, as far as the file alone tells.
pub(super) fn has(policy: &Policy, pair: &Pair) -> bool {
    policy.enabled
        && policy.scopes.contains(&pair.scope)
        && policy.selector.may_select(&pair.cluster)
}

/// Whether the policy has the schedule that the pair was activated under.
pub(super) fn is_scheduled_so(policy: &Policy, state: &PairState) -> bool {
    policy.schedule.expression() == state.schedule
        && policy.schedule.timezone().name() == state.timezone
}

/// When the daemon first saw what the configuration now says of the pair's policy: by AWS's clock where ours is wrong, and
/// `None` until AWS has told its time. A scope that is not configured any more is not asked for it.
pub(super) fn edited_at(facts: Facts<'_>, pair: &Pair) -> Option<DateTime<Utc>> {
    let seen_at = facts.observed.configured_at(&pair.policy).min(facts.now);
    match facts.observed.scopes.get(&pair.scope) {
        Some(view) => Some(view.present(facts.now)? - (facts.now - seen_at)),
        None => Some(seen_at),
    }
}

/// A policy that is not in the file any more: nothing is known of it but its schedule, and nothing of it is started.
fn withdrawn(name: PolicyName, schedule: Schedule) -> Policy {
    Policy {
        enabled: false,
        ..Policy::new(name, schedule, Retention::Forever.into())
    }
}
