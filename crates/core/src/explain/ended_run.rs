//! How a run ended, or is to end, in words.
//!
//! Owns: one sentence for each outcome, with its reason; what AWS said and what an operator can do about it.

use chrono::{DateTime, TimeDelta, Utc};

use super::next_slot::blackout_at;
use super::{Past, span};
use crate::history::MissedRange;
use crate::remedy;
use crate::run::{GoneReason, Missed, Outcome, Reason, Run};
use crate::slot::{Pair, rfc3339};
use crate::snapshot::Generation;

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
            Missed::Disabled => "the policy was disabled or removed before they started",
            Missed::Paused => "the policy was paused (`redkeep pause`)",
        }
    )
}

/// What the outcome says of the run.
pub(super) fn outcome(run: &Run, outcome: &Outcome, past: Past<'_>) -> String {
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
        || "found by its name; this history has no request for it".to_owned(),
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
    let afterwards = run.gone.as_ref().map_or_else(
        || match run.request.retention.days_or_minus_one() {
            -1 => format!("kept until somebody deletes it{}", tier(run)),
            days => format!("kept by AWS for {days}d{}", tier(run)),
        },
        |gone| {
            let how = match gone.reason {
                GoneReason::Pruned => "redkeep deleted it, as its policy says",
                GoneReason::Expired => "its retention period was over",
                GoneReason::Deleted => "somebody deleted it; redkeep does not make it again",
            };
            format!("gone since {}: {how}", rfc3339(gone.at))
        },
    );
    format!(
        "{asked}{}{attempts}{second}; {afterwards}",
        complete.unwrap_or_default()
    )
}

/// The retention class with its reason, where the policy has several.
fn tier(run: &Run) -> String {
    let request = &run.request;
    request
        .tier_reason
        .as_ref()
        .map_or_else(String::new, |why| {
            format!(" ({}: {why})", request.tier.as_str())
        })
}

fn failed(run: &Run, why: &Reason) -> String {
    let told = format!("{}{}", said(run), advice(why, &run.slot.pair));
    match why {
        Reason::SnapshotFailed => {
            let second = match run.generation() {
                Generation::First => "",
                Generation::Second => ", and a second one could not be made in time",
            };
            format!("AWS accepted the snapshot but could not complete it{second}{told}")
        }
        Reason::NotFound => format!("AWS has no such cluster here{told}"),
        Reason::Config => {
            format!("AWS refuses the request permanently; the policy must change{told}")
        }
        Reason::AccountRemoved => {
            format!("its account was removed from the policy file before it ended{told}")
        }
        why => format!("{why}{told}"),
    }
}

fn expired(run: &Run, why: &Reason) -> String {
    let calls = match run.attempts {
        1 => "one create call".to_owned(),
        attempts => format!("{attempts} create calls"),
    };
    match why {
        Reason::Superseded(why) => format!(
            "AWS had not accepted it ({why}) when a newer slot was due too, after {calls}{}{}",
            said(run),
            advice(why, &run.slot.pair)
        ),
        why => format!(
            "AWS had not accepted it when its start window ended at {} ({why}), after {calls}{}{}",
            rfc3339(run.request.deadline),
            said(run),
            advice(why, &run.slot.pair)
        ),
    }
}

fn not_started(run: &Run, missed: Missed, past: Past<'_>) -> String {
    let deadline = rfc3339(run.request.deadline);
    match missed {
        Missed::Late => format!(
            "its start window ended at {deadline} before AWS was asked: {}",
            match &run.message {
                Some(message) => format!("redkeep could not list the snapshots ({message})"),
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
                "a newer slot was due too{}: of several due slots only the newest starts",
                newer.unwrap_or_default()
            )
        }
        Missed::Disabled => "the policy was disabled or removed before it started".to_owned(),
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
pub(super) fn said(run: &Run) -> String {
    run.message
        .as_ref()
        .map_or_else(String::new, |message| format!(": {message}"))
}

/// What an operator can do about what stands in the way.
pub(super) fn advice(why: &Reason, pair: &Pair) -> String {
    let command = remedy::of_reason(why, pair);
    match why.refusal() {
        Reason::AccessDenied => {
            format!("; compare the identity's permissions with `{command}`")
        }
        Reason::Quota => {
            format!("; delete manual snapshots, or have AWS raise the quota: `{command}`")
        }
        Reason::Credentials => {
            format!("; check the account's credentials: `{command}` tries them")
        }
        Reason::ClockSkew => format!("; set this machine's clock: `{command}` compares it"),
        Reason::Unreachable | Reason::NoClearAnswer => {
            format!("; `{command}` tries to reach AWS")
        }
        Reason::NotFound => {
            format!("; check the cluster's name and region: `{command}` lists what exists")
        }
        Reason::Config => format!("; change the policy: `{command}` says what is wrong with it"),
        Reason::SnapshotFailed | Reason::Vanished => {
            format!("; the next slot starts as planned, and `{command}` takes a snapshot now")
        }
        why if why.is_paused_cluster() => {
            format!(
                "; AWS takes snapshots of a cluster only while it is available: `{command}` resumes it"
            )
        }
        Reason::ClusterState(_) => {
            "; AWS takes snapshots of a cluster only while it is available".to_owned()
        }
        _ => String::new(),
    }
}
