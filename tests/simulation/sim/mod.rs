//! A deterministic simulation: daemons' worlds, journals and a model of AWS in virtual time.
//!
//! Owns: the present, what is on the wire, and the order in which things happen. It takes the daemon's place
//! (plan → commit → apply → call → take in) without tokio, HTTP or a real clock. Every micro-step can be the
//! last one of a process (`crash_at`), and whatever happens, `witness` watches the invariants.

mod accounts;
pub mod aws;
pub mod bug;
pub mod dice;
mod guarded;
pub mod host;
pub mod journal;
mod leap;
pub mod log;
pub mod oracle;
pub mod witness;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use redkeep::history::Change;
use redkeep::plan::Call;
use redkeep::reply::Reply;
use redkeep::slot::rfc3339;
use redkeep::snapshot::Snapshot;
use redkeep::world::World;

use accounts::check_totals;
use aws::{Aws, Suffered};
use bug::{Bug, SECRET};
use dice::Dice;
use host::{Host, Process};
use log::Log;

/// As in the daemon.
const PLANS_PER_TURN: usize = 16;
/// The SDK's limit for one attempt.
const ATTEMPT_TIMEOUT: TimeDelta = TimeDelta::seconds(30);
/// A turn that never settles is a defect, and so is an instant at which time stands still.
const EVENTS_PER_INSTANT: usize = 100_000;

/// The end of a process, in the midst of whatever it was doing.
#[derive(Debug)]
pub struct Crash;

type Step = Result<(), Crash>;

/// When a process is to die.
#[derive(Debug, Clone, Copy)]
pub struct Doom {
    /// Before this micro-step, counted from 0 since the simulation began.
    pub at_step: u64,
    /// How long it stays down.
    pub downtime: TimeDelta,
    /// Whether the requests on their way to AWS still arrive.
    pub delivers: bool,
}

/// A call on the wire.
struct Wire {
    host: usize,
    /// Which life of the host's process made it.
    life: u32,
    call: Call,
    began_at: DateTime<Utc>,
    sent_at: DateTime<Utc>,
    arrives_at: DateTime<Utc>,
    /// What it suffers at AWS, once it has got there.
    suffered: Option<Suffered>,
    answer: Option<Answered>,
}

struct Answered {
    reply: Reply,
    looked_at: DateTime<Utc>,
    arrives_at: DateTime<Utc>,
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
    pub aws: Aws,
    pub hosts: Vec<Host>,
    pub doom: Option<Doom>,
    pub latency: Latency,
    pub dice: Dice,
    /// Whether time in which nothing can happen is leapt over.
    pub leaps: bool,
    pub log: Log,
    /// What is planted, to see whether it is caught.
    pub bug: Option<Bug>,
    /// How many micro-steps were made.
    pub steps: u64,
    wires: Vec<Wire>,
}

