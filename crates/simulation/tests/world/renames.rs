//! An account that has another name in the policy file than before keeps what is of its number.

use redkeep_core::names::AccountName;
use redkeep_core::run::Run;
use redkeep_core::slot::Slot;
use redkeep_policy_file::Config;

use redkeep_simulation::setup::{
    config_of, hours, minutes, outcome, pair, policy, seconds, sim, slot,
};
use redkeep_simulation::sim::Sim;
use redkeep_simulation::sim::aws::REGION;
use redkeep_simulation::sim::host::Host;
use redkeep_simulation::sim::journal::{Journal, scratch};

const OLD: &str = "prod";
const NEW: &str = "production";

fn named(name: &str, tables: &str) -> Config {
    let account = format!(
        "[[account]]\nname = \"{name}\"\nregions = [\"{REGION}\"]\nsnapshot_quota = 100000\n"
    );
    config_of(&account, tables)
}

/// The host with the real store.
fn on_disk(start: &str, tables: &str) -> Sim {
    let mut sim = sim(start, tables);
    sim.hosts.clear();
    let journal = Journal::on_disk(scratch());
    let config = named(OLD, tables);
    sim.hosts.push(Host::new(config, "host-a", journal));
    sim.start(0);
    sim
}

/// The file is edited while the daemon is down.
fn restart_renamed(sim: &mut Sim, tables: &str, down: chrono::TimeDelta) {
    sim.stop(0);
    sim.run_for(down);
    sim.hosts[0].config = named(NEW, tables);
    sim.start(0);
}

fn under(name: &str, scheduled_at: &str) -> Slot {
    let mut slot = slot("nightly", "dw", scheduled_at);
    slot.pair.scope.account = name.parse().unwrap();
    slot
}

fn accounts(sim: &Sim) -> Vec<AccountName> {
    let ledger = &sim.hosts[0].journal.ledger;
    let runs = ledger.runs.keys().map(|slot| &slot.pair.scope.account);
    let pairs = ledger.pairs.keys().map(|pair| &pair.scope.account);
    let mut all: Vec<AccountName> = runs.chain(pairs).cloned().collect();
    all.sort();
    all.dedup();
    all
}

fn new() -> AccountName {
    NEW.parse().unwrap()
}

/// What the process has in mind is what a restart would find.
fn assert_as_after_a_restart(sim: &mut Sim) {
    sim.hosts[0].journal.check_store();
    let now = sim.now;
    let has = sim.hosts[0].process().engine.history().clone();
    let finds = sim.hosts[0].journal.load(now);
    assert_eq!(has.totals, finds.totals);
    assert_eq!(has.account_numbers, finds.account_numbers);
    let known = |runs: &redkeep_core::history::Runs| -> Vec<String> {
        runs.values().map(ToString::to_string).collect()
    };
    assert_eq!(known(&has.runs), known(&finds.runs));
    sim.stop(0);
    sim.start(0);
}

#[test]
fn a_renamed_account_keeps_its_records_and_its_watermark_and_nothing_is_made_twice() {
    let tables = policy("nightly", "30 2 * * *", "dw", "");
    let mut sim = on_disk("2026-11-24 00:00", &tables);
    sim.until("2026-11-26 02:00");
    // Down over the third slot, whose window is still open.
    restart_renamed(&mut sim, &tables, hours(1));
    sim.until("2026-11-26 12:00");
    assert_eq!(accounts(&sim), [new()]);
    let nights = ["24", "25", "26"].map(|day| format!("11-{day} 02:30 nightly/dw available"));
    assert_eq!(sim.records(), nights);
    assert_eq!(sim.aws.accepted.len(), 3);
    let history = &sim.hosts[0].process().engine.history();
    assert_eq!(
        history
            .totals
            .values()
            .map(|one| one.available)
            .sum::<u64>(),
        3
    );
    assert_eq!(history.rebuilt_at, None);
    assert_eq!(history.account_numbers.keys().collect::<Vec<_>>(), [&new()]);
    assert_as_after_a_restart(&mut sim);
    sim.until("2026-11-27 12:00");
    assert_eq!(sim.records().len(), 4);
    assert!(sim.hosts[0].alarms.is_empty(), "{:?}", sim.hosts[0].alarms);
    sim.assert_accounted();
}

#[test]
fn a_snapshot_that_is_being_made_is_followed_under_the_accounts_new_name() {
    for restarts in [true, false] {
        let tables = policy("nightly", "30 2 * * *", "dw", "");
        let mut sim = on_disk("2026-11-24 00:00", &tables);
        sim.aws.account.limits.snapshot_seconds = 3_600;
        sim.until("2026-11-24 02:31");
        match restarts {
            true => restart_renamed(&mut sim, &tables, minutes(5)),
            false => sim.reload(0, named(NEW, &tables)),
        }
        sim.until("2026-11-24 04:00");
        assert_eq!(accounts(&sim), [new()], "{restarts}");
        assert_eq!(sim.records(), ["11-24 02:30 nightly/dw available"]);
        assert_eq!(sim.aws.accepted.len(), 1);
        assert_as_after_a_restart(&mut sim);
        sim.until("2026-11-25 12:00");
        assert_eq!(sim.records().len(), 2);
        sim.assert_accounted();
    }
}

