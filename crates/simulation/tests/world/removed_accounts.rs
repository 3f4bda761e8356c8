//! An account that is taken out of the policy file while something is open in it: what can be followed is followed, and
//! the rest ends with its reason.

use redkeep_core::operations::{ActionKind, Removal, SnapshotAction, Why};
use redkeep_core::snapshot::SnapshotId;
use redkeep_policy_file::Config;

use redkeep_simulation::setup::{
    config, hours, minutes, policy, seconds, sim, slot, with_another_account,
};
use redkeep_simulation::sim::Sim;
use redkeep_simulation::sim::aws::{CLUSTERS, SNAPSHOTS};

const START: &str = "2026-11-24 00:00";
const NIGHT: &str = "2026-11-24 02:30";

fn nightly() -> String {
    policy("p", "30 2 * * *", "dw", "keep_last = 2\nguard = false")
}

/// The same policy in another account; the first is in the file no more.
fn elsewhere() -> Config {
    let tables = nightly().replace("[[policy]]", "[[policy]]\naccounts = [\"other\"]");
    let mut config = config(&format!(
        "{tables}[[account]]\nname = \"other\"\nregions = [\"us-west-2\"]\nrole_arn = \
         \"arn:aws:iam::222233334444:role/r\"\n"
    ));
    config
        .accounts
        .retain(|account| account.name.as_str() == "other");
    config
}

/// Takes the account out of the file, and starts anew.
fn restart_elsewhere(sim: &mut Sim) {
    sim.stop(0);
    sim.hosts[0].config = elsewhere();
    sim.start(0);
}

fn id(sim: &Sim) -> SnapshotId {
    sim.run("p", NIGHT).unwrap().request.snapshot_id
}

fn message(sim: &Sim) -> String {
    sim.run("p", NIGHT).unwrap().message.unwrap_or_default()
}

#[test]
fn a_run_that_is_creating_ends_with_the_reason_and_says_that_aws_may_have_its_snapshot() {
    let mut sim = with_another_account(sim(START, &nightly()));
    sim.aws.account.limits.snapshot_seconds = 3_600;
    sim.until("2026-11-24 02:40");
    restart_elsewhere(&mut sim);
    sim.run_for(seconds(5));
    assert_eq!(sim.outcome("p", NIGHT), "failed(account removed)");
    let said = message(&sim);
    assert!(
        said.contains("account prod is not in the policy file"),
        "{said}"
    );
    assert!(said.contains("may have completed it"), "{said}");
}

#[test]
fn a_run_in_doubt_ends_and_says_that_aws_may_have_made_it() {
    let mut sim = with_another_account(sim(START, &nightly()));
    let fault = redkeep_sandbox::faults::Fault::LostReply;
    sim.aws.strike("CreateClusterSnapshot", None, fault);
    let fault = redkeep_sandbox::faults::Fault::Reset;
    sim.until("2026-11-24 02:29:59");
    sim.aws.strike("DescribeClusterSnapshots", None, fault);
    sim.until("2026-11-24 02:30:20");
    restart_elsewhere(&mut sim);
    sim.run_for(seconds(5));
    assert_eq!(sim.outcome("p", NIGHT), "failed(account removed)");
    assert!(message(&sim).contains("AWS may have made the snapshot"));
}

#[test]
fn what_aws_had_refused_so_far_ends_and_says_so() {
    let mut sim = with_another_account(sim(START, &nightly()));
    sim.aws
        .refuse("CreateClusterSnapshot", None, "AccessDenied", 403);
    sim.until("2026-11-24 02:40");
    restart_elsewhere(&mut sim);
    sim.run_for(seconds(5));
    assert_eq!(sim.outcome("p", NIGHT), "failed(account removed)");
    assert!(message(&sim).contains("access denied"), "{}", message(&sim));
}

#[test]
fn a_running_daemon_follows_what_has_begun_to_its_end_as_long_as_aws_answers() {
    let mut sim = with_another_account(sim(START, &nightly()));
    sim.aws.account.limits.snapshot_seconds = 3_600;
    sim.until("2026-11-24 02:40");
    sim.reload(0, elsewhere());
    sim.until("2026-11-24 04:00");
    assert_eq!(sim.outcome("p", NIGHT), "available");
}

#[test]
fn what_a_running_daemon_cannot_reach_any_more_ends_too() {
    let mut sim = with_another_account(sim(START, &nightly()));
    sim.aws.account.limits.snapshot_seconds = 3_600;
    sim.until("2026-11-24 02:40");
    for operation in [CLUSTERS, SNAPSHOTS] {
        sim.aws.refuse(operation, None, "AccessDenied", 403);
    }
    sim.reload(0, elsewhere());
    sim.run_for(minutes(2));
    assert!(sim.outcome("p", NIGHT).starts_with("open: Creating"));
    sim.run_for(hours(2));
    assert_eq!(sim.outcome("p", NIGHT), "failed(account removed)");
}

#[test]
fn an_open_removal_ends_with_the_reason_and_the_policys_passes_go_on() {
    for was_asked in [true, false] {
        let mut sim = with_another_account(sim(START, &nightly()));
        sim.until("2026-11-24 12:00");
        let now = sim.now;
        let removal = Removal {
            slot: slot("p", "dw", NIGHT),
            id: id(&sim),
            why: Why::Surplus,
            planned_at: now,
            look_at: was_asked.then_some(now),
            end: None,
        };
        sim.stop(0);
        let change = redkeep_core::history::Change::Removal(Box::new(removal));
        sim.hosts[0].journal.commit(std::slice::from_ref(&change));
        restart_elsewhere(&mut sim);
        sim.run_for(minutes(3));
        let ledger = &sim.hosts[0].journal.ledger;
        let end = ledger.removals.values().next().unwrap().end.clone();
        let end = end.expect("it has ended");
        assert!(!end.is_done());
        assert!(
            end.text()
                .contains("account prod is not in the policy file")
        );
        let passes = ledger.passes.iter().filter(|pass| pass.passed_at > now);
        assert!(passes.count() > 0, "the policy is looked at again");
        assert!(sim.hosts[0].process().engine.is_idle(sim.now));
        assert_eq!(sim.aws.removed, []);
    }
}

#[test]
fn what_a_person_wants_done_in_a_removed_account_is_refused_at_once() {
    let mut sim = with_another_account(sim(START, &nightly()));
    sim.until("2026-11-24 12:00");
    restart_elsewhere(&mut sim);
    sim.run_for(seconds(5));
    let action = SnapshotAction {
        id: 1,
        ..SnapshotAction::new(ActionKind::Hold, slot("p", "dw", NIGHT), id(&sim), sim.now)
    };
    let history = sim.hosts[0].process_mut().engine.falsify().1;
    history.actions.insert(1, action);
    sim.run_for(seconds(31));
    let ended = sim.hosts[0].journal.ledger.actions[&1].end.clone();
    let said = ended.unwrap().text().to_owned();
    assert!(
        said.contains("account prod is not in the policy file"),
        "{said}"
    );
}
