//! Whose an answer is: another snapshot's, another account's, or nobody can tell.

use std::mem::swap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use redkeep_core::engine::Engine;
use redkeep_core::history::{Change, Extension, History};
use redkeep_core::names::Retention;
use redkeep_core::names::Trigger;
use redkeep_core::redshift::{Answer, Cluster, ErrorClass, RedshiftError, ServerDate};
use redkeep_core::reply::{Described, Listed, Reply};
use redkeep_core::run::{Run, RunState};
use redkeep_core::slot::{Pair, Scope, Slot};
use redkeep_core::snapshot::{Generation, Snapshot, SnapshotId, tag};
use redkeep_policy_file::Config;
use redkeep_sandbox::account::Account;

use crate::refusals::{SLOT, asked, nightly};
use redkeep_simulation::setup::{
    at, config_of, minutes, outcome, pair, policy, seconds, sim, slot,
};
use redkeep_simulation::sim::Sim;
use redkeep_simulation::sim::aws::{CREATE, REGION};

/// Makes another snapshot of one.
type Spoil = fn(&mut Snapshot);

const OURS: &str = "123456789012";
const OTHER: &str = "999988887777";

pub fn answer<T>(result: T) -> Answer<T> {
    Answer {
        result: Ok(result),
        server_date: ServerDate::Undated,
        requests: 1,
    }
}

fn denied<T>() -> Answer<T> {
    Answer {
        result: Err(RedshiftError {
            class: ErrorClass::AccessDenied,
            code: Some("AccessDenied".to_owned()),
            message: "blocked".to_owned(),
        }),
        server_date: ServerDate::Undated,
        requests: 1,
    }
}

pub fn clusters(names: &[&str], account: Option<&str>) -> Vec<Cluster> {
    let cluster = |name: &&str| Cluster {
        id: name.parse().unwrap(),
        status: "available".to_owned(),
        created_at: Some(at("2026-01-01 00:00")),
        tags: Default::default(),
        account_number: account.map(str::to_owned),
    };
    names.iter().map(cluster).collect()
}

/// Asks for the nightly snapshot; what AWS made of it.
fn asking(sim: &mut Sim) -> Arc<Snapshot> {
    sim.latency.back = (3_600_000, 3_600_000);
    sim.until("2026-11-24 02:30:05");
    let now = sim.now;
    let made = sim.aws.listed(REGION, now);
    assert_eq!(made.len(), 1);
    Arc::clone(&made[0])
}

/// What the answer `reply` makes of the nightly run.
fn taken_in(sim: &mut Sim, reply: Reply) -> RunState {
    let now = sim.now;
    let engine = &mut sim.hosts[0].process_mut().engine;
    engine.observe(reply, now);
    let run = engine.history().runs.get(&slot("nightly", "dw", SLOT));
    run.unwrap().state.clone()
}

#[test]
fn a_create_call_that_is_answered_with_another_calls_snapshot_makes_nothing_available() {
    let wrong: [(&str, Spoil); 4] = [
        ("name", |one| {
            one.snapshot_identifier = "redkeep-nightly-other-20261124t023000z-00000000".to_owned();
        }),
        ("no name", |one| one.snapshot_identifier.clear()),
        ("owner", |one| one.owner_account = Some(OTHER.to_owned())),
        ("slot", |one| {
            let slot = "2026-11-23T02:30:00Z".to_owned();
            one.tags.insert(tag::SLOT.to_owned(), slot);
        }),
    ];
    for (what, spoil) in wrong {
        let mut sim = nightly();
        let mut told = (*asking(&mut sim)).clone();
        told.status = Some("available".to_owned());
        spoil(&mut told);
        let slot = slot("nightly", "dw", SLOT);
        let reply = Reply::Created(slot, answer(Arc::new(told)));
        let state = taken_in(&mut sim, reply);
        assert!(
            matches!(state, RunState::InDoubt { .. }),
            "{what}: {state:?}"
        );
    }
}

