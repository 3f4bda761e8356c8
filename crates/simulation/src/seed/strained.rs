//! What the strains of a life do to it.
//!
//! Owns: one disturbance for each strain. Like every other it ends, and what it broke is mended.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use redkeep_core::operations::ActionKind;
use redkeep_core::slot::Pair;
use redkeep_core::snapshot::{Snapshot, tag};
use redkeep_sandbox::faults::Fault;
use redkeep_sandbox::tag::Tag;

use super::Life;
use super::chaos::{refused, seconds_of};
use super::draw::{ACCOUNTS, CLUSTERS};
use super::strain::Strain;
use crate::sim::CrashPoint;
use crate::sim::aws::REGION;
use crate::sim::ledger::Ledger;

impl Life {
    /// Something that comes of what weighs on this life, if anything does; whether it did.
    pub(super) fn is_strained(&mut self) -> bool {
        if self.strains.is_empty() || self.dice.permille(500) {
            return false;
        }
        let strain = *self.dice.pick(&self.strains);
        match strain {
            // They are there from the beginning.
            Strain::Accounts | Strain::Tiers | Strain::Shared => return false,
            Strain::AccountLeaves => self.account_leaves(),
            Strain::Misled => self.misled(),
            Strain::Actions => self.actions(),
            Strain::Takes => self.take(),
            Strain::Blind => self.blind(),
            Strain::Slow => self.slow(),
            Strain::Odd => self.odd(),
            Strain::Suspended => self.suspended(),
            Strain::EditedWhileDown => self.edited_while_down(),
            Strain::LostHistory => self.lost_history(),
            Strain::Hands => self.hands(),
            Strain::Refusals => self.refusals(),
        }
        true
    }

    pub(super) fn pass(&mut self, least: u64, most: u64) {
        let seconds = self.dice.between(least, most);
        self.sim.run_for(seconds_of(seconds));
    }

    /// A host whose people can be played, if there is one.
    fn host_of_people(&mut self) -> Option<usize> {
        let host = self.any_host();
        (!self.sim.hosts[host].journal.is_on_disk()).then_some(host)
    }

    /// Somebody holds, releases or takes over a snapshot, or tags it by hand; now and then the host dies in the midst of
    /// it, or AWS does not do it all.
    fn actions(&mut self) {
        let Some(host) = self.host_of_people() else {
            return;
        };
        let ledger = &self.sim.hosts[host].journal.ledger;
        let there = ledger.runs.values().filter(|run| run.has_snapshot());
        let there: Vec<_> = there
            .map(|run| (run.slot.clone(), run.request.snapshot_id.clone()))
            .collect();
        if there.is_empty() {
            return;
        }
        let (slot, id) = self.dice.pick(&there).clone();
        match self.dice.between(0, 3) {
            0 => self.sim.crash_at = Some(self.doom_within(30)),
            1 => {
                let operation = *self.dice.pick(&[
                    "CreateTags",
                    "DeleteTags",
                    "ModifyClusterSnapshot",
                    "DescribeClusterSnapshots",
                ]);
                let faults = [
                    refused("AccessDenied", 403),
                    refused("Throttling", 400),
                    Fault::LostReply,
                    Fault::Reset,
                ];
                let fault = self.dice.pick(&faults).clone();
                let times = self.dice.permille(500).then_some(1);
                self.say(&format!("strikes {operation} with {}", fault.kind()));
                let home = self.sim.elsewhere.home(&slot.pair.scope.account);
                self.sim.account(home).strike(operation, times, fault);
            }
            _ => {}
        }
        let now = self.sim.now;
        if self.dice.permille(100) {
            self.say(&format!("somebody tags {id} as held, by hand"));
            let home = self.sim.elsewhere.home(&slot.pair.scope.account);
            let region = self.sim.account(home).region(now);
            if let Ok(snapshot) = region.snapshot_mut(id.as_str()) {
                snapshot.tags.push(Tag {
                    key: tag::HOLD.to_owned(),
                    value: snapshot.retention_days.to_string(),
                });
            }
        } else {
            let wanted = [
                ActionKind::Hold,
                ActionKind::Hold,
                ActionKind::Release,
                ActionKind::Release,
                ActionKind::Takeover,
            ];
            let wanted = *self.dice.pick(&wanted);
            let told = format_args!("is asked to {} {id}", wanted.as_str()).to_string();
            self.sim.say(host, format_args!("{told}"));
            let host = &mut self.sim.hosts[host];
            let at = host.time(now);
            host.ask(wanted, slot, id, at);
            if let Some(process) = &mut host.process {
                process.turns_at = now;
            }
        }
        self.pass(30, 2_000);
        self.sim.heal();
    }

