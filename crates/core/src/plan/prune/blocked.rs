//! What keeps a policy's snapshots from being removed.
//!
//! Owns: the reasons, and when each of them is there. They are told in the metrics, the log and the dry run in the same
//! words. Never looks at single snapshots.

use std::collections::BTreeSet;

use crate::observed::{Barred, MAX_LISTING_AGE, ServerClock};
use crate::operations::PassResult;
use crate::plan::Facts;
use crate::policy::Policy;
use crate::slot::Scope;

/// What keeps a policy's passes from being carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Blocked {
    /// The policy is disabled or paused.
    Halted,
    /// The history was lost and rebuilt, and nobody has acknowledged that.
    Rebuilt,
    /// The history cannot be written.
    Unwritten,
    /// This instance has taken over from another one less than 15 minutes ago.
    Handover,
    /// An account's credentials belong to another account, or to one that is not known.
    OtherAccount,
    /// This machine's clock and AWS's clock are more than 5 minutes apart.
    Skew,
    /// The endpoint sends no date.
    Undated,
    /// No complete listing of the last ten minutes is there.
    Unlisted,
    /// IAM does not allow snapshots to be deleted; that is tried again with every pass.
    Denied,
    /// The pass is the first one under these rules.
    FirstPass,
    /// The pass would remove too many.
    Breaker,
}

impl Blocked {
    /// All reasons.
    pub const ALL: [Self; 11] = [
        Self::Halted,
        Self::Rebuilt,
        Self::Unwritten,
        Self::Handover,
        Self::OtherAccount,
        Self::Skew,
        Self::Undated,
        Self::Unlisted,
        Self::Denied,
        Self::FirstPass,
        Self::Breaker,
    ];

    /// The word in the metrics and in the JSON contract.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Halted => "halted",
            Self::Rebuilt => "history_rebuilt",
            Self::Unwritten => "history_unwritable",
            Self::Handover => "handover",
            Self::OtherAccount => "account_unknown",
            Self::Skew => "clock_skew",
            Self::Undated => "no_date",
            Self::Unlisted => "not_listed",
            Self::Denied => "access_denied",
            Self::FirstPass => "first_pass",
            Self::Breaker => "breaker",
        }
    }
}

/// What lasts and keeps every pass of the policy from being carried out, whatever it would remove.
pub fn obstacles(facts: Facts<'_>, policy: &Policy) -> BTreeSet<Blocked> {
    let is_halted = !policy.enabled || facts.history.pauses.since(&policy.name).is_some();
    let handover = facts.history.handover;
    let is_recent = handover.is_some_and(|handover| handover.is_recent(facts.now));
    let own = [
        is_halted.then_some(Blocked::Halted),
        facts.history.rebuilt_at.map(|_| Blocked::Rebuilt),
        (!facts.is_written).then_some(Blocked::Unwritten),
        is_recent.then_some(Blocked::Handover),
    ];
    let scopes = policy.scopes.iter();
    let of_scopes = scopes.filter_map(|scope| obstacle_in(facts, scope));
    own.into_iter().flatten().chain(of_scopes).collect()
}

/// What keeps the policy's snapshots from being removed, the outcome of its last pass included; nothing where it
/// removes none.
pub fn blocked(facts: Facts<'_>, policy: &Policy) -> BTreeSet<Blocked> {
    if !policy.prunes() {
        return BTreeSet::new();
    }
    let last = facts.history.passes.get(&policy.name);
    let by_result = match last.map(|last| last.result) {
        None | Some(PassResult::FirstPass) => Some(Blocked::FirstPass),
        Some(PassResult::Breaker) => Some(Blocked::Breaker),
        Some(PassResult::Carried) => None,
    };
    let denied = denied(facts, policy).map(|_| Blocked::Denied);
    let mut blocked = obstacles(facts, policy);
    blocked.extend(by_result.into_iter().chain(denied));
    blocked
}

/// What AWS said when it last refused to delete one of the policy's snapshots for want of permission.
pub fn denied<'a>(facts: Facts<'a>, policy: &Policy) -> Option<&'a str> {
    let refused = |scope: &Scope| facts.observed.delete_denied.get(scope);
    let mut refused = policy.scopes.iter().filter_map(refused);
    let last = refused.find(|refused| facts.now < refused.until)?;
    Some(&last.message)
}

fn obstacle_in(facts: Facts<'_>, scope: &Scope) -> Option<Blocked> {
    let Some(view) = facts.observed.scopes.get(scope) else {
        return Some(Blocked::Unlisted);
    };
    match view.barred {
        // The other scope does the work of both.
        Some(Barred::Twin(_)) => return None,
        Some(Barred::OtherAccount { .. }) => return Some(Blocked::OtherAccount),
        None => {}
    }
    let is_from_the_future = || {
        let listing = view.snapshots.as_ref();
        listing.is_some_and(|listing| listing.began_at > facts.now)
    };
    match view.server_clock {
        ServerClock::Undated => Some(Blocked::Undated),
        ServerClock::Unasked => Some(Blocked::Unlisted),
        ServerClock::Skew(_) if !view.clocks_agree() => Some(Blocked::Skew),
        _ if view.trouble.is_some() || view.clusters.is_none() => Some(Blocked::Unlisted),
        _ if !view.listed_since(facts.now - MAX_LISTING_AGE) => Some(Blocked::Unlisted),
        _ if is_from_the_future() => Some(Blocked::Unlisted),
        _ if !view.is_identified => Some(Blocked::OtherAccount),
        _ if facts.observed.account_number(&scope.account).is_none() => Some(Blocked::OtherAccount),
        _ => None,
    }
}
