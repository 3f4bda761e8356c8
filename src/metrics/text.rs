//! The text format 0.0.4, written as the library's encoder writes it.
//!
//! Owns: the writing of families that are computed from the view. A scrape of 5,000 pairs has 80,000 lines: the library
//! wants an object for each, with a copy of every label, and takes ten times as long for the same bytes. The text is handed
//! on in pieces, which stay in the processor's cache: as a whole it has millions of bytes.

use std::fmt::Write as _;
use std::io::{self, Write};

use prometheus::TextEncoder;
use prometheus::proto::MetricFamily;

/// Whether a family counts or shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Counter,
    Gauge,
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
        }
    }
}

/// Labels as they stand between the braces; written once where many lines have the same.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Labels(String);

impl Labels {
    pub(super) fn new<const N: usize>(pairs: [(&str, &str); N]) -> Self {
        let mut labels = Self::default();
        for (name, value) in pairs {
            labels.add(name, value);
        }
        labels
    }

    fn add(&mut self, name: &str, value: &str) {
        if !self.0.is_empty() {
            self.0.push(',');
        }
        self.0.push_str(name);
        self.0.push_str("=\"");
        // Nearly no value has anything to escape.
        match value.contains(['\\', '\n', '"']) {
            true => self.escape(value),
            false => self.0.push_str(value),
        }
        self.0.push('"');
    }

    fn escape(&mut self, value: &str) {
        for c in value.chars() {
            match c {
                '\\' => self.0.push_str("\\\\"),
                '\n' => self.0.push_str("\\n"),
                '"' => self.0.push_str("\\\""),
                _ => self.0.push(c),
            }
        }
    }
}

/// So many bytes are written before they are handed on.
const PIECE: usize = 32 << 10;

/// An exposition that is being written.
pub(super) struct Text<'s> {
    /// What was not handed on yet.
    piece: String,
    sink: &'s mut dyn Write,
    /// Whether the sink has taken everything so far.
    taken: io::Result<()>,
}

impl<'s> Text<'s> {
    pub(super) fn new(sink: &'s mut dyn Write) -> Self {
        Self {
            piece: String::with_capacity(2 * PIECE),
            sink,
            taken: Ok(()),
        }
    }

    /// Begins a family. It is not there before its first line: one without samples is not shown.
    pub(super) fn family<'a>(
        &'a mut self,
        name: &'static str,
        help: &'static str,
        kind: Kind,
    ) -> Lines<'a, 's> {
        Lines {
            text: self,
            name,
            help,
            kind,
            is_begun: false,
        }
    }

    /// Writes a family that the library keeps.
    pub(super) fn library(&mut self, family: MetricFamily) -> prometheus::Result<()> {
        TextEncoder::new().encode_utf8(&[family], &mut self.piece)
    }

    /// Hands on what is left; tells whether the sink has taken everything.
    pub(super) fn finish(mut self) -> io::Result<()> {
        self.hand_on();
        self.taken
    }

    fn hand_on(&mut self) {
        if self.taken.is_ok() {
            self.taken = self.sink.write_all(self.piece.as_bytes());
        }
        self.piece.clear();
    }
}

/// The lines of one family.
pub(super) struct Lines<'a, 's> {
    text: &'a mut Text<'s>,
    name: &'static str,
    help: &'static str,
    kind: Kind,
    is_begun: bool,
}

impl Lines<'_, '_> {
    /// A line for each value that there is.
    pub(super) fn add(&mut self, labels: &Labels, value: impl Into<Option<f64>>) {
        if let Some(value) = value.into() {
            self.line(&labels.0, None, value);
        }
    }

