//! Count-based pruning: what goes, what stays, and what keeps everything.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use redkeep_core::operations::{ActionKind, PassResult, SnapshotAction};
use redkeep_core::plan::{Alarm, Blocked};
use redkeep_core::run::GoneReason;
use redkeep_core::snapshot::Snapshot;
use redkeep_sandbox::faults::Fault;

use redkeep_simulation::setup::{at, config, hours, minutes, policy, seconds, sim, slot};
use redkeep_simulation::sim::aws::{CREATE, DELETE, REGION, SNAPSHOTS};
use redkeep_simulation::sim::{CrashPoint, Sim};

const NIGHTLY: &str = "30 2 * * *";
const START: &str = "2026-11-24 00:00";

fn keeping(keep_last: usize, more: &str) -> String {
    policy(
        "p",
        NIGHTLY,
        "d*",
        &format!("keep_last = {keep_last}\n{more}"),
    )
}

/// The snapshots that are there, by the day of their slot.
fn held(sim: &mut Sim) -> Vec<String> {
    let now = sim.now;
    let there = sim.aws.listed(REGION, now);
    let mut days: Vec<String> = there
        .iter()
        .filter(|one| one.status.as_deref() == Some("available"))
        .map(|one| one.tags["redkeep:slot"][5..10].to_owned())
        .collect();
    days.sort_unstable();
    days
}

/// Lets the process live in the nights only, when the slot and the next pass come: nothing happens in between.
fn nights(sim: &mut Sim, until: &str) {
    let until = at(until);
    let mut midnight = sim
        .now
        .date_naive()
        .and_time(chrono::NaiveTime::MIN)
        .and_utc();
    while sim.now < until {
        for (from, to) in [((2, 25), (2, 40)), ((3, 50), (3, 53))] {
            let [from, to] = [from, to].map(|(h, m)| midnight + hours(h) + minutes(m));
            if from >= sim.now && from < until {
                skip_to(sim, from);
                sim.run_until(to.min(until));
            }
        }
        midnight += hours(24);
        if midnight >= until {
            skip_to(sim, until);
        }
    }
}

/// The process is down until then.
fn skip_to(sim: &mut Sim, instant: DateTime<Utc>) {
    for host in 0..sim.hosts.len() {
        if sim.hosts[host].process.is_some() {
            sim.stop(host);
            sim.now = sim.now.max(instant);
            sim.start(host);
        }
    }
}

fn id(sim: &Sim, day: &str) -> String {
    let run = sim.run("p", &format!("2026-{day} 02:30")).unwrap();
    run.request.snapshot_id.to_string()
}

fn deleted(sim: &Sim) -> Vec<String> {
    let ids: Vec<String> = sim.aws.removed.iter().map(|(id, _)| id.clone()).collect();
    let once: BTreeSet<&String> = ids.iter().collect();
    assert_eq!(once.len(), ids.len(), "each is deleted once: {ids:?}");
    ids
}

fn is_blocked(sim: &Sim, by: Blocked) -> bool {
    let mut alarms = sim.hosts[0].alarms.keys();
    alarms.any(|alarm| matches!(alarm, Alarm::PruneBlocked(_, blocked) if *blocked == by))
}

/// Confirms the plan as it is now, as the command does.
fn confirm(sim: &mut Sim) -> usize {
    let now = sim.now;
    sim.hosts[0].confirm(now)
}

#[test]
fn the_newest_keep_last_stay_and_the_older_ones_are_pruned_one_by_one() {
    let mut sim = sim(START, &keeping(3, ""));
    nights(&mut sim, "2026-12-04 00:00");
    assert_eq!(held(&mut sim), ["12-01", "12-02", "12-03"]);
    assert_eq!(deleted(&sim).len(), 7);
    let run = sim.run("p", "2026-11-24 02:30").unwrap();
    let gone = run.gone.unwrap();
    assert_eq!(gone.reason, GoneReason::Pruned);
    // The fourth is there at 02:30 of the 27th; the pass after it takes the first.
    assert!(
        gone.at >= at("2026-11-27 02:30") && gone.at <= at("2026-11-27 03:53"),
        "{}",
        gone.at
    );
    sim.assert_accounted();
    let mut ended = sim.hosts[0].journal.ledger.removals.values();
    assert!(ended.all(|removal| removal.end.as_ref().unwrap().is_done()));
}

