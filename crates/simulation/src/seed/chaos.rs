//! What a seed lets happen: faults, deaths, clocks, edits, clusters and other people.
//!
//! Owns: one disturbance after the other, and the healing. Every draw comes from the seed's dice.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use redkeep_core::run::Run;
use redkeep_sandbox::cluster::ClusterState;
use redkeep_sandbox::faults::Fault;
use redkeep_sandbox::snapshot::SnapshotFate;

use super::Life;
use super::draw::CLUSTERS;
use crate::sim::CrashPoint;
use crate::sim::aws;
use crate::sim::dice::Dice;
use crate::sim::ledger::Ledger;

const STATUSES: [&str; 5] = [
    "paused",
    "resizing",
    "modifying",
    "maintenance",
    "available, prep-for-resize",
];

impl Life {
    /// Something happens, and lasts for a while.
    pub(super) fn disturb(&mut self) {
        if self.sim.shared.is_some() && self.dice.permille(650) {
            return self.sharing();
        }
        if self.is_strained() {
            return;
        }
        match self.dice.between(0, 16) {
            0..=3 => self.faults(),
            4..=6 => self.death(),
            7 => self.downtime(),
            8 => self.clock(),
            9 | 10 => self.edit(),
            11..=13 => self.cluster(),
            14 => self.confirmation(),
            _ => self.deletion(),
        }
    }

    pub(super) fn say(&mut self, what: &str) {
        self.sim
            .log
            .say(self.sim.now, "chaos", format_args!("{what}"));
    }

    fn faults(&mut self) {
        for _ in 0..self.dice.between(1, 3) {
            let (operation, fault) = fault(&mut self.dice);
            let few = self.dice.permille(700);
            let times = few.then(|| u32::try_from(self.dice.between(1, 5)).unwrap());
            let often = times.map_or_else(|| "every".to_owned(), |times| format!("{times} times"));
            self.say(&format!(
                "strikes {operation} with {} {often}",
                fault.kind()
            ));
            let number = self.any_account();
            self.sim.account(number).strike(operation, times, fault);
        }
        let seconds = self.dice.between(30, 9_000);
        self.sim.run_for(seconds_of(seconds));
        self.sim.heal();
        self.say("the faults end");
        // A snapshot that is stuck stays stuck for some hours more.
        let seconds = self.dice.between(0, 9_000);
        self.sim.run_for(seconds_of(seconds));
        self.unstick();
    }

    fn unstick(&mut self) {
        let now = self.sim.now;
        for number in 0..=self.sim.elsewhere.accounts.len() {
            let region = self.sim.account(number).region(now);
            for snapshot in region.snapshots.values_mut() {
                if let SnapshotFate::Stuck | SnapshotFate::Held { .. } = snapshot.fate {
                    snapshot.fate = SnapshotFate::Completes { at: now };
                }
            }
        }
    }

    fn death(&mut self) {
        let down = match self.dice.between(0, 9) {
            0 => self.dice.between(3_600, 90_000),
            _ => self.dice.between(0, 1_200),
        };
        self.sim.crash_at = Some(CrashPoint {
            at_step: self.sim.steps + self.dice.between(0, 80),
            downtime: seconds_of(down),
            delivers: self.dice.permille(500),
        });
    }

    /// Down for hours or days: a minute of them costs nothing.
    fn downtime(&mut self) {
        let host = self.any_host();
        self.sim.say(host, format_args!("is stopped"));
        self.sim.stop(host);
        let hours = self.dice.between(1, 60);
        self.sim
            .run_for(TimeDelta::hours(i64::try_from(hours).unwrap()));
        self.sim.start(host);
    }

