//! Telling people: one log event for each change of a run's state and for each alarm.
//!
//! Owns: the words and fields of the log. Never decides anything. A failure is told once, here.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use chrono::{DateTime, TimeDelta, Utc};
use tracing::{error, info, warn};

use crate::engine::Engine;
use crate::error_chain::with_causes;
use crate::history::{Change, History, PairState};
use crate::observed::Observed;
use crate::operations::{Pass, PassResult, Removal, SnapshotAction};
use crate::plan::{Alarm, Blocked};
use crate::refusals::has_accepted;
use crate::remedy::iam_policy;
use crate::run::{Outcome, Run, RunState};
use crate::slot::{Pair, Scope, rfc3339};
use crate::snapshot::tag;
use crate::store::Lost;
use crate::tzdb::ZoneData;

macro_rules! tell {
    ($level:ident, $run:expr, $($message:tt)+) => {
        $level!(
            policy = %$run.slot.pair.policy,
            cluster = %$run.slot.pair.cluster,
            scope = %$run.slot.pair.scope,
            slot = rfc3339($run.slot.scheduled_at),
            snapshot = %$run.request.snapshot_id,
            $($message)+
        )
    };
}

/// Whether what is known of the zone's rules is another thing than it was.
fn has_other_rules(before: &PairState, now: &PairState) -> bool {
    let rules = |state: &PairState| state.clocks.as_ref().map(|clocks| clocks.rules.clone());
    rules(before).is_some() && rules(before) != rules(now)
}

/// Whether there is nothing new to tell of the run.
fn is_same(before: &Run, run: &Run) -> bool {
    before.word() == run.word()
        && before.message == run.message
        && before.gone == run.gone
        && before.generation() == run.generation()
}

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

/// Tells what `change` means, given the history before it.
pub(super) fn change(change: &Change, history: &History) {
    match change {
        Change::Run(run) => {
            let before = history.runs.get(&run.slot);
            if before.is_some_and(|before| before.gone.is_some()) && run.gone.is_none() {
                tell!(info, run, "the snapshot that was gone is there again");
            } else if !before.is_some_and(|before| is_same(before, run)) {
                tell_run(run);
            }
        }
        Change::Adopted(run) => {
            let (state, reason) = (run.word(), run.reason().unwrap_or_default());
            tell!(
                info,
                run,
                state,
                reason,
                "found without a record, which it has now"
            );
        }
        Change::Rebuilt(_) => error!(
            "the history lacked snapshots that this installation had made: it was lost, or an older copy was put \
             in its place; it is rebuilt from their tags, and nothing is deleted until somebody has acknowledged that"
        ),
        Change::Pair(pair, state) => tell_pair_state(pair, state, history.pairs.get(pair)),
        Change::Extended(extension) => {
            let pair = &extension.slot.pair;
            warn!(
                policy = %pair.policy, cluster = %pair.cluster, scope = %pair.scope,
                slot = rfc3339(extension.slot.scheduled_at), reason = extension.reason,
                from = %extension.from, to = %extension.to,
                "kept from expiring: it is one of the last good snapshots"
            );
        }
        Change::Removal(removal) => tell_removal(removal),
        Change::Passed(pass) => tell_pass(pass, history),
        Change::SnapshotAction(action) => tell_action(action),
        // What receivers are told is in the log already, in the words of what causes it.
        Change::Condition(_) | Change::Message(_) => {}
        Change::Account(account, number) => {
            info!(%account, number, "this account's number from now on")
        }
        Change::Renamed(renaming) => {
            let (from, to, number) = (&renaming.from, &renaming.to, &renaming.number);
            info!(%from, %to, number, "the account has another name in the policy file, and keeps what it had under the old one");
        }
        Change::Clamped(pair, state) => {
            let before = history.pairs.get(pair).map(|before| before.watermark);
            warn!(
                policy = %pair.policy, cluster = %pair.cluster, scope = %pair.scope,
                before = before.map(rfc3339), now = rfc3339(state.watermark),
                "the history was ahead of AWS's time, as after a clock that was wrong; slots are due again from now on"
            );
        }
        Change::Missed(range) => {
            let pair = &range.pair;
            warn!(
                policy = %pair.policy, cluster = %pair.cluster, scope = %pair.scope,
                from = rfc3339(range.first_at), until = rfc3339(range.last_at), slots = range.count,
                "missed ({})", range.reason.as_str()
            );
        }
    }
}

/// Tells when a pair becomes active, when it no longer is, and when its zone's clocks have other rules.
fn tell_pair_state(pair: &Pair, state: &PairState, known: Option<&PairState>) {
    let (policy, cluster, scope) = (&pair.policy, &pair.cluster, &pair.scope);
    let before = known.filter(|before| before.closed_at.is_none());
    if state.closed_at.is_some() && known.is_some() && before.is_none() {
        // It only tells since when its cluster is gone.
    } else if state.closed_at.is_some() {
        info!(%policy, %cluster, %scope, "no longer active");
    } else if before.is_none_or(|before| before.active_from != state.active_from) {
        info!(%policy, %cluster, %scope, "active");
    } else if before.is_some_and(|before| has_other_rules(before, state)) {
        info!(%policy, %cluster, %scope, slots_after = rfc3339(state.watermark),
            "the clocks of its time zone have other rules; its slots follow them from here on");
    }
}