#[test]
fn without_keep_last_nothing_is_deleted() {
    let mut sim = sim(START, &policy("p", NIGHTLY, "d*", ""));
    nights(&mut sim, "2026-12-04 00:00");
    assert_eq!(held(&mut sim).len(), 10);
    assert!(!sim.aws.asked.contains_key(DELETE));
}

#[test]
fn each_condition_on_the_snapshot_itself_keeps_it() {
    let tag = |key: &'static str, value: Option<&'static str>| {
        move |sim: &mut Sim, id: &str| {
            let now = sim.now;
            let tags = &mut sim.aws.snapshot_mut(id, now).tags;
            tags.retain(|tag| tag.key != key);
            tags.extend(value.map(|value| redkeep_sandbox::tag::Tag {
                key: key.to_owned(),
                value: value.to_owned(),
            }));
        }
    };
    let told = |disguise: fn(&mut Snapshot)| {
        move |sim: &mut Sim, id: &str| {
            let now = sim.now;
            sim.aws.disguise(id, disguise, now);
        }
    };
    type Spoil = Box<dyn Fn(&mut Sim, &str)>;
    let spoils: [(&str, Spoil); 13] = [
        ("hold", Box::new(tag("redkeep:hold", Some("35")))),
        ("writer", Box::new(tag("redkeep:writer", Some("host-b")))),
        ("no writer", Box::new(tag("redkeep:writer", None))),
        (
            "namespace",
            Box::new(tag("redkeep:namespace", Some("other"))),
        ),
        (
            "slot",
            Box::new(tag("redkeep:slot", Some("2026-11-23T02:30:00Z"))),
        ),
        ("tier", Box::new(tag("redkeep:tier", Some("monthly")))),
        ("trigger", Box::new(tag("redkeep:trigger", Some("manual")))),
        (
            "shared",
            Box::new(told(|one| {
                one.accounts_with_restore_access.push(Default::default())
            })),
        ),
        (
            "status",
            Box::new(told(|one| one.status = Some("modifying".to_owned()))),
        ),
        (
            "incarnation",
            Box::new(told(|one| one.cluster_create_time = None)),
        ),
        ("type", Box::new(told(|one| one.snapshot_type = None))),
        (
            "account",
            Box::new(told(|one| {
                (one.owner_account, one.snapshot_arn) = (None, None)
            })),
        ),
        (
            "renamed",
            Box::new(told(|one| one.cluster_identifier = None)),
        ),
    ];
    for (name, spoil) in spoils {
        let mut sim = sim(START, &keeping(3, ""));
        nights(&mut sim, "2026-11-25 00:00");
        let first = id(&sim, "11-24");
        spoil(&mut sim, &first);
        nights(&mut sim, "2026-12-04 00:00");
        assert!(!deleted(&sim).contains(&first), "{name}");
        assert_eq!(deleted(&sim).len(), 6, "{name}: the others go");
    }
}

#[test]
fn what_changes_between_the_listing_and_the_call_keeps_it() {
    let mut sim = sim(START, &keeping(3, ""));
    nights(&mut sim, "2026-11-25 00:00");
    let first = id(&sim, "11-24");
    // From the listing on that shows the fourth, until the call: a hold that only the last look sees.
    nights(&mut sim, "2026-11-27 00:00");
    skip_to(&mut sim, at("2026-11-27 02:25"));
    sim.until("2026-11-27 02:30");
    while !sim.hosts[0]
        .journal
        .ledger
        .removals
        .keys()
        .any(|((_, id), _)| id.as_str() == first)
    {
        sim.run_for(TimeDelta::milliseconds(5));
    }
    let now = sim.now;
    sim.aws
        .snapshot_mut(&first, now)
        .tags
        .push(redkeep_sandbox::tag::Tag {
            key: "redkeep:hold".to_owned(),
            value: "35".to_owned(),
        });
    sim.until("2026-11-27 05:00");
    assert_eq!(deleted(&sim), Vec::<String>::new());
    let removal = sim.hosts[0]
        .journal
        .ledger
        .removals
        .values()
        .next()
        .unwrap();
    assert_eq!(removal.end.as_ref().unwrap().text(), "half on hold");
}

