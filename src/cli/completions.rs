//! `redkeep completions`: a completion script for a shell; and the hidden command that the scripts ask for names.
//!
//! Owns: the scripts. clap writes them for commands and options; the names of policies, clusters, accounts, regions and
//! snapshots are put in here, as a question to the program, which reads the policy file that stands on the line. A name that
//! cannot be told is not an error while somebody types: there is nothing on stderr, and the exit code is 0.

use std::collections::BTreeSet;
use std::io::Write;

use clap::{Arg, Args, Command, CommandFactory, ValueEnum};
use clap_complete::Shell;

use crate::config;
use crate::store::{Presence, Reader, RunFilter};

use super::filter::{Kind, Names};
use super::{Cli, ConfigArgs, Failure, sources};

/// Prints a script that completes redkeep's commands, options, and the names in the policy file, in a shell.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  redkeep completions bash > /usr/share/bash-completion/completions/redkeep
  redkeep completions zsh > /usr/local/share/zsh/site-functions/_redkeep
  redkeep completions fish > ~/.config/fish/completions/redkeep.fish

The script also completes the names of policies, clusters, accounts and regions. It reads them from the
policy file (the one that --config names on the command line) and from the history, if your user may read
them.")]
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

/// What a script asks for.
#[derive(Debug, Args)]
pub struct NamesArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Of what
    kind: NameKind,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum NameKind {
    Policies,
    Clusters,
    Accounts,
    Regions,
    Snapshots,
}

/// The options that take a name, and the commands whose argument is one.
const OPTIONS: [(&str, &str); 5] = [
    ("--policy", "policies"),
    ("-p", "policies"),
    ("--cluster", "clusters"),
    ("--account", "accounts"),
    ("--region", "regions"),
];
const ARGUMENTS: [(&str, &str); 6] = [
    ("pause", "policies"),
    ("resume", "policies"),
    ("explain", "clusters"),
    ("show", "snapshots"),
    ("hold", "snapshots"),
    ("release", "snapshots"),
];

pub(super) fn completions(args: &CompletionsArgs) -> Result<(), Failure> {
    let shell = match args.shell {
        Completed::Bash => Shell::Bash,
        Completed::Zsh => Shell::Zsh,
        Completed::Fish => Shell::Fish,
    };
    // Into memory first: the generator takes a writer that fails for a bug.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut offered(), "redkeep", &mut script);
    let script = String::from_utf8_lossy(&script);
    let script = match args.shell {
        Completed::Bash => bash(&script),
        Completed::Zsh => zsh(&script),
        Completed::Fish => fish(&script),
    };
    std::io::stdout().write_all(script.as_bytes())?;
    Ok(())
}

/// What is offered: the commands that the help lists, each with the options that it has a use for.
fn offered() -> Command {
    let program = Cli::command();
    let everywhere = program.get_arguments().cloned();
    let everywhere: Vec<Arg> = everywhere.map(|arg| arg.global(false)).collect();
    let commands = program.get_subcommands().filter(|one| !one.is_hide_set());
    Command::new("redkeep")
        .version(env!("CARGO_PKG_VERSION"))
        .propagate_version(true)
        .args(everywhere)
        .subcommands(commands.cloned())
}

/// bash splits `--config=FILE` at the sign.
const BASH: &str = r#"_redkeep_names() {
    local i config=
    for (( i = 1; i < COMP_CWORD; i++ )); do
        case "${COMP_WORDS[i]}" in
            -c|--config)
                config="${COMP_WORDS[i+1]}"
                [[ "${config}" == "=" ]] && config="${COMP_WORDS[i+2]}"
                ;;
            --config=*) config="${COMP_WORDS[i]#--config=}" ;;
        esac
    done
    config="${config/#\~\//${HOME}/}"
    "${COMP_WORDS[0]/#\~\//${HOME}/}" __names "$1" ${config:+--config "${config}"} 2>/dev/null
}

"#;

fn bash(script: &str) -> String {
    let mut lines = vec![BASH.to_owned()];
    let mut asked = None;
    let mut argument = None;
    for line in script.lines() {
        let word = line.trim();
        if let Some(command) = word.strip_prefix("redkeep__subcmd__") {
            let command = command.trim_end_matches(')');
            argument = ARGUMENTS.iter().find(|(name, _)| *name == command);
        }
        if let Some(option) = word.strip_suffix(')').filter(|word| word.starts_with('-')) {
            asked = OPTIONS.iter().find(|(name, _)| *name == option);
        }
        let names = |kind: &str| format!("$(_redkeep_names {kind})");
        let line = match (asked, argument) {
            (Some((_, kind)), _) if word.contains("compgen -f") => {
                let all = format!("compgen -W \"{}\" -- \"${{cur}}\"", names(kind));
                line.replace("compgen -f \"${cur}\"", &all)
            }
            (_, Some((_, kind))) if word.starts_with("opts=\"") => {
                argument = None;
                line.replacen("opts=\"", &format!("opts=\"{} ", names(kind)), 1)
            }
            _ => line.to_owned(),
        };
        lines.push(line + "\n");
    }
    lines.concat()
}

