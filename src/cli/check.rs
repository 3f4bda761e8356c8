//! `redkeep check`: says what `run` would refuse.

use std::io::Write;

use chrono::{DateTime, Utc};
use clap::Args;

use crate::forecast::{ScopeForecast, forecast};
use crate::names::PolicyName;

use super::forecast::{YEAR, known};
use super::{ConfigArgs, Failure, described, load};

/// Reads the policy file as `run` would, and lists every error in it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  redkeep check --config config/redkeep.toml
  redkeep check && systemctl reload redkeep

Exits with 78 when the configuration is bad; a warning, as of a quota that the policies will pass, changes no exit
code. Asks AWS nothing.")]
pub struct CheckArgs {
    #[command(flatten)]
    config: ConfigArgs,
}

pub(super) async fn check(args: &CheckArgs, now: DateTime<Utc>) -> Result<(), Failure> {
    let config = load(&args.config).await?;
    let mut out = std::io::stdout().lock();
    for warning in &config.warnings {
        writeln!(std::io::stderr(), "warning: {warning}")?;
    }
    // A history that cannot be read is not what is asked about here.
    let history = known(&config).unwrap_or_default();
    let forecast = forecast(&config, &history, now, YEAR);
    for note in &forecast.notes {
        writeln!(std::io::stderr(), "note: {note}")?;
    }
    for warning in forecast.scopes.iter().filter_map(over_quota) {
        writeln!(std::io::stderr(), "warning: {warning}")?;
    }
    writeln!(out, "{}", described(&args.config, &config))?;
    Ok(())
}

/// What is to be said of a quota that the policies will pass.
fn over_quota(scope: &ScopeForecast) -> Option<String> {
    let passed_at = scope.over_quota_at?;
    let mut shares: Vec<(&PolicyName, &usize)> = scope.peak.by_policy.iter().collect();
    shares.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    let shares = shares
        .iter()
        .map(|(policy, count)| format!("{policy} {count}"))
        .collect::<Vec<_>>()
        .join(", ");
    Some(format!(
        "{}: the policies will hold up to {} manual snapshots ({shares}), and pass the quota of {} on {}; keep fewer, \
         or have AWS raise the quota and set snapshot_quota",
        scope.scope,
        scope.peak.held,
        scope.quota,
        passed_at.date_naive()
    ))
}