/// Tells that another host's schedule has a slot that the schedule here has not.
pub(super) fn slot_of_others(run: &Run, zone_data: &ZoneData) {
    let writer = run.request.tags.get(tag::WRITER);
    tell!(
        warn,
        run,
        writer,
        tzdb = %zone_data.version,
        tzdb_source = zone_data.source.as_str(),
        "another host made this snapshot for an instant at which the schedule here has no slot: compare its policy file \
         and, in the first line of its log, its time zone data"
    );
}

fn tell_run(run: &Run) {
    let reason = run.reason().unwrap_or_default();
    match (&run.state, &run.gone) {
        (_, Some(gone)) => tell!(info, run, "snapshot gone ({})", gone.reason.as_str()),
        (RunState::Due, None) => tell!(info, run, "due"),
        (RunState::Asking { .. }, None) => tell!(info, run, attempt = run.attempts, "requested"),
        (RunState::Waiting { until, refusal }, None) => {
            let (why, again_at) = (refusal.why.to_string(), rfc3339(*until));
            tell!(warn, run, why, reason, again_at, "refused for now");
        }
        (RunState::InDoubt { .. }, None) => {
            tell!(warn, run, reason, "looking for the snapshot");
        }
        // What it is judged to is told when it ends so.
        (RunState::Concluding { .. }, None) => {}
        (RunState::Creating { .. }, None) => tell!(info, run, "creating"),
        (RunState::Failing { .. }, None) => tell!(warn, run, "failed, asking AWS why"),
        (RunState::Ended(outcome), None) => match outcome {
            Outcome::Available => {
                let size_bytes = run
                    .snapshot
                    .as_ref()
                    .and_then(|snapshot| snapshot.size_bytes());
                tell!(info, run, size_bytes, "available");
            }
            Outcome::Skipped => tell!(warn, run, "skipped (overlap)"),
            Outcome::Missed(missed) => tell!(warn, run, "missed ({})", missed.as_str()),
            Outcome::Failed(_) | Outcome::Expired(_) | Outcome::Conflict(_) => {
                tell!(error, run, reason, "{}", outcome.word());
            }
        },
    }
}

/// Tells where AWS has begun to throttle requests, and where the pace is back at its limit; those that are slow now.
pub(super) fn throttling(
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
pub(super) fn alarms(
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

fn tell_removal(removal: &Removal) {
    let pair = &removal.slot.pair;
    let (policy, cluster, scope, snapshot) =
        (&pair.policy, &pair.cluster, &pair.scope, &removal.id);
    let why = removal.why.as_str();
    match &removal.end {
        None if removal.look_at.is_some() => {
            warn!(%policy, %cluster, %scope, %snapshot, "it is not known whether the snapshot is removed; looking for it");
        }
        None => info!(%policy, %cluster, %scope, %snapshot, why, "to be removed"),
        Some(end) if end.is_done() => info!(%policy, %cluster, %scope, %snapshot, why, "removed"),
        Some(end) => {
            let reason = end.text();
            warn!(%policy, %cluster, %scope, %snapshot, reason, "not removed; the next pass decides anew");
        }
    }
}

/// A pass that comes to the same as the one before is not told again.
fn tell_pass(pass: &Pass, history: &History) {
    let (policy, hash, count) = (&pass.policy, &pass.plan_hash, pass.plan.len());
    let before = history.passes.get(policy);
    if before.is_some_and(|before| before.plan_hash == *hash && before.result == pass.result) {
        return;
    }
    match pass.result {
        PassResult::Carried if count == 0 => return,
        PassResult::Carried => {
            info!(%policy, hash, count, "snapshots are to be removed, at most five an hour")
        }
        PassResult::FirstPass => info!(
            %policy, hash, count,
            "the first pass by these rules removes nothing; the next one, in an hour, would"
        ),
        PassResult::Breaker => warn!(
            %policy, hash, count,
            "that is too many to remove unasked; look at `redkeep prune`, and confirm it with --confirm"
        ),
    }
    for snapshot in &pass.plan {
        info!(%policy, hash, snapshot, "in the plan");
    }
}

fn tell_action(action: &SnapshotAction) {
    let (snapshot, wanted) = (&action.snapshot, action.kind.as_str());
    let end = action.end.as_ref().map(|end| (end.is_done(), end.text()));
    match end.as_ref().map(|(done, text)| (*done, text.as_str())) {
        Some((true, said)) => info!(%snapshot, "{wanted}: {said}"),
        Some((false, reason)) => error!(%snapshot, reason, "{wanted} failed"),
        None => {
            let trouble = action.trouble.as_deref();
            warn!(%snapshot, trouble, "{wanted} is not finished, and is carried on");
        }
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

/// Says loudly what the history has lost.
pub fn tell_lost(lost: &Lost) {
    let moved_to = lost.moved_to.as_deref().map(Path::display);
    error!(
        reason = with_causes(&lost.why),
        moved_to = moved_to.map(tracing::field::display),
        "the history was lost; a new one is begun and rebuilt from what the snapshots tell"
    );
}

/// Tells when the history can no longer be written, and when it can again.
pub(super) fn writing(was_failing: bool, trouble: Option<&str>) {
    match (was_failing, trouble) {
        (false, Some(reason)) => {
            error!(
                reason,
                "the history cannot be written; snapshots go on, what is to be recorded is kept in memory"
            );
        }
        (true, None) => info!("the history can be written again; nothing was lost"),
        _ => {}
    }
}
