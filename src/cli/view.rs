//! How a person wants to see what a command prints: form, colours, width, and whose clocks.
//!
//! Owns: the options for it, which every reading command has, and how instants, lengths of time and sizes are written in a
//! table. Never decides what is printed.

use std::io::IsTerminal;

use chrono::{
    DateTime, Datelike, FixedOffset, Local, NaiveDateTime, TimeDelta, TimeZone, Timelike, Utc,
};
use clap::{Args, ValueEnum};

use crate::config::Config;
use crate::schedule::Zone;

/// The form of a command's output.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// A table for people.
    #[default]
    Table,
    /// A table with every column, even if its lines are long.
    Wide,
    /// One JSON array of objects; times are in RFC 3339 and UTC, absent values are null.
    Json,
    /// Comma-separated values with a header line (RFC 4180).
    Csv,
}

impl Output {
    /// Whether the output is for people.
    pub fn is_table(self) -> bool {
        matches!(self, Self::Table | Self::Wide)
    }
}

/// When output is coloured.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless NO_COLOR is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// The format of the output, before or behind the command.
#[derive(Debug, Clone, Default, Args)]
pub struct OutputArgs {
    /// The format of the output
    #[arg(
        long,
        short,
        value_enum,
        default_value_t,
        global = true,
        value_name = "FORM"
    )]
    pub output: Output,
    /// When to colour the output
    #[arg(long, value_enum, default_value_t, global = true, value_name = "WHEN")]
    pub color: Color,
}

/// Whose clocks the instants of a table are on.
#[derive(Debug, Clone, Copy, Default, Args)]
pub struct ClockArgs {
    /// Show times in UTC; by default they are in the time zone of the policies shown, if these have the same one
    #[arg(long, conflicts_with = "local")]
    pub utc: bool,
    /// Show times in this machine's time zone
    #[arg(long)]
    pub local: bool,
}

/// The clocks that a table shows.
#[derive(Debug, Clone)]
pub enum Clocks {
    /// Those of a time zone.
    Of(Zone),
    /// Those of this machine.
    Machine,
}

