//! What a run's record says, in words.
//!
//! Owns: one sentence for each state of an open run: what it waits for, why, and until when.

use chrono::{DateTime, Utc};

use super::ended_run::{advice, outcome, said};
use super::next_slot::{blackout_at, start};
use super::{Explanation, Past, span};
use crate::names::Trigger;
use crate::plan::advance::{is_configured, is_overlong, is_paused, queued_until, superseded};
use crate::plan::open_runs::in_scope;
use crate::retry;
use crate::run::{Reason, Refusal, Run, RunState};
use crate::schedule::first_open;
use crate::slot::rfc3339;
use crate::snapshot::{Generation, SnapshotStatus};

/// What happened to `run`, or what it waits for.
pub fn run(run: &Run, past: Past<'_>) -> Explanation {
    let told = of_state(run, past);
    match run.trigger {
        Trigger::Schedule => told,
        Trigger::Manual => Explanation {
            words: format!("asked for with `redkeep take`; {}", told.words),
            ..told
        },
    }
}

fn of_state(run: &Run, past: Past<'_>) -> Explanation {
    match &run.state {
        RunState::Due => due(run, past),
        RunState::Waiting { until, refusal } => waiting(run, *until, refusal, past),
        RunState::Asking { refusal } => Explanation::now(format!(
            "{}AWS is being asked{}; after a crash the daemon looks for the snapshot by its name",
            refusal.as_ref().map_or_else(String::new, |refusal| format!(
                "{}{}; ",
                refused(run, refusal),
                advice(&refusal.why, &run.slot.pair)
            )),
            at(" since ", run.asked_at)
        )),
        RunState::InDoubt { since, look_at } => in_doubt(run, *since, *look_at),
        RunState::Concluding { since, verdict } => Explanation::now(format!(
            "will end as {}: {}; this is recorded when a complete listing made after {} shows no snapshot of its \
             name",
            verdict.word(),
            outcome(run, verdict, past),
            rfc3339(*since)
        )),
        RunState::Creating { look_at } => creating(run, *look_at, past),
        RunState::Failing { ask_at, .. } => Explanation::until(
            *ask_at,
            format!(
                "AWS says that the snapshot failed; redkeep is asking for the reason{}",
                match (run.generation(), past.facts.now < run.request.deadline) {
                    (Generation::First, true) =>
                        ", and then for a second snapshot, whose name ends in -r1",
                    _ => "",
                }
            ),
        ),
        RunState::Ended(ended) => Explanation::now(outcome(run, ended, past)),
    }
}

fn due(run: &Run, past: Past<'_>) -> Explanation {
    let (facts, request) = (past.facts, &run.request);
    let deadline = rfc3339(request.deadline);
    if let Some(why) = withdrawn(run, past) {
        return Explanation::now(why.to_owned());
    }
    if facts.now >= request.deadline {
        return Explanation::now(format!(
            "its start window ended at {deadline} before AWS was asked: it will be missed once a complete \
             listing shows no snapshot of its name"
        ));
    }
    if superseded(facts, run) {
        return Explanation::now(
            "a newer slot is due too: this one will be missed (coalesced)".to_owned(),
        );
    }
    if facts.now < request.starts_at {
        return Explanation::until(request.starts_at, not_yet(run, past));
    }
    let open = in_scope(facts, &run.slot.pair.scope);
    if let Some(previous) = open.overlapping(run) {
        let look_at = match &previous.state {
            RunState::Creating { look_at } => Some(*look_at),
            _ => None,
        };
        return Explanation {
            words: format!(
                "the previous snapshot {} is still being made: if the next listing says so too, this slot is \
                 skipped (overlap)",
                previous.request.snapshot_id
            ),
            waits_until: look_at,
        };
    }
    held_up(run, past).unwrap_or_else(|| {
        Explanation::now(format!(
            "may start now, until {deadline}: AWS is asked as soon as a daemon runs and AWS's clock agrees"
        ))
    })
}

