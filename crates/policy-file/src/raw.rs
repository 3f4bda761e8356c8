//! The policy file as it is written: typed, unknown keys refused, nothing checked for meaning.
//!
//! Owns: which keys there are and what they are for; those of a policy are in `keys`. These structs are the one source of
//! that: `extract` reads the file with them, and the JSON Schema, the editor's hints and the man page are derived from them
//! (see `schema`), so what is written at a key is written for operators. Every key is optional here, because
//! what is required depends on `[defaults]`.

use figment::value::Value;
use schemars::JsonSchema;
use serde::Deserialize;

use super::keys::RawPolicy;
use super::kinds::{Count, Flag, Span};
use super::schema_types;
use redkeep_core::outbox::Receiver;
use redkeep_core::schedule::Zone;
use redkeep_core::settings::{
    DEFAULT_ENDPOINT, DEFAULT_HISTORY_RETENTION, DEFAULT_LISTEN, DEFAULT_MAX_REQUESTS_PER_SECOND,
    DEFAULT_NAMESPACE, DEFAULT_SCHEMA, DEFAULT_SNAPSHOT_QUOTA, DEFAULT_STATE_DIR, DatabaseAuth,
    Log, MetricsLabels, PageAccess, written_span,
};

/// Strings, in which `None` stands for an item that was reported already.
pub(super) type RawList = Vec<Option<String>>;

/// The whole configuration.
#[derive(Debug, Default)]
pub(super) struct Raw {
    pub(super) top: RawTop,
    pub(super) log: RawLog,
    pub(super) database: Option<RawDatabase>,
    pub(super) defaults: RawPolicy,
    pub(super) accounts: Vec<RawAccount>,
    pub(super) policies: Vec<RawPolicy>,
    pub(super) blackouts: Vec<RawBlackout>,
    pub(super) receivers: Vec<RawReceiver>,
}

/// The policy file of redkeep, which takes manual snapshots of Amazon Redshift clusters.
// The tables are extracted one by one, so that an error in one of a thousand policies does not mean
// reading all of them again.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawTop {
    /// The first part of every snapshot's name, and the tag `redkeep:namespace`: at most 32 lower-case
    /// letters, digits and single hyphens, starting with a letter.
    #[schemars(schema_with = "schema_types::namespace", extend("default" = DEFAULT_NAMESPACE))]
    pub(super) namespace: Option<String>,
    /// Where the history is. Relative to the policy file. When it is not set, `STATE_DIRECTORY` counts before
    /// the default.
    #[schemars(schema_with = "schema_types::filled", extend("default" = DEFAULT_STATE_DIR))]
    pub(super) state_dir: Option<String>,
    /// How long the history keeps slots that have ended, as a period like `retention`: a slot whose snapshot is gone
    /// is removed when both are older. The newest slot of each policy and cluster stays, and so do the totals.
    #[schemars(schema_with = "schema_types::period", extend("default" = DEFAULT_HISTORY_RETENTION))]
    pub(super) history_retention: Option<String>,
    /// Address of the page, metrics and health. An address that other hosts can reach is allowed, with a warning:
    /// there is no log-in.
    #[schemars(schema_with = "schema_types::listen", extend("default" = DEFAULT_LISTEN))]
    pub(super) listen: Option<String>,
    /// `"loopback"`: redkeep shows the page on this machine only, and only if `listen` is an address that other hosts
    /// cannot reach. `"open"`: redkeep shows it to everybody who can reach `listen`, without a log-in.
    #[schemars(schema_with = "schema_types::page", extend("default" = PageAccess::default().as_str()))]
    pub(super) page: Option<String>,
    /// `"full"`: the metrics have series for each policy and cluster. `"scope"`: one set for each policy in an account and a
    /// region, over all of its clusters there, for a Prometheus that cannot take a series for each of thousands of
    /// clusters.
    #[schemars(schema_with = "schema_types::metrics_labels", extend("default" = MetricsLabels::default().as_str()))]
    pub(super) metrics_labels: Option<String>,
    /// `"aws"`, `"sandbox"` (embedded, for trials), or the URL of something that speaks Redshift's API.
    #[schemars(schema_with = "schema_types::endpoint", extend("default" = DEFAULT_ENDPOINT))]
    pub(super) endpoint: Option<String>,
    /// This installation's id, the tag `redkeep:writer`: 1 to 64 letters, digits, `-`, `_` and `.`. By default
    /// made once and kept in the history.
    #[schemars(schema_with = "schema_types::writer")]
    pub(super) writer: Option<String>,
    /// The PostgreSQL server by which several instances share the history. Without it the history is in `state_dir`, and
    /// one instance works.
    #[schemars(with = "RawDatabase")]
    pub(super) database: Option<Value>,
    /// How to log.
    #[schemars(with = "RawLog")]
    pub(super) log: Option<Value>,
    /// Keys of a policy, for the policies that do not have them. `tags` are merged key by key.
    #[schemars(schema_with = "schema_types::defaults")]
    pub(super) defaults: Option<Value>,
    /// Credentials and the regions to use them in. With none there is one, named `default`.
    #[schemars(with = "Vec<RawAccount>")]
    pub(super) account: Vec<Value>,
    /// Which clusters to take snapshots of, when, and how long to keep the snapshots.
    #[schemars(with = "Vec<RawPolicy>")]
    pub(super) policy: Vec<Value>,
    /// Times at which no snapshot starts.
    #[schemars(with = "Vec<RawBlackout>")]
    pub(super) blackout: Vec<Value>,
    /// Where redkeep sends messages and heartbeats.
    #[schemars(with = "Vec<RawReceiver>")]
    pub(super) notify: Vec<Value>,
}

