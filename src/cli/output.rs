//! Rows for people and for programs: a table, JSON, or CSV.
//!
//! Owns: the three forms of a list of rows. Every reading command makes its rows once, and all forms show
//! the same fields under the same names, those of the JSON contract.

use std::io::{self, Write};

use clap::ValueEnum;
use comfy_table::{ContentArrangement, Table, presets};
use serde::ser::{Serialize, SerializeMap, Serializer};
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
    match output {
        Output::Json => {
            let rows: Vec<Row> = rows.iter().map(|row| row.only(fields)).collect();
            serde_json::to_writer_pretty(&mut *out, &rows)?;
            writeln!(out)
        }
        Output::Csv => write_csv(out, fields, rows),
        Output::Table => writeln!(out, "{}", table(columns, rows).trim_fmt()),
    }
}

fn write_csv(out: &mut impl Write, fields: &[&'static str], rows: &[Row]) -> io::Result<()> {
    let mut writer = csv::Writer::from_writer(out);
    writer.write_record(fields).map_err(unwrapped)?;
    for row in rows {
        let values = fields.iter().map(|field| row.text(field));
        writer.write_record(values).map_err(unwrapped)?;
    }
    writer.flush()
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
