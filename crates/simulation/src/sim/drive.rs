//! The daemon's part: one host's engine, driven as the daemon drives it.
//!
//! Owns: the start, the turns, the commits and what a reply brings, each a micro-step that may be the last one of the
//! process. Whatever happens is shown to those who watch the invariants. Never carries a request out.

use std::sync::Arc;

use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use redkeep_core::engine::{Engine, Step};
use redkeep_core::history::{Change, History, news};
use redkeep_core::plan::Call;
use redkeep_core::reply::Reply;
use redkeep_core::run::Run;
use redkeep_core::snapshot::Snapshot;

use super::Sim;
use super::accounts::check_totals;
use super::bug::Bug;
use super::evidence::Evidence;
use super::host::Process;
use super::told::{Told, ToldCall};
use super::wire::UnderWay;

/// The end of a process, in the midst of whatever it was doing.
#[derive(Debug)]
pub struct Crash;

pub(super) type Done = Result<(), Crash>;

impl Sim {
    /// Starts the host or lets it take a turn, if its time has come.
    pub(super) fn visit(&mut self, host: usize) {
        if self.has_shared(host) {
            let done = self.tend(host);
            return self.settle(host, done);
        }
        let one = &self.hosts[host];
        let done = match (&one.process, one.starts_at) {
            (Some(process), _) if one.awake_at(process.turns_at) <= self.now => self.turn(host),
            (None, Some(at)) if at <= self.now => self.boot(host),
            _ => return,
        };
        self.settle(host, done);
    }

    pub(super) fn settle(&mut self, host: usize, done: Done) {
        let (Err(Crash), Some(crash_at)) = (done, self.crash_at) else {
            return;
        };
        self.crash_at = None;
        self.say(
            host,
            format_args!("dies, for {} s", crash_at.downtime.num_seconds()),
        );
        self.kill_instance(host, crash_at.delivers);
        self.hosts[host].process = None;
        self.hosts[host].starts_at = Some(self.now + crash_at.downtime);
        self.calls.retain(|_, call| call.host != host);
        self.wires
            .retain(|wire| wire.host != host || (crash_at.delivers && !wire.is_answered()));
    }

    pub(super) fn step(&mut self) -> Done {
        let here = self.steps;
        self.steps += 1;
        match self.crash_at {
            Some(crash_at) if crash_at.at_step == here => Err(Crash),
            _ => Ok(()),
        }
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

    fn boot(&mut self, host: usize) -> Done {
        self.say(host, format_args!("starts"));
        let now = self.hosts[host].time(self.now);
        let host_ref = &mut self.hosts[host];
        let history = host_ref.journal.load(now);
        check_totals(&host_ref.journal.ledger, &history);
        self.start_engine(host, history)
    }

    /// Starts the engine on this history.
    pub(super) fn start_engine(&mut self, host: usize, history: History) -> Done {
        let now = self.hosts[host].time(self.now);
        let host_ref = &mut self.hosts[host];
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
    pub(super) fn turn(&mut self, host: usize) -> Done {
        self.wake(host);
        let now = self.hosts[host].time(self.now);
        if !self.is_sound() || now != self.now || !self.is_trusted(host) {
            self.hosts[host].guarded.troubled(self.now);
        }
        if self.has_shared(host) {
            if self.is_trusted(host) {
                self.check_only(host, "trust");
            }
            // What could not be written is tried again.
            self.hand_in(host, Vec::new())?;
            if self.is_committing(host) {
                return Ok(());
            }
        }
        let wake_at = loop {
            if let Some(bug) = self.bug {
                bug.bend_engine(&mut self.hosts[host].process_mut().engine, now);
            }
            match self.hosts[host].process_mut().engine.next(now) {
                Step::Commit(changes) => {
                    self.commit(host, changes)?;
                    if self.is_committing(host) {
                        return Ok(());
                    }
                }
                Step::Call { call, planned_at } => self.call(host, call, planned_at)?,
                Step::Sleep { until } => break until,
            }
        };
        let turns_at = self.now + (next_tick(wake_at, now) - now);
        let now_true = self.now;
        let process = self.hosts[host].process_mut();
        (process.turns_at, process.turned_at) = (turns_at, now_true);
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
            self.check_reason(host, before, run);
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
        if self.has_shared(host) {
            return self.hand_in(host, changes);
        }
        let host_ref = &mut self.hosts[host];
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
        host_ref
            .evidence
            .calling(&call, known, home, (self.now, now));
        self.come_before(&call);
        self.calls_made += 1;
        let account = self.elsewhere.reached(&call.scope().account);
        let acts_on = self.about_to_act(&call);
        let lives = (host, self.hosts[host].lives);
        let mut under_way = UnderWay::new(lives, account, call, (self.now, now));
        under_way.acts_on = acts_on;
        self.go_on(self.calls_made, under_way)
    }

    pub(super) fn take_in(&mut self, call: &UnderWay, reply: Reply) -> Done {
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