    fn clock(&mut self) {
        let host = self.any_host();
        let ahead = match self.dice.between(0, 4) {
            0 | 1 => i64::try_from(self.dice.between(0, 360)).unwrap() - 180,
            2 => -3_600,
            3 => 1_200,
            _ => i64::try_from(self.dice.between(3_600, 90_000 * 3_600)).unwrap(),
        };
        self.sim.set_clock(host, TimeDelta::seconds(ahead));
        let seconds = self.dice.between(60, 9_000);
        self.sim.run_for(seconds_of(seconds));
        self.sim.set_clock(host, TimeDelta::zero());
    }

    /// An operator edits the file; the second host gets it too, a little later.
    fn edit(&mut self) {
        let what = self.file.edit(&mut self.dice);
        self.say(&what);
        let config = self.file.config();
        for host in 0..self.sim.hosts.len() {
            self.sim.reload(host, config.clone());
            let seconds = self.dice.between(0, 90);
            self.sim.run_for(seconds_of(seconds));
        }
    }

    fn cluster(&mut self) {
        let now = self.sim.now;
        let number = self.any_account();
        let name = *self.dice.pick(&CLUSTERS);
        let lasts = seconds_of(self.dice.between(60, 20_000));
        let region = self.sim.account(number).region(now);
        if !region.is_taken(name) {
            self.say(&format!("{name} is created"));
            self.sim.account(number).add_cluster(name, now);
            return;
        }
        let Ok(cluster) = region.cluster_mut(name) else {
            return;
        };
        match self.dice.between(0, 5) {
            0 => {
                cluster.state = ClusterState::Deleting {
                    until: now + TimeDelta::minutes(3),
                };
                self.say(&format!("{name} is deleted"));
            }
            1 => {
                self.say(&format!("{name} is recreated"));
                self.sim.account(number).remove_cluster(name, now);
                self.sim.account(number).add_cluster(name, now);
            }
            2 => self.rename(number, name),
            3 => {
                cluster.state = ClusterState::Pausing {
                    until: now + TimeDelta::minutes(4),
                };
                self.say(&format!("{name} is paused"));
                self.sim.run_for(lasts);
                self.settle(number, name, "available");
            }
            _ => {
                let status = *self.dice.pick(&STATUSES);
                self.say(&format!("{name} is {status}"));
                self.settle(number, name, status);
                self.sim.run_for(lasts);
                self.settle(number, name, "available");
            }
        }
    }

    fn settle(&mut self, number: usize, cluster: &str, status: &str) {
        let now = self.sim.now;
        if let Ok(cluster) = self.sim.account(number).region(now).cluster_mut(cluster) {
            cluster.state = ClusterState::Settled {
                status: status.to_owned(),
            };
        }
    }

    fn rename(&mut self, number: usize, name: &str) {
        let now = self.sim.now;
        let region = self.sim.account(number).region(now);
        let Some(to) = CLUSTERS.into_iter().find(|to| !region.is_taken(to)) else {
            return;
        };
        if let Ok(cluster) = region.cluster_mut(name) {
            cluster.state = ClusterState::Renaming {
                until: now + TimeDelta::minutes(2),
                to: to.to_owned(),
            };
        }
        self.say(&format!("{name} is renamed to {to}"));
    }

    /// Somebody deletes a snapshot; one that a host has not seen yet, that host may make again.
    fn deletion(&mut self) {
        let now = self.sim.now;
        let number = self.any_account();
        let region = self.sim.account(number).region(now);
        let mut names: Vec<String> = region.snapshots.keys().cloned().collect();
        let ledgers: Vec<&Ledger> = match &self.sim.shared {
            Some(shared) => vec![&shared.server.state.ledger],
            None => { self.sim.hosts.iter() }
                .map(|host| &host.journal.ledger)
                .collect(),
        };
        for ledger in ledgers {
            let is_there = |run: &&Run| {
                let account = &run.slot.pair.scope.account;
                self.sim.elsewhere.home(account) == number
            };
            let ended = ended(ledger, is_there);
            names.retain(|name| ended.contains(name.as_str()));
        }
        if names.is_empty() {
            return;
        }
        let name = self.dice.pick(&names).clone();
        self.say(&format!("somebody deletes {name}"));
        self.sim.account(number).delete(&name, now);
    }

