//! Everything that the operator can set, as values.
//!
//! Owns: what a valid configuration is. Never reads a file: `redkeep-policy-file` makes it, and checks it once, so that
//! whoever holds a [`Config`] has nothing left to check.

mod database;

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use chrono::TimeDelta;

use crate::digest;
use crate::names::{AccountName, Namespace, PolicyName, Retention, Writer};
use crate::outbox::Receiver;
use crate::policy::{Account, Policy};
use crate::problem::Problem;
use crate::schedule::{Schedule, Zone};
use crate::slot::Scope;
use crate::tzdb::ZoneData;

pub use database::{Database, DatabaseAuth};

/// The namespace where the policy file does not say.
pub const DEFAULT_NAMESPACE: &str = "redkeep";
/// The schema of redkeep's tables in PostgreSQL where it does not say.
pub const DEFAULT_SCHEMA: &str = "redkeep";
/// The address of metrics and health where it does not say.
pub const DEFAULT_LISTEN: &str = "127.0.0.1:9835";
/// Where the history is where neither it nor systemd says.
pub const DEFAULT_STATE_DIR: &str = "/var/lib/redkeep";
/// For how long the history keeps slots that have ended where it does not say, in its words.
pub const DEFAULT_HISTORY_RETENTION: &str = "forever";
/// The endpoint where it does not say, in its words.
pub const DEFAULT_ENDPOINT: &str = "aws";
/// The default quota of manual snapshots in a region ("Quotas and limits in Amazon Redshift").
pub const DEFAULT_SNAPSHOT_QUOTA: u32 = 20;
/// The most requests a second in a region, where the file does not say.
pub const DEFAULT_MAX_REQUESTS_PER_SECOND: u32 = 20;

/// Everything that the operator can set, valid as a whole.
#[derive(Debug, Clone)]
pub struct Config {
    /// The prefix of every identifier.
    pub namespace: Namespace,
    /// Where the history, the installation's id and the lock are.
    pub state_dir: PathBuf,
    /// For how long the history keeps slots that have ended.
    pub history_retention: Retention,
    /// The server by which several instances share the history; `None` where it is in `state_dir` alone.
    pub database: Option<Database>,
    /// Where metrics and health are served.
    pub listen: SocketAddr,
    /// Who is shown the page there.
    pub page: PageAccess,
    /// Whose series the metrics have.
    pub metrics_labels: MetricsLabels,
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
    /// Who is told what happens, in the order of the file.
    pub receivers: Vec<Receiver>,
    /// The time zone data that the schedules are read with.
    pub zone_data: ZoneData,
    /// What is suspicious and yet works.
    pub warnings: Vec<Warning>,
}

impl Config {
    /// The same text where the same snapshots are wanted: instances that share a history compare theirs.
    pub fn fingerprint(&self) -> String {
        let what = format!("{:?}{:?}{:?}", self.policies, self.accounts, self.namespace);
        digest::hex(what.as_bytes(), 8)
    }
}

/// A duration as the policy file has it: in days from two of them on, else in hours, minutes or seconds, as it comes out
/// even.
pub fn written_span(span: TimeDelta) -> String {
    let seconds = span.num_seconds();
    let units = [("d", 86_400, 2), ("h", 3_600, 1), ("m", 60, 1)];
    let even = units
        .into_iter()
        .find(|(_, unit, least)| seconds % unit == 0 && seconds / unit >= *least);
    even.map_or_else(
        || format!("{seconds}s"),
        |(name, unit, _)| format!("{}{name}", seconds / unit),
    )
}

/// Something in a configuration that is suspicious and yet works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// The file's path or the variable's name.
    pub source: String,
    /// Line and column in the file, both from 1, where they are known.
    pub position: Option<(usize, usize)>,
    /// What is suspicious.
    pub problem: Problem,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)?;
        if let Some((line, column)) = self.position {
            write!(f, ":{line}:{column}")?;
        }
        write!(f, ": {}", self.problem)
    }
}

