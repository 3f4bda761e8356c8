//! docs/scenarios.md and the invariants of docs/semantics.md: each names its tests or its check, and they exist; and what
//! the source cites of them is there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::page::{ROOT, read, table};

const SEMANTICS: &str = "docs/semantics.md";

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

/// The numbers and the checks of the invariants.
fn invariants() -> BTreeMap<String, String> {
    let rows = table(&read(SEMANTICS), "## 7. Invariants");
    let of = |row: Vec<String>| match <[String; 3]>::try_from(row) {
        Ok([number, _, checks]) => (number, checks),
        Err(row) => panic!("{row:?}"),
    };
    rows.into_iter().map(of).collect()
}

#[test]
fn every_invariant_has_its_check_in_the_simulation() {
    for (number, checks) in invariants() {
        let paths = checks.split("](../").skip(1);
        let paths = paths.map(|rest| rest.split_once(')').unwrap().0);
        let fails = |path: &str| read(path).contains(&format!("\"{number}: "));
        let paths: Vec<&str> = paths.collect();
        assert!(!paths.is_empty(), "{number} names no check");
        for path in paths {
            assert!(
                fails(path),
                "{number}: nothing in {path} fails in its words"
            );
        }
    }
}

/// The source files of the program, its crates and their tests.
pub fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in folder.read_dir().unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The words of a text that are an `I` and a number.
fn cited(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| {
        let number = word.strip_prefix('I');
        number
            .is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
    })
}

#[test]
fn every_rule_that_the_source_cites_is_in_the_rules() {
    let (known, page) = (invariants(), read(SEMANTICS));
    let mut files = Vec::new();
    for folder in ["src", "crates", "tests"] {
        sources(&Path::new(ROOT).join(folder), &mut files);
    }
    let (mut invariants, mut sections) = (0, 0);
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        for number in cited(&text) {
            assert!(known.contains_key(number), "{file:?} cites {number}");
            invariants += 1;
        }
        for rest in text.split("semantics.md").skip(1) {
            let section = rest.trim_start_matches([',', ' ']).strip_prefix("section ");
            let Some(section) = section.and_then(|rest| rest.chars().next()) else {
                continue;
            };
            let heading = format!("\n## {section}. ");
            assert!(page.contains(&heading), "{file:?} cites section {section}");
            sections += 1;
        }
    }
    assert!(invariants > 50 && sections > 5, "{invariants}, {sections}");
}
