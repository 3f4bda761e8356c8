//! A crontab: its lines that take snapshots of Redshift.
//!
//! Owns: what of a line is its schedule, and what its command tells. Never looks into a script that a line calls.

use super::{Draft, Import, ImportError};

/// Out of `crontab -l`, or a file of /etc/cron.d.
///
/// # Errors
/// Where no line of it takes snapshots.
pub fn crontab(text: &str) -> Result<Import, ImportError> {
    let mut import = Import::default();
    let mut zone: Option<String> = None;
    for line in text.lines().map(str::trim) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some((name, value)) = assignment(line) {
            if matches!(name, "CRON_TZ" | "TZ") {
                zone = Some(value.trim_matches(['"', '\'', ':']).to_owned());
            }
            continue;
        }
        match split(line) {
            Some((schedule, command)) if is_snapshot(command) => {
                import.drafts.push(draft(schedule, command, zone.clone()));
            }
            _ => import
                .left_out
                .push(format!("it takes no snapshot of Redshift: {line}")),
        }
    }
    match import.drafts.is_empty() {
        true => Err(ImportError::NothingThere {
            wanted: "line that takes a snapshot of Redshift",
            advice: "`aws redshift create-cluster-snapshot` stands in one, or a script with redshift or snapshot in its name",
        }),
        false => Ok(import),
    }
}

/// `NAME=value`, before any blank.
fn assignment(line: &str) -> Option<(&str, &str)> {
    let (name, value) = line.split_once('=')?;
    let name = name.trim_end();
    let is_name = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    is_name.then(|| (name, value.trim()))
}

/// The schedule, and what follows it.
fn split(line: &str) -> Option<(&str, &str)> {
    let count = if line.starts_with('@') { 1 } else { 5 };
    let mut rest = line;
    for _ in 0..count {
        let end = rest.find(char::is_whitespace)?;
        rest = rest[end..].trim_start();
    }
    let schedule = line[..line.len() - rest.len()].trim_end();
    (!rest.is_empty()).then_some((schedule, rest))
}

fn is_snapshot(command: &str) -> bool {
    let command = command.to_lowercase();
    command.contains("redshift") || command.contains("snapshot")
}

fn draft(schedule: &str, command: &str, timezone: Option<String>) -> Draft {
    let words: Vec<&str> = command.split_whitespace().collect();
    let cluster = option(&words, "--cluster-identifier").filter(|name| !name.contains('$'));
    let mut remarks = vec![format!("{schedule} {command}")];
    if !command.contains("create-cluster-snapshot") {
        remarks.push("CHECK THIS: the crontab does not say what the script does".to_owned());
    }
    if timezone.is_none() {
        remarks.push(
            "CHECK THIS: cron used that machine's time zone; without a `timezone` redkeep uses \
             UTC"
            .to_owned(),
        );
    }
    if option(&words, "--profile").is_some() || command.contains("AWS_PROFILE=") {
        remarks.push("NOT CARRIED OVER: its profile; an [[account]] can name it".to_owned());
    }
    if words.contains(&"--tags") {
        remarks.push("NOT CARRIED OVER: its tags; a policy can have `tags`".to_owned());
    }
    let days = option(&words, "--manual-snapshot-retention-period");
    Draft {
        name: match &cluster {
            Some(cluster) => format!("cron-{cluster}"),
            None => "cron".to_owned(),
        },
        schedule: schedule.to_owned(),
        timezone,
        clusters: cluster.into_iter().collect(),
        // The AWS CLI without the option makes one that is kept for ever.
        retention_days: days.and_then(|days| days.parse().ok()),
        region: option(&words, "--region"),
        remarks,
        ..Draft::default()
    }
}

/// The value of an option, behind it or behind its `=`.
fn option(words: &[&str], name: &str) -> Option<String> {
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let value = match word.strip_prefix(name) {
            Some("") => words.next().copied(),
            Some(rest) => rest.strip_prefix('='),
            None => continue,
        };
        return value.map(|value| value.trim_matches(['"', '\'']).to_owned());
    }
    None
}
