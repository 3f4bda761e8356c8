//! README's tables and lists are exactly what the program has: keys, defaults, metrics, fields.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use chrono::DateTime;
use redkeep::metrics::Metrics;
use redkeep::store::{EndpointKind, Store};

use crate::page::{code, read, section, table};
use crate::{loaded, redkeep, scratch};

/// The headings under which README has a table of keys, and how a file gets to such a key.
const KEY_TABLES: [(&str, &[&str]); 5] = [
    ("### Top level", &[""]),
    ("### `[log]`", &["[log]\n"]),
    ("### `[[account]]`", &["[[account]]\n"]),
    (
        "### `[[policy]]` and `[defaults]`",
        &["[[policy]]\n", "[defaults]\n"],
    ),
    ("### `[[blackout]]`", &["[[blackout]]\n"]),
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
fn readme_has_exactly_the_keys_of_the_configuration() {
    let readme = read("README.md");
    for (heading, headers) in KEY_TABLES {
        let rows = table(&readme, heading);
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
                "README.md, {heading}, {header}"
            );
        }
    }
}

/// Every default that is a value changes nothing when it is written out.
#[test]
fn readme_has_the_defaults_of_the_configuration() {
    let readme = read("README.md");
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
        for row in table(&readme, heading) {
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
fn readme_has_exactly_the_metrics_that_are_exposed() {
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
    let rows = table(&read("README.md"), "## Metrics and health");
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

/// The fields that README lists for a command, before the remarks on them.
fn documented_fields(command: &str) -> Vec<String> {
    let readme = read("README.md");
    let text = section(&readme, "## JSON and CSV fields").join(" ");
    let (_, list) = text.split_once(&format!("- `{command}`: ")).unwrap();
    let (list, _) = list.split_once('.').unwrap();
    list.split_whitespace()
        .map(|field| code(field).unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn readme_has_exactly_the_fields_of_json_and_csv() {
    let directory = scratch("fields");
    let file = directory.join("redkeep.toml");
    fs::write(&file, "state_dir = \".\"\nendpoint = \"sandbox\"\n").unwrap();
    let database = directory.join("history.db");
    let opened = Store::open(&database, EndpointKind::Sandbox, DateTime::UNIX_EPOCH).unwrap();
    opened.store.close().await.unwrap();
    for command in ["plan", "history", "status"] {
        let output = redkeep(&[
            command,
            "--output",
            "csv",
            "--config",
            file.to_str().unwrap(),
        ]);
        let told = String::from_utf8(output.stdout).unwrap();
        let fields: Vec<&str> = told.lines().next().unwrap().split(',').collect();
        assert_eq!(documented_fields(command), fields, "{command}");
    }
}
