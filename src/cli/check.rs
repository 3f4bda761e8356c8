//! `redkeep check`: says what `run` would refuse.

use std::io::Write;

use clap::Args;

use crate::config::Endpoint;

use super::{ConfigArgs, Failure, load};

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
    let (policies, scopes) = (config.policies.len(), config.scopes().len());
    let endpoint = match &config.endpoint {
        Endpoint::Aws => "AWS",
        Endpoint::Sandbox => "the embedded sandbox",
        Endpoint::Url(url) => url,
    };
    let file = args.config.config.display();
    writeln!(
        out,
        "{file}: fine: {}, {}, on {endpoint}",
        count(policies, "policy", "policies"),
        count(scopes, "scope", "scopes")
    )?;
    Ok(())
}

fn count(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}
