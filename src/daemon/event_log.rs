//! Telling people: one log event for each change of a run's state and for each alarm.
//!
//! Owns: the words and fields of the log. Never decides anything. A failure is told once, here.

mod alarms;

use std::path::Path;

use tracing::{error, info, warn};

pub(super) use self::alarms::{Logged, alarms, throttling};

use crate::error_chain::with_causes;
use crate::history::{Change, History, PairState};
use crate::operations::{Pass, PassResult, Removal, SnapshotAction};
use crate::run::{Outcome, Run, RunState};
use crate::slot::{Pair, rfc3339};
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

/// Tells what `change` means, given the history before it.
pub(super) fn change(change: &Change, history: &History) {
    match change {
        Change::Run(run) => {
            let before = history.runs.get(&run.slot);
            if before.is_some_and(|before| before.gone.is_some()) && run.gone.is_none() {
                tell!(info, run, "the snapshot that was gone exists again");
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
                "found without a record; the history has one now"
            );
        }
        Change::Rebuilt(_) => error!(
            "the history lacked snapshots that this installation had made: it was lost, or an older copy was put \
             in its place; redkeep rebuilds it from their tags, and deletes nothing until somebody acknowledges \
             that with `redkeep prune --acknowledge`"
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
                "the history was ahead of AWS's time, as after a wrong clock; slots are due again from now on"
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
            "the rules of its time zone have changed; its slots follow the new rules from now on");
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
        // Its outcome is told when it ends.
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

fn tell_removal(removal: &Removal) {
    let pair = &removal.slot.pair;
    let (policy, cluster, scope, snapshot) =
        (&pair.policy, &pair.cluster, &pair.scope, &removal.id);
    let why = removal.why.as_str();
    match &removal.end {
        None if removal.look_at.is_some() => {
            warn!(%policy, %cluster, %scope, %snapshot, "it is not known whether the snapshot was deleted; looking \
                for it");
        }
        None => info!(%policy, %cluster, %scope, %snapshot, why, "to be deleted"),
        Some(end) if end.is_done() => info!(%policy, %cluster, %scope, %snapshot, why, "removed"),
        Some(end) => {
            let reason = end.text();
            warn!(%policy, %cluster, %scope, %snapshot, reason, "not deleted; the next pass decides again");
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
            info!(%policy, hash, count, "the next snapshots will be deleted, at most 5 an hour")
        }
        PassResult::FirstPass => info!(
            %policy, hash, count,
            "the first pass under these rules deletes nothing; the next one, in an hour, would"
        ),
        PassResult::Breaker => warn!(
            %policy, hash, count,
            "these are too many to delete without a confirmation; look at `redkeep prune`, and confirm the plan \
             with --confirm"
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
            warn!(%snapshot, trouble, "{wanted} is not finished; redkeep continues it");
        }
    }
}

/// Says loudly what the history has lost.
pub fn tell_lost(lost: &Lost) {
    let moved_to = lost.moved_to.as_deref().map(Path::display);
    error!(
        reason = with_causes(&lost.why),
        moved_to = moved_to.map(tracing::field::display),
        "the history was lost; redkeep creates a new one and rebuilds it from the snapshots"
    );
}

/// Tells when the history can no longer be written, and when it can again.
pub(super) fn writing(was_failing: bool, trouble: Option<&str>) {
    match (was_failing, trouble) {
        (false, Some(reason)) => {
            error!(
                reason,
                "the history cannot be written; snapshots continue, and records are kept in memory"
            );
        }
        (true, None) => info!("the history can be written again; nothing was lost"),
        _ => {}
    }
}