#[test]
fn the_clock_the_listing_and_the_history_must_be_in_order() {
    type Spoil = fn(&mut Sim);
    let spoils: [(&str, Spoil); 8] = [
        ("skewed", |sim| sim.aws.date_ahead = Some(minutes(10))),
        ("behind", |sim| sim.set_clock(0, minutes(6))),
        ("undated", |sim| sim.aws.date_ahead = None),
        ("a looping marker", |sim| {
            sim.aws.strike(SNAPSHOTS, None, Fault::LoopMarker)
        }),
        ("a page that fails", |sim| {
            sim.aws.refuse(SNAPSHOTS, None, "InternalFailure", 500)
        }),
        ("rebuilt", |sim| {
            let at = sim.now;
            sim.hosts[0].process_mut().engine.falsify().1.rebuilt_at = Some(at);
        }),
        ("unwritten", |sim| {
            sim.hosts[0].process_mut().engine.set_written(false)
        }),
        ("no cluster", |sim| {
            let now = sim.now;
            sim.aws.remove_cluster("dw", now);
        }),
    ];
    for (name, spoil) in spoils {
        let mut sim = sim(START, &keeping(2, ""));
        nights(&mut sim, "2026-11-26 00:00");
        skip_to(&mut sim, at("2026-11-26 02:25"));
        assert_eq!(deleted(&sim).len(), 0);
        // The third is there, and the first may go with the next pass.
        sim.until("2026-11-26 02:31");
        let before = deleted(&sim);
        assert!(before.is_empty(), "{name}: too early to tell");
        spoil(&mut sim);
        sim.until("2026-11-26 06:00");
        assert_eq!(deleted(&sim), Vec::<String>::new(), "{name}");
    }
    let mut sim = sim(START, &keeping(2, ""));
    nights(&mut sim, "2026-11-26 00:00");
    skip_to(&mut sim, at("2026-11-26 02:25"));
    sim.until("2026-11-26 06:00");
    assert_eq!(
        deleted(&sim).len(),
        1,
        "and with nothing in the way it goes"
    );
}

#[test]
fn a_paused_a_disabled_and_a_removed_policy_prune_nothing() {
    let spoils: [fn(&mut Sim); 3] = [
        |sim| sim.reload(0, config(&keeping(2, "enabled = false"))),
        |sim| sim.reload(0, config(&policy("q", NIGHTLY, "x*", ""))),
        |sim| sim.reload(0, config(&keeping(2, "exclude = [\"dw\"]"))),
    ];
    for spoil in spoils {
        let mut sim = sim(START, &keeping(2, ""));
        nights(&mut sim, "2026-11-26 00:00");
        skip_to(&mut sim, at("2026-11-26 02:25"));
        sim.until("2026-11-26 02:31");
        spoil(&mut sim);
        nights(&mut sim, "2026-12-05 00:00");
        assert_eq!(deleted(&sim), Vec::<String>::new());
        assert_eq!(held(&mut sim).len(), 3, "snapshots are kept");
    }
}

#[test]
fn nothing_goes_while_no_new_one_comes() {
    let mut sim = sim(START, &keeping(2, ""));
    nights(&mut sim, "2026-11-26 00:00");
    skip_to(&mut sim, at("2026-11-26 02:25"));
    sim.until("2026-11-26 02:31");
    sim.aws
        .refuse(DELETE, None, "InvalidClusterSnapshotState", 400);
    nights(&mut sim, "2026-11-27 00:00");
    sim.aws.heal();
    sim.aws.set_status("dw", "paused", at("2026-11-27 00:00"));
    sim.aws
        .refuse(DELETE, None, "InvalidClusterSnapshotState", 400);
    // Two intervals after the newest good one.
    skip_to(&mut sim, at("2026-11-28 02:28"));
    sim.until("2026-11-28 02:40");
    sim.aws.heal();
    nights(&mut sim, "2026-12-03 00:00");
    assert_eq!(deleted(&sim), Vec::<String>::new());
    assert_eq!(held(&mut sim).len(), 3);
    sim.aws
        .set_status("dw", "available", at("2026-12-03 00:00"));
    nights(&mut sim, "2026-12-04 00:00");
    assert_eq!(held(&mut sim), ["11-26", "12-03"]);
}

