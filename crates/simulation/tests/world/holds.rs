//! Holds and releases: what a refusal leaves half done is told, guarded and carried on, and no call is made again and again.

use redkeep_core::operations::{ActionKind, End, SnapshotAction};
use redkeep_core::plan::Alarm;
use redkeep_core::snapshot::{Hold, SnapshotId};
use redkeep_sandbox::tag::Tag;

use redkeep_simulation::setup::{at, hours, minutes, policy, seconds, sim, slot};
use redkeep_simulation::sim::Sim;
use redkeep_simulation::sim::aws::REGION;

const START: &str = "2026-11-24 00:00";
const MODIFY: &str = "ModifyClusterSnapshot";

/// One snapshot, of the night of the 24th, for so many days; no other comes.
fn with_one(days: u32) -> Sim {
    let tables = policy("p", "30 2 * * *", "dw", "").replace("\"35d\"", &format!("\"{days}d\""));
    let mut sim = sim(START, &tables);
    sim.until("2026-11-24 12:00");
    sim.aws.set_status("dw", "paused", at("2026-11-24 12:00"));
    sim
}

fn id(sim: &Sim) -> SnapshotId {
    let run = sim.run("p", "2026-11-24 02:30").unwrap();
    run.request.snapshot_id
}

/// Hands an action in, as the command does.
fn ask(sim: &mut Sim, number: i64, wanted: ActionKind) {
    let of = slot("p", "dw", "2026-11-24 02:30");
    let action = SnapshotAction {
        id: number,
        ..SnapshotAction::new(wanted, of, id(sim), sim.now)
    };
    let host = &mut sim.hosts[0];
    host.journal.ledger.actions.insert(number, action.clone());
    let history = host.process_mut().engine.falsify().1;
    history.actions.insert(number, action);
}

fn end(sim: &Sim, number: i64) -> Option<&End> {
    sim.hosts[0].journal.ledger.actions[&number].end.as_ref()
}

/// The snapshot's hold, its tag and its period.
fn shown(sim: &mut Sim) -> (Hold, Option<String>, i32) {
    let (id, now) = (id(sim), sim.now);
    let all = sim.aws.listed(REGION, now);
    let one = all
        .iter()
        .find(|one| one.snapshot_identifier == id.as_str());
    let one = one.unwrap_or_else(|| panic!("{id} is not there"));
    let tag = one.tags.get("redkeep:hold").cloned();
    (
        one.hold(),
        tag,
        one.manual_snapshot_retention_period.unwrap(),
    )
}

fn is_alarmed(sim: &Sim) -> bool {
    let mut alarms = sim.hosts[0].alarms.keys();
    alarms.any(|alarm| matches!(alarm, Alarm::HalfHeld(..)))
}

fn asked(sim: &Sim, operation: &'static str) -> u64 {
    sim.aws.asked.get(operation).copied().unwrap_or_default()
}

#[test]
fn a_release_whose_tag_stays_is_carried_on_with_an_alarm_and_at_a_slow_pace() {
    let mut sim = with_one(10);
    ask(&mut sim, 1, ActionKind::Hold);
    sim.run_for(seconds(40));
    assert_eq!(shown(&mut sim), (Hold::Held, Some("10".to_owned()), -1));
    assert!(!is_alarmed(&sim));
    sim.aws.refuse("DeleteTags", None, "AccessDenied", 403);
    ask(&mut sim, 2, ActionKind::Release);
    sim.run_for(hours(3));
    assert_eq!(shown(&mut sim), (Hold::Half, Some("10".to_owned()), 10));
    assert!(is_alarmed(&sim));
    assert_eq!(end(&sim, 2), None, "it is carried on");
    let tries = asked(&sim, "DeleteTags");
    assert!((10..=20).contains(&tries), "every ten minutes: {tries}");
    // A restart forgets nothing of it.
    sim.stop(0);
    sim.start(0);
    sim.run_for(minutes(5));
    assert!(is_alarmed(&sim));
    sim.aws.heal();
    sim.run_for(minutes(11));
    assert_eq!(shown(&mut sim), (Hold::Free, None, 10));
    assert!(end(&sim, 2).unwrap().is_done());
    assert!(!is_alarmed(&sim));
}

#[test]
fn a_hold_whose_period_stays_is_carried_on_with_an_alarm_until_it_is_whole() {
    let mut sim = with_one(10);
    sim.aws.refuse(MODIFY, None, "AccessDenied", 403);
    ask(&mut sim, 1, ActionKind::Hold);
    sim.run_for(hours(2));
    assert_eq!(shown(&mut sim), (Hold::Half, Some("10".to_owned()), 10));
    assert!(is_alarmed(&sim));
    assert!(asked(&sim, MODIFY) <= 14, "{}", asked(&sim, MODIFY));
    sim.aws.heal();
    sim.run_for(minutes(11));
    assert_eq!(shown(&mut sim), (Hold::Held, Some("10".to_owned()), -1));
    assert!(end(&sim, 1).unwrap().is_done());
    assert!(!is_alarmed(&sim));
}

#[test]
fn a_hold_of_which_nothing_is_done_is_refused_and_leaves_nothing() {
    let mut sim = with_one(10);
    sim.aws.refuse("CreateTags", None, "AccessDenied", 403);
    ask(&mut sim, 1, ActionKind::Hold);
    sim.run_for(minutes(1));
    assert!(!end(&sim, 1).unwrap().is_done());
    assert_eq!(shown(&mut sim), (Hold::Free, None, 10));
    assert!(!is_alarmed(&sim));
}

