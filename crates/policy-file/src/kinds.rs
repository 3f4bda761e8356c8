//! Kinds of values that many keys have: a duration, a switch, a number.
//!
//! Owns: what is wanted of each kind, in words and as JSON Schema, next to how it is read. Which key is of which kind, its
//! bounds and its default are the key's own.

use std::borrow::Cow;

use chrono::TimeDelta;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error, Unexpected};
use serde::{Deserialize, Deserializer};

use super::path::KeyPath;
use super::report::Report;

/// Declares a kind: what it is written as, what is wanted where something else stands, and its schema.
macro_rules! kind {
    ($(#[$about:meta])* $name:ident($written:ty), $wanted:literal, $schema:tt) => {
        $(#[$about])*
        #[derive(Debug, Clone, PartialEq)]
        pub(super) struct $name(pub(super) $written);

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let written = <$written>::deserialize(deserializer);
                // What stands there instead is told by whoever has the file before him.
                let wanted = |_| D::Error::invalid_type(Unexpected::Other("another"), &$wanted);
                written.map(Self).map_err(wanted)
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    };
}

kind! {
    /// One period or several, as `1h30m`; the bounds are beyond a pattern.
    Span(String),
    "a duration in s, m, h, d or w such as \"4h\", in quotes",
    { "type": "string", "pattern": "^([0-9]+[smhdw])+$", "examples": ["90s", "4h"] }
}

kind! {
    /// Yes or no.
    Flag(bool), "true or false", { "type": "boolean" }
}

kind! {
    /// From 1 on.
    Count(u32), "a whole number from 1", { "type": "integer", "minimum": 1, "maximum": u32::MAX }
}

kind! {
    /// From 0 on.
    Number(u32), "a whole number", { "type": "integer", "minimum": 0, "maximum": u32::MAX }
}

impl Span {
    /// The duration, from `least` to `most`; `None` where it is not one, which is reported at `path`.
    pub(super) fn within(
        &self,
        [least, most]: [&str; 2],
        path: &KeyPath,
        report: &mut Report,
    ) -> Option<TimeDelta> {
        let Self(text) = self;
        let bounds = period(least).zip(period(most));
        let is_within =
            |span: &TimeDelta| bounds.is_some_and(|(least, most)| (least..=most).contains(span));
        let read = period(text).filter(is_within);
        if read.is_none() {
            let wanted = "a duration in s, m, h, d or w such as \"90s\" or \"4h\", from";
            report.wrong(path, text, format!("{wanted} {least} to {most}"));
        }
        read
    }
}

/// Reads `90s`, `15m`, `4h`, `35d`, `8w`, or several of these as `1h30m`.
fn period(text: &str) -> Option<TimeDelta> {
    // humantime knows more units, among them months and years of a fixed length, and allows blanks.
    let unit = |c: char| "smhdw".contains(c);
    let plain = text.ends_with(unit)
        && text.split_inclusive(unit).all(|part| {
            let count = part.trim_end_matches(unit);
            part.len() == count.len() + 1
                && !count.is_empty()
                && count.bytes().all(|b| b.is_ascii_digit())
        });
    let read = plain.then(|| humantime::parse_duration(text).ok())?;
    TimeDelta::from_std(read?).ok()
}

#[cfg(test)]
mod tests {
    use redkeep_core::settings::written_span;

    use super::*;

    #[test]
    fn durations_have_five_units() {
        for (text, seconds) in [
            ("0s", 0),
            ("90s", 90),
            ("15m", 900),
            ("4h", 14_400),
            ("1d", 86_400),
            ("2w", 1_209_600),
            ("1h30m", 5_400),
        ] {
            assert_eq!(period(text).unwrap().num_seconds(), seconds, "{text}");
        }
        for bad in [
            "",
            "0",
            "5",
            "m",
            "5M",
            "5 m",
            "5mo",
            "5min",
            "1y",
            "-5m",
            "1.5h",
            "5ms",
            "5sm",
            "99999999999999999999s",
            "٣m",
        ] {
            assert_eq!(period(bad), None, "{bad:?} was read");
        }
    }

    #[test]
    fn a_duration_is_written_as_it_is_read() {
        for text in ["0s", "90s", "15m", "24h", "36h", "2d", "90d"] {
            assert_eq!(written_span(period(text).unwrap()), text);
        }
    }
}