impl Sim {
    pub fn new(now: DateTime<Utc>) -> Self {
        Self {
            now,
            aws: Aws::new(),
            hosts: Vec::new(),
            doom: None,
            latency: Latency {
                there: (20, 60),
                back: (20, 60),
            },
            dice: Dice::new(1),
            leaps: false,
            log: Log::new(false),
            bug: None,
            steps: 0,
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
        if let Some(process) = &mut host.process {
            process.world.observed.forget_clocks(now);
            process.turns_at = self.now;
        }
    }

    /// Reloads the configuration, as the daemon does on SIGHUP.
    pub fn reload(&mut self, host: usize, config: redkeep::config::Config) {
        let now = self.hosts[host].time(self.now);
        if self.hosts[host].process.is_some() {
            let turned = self.turn(host);
            self.settle(host, turned);
        }
        self.say(host, format_args!("configuration reloaded"));
        let true_now = self.now;
        self.hosts[host].witness.reloaded(&config, true_now);
        self.hosts[host].guarded.troubled(true_now);
        self.hosts[host].config = config.clone();
        let mut config = config;
        if let Some(bug) = self.bug {
            bug.bend_config(&mut config);
        }
        if let Some(process) = &mut self.hosts[host].process {
            process.world.reconfigure(config, now);
            process.turns_at = self.now;
        }
    }

    fn next_instant(&self) -> Option<DateTime<Utc>> {
        let hosts = self.hosts.iter().filter_map(|host| match &host.process {
            Some(process) => Some(process.turns_at),
            None => host.starts_at,
        });
        let wires = self.wires.iter().map(|wire| match &wire.answer {
            None => wire.arrives_at,
            Some(answer) => answer.arrives_at,
        });
        hosts.chain(wires).min()
    }

    /// Starts the host or lets it take a turn, if its time has come.
    fn visit(&mut self, host: usize) {
        let done = match (&self.hosts[host].process, self.hosts[host].starts_at) {
            (Some(process), _) if process.turns_at <= self.now => self.turn(host),
            (None, Some(at)) if at <= self.now => self.boot(host),
            _ => return,
        };
        self.settle(host, done);
    }

    fn settle(&mut self, host: usize, done: Step) {
        let (Err(Crash), Some(doom)) = (done, self.doom) else {
            return;
        };
        self.doom = None;
        self.say(
            host,
            format_args!("dies, for {} s", doom.downtime.num_seconds()),
        );
        self.hosts[host].process = None;
        self.hosts[host].starts_at = Some(self.now + doom.downtime);
        self.wires
            .retain(|wire| wire.host != host || (doom.delivers && wire.answer.is_none()));
    }

    /// Writes a line of the log in a host's name.
    pub fn say(&mut self, host: usize, what: std::fmt::Arguments<'_>) {
        self.log
            .say(self.now, self.hosts[host].writer.as_str(), what);
    }

    fn step(&mut self) -> Step {
        let here = self.steps;
        self.steps += 1;
        match self.doom {
            Some(doom) if doom.at_step == here => Err(Crash),
            _ => Ok(()),
        }
    }

    fn boot(&mut self, host: usize) -> Step {
        self.say(host, format_args!("starts"));
        let now = self.hosts[host].time(self.now);
        let host_ref = &mut self.hosts[host];
        let history = host_ref.journal.load(now);
        check_totals(&host_ref.journal.ledger, &history);
        let mut config = host_ref.config.clone();
        if let Some(bug) = self.bug {
            bug.bend_config(&mut config);
        }
        let world = World::new(config, history, host_ref.writer.clone(), now);
        host_ref.starts_at = None;
        host_ref.lives += 1;
        host_ref.process = Some(Process::new(world, self.now));
        host_ref.witness.process_started(now);
        host_ref.guarded.troubled(self.now);
        let recovered = host_ref.process().world.recover(now);
        self.commit(host, recovered)?;
        self.turn(host)
    }

    /// One turn of the daemon's loop.
    fn turn(&mut self, host: usize) -> Step {
        let now = self.hosts[host].time(self.now);
        if !self.aws.is_sound() || now != self.now {
            self.hosts[host].guarded.troubled(self.now);
        }
        for _ in 0..PLANS_PER_TURN {
            if let Some(bug) = self.bug {
                bug.bend_world(&mut self.hosts[host].process_mut().world, now);
            }
            let mut plan = self.hosts[host].process().world.plan(now);
            if let Some(bug) = self.bug {
                bug.bend_plan(&mut plan, &self.hosts[host], now);
            }
            let wake_at = plan.wake_at;
            let settled = plan.changes.is_empty();
            self.commit(host, plan.changes)?;
            for call in plan.calls {
                self.dispatch(host, call, now)?;
            }
            let turns_at = self.now + (next_tick(wake_at, now) - now);
            self.hosts[host].process_mut().turns_at = turns_at;
            if settled {
                break;
            }
        }
        let alarms = self.hosts[host].process().world.alarms(now);
        self.hosts[host].note_alarms(&alarms);
        Ok(())
    }

    fn commit(&mut self, host: usize, mut changes: Vec<Change>) -> Step {
        if changes.is_empty() {
            return Ok(());
        }
        self.step()?;
        if let Some(bug) = self.bug {
            bug.bend_changes(&mut changes);
        }
        for change in &changes {
            self.say(host, format_args!("{}", Told(change)));
        }
        let host_ref = &mut self.hosts[host];
        for change in &changes {
            host_ref.witness.committing(
                change,
                &host_ref.config,
                &host_ref.journal,
                &self.aws,
                self.now,
            );
        }
        let stay = host_ref.journal.commit(&changes);
        self.step()?;
        let twice = self.bug == Some(Bug::CountedTwice);
        let history = &mut self.hosts[host].process_mut().world.history;
        for change in changes.iter().filter(|_| twice) {
            if let Change::Run(run) = change
                && run.is_ended()
            {
                let totals = history.totals.entry(run.slot.pair.clone()).or_default();
                totals.add(run.word(), 1);
            }
        }
        changes.retain(|change| !stay.iter().any(|run| change.is_of(&run.slot)));
        let world = &mut self.hosts[host].process_mut().world;
        world.apply(changes);
        world.recall(stay);
        Ok(())
    }

    fn dispatch(&mut self, host: usize, call: Call, now: DateTime<Utc>) -> Step {
        self.step()?;
        if !matches!(call, Call::List { .. }) {
            self.say(host, format_args!("{}", ToldCall(&call)));
        }
        let host_ref = &mut self.hosts[host];
        host_ref.witness.dispatching(
            &call,
            (&host_ref.config, &host_ref.writer),
            &host_ref.journal,
            &self.aws,
            (self.now, now),
        );
        let process = host_ref.process_mut();
        process.world.dispatched(&call, now);
        self.wires.push(Wire {
            host,
            life: self.hosts[host].lives,
            call,
            began_at: now,
            sent_at: self.now,
            arrives_at: self.now + self.dice.milliseconds(self.latency.there),
            suffered: None,
            answer: None,
        });
        self.step()
    }

    /// Carries out what has arrived at AWS, and hands over the answers that have come.
    fn carry_on_wires(&mut self) {
        let mut index = 0;
        while index < self.wires.len() {
            let wire = &self.wires[index];
            match &wire.answer {
                None if wire.arrives_at <= self.now => self.arrive(index),
                Some(answer) if answer.arrives_at <= self.now => {
                    let wire = self.wires.swap_remove(index);
                    self.hand_over(wire);
                }
                _ => index += 1,
            }
        }
    }

    /// A call has got to AWS, which takes its time or carries it out.
    fn arrive(&mut self, index: usize) {
        let wire = &mut self.wires[index];
        if wire.suffered.is_none() {
            let suffered = self.aws.suffer(&wire.call);
            let latency = suffered.latency();
            wire.suffered = Some(suffered);
            if !latency.is_zero() {
                wire.arrives_at += latency;
                return;
            }
        }
        let suffered = wire.suffered.as_ref().unwrap();
        let arrives_at = match suffered.hangs() {
            true => wire.sent_at + ATTEMPT_TIMEOUT,
            false => self.now + self.dice.milliseconds(self.latency.back),
        };
        wire.answer = Some(Answered {
            reply: self
                .aws
                .carry_out(&wire.call, wire.began_at, suffered, self.now),
            looked_at: self.now,
            arrives_at,
        });
        let (host, life) = (wire.host, wire.life);
        let answer = wire
            .answer
            .as_ref()
            .map(|answer| ToldReply(&answer.reply).to_string());
        if let Some(told) = answer.filter(|told| !told.is_empty()) {
            self.log.say(self.now, "aws", format_args!("{told}"));
        }
        if self.is_alive(host, life) {
            let done = self.step();
            self.settle(host, done);
        }
    }

    fn is_alive(&self, host: usize, life: u32) -> bool {
        self.hosts[host].lives == life && self.hosts[host].process.is_some()
    }

    fn hand_over(&mut self, wire: Wire) {
        let host = wire.host;
        let alive = self.is_alive(host, wire.life);
        let Some(Answered {
            mut reply,
            looked_at,
            ..
        }) = wire.answer.filter(|_| alive)
        else {
            return;
        };
        if let Some(bug) = self.bug {
            bug.bend_reply(&mut reply);
        }
        let done = self.take_in(host, reply, looked_at);
        self.settle(host, done);
    }

    fn take_in(&mut self, host: usize, reply: Reply, looked_at: DateTime<Utc>) -> Step {
        self.step()?;
        let now = self.hosts[host].time(self.now);
        let true_now = self.now;
        let host_ref = &mut self.hosts[host];
        host_ref.witness.answered(&reply, looked_at, true_now);
        if let Some(snapshots) = listed(&reply) {
            let known = (&host_ref.config, &host_ref.journal.ledger);
            host_ref
                .guarded
                .listed(snapshots, known, &self.aws, true_now);
        }
        let changes = self.hosts[host].process_mut().world.take_in(reply, now);
        self.commit(host, changes)?;
        self.hosts[host].process_mut().turns_at = self.now;
        Ok(())
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

/// A change as the log tells it.
struct Told<'a>(&'a Change);

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Change::Pair(pair, state) => {
                let (from, mark) = (rfc3339(state.active_from), rfc3339(state.watermark));
                let closed = if state.is_active() { "" } else { ", closed" };
                write!(
                    f,
                    "{pair}: {:?} active from {from}, done until {mark}{closed}",
                    state.schedule
                )
            }
            Change::Clamped(pair, state) => {
                write!(f, "{pair}: taken back to {}", rfc3339(state.watermark))
            }
            Change::Rebuilt(at) => write!(f, "history rebuilt at {}", rfc3339(*at)),
            Change::Run(run) | Change::Adopted(run) => {
                write!(f, "{}: {:?}", run.slot, run.state)?;
                run.message
                    .iter()
                    .try_for_each(|message| write!(f, " ({message})"))?;
                run.gone
                    .iter()
                    .try_for_each(|gone| write!(f, ", {}", gone.reason.as_str()))
            }
            Change::Extended(extension) => {
                let (from, to) = (extension.from, extension.to);
                write!(f, "{}: kept for {to} instead of {from}", extension.slot)
            }
            Change::Account(name, number) => write!(f, "the account {name} is {number}"),
            Change::Removal(removal) => {
                let (id, why) = (&removal.id, removal.why.as_str());
                match &removal.end {
                    Some(end) => write!(f, "{id}: {}", end.text()),
                    None => write!(f, "{id} is to be removed: {why}"),
                }
            }
            Change::Passed(pass) => {
                let (word, count) = (pass.result.as_str(), pass.plan.len());
                write!(
                    f,
                    "a pass over {}: {word}, {count} in {}",
                    pass.policy, pass.plan_hash
                )
            }
            Change::Errand(errand) => {
                let said = errand.end.as_ref().map_or("open", |end| end.text());
                write!(f, "{} {}: {said}", errand.wanted.as_str(), errand.snapshot)
            }
            Change::Missed(range) => {
                let (first, last) = (rfc3339(range.first_at), rfc3339(range.last_at));
                write!(
                    f,
                    "{}: {} missed from {first} to {last}",
                    range.pair, range.count
                )
            }
        }
    }
}