#[test]
fn of_a_half_done_hold_and_a_later_release_the_release_counts() {
    let mut sim = with_one(10);
    sim.aws.refuse(MODIFY, None, "AccessDenied", 403);
    ask(&mut sim, 1, ActionKind::Hold);
    sim.run_for(minutes(5));
    ask(&mut sim, 2, ActionKind::Release);
    sim.run_for(minutes(1));
    assert_eq!(end(&sim, 1).unwrap().text(), "a later release replaced it");
    assert!(end(&sim, 2).unwrap().is_done());
    sim.aws.heal();
    sim.run_for(hours(1));
    assert_eq!(shown(&mut sim), (Hold::Free, None, 10));
}

#[test]
fn the_last_good_snapshot_whose_hold_is_half_done_does_not_expire() {
    // However the tag came there: half a release, half a hold, or somebody's hand.
    for way in ["release", "hold", "by hand"] {
        let mut sim = with_one(10);
        let name = id(&sim);
        match way {
            "release" => {
                ask(&mut sim, 1, ActionKind::Hold);
                sim.run_for(seconds(40));
                sim.aws.refuse("DeleteTags", None, "AccessDenied", 403);
                ask(&mut sim, 2, ActionKind::Release);
            }
            "hold" => {
                sim.aws.refuse(MODIFY, Some(1), "AccessDenied", 403);
                ask(&mut sim, 1, ActionKind::Hold);
                sim.run_for(seconds(40));
                // What came of it is forgotten with the history.
                sim.hosts[0].journal.ledger.actions.clear();
                sim.hosts[0]
                    .process_mut()
                    .engine
                    .falsify()
                    .1
                    .actions
                    .clear();
            }
            _ => {
                let (key, value) = ("redkeep:hold".to_owned(), "please".to_owned());
                let now = sim.now;
                let one = sim.aws.snapshot_mut(name.as_str(), now);
                one.tags.push(Tag { key, value });
            }
        }
        sim.until("2026-12-01 00:00");
        assert!(is_alarmed(&sim), "{way}");
        sim.until("2026-12-20 00:00");
        let (hold, _, days) = shown(&mut sim);
        assert_eq!(hold, Hold::Half, "{way}");
        assert!(days > 10, "{way}: extended to {days} d");
        let modified = sim.aws.modified.len();
        assert!(modified <= 5, "{way}: {modified} calls");
        // 26 days, a listing a minute: what is asked beside them is next to nothing.
        let looks = asked(&sim, "DescribeClusterSnapshots");
        assert!(looks < 26 * 24 * 60 + 9_000, "{way}: {looks} looks");
    }
}

#[test]
fn an_extension_that_no_look_shows_is_made_again_only_after_its_back_off() {
    let mut sim = with_one(3);
    // AWS answers well, and every look shows the old period for a day.
    let name = id(&sim).to_string();
    let now = sim.now;
    let stale = |one: &mut redkeep_core::snapshot::Snapshot| {
        one.manual_snapshot_retention_period = Some(3);
    };
    sim.aws.disguise(&name, stale, now);
    sim.until("2026-11-26 00:00");
    let calls = asked(&sim, MODIFY);
    let span = at("2026-11-26 00:00") - at("2026-11-25 02:30");
    let most = u64::try_from(span.num_minutes() / 10).unwrap() + 2;
    assert!((1..=most).contains(&calls), "{calls}, at most {most}");
    sim.aws.disguises.clear();
    sim.aws.region(now);
    sim.until("2026-11-27 00:00");
    let after = asked(&sim, MODIFY);
    assert!(after <= calls + 1, "{calls} and then {after}");
}

#[test]
fn a_released_snapshot_may_be_released_again_and_its_lost_answer_is_no_failure() {
    let mut sim = with_one(10);
    ask(&mut sim, 1, ActionKind::Hold);
    sim.run_for(seconds(40));
    let fault = redkeep_sandbox::faults::Fault::LostReply;
    sim.aws.strike("DeleteTags", Some(1), fault);
    ask(&mut sim, 2, ActionKind::Release);
    sim.run_for(minutes(1));
    assert!(end(&sim, 2).unwrap().is_done(), "{:?}", end(&sim, 2));
    assert_eq!(shown(&mut sim), (Hold::Free, None, 10));
    ask(&mut sim, 3, ActionKind::Release);
    sim.run_for(minutes(1));
    assert!(end(&sim, 3).unwrap().is_done());
}

#[test]
fn what_is_half_on_hold_is_not_removed_and_does_not_hold_up_the_others() {
    let tables = policy("p", "0 * * * *", "d*", "keep_last = 2");
    let mut sim = sim(START, &tables);
    sim.until("2026-11-24 03:10");
    let run = sim.run("p", "2026-11-24 01:00").unwrap();
    let name = run.request.snapshot_id.clone();
    sim.aws.refuse(MODIFY, None, "AccessDenied", 403);
    let action = SnapshotAction {
        id: 1,
        ..SnapshotAction::new(ActionKind::Hold, run.slot.clone(), name.clone(), sim.now)
    };
    let host = &mut sim.hosts[0];
    host.journal.ledger.actions.insert(1, action.clone());
    host.process_mut()
        .engine
        .falsify()
        .1
        .actions
        .insert(1, action);
    sim.run_for(hours(12));
    let removed: Vec<&str> = sim.aws.removed.iter().map(|(id, _)| id.as_str()).collect();
    assert!(!removed.contains(&name.as_str()));
    assert!(removed.len() >= 8, "the others go: {removed:?}");
}
