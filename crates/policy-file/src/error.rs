//! Errors of a configuration: all of them, each with its place.
//!
//! Owns: [`ConfigErrors`], and how a value from a file is shown: escaped, cut, and never a credential.
//! Never decides whether something is wrong.

use std::fmt;

use redkeep_core::problem::Problem;

use super::secrets;

/// The longest value that is shown whole, in characters.
const SHOWN: usize = 80;

/// Where in the sources something stands.
///
/// Ordered as it is read: the files in their order, each from top to bottom, then the environment.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Location {
    /// The file's index, or `usize::MAX` for the environment.
    pub(super) order: usize,
    /// Line and column, both from 1, where they are known.
    pub(super) position: Option<(usize, usize)>,
    /// The file's path or the variable's name.
    pub(super) source: String,
}

impl Location {
    /// A variable of the environment.
    pub(super) fn variable(name: &str) -> Self {
        Self {
            order: usize::MAX,
            position: None,
            source: name.to_owned(),
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)?;
        match self.position {
            Some((line, column)) => write!(f, ":{line}:{column}"),
            None => Ok(()),
        }
    }
}

/// One thing that is wrong, as `place: what: got …, wanted …`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
#[error("{place}: {problem}")]
pub struct ConfigError {
    place: Location,
    problem: Problem,
}

impl ConfigError {
    pub(super) fn new(place: Location, problem: Problem) -> Self {
        Self { place, problem }
    }

    /// The file's path, or the variable's name.
    pub fn source_name(&self) -> &str {
        &self.place.source
    }

    /// Line and column in the file, both from 1, where they are known.
    pub fn position(&self) -> Option<(usize, usize)> {
        self.place.position
    }

    /// What is wrong, and what helps.
    pub fn problem(&self) -> &Problem {
        &self.problem
    }
}

/// Everything that is wrong with a configuration, one line for each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors(Vec<ConfigError>);

impl ConfigErrors {
    /// Sorts by place and drops repetitions: a fault in `[defaults]` is met once for each policy.
    pub(super) fn new(mut errors: Vec<ConfigError>) -> Self {
        errors.sort();
        errors.dedup();
        Self(errors)
    }

    /// The errors in the order of their places.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &ConfigError> {
        self.0.iter()
    }
}

impl From<ConfigError> for ConfigErrors {
    fn from(error: ConfigError) -> Self {
        Self(vec![error])
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            error.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

/// A text in quotes, escaped and cut, without any access key.
pub(super) fn quoted(text: &str) -> String {
    format!("{:?}{}", head(text, SHOWN), rest(text, SHOWN))
}

/// A remark on the first character of a text that is not ASCII, in a place where only ASCII is right: it
/// may look exactly like one that is.
pub(super) fn foreign(text: &str) -> Option<String> {
    let c = text.chars().find(|c| !c.is_ascii())?;
    Some(format!(
        "{:?} in it is U+{:04X}, not ASCII",
        c.to_string(),
        u32::from(c)
    ))
}

/// A message made elsewhere that may repeat a value: on one line, cut, without any access key.
pub fn clean(message: &str) -> String {
    const LONGEST: usize = 400;
    let shown: String = head(message, LONGEST)
        .chars()
        .flat_map(|c| {
            // A quote or backslash is no danger, and escaping it would show another value.
            let printable = c == '"' || c == '\'' || c == '\\';
            let escaped = (!printable).then(|| c.escape_debug());
            escaped.into_iter().flatten().chain(printable.then_some(c))
        })
        .collect();
    shown + rest(message, LONGEST)
}

/// The same for a problem.
pub(super) fn cleaned(problem: Problem) -> Problem {
    Problem {
        text: clean(&problem.text),
        hint: problem.hint.as_deref().map(clean),
    }
}

/// The first characters, masked before the cut: half a key would not be recognised.
fn head(text: &str, most: usize) -> String {
    let enough: String = text.chars().take(most * 2).collect();
    secrets::masked(&enough).chars().take(most).collect()
}

fn rest(text: &str, most: usize) -> &'static str {
    if text.chars().nth(most).is_some() {
        "…"
    } else {
        ""
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shown_value_is_on_one_line_and_short_and_no_credential() {
        assert_eq!(quoted("a\n\u{1b}[31m\"b"), r#""a\n\u{1b}[31m\"b""#);
        assert_eq!(quoted(&"ä".repeat(81)), format!("\"{}\"…", "ä".repeat(80)));
        let key = ["AKIA", "IOSFODNN7EXAMPLE"].concat();
        assert!(!quoted(&format!("x {key} y")).contains("EXAMPLE"));
        assert!(!clean(&format!("`{key}`\nis wrong")).contains("EXAMPLE"));
        assert_eq!(clean("`a\\b` \"c\"\n"), "`a\\b` \"c\"\\n");
    }
}