impl Clocks {
    /// What is asked for, or else the zone in which all policies of the names agree; UTC where they do not.
    pub(super) fn choose<'a>(
        args: ClockArgs,
        config: &Config,
        policies: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        if args.local {
            return Self::Machine;
        }
        let mut zone = None;
        for name in policies {
            let policy = config.policies.iter().find(|one| one.name.as_str() == name);
            let Some(policy) = policy.filter(|_| !args.utc) else {
                continue;
            };
            let its = policy.schedule.timezone();
            match &zone {
                None => zone = Some(its.clone()),
                Some(one) if one == its => {}
                Some(_) => return Self::Of(Zone::utc()),
            }
        }
        Self::Of(zone.unwrap_or_else(Zone::utc))
    }

    /// The same for all policies of the file.
    pub(super) fn of_all(args: ClockArgs, config: &Config) -> Self {
        Self::choose(
            args,
            config,
            config.policies.iter().map(|one| one.name.as_str()),
        )
    }

    /// How a title names them.
    pub fn name(&self) -> &str {
        match self {
            Self::Of(zone) => zone.name(),
            Self::Machine => "local time",
        }
    }

    pub(super) fn local(&self, instant: DateTime<Utc>) -> DateTime<FixedOffset> {
        match self {
            Self::Of(zone) => zone.local(instant),
            Self::Machine => instant.with_timezone(&Local).fixed_offset(),
        }
    }

    /// When they first show `local`, or a later time where they skip it.
    pub(super) fn instant(&self, local: NaiveDateTime) -> Option<DateTime<Utc>> {
        match self {
            Self::Of(zone) => zone.first_instant(local),
            Self::Machine => {
                let shown = |minutes: i64| {
                    let later = local.checked_add_signed(TimeDelta::minutes(minutes))?;
                    Local.from_local_datetime(&later).earliest()
                };
                // No clock skips more than a day.
                let reached = (0..=24 * 60).step_by(15).find_map(shown);
                reached.map(|instant| instant.with_timezone(&Utc))
            }
        }
    }

    /// The date and the time of day, with seconds where there are any, and with the offset where the clocks show that
    /// time twice.
    pub fn show(&self, instant: DateTime<Utc>) -> String {
        let local = self.local(instant);
        let seconds = match local.second() {
            0 => String::new(),
            seconds => format!(":{seconds:02}"),
        };
        let offset = match self.is_shown_twice(instant) {
            true => local.format("%:z").to_string(),
            false => String::new(),
        };
        format!("{}{seconds}{offset}", local.format("%Y-%m-%d %H:%M"))
    }

    /// The date alone.
    pub fn date(&self, instant: DateTime<Utc>) -> String {
        let local = self.local(instant);
        format!(
            "{:04}-{:02}-{:02}",
            local.year(),
            local.month(),
            local.day()
        )
    }

    /// The text with its instants, in RFC 3339 and UTC, on these clocks.
    pub fn retold(&self, text: &str) -> String {
        const LENGTH: usize = "2026-11-24T01:30:00Z".len();
        let mut told = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            let instant = rest.get(..LENGTH).filter(|part| part.ends_with('Z'));
            let instant = instant.and_then(|part| part.parse::<DateTime<Utc>>().ok());
            let is_begun = told.ends_with(|c: char| c.is_ascii_alphanumeric() || c == '-');
            match instant.filter(|_| c.is_ascii_digit() && !is_begun) {
                Some(instant) => {
                    told.push_str(&self.show(instant));
                    rest = &rest[LENGTH..];
                }
                None => {
                    told.push(c);
                    rest = &rest[c.len_utf8()..];
                }
            }
        }
        told
    }

    fn is_shown_twice(&self, instant: DateTime<Utc>) -> bool {
        let shown = self.local(instant).naive_local();
        let at = |minutes: i64| self.local(instant + TimeDelta::minutes(minutes));
        [-120, -60, -30, 30, 60, 120]
            .into_iter()
            .any(|minutes| at(minutes).naive_local() == shown)
    }
}

/// How a table is shown.
#[derive(Debug, Clone)]
pub struct View {
    /// The form.
    pub output: Output,
    /// Whether there are colours.
    pub is_coloured: bool,
    /// How many characters a line has room for.
    pub width: usize,
    /// Whose clocks instants are on.
    pub clocks: Clocks,
    /// What a table without a row says in the place of its header.
    pub empty: String,
}

/// So wide is a table that nobody's terminal limits.
const WIDTH: usize = 100;
/// A narrower terminal breaks lines itself.
const LEAST_WIDTH: usize = 40;

impl View {
    /// As the arguments say, for what goes to stdout.
    pub(super) fn of(args: &OutputArgs, clocks: Clocks) -> Self {
        let is_terminal = std::io::stdout().is_terminal();
        let is_coloured = match args.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => is_terminal && !is_colour_unwanted(),
        };
        Self {
            output: args.output,
            is_coloured,
            width: width(is_terminal),
            empty: String::new(),
            // What programs read is in UTC.
            clocks: match args.output.is_table() {
                true => clocks,
                false => Clocks::Of(Zone::utc()),
            },
        }
    }

    /// As the arguments say, where no instants are shown.
    pub(super) fn plain(args: &OutputArgs) -> Self {
        Self::of(args, Clocks::Of(Zone::utc()))
    }

    /// The same, with what it says where there is no row.
    #[must_use]
    pub(super) fn or_say(self, empty: impl Into<String>) -> Self {
        Self {
            empty: empty.into(),
            ..self
        }
    }

    pub(super) fn is_wide(&self) -> bool {
        self.output == Output::Wide
    }
}

impl From<Output> for View {
    fn from(output: Output) -> Self {
        Self {
            output,
            is_coloured: false,
            width: WIDTH,
            clocks: Clocks::Of(Zone::utc()),
            empty: String::new(),
        }
    }
}

