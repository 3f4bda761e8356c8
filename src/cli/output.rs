//! Rows for people and for programs: a table, JSON, or CSV.
//!
//! Owns: the three forms of a list of rows. Every reading command makes its rows once, and all forms show
//! the same fields under the same names, those of the JSON contract.

use std::io::{self, Write};

use clap::ValueEnum;
use comfy_table::{ContentArrangement, Table, presets};
use serde::ser::{SerializeSeq, Serializer};
use serde_json::Value;

use crate::logging::one_line;

pub use crate::told::Row;
pub(super) use crate::told::{names_of, row};

/// The form of a command's output.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// A table for people.
    #[default]
    Table,
    /// One JSON array of objects; instants in RFC 3339 and UTC, absent values null.
    Json,
    /// Comma-separated values with a header line (RFC 4180).
    Csv,
}

/// A column of a table for people: its name, and its text in a row.
#[derive(Debug)]
pub struct Column<R>(pub &'static str, pub fn(&R) -> String);

impl<R> Column<R> {
    fn title(&self) -> String {
        self.0.to_uppercase().replace('_', " ")
    }

    fn text(&self, row: &R) -> String {
        one_line(&self.1(row))
    }
}

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
    output: Output,
    columns: &[Column<R>],
    rows: &[R],
) -> io::Result<()> {
    match output {
        Output::Json => write_json::<R, _, _>(out, once(rows)),
        Output::Csv => write_csv::<R, _, _>(out, once(rows)),
        Output::Table => {
            let (widths, count) = measure(columns, once(rows))?;
            write_table(out, columns, &widths, count, once(rows))
        }
    }
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
pub fn write_pages<R, E, P>(
    out: &mut impl Write,
    output: Output,
    columns: &[Column<R>],
    begin: impl Fn() -> Result<P, E>,
) -> Result<(), E>
where
    R: Row,
    E: From<io::Error>,
    P: FnMut() -> Result<Option<Vec<R>>, E>,
{
    match output {
        Output::Json => write_json::<R, _, _>(out, begin()?),
        Output::Csv => write_csv::<R, _, _>(out, begin()?),
        Output::Table => {
            let (widths, count) = measure(columns, begin()?)?;
            write_table(out, columns, &widths, count, begin()?)
        }
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
    let mut writer = csv::Writer::from_writer(out);
    writer.write_record(R::FIELDS).map_err(unwrapped)?;
    while let Some(rows) = next()? {
        for row in rows.as_ref() {
            let values = serde_json::to_value(row).map_err(io::Error::from)?;
            let cells = R::FIELDS.iter().map(|field| cell(values.get(field)));
            writer.write_record(cells).map_err(unwrapped)?;
        }
    }
    Ok(writer.flush()?)
}

/// A value in CSV: nothing for what is absent, and JSON for what is no single value.
fn cell(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

/// How wide each column is, and how many rows there are.
fn measure<R, G: AsRef<[R]>, E>(
    columns: &[Column<R>],
    mut next: impl FnMut() -> Result<Option<G>, E>,
) -> Result<(Vec<usize>, usize), E> {
    let (mut widths, mut count) = (vec![0; columns.len()], 0);
    while let Some(rows) = next()? {
        count += rows.as_ref().len();
        let wanted = table(columns, None, rows.as_ref()).column_max_content_widths();
        for (width, wanted) in widths.iter_mut().zip(wanted) {
            *width = usize::from(wanted).max(*width);
        }
    }
    Ok((widths, count))
}

/// Rows that have come since they were measured are left out.
fn write_table<R, G: AsRef<[R]>, E: From<io::Error>>(
    out: &mut impl Write,
    columns: &[Column<R>],
    widths: &[usize],
    count: usize,
    mut next: impl FnMut() -> Result<Option<G>, E>,
) -> Result<(), E> {
    let header = table(columns, Some(widths), &[]).trim_fmt();
    writeln!(out, "{}", header.lines().next().unwrap_or_default())?;
    let mut left = count;
    while let Some(rows) = next()?.filter(|_| left > 0) {
        let rows = rows.as_ref();
        let rows = rows.get(..left).unwrap_or(rows);
        left -= rows.len();
        let page = table(columns, Some(widths), rows).trim_fmt();
        for line in page.lines().skip(2) {
            writeln!(out, "{line}")?;
        }
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

/// A table, below whose header a line is as wide as `widths` says.
fn table<R>(columns: &[Column<R>], widths: Option<&[usize]>, rows: &[R]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(columns.iter().map(Column::title));
    if let Some(widths) = widths {
        table.add_row(widths.iter().map(|width| "x".repeat(*width)));
    }
    for row in rows {
        table.add_row(columns.iter().map(|column| column.text(row)));
    }
    table
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
            table.trim_start().starts_with("POLICY   REASON") && table.contains("A REMARK"),
            "{table}"
        );
        assert!(table.contains("for people"), "{table}");
        assert!(!table.contains('\u{1b}'), "{table:?}");
    }
}
