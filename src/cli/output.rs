//! Rows for people and for programs: a table, JSON, or CSV.
//!
//! Owns: the three forms of a list of rows. Every reading command makes its rows once, and all forms show
//! the same fields under the same names, those of the JSON contract.

use std::io::{self, Write};

use serde::ser::{SerializeSeq, Serializer};
use serde_json::Value;

pub use crate::told::Row;
use crate::told::command;
pub(super) use crate::told::{names_of, row};

pub use super::table::{Column, Tone};
use super::table::{Layout, Settled};
pub use super::view::{Output, View};

/// The text of a value that may be absent.
pub(super) fn text(value: &Option<impl ToString>) -> String {
    value.as_ref().map(ToString::to_string).unwrap_or_default()
}

/// Writes rows to `out`: a table of `columns`, or the other forms of all fields.
///
/// # Errors
/// When `out` cannot be written to.
pub fn write_rows<R: Row>(
    out: &mut impl Write,
    view: impl Into<View>,
    columns: &[Column<R>],
    rows: &[R],
) -> io::Result<()> {
    write_pages(out, &view.into(), columns, || Ok(once(rows)))
}

/// One page with all rows.
fn once<'a, R>(rows: &'a [R]) -> impl FnMut() -> io::Result<Option<&'a [R]>> {
    let mut page = Some(rows);
    move || Ok(page.take())
}

/// As [`write_rows`], of rows that come a page at a time, so that their number makes no difference to the memory. A
/// table asks for all of them twice: first for how wide its columns are.
///
/// # Errors
/// When `out` cannot be written to, or there is no next page to be had.
pub fn write_pages<R, G, E, P>(
    out: &mut impl Write,
    view: &View,
    columns: &[Column<R>],
    begin: impl Fn() -> Result<P, E>,
) -> Result<(), E>
where
    R: Row,
    G: AsRef<[R]>,
    E: From<io::Error>,
    P: FnMut() -> Result<Option<G>, E>,
{
    match view.output {
        Output::Json => write_json::<R, _, _>(out, begin()?),
        Output::Csv => write_csv::<R, _, _>(out, begin()?),
        Output::Table | Output::Wide => write_table(out, view, columns, begin),
    }
}

fn write_json<R: Row, G: AsRef<[R]>, E: From<io::Error>>(
    out: &mut impl Write,
    mut next: impl FnMut() -> Result<Option<G>, E>,
) -> Result<(), E> {
    let mut json = serde_json::Serializer::pretty(&mut *out);
    let mut list = json.serialize_seq(None).map_err(io::Error::from)?;
    while let Some(rows) = next()? {
        for row in rows.as_ref() {
            list.serialize_element(row).map_err(io::Error::from)?;
        }
    }
    SerializeSeq::end(list).map_err(io::Error::from)?;
    Ok(writeln!(out)?)
}

fn write_csv<R: Row, G: AsRef<[R]>, E: From<io::Error>>(
    out: &mut impl Write,
    mut next: impl FnMut() -> Result<Option<G>, E>,
) -> Result<(), E> {
    write_records::<R>(out, true, &[])?;
    while let Some(rows) = next()? {
        write_records(out, false, rows.as_ref())?;
    }
    Ok(())
}

fn write_records<R: Row>(out: &mut impl Write, with_header: bool, rows: &[R]) -> io::Result<()> {
    let mut writer = csv::Writer::from_writer(out);
    if with_header {
        writer.write_record(R::FIELDS).map_err(unwrapped)?;
    }
    for row in rows {
        let values = serde_json::to_value(row).map_err(io::Error::from)?;
        let cells = R::FIELDS.iter().map(|field| cell(values.get(field)));
        writer.write_record(cells).map_err(unwrapped)?;
    }
    writer.flush()
}

/// A value in CSV: nothing for what is absent, and JSON for what is no single value.
fn cell(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

/// Rows that go on coming: a line for each, and in JSON one object a line.
pub(super) struct Rows<'a, R> {
    view: &'a View,
    table: Settled<'a, R>,
    is_begun: bool,
}

