//! The JSON Schema of the policy file (draft-07, which taplo and the editors built on it read).
//!
//! Owns: turning the structs of `raw` into one document, and what the program asks of it: which keys there are. Never states
//! a rule itself: the keys and what they are for are in `raw` and `keys`, their grammars in `grammar` and `kinds`.

use std::sync::LazyLock;

use schemars::Schema;
use schemars::generate::SchemaSettings;
use schemars::transform::{RecursiveTransform, Transform};
use serde_json::Value;

use super::raw::RawTop;

/// The JSON Schema of the policy file, with a description of every key.
///
/// The schema refuses nothing that [`load`](super::load) accepts, so an editor never marks what is right. The other
/// way round it cannot know everything: whether an account is declared, or whether a schedule ever fires.
pub fn schema() -> Value {
    let settings = SchemaSettings::draft07().with(|settings| settings.inline_subschemas = true);
    let mut schema = settings.into_generator().into_root_schema_for::<RawTop>();
    schema.insert("title".to_owned(), "redkeep.toml".into());
    RecursiveTransform(as_toml).transform(&mut schema);
    schema.into()
}

/// What the program itself asks the schema for: it is the same in every run.
static SCHEMA: LazyLock<Value> = LazyLock::new(schema);

/// The single settings, which the environment may give: the keys that are neither a list nor a table, those of a table as
/// `log.level`.
static SETTINGS: LazyLock<Vec<(String, &Value)>> = LazyLock::new(|| {
    let in_table = |table: &'static str| {
        let keys = keys(&SCHEMA["properties"][table]);
        keys.map(move |(key, schema)| (format!("{table}.{key}"), schema))
    };
    let top = keys(&SCHEMA).map(|(key, schema)| (key.clone(), schema));
    let all = top
        .chain(in_table("database"))
        .chain(in_table("log"))
        .chain(in_table("defaults"));
    all.filter(|(_, schema)| is_single(schema)).collect()
});

fn keys(table: &Value) -> impl Iterator<Item = (&String, &Value)> {
    table["properties"].as_object().into_iter().flatten()
}

/// Whether a single value can stand at a key.
fn is_single(schema: &Value) -> bool {
    let forms = schema["anyOf"].as_array();
    match schema["type"].as_str() {
        Some(kind) => kind != "array" && kind != "object",
        None => forms.is_some_and(|forms| forms.iter().any(is_single)),
    }
}

/// Whether there is such a key at the top level.
pub(super) fn is_top_key(key: &str) -> bool {
    keys(&SCHEMA).any(|(known, _)| known == key)
}

/// The names of the single settings, as `listen` or `log.level`.
pub(super) fn settings() -> impl Iterator<Item = &'static str> {
    SETTINGS.iter().map(|(name, _)| name.as_str())
}

/// Whether this is the name of a single setting.
pub(super) fn is_setting(name: &str) -> bool {
    settings().any(|known| known == name)
}

/// Whether this is the name of a setting that is true or false.
pub(super) fn is_flag(name: &str) -> bool {
    let mut flags = SETTINGS
        .iter()
        .filter(|(_, schema)| schema["type"] == "boolean");
    flags.any(|(known, _)| known == name)
}

/// TOML has no null, and a description has no lines.
fn as_toml(schema: &mut Schema) {
    if schema.get("default").is_some_and(Value::is_null) {
        schema.remove("default");
    }
    if let Some(Value::String(text)) = schema.get_mut("description") {
        *text = text.replace('\n', " ");
    }
}
