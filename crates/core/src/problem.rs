//! What is wrong with something, in words.
//!
//! Owns: that what is wrong and what helps are told apart by whoever knows, so that nobody takes a message to pieces. Never
//! decides whether something is wrong.

use std::fmt;

/// What is wrong, and what helps. People read both as one line.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// What is wrong.
    pub text: String,
    /// What to do about it, where that is known.
    pub hint: Option<String>,
}

impl Problem {
    /// A problem, and what to do about it.
    pub fn hinted(text: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::from(text.into()).and_hint(Some(hint.into()))
    }

    /// The same with one more hint, if there is one.
    #[must_use]
    pub fn and_hint(self, more: Option<String>) -> Self {
        let hint = match (self.hint, more) {
            (Some(hint), Some(more)) => Some(format!("{hint}; {more}")),
            (hint, more) => hint.or(more),
        };
        Self { hint, ..self }
    }

    /// The same with words before it.
    #[must_use]
    pub fn after(self, words: impl fmt::Display) -> Self {
        Self {
            text: format!("{words}{}", self.text),
            ..self
        }
    }
}

impl From<String> for Problem {
    fn from(text: String) -> Self {
        Self { text, hint: None }
    }
}

impl From<&str> for Problem {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)?;
        match &self.hint {
            Some(hint) => write!(f, "; {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Problem {}
