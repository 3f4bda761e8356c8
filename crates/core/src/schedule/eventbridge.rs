//! Expressions of Amazon EventBridge, which people carry over, and what they would be here.
//!
//! Never accepts one: its fields have another order and its weekdays other numbers (1 is Sunday), and
//! a file should not have to be read with both in mind.

use super::error::ScheduleError;
use super::grammar::{self, normalise};

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

/// `cron(30 2 * * ? *)`: minute, hour, day of month, month, day of week, year. The last one may be missing, and a
/// snapshot schedule of Redshift itself has minute, hour and day of week only: `cron(30 12 *)`.
fn from_cron(inner: &str) -> Option<String> {
    let fields: Vec<&str> = inner.split_whitespace().collect();
    let [minute, hour, day, month, weekday] = match *fields.as_slice() {
        [minute, hour, weekday] => [minute, hour, "*", "*", weekday],
        [minute, hour, day, month, weekday] | [minute, hour, day, month, weekday, "*"] => {
            [minute, hour, day, month, weekday]
        }
        _ => return None,
    };
    Some(format!(
        "{} {} {} {} {}",
        items(minute, &MINUTES)?,
        items(hour, &HOURS)?,
        items(day, &DAYS)?.replace('?', "*"),
        items(month, &MONTHS)?,
        weekdays(weekday)?,
    ))
}

/// The values of a field there, from the first to the last, and the names of the first and those behind it.
struct Values {
    first: u32,
    last: u32,
    names: &'static [&'static str],
}

const MINUTES: Values = Values::numbers(0, 59);
const HOURS: Values = Values::numbers(0, 23);
const DAYS: Values = Values::numbers(1, 31);
const MONTHS: Values = Values {
    first: 1,
    last: 12,
    names: &grammar::MONTHS,
};
/// Sunday is 1 there.
const WEEKDAYS: Values = Values {
    first: 1,
    last: 7,
    names: &grammar::WEEKDAYS,
};

impl Values {
    const fn numbers(first: u32, last: u32) -> Self {
        Self {
            first,
            last,
            names: &[],
        }
    }

    fn read(&self, word: &str) -> Option<u32> {
        let named = self.names.iter().position(|name| *name == word);
        named
            .and_then(|index| u32::try_from(index).ok())
            .map(|index| self.first + index)
            .or_else(|| word.parse().ok())
            .filter(|value| (self.first..=self.last).contains(value))
    }
}

/// Every item of a list: `5/10` starts at 5 there and is `5-59/10` here, and a range that goes round becomes two.
fn items(field: &str, values: &Values) -> Option<String> {
    let items: Option<Vec<String>> = field.split(',').map(|item| one(item, values)).collect();
    Some(items?.join(","))
}

fn one(item: &str, values: &Values) -> Option<String> {
    let (range, step) = match item.split_once('/') {
        Some((range, step)) => (range, format!("/{step}")),
        None => (item, String::new()),
    };
    if let Some((from, to)) = range.split_once('-') {
        let goes_round = values.read(from)? > values.read(to)?;
        return match (goes_round, step.as_str()) {
            (false, _) => Some(item.to_owned()),
            (true, "") => Some(round(from, to, values)),
            // Its steps would have to go on from one half to the other.
            (true, _) => None,
        };
    }
    let starts = !step.is_empty() && values.read(range).is_some();
    Some(match starts {
        true => format!("{range}-{}{step}", values.last),
        false => item.to_owned(),
    })
}

/// A range that goes round the end, as two.
fn round(from: &str, to: &str, values: &Values) -> String {
    let named = |word: &str| values.names.contains(&word);
    let end = |value: u32, name: Option<&&str>| match (named(from) && named(to), name) {
        (true, Some(name)) => (*name).to_owned(),
        _ => value.to_string(),
    };
    let first = end(values.first, values.names.first());
    let last = end(values.last, values.names.last());
    let part = |from: &str, to: &str| match from == to {
        true => from.to_owned(),
        false => format!("{from}-{to}"),
    };
    format!("{},{}", part(from, &last), part(&first, to))
}

/// Weekday numbers are one less here, except behind `#`; `L` alone is Saturday there.
fn weekdays(field: &str) -> Option<String> {
    match field {
        "?" | "*" | "*/1" => return Some("*".to_owned()),
        "L" => return Some("6".to_owned()),
        _ => {}
    }
    let days: Option<Vec<String>> = field.split(',').map(weekday).collect();
    Some(days?.join(","))
}

fn weekday(item: &str) -> Option<String> {
    if let Some((range, step)) = item.split_once('/') {
        return stepped(range, step);
    }
    let (days, nth) = match item.split_once('#') {
        Some((day, nth)) => (day.to_owned(), format!("#{nth}")),
        None => (one(item, &WEEKDAYS)?, String::new()),
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

/// The days of a step one by one: it counts from another first day there.
fn stepped(range: &str, step: &str) -> Option<String> {
    let step: usize = step.parse().ok().filter(|step| *step > 0)?;
    let (from, to) = match range.split_once('-') {
        Some((from, to)) => (WEEKDAYS.read(from)?, WEEKDAYS.read(to)?),
        None if range == "*" => (WEEKDAYS.first, WEEKDAYS.last),
        None => (WEEKDAYS.read(range)?, WEEKDAYS.last),
    };
    let to = if to < from { to + WEEKDAYS.last } else { to };
    let mut days: Vec<u32> = (from..=to)
        .step_by(step)
        .map(|day| (day - 1) % WEEKDAYS.last)
        .collect();
    days.sort_unstable();
    let days: Vec<String> = days.iter().map(u32::to_string).collect();
    Some(days.join(","))
}
