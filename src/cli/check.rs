//! `redkeep check`: says what `run` would refuse.

use std::io::Write;

use chrono::{DateTime, Utc};
use clap::Args;

use crate::aws::foreseen;
use crate::config::{Config, Endpoint};
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
    for warning in &config.warnings {
        writeln!(std::io::stderr(), "warning: {warning}")?;
    }
    let refused = credentials(&config).await?;
    // A history that cannot be read is not what is asked about here.
    let history = known(&config).unwrap_or_default();
    let forecast = forecast(&config, &history, now, YEAR);
    for note in &forecast.notes {
        writeln!(std::io::stderr(), "note: {note}")?;
    }
    for warning in forecast.scopes.iter().filter_map(over_quota) {
        writeln!(std::io::stderr(), "warning: {warning}")?;
    }
    if let Some(why) = refused {
        return Err(Failure::Config(why));
    }
    writeln!(std::io::stdout(), "{}", described(&args.config, &config))?;
    Ok(())
}

/// Warns of profiles that cannot be used, and says what is certain: the environment names one that is not there. The
/// service may have another environment and other files.
async fn credentials(config: &Config) -> Result<Option<String>, Failure> {
    if config.endpoint == Endpoint::Sandbox {
        return Ok(None);
    }
    for account in &config.accounts {
        match foreseen(&account.identity).await {
            Some((why, true)) => return Ok(Some(format!("AWS_PROFILE: {why}"))),
            Some((why, false)) => {
                let name = account.name.as_str();
                writeln!(std::io::stderr(), "warning: account {name:?}: {why}")?;
            }
            None => {}
        }
    }
    Ok(None)
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
