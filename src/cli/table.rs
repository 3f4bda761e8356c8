//! A table for people: columns that fit, words that are whole, and colour where it is wanted.
//!
//! Owns: which columns are shown, how wide each is, where the last one is broken (between words only), and the colours.
//! Never knows what a row means: a column says its text and its tone. A text that came from elsewhere has lost its control
//! characters before it is measured.

use std::io::{self, Write};

use unicode_width::UnicodeWidthStr;

use crate::logging::one_line;

use super::view::View;

/// What stands between two columns.
const GAP: usize = 2;
/// A column that is broken into lines is at least so wide.
const NARROWEST: usize = 20;

/// What a text is, for the eye.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// As it should be.
    Good,
    /// Under way.
    Busy,
    /// To be looked at.
    Warning,
    /// Wrong.
    Bad,
    /// No more.
    Faint,
    /// Neither.
    Plain,
}

impl Tone {
    fn code(self) -> Option<&'static str> {
        match self {
            Self::Good => Some("32"),
            Self::Busy => Some("36"),
            Self::Warning => Some("33"),
            Self::Bad => Some("31"),
            Self::Faint => Some("2"),
            Self::Plain => None,
        }
    }

    /// The text in this tone, where colours are wanted.
    pub fn paint(self, text: &str, is_coloured: bool) -> String {
        match self.code().filter(|_| is_coloured && !text.is_empty()) {
            Some(code) => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
            None => text.to_owned(),
        }
    }
}

/// When a column is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Always,
    /// Unless all rows have the same text.
    WhereRowsDiffer,
    /// Unless no row has a text.
    WhereFilled,
    /// While there is room; the highest goes first.
    WhileThereIsRoom(u8),
    /// In a wide table only.
    Wide,
}

/// A column of a table for people.
#[derive(Debug)]
pub struct Column<R> {
    name: &'static str,
    text: fn(&R) -> String,
    tone: fn(&R) -> Tone,
    place: Place,
    is_right: bool,
    is_zoned: bool,
    is_broken: bool,
}

/// A column of this name, with this text in a row.
#[expect(
    non_snake_case,
    reason = "a column is written as what it is, and what it may have beside is added to it"
)]
pub const fn Column<R>(name: &'static str, text: fn(&R) -> String) -> Column<R> {
    Column {
        name,
        text,
        tone: |_| Tone::Plain,
        place: Place::Always,
        is_right: false,
        is_zoned: false,
        is_broken: false,
    }
}

impl<R> Column<R> {
    /// Numbers: they end below one another.
    pub const fn right(mut self) -> Self {
        self.is_right = true;
        self
    }

    /// Its instants are on the clocks of the table, which its title names.
    pub const fn zoned(mut self) -> Self {
        self.is_zoned = true;
        self
    }

    /// It is broken between words where it finds no room; for the last column.
    pub const fn broken(mut self) -> Self {
        self.is_broken = true;
        self
    }

    /// How a row's text is coloured.
    pub const fn toned(mut self, tone: fn(&R) -> Tone) -> Self {
        self.tone = tone;
        self
    }

    /// Only in a wide table.
    pub const fn wide(mut self) -> Self {
        self.place = Place::Wide;
        self
    }

    /// Not where all rows have the same text.
    pub const fn where_rows_differ(mut self) -> Self {
        self.place = Place::WhereRowsDiffer;
        self
    }

    /// Not where no row has a text.
    pub const fn where_filled(mut self) -> Self {
        self.place = Place::WhereFilled;
        self
    }

    /// Only while there is room; of several the one with the highest number goes first.
    pub const fn while_there_is_room(mut self, rank: u8) -> Self {
        self.place = Place::WhileThereIsRoom(rank);
        self
    }

    fn title(&self, view: &View) -> String {
        let title = self.name.to_uppercase().replace('_', " ");
        match self.is_zoned {
            true => format!("{title} ({})", view.clocks.name()),
            false => title,
        }
    }

    fn text(&self, row: &R) -> String {
        one_line(&(self.text)(row))
    }
}

/// What is known of the texts of a column.
#[derive(Debug, Default)]
struct Measured {
    width: usize,
    first: Option<String>,
    is_filled: bool,
    differs: bool,
}

/// How a table is laid out: it is known when all rows have been seen once.
pub(super) struct Layout<'a, R> {
    columns: &'a [Column<R>],
    measured: Vec<Measured>,
    /// How many rows were seen.
    pub(super) count: usize,
}

impl<'a, R> Layout<'a, R> {
    pub(super) fn new(columns: &'a [Column<R>]) -> Self {
        Self {
            columns,
            measured: columns.iter().map(|_| Measured::default()).collect(),
            count: 0,
        }
    }

