//! The layers, as the manifests have them: what no crate may depend on, and the modules of the core that need each other.
#![expect(
    clippy::unwrap_used,
    reason = "what helpers unwrap is the test's own ground; its failure is the test's failure"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use toml_edit::{DocumentMut, TableLike};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// What each crate may take of the others, and what it may not have of the registry.
const LAYERS: [(&str, &[&str], &[&str]); 6] = [
    ("core", &[], &SHELL),
    (
        "policy-file",
        &["redkeep-core"],
        &[
            "tokio",
            "tracing",
            "rusqlite",
            "prometheus",
            "axum",
            "hyper",
        ],
    ),
    ("serve", &[], &["rusqlite", "prometheus", "figment", "clap"]),
    (
        "sandbox",
        &["redkeep-serve"],
        &["rusqlite", "prometheus", "figment", "clap"],
    ),
    (
        "store",
        &["redkeep-core", "redkeep-serve"],
        &["axum", "hyper", "prometheus", "figment", "clap"],
    ),
    (
        "simulation",
        &[
            "redkeep-core",
            "redkeep-policy-file",
            "redkeep-sandbox",
            "redkeep-store",
        ],
        &["prometheus", "clap", "axum", "hyper", "tracing"],
    ),
];

/// What runs, waits, stores, logs or asks.
const SHELL: [&str; 14] = [
    "axum",
    "clap",
    "csv",
    "figment",
    "hyper",
    "prometheus",
    "rusqlite",
    "rustix",
    "schemars",
    "sd-notify",
    "tokio",
    "toml_edit",
    "tracing",
    "tracing-subscriber",
];

/// The names that a manifest depends on, outside of its tests.
fn dependencies(manifest: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(manifest).unwrap();
    let names = of_table(text.parse::<DocumentMut>().unwrap().as_table());
    assert!(!names.is_empty(), "{} has none", manifest.display());
    names
}

/// Those of every table of dependencies that there is: for the build and for one platform, too, and by their own names.
fn of_table(table: &dyn TableLike) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (key, item) in table.iter().filter(|(key, _)| *key != "dev-dependencies") {
        let Some(inner) = item.as_table_like() else {
            continue;
        };
        match key.ends_with("dependencies") {
            true => names.extend(inner.iter().map(|(name, item)| {
                let own_name = item.get("package").and_then(|package| package.as_str());
                own_name.unwrap_or(name).to_owned()
            })),
            false => names.append(&mut of_table(inner)),
        }
    }
    names
}

#[test]
fn no_table_of_dependencies_and_no_other_name_hides_one() {
    let text = "[build-dependencies]\na = \"1\"\n[target.'cfg(unix)'.dependencies]\n\
                b = { package = \"tokio\", version = \"1\" }\n[dev-dependencies]\nc = \"1\"\n";
    let names = of_table(text.parse::<DocumentMut>().unwrap().as_table());
    assert_eq!(names.into_iter().collect::<Vec<_>>(), ["a", "tokio"]);
}

#[test]
fn each_crate_depends_on_what_its_layer_may() {
    for (name, may, never) in LAYERS {
        let manifest = Path::new(ROOT).join("crates").join(name).join("Cargo.toml");
        for dependency in dependencies(&manifest) {
            let ours = dependency.starts_with("redkeep");
            assert!(
                !ours || may.contains(&dependency.as_str()),
                "{name} depends on {dependency}"
            );
            assert!(
                !dependency.starts_with("aws"),
                "{name} names the SDK: {dependency}"
            );
            assert!(
                !never.contains(&dependency.as_str()),
                "{name} depends on {dependency}"
            );
        }
    }
}

/// Each source file of the core with its module and its code, without its tests and comments.
fn core_files() -> Vec<(PathBuf, String, String)> {
    let source = Path::new(ROOT).join("crates/core/src");
    let mut files = Vec::new();
    let mut open = vec![source.clone()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
                continue;
            }
            let is_test = path
                .file_stem()
                .is_some_and(|stem| stem == "tests" || stem == "samples");
            let module = path.strip_prefix(&source).unwrap().iter().next().unwrap();
            let module = module.to_str().unwrap().trim_end_matches(".rs").to_owned();
            if is_test || module == "lib" {
                continue;
            }
            let text = fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
            let lines = code
                .lines()
                .filter(|line| !line.trim_start().starts_with("//"));
            files.push((path, module, lines.collect::<Vec<_>>().join("\n")));
        }
    }
    assert!(files.len() > 60, "the core was not found: {files:?}");
    files
}

/// The modules of the core that each one names.
fn named() -> BTreeMap<String, BTreeSet<String>> {
    let mut named: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (path, module, code) in core_files() {
        let words = code.split("crate::").skip(1).map(|rest| {
            rest.split(|c: char| !c.is_ascii_lowercase() && c != '_')
                .next()
                .unwrap()
        });
        let others: BTreeSet<String> = words
            .filter(|other| *other != module)
            .map(str::to_owned)
            .collect();
        assert!(
            !others.contains(""),
            "{}: name one module for each `use crate::`",
            path.display()
        );
        named.entry(module).or_default().extend(others);
    }
    named
}

/// Beside clippy.toml, which lists functions and types one by one.
#[test]
fn the_core_names_nothing_of_the_machine() {
    let machine = [
        "fs",
        "env",
        "process",
        "thread",
        "os",
        "net::{",
        "net::Tcp",
        "net::Udp",
        "net::ToSocket",
    ];
    for (path, _, code) in core_files() {
        for name in machine {
            assert!(
                !code.contains(&format!("std::{name}")),
                "{}: std::{name}",
                path.display()
            );
        }
        assert!(
            !code.contains("use std::{"),
            "{}: name one module for each `use std::`",
            path.display()
        );
    }
}

/// Everything that a module needs, in the end.
fn reach(named: &BTreeMap<String, BTreeSet<String>>, from: &str) -> BTreeSet<String> {
    let mut reached = BTreeSet::new();
    let mut open = vec![from];
    while let Some(module) = open.pop() {
        for other in named.get(module).into_iter().flatten() {
            if reached.insert(other.clone()) {
                open.push(other);
            }
        }
    }
    reached
}

#[test]
fn the_modules_of_the_core_go_round_in_no_circle() {
    let named = named();
    assert!(named.len() > 20, "the core was not found: {named:?}");
    let in_circles: Vec<&String> = named
        .keys()
        .filter(|module| reach(&named, module).contains(*module))
        .collect();
    assert_eq!(in_circles, [""; 0], "these need each other: {named:#?}");
}

/// What is there for planted faults is not called by the program.
#[test]
fn the_program_falsifies_nothing_that_the_engine_knows() {
    let mut sources = Vec::new();
    rust_files(Path::new("src"), &mut sources);
    assert!(sources.len() > 50, "{sources:?}");
    for path in sources {
        let text = fs::read_to_string(&path).unwrap();
        for door in [".falsify(", ".lose_marks(", ".lose_wakes(", ".lose_index("] {
            assert!(!text.contains(door), "{path:?} calls {door}");
        }
    }
}

fn rust_files(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs") {
            found.push(path);
        }
    }
}
