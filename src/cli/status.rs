//! `redkeep status`: how well each pair is protected now, and whether a daemon sees to it.
//!
//! Owns: what `--check` finds, by the rule of `standing`. The history in memory forgets an outcome that nothing depends on;
//! what became of the newest run that has ended is asked of the store.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use clap::Args;

use crate::clock::{Clock, sleep};
use crate::config::Config;
use crate::history::{History, PairState};
use crate::logging::one_line;
use crate::names::PolicyName;
use crate::refusals::{Refusals, Refused};
use crate::rpo;
use crate::run::{Outcome, OutcomeKind, Run};
use crate::slot::{Pair, PairFilter, rfc3339};
use crate::standing::{Concern, LastCounting, concerns, refused};
use crate::store::{LastEnded, Reader, RunFilter};
use crate::told::command;
use crate::told::trouble::Trouble;

use super::absence::{absence, tell, troubles};
use super::filter::FilterArgs;
use super::history::{clocks_of, unreadable};
use super::output::{Column, Tone, View, names_of, row, text, write_rows};
use super::runs::tone_of_state;
use super::view::{ClockArgs, Clocks, OutputArgs, age};
use super::{ConfigArgs, Failure, load_to_read};

/// Shows for each policy and cluster the last good snapshot, what is under way, and the next slot.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  redkeep status
  redkeep status --policy nightly --watch
  redkeep status --check || echo 'a cluster did not get its last snapshot'
  redkeep status --output json

What is wrong comes first, with the command that helps. A slot is excused if a blackout, a pause or a
disabled policy explains why it has no snapshot, as in `redkeep report`.")]
pub struct StatusArgs {
    #[command(flatten)]
    config: ConfigArgs,
    #[command(flatten)]
    filter: FilterArgs,
    /// Exit with 1 when AWS refuses a snapshot now, the newest ended slot of a policy and cluster has no snapshot and
    /// is not excused, the newest good snapshot is older than the policy's rpo, or no daemon runs
    #[arg(long)]
    check: bool,
    /// Show the status again after this many seconds (2 by default), until Ctrl-C
    #[arg(long, short, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "2",
        value_parser = clap::value_parser!(u64).range(1..=86_400), conflicts_with = "check")]
    watch: Option<u64>,
    #[command(flatten)]
    clocks: ClockArgs,
    #[command(flatten)]
    output: OutputArgs,
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
        is_finding: bool,
        findings: Vec<String>,
        advice: Option<String>,
    }
    beside {
        own_findings: usize,
        // Of the first ones, so many are told once for all that they concern.
        common_findings: usize,
        own_advice: Option<String>,
        next: String,
        last_good: String,
        paused: String,
    }
}

const COLUMNS: &[Column<StatusRow>] = &[
    Column("policy", |row: &StatusRow| row.policy.clone()),
    Column("account", |row: &StatusRow| text(&row.account)).where_rows_differ(),
    Column("region", |row: &StatusRow| text(&row.region)).where_rows_differ(),
    Column("cluster", |row: &StatusRow| text(&row.cluster)),
    Column("age", |row: &StatusRow| text(&row.age_seconds.map(seconds)))
        .right()
        .toned(|row| {
            if row.is_overdue == Some(true) {
                Tone::Bad
            } else {
                Tone::Plain
            }
        }),
    Column("rpo", |row: &StatusRow| text(&row.rpo_seconds.map(seconds)))
        .right()
        .while_there_is_room(2),
    Column("state", state).toned(|row| match state(row).as_str() {
        "paused" => Tone::Warning,
        "" => Tone::Plain,
        state => tone_of_state(state),
    }),
    Column("last_result", |row: &StatusRow| text(&row.last_result)).wide(),
    Column("next", |row: &StatusRow| row.next.clone()).zoned(),
    Column("last_good", |row: &StatusRow| row.last_good.clone())
        .zoned()
        .wide(),
    Column("paused_since", |row: &StatusRow| row.paused.clone()).wide(),
    Column("last_snapshot_id", |row: &StatusRow| {
        text(&row.last_snapshot_id)
    })
    .wide(),
];

/// What is under way, or else how the last run ended.
fn state(row: &StatusRow) -> String {
    let paused = row.paused_since.as_ref().map(|_| "paused");
    text(&row.in_progress.or(paused).or(row.last_result))
}

fn seconds(seconds: i64) -> String {
    age(TimeDelta::seconds(seconds))
}

