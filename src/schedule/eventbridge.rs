//! Expressions of Amazon EventBridge, which people carry over, and what they would be here.
//!
//! Never accepts one: its fields have another order and its weekdays other numbers (1 is Sunday), and
//! a file should not have to be read with both in mind.

use super::error::ScheduleError;
use super::grammar::normalise;

/// The error for `text` when it is an EventBridge expression, with its equivalent if there is one.
pub(super) fn recognise(text: &str) -> Option<ScheduleError> {
    let (kind, rest) = text.split_once('(')?;
    let inner = rest.trim_end().strip_suffix(')').unwrap_or(rest).trim();
    let equivalent = match kind.trim().to_ascii_lowercase().as_str() {
        "rate" => from_rate(inner),
        "cron" => from_cron(&inner.to_ascii_uppercase()),
        "at" => None,
        _ => return None,
    };
    Some(ScheduleError::EventBridge {
        got: text.to_owned(),
        // A suggestion that we would refuse ourselves helps nobody.
        equivalent: equivalent.filter(|cron| normalise(cron).is_ok()),
    })
}

/// `rate(6 hours)`: only what divides an hour, a day, or is a day or a week has an even equivalent.
fn from_rate(inner: &str) -> Option<String> {
    let (number, unit) = inner.split_once(char::is_whitespace)?;
    let number: u32 = number.parse().ok()?;
    let minutes = match unit.trim() {
        "minute" | "minutes" => number,
        "hour" | "hours" => number.checked_mul(60)?,
        "day" | "days" => number.checked_mul(1440)?,
        _ => return None,
    };
    match minutes {
        1 => Some("* * * * *".to_owned()),
        2..60 if 60 % minutes == 0 => Some(format!("*/{minutes} * * * *")),
        60 => Some("0 * * * *".to_owned()),
        61..1440 if 1440 % minutes == 0 && minutes % 60 == 0 => {
            Some(format!("0 */{} * * *", minutes / 60))
        }
        1440 => Some("0 0 * * *".to_owned()),
        10080 => Some("0 0 * * 0".to_owned()),
        _ => None,
    }
}

/// `cron(30 2 * * ? *)`: minute, hour, day of month, month, day of week, year.
fn from_cron(inner: &str) -> Option<String> {
    let fields: Vec<&str> = inner.split_whitespace().collect();
    let [minute, hour, day, month, weekday, "*"] = fields.as_slice() else {
        return None;
    };
    Some(format!(
        "{} {} {} {} {}",
        steps(minute, 59),
        steps(hour, 23),
        steps(day, 31).replace('?', "*"),
        steps(month, 12),
        weekdays(weekday)?,
    ))
}

/// `5/10` starts at 5 there; here it is `5-59/10`.
fn steps(field: &str, max: u32) -> String {
    let items = field.split(',').map(|item| match item.split_once('/') {
        Some((start, step)) if start.bytes().all(|b| b.is_ascii_digit()) => {
            format!("{start}-{max}/{step}")
        }
        _ => item.to_owned(),
    });
    items.collect::<Vec<_>>().join(",")
}

/// Weekday numbers are one less here, except behind `#`; `L` alone is Saturday there.
fn weekdays(field: &str) -> Option<String> {
    if matches!(field, "?" | "*") {
        return Some("*".to_owned());
    }
    if field == "L" {
        return Some("6".to_owned());
    }
    // A step keeps counting from Sunday = 1 there; too rare to translate.
    if field.contains('/') {
        return None;
    }
    let (days, nth) = match field.split_once('#') {
        Some((days, nth)) => (days, format!("#{nth}")),
        None => (field, String::new()),
    };
    let shifted: Option<String> = days
        .chars()
        .map(|c| match c.to_digit(10) {
            Some(digit) => char::from_digit(digit.checked_sub(1)?, 10),
            None => Some(c),
        })
        .collect();
    shifted.map(|days| format!("{days}{nth}"))
}