/// `words` has only the command's part of the line; `BUFFER` has all of it.
const ZSH: &str = r#"
(( $+functions[_redkeep_names] )) ||
_redkeep_names() {
    local -a typed names given
    local i
    typed=(${(z)BUFFER})
    for (( i = 2; i < $#typed; i++ )); do
        case "${typed[i]}" in
            -c|--config) given=(--config "${~${(Q)typed[i+1]}}") ;;
            --config=*) given=(--config "${~${(Q)typed[i]#--config=}}") ;;
        esac
    done
    names=(${(f)"$("${~${(Q)typed[1]}}" __names "$1" "${given[@]}" 2>/dev/null)"})
    compadd -a names
}
"#;

fn zsh(script: &str) -> String {
    let mut lines = Vec::new();
    let mut argument = None;
    for line in script.lines() {
        if let Some(command) = line
            .strip_prefix('(')
            .and_then(|rest| rest.strip_suffix(')'))
        {
            argument = ARGUMENTS.iter().find(|(name, _)| *name == command);
        }
        let plain = line.trim_start_matches(['\'', '*']);
        let of_option = OPTIONS.iter().find(|(name, _)| {
            let rest = plain.strip_prefix(name);
            rest.is_some_and(|rest| rest.starts_with(['=', '+']))
        });
        let of_argument = argument.filter(|_| line.starts_with("':"));
        let line = match of_option.or(of_argument) {
            Some((_, kind)) => line.replace(":_default'", &format!(":_redkeep_names {kind}'")),
            None => line.to_owned(),
        };
        lines.push(line + "\n");
    }
    let script = lines.concat();
    // The first line says what the file is.
    match script.split_once('\n') {
        Some((first, rest)) => format!("{first}\n{ZSH}{rest}"),
        None => script,
    }
}

const FISH: &str = r#"function __redkeep_names
    set -l typed (commandline -opc)
    set -l given
    for i in (seq (count $typed))
        switch $typed[$i]
            case -c --config
                set -l next (math $i + 1)
                test $next -le (count $typed); and set given --config (string replace -r '^~/' "$HOME/" -- $typed[$next])
            case '--config=*'
                set given --config (string replace -r '^~/' "$HOME/" -- (string replace -- --config= '' $typed[$i]))
        end
    end
    command $typed[1] __names $argv[1] $given 2>/dev/null
end

"#;

fn fish(script: &str) -> String {
    let mut lines = vec![FISH.to_owned()];
    for line in script.lines() {
        let is_of_sandbox = line.contains("__fish_redkeep_using_subcommand sandbox\"");
        let of_option = OPTIONS.iter().find(|(name, _)| {
            let long = format!(" -l {} ", name.trim_start_matches('-'));
            name.starts_with("--") && line.contains(&long) && line.ends_with(" -r")
        });
        lines.push(match of_option.filter(|_| !is_of_sandbox) {
            Some((_, kind)) => format!("{line} -f -a \"(__redkeep_names {kind})\"\n"),
            None => format!("{line}\n"),
        });
    }
    for (command, kind) in ARGUMENTS {
        lines.push(format!(
            "complete -c redkeep -n \"__fish_redkeep_using_subcommand {command}\" -f -a \"(__redkeep_names {kind})\"\n"
        ));
    }
    lines.concat()
}

/// Prints the names, one a line; what cannot be told is left out.
pub(super) async fn names(args: &NamesArgs) -> Result<(), Failure> {
    let sources = sources(&args.config).await;
    let Some(config) = config::load(&sources)
        .ok()
        .or_else(|| config::salvage(&sources))
    else {
        return Ok(());
    };
    let reader = Reader::open(&config.database()).ok();
    let all = |kind| {
        let mut names = Names::new(&config, reader.as_ref());
        // A history that cannot be read leaves those of the file.
        let known = names
            .all(kind)
            .or_else(|_| Names::new(&config, None).all(kind));
        known.unwrap_or_default()
    };
    let names: BTreeSet<String> = match args.kind {
        NameKind::Policies => all(Kind::Policy),
        NameKind::Clusters => all(Kind::Cluster),
        NameKind::Accounts => all(Kind::Account),
        NameKind::Regions => all(Kind::Region),
        NameKind::Snapshots => snapshots(reader.as_ref()),
    };
    let mut out = std::io::stdout().lock();
    for name in names {
        writeln!(out, "{name}")?;
    }
    Ok(())
}

/// How many of the newest snapshots are offered.
const NEWEST: u32 = 200;

fn snapshots(reader: Option<&Reader>) -> BTreeSet<String> {
    let filter = RunFilter {
        presence: Some(Presence::There),
        limit: Some(NEWEST),
        ..RunFilter::default()
    };
    let runs = reader.and_then(|reader| reader.runs(&filter).ok());
    let runs = runs.unwrap_or_default().into_iter();
    runs.map(|run| run.request.snapshot_id.to_string())
        .collect()
}
