//! What a run's record says, in words.
//!
//! Owns: one sentence for each state and outcome: what happened, why, and for an open run what it waits for.

use chrono::{DateTime, TimeDelta, Utc};

use super::coming::{blackout_at, start};
use super::{Past, Told, span};
use crate::history::MissedRange;
use crate::plan::runs::{
    blocks, is_configured, is_overlong, is_paused, overlapping, queued_until, superseded,
};
use crate::retry;
use crate::run::{GoneReason, Missed, Outcome, Refusal, Run, RunState};
use crate::schedule::first_open;
use crate::slot::rfc3339;
use crate::snapshot::{Generation, SnapshotStatus, Trigger};

/// What happened to `run`, or what it waits for.
pub fn run(run: &Run, past: Past<'_>) -> Told {
    match &run.state {
        RunState::Due => due(run, past),
        RunState::Waiting { until, refusal } => waiting(run, *until, refusal, past),
        RunState::Asking { .. } => Told::now(format!(
            "AWS is being asked{}; after a crash of the daemon it is looked for by its name",
            at(" since ", run.asked_at)
        )),
        RunState::InDoubt { since, look_at } => in_doubt(run, *since, *look_at),
        RunState::Judged { since, verdict } => Told::now(format!(
            "is to end as {}: {}; recorded once a complete listing made after {} shows no snapshot of its name",
            verdict.word(),
            outcome(run, verdict, past),
            rfc3339(*since)
        )),
        RunState::Creating { look_at } => creating(run, *look_at, past),
        RunState::Failing { ask_at, .. } => Told::until(
            *ask_at,
            format!(
                "AWS says that the snapshot failed; the reason is being asked for{}",
                match (run.generation(), past.facts.now < run.request.deadline) {
                    (Generation::First, true) =>
                        ", and then for a second snapshot, whose name ends in -r1",
                    _ => "",
                }
            ),
        ),
        RunState::Ended(ended) => Told::now(outcome(run, ended, past)),
    }
}

/// What a range of missed slots says.
pub fn missed_range(range: &MissedRange) -> String {
    format!(
        "{} slots in a row up to {}: {}",
        range.count,
        rfc3339(range.last_at),
        match range.reason {
            Missed::Late =>
                "their start windows ended before AWS could be asked; no daemon ran, or AWS did not answer",
            Missed::Blackout => "a blackout covered their start windows",
            Missed::Coalesced => "newer slots were due too",
            Missed::Disabled => "the policy was switched off or removed before they started",
            Missed::Paused => "the policy was paused (`redkeep pause`)",
        }
    )
}

fn due(run: &Run, past: Past<'_>) -> Told {
    let (facts, request) = (past.facts, &run.request);
    let deadline = rfc3339(request.deadline);
    if let Some(fate) = withdrawn(run, past) {
        return Told::now(fate.to_owned());
    }
    if facts.now >= request.deadline {
        return Told::now(format!(
            "its start window ended at {deadline} before AWS was asked: it will be missed once a complete \
             listing shows no snapshot of its name"
        ));
    }
    if superseded(facts, run) {
        return Told::now("a newer slot is due too: it will be missed(coalesced)".to_owned());
    }
    if facts.now < request.starts_at {
        return Told::until(request.starts_at, not_yet(run, past));
    }
    if let Some(previous) = overlapping(facts, run) {
        return Told::until(
            request.deadline,
            format!(
                "the previous snapshot {} is still being made: {}",
                previous.request.snapshot_id,
                match run.trigger {
                    Trigger::Schedule =>
                        "if the next listing says so too, this slot is skipped(overlap)",
                    Trigger::Manual => "this one is asked for after it",
                }
            ),
        );
    }
    held_up(run, past).unwrap_or_else(|| {
        Told::until(
            request.deadline,
            format!("may start now, until {deadline}: AWS is asked as soon as a daemon runs and AWS's clock agrees"),
        )
    })
}

