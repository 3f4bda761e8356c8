//! The real binary under a kill −9 loop, against a sandbox in bad weather.
//!
//! Six daemons, two of them with the same policies, are killed at random instants and at named points of their
//! exchanges with AWS, while answers get lost, requests hang and clocks are wrong. Then the weather clears, and what the
//! sandbox has, what the histories say and what the metrics count must be the same.
//!
//! `prune` has kills of its own, while snapshots are deleted.
//!
//! `REDKEEP_KILLS` asks for more kills than the 216 of every build, and `REDKEEP_SEED` for another sequence of them.
#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a test that cannot go on fails, and the tests of the real binary live in real time"
)]

mod dice;
mod host;
mod ledger;
mod points;
mod prune;
mod verdict;
mod weather;

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::{Duration, Instant};

use crate::support::deadline::Deadline;
use crate::support::{AtTheEnd, Sandbox};

use self::dice::Dice;
use self::host::{Host, Setup};
use self::ledger::Ledger;
use self::points::{POINTS, Point};
use self::verdict::Judge;
use self::weather::WrongClocks;

/// The account of everybody's keys.
pub const OURS: &str = "000000000000";
/// The account that is reached through a role.
pub const THEIRS: &str = "111122223333";

const SETUPS: [Setup; 6] = [
    Setup {
        region: "us-east-1",
        account: OURS,
        policies: &[("twos", "*/2", "dw-one"), ("threes", "*/3", "dw-two")],
    },
    // The same policies on a second host.
    Setup {
        region: "us-east-1",
        account: OURS,
        policies: &[("twos", "*/2", "dw-one"), ("threes", "*/3", "dw-two")],
    },
    // Two policies that queue for one cluster.
    Setup {
        region: "us-west-2",
        account: OURS,
        policies: &[("threes", "*/3", "dw-one"), ("fives", "*/5", "dw-one")],
    },
    Setup {
        region: "eu-west-1",
        account: OURS,
        policies: &[("twos", "*/2", "dw-*")],
    },
    Setup {
        region: "eu-central-1",
        account: OURS,
        policies: &[("tens", "*/10", "dw-one"), ("threes", "1-59/3", "dw-two")],
    },
    Setup {
        region: "ap-southeast-2",
        account: THEIRS,
        policies: &[("threes", "*/3", "dw-one"), ("fives", "*/5", "dw-two")],
    },
];

/// How long after the weather has cleared everything may take to be settled.
const SETTLING: Duration = Duration::from_secs(150);

#[test]
fn after_hundreds_of_kills_in_bad_weather_sandbox_history_and_metrics_agree() {
    let number =
        |name, default| std::env::var(name).map_or(default, |text| text.parse::<u64>().unwrap());
    let (kills, seed) = (number("REDKEEP_KILLS", 216), number("REDKEEP_SEED", 1));
    let started = Instant::now();
    // The limit of every test unless more is asked for: a kill takes a quarter of a second, and settling three minutes.
    Deadline::allow(Duration::from_secs(kills.max(900)));
    let sandbox = sandbox();
    let judge = Judge::before(&sandbox);
    let ledger = Ledger::open(&sandbox);
    let clocks = WrongClocks::default();
    let hosts = storm(&sandbox, &ledger, &clocks, kills, seed);
    eprintln!("{} s of storm", started.elapsed().as_secs());
    weather::clear(&sandbox);
    let hosts: Vec<Host> = in_parallel(hosts, |mut host| {
        host.settle(SETTLING);
        judge.metrics(&host);
        host.finish();
        host
    });
    let reached = tally(&hosts);
    eprintln!("{} s in all, {reached:?}", started.elapsed().as_secs());
    let killed: usize = hosts.iter().map(|host| host.killed).sum();
    assert!(killed as u64 >= kills, "only {killed} were killed");
    for point in POINTS {
        let (hit, tried) = reached[&point];
        assert!(hit > 0, "{point:?} was reached {hit} times of {tried}");
    }
    judge.histories(&hosts);
    judge.twins(&hosts[0], &hosts[1], &clocks.into_inner().unwrap());
    judge.snapshots(&sandbox, &hosts);
    judge.creates(&ledger.close(&sandbox));
}

fn sandbox() -> Sandbox {
    let mut arguments = Vec::new();
    for account in [OURS, THEIRS] {
        arguments.extend(["--account", account]);
    }
    for region in SETUPS.iter().skip(1).map(|setup| setup.region) {
        arguments.extend(["--region", region]);
    }
    let sandbox = Sandbox::taking("1", &["dw-one", "dw-two"], &arguments);
    sandbox.control("PUT", "/_sandbox/roles", r#"{"session_seconds":15}"#);
    sandbox
}

/// Kills all hosts, each its share, while the weather is bad.
fn storm(
    sandbox: &Sandbox,
    ledger: &Ledger,
    clocks: &WrongClocks,
    kills: u64,
    seed: u64,
) -> Vec<Host> {
    let (share, over) = (kills.div_ceil(SETUPS.len() as u64), AtomicBool::new(false));
    thread::scope(|scope| {
        // Also when a host fails.
        let _end = AtTheEnd(&over);
        scope.spawn(|| weather::rage(sandbox, &mut Dice::new(seed), &over, clocks));
        scope.spawn(|| ledger.keep(sandbox, &over));
        let numbered = (1..).zip(SETUPS).collect();
        in_parallel(numbered, |(number, setup)| {
            let mut host = Host::start(sandbox, setup, Dice::new(seed.wrapping_add(number << 32)));
            while (host.killed as u64) < share {
                host.suffer();
            }
            host
        })
    })
}

fn in_parallel<T: Send, U: Send>(items: Vec<T>, work: impl Fn(T) -> U + Sync) -> Vec<U> {
    let work = &work;
    thread::scope(|scope| {
        let threads: Vec<_> = items
            .into_iter()
            .map(|item| scope.spawn(move || work(item)))
            .collect();
        let joined = threads.into_iter().map(thread::ScopedJoinHandle::join);
        joined.map(|done| done.unwrap()).collect()
    })
}

/// How often each point was reached, and how often it was tried.
fn tally(hosts: &[Host]) -> BTreeMap<Point, (u32, u32)> {
    let mut all: BTreeMap<Point, (u32, u32)> = BTreeMap::new();
    for (point, (hit, tried)) in hosts.iter().flat_map(|host| &host.reached) {
        let sum = all.entry(*point).or_default();
        *sum = (sum.0 + hit, sum.1 + tried);
    }
    all
}
