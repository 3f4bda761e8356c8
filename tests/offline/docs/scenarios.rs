//! docs/scenarios.md and the invariants of docs/semantics.md: each names its tests, and they exist.

use std::collections::BTreeSet;
use std::path::Path;

use super::page::{read, table};

/// The names of the tests of a source file.
fn tests_of(path: &str) -> BTreeSet<String> {
    let (mut names, mut is_test) = (BTreeSet::new(), false);
    for line in read(path).lines().map(str::trim) {
        if ["#[test]", "#[tokio::test"]
            .iter()
            .any(|mark| line.starts_with(mark))
        {
            is_test = true;
        } else if let Some((_, rest)) = line.split_once("fn ").filter(|_| is_test) {
            names.extend(rest.split_once('(').map(|(name, _)| name.to_owned()));
            is_test = false;
        }
    }
    names
}

#[test]
fn every_scenario_has_its_tests() {
    let rows = table(&read("docs/scenarios.md"), "## Scenarios");
    let mut numbers = Vec::new();
    for row in &rows {
        let [of, _, tests] = row.as_slice() else {
            panic!("{row:?}")
        };
        numbers.extend(of.split(", ").map(|number| number.parse::<u32>().unwrap()));
        for test in tests.split(", ") {
            let (path, name) = test.trim_matches('`').split_once("::").unwrap();
            assert!(
                tests_of(path).contains(name),
                "{of}: {path} has no test {name}"
            );
        }
    }
    assert!(numbers.len() >= 65, "{numbers:?}");
    let wanted = (1..).take(numbers.len());
    assert_eq!(numbers, wanted.collect::<Vec<_>>());
}

#[test]
fn every_invariant_has_its_check_in_the_simulation() {
    let sources = ["src/sim", "src/seed", "tests/lives"]
        .map(|folder| Path::new("crates/simulation").join(folder));
    let files = sources.iter().flat_map(|folder| folder.read_dir().unwrap());
    let files = files.map(|file| file.unwrap().path());
    let texts = files.filter(|path| path.is_file());
    let text: String = texts
        .map(|path| std::fs::read_to_string(path).unwrap())
        .collect();
    for row in table(&read("docs/semantics.md"), "## 7. Invariants") {
        let check = format!("\"{}: ", row[0]);
        assert!(
            text.contains(&check),
            "{}: nothing fails in its words",
            row[0]
        );
    }
}
