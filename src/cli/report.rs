//! `redkeep report`: how well each pair was protected over a period, and what AWS holds of it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::sync::Arc;

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use clap::Args;
use serde_json::{Value, json};

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
use super::listing::ask_scopes;
use super::output::{Output, Row, write_rows};
use super::pause::configured;
use super::{ConfigArgs, Failure, instant, load};

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

const FIELDS: &[&str] = &[
    "policy",
    "account",
    "region",
    "cluster",
    "slots",
    "available",
    "failed",
    "missed",
    "skipped",
    "expired",
    "conflict",
    "open",
    "excused",
    "worst_gap_seconds",
    "worst_gap_from",
    "worst_gap_until",
    "rpo_seconds",
    "rpo_breaches",
    "last_success_at",
    "age_seconds",
    "is_overdue",
    "is_reconciled",
    "not_at_aws",
    "not_recorded",
    "is_finding",
];
const COLUMNS: &[&str] = &[
    "policy",
    "account",
    "region",
    "cluster",
    "slots",
    "available",
    "failed",
    "missed",
    "skipped",
    "expired",
    "conflict",
    "open",
    "worst_gap",
    "breaches",
    "age",
    "rpo",
    "differences",
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
    let mut rows = Vec::new();
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
    write_rows(
        &mut std::io::stdout().lock(),
        args.output,
        FIELDS,
        COLUMNS,
        &rows,
    )?;
    for (scope, held) in &held {
        if let Inventory::Unknown(why) = held {
            writeln!(
                std::io::stderr(),
                "note: {scope}: not reconciled with AWS: {why}"
            )?;
        }
    }
    match rows
        .iter()
        .any(|row| row.get("is_finding") == Some(&true.into()))
    {
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
    let answers = ask_scopes(config, clock, question).await;
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
    ) -> Result<Row, Failure> {
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
        let row = counts(Row::of_pair(pair), &report);
        Ok(with_gaps(row, &report, self.period)
            .with("rpo_seconds", rpo.map(|rpo| rpo.num_seconds()))
            .with("rpo", rpo.map(span))
            .with("last_success_at", instant(good_at))
            .with("age_seconds", age.map(|age| age.num_seconds()))
            .with("age", age.map(span))
            .with("is_overdue", is_overdue)
            .with("is_reconciled", differences.is_some())
            .with(
                "not_at_aws",
                differences.map(|found| found.not_at_aws.clone()),
            )
            .with(
                "not_recorded",
                differences.map(|found| found.not_recorded.clone()),
            )
            .with(
                "differences",
                differences.map_or_else(|| "?".to_owned(), told),
            )
            .with("is_finding", report.is_finding() || differs))
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

fn counts(row: Row, report: &PairReport) -> Row {
    let row = row.with("slots", report.slots());
    let results = report.totals.by_result();
    let row = results
        .into_iter()
        .fold(row, |row, (result, count)| row.with(result, count));
    row.with("open", report.open)
        .with("excused", report.excused)
}

fn with_gaps(row: Row, report: &PairReport, period: ReportPeriod) -> Row {
    let worst = report.worst_gap;
    let length = worst.map(|gap| gap.length(period));
    let breach = |gap: &Gap| json!({ "from": rfc3339(gap.from), "until": instant(gap.until) });
    let breaches: Vec<Value> = report.breaches.iter().map(breach).collect();
    row.with(
        "worst_gap_seconds",
        length.map(|length| length.num_seconds()),
    )
    .with("worst_gap", length.map(span))
    .with("worst_gap_from", instant(worst.map(|gap| gap.from)))
    .with("worst_gap_until", instant(worst.and_then(|gap| gap.until)))
    .with("breaches", report.breaches.len())
    .with("rpo_breaches", breaches)
}

fn told(differences: &Differences) -> String {
    let (gone, new) = (&differences.not_at_aws, &differences.not_recorded);
    match (gone.len(), new.len()) {
        (0, 0) => "none".to_owned(),
        (gone, 0) => format!("{gone} not at AWS"),
        (0, new) => format!("{new} not recorded"),
        (gone, new) => format!("{gone} not at AWS, {new} not recorded"),
    }
}
