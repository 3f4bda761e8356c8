//! What AWS refuses, forgets or hides: each row of docs/semantics.md, table of error classes.

use redkeep_core::plan::Alarm;
use redkeep_sandbox::faults::Fault;

use redkeep_simulation::setup::{
    add_host, at, config, config_with_quota, policy, seconds, sim, sim_of_clusters,
};
use redkeep_simulation::sim::Sim;
use redkeep_simulation::sim::aws::{CLUSTERS, CREATE, SNAPSHOTS};
use redkeep_simulation::sim::journal::{Journal, scratch};

pub const SLOT: &str = "2026-11-24 02:30";

/// One nightly policy, shortly before its slot.
pub fn nightly() -> Sim {
    let mut sim = sim(
        "2026-11-24 00:00",
        &policy("nightly", "30 2 * * *", "dw", ""),
    );
    sim.until("2026-11-24 02:29");
    sim
}

pub fn asked(sim: &Sim) -> u64 {
    sim.aws.asked.get(CREATE).copied().unwrap_or_default()
}

#[test]
fn throttled_for_thirty_minutes_it_makes_one_snapshot() {
    let mut sim = nightly();
    sim.aws.refuse(CREATE, None, "Throttling", 400);
    sim.until("2026-11-24 03:00");
    assert!((6..200).contains(&asked(&sim)), "{} attempts", asked(&sim));
    sim.aws.heal();
    sim.until("2026-11-24 03:06");
    assert_eq!(sim.outcome("nightly", SLOT), "available");
    assert_eq!(sim.aws.accepted.len(), 1);
    sim.assert_accounted();
}

#[test]
fn a_lost_reply_is_looked_up_and_the_snapshot_adopted() {
    for fault in [Fault::LostReply, Fault::Truncate, Fault::Empty] {
        let mut sim = nightly();
        sim.aws.strike(CREATE, Some(1), fault.clone());
        sim.until("2026-11-24 02:31");
        assert_eq!(sim.outcome("nightly", SLOT), "available", "{fault:?}");
        assert_eq!(asked(&sim), 1, "{fault:?}: asked again without a look");
        sim.assert_accounted();
    }
}

#[test]
fn a_lost_request_is_asked_again_after_two_minutes_of_looking() {
    for fault in [Fault::Reset, Fault::Hang, Fault::Html { status: 502 }] {
        let mut sim = nightly();
        sim.aws.strike(CREATE, Some(1), fault.clone());
        sim.until("2026-11-24 02:31:50");
        assert_eq!(asked(&sim), 1, "{fault:?}");
        sim.until("2026-11-24 02:34");
        assert_eq!(sim.outcome("nightly", SLOT), "available", "{fault:?}");
        assert_eq!(asked(&sim), 2, "{fault:?}");
        sim.assert_accounted();
    }
}

#[test]
fn a_lost_request_is_asked_again_even_if_looking_fails() {
    let mut sim = nightly();
    sim.aws.strike(CREATE, Some(1), Fault::Reset);
    sim.aws.refuse(SNAPSHOTS, None, "AccessDenied", 403);
    sim.until("2026-11-24 02:40");
    assert_eq!(asked(&sim), 2, "in doubt, the snapshot is taken");
    sim.aws.heal();
    sim.until("2026-11-24 03:00");
    assert_eq!(sim.outcome("nightly", SLOT), "available");
    sim.assert_accounted();
}

#[test]
fn a_paused_cluster_that_hides_our_own_accepted_snapshot_does_not_make_the_run_expire() {
    // The reply is lost, the snapshot invisible for longer than the doubt lasts, the cluster paused.
    let mut sim = nightly();
    sim.aws.strike(CREATE, Some(1), Fault::LostReply);
    sim.until("2026-11-24 02:30:00");
    sim.run_for(seconds(1));
    let id = sim.aws.accepted[0].0.clone();
    let now = sim.now;
    sim.aws.snapshot_mut(&id, now).visible_from = at("2026-11-24 02:37");
    sim.aws.set_status("dw", "paused", now);
    sim.until("2026-11-24 02:36");
    let run = sim.run("nightly", SLOT).unwrap();
    let message = run.message.unwrap();
    assert!(message.starts_with("InvalidClusterState"), "{message}");
    sim.until("2026-11-24 02:39");
    assert_eq!(sim.outcome("nightly", SLOT), "available");
    sim.assert_accounted();
}

