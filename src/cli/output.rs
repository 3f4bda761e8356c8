//! Rows for people and for programs: a table, JSON, or CSV.
//!
//! Owns: the three forms of a list of rows. Every reading command makes its rows once, and all forms show
//! the same fields under the same names, those of the JSON contract.

use std::io::{self, Write};

use clap::ValueEnum;
use comfy_table::{ContentArrangement, Table, presets};
use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};
use serde_json::Value;

use crate::logging::one_line;
use crate::names::PolicyName;
use crate::slot::{Pair, Scope};

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

/// One row: fields by name, in order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Row(Vec<(&'static str, Value)>);

impl Row {
    /// A row that begins with the four fields of a pair.
    pub fn of_pair(pair: &Pair) -> Self {
        Self::of(&pair.policy, &pair.scope, pair.cluster.as_str())
    }

    /// A row that begins with the four fields of a pair, whose cluster may be a pattern.
    pub fn of(policy: &PolicyName, scope: &Scope, cluster: &str) -> Self {
        Self::default()
            .with("policy", policy.as_str())
            .with("account", scope.account.as_str())
            .with("region", scope.region.as_str())
            .with("cluster", cluster)
    }

    /// The row with one more field.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.0.push((name, value.into()));
        self
    }

    /// The value of a field.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0
            .iter()
            .find(|(field, _)| *field == name)
            .map(|(_, value)| value)
    }

    fn only(&self, fields: &[&'static str]) -> Self {
        let value =
            |field: &&'static str| (*field, self.get(field).cloned().unwrap_or(Value::Null));
        Self(fields.iter().map(value).collect())
    }

    fn text(&self, name: &str) -> String {
        match self.get(name) {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        }
    }
}

impl Serialize for Row {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

/// Writes rows to `out`: a table of `columns`, or the other forms of `fields`; what a row lacks is null.
///
/// # Errors
/// When `out` cannot be written to.
pub fn write_rows(
    out: &mut impl Write,
    output: Output,
    fields: &[&'static str],
    columns: &[&'static str],
    rows: &[Row],
) -> io::Result<()> {
    let once = || {
        let mut page = Some(rows.to_vec());
        Ok(move || Ok(page.take()))
    };
    write_pages(out, output, fields, columns, once)
}

/// As [`write_rows`], of rows that come a page at a time, so that their number makes no difference to the memory. A
/// table asks for all of them twice: first for how wide its columns are.
///
/// # Errors
/// When `out` cannot be written to, or there is no next page to be had.
pub fn write_pages<E, P>(
    out: &mut impl Write,
    output: Output,
    fields: &[&'static str],
    columns: &[&'static str],
    begin: impl Fn() -> Result<P, E>,
) -> Result<(), E>
where
    E: From<io::Error>,
    P: FnMut() -> Result<Option<Vec<Row>>, E>,
{
    match output {
        Output::Json => write_json(out, fields, begin()?),
        Output::Csv => write_csv(out, fields, begin()?),
        Output::Table => {
            let (ruler, count) = measure(columns, begin()?)?;
            write_table(out, columns, &ruler, count, begin()?)
        }
    }
}

fn write_json<E: From<io::Error>>(
    out: &mut impl Write,
    fields: &[&'static str],
    mut next: impl FnMut() -> Result<Option<Vec<Row>>, E>,
) -> Result<(), E> {
    let mut json = serde_json::Serializer::pretty(&mut *out);
    let mut list = json.serialize_seq(None).map_err(io::Error::from)?;
    while let Some(rows) = next()? {
        for row in rows {
            let row = row.only(fields);
            list.serialize_element(&row).map_err(io::Error::from)?;
        }
    }
    SerializeSeq::end(list).map_err(io::Error::from)?;
    Ok(writeln!(out)?)
}

fn write_csv<E: From<io::Error>>(
    out: &mut impl Write,
    fields: &[&'static str],
    mut next: impl FnMut() -> Result<Option<Vec<Row>>, E>,
) -> Result<(), E> {
    let mut writer = csv::Writer::from_writer(out);
    writer.write_record(fields).map_err(unwrapped)?;
    while let Some(rows) = next()? {
        for row in rows {
            let values = fields.iter().map(|field| row.text(field));
            writer.write_record(values).map_err(unwrapped)?;
        }
    }
    Ok(writer.flush()?)
}

/// A row that is as wide as the widest of each column, and how many rows there are.
fn measure<E>(
    columns: &[&'static str],
    mut next: impl FnMut() -> Result<Option<Vec<Row>>, E>,
) -> Result<(Row, usize), E> {
    let (mut widths, mut count) = (vec![0; columns.len()], 0);
    while let Some(rows) = next()? {
        count += rows.len();
        let wanted = table(columns, &rows).column_max_content_widths();
        for (width, wanted) in widths.iter_mut().zip(wanted) {
            *width = usize::from(wanted).max(*width);
        }
    }
    let wide = |(column, width): (&&'static str, usize)| (*column, "x".repeat(width).into());
    let ruler = Row(columns.iter().zip(widths).map(wide).collect());
    Ok((ruler, count))
}

/// Rows that have come since they were measured are left out.
fn write_table<E: From<io::Error>>(
    out: &mut impl Write,
    columns: &[&'static str],
    ruler: &Row,
    count: usize,
    mut next: impl FnMut() -> Result<Option<Vec<Row>>, E>,
) -> Result<(), E> {
    let ruled = |rows: Vec<Row>| {
        let rows: Vec<Row> = [ruler.clone()].into_iter().chain(rows).collect();
        table(columns, &rows).trim_fmt()
    };
    let header = ruled(Vec::new());
    writeln!(out, "{}", header.lines().next().unwrap_or_default())?;
    let mut left = count;
    while let Some(mut rows) = next()?.filter(|_| left > 0) {
        rows.truncate(left);
        left -= rows.len();
        for line in ruled(rows).lines().skip(2) {
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

fn table(columns: &[&'static str], rows: &[Row]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(
        columns
            .iter()
            .map(|column| column.to_uppercase().replace('_', " ")),
    );
    for row in rows {
        table.add_row(columns.iter().map(|column| one_line(&row.text(column))));
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(output: Output) -> String {
        let rows = [
            Row::default()
                .with("policy", "nightly")
                .with("reason", "a \"b\"\n\u{1b}[31m"),
            Row::default()
                .with("policy", "hourly")
                .with("reason", Value::Null),
        ];
        let mut out = Vec::new();
        write_rows(
            &mut out,
            output,
            &["policy", "reason"],
            &["policy", "reason"],
            &rows,
        )
        .unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn json_is_one_array_in_which_what_is_absent_is_null() {
        let rows: Value = serde_json::from_str(&written(Output::Json)).unwrap();
        assert_eq!(rows[0]["reason"], "a \"b\"\n\u{1b}[31m");
        assert_eq!(rows[1]["reason"], Value::Null);
    }

    #[test]
    fn csv_quotes_what_needs_quoting() {
        assert_eq!(
            written(Output::Csv),
            "policy,reason\nnightly,\"a \"\"b\"\"\n\u{1b}[31m\"\nhourly,\n"
        );
    }

    #[test]
    fn a_table_shows_no_control_characters() {
        let table = written(Output::Table);
        assert!(
            table.contains("POLICY") && table.contains("nightly"),
            "{table}"
        );
        assert!(!table.contains('\u{1b}'), "{table:?}");
    }
}
