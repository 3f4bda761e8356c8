//! What somebody means who types a command or an option that redkeep does not have.
//!
//! Owns: the words of other programs' command lines (kubectl, restic, the AWS CLI, systemctl), and what does the same here.
//! Never runs another command than the one that was typed: it says what to type.

use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::suggest::nearest;

/// Words that are no command, and the commands that may be meant, with what each is for.
const COMMANDS: &[(&[&str], &[&str])] = &[
    (
        &["get", "snapshot", "snaps", "info", "archive", "archives"],
        &[
            "redkeep snapshots              the snapshots that exist now",
            "redkeep status                 every policy and cluster, and when the next snapshot comes",
            "redkeep show ID                one snapshot",
            "redkeep history                what became of every slot",
            "redkeep take --policy POLICY --cluster CLUSTER     one snapshot now",
        ],
    ),
    (
        &[
            "backup",
            "create",
            "create-snapshot",
            "create-cluster-snapshot",
            "snap",
            "trigger",
            "now",
        ],
        &["redkeep take --policy POLICY --cluster CLUSTER     one snapshot now"],
    ),
    (
        &[
            "delete",
            "rm",
            "remove",
            "forget",
            "del",
            "cleanup",
            "expire",
            "delete-snapshot",
            "delete-cluster-snapshot",
            "purge",
            "compact",
            "maintenance",
            "gc",
        ],
        &[
            "redkeep prune                  what keep_last would delete, and why",
            "redkeep release ID             end the hold of a snapshot",
            "redkeep deletes no single snapshot; `aws redshift delete-cluster-snapshot` does",
        ],
    ),
    (
        &["tag", "tags", "label", "annotate"],
        &["`tags` of a [[policy]] in the policy file: every snapshot gets them from then on"],
    ),
    (
        &[
            "restore",
            "recover",
            "restore-from-cluster-snapshot",
            "mount",
            "extract",
            "download",
        ],
        &["redkeep show ID                ends with the AWS CLI line that restores the snapshot"],
    ),
    (
        &["logs", "log", "events", "audit", "runs", "jobs", "tail"],
        &[
            "redkeep history --follow       each slot, as its state changes",
            "redkeep history --since 1d     what became of every slot of a day",
            "journalctl -u redkeep          the log of the service",
        ],
    ),
    (
        &[
            "describe-cluster-snapshots",
            "describe-snapshots",
            "snapshots-list",
            "find",
        ],
        &["redkeep snapshots              the snapshots that exist now"],
    ),
    (
        &[
            "describe-snapshot-schedules",
            "schedules",
            "schedule",
            "next",
            "upcoming",
            "list-timers",
            "cron",
        ],
        &["redkeep plan                   the slots to come"],
    ),
    (
        &[
            "policies",
            "policy",
            "clusters",
            "cluster",
            "describe-clusters",
            "list-clusters",
            "top",
            "ps",
            "state",
            "stats",
            "health",
            "ping",
            "alerts",
            "is-active",
            "is-failed",
            "list-units",
            "summary",
        ],
        &[
            "redkeep status                 every policy and cluster, what is wrong first",
            "redkeep coverage               clusters that no policy protects",
            "redkeep doctor                 what is wrong with the installation; `/healthz` answers probes",
        ],
    ),
    (
        &["why", "debug"],
        &["redkeep explain CLUSTER        why it got its snapshots, or did not"],
    ),
    (
        &["start", "stop", "restart", "rollout", "shutdown"],
        &[
            "systemctl restart redkeep      or start, or stop: the service",
            "redkeep run                    the daemon, without systemd",
            "redkeep pause POLICY           none of its slots starts until it is resumed",
        ],
    ),
    (
        &["export", "dump"],
        &[
            "redkeep history -o csv         every slot; `-o json` too, for each command that prints rows",
            "redkeep snapshots -o csv       the snapshots that exist now",
        ],
    ),
    (
        &["copy", "cp"],
        &[
            "redkeep copies no snapshot; `aws redshift enable-snapshot-copy` has AWS copy them to another region",
        ],
    ),
    (
        &["metrics", "prometheus"],
        &[
            "curl http://127.0.0.1:9835/metrics     of a daemon that listens there (`listen` in the policy file)",
        ],
    ),
    (
        &["test"],
        &[
            "redkeep notify --test NAME     sends a receiver one message",
            "redkeep check FILE             what is wrong with a policy file",
        ],
    ),
    (
        &["reload", "apply", "edit", "set"],
        &[
            "redkeep check FILE             what is wrong with a policy file",
            "redkeep diff OLD NEW           what another policy file would change",
            "systemctl reload redkeep       makes the service read its policy file again",
        ],
    ),
    (
        &["daemon", "serve", "server", "up"],
        &["redkeep run                    the daemon"],
    ),
    (
        &["suspend", "disable", "cordon", "mask"],
        &["redkeep pause POLICY           none of its slots starts until it is resumed"],
    ),
    (
        &["unpause", "enable", "continue", "uncordon", "unmask"],
        &["redkeep resume POLICY          ends the pause"],
    ),
    (
        &[
            "lock",
            "pin",
            "keep",
            "protect",
            "retain",
            "modify-cluster-snapshot",
        ],
        &["redkeep hold ID                keeps a snapshot until it is released"],
    ),
    (
        &["unlock", "unhold", "unpin", "break-lock"],
        &[
            "redkeep release ID             ends the hold of a snapshot",
            "a lock needs no command: the one who holds it gives it up when it ends",
        ],
    ),
    (
        &[
            "init",
            "config",
            "new",
            "convert",
            "cat",
            "show-config",
            "view",
        ],
        &[
            "redkeep import KIND FILE       a policy file made from a crontab or AWS schedules",
            "redkeep check FILE             what is wrong with a policy file",
            "redkeep schema                 its JSON Schema, for editors",
        ],
    ),
    (
        &["iam", "permissions", "can-i", "auth"],
        &[
            "redkeep iam-policy             the IAM permissions that redkeep needs",
            "redkeep doctor                 what is missing, here and at AWS",
        ],
    ),
    (
        &["verify", "repository", "repo", "selftest"],
        &[
            "redkeep doctor                 what is wrong with the installation, its history and its permissions",
            "redkeep report                 how well each cluster was protected",
        ],
    ),
    (
        &["resume-cluster", "pause-cluster"],
        &[
            "aws redshift resume-cluster --cluster-identifier CLUSTER, or aws redshift pause-cluster: AWS's own commands",
            "redkeep pause POLICY           none of its slots starts until it is resumed",
        ],
    ),
    (
        &["wait"],
        &[
            "redkeep take --policy POLICY --cluster CLUSTER     one snapshot now; it waits until the snapshot is complete",
        ],
    ),
    (
        &["completion"],
        &["redkeep completions SHELL      a completion script for a shell"],
    ),
    (
        &["cost", "quota", "predict", "capacity", "usage"],
        &["redkeep forecast               how many snapshots there will be, and the quota"],
    ),
];

