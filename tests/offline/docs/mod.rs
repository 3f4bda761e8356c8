//! The documentation tells the truth: its commands parse, its TOML loads, its tables have every key, metric and
//! field, and the help texts are those of `tests/golden/help/`.
//!
//! `BLESS=1 cargo test --test offline docs` writes the help texts anew. They are to be read before they are committed.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "what helpers unwrap is the test's own ground; its failure is the test's failure"
)]

mod page;
mod scenarios;
mod shell;
mod tables;
mod words;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use clap::CommandFactory;
use clap::error::ErrorKind;
use redkeep::cli::Cli;
use redkeep::config::{Config, ConfigErrors, Endpoint, Sources, load};

use self::page::{ROOT, blocks_of, pages, read};
use self::shell::{examples, shown};
use crate::support::process::finish;

/// A directory of one test's own, empty.
fn scratch(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join("docs")
        .join(name);
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).unwrap();
    path
}

/// Loads a text as the policy file, as it stands, where the AWS SDK would know a region.
fn loaded(text: &str, name: &str) -> Result<Config, ConfigErrors> {
    let file = scratch(name).join("redkeep.toml");
    fs::write(&file, text).unwrap();
    load(&Sources {
        file,
        environment: vec![("AWS_REGION".to_owned(), "eu-central-1".to_owned())],
        profiles: Default::default(),
    })
}

fn redkeep(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_redkeep"));
    finish(command.env_clear().args(arguments))
}

fn assert_parses(words: &[String], place: &str) {
    let parsed = Cli::read(words);
    let asks = |kind| matches!(kind, ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
    if let Err(error) = parsed.map(drop).or_else(|error| {
        if asks(error.kind()) {
            Ok(())
        } else {
            Err(error)
        }
    }) {
        panic!("{place}: {}\n{error}", words.join(" "));
    }
}

/// `redkeep` itself and its commands, as arguments.
fn commands() -> Vec<Vec<String>> {
    let named = Cli::command();
    let named = named
        .get_subcommands()
        .filter(|command| !command.is_hide_set())
        .map(|command| vec![command.get_name().to_owned()]);
    std::iter::once(Vec::new()).chain(named).collect()
}

fn help(command: &[String]) -> String {
    let mut arguments: Vec<&str> = command.iter().map(String::as_str).collect();
    arguments.push("--help");
    let output = redkeep(&arguments);
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn every_command_line_in_the_documentation_parses() {
    let mut count = 0;
    for (name, page) in pages() {
        for words in shown(&page) {
            assert_parses(&words, &name);
            count += 1;
        }
    }
    assert!(count > 30, "only {count} command lines were found");
}

#[test]
fn every_command_has_a_help_with_examples_that_parse() {
    for command in commands() {
        let help = help(&command);
        let examples = examples(&help);
        let own = |words: &Vec<String>| command.is_empty() || words[1] == command[0];
        assert!(
            examples.iter().any(own),
            "{command:?} has no example of its own:\n{help}"
        );
        examples
            .iter()
            .for_each(|words| assert_parses(words, &format!("--help of {command:?}")));
    }
}

#[test]
fn the_help_texts_are_the_golden_ones() {
    let directory = Path::new(ROOT).join("tests/golden/help");
    let bless = std::env::var_os("BLESS").is_some();
    let mut wanted = BTreeSet::new();
    for command in commands() {
        let name = command.first().map_or("redkeep", String::as_str);
        let file = directory.join(format!("{name}.txt"));
        let help = help(&command);
        if bless {
            fs::create_dir_all(&directory).unwrap();
            fs::write(&file, &help).unwrap();
        }
        let golden = fs::read_to_string(&file).unwrap_or_default();
        assert_eq!(help, golden, "{name}: BLESS=1 writes the golden text anew");
        wanted.insert(file);
    }
    let found = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    assert_eq!(
        found.collect::<BTreeSet<_>>(),
        wanted,
        "a golden text of no command"
    );
}

#[test]
fn every_block_of_toml_loads_as_it_stands() {
    let mut count = 0;
    for (name, page) in pages() {
        for block in blocks_of(&page, "toml") {
            let loaded = loaded(&block, "block");
            let config = loaded.unwrap_or_else(|errors| panic!("{name}: {errors}\n{block}"));
            assert!(
                config.warnings.is_empty(),
                "{name}: {:?}\n{block}",
                config.warnings
            );
            count += 1;
        }
    }
    assert!(count >= 3, "found {count} blocks");
}

/// The README's first screen promises two commands that do everything.
#[test]
fn the_two_commands_of_the_first_screen_are_the_ones_in_use() {
    let readme = read("README.md");
    let first_screen = readme.split("\n## ").next().unwrap();
    assert!(first_screen.lines().count() <= 30, "more than a screen");
    let commands = blocks_of(first_screen, "sh");
    assert_eq!(
        commands,
        [
            "cargo run -- run --config config/demo.toml\n",
            "cargo test\n"
        ]
    );
    assert!(
        read(".ci/run")
            .lines()
            .any(|line| line.contains(commands[1].trim())),
        ".ci/run does not run the README's tests"
    );
    let shown = scratch("readme").join("redkeep.toml");
    std::fs::write(&shown, blocks_of(first_screen, "toml").remove(0)).unwrap();
    for file in [shown.to_str().unwrap(), &format!("{ROOT}/config/demo.toml")] {
        let output = redkeep(&["check", file]);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{file}: {output:?}");
        assert!(!told.contains("warning"), "{file}: {told}");
    }
    let demo = load(&Sources {
        file: Path::new(ROOT).join("config/demo.toml"),
        environment: Vec::new(),
        profiles: Default::default(),
    });
    let demo = demo.unwrap();
    assert_eq!(demo.endpoint, Endpoint::Sandbox);
    // What the section after it says.
    assert_eq!(demo.listen.to_string(), "127.0.0.1:9835");
    assert!(
        demo.state_dir.ends_with("../target/demo"),
        "{:?}",
        demo.state_dir
    );
}
