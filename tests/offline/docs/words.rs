//! The words of documentation, help, settings, alerts and messages: none that redkeep no longer uses, one style of
//! durations, and quotations that the program really prints.
//!
//! A message is a text between quotes in the source, outside of tests. Code spans and blocks are no words.

use std::path::{Path, PathBuf};

use crate::docs::page::{ROOT, blocks, pages, read};
use crate::docs::scenarios::sources;

/// What redkeep no longer says, and what it says instead.
const RETIRED: [(&str, &str); 52] = [
    ("told", "said, shown or reported"),
    ("tell", "say, show or report"),
    ("tells", "says, shows or reports"),
    ("nobody is asked", "there is no log-in"),
    ("nothing asks them", "there is no log-in"),
    ("sign of life", "heartbeat"),
    ("signs of life", "heartbeats"),
    ("for want of", "because of a missing"),
    ("foretell", "forecast"),
    ("foretells", "forecasts"),
    ("goes on", "continues"),
    ("go on", "continue"),
    ("going on", "continuing"),
    ("anew", "again"),
    ("afresh", "again"),
    ("begun", "started"),
    ("in force", "in use"),
    ("mend", "fix"),
    ("mends", "fixes"),
    ("mended", "fixed"),
    ("for ever", "forever"),
    ("any more", "no longer"),
    ("there no more", "no longer exists"),
    ("not there", "does not exist"),
    ("in flight", "under way"),
    ("at its word", "trusted"),
    ("for good", "permanently"),
    ("all the same", "still, or in any case"),
    ("so many", "this many"),
    ("standstill", "was down"),
    ("honours", "uses"),
    ("let go", "expired, or deleted"),
    ("lets go", "expires, or deletes"),
    ("lets it go", "deletes it"),
    ("hold up", "delay or block"),
    ("holds up", "delays or blocks"),
    ("held up", "delayed or blocked"),
    ("holds the state directory", "uses the state directory"),
    ("does not hold", "is not valid"),
    ("made up for", "made up"),
    ("makes up for", "makes up"),
    ("is of another", "belongs to another"),
    ("by now", "changed"),
    ("comes to an end", "ends"),
    ("want of permission", "a missing permission"),
    ("brought no snapshot", "has no snapshot"),
    ("brings no snapshot", "has no snapshot"),
    ("is to be", "must be"),
    ("are to be", "must be"),
    ("unasked", "without a confirmation"),
    ("the least that IAM", "the least permissions"),
    ("out of a crontab", "made from a crontab"),
];

/// The units of a duration in a sentence are whole words.
const SHORT_UNITS: [&str; 4] = ["s", "min", "h", "d"];
const UNITS: [&str; 8] = [
    "second", "minute", "hour", "day", "week", "month", "year", "seconds",
];
const NUMBERS: [&str; 14] = [
    "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "fifteen", "twenty", "thirty",
];

/// A text that people read, and where it is.
struct Said {
    place: String,
    text: String,
}

fn said(place: impl Into<String>, text: &str) -> Said {
    let words: Vec<&str> = text.split_whitespace().collect();
    Said {
        place: place.into(),
        text: words.join(" "),
    }
}

/// The running text of a page: without its blocks and its code spans.
fn prose(page: &str) -> String {
    let (_, text) = blocks(page);
    text.split('`').step_by(2).collect::<Vec<_>>().join("…")
}

/// The texts between quotes in a source file, up to its tests: escapes and line breaks undone, and no reasons of lints.
fn literals(source: &str) -> Vec<String> {
    let source = source.split("\n#[cfg(test)]\nmod tests {").next().unwrap();
    let (mut found, mut rest) = (Vec::new(), source);
    while let Some(at) = rest.find(['"', '/', '\'']) {
        let (before, from) = rest.split_at(at);
        rest = if let Some(after) = from.strip_prefix("//") {
            after.split_once('\n').map_or("", |(_, next)| next)
        } else if from.starts_with('\'') {
            after_quote(from)
        } else if let Some(after) = from.strip_prefix('/') {
            after
        } else {
            let raw = before.len() - before.trim_end_matches('#').len();
            let is_raw = before.trim_end_matches('#').ends_with('r');
            let (text, next) = literal(&from[1..], is_raw.then_some(raw));
            if !before.ends_with("reason = ") {
                found.push(text);
            }
            next
        };
    }
    found
}