/// Options of other programs, and what does the same here.
const OPTIONS: &[(&[&str], &str)] = &[
    (&["--json"], "-o json"),
    (&["--csv"], "-o csv"),
    (&["--wide"], "-o wide"),
    (&["--format"], "-o FORM"),
    (&["--file", "--filename"], "--config FILE"),
    (&["--cluster-identifier", "--cluster-id"], "--cluster ID"),
    (
        &["--snapshot-identifier", "--snapshot-id"],
        "the identifier alone, as in `redkeep show ID`",
    ),
    (&["--no-color", "--no-colour"], "--color never"),
    (&["--colour"], "--color WHEN"),
    (&["--from", "--start-time", "--after"], "--since WHEN"),
    (&["--to", "--end-time", "--before"], "--until WHEN"),
    (
        &["--max-items", "--max-count", "--head", "--tail", "--last"],
        "--limit N",
    ),
    (
        &["--dry-run"],
        "`redkeep plan` and `redkeep prune`, which change nothing",
    ),
];

/// What to say beside clap's own words of the line that was typed, without the program's name; `None` where nothing is
/// known of it.
pub(super) fn advice(error: &clap::Error, line: &[String]) -> Option<String> {
    let word = |kind| match error.get(kind) {
        Some(ContextValue::String(word)) => Some(word.as_str()),
        _ => None,
    };
    match error.kind() {
        ErrorKind::InvalidSubcommand => {
            let got = word(ContextKind::InvalidSubcommand)?;
            of_noun(line, got).or_else(|| of_command(got))
        }
        ErrorKind::UnknownArgument => {
            let got = word(ContextKind::InvalidArg)?;
            of_line(line, got).or_else(|| of_option(got))
        }
        _ => None,
    }
}

