//! Tiers: fixed when AWS is asked, by what the pair then holds.

use redkeep_core::snapshot::tag;
use redkeep_sandbox::faults::Fault;

use redkeep_simulation::setup::{at, policy, sim};
use redkeep_simulation::sim::Sim;
use redkeep_simulation::sim::aws::CREATE;

const TIERS: &str = "{ base = \"14d\", weekly = \"8w\", monthly = \"13mo\" }";

fn tiered(schedule: &str, more: &str) -> String {
    policy("p", schedule, "dw", more).replace("\"35d\"", TIERS)
}

fn tier(sim: &Sim, scheduled_at: &str) -> (String, i32) {
    let request = sim.run("p", scheduled_at).unwrap().request;
    assert_eq!(request.tags.get(tag::TIER), Some(request.tier.as_str()));
    (
        request.tier.as_str().to_owned(),
        request.retention.days_or_minus_one(),
    )
}

#[test]
fn each_snapshot_is_asked_for_with_the_period_of_its_tier() {
    let mut sim = sim("2026-10-31 12:00", &tiered("30 2 * * *", ""));
    sim.until("2026-11-03 12:00");
    // 1 November 2026 is a Sunday.
    assert_eq!(tier(&sim, "2026-11-01 02:30"), ("monthly".to_owned(), 396));
    assert_eq!(tier(&sim, "2026-11-02 02:30"), ("weekly".to_owned(), 56));
    assert_eq!(tier(&sim, "2026-11-03 02:30"), ("base".to_owned(), 14));
    let region = sim.aws.region(at("2026-11-03 12:00"));
    let mut days: Vec<i32> = region
        .snapshots
        .values()
        .map(|one| one.retention_days)
        .collect();
    days.sort_unstable();
    assert_eq!(days, [14, 56, 396]);
}

#[test]
fn a_month_whose_first_snapshot_failed_still_gets_its_monthly() {
    let mut sim = sim("2026-10-31 12:00", &tiered("30 2 * * *", ""));
    let message = "Injected.".to_owned();
    sim.aws
        .strike(CREATE, Some(2), Fault::FailSnapshot { message });
    sim.until("2026-11-02 12:00");
    assert_eq!(
        sim.outcome("p", "2026-11-01 02:30"),
        "failed(snapshot failed)"
    );
    assert_eq!(tier(&sim, "2026-11-02 02:30").0, "monthly");
}

#[test]
fn a_slot_that_waits_out_its_jitter_is_promoted_when_the_one_before_it_fails_meanwhile() {
    // The first of November takes so long to fail that the second is due before.
    let mut sim = sim(
        "2026-11-01 00:30",
        &tiered("0 1,2 * * *", "jitter = \"25m\"\nstart_window = \"55m\""),
    );
    sim.aws.account.limits.snapshot_seconds = 3500;
    let message = "Injected.".to_owned();
    sim.aws
        .strike(CREATE, None, Fault::FailSnapshot { message });
    sim.until("2026-11-01 02:00:05");
    sim.aws.heal();
    sim.until("2026-11-01 04:00");
    assert!(
        sim.outcome("p", "2026-11-01 01:00").starts_with("failed"),
        "{:?}",
        sim.records()
    );
    assert_eq!(sim.outcome("p", "2026-11-01 02:00"), "available");
    assert_eq!(tier(&sim, "2026-11-01 02:00").0, "monthly");
}

#[test]
fn a_second_host_adopts_the_tier_that_the_first_has_asked_for() {
    let mut sim = sim("2026-10-31 12:00", &tiered("30 2 * * *", ""));
    sim.until("2026-11-01 12:00");
    // The second has no past: for it the next slot would be the first of the month.
    let config = redkeep_simulation::setup::config(&tiered("30 2 * * *", ""));
    let journal = redkeep_simulation::sim::journal::Journal::in_memory();
    let other = redkeep_simulation::setup::add_host(&mut sim, "host-b", config, journal);
    sim.until("2026-11-02 12:00");
    for host in [0, other] {
        let runs = &sim.hosts[host].journal.ledger.runs;
        let run = runs
            .values()
            .find(|run| run.slot.scheduled_at == at("2026-11-02 02:30"));
        let (run, listed) = (
            run.unwrap(),
            sim.aws
                .listed(redkeep_simulation::sim::aws::REGION, sim.now),
        );
        let there = listed
            .iter()
            .find(|one| one.snapshot_identifier == run.request.snapshot_id.as_str());
        assert_eq!(there.unwrap().tags[tag::TIER], run.request.tier.as_str());
    }
}