    fn doom_within(&mut self, steps: u64) -> CrashPoint {
        let down = self.dice.between(0, 1_200);
        CrashPoint {
            at_step: self.sim.steps + self.dice.between(0, steps),
            downtime: seconds_of(down),
            delivers: self.dice.permille(500),
        }
    }

    /// Somebody takes a snapshot, shortly before a slot of the same pair if one comes soon.
    fn take(&mut self) {
        if self.sim.shared.is_some() {
            return self.take_shared();
        }
        let Some(host) = self.host_of_people() else {
            return;
        };
        let ledger = &self.sim.hosts[host].journal.ledger;
        let active = ledger.pairs.iter().filter(|(_, state)| state.is_active());
        let active: Vec<Pair> = active.map(|(pair, _)| pair.clone()).collect();
        if active.is_empty() {
            return;
        }
        let pair = self.dice.pick(&active).clone();
        let lead = seconds_of(self.dice.between(0, 40));
        if let Some(next) = self.next_slot(host, &pair) {
            let soon = (self.sim.now..self.sim.now + TimeDelta::days(2)).contains(&(next - lead));
            if soon {
                self.sim.run_until(next - lead);
            }
        }
        let now = self.sim.now;
        let one = &mut self.sim.hosts[host];
        let at = one.time(now);
        let taken = one.take(&pair, at);
        if let Some(process) = &mut one.process {
            process.turns_at = now;
        }
        if let Some(run) = taken {
            self.sim.say(host, format_args!("is asked to take {run}"));
        }
        self.pass(10, 4_000);
    }

    fn next_slot(&self, host: usize, pair: &Pair) -> Option<DateTime<Utc>> {
        let host = &self.sim.hosts[host];
        let policy = host.config.policy(&pair.policy)?;
        host.journal.ledger.pairs.get(pair)?.next_slot(policy)
    }

    /// Listings fail, and everything else works.
    fn blind(&mut self) {
        let faults = [
            refused("AccessDenied", 403),
            refused("InternalFailure", 500),
            Fault::Truncate,
            Fault::LoopMarker,
        ];
        let fault = self.dice.pick(&faults).clone();
        let account = self.any_account();
        self.say(&format!("listings fail with {}", fault.kind()));
        let since = self.sim.now;
        self.sim.account(account).blind = Some(fault);
        self.pass(600, 70_000);
        self.sim.check_decided(account, since);
        self.sim.account(account).blind = None;
        self.say("listings work again");
    }

    /// Listings take minutes, and tell of what there was when they began, or when they ended.
    fn slow(&mut self) {
        let account = self.any_account();
        self.say("listings are slow");
        self.sim.account(account).slow = Some((5, 1_500));
        self.pass(600, 40_000);
        self.sim.account(account).slow = None;
        self.say("listings are as fast as before");
    }

    /// A listing has members that are odd, or shared by other accounts under a name of ours.
    fn odd(&mut self) {
        let number = self.any_account();
        let now = self.sim.now;
        let mut members = odd_members(now);
        let ours = self.sim.account(number).listed(REGION, now);
        let shared = ours.into_iter().map(|one| Snapshot {
            owner_account: Some("999999999999".to_owned()),
            snapshot_arn: one.snapshot_arn.as_ref().map(|arn| {
                let ours = one.owner_account.as_deref().unwrap_or_default();
                arn.replace(ours, "999999999999")
            }),
            status: Some("available".to_owned()),
            ..(*one).clone()
        });
        members.extend(shared.take(3));
        members.retain(|_| self.dice.permille(500));
        self.say(&format!("{} odd members are listed", members.len()));
        self.sim.account(number).strangers = members.into_iter().map(Arc::new).collect();
        if self.dice.permille(300) {
            // Nobody tells whose account it is, not even after a new start.
            let account = self.sim.account(number);
            account.refuse("GetCallerIdentity", None, "AccessDenied", 403);
            self.sim.crash_at = Some(self.doom_within(60));
        }
        self.pass(600, 40_000);
        let account = self.sim.account(number);
        account.strangers.clear();
        account.heal();
        self.say("no odd members are listed");
    }

    /// Everything on the machine stands still, and the world goes on.
    fn suspended(&mut self) {
        let host = self.any_host();
        if self.sim.hosts[host].process.is_none() {
            return;
        }
        // In the midst of something, if there is anything.
        self.pass(0, 90);
        let seconds = match self.dice.between(0, 2) {
            0 => self.dice.between(60, 1_200),
            _ => self.dice.between(1_200, 60_000),
        };
        self.sim.suspend(host, seconds_of(seconds));
        self.sim.run_for(seconds_of(seconds + 1));
    }

