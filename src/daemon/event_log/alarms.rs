//! The log's lines on what goes on: when it begins, when its cause is another, and when it is over.
//!
//! Owns: their words. Never decides what an alarm is.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use tracing::{error, info, warn};

use crate::engine::Engine;
use crate::history::PairState;
use crate::observed::Observed;
use crate::plan::{Alarm, Blocked};
use crate::refusals::has_accepted;
use crate::remedy::iam_policy;
use crate::slot::{Scope, rfc3339};

macro_rules! tell_slot {
    ($level:ident, $slot:expr, $engine:expr, $($message:tt)+) => {
        $level!(
            policy = %$slot.pair.policy,
            cluster = %$slot.pair.cluster,
            scope = %$slot.pair.scope,
            slot = rfc3339($slot.scheduled_at),
            snapshot = $engine.history().runs.get($slot).map(|run| display(&run.request.snapshot_id)),
            $($message)+
        )
    };
}

macro_rules! tell_pair {
    ($level:ident, $pair:expr, $($message:tt)+) => {
        $level!(
            policy = %$pair.policy,
            cluster = %$pair.cluster,
            scope = %$pair.scope,
            $($message)+
        )
    };
}

/// Tells where AWS has begun to throttle requests, and where the pace is back at its limit; those that are slow now.
pub(in crate::daemon) fn throttling(
    before: &BTreeSet<Scope>,
    observed: &Observed,
    now: DateTime<Utc>,
) -> BTreeSet<Scope> {
    let slowed = observed.scopes.iter();
    let slowed = slowed.filter(|(_, view)| view.budget.is_slowed(now));
    let slowed: BTreeSet<Scope> = slowed.map(|(scope, _)| scope.clone()).collect();
    for scope in slowed.difference(before) {
        let rate = observed.scopes.get(scope).map(|view| view.budget.pace(now));
        warn!(
            account = %scope.account,
            region = %scope.region,
            requests_per_second = rate,
            "AWS throttles requests; redkeep asks half as often, and a quarter more each minute while nothing is throttled"
        );
    }
    for scope in before.difference(&slowed) {
        info!(
            account = %scope.account,
            region = %scope.region,
            "AWS throttles requests no more; redkeep asks as often as max_requests_per_second allows"
        );
    }
    slowed
}

/// Tells the alarms that have begun and those that are over.
pub(in crate::daemon) fn alarms(
    before: &BTreeMap<Alarm, String>,
    now: &BTreeMap<Alarm, String>,
    engine: &Engine,
    instant: DateTime<Utc>,
) {
    for (alarm, said) in now {
        if !before.contains_key(alarm) || is_other_cause(before, alarm, said, engine) {
            begun(alarm, said, engine);
        }
    }
    let over = before.keys().filter(|alarm| !now.contains_key(alarm));
    for alarm in over.filter(|alarm| is_watched(alarm, engine, instant)) {
        ended(alarm);
    }
}

/// Whether a scope lacks credentials for another reason than before: that one is mended, and this one is next.
fn is_other_cause(
    before: &BTreeMap<Alarm, String>,
    alarm: &Alarm,
    said: &str,
    engine: &Engine,
) -> bool {
    let Alarm::Unreachable(scope) = alarm else {
        return false;
    };
    let view = engine.observed().scopes.get(scope);
    view.is_some_and(|view| view.lacks_credentials)
        && before.get(alarm).is_some_and(|before| before != said)
}

fn begun(alarm: &Alarm, said: &str, engine: &Engine) {
    match alarm {
        Alarm::StillCreating(slot) => {
            tell_slot!(
                warn,
                slot,
                engine,
                "still creating after the completion window"
            );
        }
        Alarm::UnknownStatus(slot) => {
            tell_slot!(warn, slot, engine, status = said, "unknown snapshot status");
        }
        Alarm::RpoBreach(pair) => {
            tell_pair!(error, pair, reason = said, "older than the policy's rpo");
        }
        Alarm::QuotaReached(scope) => {
            error!(%scope, said, "the quota of manual snapshots is reached: AWS refuses new ones; \
                    delete some, or have AWS raise the quota and set snapshot_quota");
        }
        Alarm::QuotaNear(scope) => {
            warn!(%scope, said, "the quota of manual snapshots is nearly reached");
        }
        Alarm::NoSuchCluster(pair) => {
            tell_pair!(
                warn,
                pair,
                said,
                "the policy names a cluster that AWS does not list"
            );
        }
        Alarm::AccessDenied(scope) => {
            error!(%scope, said, "no snapshot can be made without permission; `{}` prints what is needed",
                iam_policy(&scope.account));
        }
        Alarm::ClockSkew(scope) => {
            error!(%scope, said, "this machine's clock and AWS's are more than five minutes apart");
        }
        Alarm::Unreachable(scope) => warn!(%scope, reason = said, "listing failed"),
        Alarm::SameAccount(scope) => {
            error!(%scope, twin = said, "the same AWS account and region twice; only the other one works");
        }
        Alarm::GuardRefused(_)
        | Alarm::HalfHeld(..)
        | Alarm::LettingGo(_)
        | Alarm::PruneBlocked(..)
        | Alarm::ConfirmationLapsed(_) => keeping(alarm, said, engine),
        Alarm::Unidentified(scope) => {
            warn!(%scope, "sts:GetCallerIdentity does not tell whose account this is; snapshots go on, \
                    and nothing that is missing in it is taken to be gone until it does");
        }
        Alarm::OtherAccount(account) => {
            error!(%account, number = said, "the account is another one than before; nothing is done in it; \
                    give it a name of its own in the policy file, or its former credentials back");
        }
    }
}