pub(super) async fn status(args: &StatusArgs, clock: Arc<dyn Clock>) -> Result<(), Failure> {
    let Some(pause) = args.watch else {
        return once(args, clock.now()).await;
    };
    loop {
        if args.output.output.is_table() && std::io::stdout().is_terminal() {
            write!(std::io::stdout(), "\u{1b}[H\u{1b}[2J\u{1b}[3J")?;
        }
        once(args, clock.now()).await?;
        std::io::stdout().flush()?;
        sleep(Duration::from_secs(pause)).await;
        if args.output.output.is_table() && !std::io::stdout().is_terminal() {
            writeln!(std::io::stdout())?;
        }
    }
}

async fn once(args: &StatusArgs, now: DateTime<Utc>) -> Result<(), Failure> {
    let (config, is_whole) = load_to_read(&args.config).await?;
    let reader = Reader::open(&config.database()).map_err(unreadable)?;
    let wanted = args.filter.checked(&config, Some(&reader))?;
    let history = reader.newest().map_err(unreadable)?;
    let view = View::of(&args.output, clocks_of(args.clocks, &config, &wanted));
    let refusals = Refusals::now(&history, now);
    let common = common(&refusals, &wanted);
    let known = StatusView {
        config: &config,
        history: &history,
        refusals: &refusals,
        common: &common,
        clocks: &view.clocks,
        now,
    };
    let mut rows = rows(&known, &reader, &wanted)?;
    let troubles = troubles(&config);
    rows.iter_mut().for_each(|row| add_troubles(row, &troubles));
    let absence = absence(&config).await;
    if let Some(absence) = &absence {
        tell(absence, &view)?;
    }
    let is_found = absence.is_some() || rows.iter().any(|row| row.is_finding);
    let mut out = std::io::stdout().lock();
    if view.output.is_table() {
        worst_first(&mut rows);
        let mut told = of_troubles(&troubles, &rows);
        told.extend(of_common(&known));
        tell_findings(&mut out, &view, &rows, &told)?;
    }
    let view = view.or_say(empty(args, history.pairs.is_empty()));
    write_rows(&mut out, view, COLUMNS, &rows)?;
    match (args.check, is_whole) {
        (true, false) => Err(Failure::Config(
            "the policy file is not valid, so nothing can be checked against it".to_owned(),
        )),
        (true, true) if is_found => Err(Failure::Finding),
        _ => Ok(()),
    }
}

/// Why there is no pair to show.
fn empty(args: &StatusArgs, is_new: bool) -> String {
    let clusters = args.filter.cluster.iter().map(ToString::to_string);
    let clusters: Vec<String> = clusters.collect();
    match (clusters.is_empty(), is_new) {
        (false, _) => format!(
            "Nothing protects {}: none of the policies that you asked for selects it. `redkeep coverage` lists what \
             nothing protects.",
            clusters.join(", ")
        ),
        (true, true) => {
            "Nothing is protected yet: no policy has found a cluster. `redkeep coverage` lists the \
             clusters.".to_owned()
        }
        (true, false) => {
            "None of the policies that you asked for has a cluster. `redkeep coverage` lists the clusters.".to_owned()
        }
    }
}

/// A row for each pair that is asked for, and for each policy that is paused and has none.
fn rows(
    view: &StatusView<'_>,
    reader: &Reader,
    wanted: &PairFilter,
) -> Result<Vec<StatusRow>, Failure> {
    let (config, history) = (view.config, view.history);
    let active: BTreeMap<&Pair, &PairState> = history
        .pairs
        .iter()
        .filter(|(pair, state)| state.is_active() && wanted.has(pair))
        .collect();
    // A snapshot that somebody asks for may be of a cluster that has no slots, or none yet.
    let open = history.open().map(|run| &run.slot.pair);
    let open = open.filter(|pair| wanted.has(pair));
    let pairs: BTreeSet<&Pair> = active.keys().copied().chain(open).collect();
    let mut rows = Vec::new();
    let ended = reader.last_ended(pairs.iter().copied());
    for (pair, ended) in pairs.iter().zip(ended.map_err(unreadable)?) {
        let state = active.get(pair).copied();
        // Of a cluster that is no longer looked after nothing is missing.
        let counting = match (&ended, state) {
            (Some(ended), Some(_)) => last_counting(reader, pair, ended)?,
            _ => None,
        };
        rows.push(view.row(pair, state, ended.as_ref(), counting.as_ref()));
    }
    let has_row = |policy: &PolicyName| pairs.iter().any(|pair| pair.policy == *policy);
    let bare = history.pauses.policies().filter(|policy| {
        config.policy(policy).is_some() && wanted.has_policy(policy) && !has_row(policy)
    });
    rows.extend(bare.map(|policy| view.paused_row(policy)));
    Ok(rows)
}

