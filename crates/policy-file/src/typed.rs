//! From the merged tree to typed tables, and the errors of shape.
//!
//! Owns: laying `[defaults]` under every policy, and telling every value that does not fit its key. Never
//! knows which keys there are (that is `raw`) nor what a value means (that is `validate`). figment stops at
//! the first error; to tell them all, the value that it names is taken out and the extraction begins again.

use figment::error::Kind;
use figment::value::{Dict, Empty, Value};
use serde::de::DeserializeOwned;

use super::error::{clean, quoted};
use super::expected;
use super::path::KeyPath;
use super::raw::{Raw, RawTop};
use super::report::{NAMED, Report};
use super::schema::is_setting;
use redkeep_core::problem::Problem;
use redkeep_core::suggest::suggestion;

/// Reads the merged tree, with `[defaults]` laid under every policy.
pub(super) fn extract(mut tree: Value, report: &mut Report) -> Raw {
    let mut top: RawTop = extract_one(&mut tree, &KeyPath::root(), report);
    // What is declared in a section of the wrong shape is not known, and so neither is what is undeclared.
    report.incomplete |= NAMED.iter().any(|key| report.is_spoilt(&KeyPath::top(key)));
    let table = |value: Option<Value>| value.unwrap_or_else(|| Dict::new().into());
    let (mut log, mut defaults) = (table(top.log.take()), table(top.defaults.take()));
    let defaults_path = KeyPath::top("defaults");
    let raw_defaults = extract_one(&mut defaults, &defaults_path, report);
    let mut policies = std::mem::take(&mut top.policy);
    for (index, policy) in policies.iter_mut().enumerate() {
        inherit(
            policy,
            &KeyPath::top("policy").item(index),
            &defaults,
            report,
        );
    }
    let database = top.database.take();
    let database =
        database.map(|mut table| extract_one(&mut table, &KeyPath::top("database"), report));
    Raw {
        database,
        log: extract_one(&mut log, &KeyPath::top("log"), report),
        defaults: raw_defaults,
        accounts: extract_all(std::mem::take(&mut top.account), "account", report),
        policies: extract_all(policies, "policy", report),
        blackouts: extract_all(std::mem::take(&mut top.blackout), "blackout", report),
        receivers: extract_all(std::mem::take(&mut top.notify), "notify", report),
        top,
    }
}

/// Lays the defaults under a policy: `tags` are merged by key, any other key is the policy's own or else
/// the default's.
fn inherit(policy: &mut Value, path: &KeyPath, defaults: &Value, report: &mut Report) {
    let (Value::Dict(_, policy), Value::Dict(_, defaults)) = (policy, defaults) else {
        return;
    };
    for (key, default) in defaults.iter().filter(|(key, _)| *key != "name") {
        let (path, origin) = (path.key(key), KeyPath::top("defaults").key(key));
        match (policy.get_mut(key), default) {
            (None, _) => {
                policy.insert(key.clone(), default.clone());
                report.places.inherit(path, origin);
            }
            (Some(Value::Dict(_, own)), Value::Dict(_, tags)) if key == "tags" => {
                for (tag, value) in tags
                    .iter()
                    .filter(|(tag, _)| !own.contains_key(*tag))
                    .collect::<Vec<_>>()
                {
                    own.insert(tag.clone(), value.clone());
                    report.places.inherit(path.key(tag), origin.key(tag));
                }
            }
            (Some(_), _) => {}
        }
    }
}

fn extract_all<T>(values: Vec<Value>, section: &str, report: &mut Report) -> Vec<T>
where
    T: DeserializeOwned + Default,
{
    let path = KeyPath::top(section);
    let values = values.into_iter().enumerate();
    values
        .map(|(index, mut value)| extract_one(&mut value, &path.item(index), report))
        .collect()
}

/// Reads a table, reporting every value that does not fit and taking it out.
fn extract_one<T>(value: &mut Value, path: &KeyPath, report: &mut Report) -> T
where
    T: DeserializeOwned + Default,
{
    // Every round takes one value out, so there are no more rounds than values.
    for _ in 0..=count(value) {
        match value.deserialize() {
            Ok(made) => return made,
            Err(error) => {
                let at = path.below(value, &error.path);
                record(&error.kind, find(value, &error.path), &at, report);
                remove(value, &error.path);
            }
        }
    }
    T::default()
}