/// Commands that take a cluster or a policy by an option, and not alone.
const FILTERED: [&str; 6] = [
    "status",
    "history",
    "snapshots",
    "plan",
    "report",
    "coverage",
];

/// What a whole line means, in which `got` is not understood.
fn of_line(line: &[String], got: &str) -> Option<String> {
    let mut words = line.iter().map(String::as_str);
    let mut words = words.by_ref().filter(|word| !word.starts_with('-'));
    let (command, second) = (words.next()?, words.next());
    let lines = match (command, second, got) {
        ("report" | "history", _, "--last") => format!("redkeep {command} --since 7d"),
        ("notify", _, name) if !name.starts_with('-') => format!("redkeep notify --test {name}"),
        ("plan", _, "--days") => format!("redkeep plan --until {}", days(line)),
        ("history" | "report", _, "--days") => {
            format!("redkeep {command} --since {}", days(line))
        }
        (command, _, got) if is_negative(got) => {
            let length = negative(line).unwrap_or("1h");
            let option = if command == "plan" {
                "--from"
            } else {
                "--since"
            };
            format!("redkeep {command} {option} {length}      {length} before now")
        }
        ("history", _, "--failed") => "redkeep history --state failed".to_owned(),
        ("notify", Some("test"), _) | ("notify", _, "test") => {
            "redkeep notify --test NAME".to_owned()
        }
        ("describe" | "show", Some("cluster" | "clusters"), cluster) => {
            format!("redkeep explain {cluster}\n  redkeep status --cluster {cluster}")
        }
        ("describe" | "show", Some("snapshot" | "snapshots"), id) => format!("redkeep show {id}"),
        ("describe" | "show", Some("policy" | "policies"), policy) => {
            format!("redkeep status --policy {policy}")
        }
        ("snapshots" | "history", _, "latest" | "last" | "newest") => {
            format!("redkeep {command} --limit 1")
        }
        ("pause" | "resume", policy, "--policy" | "-p") => {
            format!("redkeep {command} {}", policy.unwrap_or("POLICY"))
        }
        ("take", Some(cluster), got) if cluster == got => {
            format!("redkeep take --policy POLICY --cluster {cluster}")
        }
        (command, _, name) if FILTERED.contains(&command) && !name.starts_with('-') => {
            format!("redkeep {command} --cluster {name}\n  redkeep {command} --policy {name}")
        }
        _ => return None,
    };
    Some(format!("What may be meant:\n  {lines}"))
}

/// The length of time of `--days 3`, or of `--days=3`.
fn days(line: &[String]) -> String {
    let mut words = line.iter().skip_while(|word| !word.starts_with("--days"));
    let joined = words.next().and_then(|word| word.strip_prefix("--days="));
    let count = joined.or_else(|| words.next().map(String::as_str));
    let count = count.filter(|count| count.chars().all(|c| c.is_ascii_digit()));
    format!("{}d", count.unwrap_or("7"))
}

