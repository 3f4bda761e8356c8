//! The words for the slots that are to come.

use redkeep::explain::coming;
use redkeep::history::History;
use redkeep::names::Trigger;
use redkeep::pause::Pause;
use redkeep::run::Run;

use super::{POLICIES, SLOT, has, nightly, told_in};
use crate::diagnosis::{at, config, pair};

#[test]
fn what_comes_next_is_told_in_local_time_with_its_start() {
    let config = config(POLICIES);
    let next = |policy: &str, now: &str| {
        let of = config.policy(&policy.parse().unwrap()).unwrap();
        coming(
            &config.namespace,
            of,
            &pair(policy, "dw"),
            at(now),
            None,
            at(now),
        )
        .unwrap()
    };
    let night = next("nightly", "2026-11-24 12:00");
    has(
        &night.told,
        &[
            "2026-11-25 02:30:00 in Europe/Berlin, is due in 13h 30m",
            "from 2026-11-25T01:30:00Z until 2026-11-25T09:30:00Z",
        ],
    );
    assert_eq!(night.told.waits_until, Some(at("2026-11-25 01:30")));
    has(
        &next("hourly", "2026-11-24 18:30").told,
        &["missed (blackout)"],
    );
    has(
        &next("hourly", "2026-11-24 17:30").told,
        &["missed (blackout)"],
    );
    has(&next("spread", "2026-11-24 12:00").told, &["(jitter)"]);
    let of = config.policy(&"hourly".parse().unwrap()).unwrap();
    let (watermark, now) = (at("2026-11-24 10:00"), at("2026-11-24 12:00"));
    let late = coming(
        &config.namespace,
        of,
        &pair("hourly", "dw"),
        watermark,
        None,
        now,
    )
    .unwrap();
    has(&late.told, &["was due 1h ago and has no record yet"]);
}

#[test]
fn a_pause_is_told_of_the_slot_that_is_due_and_of_the_next() {
    let config = config(POLICIES);
    let policy = "nightly".parse().unwrap();
    let since = at("2026-11-23 00:00");
    let pause = Pause {
        paused_at: since,
        resumed_at: None,
    };
    let mut history = History::default();
    history.pauses = [(policy, pause)].into_iter().collect();
    let run = nightly(&config);
    let told = told_in(&config, &history, &run, at(SLOT));
    has(
        &told,
        &["the policy is paused: the slot will be missed (paused)"],
    );
    let by_hand = Run {
        trigger: Trigger::Manual,
        ..run
    };
    let told = told_in(&config, &history, &by_hand, at(SLOT));
    has(&told, &["asked for with `redkeep take`; may start now"]);
    let (of, now) = (config.policies.first().unwrap(), at(SLOT));
    let pair = pair("nightly", "dw");
    let next = coming(&config.namespace, of, &pair, now, Some(since), now).unwrap();
    has(
        &next.told,
        &[
            "paused since 2026-11-23T00:00:00Z",
            "`redkeep resume nightly`",
        ],
    );
}

#[test]
fn a_blackout_that_ends_inside_the_start_window_delays_the_start() {
    let tables = POLICIES.replace("duration = \"4h\"", "duration = \"20m\"");
    let config = config(&tables);
    let of = config.policy(&"hourly".parse().unwrap()).unwrap();
    let now = at("2026-11-24 17:30");
    let next = coming(&config.namespace, of, &pair("hourly", "dw"), now, None, now).unwrap();
    has(
        &next.told,
        &["from 2026-11-24T18:20:00Z, when the blackout \"evening\" ends"],
    );
    assert_eq!(next.told.waits_until, Some(at("2026-11-24 18:20")));
}
