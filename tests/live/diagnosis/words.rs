//! The words for each state and outcome of a run.

mod ahead;

use chrono::{DateTime, Utc};
use redkeep::config::Config;
use redkeep::explain::{Explanation, Past, missed_range, run, span};
use redkeep::history::{History, MissedRange};
use redkeep::names::Tier;
use redkeep::observed::Observed;
use redkeep::plan::{Extent, Facts};
use redkeep::run::{Gone, GoneReason, Missed, Outcome, Refusal, Run, RunState};

use crate::diagnosis::{at, config, due, pair};

const POLICIES: &str = r#"
[[blackout]]
name = "evening"
schedule = "0 18 * * *"
duration = "4h"
timezone = "UTC"

[[policy]]
name = "nightly"
schedule = "30 2 * * *"
timezone = "Europe/Berlin"
clusters = ["*"]
retention = "35d"

[[policy]]
name = "hourly"
schedule = "0 * * * *"
clusters = ["*"]
retention = "7d"
blackout = ["evening"]

[[policy]]
name = "spread"
schedule = "0 2 * * *"
clusters = ["*"]
jitter = "1h"
retention = "7d"
"#;

/// The slot that most cases are about: 02:30 in Berlin, with a deadline eight hours later.
const SLOT: &str = "2026-11-24 01:30";

fn nightly(config: &Config) -> Run {
    due(config, pair("nightly", "dw"), at(SLOT))
}

/// What is said of the last of `runs` at `now`.
fn told(config: &Config, runs: &[Run], now: DateTime<Utc>) -> Explanation {
    let mut history = History::default();
    runs.iter().for_each(|run| history.insert(run.clone()));
    told_in(config, &history, runs.last().unwrap(), now)
}

fn told_in(config: &Config, history: &History, of: &Run, now: DateTime<Utc>) -> Explanation {
    let recent: Vec<Run> = history.of_pair(&of.slot.pair).cloned().collect();
    let facts = Facts {
        config,
        observed: &Observed::default(),
        history,
        writer: &"me".parse().unwrap(),
        is_written: true,
        extent: &Extent::Endless,
        now,
    };
    run(
        of,
        Past {
            facts,
            recent: &recent,
        },
    )
}

fn refused(why: &str, times: u32, until: &str, message: &str) -> impl FnOnce(&mut Run) {
    let refusal = Refusal {
        why: why.into(),
        times,
        at: None,
    };
    let (until, message) = (at(until), message.to_owned());
    move |run| {
        run.state = RunState::Waiting { until, refusal };
        run.attempts = times;
        run.requested_at = Some(at(SLOT));
        run.asked_at = Some(at(SLOT));
        run.message = Some(message);
    }
}

fn ended(outcome: Outcome) -> impl FnOnce(&mut Run) {
    move |run| {
        run.state = RunState::Ended(outcome);
        run.ended_at = Some(at("2026-11-24 01:40"));
    }
}

fn accepted(run: &mut Run) {
    run.attempts = 1;
    run.requested_at = Some(at(SLOT));
    run.asked_at = Some(at(SLOT));
    run.accepted_at = Some(at(SLOT));
}

/// What is said of the nightly run after `change`, at `now`.
fn said(change: impl FnOnce(&mut Run), now: &str) -> Explanation {
    let config = config(POLICIES);
    let mut run = nightly(&config);
    change(&mut run);
    told(&config, &[run], at(now))
}

#[track_caller]
fn has(told: &Explanation, parts: &[&str]) {
    for part in parts {
        assert!(told.words.contains(part), "{part:?} is not in {told:?}");
    }
}

#[test]
fn a_refused_run_tells_what_aws_said_when_it_is_asked_again_and_until_when() {
    let change = refused(
        "cluster paused",
        3,
        "2026-11-24 01:45",
        "InvalidClusterState: paused",
    );
    let told = said(change, "2026-11-24 01:41");
    has(
        &told,
        &[
            "3 times in a row (cluster paused): InvalidClusterState: paused",
            "asked again at 2026-11-24T01:45:00Z, until 2026-11-24T09:30:00Z",
            "only while it is available",
        ],
    );
    assert_eq!(told.waits_until, Some(at("2026-11-24 01:45")));
    let change = refused("access denied", 1, "2026-11-24 01:45", "AccessDenied: no");
    has(
        &said(change, "2026-11-24 01:41"),
        &["`redkeep iam-policy --account prod`"],
    );
    let change = refused("quota", 1, "2026-11-24 01:45", "full");
    has(
        &said(change, "2026-11-24 09:31"),
        &["ended at 2026-11-24T09:30:00Z"],
    );
}

