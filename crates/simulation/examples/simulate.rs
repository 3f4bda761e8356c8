//! Lives drawn from seeds, in virtual time: `cargo run --release --example simulate -- --help`.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a simulation's failure is a panic; this prints what came of it and how long it took"
)]

use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use clap::Parser;

use redkeep_simulation::seed::strain::Strain;
use redkeep_simulation::seed::{LifeSpec, Past, fresh_seed, live, told_again};

/// Lives whole daemons in virtual time against a model of AWS, and checks redkeep's invariants at every step.
///
/// A seed draws clusters, policies, hosts and everything that goes wrong: faults, crashes, clocks, edits. The same
/// seed is the same life, to the last line of its log.
#[derive(Parser)]
#[command(after_help = "\
Examples:
  simulate --proof                             a thousand months and twenty years, other ones each time, and three
                                               hundred months of several instances
  simulate --seeds 300 --days 30 --fresh       three hundred months, other ones each time
  simulate --seeds 100 --days 30 --from 5000   other seeds
  simulate --seed 17 --days 30 --log           one of them, with everything that happened

Exit codes: 0 all well, 1 an invariant was broken.")]
struct Arguments {
    /// How many seeds to live.
    #[arg(long, default_value_t = 100, conflicts_with = "seed")]
    seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 0, conflicts_with = "seed")]
    from: u64,
    /// Begin with a seed that nobody has lived before.
    #[arg(long, conflicts_with_all = ["seed", "from"])]
    fresh: bool,
    /// What every release has lived: a thousand months, twenty years and three hundred months of several instances, all of
    /// seeds that nobody has lived before.
    #[arg(long, conflicts_with_all = ["seed", "seeds", "from", "fresh", "days"])]
    proof: bool,
    /// One seed.
    #[arg(long)]
    seed: Option<u64>,
    /// How many days each lives before all is well and the account is made.
    #[arg(long, default_value_t = 30)]
    days: u32,
    /// Print what happened: instants in UTC, who, what.
    #[arg(long, requires = "seed")]
    log: bool,
    /// What weighs on every life, in the place of what its seed draws; the names are in crates/simulation/src/seed/strain.rs.
    #[arg(long, value_parser = strain)]
    strain: Option<Strain>,
    /// Live through the minutes in which nothing can happen, too.
    #[arg(long)]
    no_leaps: bool,
}

/// Of a proof: how many seeds, how many days each lives, and what weighs on them.
const PROOF: [(u64, u32, Option<Strain>); 3] = [
    (1_000, 30, None),
    (20, 365, None),
    (300, 30, Some(Strain::Shared)),
];

fn main() -> ExitCode {
    let mut arguments = Arguments::parse();
    if !arguments.proof {
        return ExitCode::from(u8::from(lived(&mut arguments) > 0));
    }
    arguments.fresh = true;
    let parts = PROOF.map(|(seeds, days, strain)| {
        (arguments.seeds, arguments.days, arguments.strain) = (seeds, days, strain);
        lived(&mut arguments)
    });
    ExitCode::from(u8::from(parts.iter().sum::<usize>() > 0))
}

/// Lives what is asked for and tells of it; how many failed.
fn lived(arguments: &mut Arguments) -> usize {
    if arguments.fresh {
        arguments.from = fresh_seed();
        let (from, end) = (arguments.from, arguments.from + arguments.seeds);
        println!("seeds {from}..{end}, {} days each", arguments.days);
    }
    let began = Instant::now();
    let failed = match arguments.seed {
        Some(seed) => usize::from(!one(arguments, seed)),
        None => many(arguments),
    };
    let seconds = began.elapsed().as_secs_f64();
    let seeds = arguments.seed.map_or(arguments.seeds, |_| 1);
    println!(
        "{seeds} seeds of {} days in {seconds:.1} s: {:.1} seeds/s, {:.2} s of work for a year; {failed} failed",
        arguments.days,
        seeds as f64 / seconds,
        seconds * cores() as f64 / (seeds as f64 * f64::from(arguments.days) / 365.0),
    );
    failed
}

fn strain(name: &str) -> Result<Strain, String> {
    let mut all = Strain::ALL.into_iter();
    let found = all.find(|strain| format!("{strain:?}") == name);
    found.ok_or_else(|| format!("wanted one of {:?}", Strain::ALL))
}

fn spec(arguments: &Arguments, seed: u64) -> LifeSpec {
    LifeSpec {
        keeps_log: arguments.log,
        leaps: !arguments.no_leaps,
        strain: arguments.strain,
        ..LifeSpec::new(seed, arguments.days)
    }
}

fn one(arguments: &Arguments, seed: u64) -> bool {
    let past = live(spec(arguments, seed));
    past.lines.iter().for_each(|line| println!("{line}"));
    let Past {
        hash,
        runs,
        snapshots_made,
        crashes,
        ..
    } = past;
    println!("{runs} runs, {snapshots_made} snapshots made, {crashes} crashes; log {hash:016x}");
    tell(arguments, seed, past.failure.as_deref())
}

fn many(arguments: &Arguments) -> usize {
    let (next, done, failed) = (AtomicU64::new(0), AtomicU64::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..cores() {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= arguments.seeds {
                        return;
                    }
                    let seed = arguments.from + number;
                    let past = live(spec(arguments, seed));
                    if !tell(arguments, seed, past.failure.as_deref()) {
                        failed.fetch_add(1, Ordering::Relaxed);
                    }
                    let done = done.fetch_add(1, Ordering::Relaxed) + 1;
                    if done.is_multiple_of((arguments.seeds / 20).max(1)) {
                        eprintln!("{done} of {}", arguments.seeds);
                    }
                }
            });
        }
    });
    failed.into_inner()
}

fn tell(arguments: &Arguments, seed: u64, failure: Option<&str>) -> bool {
    let Some(failure) = failure else {
        return true;
    };
    println!("{}", told_again(spec(arguments, seed), failure));
    false
}

fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}
