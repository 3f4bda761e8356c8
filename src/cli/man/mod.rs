//! `redkeep man`: the manual pages.
//!
//! Owns: which pages there are. Section 1 comes from the commands' own help, section 5 from
//! `docs/policy-file.md`, whose keys a test compares with the schema. Never says anything of its own, so that
//! no page can contradict the program.

mod markdown;

use std::io::Write;
use std::path::PathBuf;

use clap::builder::Resettable;
use clap::{Args, Command, CommandFactory};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use super::{Cli, Failure};

const POLICY_FILE: &str = include_str!("../../../docs/policy-file.md");
const SOURCE: &str = concat!("redkeep ", env!("CARGO_PKG_VERSION"));
const MANUAL: &str = "redkeep";

/// Writes the manual pages into a directory, or the main page to standard output.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  redkeep man /usr/local/share/man
  redkeep man | man -l -

Writes the pages of section 1 (the program and each of its commands) to man1/ in that directory, and the
page of section 5 (redkeep.toml) to man5/. Without a directory it prints the page of the program.")]
pub struct ManArgs {
    /// The directory; it is created if it does not exist
    #[arg(value_name = "DIR")]
    directory: Option<PathBuf>,
}

pub(super) fn man(args: &ManArgs) -> Result<(), Failure> {
    let pages = pages()?;
    let Some(directory) = &args.directory else {
        let main = pages.iter().find(|page| page.title == "redkeep");
        std::io::stdout().write_all(main.map_or(&[], |page| &page.text))?;
        return Ok(());
    };
    for page in pages {
        let section = directory.join(format!("man{}", page.section));
        let file = section.join(format!("{}.{}", page.title, page.section));
        std::fs::create_dir_all(&section)
            .and_then(|()| std::fs::write(&file, &page.text))
            .map_err(|error| Failure::Other(format!("{}: {error}", file.display())))?;
        writeln!(std::io::stdout(), "{}", file.display())?;
    }
    Ok(())
}

struct Page {
    title: String,
    section: char,
    text: Vec<u8>,
}

fn pages() -> Result<Vec<Page>, Failure> {
    let mut program = Cli::command().disable_help_subcommand(true);
    program.build();
    let commands = program.get_subcommands().filter(|one| !one.is_hide_set());
    let commands: Vec<Command> = commands.cloned().collect();
    let commands = std::iter::once(program).chain(commands);
    let mut pages: Vec<Page> = commands.map(command).collect::<Result<_, _>>()?;
    pages.push(policy_file()?);
    Ok(pages)
}

/// The page of a command: its help, whose closing words become sections.
fn command(command: Command) -> Result<Page, Failure> {
    let after = command
        .get_after_help()
        .map(ToString::to_string)
        .unwrap_or_default();
    let title = command.get_display_name().unwrap_or("redkeep").to_owned();
    let page = Man::new(command.after_help(Resettable::Reset));
    let mut text = Vec::new();
    page.source(SOURCE).manual(MANUAL).render(&mut text)?;
    let mut rest = Roff::new();
    for paragraph in after.split("\n\n") {
        match paragraph.split_once("Examples:\n") {
            Some((_, lines)) => {
                rest.control("SH", ["EXAMPLES"]).control("nf", []);
                lines.lines().for_each(|line| _ = rest.text([roman(line)]));
                rest.control("fi", []);
            }
            None if paragraph.is_empty() => {}
            None => {
                rest.control("SH", ["NOTES"]).text([roman(paragraph)]);
            }
        }
    }
    rest.control("SH", ["SEE ALSO"]);
    let program = [bold("redkeep"), roman("(1), ")];
    let file = [bold("redkeep.toml"), roman("(5)")];
    let parent = program.into_iter().filter(|_| title != "redkeep");
    rest.text(parent.chain(file).collect::<Vec<_>>());
    rest.to_writer(&mut text)?;
    Ok(Page {
        title,
        section: '1',
        text,
    })
}

fn policy_file() -> Result<Page, Failure> {
    let title = "redkeep.toml".to_owned();
    let mut page = Roff::new();
    page.control("TH", [title.as_str(), "5", "", SOURCE, MANUAL]);
    page.control("SH", ["NAME"]);
    page.text([roman("redkeep.toml - the policy file of redkeep")]);
    page.control("SH", ["DESCRIPTION"]);
    markdown::write(POLICY_FILE, &mut page);
    page.control("SH", ["SEE ALSO"]);
    page.text([
        bold("redkeep"),
        roman("(1), "),
        bold("redkeep-check"),
        roman("(1)"),
    ]);
    let mut text = Vec::new();
    page.to_writer(&mut text)?;
    Ok(Page {
        title,
        section: '5',
        text,
    })
}
