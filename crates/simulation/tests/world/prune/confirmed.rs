//! What is only said at first, and what a person confirms.

use chrono::TimeDelta;
use redkeep_core::operations::PassResult;
use redkeep_core::plan::Blocked;
use redkeep_simulation::setup::{at, config, hours, minutes, policy, sim};
use redkeep_simulation::sim::Sim;

use super::{NIGHTLY, START, confirm, deleted, held, is_blocked, keeping, nights, skip_to};

#[test]
fn keep_thirty_to_three_only_says_then_stops_and_goes_on_when_it_is_confirmed() {
    let mut sim = sim(START, &keeping(30, "").replace("35d", "60d"));
    nights(&mut sim, "2026-12-24 00:00");
    assert_eq!(held(&mut sim).len(), 30);
    sim.reload(0, config(&keeping(3, "").replace("35d", "60d")));
    sim.until("2026-12-24 00:30");
    let results = |sim: &Sim| -> Vec<PassResult> {
        let passes = sim.hosts[0].journal.ledger.passes.iter();
        let edited = passes.filter(|pass| pass.passed_at >= at("2026-12-24 00:00"));
        edited.map(|pass| pass.result).collect()
    };
    assert_eq!(results(&sim), [PassResult::FirstPass]);
    sim.until("2026-12-24 02:00");
    assert_eq!(results(&sim), [PassResult::FirstPass, PassResult::Breaker]);
    assert!(is_blocked(&sim, Blocked::Breaker));
    nights(&mut sim, "2026-12-26 00:00");
    assert_eq!(deleted(&sim), Vec::<String>::new());
    sim.run_for(minutes(1));
    let confirmed = confirm(&mut sim);
    assert_eq!(confirmed, 29);
    sim.run_for(minutes(1));
    assert_eq!(deleted(&sim).len(), 5, "at once, and five of them");
    assert!(!is_blocked(&sim, Blocked::Breaker));
    sim.run_for(minutes(55));
    assert_eq!(deleted(&sim).len(), 5);
    sim.run_for(hours(12));
    assert_eq!(held(&mut sim), ["12-24", "12-25", "12-26"]);
    // The confirmation was for those; another flood wants another.
    sim.assert_accounted();
}

#[test]
fn an_edit_only_says_at_first_and_a_confirmation_of_other_rules_is_void() {
    let mut sim = sim(START, &keeping(4, ""));
    nights(&mut sim, "2026-11-28 00:00");
    sim.run_for(minutes(1));
    confirm(&mut sim);
    sim.reload(0, config(&keeping(2, "")));
    sim.run_for(minutes(50));
    assert_eq!(deleted(&sim), Vec::<String>::new(), "the first pass says");
    sim.run_for(minutes(20));
    assert_eq!(deleted(&sim).len(), 2, "the second does");
}

#[test]
fn a_confirmation_that_was_used_is_void_once_other_rules_have_come() {
    let thirty_to_three = keeping(3, "").replace("35d", "60d");
    let mut sim = sim(START, &keeping(30, "").replace("35d", "60d"));
    nights(&mut sim, "2026-12-24 00:00");
    sim.reload(0, config(&thirty_to_three));
    sim.run_for(minutes(1));
    assert_eq!(confirm(&mut sim), 27);
    sim.run_for(minutes(1));
    assert_eq!(
        deleted(&sim).len(),
        5,
        "at once, though it is the first pass"
    );
    sim.reload(0, config(&keeping(30, "").replace("35d", "60d")));
    sim.run_for(minutes(1));
    sim.reload(0, config(&thirty_to_three));
    sim.run_for(minutes(90));
    assert_eq!(
        deleted(&sim).len(),
        5,
        "nobody has confirmed what it is now"
    );
    assert!(is_blocked(&sim, Blocked::Breaker));
}

#[test]
fn a_policy_that_comes_back_only_says_at_first() {
    let gone = [policy("q", NIGHTLY, "x*", ""), keeping(0, "")];
    for meanwhile in gone {
        let mut sim = sim(START, &keeping(2, ""));
        nights(&mut sim, "2026-11-27 00:00");
        let before = deleted(&sim).len();
        sim.reload(0, config(&meanwhile));
        nights(&mut sim, "2026-11-28 00:00");
        sim.reload(0, config(&keeping(2, "")));
        skip_to(&mut sim, at("2026-11-28 02:25"));
        sim.until("2026-11-28 03:20");
        assert_eq!(deleted(&sim).len(), before, "the first pass says");
        sim.until("2026-11-28 04:00");
        assert!(deleted(&sim).len() > before, "the second does");
    }
}

/// A plan of 27 removals that wants a confirmation.
fn wanting_a_word() -> Sim {
    let mut sim = sim(START, &keeping(30, "").replace("35d", "60d"));
    nights(&mut sim, "2026-12-24 00:00");
    sim.reload(0, config(&keeping(3, "").replace("35d", "60d")));
    sim.run_for(hours(2));
    assert!(is_blocked(&sim, Blocked::Breaker));
    sim
}

#[test]
fn a_confirmation_that_is_not_used_within_a_day_does_not_hold_any_more_and_that_is_told() {
    for (after, wanted) in [(hours(25), 0), (hours(22), 5)] {
        let mut sim = wanting_a_word();
        // Nothing is removed where AWS sends no date.
        sim.aws.date_ahead = None;
        sim.run_for(minutes(2));
        assert!(confirm(&mut sim) >= 27);
        sim.run_for(after);
        assert_eq!(deleted(&sim), Vec::<String>::new());
        sim.aws.date_ahead = Some(TimeDelta::zero());
        sim.run_for(minutes(3));
        assert_eq!(deleted(&sim).len(), wanted, "after {after}");
        let is_told = sim.hosts[0].was_alarmed("ConfirmationLapsed");
        assert_eq!(is_told, wanted == 0);
        if wanted == 0 {
            sim.run_for(hours(5));
            assert_eq!(deleted(&sim), Vec::<String>::new());
            confirm(&mut sim);
            sim.run_for(minutes(2));
            assert_eq!(deleted(&sim).len(), 5, "a new word is heeded");
        }
    }
}

#[test]
fn a_confirmation_that_is_being_used_holds_until_all_of_its_plan_is_removed() {
    let mut sim = wanting_a_word();
    assert!(confirm(&mut sim) >= 27);
    sim.run_for(hours(8));
    assert_eq!(held(&mut sim).len(), 3);
}