#[test]
fn an_open_run_tells_what_it_waits_for() {
    let config = config(POLICIES);
    let told_at = |runs: &[Run], now: &str| told(&config, runs, at(now));
    let asking = |run: &mut Run| run.state = RunState::Asking { refusal: None };
    has(&said(asking, SLOT), &["is being asked"]);
    let doubt = |run: &mut Run| {
        accepted(run);
        run.accepted_at = None;
        run.message = Some("timeout".to_owned());
        run.state = RunState::InDoubt {
            since: at("2026-11-24 01:31"),
            look_at: at("2026-11-24 01:32"),
        };
    };
    let told = said(doubt, "2026-11-24 01:31");
    has(
        &told,
        &[
            "create call of 2026-11-24T01:30:00Z: timeout",
            "until 2026-11-24T01:33:00Z",
        ],
    );
    assert_eq!(told.waits_until, Some(at("2026-11-24 01:32")));
    let judged = |run: &mut Run| {
        run.state = RunState::Concluding {
            since: at("2026-11-24 09:30"),
            verdict: Outcome::Missed(Missed::Late),
        };
    };
    has(
        &said(judged, "2026-11-24 09:31"),
        &["will end as missed: its start window ended"],
    );
    let creating = |run: &mut Run| {
        accepted(run);
        run.state = RunState::Creating {
            look_at: at("2026-11-24 02:31"),
        };
    };
    let told = said(creating, "2026-11-24 02:30");
    has(&told, &["for 1h", "an alarm from 2026-11-25T01:30:00Z on"]);
    has(
        &said(creating, "2026-11-26 02:30"),
        &["longer than its completion window"],
    );
    has(
        &told_at(&[nightly(&config)], SLOT),
        &["may start now, until 2026-11-24T09:30:00Z"],
    );
    has(
        &told_at(&[nightly(&config)], "2026-11-24 09:30"),
        &["ended at 2026-11-24T09:30:00Z before AWS was asked"],
    );
}

#[test]
fn a_due_run_tells_of_jitter_blackout_overlap_queue_and_newer_slots() {
    let config = config(POLICIES);
    let told_at = |runs: &[Run], now: &str| told(&config, runs, at(now));
    let spread = due(&config, pair("spread", "dw"), at("2026-11-24 02:00"));
    let starts_at = spread.request.starts_at;
    assert!(
        starts_at > at("2026-11-24 02:00"),
        "the jitter of this slot is nothing"
    );
    let told = told_at(&[spread], "2026-11-24 02:00");
    has(&told, &["after its instant (jitter) until"]);
    assert_eq!(told.waits_until, Some(starts_at));

    let dark = due(&config, pair("hourly", "dw"), at("2026-11-24 19:00"));
    has(
        &told_at(&[dark], "2026-11-24 19:00"),
        &["\"evening\" covers its start window", "missed (blackout)"],
    );

    let creating = |mut run: Run| {
        accepted(&mut run);
        run.accepted_at = Some(run.slot.scheduled_at);
        run.state = RunState::Creating {
            look_at: at("2026-11-24 12:00"),
        };
        run
    };
    let earlier = creating(due(&config, pair("hourly", "dw"), at("2026-11-24 11:00")));
    let later = due(&config, pair("hourly", "dw"), at("2026-11-24 12:00"));
    let id = earlier.request.snapshot_id.to_string();
    has(
        &told_at(&[earlier.clone(), later], "2026-11-24 12:00"),
        &[&id, "skipped (overlap)"],
    );

    let other = due(&config, pair("spread", "dw"), at("2026-11-24 02:00"));
    let ahead = creating(due(&config, pair("hourly", "dw"), at("2026-11-24 02:00")));
    let told = told_at(&[ahead, other], "2026-11-24 03:00");
    has(
        &told,
        &["waits for another snapshot of the cluster (policy hourly on"],
    );
    assert!(told.waits_until > Some(at("2026-11-24 03:00")));

    let newer = due(&config, pair("nightly", "dw"), at("2026-11-24 02:30"));
    has(
        &told_at(&[newer, nightly(&config)], "2026-11-24 03:00"),
        &["missed (coalesced)"],
    );
}

