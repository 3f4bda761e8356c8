//! One event, one line.
//!
//! Owns: the escaping of whatever would break a line, move a cursor or turn the reading direction. It is
//! done where the finished line is written, so that no way of formatting a field gets around it. Only
//! colours have to be told from hostile escape codes before: a text's fields are escaped one by one.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::{fmt, io};

use tracing::field::Field;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::Writer;

use crate::spool::Spool;
use crate::told::command;

/// How a line is escaped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// Text.
    Plain,
    /// Text with the subscriber's own colours, which begin with ESC; [`write_field`] has escaped all others.
    Coloured,
    /// JSON, in which serde has escaped everything below U+0020.
    Json,
}

/// `text` without anything that breaks a line, moves a cursor or turns the reading direction.
pub fn one_line(text: &str) -> String {
    escaped(text, Style::Plain)
}

fn escaped(text: &str, style: Style) -> String {
    let mut line = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\x1b' if style == Style::Coloured => line.push(character),
            _ if !is_hostile(character) => line.push(character),
            _ if style == Style::Json => {
                // Every hostile character is in the Basic Multilingual Plane: four digits are enough.
                let _ = write!(line, "\\u{:04x}", u32::from(character));
            }
            _ => line.extend(character.escape_default()),
        }
    }
    line
}

fn is_hostile(character: char) -> bool {
    let separator = matches!(character, '\u{2028}' | '\u{2029}');
    let direction = matches!(
        character,
        '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    );
    character.is_control() || separator || direction
}

/// Writes a field of an event or a span into a line of text, escaped.
pub(super) fn write_field(
    writer: &mut Writer<'_>,
    field: &Field,
    value: &dyn fmt::Debug,
) -> fmt::Result {
    let value = one_line(&format!("{value:?}"));
    match field.name() {
        "message" => writer.write_str(&command::whole(&value)),
        // The crate `log`'s names for what the line begins with.
        name if name.starts_with("log.") => Ok(()),
        name if writer.has_ansi_escapes() => {
            write!(writer, "\x1b[3m{name}\x1b[0m\x1b[2m=\x1b[0m{value}")
        }
        name => write!(writer, "{name}={value}"),
    }
}

/// Puts what is written into a spool, each write as one entry.
pub(super) struct Spooled<'a>(pub(super) &'a Spool);

impl io::Write for Spooled<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.put(line.to_vec());
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Makes writers that take one event each.
#[derive(Debug, Clone)]
pub(super) struct Lines<M> {
    inner: M,
    style: Style,
}

impl<M> Lines<M> {
    pub(super) fn new(inner: M, style: Style) -> Self {
        Self { inner, style }
    }
}

impl<'a, M: MakeWriter<'a>> MakeWriter<'a> for Lines<M> {
    type Writer = Line<M::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        Line {
            inner: self.inner.make_writer(),
            style: self.style,
        }
    }
}

/// Takes one whole event at once, as the subscriber writes it.
pub(super) struct Line<W> {
    inner: W,
    style: Style,
}

impl<W: io::Write> io::Write for Line<W> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text: Cow<'_, str> = String::from_utf8_lossy(event);
        let mut line = escaped(text.trim_end(), self.style);
        line.push('\n');
        self.inner.write_all(line.as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
