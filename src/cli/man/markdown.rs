//! A page of the documentation as a manual page.
//!
//! Owns: the part of Markdown that `docs/policy-file.md` uses: headings, paragraphs, lists, tables of keys,
//! fenced blocks, code spans, emphasis, links. Never anything else; a test sees to it that nothing is left over.

use clap_mangen::roff::{Inline, Roff, bold, italic, roman};

/// Writes a page, but for its first heading, which is the manual page's title.
pub(super) fn write(page: &str, roff: &mut Roff) {
    let mut lines = page.lines().peekable();
    while let Some(line) = lines.next() {
        if let Some(title) = line.strip_prefix("## ") {
            roff.control("SH", [heading(title).as_str()]);
        } else if let Some(title) = line.strip_prefix("### ") {
            roff.control("SS", [heading(title).as_str()]);
        } else if line.starts_with("```") {
            roff.control("PP", [])
                .control("RS", ["4"])
                .control("nf", []);
            for code in lines.by_ref().take_while(|line| !line.starts_with("```")) {
                roff.text([roman(code)]);
            }
            roff.control("fi", []).control("RE", []);
        } else if line.starts_with('|') {
            // The line under a table's head follows at once; then come its rows.
            lines.next();
            while let Some(row) = lines.next_if(|line| line.starts_with('|')) {
                self::row(row, roff);
            }
        } else if line.is_empty() {
            roff.control("PP", []);
        } else if !line.starts_with("# ") {
            let item = line.strip_prefix("- ");
            if item.is_some() {
                roff.control("IP", ["\\(bu", "2"]);
            }
            // A code span or a link may go over the end of a line.
            let mut text = item.unwrap_or(line).to_owned();
            while let Some(more) = lines.next_if(|line| goes_on(line)) {
                text = format!("{text} {}", more.trim_start());
            }
            roff.text(spans(&text));
        }
    }
}

fn goes_on(line: &str) -> bool {
    !line.is_empty()
        && !["#", "|", "```", "- "]
            .iter()
            .any(|mark| line.starts_with(mark))
}

/// A key with its default and its meaning.
fn row(row: &str, roff: &mut Roff) {
    let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
    let (key, rest) = cells.split_first().unwrap_or((&"", &[]));
    roff.control("TP", []);
    let mut term = spans(key);
    if let [default, ..] = rest
        && rest.len() > 1
        && !default.is_empty()
    {
        term.push(roman(" ("));
        term.extend(spans(default));
        term.push(roman(")"));
    }
    roff.text(term);
    roff.text(spans(rest.last().unwrap_or(&"")));
}

fn heading(title: &str) -> String {
    title
        .replace('`', "")
        .replace(['[', ']'], "")
        .trim()
        .to_uppercase()
}

/// Code in bold, emphasis in italics, links as their text.
fn spans(text: &str) -> Vec<Inline> {
    let mut spans = Vec::new();
    for (index, part) in text.split('`').enumerate() {
        if index % 2 == 1 {
            spans.push(bold(part));
            continue;
        }
        let parts = unlinked(part);
        let parts = parts.split('*').enumerate();
        spans.extend(parts.map(|(index, part)| {
            if index % 2 == 1 {
                italic(part)
            } else {
                roman(part)
            }
        }));
    }
    spans
}

fn unlinked(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, (shown, after))) = rest
        .split_once('[')
        .and_then(|(before, link)| Some((before, link.split_once("](")?)))
    {
        plain += &format!("{before}{shown}");
        rest = after.split_once(')').map_or("", |(_, after)| after);
    }
    plain + rest
}