/// The policies one after another, those with a finding first; in each of them the rows with one first.
fn worst_first(rows: &mut [StatusRow]) {
    let wrong: BTreeSet<String> = { rows.iter() }
        .filter(|row| row.is_finding)
        .map(|row| row.policy.clone())
        .collect();
    rows.sort_by_key(|row| {
        let is_well = !wrong.contains(&row.policy);
        (is_well, row.policy.clone(), !row.is_finding)
    });
}

/// So many findings are told above the table; it has all of them.
const MOST_TOLD: usize = 10;

/// The pair's own findings come first, and are counted. What keeps slots from beginning in an account and region is found of each pair there that has slots.
fn add_troubles(row: &mut StatusRow, troubles: &[Trouble]) {
    row.own_findings = row.findings.len();
    if row.active_since.is_none() {
        return;
    }
    let concerning: Vec<&Trouble> = { troubles.iter() }
        .filter(|one| concerns_row(one, row))
        .collect();
    for trouble in concerning {
        row.is_finding = true;
        row.findings.push(trouble.words.clone());
        let command = || command::whole(&trouble.command).into_owned();
        row.advice.get_or_insert_with(command);
    }
}

/// What AWS refuses several of the pairs that are asked for, for one cause.
fn common<'a>(refusals: &Refusals<'a>, wanted: &PairFilter) -> Vec<Refused<'a>> {
    let mut causes = refusals.of_pairs(|pair| wanted.has(pair));
    causes.retain(|one| one.pair().is_none());
    causes
}

fn of_common(view: &StatusView<'_>) -> Vec<Trouble> {
    let told = view.common.iter().filter_map(|one| {
        let concern = refused(one, view.now, |at| view.clocks.show(at))?;
        let scope = one.scope();
        Some(Trouble {
            account: scope.account.to_string(),
            region: scope.region.to_string(),
            since: concern.since,
            words: format!("{scope}: {}", concern.words),
            meaning: concern.meaning,
            command: concern.command,
        })
    });
    told.collect()
}

/// Those that are found of a row, each once.
fn of_troubles(troubles: &[Trouble], rows: &[StatusRow]) -> Vec<Trouble> {
    let is_found = |one: &&Trouble| {
        let mut rows = rows.iter().filter(|row| row.active_since.is_some());
        rows.any(|row| concerns_row(one, row))
    };
    troubles.iter().filter(is_found).cloned().collect()
}

fn concerns_row(trouble: &Trouble, row: &StatusRow) -> bool {
    row.account.as_ref() == Some(&trouble.account) && row.region.as_ref() == Some(&trouble.region)
}

fn tell_findings(
    out: &mut impl Write,
    view: &View,
    rows: &[StatusRow],
    common: &[Trouble],
) -> std::io::Result<()> {
    let wrong: Vec<&StatusRow> = rows.iter().filter(|row| row.is_finding).collect();
    if wrong.is_empty() {
        return Ok(());
    }
    let need = match wrong.len() {
        1 => "needs",
        _ => "need",
    };
    let head = format!(
        "{} of {} {need} attention (times in {}):",
        wrong.len(),
        rows.len(),
        view.clocks.name()
    );
    writeln!(out, "{}", Tone::Bad.paint(&head, view.is_coloured))?;
    for trouble in common {
        let words = view.clocks.retold(&one_line(&trouble.words));
        writeln!(out, "  {words}. {}", one_line(&trouble.meaning))?;
        writeln!(out, "    -> {}", command::whole(&trouble.command))?;
    }
    let has_own = |row: &&&StatusRow| row.own_findings > row.common_findings;
    let own: Vec<_> = wrong.iter().filter(has_own).collect();
    for row in own.iter().take(MOST_TOLD) {
        let cluster = row.cluster.as_deref().unwrap_or_default();
        let findings = row.findings.iter().take(row.own_findings);
        for finding in findings.skip(row.common_findings) {
            writeln!(out, "  {} {cluster}: {}", row.policy, one_line(finding))?;
        }
        if let Some(advice) = &row.own_advice {
            writeln!(out, "    -> {advice}")?;
        }
    }
    if own.len() > MOST_TOLD {
        writeln!(out, "  and {} more", own.len() - MOST_TOLD)?;
    }
    writeln!(out)
}

