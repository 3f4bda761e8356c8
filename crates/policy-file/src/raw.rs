//! The policy file as it is written: typed, unknown keys refused, nothing checked for meaning.
//!
//! Owns: which keys there are and what they are for. These structs are the one source of that: `extract`
//! reads the file with them, and the JSON Schema, the editor's hints and the man page are derived from them
//! (see `schema`), so what is written at a key is written for operators. Every key is optional here, because
//! what is required depends on `[defaults]`.

use std::collections::BTreeMap;

use figment::value::Value;
use schemars::JsonSchema;
use serde::Deserialize;

use super::schema_types;
use super::tiers::RawRetention;

/// The keys at the top level.
pub(super) const TOP_KEYS: [&str; 10] = [
    "namespace",
    "state_dir",
    "listen",
    "endpoint",
    "writer",
    "log",
    "defaults",
    "account",
    "policy",
    "blackout",
];

/// The settings that the environment may give.
pub(super) const SCALARS: [&str; 20] = [
    "namespace",
    "state_dir",
    "listen",
    "endpoint",
    "writer",
    "log.format",
    "log.level",
    "defaults.schedule",
    "defaults.timezone",
    "defaults.retention",
    "defaults.jitter",
    "defaults.start_window",
    "defaults.completion_window",
    "defaults.catch_up",
    "defaults.enabled",
    "defaults.rpo",
    "defaults.min_good",
    "defaults.guard",
    "defaults.guard_gone",
    "defaults.keep_last",
];

/// The keys whose value is true or false.
pub(super) const FLAGS: [&str; 3] = ["catch_up", "enabled", "guard"];

/// Strings, in which `None` stands for an item that was reported already.
pub(super) type RawList = Vec<Option<String>>;

/// The whole configuration.
#[derive(Debug, Default)]
pub(super) struct Raw {
    pub(super) top: RawTop,
    pub(super) log: RawLog,
    pub(super) defaults: RawPolicy,
    pub(super) accounts: Vec<RawAccount>,
    pub(super) policies: Vec<RawPolicy>,
    pub(super) blackouts: Vec<RawBlackout>,
}

/// The policy file of redkeep, which takes manual snapshots of Amazon Redshift clusters.
// The tables are extracted one by one, so that an error in one of a thousand policies does not mean
// reading all of them again.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawTop {
    /// The first part of every snapshot's name, and the tag `redkeep:namespace`: at most 32 lower-case
    /// letters, digits and single hyphens, first a letter.
    #[schemars(schema_with = "schema_types::namespace", extend("default" = "redkeep"))]
    pub(super) namespace: Option<String>,
    /// Where the history is. Relative to the policy file. When it is not set, `STATE_DIRECTORY` counts before
    /// the default.
    #[schemars(schema_with = "schema_types::filled", extend("default" = "/var/lib/redkeep"))]
    pub(super) state_dir: Option<String>,
    /// Address of metrics and health. An address that other hosts can reach is allowed, with a warning: nobody
    /// is asked who they are.
    #[schemars(schema_with = "schema_types::listen", extend("default" = "127.0.0.1:9835"))]
    pub(super) listen: Option<String>,
    /// `"aws"`, `"sandbox"` (embedded, for trials), or the URL of something that speaks Redshift's API.
    #[schemars(schema_with = "schema_types::endpoint", extend("default" = "aws"))]
    pub(super) endpoint: Option<String>,
    /// This installation's id, the tag `redkeep:writer`: 1 to 64 letters, digits, `-`, `_` and `.`. By default
    /// made once and kept in the history.
    #[schemars(schema_with = "schema_types::writer")]
    pub(super) writer: Option<String>,
    /// How to log.
    #[schemars(with = "RawLog")]
    pub(super) log: Option<Value>,
    /// Keys of a policy, for the policies that do not have them. `tags` are merged key by key.
    #[schemars(schema_with = "schema_types::defaults")]
    pub(super) defaults: Option<Value>,
    /// Credentials and the regions to use them in. With none there is one, named `default`.
    #[schemars(with = "Vec<RawAccount>")]
    pub(super) account: Vec<Value>,
    /// What to take, when, and for how long to keep it.
    #[schemars(with = "Vec<RawPolicy>")]
    pub(super) policy: Vec<Value>,
    /// Times at which no snapshot begins.
    #[schemars(with = "Vec<RawBlackout>")]
    pub(super) blackout: Vec<Value>,
}

