//! `redkeep explain`: why a cluster got its snapshots, did not, or will.

use std::io::Write;

use chrono::{DateTime, Utc};
use clap::Args;

use crate::config::Config;
use crate::explain::Part;
use crate::logging::one_line;
use crate::names::{AccountName, ClusterId, PolicyName, Region};
use crate::store::{Reader, StoreError};
use crate::suggest::did_you_mean;
use crate::told::command;
use crate::told::explained::{ExplainRow, Known, Recorded};
use crate::told::trouble::Trouble;

use super::absence::troubles;
use super::filter::{FilterArgs, Kind, Names};
use super::history::unreadable;
use super::output::{Output, Tone, View, write_rows};
use super::runs::tone_of_state;
use super::state_lock::{Holder, holder};
use super::view::{ClockArgs, Clocks, OutputArgs};
use super::{ConfigArgs, Failure, load};

/// Tells for each policy that touches a cluster, or nearly does, what happened, why, and what comes next.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  redkeep explain dw-prod
  redkeep explain dw-prod --policy nightly --slots 20
  redkeep explain dw-prod --output json

Asks AWS nothing. Exits with 1 when no policy selects the cluster.")]
pub struct ExplainArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// The cluster's identifier
    #[arg(value_name = "CLUSTER")]
    cluster: ClusterId,
    /// Only this policy; may be given more than once
    #[arg(long, short, value_name = "NAME", value_delimiter = ',')]
    policy: Vec<PolicyName>,
    /// Only this account; may be given more than once
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    account: Vec<AccountName>,
    /// Only this region; may be given more than once
    #[arg(long, value_name = "REGION", value_delimiter = ',')]
    region: Vec<Region>,
    /// How many of the newest slots of each policy to show
    #[arg(long, value_name = "N", default_value_t = 5)]
    slots: u32,
    #[command(flatten)]
    clocks: ClockArgs,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) async fn explain(args: &ExplainArgs, now: DateTime<Utc>) -> Result<(), Failure> {
    let config = load(&args.config).await?;
    let known = Known {
        past: past(&config, &args.cluster)?,
        config: &config,
        now,
    };
    let mut parts = known.parts(&args.cluster);
    let filter = FilterArgs {
        policy: args.policy.clone(),
        account: args.account.clone(),
        region: args.region.clone(),
        cluster: Vec::new(),
    };
    let reader = known.past.as_ref().map(Recorded::reader);
    let wanted = filter.checked(&config, reader)?;
    parts.retain(|part| {
        let scope = part.scope.as_ref();
        wanted.has_policy(&part.policy) && scope.is_none_or(|scope| wanted.has_scope(scope))
    });
    let mut rows = Vec::new();
    for part in &parts {
        rows.extend(
            known
                .part(part, &args.cluster, args.slots)
                .map_err(unreadable)?,
        );
    }
    let mut out = std::io::stdout().lock();
    match args.output.output {
        Output::Table | Output::Wide => {
            let policies = rows.iter().map(|row| row.policy.as_str());
            let clocks = Clocks::choose(args.clocks, known.config, policies);
            write_text(
                &mut out,
                &args.cluster,
                &rows,
                &View::of(&args.output, clocks),
            )?;
        }
        other => write_rows(&mut out, other, &[], &rows)?,
    }
    for trouble in troubles(&config)
        .iter()
        .filter(|one| concerns_any(one, &parts))
    {
        let told = format!(
            "{}. {} `{}`",
            one_line(&trouble.words),
            one_line(&trouble.meaning),
            trouble.command
        );
        writeln!(std::io::stderr(), "{}", command::whole(&told))?;
    }
    remarks(&known, &parts, &args.cluster)?;
    match parts.iter().any(|part| part.relation.touches()) {
        true => Ok(()),
        false => Err(Failure::Finding),
    }
}

fn concerns_any(trouble: &Trouble, parts: &[Part]) -> bool {
    let mut scopes = parts.iter().filter_map(|part| part.scope.as_ref());
    scopes.any(|scope| {
        scope.account.as_str() == trouble.account && scope.region.as_str() == trouble.region
    })
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
fn remarks(known: &Known<'_>, parts: &[Part], cluster: &ClusterId) -> Result<(), Failure> {
    let mut err = std::io::stderr();
    if !parts.iter().any(|part| part.relation.touches()) {
        let told = format!(
            "Nothing protects {cluster}: no policy selects it{}; `redkeep coverage` lists every cluster like it",
            meant(known, cluster)?
        );
        writeln!(err, "{}", command::whole(&told))?;
    }
    if known.past.is_none() {
        let told = "note: there is no history yet: `redkeep run` creates it";
        writeln!(err, "{}", command::whole(told))?;
    }
    if let Ok(Holder::Nobody) = holder(&known.config.state_dir) {
        writeln!(
            err,
            "note: no daemon runs on this state directory, and nothing happens until one does"
        )?;
    }
    Ok(())
}

/// The cluster that may be meant instead, of those that the file and the history name.
fn meant(known: &Known<'_>, cluster: &ClusterId) -> Result<String, Failure> {
    let reader = known.past.as_ref().map(Recorded::reader);
    let names = Names::new(known.config, reader).all(Kind::Cluster)?;
    Ok(did_you_mean(
        cluster.as_str(),
        names.iter().map(String::as_str),
    ))
}

/// A paragraph for each policy: what it is to the cluster, then a line for each slot.
fn write_text(
    out: &mut impl Write,
    cluster: &ClusterId,
    rows: &[ExplainRow],
    view: &View,
) -> Result<(), Failure> {
    if rows.iter().any(|row| row.at.is_some()) {
        writeln!(out, "Times are in {}.", view.clocks.name())?;
    }
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
                let words = view.clocks.retold(&words);
                writeln!(out, "policy {policy}{place} {verb} {cluster}: {words}")?;
            }
            Some(scheduled_at) => {
                let at = row.at.map(|at| view.clocks.show(at));
                let at = at.as_ref().unwrap_or(scheduled_at);
                let state = row.state.unwrap_or("next");
                let tone = row.state.map_or(Tone::Plain, tone_of_state);
                let state = tone.paint(&format!("{state:<9}"), view.is_coloured);
                // Instants of the words are in UTC, and the table's are not.
                let words = view.clocks.retold(&words);
                writeln!(out, "  {at:<19}  {state}  {words}")?;
            }
        }
    }
    Ok(())
}
