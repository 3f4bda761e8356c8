//! Commands as people are told them: whole, so that they can be pasted.
//!
//! Owns: what a command needs beside its words to read the same policy file, and where it goes in a text. Whatever shows
//! somebody a command, the page, a message, the log, or another command, asks here, where it is shown: the core's words have
//! the commands alone, and so has the history.

use std::borrow::Cow;
use std::path::Path;
use std::sync::{OnceLock, PoisonError, RwLock};

/// Where the policy file is where nobody names another.
pub(crate) const DEFAULT_CONFIG: &str = "/etc/redkeep/redkeep.toml";

/// The commands that read the policy file.
const COMMANDS: [&str; 21] = [
    "run",
    "check",
    "plan",
    "forecast",
    "coverage",
    "report",
    "history",
    "snapshots",
    "status",
    "explain",
    "doctor",
    "show",
    "take",
    "pause",
    "resume",
    "prune",
    "hold",
    "release",
    "takeover",
    "notify",
    "iam-policy",
];

static OPTIONS: OnceLock<String> = OnceLock::new();

/// Where the calls of this process go, if not to AWS.
static ENDPOINT: RwLock<Option<String>> = RwLock::new(None);

/// Says where the calls of this process go, if not to AWS; the last word counts.
pub(crate) fn note_endpoint(url: Option<String>) {
    *ENDPOINT.write().unwrap_or_else(PoisonError::into_inner) = url;
}

/// What a command of the AWS CLI needs to reach what this process reaches; empty where that is AWS.
fn endpoint_option() -> String {
    let url = ENDPOINT.read().unwrap_or_else(PoisonError::into_inner);
    url.as_ref()
        .map_or_else(String::new, |url| format!(" --endpoint-url {url}"))
}

/// Says which policy file this process reads; the first word counts.
pub(crate) fn note(file: &Path) {
    let _ = OPTIONS.set(options(file));
}

/// What follows `redkeep <command>` so that it reads `file`; empty where it does anyway.
pub(crate) fn options(file: &Path) -> String {
    let file = file.display().to_string();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@%,".contains(c);
    match file {
        file if file == DEFAULT_CONFIG => String::new(),
        file if file.chars().all(is_plain) => format!(" --config {file}"),
        file => format!(" --config '{}'", file.replace('\'', r"'\''")),
    }
}

/// What a command needs to read the policy file of this process.
pub(crate) fn known() -> &'static str {
    OPTIONS.get().map_or("", String::as_str)
}

/// The text with its commands whole, for the policy file of this process.
pub(crate) fn whole(text: &str) -> Cow<'_, str> {
    whole_with(text, known())
}

/// The text with `options` behind each command of redkeep, and the endpoint behind each of the AWS CLI: the text itself, if
/// it is one, and those between backticks.
pub(crate) fn whole_with<'a>(text: &'a str, options: &str) -> Cow<'a, str> {
    completed(text, options, &endpoint_option())
}

fn completed<'a>(text: &'a str, options: &str, endpoint: &str) -> Cow<'a, str> {
    let lacks = |command: &str| {
        if is_command(command) {
            options.to_owned()
        } else if is_of_aws(command) {
            endpoint.to_owned()
        } else {
            String::new()
        }
    };
    if !text.contains('`') {
        return match lacks(text) {
            more if more.is_empty() => text.into(),
            more => format!("{text}{more}").into(),
        };
    }
    let parts = text.split('`').enumerate();
    let parts = parts.map(|(place, part)| match place % 2 {
        1 => format!("{part}{}", lacks(part)),
        _ => part.to_owned(),
    });
    parts.collect::<Vec<_>>().join("`").into()
}

fn is_of_aws(text: &str) -> bool {
    // `aws redshift resume-cluster` alone, in a sentence, is the name of an operation.
    text.starts_with("aws redshift ") && text.contains(" --") && !text.contains("--endpoint-url")
}

fn is_command(text: &str) -> bool {
    let mut words = text.split(' ');
    words.next() == Some("redkeep")
        && words.next().is_some_and(|word| COMMANDS.contains(&word))
        && words.all(|word| !word.starts_with("--config") && word != "FILE")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_told_with_the_policy_file_that_it_needs() {
        let options = options(Path::new("/tmp/a b.toml"));
        assert_eq!(options, " --config '/tmp/a b.toml'");
        let told = |text: &str| whole_with(text, " --config x.toml").into_owned();
        for (text, wanted) in [
            ("redkeep forecast", "redkeep forecast --config x.toml"),
            (
                "start the service, or `redkeep run`",
                "start the service, or `redkeep run --config x.toml`",
            ),
            (
                "`redkeep show a` and `redkeep hold a`; `snapshot_quota`",
                "`redkeep show a --config x.toml` and `redkeep hold a --config x.toml`; `snapshot_quota`",
            ),
            ("redkeep takes no snapshots", "redkeep takes no snapshots"),
            ("`redkeep schema` prints it", "`redkeep schema` prints it"),
            ("redkeep show a --config y", "redkeep show a --config y"),
            ("no policy selects it", "no policy selects it"),
        ] {
            assert_eq!(told(text), wanted);
        }
        assert_eq!(whole_with("redkeep forecast", ""), "redkeep forecast");
    }

    #[test]
    fn a_command_of_the_aws_cli_is_told_with_the_endpoint_that_redkeep_works_with() {
        let resume = "aws redshift resume-cluster --cluster-identifier dw --region eu-central-1";
        let here = " --endpoint-url http://127.0.0.1:9836";
        let told = |text: &str, endpoint| completed(text, "", endpoint).into_owned();
        assert_eq!(told(resume, here), format!("{resume}{here}"));
        assert_eq!(
            told(&format!("try `{resume}`"), here),
            format!("try `{resume}{here}`")
        );
        assert_eq!(told(resume, ""), resume, "AWS itself");
        assert_eq!(
            told("`aws redshift resume-cluster` does", here),
            "`aws redshift resume-cluster` does"
        );
    }
}
