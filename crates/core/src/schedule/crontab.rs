//! Lines of a crontab, which people paste whole: a zone in front, a command or a comment behind.
//!
//! Never accepts one: the zone has a key of its own, and a command would be silently left out.

use super::error::ScheduleError;
use super::grammar::{is_weekday, normalise};

/// The error for `text` where more than a schedule stands in it, with what is to be written instead.
pub(super) fn recognise(text: &str) -> Option<ScheduleError> {
    assignment(text)
        .or_else(|| comment(text))
        .or_else(|| command(text))
}

/// `CRON_TZ=America/New_York 0 9 * * 1`, also without a blank behind the zone's quotes.
fn assignment(text: &str) -> Option<ScheduleError> {
    let (name, rest) = text.split_once('=')?;
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let name = name.trim();
    if name.is_empty() || !name.chars().all(is_name) {
        return None;
    }
    let rest = rest.trim_start();
    let (value, schedule) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    Some(ScheduleError::Assignment {
        got: text.to_owned(),
        name: name.to_owned(),
        zone: matches!(name, "CRON_TZ" | "TZ")
            .then(|| value.trim_matches(['"', '\'', ':']).to_owned()),
        schedule: schedule.trim().to_owned(),
    })
}

/// `0 2 * * * # nightly`: a `#` inside a field is the n-th weekday, one at its beginning a comment.
fn comment(text: &str) -> Option<ScheduleError> {
    let mut blank_before = true;
    let at = text.char_indices().find(|(_, c)| {
        let begins = blank_before && *c == '#';
        blank_before = c.is_whitespace();
        begins
    });
    let (at, _) = at?;
    Some(ScheduleError::Comment {
        got: text.to_owned(),
        comment: text[at..].to_owned(),
        schedule: text[..at].trim_end().to_owned(),
    })
}

/// `30 2 * * * /usr/local/bin/snapshot`, also with a user before the command, or behind `@daily`.
fn command(text: &str) -> Option<ScheduleError> {
    let count = if text.starts_with('@') { 1 } else { 5 };
    let behind = after_words(text, count)?;
    let (schedule, rest) = text.split_at(text.len() - behind.len());
    let first = behind.split_whitespace().next()?;
    // With six fields the last one is a weekday, and what comes behind those is a year.
    if is_weekday(first) || !is_word_of_a_command(first) || normalise(schedule.trim()).is_err() {
        return None;
    }
    Some(ScheduleError::Command {
        got: text.to_owned(),
        command: rest.to_owned(),
        schedule: schedule.trim().to_owned(),
    })
}

/// What stands behind so many words and the blanks after them; `None` where nothing does.
fn after_words(text: &str, count: usize) -> Option<&str> {
    let mut rest = text.trim_start();
    for _ in 0..count {
        let end = rest.find(char::is_whitespace)?;
        rest = rest[end..].trim_start();
    }
    (!rest.is_empty()).then_some(rest)
}

/// A path, a variable or a name; no number, no list and no misspelt weekday such as `MONDAY`.
fn is_word_of_a_command(word: &str) -> bool {
    let upper = word.to_ascii_uppercase();
    let begins_as_weekday = upper.get(..3).is_some_and(is_weekday);
    match word.chars().next() {
        Some('/' | '.' | '~' | '$' | '(' | '[' | '{') => true,
        Some(c) => c.is_ascii_alphabetic() && word.len() > 1 && !begins_as_weekday,
        None => false,
    }
}
