//! A snapshot that is not seen: when that means that it is gone, and when it means nothing yet.

use redkeep_core::observed::Listing;
use redkeep_core::reply::{Listed, Reply};
use redkeep_sandbox::faults::Fault;

use crate::identity::{answer, clusters};
use crate::refusals::{SLOT, asked, nightly};
use redkeep_simulation::setup::{at, hours, minutes, pair, policy, seconds, sim};
use redkeep_simulation::sim::Sim;
use redkeep_simulation::sim::aws::{CREATE, SNAPSHOTS};

/// A nightly snapshot that takes an hour, being made since a minute.
fn in_the_making() -> Sim {
    let mut sim = nightly();
    sim.aws.account.limits.snapshot_seconds = 3_600;
    sim.until("2026-11-24 02:31");
    assert!(sim.outcome("nightly", SLOT).starts_with("open: Creating"));
    sim
}

#[test]
fn a_listing_that_began_before_aws_accepted_and_takes_eleven_minutes_ends_no_run() {
    let mut sim = nightly();
    sim.aws.account.limits.snapshot_seconds = 3_600;
    // The listing of this minute shows what was there then, and is told long after.
    sim.until("2026-11-24 02:29:05");
    sim.latency.back = (690_000, 690_000);
    let listings = sim.aws.asked[SNAPSHOTS];
    sim.until("2026-11-24 02:29:59");
    assert_eq!(sim.aws.asked[SNAPSHOTS], listings + 1);
    sim.latency.back = (20, 60);
    sim.until("2026-11-24 02:40:30");
    let scope = pair("nightly", "dw").scope;
    let view = &sim.hosts[0].process_mut().engine.observed().scopes[&scope];
    let listing = view.listing;
    assert!(matches!(listing, Listing::UnderWay { .. }), "{listing:?}");
    sim.until("2026-11-24 03:00");
    assert!(sim.outcome("nightly", SLOT).starts_with("open: Creating"));
    sim.until("2026-11-24 03:40");
    assert_eq!(sim.outcome("nightly", SLOT), "available");
    assert!(sim.run("nightly", SLOT).unwrap().is_good());
    assert_eq!(asked(&sim), 1);
    sim.assert_accounted();
}

#[test]
fn a_listing_that_was_under_way_while_the_machine_slept_makes_nothing_missing() {
    let mut sim = in_the_making();
    let (scope, began_at) = (pair("nightly", "dw").scope, at("2026-11-24 02:29:59"));
    let woken_at = at("2026-11-24 14:00");
    let engine = &mut sim.hosts[0].process_mut().engine;
    let empty = Listed {
        scope,
        began_at,
        clusters: answer(clusters(&["dw"], Some("123456789012"))),
        snapshots: answer(Vec::new()),
        account_number: None,
    };
    engine.answered(Reply::Listed(Box::new(empty)), woken_at);
    let changes = engine.take_changes(woken_at);
    assert!(
        !changes
            .iter()
            .any(|change| format!("{change:?}").contains("Ended")),
        "{changes:#?}"
    );
    assert!(engine.observed().missing.is_empty());
}

#[test]
fn a_snapshot_that_is_missing_in_a_listing_is_looked_for_by_its_name_before_it_is_gone() {
    let mut sim = nightly();
    sim.until("2026-11-24 03:00");
    let (id, now) = (sim.aws.accepted[0].0.clone(), sim.now);
    sim.aws.delete(&id, now);
    sim.aws.tells_arns = false;
    sim.aws
        .refuse("GetCallerIdentity", None, "AccessDenied", 403);
    sim.until("2026-11-24 04:00");
    assert_eq!(
        sim.run("nightly", SLOT).unwrap().gone,
        None,
        "nobody tells whose account it is"
    );
    sim.aws.heal();
    sim.until("2026-11-24 04:02");
    let gone = sim.run("nightly", SLOT).unwrap().gone.unwrap();
    assert_eq!(gone.reason.as_str(), "deleted");
}

