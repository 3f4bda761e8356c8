//! `redkeep report`: how well each pair was protected over a period, and what AWS holds of it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::sync::Arc;

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use clap::Args;
use serde::Serialize;

use crate::clock::Clock;
use crate::config::Config;
use crate::explain::span;
use crate::history::History;
use crate::names::PolicyName;
use crate::redshift::{Answer, Redshift};
use crate::report::{
    Differences, Gap, Inventory, PairFacts, PairReport, ReportPeriod, Tally, differences, of_pair,
};
use crate::rpo::overdue_since;
use crate::run::Run;
use crate::slot::{Pair, Scope, rfc3339};
use crate::snapshot::SnapshotId;
use crate::store::{Reader, RunFilter};

use super::history::{InstantArg, unreadable};
use super::output::{Column, Output, names_of, row, text, write_rows};
use super::pause::configured;
use super::scopes::list;
use super::{ConfigArgs, Failure, load};

/// Reports how well each cluster was protected over a period: what the slots brought, gaps, and breaches of rpo.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  redkeep report                                  the last 30 days
  redkeep report --since 7d --policy nightly
  redkeep report --since 2026-10-01T00:00:00Z --until 2026-11-01T00:00:00Z --output csv

What is recorded is compared with what AWS holds now; where AWS cannot be asked, that is said. Exits with 1 when
there is a finding: a slot without a snapshot that no blackout, pause or disabled policy explains, a breach of
rpo, or a difference to what AWS holds.")]
pub struct ReportArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// From this instant on (RFC 3339), or from so long ago on (7d, 24h)
    #[arg(long, value_name = "INSTANT|DURATION", default_value = "30d", value_parser = InstantArg::read)]
    since: InstantArg,
    /// Up to this instant, or up to so long ago; by default now
    #[arg(long, value_name = "INSTANT|DURATION", value_parser = InstantArg::read)]
    until: Option<InstantArg>,
    /// Only this policy
    #[arg(long, value_name = "NAME")]
    policy: Option<PolicyName>,
    /// The form of the output
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

row! {
    /// How well a pair was protected.
    ReportRow {
        policy: String,
        account: String,
        region: String,
        cluster: String,
        slots: u64,
        available: u64,
        failed: u64,
        missed: u64,
        skipped: u64,
        expired: u64,
        conflict: u64,
        open: u64,
        excused: u64,
        worst_gap_seconds: Option<i64>,
        worst_gap_from: Option<String>,
        worst_gap_until: Option<String>,
        rpo_seconds: Option<i64>,
        rpo_breaches: Vec<Breach>,
        last_success_at: Option<String>,
        age_seconds: Option<i64>,
        is_overdue: Option<bool>,
        is_reconciled: bool,
        not_at_aws: Option<Vec<String>>,
        not_recorded: Option<Vec<String>>,
        is_finding: bool,
    }
    beside {
        worst_gap: Option<TimeDelta>,
        age: Option<TimeDelta>,
        rpo: Option<TimeDelta>,
    }
}

/// When the newest good snapshot was older than `rpo`.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Breach {
    from: String,
    until: Option<String>,
}

const COLUMNS: &[Column<ReportRow>] = &[
    Column("policy", |row| row.policy.clone()),
    Column("account", |row| row.account.clone()),
    Column("region", |row| row.region.clone()),
    Column("cluster", |row| row.cluster.clone()),
    Column("slots", |row| row.slots.to_string()),
    Column("available", |row| row.available.to_string()),
    Column("failed", |row| row.failed.to_string()),
    Column("missed", |row| row.missed.to_string()),
    Column("skipped", |row| row.skipped.to_string()),
    Column("expired", |row| row.expired.to_string()),
    Column("conflict", |row| row.conflict.to_string()),
    Column("open", |row| row.open.to_string()),
    Column("worst_gap", |row| text(&row.worst_gap.map(span))),
    Column("breaches", |row| row.rpo_breaches.len().to_string()),
    Column("age", |row| text(&row.age.map(span))),
    Column("rpo", |row| text(&row.rpo.map(span))),
    Column("differences", differing),
];