/// What follows a character, or the mark of a lifetime.
fn after_quote(from: &str) -> &str {
    let mut chars = from.char_indices().skip(1);
    let Some((_, first)) = chars.next() else {
        return "";
    };
    let is_escape = first == '\\';
    let end = chars.nth(usize::from(is_escape));
    match end {
        Some((at, '\'')) => &from[at + 1..],
        _ if is_escape => from[2..].split_once('\'').map_or("", |(_, next)| next),
        _ => &from[1..],
    }
}

/// The text of a literal whose first quote is read, and what follows it.
fn literal(from: &str, raw: Option<usize>) -> (String, &str) {
    if let Some(marks) = raw {
        let end = format!("\"{}", "#".repeat(marks));
        let (text, next) = from.split_once(&end).unwrap_or((from, ""));
        return (text.to_owned(), next);
    }
    let (mut text, mut chars) = (String::new(), from.char_indices().peekable());
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (text, &from[at + 1..]),
            '\\' => match chars.next() {
                Some((_, '\n')) => while chars.next_if(|(_, c)| c.is_whitespace()).is_some() {},
                Some((_, 'n' | 't')) => text.push(' '),
                Some((_, other)) => text.push(other),
                None => {}
            },
            other => text.push(other),
        }
    }
    (text, "")
}

/// Without what a program puts into the gaps of a message, and without code in it.
fn fixed(text: &str) -> String {
    let mut kept = String::new();
    for part in text.split('{') {
        kept += part.split_once('}').map_or(part, |(_, after)| after);
        kept.push('…');
    }
    kept.split('`').step_by(2).collect::<Vec<_>>().join("…")
}

fn is_test(path: &Path) -> bool {
    let names = path.components().map(|part| part.as_os_str());
    names
        .filter_map(|name| name.to_str())
        .any(|name| name.starts_with("test"))
}

/// Every message of the program, the simulation apart.
fn messages() -> Vec<Said> {
    let root = Path::new(ROOT);
    let mut files: Vec<PathBuf> = Vec::new();
    sources(&root.join("src"), &mut files);
    for one in ["core", "policy-file", "serve", "store", "sandbox"] {
        sources(&root.join("crates").join(one).join("src"), &mut files);
    }
    let mut found = Vec::new();
    for file in files {
        let place = file.strip_prefix(root).unwrap().to_owned();
        if is_test(&place) {
            continue;
        }
        let source = std::fs::read_to_string(&file).unwrap();
        let texts = literals(&source)
            .into_iter()
            .filter(|text| text.contains(' '));
        // The store's statements are SQL.
        let texts = texts.filter(|text| !text.contains("SELECT") && !text.contains("UPDATE "));
        found.extend(texts.map(|text| said(place.display().to_string(), &text)));
    }
    assert!(
        found.len() > 1500,
        "only {} messages were found",
        found.len()
    );
    found
}

/// Everything that people read: pages, help, settings, alerts, units and messages.
fn all() -> Vec<Said> {
    let pages = pages()
        .into_iter()
        .filter(|(name, _)| name != "CHANGELOG.md");
    let mut all: Vec<Said> = pages
        .map(|(name, page)| said(name, &prose(&page)))
        .collect();
    let mut files = Vec::new();
    for folder in [
        "tests/golden/help",
        "packaging/kubernetes",
        "packaging/debian",
    ] {
        texts_in(&Path::new(ROOT).join(folder), &mut files);
    }
    let named = [
        "tests/golden/metrics.txt",
        "config/redkeep.toml",
        "config/demo.toml",
        "config/redkeep.schema.json",
        "config/prometheus/redkeep.rules.yml",
        "systemd/redkeep.service",
    ];
    files.extend(named.map(|name| Path::new(ROOT).join(name)));
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        all.push(said(file.display().to_string(), &prose(&text)));
    }
    all.extend(
        messages()
            .into_iter()
            .map(|one| said(one.place, &fixed(&one.text))),
    );
    all
}