    /// The file is edited while the daemon is down.
    fn edited_while_down(&mut self) {
        let host = self.any_host();
        self.sim.say(host, format_args!("is stopped"));
        self.sim.stop(host);
        self.pass(10, 90_000);
        let what = self.file.edit(&mut self.dice);
        self.say(&what);
        self.reload();
        self.pass(10, 40_000);
        self.sim.start(host);
    }

    /// The file as it is now is read by every host, or lies there for the next start.
    fn reload(&mut self) {
        let config = self.file.config();
        for host in 0..self.sim.hosts.len() {
            self.sim.reload(host, config.clone());
        }
    }

    /// An account leaves the file, or comes back into it.
    fn account_leaves(&mut self) {
        let stage = ACCOUNTS[1];
        if self.file.accounts.contains(&stage) {
            self.file.accounts.retain(|name| *name != stage);
            self.say(&format!("the file has the account {stage} no more"));
        } else {
            self.file.accounts.push(stage);
            self.say(&format!("the file has the account {stage}"));
        }
        self.reload();
        if self.dice.permille(300) {
            self.sim.crash_at = Some(self.doom_within(60));
        }
        self.pass(30, 20_000);
    }

    /// The credentials of an account lead to another one for a while. It had been reached before, on every host.
    fn misled(&mut self) {
        let all = self.sim.elsewhere.accounts.len() as u64;
        let name = *self.dice.pick(&self.file.accounts);
        let name: redkeep_core::names::AccountName = name.parse().unwrap();
        let mut hosts = self.sim.hosts.iter();
        if !hosts.all(|host| host.journal.ledger.accounts.contains_key(&name)) {
            return;
        }
        let to = usize::try_from(self.dice.between(0, all)).unwrap();
        if to == self.sim.elsewhere.home(&name) {
            return;
        }
        self.say(&format!(
            "the credentials of {name} lead to another account"
        ));
        self.sim.elsewhere.misled.insert(name, to);
        if self.dice.permille(200) {
            self.sim.crash_at = Some(self.doom_within(60));
        }
        self.pass(30, 20_000);
        self.sim.elsewhere.misled.clear();
        self.say("the credentials lead where they should");
    }

    /// The history is lost while the daemon is down.
    fn lost_history(&mut self) {
        let Some(host) = self.host_of_people() else {
            return;
        };
        self.sim
            .say(host, format_args!("is stopped, and its history is lost"));
        self.sim.stop(host);
        self.pass(10, 4_000);
        let one = &mut self.sim.hosts[host];
        one.journal.ledger = Ledger::default();
        one.forget();
        self.sim.start(host);
        self.pass(30, 4_000);
    }

    /// For some days, people are quick.
    fn hands(&mut self) {
        self.say("people hold snapshots at the last moment");
        self.sim.hands.permille = 500;
        self.pass(20_000, 300_000);
        self.sim.hands.permille = 0;
        self.say("people do not any more");
    }

    pub(super) fn any_account(&mut self) -> usize {
        match self.sim.elsewhere.accounts.len() as u64 {
            0 => 0,
            last => usize::try_from(self.dice.between(0, last)).unwrap(),
        }
    }
}

/// Members that nobody expects: what a value may be, it is here.
fn odd_members(now: DateTime<Utc>) -> Vec<Snapshot> {
    let plain = |name: &str| Snapshot {
        snapshot_identifier: name.to_owned(),
        cluster_identifier: Some(CLUSTERS[0].to_owned()),
        snapshot_create_time: Some(now),
        status: Some("available".to_owned()),
        snapshot_type: Some("manual".to_owned()),
        owner_account: Some("123456789012".to_owned()),
        manual_snapshot_retention_period: Some(7),
        snapshot_retention_start_time: Some(now),
        ..Snapshot::default()
    };
    let tagged = |name: &str, value: &str| {
        let keys = [tag::NAMESPACE, tag::POLICY, tag::CLUSTER, tag::SLOT];
        let tags = keys.map(|key| (key.to_owned(), value.to_owned()));
        Snapshot {
            tags: tags.into_iter().collect(),
            ..plain(name)
        }
    };
    vec![
        Snapshot::default(),
        Snapshot {
            snapshot_identifier: "redkeep-nothing-else".to_owned(),
            ..Snapshot::default()
        },
        Snapshot {
            manual_snapshot_retention_period: Some(i32::MAX),
            ..plain("odd-period")
        },
        Snapshot {
            manual_snapshot_retention_period: None,
            snapshot_create_time: Some(DateTime::<Utc>::MAX_UTC),
            snapshot_retention_start_time: Some(DateTime::<Utc>::MIN_UTC),
            ..plain("odd-times")
        },
        Snapshot {
            status: Some("never seen".to_owned()),
            cluster_identifier: None,
            ..plain("redkeep-odd-status")
        },
        tagged("redkeep-odd-tags", "redkeep"),
        tagged("odd-tags", ""),
    ]
}
