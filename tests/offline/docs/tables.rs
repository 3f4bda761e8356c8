//! The tables of the reference pages are exactly what the program has: keys and what they mean, defaults, options,
//! metrics, fields.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use chrono::DateTime;
use clap::{Arg, CommandFactory};
use redkeep::cli::Cli;
use redkeep::config;
use redkeep::metrics::Metrics;
use redkeep::redshift::Operation;
use redkeep::store::{EndpointKind, Store};
use serde_json::Value;

use crate::docs::page::{blocks_of, code, read, table};
use crate::docs::shell::shown as shown_commands;
use crate::docs::{loaded, redkeep, scratch};

const POLICY_FILE: &str = "docs/policy-file.md";

/// The headings under which the page has a table of keys, and how a file gets to such a key.
const KEY_TABLES: [(&str, &[&str]); 5] = [
    ("## Top level", &[""]),
    ("## `[log]`", &["[log]\n"]),
    ("## `[[account]]`", &["[[account]]\n"]),
    (
        "## `[[policy]]` and `[defaults]`",
        &["[[policy]]\n", "[defaults]\n"],
    ),
    ("## `[[blackout]]`", &["[[blackout]]\n"]),
];

/// The keys that a table of the configuration has, from the error for one that it does not have.
fn accepted_keys(header: &str) -> BTreeSet<String> {
    let errors = loaded(&format!("{header}qqqqqqqqqqqq = 1\n"), "unknown")
        .unwrap_err()
        .to_string();
    let (_, keys) = errors
        .split_once("; the keys here are ")
        .unwrap_or_else(|| panic!("{errors}"));
    keys.lines()
        .next()
        .unwrap()
        .split(", ")
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_policy_files_page_has_exactly_its_keys() {
    let page = read(POLICY_FILE);
    for (heading, headers) in KEY_TABLES {
        let rows = table(&page, heading);
        let keys = rows
            .iter()
            .map(|row| code(&row[0]).unwrap().trim_matches(['[', ']']).to_owned());
        let documented: BTreeSet<String> = keys.collect();
        assert_eq!(
            documented.len(),
            rows.len(),
            "{heading}: a key is there twice"
        );
        for header in headers {
            assert_eq!(
                documented,
                accepted_keys(header),
                "{POLICY_FILE}, {heading}, {header}"
            );
        }
    }
}

/// Every default that is a value changes nothing when it is written out.
#[test]
fn the_policy_files_page_has_its_defaults() {
    let page = read(POLICY_FILE);
    let required: [(&str, &str); 5] = [
        ("", ""),
        ("[log]\n", ""),
        (
            "[[account]]\n",
            "name = \"a\"\nregions = [\"eu-central-1\"]\n",
        ),
        (
            "[[policy]]\n",
            "name = \"p\"\nschedule = \"@daily\"\nclusters = [\"c\"]\nretention = \"1d\"\n",
        ),
        (
            "[[blackout]]\n",
            "name = \"b\"\nschedule = \"@daily\"\nduration = \"1h\"\n",
        ),
    ];
    let file = |written: Option<(usize, &str)>| {
        let part = |(index, (header, keys)): (usize, (&str, &str))| {
            let more = written
                .filter(|(at, _)| *at == index)
                .map_or("", |(_, line)| line);
            format!("{header}{keys}{more}\n")
        };
        let text: String = required.into_iter().enumerate().map(part).collect();
        format!(
            "{:?}",
            loaded(&text, "defaults").unwrap_or_else(|errors| panic!("{errors}\n{text}"))
        )
    };
    let plain = file(None);
    let mut count = 0;
    for (index, (heading, _)) in KEY_TABLES.iter().enumerate() {
        for row in table(&page, heading) {
            if let (Some(key), Some(default)) = (code(&row[0]), code(&row[1])) {
                assert_eq!(
                    file(Some((index, &format!("{key} = {default}")))),
                    plain,
                    "{key} = {default}"
                );
                count += 1;
            }
        }
    }
    assert!(count >= 15, "found {count} defaults");
}

/// The schema of the table under a heading of the page.
fn keys_of<'a>(schema: &'a Value, heading: &str) -> &'a Value {
    let at = match heading {
        "## `[log]`" => "/properties/log/properties",
        "## `[[account]]`" => "/properties/account/items/properties",
        "## `[[policy]]` and `[defaults]`" => "/properties/policy/items/properties",
        "## `[[blackout]]`" => "/properties/blackout/items/properties",
        _ => "/properties",
    };
    schema.pointer(at).unwrap()
}

/// One text explains a key on the page, in an editor and on the manual page, and they give one default.
#[test]
fn the_policy_files_page_says_of_a_key_what_the_schema_says() {
    let (page, schema) = (read(POLICY_FILE), config::schema());
    for (heading, _) in KEY_TABLES {
        let keys = keys_of(&schema, heading);
        for row in table(&page, heading) {
            let name = code(&row[0]).unwrap().trim_matches(['[', ']']).to_owned();
            let key = &keys[&name];
            assert_eq!(key["description"], row[2].as_str(), "{heading}, {name}");
            let default = key.get("default").map(Value::to_string);
            let default = default.filter(|_| !row[0].contains('['));
            assert_eq!(code(&row[1]), default.as_deref(), "{heading}, {name}");
        }
    }
}