impl<'a, R: Row> Rows<'a, R> {
    /// As wide as `first` need it.
    pub(super) fn begin(view: &'a View, columns: &'a [Column<R>], first: &[R]) -> Self {
        let mut layout = Layout::new(columns);
        layout.measure(first);
        Self {
            view,
            table: layout.settle(view),
            is_begun: false,
        }
    }

    pub(super) fn write(&mut self, out: &mut impl Write, rows: &[R]) -> io::Result<()> {
        let is_first = !std::mem::replace(&mut self.is_begun, true);
        match self.view.output {
            Output::Json => {
                for row in rows {
                    serde_json::to_writer(&mut *out, row).map_err(io::Error::from)?;
                    writeln!(out)?;
                }
            }
            Output::Csv => write_records(out, is_first, rows)?,
            Output::Table | Output::Wide => {
                if is_first {
                    self.table.header(out)?;
                }
                for row in rows {
                    self.table.row(out, row)?;
                }
            }
        }
        out.flush()
    }
}

/// Rows that have come since they were measured are left out.
fn write_table<R, G: AsRef<[R]>, E: From<io::Error>, P: FnMut() -> Result<Option<G>, E>>(
    out: &mut impl Write,
    view: &View,
    columns: &[Column<R>],
    begin: impl Fn() -> Result<P, E>,
) -> Result<(), E> {
    let mut layout = Layout::new(columns);
    let mut next = begin()?;
    while let Some(rows) = next()? {
        layout.measure(rows.as_ref());
    }
    let mut left = layout.count;
    if left == 0 && !view.empty.is_empty() {
        return Ok(writeln!(out, "{}", command::whole(&view.empty))?);
    }
    let settled = layout.settle(view);
    settled.header(out)?;
    let mut next = begin()?;
    while let Some(rows) = next()?.filter(|_| left > 0) {
        for row in rows.as_ref().iter().take(left) {
            settled.row(out, row)?;
        }
        left = left.saturating_sub(rows.as_ref().len());
    }
    Ok(())
}

/// csv's own conversion hides the kind, by which a closed pipe is known.
fn unwrapped(error: csv::Error) -> io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        other => io::Error::other(format!("{other:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    row! {
        /// A row with one field that may be absent.
        Sample {
            policy: String,
            reason: Option<String>,
        }
        beside {
            remark: String,
        }
    }

    const COLUMNS: &[Column<Sample>] = &[
        Column("policy", |row| row.policy.clone()),
        Column("reason", |row| text(&row.reason)),
        Column("a_remark", |row| row.remark.clone()),
    ];

    fn written(output: Output) -> String {
        let rows = [
            Sample {
                policy: "nightly".to_owned(),
                reason: Some("a \"b\"\n\u{1b}[31m".to_owned()),
                remark: "for people".to_owned(),
            },
            Sample {
                policy: "hourly".to_owned(),
                ..Sample::default()
            },
        ];
        let mut out = Vec::new();
        write_rows(&mut out, output, COLUMNS, &rows).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn json_is_one_array_in_which_what_is_absent_is_null() {
        let rows: Value = serde_json::from_str(&written(Output::Json)).unwrap();
        assert_eq!(rows[0]["reason"], "a \"b\"\n\u{1b}[31m");
        assert_eq!(rows[1]["reason"], Value::Null);
        assert_eq!(rows[0].as_object().unwrap().len(), Sample::FIELDS.len());
    }

    #[test]
    fn csv_quotes_what_needs_quoting() {
        assert_eq!(
            written(Output::Csv),
            "policy,reason\nnightly,\"a \"\"b\"\"\n\u{1b}[31m\"\nhourly,\n"
        );
    }

    #[test]
    fn csv_without_a_row_has_its_header_all_the_same() {
        let mut out = Vec::new();
        write_rows::<Sample>(&mut out, Output::Csv, COLUMNS, &[]).unwrap();
        assert_eq!(out, b"policy,reason\n");
    }

    #[test]
    fn a_table_shows_no_control_characters() {
        let table = written(Output::Table);
        assert!(
            table.starts_with("POLICY   REASON") && table.contains("A REMARK"),
            "{table}"
        );
        assert!(table.contains("for people"), "{table}");
        assert!(!table.contains('\u{1b}'), "{table:?}");
    }
}
