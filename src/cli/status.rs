//! `redkeep status`: how well each pair is protected now, and whether a daemon sees to it.
//!
//! Owns: what `--check` finds. The history in memory forgets an outcome that nothing depends on; what became of the newest
//! run that has ended is asked of the store.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

use chrono::{DateTime, TimeDelta, Utc};
use clap::Args;

use crate::config::Config;
use crate::explain::span;
use crate::history::{History, PairState};
use crate::names::PolicyName;
use crate::rpo;
use crate::run::Run;
use crate::slot::{Pair, rfc3339};
use crate::store::{Reader, RunFilter};

use super::history::unreadable;
use super::output::{Output, Row, write_rows};
use super::state_lock::{Holder, holder};
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
    /// Exit with 1 when the newest finished run of any pair brought no snapshot, the newest snapshot is older
    /// than the policy's rpo, or no daemon runs
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
    let absence = absence(&config);
    let active: BTreeMap<&Pair, &PairState> = history
        .pairs
        .iter()
        .filter(|(_, state)| state.is_active())
        .collect();
    // A snapshot that somebody asks for may be of a cluster that has no slots, or none yet.
    let open = history.open().map(|run| &run.slot.pair);
    let pairs: BTreeSet<&Pair> = active.keys().copied().chain(open).collect();
    let ended = pairs.iter().map(|pair| last_ended(&reader, pair));
    let ended: Vec<Option<Ended>> = ended.collect::<Result<_, _>>()?;
    let view = StatusView {
        config: &config,
        history: &history,
        output: args.output,
        now,
    };
    let mut rows: Vec<Row> = pairs
        .iter()
        .zip(&ended)
        .map(|(pair, ended)| view.row(pair, active.get(pair).copied(), ended.as_ref()))
        .collect();
    let has_row = |policy: &PolicyName| pairs.iter().any(|pair| pair.policy == *policy);
    let pauses = history.pauses.policies();
    let bare = pauses.filter(|policy| config.policy(policy).is_some() && !has_row(policy));
    rows.extend(bare.map(|policy| paused_row(&history, policy)));
    if let Some(absence) = &absence {
        tell(absence, args.output)?;
    }
    write_rows(
        &mut std::io::stdout().lock(),
        args.output,
        FIELDS,
        COLUMNS,
        &rows,
    )?;
    let lacking = |(pair, ended): (&&Pair, &Option<Ended>)| {
        active.contains_key(pair) && ended.as_ref().is_some_and(|ended| !ended.is_good)
    };
    let is_overdue = |row: &Row| row.get("is_overdue") == Some(&true.into());
    let is_found =
        absence.is_some() || pairs.iter().zip(&ended).any(lacking) || rows.iter().any(is_overdue);
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

/// That no daemon runs, in words; `None` where one does.
fn absence(config: &Config) -> Option<String> {
    let place = config.state_dir.display();
    let advice = "start the service, or `redkeep run`";
    match holder(&config.state_dir) {
        Ok(Holder::Daemon) => None,
        Ok(Holder::Command) => Some(format!(
            "The daemon does not run: only a command works on {place}, and no slot of a schedule is started; {advice}."
        )),
        Ok(Holder::Nobody) => Some(format!(
            "The daemon does not run: nobody works on {place}{}, and no snapshot is taken; {advice}.",
            last_written(config)
        )),
        Err(error) => Some(format!(
            "Whether the daemon runs cannot be told: {place}: {error}; run this as root or as the daemon's user."
        )),
    }
}

/// When the history was last written, which is about when somebody last worked on it.
fn last_written(config: &Config) -> String {
    let database = config.database();
    let log = database.with_extension("db-wal");
    let times = [database, log].map(|file| std::fs::metadata(file).and_then(|it| it.modified()));
    let newest = times.into_iter().flatten().max().map(DateTime::<Utc>::from);
    newest
        .map(|at| format!(" since about {}", rfc3339(at)))
        .unwrap_or_default()
}

/// Above a table; beside what a program reads.
fn tell(absence: &str, output: Output) -> Result<(), Failure> {
    match output {
        Output::Table => writeln!(std::io::stdout(), "{absence}\n")?,
        Output::Json | Output::Csv => writeln!(std::io::stderr(), "{absence}")?,
    }
    Ok(())
}

/// What became of the newest slot of a pair that has its outcome.
struct Ended {
    at: DateTime<Utc>,
    word: &'static str,
    is_good: bool,
}

/// So many of a pair's newest runs have one among them that has ended, as a rule.
const NEWEST: u32 = 8;

fn last_ended(reader: &Reader, pair: &Pair) -> Result<Option<Ended>, Failure> {
    let newest = |limit| RunFilter {
        policy: Some(pair.policy.clone()),
        account: Some(pair.scope.account.clone()),
        region: Some(pair.scope.region.clone()),
        cluster: Some(pair.cluster.clone()),
        limit,
        ..RunFilter::default()
    };
    let mut run = None;
    for limit in [Some(NEWEST), None] {
        let runs = reader.runs(&newest(limit)).map_err(unreadable)?;
        let is_all = limit.is_none_or(|limit| runs.len() < limit as usize);
        run = runs.into_iter().rev().find(Run::is_ended);
        if run.is_some() || is_all {
            break;
        }
    }
    let run = run.map(|run| Ended {
        at: run.slot.scheduled_at,
        word: run.word(),
        is_good: run.is_good(),
    });
    let ranges = reader.missed_ranges(&newest(Some(1))).map_err(unreadable)?;
    let range = ranges.into_iter().next_back().map(|range| Ended {
        at: range.last_at,
        word: "missed",
        is_good: false,
    });
    Ok(run.into_iter().chain(range).max_by_key(|ended| ended.at))
}

/// What the rows are made of.
struct StatusView<'a> {
    config: &'a Config,
    history: &'a History,
    output: Output,
    now: DateTime<Utc>,
}

impl StatusView<'_> {
    /// The next slot; one that has come already is told as late to a person.
    fn next(&self, next: Option<DateTime<Utc>>) -> serde_json::Value {
        match next {
            Some(at) if self.output == Output::Table && at < self.now => {
                format!("{}, overdue for {}", rfc3339(at), span(self.now - at)).into()
            }
            next => instant(next),
        }
    }

    fn row(&self, pair: &Pair, state: Option<&PairState>, ended: Option<&Ended>) -> Row {
        let (config, history, now) = (self.config, self.history, self.now);
        let good = history.last_good(pair);
        let good_at = good.and_then(Run::created_at);
        let age = good_at.map(|at| (now - at).num_seconds().max(0));
        let open = history.of_pair(pair).rev().find(|run| !run.is_ended());
        let policy = config.policy(&pair.policy);
        let configured = policy.zip(state);
        let next = configured.and_then(|(policy, state)| state.next_slot(policy));
        let last = history
            .of_pair(pair)
            .next_back()
            .map(|run| run.slot.scheduled_at)
            .max(ended.map(|ended| ended.at));
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
            .with("last_run_at", instant(last))
            .with("last_result", ended.map(|ended| ended.word))
            .with("next_run_at", self.next(next))
    }
}
