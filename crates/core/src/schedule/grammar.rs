//! Which expressions are accepted, field by field, and what is said about the others.
//!
//! croner is more lenient than an operator would like (`,` alone, `L` as a weekday, a month's name in
//! the minute field) and its messages name no field, so every item is checked here before croner reads
//! it. Never interprets a value; that is croner's part.

use super::error::ScheduleError;
use super::{crontab, eventbridge};

const MAX_LENGTH: usize = 1024;

const NICKNAMES: [(&str, &str); 7] = [
    ("@HOURLY", "0 * * * *"),
    ("@DAILY", "0 0 * * *"),
    ("@MIDNIGHT", "0 0 * * *"),
    ("@WEEKLY", "0 0 * * 0"),
    ("@MONTHLY", "0 0 1 * *"),
    ("@YEARLY", "0 0 1 1 *"),
    ("@ANNUALLY", "0 0 1 1 *"),
];

struct Field {
    name: &'static str,
    min: u16,
    max: u16,
    /// The names of `min`, `min + 1` and so on.
    names: &'static [&'static str],
}

impl Field {
    const fn of(name: &'static str, min: u16, max: u16, names: &'static [&'static str]) -> Self {
        Self {
            name,
            min,
            max,
            names,
        }
    }
}

const FIELDS: [Field; 6] = [
    Field::of("second", 0, 59, &[]),
    Field::of("minute", 0, 59, &[]),
    Field::of("hour", 0, 23, &[]),
    Field::of(DAY_OF_MONTH, 1, 31, &[]),
    Field::of("month", 1, 12, &MONTHS),
    Field::of(DAY_OF_WEEK, 0, 7, &WEEKDAYS),
];
const DAY_OF_MONTH: &str = "day of month";
const DAY_OF_WEEK: &str = "day of week";
pub(super) const MONTHS: [&str; 12] = [
    "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC",
];
pub(super) const WEEKDAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

/// Six fields in upper case that croner may read.
pub(super) struct Normal(Vec<String>);

impl Normal {
    /// The fields with single blanks between them.
    pub(super) fn text(&self) -> String {
        self.0.join(" ")
    }

    /// The two day fields, where both are restricted: then either matches (docs/semantics.md section 1).
    pub(super) fn both_days(&self) -> Option<(String, String)> {
        let day = |index: usize| self.0.get(index).filter(|field| *field != "*");
        Some((day(3)?.clone(), day(5)?.clone()))
    }

