//! `redkeep pause` and `redkeep resume`: a policy's slots are not started for a while.

use std::io::Write;
use std::sync::Arc;

use clap::Args;

use crate::clock::Clock;
use crate::config::Config;
use crate::names::PolicyName;
use crate::policy::Policy;
use crate::remedy;
use crate::slot::rfc3339;
use crate::store::Inbox;
use crate::suggest::did_you_mean;
use crate::told::command;

use super::history::unreadable;
use super::{ConfigArgs, Failure, sources, wiring};

/// Pauses a policy: its slots are missed (paused) until it is resumed.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  redkeep pause nightly
  redkeep resume nightly

A running daemon pauses the policy within 2 seconds, and the pause survives restarts. redkeep still follows
snapshots that it asked for before, and `redkeep take` still works.")]
pub struct PauseArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// The policy
    #[arg(value_name = "POLICY")]
    policy: PolicyName,
}

/// Ends the pause of a policy: its slots from now on are started again.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  redkeep resume nightly

A running daemon resumes the policy within 2 seconds. Slots that were due during the pause stay missed
(paused): they are not made up, and nothing starts at once.")]
pub struct ResumeArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// The policy
    #[arg(value_name = "POLICY")]
    policy: PolicyName,
}

pub(super) async fn pause(args: &PauseArgs, clock: Arc<dyn Clock>) -> Result<(), Failure> {
    let mut inbox = inbox(&args.config, &args.policy, &*clock).await?;
    let (policy, now) = (&args.policy, clock.now());
    let since = inbox.pause(policy, now).map_err(unreadable)?;
    let since = rfc3339(since);
    let told = format!(
        "{policy} has been paused since {since}; `{}` ends the pause",
        remedy::resume(policy)
    );
    writeln!(std::io::stdout(), "{}", command::whole(&told))?;
    Ok(())
}

pub(super) async fn resume(args: &ResumeArgs, clock: Arc<dyn Clock>) -> Result<(), Failure> {
    let mut inbox = inbox(&args.config, &args.policy, &*clock).await?;
    let (policy, now) = (&args.policy, clock.now());
    let mut out = std::io::stdout();
    match inbox.resume(policy, now).map_err(unreadable)? {
        Some(since) => writeln!(
            out,
            "{policy} is resumed; it had been paused since {}",
            rfc3339(since)
        )?,
        None => writeln!(out, "{policy} was not paused")?,
    }
    Ok(())
}

/// Where requests about a configured policy are handed in.
async fn inbox(
    args: &ConfigArgs,
    policy: &PolicyName,
    clock: &dyn Clock,
) -> Result<Inbox, Failure> {
    let sources = sources(args).await;
    let config = crate::config::load(&sources).map_err(super::invalid)?;
    configured(&config, policy)?;
    wiring::inbox(&config, &sources, clock.now()).await
}

/// The policy of that name.
pub(super) fn configured<'a>(config: &'a Config, name: &PolicyName) -> Result<&'a Policy, Failure> {
    config.policy(name).ok_or_else(|| {
        let names = config.policies.iter().map(|policy| policy.name.as_str());
        let names: Vec<&str> = names.collect();
        let meant = did_you_mean(name.as_str(), names.iter().copied());
        Failure::Usage(format!(
            "got the policy {name:?}, wanted one of the policy file's: {names}{meant}",
            name = name.as_str(),
            names = names.join(", ")
        ))
    })
}
