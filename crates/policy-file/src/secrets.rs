//! Credentials that somebody wrote into the configuration.
//!
//! Owns: recognising them, so that loading is refused and no message repeats them. Never knows a
//! credential that is in its right place: redkeep leaves those to the AWS SDK.

use std::collections::BTreeSet;

use figment::value::Value;

use redkeep_core::problem::Problem;

use super::path::KeyPath;
use super::read::SourceFile;
use super::report::Report;

/// What is said of a credential, wherever it stands.
pub(super) fn problem() -> Problem {
    Problem::hinted(
        "AWS credentials do not belong here",
        "the AWS SDK finds them in the environment, in ~/.aws or in the instance's role",
    )
}

/// The length of an access key id, such as `AKIA` and 16 characters more.
const KEY_LENGTH: usize = 20;

/// Reports every credential in the files and takes it out of the merged values.
pub(super) fn purge(tree: &mut Value, files: &[SourceFile], report: &mut Report) {
    let mut lines = BTreeSet::new();
    for path in purge_below(tree, &KeyPath::root()) {
        let place = report.places.key(&path);
        lines.insert((place.order, place.position.map(|(line, _)| line)));
        report.at(place, problem());
        report.spoil(&path);
    }
    // What the values do not show: comments, keys, and files with an error of syntax.
    for (order, file) in files.iter().enumerate() {
        for (line, column) in find_all(&file.text) {
            if lines.insert((order, Some(line))) {
                report.at(
                    report.places.in_file(order, Some((line, column))),
                    problem(),
                );
            }
        }
    }
}

fn purge_below(value: &mut Value, path: &KeyPath) -> Vec<KeyPath> {
    let mut found = Vec::new();
    match value {
        Value::Dict(_, table) => table.retain(|key, value| {
            let path = path.key(key);
            let secret = is_secret_key(key) || value.as_str().is_some_and(has_access_key);
            found.extend(if secret {
                vec![path]
            } else {
                purge_below(value, &path)
            });
            !secret
        }),
        Value::Array(_, items) => {
            for (index, item) in items.iter_mut().enumerate() {
                if item.as_str().is_some_and(has_access_key) {
                    found.push(path.item(index));
                    *item = Value::from(figment::value::Empty::None);
                } else {
                    found.extend(purge_below(item, &path.item(index)));
                }
            }
        }
        _ => {}
    }
    found
}

/// Whether a key of this name is where people put a credential.
pub(super) fn is_secret_key(key: &str) -> bool {
    const NAMES: [&str; 6] = [
        "access_key_id",
        "access_key",
        "secret_access_key",
        "secret_key",
        "session_token",
        "security_token",
    ];
    let key = key.to_lowercase().replace('-', "_");
    NAMES.contains(&key.trim_start_matches("aws_"))
}

/// The text with every access key id cut down to its first four characters.
pub(super) fn masked(text: &str) -> String {
    let mut masked = text.to_owned();
    while let Some(at) = find(&masked) {
        masked.replace_range(at + 4..at + KEY_LENGTH, "…");
    }
    masked
}

fn has_access_key(text: &str) -> bool {
    find(text).is_some()
}

fn find_all(text: &str) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let lines = text.lines().enumerate();
    for (index, line) in lines {
        if let Some(at) = find(line) {
            found.push((index + 1, line[..at].chars().count() + 1));
        }
    }
    found
}

/// The byte at which the first access key id starts.
fn find(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let is_key_char = |byte: &u8| byte.is_ascii_uppercase() || byte.is_ascii_digit();
    (0..bytes.len().saturating_sub(KEY_LENGTH - 1)).find(|at| {
        let window = &bytes[*at..*at + KEY_LENGTH];
        (window.starts_with(b"AKIA") || window.starts_with(b"ASIA"))
            && window.iter().all(is_key_char)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_access_key_is_found_wherever_it_stands_and_masked() {
        let key = ["ASIA", "IOSFODNN7EXAMPLE"].concat();
        assert_eq!(masked(&format!("é{key}{key}é")), "éASIA…ASIA…é");
        assert_eq!(find_all(&format!("# x\né = \"{key}\"")), [(2, 6)]);
        assert_eq!(masked("AKIA is a prefix"), "AKIA is a prefix");
        assert_eq!(masked("AKIA"), "AKIA");
    }

    #[test]
    fn the_names_of_credentials_are_known_in_every_spelling() {
        for key in [
            "aws_access_key_id",
            "AWS_SECRET_ACCESS_KEY",
            "secret-access-key",
            "session_token",
        ] {
            assert!(is_secret_key(key), "{key}");
        }
        assert!(!is_secret_key("team"));
    }
}
