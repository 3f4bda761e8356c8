//! What can be wrong with a schedule, said so that the operator can put it right.

/// Why an expression is no schedule. Each message names what was got and what is wanted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// Nothing but blanks.
    #[error("an empty schedule; write five fields such as `30 2 * * *`")]
    Empty,
    /// More text than any schedule needs.
    #[error("a schedule of {got} bytes; at most {max} are read")]
    TooLong {
        /// The length in bytes.
        got: usize,
        /// The limit in bytes.
        max: usize,
    },
    /// Neither five nor six fields.
    #[error(
        "`{got}` has {count} fields; write five (minute hour day month weekday), or six with the second first"
    )]
    FieldCount {
        /// The expression.
        got: String,
        /// How many fields it has.
        count: usize,
    },
    /// Seven fields.
    #[error(
        "`{got}` has seven fields, but there is no year field; leave the last one (`{year}`) out"
    )]
    YearField {
        /// The expression.
        got: String,
        /// Its last field.
        year: String,
    },
    /// One field is not in the grammar.
    #[error("{field} `{got}` is not valid; wanted: {wanted}")]
    Field {
        /// The name of the field: second, minute, hour, day of month, month, day of week.
        field: &'static str,
        /// The value or list item.
        got: String,
        /// What would be right.
        wanted: String,
    },
    /// A word with `@` that is not one of ours.
    #[error("`{got}` is not known; {wanted}")]
    Nickname {
        /// The word.
        got: String,
        /// What would be right.
        wanted: &'static str,
    },
    /// A variable in front, as in a crontab.
    #[error("`{got}` sets {name} as a crontab does; {}", without_variable(.zone.as_deref(), .schedule))]
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
    #[error("`{got}` has a comment in it; {}", without(.comment, .schedule))]
    Comment {
        /// The text.
        got: String,
        /// The comment.
        comment: String,
        /// What stands before it.
        schedule: String,
    },
    /// A command behind the schedule.
    #[error(
        "`{got}` is a line of a crontab with its command `{command}`; leave the command out, redkeep takes the snapshot \
         itself: write `{schedule}`"
    )]
    Command {
        /// The line.
        got: String,
        /// Its command.
        command: String,
        /// Its schedule.
        schedule: String,
    },
    /// An expression of Amazon EventBridge.
    #[error("`{got}` is an EventBridge expression; {}", advice(.equivalent.as_deref()))]
    EventBridge {
        /// The expression.
        got: String,
        /// The cron expression that means the same, if there is one.
        equivalent: Option<String>,
    },
    /// The schedule never comes due.
    #[error(
        "`{got}` in {timezone} has no slot in the 28 years from 2024; choose a date and time that exist"
    )]
    NeverFires {
        /// The expression.
        got: String,
        /// The zone.
        timezone: String,
    },
    /// croner refused what our grammar let through.
    #[error("`{got}` cannot be read as a cron expression: {reason}")]
    Refused {
        /// The expression, with seconds.
        got: String,
        /// What croner says.
        reason: String,
    },
}

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
        "" => "write five cron fields such as `30 2 * * *`".to_owned(),
        schedule => format!("drop `{comment}` and write `{schedule}`"),
    }
}

fn advice(equivalent: Option<&str>) -> String {
    match equivalent {
        Some(cron) => format!("write `{cron}`"),
        None => "it has no equivalent; write five cron fields such as `30 2 * * *`".to_owned(),
    }
}
