//! What is watched of instances from outside, and what is done to them.
//!
//! Owns: I32 and I34 at each request that only one may send, I36, whose account is made at the end, and the ways in which
//! people and machines end an instance or ask something of it.

use chrono::{DateTime, TimeDelta, Utc};
use redkeep_core::history::Change;
use redkeep_core::lease::Fence;

use super::super::Sim;
use super::super::ledger::Ledger;
use super::super::wire::Request;
use super::Link;
use super::instance::{Instance, Part};
use super::server::State;

/// A holder may trust its last renewal for so long after the server has forgotten it.
const FORGOTTEN: TimeDelta = TimeDelta::seconds(25);

/// AWS takes a signed request for so long.
const SIGNED_FOR: TimeDelta = TimeDelta::minutes(15);

/// Where nothing keeps anybody from it, an instance works within so long.
const TAKEOVER: TimeDelta = TimeDelta::seconds(120);

impl Sim {
    /// I32 and I34, as a request leaves a host.
    pub(in crate::sim) fn watch_fence(&self, host: usize, request: &Request) {
        let is_of_one = matches!(
            request,
            Request::KeepFor(..) | Request::Delete(..) | Request::Tag(..) | Request::Untag(..)
        );
        if is_of_one && self.has_shared(host) {
            self.check_only(host, request.operation());
            if let Request::Delete(id, ..) = request {
                let age = self.term_age(host);
                assert!(
                    age.is_some_and(|age| age >= SIGNED_FOR),
                    "I34: {id} is removed in a term of {age:?}"
                );
            }
        }
    }

    /// I32: nobody else has followed the instance that does this.
    pub(in crate::sim) fn check_only(&self, host: usize, what: &str) {
        let shared = self.shared.as_ref().unwrap();
        let instance = &shared.instances[host];
        let is_forgotten =
            { shared.server.set_back_at }.is_some_and(|at| self.now < at + FORGOTTEN);
        let process = Some((host, instance.life));
        assert!(
            is_forgotten || shared.server.state.lease.process == process,
            "I32: {what} by {process:?}, and the lease is of {:?}",
            shared.server.state.lease.process
        );
    }

    /// The receivers are told what waits, by one that is trusted to be the only one.
    pub(super) fn deliver(&mut self, host: usize) {
        let shared = self.shared.as_ref().unwrap();
        let state = &shared.server.state;
        let waiting = state.ledger.messages.len();
        let is_reached = shared.instances[host].link == Link::Open;
        if waiting <= state.delivered || !is_reached || !self.is_trusted(host) {
            return;
        }
        self.check_only(host, "a message");
        self.shared().server.state.delivered = waiting;
    }

    fn term_age(&self, host: usize) -> Option<TimeDelta> {
        let shared = self.shared.as_ref().unwrap();
        if { shared.server.set_back_at }.is_some_and(|at| self.now < at + FORGOTTEN) {
            return Some(TimeDelta::MAX);
        }
        let term = shared.instances[host].term()?;
        shared.server.term_age(&term.fence, self.now)
    }

    /// I36: somebody works, where nothing keeps all of them from it.
    pub(super) fn check_taken_over(&self) {
        let shared = self.shared.as_ref().unwrap();
        let works = |one: &Instance| !matches!(one.part, Part::Standby | Part::Down);
        let is_quiet = shared.troubled_at.max(self.started_at()) + TAKEOVER < self.now;
        assert!(
            !is_quiet || shared.instances.iter().any(works),
            "I36: nobody has worked since {}",
            shared.troubled_at
        );
    }

    /// When an instance was last stopped, started or suspended.
    fn started_at(&self) -> DateTime<Utc> {
        let until = self.hosts.iter().filter_map(|host| host.suspended_until);
        until.max().unwrap_or(DateTime::<Utc>::MIN_UTC)
    }

    /// Something happens to an instance or to the server.
    pub(in crate::sim) fn trouble_shared(&mut self) {
        let now = self.now;
        if let Some(shared) = &mut self.shared {
            shared.troubled_at = now;
        }
    }

    /// The host that works by the lease.
    pub fn holder(&self) -> Option<usize> {
        let shared = self.shared.as_ref()?;
        shared.instances.iter().position(Instance::is_holder)
    }

    /// The host that has the lease, and works.
    pub fn leader(&self) -> Option<usize> {
        let (host, life) = self.shared.as_ref()?.server.state.lease.process?;
        let instance = self.instance(host)?;
        (instance.is_holder() && instance.life == life).then_some(host)
    }

    /// Lets time pass until somebody works and has written everything, two minutes at most.
    pub fn settle_shared(&mut self) {
        let until = self.now + TAKEOVER;
        while self.shared.is_some() && self.settled_holder().is_none() && self.now < until {
            self.run_for(TimeDelta::milliseconds(200));
        }
    }

    /// The host that works, and has written everything.
    pub fn settled_holder(&self) -> Option<usize> {
        let host = self.leader()?;
        let shared = self.shared.as_ref()?;
        let term = shared.instances[host].term()?;
        (term.pending.is_written() && !term.is_committing()).then_some(host)
    }

