//! What a table shows and leaves out, at several widths.

use super::*;
use crate::cli::view::Output;

struct Sample {
    policy: &'static str,
    region: &'static str,
    size: &'static str,
    why: &'static str,
}

const COLUMNS: &[Column<Sample>] = &[
    Column("policy", |row: &Sample| row.policy.to_owned()).toned(|_| Tone::Good),
    Column("region", |row: &Sample| row.region.to_owned()).where_rows_differ(),
    Column("size", |row: &Sample| row.size.to_owned())
        .right()
        .while_there_is_room(1),
    Column("at", |_: &Sample| "02:30".to_owned()).zoned().wide(),
    Column("why", |row: &Sample| row.why.to_owned()).broken(),
];

fn sample(policy: &'static str, size: &'static str, why: &'static str) -> Sample {
    Sample {
        policy,
        region: "eu-central-1",
        size,
        why,
    }
}

fn written(view: &View, rows: &[Sample]) -> String {
    let mut layout = Layout::new(COLUMNS);
    layout.measure(rows);
    let settled = layout.settle(view);
    let mut out = Vec::new();
    settled.header(&mut out).unwrap();
    rows.iter()
        .for_each(|row| settled.row(&mut out, row).unwrap());
    String::from_utf8(out).unwrap()
}

fn narrow(width: usize) -> View {
    View {
        width,
        ..View::from(Output::Table)
    }
}

#[test]
fn what_all_rows_share_is_left_out_and_numbers_end_below_one_another() {
    let rows = [
        sample("nightly", "1 GiB", ""),
        sample("hourly", "12 GiB", "late"),
    ];
    assert_eq!(
        written(&narrow(100), &rows),
        "POLICY     SIZE  WHY\nnightly   1 GiB\nhourly   12 GiB  late\n"
    );
}

#[test]
fn a_table_drops_what_it_has_no_room_for_and_breaks_no_word() {
    let why = "a text of several words that has unbreakable-because-it-is-one-word in it";
    let rows = [sample("nightly", "1 GiB", why)];
    let table = written(&narrow(34), &rows);
    assert!(!table.contains("SIZE"), "{table}");
    for word in why.split(' ') {
        assert!(table.split_whitespace().any(|one| one == word), "{table}");
    }
    let longest = table.lines().map(str::len).max().unwrap();
    assert_eq!(
        longest,
        9 + "unbreakable-because-it-is-one-word".len(),
        "{table}"
    );
}

#[test]
fn a_wide_table_has_every_column_on_one_line_and_names_its_clocks() {
    let rows = [sample(
        "nightly",
        "1 GiB",
        "a text of several words, and longer than the room",
    )];
    let view = View {
        width: 30,
        ..View::from(Output::Wide)
    };
    let table = written(&view, &rows);
    assert!(
        table.contains("AT (UTC)") && table.contains("eu-central-1"),
        "{table}"
    );
    assert_eq!(table.lines().count(), 2, "{table}");
}

#[test]
fn colour_changes_no_width() {
    let rows = [sample("nightly", "1 GiB", "x")];
    let view = View {
        is_coloured: true,
        ..narrow(100)
    };
    let table = written(&view, &rows);
    assert!(
        table.contains("\u{1b}[32mnightly\u{1b}[0m  1 GiB  x"),
        "{table:?}"
    );
}