    /// Takes in rows that the table will have.
    pub(super) fn measure(&mut self, rows: &[R]) {
        self.count += rows.len();
        for row in rows {
            for (column, measured) in self.columns.iter().zip(&mut self.measured) {
                let text = column.text(row);
                measured.width = measured.width.max(text.width());
                measured.is_filled |= !text.is_empty();
                match &measured.first {
                    Some(first) => measured.differs |= *first != text,
                    None => measured.first = Some(text),
                }
            }
        }
    }

    /// The columns that are shown, and how wide they are.
    pub(super) fn settle(self, view: &View) -> Settled<'a, R> {
        let is_wide = view.is_wide();
        let mut shown: Vec<Shown<'a, R>> = { self.columns.iter().zip(&self.measured) }
            .filter(|(column, measured)| {
                is_wide
                    || match column.place {
                        Place::Always | Place::WhileThereIsRoom(_) => true,
                        Place::WhereRowsDiffer => measured.differs,
                        Place::WhereFilled => measured.is_filled,
                        Place::Wide => false,
                    }
            })
            .map(|(column, measured)| {
                let title = column.title(view);
                let width = measured.width.max(title.width());
                Shown {
                    column,
                    title,
                    width,
                }
            })
            .collect();
        if !is_wide {
            fit(&mut shown, view.width);
        }
        Settled {
            shown,
            is_coloured: view.is_coloured,
        }
    }
}

/// Drops what is there only while there is room, and then breaks the column that may be broken.
fn fit<R>(shown: &mut Vec<Shown<'_, R>>, room: usize) {
    let width = |shown: &[Shown<'_, R>]| {
        let narrow = |one: &Shown<'_, R>| match one.column.is_broken {
            true => one.width.min(NARROWEST.max(one.title.width())),
            false => one.width,
        };
        shown.iter().map(narrow).sum::<usize>() + GAP * shown.len().saturating_sub(1)
    };
    let rank = |one: &Shown<'_, R>| match one.column.place {
        Place::WhileThereIsRoom(rank) => Some(rank),
        _ => None,
    };
    while width(shown) > room {
        let last = shown.iter().enumerate();
        let last = last.filter_map(|(index, one)| Some((rank(one)?, index)));
        let Some((_, index)) = last.max() else { break };
        shown.remove(index);
    }
    let others: usize = { shown.iter() }
        .filter(|one| !one.column.is_broken)
        .map(|one| one.width + GAP)
        .sum();
    for one in shown.iter_mut().filter(|one| one.column.is_broken) {
        let least = NARROWEST.max(one.title.width());
        one.width = one.width.min(room.saturating_sub(others).max(least));
    }
}

struct Shown<'a, R> {
    column: &'a Column<R>,
    title: String,
    width: usize,
}

/// A table that can be written.
pub(super) struct Settled<'a, R> {
    shown: Vec<Shown<'a, R>>,
    is_coloured: bool,
}

impl<R> Settled<'_, R> {
    pub(super) fn header(&self, out: &mut impl Write) -> io::Result<()> {
        let titles = self
            .shown
            .iter()
            .map(|one| (one.title.clone(), Tone::Plain));
        self.line(out, &titles.collect::<Vec<_>>())
    }

    /// Writes a row: one line, or as many as its broken column has.
    pub(super) fn row(&self, out: &mut impl Write, row: &R) -> io::Result<()> {
        let cells: Vec<Vec<String>> = { self.shown.iter() }
            .map(|one| {
                let text = one.column.text(row);
                match one.column.is_broken {
                    true => lines(&text, one.width),
                    false => vec![text],
                }
            })
            .collect();
        let height = cells.iter().map(Vec::len).max().unwrap_or(1);
        for index in 0..height {
            let texts = { self.shown.iter().zip(&cells) }.map(|(one, lines)| {
                let text = lines.get(index).cloned().unwrap_or_default();
                (text, (one.column.tone)(row))
            });
            self.line(out, &texts.collect::<Vec<_>>())?;
        }
        Ok(())
    }

    fn line(&self, out: &mut impl Write, texts: &[(String, Tone)]) -> io::Result<()> {
        let (mut line, mut owed) = (String::new(), 0);
        for (one, (text, tone)) in self.shown.iter().zip(texts) {
            let spare = one.width.saturating_sub(text.width());
            let (before, after) = match one.column.is_right {
                true => (spare, 0),
                false => (0, spare),
            };
            if text.is_empty() {
                owed += one.width + GAP;
                continue;
            }
            line.push_str(&" ".repeat(owed + before));
            line.push_str(&tone.paint(text, self.is_coloured));
            owed = after + GAP;
        }
        writeln!(out, "{line}")
    }
}

/// The text in lines of at most `width`, broken between words; a word that is longer has a line of its own.
pub(super) fn lines(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let Some(line) = lines.last_mut() else { break };
        if line.is_empty() {
            line.push_str(word);
        } else if line.width() + 1 + word.width() <= width {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

#[cfg(test)]
mod tests;