    /// No `*` and no step in second, minute and hour (docs/semantics.md section 1).
    pub(super) fn is_fixed_time(&self) -> bool {
        self.0
            .iter()
            .take(3)
            .all(|field| !field.contains(['*', '/']))
    }
}

/// Whether a word is a weekday as the sixth field has it, alone or in a list or range.
pub(super) fn is_weekday(word: &str) -> bool {
    let upper = word.to_ascii_uppercase();
    FIELDS
        .last()
        .is_some_and(|field| upper == "?" || check_field(field, &upper).is_ok())
}

/// Checks `expression`, which has no blanks around it, and writes it as six fields.
pub(super) fn normalise(expression: &str) -> Result<Normal, ScheduleError> {
    let got = || expression.to_owned();
    if expression.is_empty() {
        return Err(ScheduleError::Empty);
    }
    if expression.len() > MAX_LENGTH {
        return Err(ScheduleError::TooLong {
            got: expression.len(),
            max: MAX_LENGTH,
        });
    }
    let foreign = eventbridge::recognise(expression).or_else(|| crontab::recognise(expression));
    if let Some(error) = foreign {
        return Err(error);
    }
    let upper = expression.to_ascii_uppercase();
    let text = if upper.starts_with('@') {
        expand(&upper).map_err(|wanted| ScheduleError::Nickname { got: got(), wanted })?
    } else {
        &upper
    };
    let mut fields: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
    match fields.len() {
        5 => fields.insert(0, "0".to_owned()),
        6 => {}
        7 => {
            return Err(ScheduleError::YearField {
                got: got(),
                year: fields.pop().unwrap_or_default(),
            });
        }
        count => return Err(ScheduleError::FieldCount { got: got(), count }),
    }
    for (field, text) in FIELDS.iter().zip(&mut fields) {
        check_field(field, text)?;
        // The two day fields are the only ones whose check lets it through.
        if text == "?" {
            *text = "*".to_owned();
        }
    }
    Ok(Normal(fields))
}

fn expand(nickname: &str) -> Result<&'static str, &'static str> {
    let known = NICKNAMES.iter().find(|(name, _)| *name == nickname);
    known.map(|(_, fields)| *fields).ok_or_else(|| {
        if nickname.starts_with("@REBOOT") {
            "a snapshot belongs to a time, not to a start of the daemon; write a time such as `30 2 * * *`"
        } else if nickname.starts_with("@EVERY") {
            "write steps such as `*/15 * * * *` or `0 */6 * * *`"
        } else {
            "wanted: @hourly, @daily, @midnight, @weekly, @monthly, @yearly or @annually"
        }
    })
}

fn check_field(field: &Field, text: &str) -> Result<(), ScheduleError> {
    let is_day = field.name == DAY_OF_MONTH || field.name == DAY_OF_WEEK;
    if text == "*" || (is_day && text == "?") {
        return Ok(());
    }
    let error = |got: &str, wanted| ScheduleError::Field {
        field: field.name,
        got: got.to_owned(),
        wanted,
    };
    let mut items: Vec<&str> = text.split(',').collect();
    for item in &items {
        check_item(field, item).map_err(|wanted| error(item, wanted))?;
    }
    items.retain(|item| matches!(*item, "L" | "LW"));
    items.dedup();
    if items.len() > 1 {
        // croner keeps one flag for both and would drop the last day of the month.
        return Err(error(text, "either L or LW, in two policies".to_owned()));
    }
    Ok(())
}

/// Says what is wanted when one item of a comma list is not valid.
fn check_item(field: &Field, item: &str) -> Result<(), String> {
    if field.name == DAY_OF_MONTH {
        if matches!(item, "L" | "LW") {
            return Ok(());
        }
        if let Some(day) = item.strip_suffix('W') {
            return value(field, day).map(|_| ());
        }
    }
    if field.name == DAY_OF_WEEK {
        if let Some((day, nth)) = item.split_once('#') {
            return nth_weekday(field, day, nth);
        }
        if let Some(day) = item.strip_suffix('L') {
            return value(field, day).map(|_| ()).map_err(|_| {
                "the day before L, such as 5L or FRIL for the last Friday of the month".to_owned()
            });
        }
    }
    match item.split_once('/') {
        Some((range, step)) => stepped(field, range, step),
        None if item == "*" => Err("`*` alone, without a list".to_owned()),
        None => range_or_value(field, item),
    }
}

fn nth_weekday(field: &Field, day: &str, nth: &str) -> Result<(), String> {
    value(field, day)?;
    match nth {
        "1" | "2" | "3" | "4" | "5" => Ok(()),
        _ => Err("a number from 1 to 5 after #, such as MON#1 for the first Monday".to_owned()),
    }
}

fn stepped(field: &Field, range: &str, step: &str) -> Result<(), String> {
    match number(step) {
        Some(step) if (1..=field.max).contains(&step) => {}
        _ => return Err(format!("a step from 1 to {} after /", field.max)),
    }
    if range == "*" {
        return Ok(());
    }
    if range.contains('-') {
        return range_or_value(field, range);
    }
    let start = value(field, range).unwrap_or(field.min);
    let max = field.max;
    Err(format!(
        "`*` or a range before /, such as `*/{step}` or `{start}-{max}/{step}`"
    ))
}

fn range_or_value(field: &Field, item: &str) -> Result<(), String> {
    let Some((first, last)) = item.split_once('-') else {
        return value(field, item).map(|_| ());
    };
    let first = value(field, first)?;
    // croner reads the Sunday that ends a range as 7, so `FRI-SUN` is a range that goes up.
    let last = match last {
        "SUN" if field.name == DAY_OF_WEEK => 7,
        _ => value(field, last)?,
    };
    if first <= last {
        return Ok(());
    }
    let (min, max) = (field.min, field.max);
    Err(format!(
        "a range that goes up; write two, such as `{first}-{max},{min}-{last}`"
    ))
}

fn value(field: &Field, text: &str) -> Result<u16, String> {
    let named = field
        .names
        .iter()
        .zip(field.min..)
        .find(|(name, _)| **name == text);
    named
        .map(|(_, value)| value)
        .or_else(|| number(text).filter(|v| (field.min..=field.max).contains(v)))
        .ok_or_else(|| {
            let names = match field.names {
                [first, .., last] => format!(" or a name from {first} to {last}"),
                _ => String::new(),
            };
            format!("a number from {} to {}{names}", field.min, field.max)
        })
}

/// Digits only: `str::parse` would take a sign.
fn number(text: &str) -> Option<u16> {
    text.parse()
        .ok()
        .filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()))
}
