//! What people ask for beside the schedules: pauses cover the slots that come in them, whoever was there to
//! see, and a snapshot on demand neither replaces a slot nor is replaced by one.

use chrono::{DateTime, Utc};
use redkeep_core::engine::{Engine, Request, Requests, Step};
use redkeep_core::observed::Barred;
use redkeep_core::pause::{Pause, Pauses};
use redkeep_core::plan::{Call, manual_run};
use redkeep_core::redshift::{Answer, ServerDate};
use redkeep_core::reply::{Listed, Reply};
use redkeep_core::run::Run;

use redkeep_simulation::setup::{at, hours, minutes, pair, policy, seconds, sim};
use redkeep_simulation::sim::Sim;

const NIGHTLY: &str = "30 2 * * *";

/// Paused from `paused_at` until `resumed_at`, as the daemon hears it at its next look.
fn pause(sim: &mut Sim, paused_at: DateTime<Utc>, resumed_at: Option<DateTime<Utc>>) {
    let pause = Pause {
        paused_at,
        resumed_at,
    };
    let pauses = Pauses::from_iter([("p".parse().unwrap(), pause)]);
    let host = &mut sim.hosts[0];
    host.journal.ledger.pauses = pauses.clone();
    if let Some(process) = &mut host.process {
        let runs = Vec::new();
        let requests = Requests {
            pauses,
            runs,
            ..Requests::default()
        };
        process.engine.receive(requests, &());
    }
}

/// A snapshot asked for now, as `redkeep take` hands it in.
fn take(sim: &mut Sim) -> Run {
    let now = sim.now;
    let host = &mut sim.hosts[0];
    let config = host.config.clone();
    let policy = &config.policies[0];
    let run = manual_run(
        &config,
        &host.writer,
        policy,
        pair("p", "dw"),
        policy.retention.of(redkeep_core::names::Tier::Base),
        now,
    );
    host.journal
        .ledger
        .runs
        .insert(run.slot.clone(), run.clone());
    let engine = &mut host.process_mut().engine;
    let runs = vec![run.clone()];
    for request in engine.receive(
        Requests {
            runs,
            ..Requests::default()
        },
        &(),
    ) {
        if let Request::Snapshot(run) = request {
            engine.committed(vec![redkeep_core::history::Change::Run(run)], Vec::new());
        }
    }
    host.process_mut().turns_at = now;
    run
}

#[test]
fn slots_in_a_pause_are_missed_and_those_after_it_are_made() {
    let mut sim = sim("2026-11-24 00:00", &policy("p", NIGHTLY, "dw", ""));
    sim.until("2026-11-24 12:00");
    pause(&mut sim, at("2026-11-24 12:00"), None);
    sim.until("2026-11-26 02:40");
    // Resumed inside the start window of a slot that came in the pause: it stays missed.
    pause(
        &mut sim,
        at("2026-11-24 12:00"),
        Some(at("2026-11-26 02:40")),
    );
    sim.until("2026-11-27 12:00");
    assert_eq!(
        sim.records(),
        [
            "11-24 02:30 p/dw available",
            "11-25 02:30 p/dw missed(paused)",
            "11-26 02:30 p/dw missed(paused)",
            "11-27 02:30 p/dw available",
        ]
    );
    sim.assert_accounted();
}

#[test]
fn a_daemon_that_was_down_for_all_of_a_pause_still_knows_which_slots_it_covered() {
    let mut sim = sim("2026-11-24 00:00", &policy("p", NIGHTLY, "dw", ""));
    sim.until("2026-11-24 12:00");
    sim.stop(0);
    let (from, until) = (at("2026-11-24 12:00"), at("2026-11-26 12:00"));
    pause(&mut sim, from, Some(until));
    sim.until("2026-11-27 12:00");
    sim.start(0);
    sim.until("2026-11-28 12:00");
    assert_eq!(
        sim.records()[1..],
        [
            "11-25 02:30 p/dw missed(paused)",
            "11-26 02:30 p/dw missed(paused)",
            "11-27 02:30 p/dw missed(late)",
            "11-28 02:30 p/dw available",
        ]
    );
    sim.assert_accounted();
}