#[test]
fn a_snapshot_that_appears_only_after_the_deadline_is_adopted_by_the_last_look() {
    let more = "start_window = \"5m\"";
    let mut sim = sim(
        "2026-11-24 00:00",
        &policy("nightly", "30 2 * * *", "dw", more),
    );
    sim.aws.strike(CREATE, Some(1), Fault::LostReply);
    sim.until("2026-11-24 02:30:00");
    sim.run_for(seconds(1));
    let id = sim.aws.accepted[0].0.clone();
    let now = sim.now;
    sim.aws.snapshot_mut(&id, now).visible_from = at("2026-11-24 02:35");
    sim.aws.set_status("dw", "paused", now);
    sim.until("2026-11-24 02:40");
    assert_eq!(sim.outcome("nightly", SLOT), "available");
    sim.assert_accounted();
}

/// A snapshot with the name that our slot will have, made by somebody else before.
fn with_a_snapshot_of_that_name(tags: &[(&str, &str)]) -> Sim {
    let mut sim = sim(
        "2026-11-24 00:00",
        &policy("nightly", "30 2 * * *", "dw", ""),
    );
    let mut other = redkeep_simulation::setup::sim(
        "2026-11-24 00:00",
        &policy("nightly", "30 2 * * *", "dw", ""),
    );
    other.until("2026-11-24 02:40");
    let id = other.aws.accepted[0].0.clone();
    let now = other.now;
    let mut made = other.aws.snapshot_mut(&id, now).clone();
    made.tags
        .retain(|tag| !tag.key.starts_with("redkeep:") || !tags.is_empty());
    for (key, value) in tags {
        let tag = made.tags.iter_mut().find(|tag| tag.key == *key).unwrap();
        tag.value = (*value).to_owned();
    }
    made.created_at = sim.now;
    let now = sim.now;
    sim.aws.region(now).snapshots.insert(id, made);
    sim
}

#[test]
fn a_snapshot_of_that_name_with_our_tags_is_adopted() {
    let mut sim = with_a_snapshot_of_that_name(&[("redkeep:writer", "somebody")]);
    sim.until("2026-11-24 02:40");
    assert_eq!(sim.outcome("nightly", SLOT), "available");
    assert_eq!(sim.aws.accepted.len(), 0);
    sim.assert_accounted();
}

#[test]
fn a_snapshot_of_that_name_without_tags_is_adopted_by_its_name() {
    let mut sim = with_a_snapshot_of_that_name(&[]);
    sim.until("2026-11-24 02:40");
    assert_eq!(sim.outcome("nightly", SLOT), "available");
    sim.assert_accounted();
}

#[test]
fn a_snapshot_of_that_name_whose_tags_contradict_is_a_conflict_and_stays_untouched() {
    let mut sim = with_a_snapshot_of_that_name(&[("redkeep:policy", "weekly")]);
    let now = sim.now;
    let before = sim.aws.region(now).snapshots.clone();
    sim.until("2026-11-24 02:40");
    let outcome = sim.outcome("nightly", SLOT);
    assert!(
        outcome.starts_with("conflict(its tag redkeep:policy"),
        "{outcome}"
    );
    let now = sim.now;
    assert_eq!(sim.aws.region(now).snapshots, before);
    sim.assert_accounted();
}