#[test]
fn after_a_cluster_is_made_again_the_old_ones_do_not_count_the_new_ones_as_newer() {
    let mut sim = sim(START, &keeping(3, ""));
    nights(&mut sim, "2026-11-28 00:00");
    assert_eq!(held(&mut sim), ["11-25", "11-26", "11-27"]);
    let now = sim.now;
    sim.aws.remove_cluster("dw", now);
    nights(&mut sim, "2026-11-29 00:00");
    sim.aws.add_cluster("dw", at("2026-11-28 12:00"));
    nights(&mut sim, "2026-12-08 00:00");
    // Of the old incarnation the two newest good ones have fewer than two newer ones of theirs.
    assert_eq!(
        held(&mut sim),
        ["11-26", "11-27", "12-05", "12-06", "12-07"]
    );
}

#[test]
fn a_denied_delete_leaves_creating_alone_and_a_refused_one_does_not_hold_up_the_others() {
    let mut sim = sim(START, &keeping(3, ""));
    sim.aws.refuse(DELETE, None, "AccessDenied", 403);
    nights(&mut sim, "2026-12-03 00:00");
    assert_eq!(held(&mut sim).len(), 9);
    sim.assert_accounted();
    assert_eq!(sim.outcome("p", "2026-12-02 02:30"), "available");
    let asked = sim.aws.asked[DELETE];
    assert!(asked <= 5 * 24 * 9, "five an hour at most: {asked}");
    sim.aws.heal();
    // The five oldest are in use by a cluster: the sixth goes all the same.
    for day in ["11-24", "11-25", "11-26", "11-27", "11-28"] {
        let id = id(&sim, day);
        let fate = redkeep_sandbox::snapshot::SnapshotFate::Held {
            status: "modifying".to_owned(),
        };
        let now = sim.now;
        sim.aws.snapshot_mut(&id, now).fate = fate;
        sim.aws
            .disguise(&id, |one| one.status = Some("available".to_owned()), now);
    }
    skip_to(&mut sim, at("2026-12-03 02:25"));
    sim.until("2026-12-03 03:40");
    assert!(deleted(&sim).contains(&id(&sim, "11-29")));
    let removals = sim.hosts[0].journal.ledger.removals.values();
    let kept = removals.filter(|one| !one.end.as_ref().unwrap().is_done());
    assert!(kept.count() > 5);
}

#[test]
fn a_crash_at_any_step_removes_each_once_and_records_it_as_pruned() {
    let passes = || {
        let mut sim = sim(START, &keeping(2, ""));
        nights(&mut sim, "2026-11-26 00:00");
        skip_to(&mut sim, at("2026-11-26 02:25"));
        sim.until("2026-11-26 03:24");
        sim
    };
    let mut whole = passes();
    let first = whole.steps;
    whole.until("2026-11-26 03:28");
    let last = whole.steps;
    assert_eq!(deleted(&whole).len(), 1);
    for delivers in [true, false] {
        for at_step in first..last {
            let mut sim = passes();
            sim.crash_at = Some(CrashPoint {
                at_step,
                downtime: minutes(3),
                delivers,
            });
            sim.until("2026-11-26 05:00");
            assert_eq!(held(&mut sim), ["11-25", "11-26"], "{at_step}");
            assert_eq!(deleted(&sim).len(), 1);
            let gone = sim.run("p", "2026-11-24 02:30").unwrap().gone;
            let reason = gone.map(|gone| gone.reason);
            assert_eq!(reason, Some(GoneReason::Pruned), "{at_step}");
            sim.assert_accounted();
        }
    }
}

#[test]
fn a_lost_answer_is_looked_for_and_never_asked_again() {
    for (fault, wanted) in [(Fault::LostReply, 1), (Fault::Reset, 2), (Fault::Hang, 2)] {
        let mut sim = sim(START, &keeping(2, ""));
        nights(&mut sim, "2026-11-26 00:00");
        skip_to(&mut sim, at("2026-11-26 02:25"));
        sim.until("2026-11-26 02:30");
        sim.aws.strike(DELETE, Some(1), fault);
        sim.until("2026-11-26 05:00");
        assert_eq!(deleted(&sim).len(), 1);
        assert_eq!(
            sim.aws.asked[DELETE], wanted,
            "the next pass asks anew where nothing was done"
        );
        let gone = sim.run("p", "2026-11-24 02:30").unwrap().gone.unwrap();
        assert_eq!(gone.reason, GoneReason::Pruned);
    }
}

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