#[test]
fn a_long_absence_is_told_in_ranges_of_late_and_of_paused_slots() {
    let mut sim = sim("2026-11-24 00:00", &policy("p", "* * * * *", "dw", ""));
    sim.until("2026-11-24 00:10");
    sim.stop(0);
    let (from, until) = (at("2026-11-24 12:00"), at("2026-11-24 18:00"));
    pause(&mut sim, from, Some(until));
    sim.until("2026-11-25 00:00");
    sim.start(0);
    sim.until("2026-11-25 00:59:40");
    let ranges = &sim.hosts[0].journal.ledger.ranges;
    let told: Vec<(u64, &str)> = ranges
        .iter()
        .map(|one| (one.count, one.reason.as_str()))
        .collect();
    assert_eq!(told[..2], [(710, "late"), (360, "paused")], "{told:?}");
    sim.assert_accounted();
}

#[test]
fn a_slot_that_waits_out_its_jitter_when_the_pause_comes_is_not_started() {
    let tables = policy("p", NIGHTLY, "dw", "jitter = \"2h\"");
    let mut sim = sim("2026-11-24 00:00", &tables);
    sim.until("2026-11-24 02:30:01");
    pause(&mut sim, at("2026-11-24 02:30:01"), None);
    sim.until("2026-11-24 12:00");
    assert_eq!(sim.records(), ["11-24 02:30 p/dw missed(paused)"]);
    assert!(sim.accepted().is_empty());
}

#[test]
fn a_snapshot_on_demand_starts_at_once_in_a_pause_and_a_blackout() {
    let tables = policy("p", NIGHTLY, "dw", "blackout = [\"b\"]")
        + "[[blackout]]\nname = \"b\"\nschedule = \"0 0 * * *\"\nduration = \"23h\"\n";
    let mut sim = sim("2026-11-24 00:00", &tables);
    sim.until("2026-11-24 12:00");
    pause(&mut sim, at("2026-11-24 11:00"), None);
    let run = take(&mut sim);
    sim.until("2026-11-24 12:30");
    let ended = &sim.hosts[0].journal.ledger.runs[&run.slot];
    assert_eq!(ended.word(), "available");
    assert!(ended.requested_at.unwrap() - run.slot.scheduled_at < hours(1) / 60);
}

#[test]
fn on_demand_and_schedule_do_not_replace_each_other_and_the_watermark_stays() {
    let mut sim = sim("2026-11-24 00:00", &policy("p", NIGHTLY, "dw", ""));
    sim.until("2026-11-24 02:00");
    sim.aws.set_status("dw", "paused", at("2026-11-24 02:00"));
    let early = take(&mut sim);
    sim.until("2026-11-24 02:45");
    let late = take(&mut sim);
    sim.until("2026-11-24 02:50");
    sim.aws
        .set_status("dw", "available", at("2026-11-24 02:50"));
    sim.until("2026-11-24 06:00");
    let ledger = &sim.hosts[0].journal.ledger;
    for run in [&early, &late] {
        let ended = &ledger.runs[&run.slot];
        assert_eq!(ended.word(), "available", "{ended:?}");
    }
    assert_eq!(sim.outcome("p", "2026-11-24 02:30"), "available");
    assert_eq!(
        ledger.pairs[&pair("p", "dw")].watermark,
        at("2026-11-24 02:30")
    );
}

/// Whatever its tier: skipped, a month would have been without its monthly.
#[test]
fn a_slot_that_comes_while_one_on_demand_is_made_is_taken_after_it() {
    let tiers = "{ base = \"14d\", weekly = \"8w\", monthly = \"13mo\", yearly = \"7y\" }";
    for (schedule, slot) in [
        (NIGHTLY, "2026-11-24 02:30"),
        ("30 2 * * 1", "2026-11-30 02:30"),
        ("30 2 1 * *", "2026-12-01 02:30"),
        ("30 2 1 1 *", "2027-01-01 02:30"),
    ] {
        let table = policy("p", schedule, "dw", "start_window = \"4h\"");
        let instant = at(slot);
        let mut sim = sim("2026-11-24 00:00", &table.replace("\"35d\"", tiers));
        sim.aws.account.limits.snapshot_seconds = 3600;
        sim.run_until(instant - seconds(9));
        let run = take(&mut sim);
        sim.run_until(instant + hours(3));
        let by_hand = &sim.hosts[0].journal.ledger.runs[&run.slot];
        assert_eq!(by_hand.word(), "available");
        assert_eq!(sim.outcome("p", slot), "available");
        let accepted = sim.run("p", slot).unwrap().accepted_at.unwrap();
        assert!(accepted >= by_hand.ended_at.unwrap(), "both at once");
        sim.assert_accounted();
    }
}