#[test]
fn an_account_that_is_renamed_while_a_call_is_under_way_waits_for_its_end() {
    let tables = policy("nightly", "30 2 * * *", "dw", "");
    let mut sim = on_disk("2026-11-24 00:00", &tables);
    sim.until("2026-11-24 02:29:59");
    sim.latency.back = (20_000, 20_000);
    sim.until("2026-11-24 02:30:02");
    sim.latency.back = (20, 60);
    sim.reload(0, named(NEW, &tables));
    sim.until("2026-11-24 04:00");
    assert_eq!(accounts(&sim), [new()]);
    assert_eq!(sim.records(), ["11-24 02:30 nightly/dw available"]);
    assert_eq!(sim.aws.asked[redkeep_simulation::sim::aws::CREATE], 1);
    sim.assert_accounted();
}

#[test]
fn the_guard_goes_on_under_the_accounts_new_name() {
    let tables = policy("nightly", "30 2 * * *", "dw", "").replace("\"35d\"", "\"3d\"");
    let mut sim = sim("2026-11-24 00:00", &tables);
    sim.until("2026-11-27 00:00");
    sim.aws.refuse(
        redkeep_simulation::sim::aws::CREATE,
        None,
        "InvalidClusterState",
        400,
    );
    restart_renamed(&mut sim, &tables, minutes(1));
    sim.until("2026-12-20 00:00");
    let runs = sim.hosts[0].journal.ledger.runs.values();
    let good: Vec<&Run> = runs.filter(|run| run.is_good()).collect();
    assert_eq!(good.len(), 2, "the last two are kept");
    assert!(good.iter().all(|run| run.slot.pair.scope.account == new()));
    let extended = &sim.hosts[0].journal.ledger.extensions;
    assert!(
        extended
            .iter()
            .all(|one| one.slot.pair.scope.account == new())
    );
}

#[test]
fn what_was_recorded_before_anybody_knew_that_it_is_the_same_account_becomes_one_with_the_rest() {
    let tables = policy("nightly", "30 2 * * *", "dw", "");
    let mut sim = on_disk("2026-11-24 00:00", &tables);
    sim.aws.tells_arns = false;
    sim.until("2026-11-25 12:00");
    sim.aws
        .refuse("GetCallerIdentity", None, "AccessDenied", 403);
    restart_renamed(&mut sim, &tables, minutes(1));
    sim.until("2026-11-26 12:00");
    assert_eq!(
        accounts(&sim),
        [OLD.parse().unwrap(), new()],
        "in doubt, take"
    );
    assert_eq!(sim.aws.accepted.len(), 3);
    sim.aws.heal();
    sim.until("2026-11-26 12:05");
    assert_eq!(accounts(&sim), [new()]);
    let nights = ["24", "25", "26"].map(|day| format!("11-{day} 02:30 nightly/dw available"));
    assert_eq!(sim.records(), nights);
    assert_as_after_a_restart(&mut sim);
    sim.run_for(seconds(5));
    let history = &sim.hosts[0].process().engine.history();
    assert!(history.pairs[&under(NEW, "2026-11-24 02:30").pair].is_active());
    sim.until("2026-11-27 12:00");
    assert_eq!(sim.records().len(), 4);
    assert_eq!(sim.aws.accepted.len(), 4);
    sim.assert_accounted();
}

#[test]
fn an_older_copy_of_the_history_under_the_old_name_is_brought_up_to_date_under_the_new_one() {
    let tables = policy("nightly", "30 2 * * *", "dw", "");
    let mut sim = sim("2026-11-24 00:00", &tables);
    sim.until("2026-11-25 12:00");
    let copy = sim.hosts[0].journal.ledger.clone();
    sim.until("2026-11-26 12:00");
    sim.hosts[0].journal.ledger = copy;
    restart_renamed(&mut sim, &tables, minutes(1));
    sim.until("2026-11-27 12:00");
    let nights = ["24", "25", "26", "27"].map(|day| format!("11-{day} 02:30 nightly/dw available"));
    assert_eq!(sim.records(), nights);
    assert_eq!(sim.aws.accepted.len(), 4);
    assert_eq!(accounts(&sim), [new()]);
}

#[test]
fn an_account_of_another_number_takes_nothing_over() {
    let tables = policy("nightly", "30 2 * * *", "dw", "");
    let mut sim = sim("2026-11-24 00:00", &tables);
    sim.until("2026-11-25 12:00");
    sim.stop(0);
    sim.aws.account.account_id = "999988887777".to_owned();
    let now = sim.now;
    sim.aws.region(now).snapshots.clear();
    sim.hosts[0].guarded.troubled(now);
    sim.hosts[0].config = named(NEW, &tables);
    sim.start(0);
    sim.until("2026-11-26 12:00");
    let ledger = &sim.hosts[0].journal.ledger;
    let old = &ledger.runs[&under(OLD, "2026-11-24 02:30")];
    assert_eq!(outcome(old), "available");
    assert_eq!(old.gone, None, "nobody has looked");
    assert!(!ledger.pairs[&pair("nightly", "dw")].is_active());
    assert_eq!(
        outcome(&ledger.runs[&under(NEW, "2026-11-26 02:30")]),
        "available"
    );
}