/// How to log.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawLog {
    /// `"auto"` (the journal under systemd, else text), `"text"` or `"json"`, on stderr. Colours on a terminal
    /// only, and not when `NO_COLOR` is set.
    #[schemars(schema_with = "schema_types::log_format", extend("default" = "auto"))]
    pub(super) format: Option<String>,
    /// `"error"`, `"warn"`, `"info"`, `"debug"` or `"trace"`. `RUST_LOG` goes over it.
    #[schemars(schema_with = "schema_types::log_level", extend("default" = "info"))]
    pub(super) level: Option<String>,
}

/// Credentials and the regions to use them in.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["name"]))]
pub(super) struct RawAccount {
    /// The account's name in the history and in the metrics: 1 to 64 letters, digits, `-`, `_` and `.`.
    #[schemars(schema_with = "schema_types::account_name")]
    pub(super) name: Option<String>,
    /// A list of AWS regions. Without it: `AWS_REGION`, or the region of the profile.
    #[schemars(schema_with = "schema_types::regions")]
    pub(super) regions: Option<RawList>,
    /// A profile of the AWS configuration files, whose credentials are used. Default: the SDK's own chain.
    #[schemars(schema_with = "schema_types::filled")]
    pub(super) profile: Option<String>,
    /// A role to assume with those credentials, such as `"arn:aws:iam::111122223333:role/redkeep"`.
    #[schemars(schema_with = "schema_types::role_arn")]
    pub(super) role_arn: Option<String>,
    /// The external id that the role's trust policy wants.
    #[schemars(schema_with = "schema_types::external_id")]
    pub(super) external_id: Option<String>,
    /// The name of the role's sessions, as CloudTrail shows it. Default: the namespace.
    #[schemars(schema_with = "schema_types::session_name")]
    pub(super) session_name: Option<String>,
    /// How many manual snapshots AWS lets a region hold. redkeep compares and warns; it cannot raise it.
    #[schemars(schema_with = "schema_types::count", extend("default" = 20))]
    pub(super) snapshot_quota: Option<u32>,
}

