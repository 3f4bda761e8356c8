//! The grammar of every key as JSON Schema can say it, for editors.
//!
//! Owns: patterns, enums and bounds, one function for each kind of value; `raw` says which key is of which
//! kind. Never refuses what `redkeep check` accepts: where a pattern cannot say the rule (a time zone, the
//! bounds of a duration, a letter that is not ASCII) it says less. Only the regular expressions that every
//! engine knows are used: no look-around, no `\p`.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};

use super::keys::RawPolicy;
use super::policies::MOST_OWN_TAGS;
use super::tiers::RawTiers;
use super::{LogFormat, LogLevel, MetricsLabels, PageAccess};
use redkeep_core::outbox::{Event, ReceiverKind, Severity};
use redkeep_core::settings::DatabaseAuth;

/// `[a-z][a-z0-9]*(-[a-z0-9]+)*`, the names that survive joining with hyphens.
const HYPHENATED: &str = "^[a-z][a-z0-9]*(-[a-z0-9]+)*$";

pub(super) fn namespace(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "pattern": HYPHENATED, "maxLength": 32 })
}

pub(super) fn policy_name(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "pattern": HYPHENATED, "maxLength": 63 })
}

pub(super) fn account_name(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string",
        "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]*$",
        "maxLength": 64
    })
}

pub(super) fn writer(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "pattern": "^[A-Za-z0-9._-]+$", "maxLength": 64 })
}

/// Any text but none.
pub(super) fn filled(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "minLength": 1 })
}

/// "AssumeRole" in the STS API reference, as are the next two.
pub(super) fn role_arn(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string",
        "pattern": "^arn:aws[!-9;-~]*:iam::[0-9]{12}:role/[!-~]+$",
        "maxLength": 2048
    })
}

pub(super) fn external_id(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "pattern": "^[A-Za-z0-9_+=,.@:/-]+$", "minLength": 2, "maxLength": 1224 })
}

pub(super) fn session_name(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "pattern": "^[A-Za-z0-9_+=,.@-]+$", "minLength": 2, "maxLength": 64 })
}

pub(super) fn listen(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string",
        "pattern": r"^([0-9.]+|\[[0-9A-Fa-f:.]+(%[0-9]+)?\]):[0-9]+$",
        "examples": ["127.0.0.1:9835"]
    })
}

pub(super) fn page(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "enum": PageAccess::ALL.map(PageAccess::as_str) })
}

pub(super) fn metrics_labels(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "enum": MetricsLabels::ALL.map(MetricsLabels::as_str) })
}

pub(super) fn endpoint(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string",
        "pattern": r"^(aws|sandbox|https?://[^@/?#\s]+(/[^?#\s]*)?)$",
        "examples": ["aws", "sandbox", "http://127.0.0.1:5439"]
    })
}

pub(super) fn database_url(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string",
        "pattern": r"^postgres(ql)?://[^:@/?#\s]+@[^@/?#\s]+/[^/?#\s]+(\?sslmode=verify-full)?$",
        "examples": ["postgres://redkeep@db.example.com:5432/redkeep"]
    })
}

pub(super) fn database_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "pattern": "^[a-z_][a-z0-9_]{0,62}$" })
}

pub(super) fn database_auth(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "enum": DatabaseAuth::ALL.map(DatabaseAuth::as_str) })
}

pub(super) fn log_format(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "enum": LogFormat::ALL.map(LogFormat::as_str) })
}

pub(super) fn log_level(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "enum": LogLevel::ALL.map(LogLevel::as_str) })
}

pub(super) fn schedule(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "minLength": 1, "examples": ["30 2 * * *", "@daily"] })
}

pub(super) fn timezone(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string",
        "pattern": "^[A-Za-z0-9_+/-]+$",
        "examples": ["UTC", "Europe/Berlin"]
    })
}

/// One period, or one for each tier.
pub(super) fn retention(generator: &mut SchemaGenerator) -> Schema {
    let (one, tiers) = (period(generator), RawTiers::json_schema(generator));
    json_schema!({ "anyOf": [one, tiers] })
}

