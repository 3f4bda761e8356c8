//! The JSON Schema of the policy file (draft-07, which taplo and the editors built on it read).
//!
//! Owns: turning the structs of `raw` into one document. Never states a rule itself: the keys and what they
//! are for are in `raw`, their grammars in `grammar`.

use schemars::Schema;
use schemars::generate::SchemaSettings;
use schemars::transform::{RecursiveTransform, Transform};
use serde_json::Value;

use super::raw::RawTop;

/// The JSON Schema of the policy file, with a description of every key.
///
/// It refuses nothing that [`load`](super::load) accepts, so an editor never marks what is right. The other
/// way round it cannot know everything: whether an account is declared, or whether a schedule ever fires.
pub fn schema() -> Value {
    let settings = SchemaSettings::draft07().with(|settings| settings.inline_subschemas = true);
    let mut schema = settings.into_generator().into_root_schema_for::<RawTop>();
    schema.insert("title".to_owned(), "redkeep.toml".into());
    RecursiveTransform(as_toml).transform(&mut schema);
    schema.into()
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
