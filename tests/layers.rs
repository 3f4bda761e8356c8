//! The layers, as the manifests have them: what no crate may depend on, and the modules of the core that need each other.
#![cfg(test)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use toml_edit::DocumentMut;

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
    let document: DocumentMut = text.parse().unwrap();
    let dependencies = document["dependencies"].as_table().unwrap();
    dependencies
        .iter()
        .map(|(name, _)| name.to_owned())
        .collect()
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

/// The modules of the core that each one names outside of its tests.
fn named() -> BTreeMap<String, BTreeSet<String>> {
    let source = Path::new(ROOT).join("crates/core/src");
    let mut named: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
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
            let words = lines.flat_map(|line| line.split("crate::").skip(1));
            let modules = words.map(|rest| {
                rest.split(|c: char| !c.is_ascii_lowercase() && c != '_')
                    .next()
                    .unwrap()
            });
            let others = modules.filter(|other| *other != module).map(str::to_owned);
            named.entry(module.clone()).or_default().extend(others);
        }
    }
    named
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
