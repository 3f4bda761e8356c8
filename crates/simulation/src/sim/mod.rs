//! A deterministic simulation: daemons' worlds, journals and a model of AWS in virtual time.
//!
//! Owns: the present, and the order in which things happen. `drive` takes the daemon's place (plan → commit → apply → call →
//! take in) without a runtime, HTTP or a real clock; the daemon's own calls (`wire`) run over it, and `travel` takes their
//! requests to AWS. Every micro-step and every request can be the last one of a process (`CrashPoint`), and whatever
//! happens, `witness` watches the invariants.

mod accounts;
mod acted;
pub mod aws;
pub mod bug;
pub mod dice;
mod drive;
mod edits;
pub mod elsewhere;
mod evidence;
mod guarded;
pub mod hands;
pub mod host;
pub mod journal;
mod leap;
pub mod ledger;
pub mod log;
pub mod oracle;
mod people;
mod refused;
mod serve;
pub mod shared;
mod told;
mod travel;
mod wire;
pub mod witness;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use chrono::{DateTime, TimeDelta, Utc};

use aws::Aws;
use bug::{Bug, SECRET};
use dice::Dice;
use elsewhere::Elsewhere;
use hands::Hands;
use host::Host;
use log::Log;
use shared::Shared;
use wire::{UnderWay, Wire};

/// A turn that never settles is a defect, and so is an instant at which time stands still.
const EVENTS_PER_INSTANT: usize = 100_000;

/// When a process is to die.
#[derive(Debug, Clone, Copy)]
pub struct CrashPoint {
    /// Before this micro-step, counted from 0 since the simulation began.
    pub at_step: u64,
    /// How long it stays down.
    pub downtime: TimeDelta,
    /// Whether the requests on their way to AWS still arrive.
    pub delivers: bool,
}

/// How long a request and its answer take, in milliseconds, drawn between these.
#[derive(Debug, Clone, Copy)]
pub struct Latency {
    pub there: (u64, u64),
    pub back: (u64, u64),
}

/// The whole.
pub struct Sim {
    /// True time, which is AWS's.
    pub now: DateTime<Utc>,
    /// The first account.
    pub aws: Aws,
    pub elsewhere: Elsewhere,
    pub hosts: Vec<Host>,
    /// What hosts share, where they are instances of one installation.
    pub shared: Option<Shared>,
    pub crash_at: Option<CrashPoint>,
    pub latency: Latency,
    pub dice: Dice,
    /// Whether time in which nothing can happen is leapt over.
    pub leaps: bool,
    pub log: Log,
    /// What people do at the last moment.
    pub hands: Hands,
    /// What is planted, to see whether it is caught.
    pub bug: Option<Bug>,
    /// How many micro-steps were made.
    pub steps: u64,
    /// The calls that have not ended, by their number.
    calls: BTreeMap<u64, UnderWay>,
    calls_made: u64,
    wires: Vec<Wire>,
}

impl Sim {
    pub fn new(now: DateTime<Utc>) -> Self {
        Self {
            now,
            aws: Aws::default(),
            elsewhere: Elsewhere::default(),
            hosts: Vec::new(),
            shared: None,
            crash_at: None,
            latency: Latency {
                there: (20, 60),
                back: (20, 60),
            },
            dice: Dice::new(1),
            leaps: false,
            log: Log::new(false),
            hands: Hands::default(),
            bug: None,
            steps: 0,
            calls: BTreeMap::new(),
            calls_made: 0,
            wires: Vec::new(),
        }
    }

    /// Lets time pass until `until`.
    pub fn run_until(&mut self, until: DateTime<Utc>) {
        let mut here = 0;
        loop {
            for host in 0..self.hosts.len() {
                self.visit(host);
            }
            if self.leaps {
                self.leap(until);
            }
            let Some(next) = self.next_instant().filter(|next| *next <= until) else {
                self.now = self.now.max(until);
                return;
            };
            here = if next > self.now { 0 } else { here + 1 };
            assert!(here < EVENTS_PER_INSTANT, "time stands still at {next}");
            self.now = self.now.max(next);
            self.carry_on_wires();
            self.carry_on_statements();
        }
    }

    /// Plants a bug in all that comes.
    pub fn plant(&mut self, bug: Bug) {
        self.bug = Some(bug);
        match bug {
            Bug::Leak => self.log.secret = Some(SECRET),
            Bug::LostRow => self
                .hosts
                .iter_mut()
                .for_each(|host| host.journal.loses_a_row = true),
            Bug::ForgottenTold => self
                .hosts
                .iter_mut()
                .for_each(|host| host.journal.forgets_what_was_told = true),
            Bug::Entropy => {
                static CALLS: AtomicU64 = AtomicU64::new(0);
                self.dice = Dice::new(CALLS.fetch_add(1, Ordering::Relaxed));
            }
            _ => {}
        }
    }

