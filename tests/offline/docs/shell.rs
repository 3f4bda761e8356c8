//! Finding the command lines of redkeep in blocks of the shell, in running text and in help texts.

use crate::docs::page::blocks;

/// The commands of a shell line: words with quotes taken off, parted at the operators, redirections dropped.
fn shell(line: &str) -> Vec<Vec<String>> {
    let (mut commands, mut word, mut quote) = (vec![Vec::new()], None::<String>, None);
    let end_word = |commands: &mut Vec<Vec<String>>, word: &mut Option<String>| {
        commands.last_mut().unwrap().extend(word.take());
    };
    for c in line.chars() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, '#') if word.is_none() => break,
            (None, ' ' | '\t') => end_word(&mut commands, &mut word),
            (None, '|' | '&' | ';' | '>') => {
                end_word(&mut commands, &mut word);
                // What follows `>` is the name of a file, which begins a command that is not redkeep's.
                commands.push(Vec::new());
            }
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    assert!(quote.is_none(), "a quote is not closed in {line:?}");
    end_word(&mut commands, &mut word);
    commands
}

/// The command lines of redkeep in a text of the shell.
fn invocations(text: &str) -> Vec<Vec<String>> {
    let joined = text.replace("\\\n", " ");
    let all = joined.lines().flat_map(shell);
    all.filter_map(|mut words| {
        let words_of_cargo = ["cargo", "run", "--"];
        if words.len() > 3 && words[..3] == words_of_cargo {
            words.splice(..3, ["redkeep".to_owned()]);
        }
        (words.first().is_some_and(|first| first == "redkeep") && words.len() > 1).then_some(words)
    })
    .collect()
}

/// The command lines of redkeep that a page shows: in its blocks of the shell, and in the text between backticks.
pub fn shown(page: &str) -> Vec<Vec<String>> {
    let (blocks, text) = blocks(page);
    let mut lines = Vec::new();
    for (kind, block) in blocks {
        match kind {
            "sh" => lines.extend(invocations(&block)),
            "console" => {
                let typed = block.lines().filter_map(|line| line.strip_prefix("$ "));
                lines.extend(invocations(&typed.collect::<Vec<_>>().join("\n")));
            }
            _ => {}
        }
    }
    // A span may go over the end of a line, but not over the end of a paragraph.
    for paragraph in text.split("\n\n") {
        let spans = paragraph.split('`').skip(1).step_by(2);
        lines.extend(spans.flat_map(|span| invocations(&span.replace('\n', " "))));
    }
    lines
}

/// What the help of a command shows under "Examples:", without the remarks beside them.
pub fn examples(help: &str) -> Vec<Vec<String>> {
    let (_, after) = help.split_once("\nExamples:\n").unwrap_or_default();
    let lines = after.lines().map_while(|line| line.strip_prefix("  "));
    lines
        .flat_map(|line| invocations(line.split("   ").next().unwrap_or_default()))
        .collect()
}