/// The PostgreSQL server by which several instances share the history.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["url"]))]
pub(super) struct RawDatabase {
    /// `postgres://user@host:port/name`, without a password; several hosts with a comma between them, of which
    /// redkeep uses the one that accepts writes. Beyond this machine the connection is encrypted and the server
    /// verified, always.
    #[schemars(schema_with = "schema_types::database_url")]
    pub(super) url: Option<String>,
    /// The schema of redkeep's tables. Several installations may have one each.
    #[schemars(schema_with = "schema_types::database_schema", extend("default" = DEFAULT_SCHEMA))]
    pub(super) schema: Option<String>,
    /// `"password"`: from `password_file`, systemd's credential `database-password` or `REDKEEP_DATABASE_PASSWORD`. `"iam"`: a
    /// token that AWS IAM signs, for Amazon RDS and Aurora.
    #[schemars(schema_with = "schema_types::database_auth", extend("default" = DatabaseAuth::default().as_str()))]
    pub(super) auth: Option<String>,
    /// A file with the certificates of the trusted authorities, such as Amazon RDS's bundle. By default the
    /// system's.
    #[schemars(schema_with = "schema_types::filled")]
    pub(super) ca_file: Option<String>,
    /// A file with the password. redkeep reads it for each new connection.
    #[schemars(schema_with = "schema_types::filled")]
    pub(super) password_file: Option<String>,
    /// The name of this instance. By default the host's name.
    #[schemars(schema_with = "schema_types::filled")]
    pub(super) instance: Option<String>,
}

/// How to log.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawLog {
    /// `"auto"` (the journal under systemd, else text), `"text"` or `"json"`, on stderr. Colours on a terminal
    /// only, and not when `NO_COLOR` is set.
    #[schemars(schema_with = "schema_types::log_format", extend("default" = Log::default().format.as_str()))]
    pub(super) format: Option<String>,
    /// `"error"`, `"warn"`, `"info"`, `"debug"` or `"trace"`. `RUST_LOG` overrides it.
    #[schemars(schema_with = "schema_types::log_level", extend("default" = Log::default().level.as_str()))]
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
    /// The external id that the role's trust policy requires.
    #[schemars(schema_with = "schema_types::external_id")]
    pub(super) external_id: Option<String>,
    /// The name of the role's sessions, as CloudTrail shows it. Default: the namespace.
    #[schemars(schema_with = "schema_types::session_name")]
    pub(super) session_name: Option<String>,
    /// How many manual snapshots AWS allows in a region. redkeep warns by this number; it does not change AWS's
    /// quota.
    #[schemars(with = "Count", extend("default" = DEFAULT_SNAPSHOT_QUOTA))]
    pub(super) snapshot_quota: Option<Count>,
    /// The most requests a second that redkeep sends to AWS in each region, 1 to 100. It starts with 10, grows while AWS
    /// throttles nothing, and halves when it does.
    #[schemars(with = "Count", extend("default" = DEFAULT_MAX_REQUESTS_PER_SECOND))]
    pub(super) max_requests_per_second: Option<Count>,
}