/// Which clusters, when, and for how long to keep it.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["name"]))]
pub(super) struct RawPolicy {
    /// A part of every snapshot's name: at most 63 lower-case letters, digits and single hyphens, first a
    /// letter. Not in `[defaults]`.
    #[schemars(schema_with = "schema_types::policy_name")]
    pub(super) name: Option<String>,
    /// A cron expression of five fields, or of six with seconds first. Required here or in `[defaults]`.
    #[schemars(schema_with = "schema_types::schedule")]
    pub(super) schedule: Option<String>,
    /// The IANA time zone whose clocks the schedule is read on.
    #[schemars(schema_with = "schema_types::timezone", extend("default" = "UTC"))]
    pub(super) timezone: Option<String>,
    /// A list of cluster identifiers and globs (`*`, `?`, `[a-z]`, `{a,b}`). `["*"]` is every cluster. Required
    /// here or in `[defaults]`.
    #[schemars(schema_with = "schema_types::clusters")]
    pub(super) clusters: Option<RawList>,
    /// Tags that a cluster must all have, beside matching `clusters`.
    #[schemars(schema_with = "schema_types::cluster_tags", extend("default" = {}))]
    pub(super) cluster_tags: Option<BTreeMap<String, String>>,
    /// Identifiers and globs of clusters that are left out, whatever else matches.
    #[schemars(schema_with = "schema_types::exclude", extend("default" = []))]
    pub(super) exclude: Option<RawList>,
    /// A list of account names; by default all.
    #[schemars(schema_with = "schema_types::accounts")]
    pub(super) accounts: Option<RawList>,
    /// A list of regions; by default all of its accounts.
    #[schemars(schema_with = "schema_types::regions")]
    pub(super) regions: Option<RawList>,
    /// How long AWS keeps each snapshot: `"35d"`, `"8w"`, `"13mo"`, `"7y"`, from 1 to 3653 days, or
    /// `"forever"`; or by tier, as `{ base = "14d", weekly = "8w", monthly = "13mo", yearly = "7y" }`. Required
    /// here or in `[defaults]`.
    #[schemars(schema_with = "schema_types::retention")]
    pub(super) retention: Option<RawRetention>,
    /// Tags put on every snapshot beside redkeep's seven; at most 43.
    #[schemars(schema_with = "schema_types::tags", extend("default" = {}))]
    pub(super) tags: Option<BTreeMap<String, String>>,
    /// The most by which a start is delayed, up to `24h`. A slot's delay is always the same.
    #[schemars(schema_with = "schema_types::duration", extend("default" = "0s"))]
    pub(super) jitter: Option<String>,
    /// For how long after its instant a slot may still begin, `60s` to `30d`. By default half the interval of
    /// the schedule, `60s` at least and `8h` at most.
    #[schemars(schema_with = "schema_types::duration")]
    pub(super) start_window: Option<String>,
    /// A snapshot that is still being made after this raises an alarm and no longer blocks the next, `1m` to
    /// `30d`.
    #[schemars(schema_with = "schema_types::duration", extend("default" = "24h"))]
    pub(super) completion_window: Option<String>,
    /// `false`: a slot that could not begin within five minutes is missed.
    #[schemars(schema_with = "schema_types::flag", extend("default" = true))]
    pub(super) catch_up: Option<bool>,
    /// The age that the newest good snapshot may reach, `1m` to `3653d`; an older one is an alarm. By default
    /// none is.
    #[schemars(schema_with = "schema_types::duration")]
    pub(super) rpo: Option<String>,
    /// How many of the newest good snapshots of a cluster the guard keeps from expiring and pruning leaves
    /// alone, 1 to 1000.
    #[schemars(schema_with = "schema_types::count", extend("default" = 2))]
    pub(super) min_good: Option<u32>,
    /// `false`: the newest good snapshots may expire though no newer one has come.
    #[schemars(schema_with = "schema_types::flag", extend("default" = true))]
    pub(super) guard: Option<bool>,
    /// For how long the guard keeps the snapshots of a cluster that no longer exists, `1d` to `3653d`.
    #[schemars(schema_with = "schema_types::duration", extend("default" = "90d"))]
    pub(super) guard_gone: Option<String>,
    /// How many base-tier snapshots of a cluster to keep; older ones are deleted. `0` deletes nothing; else
    /// `min_good` at least.
    #[schemars(schema_with = "schema_types::number", extend("default" = 0))]
    pub(super) keep_last: Option<u32>,
    /// A list of `[[blackout]]` names.
    #[schemars(schema_with = "schema_types::blackouts", extend("default" = []))]
    pub(super) blackout: Option<RawList>,
    /// `false`: begins nothing and keeps its history.
    #[schemars(schema_with = "schema_types::flag", extend("default" = true))]
    pub(super) enabled: Option<bool>,
}

/// A time at which no snapshot begins.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["name", "schedule", "duration"]))]
pub(super) struct RawBlackout {
    /// What policies call it.
    #[schemars(schema_with = "schema_types::policy_name")]
    pub(super) name: Option<String>,
    /// When it opens; a cron expression.
    #[schemars(schema_with = "schema_types::schedule")]
    pub(super) schedule: Option<String>,
    /// How long it stays open, `1m` to `31d` of elapsed time.
    #[schemars(schema_with = "schema_types::duration")]
    pub(super) duration: Option<String>,
    /// The time zone of its schedule; `[defaults]` does not count here.
    #[schemars(schema_with = "schema_types::timezone", extend("default" = "UTC"))]
    pub(super) timezone: Option<String>,
}
