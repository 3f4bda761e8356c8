//! Where each key of the merged configuration was written.
//!
//! Owns: the map from a [`KeyPath`] to file, line and column, or to a variable of the environment. figment
//! knows only the file, so each is parsed once more by toml_edit, which keeps the spans. Never looks at
//! what a value means.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use toml_edit::{ImDocument, Item, Key, TableLike, Value};

use super::error::Location;
use super::path::KeyPath;

/// Line starts of a text, to turn a byte into line and column.
pub(super) struct Lines<'a> {
    text: &'a str,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        let ends = text.match_indices('\n').map(|(at, _)| at + 1);
        let starts = std::iter::once(0).chain(ends).collect();
        Self { text, starts }
    }

    /// Line and column in characters, both from 1.
    pub(super) fn position(&self, byte: usize) -> (usize, usize) {
        let line = self.starts.partition_point(|start| *start <= byte);
        let start = self
            .starts
            .get(line.saturating_sub(1))
            .copied()
            .unwrap_or(0);
        let before = self.text.get(start..byte).unwrap_or("");
        (line, before.chars().count() + 1)
    }
}

/// Where a key and its value stand.
#[derive(Debug, Clone)]
struct Spot {
    key: Location,
    value: Location,
}

/// The places of all keys of all sources.
#[derive(Debug, Default)]
pub(super) struct Places {
    files: Vec<String>,
    spots: BTreeMap<KeyPath, Spot>,
    inherited: BTreeMap<KeyPath, KeyPath>,
}

impl Places {
    /// Makes a file known, in the order of reading.
    pub(super) fn add_file(&mut self, path: &Path) {
        self.files.push(path.display().to_string());
    }

    /// A place in a file, or the file as a whole.
    pub(super) fn in_file(&self, order: usize, position: Option<(usize, usize)>) -> Location {
        Location {
            order,
            position,
            source: self.files.get(order).cloned().unwrap_or_default(),
        }
    }

    /// Notes every key of a document. `offset` says how many items a list has from earlier files.
    pub(super) fn add_document(
        &mut self,
        order: usize,
        document: &ImDocument<&str>,
        offset: &dyn Fn(&str) -> usize,
    ) {
        let lines = Lines::new(document.raw());
        let root = KeyPath::root();
        let walk = &mut Walk {
            places: self,
            lines,
            order,
        };
        for (key, item) in keys(document.as_table()) {
            walk.entry(&root, key, item, offset(key.get()));
        }
    }

    /// Notes that a value comes from the environment.
    pub(super) fn replace_by_variable(&mut self, path: KeyPath, name: &str) {
        let place = Location::variable(name);
        self.spots.insert(
            path,
            Spot {
                key: place.clone(),
                value: place,
            },
        );
    }

    /// Notes that the value at `path` is the one of `[defaults]` at `origin`.
    pub(super) fn inherit(&mut self, path: KeyPath, origin: KeyPath) {
        self.inherited.insert(path, origin);
    }

    /// The path at which the value was written, which for an inherited one is under `[defaults]`.
    pub(super) fn origin(&self, path: &KeyPath) -> KeyPath {
        let inherited = path.upwards().find_map(|above| {
            let origin = self.inherited.get(&above)?;
            Some(path.moved(&above, origin))
        });
        inherited.unwrap_or_else(|| path.clone())
    }

    /// Where the value stands, or else the nearest table around it, or else the main file.
    pub(super) fn value(&self, path: &KeyPath) -> Location {
        self.nearest(path)
            .map_or_else(|| self.in_file(0, None), |spot| spot.value.clone())
    }

    /// Where the key stands, or else the nearest table around it, or else the main file.
    pub(super) fn key(&self, path: &KeyPath) -> Location {
        self.nearest(path)
            .map_or_else(|| self.in_file(0, None), |spot| spot.key.clone())
    }

    fn nearest(&self, path: &KeyPath) -> Option<&Spot> {
        path.upwards().find_map(|above| self.spots.get(&above))
    }
}

