//! Telling people: one log event for each change of a run's state and for each alarm.
//!
//! Owns: the words and fields of the log. Never decides anything. A failure is told once, here.

use std::collections::BTreeSet;

use tracing::{error, info, warn};

use crate::history::{Change, History};
use crate::plan::Alarm;
use crate::run::{Outcome, Phase, Run, RunState};
use crate::slot::rfc3339;

/// Tells what `change` means, given the history before it.
pub(super) fn change(change: &Change, history: &History) {
    match change {
        Change::Run(run) => {
            let before = history.runs.get(&run.slot);
            let same = before.is_some_and(|before| {
                before.state.word() == run.state.word()
                    && before.message == run.message
                    && before.gone == run.gone
                    && before.generation() == run.generation()
            });
            if !same {
                tell_run(run);
            }
        }
        Change::Pair(pair, state) => {
            let (policy, cluster, scope) = (&pair.policy, &pair.cluster, &pair.scope);
            let before = history
                .pairs
                .get(pair)
                .filter(|before| before.closed_at.is_none());
            if state.closed_at.is_some() {
                info!(%policy, %cluster, %scope, "no longer active");
            } else if before.is_none_or(|before| before.active_from != state.active_from) {
                info!(%policy, %cluster, %scope, "active");
            }
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

fn tell_run(run: &Run) {
    let reason = run.reason().unwrap_or_default();
    match (&run.state, &run.gone) {
        (_, Some(gone)) => tell!(info, run, "snapshot gone ({})", gone.reason.as_str()),
        (RunState::Due, None) => tell!(info, run, "due"),
        (RunState::Requested { phase, .. }, None) => tell_requested(run, phase, &reason),
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

fn tell_requested(run: &Run, phase: &Phase, reason: &str) {
    match phase {
        Phase::Asking => tell!(info, run, attempt = run.attempts, "requested"),
        Phase::Waiting { until, why } => {
            tell!(
                warn,
                run,
                why,
                reason,
                again_at = rfc3339(*until),
                "refused for now"
            );
        }
        Phase::InDoubt { .. } => tell!(
            warn,
            run,
            reason,
            "no clear answer, looking for the snapshot"
        ),
        Phase::Judged { .. } => {}
    }
}

/// Tells the alarms that have begun and those that are over.
pub(super) fn alarms(before: &BTreeSet<Alarm>, now: &BTreeSet<Alarm>) {
    for alarm in now.difference(before) {
        match alarm {
            Alarm::StillCreating(slot) => {
                warn!(%slot, "still creating after the completion window")
            }
            Alarm::UnknownStatus(slot, status) => warn!(%slot, status, "unknown snapshot status"),
            Alarm::QuotaReached(scope, quota) => {
                warn!(%scope, quota, "the quota of manual snapshots is reached");
            }
            Alarm::ClockSkew(scope) => {
                error!(%scope, "this machine's clock and AWS's are more than five minutes apart");
            }
            Alarm::Unreachable(scope, reason) => warn!(%scope, reason, "listing failed"),
        }
    }
    for alarm in before.difference(now) {
        match alarm {
            Alarm::Unreachable(scope, _) => info!(%scope, "listing works again"),
            Alarm::ClockSkew(scope) => info!(%scope, "the clocks agree again"),
            _ => {}
        }
    }
}