#[test]
fn a_look_that_is_answered_with_another_name_or_owner_tells_nothing() {
    let mut sim = nightly();
    let made = asking(&mut sim);
    let slot = slot("nightly", "dw", SLOT);
    let lost = Reply::Created(
        slot.clone(),
        Answer {
            result: Err(RedshiftError {
                class: ErrorClass::Unknown,
                code: None,
                message: "connection reset".to_owned(),
            }),
            server_date: ServerDate::NoAnswer,
            requests: 1,
        },
    );
    assert!(matches!(taken_in(&mut sim, lost), RunState::InDoubt { .. }));
    let look = |snapshots: Vec<Snapshot>, at| {
        Reply::Described(Box::new(Described {
            slot: slot.clone(),
            began_at: at,
            snapshots: answer(snapshots.into_iter().map(Arc::new).collect()),
            account_number: None,
        }))
    };
    let complete = Snapshot {
        status: Some("available".to_owned()),
        ..(*made).clone()
    };
    let named = Snapshot {
        snapshot_identifier: "another".to_owned(),
        ..complete.clone()
    };
    let owned = Snapshot {
        owner_account: Some(OTHER.to_owned()),
        ..complete.clone()
    };
    let now = sim.now;
    for others in [
        vec![named.clone()],
        vec![owned.clone()],
        vec![named, owned.clone()],
    ] {
        let state = taken_in(&mut sim, look(others, now));
        assert!(matches!(state, RunState::InDoubt { .. }), "{state:?}");
    }
    let state = taken_in(&mut sim, look(vec![owned, complete], now));
    assert!(format!("{state:?}").contains("Available"), "{state:?}");
}

#[test]
fn an_extension_that_is_answered_with_another_snapshot_is_not_recorded() {
    let mut sim = nightly();
    sim.until("2026-11-24 12:00");
    let run = sim.run("nightly", SLOT).unwrap();
    let before = run.description().unwrap();
    let days = |days| Retention::from_days(days).unwrap();
    let extension = Extension {
        slot: run.slot.clone(),
        extended_at: sim.now,
        from: days(35),
        to: days(50),
        reason: "a test".to_owned(),
    };
    for (name, owner) in [
        ("another", OURS),
        (before.snapshot_identifier.as_str(), OTHER),
    ] {
        let told = Snapshot {
            snapshot_identifier: name.to_owned(),
            owner_account: Some(owner.to_owned()),
            manual_snapshot_retention_period: Some(50),
            ..(**before).clone()
        };
        let now = sim.now;
        let engine = &mut sim.hosts[0].process_mut().engine;
        let reply = Reply::Extended(Box::new(extension.clone()), answer(Arc::new(told)));
        engine.answered(reply, now);
        assert_eq!(engine.take_changes(now), []);
        assert!(
            engine.observed().refused.contains_key(&run.slot),
            "it is tried again later"
        );
    }
}

/// Credentials lead to another account with a cluster of the same name, for a minute.
fn stray(sim: &mut Sim, clusters: &[&str]) {
    let now = sim.now;
    sim.hosts[0].guarded.troubled(now);
    let mut other = Account::new(OTHER.to_owned(), sim.aws.account.limits.clone());
    swap(&mut sim.aws.account, &mut other);
    let created_at = at("2026-02-02 00:00");
    sim.aws.region(created_at);
    for cluster in clusters {
        sim.aws.add_cluster(cluster, created_at);
    }
    sim.run_for(seconds(70));
    swap(&mut sim.aws.account, &mut other);
    let now = sim.now;
    sim.aws.region(now);
}

