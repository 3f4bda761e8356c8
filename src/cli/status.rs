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
use crate::store::{LastEnded, Reader};

use super::history::unreadable;
use super::output::{Column, Output, names_of, row, text, write_rows};
use super::state_lock::{Holder, holder};
use super::{ConfigArgs, Failure, load_to_read};

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

row! {
    /// How well a pair is protected now; of a policy without any pair, since when it is paused.
    StatusRow {
        policy: String,
        account: Option<String>,
        region: Option<String>,
        cluster: Option<String>,
        active_since: Option<String>,
        paused_since: Option<String>,
        last_success_at: Option<String>,
        age_seconds: Option<i64>,
        rpo_seconds: Option<i64>,
        is_overdue: Option<bool>,
        last_snapshot_id: Option<String>,
        size_bytes: Option<u64>,
        in_progress: Option<&'static str>,
        last_run_at: Option<String>,
        last_result: Option<&'static str>,
        next_run_at: Option<String>,
    }
    beside {
        overdue_for: Option<TimeDelta>,
        late_for: Option<TimeDelta>,
    }
}

const COLUMNS: &[Column<StatusRow>] = &[
    Column("policy", |row| row.policy.clone()),
    Column("account", |row| text(&row.account)),
    Column("region", |row| text(&row.region)),
    Column("cluster", |row| text(&row.cluster)),
    Column("last_success_at", |row| text(&row.last_success_at)),
    Column("age", |row| text(&row.age_seconds.map(seconds))),
    Column("rpo", |row| {
        with_delay(row.rpo_seconds.map(seconds), row.overdue_for)
    }),
    Column("in_progress", |row| text(&row.in_progress)),
    Column("last_result", |row| text(&row.last_result)),
    Column("next_run_at", |row| {
        with_delay(row.next_run_at.clone(), row.late_for)
    }),
    Column("paused_since", |row| text(&row.paused_since)),
];

fn seconds(seconds: i64) -> String {
    span(TimeDelta::seconds(seconds))
}

/// What is to be, and for how long it has not been.
fn with_delay(told: Option<String>, delay: Option<TimeDelta>) -> String {
    match (told, delay) {
        (Some(told), Some(delay)) => format!("{told}, overdue for {}", span(delay)),
        (told, _) => told.unwrap_or_default(),
    }
}

pub(super) async fn status(args: &StatusArgs, now: DateTime<Utc>) -> Result<(), Failure> {
    let (config, is_whole) = load_to_read(&args.config).await?;
    let reader = Reader::open(&config.database()).map_err(unreadable)?;
    let history = reader.newest().map_err(unreadable)?;
    let absence = absence(&config);
    let active: BTreeMap<&Pair, &PairState> = history
        .pairs
        .iter()
        .filter(|(_, state)| state.is_active())
        .collect();
    // A snapshot that somebody asks for may be of a cluster that has no slots, or none yet.
    let open = history.open().map(|run| &run.slot.pair);
    let pairs: BTreeSet<&Pair> = active.keys().copied().chain(open).collect();
    let ended = reader.last_ended(pairs.iter().copied());
    let ended = ended.map_err(unreadable)?;
    let view = StatusView {
        config: &config,
        history: &history,
        now,
    };
    let mut rows: Vec<StatusRow> = pairs
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
    write_rows(&mut std::io::stdout().lock(), args.output, COLUMNS, &rows)?;
    let lacking = |(pair, ended): (&&Pair, &Option<LastEnded>)| {
        active.contains_key(pair) && ended.as_ref().is_some_and(|ended| !ended.is_good)
    };
    let is_overdue = |row: &StatusRow| row.is_overdue == Some(true);
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
fn paused_row(history: &History, policy: &PolicyName) -> StatusRow {
    StatusRow {
        policy: policy.to_string(),
        paused_since: history.pauses.since(policy).map(rfc3339),
        ..StatusRow::default()
    }
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

/// What the rows are made of.
struct StatusView<'a> {
    config: &'a Config,
    history: &'a History,
    now: DateTime<Utc>,
}

impl StatusView<'_> {
    fn row(&self, pair: &Pair, state: Option<&PairState>, ended: Option<&LastEnded>) -> StatusRow {
        let (config, history, now) = (self.config, self.history, self.now);
        let good = history.last_good(pair);
        let good_at = good.and_then(Run::created_at);
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
        let [policy, account, region, cluster] = names_of(pair);
        StatusRow {
            policy,
            account: Some(account),
            region: Some(region),
            cluster: Some(cluster),
            active_since: state.map(|state| rfc3339(state.active_from)),
            paused_since: history.pauses.since(&pair.policy).map(rfc3339),
            last_success_at: good_at.map(rfc3339),
            age_seconds: good_at.map(|at| (now - at).num_seconds().max(0)),
            rpo_seconds: rpo.map(|rpo| rpo.num_seconds()),
            is_overdue: rpo.map(|_| overdue_since.is_some()),
            last_snapshot_id: good.map(|run| run.request.snapshot_id.to_string()),
            size_bytes: good.and_then(|run| run.snapshot.as_ref()?.size_bytes()),
            in_progress: open.map(Run::word),
            last_run_at: last.map(rfc3339),
            last_result: ended.map(|ended| ended.kind.as_str()),
            next_run_at: next.map(rfc3339),
            overdue_for: overdue_since.map(|since| now - since),
            // A slot that has come already is told as late.
            late_for: next.filter(|at| *at < now).map(|at| now - at),
        }
    }
}
