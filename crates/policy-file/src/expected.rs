//! What would be right, in words, for every key.
//!
//! Owns: the second half of `got …, wanted …`. Never checks anything itself.

use figment::value::Value;

use super::error::quoted;
use super::path::{KeyPath, Step};
use redkeep_core::names::{AccountName, Namespace, PolicyName, ReceiverName, Retention, Writer};

/// An address to listen on.
pub(super) const LISTEN: &str = "an address and port such as \"127.0.0.1:9835\"";
/// Who is shown the page.
pub(super) const PAGE: &str = "\"loopback\" or \"open\"";
/// Whose series the metrics have.
pub(super) const METRICS_LABELS: &str = "\"full\" or \"scope\"";
/// An endpoint.
pub(super) const ENDPOINT: &str = "\"aws\", \"sandbox\" or a URL such as \"http://127.0.0.1:5439\"";
/// A directory.
pub(super) const STATE_DIR: &str = "a directory such as \"/var/lib/redkeep\"";
/// A schedule.
pub(super) const SCHEDULE: &str = "a cron expression such as \"30 2 * * *\"";
/// A time zone.
pub(super) const TIMEZONE: &str = "an IANA time zone such as \"Europe/Berlin\"";
/// The clusters of a policy.
pub(super) const CLUSTERS: &str =
    "a list of cluster identifiers and globs such as [\"dw-*\", \"finance\"]";
/// The duration of a blackout.
pub(super) const DURATION: &str = "a duration in s, m, h, d or w such as \"12h\", from 1m to 31d";
/// The duration of a blackout that would otherwise never end.
pub(super) const BLACKOUT_THAT_ENDS: &str =
    "less than the time between two of its openings: no slot could ever start";
/// A role.
pub(super) const ROLE_ARN: &str = "a role's ARN such as \"arn:aws:iam::111122223333:role/redkeep\"";
/// Where the regions of an account come from.
pub(super) const REGIONS: &str = "a list of AWS regions in an [[account]], AWS_REGION in the environment, or `region` in its AWS profile";
/// An external id ("AssumeRole" in the STS API reference).
pub(super) const EXTERNAL_ID: &str = "2 to 1224 letters, digits and _ + = , . @ : / -";
/// A session name (ibidem).
pub(super) const SESSION_NAME: &str = "2 to 64 letters, digits and _ + = , . @ -";
/// The kind of a receiver.
pub(super) const RECEIVER_KIND: &str =
    "one of webhook, slack, pagerduty, email, alertmanager, healthchecks";
/// Where messages go.
pub(super) const RECEIVER_URL: &str =
    "url, url_credential or url_file with a URL such as \"https://example.com/hooks/redkeep\"";
/// Where mail goes.
pub(super) const MAIL_URL: &str = "a mail server such as \"smtps://mail.example.com\" or, with STARTTLS, \"smtp://mail.example.com:587\"";
/// The name of a credential.
pub(super) const CREDENTIAL: &str = "the name of a credential: letters, digits, '-', '_' and '.'";
/// PagerDuty's key.
pub(super) const ROUTING_KEY: &str =
    "secret_credential or secret_file with the routing key of an integration";
/// What a check of a service of heartbeats watches.
pub(super) const WATCHED_POLICIES: &str =
    "the policies whose runs the check watches, or events = [\"heartbeat\"] for the daemon itself";
/// A mail address.
pub(super) const MAIL_ADDRESS: &str = "a mail address such as \"redkeep@example.com\"";
/// Mail addresses.
pub(super) const MAIL_ADDRESSES: &str = "a list of mail addresses such as [\"ops@example.com\"]";
/// The address of a database.
pub(super) const DATABASE_URL: &str =
    "a URL such as \"postgres://redkeep@db.example.com:5432/redkeep\", without a password";
/// The schema of redkeep's tables.
pub(super) const DATABASE_SCHEMA: &str =
    "at most 63 lower-case letters, digits and underscores, first no digit";
/// A blackout's name.
pub(super) const BLACKOUT: &str = "a blackout name: at most 63 lower-case letters, digits and single hyphens, starting with a letter";

/// What is wanted at `path`, where `found` has the wrong type; `kind` is what its kind wants.
pub(super) fn shape(path: &KeyPath, found: Option<&Value>, kind: &str) -> String {
    if let [.., Step::Item(_)] = path.steps() {
        return match path.steps() {
            [_, _] => "a table".to_owned(),
            _ => "a string".to_owned(),
        };
    }
    let key = path.last_key().unwrap_or_default();
    let wanted = match path.steps() {
        [_] => top(key),
        [.., Step::Key(table), _] if table == "tags" || table == "cluster_tags" => "a string",
        [Step::Key(section), .., _] if key == "name" => match section.as_str() {
            "account" => AccountName::WANTED,
            "blackout" => BLACKOUT,
            "notify" => ReceiverName::WANTED,
            _ => PolicyName::WANTED,
        },
        [Step::Key(section), _] if section == "database" => database(key).unwrap_or(kind),
        _ => nested(key).unwrap_or(kind),
    };
    match found {
        Some(Value::String(_, text)) if wanted.starts_with("a list") => {
            format!("a list: [{}]", quoted(text))
        }
        _ => wanted.to_owned(),
    }
}

fn top(key: &str) -> &'static str {
    match key {
        "namespace" => Namespace::WANTED,
        "state_dir" => STATE_DIR,
        "history_retention" => Retention::WANTED,
        "listen" => LISTEN,
        "page" => PAGE,
        "metrics_labels" => METRICS_LABELS,
        "endpoint" => ENDPOINT,
        "writer" => Writer::WANTED,
        "account" => "tables, each under its own [[account]]",
        "policy" => "tables, each under its own [[policy]]",
        "blackout" => "tables, each under its own [[blackout]]",
        "notify" => "tables, each under its own [[notify]]",
        _ => "a table",
    }
}

fn database(key: &str) -> Option<&'static str> {
    Some(match key {
        "url" => DATABASE_URL,
        "schema" => DATABASE_SCHEMA,
        "auth" => "\"password\" or \"iam\"",
        _ => return None,
    })
}

/// What is wanted at a key whose kind does not say all.
fn nested(key: &str) -> Option<&'static str> {
    Some(match key {
        "format" => "\"auto\", \"text\" or \"json\"",
        "level" => "\"error\", \"warn\", \"info\", \"debug\" or \"trace\"",
        "schedule" => SCHEDULE,
        "timezone" => TIMEZONE,
        "clusters" => CLUSTERS,
        "exclude" => "a list of globs such as [\"dw-scratch*\"]",
        "accounts" => "a list of account names",
        "regions" => "a list of AWS regions such as [\"eu-central-1\"]",
        "blackout" => "a list of blackout names",
        "kind" => RECEIVER_KIND,
        "severity" => "\"info\", \"warning\" or \"critical\"",
        "events" => "a list of events such as [\"failed\", \"overdue\"]",
        "policies" => "a list of policy names",
        "quiet" => "a blackout's name",
        "from" => MAIL_ADDRESS,
        "to" => MAIL_ADDRESSES,
        "cluster_tags" => "a table of strings such as { env = \"prod\" }",
        "tags" => "a table of strings such as { team = \"data\" }",
        "retention" | "base" | "weekly" | "monthly" | "yearly" => Retention::WANTED,
        _ => return None,
    })
}
