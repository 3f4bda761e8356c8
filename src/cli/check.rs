//! `redkeep check`: says what `run` would refuse.

use std::io::Write;
use std::path::PathBuf;

use chrono::{DateTime, Utc};
use clap::Args;

use crate::aws::foreseen;
use crate::config::{self, Config, ConfigErrors, Endpoint, Problem, Warning};
use crate::forecast::{ScopeForecast, YEAR, forecast};
use crate::names::PolicyName;

use super::forecast::past;
use super::output::{View, row, write_rows};
use super::view::OutputArgs;
use super::{ConfigArgs, Failure, described, invalid, sources};

/// Reads the policy file as `run` would, and lists every error in it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  redkeep check redkeep.toml
  redkeep check --config config/redkeep.toml
  redkeep check redkeep.toml --output json            for editors and CI
  redkeep check && systemctl reload redkeep

Exits with 78 when the configuration has an error. A warning, such as for a quota that the policies will
exceed, does not change the exit code. Asks AWS nothing.")]
pub struct CheckArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// The policy file; by default the one that --config names
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    #[command(flatten)]
    output: OutputArgs,
}

row! {
    /// What is to be said of a place in the configuration.
    CheckRow {
        severity: &'static str,
        file: Option<String>,
        line: Option<usize>,
        column: Option<usize>,
        message: String,
        hint: Option<String>,
    }
}

impl CheckRow {
    /// Of something that has no place in a file.
    fn of(severity: &'static str, problem: impl Into<Problem>) -> Self {
        let problem = problem.into();
        Self {
            severity,
            file: None,
            line: None,
            column: None,
            message: problem.to_string(),
            hint: problem.hint,
        }
    }

    /// The same with a place.
    fn at(self, source: &str, position: Option<(usize, usize)>) -> Self {
        Self {
            file: Some(source.to_owned()),
            line: position.map(|(line, _)| line),
            column: position.map(|(_, column)| column),
            ..self
        }
    }

    /// As a person reads it.
    fn line(&self) -> String {
        let position = match (self.line, self.column) {
            (Some(line), Some(column)) => format!(":{line}:{column}"),
            _ => String::new(),
        };
        let place = self.file.as_ref().map(|file| format!("{file}{position}: "));
        format!(
            "{}: {}{}",
            self.severity,
            place.unwrap_or_default(),
            self.message
        )
    }
}

pub(super) async fn check(args: &CheckArgs, now: DateTime<Utc>) -> Result<(), Failure> {
    let args = ConfigAt {
        config: ConfigArgs {
            config: args
                .file
                .clone()
                .unwrap_or_else(|| args.config.config.clone()),
        },
        view: View::plain(&args.output),
    };
    let config = match config::load(&sources(&args.config).await) {
        Ok(config) => config,
        Err(errors) => return Err(args.refused(errors)?),
    };
    let (mut rows, refused) = remarks(&config).await;
    // A history that cannot be read is not what is asked about here.
    let past = past(&config).unwrap_or_default();
    let forecast = forecast(&config, &past, now, YEAR);
    let notes = forecast.notes.iter().map(ToString::to_string);
    rows.extend(notes.map(|note| CheckRow::of("note", note)));
    let over = forecast.scopes.iter().filter_map(over_quota);
    rows.extend(over.map(|warning| CheckRow::of("warning", warning)));
    args.tell(&rows)?;
    if let Some(why) = refused {
        return Err(Failure::Config(why));
    }
    if args.view.output.is_table() {
        writeln!(std::io::stdout(), "{}", described(&args.config, &config))?;
    }
    Ok(())
}

/// Which file is checked, and how that is told.
struct ConfigAt {
    config: ConfigArgs,
    view: View,
}

impl ConfigAt {
    /// People read remarks on stderr; programs read rows on stdout.
    fn tell(&self, rows: &[CheckRow]) -> Result<(), Failure> {
        if !self.view.output.is_table() {
            write_rows(&mut std::io::stdout().lock(), self.view.clone(), &[], rows)?;
            return Ok(());
        }
        for row in rows {
            writeln!(std::io::stderr(), "{}", row.line())?;
        }
        Ok(())
    }

    /// All errors; a program has them as rows.
    fn refused(&self, errors: ConfigErrors) -> Result<Failure, Failure> {
        if self.view.output.is_table() {
            return Ok(invalid(errors));
        }
        let row = |error: &config::ConfigError| {
            let row = CheckRow::of("error", error.problem().clone());
            row.at(error.source_name(), error.position())
        };
        let rows: Vec<CheckRow> = errors.iter().map(row).collect();
        self.tell(&rows)?;
        Ok(Failure::Config(String::new()))
    }
}

/// The warnings of the file and of the credentials, and what is certain to be refused.
async fn remarks(config: &Config) -> (Vec<CheckRow>, Option<String>) {
    let in_file = |warning: &Warning| {
        let row = CheckRow::of("warning", warning.problem.clone());
        row.at(&warning.source, warning.position)
    };
    let mut rows: Vec<CheckRow> = config.warnings.iter().map(in_file).collect();
    let (warnings, refused) = credentials(config).await;
    let of_credentials = |warning| CheckRow::of("warning", warning);
    rows.extend(warnings.into_iter().map(of_credentials));
    (rows, refused)
}

/// Warns of profiles that cannot be used, and says what is certain: the environment names one that is not there. The
/// service may have another environment and other files.
async fn credentials(config: &Config) -> (Vec<Problem>, Option<String>) {
    let mut warnings = Vec::new();
    if config.endpoint == Endpoint::Sandbox {
        return (warnings, None);
    }
    for account in &config.accounts {
        match foreseen(&account.identity).await {
            Some((why, true)) => return (warnings, Some(format!("AWS_PROFILE: {why}"))),
            Some((why, false)) => {
                let name = account.name.as_str();
                warnings.push(why.after(format_args!("account {name:?}: ")));
            }
            None => {}
        }
    }
    (warnings, None)
}

/// What is to be said of a quota that the policies will pass.
fn over_quota(scope: &ScopeForecast) -> Option<Problem> {
    let passed_at = scope.over_quota_at?;
    let mut shares: Vec<(&PolicyName, &usize)> = scope.peak.by_policy.iter().collect();
    shares.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    let shares = shares
        .iter()
        .map(|(policy, count)| format!("{policy} {count}"))
        .collect::<Vec<_>>()
        .join(", ");
    let text = format!(
        "{}: the policies will keep up to {} manual snapshots ({shares}), and exceed the quota of {} on {}",
        scope.scope,
        scope.peak.held,
        scope.quota,
        passed_at.date_naive()
    );
    let hint = "keep fewer, or have AWS raise the quota and set snapshot_quota";
    Some(Problem::hinted(text, hint))
}