/// A time at which no snapshot starts.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["name", "schedule", "duration"]))]
pub(super) struct RawBlackout {
    /// The name that policies use.
    #[schemars(schema_with = "schema_types::policy_name")]
    pub(super) name: Option<String>,
    /// When it opens; a cron expression.
    #[schemars(schema_with = "schema_types::schedule")]
    pub(super) schedule: Option<String>,
    /// How long it stays open, `1m` to `31d` of elapsed time.
    #[schemars(with = "Span")]
    pub(super) duration: Option<Span>,
    /// The time zone of its schedule; `[defaults]` does not count here.
    #[schemars(schema_with = "schema_types::timezone", extend("default" = Zone::utc().name()))]
    pub(super) timezone: Option<String>,
}

/// Where redkeep sends messages and heartbeats.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["name", "kind"]))]
pub(super) struct RawReceiver {
    /// The name in messages, metrics and the command `notify`: at most 63 lower-case letters, digits and single
    /// hyphens, starting with a letter.
    #[schemars(schema_with = "schema_types::policy_name")]
    pub(super) name: Option<String>,
    /// `"webhook"`, `"slack"` (also Mattermost), `"pagerduty"`, `"email"`, `"alertmanager"` or `"healthchecks"`.
    #[schemars(schema_with = "schema_types::receiver_kind")]
    pub(super) kind: Option<String>,
    /// Where messages go, if that is not secret. redkeep refuses a URL with a password, a token or a query in it.
    #[schemars(schema_with = "schema_types::filled")]
    pub(super) url: Option<String>,
    /// The credential of systemd (`LoadCredential=`) that has the URL.
    #[schemars(schema_with = "schema_types::filled")]
    pub(super) url_credential: Option<String>,
    /// The file that has the URL. Relative to the policy file.
    #[schemars(schema_with = "schema_types::filled")]
    pub(super) url_file: Option<String>,
    /// The credential of systemd that has the key of the signature (`webhook`), the routing key (`pagerduty`) or the
    /// password (`email`).
    #[schemars(schema_with = "schema_types::filled")]
    pub(super) secret_credential: Option<String>,
    /// The file that has that key or password. Relative to the policy file.
    #[schemars(schema_with = "schema_types::filled")]
    pub(super) secret_file: Option<String>,
    /// The policies whose messages it gets; by default all. It gets messages that concern no single policy in any
    /// case.
    #[schemars(schema_with = "schema_types::policies")]
    pub(super) policies: Option<RawList>,
    /// The lowest severity of the messages that it gets: `"info"`, `"warning"` or `"critical"`.
    #[schemars(schema_with = "schema_types::severity", extend("default" = Receiver::SEVERITY.as_str()))]
    pub(super) severity: Option<String>,
    /// The events of which it gets messages, by default all; for a `healthchecks` receiver `["run"]` or
    /// `["heartbeat"]`.
    #[schemars(schema_with = "schema_types::events")]
    pub(super) events: Option<RawList>,
    /// How long a condition lasts before its message is sent again, `10m` to `366d`; for a heartbeat how often it is
    /// sent, `1s` to `1d`, by default `60s`.
    #[schemars(with = "Span", extend("default" = written_span(Receiver::REPEAT_AFTER)))]
    pub(super) repeat_after: Option<Span>,
    /// A `[[blackout]]` in which it gets no messages; they are sent when the blackout ends.
    #[schemars(schema_with = "schema_types::policy_name")]
    pub(super) quiet: Option<String>,
    /// `true`: messages may go to another host over plain http, or over SMTP without TLS.
    #[schemars(with = "Flag", extend("default" = false))]
    pub(super) allow_clear: Option<Flag>,
    /// The sender of mail.
    #[schemars(schema_with = "schema_types::filled")]
    pub(super) from: Option<String>,
    /// The recipients of the mail.
    #[schemars(schema_with = "schema_types::mail_addresses")]
    pub(super) to: Option<RawList>,
    /// The user name for the mail server. By default redkeep does not log in.
    #[schemars(schema_with = "schema_types::filled")]
    pub(super) user: Option<String>,
}
