//! The policy file as it is written: typed, unknown keys refused, nothing checked for meaning.
//!
//! Owns: which keys there are, and the errors of shape. Every key is optional here, because what is required
//! depends on `[defaults]`. figment stops at the first error; to tell them all, the value that it names is
//! taken out and the extraction begins again.

use std::collections::BTreeMap;

use figment::error::Kind;
use figment::value::{Dict, Empty, Value};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::error::{clean, quoted};
use super::path::KeyPath;
use super::report::{NAMED, Report};
use super::suggest::did_you_mean;
use super::wanted;

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
pub(super) const SCALARS: [&str; 15] = [
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
];

/// The keys whose value is true or false.
pub(super) const FLAGS: [&str; 2] = ["catch_up", "enabled"];

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

/// The top level. The tables are extracted one by one, so that an error in one of a thousand policies
/// does not mean reading all of them again.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawTop {
    pub(super) namespace: Option<String>,
    pub(super) state_dir: Option<String>,
    pub(super) listen: Option<String>,
    pub(super) endpoint: Option<String>,
    pub(super) writer: Option<String>,
    log: Option<Value>,
    defaults: Option<Value>,
    account: Vec<Value>,
    policy: Vec<Value>,
    blackout: Vec<Value>,
}

/// `[log]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawLog {
    pub(super) format: Option<String>,
    pub(super) level: Option<String>,
}

/// One `[[account]]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawAccount {
    pub(super) name: Option<String>,
    pub(super) regions: Option<RawList>,
    pub(super) snapshot_quota: Option<u32>,
}

/// One `[[policy]]`, or `[defaults]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawPolicy {
    pub(super) name: Option<String>,
    pub(super) schedule: Option<String>,
    pub(super) timezone: Option<String>,
    pub(super) clusters: Option<RawList>,
    pub(super) cluster_tags: Option<BTreeMap<String, String>>,
    pub(super) exclude: Option<RawList>,
    pub(super) accounts: Option<RawList>,
    pub(super) regions: Option<RawList>,
    pub(super) retention: Option<String>,
    pub(super) tags: Option<BTreeMap<String, String>>,
    pub(super) jitter: Option<String>,
    pub(super) start_window: Option<String>,
    pub(super) completion_window: Option<String>,
    pub(super) catch_up: Option<bool>,
    pub(super) blackout: Option<RawList>,
    pub(super) enabled: Option<bool>,
}

/// One `[[blackout]]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawBlackout {
    pub(super) name: Option<String>,
    pub(super) schedule: Option<String>,
    pub(super) duration: Option<String>,
    pub(super) timezone: Option<String>,
}

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
    Raw {
        log: extract_one(&mut log, &KeyPath::top("log"), report),
        defaults: raw_defaults,
        accounts: extract_all(std::mem::take(&mut top.account), "account", report),
        policies: extract_all(policies, "policy", report),
        blackouts: extract_all(std::mem::take(&mut top.blackout), "blackout", report),
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
            report.say_at_key(at, &table, format!("unknown key {}{hint}", quoted(key)));
        }
        Kind::InvalidType(..) | Kind::InvalidValue(..) => {
            let got = found.map_or_else(|| "nothing".to_owned(), shown);
            report.say(
                at,
                format!("got {got}, wanted {}", wanted::shape(at, found)),
            );
        }
        other => report.say(at, clean(&other.to_string())),
    }
}

fn unknown_key_hint(key: &str, known: &[&str], table: &KeyPath) -> String {
    let near = did_you_mean(key, known.iter().copied());
    if !near.is_empty() {
        near
    } else if !table.steps().is_empty() && TOP_KEYS[..5].contains(&key) {
        // TOML has no way back to the top level after the first header.
        "; it is a key of the top level, above the first [table]".to_owned()
    } else if table.steps().is_empty() && SCALARS.contains(&format!("defaults.{key}").as_str()) {
        "; it is a key of a [[policy]] or of [defaults]".to_owned()
    } else {
        format!("; the keys here are {}", known.join(", "))
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