#[test]
fn a_restart_does_not_make_the_first_pass_again_nor_a_pass_too_many() {
    let mut sim = sim(START, &keeping(2, ""));
    nights(&mut sim, "2026-11-26 00:00");
    skip_to(&mut sim, at("2026-11-26 02:25"));
    sim.until("2026-11-26 03:35");
    assert_eq!(deleted(&sim).len(), 1);
    let passes = sim.hosts[0].journal.ledger.passes.len();
    for _ in 0..5 {
        sim.stop(0);
        sim.start(0);
        sim.run_for(minutes(1));
    }
    let after = sim.hosts[0].journal.ledger.passes.len();
    assert!(after <= passes + 1, "{passes} and {after}");
}

#[test]
fn a_snapshot_by_hand_is_kept_and_counts_for_none() {
    let mut sim = sim(START, &keeping(2, ""));
    skip_to(&mut sim, at("2026-11-24 12:00"));
    let run = {
        let (now, host) = (sim.now, &sim.hosts[0]);
        let policy = host.config.policy(&"p".parse().unwrap()).unwrap();
        let pair = slot("p", "dw", START).pair;
        redkeep_core::plan::manual_run(
            &host.config,
            &host.writer,
            policy,
            pair,
            "35d".parse().unwrap(),
            now,
        )
    };
    let change = redkeep_core::history::Change::Run(Box::new(run));
    sim.hosts[0].journal.commit(std::slice::from_ref(&change));
    sim.hosts[0]
        .process_mut()
        .engine
        .committed(vec![change], Vec::new());
    sim.run_for(minutes(3));
    nights(&mut sim, "2026-11-29 00:00");
    // Two of the 24th are there no more but the one by hand.
    assert_eq!(held(&mut sim), ["11-24", "11-27", "11-28"]);
    assert_eq!(
        sim.aws
            .snapshot_mut(&id_by_hand(), at("2026-11-29 00:00"))
            .status(at("2026-11-29 00:00")),
        "available"
    );
}

fn id_by_hand() -> String {
    let namespace = "redkeep".parse().unwrap();
    let slot = slot("p", "dw", "2026-11-24 12:00");
    redkeep_core::snapshot::SnapshotId::derive(
        &namespace,
        &slot,
        redkeep_core::snapshot::Generation::First,
    )
    .to_string()
}

#[test]
fn failed_ones_of_ours_go_after_a_week_the_first_generation_too() {
    let mut sim = sim(START, &keeping(3, ""));
    let message = "Injected.".to_owned();
    sim.aws
        .strike(CREATE, Some(1), Fault::FailSnapshot { message });
    nights(&mut sim, "2026-11-30 00:00");
    let message = "Injected.".to_owned();
    sim.aws
        .strike(CREATE, Some(2), Fault::FailSnapshot { message });
    let failed = |sim: &mut Sim| {
        let now = sim.now;
        let there = sim.aws.listed(REGION, now);
        there
            .iter()
            .filter(|one| one.status.as_deref() == Some("failed"))
            .count()
    };
    nights(&mut sim, "2026-12-01 00:00");
    skip_to(&mut sim, at("2026-12-01 02:25"));
    assert_eq!(failed(&mut sim), 3);
    sim.until("2026-12-01 04:00");
    assert_eq!(failed(&mut sim), 2, "the one of the 24th is a week old");
    assert_eq!(
        sim.run("p", "2026-11-24 02:30")
            .unwrap()
            .gone
            .unwrap()
            .reason,
        GoneReason::Pruned
    );
    nights(&mut sim, "2026-12-08 00:00");
    assert_eq!(failed(&mut sim), 0);
    sim.assert_accounted();
}

