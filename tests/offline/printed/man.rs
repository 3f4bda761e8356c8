//! The manual pages: there is one for each command, nothing of another markup is left in them, and groff reads them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::CommandFactory;
use redkeep::cli::Cli;

use crate::printed::{finish, found, printed, redkeep, scratch};

fn pages(name: &str) -> Vec<(PathBuf, String)> {
    let directory = scratch(name);
    let listed = printed(&["man", directory.to_str().unwrap()]);
    let files = listed.lines().map(PathBuf::from);
    files
        .map(|file| (file.clone(), fs::read_to_string(&file).unwrap()))
        .collect()
}

fn name(file: &Path) -> &str {
    file.file_name().unwrap().to_str().unwrap()
}

#[test]
fn every_command_has_its_page_and_the_policy_file_too() {
    let pages = pages("man-names");
    let names: BTreeSet<&str> = pages.iter().map(|(file, _)| name(file)).collect();
    let program = Cli::command();
    let commands = program.get_subcommands().filter(|one| !one.is_hide_set());
    let mut wanted: BTreeSet<String> = commands
        .map(|command| format!("redkeep-{}.1", command.get_name()))
        .collect();
    wanted.extend(["redkeep.1".to_owned(), "redkeep.toml.5".to_owned()]);
    assert_eq!(names, wanted.iter().map(String::as_str).collect());
    let main = pages.iter().find(|(file, _)| name(file) == "redkeep.1");
    assert_eq!(printed(&["man"]), main.unwrap().1);
    let plan = pages
        .iter()
        .find(|(file, _)| name(file) == "redkeep-plan.1");
    let plan = &plan.unwrap().1;
    for part in [
        ".TH redkeep-plan 1",
        ".SH EXAMPLES",
        "redkeep plan \\-\\-policy nightly",
        "\\fBredkeep plan\\fR",
    ] {
        assert!(plan.contains(part), "{part} is not in\n{plan}");
    }
}

#[test]
fn the_page_of_the_policy_file_has_every_key_and_no_markdown() {
    let pages = pages("man-policy-file");
    let (_, page) = pages
        .iter()
        .find(|(file, _)| name(file) == "redkeep.toml.5")
        .unwrap();
    let schema = redkeep::config::schema();
    let tables = [
        "",
        "/log",
        "/account/items",
        "/policy/items",
        "/blackout/items",
    ];
    for table in tables {
        let at = match table {
            "" => "/properties".to_owned(),
            table => format!("/properties{table}/properties"),
        };
        for key in schema.pointer(&at).unwrap().as_object().unwrap().keys() {
            assert!(page.contains(key.as_str()), "{key} is not in the page");
        }
    }
    assert!(page.contains(".SH \"DURATIONS"), "{page}");
    for line in page.lines() {
        let markup = line.contains('`')
            || line.contains("](")
            || line.starts_with('|')
            || line.starts_with("## ")
            || line.contains("*fixed");
        assert!(!markup, "{line}");
    }
}

#[test]
fn groff_reads_every_page_without_a_warning() {
    if !found("groff") {
        return;
    }
    for (file, _) in pages("man-groff") {
        let mut groff = Command::new("groff");
        groff.args(["-man", "-Tutf8", "-Kutf8", "-ww", "-rLL=400n"]);
        let output = finish(groff.arg(&file));
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && told.is_empty(), "{told}");
    }
}

#[test]
fn a_directory_that_cannot_be_written_is_named() {
    let file = scratch("man-refused").join("file");
    fs::write(&file, "").unwrap();
    let output = redkeep(&["man", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("file/man1"), "{told}");
}