pub(super) async fn report(args: &ReportArgs, clock: Arc<dyn Clock>) -> Result<(), Failure> {
    let config = load(&args.config).await?;
    let now = clock.now();
    let period = period(args, now)?;
    let reader = Reader::open(&config.database()).map_err(unreadable)?;
    let past = Past {
        history: reader.history().map_err(unreadable)?,
        reader,
        period,
        now,
    };
    let held = held(&config, &past, &clock).await;
    let mut differing = past.differences(&config, &held)?;
    let mut rows: Vec<ReportRow> = Vec::new();
    let pairs = past.pairs(args, &differing)?;
    // One that left the file may still have a past; a name that nothing bears is a slip.
    if let (Some(name), true) = (&args.policy, pairs.is_empty()) {
        configured(&config, name)?;
    }
    for pair in pairs {
        let difference = match held.get(&pair.scope) {
            Some(Inventory::At(_)) => Some(differing.remove(&pair).unwrap_or_default()),
            Some(Inventory::Unknown(_)) | None => None,
        };
        rows.push(past.row(&config, &pair, difference.as_ref())?);
    }
    write_rows(&mut std::io::stdout().lock(), args.output, COLUMNS, &rows)?;
    for (scope, held) in &held {
        if let Inventory::Unknown(why) = held {
            writeln!(
                std::io::stderr(),
                "note: {scope}: not reconciled with AWS: {why}"
            )?;
        }
    }
    match rows.iter().any(|row| row.is_finding) {
        true => Err(Failure::Finding),
        false => Ok(()),
    }
}

fn period(args: &ReportArgs, now: DateTime<Utc>) -> Result<ReportPeriod, Failure> {
    let until = args.until.map_or(now, |until| until.before(now)).min(now);
    // The history is in whole seconds.
    let since = args.since.before(now).trunc_subsecs(0);
    if until <= since {
        let (since, until) = (rfc3339(since), rfc3339(until));
        let said = format!("got --since {since}, wanted an instant before {until}");
        return Err(Failure::Usage(said));
    }
    Ok(ReportPeriod { since, until })
}

/// What every scope of the configuration holds now, as far as it can be asked.
async fn held(config: &Config, past: &Past, clock: &Arc<dyn Clock>) -> BTreeMap<Scope, Inventory> {
    let question = |client: Arc<_>| async move {
        let (number, snapshots): (Answer<String>, Answer<_>) = tokio::join!(
            Redshift::account_number(&*client),
            Redshift::snapshots(&*client)
        );
        Answer {
            result: number
                .result
                .and_then(|number| Ok((number, snapshots.result?))),
            server_date: snapshots.server_date,
            requests: number.requests + snapshots.requests,
        }
    };
    let answers = list(config, clock, question).await;
    let numbers = &past.history.account_numbers;
    let held = |(scope, answer): (Scope, Result<(String, Vec<_>), String>)| {
        let held = match (answer, numbers.get(&scope.account)) {
            (Err(why), _) => Inventory::Unknown(why),
            (Ok((got, _)), Some(wanted)) if got != *wanted => Inventory::Unknown(format!(
                "the credentials are those of account {got}, and the history is of {wanted}"
            )),
            (Ok((_, snapshots)), _) => Inventory::At(snapshots),
        };
        (scope, held)
    };
    answers.into_iter().map(held).collect()
}

/// What the history knows of the period.
struct Past {
    reader: Reader,
    history: History,
    period: ReportPeriod,
    now: DateTime<Utc>,
}

impl Past {
    /// The pairs that are active, or had slots in the period, or have something at AWS that is not recorded.
    fn pairs(
        &self,
        args: &ReportArgs,
        differing: &BTreeMap<Pair, Differences>,
    ) -> Result<BTreeSet<Pair>, Failure> {
        let filter = RunFilter {
            policy: args.policy.clone(),
            since: Some(self.period.since),
            until: Some(self.period.until),
            ..RunFilter::default()
        };
        let with_slots = self.reader.pairs(&filter).map_err(unreadable)?;
        let active = self.history.pairs.iter();
        let active = active.filter(|(_, state)| state.is_active());
        let wanted = |pair: &Pair| args.policy.as_ref().is_none_or(|name| *name == pair.policy);
        let others = active
            .map(|(pair, _)| pair.clone())
            .chain(differing.keys().cloned())
            .filter(wanted);
        Ok(with_slots.into_iter().chain(others).collect())
    }

    /// How the history and what AWS holds differ, by pair.
    fn differences(
        &self,
        config: &Config,
        held: &BTreeMap<Scope, Inventory>,
    ) -> Result<BTreeMap<Pair, Differences>, Failure> {
        let mut found = differences(config, &self.history, held, self.now);
        for (pair, differences) in &mut found {
            let mut unknown = Vec::new();
            for id in std::mem::take(&mut differences.not_recorded) {
                // What came to nothing is recorded too, but not kept in mind.
                let filter = RunFilter {
                    account: Some(pair.scope.account.clone()),
                    snapshot_id: Some(SnapshotId::recorded(id.clone()).first().to_string()),
                    ..RunFilter::default()
                };
                if self.reader.runs(&filter).map_err(unreadable)?.is_empty() {
                    unknown.push(id);
                }
            }
            differences.not_recorded = unknown;
        }
        found.retain(|_, differences| *differences != Differences::default());
        Ok(found)
    }