#[test]
fn a_foreign_snapshot_with_our_tags_is_not_touched() {
    let mut sim = sim(START, &keeping(2, ""));
    let now = sim.now;
    let tags = [
        ("redkeep:namespace", "redkeep"),
        ("redkeep:policy", "p"),
        ("redkeep:cluster", "dw"),
        ("redkeep:slot", "2026-11-20T02:30:00Z"),
        ("redkeep:tier", "base"),
        ("redkeep:trigger", "schedule"),
        ("redkeep:writer", "host-a"),
    ];
    sim.aws.plant("somebody-elses", &tags, now);
    nights(&mut sim, "2026-12-03 00:00");
    sim.run_for(minutes(1));
    assert_eq!(held(&mut sim), ["11-20", "12-01", "12-02"]);
    let now = sim.now;
    let (_, judgement) = sim.hosts[0].process().engine.judge(now).pop().unwrap();
    let foreign = judgement
        .judged
        .iter()
        .find(|one| one.listed.snapshot_identifier == "somebody-elses");
    assert_eq!(
        foreign.unwrap().verdict.to_string(),
        "not proven to be ours"
    );
}

#[test]
fn a_dry_run_says_what_the_next_pass_removes() {
    let mut sim = sim(START, &keeping(2, ""));
    nights(&mut sim, "2026-11-26 00:00");
    skip_to(&mut sim, at("2026-11-26 02:25"));
    sim.until("2026-11-26 02:40");
    let now = sim.now;
    let (_, judgement) = sim.hosts[0].process().engine.judge(now).pop().unwrap();
    let said: Vec<String> = judgement
        .removals()
        .map(|(one, _)| one.id().to_string())
        .collect();
    assert!(judgement.blocked.is_empty());
    sim.until("2026-11-26 04:00");
    assert_eq!(deleted(&sim), said);
}

#[test]
fn held_is_kept_and_released_goes() {
    let mut sim = sim(START, &keeping(2, ""));
    nights(&mut sim, "2026-11-25 00:00");
    let first = id(&sim, "11-24");
    let ask = |sim: &mut Sim, number, wanted| {
        let action = SnapshotAction {
            id: number,
            kind: wanted,
            slot: slot("p", "dw", "2026-11-24 02:30"),
            snapshot: redkeep_core::snapshot::SnapshotId::recorded(first.clone()),
            asked_at: sim.now,
            trouble: None,
            end: None,
        };
        let host = &mut sim.hosts[0];
        host.journal.ledger.actions.insert(number, action.clone());
        host.process_mut()
            .engine
            .falsify()
            .1
            .actions
            .insert(number, action);
        sim.run_for(seconds(40));
        let ended = &sim.hosts[0].journal.ledger.actions[&number].end;
        assert!(ended.as_ref().unwrap().is_done(), "{ended:?}");
    };
    ask(&mut sim, 1, ActionKind::Hold);
    let now: DateTime<Utc> = sim.now;
    assert_eq!(sim.aws.snapshot_mut(&first, now).retention_days, -1);
    nights(&mut sim, "2026-12-20 00:00");
    assert_eq!(held(&mut sim), ["11-24", "12-18", "12-19"]);
    ask(&mut sim, 2, ActionKind::Release);
    let now: DateTime<Utc> = sim.now;
    assert_eq!(sim.aws.snapshot_mut(&first, now).retention_days, 35);
    sim.run_for(hours(2));
    assert_eq!(held(&mut sim), ["12-18", "12-19"]);
}

#[test]
fn another_installation_removes_them_only_after_a_takeover() {
    let mut sim = sim(START, &keeping(2, ""));
    nights(&mut sim, "2026-11-26 00:00");
    skip_to(&mut sim, at("2026-11-26 02:25"));
    sim.until("2026-11-26 02:31");
    sim.stop(0);
    let second = redkeep_simulation::setup::add_host(
        &mut sim,
        "host-b",
        config(&keeping(2, "")),
        redkeep_simulation::sim::journal::Journal::in_memory(),
    );
    nights(&mut sim, "2026-11-29 00:00");
    assert_eq!(deleted(&sim), Vec::<String>::new());
    sim.run_for(minutes(1));
    let now = sim.now;
    let (_, judgement) = sim.hosts[second].process().engine.judge(now).pop().unwrap();
    let others = judgement
        .judged
        .iter()
        .filter(|one| one.verdict.to_string().contains("another"));
    for (number, judged) in (1..).zip(others.cloned().collect::<Vec<_>>()) {
        let action = SnapshotAction {
            id: number,
            kind: ActionKind::Takeover,
            slot: judged.slot.clone(),
            snapshot: judged.id(),
            asked_at: now,
            trouble: None,
            end: None,
        };
        let history = sim.hosts[second].process_mut().engine.falsify().1;
        history.actions.insert(number, action);
    }
    sim.run_for(minutes(1));
    nights(&mut sim, "2026-11-30 00:00");
    assert_eq!(held(&mut sim), ["11-28", "11-29"]);
}

