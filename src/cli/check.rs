//! `redkeep check`: says what `run` would refuse.

use std::io::Write;

use clap::Args;

use super::{ConfigArgs, Failure, described, load};

/// Reads the policy file as `run` would, and lists every error in it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  redkeep check --config config/redkeep.toml
  redkeep check && systemctl reload redkeep

Exits with 78 when the configuration is bad. Asks AWS nothing.")]
pub struct CheckArgs {
    #[command(flatten)]
    config: ConfigArgs,
}

pub(super) async fn check(args: &CheckArgs) -> Result<(), Failure> {
    let config = load(&args.config).await?;
    let mut out = std::io::stdout().lock();
    for warning in &config.warnings {
        writeln!(std::io::stderr(), "warning: {warning}")?;
    }
    writeln!(out, "{}", described(&args.config, &config))?;
    Ok(())
}
