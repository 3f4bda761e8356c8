//! What befalls several instances of one installation, and the server of their history.
//!
//! Owns: one disturbance after the other for lives under the strain `Shared`. Like every other it ends, and what it broke is
//! mended.

use chrono::{DateTime, TimeDelta, Utc};
use redkeep_core::names::Tier;
use redkeep_core::plan::manual_run;

use super::Life;
use super::chaos::seconds_of;
use super::draw::PolicyFile;
use crate::sim::Sim;
use crate::sim::dice::Dice;
use crate::sim::host::Host;
use crate::sim::journal::Journal;
use crate::sim::shared::{Link, Shared};

/// The names of the hosts.
const HOSTS: [&str; 3] = ["host-a", "host-b", "host-c"];

/// The id of their installation.
const WRITER: &str = "installation";

/// Two or three hosts with one history.
pub(super) fn add_instances(sim: &mut Sim, file: &PolicyFile, dice: &mut Dice) {
    let count = if dice.permille(300) { 3 } else { 2 };
    for name in &HOSTS[..count] {
        add_instance(sim, name, file.config());
    }
    sim.shared = Some(Shared::new(count, sim.now));
}

/// One more host of an installation; it shares once [`Sim::shared`] is set.
pub fn add_instance(sim: &mut Sim, name: &str, config: redkeep_policy_file::Config) {
    let mut host = Host::new(config, WRITER, Journal::in_memory());
    host.name = name.to_owned();
    host.born_at(sim.now);
    sim.hosts.push(host);
}

impl Life {
    /// Something befalls the instances.
    pub(super) fn sharing(&mut self) {
        match self.dice.between(0, 15) {
            0 | 1 => self.kill(),
            2 | 3 => self.stand_still(),
            4 | 5 => self.cut_off(Link::Cut),
            6 | 7 => self.cut_off(Link::Frozen),
            8 | 9 => self.server_away(),
            10 => self.hand_over(false),
            11 => self.hand_over(true),
            12 => self.slow_server(),
            13 => self.wrong_clock(),
            14 => self.set_back(),
            _ => self.twin(),
        }
    }

    /// The host that works, most of the time; else any.
    fn victim(&mut self) -> usize {
        let holder = self.sim.holder();
        match holder.filter(|_| self.dice.permille(750)) {
            Some(host) => host,
            None => self.any_host(),
        }
    }

    /// The next slot of the one that works, if that comes within a day.
    fn next_shared_slot(&self) -> Option<DateTime<Utc>> {
        let process = self.sim.hosts[self.sim.holder()?].process.as_ref()?;
        let engine = &process.engine;
        let next = engine.history().pairs.iter().filter_map(|(pair, state)| {
            let policy = engine.config().policy(&pair.policy)?;
            state.next_slot(policy)
        });
        next.min()
            .filter(|next| *next < self.sim.now + TimeDelta::days(1))
    }

    /// Most of what befalls instances befalls them shortly before or in the midst of a slot.
    fn meet_a_slot(&mut self) {
        let lead = seconds_of(self.dice.between(0, 60));
        if let Some(next) = self.next_shared_slot() {
            self.sim.run_until(next - lead);
        }
        let past = self.dice.between(0, 90_000);
        let past = TimeDelta::milliseconds(i64::try_from(past).unwrap());
        self.sim.run_for(past);
    }

    fn kill(&mut self) {
        self.meet_a_slot();
        let host = self.victim();
        self.sim.say(host, format_args!("is killed"));
        self.sim.stop(host);
        self.pass_time(0, 400);
        self.sim.start(host);
        self.pass_time(0, 4_000);
    }

    fn pass_time(&mut self, least: u64, most: u64) {
        let seconds = self.dice.between(least, most);
        self.sim.run_for(seconds_of(seconds));
    }

    fn stand_still(&mut self) {
        self.meet_a_slot();
        let host = self.victim();
        let seconds = match self.dice.between(0, 2) {
            0 => self.dice.between(1, 60),
            1 => self.dice.between(20, 1_200),
            _ => self.dice.between(1_200, 30_000),
        };
        self.sim.suspend(host, seconds_of(seconds));
        self.sim.run_for(seconds_of(seconds + 1));
        self.pass_time(0, 2_000);
    }

    fn cut_off(&mut self, link: Link) {
        self.meet_a_slot();
        let host = self.victim();
        self.sim.set_link(host, link);
        match self.dice.between(0, 2) {
            0 => self.pass_time(1, 40),
            1 => self.pass_time(20, 900),
            _ => self.pass_time(600, 9_000),
        }
        self.sim.set_link(host, Link::Open);
        self.pass_time(0, 2_000);
    }

    /// Nobody can reach the server; now and then the one that worked dies meanwhile.
    fn server_away(&mut self) {
        self.meet_a_slot();
        let link = *self.dice.pick(&[Link::Cut, Link::Frozen]);
        let holder = self.sim.holder();
        for host in 0..self.sim.hosts.len() {
            self.sim.set_link(host, link);
        }
        self.pass_time(1, 400);
        if let Some(host) = holder.filter(|_| self.dice.permille(400)) {
            self.sim.stop(host);
            self.pass_time(0, 4_000);
            self.sim.start(host);
        }
        self.pass_time(1, 8_000);
        for host in 0..self.sim.hosts.len() {
            self.sim.set_link(host, Link::Open);
            self.pass_time(0, 40);
        }
        self.pass_time(0, 2_000);
    }