fn record(kind: &Kind, found: Option<&Value>, at: &KeyPath, report: &mut Report) {
    match kind {
        Kind::UnknownField(key, known) => {
            let table = at.parent().unwrap_or_default();
            let hint = unknown_key_hint(key, known, &table);
            let problem = Problem::hinted(format!("unknown key {}", quoted(key)), hint);
            report.say_at_key(at, &table, problem);
        }
        Kind::InvalidType(_, kind) | Kind::InvalidValue(_, kind) => {
            let got = found.map_or_else(|| "nothing".to_owned(), shown);
            report.say(
                at,
                format!("got {got}, wanted {}", expected::shape(at, found, kind)),
            );
        }
        other => report.say(at, clean(&other.to_string())),
    }
}

/// What other programs call a key.
const SYNONYMS: &[(&[&str], &str)] = &[
    (
        &["cron", "at", "when", "crontab", "schedule_expression"],
        "schedule",
    ),
    (&["tz", "zone", "time_zone"], "timezone"),
    (
        &[
            "keep",
            "keep_days",
            "retention_days",
            "retention_period",
            "expire",
            "ttl",
        ],
        "retention",
    ),
    (
        &["cluster_id", "cluster_identifier", "targets", "include"],
        "clusters",
    ),
    (&["skip", "ignore", "excludes"], "exclude"),
    (&["labels"], "tags"),
    (&["type"], "kind"),
    (&["role", "assume_role"], "role_arn"),
    (&["quota"], "snapshot_quota"),
];

fn unknown_key_hint(key: &str, known: &[&str], table: &KeyPath) -> String {
    let other = SYNONYMS.iter().find(|(words, _)| words.contains(&key));
    if let Some((_, meant)) = other.filter(|(_, meant)| known.contains(meant)) {
        format!("did you mean {meant:?}?")
    } else if let Some(near) = suggestion(key, known.iter().copied()) {
        near
    } else if !table.steps().is_empty() && is_setting(key) {
        // TOML has no way back to the top level after the first header.
        "it is a key of the top level, above the first [table]".to_owned()
    } else if table.steps().is_empty() && is_setting(&format!("defaults.{key}")) {
        "it is a key of a [[policy]] or of [defaults]".to_owned()
    } else {
        format!("the keys here are {}", known.join(", "))
    }
}

/// A value as an error shows it.
fn shown(value: &Value) -> String {
    match value {
        Value::String(_, text) => quoted(text),
        Value::Array(..) => "a list".to_owned(),
        Value::Bool(_, flag) => flag.to_string(),
        Value::Num(_, number) => match (number.to_i128(), number.to_u128(), number.to_f64()) {
            (Some(number), ..) => number.to_string(),
            (_, Some(number), _) => number.to_string(),
            (_, _, Some(number)) => format!("{number:?}"),
            _ => "a number".to_owned(),
        },
        Value::Dict(_, table) if table.keys().any(|key| key.ends_with("private_datetime")) => {
            "a date or time without quotes".to_owned()
        }
        Value::Dict(..) => "a table".to_owned(),
        Value::Char(..) | Value::Empty(..) => "nothing".to_owned(),
    }
}

fn count(value: &Value) -> usize {
    1 + match value {
        Value::Dict(_, table) => table.values().map(count).sum(),
        Value::Array(_, items) => items.iter().map(count).sum::<usize>(),
        _ => 0,
    }
}

fn find<'a>(value: &'a Value, path: &[String]) -> Option<&'a Value> {
    path.iter().try_fold(value, |here, word| match here {
        Value::Dict(_, table) => table.get(word),
        Value::Array(_, items) => items.get(word.parse::<usize>().ok()?),
        _ => None,
    })
}

/// Takes out what is at `path`; an item of a list becomes empty, so that the others keep their places.
fn remove(value: &mut Value, path: &[String]) {
    match (value, path) {
        (value, []) => *value = Dict::new().into(),
        (Value::Dict(_, table), [last]) => {
            table.remove(last);
        }
        (Value::Array(_, items), [last]) => {
            if let Some(item) = last
                .parse()
                .ok()
                .and_then(|index: usize| items.get_mut(index))
            {
                *item = Empty::None.into();
            }
        }
        (Value::Dict(_, table), [first, rest @ ..]) => {
            if let Some(value) = table.get_mut(first) {
                remove(value, rest);
            }
        }
        (Value::Array(_, items), [first, rest @ ..]) => {
            if let Some(value) = first
                .parse()
                .ok()
                .and_then(|index: usize| items.get_mut(index))
            {
                remove(value, rest);
            }
        }
        _ => {}
    }
}
