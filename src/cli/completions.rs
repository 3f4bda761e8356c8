//! `redkeep completions`: what completes the command line in a shell.

use std::io::Write;

use clap::{Args, CommandFactory, ValueEnum};
use clap_complete::Shell;

use super::{Cli, Failure};

/// Prints a script that completes redkeep's commands and options in a shell.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  redkeep completions bash > /usr/share/bash-completion/completions/redkeep
  redkeep completions zsh > /usr/local/share/zsh/site-functions/_redkeep
  redkeep completions fish > ~/.config/fish/completions/redkeep.fish")]
pub struct CompletionsArgs {
    /// The shell
    shell: Completed,
}

/// The shells whose completion is tested.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Completed {
    Bash,
    Zsh,
    Fish,
}

pub(super) fn completions(args: &CompletionsArgs) -> Result<(), Failure> {
    let shell = match args.shell {
        Completed::Bash => Shell::Bash,
        Completed::Zsh => Shell::Zsh,
        Completed::Fish => Shell::Fish,
    };
    // Into memory first: the generator takes a writer that fails for a bug.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "redkeep", &mut script);
    std::io::stdout().write_all(&script)?;
    Ok(())
}
