//! Six years of lives in every test run, on as many threads as there are cores: some the same each time, more that nobody
//! has lived before. `examples/simulate` lives as many as are asked for, and what a release has to have lived.

use std::collections::BTreeSet;
use std::io::Write;

use crate::cores::on_every_core;
use redkeep_simulation::seed::strain::Strain;
use redkeep_simulation::seed::{LifeSpec, Past, fresh_seed, live, told_again};

/// Lives the seeds of a range on every core; the failures, with the commands that replay them.
fn failures(seeds: std::ops::Range<u64>, days: u32, strain: Option<Strain>) -> Vec<String> {
    let seeds: Vec<u64> = seeds.collect();
    let failures = on_every_core(seeds.len(), |number| {
        let spec = LifeSpec {
            strain,
            ..LifeSpec::new(seeds[number], days)
        };
        let failure = live(spec).failure?;
        Some(told_again(spec, &failure))
    });
    failures.into_iter().flatten().collect()
}

fn assert_well(seeds: std::ops::Range<u64>, days: u32) {
    assert_well_under(None, seeds, days);
}

fn assert_well_under(strain: Option<Strain>, seeds: std::ops::Range<u64>, days: u32) {
    // Past the harness, which shows nothing of a test that passes.
    let _ = writeln!(std::io::stderr(), "seeds {seeds:?}, {days} days each");
    let failures = failures(seeds, days, strain);
    assert!(
        failures.is_empty(),
        "{} seeds failed:\n{}",
        failures.len(),
        failures.join("\n")
    );
}

#[test]
fn twenty_months() {
    assert_well(0..20, 30);
}

/// Seeds that nobody has lived before: each run of the tests finds out a little more.
#[test]
fn forty_months_of_fresh_seeds() {
    let from = fresh_seed();
    assert_well(from..from + 40, 30);
}

#[test]
fn lives_of_several_instances() {
    assert_well_under(Some(Strain::Shared), 0..5, 10);
}

#[test]
fn lives_of_several_instances_of_fresh_seeds() {
    let from = fresh_seed();
    assert_well_under(Some(Strain::Shared), from..from + 5, 10);
}

#[test]
fn a_year() {
    assert_well(5_000..5_001, 365);
}

#[test]
fn the_same_seed_gives_the_same_life_and_another_one_another() {
    let hash = |seed| live(LifeSpec::new(seed, 20)).hash;
    for seed in 100..103 {
        assert_eq!(hash(seed), hash(seed), "I16: seed {seed}");
    }
    assert_ne!(hash(100), hash(101));
}

#[test]
fn a_log_tells_what_happened_and_when() {
    let spec = LifeSpec {
        keeps_log: true,
        ..LifeSpec::new(3, 20)
    };
    let past = live(spec);
    assert!(past.crashes > 0);
    let starts = past
        .lines
        .iter()
        .filter_map(|line| line.strip_suffix("  starts"))
        .filter_map(|line| line.split_whitespace().last());
    let hosts: BTreeSet<&str> = starts.clone().collect();
    assert_eq!(starts.count(), past.crashes as usize + hosts.len());
    let unwritten = live(LifeSpec::new(3, 20));
    assert_eq!(past.hash, unwritten.hash, "writing the log changes nothing");
}

/// What leaping must not change: which slots there are, and how each ended.
#[test]
fn leaping_over_quiet_time_changes_no_record() {
    for seed in 200..204 {
        let lived = |leaps| -> Past {
            let spec = LifeSpec {
                leaps,
                ..LifeSpec::new(seed, 4)
            };
            live(spec)
        };
        let (leapt, waited) = (lived(true), lived(false));
        assert_eq!((leapt.failure, waited.failure), (None, None));
        assert_eq!(
            (leapt.runs, leapt.snapshots_made),
            (waited.runs, waited.snapshots_made)
        );
    }
}
