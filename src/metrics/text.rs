//! The text format 0.0.4, written as the library's encoder writes it.
//!
//! Owns: the writing of families that are computed from the view. A scrape of 5,000 pairs has 80,000 lines: the library
//! wants an object for each, with a copy of every label, and takes ten times as long for the same bytes.

use std::fmt::Write as _;

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
        for c in value.chars() {
            match c {
                '\\' => self.0.push_str("\\\\"),
                '\n' => self.0.push_str("\\n"),
                '"' => self.0.push_str("\\\""),
                _ => self.0.push(c),
            }
        }
        self.0.push('"');
    }
}

/// An exposition that is being written.
#[derive(Debug, Default)]
pub(super) struct Text(String);

impl Text {
    pub(super) fn with_capacity(bytes: usize) -> Self {
        Self(String::with_capacity(bytes))
    }

    /// Begins a family. It is not there before its first line: one without samples is not shown.
    pub(super) fn family<'a>(
        &'a mut self,
        name: &'static str,
        help: &'static str,
        kind: Kind,
    ) -> Lines<'a> {
        Lines {
            text: &mut self.0,
            name,
            help,
            kind,
            is_begun: false,
        }
    }

    /// Writes a family that the library keeps.
    pub(super) fn library(&mut self, family: MetricFamily) -> prometheus::Result<()> {
        TextEncoder::new().encode_utf8(&[family], &mut self.0)
    }

    pub(super) fn finish(self) -> String {
        self.0
    }
}

/// The lines of one family.
pub(super) struct Lines<'a> {
    text: &'a mut String,
    name: &'static str,
    help: &'static str,
    kind: Kind,
    is_begun: bool,
}

impl Lines<'_> {
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
        self.text.push_str(self.name);
        if !labels.is_empty() || more.is_some() {
            self.text.push('{');
            self.text.push_str(labels);
            if let Some((name, word)) = more {
                let comma = if labels.is_empty() { "" } else { "," };
                for part in [comma, name, "=\"", word, "\""] {
                    self.text.push_str(part);
                }
            }
            self.text.push('}');
        }
        self.text.push(' ');
        number(self.text, value);
        self.text.push('\n');
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
        head.into_iter().for_each(|part| self.text.push_str(part));
    }
}

/// A number as `f64` shows it; a whole one by the shorter way, which most are.
fn number(text: &mut String, value: f64) {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let is_whole = value.fract() == 0.0 && value.abs() < EXACT && value.is_sign_positive();
    // Writing to a string cannot fail.
    let _ = match is_whole {
        true => write!(text, "{}", value as u64),
        false => write!(text, "{value}"),
    };
}

#[cfg(test)]
mod tests {
    use prometheus::proto::{Gauge, LabelPair, Metric, MetricType};
    use proptest::prelude::*;

    use super::*;

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
        let mut text = Text::default();
        text.library(family).unwrap();
        text.finish()
    }

    fn by_us(labels: &Labels, more: Option<(&str, &'static str)>, value: f64) -> String {
        let mut text = Text::default();
        let mut lines = text.family("a_metric", "What it's for.", Kind::Gauge);
        lines.line(&labels.0, more, value);
        text.finish()
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

    #[test]
    fn a_family_without_samples_is_not_shown() {
        let mut text = Text::default();
        let mut lines = text.family("a_metric", "What it's for.", Kind::Counter);
        lines.add(&Labels::default(), None);
        assert_eq!(text.finish(), "");
    }
}