#[test]
fn a_clock_that_is_put_back_by_two_minutes_does_not_shorten_the_hour_after_the_first_pass() {
    let mut sim = sim(START, &keeping(30, ""));
    nights(&mut sim, "2026-12-04 00:00");
    sim.set_clock(0, minutes(2));
    sim.reload(0, config(&keeping(3, "")));
    sim.run_for(minutes(2));
    let announced = sim.hosts[0].journal.ledger.passes.last().unwrap();
    assert_eq!(announced.result, PassResult::FirstPass);
    sim.set_clock(0, TimeDelta::zero());
    sim.run_for(minutes(50));
    assert_eq!(deleted(&sim), Vec::<String>::new());
    sim.run_for(minutes(20));
    assert_eq!(deleted(&sim).len(), 5, "the hour is over");
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

fn rename(sim: &mut Sim, to: &str) {
    let (until, to) = (sim.now, to.to_owned());
    let state = redkeep_sandbox::cluster::ClusterState::Renaming { until, to };
    sim.aws.region(until).cluster_mut("dw").unwrap().state = state;
}

#[test]
fn the_snapshots_of_a_renamed_cluster_are_pruned_as_those_of_its_new_name_come() {
    let mut sim = sim(START, &keeping(3, ""));
    nights(&mut sim, "2026-11-28 00:00");
    assert_eq!(held(&mut sim), ["11-25", "11-26", "11-27"]);
    rename(&mut sim, "dx");
    nights(&mut sim, "2026-12-03 00:00");
    assert_eq!(held(&mut sim), ["11-30", "12-01", "12-02"]);
    let run = sim.run("p", "2026-11-27 02:30").unwrap();
    assert_eq!(run.gone.unwrap().reason, GoneReason::Pruned);
}

#[test]
fn the_snapshots_of_a_cluster_whose_new_name_no_policy_selects_stay() {
    let mut sim = sim(START, &keeping(2, ""));
    nights(&mut sim, "2026-11-28 00:00");
    rename(&mut sim, "warehouse");
    nights(&mut sim, "2026-12-08 00:00");
    assert_eq!(held(&mut sim), ["11-26", "11-27"]);
}

#[test]
fn after_a_rename_and_a_new_cluster_of_the_old_name_neither_counts_for_the_other() {
    let mut sim = sim(START, &keeping(2, ""));
    nights(&mut sim, "2026-11-28 00:00");
    rename(&mut sim, "warehouse");
    sim.run_for(minutes(3));
    sim.aws.add_cluster("dw", at("2026-11-28 00:00"));
    nights(&mut sim, "2026-12-08 00:00");
    assert_eq!(held(&mut sim), ["11-26", "11-27", "12-06", "12-07"]);
}

#[test]
fn a_snapshot_of_a_renamed_cluster_can_be_held_and_released() {
    let mut sim = sim(START, &keeping(4, ""));
    nights(&mut sim, "2026-11-26 00:00");
    rename(&mut sim, "warehouse");
    sim.run_for(minutes(3));
    let first = id(&sim, "11-24");
    for (number, wanted, period) in [(1, ActionKind::Hold, -1), (2, ActionKind::Release, 35)] {
        let snapshot = redkeep_core::snapshot::SnapshotId::recorded(first.clone());
        let of = slot("p", "dw", "2026-11-24 02:30");
        let action = SnapshotAction {
            id: number,
            ..SnapshotAction::new(wanted, of, snapshot, sim.now)
        };
        let history = sim.hosts[0].process_mut().engine.falsify().1;
        history.actions.insert(number, action);
        sim.run_for(seconds(40));
        let ended = sim.hosts[0].journal.ledger.actions[&number].end.clone();
        assert!(ended.as_ref().unwrap().is_done(), "{ended:?}");
        let now: DateTime<Utc> = sim.now;
        assert_eq!(sim.aws.snapshot_mut(&first, now).retention_days, period);
    }
}