#[test]
fn a_full_quota_raises_an_alarm_and_the_slot_runs_when_there_is_room() {
    // The operator's quota is larger than AWS's: AWS is right.
    let mut sim = nightly();
    sim.aws.account.limits.manual_snapshots = 0;
    sim.until("2026-11-24 02:31");
    assert!(sim.hosts[0].was_alarmed("QuotaReached"));
    sim.until("2026-11-24 03:30");
    assert!(
        (2..5).contains(&asked(&sim)),
        "{} attempts in an hour",
        asked(&sim)
    );
    sim.aws.account.limits.manual_snapshots = 20;
    sim.until("2026-11-24 04:05");
    assert_eq!(sim.outcome("nightly", SLOT), "available");
    sim.assert_accounted();
}

#[test]
fn a_quota_that_is_nearly_used_up_is_an_alarm_before_aws_refuses() {
    let mut sim = Sim::new(at("2026-11-24 00:00"));
    sim.aws.add_cluster("dw", at("2026-01-01 00:00"));
    let config = config_with_quota(1, &policy("nightly", "30 2 * * *", "dw", ""));
    redkeep_simulation::setup::add_host(
        &mut sim,
        "host-a",
        config,
        redkeep_simulation::sim::journal::Journal::in_memory(),
    );
    sim.until("2026-11-24 02:20");
    assert!(!sim.hosts[0].was_alarmed("QuotaReached"));
    sim.until("2026-11-24 02:40");
    assert!(sim.hosts[0].was_alarmed("QuotaReached"));
    let mut alarms = sim.hosts[0].alarms.iter();
    let said = alarms.find(|(alarm, _)| matches!(alarm, Alarm::QuotaReached(_)));
    assert_eq!(
        said.map(|(_, said)| said.as_str()),
        Some("AWS has 1 of 1, of which 0 are not redkeep's")
    );
}

#[test]
fn a_cluster_that_is_not_found_three_times_fails_its_run() {
    let mut sim = nightly();
    let now = sim.now;
    sim.aws.remove_cluster("dw", now);
    sim.until("2026-11-24 02:40");
    assert_eq!(sim.outcome("nightly", SLOT), "failed(not_found)");
    assert_eq!(asked(&sim), 3);
    sim.assert_accounted();
}

#[test]
fn three_tries_are_three_answers_not_found_whatever_was_refused_before() {
    let mut sim = nightly();
    sim.aws.refuse(CREATE, Some(4), "Throttling", 400);
    sim.aws.refuse(CREATE, Some(2), "ClusterNotFound", 404);
    sim.until("2026-11-24 02:40");
    assert_eq!(sim.outcome("nightly", SLOT), "available");
    sim.assert_accounted();
}

#[test]
fn a_request_that_is_wrong_fails_at_once_and_for_good() {
    for code in [
        "InvalidTagFault",
        "InvalidRetentionPeriodFault",
        "InvalidParameterValue",
    ] {
        let mut sim = nightly();
        sim.aws.refuse(CREATE, Some(1), code, 400);
        sim.until("2026-11-24 02:32");
        assert_eq!(sim.outcome("nightly", SLOT), "failed(config)", "{code}");
        let message = sim.run("nightly", SLOT).unwrap().message.unwrap();
        assert_eq!(message, format!("{code}: Injected."));
        sim.until("2026-11-24 12:00");
        assert_eq!(asked(&sim), 1, "{code}");
        sim.assert_accounted();
    }
}

#[test]
fn slow_refusals_are_asked_again_at_their_pace_until_they_end() {
    for (code, attempts) in [
        ("AccessDenied", 6..9),
        ("SomethingNew", 12..15),
        ("RequestExpired", 12..15),
        ("ExpiredToken", 12..16),
    ] {
        let mut sim = nightly();
        sim.aws.refuse(CREATE, None, code, 400);
        sim.until("2026-11-24 03:32");
        assert!(
            attempts.contains(&asked(&sim)),
            "{code}: {} in an hour",
            asked(&sim)
        );
        let message = sim.run("nightly", SLOT).unwrap().message.unwrap();
        assert_eq!(message, format!("{code}: Injected."));
        sim.aws.heal();
        sim.until("2026-11-24 03:45");
        assert_eq!(sim.outcome("nightly", SLOT), "available", "{code}");
        sim.assert_accounted();
    }
}

