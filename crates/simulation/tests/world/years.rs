//! Years of tiers: what AWS holds in the end against a reading of the rules that shares no code with redkeep, and what
//! the forecast says against what comes to pass.

use std::collections::BTreeMap;

use chrono::{DateTime, Datelike, TimeDelta, Utc};
use chrono_tz::Europe::Berlin;
use redkeep_core::forecast::forecast;
use redkeep_core::outline::Outline;
use redkeep_sandbox::faults::Fault;

use redkeep_simulation::setup::{at, policy, sim};
use redkeep_simulation::sim::Sim;
use redkeep_simulation::sim::aws::{CREATE, REGION};
use redkeep_simulation::sim::dice::Dice;

const TIERS: &str = "{ base = \"14d\", weekly = \"8w\", monthly = \"13mo\", yearly = \"7y\" }";
const START: &str = "2023-11-20 12:00";

fn tiered(name: &str, schedule: &str) -> String {
    policy(name, schedule, "dw", "timezone = \"Europe/Berlin\"").replace("\"35d\"", TIERS)
}

/// What is held in the end, with its days, by the slots that brought a snapshot: the rules of docs/semantics.md section 6 read
/// one by one, each slot against all before it.
fn by_hand(good: &[DateTime<Utc>], now: DateTime<Utc>) -> BTreeMap<DateTime<Utc>, i32> {
    let week = |at: DateTime<Utc>| at.with_timezone(&Berlin).iso_week();
    let month = |at: DateTime<Utc>| {
        let local = at.with_timezone(&Berlin);
        (local.year(), local.month())
    };
    let year = |at: DateTime<Utc>| at.with_timezone(&Berlin).year();
    // 0 base, 1 weekly, 2 monthly, 3 yearly.
    let mut tiers: Vec<(DateTime<Utc>, usize)> = Vec::new();
    for &slot in good {
        let has = |tier: usize, same: &dyn Fn(DateTime<Utc>) -> bool| {
            tiers.iter().any(|(other, of)| *of >= tier && same(*other))
        };
        let tier = if !has(3, &|other| year(other) == year(slot)) {
            3
        } else if !has(2, &|other| month(other) == month(slot)) {
            2
        } else if !has(1, &|other| week(other) == week(slot)) {
            1
        } else {
            0
        };
        tiers.push((slot, tier));
    }
    let days = [14, 56, 396, 2557];
    tiers
        .into_iter()
        .map(|(slot, tier)| (slot, days[tier]))
        .filter(|(slot, days)| *slot + TimeDelta::days((*days).into()) > now)
        .collect()
}

/// The complete snapshots that AWS holds, by their slot, with their days.
fn held(sim: &mut Sim) -> BTreeMap<DateTime<Utc>, i32> {
    let now = sim.now;
    let there = sim.aws.listed(REGION, now);
    let good = there
        .iter()
        .filter(|one| one.status.as_deref() == Some("available"));
    good.map(|one| {
        let slot = DateTime::parse_from_rfc3339(&one.tags["redkeep:slot"]);
        let days = one.manual_snapshot_retention_period.unwrap();
        (slot.unwrap().to_utc(), days)
    })
    .collect()
}

#[test]
fn after_three_years_of_tiers_and_failures_aws_holds_what_the_rules_say() {
    let mut sim = sim(START, &tiered("p", "30 2 * * *"));
    sim.leaps = true;
    let mut dice = Dice::new(7);
    let end = at("2026-11-24 12:00");
    let mut failed = 0;
    while sim.now < end {
        // The first of every other month fails in both attempts, and some other days in one or both.
        let tomorrow = sim.now + TimeDelta::days(1);
        let is_first = tomorrow.day() == 1 && tomorrow.month() % 2 == 1;
        let times = match dice.between(0, 9) {
            _ if is_first => 2,
            0 => 2,
            1 => 1,
            _ => 0,
        };
        if times > 0 {
            let message = "Injected.".to_owned();
            sim.aws
                .strike(CREATE, Some(times), Fault::FailSnapshot { message });
        }
        failed += usize::from(times == 2);
        sim.run_until(tomorrow);
        sim.aws.heal();
    }
    let ledger = &sim.hosts[0].journal.ledger;
    let good: Vec<DateTime<Utc>> = ledger
        .runs
        .values()
        .filter(|run| run.word() == "available")
        .map(|run| run.slot.scheduled_at)
        .collect();
    assert_eq!(good.len() + failed, 1_100, "every night has its record");
    let expected = by_hand(&good, sim.now);
    assert_eq!(held(&mut sim), expected);
    let count = |days: i32| expected.values().filter(|held| **held == days).count();
    assert_eq!((count(2557), count(396)), (4, 12), "{expected:?}");
    assert_eq!(sim.aws.modified, [], "the guard has nothing to do");
}

#[test]
fn the_peak_that_is_forecast_is_the_peak_that_comes() {
    let tables = tiered("tiers", "30 2 * * *")
        + &policy("often", "15 */6 * * *", "dw", "").replace("35d", "7d")
        + &policy("weekly", "0 5 * * 1", "dw", "");
    let mut sim = sim(START, &tables);
    sim.leaps = true;
    sim.run_for(TimeDelta::minutes(5));
    let host = &sim.hosts[0];
    let history = &host.process().engine.history();
    let told = forecast(&host.config, &Outline::from(*history), sim.now, 365);
    let peak = &told.scopes[0].peak;
    assert!(peak.held > 60, "{}", peak.held);
    sim.run_until(told.until);
    assert_eq!(sim.aws.most_held, peak.held);
}