/// Whether an option is a length of time before now, as other programs have it.
fn is_negative(got: &str) -> bool {
    let digits = got.strip_prefix('-');
    digits.is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}

/// The length of time of `-1h`.
fn negative(line: &[String]) -> Option<&str> {
    let word = line.iter().find(|word| is_negative(word))?;
    word.strip_prefix('-')
}

/// Whether a command that is near by its letters is near enough to be meant.
pub(super) fn is_near(word: &str, command: &str) -> bool {
    nearest(word, [command]).is_some()
}

fn of_command(word: &str) -> Option<String> {
    let of = |word: &str| COMMANDS.iter().find(|(words, _)| words.contains(&word));
    let known = || COMMANDS.iter().flat_map(|(words, _)| words.iter().copied());
    // Of three letters every other word is near.
    let near = || nearest(word, known()).filter(|_| word.len() > 3);
    let (_, lines) = of(word).or_else(|| of(near()?))?;
    Some(format!("What may be meant:\n  {}", lines.join("\n  ")))
}

/// What a noun and a verb mean, as in `snapshot delete`: the verb counts.
fn of_noun(line: &[String], noun: &str) -> Option<String> {
    let is_noun = matches!(
        noun,
        "snapshot" | "snap" | "policy" | "schedule" | "cluster"
    );
    let verb = line.iter().skip_while(|word| *word != noun).nth(1)?;
    match (is_noun, noun, verb.as_str()) {
        (true, "snapshot" | "snap", "list" | "ls") => of_command("find"),
        (true, _, "list" | "ls" | "show") => None,
        (true, ..) => of_command(verb),
        _ => None,
    }
}

fn of_option(option: &str) -> Option<String> {
    let name = option.split('=').next().unwrap_or(option);
    let (_, instead) = OPTIONS.iter().find(|(names, _)| names.contains(&name))?;
    Some(format!("What may be meant: {instead}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_of_another_program_gets_what_does_the_same_here() {
        for (word, wanted) in [
            ("get", "redkeep snapshots"),
            ("logs", "redkeep history --follow"),
            ("forget", "redkeep prune"),
            ("restore", "redkeep show ID"),
            ("bakcup", "redkeep take"),
            ("tag", "`tags` of a [[policy]]"),
            ("mount", "redkeep show ID"),
            ("stop", "systemctl restart"),
            ("export", "history -o csv"),
            ("unlock", "redkeep release ID"),
        ] {
            let told = of_command(word).unwrap();
            assert!(told.contains(wanted), "{word}: {told}");
        }
        assert_eq!(of_command("xyzzy"), None);
        assert!(!is_near("tag", "take") && !is_near("mount", "import"));
        assert!(is_near("statsu", "status"));
        for (line, got, wanted) in [
            ("report --last 7d", "--last", "redkeep report --since 7d"),
            (
                "describe cluster dw-prod",
                "dw-prod",
                "redkeep explain dw-prod",
            ),
            ("snapshots latest", "latest", "redkeep snapshots --limit 1"),
            (
                "status dw-prod",
                "dw-prod",
                "redkeep status --cluster dw-prod",
            ),
            ("notify ops", "ops", "redkeep notify --test ops"),
            ("history --since -1h", "-1", "redkeep history --since 1h"),
            ("plan --days 3", "--days", "redkeep plan --until 3d"),
            ("history --days=2", "--days", "redkeep history --since 2d"),
            (
                "history dw-prod",
                "dw-prod",
                "redkeep history --cluster dw-prod",
            ),
            (
                "pause --policy nightly",
                "--policy",
                "redkeep pause nightly",
            ),
        ] {
            let line: Vec<String> = line.split(' ').map(str::to_owned).collect();
            let told = of_line(&line, got).unwrap();
            assert!(told.contains(wanted), "{line:?}: {told}");
        }
        assert_eq!(of_option("--tail").unwrap(), "What may be meant: --limit N");
        assert_eq!(of_option("--json=x").unwrap(), "What may be meant: -o json");
    }
}
