//! Each thing that keeps a snapshot which `keep_last` leaves over.

use chrono::{DateTime, TimeDelta, Utc};
use redkeep_core::operations::{ActionKind, SnapshotAction};
use redkeep_core::snapshot::Snapshot;
use redkeep_sandbox::faults::Fault;
use redkeep_simulation::setup::{at, config, hours, minutes, policy, seconds, sim, slot};
use redkeep_simulation::sim::Sim;
use redkeep_simulation::sim::aws::{DELETE, SNAPSHOTS};

use super::{NIGHTLY, START, deleted, held, id, keeping, nights, skip_to};

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
