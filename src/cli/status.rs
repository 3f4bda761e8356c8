//! `redkeep status`: how well each pair is protected now.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use clap::Args;

use crate::config::Config;
use crate::explain::span;
use crate::history::{History, PairState};
use crate::names::PolicyName;
use crate::rpo;
use crate::run::Run;
use crate::slot::Pair;
use crate::store::Reader;

use super::history::unreadable;
use super::output::{Output, Row, write_rows};
use super::{ConfigArgs, Failure, instant, load_to_read};

/// Shows for each policy and cluster the last good snapshot, what is under way, and the next slot.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  redkeep status
  redkeep status --check || echo 'a cluster did not get its last snapshot'
  redkeep status --output json")]
pub struct StatusArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Exit with 1 when the newest finished run of any pair brought no snapshot, or the newest snapshot is older
    /// than the policy's rpo
    #[arg(long)]
    check: bool,
    /// The form of the output
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

const FIELDS: &[&str] = &[
    "policy",
    "account",
    "region",
    "cluster",
    "active_since",
    "paused_since",
    "last_success_at",
    "age_seconds",
    "rpo_seconds",
    "is_overdue",
    "last_snapshot_id",
    "size_bytes",
    "in_progress",
    "last_run_at",
    "last_result",
    "next_run_at",
];
const COLUMNS: &[&str] = &[
    "policy",
    "account",
    "region",
    "cluster",
    "last_success_at",
    "age",
    "rpo",
    "in_progress",
    "last_result",
    "next_run_at",
    "paused_since",
];

pub(super) async fn status(args: &StatusArgs, now: DateTime<Utc>) -> Result<(), Failure> {
    let (config, is_whole) = load_to_read(&args.config).await?;
    let reader = Reader::open(&config.database()).map_err(unreadable)?;
    let history = reader.history().map_err(unreadable)?;
    let active: BTreeMap<&Pair, &PairState> = history
        .pairs
        .iter()
        .filter(|(_, state)| state.is_active())
        .collect();
    // A snapshot that somebody asks for may be of a cluster that has no slots, or none yet.
    let open = history.open().map(|run| &run.slot.pair);
    let pairs: BTreeSet<&Pair> = active.keys().copied().chain(open).collect();
    let mut rows: Vec<Row> = pairs
        .iter()
        .map(|pair| row(&config, &history, pair, active.get(pair).copied(), now))
        .collect();
    let has_row = |policy: &PolicyName| pairs.iter().any(|pair| pair.policy == *policy);
    let pauses = history.pauses.policies();
    let bare = pauses.filter(|policy| config.policy(policy).is_some() && !has_row(policy));
    rows.extend(bare.map(|policy| paused_row(&history, policy)));
    write_rows(
        &mut std::io::stdout().lock(),
        args.output,
        FIELDS,
        COLUMNS,
        &rows,
    )?;
    let lacking = |pair: &&Pair| last_ended(&history, pair).is_some_and(|run| !run.is_good());
    let is_overdue = |row: &Row| row.get("is_overdue") == Some(&true.into());
    let is_found = active.keys().any(lacking) || rows.iter().any(is_overdue);
    match (args.check, is_whole) {
        (true, false) => Err(Failure::Config(
            "the policy file is not valid, so that nothing can be checked against it".to_owned(),
        )),
        (true, true) if is_found => Err(Failure::Finding),
        _ => Ok(()),
    }
}

/// A policy without any pair is paused all the same.
fn paused_row(history: &History, policy: &PolicyName) -> Row {
    Row::default()
        .with("policy", policy.as_str())
        .with("paused_since", instant(history.pauses.since(policy)))
}

fn last_ended<'a>(history: &'a History, pair: &Pair) -> Option<&'a Run> {
    history.of_pair(pair).rev().find(|run| run.is_ended())
}

fn row(
    config: &Config,
    history: &History,
    pair: &Pair,
    state: Option<&PairState>,
    now: DateTime<Utc>,
) -> Row {
    let good = history.last_good(pair);
    let good_at = good.and_then(Run::created_at);
    let age = good_at.map(|at| (now - at).num_seconds().max(0));
    let open = history.of_pair(pair).rev().find(|run| !run.is_ended());
    let policy = config.policy(&pair.policy);
    let configured = policy.zip(state);
    let next = configured.and_then(|(policy, state)| state.next_slot(policy));
    let last = history.of_pair(pair).next_back();
    let rpo = policy.and_then(|policy| policy.rpo);
    let overdue_since = configured
        .and_then(|(policy, state)| rpo::overdue_since(policy, history, pair, state, now));
    let words = rpo.map(|rpo| match overdue_since {
        Some(since) => format!("{}, overdue for {}", span(rpo), span(now - since)),
        None => span(rpo),
    });
    Row::of_pair(pair)
        .with(
            "active_since",
            instant(state.map(|state| state.active_from)),
        )
        .with("paused_since", instant(history.pauses.since(&pair.policy)))
        .with("last_success_at", instant(good_at))
        .with("age_seconds", age)
        .with("age", age.map(|age| span(TimeDelta::seconds(age))))
        .with("rpo_seconds", rpo.map(|rpo| rpo.num_seconds()))
        .with("rpo", words)
        .with("is_overdue", rpo.map(|_| overdue_since.is_some()))
        .with(
            "last_snapshot_id",
            good.map(|run| run.request.snapshot_id.to_string()),
        )
        .with(
            "size_bytes",
            good.and_then(|run| run.snapshot.as_ref()?.size_bytes()),
        )
        .with("in_progress", open.map(|run| run.word()))
        .with(
            "last_run_at",
            instant(last.map(|run| run.slot.scheduled_at)),
        )
        .with(
            "last_result",
            last_ended(history, pair).map(|run| run.word()),
        )
        .with("next_run_at", instant(next))
}