/// The options that the page has for a command are those that its help has, but for those of all commands.
#[test]
fn the_commands_page_has_exactly_the_commands_and_their_options() {
    let page = read("docs/commands.md");
    let everywhere = [
        "config", "help", "version", "output", "color", "utc", "local",
    ];
    let program = Cli::command();
    let mut headings = BTreeSet::new();
    for command in program.get_subcommands().filter(|one| !one.is_hide_set()) {
        let heading = format!("## `{}`", command.get_name());
        let shown = command.get_arguments().filter(|arg| !arg.is_hide_set());
        let options = shown.filter_map(Arg::get_long);
        let options: BTreeSet<String> = options
            .filter(|option| !everywhere.contains(option))
            .map(str::to_owned)
            .collect();
        // The sandbox has a page of its own.
        let rows = match command.get_name() {
            "sandbox" => table(&read("docs/sandbox.md"), "## An example"),
            _ => table(&page, &heading),
        };
        let documented = rows
            .iter()
            .filter_map(|row| code(&row[0])?.strip_prefix("--"));
        let documented: BTreeSet<String> = documented
            .map(|option| option.split(' ').next().unwrap().to_owned())
            .collect();
        assert_eq!(documented, options, "{heading}");
        headings.insert(heading);
    }
    let found = page.lines().filter(|line| line.starts_with("## "));
    assert_eq!(found.map(str::to_owned).collect::<BTreeSet<_>>(), headings);
}

/// What is shown as the answer of `plan` is its answer.
#[test]
fn the_json_page_shows_what_plan_prints() {
    let page = read("docs/json.md");
    let shown = blocks_of(&page, "json").remove(0);
    let typed = shown_commands(&page).remove(0);
    let file = scratch("plan").join("redkeep.toml");
    let readme = blocks_of(&read("README.md"), "toml").remove(0);
    let policy = readme.replace("\"dw-*\", \"finance\"", "\"dw-prod\"");
    fs::write(&file, policy).unwrap();
    let mut arguments: Vec<&str> = typed[1..].iter().map(String::as_str).collect();
    arguments.extend(["--config", file.to_str().unwrap()]);
    let printed = redkeep(&arguments);
    let printed: Value = serde_json::from_slice(&printed.stdout).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&shown).unwrap(), printed);
}

/// Name, type and labels of every metric in an exposition.
fn exposed(text: &str) -> BTreeMap<String, (String, String)> {
    let types = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    let of = |(name, kind): (&str, &str)| {
        let suffix = if kind == "histogram" { "_bucket" } else { "" };
        let sample = text
            .lines()
            .find_map(|line| line.strip_prefix(&format!("{name}{suffix}")));
        let labels = sample
            .unwrap()
            .strip_prefix('{')
            .map_or("", |rest| rest.split_once('}').unwrap().0);
        let names = labels
            .split(',')
            .filter_map(|label| Some(label.split_once('=')?.0));
        let names: Vec<&str> = names.filter(|name| *name != "le").collect();
        (name.to_owned(), (kind.to_owned(), names.join(", ")))
    };
    types.map(of).collect()
}

#[test]
fn the_metrics_page_has_exactly_those_that_are_exposed() {
    let mut wanted = exposed(&read("tests/golden/metrics.txt"));
    let fresh = Metrics::new(DateTime::UNIX_EPOCH)
        .unwrap()
        .encode()
        .unwrap();
    wanted.extend(
        exposed(&fresh)
            .into_iter()
            .filter(|(name, _)| name.starts_with("process_")),
    );
    assert!(wanted.contains_key("process_start_time_seconds"), "{fresh}");
    let rows = table(&read("docs/metrics.md"), "# Metrics and health");
    let documented: BTreeMap<_, _> = rows
        .iter()
        .map(|row| {
            (
                code(&row[0]).unwrap().to_owned(),
                (row[1].clone(), row[2].clone()),
            )
        })
        .collect();
    assert_eq!(documented, wanted);
}

#[test]
fn the_metrics_page_names_every_operation() {
    let operations = Operation::ALL.map(Operation::as_str).join(", ");
    let wanted = format!("`operation`: {operations}.");
    assert!(read("docs/metrics.md").contains(&wanted), "{wanted}");
}

/// The fields that the page has for a command.
fn documented_fields(command: &str) -> Vec<String> {
    let rows = table(&read("docs/json.md"), &format!("## `{command}`"));
    rows.iter()
        .map(|row| code(&row[0]).unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn the_json_page_has_exactly_the_fields() {
    let directory = scratch("fields");
    let file = directory.join("redkeep.toml");
    fs::write(&file, "state_dir = \".\"\nendpoint = \"sandbox\"\n").unwrap();
    let database = directory.join("history.db");
    let opened = Store::open(&database, EndpointKind::Sandbox, DateTime::UNIX_EPOCH).unwrap();
    opened.store.close().await.unwrap();
    let (file, form) = (file.to_str().unwrap(), ["--output", "csv", "--config"]);
    for words in [
        "plan",
        "forecast",
        "coverage",
        "report",
        "history",
        "snapshots",
        "status",
        "explain dw",
        "doctor",
        "check",
        &format!("diff {file} {file}"),
        "notify --pending",
    ] {
        let words: Vec<&str> = words.split(' ').collect();
        let command = words[0];
        let output = redkeep(&[&words[..], &form[..], &[file]].concat());
        let told = String::from_utf8(output.stdout).unwrap();
        let fields: Vec<&str> = told.lines().next().unwrap().split(',').collect();
        assert_eq!(documented_fields(command), fields, "{command}");
    }
}
