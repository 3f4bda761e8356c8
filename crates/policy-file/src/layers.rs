//! The sources laid over one another: the file, `conf.d`, the environment.
//!
//! Owns: which source may say what, and that the later one wins (in `conf.d`: adds). Never knows what a
//! value means. The texts and the variables are given; nothing here reads a file or `std::env`.

use figment::providers::{Format, Toml};
use figment::value::{Dict, Map, Value};
use figment::{Error, Figment, Metadata, Profile, Provider};
use toml_edit::ImDocument;

use super::error::{Location, clean, quoted};
use super::path::KeyPath;
use super::read::SourceFile;
use super::report::{NAMED, Report};
use super::schema;
use super::secrets;
use super::spans::Lines;
use redkeep_core::problem::Problem;
use redkeep_core::suggest::{nearest, suggestion};

const PREFIX: &str = "REDKEEP_";

/// The variables that redkeep knows and that are no settings: the command line's, a secret, and a test's.
const NO_SETTINGS: [&str; 3] = [
    "REDKEEP_CONFIG",
    "REDKEEP_DATABASE_PASSWORD",
    "REDKEEP_REQUIRE_PEERS",
];

/// One source, already read.
struct Layer(Dict);

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named("redkeep")
    }

    fn data(&self) -> Result<Map<Profile, Dict>, Error> {
        Ok(Profile::Default.collect(self.0.clone()))
    }
}

/// Merges the files and the environment, and notes in `report` where everything is from.
pub(super) fn merge(
    files: &[SourceFile],
    environment: &[(String, String)],
    report: &mut Report,
) -> Value {
    for file in files {
        report.places.add_file(&file.path);
    }
    let mut figment = Figment::new();
    for (order, file) in files.iter().enumerate() {
        match parse(order, &file.text, &figment, report) {
            Some(layer) => figment = figment.admerge(layer),
            None => report.incomplete = true,
        }
    }
    let variables = variables(environment, &figment, report);
    match figment.merge(variables).find_value("") {
        Ok(tree) => tree,
        Err(error) => {
            let place = report.places.in_file(0, None);
            report.at(place, clean(&error.to_string()));
            Value::from(Dict::new())
        }
    }
}

fn parse(order: usize, text: &str, earlier: &Figment, report: &mut Report) -> Option<Layer> {
    let document = match ImDocument::parse(text) {
        Ok(document) => document,
        Err(error) => {
            let position = error
                .span()
                .map(|span| Lines::new(text).position(span.start));
            let place = report.places.in_file(order, position);
            let message = error.message().replace('\n', "; ");
            report.at(
                place,
                Problem::from(clean(&message)).and_hint(twice(&message)),
            );
            return None;
        }
    };
    let length = |key: &str| match earlier.find_value(key) {
        Ok(Value::Array(_, items)) if NAMED.contains(&key) => items.len(),
        _ => 0,
    };
    report.places.add_document(order, &document, &length);
    let mut table: Dict = Toml::from_str(text).ok()?;
    if order > 0 {
        table.retain(|key, value| may_be_in_conf_d(order, &document, key, value, report));
    }
    Some(Layer(table))
}

/// A file without the line of its first syntax error and all that follows.
pub(super) fn before_the_error(file: SourceFile) -> SourceFile {
    let mut text = file.text;
    while let Err(error) = ImDocument::parse(text.as_str()) {
        let at = error.span().map_or(0, |span| span.start);
        let end = text.get(..at).and_then(|before| before.rfind('\n'));
        text.truncate(end.unwrap_or_default());
    }
    SourceFile { text, ..file }
}

/// What to do about a list that is written as a table, which TOML refuses where it comes again.
fn twice(message: &str) -> Option<String> {
    let is_of =
        |key: &&&str| message.contains("duplicate key") && message.contains(&format!("`{key}`"));
    let key = *NAMED.iter().find(is_of)?;
    let one = if key == "notify" { "receiver" } else { key };
    Some(format!("write [[{key}]] above each {one}"))
}

/// Whether a key of a file in `conf.d` is one of the lists that may go on there; if not, says so.
fn may_be_in_conf_d(
    order: usize,
    document: &ImDocument<&str>,
    key: &str,
    value: &Value,
    report: &mut Report,
) -> bool {
    let named = NAMED.contains(&key);
    if named && matches!(value, Value::Array(..)) {
        return true;
    }
    report.incomplete |= named;
    let span = document.get_key_value(key).and_then(|(key, _)| key.span());
    let position = span.map(|span| Lines::new(document.raw()).position(span.start));
    let place = report.places.in_file(order, position);
    let main = report.places.in_file(0, None);
    let shown = quoted(key);
    report.at(
        place,
        if named {
            format!("{key}: wanted tables, each under its own [[{key}]]").into()
        } else if secrets::is_secret_key(key) {
            secrets::problem()
        } else if schema::is_top_key(key) {
            Problem::hinted(
                format!("{key}: it belongs in the main file, {main}"),
                "conf.d adds [[policy]], [[account]], [[blackout]] and [[notify]]",
            )
        } else {
            Problem::from(format!("unknown key {shown}")).and_hint(suggestion(key, NAMED))
        },
    );
    false
}

/// The layer of the environment. Only scalar settings are in it: a list in a variable would need a
/// syntax of its own.
fn variables(environment: &[(String, String)], files: &Figment, report: &mut Report) -> Layer {
    let mut layer = Dict::new();
    for (name, value) in environment {
        let Some(setting) = name.strip_prefix(PREFIX) else {
            continue;
        };
        if NO_SETTINGS.contains(&name.as_str()) {
            continue;
        }
        let setting = setting.to_lowercase().replace("__", ".");
        if !schema::is_setting(&setting) {
            // Without the prefix, which every name has and which says nothing of nearness.
            let hint = nearest(&setting, schema::settings())
                .map(|near| format!("did you mean {:?}?", variable(near)));
            let problem = Problem::from("names no setting").and_hint(hint);
            report.warn_at(Location::variable(&clean(name)), problem);
            continue;
        }
        let parts: Vec<&str> = setting.split('.').collect();
        let value = scalar(&setting, value);
        match parts.as_slice() {
            // A table that is no table is reported as such, and no variable hides it.
            [table, _]
                if files
                    .find_value(table)
                    .is_ok_and(|table| table.as_dict().is_none()) => {}
            [table, key] => {
                let path = KeyPath::top(table).key(key);
                report.places.replace_by_variable(path, name);
                let entry = layer
                    .entry((*table).to_owned())
                    .or_insert_with(|| Dict::new().into());
                if let Value::Dict(_, table) = entry {
                    table.insert((*key).to_owned(), value);
                }
            }
            _ => {
                report
                    .places
                    .replace_by_variable(KeyPath::top(&setting), name);
                layer.insert(setting, value);
            }
        }
    }
    Layer(layer)
}

fn variable(setting: &str) -> String {
    format!("{PREFIX}{}", setting.to_uppercase().replace('.', "__"))
}

/// A variable is a text, whatever it looks like, except where the setting is true or false.
fn scalar(setting: &str, value: &str) -> Value {
    match value.parse::<bool>() {
        Ok(flag) if schema::is_flag(setting) => flag.into(),
        _ => value.into(),
    }
}