#[test]
fn a_cluster_paused_through_the_window_makes_the_run_expire_with_its_status() {
    for status in ["paused", "available, prep-for-resize"] {
        let mut sim = nightly();
        let now = sim.now;
        sim.aws.set_status("dw", status, now);
        sim.until("2026-11-24 10:29");
        assert!(sim.outcome("nightly", SLOT).starts_with("open"));
        sim.until("2026-11-24 10:31");
        assert_eq!(
            sim.outcome("nightly", SLOT),
            format!("expired(cluster {status})")
        );
        sim.assert_accounted();
    }
}

#[test]
fn a_cluster_that_becomes_available_just_before_the_deadline_still_gets_its_snapshot() {
    let mut sim = nightly();
    let now = sim.now;
    sim.aws.set_status("dw", "paused", now);
    sim.until("2026-11-24 10:29:50");
    let now = sim.now;
    sim.aws.set_status("dw", "available", now);
    sim.until("2026-11-24 10:31");
    assert_eq!(sim.outcome("nightly", SLOT), "available");
    sim.assert_accounted();
}

#[test]
fn a_new_configuration_does_not_change_what_a_run_in_flight_asks_for() {
    let mut sim = nightly();
    sim.aws.refuse(CREATE, Some(3), "Throttling", 400);
    sim.until("2026-11-24 02:30:01");
    let edited = policy("nightly", "30 2 * * *", "dw", "tags = { team = \"data\" }");
    sim.reload(0, config(&edited));
    sim.until("2026-11-24 02:40");
    assert_eq!(sim.outcome("nightly", SLOT), "available");
    let now = sim.now;
    let id = sim.aws.accepted[0].0.clone();
    assert!(
        sim.aws
            .snapshot_mut(&id, now)
            .tags
            .iter()
            .all(|tag| tag.key != "team")
    );
}

#[test]
fn missed_is_recorded_only_once_a_look_has_shown_that_nothing_is_there() {
    let mut sim = nightly();
    sim.stop(0);
    sim.until("2026-11-24 12:00");
    sim.aws.strike(SNAPSHOTS, None, Fault::Html { status: 502 });
    sim.start(0);
    sim.until("2026-11-24 12:09");
    assert!(
        sim.outcome("nightly", SLOT) == "no record"
            || sim.outcome("nightly", SLOT).starts_with("open")
    );
    sim.aws.heal();
    sim.until("2026-11-24 12:20");
    assert_eq!(sim.outcome("nightly", SLOT), "missed(late)");
    sim.assert_accounted();
}

#[test]
fn a_listing_that_looked_before_the_last_attempt_proves_nothing() {
    let mut sim = nightly();
    sim.aws.refuse(CREATE, None, "InvalidTagFault", 400);
    // A listing on its way back for longer than the slot is away.
    let usual = sim.latency.back;
    sim.latency.back = (70_000, 70_000);
    let before = sim.aws.asked[SNAPSHOTS];
    while sim.aws.asked[SNAPSHOTS] == before {
        sim.run_for(seconds(1));
    }
    assert!(sim.now < at(SLOT));
    sim.latency.back = usual;
    sim.until("2026-11-24 02:30:08");
    // The witness checks by which look it ends.
    assert!(sim.outcome("nightly", SLOT).starts_with("open: Concluding"));
    sim.until("2026-11-24 02:32");
    assert_eq!(sim.outcome("nightly", SLOT), "failed(config)");
    sim.assert_accounted();
}

