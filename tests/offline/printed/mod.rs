//! What redkeep prints of itself: the JSON Schema of the policy file, the IAM policy, completions and manual pages.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "what helpers unwrap is the test's own ground, and a skipped test says why"
)]

mod fingers;
mod iam;
mod man;
mod schema;
mod values;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::support::process::finish;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// A directory of one test's own, empty.
fn scratch(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join("printed")
        .join(name);
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).unwrap();
    path
}

fn redkeep(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_redkeep"));
    finish(command.env_clear().args(arguments))
}

/// What a command prints, which must succeed.
fn printed(arguments: &[&str]) -> String {
    let output = redkeep(arguments);
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// A program that may not be here, or the reason why the test is skipped on stderr.
fn found(program: &str) -> bool {
    let mut sh = Command::new("sh");
    let found = finish(sh.args(["-c", &format!("command -v {program}")]));
    let found = found.status.success();
    if !found {
        eprintln!("skipped, because {program} is not installed");
    }
    found
}

#[test]
fn the_completions_of_bash_complete_commands_and_options() {
    let file = scratch("completions").join("redkeep.bash");
    fs::write(&file, printed(&["completions", "bash"])).unwrap();
    if !found("bash") {
        return;
    }
    let complete = |words: &str, count: usize| {
        let script = format!(
            "source {}; COMP_WORDS=({words}); COMP_CWORD={count}; \
             _redkeep redkeep \"${{COMP_WORDS[{count}]}}\" \"${{COMP_WORDS[{}]}}\"; echo \"${{COMPREPLY[@]}}\"",
            file.display(),
            count - 1
        );
        let output = finish(Command::new("bash").args(["-c", &script]));
        assert!(output.stderr.is_empty(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(complete("redkeep iam", 1), "iam-policy\n");
    assert_eq!(complete("redkeep plan --pol", 2), "--policy\n");
    assert_eq!(complete("redkeep iam-policy --with p", 3), "prune\n");
}

#[test]
fn the_completions_of_every_shell_know_every_command() {
    let help = printed(&["--help"]);
    let (_, commands) = help.split_once("Commands:\n").unwrap();
    let names: Vec<&str> = commands
        .lines()
        .map_while(|line| line.strip_prefix("  ")?.split_whitespace().next())
        .collect();
    assert!(names.len() > 8, "{names:?}");
    for (shell, sign) in [
        ("bash", "complete -F _redkeep"),
        ("zsh", "#compdef redkeep"),
        ("fish", "complete -c redkeep"),
    ] {
        let script = printed(&["completions", shell]);
        assert!(script.contains(sign), "this is not for {shell}");
        for name in &names {
            assert!(script.contains(name), "{shell} does not know {name}");
        }
    }
    assert_eq!(
        redkeep(&["completions", "powershell"]).status.code(),
        Some(2)
    );
}