    /// Somebody confirms what redkeep would remove, where there is anything.
    fn confirmation(&mut self) {
        let number = self.any_host();
        if self.sim.shared.is_some() {
            return self.confirm_shared();
        }
        let host = &mut self.sim.hosts[number];
        // The commands write into the real store, and there are none here.
        if host.journal.is_on_disk() {
            return;
        }
        let now = host.time(self.sim.now);
        let count = host.confirm(now);
        self.sim
            .say(number, format_args!("{count} removals are confirmed"));
    }

    pub(super) fn any_host(&mut self) -> usize {
        let last = self.sim.hosts.len() as u64 - 1;
        usize::try_from(self.dice.between(0, last)).unwrap()
    }

    /// Everything is well again, from now on.
    pub(super) fn heal(&mut self) {
        let now = self.sim.now;
        self.say("all is well from here on");
        self.sim.heal();
        self.heal_shared();
        self.sim.crash_at = None;
        for number in 0..=self.sim.elsewhere.accounts.len() {
            let region = self.sim.account(number).region(now);
            for cluster in region.clusters.values_mut() {
                if let ClusterState::Settled { .. } | ClusterState::Pausing { .. } = cluster.state {
                    cluster.state = ClusterState::available();
                }
            }
        }
        self.unstick();
        for host in 0..self.sim.hosts.len() {
            if !self.sim.is_up(host) {
                self.sim.start(host);
            }
            if !self.sim.hosts[host].clock_ahead.is_zero() {
                self.sim.set_clock(host, TimeDelta::zero());
            }
        }
    }
}

pub(super) fn seconds_of(seconds: u64) -> TimeDelta {
    TimeDelta::seconds(i64::try_from(seconds).unwrap())
}

/// The snapshots of an account whose runs have ended.
fn ended(ledger: &Ledger, is_there: impl Fn(&&Run) -> bool) -> BTreeSet<&str> {
    let runs = ledger.runs.values().filter(is_there);
    let ended = runs.filter(|run| run.is_ended());
    ended.map(|run| run.request.snapshot_id.as_str()).collect()
}

pub(super) fn refused(code: &str, status: u16) -> Fault {
    Fault::Error {
        code: code.to_owned(),
        status,
        message: "Injected.".to_owned(),
    }
}

fn fault(dice: &mut Dice) -> (&'static str, Fault) {
    let operation = *dice.pick(&[
        aws::CREATE,
        aws::CREATE,
        aws::CREATE,
        aws::SNAPSHOTS,
        aws::CLUSTERS,
        "DescribeEvents",
        "*",
    ]);
    let fault = match dice.between(0, 19) {
        0 => refused("Throttling", 400),
        1 => refused("InternalFailure", 500),
        2 => refused("SomethingNew", 400),
        3 => refused("AccessDenied", 403),
        4 => refused("ClusterSnapshotQuotaExceeded", 400),
        5 => refused("ExpiredToken", 403),
        6 => refused("InvalidTagFault", 400),
        7 => refused("ServiceUnavailable", 503),
        8 => refused("RequestExpired", 400),
        9 => Fault::Reset,
        10 => Fault::Hang,
        11 => Fault::Truncate,
        12 => Fault::Empty,
        13 => Fault::Html { status: 502 },
        14 => Fault::FailSnapshot {
            message: "Injected.".to_owned(),
        },
        15 => Fault::StuckSnapshot,
        16 => Fault::LateSnapshot {
            seconds: u32::try_from(dice.between(5, 400)).unwrap(),
        },
        17 => Fault::LoopMarker,
        18 => Fault::Latency {
            milliseconds: u32::try_from(dice.between(100, 29_000)).unwrap(),
        },
        _ => Fault::LostReply,
    };
    (operation, fault)
}