#[test]
fn a_refusal_that_somebody_has_to_mend_is_one_alarm_however_often_it_is_repeated() {
    for (code, alarm) in [
        ("AccessDenied", "AccessDenied"),
        ("ClusterSnapshotQuotaExceeded", "QuotaReached"),
    ] {
        let mut sim = nightly();
        sim.aws.refuse(CREATE, None, code, 403);
        sim.until("2026-11-24 02:31");
        assert!(sim.hosts[0].was_alarmed(alarm), "{code}");
        sim.until("2026-11-24 04:31");
        assert!(asked(&sim) > 3, "{code}");
        assert_eq!(sim.hosts[0].alarms_begun, 1, "{code}");
        assert_eq!(sim.hosts[0].alarms.len(), 1, "{code}");
        sim.aws.heal();
        sim.until("2026-11-24 05:31");
        assert!(sim.hosts[0].alarms.is_empty(), "{code}");
        assert_eq!(sim.outcome("nightly", SLOT), "available", "{code}");
    }
}

#[test]
fn credentials_that_expire_while_a_snapshot_is_followed_lose_nothing() {
    let mut sim = nightly();
    sim.aws.account.limits.snapshot_seconds = 600;
    sim.until("2026-11-24 02:32");
    for operation in [SNAPSHOTS, CLUSTERS] {
        sim.aws.refuse(operation, None, "ExpiredToken", 403);
    }
    sim.until("2026-11-24 02:50");
    assert!(sim.outcome("nightly", SLOT).starts_with("open: Creating"));
    assert!(sim.hosts[0].was_alarmed("Unreachable"));
    sim.aws.heal();
    sim.until("2026-11-24 02:56");
    assert_eq!(sim.outcome("nightly", SLOT), "available");
    assert_eq!(asked(&sim), 1);
    sim.assert_accounted();
}

#[test]
fn an_expired_token_is_asked_with_again_at_once_and_then_slowly() {
    let mut sim = nightly();
    sim.aws.refuse(CREATE, Some(1), "ExpiredToken", 403);
    sim.until("2026-11-24 02:30:03");
    assert_eq!(asked(&sim), 2, "with other credentials");
    sim.until("2026-11-24 02:40");
    assert_eq!(sim.outcome("nightly", SLOT), "available");
}

/// The alarms about refusals that there are, and how often each has come.
fn refusal_alarms(sim: &Sim) -> Vec<Alarm> {
    let engine = &sim.hosts[0].process().engine;
    let alarms = engine.alarms(sim.now).into_keys();
    alarms
        .filter(|one| matches!(one, Alarm::AccessDenied(_) | Alarm::QuotaReached(_)))
        .collect()
}

#[test]
fn a_refusal_goes_on_until_aws_accepts_whichever_slot_it_is() {
    for code in ["AccessDenied", "ClusterSnapshotQuotaExceeded"] {
        let mut sim = Sim::new(at("2026-11-24 00:00"));
        sim.aws.add_cluster("dw", at("2026-01-01 00:00"));
        let tables = policy("hourly", "30 * * * *", "dw", "");
        add_host(
            &mut sim,
            "host-a",
            config(&tables),
            Journal::on_disk(scratch()),
        );
        sim.until("2026-11-24 00:29");
        assert_eq!(refusal_alarms(&sim), []);
        sim.aws.refuse(CREATE, None, code, 400);
        sim.until("2026-11-24 00:35");
        let begun = refusal_alarms(&sim);
        assert_eq!(begun.len(), 1, "{code}");
        // Across the ends of three slots, the beginnings of the next ones, and a restart.
        for second in 0..3 * 3600 / 10 {
            if second == 500 {
                sim.stop(0);
                sim.start(0);
            }
            sim.run_for(seconds(10));
            assert_eq!(refusal_alarms(&sim), begun, "{code} at {}", sim.now);
        }
        sim.aws.heal();
        sim.until("2026-11-24 05:00");
        assert_eq!(refusal_alarms(&sim), [], "{code}: accepted since");
        sim.assert_accounted();
    }
}

