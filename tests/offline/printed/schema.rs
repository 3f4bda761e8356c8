//! The JSON Schema of the policy file: it is the one in `config/`, and it agrees with what loading says.
//!
//! The judge is Python's jsonschema, installed by `tests/peers/install.sh`. Without it these tests say that they are
//! skipped; with `REDKEEP_REQUIRE_PEERS=1` its absence is a failure.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use figment::providers::{Format, Toml};
use redkeep::config::schema;
use serde_json::{Value, json};

use crate::printed::{ROOT, printed};
use crate::support::process::{finish, finish_with};

/// Files that are wrong in a way that no schema can see: it knows of no schedule's slots, no other file, and not of
/// the region that the AWS SDK would use.
const WRONG_BY_MEANING: [&str; 5] = [
    "clear-text.toml",
    "conf-d/redkeep.toml",
    "endless-blackout.toml",
    "no-region.toml",
    "partitions.toml",
];

/// The faults of each document, as `path: message`; `None` where there is nobody to judge.
pub fn judged(documents: &[Value]) -> Option<Vec<Vec<String>>> {
    let python = Path::new(ROOT).join("target/peers/bin/python");
    let asks = || finish(Command::new(&python).args(["-c", "import jsonschema"]));
    let here = python.exists() && asks().status.success();
    if !here {
        let reason = "jsonschema is not installed: run tests/peers/install.sh";
        let required = std::env::var_os("REDKEEP_REQUIRE_PEERS").is_some();
        assert!(!required, "{reason}");
        eprintln!("skipped, because {reason}");
        return None;
    }
    let mut judge = Command::new(&python);
    judge.arg(Path::new(ROOT).join("tests/peers/json_schema.py"));
    let asked = json!({ "schema": schema(), "documents": documents }).to_string();
    let output = finish_with(&mut judge, &asked);
    assert!(output.status.success(), "{output:?}");
    let faults: Vec<Vec<(String, String)>> = serde_json::from_slice(&output.stdout).unwrap();
    let told = |faults: Vec<(String, String)>| {
        let faults = faults.into_iter();
        faults
            .map(|(path, message)| format!("{path}: {message}"))
            .collect()
    };
    Some(faults.into_iter().map(told).collect())
}

pub fn document(text: &str) -> Option<Value> {
    Toml::from_str(text).ok()
}

/// The TOML files of a directory, and of the directories in it, by their paths within it.
fn files(directory: &str) -> Vec<(String, String)> {
    fn walk(directory: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if path.is_dir() {
                walk(&path, found);
            } else if name.ends_with(".toml") && !name.starts_with('.') {
                found.push(path);
            }
        }
    }
    let root = Path::new(ROOT).join(directory);
    let mut found = Vec::new();
    walk(&root, &mut found);
    found.sort();
    assert!(found.len() >= 2, "{directory} has {} files", found.len());
    let named = |path: PathBuf| {
        let name = path
            .strip_prefix(&root)
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned();
        (name, fs::read_to_string(path).unwrap())
    };
    found.into_iter().map(named).collect()
}

#[test]
fn the_file_beside_the_samples_is_the_output_of_the_command() {
    let file = Path::new(ROOT).join("config/redkeep.schema.json");
    let schema = printed(&["schema"]);
    if std::env::var_os("BLESS").is_some() {
        fs::write(&file, &schema).unwrap();
    }
    let written = fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(written, schema, "BLESS=1 writes it anew");
    for (name, text) in files("config") {
        assert!(
            text.starts_with("#:schema ./redkeep.schema.json\n"),
            "{name}"
        );
    }
}

#[test]
fn every_good_file_is_valid() {
    let mut good = files("tests/config/good");
    good.extend(files("config"));
    let documents: Vec<Value> = good
        .iter()
        .map(|(_, text)| document(text).unwrap())
        .collect();
    for ((name, _), faults) in good.iter().zip(judged(&documents).unwrap_or_default()) {
        assert_eq!(faults, [""; 0], "{name}");
    }
}

#[test]
fn every_file_that_is_wrong_by_its_form_is_refused() {
    let bad = files("tests/config/bad");
    let parsed = bad
        .iter()
        .filter_map(|(name, text)| Some((name, document(text)?)));
    let (names, documents): (Vec<&String>, Vec<Value>) = parsed.unzip();
    for (name, faults) in names.iter().zip(judged(&documents).unwrap_or_default()) {
        let valid = WRONG_BY_MEANING.contains(&name.as_str());
        assert_eq!(
            faults.is_empty(),
            valid,
            "{name}: {faults:?}\nWRONG_BY_MEANING lists what a schema cannot see"
        );
    }
}