/// Who is shown the page.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum PageAccess {
    /// Whoever is on this machine, where the listener is bound to it alone.
    #[default]
    Loopback,
    /// Whoever can reach the listener.
    Open,
}

impl PageAccess {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Loopback, Self::Open];

    /// Its word in the policy file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Loopback => "loopback",
            Self::Open => "open",
        }
    }
}

/// Whose series the metrics have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum MetricsLabels {
    /// Each cluster's of each policy.
    #[default]
    Full,
    /// Each policy's in an account and a region, over all of its clusters there.
    Scope,
}

impl MetricsLabels {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Full, Self::Scope];

    /// Its word in the policy file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Scope => "scope",
        }
    }
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

impl Default for Log {
    fn default() -> Self {
        Self {
            format: LogFormat::Auto,
            level: LogLevel::Info,
        }
    }
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

impl LogFormat {
    /// All forms.
    pub const ALL: [Self; 3] = [Self::Auto, Self::Text, Self::Json];

    /// The form's word in the policy file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Text => "text",
            Self::Json => "json",
        }
    }
}

impl LogLevel {
    /// All levels, the most severe first.
    pub const ALL: [Self; 5] = [
        Self::Error,
        Self::Warn,
        Self::Info,
        Self::Debug,
        Self::Trace,
    ];

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

    /// The most requests a second in a scope.
    pub fn max_requests_per_second(&self, scope: &Scope) -> u32 {
        let account = self.account(&scope.account);
        account.map_or(DEFAULT_MAX_REQUESTS_PER_SECOND, |account| {
            account.max_requests_per_second
        })
    }

    /// Every schedule that is configured, of policies, of blackouts and of the quiet of receivers.
    pub fn schedules(&self) -> impl Iterator<Item = &Schedule> {
        let quiet = self.receivers.iter().filter_map(|one| one.quiet.as_ref());
        let quiet = quiet.map(|blackout| &blackout.schedule);
        self.policies
            .iter()
            .flat_map(Policy::schedules)
            .chain(quiet)
    }

    /// The same configuration on the clocks of other time zone data. What `zone` does not find keeps its clocks.
    pub fn in_zones(&self, data: ZoneData, zone: impl Fn(&str) -> Option<Zone>) -> Self {
        let on_other_clocks = |schedule: &Schedule| match zone(schedule.timezone().name()) {
            Some(zone) => schedule.in_zone(zone),
            None => schedule.clone(),
        };
        let policies = self.policies.iter();
        let receivers = self.receivers.iter();
        Self {
            zone_data: data,
            receivers: receivers
                .map(|one| one.with_schedules(on_other_clocks))
                .collect(),
            policies: policies
                .map(|policy| policy.with_schedules(on_other_clocks))
                .collect(),
            ..self.clone()
        }
    }

    /// Only what is of one scope.
    pub fn only(&self, scope: &Scope) -> Self {
        let accounts = self
            .accounts
            .iter()
            .filter(|account| account.name == scope.account);
        let policies = self
            .policies
            .iter()
            .filter(|policy| policy.scopes.contains(scope));
        Self {
            accounts: accounts
                .map(|account| Account {
                    regions: vec![scope.region.clone()],
                    ..account.clone()
                })
                .collect(),
            policies: policies
                .map(|policy| Policy {
                    scopes: vec![scope.clone()],
                    ..policy.clone()
                })
                .collect(),
            ..self.clone()
        }
    }

    /// Where a history is that is this machine's alone.
    pub fn own_history(&self) -> PathBuf {
        self.state_dir.join("history.db")
    }

    /// Where the history is, or this machine's copy of it where it is shared.
    pub fn database(&self) -> PathBuf {
        match self.database {
            None => self.own_history(),
            Some(_) => self.state_dir.join("replica.db"),
        }
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

/// Every account in every one of its regions, in their order.
pub fn scopes_of(accounts: &[Account]) -> impl Iterator<Item = Scope> {
    accounts.iter().flat_map(|account| {
        account.regions.iter().map(|region| Scope {
            account: account.name.clone(),
            region: region.clone(),
        })
    })
}
