//! docs/scenarios.md: every scenario names tests, and they exist.

use std::collections::BTreeSet;

use super::page::{read, table};

/// The scenarios whose tests are still to be written; a row for one of them takes it from here.
const TO_COME: [u32; 0] = [];

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
    let wanted = (1..=65).filter(|number| !TO_COME.contains(number));
    assert_eq!(numbers, wanted.collect::<Vec<_>>());
}