    /// The pair's runs in the period, the newest good one before it, and those whose snapshots are there.
    fn runs(&self, pair: &Pair) -> Result<Tally, Failure> {
        let ReportPeriod { since, until } = self.period;
        let inside = RunFilter {
            since: Some(since),
            until: Some(until),
            ..of(pair)
        };
        let before = RunFilter {
            state: Some("available".to_owned()),
            until: Some(since),
            limit: Some(1),
            ..of(pair)
        };
        let mut tally = Tally::new(self.period);
        let taken = self.reader.each_run(&inside, |run| tally.add(run));
        taken.map_err(unreadable)?;
        let before = self.reader.runs(&before).map_err(unreadable)?;
        let there = self.history.of_pair(pair).filter(|run| run.is_good());
        let others: BTreeMap<DateTime<Utc>, &Run> = { before.iter().chain(there) }
            .map(|run| (run.slot.scheduled_at, run))
            .filter(|(at, _)| !(since..=until).contains(at))
            .collect();
        others.into_values().for_each(|run| tally.add(run));
        Ok(tally)
    }

    fn row(
        &self,
        config: &Config,
        pair: &Pair,
        differences: Option<&Differences>,
    ) -> Result<ReportRow, Failure> {
        let filter = RunFilter {
            since: Some(self.period.since),
            until: Some(self.period.until),
            ..of(pair)
        };
        let policy = config.policy(&pair.policy);
        let state = self.history.pairs.get(pair);
        let report = of_pair(PairFacts {
            state,
            rpo: policy.and_then(|policy| policy.rpo),
            runs: self.runs(pair)?,
            ranges: &self.reader.missed_ranges(&filter).map_err(unreadable)?,
        });
        let rpo = policy.and_then(|policy| policy.rpo);
        let is_overdue = policy
            .zip(state)
            .filter(|_| rpo.is_some())
            .map(|(policy, state)| {
                state.is_active()
                    && overdue_since(policy, &self.history, pair, state, self.now).is_some()
            });
        let good_at = self.history.last_good(pair).and_then(Run::created_at);
        let age = good_at.map(|at| (self.now - at).max(TimeDelta::zero()));
        let differs = differences.is_some_and(|found| *found != Differences::default());
        Ok(ReportRow {
            rpo_seconds: rpo.map(|rpo| rpo.num_seconds()),
            rpo,
            last_success_at: good_at.map(rfc3339),
            age_seconds: age.map(|age| age.num_seconds()),
            age,
            is_overdue,
            is_reconciled: differences.is_some(),
            not_at_aws: differences.map(|found| found.not_at_aws.clone()),
            not_recorded: differences.map(|found| found.not_recorded.clone()),
            is_finding: report.is_finding() || differs,
            ..counts(pair, &report, self.period)
        })
    }
}

fn of(pair: &Pair) -> RunFilter {
    RunFilter {
        policy: Some(pair.policy.clone()),
        account: Some(pair.scope.account.clone()),
        region: Some(pair.scope.region.clone()),
        cluster: Some(pair.cluster.clone()),
        ..RunFilter::default()
    }
}

/// What the runs and the gaps between them tell.
fn counts(pair: &Pair, report: &PairReport, period: ReportPeriod) -> ReportRow {
    let [policy, account, region, cluster] = names_of(pair);
    let worst = report.worst_gap;
    let worst_gap = worst.map(|gap| gap.length(period));
    let breach = |gap: &Gap| Breach {
        from: rfc3339(gap.from),
        until: gap.until.map(rfc3339),
    };
    ReportRow {
        policy,
        account,
        region,
        cluster,
        slots: report.slots(),
        available: report.totals.available,
        failed: report.totals.failed,
        missed: report.totals.missed,
        skipped: report.totals.skipped,
        expired: report.totals.expired,
        conflict: report.totals.conflict,
        open: report.open,
        excused: report.excused,
        worst_gap_seconds: worst_gap.map(|length| length.num_seconds()),
        worst_gap_from: worst.map(|gap| rfc3339(gap.from)),
        worst_gap_until: worst.and_then(|gap| gap.until).map(rfc3339),
        worst_gap,
        rpo_breaches: report.breaches.iter().map(breach).collect(),
        ..ReportRow::default()
    }
}

/// How what AWS holds differs, for people.
fn differing(row: &ReportRow) -> String {
    let count = |ids: &Option<Vec<String>>| ids.as_ref().map_or(0, Vec::len);
    match (count(&row.not_at_aws), count(&row.not_recorded)) {
        _ if !row.is_reconciled => "?".to_owned(),
        (0, 0) => "none".to_owned(),
        (gone, 0) => format!("{gone} not at AWS"),
        (0, new) => format!("{new} not recorded"),
        (gone, new) => format!("{gone} not at AWS, {new} not recorded"),
    }
}