    pub fn run_for(&mut self, span: TimeDelta) {
        self.run_until(self.now + span);
    }

    /// Kills a host's process now.
    pub fn stop(&mut self, host: usize) {
        let delivers = self.shared.is_some() && self.dice.permille(500);
        self.kill_instance(host, delivers);
        self.hosts[host].process = None;
        self.hosts[host].starts_at = None;
    }

    /// Starts a host's process now.
    pub fn start(&mut self, host: usize) {
        self.trouble_shared();
        self.hosts[host].starts_at = Some(self.now);
        self.visit(host);
    }

    /// Sets a host's clock so far ahead of true time; the daemon notices in its next turn.
    pub fn set_clock(&mut self, host: usize, ahead: TimeDelta) {
        self.say(
            host,
            format_args!("clock is {} s ahead", ahead.num_seconds()),
        );
        let host = &mut self.hosts[host];
        host.clock_ahead = ahead;
        let now = self.now + ahead;
        host.guarded.troubled(self.now);
        host.evidence.forget_calls();
        host.evidence.clock_right_since = Some(match ahead.is_zero() {
            true => self.now,
            false => DateTime::<Utc>::MAX_UTC - TimeDelta::days(1),
        });
        if let Some(process) = &mut host.process {
            process.engine.forget_clocks(now);
            process.turns_at = self.now;
        }
    }

    /// Suspends a host's machine: its process stands still, and what it has sent does not. The wall clock goes on
    /// meanwhile, the monotonic one does not.
    pub fn suspend(&mut self, host: usize, span: TimeDelta) {
        let seconds = span.num_seconds();
        self.say(host, format_args!("is suspended for {seconds} s"));
        self.trouble_shared();
        self.hosts[host].suspended_until = Some(self.now + span);
    }

    /// Reloads the configuration, as the daemon does on SIGHUP.
    pub fn reload(&mut self, host: usize, config: redkeep_policy_file::Config) {
        let now = self.hosts[host].time(self.now);
        if self.hosts[host].process.is_some() && !self.is_committing(host) {
            let turned = self.turn(host);
            self.settle(host, turned);
        }
        while self.is_committing(host) {
            self.run_for(TimeDelta::milliseconds(100));
        }
        let now = self.hosts[host].time(self.now).max(now);
        self.say(host, format_args!("configuration reloaded"));
        let true_now = self.now;
        self.hosts[host].witness.reloaded(&config, true_now);
        self.hosts[host].guarded.troubled(true_now);
        self.hosts[host].evidence.forget_calls();
        self.hosts[host].config = config.clone();
        let mut config = config;
        if let Some(bug) = self.bug {
            bug.bend_config(&mut config);
        }
        if self.hosts[host].process.is_some() {
            self.hosts[host].sees_config(true_now);
        }
        if let Some(process) = &mut self.hosts[host].process {
            process.engine.reconfigure(config, now);
            process.turns_at = self.now;
        }
    }

    fn next_instant(&self) -> Option<DateTime<Utc>> {
        let hosts = self.hosts.iter().enumerate();
        let hosts = hosts.filter_map(|(number, host)| match &host.process {
            Some(_) if self.is_paused(number) => None,
            Some(process) => Some(host.awake_at(process.turns_at)),
            None => host.starts_at,
        });
        let wires = self.wires.iter().map(|wire| self.comes_at(wire));
        hosts.chain(wires).chain(self.next_of_shared()).min()
    }

    /// Writes a line of the log in a host's name.
    pub fn say(&mut self, host: usize, what: std::fmt::Arguments<'_>) {
        self.log.say(self.now, &self.hosts[host].name, what);
    }

    /// An account at AWS by its number here, 0 for the first.
    pub fn account(&mut self, number: usize) -> &mut Aws {
        match number {
            0 => &mut self.aws,
            other => &mut self.elsewhere.accounts[other - 1],
        }
    }

    pub fn accounts(&self) -> impl Iterator<Item = &Aws> {
        std::iter::once(&self.aws).chain(&self.elsewhere.accounts)
    }

    /// Every account answers as it should.
    pub fn heal(&mut self) {
        let others = self.elsewhere.accounts.iter_mut();
        others.chain([&mut self.aws]).for_each(Aws::heal);
        self.elsewhere.misled.clear();
    }

    /// Whether no fault waits for a call.
    fn is_sound(&self) -> bool {
        self.elsewhere.misled.is_empty() && self.accounts().all(Aws::is_sound)
    }
}
