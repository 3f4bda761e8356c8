//! The collector of errors and warnings while a configuration is read.
//!
//! Owns: how an error is worded and placed, and which values are spoilt, so that one mistake is told once.
//! Never decides what is right.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

use figment::value::Value;
use redkeep_core::problem::Problem;
use redkeep_core::settings::Warning;

use super::Config;
use super::error::{ConfigError, ConfigErrors, Location, clean, foreign, quoted};
use super::path::{KeyPath, Step};
use super::spans::Places;
use crate::zones::Database;

/// The tables that come in lists and have names.
pub(super) const NAMED: [&str; 4] = ["policy", "account", "blackout", "notify"];

/// What was found so far, and the zones that there are.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) zones: Database,
    pub(super) places: Places,
    pub(super) warnings: Vec<Warning>,
    /// A file could not be parsed: what seems to be missing may be in it.
    pub(super) incomplete: bool,
    errors: Vec<ConfigError>,
    spoilt: BTreeSet<KeyPath>,
    names: BTreeMap<KeyPath, String>,
}

impl Report {
    pub(super) fn new(zones: Database) -> Self {
        Self {
            zones,
            places: Places::default(),
            warnings: Vec::new(),
            incomplete: false,
            errors: Vec::new(),
            spoilt: BTreeSet::new(),
            names: BTreeMap::new(),
        }
    }

    /// Learns what the policies, accounts and blackouts call themselves.
    pub(super) fn learn_names(&mut self, tree: &Value) {
        for section in NAMED {
            let items = tree
                .find_ref(section)
                .and_then(Value::as_array)
                .unwrap_or(&[]);
            for (index, item) in items.iter().enumerate() {
                if let Some(name) = item.find_ref("name").and_then(Value::as_str) {
                    self.names
                        .insert(KeyPath::top(section).item(index), quoted(name));
                }
            }
        }
    }

    /// Records `got …, wanted …` at a value.
    pub(super) fn wrong(&mut self, path: &KeyPath, got: &str, wanted: impl Into<Problem>) {
        let problem = wanted
            .into()
            .after(format_args!("got {}, wanted ", quoted(got)));
        self.say(path, problem.and_hint(foreign(got)));
    }

    /// Records an error at a value.
    pub(super) fn say(&mut self, path: &KeyPath, problem: impl Into<Problem>) {
        let origin = self.places.origin(path);
        self.push(self.places.value(&origin), &origin, problem);
        self.spoil(path);
    }

    /// Records an error at a key.
    pub(super) fn say_at_key(
        &mut self,
        path: &KeyPath,
        about: &KeyPath,
        problem: impl Into<Problem>,
    ) {
        let origin = self.places.origin(path);
        let about = self.places.origin(about);
        self.push(self.places.key(&origin), &about, problem);
        self.spoil(path);
    }

    /// Records that a table lacks a key, unless a wrong value was there.
    pub(super) fn missing(&mut self, table: &KeyPath, key: &str, wanted: impl Display) {
        let path = table.key(key);
        let is_policy = table.steps().first() == Some(&Step::Key("policy".to_owned()));
        let default = (is_policy && key != "name").then(|| KeyPath::top("defaults").key(key));
        let told = self.is_spoilt(&path) || default.is_some_and(|path| self.is_spoilt(&path));
        if !told {
            self.push(
                self.places.value(table),
                &path,
                format!("missing, wanted {wanted}"),
            );
        }
    }

    /// Records an error that is about no key.
    pub(super) fn at(&mut self, place: Location, problem: impl Into<Problem>) {
        self.errors.push(ConfigError::new(place, problem.into()));
    }

    /// Records something that is suspicious and yet works.
    pub(super) fn warn(&mut self, path: &KeyPath, problem: impl Into<Problem>) {
        let problem = problem.into().after(self.subject(path));
        self.warn_at(self.places.value(path), problem);
    }

    /// The same about no key.
    pub(super) fn warn_at(&mut self, place: Location, problem: Problem) {
        self.warnings.push(Warning {
            source: place.source,
            position: place.position,
            problem,
        });
    }

    /// Notes that the value at `path` was reported, so that its absence is not.
    pub(super) fn spoil(&mut self, path: &KeyPath) {
        self.spoilt.insert(self.places.origin(path));
    }

    /// Whether the value at `path`, or a table around it, was reported.
    pub(super) fn is_spoilt(&self, path: &KeyPath) -> bool {
        let origin = self.places.origin(path);
        origin.upwards().any(|above| self.spoilt.contains(&above))
    }

    /// The result: the configuration with its warnings, or all that is wrong.
    pub(super) fn finish(self, made: Option<Config>) -> Result<Config, ConfigErrors> {
        match made {
            Some(made) if self.errors.is_empty() => Ok(Config {
                warnings: self.warnings,
                ..made
            }),
            _ => Err(ConfigErrors::new(self.errors)),
        }
    }

    fn push(&mut self, place: Location, about: &KeyPath, problem: impl Into<Problem>) {
        let problem = problem.into().after(self.subject(about));
        self.errors.push(ConfigError::new(place, problem));
    }

    /// What an error is about, as `policy "nightly": tags.team: `.
    fn subject(&self, path: &KeyPath) -> String {
        let (head, rest) = self.section(path);
        let rest = dotted(rest);
        match (head, rest.as_str()) {
            (None, "") => String::new(),
            (None, rest) => format!("{rest}: "),
            (Some(head), "") => format!("{head}: "),
            (Some(head), rest) => format!("{head}: {rest}: "),
        }
    }

    /// The named table that a path is in, and the rest of the path.
    fn section<'a>(&self, path: &'a KeyPath) -> (Option<String>, &'a [Step]) {
        let [Step::Key(section), Step::Item(index), rest @ ..] = path.steps() else {
            return (None, path.steps());
        };
        if !NAMED.contains(&section.as_str()) {
            return (None, path.steps());
        }
        let head = match self.names.get(&KeyPath::top(section).item(*index)) {
            Some(name) => format!("{section} {name}"),
            None => format!("{section}[{}]", index + 1),
        };
        (Some(head), rest)
    }
}

fn dotted(steps: &[Step]) -> String {
    let mut text = String::new();
    for step in steps {
        match step {
            Step::Item(index) => text += &format!("[{}]", index + 1),
            Step::Key(key) => {
                let bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
                let is_bare = !key.is_empty() && key.chars().all(bare);
                let dot = if text.is_empty() { "" } else { "." };
                let key = if is_bare { clean(key) } else { quoted(key) };
                text += &format!("{dot}{key}");
            }
        }
    }
    text
}