#[test]
fn one_on_demand_that_takes_longer_than_the_window_does_not_cost_the_slot() {
    let mut sim = sim(
        "2026-11-24 00:00",
        &policy("p", NIGHTLY, "dw", "start_window = \"4h\""),
    );
    sim.aws.account.limits.snapshot_seconds = 10 * 3600;
    sim.until("2026-11-24 02:29:51");
    take(&mut sim);
    sim.until("2026-11-24 16:00");
    assert_eq!(sim.outcome("p", "2026-11-24 02:30"), "available");
    let accepted = sim.run("p", "2026-11-24 02:30").unwrap().accepted_at;
    let asked_from = at("2026-11-24 05:30");
    assert!(accepted.unwrap() >= asked_from, "{accepted:?}");
}

/// Nor does one by hand wait for longer than its own window leaves.
#[test]
fn what_a_person_asks_for_while_a_slot_is_made_is_taken_inside_its_hour() {
    let mut sim = sim("2026-11-24 00:00", &policy("p", NIGHTLY, "dw", ""));
    sim.aws.account.limits.snapshot_seconds = 3 * 3600;
    sim.until("2026-11-24 02:40");
    let run = take(&mut sim);
    sim.until("2026-11-24 08:00");
    let by_hand = &sim.hosts[0].journal.ledger.runs[&run.slot];
    assert_eq!(by_hand.word(), "available");
    assert_eq!(
        by_hand
            .accepted_at
            .map(|at| at - run.slot.scheduled_at >= minutes(45)),
        Some(true)
    );
}

#[test]
fn an_account_that_turns_out_to_be_another_one_is_left_alone() {
    let mut sim = sim("2026-11-24 00:00", &policy("p", NIGHTLY, "dw", ""));
    sim.until("2026-11-24 04:00");
    let number = &sim.hosts[0].journal.ledger.accounts[&"prod".parse().unwrap()];
    assert_eq!(number.len(), 12);
    sim.stop(0);
    let other = "999988887777".to_owned();
    let accounts = &mut sim.hosts[0].journal.ledger.accounts;
    accounts.insert("prod".parse().unwrap(), other.clone());
    sim.aws.region(at("2026-11-24 04:00")).snapshots.clear();
    sim.start(0);
    sim.until("2026-11-26 04:00");
    let view = sim.hosts[0]
        .process()
        .engine
        .observed()
        .scopes
        .values()
        .next()
        .unwrap();
    assert!(matches!(&view.barred, Some(Barred::OtherAccount { wanted, .. }) if *wanted == other));
    assert_eq!(
        sim.records(),
        ["11-24 02:30 p/dw available"],
        "nothing is begun or given up there"
    );
    assert!(
        sim.hosts[0]
            .journal
            .ledger
            .runs
            .values()
            .all(|run| run.gone.is_none())
    );
}

#[test]
fn a_listing_by_credentials_that_are_no_longer_the_accounts_is_dropped_and_the_next_waits_for_its_end()
 {
    let tables = policy("p", NIGHTLY, "dw", "");
    let mut sim = sim("2026-11-24 00:00", &tables);
    sim.until("2026-11-24 04:00");
    let scope = pair("p", "dw").scope;
    let now = sim.now + redkeep_core::observed::LISTING_INTERVAL;
    let engine = &mut sim.hosts[0].process_mut().engine;
    let step = engine.next(now);
    assert!(
        matches!(
            step,
            Step::Call {
                call: Call::List { .. },
                ..
            }
        ),
        "{step:?}"
    );
    let mut config = redkeep_simulation::setup::config(&tables);
    config.accounts[0].identity.profile = Some("other".to_owned());
    engine.reconfigure(config, now);
    let lists = |engine: &Engine, now| {
        let mut engine = engine.clone();
        loop {
            match engine.next(now) {
                Step::Commit(changes) => engine.committed(changes, Vec::new()),
                Step::Call {
                    call: Call::List { .. },
                    ..
                } => return true,
                Step::Call { .. } => {}
                Step::Sleep { .. } => return false,
            }
        }
    };
    let later = now + redkeep_simulation::setup::seconds(20);
    assert!(!lists(engine, later));
    let old = Listed {
        scope: scope.clone(),
        began_at: now,
        clusters: answer(Vec::new()),
        snapshots: answer(Vec::new()),
        account_number: Some(answer("999988887777".to_owned())),
    };
    engine.answered(Reply::Listed(Box::new(old)), later);
    assert_eq!(engine.take_changes(now), []);
    assert!(engine.observed().account_numbers.is_empty());
    assert!(engine.observed().scopes[&scope].clusters.is_none());
    assert!(lists(engine, later));
}