/// Three clusters whose slots AWS refuses with this code from 02:30 on; `b` is paused. `d` has no slot.
fn three_refused(code: &str) -> Sim {
    let tables = policy("nightly", "30 2 * * *", "*", "exclude = [\"d\"]")
        + &policy("yearly", "0 12 1 1 *", "d", "");
    let mut sim = sim_of_clusters("2026-11-24 00:00", &["a", "b", "c", "d"], &tables);
    sim.until("2026-11-24 02:29");
    let now = sim.now;
    sim.aws.set_status("b", "paused", now);
    sim.until("2026-11-24 02:29:30");
    match code {
        "ClusterSnapshotQuotaExceeded" => sim.aws.account.limits.manual_snapshots = 0,
        _ => sim.aws.refuse(CREATE, None, code, 400),
    }
    sim
}

fn outcome_of(sim: &Sim, cluster: &str) -> String {
    let slot = redkeep_simulation::setup::slot("nightly", cluster, SLOT);
    let runs = &sim.hosts[0].journal.ledger.runs;
    runs.get(&slot)
        .map_or_else(String::new, redkeep_simulation::setup::outcome)
}

/// Somebody asks for a snapshot of `d`.
fn take(sim: &mut Sim) {
    let now = sim.now;
    let pair = redkeep_simulation::setup::pair("yearly", "d");
    assert!(sim.hosts[0].take(&pair, now).is_some());
    sim.hosts[0].process_mut().turns_at = now;
    sim.run_for(seconds(3));
}

#[test]
fn an_acceptance_lets_the_others_of_its_account_and_region_ask_again_at_once() {
    for code in [
        "ClusterSnapshotQuotaExceeded",
        "AccessDenied",
        "ExpiredToken",
        "RequestExpired",
    ] {
        let mut sim = three_refused(code);
        sim.until("2026-11-24 02:46");
        assert!(outcome_of(&sim, "a").starts_with("open: Waiting"), "{code}");
        sim.aws.heal();
        sim.aws.account.limits.manual_snapshots = 20;
        let (before, paused) = (asked(&sim), outcome_of(&sim, "b"));
        take(&mut sim);
        let open = [outcome_of(&sim, "a"), outcome_of(&sim, "c")];
        assert!(
            open.iter().all(|one| !one.starts_with("open: Waiting")),
            "{code}: {open:?}"
        );
        // AWS looks at the permission before it looks at the cluster, and at the quota after that.
        let is_of_cluster = paused.contains("ClusterState");
        assert_eq!(is_of_cluster, code == "ClusterSnapshotQuotaExceeded");
        let wanted = if is_of_cluster { 3 } else { 4 };
        assert_eq!(asked(&sim) - before, wanted, "{code}: one request for each");
        let now = outcome_of(&sim, "b");
        assert_eq!(
            now == paused,
            is_of_cluster,
            "{code}: a paused cluster waits all the same: {now}"
        );
        sim.until("2026-11-24 03:30");
        assert_eq!(outcome_of(&sim, "a"), "available", "{code}");
        assert_eq!(outcome_of(&sim, "c"), "available", "{code}");
        let now = sim.now;
        sim.aws.set_status("b", "available", now);
        sim.until("2026-11-24 12:00");
        sim.assert_accounted();
    }
}

#[test]
fn a_place_that_becomes_free_in_a_full_quota_is_asked_for_once_by_each() {
    let mut sim = three_refused("ClusterSnapshotQuotaExceeded");
    sim.until("2026-11-24 02:46");
    sim.aws.account.limits.manual_snapshots = 1;
    let before = asked(&sim);
    take(&mut sim);
    sim.until("2026-11-24 02:56");
    let more = asked(&sim) - before;
    // `b` asks at its own pace: it is paused.
    assert!((3..=5).contains(&more), "{more} requests in ten minutes");
    assert!(
        sim.hosts[0]
            .alarms
            .iter()
            .any(|(alarm, _)| matches!(alarm, Alarm::QuotaReached(_)))
    );
}