/// One pass over one document. Its depth is bounded: toml_edit parses no more than 80 levels.
struct Walk<'a> {
    places: &'a mut Places,
    lines: Lines<'a>,
    order: usize,
}

impl Walk<'_> {
    fn entry(&mut self, table: &KeyPath, key: &Key, item: &Item, offset: usize) {
        let path = table.key(key.get());
        self.note(&path, key.span(), item.span());
        match item {
            Item::Value(value) => self.value(&path, value, offset),
            Item::Table(table) => self.table(&path, table),
            Item::ArrayOfTables(tables) => {
                for (index, table) in tables.iter().enumerate() {
                    let path = path.item(offset + index);
                    self.note(&path, table.span(), table.span());
                    self.table(&path, table);
                }
            }
            Item::None => {}
        }
    }

    fn table(&mut self, path: &KeyPath, table: &dyn TableLike) {
        for (key, item) in keys(table) {
            self.entry(path, key, item, 0);
        }
    }

    fn value(&mut self, path: &KeyPath, value: &Value, offset: usize) {
        match value {
            Value::Array(array) => {
                for (index, value) in array.iter().enumerate() {
                    let path = path.item(offset + index);
                    self.note(&path, value.span(), value.span());
                    self.value(&path, value, 0);
                }
            }
            Value::InlineTable(table) => self.table(path, table),
            _ => {}
        }
    }

    fn note(&mut self, path: &KeyPath, key: Option<Range<usize>>, value: Option<Range<usize>>) {
        let place = |span: Range<usize>| {
            self.places
                .in_file(self.order, Some(self.lines.position(span.start)))
        };
        let (key, value) = (key.map(place), value.map(place));
        if let Some(first) = key.clone().or_else(|| value.clone()) {
            let key = key.unwrap_or_else(|| first.clone());
            let value = value.unwrap_or(first);
            // A list that goes on in a later file keeps the place where it began.
            self.places
                .spots
                .entry(path.clone())
                .or_insert(Spot { key, value });
        }
    }
}

fn keys(table: &dyn TableLike) -> impl Iterator<Item = (&Key, &Item)> {
    table.iter().filter_map(|(key, _)| table.get_key_value(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(text: &str, offset: usize) -> Places {
        let mut places = Places::default();
        places.add_file(Path::new("p.toml"));
        places.add_document(0, &ImDocument::parse(text).unwrap(), &|_| offset);
        places
    }

    #[test]
    fn places_count_lines_and_characters_from_one_in_every_form_of_table() {
        let places = places(
            "a = 1\r\n[t]\nü.b = [\n  \"é\", 2]\n\n[[p]]\nx = { \"é\" = 1, k = 2 }\n"
                .replace('ü', "\"ü\"")
                .as_str(),
            3,
        );
        let at = |path: &KeyPath| places.value(path).to_string();
        assert_eq!(at(&KeyPath::top("a")), "p.toml:1:5");
        let list = KeyPath::top("t").key("ü").key("b");
        assert_eq!(at(&list), "p.toml:3:9");
        assert_eq!(at(&list.item(1)), "p.toml:4:8");
        let element = KeyPath::top("p").item(3);
        assert_eq!(at(&element), "p.toml:6:1");
        assert_eq!(
            places.key(&element.key("x").key("k")).to_string(),
            "p.toml:7:16"
        );
        assert_eq!(at(&element.key("missing")), "p.toml:6:1");
        assert_eq!(at(&KeyPath::top("missing")), "p.toml");
    }

    #[test]
    fn an_inherited_value_is_placed_where_the_defaults_are() {
        let mut places = places("[defaults]\njitter = 1\ntags = { a = 2 }\n", 0);
        let policy = KeyPath::top("policy").item(0);
        places.inherit(policy.key("tags"), KeyPath::top("defaults").key("tags"));
        let origin = places.origin(&policy.key("tags").key("a"));
        assert_eq!(places.value(&origin).to_string(), "p.toml:3:14");
        assert_eq!(places.origin(&policy), policy);
    }
}