#[test]
fn a_snapshot_that_is_seen_again_is_no_longer_gone_and_the_history_was_not_lost() {
    let mut sim = sim(
        "2026-11-24 00:00",
        &policy("nightly", "30 2 * * *", "dw", ""),
    );
    sim.until("2026-11-26 12:00");
    let ids: Vec<String> = sim.aws.accepted.iter().map(|(id, _)| id.clone()).collect();
    let hide = |sim: &mut Sim, until| {
        let now = sim.now;
        sim.hosts[0].guarded.troubled(now);
        for id in &ids {
            sim.aws.snapshot_mut(id, now).visible_from = until;
        }
    };
    // The newest run of a pair stays in memory, and the older ones do not once their snapshots are gone.
    for restarts in [false, true] {
        let back_at = sim.now + hours(1);
        hide(&mut sim, back_at);
        sim.run_for(minutes(30));
        let runs = sim.hosts[0].journal.ledger.runs.values();
        assert_eq!(runs.filter(|run| run.gone.is_some()).count(), 3);
        if restarts {
            sim.stop(0);
            sim.start(0);
        }
        sim.run_for(minutes(35));
        let runs = sim.hosts[0].journal.ledger.runs.values();
        assert_eq!(runs.filter(|run| run.is_good()).count(), 3);
        let history = &sim.hosts[0].process().engine.history();
        assert_eq!(history.runs.values().filter(|run| run.is_good()).count(), 3);
        assert_eq!(history.rebuilt_at, None, "they were recorded all the time");
        assert_eq!(history.totals, sim.hosts[0].journal.ledger.history().totals);
        assert_eq!(sim.hosts[0].journal.ledger.rebuilt_at, None);
    }
    assert_eq!(asked(&sim), 3);
    sim.assert_accounted();
}

#[test]
fn a_snapshot_that_somebody_cancels_does_not_hold_up_the_next_slot() {
    let mut sim = sim(
        "2026-11-24 00:00",
        &policy("often", "*/5 * * * *", "dw", ""),
    );
    sim.aws.account.limits.snapshot_seconds = 3_600;
    sim.until("2026-11-24 00:05:30");
    assert_eq!(sim.accepted().len(), 1);
    let (id, now) = (sim.aws.accepted[0].0.clone(), sim.now);
    sim.aws.delete(&id, now);
    sim.aws.account.limits.snapshot_seconds = 30;
    sim.until("2026-11-24 00:11");
    assert_eq!(sim.outcome("often", "2026-11-24 00:10"), "available");
    assert!(
        sim.accepted()[1].starts_with("11-24 00:10:0"),
        "{:?}",
        sim.accepted()
    );
    // The other one has not ended: it may still turn up.
    assert!(
        sim.outcome("often", "2026-11-24 00:05")
            .starts_with("open: Creating")
    );
    sim.until("2026-11-24 00:23");
    assert_eq!(
        sim.outcome("often", "2026-11-24 00:05"),
        "failed(deleted before it was available)"
    );
    sim.assert_accounted();
}

#[test]
fn a_slot_is_not_skipped_for_a_snapshot_that_its_listing_lacks() {
    let mut sim = sim(
        "2026-11-24 00:00",
        &policy("often", "*/5 * * * *", "dw", ""),
    );
    sim.aws.account.limits.snapshot_seconds = 3_600;
    sim.until("2026-11-24 00:09:58");
    let (id, now) = (sim.aws.accepted[0].0.clone(), sim.now);
    sim.aws.delete(&id, now);
    sim.aws.account.limits.snapshot_seconds = 30;
    // The look by the name takes its time.
    let fault = Fault::Latency {
        milliseconds: 20_000,
    };
    sim.aws.strike(SNAPSHOTS, Some(2), fault);
    sim.until("2026-11-24 00:12");
    assert_eq!(sim.outcome("often", "2026-11-24 00:10"), "available");
    sim.until("2026-11-24 00:23");
    sim.assert_accounted();
}

#[test]
fn a_snapshot_that_is_shown_late_is_made_once_and_its_next_slot_is_not_held_up_for_long() {
    let mut sim = nightly();
    sim.aws
        .strike(CREATE, Some(1), Fault::LateSnapshot { seconds: 570 });
    sim.until("2026-11-24 02:39");
    assert!(sim.outcome("nightly", SLOT).starts_with("open: Creating"));
    sim.run_for(seconds(150));
    assert_eq!(sim.outcome("nightly", SLOT), "available");
    assert_eq!(asked(&sim), 1);
    sim.assert_accounted();
}
