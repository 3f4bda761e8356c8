//! A deterministic simulation: daemons' worlds, journals and a model of AWS in virtual time.
//!
//! Owns: the present, what is on the wire, and the order in which things happen. It takes the daemon's place
//! (plan → commit → apply → call → take in) without a runtime, HTTP or a real clock, and lets the daemon's own calls
//! run over it (`wire`). Every micro-step and every request can be the last one of a process (`CrashPoint`), and whatever
//! happens, `witness` watches the invariants.

mod accounts;
mod acted;
pub mod aws;
pub mod bug;
pub mod dice;
mod edits;
pub mod elsewhere;
mod evidence;
mod guarded;
pub mod hands;
pub mod host;
pub mod journal;
mod leap;
pub mod log;
pub mod oracle;
mod people;
mod refused;
mod serve;
mod told;
mod wire;
pub mod witness;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use redkeep_core::engine::{Engine, Step};
use redkeep_core::history::{Change, news};
use redkeep_core::plan::Call;
use redkeep_core::reply::Reply;
use redkeep_core::run::Run;
use redkeep_core::snapshot::Snapshot;

use accounts::check_totals;
use aws::Aws;
use bug::{Bug, SECRET};
use dice::Dice;
use elsewhere::Elsewhere;
use evidence::Evidence;
use hands::Hands;
use host::{Host, Process};
use log::Log;
use serve::{hangs, latency};
use told::{Told, ToldCall};
use wire::{Answered, Request, State, UnderWay, Wire};

/// The SDK's limit for one attempt.
const ATTEMPT_TIMEOUT: TimeDelta = TimeDelta::seconds(30);
/// A turn that never settles is a defect, and so is an instant at which time stands still.
const EVENTS_PER_INSTANT: usize = 100_000;

/// The end of a process, in the midst of whatever it was doing.
#[derive(Debug)]
pub struct Crash;