/// So far back, in slots, an outcome is looked for that is not excused: nearly always one of the newest is.
const SLOTS_BACK: [u32; 2] = [4, 200];

/// How the newest slot of a pair did that nothing excuses, where the newest of all ended so.
fn last_counting(
    reader: &Reader,
    pair: &Pair,
    ended: &LastEnded,
) -> Result<Option<LastCounting>, Failure> {
    if ended.kind == OutcomeKind::Available {
        return Ok(Some(LastCounting {
            at: ended.at,
            outcome: Outcome::Available,
            is_good: true,
            reason: None,
        }));
    }
    let back = |slots| RunFilter {
        limit: Some(slots),
        ..RunFilter::of(pair)
    };
    let mut counting = None;
    for slots in SLOTS_BACK {
        let runs = reader.runs(&back(slots)).map_err(unreadable)?;
        counting = runs.iter().rev().find_map(LastCounting::of);
        if counting.is_some() || runs.len() < slots as usize {
            break;
        }
    }
    let [.., most] = SLOTS_BACK;
    let ranges = reader.missed_ranges(&back(most)).map_err(unreadable)?;
    let missed = { ranges.iter().rev() }
        .find_map(|range| LastCounting::of_missed(range.last_at, range.reason));
    let counting = counting.into_iter().chain(missed);
    Ok(counting.max_by_key(|last| last.at))
}

/// What the rows are made of.
struct StatusView<'a> {
    config: &'a Config,
    history: &'a History,
    refusals: &'a Refusals<'a>,
    /// What AWS refuses several pairs for, which is told once.
    common: &'a [Refused<'a>],
    clocks: &'a Clocks,
    now: DateTime<Utc>,
}

impl StatusView<'_> {
    /// A policy without any pair is paused all the same.
    fn paused_row(&self, policy: &PolicyName) -> StatusRow {
        let since = self.history.pauses.since(policy);
        StatusRow {
            policy: policy.to_string(),
            paused_since: since.map(rfc3339),
            paused: text(&since.map(|since| self.clocks.show(since))),
            ..StatusRow::default()
        }
    }

    fn row(
        &self,
        pair: &Pair,
        state: Option<&PairState>,
        ended: Option<&LastEnded>,
        counting: Option<&LastCounting>,
    ) -> StatusRow {
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
        let overdue = overdue_since
            .zip(rpo)
            .map(|(since, rpo)| (now - since, rpo));
        let known = (history, self.refusals);
        let concerns = concerns(known, pair, counting, overdue, now, |at| {
            self.clocks.show(at)
        });
        StatusRow {
            active_since: state.map(|state| rfc3339(state.active_from)),
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
            next: text(&next.map(|at| self.next(at))),
            last_good: text(&good_at.map(|at| self.clocks.show(at))),
            ..self.concerned(pair, concerns)
        }
    }

    /// How many of the pair's first findings it has in common with others.
    fn common_of(&self, pair: &Pair) -> usize {
        let is_common = |one: &Refused<'_>| {
            let mut common = self.common.iter();
            common.any(|other| other.scope() == one.scope() && other.why == one.why)
        };
        let causes = self.refusals.of_pair(pair);
        let told = causes
            .iter()
            .filter(|one| one.is_shown(self.now) && is_common(one));
        told.count()
    }

    /// The names of the pair, and what is wrong with it.
    fn concerned(&self, pair: &Pair, concerns: Vec<Concern>) -> StatusRow {
        let [policy, account, region, cluster] = names_of(pair);
        let common_findings = self.common_of(pair);
        let advice = |place: usize| {
            let concern = concerns.get(place)?;
            Some(command::whole(&concern.command).into_owned())
        };
        let (own_advice, advice) = (advice(common_findings), advice(0));
        StatusRow {
            account: Some(account),
            region: Some(region),
            cluster: Some(cluster),
            is_finding: !concerns.is_empty(),
            findings: concerns.into_iter().map(|concern| concern.words).collect(),
            advice,
            common_findings,
            own_advice,
            ..StatusRow {
                policy,
                ..self.paused_row(&pair.policy)
            }
        }
    }

    /// A slot that has come already is told as late.
    fn next(&self, at: DateTime<Utc>) -> String {
        match at < self.now {
            true => format!("overdue for {}", age(self.now - at)),
            false => self.clocks.show(at),
        }
    }
}
