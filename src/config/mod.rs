//! The configuration: one policy file, `conf.d/*.toml` beside it, and `REDKEEP_…` variables, to one
//! valid [`Config`].
//!
//! Owns: the file's keys, their defaults and their checks. Never asks a clock or AWS, never logs, and reads
//! nothing but those files and, through `tzdb`, the time zones: the environment is handed in. Everything is checked here and once, so that
//! whoever holds a `Config` has nothing left to check.
//!
//! The way: `read` the files → `layers` lays them over one another with figment → `secrets` takes
//! credentials out → `extract` gives every key of `raw` its type → `validate` and `policies` give it its
//! meaning. Each step adds to one `report`, so all errors come at once, each with its place from `locate`.
//! `schema` tells editors of the same keys, in the words of `raw` and the patterns of `grammar`.

mod accounts;
pub(crate) mod ambient;
mod error;
mod extract;
mod grammar;
mod layers;
mod locate;
pub(crate) mod network;
mod path;
mod policies;
mod raw;
mod read;
mod regions;
mod report;
mod schema;
mod secrets;
mod suggest;
mod tiers;
mod trust;
mod validate;
mod values;
mod wanted;

use std::net::SocketAddr;
use std::path::PathBuf;

pub use ambient::Profiles;
pub(crate) use error::clean;
pub use error::{ConfigError, ConfigErrors};
pub use schema::schema;
pub(crate) use suggest::{did_you_mean, nearest};

use crate::names::{AccountName, Namespace, PolicyName, Writer};
use crate::policy::{Account, Policy};
use crate::schedule::{Schedule, Zone};
use crate::slot::Scope;
use crate::tzdb::{Database, Place, ZoneData};

/// The default quota of manual snapshots in a region ("Quotas and limits in Amazon Redshift").
const DEFAULT_SNAPSHOT_QUOTA: u32 = 20;

/// Everything that the operator can set, valid as a whole.
#[derive(Debug, Clone)]
pub struct Config {
    /// The prefix of every identifier.
    pub namespace: Namespace,
    /// Where the history, the installation's id and the lock are.
    pub state_dir: PathBuf,
    /// Where metrics and health are served.
    pub listen: SocketAddr,
    /// Which Redshift to talk to.
    pub endpoint: Endpoint,
    /// The installation's id, where the operator gives it one.
    pub writer: Option<Writer>,
    /// How to log.
    pub log: Log,
    /// The accounts in the order of the file, at least one.
    pub accounts: Vec<Account>,
    /// The policies in the order of the file.
    pub policies: Vec<Policy>,
    /// The time zone data that the schedules are read with.
    pub zone_data: ZoneData,
    /// What is suspicious and yet works, a line each.
    pub warnings: Vec<String>,
}

/// Which Redshift to talk to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// AWS's own, by region.
    Aws,
    /// The one that is embedded in redkeep.
    Sandbox,
    /// An `http://` or `https://` URL, without credentials.
    Url(String),
}

/// How to log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Log {
    /// In which form.
    pub format: LogFormat,
    /// From which level.
    pub level: LogLevel,
}

/// The form of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Text on a terminal, the journal's own fields under systemd.
    Auto,
    /// Lines for people.
    Text,
    /// Lines of JSON.
    Json,
}

/// The least severe messages that are logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLevel {
    /// Only what failed.
    Error,
    /// And what may fail.
    Warn,
    /// And what was done.
    Info,
    /// And why.
    Debug,
    /// And everything else.
    Trace,
}

impl LogLevel {
    /// The level's word in the policy file, which tracing's filters know too.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

/// What a configuration is made from.
#[derive(Debug, Clone)]
pub struct Sources {
    /// The policy file.
    pub file: PathBuf,
    /// The environment, read by whoever starts the program; `REDKEEP_…`,
    /// `STATE_DIRECTORY`, `TZDIR`, and what names credentials, regions, endpoints and proxies matter.
    pub environment: Vec<(String, String)>,
    /// The profiles of AWS's own files.
    pub profiles: Profiles,
}

/// Reads, merges and checks the configuration; the error has everything that is wrong with it.
pub fn load(sources: &Sources) -> Result<Config, ConfigErrors> {
    let (config, report) = checked(&read::read(&sources.file)?, sources);
    report.finish(config)
}

/// As much of a broken configuration as can be told, for commands that only read the history: what is before the
/// first syntax error of each file, without the values that are wrong and the policies that lack something. `None`
/// where the policy file itself cannot be read, or says in vain where the history is.
pub fn salvage(sources: &Sources) -> Option<Config> {
    let files = read::read_what_can_be(&sources.file)?.into_iter();
    let files: Vec<_> = files.map(layers::before_the_error).collect();
    checked(&files, sources).0
}

/// What the files come to, and all that is wrong with them.
fn checked(files: &[read::SourceFile], sources: &Sources) -> (Option<Config>, report::Report) {
    let zones = Database::open(&Place::of(&sources.environment));
    let mut report = report::Report::new(zones);
    let mut tree = layers::merge(files, &sources.environment, &mut report);
    report.learn_names(&tree);
    secrets::purge(&mut tree, files, &mut report);
    let raw = extract::extract(tree, &mut report);
    let config = validate::config(raw, sources, &mut report);
    (config, report)
}

impl Config {
    /// Every account in every one of its regions, in the order of the file.
    pub fn scopes(&self) -> Vec<Scope> {
        scopes_of(&self.accounts).collect()
    }

    /// The quota of manual snapshots in a scope; AWS's default where the account is not configured.
    pub fn quota(&self, scope: &Scope) -> u32 {
        self.account(&scope.account)
            .map_or(DEFAULT_SNAPSHOT_QUOTA, |account| account.snapshot_quota)
    }

    /// Every schedule that is configured, of policies and of blackouts.
    pub fn schedules(&self) -> impl Iterator<Item = &Schedule> {
        self.policies.iter().flat_map(Policy::schedules)
    }

    /// The same configuration on the clocks of other time zone data. What `zone` does not find keeps its clocks.
    pub fn in_zones(&self, data: ZoneData, zone: impl Fn(&str) -> Option<Zone>) -> Self {
        let on_other_clocks = |schedule: &Schedule| match zone(schedule.timezone().name()) {
            Some(zone) => schedule.in_zone(zone),
            None => schedule.clone(),
        };
        let policies = self.policies.iter();
        Self {
            zone_data: data,
            policies: policies
                .map(|policy| policy.with_schedules(on_other_clocks))
                .collect(),
            ..self.clone()
        }
    }

    /// Where the history is.
    pub fn database(&self) -> PathBuf {
        self.state_dir.join("history.db")
    }

    /// Where the daily copy of the history is.
    pub fn database_copy(&self) -> PathBuf {
        crate::store::copy_of(&self.database())
    }

    /// The policy of that name.
    pub fn policy(&self, name: &PolicyName) -> Option<&Policy> {
        self.policies.iter().find(|policy| policy.name == *name)
    }

    /// The account of that name.
    pub fn account(&self, name: &AccountName) -> Option<&Account> {
        self.accounts.iter().find(|account| account.name == *name)
    }
}

fn scopes_of(accounts: &[Account]) -> impl Iterator<Item = Scope> {
    accounts.iter().flat_map(|account| {
        account.regions.iter().map(|region| Scope {
            account: account.name.clone(),
            region: region.clone(),
        })
    })
}