type Done = Result<(), Crash>;

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
        self.hosts[host].process = None;
        self.hosts[host].starts_at = None;
    }

    /// Starts a host's process now.
    pub fn start(&mut self, host: usize) {
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
        self.hosts[host].suspended_until = Some(self.now + span);
    }

    /// As the daemon notices at the first turn that its clocks have gone apart.
    fn wake(&mut self, host: usize) {
        let host = &mut self.hosts[host];
        if host.suspended_until.take().is_some() {
            let now = host.time(self.now);
            host.guarded.troubled(self.now);
            host.evidence.forget_calls();
            host.process_mut().engine.forget_clocks(now);
        }
    }

    /// Reloads the configuration, as the daemon does on SIGHUP.
    pub fn reload(&mut self, host: usize, config: redkeep_policy_file::Config) {
        let now = self.hosts[host].time(self.now);
        if self.hosts[host].process.is_some() {
            let turned = self.turn(host);
            self.settle(host, turned);
        }
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
        let hosts = self.hosts.iter().filter_map(|host| match &host.process {
            Some(process) => Some(host.awake_at(process.turns_at)),
            None => host.starts_at,
        });
        let wires = self.wires.iter().map(|wire| self.comes_at(wire));
        hosts.chain(wires).min()
    }

    /// When a request gets to AWS, or its answer to a host that is awake.
    fn comes_at(&self, wire: &Wire) -> DateTime<Utc> {
        match wire.is_answered() {
            true => self.hosts[wire.host].awake_at(wire.arrives_at),
            false => wire.arrives_at,
        }
    }

    /// Starts the host or lets it take a turn, if its time has come.
    fn visit(&mut self, host: usize) {
        let one = &self.hosts[host];
        let done = match (&one.process, one.starts_at) {
            (Some(process), _) if one.awake_at(process.turns_at) <= self.now => self.turn(host),
            (None, Some(at)) if at <= self.now => self.boot(host),
            _ => return,
        };
        self.settle(host, done);
    }

    fn settle(&mut self, host: usize, done: Done) {
        let (Err(Crash), Some(crash_at)) = (done, self.crash_at) else {
            return;
        };
        self.crash_at = None;
        self.say(
            host,
            format_args!("dies, for {} s", crash_at.downtime.num_seconds()),
        );
        self.hosts[host].process = None;
        self.hosts[host].starts_at = Some(self.now + crash_at.downtime);
        self.calls.retain(|_, call| call.host != host);
        self.wires
            .retain(|wire| wire.host != host || (crash_at.delivers && !wire.is_answered()));
    }

    /// Writes a line of the log in a host's name.
    pub fn say(&mut self, host: usize, what: std::fmt::Arguments<'_>) {
        self.log
            .say(self.now, self.hosts[host].writer.as_str(), what);
    }

    fn step(&mut self) -> Done {
        let here = self.steps;
        self.steps += 1;
        match self.crash_at {
            Some(crash_at) if crash_at.at_step == here => Err(Crash),
            _ => Ok(()),
        }
    }

    fn boot(&mut self, host: usize) -> Done {
        self.say(host, format_args!("starts"));
        let now = self.hosts[host].time(self.now);
        let host_ref = &mut self.hosts[host];
        let history = host_ref.journal.load(now);
        check_totals(&host_ref.journal.ledger, &history);
        let mut config = host_ref.config.clone();
        if let Some(bug) = self.bug {
            bug.bend_config(&mut config);
        }
        let mut engine = Engine::new(config, history, host_ref.writer.clone(), now);
        engine.recover(now);
        host_ref.starts_at = None;
        host_ref.sees_config(self.now);
        host_ref.lives += 1;
        host_ref.process = Some(Process::new(engine, self.now));
        host_ref.witness.process_started(now);
        host_ref.evidence.forget_calls();
        host_ref.guarded.troubled(self.now);
        self.turn(host)
    }

    /// One turn of the daemon's loop.
    fn turn(&mut self, host: usize) -> Done {
        self.wake(host);
        let now = self.hosts[host].time(self.now);
        if !self.is_sound() || now != self.now {
            self.hosts[host].guarded.troubled(self.now);
        }
        let wake_at = loop {
            if let Some(bug) = self.bug {
                bug.bend_engine(&mut self.hosts[host].process_mut().engine, now);
            }
            match self.hosts[host].process_mut().engine.next(now) {
                Step::Commit(changes) => self.commit(host, changes)?,
                Step::Call { call, planned_at } => self.call(host, call, planned_at)?,
                Step::Sleep { until } => break until,
            }
        };
        let turns_at = self.now + (next_tick(wake_at, now) - now);
        self.hosts[host].process_mut().turns_at = turns_at;
        let alarms = self.hosts[host].process().engine.alarms(now);
        self.hosts[host].note_alarms(&alarms);
        Ok(())
    }

    fn commit(&mut self, host: usize, mut changes: Vec<Change>) -> Done {
        self.step()?;
        if let Some(bug) = self.bug {
            let now = self.hosts[host].time(self.now);
            bug.bend_changes(&mut changes, &self.hosts[host], now);
        }
        for change in &changes {
            self.say(host, format_args!("{}", Told(change)));
        }
        for run in changes.iter().filter_map(run_of) {
            let before = self.hosts[host].journal.ledger.runs.get(&run.slot);
            self.check_reason(before, run);
        }
        let host_ref = &mut self.hosts[host];
        for change in &changes {
            let aws = run_of(change).map(|run| &run.slot.pair.scope);
            let aws = aws.map_or(&self.aws, |scope| self.elsewhere.home_of(&self.aws, scope));
            if let Some(run) = run_of(change) {
                let before = host_ref.journal.ledger.runs.get(&run.slot);
                host_ref.evidence.concluding(before, run, aws, self.now);
            }
            host_ref
                .witness
                .committing(change, &host_ref.config, &host_ref.journal, aws, self.now);
        }
        host_ref.commits += 1;
        let stay = host_ref.journal.commit(&changes);
        self.step()?;
        let twice = self.bug == Some(Bug::CountedTwice);
        let (_, history, _) = self.hosts[host].process_mut().engine.falsify();
        for change in changes.iter().filter(|_| twice) {
            if let Change::Run(run) = change
                && let Some(outcome) = run.outcome()
            {
                let totals = history.totals.entry(run.slot.pair.clone()).or_default();
                totals.add(outcome.kind(), 1);
            }
        }
        let changes = news(changes, &stay);
        let engine = &mut self.hosts[host].process_mut().engine;
        engine.committed(changes, stay);
        Ok(())
    }

    /// Makes a call that the engine asks for, and those that a planted bug makes of it.
    fn call(&mut self, host: usize, call: Call, planned_at: DateTime<Utc>) -> Done {
        let calls = match self.bug {
            Some(bug) => bug.bend_call(call, &self.hosts[host], planned_at),
            None => vec![call],
        };
        for call in calls {
            self.dispatch(host, call, planned_at)?;
        }
        Ok(())
    }

    fn dispatch(&mut self, host: usize, call: Call, now: DateTime<Utc>) -> Done {
        if !matches!(call, Call::List { .. }) {
            self.say(host, format_args!("{}", ToldCall(&call)));
        }
        let host_ref = &mut self.hosts[host];
        let home = self.elsewhere.home_of(&self.aws, call.scope());
        host_ref.witness.dispatching(
            &call,
            (&host_ref.config, &host_ref.writer),
            &host_ref.journal,
            home,
            (self.now, now),
        );
        let runs = &host_ref.journal.ledger.runs;
        let run = call.slot().and_then(|slot| runs.get(slot));
        let known = (host_ref.commits, run);
        host_ref.evidence.calling(&call, known, home, self.now);
        self.come_before(&call);
        self.calls_made += 1;
        let account = self.elsewhere.reached(&call.scope().account);
        let acts_on = self.about_to_act(&call);
        let lives = (host, self.hosts[host].lives);
        let mut under_way = UnderWay::new(lives, account, call, (self.now, now));
        under_way.acts_on = acts_on;
        self.go_on(self.calls_made, under_way)
    }

    /// Lets a call go on as far as the answers that have come lead.
    fn go_on(&mut self, number: u64, mut call: UnderWay) -> Done {
        let (requests, reply) = call.go_on();
        for request in requests {
            self.step()?;
            self.send(number, &call, request);
            self.step()?;
        }
        let Some(mut reply) = reply else {
            self.calls.insert(number, call);
            return Ok(());
        };
        if let Some(bug) = self.bug {
            bug.bend_reply(&mut reply);
        }
        self.take_in(&call, reply)
    }

    fn send(&mut self, call: u64, under_way: &UnderWay, request: Request) {
        let latency = self.dice.milliseconds(self.latency.there);
        self.wires.push(Wire {
            host: under_way.host,
            life: under_way.life,
            call,
            account: under_way.account,
            region: under_way.scope.region.clone(),
            sent_at: self.now,
            arrives_at: self.now + latency,
            is_slow_by: TimeDelta::zero(),
            state: State::Sent(request),
        });
    }

    /// Carries out what has arrived at AWS, and hands over the answers that have come.
    fn carry_on_wires(&mut self) {
        let mut index = 0;
        while index < self.wires.len() {
            let wire = &self.wires[index];
            if self.comes_at(wire) > self.now {
                index += 1;
            } else if wire.is_answered() {
                let wire = self.wires.swap_remove(index);
                self.hand_over(wire);
            } else {
                self.arrive(index);
            }
        }
    }

    /// A request has got to AWS, which takes its time or carries it out.
    fn arrive(&mut self, index: usize) {
        let mut wire = self.wires.swap_remove(index);
        let aws = match wire.account {
            0 => &mut self.aws,
            other => &mut self.elsewhere.accounts[other - 1],
        };
        let region = wire.region.as_str();
        let (request, fault_effect) = match wire.state {
            State::Sent(request) => {
                let fault_effect = aws.suffer(&request, region);
                let (there, back) = aws.slowness(&request, &mut self.dice);
                wire.is_slow_by = back;
                let latency = latency(&fault_effect) + there;
                if !latency.is_zero() {
                    wire.arrives_at += latency;
                    wire.state = State::Waits(request, fault_effect);
                    return self.wires.push(wire);
                }
                (request, fault_effect)
            }
            State::Waits(request, fault_effect) => (request, fault_effect),
            State::Answered(_) => unreachable!("it is handed over"),
        };
        wire.arrives_at = match hangs(&fault_effect) {
            true => wire.sent_at + ATTEMPT_TIMEOUT,
            false => self.now + wire.is_slow_by + self.dice.milliseconds(self.latency.back),
        };
        self.watch_hands((wire.call, wire.account, &wire.region), &request);
        let (now, is_look) = (self.now, matches!(request, Request::Snapshots(..)));
        let aws = self.account(wire.account);
        let served = aws.carry_out(request, &fault_effect, region, now);
        if let Some(told) = served.told {
            self.log.say(self.now, "aws", format_args!("{told}"));
        }
        wire.state = State::Answered(Answered {
            hand_over: served.hand_over,
            looked_at: is_look.then_some(self.now),
        });
        let (host, life) = (wire.host, wire.life);
        self.wires.push(wire);
        if self.is_alive(host, life) {
            let done = self.step();
            self.settle(host, done);
        }
    }

    fn is_alive(&self, host: usize, life: u32) -> bool {
        self.hosts[host].lives == life && self.hosts[host].process.is_some()
    }

    /// An answer has come: its call goes on.
    fn hand_over(&mut self, wire: Wire) {
        let State::Answered(answer) = wire.state else {
            unreachable!("it has not been carried out");
        };
        let alive = self.is_alive(wire.host, wire.life);
        let Some(mut call) = self.calls.remove(&wire.call).filter(|_| alive) else {
            return;
        };
        call.looked_at = answer.looked_at.or(call.looked_at);
        (answer.hand_over)();
        let done = self.go_on(wire.call, call);
        self.settle(wire.host, done);
    }

    fn take_in(&mut self, call: &UnderWay, reply: Reply) -> Done {
        self.step()?;
        let (host, true_now) = (call.host, self.now);
        let now = self.hosts[host].time(self.now);
        let host_ref = &mut self.hosts[host];
        // What another account has proves nothing.
        let is_from_home = call.account == self.elsewhere.home(&call.scope.account);
        if is_from_home {
            let looked_at = call.looked_at.unwrap_or(true_now);
            let named = match &reply {
                Reply::Described(described) => host_ref.journal.ledger.runs.get(&described.slot),
                _ => None,
            };
            let named = named.map(|run| run.request.snapshot_id.as_str());
            let at = (looked_at, true_now);
            host_ref.witness.answered(&reply, named, at);
            if let (Reply::Described(described), Some(id)) = (&reply, named)
                && described.snapshots.result.is_ok()
            {
                host_ref.evidence.looked_for(&call.scope, id, call.sent_at);
            }
            if let Some(snapshots) = listed(&reply) {
                host_ref.evidence.looked(&call.scope, call.sent_at);
                let known = (&host_ref.config, &host_ref.journal.ledger);
                let aws = self.elsewhere.home_of(&self.aws, &call.scope);
                host_ref
                    .guarded
                    .listed((&call.scope, snapshots), known, aws, true_now);
            }
        }
        self.check_acted(call, &reply);
        self.hosts[host].process_mut().engine.answered(reply, now);
        let mut changes = self.hosts[host].process_mut().engine.take_changes(now);
        if let Some(bug) = self.bug {
            bug.bend_taken(&mut changes, &self.hosts[host].journal.ledger);
        }
        let home = self.elsewhere.home_of(&self.aws, &call.scope);
        for run in changes.iter().filter_map(run_of) {
            let before = self.hosts[host].journal.ledger.runs.get(&run.slot);
            Evidence::changing(before, run, home, is_from_home);
        }
        if !changes.is_empty() {
            self.commit(host, changes)?;
        }
        self.hosts[host].process_mut().turns_at = self.now;
        Ok(())
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

/// The run that a change is about.
fn run_of(change: &Change) -> Option<&Run> {
    match change {
        Change::Run(run) | Change::Adopted(run) => Some(run),
        _ => None,
    }
}

/// The snapshots of a complete listing.
fn listed(reply: &Reply) -> Option<&[Arc<Snapshot>]> {
    let Reply::Listed(listed) = reply else {
        return None;
    };
    let is_complete = listed.clusters.result.is_ok();
    let snapshots = listed.snapshots.result.as_ref().ok();
    snapshots.map(Vec::as_slice).filter(|_| is_complete)
}

/// When the daemon wakes: its ticker ticks on whole seconds and asks whether `wake_at` has come, and it
/// never sleeps longer than 30 s.
fn next_tick(wake_at: DateTime<Utc>, now: DateTime<Utc>) -> DateTime<Utc> {
    let second = TimeDelta::seconds(1);
    let earliest = now.duration_trunc(second).unwrap() + second;
    let asked_for = match wake_at.duration_trunc(second).unwrap() {
        whole if whole == wake_at => whole,
        whole => whole + second,
    };
    asked_for
        .max(earliest)
        .min(now + redkeep_core::plan::LONGEST_SLEEP)
}
