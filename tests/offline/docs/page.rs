//! Reading the pages of documentation: their blocks, sections and tables.

use std::fs;
use std::path::Path;

pub const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// The text of a file of the repository.
pub fn read(name: &str) -> String {
    fs::read_to_string(Path::new(ROOT).join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Every page of documentation by name: those beside README.md, and those in `docs/`.
pub fn pages() -> Vec<(String, String)> {
    let mut names = Vec::new();
    for directory in ["", "docs/"] {
        for entry in fs::read_dir(Path::new(ROOT).join(directory)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if name.ends_with(".md") {
                names.push(format!("{directory}{name}"));
            }
        }
    }
    names.sort();
    let pages: Vec<_> = names
        .into_iter()
        .map(|name| (name.clone(), read(&name)))
        .collect();
    assert!(pages.len() >= 3, "found {} pages", pages.len());
    pages
}

/// The fenced blocks of a page, each with the word after its fence; and the page without them.
pub fn blocks(page: &str) -> (Vec<(&str, String)>, String) {
    let (mut blocks, mut rest) = (Vec::new(), String::new());
    let mut open: Option<(&str, String)> = None;
    for line in page.lines() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(kind), None) => open = Some((kind, String::new())),
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (None, Some((_, text))) => *text += &format!("{line}\n"),
            (None, None) => rest += &format!("{line}\n"),
        }
    }
    assert!(open.is_none(), "a fence is not closed");
    (blocks, rest)
}

pub fn blocks_of(page: &str, kind: &str) -> Vec<String> {
    let (blocks, _) = blocks(page);
    blocks
        .into_iter()
        .filter(|(is, _)| *is == kind)
        .map(|(_, text)| text)
        .collect()
}

/// The lines from a heading to the next of any level.
pub fn section<'a>(page: &'a str, heading: &str) -> Vec<&'a str> {
    let lines: Vec<&str> = page
        .lines()
        .skip_while(|line| *line != heading)
        .skip(1)
        .take_while(|line| !line.starts_with('#'))
        .collect();
    assert!(!lines.is_empty(), "there is no section {heading:?}");
    lines
}

/// The rows of the first table of a section, cell by cell, without its head.
pub fn table(page: &str, heading: &str) -> Vec<Vec<String>> {
    let lines = section(page, heading);
    let rows = lines.iter().skip_while(|line| !line.starts_with('|'));
    let rows = rows.take_while(|line| line.starts_with('|')).skip(2);
    let cells = |row: &&str| {
        let row = row.trim().trim_start_matches('|').trim_end_matches('|');
        row.split('|').map(|cell| cell.trim().to_owned()).collect()
    };
    rows.map(cells).collect()
}

/// The one code span that is all of a cell.
pub fn code(cell: &str) -> Option<&str> {
    cell.strip_prefix('`')?
        .strip_suffix('`')
        .filter(|text| !text.contains('`'))
}