fn answer<T>(result: T) -> Answer<T> {
    Answer {
        result: Ok(result),
        server_date: ServerDate::Undated,
        requests: 1,
    }
}

#[test]
fn while_nobody_tells_whose_account_it_is_snapshots_go_on_and_what_is_missing_proves_nothing() {
    let mut sim = sim("2026-11-24 00:00", &policy("p", NIGHTLY, "d*", ""));
    sim.aws.tells_arns = false;
    sim.until("2026-11-24 04:00");
    sim.stop(0);
    sim.aws
        .refuse("GetCallerIdentity", None, "AccessDenied", 403);
    // As in another account: neither the snapshot nor, later, the cluster is there.
    sim.aws.region(at("2026-11-24 04:00")).snapshots.clear();
    sim.start(0);
    sim.until("2026-11-25 04:00");
    let made = ["11-24 02:30 p/dw available", "11-25 02:30 p/dw available"];
    assert_eq!(sim.records(), made);
    assert!(sim.hosts[0].was_alarmed("Unidentified"));
    let gone = |sim: &Sim| {
        let runs = sim.hosts[0].journal.ledger.runs.values();
        runs.filter(|run| run.gone.is_some()).count()
    };
    assert_eq!(gone(&sim), 0);
    sim.aws.remove_cluster("dw", at("2026-11-25 04:00"));
    sim.until("2026-11-27 04:00");
    assert!(sim.hosts[0].process().engine.history().pairs[&pair("p", "dw")].is_active());
    for night in ["2026-11-26 02:30", "2026-11-27 02:30"] {
        let outcome = sim.outcome("p", night);
        assert!(outcome.starts_with("open: Concluding"), "{outcome}");
    }
    sim.aws.heal();
    sim.until("2026-11-27 05:00");
    assert_eq!(gone(&sim), 1);
    assert!(!sim.hosts[0].process().engine.history().pairs[&pair("p", "dw")].is_active());
    assert_eq!(sim.outcome("p", "2026-11-26 02:30"), "failed(not_found)");
    assert_eq!(sim.outcome("p", "2026-11-27 02:30"), "failed(not_found)");
}

#[test]
fn a_slot_that_was_never_asked_for_ends_when_its_account_has_gone_from_the_file() {
    let nightly = policy("p", NIGHTLY, "dw", "jitter = \"1h\"\nstart_window = \"4h\"");
    let mut sim =
        redkeep_simulation::setup::with_another_account(sim("2026-11-24 00:00", &nightly));
    sim.until("2026-11-24 02:30");
    sim.run_for(redkeep_simulation::setup::seconds(5));
    assert!(
        sim.outcome("p", "2026-11-24 02:30")
            .starts_with("open: Due")
    );
    sim.stop(0);
    let other = nightly.replace("[[policy]]", "[[policy]]\naccounts = [\"other\"]");
    let config = redkeep_simulation::setup::config(&format!(
        "{other}[[account]]\nname = \"other\"\nregions = [\"us-west-2\"]\nrole_arn = \
         \"arn:aws:iam::222233334444:role/r\"\n"
    ));
    // As if the file had no longer had the first.
    let mut config = config;
    config
        .accounts
        .retain(|account| account.name.as_str() == "other");
    sim.hosts[0].config = config;
    sim.start(0);
    sim.run_for(redkeep_simulation::setup::seconds(5));
    assert_eq!(sim.outcome("p", "2026-11-24 02:30"), "missed(disabled)");
}