    /// The process of an instance dies; where `delivers`, what it has sent to the server still arrives.
    pub(in crate::sim) fn kill_instance(&mut self, host: usize, delivers: bool) {
        self.trouble_shared();
        let Some(shared) = &mut self.shared else {
            return;
        };
        let Some(instance) = shared.instances.get_mut(host) else {
            return;
        };
        if instance.link == Link::Open {
            instance.keep_copy(&shared.server);
        }
        instance.die();
        shared.statements.retain(|one| one.host != host || delivers);
    }

    /// SIGTERM, or `redkeep yield`: the instance ends what it does and gives the lease up.
    pub fn wind_up(&mut self, host: usize, is_ending: bool) {
        self.trouble_shared();
        let what = if is_ending {
            "is to stop"
        } else {
            "is to yield"
        };
        self.say(host, format_args!("{what}"));
        let instance = self.instance_mut(host);
        instance.is_ending = is_ending;
        match instance.part {
            Part::Works(_) => self.begin_to_end(host),
            _ if is_ending => {
                self.stop(host);
            }
            _ => {}
        }
    }

    /// Whether a process of a host is there.
    pub fn is_up(&self, host: usize) -> bool {
        match self.instance(host) {
            Some(instance) => instance.is_running(),
            None => self.hosts[host].process.is_some(),
        }
    }

    /// Confirms every plan as the holder has it now; how many snapshots may go. The holder hears of it like of any wish.
    pub fn confirm_shared(&mut self, host: usize) -> usize {
        let now = self.hosts[host].time(self.now);
        let confirmed = self.hosts[host].confirmations(now);
        let count = confirmed.iter().map(|one| one.plan.len()).sum();
        self.shared().server.wish(|ledger| {
            for one in confirmed {
                ledger.confirmations.insert(one.policy.clone(), one);
            }
        });
        count
    }

    /// What the server has now, as a backup holds it.
    pub fn server_state(&self) -> State {
        self.shared.as_ref().unwrap().server.state.clone()
    }

    /// The server has lost what came after `state`.
    pub fn set_server_back(&mut self, state: State) {
        self.trouble_shared();
        let now = self.now;
        self.log.say(now, "server", format_args!("is set back"));
        self.shared.as_mut().unwrap().server.set_back(state, now);
    }

    /// How long each commit takes the server from now on, in milliseconds.
    pub fn set_server_pace(&mut self, writes_for: (u64, u64)) {
        self.trouble_shared();
        self.shared.as_mut().unwrap().server.writes_for = writes_for;
    }

    /// The ledger by which a host's account is made; `None` where another one has it.
    pub(in crate::sim) fn ledger_of(&self, host: usize) -> Option<&Ledger> {
        let Some(shared) = &self.shared else {
            return Some(&self.hosts[host].journal.ledger);
        };
        (self.leader() == Some(host)).then_some(&shared.server.state.ledger)
    }

    /// I35: no record counts as lost that the server has not lost. And somebody works, and has written everything.
    pub fn check_shared(&self) {
        let Some(shared) = &self.shared else {
            return;
        };
        assert!(
            self.settled_holder().is_some(),
            "I36: nobody works, or it has not written everything"
        );
        let rebuilt_at = shared.server.state.ledger.rebuilt_at;
        assert!(
            rebuilt_at.is_none() || shared.server.set_back_at.is_some(),
            "I35: records are said to be lost since {rebuilt_at:?}, and none was"
        );
        assert!(self.instance(0).is_some_and(|one| one.life > 0));
    }

    /// I35, as an instance decides.
    pub(super) fn check_losses(&self, changes: &[Change]) {
        let says_so = changes.iter().any(|one| matches!(one, Change::Rebuilt(_)));
        let set_back_at = self.shared.as_ref().unwrap().server.set_back_at;
        assert!(
            !says_so || set_back_at.is_some(),
            "I35: records are said to be lost, and none was"
        );
    }

    /// Whether nothing happens among the instances but looks and renewals.
    pub(in crate::sim) fn is_shared_calm(&self) -> bool {
        let Some(shared) = &self.shared else {
            return true;
        };
        let is_well = |(host, one): (usize, &Instance)| {
            let part = match &one.part {
                Part::Standby => true,
                Part::Works(term) => {
                    let is_whole = term.pending.is_written() && one.mark == shared.server.mark();
                    let is_held = matches!(term.fence, Fence::Holder { .. });
                    is_held && is_whole && !term.is_committing() && term.ends_at.is_none()
                }
                _ => false,
            };
            let is_awake = self.hosts[host].suspended_until.is_none();
            part && one.link == Link::Open && is_awake
        };
        let mut all = shared.instances.iter().enumerate();
        let is_held = self.holder().is_some_and(|host| self.is_trusted(host));
        let is_quiet = shared.troubled_at + TAKEOVER < self.now;
        is_held && is_quiet && all.all(is_well) && shared.server.writes_for.1 < 100
    }

    /// Time was leapt over.
    pub(in crate::sim) fn leap_shared(&mut self) {
        let now = self.now;
        let count = self.shared.as_ref().map_or(0, |one| one.instances.len());
        let clocks: Vec<_> = (0..count).map(|host| self.boot_time(host)).collect();
        let Some(host) = self.holder() else { return };
        let wall = self.hosts[host].time(now);
        let shared = self.shared.as_mut().unwrap();
        shared.statements.clear();
        shared.server.renew_after_leap(wall);
        for (instance, boot) in shared.instances.iter_mut().zip(clocks) {
            instance.leapt(&shared.server, now, boot);
        }
    }
}