/// Why a slot of the schedule is not wanted any more.
fn withdrawn(run: &Run, past: Past<'_>) -> Option<&'static str> {
    if run.trigger == Trigger::Manual {
        None
    } else if !is_configured(past.facts, run) {
        Some("the policy is switched off or not in the file any more: it will be missed(disabled)")
    } else {
        is_paused(past.facts, run).then_some("the policy is paused: it will be missed(paused)")
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
fn held_up(run: &Run, past: Past<'_>) -> Option<Told> {
    let facts = past.facts;
    if let Some(until) = queued_until(facts, run, &[]) {
        let ahead = facts.history.open().find(|other| {
            other.slot != run.slot
                && other.slot.pair.scope == run.slot.pair.scope
                && other.slot.pair.cluster == run.slot.pair.cluster
                && blocks(facts, other)
        });
        let ahead = ahead.map(|other| {
            format!(
                "policy {} on {}",
                other.slot.pair.policy, other.request.snapshot_id
            )
        });
        return Some(Told::until(
            until,
            format!(
                "queues behind another snapshot of the cluster ({}); asked all the same from {}",
                ahead.unwrap_or_default(),
                rfc3339(until)
            ),
        ));
    }
    let policy = facts.config.policy(&run.slot.pair.policy)?;
    let open_at = first_open(&policy.blackouts(), facts.now).unwrap_or(run.request.deadline);
    let name = blackout_at(policy, facts.now)?;
    let ends = open_at.min(run.request.deadline);
    Some(Told::until(
        ends,
        format!("held up by the blackout {name:?} until {}", rfc3339(ends)),
    ))
}

fn waiting(run: &Run, until: DateTime<Utc>, refusal: &Refusal, past: Past<'_>) -> Told {
    let facts = past.facts;
    let deadline = rfc3339(run.request.deadline);
    let refused = refused(run, refusal);
    if facts.now >= run.request.deadline {
        let words =
            format!("{refused}; its start window ended at {deadline}, and it is about to end");
        return Told::now(words);
    }
    if superseded(facts, run) {
        return Told::now(format!(
            "{refused}; a newer slot is due too, and this one is given up"
        ));
    }
    if facts.now < until {
        let words = format!(
            "{refused}; asked again at {}, until {deadline}{}",
            rfc3339(until),
            advice(&refusal.why)
        );
        return Told::until(until, words);
    }
    held_up(run, past).map_or_else(
        || {
            Told::now(format!(
                "{refused}; asked again now, until {deadline}{}",
                advice(&refusal.why)
            ))
        },
        |told| Told {
            words: format!("{refused}; {}", told.words),
            ..told
        },
    )
}

fn refused(run: &Run, refusal: &Refusal) -> String {
    if run.generation() == Generation::Second
        && run.accepted_at.is_none()
        && refusal.why == Outcome::SNAPSHOT_FAILED
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

/// What an operator can do about what stands in the way, in the words of [`crate::redshift::ErrorClass::reason`].
fn advice(why: &str) -> &'static str {
    match why {
        "access denied" => "; compare the identity's permissions with `redkeep iam-policy`",
        "quota" => "; delete manual snapshots, or have the quota raised",
        "credentials" => "; look at the credentials of the account, `redkeep doctor` tries them",
        "clock skew" => "; set this machine's clock",
        "unreachable" | "no clear answer" => "; `redkeep doctor` tries to reach AWS",
        "not_found" => "; look at the cluster's name and region",
        why if why.starts_with("cluster ") => {
            "; a cluster takes snapshots only while it is available"
        }
        _ => "",
    }
}

fn in_doubt(run: &Run, since: DateTime<Utc>, look_at: DateTime<Utc>) -> Told {
    Told::until(
        look_at,
        format!(
            "whether AWS accepted the create call{} is not known{}; the name is looked for until {}, and then \
             asked for again under the same name",
            at(" of ", run.asked_at),
            said(run),
            rfc3339(retry::doubt_ends_at(run, since))
        ),
    )
}

fn creating(run: &Run, look_at: DateTime<Utc>, past: Past<'_>) -> Told {
    let now = past.facts.now;
    let accepted = run.accepted_at.unwrap_or(run.slot.scheduled_at);
    let overdue_at = accepted + run.request.completion_window;
    let fate = match is_overlong(past.facts, run) {
        true => format!(
            "which is longer than its completion window; it is followed on, and blocks no slot since {}",
            rfc3339(overdue_at)
        ),
        false => format!("an alarm from {} on", rfc3339(overdue_at)),
    };
    let unknown = match run.snapshot.as_ref().map(|snapshot| snapshot.status()) {
        Some(SnapshotStatus::Unknown(word)) => format!(" with the unknown status {word:?}"),
        _ => String::new(),
    };
    let words = format!(
        "AWS has been making the snapshot{unknown} for {}{}, {fate}; looked at again at {}",
        span(now - accepted),
        progress(run),
        rfc3339(look_at)
    );
    Told::until(look_at, words)
}

fn progress(run: &Run) -> String {
    let told = run.snapshot.as_ref().and_then(|snapshot| {
        let total = snapshot
            .total_backup_size_in_mega_bytes
            .filter(|total| *total > 0.0)?;
        Some(snapshot.backup_progress_in_mega_bytes? / total * 100.0)
    });
    told.map_or_else(String::new, |percent| {
        format!(" ({percent:.0} % when last seen)")
    })
}

fn outcome(run: &Run, outcome: &Outcome, past: Past<'_>) -> String {
    match outcome {
        Outcome::Available => available(run),
        Outcome::Failed(why) => failed(run, why),
        Outcome::Missed(missed) => not_started(run, *missed, past),
        Outcome::Skipped => skipped(run, past),
        Outcome::Expired(why) => expired(run, why),
        Outcome::Conflict(what) => format!(
            "a snapshot of this name exists and is not redkeep's ({what}); it was left alone"
        ),
    }
}

fn available(run: &Run) -> String {
    let delay = |instant: DateTime<Utc>| span(instant - run.slot.scheduled_at);
    let asked = run.requested_at.map_or_else(
        || "found under its name, without having been asked for here".to_owned(),
        |requested| format!("asked for {} after its slot", delay(requested)),
    );
    let complete = run
        .ended_at
        .map(|ended| format!(", complete {} after it", delay(ended)));
    let attempts = match run.attempts {
        0 | 1 => String::new(),
        attempts => format!("; it took {attempts} create calls{}", said(run)),
    };
    let second = match run.generation() {
        Generation::First => "",
        Generation::Second => "; the second one, after the first failed",
    };
    let fate = run.gone.as_ref().map_or_else(
        || match run.request.retention.days_or_minus_one() {
            -1 => "kept until somebody deletes it".to_owned(),
            days => format!("kept by AWS for {days} d"),
        },
        |gone| {
            let how = match gone.reason {
                GoneReason::Expired => "its retention had passed",
                GoneReason::Deleted => "somebody deleted it; it is not made again",
            };
            format!("not there any more since {}: {how}", rfc3339(gone.at))
        },
    );
    format!(
        "{asked}{}{attempts}{second}; {fate}",
        complete.unwrap_or_default()
    )
}

fn failed(run: &Run, why: &str) -> String {
    let told = said(run);
    match why {
        Outcome::SNAPSHOT_FAILED => {
            let second = match run.generation() {
                Generation::First => "",
                Generation::Second => ", and there was no second one in time",
            };
            format!("AWS accepted the snapshot and could not complete it{second}{told}")
        }
        "not_found" => format!("AWS has no such cluster here{told}"),
        "config" => {
            format!("AWS refuses the request for good, it is the policy that must change{told}")
        }
        why => format!("{why}{told}"),
    }
}

fn expired(run: &Run, why: &str) -> String {
    let calls = match run.attempts {
        1 => "one create call".to_owned(),
        attempts => format!("{attempts} create calls"),
    };
    match why.strip_prefix("superseded: ") {
        Some(why) => format!(
            "AWS had not accepted it ({why}) when a newer slot was due too, after {calls}{}",
            said(run)
        ),
        None => format!(
            "AWS had not accepted it when its start window ended at {} ({why}), after {calls}{}{}",
            rfc3339(run.request.deadline),
            said(run),
            advice(why)
        ),
    }
}

fn not_started(run: &Run, missed: Missed, past: Past<'_>) -> String {
    let deadline = rfc3339(run.request.deadline);
    match missed {
        Missed::Late => format!(
            "its start window ended at {deadline} before AWS was asked: {}",
            match &run.message {
                Some(message) => format!("AWS could not be listed ({message})"),
                None =>
                    "no daemon ran then, or AWS did not answer, or the clocks disagreed".to_owned(),
            }
        ),
        Missed::Blackout => {
            let policy = past.facts.config.policy(&run.slot.pair.policy);
            let name = policy.and_then(|policy| blackout_at(policy, run.slot.scheduled_at));
            let name = name.map_or_else(
                || "a blackout".to_owned(),
                |name| format!("the blackout {name:?}"),
            );
            format!("{name} covered its whole start window, up to {deadline}")
        }
        Missed::Coalesced => {
            let newer = past
                .recent
                .iter()
                .find(|other| other.slot.scheduled_at > run.slot.scheduled_at);
            let newer = newer.map(|newer| format!(" ({})", rfc3339(newer.slot.scheduled_at)));
            format!(
                "a newer slot was due too{}: of several only the newest is taken",
                newer.unwrap_or_default()
            )
        }
        Missed::Disabled => "the policy was switched off or removed before it started".to_owned(),
        Missed::Paused => "the policy was paused (`redkeep pause`)".to_owned(),
    }
}

fn skipped(run: &Run, past: Past<'_>) -> String {
    let began = run.ended_at.unwrap_or(run.request.starts_at);
    let was_open = |other: &&Run| {
        other.slot.scheduled_at < run.slot.scheduled_at
            && other.accepted_at.is_some()
            && other
                .ended_at
                .is_none_or(|ended| ended + TimeDelta::seconds(1) > began)
    };
    let previous = past.recent.iter().rev().find(was_open);
    let previous = previous.map(|previous| format!(" {}", previous.request.snapshot_id));
    format!(
        "overlap: the snapshot{} of an earlier slot was still being made",
        previous.unwrap_or_default()
    )
}

/// What AWS, or the transport, said last.
fn said(run: &Run) -> String {
    run.message
        .as_ref()
        .map_or_else(String::new, |message| format!(": {message}"))
}

fn at(before: &str, instant: Option<DateTime<Utc>>) -> String {
    instant.map_or_else(String::new, |instant| {
        format!("{before}{}", rfc3339(instant))
    })
}
