//! `redkeep instances` and `redkeep yield`: which of several instances works, and having another one do it.

use std::io::{self, Write};
use std::time::Duration;

use clap::Args;
use redkeep_core::lease::TAKEOVER_AFTER;

use crate::clock::{boottime, sleep};
use crate::config::{self, Config, Sources};
use crate::store::{Instances, KnownInstance, LeaseView};

use super::database::server;
use super::output::{Column, Tone, View, row, text, write_rows};
use super::view::OutputArgs;
use super::wiring::{other, unusable_store};
use super::{ConfigArgs, Failure, invalid, sources};

/// How long `yield` waits for another instance to work.
const YIELD_TIMEOUT: Duration = Duration::from_secs(90);

/// Lists the instances that share the history, and says which one works.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  redkeep instances
  redkeep instances --output json

Needs the table [database] in the policy file. Exits with 1 when no instance works.")]
pub struct InstancesArgs {
    #[command(flatten)]
    config: ConfigArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// Asks the instance that works to let another one work, and waits until one does.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  redkeep yield        before you service the host whose instance works

The instance that works ends the calls under way, hands over within about 1 second, and stands by. If no
other instance takes over, it works again after 1 minute. Exits with 1 when no other instance stands by.")]
pub struct YieldArgs {
    #[command(flatten)]
    config: ConfigArgs,
}

row! {
    /// An instance.
    InstanceRow {
        name: String,
        state: String,
        version: String,
        since: Option<String>,
        seen_seconds_ago: i64,
        config_hash: String,
        term: Option<i64>,
        id: String,
    }
}

const COLUMNS: &[Column<InstanceRow>] = &[
    Column("name", |row: &InstanceRow| row.name.clone()),
    Column("state", |row: &InstanceRow| row.state.clone()).toned(|row| match row.state.as_str() {
        "working" => Tone::Good,
        "silent" => Tone::Bad,
        _ => Tone::Plain,
    }),
    Column("version", |row: &InstanceRow| row.version.clone()).where_rows_differ(),
    Column("since", |row| text(&row.since)),
    Column("seen", |row: &InstanceRow| {
        format!("{}s ago", row.seen_seconds_ago)
    }),
    Column("configuration", |row: &InstanceRow| row.config_hash.clone()).where_rows_differ(),
    Column("term", |row| {
        row.term.map(|term| term.to_string()).unwrap_or_default()
    }),
];

pub(super) async fn instances(args: &InstancesArgs) -> Result<(), Failure> {
    let (known, lease) = ask(&args.config, |instances| {
        Ok((instances.list()?, instances.lease()?))
    })
    .await?;
    let rows: Vec<InstanceRow> = known.iter().map(|one| row(one, &lease)).collect();
    write_rows(
        &mut io::stdout().lock(),
        View::plain(&args.output),
        COLUMNS,
        &rows,
    )?;
    let configurations: std::collections::BTreeSet<&str> = known
        .iter()
        .filter(|one| one.is_alive())
        .map(|one| one.config_hash.as_str())
        .collect();
    if configurations.len() > 1 {
        let what = "the instances have different configurations; that of the one that works counts";
        writeln!(io::stderr(), "warning: {what}")?;
    }
    match rows.iter().any(|row| row.state == "working") {
        true => Ok(()),
        false => {
            writeln!(io::stderr(), "no instance works")?;
            Err(Failure::Finding)
        }
    }
}

fn row(one: &KnownInstance, lease: &LeaseView) -> InstanceRow {
    let is_holder = lease.holder.as_deref() == Some(&*one.id);
    let is_silent = !one.is_alive();
    InstanceRow {
        name: one.name.clone(),
        state: match (is_silent, is_holder) {
            (true, _) => "silent".to_owned(),
            (false, true) => "working".to_owned(),
            (false, false) => "standby".to_owned(),
        },
        version: one.version.clone(),
        since: one.since.map(crate::slot::rfc3339),
        seen_seconds_ago: one.seen_seconds,
        config_hash: one.config_hash.clone(),
        term: is_holder.then_some(lease.pulse.epoch),
        id: one.id.clone(),
    }
}

pub(super) async fn yield_lease(args: &YieldArgs) -> Result<(), Failure> {
    let (before, known) = ask(&args.config, |instances| {
        Ok((instances.lease()?, instances.list()?))
    })
    .await?;
    let mut out = io::stdout();
    let Some(holder) = &before.holder else {
        writeln!(out, "no instance works; there is nothing to hand over")?;
        return Ok(());
    };
    // Where nobody takes over, nobody would work for a minute.
    if !known.iter().any(|one| one.is_alive() && one.id != *holder) {
        return Err(Failure::Other(format!(
            "no other instance stands by, and {} works on: start another one first; `redkeep instances` lists them",
            before.name
        )));
    }
    ask(&args.config, |instances| {
        instances.ask_to_yield("redkeep yield")
    })
    .await?;
    writeln!(out, "asked {} to let another instance work", before.name)?;
    let began = boottime();
    while boottime() - began < YIELD_TIMEOUT.max(TAKEOVER_AFTER) {
        let now = ask(&args.config, Instances::lease).await?;
        if now.holder.is_some() && now.holder != before.holder {
            writeln!(out, "{} works now", now.name)?;
            return Ok(());
        }
        if now.holder == before.holder && now.pulse.epoch != before.pulse.epoch {
            return Err(Failure::Other(format!(
                "no other instance took over, and {} works again",
                now.name
            )));
        }
        sleep(Duration::from_millis(500)).await;
    }
    Err(Failure::Other(
        "no other instance took over within 90 seconds".to_owned(),
    ))
}

async fn ask<T: Send + 'static>(
    args: &ConfigArgs,
    question: impl FnOnce(&Instances) -> Result<T, crate::store::StoreError> + Send + 'static,
) -> Result<T, Failure> {
    let sources = sources(args).await;
    let config = config::load(&sources).map_err(invalid)?;
    let instances = reach(&config, &sources)?;
    let asked = tokio::task::spawn_blocking(move || question(&instances));
    asked.await.map_err(other)?.map_err(unusable_store)
}

fn reach(config: &Config, sources: &Sources) -> Result<Instances, Failure> {
    let Some(shared) = &config.database else {
        let what = "the policy file has no table [database]: there is one instance, and its history is in state_dir";
        return Err(Failure::Usage(what.to_owned()));
    };
    Instances::new(server(shared, &sources.environment)).map_err(unusable_store)
}
