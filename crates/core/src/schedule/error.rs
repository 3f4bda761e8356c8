//! What can be wrong with a schedule, said so that the operator can put it right.

use std::fmt;

use crate::problem::Problem;

/// Why an expression is no schedule. Each message names what was got and what is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScheduleError {
    /// Nothing but blanks.
    Empty,
    /// More text than any schedule needs.
    TooLong {
        /// The length in bytes.
        got: usize,
        /// The limit in bytes.
        max: usize,
    },
    /// Neither five nor six fields.
    FieldCount {
        /// The expression.
        got: String,
        /// How many fields it has.
        count: usize,
    },
    /// Seven fields.
    YearField {
        /// The expression.
        got: String,
        /// Its last field.
        year: String,
    },
    /// One field is not in the grammar.
    Field {
        /// The name of the field: second, minute, hour, day of month, month, day of week.
        field: &'static str,
        /// The value or list item.
        got: String,
        /// What would be right.
        wanted: String,
    },
    /// A word with `@` that is not one of ours.
    Nickname {
        /// The word.
        got: String,
        /// What would be right.
        wanted: &'static str,
    },
    /// A variable in front, as in a crontab.
    Assignment {
        /// The text.
        got: String,
        /// The variable.
        name: String,
        /// The zone, where the variable is one that sets it.
        zone: Option<String>,
        /// What stands behind it.
        schedule: String,
    },
    /// A comment behind the schedule, or nothing but a comment.
    Comment {
        /// The text.
        got: String,
        /// The comment.
        comment: String,
        /// What stands before it.
        schedule: String,
    },
    /// A command behind the schedule.
    Command {
        /// The line.
        got: String,
        /// Its command.
        command: String,
        /// Its schedule.
        schedule: String,
    },
    /// An expression of Amazon EventBridge.
    EventBridge {
        /// The expression.
        got: String,
        /// The cron expression that means the same, if there is one.
        equivalent: Option<String>,
    },
    /// The schedule never comes due.
    NeverFires {
        /// The expression.
        got: String,
        /// The zone.
        timezone: String,
    },
    /// croner refused what our grammar let through.
    Refused {
        /// The expression, with seconds.
        got: String,
        /// What croner says.
        reason: String,
    },
}

const FIVE_FIELDS: &str = "write five cron fields such as `30 2 * * *`";

impl ScheduleError {
    /// What was got, and what is to be written in its place.
    pub fn problem(&self) -> Problem {
        match self {
            Self::Empty => Problem::hinted(
                "an empty schedule",
                "write five fields such as `30 2 * * *`",
            ),
            Self::TooLong { got, max } => Problem::hinted(
                format!("a schedule of {got} bytes"),
                format!("at most {max} are read"),
            ),
            Self::FieldCount { got, count } => Problem::hinted(
                format!("`{got}` has {count} fields"),
                "write five (minute hour day month weekday), or six with the second first",
            ),
            Self::YearField { got, year } => Problem::hinted(
                format!("`{got}` has seven fields, but there is no year field"),
                format!("leave the last one (`{year}`) out"),
            ),
            Self::Field { field, got, wanted } => Problem::hinted(
                format!("{field} `{got}` is not valid"),
                format!("wanted: {wanted}"),
            ),
            Self::Nickname { got, wanted } => {
                Problem::hinted(format!("`{got}` is not known"), *wanted)
            }
            Self::Assignment {
                got,
                name,
                zone,
                schedule,
            } => Problem::hinted(
                format!("`{got}` sets {name} as a crontab does"),
                without_variable(zone.as_deref(), schedule),
            ),
            Self::Comment {
                got,
                comment,
                schedule,
            } => Problem::hinted(
                format!("`{got}` has a comment in it"),
                without(comment, schedule),
            ),
            Self::Command {
                got,
                command,
                schedule,
            } => Problem::hinted(
                format!("`{got}` is a line of a crontab with its command `{command}`"),
                format!(
                    "leave the command out, redkeep takes the snapshot itself: write `{schedule}`"
                ),
            ),
            Self::EventBridge { got, equivalent } => event_bridge(got, equivalent.as_deref()),
            Self::NeverFires { got, timezone } => Problem::hinted(
                format!("`{got}` in {timezone} has no slot in the 28 years from 2024"),
                "choose a date and time that exist",
            ),
            Self::Refused { got, reason } => {
                format!("`{got}` cannot be read as a cron expression: {reason}").into()
            }
        }
    }
}

impl fmt::Display for ScheduleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.problem().fmt(f)
    }
}

impl std::error::Error for ScheduleError {}

fn without_variable(zone: Option<&str>, schedule: &str) -> String {
    let schedule = match schedule {
        "" => "five cron fields such as `30 2 * * *`",
        schedule => &format!("`{schedule}`"),
    };
    match zone {
        Some(zone) => format!("write {schedule}, and `timezone = {zone:?}` beside it"),
        None => format!("leave the variable out and write {schedule}"),
    }
}

fn without(comment: &str, schedule: &str) -> String {
    match schedule {
        "" => FIVE_FIELDS.to_owned(),
        schedule => format!("drop `{comment}` and write `{schedule}`"),
    }
}

fn event_bridge(got: &str, equivalent: Option<&str>) -> Problem {
    let text = format!("`{got}` is an EventBridge expression");
    match equivalent {
        Some(cron) => Problem::hinted(text, format!("write `{cron}`")),
        None => {
            Problem::hinted(text, "it has no equivalent").and_hint(Some(FIVE_FIELDS.to_owned()))
        }
    }
}