/// Whether the environment asks for no colours (no-color.org).
pub(super) fn is_colour_unwanted() -> bool {
    std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
}

/// The terminal's width, or as wide as a table may be where there is none.
fn width(is_terminal: bool) -> usize {
    let columns = std::env::var("COLUMNS").ok();
    let columns = columns.and_then(|columns| columns.parse::<usize>().ok());
    let terminal = || {
        console::Term::stdout()
            .size_checked()
            .filter(|_| is_terminal)
    };
    let width = columns.or_else(|| terminal().map(|(_, columns)| usize::from(columns)));
    width.unwrap_or(WIDTH).max(LEAST_WIDTH)
}

/// A size as people say it: three figures, and a unit of 1024.
pub(super) fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let mut scaled = bytes as f64;
    let mut unit = "B";
    for next in UNITS {
        if scaled < 1000.0 {
            break;
        }
        (scaled, unit) = (scaled / 1024.0, next);
    }
    match unit {
        "B" => format!("{bytes} B"),
        _ if scaled < 9.95 => format!("{scaled:.1} {unit}"),
        _ => format!("{scaled:.0} {unit}"),
    }
}

/// A length of time in its largest unit, or its largest two below ten of it.
pub(super) fn age(length: TimeDelta) -> String {
    let seconds = length.num_seconds().max(0);
    let two = |large: i64, unit: &str, small: i64, small_unit: &str| match small {
        0 => format!("{large}{unit}"),
        _ if large >= 10 => format!("{large}{unit}"),
        _ => format!("{large}{unit} {small}{small_unit}"),
    };
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => two(seconds / 60, "m", seconds % 60, "s"),
        3600..86_400 => two(seconds / 3600, "h", seconds % 3600 / 60, "m"),
        _ => two(seconds / 86_400, "d", seconds % 86_400 / 3600, "h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tzdb;

    #[test]
    fn sizes_and_ages_are_short() {
        let sizes = [0, 999, 1024, 167_773_274_112, 1_649_267_441_664];
        assert_eq!(
            sizes.map(size),
            ["0 B", "999 B", "1.0 KiB", "156 GiB", "1.5 TiB"]
        );
        let ages = [5, 125, 7200, 40_000, 100_000, 3_000_000];
        let ages = ages.map(|seconds| age(TimeDelta::seconds(seconds)));
        assert_eq!(ages, ["5s", "2m 5s", "2h", "11h", "1d 3h", "34d"]);
    }

    #[test]
    fn a_time_that_the_clocks_show_twice_has_its_offset() {
        let clocks = Clocks::Of(tzdb::bundled("Europe/Berlin").unwrap());
        let at = |text: &str| clocks.show(text.parse().unwrap());
        assert_eq!(at("2026-10-25T00:30:00Z"), "2026-10-25 02:30+02:00");
        assert_eq!(at("2026-10-25T01:30:00Z"), "2026-10-25 02:30+01:00");
        assert_eq!(at("2026-11-24T01:30:20Z"), "2026-11-24 02:30:20");
    }

    #[test]
    fn the_instants_in_a_text_are_told_on_the_clocks_of_the_table() {
        let clocks = Clocks::Of(tzdb::bundled("Europe/Berlin").unwrap());
        let told = clocks.retold("from 2026-11-24T01:30:00Z, \u{fc}ber 12026-11-24T01:30:00Z");
        assert_eq!(
            told,
            "from 2026-11-24 02:30, \u{fc}ber 12026-11-24T01:30:00Z"
        );
    }

    #[test]
    fn an_instant_that_the_clocks_skip_is_the_first_one_after() {
        let clocks = Clocks::Of(tzdb::bundled("Europe/Berlin").unwrap());
        let local = NaiveDateTime::parse_from_str("2026-03-29 02:30", "%Y-%m-%d %H:%M").unwrap();
        let instant = clocks.instant(local).unwrap();
        assert_eq!(instant.to_rfc3339(), "2026-03-29T01:00:00+00:00");
    }
}