/// A call as the log tells it.
struct ToldCall<'a>(&'a Call);

impl fmt::Display for ToldCall<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Call::List { scope, .. } => write!(f, "lists {scope}"),
            Call::Create { request, .. } => write!(f, "asks for {}", request.snapshot_id),
            Call::Describe { id, .. } => write!(f, "looks for {id}"),
            Call::Explain { id, .. } => write!(f, "asks why {id} failed"),
            Call::Extend { id, extension } => write!(f, "extends {id} to {}", extension.to),
            Call::Remove { removal, .. } => write!(f, "removes {}", removal.id),
            Call::Errand { errand, .. } => {
                write!(f, "asks to {} {}", errand.wanted.as_str(), errand.snapshot)
            }
        }
    }
}

/// An answer as the log tells it; a listing without trouble is not worth a line.
struct ToldReply<'a>(&'a Reply);

impl fmt::Display for ToldReply<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Reply::Listed(listed) => {
                let trouble = [
                    listed.clusters.result.as_ref().err(),
                    listed.snapshots.result.as_ref().err(),
                ];
                let mut trouble = trouble.into_iter().flatten();
                trouble.try_for_each(|error| write!(f, "does not list: {error}"))
            }
            Reply::Created(slot, answer) => match &answer.result {
                Ok(snapshot) => write!(f, "accepts {}", snapshot.snapshot_identifier),
                Err(error) => write!(f, "answers to {slot}: {error}"),
            },
            Reply::Described(slot, answer) => match &answer.result {
                Ok(found) => write!(f, "finds {} for {slot}", found.len()),
                Err(error) => write!(f, "answers to {slot}: {error}"),
            },
            Reply::Extended(extension, answer) => match &answer.result {
                Ok(_) => write!(f, "extends the snapshot of {}", extension.slot),
                Err(error) => write!(f, "answers to {}: {error}", extension.slot),
            },
            Reply::Removed(removal, answer) => match &answer.result {
                Ok(removed) => write!(f, "answers to the removal of {}: {removed:?}", removal.id),
                Err(error) => write!(f, "answers to the removal of {}: {error}", removal.id),
            },
            Reply::Done(errand, answer) => match &answer.result {
                Ok((_, said)) => write!(f, "answers to {}: {said}", errand.snapshot),
                Err(error) => write!(f, "answers to {}: {error}", errand.snapshot),
            },
            Reply::Explained(slot, answer) => match &answer.result {
                Ok(events) => write!(f, "tells {} events of {slot}", events.len()),
                Err(error) => write!(f, "answers to {slot}: {error}"),
            },
        }
    }
}

/// When the daemon wakes: its clockwork ticks on whole seconds and asks whether `wake_at` has come, and it
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
        .min(now + redkeep::plan::LONGEST_SLEEP)
}
