//! A fleet on one machine: `cargo bench --bench fleet -- --clusters 200 --scopes 1 --latency 50`.
//!
//! Starts the release daemon on a policy whose slots are all due at one instant, over a stand-in for Redshift that answers
//! after a given latency, and measures from outside: how long it takes until AWS has accepted the last snapshot, what
//! that costs, and how the daemon answers scrapes and probes meanwhile. `--idle` and `--follow` measure what it costs when
//! nothing is due, and while snapshots are being made. The stand-in takes part of the same cores.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a benchmark measures real time and prints what it measured"
)]

mod awscli;
mod boto3;
mod daemon;
mod probes;
mod sdk;
mod server;

use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use clap::Parser;

use daemon::Daemon;
use probes::Probes;
use server::Server;

/// How long after the start the slots are due: every scope has been listed by then.
const LEAD: TimeDelta = TimeDelta::seconds(20);
/// How long after the others the slot of another region is due.
const OTHER_AFTER: TimeDelta = TimeDelta::seconds(1);
/// How long the daemon settles before the cost of a state is measured.
const SETTLING: Duration = Duration::from_secs(15);

/// What a fleet costs
#[derive(Debug, Clone, Parser)]
struct Arguments {
    /// How many clusters there are
    #[arg(long, default_value_t = 200)]
    clusters: usize,
    /// In how many regions they are
    #[arg(long, default_value_t = 1)]
    scopes: usize,
    /// After how many milliseconds the stand-in answers
    #[arg(long, default_value_t = 50)]
    latency: u64,
    /// Measure what it costs while nothing is due
    #[arg(long)]
    idle: bool,
    /// Measure what it costs to follow snapshots that are being made
    #[arg(long)]
    follow: bool,
    /// Measure how soon a slot of another region starts and a SIGTERM is heard while all are due
    #[arg(long)]
    meanwhile: bool,
    /// How many milliseconds there are between a scrape and the next
    #[arg(long, default_value_t = 500)]
    scrape_every: u64,
    /// For how many seconds a state is measured
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// After how many seconds a measurement is given up
    #[arg(long, default_value_t = 900)]
    patience: u64,
    /// Leave out the comparisons with a smaller fleet and with boto3
    #[arg(long)]
    alone: bool,
    /// Further lines at the head of the policy file
    #[arg(long, default_value = "")]
    head: String,
    /// Another redkeep than the one just built
    #[arg(long, default_value = env!("CARGO_BIN_EXE_redkeep"))]
    redkeep: PathBuf,
    /// Ask for the snapshots of the clusters on the standard input by the bare SDK, and do nothing else
    #[arg(long, hide = true)]
    sdk: Option<String>,
    /// What cargo passes to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

impl Arguments {
    fn ten_times_fewer(&self) -> Self {
        let clusters = (self.clusters / 10).max(1);
        Self {
            clusters,
            scopes: self.scopes.min(clusters),
            ..self.clone()
        }
    }
}

/// What one fleet has cost.
struct Cost {
    wall: Duration,
    cpu: f64,
    scrape: Duration,
}

/// What a state costs.
struct State {
    /// Of a core.
    share: f64,
    scrape: Duration,
    peak_mib: f64,
}

fn main() {
    let arguments = Arguments::parse();
    if let Some(url) = &arguments.sdk {
        return sdk::ask(url);
    }
    let version = daemon::version(&arguments.redkeep);
    println!(
        "{version}: {} clusters in {} scopes, {} ms away",
        arguments.clusters, arguments.scopes, arguments.latency
    );
    if arguments.idle {
        return idle(&arguments);
    }
    if arguments.follow {
        return follow(&arguments);
    }
    if arguments.meanwhile {
        return meanwhile(&arguments);
    }
    let cost = due_at_once(&arguments);
    if !arguments.alone {
        compare_with_fewer(&arguments, &cost);
        compare_with_sdk(&arguments, &cost);
        compare_with_boto3(&arguments, &cost);
        compare_with_cli(&arguments, &cost);
    }
}

/// All slots at one instant.
fn due_at_once(arguments: &Arguments) -> Cost {
    // Nothing ends while it is measured.
    let server = Server::start(arguments, Duration::from_secs(3_600));
    let due = soon();
    let daemon = Daemon::start(arguments, &server, due);
    sleep_until(due);
    let (cpu_before, asked_before) = (daemon.cpu_seconds(), server.requests());
    let probes = Probes::start(
        daemon.address,
        Duration::from_millis(arguments.scrape_every),
    );
    let accepted = server.wait_for(arguments.clusters, patience(arguments));
    let cpu = daemon.cpu_seconds() - cpu_before;
    let wall = (accepted - due).to_std().unwrap();
    println!(
        "accepted        {:>9.2} s after the instant",
        wall.as_secs_f64()
    );
    println!("CPU             {cpu:>9.2} s of the daemon in that time");
    println!(
        "requests        {:>9}   {}",
        server.requests() - asked_before,
        server.told()
    );
    println!("peak memory     {:>9.1} MiB", daemon.peak_mib());
    probes.tell();
    let scrape = probes::tell_scrape(daemon.address);
    Cost { wall, cpu, scrape }
}

/// What comes while all slots are due: one more, in a region of its own, and the end.
fn meanwhile(arguments: &Arguments) {
    let server = Server::start(arguments, Duration::from_secs(3_600));
    let due = soon();
    let daemon = Daemon::start(arguments, &server, due);
    sleep_until(due);
    let probes = Probes::start(
        daemon.address,
        Duration::from_millis(arguments.scrape_every),
    );
    let late = server.wait_for_other(patience(arguments)) - (due + OTHER_AFTER);
    println!(
        "another region  {:>9.2} s after its instant its slot is accepted, {} of the others by then",
        late.as_seconds_f64(),
        server.accepted() - 1
    );
    probes.tell();
    let accepted = server.accepted();
    println!(
        "SIGTERM         {:>9.2} s until it is heard, {} still to be accepted",
        daemon.stop().as_secs_f64(),
        arguments.clusters + 1 - accepted
    );
}

fn idle(arguments: &Arguments) {
    let state = idle_once(arguments);
    if arguments.alone {
        return;
    }
    let (fewer, less) = beside_fewer(arguments, &state, idle_once);
    let pairs = (arguments.clusters - fewer.clusters) as f64;
    println!(
        "memory          {:>9.0} bytes a pair, none of which has a snapshot",
        (state.peak_mib - less.peak_mib) * 1_048_576.0 / pairs
    );
}

fn idle_once(arguments: &Arguments) -> State {
    let server = Server::start(arguments, Duration::from_secs(30));
    let daemon = Daemon::start(arguments, &server, Utc::now() + TimeDelta::days(200));
    measure_state("nothing due", arguments, &server, &daemon)
}

fn follow(arguments: &Arguments) {
    let state = follow_once(arguments);
    if !arguments.alone {
        beside_fewer(arguments, &state, follow_once);
    }
}

fn follow_once(arguments: &Arguments) -> State {
    let server = Server::start(arguments, Duration::from_secs(36_000));
    let daemon = Daemon::start(arguments, &server, soon());
    server.wait_for(arguments.clusters, patience(arguments));
    measure_state("following", arguments, &server, &daemon)
}

/// The same state with ten times fewer clusters, and the ratio to it.
fn beside_fewer(
    arguments: &Arguments,
    state: &State,
    measure: fn(&Arguments) -> State,
) -> (Arguments, State) {
    let fewer = arguments.ten_times_fewer();
    println!(
        "-- ten times fewer: {} clusters in {} scopes",
        fewer.clusters, fewer.scopes
    );
    let less = measure(&fewer);
    println!(
        "ratio           {:>9.1} × the CPU, {:.1} × the time of a scrape of ten times fewer",
        // A tick is the least that the kernel counts.
        state.share / less.share.max(0.01 / arguments.seconds as f64),
        state.scrape.as_secs_f64() / less.scrape.as_secs_f64()
    );
    (fewer, less)
}

/// The cost of what the daemon does now.
fn measure_state(name: &str, arguments: &Arguments, server: &Server, daemon: &Daemon) -> State {
    sleep(SETTLING);
    let (cpu_before, asked_before) = (daemon.cpu_seconds(), server.requests());
    let began = Instant::now();
    sleep(Duration::from_secs(arguments.seconds));
    let took = began.elapsed().as_secs_f64();
    let share = (daemon.cpu_seconds() - cpu_before) / took;
    let peak_mib = daemon.peak_mib();
    println!(
        "{name:<15} {:>9.2} % of a core over {took:.0} s",
        share * 100.0
    );
    println!("requests        {:>9}", server.requests() - asked_before);
    println!("peak memory     {peak_mib:>9.1} MiB");
    let scrape = probes::tell_scrape(daemon.address);
    State {
        share,
        scrape,
        peak_mib,
    }
}

fn compare_with_fewer(arguments: &Arguments, cost: &Cost) {
    let fewer = arguments.ten_times_fewer();
    println!(
        "-- ten times fewer: {} clusters in {} scopes",
        fewer.clusters, fewer.scopes
    );
    let less = due_at_once(&fewer);
    println!(
        "ratio           {:>9.1} × the time, {:.1} × the CPU, {:.1} × the time of a scrape of ten times fewer",
        cost.wall.as_secs_f64() / less.wall.as_secs_f64(),
        // A tick is the least that the kernel counts.
        cost.cpu / less.cpu.max(0.01),
        cost.scrape.as_secs_f64() / less.scrape.as_secs_f64()
    );
}

fn compare_with_boto3(arguments: &Arguments, cost: &Cost) {
    let Some(python) = boto3::python() else {
        println!("-- boto3 is not here: tests/peers/install.sh installs it under target/peers");
        return;
    };
    let server = Server::start(arguments, Duration::from_secs(3_600));
    let (version, wall, cpu) = boto3::run(&python, &server);
    assert_eq!(server.accepted(), arguments.clusters);
    println!(
        "-- boto3 {version} with {} threads, and no pace of its own",
        boto3::THREADS
    );
    println!("accepted        {wall:>9.2} s after the start");
    println!(
        "CPU             {cpu:>9.2} s; redkeep {:.2} × that",
        cost.cpu / cpu
    );
}

fn compare_with_sdk(arguments: &Arguments, cost: &Cost) {
    let server = Server::start(arguments, Duration::from_secs(3_600));
    let (wall, cpu) = sdk::run(&server);
    assert_eq!(server.accepted(), arguments.clusters);
    println!(
        "-- the bare SDK, {} at once, no pace, no history, nothing followed",
        boto3::THREADS
    );
    println!("accepted        {wall:>9.2} s after the start");
    println!(
        "CPU             {cpu:>9.2} s; redkeep {:.2} × that",
        cost.cpu / cpu.max(0.01)
    );
}

fn compare_with_cli(arguments: &Arguments, cost: &Cost) {
    let Some(program) = awscli::program() else {
        println!(
            "-- the AWS CLI is not here: tests/peers/install.sh installs it under target/peers"
        );
        return;
    };
    let server = Server::start(arguments, Duration::from_secs(3_600));
    let each = awscli::run(&program, &server);
    let ours = cost.cpu / arguments.clusters as f64;
    println!("-- the AWS CLI, a process for each snapshot");
    println!(
        "CPU             {each:>9.3} s a snapshot; redkeep {ours:.4} s, {:.4} × that",
        ours / each
    );
}

/// A whole second, far enough from now.
fn soon() -> DateTime<Utc> {
    let whole = Utc::now().duration_trunc(TimeDelta::seconds(1)).unwrap();
    whole + LEAD
}

fn sleep_until(instant: DateTime<Utc>) {
    sleep((instant - Utc::now()).to_std().unwrap_or_default());
}

fn patience(arguments: &Arguments) -> Duration {
    Duration::from_secs(arguments.patience)
}