/// An alarm about what is kept at AWS, or is not.
fn keeping(alarm: &Alarm, said: &str, engine: &Engine) {
    match alarm {
        Alarm::GuardRefused(slot) => {
            tell_slot!(
                error,
                slot,
                engine,
                reason = said,
                "one of the last good snapshots is about to expire and cannot be kept"
            );
        }
        Alarm::HalfHeld(scope, snapshot) => {
            error!(
                %scope, %snapshot, reason = said,
                "it has the tag redkeep:hold, and expires all the same; `redkeep hold` or `redkeep release` again \
                 makes it whole"
            );
        }
        Alarm::LettingGo(slot) => {
            tell_slot!(
                warn,
                slot,
                engine,
                "the last good snapshots of a cluster that is gone for longer than guard_gone expire soon"
            );
        }
        Alarm::PruneBlocked(policy, Blocked::Breaker) => {
            warn!(%policy, hash = said, "nothing is removed until somebody confirms the plan");
        }
        Alarm::PruneBlocked(policy, blocked) => {
            error!(%policy, reason = blocked.as_str(), message = said, "no snapshots are removed");
        }
        Alarm::ConfirmationLapsed(policy) => {
            warn!(%policy, confirmed_at = said, "the confirmation of a plan was not used within a day, and does not \
                    hold any more; look at `redkeep prune`, and confirm it again if it is right");
        }
        _ => {}
    }
}

fn ended(alarm: &Alarm) {
    match alarm {
        Alarm::Unreachable(scope) => info!(%scope, "listing works again"),
        Alarm::RpoBreach(pair) => {
            tell_pair!(info, pair, "no longer older than the policy's rpo");
        }
        Alarm::NoSuchCluster(pair) => tell_pair!(info, pair, "AWS lists the cluster"),
        Alarm::ClockSkew(scope) => info!(%scope, "the clocks agree again"),
        Alarm::AccessDenied(scope) => info!(%scope, "no longer refused for want of permission"),
        Alarm::QuotaReached(scope) => {
            info!(%scope, "below the quota of manual snapshots again")
        }
        Alarm::QuotaNear(scope) => info!(%scope, "no longer near the quota of manual snapshots"),
        Alarm::PruneBlocked(policy, blocked) => {
            info!(%policy, reason = blocked.as_str(), "no longer keeps snapshots from being removed");
        }
        Alarm::Unidentified(scope) => info!(%scope, "whose account this is is known again"),
        Alarm::HalfHeld(scope, snapshot) => {
            info!(%scope, %snapshot, "no longer half on hold");
        }
        Alarm::StillCreating(_)
        | Alarm::UnknownStatus(_)
        | Alarm::SameAccount(_)
        | Alarm::GuardRefused(_)
        | Alarm::LettingGo(_)
        | Alarm::ConfirmationLapsed(_)
        | Alarm::OtherAccount(_) => {}
    }
}

/// What has ended an alarm happened at most so long before the daemon sees it.
const LATELY: TimeDelta = TimeDelta::minutes(5);

/// Whether what an alarm is about is still looked at. If not, its end is no good news but a change of the policy file.
fn is_watched(alarm: &Alarm, engine: &Engine, now: DateTime<Utc>) -> bool {
    match alarm {
        Alarm::QuotaNear(scope)
        | Alarm::QuotaReached(scope)
        | Alarm::ClockSkew(scope)
        | Alarm::Unreachable(scope)
        | Alarm::Unidentified(scope)
        | Alarm::HalfHeld(scope, _)
        | Alarm::SameAccount(scope) => engine.observed().scopes.contains_key(scope),
        // It may also be that nothing is asked for there any more.
        Alarm::AccessDenied(scope) => has_accepted(engine.history(), scope, now - LATELY),
        Alarm::RpoBreach(pair) | Alarm::NoSuchCluster(pair) => {
            let state = engine.history().pairs.get(pair);
            state.is_some_and(PairState::is_active)
        }
        Alarm::PruneBlocked(policy, _) | Alarm::ConfirmationLapsed(policy) => {
            engine.config().policy(policy).is_some()
        }
        Alarm::StillCreating(_)
        | Alarm::UnknownStatus(_)
        | Alarm::GuardRefused(_)
        | Alarm::LettingGo(_)
        | Alarm::OtherAccount(_) => true,
    }
}