/// The files of a folder and of those in it.
fn texts_in(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in folder.read_dir().unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => texts_in(&path, found),
            false => found.push(path),
        }
    }
}

/// Where a text has the words, as words of their own.
fn has(text: &str, words: &str) -> Option<String> {
    let is_word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '-');
    let lower = text.to_lowercase();
    let at = lower.match_indices(words).map(|(at, _)| at).find(|at| {
        !is_word(lower[..*at].chars().next_back())
            && !is_word(lower[at + words.len()..].chars().next())
    })?;
    let before: Vec<&str> = lower[..at].split(' ').rev().take(6).collect();
    let before: Vec<&str> = before.into_iter().rev().collect();
    let after: Vec<&str> = lower[at..].split(' ').take(8).collect();
    Some(format!("{}{}", before.join(" "), after.join(" ")))
}

#[test]
fn no_retired_word_is_in_documentation_help_or_messages() {
    let mut found = Vec::new();
    for Said { place, text } in all() {
        for (retired, instead) in RETIRED {
            if let Some(there) = has(&text, &retired.to_lowercase()) {
                found.push(format!("{place}: …{there}…: {retired:?}, wanted {instead}"));
            }
        }
    }
    assert!(found.is_empty(), "{}\n", found.join("\n"));
}

/// A number of units that is not as sentences have it: `30 s`, `five minutes`.
fn odd_duration(words: &[&str]) -> Option<String> {
    let bare = |word: &str| word.trim_matches(|c: char| !c.is_alphanumeric()).to_owned();
    let pair = words.windows(2).find(|pair| {
        let (number, unit) = (bare(pair[0]), bare(pair[1]));
        let is_number =
            number.chars().all(|c| c.is_ascii_digit() || c == '.') && !number.is_empty();
        let unit_follows = pair[0].ends_with(|c: char| c.is_alphanumeric())
            && pair[1].starts_with(|c: char| c.is_alphabetic());
        let is_short = is_number && SHORT_UNITS.contains(&unit.as_str());
        let spelled = NUMBERS.contains(&number.to_lowercase().as_str());
        let whole = UNITS.contains(&unit.as_str()) || UNITS.contains(&unit.trim_end_matches('s'));
        unit_follows && (is_short || spelled && whole)
    })?;
    Some(pair.join(" "))
}

/// Where units have their signs: the measurements of the page on benchmarks, and an error in AWS's own words.
const OTHERS: [&str; 2] = ["docs/benchmarks.md", "crates/sandbox/src/auth.rs"];

#[test]
fn durations_in_sentences_are_a_number_and_a_whole_word() {
    let mut found = Vec::new();
    for Said { place, text } in all() {
        let words: Vec<&str> = text.split(' ').collect();
        let odd = odd_duration(&words).filter(|_| !OTHERS.contains(&place.as_str()));
        found.extend(odd.map(|odd| format!("{place}: {odd:?}")));
    }
    assert!(found.is_empty(), "{}\n", found.join("\n"));
    for (wrong, fine) in [
        ("after 30 s.", "after 30 seconds."),
        ("five minutes", "5 minutes"),
    ] {
        let odd = |text: &str| odd_duration(&text.split(' ').collect::<Vec<_>>());
        assert!(
            odd(wrong).is_some() && odd(fine).is_none(),
            "{wrong}, {fine}"
        );
    }
}

/// The parts of a quotation that are the same whatever the program puts into it: no names in quotes, numbers, paths.
fn fixed_parts(quoted: &str) -> Vec<String> {
    let outside: Vec<&str> = quoted.split('"').step_by(2).collect();
    let mut parts = vec![Vec::new()];
    let outside = outside.join(" … ");
    for word in outside.split_whitespace() {
        let is_variable = word.contains('_') && !word.contains(|c: char| c.is_ascii_lowercase());
        let is_free = is_variable
            || word.contains(['…', '/', '=', '@'])
            || word.contains(|c: char| c.is_ascii_digit());
        let bare = word.trim_matches([',', ';', ':', '(', ')', '.', '?']);
        if word.starts_with('(') || is_free {
            parts.push(Vec::new());
        }
        if !is_free {
            parts.last_mut().unwrap().push(bare);
        }
        if is_free || word != bare {
            parts.push(Vec::new());
        }
    }
    let several = parts.into_iter().filter(|part| part.len() > 1);
    several.map(|part| part.join(" ")).collect()
}

