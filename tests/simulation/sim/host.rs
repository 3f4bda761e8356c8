//! A host: what survives its process, and the process.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use redkeep::config::Config;
use redkeep::names::Writer;
use redkeep::plan::Alarm;
use redkeep::upkeep::Confirmation;
use redkeep::world::World;

use super::guarded::Guarded;
use super::journal::Journal;
use super::witness::Witness;

/// One installation of redkeep.
pub struct Host {
    pub config: Config,
    pub writer: Writer,
    pub journal: Journal,
    /// Its clock minus true time.
    pub clock_ahead: TimeDelta,
    /// When its process starts; `None` while it runs or is not to.
    pub starts_at: Option<DateTime<Utc>>,
    pub process: Option<Process>,
    /// How many processes it has had.
    pub lives: u32,
    pub witness: Witness,
    pub guarded: Guarded,
    /// The alarms raised now, and all that ever were, as text.
    pub alarms: BTreeMap<Alarm, String>,
    pub alarms_ever: BTreeSet<String>,
    /// How many alarms have begun.
    pub alarms_begun: usize,
}

/// What ends with a crash.
pub struct Process {
    pub world: World,
    /// When the loop turns next, in true time.
    pub turns_at: DateTime<Utc>,
}

impl Process {
    pub fn new(world: World, turns_at: DateTime<Utc>) -> Self {
        Self { world, turns_at }
    }
}

impl Host {
    pub fn new(config: Config, writer: &str, journal: Journal) -> Self {
        Self {
            config,
            writer: writer.parse().unwrap(),
            journal,
            clock_ahead: TimeDelta::zero(),
            starts_at: None,
            process: None,
            lives: 0,
            witness: Witness::default(),
            guarded: Guarded::default(),
            alarms: BTreeMap::new(),
            alarms_ever: BTreeSet::new(),
            alarms_begun: 0,
        }
    }

    /// Says when its policies come into force for the first time.
    pub fn born_at(&mut self, now: DateTime<Utc>) {
        self.witness.reloaded(&self.config, now);
    }

    /// What its clock shows at a true instant.
    pub fn time(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        now + self.clock_ahead
    }

    pub fn process(&self) -> &Process {
        self.process.as_ref().unwrap()
    }

    pub fn process_mut(&mut self) -> &mut Process {
        self.process.as_mut().unwrap()
    }

    /// Confirms every plan as it is now, as `prune --confirm` does; how many snapshots may go.
    pub fn confirm(&mut self, now: DateTime<Utc>) -> usize {
        let Some(Process { world, .. }) = &mut self.process else {
            return 0;
        };
        let plans = world.judge(now).into_iter();
        let confirmed: Vec<Confirmation> = plans
            .map(|(policy, judgement)| Confirmation {
                id: 1 + i64::try_from(self.journal.ledger.passes.len()).unwrap(),
                policy: policy.name.clone(),
                rules: judgement.rules.clone(),
                plan_hash: judgement.hash.clone(),
                plan: judgement.plan(),
                confirmed_at: now,
                is_begun: false,
            })
            .collect();
        let count = confirmed.iter().map(|one| one.plan.len()).sum();
        for one in confirmed {
            let ledger = &mut self.journal.ledger;
            ledger.confirmations.insert(one.policy.clone(), one.clone());
            let known = &mut world.history.confirmations;
            known.insert(one.policy.clone(), one);
        }
        count
    }

    pub fn note_alarms(&mut self, alarms: &BTreeMap<Alarm, String>) {
        if self.alarms != *alarms {
            let new = alarms
                .keys()
                .filter(|alarm| !self.alarms.contains_key(alarm));
            self.alarms_begun += new.count();
            self.alarms.clone_from(alarms);
            let told = alarms.keys().map(|alarm| format!("{alarm:?}"));
            self.alarms_ever.extend(told);
        }
    }

    /// Whether an alarm of this kind, the variant's name, was ever raised.
    pub fn was_alarmed(&self, kind: &str) -> bool {
        self.alarms_ever.iter().any(|alarm| alarm.starts_with(kind))
    }
}