/// Why a slot of the schedule is not wanted any more.
fn withdrawn(run: &Run, past: Past<'_>) -> Option<&'static str> {
    if run.trigger == Trigger::Manual {
        None
    } else if !is_configured(past.facts, run) {
        Some("the policy is disabled or no longer in the file: the slot will be missed (disabled)")
    } else {
        is_paused(past.facts, run)
            .then_some("the policy is paused: the slot will be missed (paused)")
    }
}

/// Jitter or blackout, as the policy tells now; an edit since then changes nothing of the run.
fn not_yet(run: &Run, past: Past<'_>) -> String {
    let policy = past.facts.config.policy(&run.slot.pair.policy);
    let timing = policy.map(|policy| (policy, run.slot.timing(policy)));
    match timing {
        Some((policy, timing))
            if timing.starts_at.unwrap_or(timing.deadline) == run.request.starts_at =>
        {
            start(policy, run.slot.scheduled_at, timing)
        }
        _ => format!(
            "it may start from {} until {}, as was fixed when it became due",
            rfc3339(run.request.starts_at),
            rfc3339(run.request.deadline)
        ),
    }
}

/// What holds up a create call that could be made otherwise: another policy's snapshot, or a blackout.
fn held_up(run: &Run, past: Past<'_>) -> Option<Explanation> {
    let facts = past.facts;
    let open = in_scope(facts, &run.slot.pair.scope);
    if let Some(until) = queued_until(facts, run, &open) {
        let ahead = open.ahead_of(run);
        let ahead = ahead.map(|other| {
            format!(
                "policy {} on {}",
                other.slot.pair.policy, other.request.snapshot_id
            )
        });
        return Some(Explanation::until(
            until,
            format!(
                "waits for another snapshot of the cluster ({}); AWS is asked in any case from {}",
                ahead.unwrap_or_default(),
                rfc3339(until)
            ),
        ));
    }
    let policy = facts.config.policy(&run.slot.pair.policy)?;
    let open_at = first_open(&policy.blackouts(), facts.now).unwrap_or(run.request.deadline);
    let name = blackout_at(policy, facts.now)?;
    let ends = open_at.min(run.request.deadline);
    Some(Explanation::until(
        ends,
        format!(
            "waits for the end of the blackout {name:?} at {}",
            rfc3339(ends)
        ),
    ))
}

fn waiting(run: &Run, until: DateTime<Utc>, refusal: &Refusal, past: Past<'_>) -> Explanation {
    let facts = past.facts;
    let deadline = rfc3339(run.request.deadline);
    let refused = refused(run, refusal);
    if facts.now >= run.request.deadline {
        let words = format!(
            "{refused}; its start window ended at {deadline}, and the slot is about to end"
        );
        return Explanation::now(words);
    }
    if superseded(facts, run) {
        return Explanation::now(format!(
            "{refused}; a newer slot is due too, and this one is given up"
        ));
    }
    let open = in_scope(facts, &run.slot.pair.scope);
    if facts.now < until && !open.is_freed(facts, run) {
        let words = format!(
            "{refused}; asked again at {}, until {deadline}{}",
            rfc3339(until),
            advice(&refusal.why, &run.slot.pair)
        );
        return Explanation::until(until, words);
    }
    held_up(run, past).map_or_else(
        || {
            Explanation::now(format!(
                "{refused}; asked again now, until {deadline}{}",
                advice(&refusal.why, &run.slot.pair)
            ))
        },
        |told| Explanation {
            words: format!("{refused}; {}", told.words),
            ..told
        },
    )
}

fn refused(run: &Run, refusal: &Refusal) -> String {
    if run.generation() == Generation::Second
        && run.accepted_at.is_none()
        && refusal.why == Reason::SnapshotFailed
    {
        return format!(
            "the first snapshot failed{}; a second one is asked for",
            said(run)
        );
    }
    let times = match refusal.times {
        1 => String::new(),
        times => format!(" {times} times in a row"),
    };
    format!("AWS refused{times} ({}){}", refusal.why, said(run))
}

fn in_doubt(run: &Run, since: DateTime<Utc>, look_at: DateTime<Utc>) -> Explanation {
    Explanation::until(
        look_at,
        format!(
            "it is not known whether AWS accepted the create call{}{}; redkeep looks for the name until {}, and \
             then asks again under the same name",
            at(" of ", run.asked_at),
            said(run),
            rfc3339(retry::doubt_ends_at(run, since))
        ),
    )
}

fn creating(run: &Run, look_at: DateTime<Utc>, past: Past<'_>) -> Explanation {
    let now = past.facts.now;
    let accepted = run.accepted_at.unwrap_or(run.slot.scheduled_at);
    let overdue_at = accepted + run.request.completion_window;
    let alarm = match is_overlong(past.facts, run) {
        true => format!(
            "which is longer than its completion window; redkeep still follows it, and it has blocked no slot since \
             {}",
            rfc3339(overdue_at)
        ),
        false => format!("an alarm from {} on", rfc3339(overdue_at)),
    };
    let unknown = match run.description().map(|told| told.status()) {
        Some(SnapshotStatus::Unknown(word)) => format!(" with the unknown status {word:?}"),
        _ => String::new(),
    };
    let words = format!(
        "AWS has been making the snapshot{unknown} for {}{}, {alarm}; redkeep looks at it again at {}",
        span(now - accepted),
        progress(run),
        rfc3339(look_at)
    );
    Explanation::until(look_at, words)
}

fn progress(run: &Run) -> String {
    let told = run.description().and_then(|snapshot| {
        let total = snapshot
            .total_backup_size_in_mega_bytes
            .filter(|total| *total > 0.0)?;
        Some(snapshot.backup_progress_in_mega_bytes? / total * 100.0)
    });
    told.map_or_else(String::new, |percent| {
        format!(" ({percent:.0} % when last seen)")
    })
}

fn at(before: &str, instant: Option<DateTime<Utc>>) -> String {
    instant.map_or_else(String::new, |instant| {
        format!("{before}{}", rfc3339(instant))
    })
}