/// The lines of the log in a page's blocks, each from behind its level up to its fields.
fn log_lines(page: &str) -> Vec<String> {
    let (blocks, _) = blocks(page);
    let lines = blocks.iter().flat_map(|(_, block)| block.lines());
    let levels = [" ERROR ", "  WARN ", "  INFO "];
    let messages = lines.filter_map(|line| levels.iter().find_map(|one| line.split_once(one)));
    let words = messages.map(|(_, message)| {
        let words = message.split(' ').take_while(|word| !word.contains('='));
        words.collect::<Vec<_>>().join(" ")
    });
    words.collect()
}

/// The code spans of a page that are sentences of the program and neither commands nor settings.
fn quotations(page: &str) -> Vec<String> {
    let (_, text) = blocks(page);
    let spans = text.split('`').skip(1).step_by(2);
    let spans = spans.map(|span| span.split_whitespace().collect::<Vec<_>>().join(" "));
    let spans = spans.filter(|span| span.split(' ').count() > 2);
    spans
        .filter(|span| span.contains('…') || span.contains(": "))
        .filter(|span| !span.contains(['{', '<']) && !span.contains("Content-Security"))
        .collect()
}

/// What a page sets off as words of the program: `*All is well*`.
fn set_off(page: &str) -> Vec<String> {
    let text = prose(page).replace("**", "");
    let spans = text.split('*').skip(1).step_by(2).map(str::to_owned);
    spans.filter(|span| span.contains(' ')).collect()
}

/// Whether a message has the words, or two of which one is put into the other.
fn is_printed(program: &[String], part: &str) -> bool {
    let has = |words: &str| program.iter().any(|text| text.contains(words));
    let gaps = part.match_indices(' ').map(|(at, _)| part.split_at(at));
    let several = |words: &str| words.trim().contains(' ');
    let mut gaps = gaps.filter(|(one, other)| several(one) && several(other));
    has(part) || gaps.any(|(one, other)| has(one) && has(other.trim()))
}

#[test]
fn what_the_pages_quote_of_the_program_is_what_it_prints() {
    let mut files = Vec::new();
    sources(&Path::new(ROOT).join("crates/simulation/src"), &mut files);
    let simulation = files
        .iter()
        .map(|file| std::fs::read_to_string(file).unwrap());
    let simulation = simulation.flat_map(|source| literals(&source));
    let program = messages().into_iter().map(|one| one.text).chain(simulation);
    let program: Vec<String> = program.collect();
    let (mut count, mut missing) = (0, Vec::new());
    for (name, page) in pages() {
        let quoted = log_lines(&page).into_iter().chain(quotations(&page));
        let quoted = quoted.chain(match name.as_str() {
            "docs/page.md" | "docs/commands.md" => set_off(&page),
            _ => Vec::new(),
        });
        for part in quoted.flat_map(|one| fixed_parts(&one)) {
            count += 1;
            if !is_printed(&program, &part) {
                missing.push(format!("{name}: {part:?}"));
            }
        }
    }
    assert!(
        missing.is_empty(),
        "nothing prints this:\n{}",
        missing.join("\n")
    );
    assert!(count > 20, "only {count} quotations were found");
}

#[test]
fn literals_are_read_as_the_compiler_reads_them() {
    let source = "// \"no\"\nlet a = '\"'; f(\"one \\\n    line\", r#\"raw \"text\"\"#, '\\'', \"{a} b\");\nfn g<'a>() { \"c d\" }";
    assert_eq!(
        literals(source),
        ["one line", "raw \"text\"", "{a} b", "c d"]
    );
}

#[test]
fn the_readme_says_first_for_whom_redkeep_is_and_what_else_is_enough() {
    let readme = read("README.md");
    let first = readme.split("\n\n").nth(1).unwrap();
    for said in ["It is for people who", "native", "EventBridge", "is enough"] {
        assert!(first.contains(said), "{said:?} is not in {first:?}");
    }
}