#[test]
fn credentials_that_lead_to_another_account_for_a_minute_make_nothing_gone() {
    for tells_arns in [true, false] {
        for clusters in [&["dw"][..], &["other"], &[]] {
            let mut sim = sim(
                "2026-11-24 00:00",
                &policy("nightly", "30 2 * * *", "d*", ""),
            );
            sim.aws.tells_arns = tells_arns;
            sim.until("2026-11-25 12:00");
            let pairs = sim.hosts[0].journal.ledger.pairs.clone();
            stray(&mut sim, clusters);
            sim.run_for(minutes(5));
            let told = format!("arns {tells_arns}, clusters {clusters:?}");
            let ledger = &sim.hosts[0].journal.ledger;
            assert!(ledger.runs.values().all(Run::is_good), "{told}");
            assert_eq!(ledger.pairs, pairs, "{told}");
            sim.until("2026-11-26 12:00");
            assert_eq!(sim.records().len(), 3, "{told}: {:?}", sim.records());
            assert_eq!(sim.aws.accepted.len(), 3, "{told}");
            assert!(
                sim.hosts[0].alarms.is_empty(),
                "{told}: {:?}",
                sim.hosts[0].alarms
            );
            sim.assert_accounted();
        }
    }
}

#[test]
fn a_listing_of_which_half_is_another_accounts_shows_nothing() {
    let mut sim = nightly();
    sim.until("2026-11-24 12:00");
    let (now, scope) = (sim.now, pair("nightly", "dw").scope);
    let engine = &mut sim.hosts[0].process_mut().engine;
    let mixed = Listed {
        scope: scope.clone(),
        began_at: now,
        clusters: answer(clusters(&["else"], Some(OTHER))),
        snapshots: answer(Vec::new()),
        account_number: Some(answer(OURS.to_owned())),
    };
    engine.answered(Reply::Listed(Box::new(mixed)), now);
    assert_eq!(engine.take_changes(now), []);
    assert!(engine.observed().missing.is_empty());
    let view = &engine.observed().scopes[&scope];
    assert_eq!(view.snapshots.as_ref().unwrap().by_id.len(), 1);
    assert!(
        view.clusters
            .as_ref()
            .unwrap()
            .contains_key(&"dw".parse().unwrap())
    );
    assert!(view.trouble.as_ref().unwrap().contains("another account"));
}

#[test]
fn where_sts_is_blocked_the_clusters_tell_whose_account_it_is() {
    let mut sim = sim(
        "2026-11-24 00:00",
        &policy("nightly", "30 2 * * *", "dw", ""),
    );
    sim.aws
        .refuse("GetCallerIdentity", None, "AccessDenied", 403);
    sim.stop(0);
    sim.start(0);
    sim.until("2026-11-24 12:00");
    assert_eq!(sim.outcome("nightly", SLOT), "available");
    assert!(!sim.hosts[0].was_alarmed("Unidentified"));
    let numbers = &sim.hosts[0].journal.ledger.accounts;
    assert_eq!(numbers.values().collect::<Vec<_>>(), [OURS]);
}

/// The snapshot that AWS has under a run's name in an account.
fn made(run: &Run, owner: &str) -> Snapshot {
    Snapshot {
        snapshot_identifier: run.request.snapshot_id.to_string(),
        cluster_identifier: Some(run.slot.pair.cluster.to_string()),
        snapshot_create_time: Some(run.slot.scheduled_at),
        snapshot_type: Some("manual".to_owned()),
        status: Some("available".to_owned()),
        owner_account: Some(owner.to_owned()),
        tags: run.request.tags.to_tags(),
        manual_snapshot_retention_period: Some(35),
        ..Snapshot::default()
    }
}

#[test]
fn of_two_snapshots_of_one_name_none_counts_before_the_accounts_number_is_known() {
    let mut sim = nightly();
    sim.aws.tells_arns = false;
    sim.aws
        .refuse("GetCallerIdentity", None, "AccessDenied", 403);
    sim.hosts[0].journal.ledger.accounts.clear();
    sim.stop(0);
    sim.start(0);
    sim.run_for(seconds(5));
    asking(&mut sim);
    let run = sim.run("nightly", SLOT).unwrap();
    let (ours, theirs) = (made(&run, OURS), made(&run, OTHER));
    let listed = |at: DateTime<Utc>, sts: Answer<String>| {
        Reply::Listed(Box::new(Listed {
            scope: run.slot.pair.scope.clone(),
            began_at: at,
            clusters: answer(clusters(&["dw"], None)),
            snapshots: answer(vec![Arc::new(ours.clone()), Arc::new(theirs.clone())]),
            account_number: Some(sts),
        }))
    };
    let now = sim.now;
    let lost = Reply::Created(run.slot.clone(), denied());
    taken_in(&mut sim, lost);
    let state = taken_in(&mut sim, listed(now, denied()));
    assert!(matches!(state, RunState::Waiting { .. }), "{state:?}");
    let state = taken_in(&mut sim, listed(now, answer(OURS.to_owned())));
    assert!(format!("{state:?}").contains("Available"), "{state:?}");
}

