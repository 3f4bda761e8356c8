//! `redkeep explain`: why a cluster got its snapshots, did not, or will.

use std::io::Write;

use chrono::{DateTime, Utc};
use clap::Args;

use crate::config::Config;
use crate::explain::Part;
use crate::logging::one_line;
use crate::names::{ClusterId, PolicyName};
use crate::store::{Reader, StoreError};
use crate::told::explained::{ExplainRow, Known, Recorded};

use super::history::unreadable;
use super::output::{Output, write_rows};
use super::pause::configured;
use super::state_lock::{Holder, holder};
use super::{ConfigArgs, Failure, load};

/// Tells for each policy that touches a cluster, or nearly does, what happened, why, and what comes next.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  redkeep explain dw-prod
  redkeep explain dw-prod --policy nightly --slots 20
  redkeep explain dw-prod --output json

AWS is not asked. Exits with 1 when no policy touches the cluster.")]
pub struct ExplainArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// The cluster's identifier
    #[arg(value_name = "CLUSTER")]
    cluster: ClusterId,
    /// Only this policy
    #[arg(long, value_name = "NAME")]
    policy: Option<PolicyName>,
    /// The newest so many slots of each policy
    #[arg(long, value_name = "N", default_value_t = 5)]
    slots: u32,
    /// The form of the output
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

pub(super) async fn explain(args: &ExplainArgs, now: DateTime<Utc>) -> Result<(), Failure> {
    let config = load(&args.config).await?;
    let known = Known {
        past: past(&config, &args.cluster)?,
        config: &config,
        now,
    };
    let mut parts = known.parts(&args.cluster);
    if let Some(only) = &args.policy {
        parts.retain(|part| part.policy == *only);
        if parts.is_empty() {
            configured(&config, only)?;
        }
    }
    let mut rows = Vec::new();
    for part in &parts {
        rows.extend(
            known
                .part(part, &args.cluster, args.slots)
                .map_err(unreadable)?,
        );
    }
    let mut out = std::io::stdout().lock();
    match args.output {
        Output::Table => write_text(&mut out, &args.cluster, &rows)?,
        other => write_rows(&mut out, other, &[], &rows)?,
    }
    remarks(&known, &parts)?;
    match parts.iter().any(|part| part.relation.touches()) {
        true => Ok(()),
        false => Err(Failure::Finding),
    }
}

/// What the history has of the cluster; `None` where no daemon has begun one.
fn past(config: &Config, cluster: &ClusterId) -> Result<Option<Recorded>, Failure> {
    match Reader::open(&config.database()) {
        Err(StoreError::Missing { .. }) => Ok(None),
        opened => opened
            .and_then(|reader| Recorded::of(cluster, reader, config))
            .map(Some)
            .map_err(unreadable),
    }
}

/// What has to be known to read the rows aright, on stderr.
fn remarks(known: &Known<'_>, parts: &[Part]) -> Result<(), Failure> {
    let mut err = std::io::stderr();
    if parts.is_empty() {
        writeln!(
            err,
            "no policy touches it, nor nearly; `redkeep plan` shows what the policies name"
        )?;
    }
    if known.past.is_none() {
        writeln!(
            err,
            "note: there is no history yet: `redkeep run` begins it"
        )?;
    }
    if let Ok(Holder::Nobody) = holder(&known.config.state_dir) {
        writeln!(
            err,
            "note: no daemon runs on this state directory, and nothing happens until one does"
        )?;
    }
    Ok(())
}

/// A paragraph for each policy: what it is to the cluster, then a line for each slot.
fn write_text(
    out: &mut impl Write,
    cluster: &ClusterId,
    rows: &[ExplainRow],
) -> Result<(), Failure> {
    for row in rows {
        let words = one_line(&row.words);
        match &row.scheduled_at {
            None => {
                let place = row.account.as_ref().zip(row.region.as_ref());
                let place = place.map_or_else(String::new, |(account, region)| {
                    format!(" in {account}/{region}")
                });
                let verb = match row.touches {
                    true => "touches",
                    false => "does not touch",
                };
                let policy = &row.policy;
                writeln!(out, "policy {policy}{place} {verb} {cluster}: {words}")?;
            }
            Some(scheduled_at) => {
                let state = row.state.unwrap_or("next");
                writeln!(out, "  {scheduled_at}  {state:<9}  {words}")?;
            }
        }
    }
    Ok(())
}