    /// A line with one label more, whose value is a word that needs no escaping.
    pub(super) fn add_with(&mut self, labels: &Labels, more: (&str, &'static str), value: f64) {
        self.line(&labels.0, Some(more), value);
    }

    fn line(&mut self, labels: &str, more: Option<(&str, &'static str)>, value: f64) {
        self.begin();
        let text = &mut self.text.piece;
        text.push_str(self.name);
        if !labels.is_empty() || more.is_some() {
            text.push('{');
            text.push_str(labels);
            if let Some((name, word)) = more {
                let comma = if labels.is_empty() { "" } else { "," };
                for part in [comma, name, "=\"", word, "\""] {
                    text.push_str(part);
                }
            }
            text.push('}');
        }
        text.push(' ');
        number(text, value);
        text.push('\n');
        if text.len() >= PIECE {
            self.text.hand_on();
        }
    }

    fn begin(&mut self) {
        if self.is_begun {
            return;
        }
        self.is_begun = true;
        let (name, kind) = (self.name, self.kind.as_str());
        let head = [
            "# HELP ",
            name,
            " ",
            self.help,
            "\n# TYPE ",
            name,
            " ",
            kind,
            "\n",
        ];
        let text = &mut self.text.piece;
        head.into_iter().for_each(|part| text.push_str(part));
    }
}

/// A number as `f64` shows it; by a shorter way a whole one, as most are, and an instant to the millisecond.
fn number(text: &mut String, value: f64) {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let is_whole = value.fract() == 0.0 && value.abs() < EXACT && value.is_sign_positive();
    // Writing to a string cannot fail.
    let _ = match is_whole {
        true => write!(text, "{}", value as u64),
        false if is_in_millis(value) => in_millis(text, value),
        false => write!(text, "{value}"),
    };
}

/// Whether three decimals say exactly this number, and no fewer digits could: far enough below where its neighbours are
/// thousandths apart.
fn is_in_millis(value: f64) -> bool {
    const FAR: f64 = 1_099_511_627_776.0;
    (0.001..FAR).contains(&value) && (value * 1000.0).round() / 1000.0 == value
}

fn in_millis(text: &mut String, value: f64) -> std::fmt::Result {
    let millis = (value * 1000.0).round() as u64;
    write!(text, "{}.{:03}", millis / 1000, millis % 1000)?;
    text.truncate(text.trim_end_matches('0').len());
    Ok(())
}

#[cfg(test)]
mod tests {
    use prometheus::proto::{Gauge, LabelPair, Metric, MetricType};
    use proptest::prelude::*;

    use super::*;

    fn written(write: impl FnOnce(&mut Text)) -> String {
        let mut bytes = Vec::new();
        let mut text = Text::new(&mut bytes);
        write(&mut text);
        text.finish().unwrap();
        String::from_utf8(bytes).unwrap()
    }

    /// The same line by the library.
    fn by_the_library(labels: &[(&str, &str)], value: f64) -> String {
        let label = |(name, value): &(&str, &str)| {
            let mut pair = LabelPair::default();
            pair.set_name((*name).to_owned());
            pair.set_value((*value).to_owned());
            pair
        };
        let mut gauge = Gauge::default();
        gauge.set_value(value);
        let mut metric = Metric::default();
        metric.set_label(labels.iter().map(label).collect());
        metric.set_gauge(gauge);
        let mut family = MetricFamily::default();
        family.set_name("a_metric".to_owned());
        family.set_help("What it's for.".to_owned());
        family.set_field_type(MetricType::GAUGE);
        family.set_metric(vec![metric]);
        written(|text| text.library(family).unwrap())
    }

    fn by_us(labels: &Labels, more: Option<(&str, &'static str)>, value: f64) -> String {
        written(|text| {
            let mut lines = text.family("a_metric", "What it's for.", Kind::Gauge);
            lines.line(&labels.0, more, value);
        })
    }

    proptest! {
        #[test]
        fn a_line_is_the_librarys_byte_for_byte(
            one in any::<String>(), two in "[a\\\\\"\n,{}= ]*", value in any::<f64>(),
        ) {
            let pairs = [("one", one.as_str()), ("two", two.as_str())];
            let labels = Labels::new(pairs);
            prop_assert_eq!(by_us(&labels, None, value), by_the_library(&pairs, value));
            let three = [pairs[0], pairs[1], ("three", "word")];
            let more = Some(("three", "word"));
            prop_assert_eq!(by_us(&labels, more, value), by_the_library(&three, value));
        }

        #[test]
        fn whole_numbers_are_the_librarys(value in any::<i64>()) {
            let (value, none) = (value as f64, Labels::default());
            prop_assert_eq!(by_us(&none, None, value), by_the_library(&[], value));
        }

        #[test]
        fn instants_are_the_librarys(millis in any::<u64>(), shift in 0..64) {
            let (value, none) = ((millis >> shift) as f64 / 1000.0, Labels::default());
            prop_assert_eq!(by_us(&none, None, value), by_the_library(&[], value));
        }
    }

    #[test]
    fn numbers_at_the_edges_are_the_librarys() {
        let edges = [
            0.0,
            -0.0,
            1.0,
            -1.0,
            0.5,
            1e15,
            9_007_199_254_740_992.0,
            1e300,
            f64::NAN,
        ];
        let edges = edges
            .into_iter()
            .chain([f64::INFINITY, f64::NEG_INFINITY, f64::MIN_POSITIVE]);
        for value in edges {
            let none = Labels::default();
            assert_eq!(by_us(&none, None, value), by_the_library(&[], value));
        }
    }

    /// Takes so many bytes and no more.
    struct Full(usize);

    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            match self.0.checked_sub(bytes.len()) {
                Some(left) => self.0 = left,
                None => return Err(io::ErrorKind::StorageFull.into()),
            }
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_long_text_is_handed_on_in_pieces_and_a_sink_that_takes_no_more_is_told() {
        let lines = |text: &mut Text| {
            let mut lines = text.family("a_metric", "What it's for.", Kind::Gauge);
            for value in 0..10_000 {
                lines.line("", None, f64::from(value));
            }
        };
        let whole = written(lines);
        assert_eq!(whole.lines().count(), 10_002);
        assert!(whole.ends_with("a_metric 9999\n"));
        let mut sink = Full(PIECE + PIECE / 2);
        let mut text = Text::new(&mut sink);
        lines(&mut text);
        let end = text.finish().unwrap_err();
        assert_eq!(end.kind(), io::ErrorKind::StorageFull);
        assert!(sink.0 < PIECE, "a piece was taken before");
    }

    #[test]
    fn a_family_without_samples_is_not_shown() {
        let text = written(|text| {
            let mut lines = text.family("a_metric", "What it's for.", Kind::Counter);
            lines.add(&Labels::default(), None);
        });
        assert_eq!(text, "");
    }
}
