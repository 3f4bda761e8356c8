//! A host: what survives its process, and the process.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use redkeep_core::engine::Engine;
use redkeep_core::names::Writer;
use redkeep_core::plan::Alarm;
use redkeep_policy_file::Config;

use super::evidence::Evidence;
use super::guarded::Guarded;
use super::journal::Journal;
use super::witness::Witness;

/// One installation of redkeep.
pub struct Host {
    pub config: Config,
    /// The configurations that its processes have seen, and when, in true time.
    pub configs: Vec<(DateTime<Utc>, Config)>,
    pub writer: Writer,
    /// What the log calls it; instances of one installation have one writer.
    pub name: String,
    pub journal: Journal,
    /// Its clock minus true time.
    pub clock_ahead: TimeDelta,
    /// Until when its machine is suspended, in true time.
    pub suspended_until: Option<DateTime<Utc>>,
    /// When its process starts; `None` while it runs or is not to.
    pub starts_at: Option<DateTime<Utc>>,
    pub process: Option<Process>,
    /// How many processes it has had.
    pub lives: u32,
    pub witness: Witness,
    pub guarded: Guarded,
    pub evidence: Evidence,
    /// How often it has recorded something.
    pub commits: u64,
    /// The alarms raised now, and all that ever were, as text.
    pub alarms: BTreeMap<Alarm, String>,
    pub alarms_ever: BTreeSet<String>,
    /// How many alarms have begun.
    pub alarms_begun: usize,
}

/// What ends with a crash.
pub struct Process {
    pub engine: Engine,
    /// When the loop turns next, in true time.
    pub turns_at: DateTime<Utc>,
    /// When it has turned last, or begun.
    pub turned_at: DateTime<Utc>,
}

impl Process {
    pub fn new(engine: Engine, turns_at: DateTime<Utc>) -> Self {
        Self {
            engine,
            turns_at,
            turned_at: turns_at,
        }
    }
}

impl Host {
    pub fn new(config: Config, writer: &str, journal: Journal) -> Self {
        Self {
            config,
            configs: Vec::new(),
            writer: writer.parse().unwrap(),
            name: writer.to_owned(),
            journal,
            clock_ahead: TimeDelta::zero(),
            suspended_until: None,
            starts_at: None,
            process: None,
            lives: 0,
            witness: Witness::default(),
            guarded: Guarded::default(),
            evidence: Evidence::default(),
            commits: 0,
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

    /// Its history is lost: what was seen of it tells nothing of what comes.
    pub fn forget(&mut self) {
        self.witness.forget();
        self.guarded = Guarded::default();
        self.evidence = Evidence::default();
    }

    /// When something that is due for it at an instant comes to it.
    pub fn awake_at(&self, at: DateTime<Utc>) -> DateTime<Utc> {
        self.suspended_until.map_or(at, |until| until.max(at))
    }

    pub fn process(&self) -> &Process {
        self.process.as_ref().unwrap()
    }

    pub fn process_mut(&mut self) -> &mut Process {
        self.process.as_mut().unwrap()
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