fn two_accounts() -> Config {
    let accounts = "[[account]]\nname = \"a\"\nregions = [\"eu-central-1\"]\n\
        [[account]]\nname = \"b\"\nprofile = \"b\"\nregions = [\"eu-central-1\"]\n";
    config_of(accounts, &policy("nightly", "30 2 * * *", "dw", ""))
}

fn run_in(config: &Config, account: &str, scheduled_at: &str) -> Run {
    let scope = Scope {
        account: account.parse().unwrap(),
        region: REGION.parse().unwrap(),
    };
    let pair = Pair {
        scope,
        ..pair("nightly", "dw")
    };
    let (policy, at) = (&config.policies[0], at(scheduled_at));
    let writer = "host-a".parse().unwrap();
    let retention = "35d".parse().unwrap();
    let mut run =
        redkeep_core::plan::manual_run(config, &writer, policy, pair.clone(), retention, at);
    run.trigger = Trigger::Schedule;
    let slot = Slot {
        pair,
        scheduled_at: at,
    };
    let id = SnapshotId::derive(&config.namespace, &slot, Generation::First);
    assert_eq!(run.request.snapshot_id, id);
    run
}

#[test]
fn of_two_accounts_with_equal_clusters_each_gets_back_what_is_its_own_when_the_history_is_lost() {
    let config = two_accounts();
    let now = at("2026-11-24 12:00");
    let mut engine = Engine::new(
        config.clone(),
        History::default(),
        "host-a".parse().unwrap(),
        now,
    );
    let nights = ["2026-11-22 02:30", "2026-11-23 02:30", "2026-11-24 02:30"];
    for (account, number) in [("a", OURS), ("b", OTHER)] {
        let runs = nights.map(|night| run_in(&config, account, night));
        let listed = Listed {
            scope: runs[0].slot.pair.scope.clone(),
            began_at: now,
            clusters: answer(clusters(&["dw"], Some(number))),
            snapshots: answer(runs.iter().map(|run| Arc::new(made(run, number))).collect()),
            account_number: None,
        };
        engine.answered(Reply::Listed(Box::new(listed)), now);
        let changes = engine.take_changes(now);
        let adopted = changes
            .iter()
            .filter(|one| matches!(one, Change::Adopted(_)));
        assert_eq!(adopted.count(), 3, "{account}: {changes:#?}");
        engine.committed(changes, Vec::new());
        for run in runs {
            let adopted = engine.history().runs.get(&run.slot).unwrap();
            assert_eq!(outcome(adopted), "available");
            let owner = adopted.snapshot.as_ref().unwrap().account_number();
            assert_eq!(owner, Some(number));
        }
    }
}

#[test]
fn the_snapshot_that_another_account_shares_under_the_same_name_is_not_ours() {
    let mut sim = nightly();
    let made = asking(&mut sim);
    let shared = Snapshot {
        owner_account: Some(OTHER.to_owned()),
        status: Some("available".to_owned()),
        ..(*made).clone()
    };
    let listed = Listed {
        scope: pair("nightly", "dw").scope,
        began_at: sim.now,
        clusters: answer(clusters(&["dw"], Some(OURS))),
        snapshots: answer(vec![made, Arc::new(shared)]),
        account_number: None,
    };
    sim.hosts[0]
        .process_mut()
        .engine
        .falsify()
        .2
        .in_flight
        .clear();
    let state = taken_in(&mut sim, Reply::Listed(Box::new(listed)));
    assert!(matches!(state, RunState::Creating { .. }), "{state:?}");
    assert_eq!(asked(&sim), 1);
    assert_eq!(sim.aws.asked[CREATE], 1);
}