    fn hand_over(&mut self, is_ending: bool) {
        self.meet_a_slot();
        let host = self.victim();
        if self.sim.hosts[host].starts_at.is_some() {
            return;
        }
        self.sim.wind_up(host, is_ending);
        self.pass_time(25, 400);
        if is_ending {
            self.sim.stop(host);
            self.sim.start(host);
        }
        self.pass_time(0, 2_000);
    }

    /// The server takes its time for everything, and somebody is asked to yield meanwhile.
    fn slow_server(&mut self) {
        self.sim.set_server_pace((0, 9_000));
        for _ in 0..self.dice.between(1, 4) {
            self.meet_a_slot();
            match self.sim.holder() {
                Some(host) if self.dice.permille(700) => self.sim.wind_up(host, false),
                _ => {}
            }
            self.pass_time(10, 200);
        }
        self.sim.set_server_pace((1, 30));
        self.pass_time(0, 2_000);
    }

    /// A machine's clock is set while it is cut off, or is wrong while somebody takes over.
    fn wrong_clock(&mut self) {
        let host = self.victim();
        let ahead = *self.dice.pick(&[-3_600, -240, 240, 1_200, 3_600]);
        let is_cut_off = self.dice.permille(500);
        if is_cut_off {
            self.sim.set_link(host, Link::Cut);
            self.pass_time(0, 15);
        }
        self.sim.set_clock(host, TimeDelta::seconds(ahead));
        if is_cut_off {
            self.pass_time(40, 900);
            self.sim.set_link(host, Link::Open);
        } else {
            match self.dice.between(0, 2) {
                0 => self.kill(),
                1 => self.stand_still(),
                _ => self.cut_off(Link::Cut),
            }
        }
        self.sim.set_clock(host, TimeDelta::zero());
        self.pass_time(0, 2_000);
    }

    /// The server loses what it has taken in since a while.
    fn set_back(&mut self) {
        let state = self.sim.server_state();
        self.meet_a_slot();
        self.pass_time(1, 600);
        self.sim.set_server_back(state);
        self.pass_time(0, 4_000);
    }

    /// A term is begun, what its holder asks is held up, the server loses the term, and a new process of the same host
    /// takes the lease: what was held up arrives thereafter.
    fn twin(&mut self) {
        if let Some(next) = self.next_shared_slot() {
            self.sim.run_until(next - TimeDelta::seconds(15));
        }
        let Some(old) = self.sim.leader() else {
            return;
        };
        let state = self.sim.server_state();
        self.sim.wind_up(old, false);
        self.pass_time(2, 8);
        let Some(host) = self.sim.leader().filter(|host| *host != old) else {
            return;
        };
        self.sim.stop(old);
        self.pass_time(0, 8);
        self.sim.set_link(host, Link::Frozen);
        self.pass_time(0, 5);
        self.sim.set_server_back(state);
        self.sim.stop(host);
        self.sim.start(host);
        self.sim.set_link(host, Link::Open);
        self.pass_time(60, 600);
        self.sim.start(old);
        self.pass_time(0, 2_000);
    }

    /// Somebody confirms what the one that works would remove.
    pub(super) fn confirm_shared(&mut self) {
        let Some(host) = self.sim.holder() else {
            return;
        };
        let count = self.sim.confirm_shared(host);
        self.sim
            .say(host, format_args!("{count} removals are confirmed"));
    }

    /// Somebody takes a snapshot, from any machine.
    pub(super) fn take_shared(&mut self) {
        let host = self.any_host();
        let now = self.sim.hosts[host].time(self.sim.now);
        let one = &self.sim.hosts[host];
        let (config, writer) = (one.config.clone(), one.writer.clone());
        let server = &mut self.sim.shared.as_mut().unwrap().server;
        let pairs = server.state.ledger.pairs.iter();
        let active = pairs
            .filter(|(pair, state)| state.is_active() && config.policy(&pair.policy).is_some());
        let active: Vec<_> = active.map(|(pair, _)| pair.clone()).collect();
        if active.is_empty() {
            return;
        }
        let pair = self.dice.pick(&active).clone();
        let policy = config.policy(&pair.policy).unwrap();
        let retention = policy.retention.of(Tier::Base);
        let run = manual_run(&config, &writer, policy, pair, retention, now);
        if server.state.ledger.runs.contains_key(&run.slot) {
            return;
        }
        let told = format!("somebody is to have {run}");
        server.wish(|ledger| drop(ledger.runs.insert(run.slot.clone(), run)));
        self.say(&told);
        self.pass_time(10, 4_000);
    }

    /// Everybody runs and reaches the server.
    pub(super) fn heal_shared(&mut self) {
        if self.sim.shared.is_none() {
            return;
        }
        self.sim.set_server_pace((1, 30));
        for host in 0..self.sim.hosts.len() {
            self.sim.set_link(host, Link::Open);
        }
    }
}