/// 1 to 3653 days exactly: 521 weeks, 120 months and 10 years are the most that fit.
pub(super) fn period(_: &mut SchemaGenerator) -> Schema {
    let days = "([1-9][0-9]{0,2}|[12][0-9]{3}|3[0-5][0-9]{2}|36[0-4][0-9]|365[0-3])d";
    let weeks = "([1-9][0-9]?|[1-4][0-9]{2}|5[01][0-9]|52[01])w";
    let months = "([1-9][0-9]?|1[01][0-9]|120)mo";
    let years = "([1-9]|10)y";
    json_schema!({
        "type": "string",
        "pattern": format!("^(forever|0*({days}|{weeks}|{months}|{years}))$"),
        "examples": ["35d", "8w", "13mo", "7y", "forever"]
    })
}

pub(super) fn regions(_: &mut SchemaGenerator) -> Schema {
    let region = json!({
        "type": "string",
        "pattern": "^[a-z][a-z0-9]*(-[a-z0-9]+)+$",
        "maxLength": 32
    });
    filled_set(region)
}

pub(super) fn accounts(generator: &mut SchemaGenerator) -> Schema {
    filled_set(account_name(generator).into())
}

/// Unlike other lists of names it may be empty: so a policy leaves the default's blackouts.
pub(super) fn blackouts(generator: &mut SchemaGenerator) -> Schema {
    let name = policy_name(generator);
    json_schema!({ "type": "array", "items": name, "uniqueItems": true })
}

pub(super) fn clusters(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "array", "items": cluster_pattern(), "minItems": 1 })
}

pub(super) fn exclude(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "array", "items": cluster_pattern() })
}

/// The tags that a policy gives: the characters that AWS allows, as far as they are ASCII, and no key that is
/// reserved.
pub(super) fn tags(_: &mut SchemaGenerator) -> Schema {
    let allowed = r##"^[^\x00-\x1f!"#$%&'()*,;<>?\[\\\]^`{|}~\x7f]*$"##;
    json_schema!({
        "type": "object",
        "maxProperties": MOST_OWN_TAGS,
        "propertyNames": {
            "minLength": 1,
            "maxLength": 128,
            "pattern": allowed,
            "not": { "pattern": "^([Aa][Ww][Ss]|[Rr][Ee][Dd][Kk][Ee][Ee][Pp]):" }
        },
        "additionalProperties": { "type": "string", "maxLength": 256, "pattern": allowed }
    })
}

/// The tags of clusters, which others gave.
pub(super) fn cluster_tags(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "propertyNames": { "minLength": 1, "maxLength": 128 },
        "additionalProperties": { "type": "string" }
    })
}

/// A policy that may lack anything and has no name.
pub(super) fn defaults(generator: &mut SchemaGenerator) -> Schema {
    let mut schema = RawPolicy::json_schema(generator);
    schema.remove("required");
    if let Some(Value::Object(keys)) = schema.get_mut("properties") {
        keys.remove("name");
    }
    schema
}

pub(super) fn receiver_kind(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "enum": ReceiverKind::ALL.map(ReceiverKind::as_str) })
}

pub(super) fn severity(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "enum": Severity::ALL.map(Severity::as_str) })
}

pub(super) fn events(_: &mut SchemaGenerator) -> Schema {
    let events = Event::TOLD.iter().chain(&[Event::Run, Event::Heartbeat]);
    let words: Vec<&str> = events.map(|event| event.as_str()).collect();
    filled_set(json!({ "type": "string", "enum": words }))
}

pub(super) fn policies(generator: &mut SchemaGenerator) -> Schema {
    filled_set(policy_name(generator).into())
}

pub(super) fn mail_addresses(_: &mut SchemaGenerator) -> Schema {
    filled_set(json!({ "type": "string", "pattern": "^[^@ ]+@[^@ ]+$" }))
}

/// An identifier, or a glob, which has one of `*?[{` at least.
fn cluster_pattern() -> Value {
    let literal = "[a-z][a-z0-9]*(-[a-z0-9]+)*";
    let glob = r"[a-z0-9,!^\]}-]*[*?\[{][a-z0-9*?\[\]{},!^-]*";
    json!({ "type": "string", "pattern": format!("^({literal}|{glob})$"), "maxLength": 256 })
}

fn filled_set(items: Value) -> Schema {
    json_schema!({ "type": "array", "items": items, "minItems": 1, "uniqueItems": true })
}