#[test]
fn every_outcome_is_told_with_its_reason() {
    let now = "2026-11-24 12:00";
    let message = |run: &mut Run| run.message = Some("E: because".to_owned());
    let cases: [(Outcome, &[&str]); 13] = [
        (
            Outcome::Available,
            &["asked for 0s after its slot, complete 10m after it; kept by AWS for 35d"],
        ),
        (
            Outcome::Failed("snapshot failed".into()),
            &["could not complete it: E: because", "redkeep take"],
        ),
        (
            Outcome::Failed("not_found".into()),
            &["no such cluster here: E: because"],
        ),
        (
            Outcome::Failed("config".into()),
            &["the policy must change: E: because"],
        ),
        (
            Outcome::Failed("deleted before it was available".into()),
            &["deleted before"],
        ),
        (
            Outcome::Missed(Missed::Late),
            &[
                "2026-11-24T09:30:00Z before AWS was asked: redkeep could not list the snapshots (E: because)",
            ],
        ),
        (
            Outcome::Missed(Missed::Coalesced),
            &["a newer slot was due too"],
        ),
        (Outcome::Missed(Missed::Disabled), &["disabled or removed"]),
        (Outcome::Missed(Missed::Paused), &["the policy was paused"]),
        (Outcome::Skipped, &["overlap: the snapshot"]),
        (
            Outcome::Expired("cluster paused".into()),
            &["2026-11-24T09:30:00Z (cluster paused), after one create call: E: because"],
        ),
        (
            Outcome::Expired("superseded: quota".into()),
            &["had not accepted it (quota) when a newer slot was due too"],
        ),
        (
            Outcome::Conflict("other tags".to_owned()),
            &["is not redkeep's (other tags); it was left alone"],
        ),
    ];
    for (outcome, parts) in cases {
        let change = |run: &mut Run| {
            accepted(run);
            message(run);
            ended(outcome)(run);
        };
        has(&said(change, now), parts);
    }
}

#[test]
fn a_snapshot_that_somebody_deleted_is_told_as_such() {
    let now = "2026-11-24 12:00";
    let gone = |run: &mut Run| {
        accepted(run);
        ended(Outcome::Available)(run);
        run.gone = Some(Gone {
            at: at(now),
            reason: GoneReason::Deleted,
        });
    };
    has(
        &said(gone, now),
        &["since 2026-11-24T12:00:00Z: somebody deleted it; redkeep does not make it again"],
    );
}

#[test]
fn an_outcome_names_the_slot_or_the_snapshot_that_it_is_about() {
    let config = config(POLICIES);
    let run_at = |scheduled_at: &str| due(&config, pair("hourly", "dw"), at(scheduled_at));
    let mut coalesced = run_at("2026-11-24 10:00");
    ended(Outcome::Missed(Missed::Coalesced))(&mut coalesced);
    let newer = run_at("2026-11-24 11:00");
    has(
        &told(&config, &[newer, coalesced], at("2026-11-24 12:00")),
        &["(2026-11-24T11:00:00Z)"],
    );

    let mut previous = run_at("2026-11-24 10:00");
    accepted(&mut previous);
    previous.state = RunState::Creating {
        look_at: at("2026-11-24 12:00"),
    };
    let id = previous.request.snapshot_id.to_string();
    let mut skipped = run_at("2026-11-24 11:00");
    skipped.state = RunState::Ended(Outcome::Skipped);
    skipped.ended_at = Some(at("2026-11-24 11:00"));
    has(
        &told(&config, &[previous, skipped], at("2026-11-24 12:00")),
        &[&id],
    );

    let mut dark = run_at("2026-11-24 19:00");
    ended(Outcome::Missed(Missed::Blackout))(&mut dark);
    has(
        &told(&config, &[dark], at("2026-11-24 20:00")),
        &["the blackout \"evening\" covered"],
    );
}

#[test]
fn a_range_of_missed_slots_is_one_line() {
    let range = MissedRange {
        pair: pair("hourly", "dw"),
        first_at: at("2026-01-01 00:00"),
        last_at: at("2026-02-01 00:00"),
        count: 745,
        reason: Missed::Late,
    };
    let words = missed_range(&range);
    assert!(
        words.starts_with("745 slots in a row up to 2026-02-01T00:00:00Z: their start windows"),
        "{words}"
    );
}

#[test]
fn a_snapshot_of_a_longer_tier_says_why_it_is() {
    let monthly = |run: &mut Run| {
        accepted(run);
        run.request.tier = Tier::Monthly;
        run.request.tier_reason = Some("the first of 2026-11".into());
        ended(Outcome::Available)(run);
    };
    let told = said(monthly, "2026-11-24 12:00");
    has(
        &told,
        &["kept by AWS for 35d (monthly: the first of 2026-11)"],
    );
}

#[test]
fn a_span_has_its_two_largest_units() {
    for (seconds, wanted) in [
        (-5, "0s"),
        (59, "59s"),
        (3_599, "59m 59s"),
        (3_661, "1h 1m"),
        (90_061, "1d 1h"),
    ] {
        assert_eq!(span(chrono::TimeDelta::seconds(seconds)), wanted);
    }
}
