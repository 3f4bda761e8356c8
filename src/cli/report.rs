//! `redkeep report`: how well each pair was protected over a period, and what AWS holds of it.

mod rows;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use clap::Args;

use crate::clock::Clock;
use crate::config::Config;
use crate::history::MissedRange;
use crate::outline::Outline;
use crate::redshift::{Answer, Redshift};
use crate::report::{
    self, Differences, Inventory, PairFacts, ReportPeriod, SlotResult, Tally, differences, of_pair,
};
use crate::rpo::breached_since;
use crate::slot::{Pair, PairFilter, Scope, rfc3339};
use crate::snapshot::SnapshotId;
use crate::store::{Reader, RunFilter};

use super::filter::FilterArgs;
use super::history::{clocks_of, note_left, unreadable};
use super::output::{View, write_rows};
use super::scopes::list;
use super::times::InstantArg;
use super::view::{ClockArgs, Clocks, OutputArgs};
use super::{ConfigArgs, Failure, load};
use rows::{COLUMNS, ReportRow, counts, explain_findings};

/// Reports how well each cluster was protected over a period: what the slots brought, gaps, and breaches of rpo.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  redkeep report                                  the last 30 days
  redkeep report --since 7d --policy nightly
  redkeep report --since 2026-10-01 --until 2026-11-01 --output csv

The report compares the history with the snapshots that AWS has now, and says where AWS could not be asked.
Below the table each finding says what it is and which command helps. Exits with 1 when there is a finding:
a slot without a snapshot that no blackout, pause or disabled policy explains, a breach of rpo, or a
difference from what AWS has.")]
pub struct ReportArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// The start of the period: a date, an RFC 3339 time, or a duration before now (7d, 24h)
    #[arg(long, value_name = "WHEN", default_value = "30d", value_parser = InstantArg::read)]
    since: InstantArg,
    /// The end of the period; by default now
    #[arg(long, value_name = "WHEN", value_parser = InstantArg::read)]
    until: Option<InstantArg>,
    #[command(flatten)]
    filter: FilterArgs,
    #[command(flatten)]
    clocks: ClockArgs,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) async fn report(args: &ReportArgs, clock: Arc<dyn Clock>) -> Result<(), Failure> {
    let config = load(&args.config).await?;
    let now = clock.now();
    let reader = Reader::open(&config.database()).map_err(unreadable)?;
    let wanted = args.filter.checked(&config, Some(&reader))?;
    let clocks = clocks_of(args.clocks, &config, &wanted);
    let period = period(args, now, &clocks)?;
    let view = View::of(&args.output, clocks).or_say(
        "No policy and cluster is active, or had a slot in the period. `redkeep coverage` lists the clusters.",
    );
    let past = Past {
        known: reader.outline().map_err(unreadable)?,
        ranges: ranges(&reader, period)?,
        reader,
        period,
        now,
    };
    let held = held(&config, &past, &clock).await;
    let mut differing = past.differences(&config, &held)?;
    let mut rows: Vec<ReportRow> = Vec::new();
    let pairs = past.pairs(&wanted, &differing)?;
    for pair in pairs {
        let difference = match held.get(&pair.scope) {
            Some(Inventory::At(_)) => Some(differing.remove(&pair).unwrap_or_default()),
            Some(Inventory::Unknown(_)) | None => None,
        };
        rows.push(past.row(&config, &pair, difference.as_ref(), &view.clocks)?);
    }
    let mut out = std::io::stdout().lock();
    if view.output.is_table() {
        let [since, until] = [past.period.since, past.period.until].map(|at| view.clocks.show(at));
        writeln!(out, "From {since} to {until}")?;
    }
    write_rows(&mut out, view.clone(), COLUMNS, &rows)?;
    if view.output.is_table() {
        explain_findings(&mut out, &view, &rows)?;
    }
    drop(out);
    note_left(&past.reader, past.period.since)?;
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

fn ranges(
    reader: &Reader,
    period: ReportPeriod,
) -> Result<BTreeMap<Pair, Vec<MissedRange>>, Failure> {
    let filter = RunFilter {
        since: Some(period.since),
        until: Some(period.until),
        ..RunFilter::default()
    };
    let mut by_pair: BTreeMap<Pair, Vec<MissedRange>> = BTreeMap::new();
    for range in reader.missed_ranges(&filter).map_err(unreadable)? {
        by_pair.entry(range.pair.clone()).or_default().push(range);
    }
    Ok(by_pair)
}

fn period(args: &ReportArgs, now: DateTime<Utc>, clocks: &Clocks) -> Result<ReportPeriod, Failure> {
    let until = args.until.map_or(now, |until| until.before(now, clocks));
    let until = until.min(now);
    // The history is in whole seconds.
    let since = args.since.before(now, clocks).trunc_subsecs(0);
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
            Redshift::snapshots(&*client, Duration::ZERO)
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
    let numbers = &past.known.account_numbers;
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
    known: Outline,
    /// The ranges of missed slots that touch the period.
    ranges: BTreeMap<Pair, Vec<MissedRange>>,
    period: ReportPeriod,
    now: DateTime<Utc>,
}

impl Past {
    /// The pairs that are active, or had slots in the period, or have something at AWS that is not recorded.
    fn pairs(
        &self,
        wanted: &PairFilter,
        differing: &BTreeMap<Pair, Differences>,
    ) -> Result<BTreeSet<Pair>, Failure> {
        let filter = RunFilter {
            among: wanted.clone(),
            since: Some(self.period.since),
            until: Some(self.period.until),
            ..RunFilter::default()
        };
        let with_slots = self.reader.pairs(&filter).map_err(unreadable)?;
        let active = self.known.pairs.iter();
        let active = active.filter(|(_, state)| state.is_active());
        let others = active
            .map(|(pair, _)| pair.clone())
            .chain(differing.keys().cloned())
            .filter(|pair| wanted.has(pair));
        Ok(with_slots.into_iter().chain(others).collect())
    }

    /// How the history and what AWS holds differ, by pair.
    fn differences(
        &self,
        config: &Config,
        held: &BTreeMap<Scope, Inventory>,
    ) -> Result<BTreeMap<Pair, Differences>, Failure> {
        let mut found = differences(config, &self.known, held, self.now);
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
        let mut tally = Tally::new(self.period);
        let kept = self.known.kept_of(pair);
        for one in kept {
            let created_at = one.tenure.created_at;
            tally.add(SlotResult::available(one.scheduled_at, created_at, None));
        }
        self.known.open_of(pair).for_each(|run| tally.add(run));
        let past = self
            .reader
            .each_past((pair, kept), self.period, |slot| tally.add(slot));
        past.map_err(unreadable)?;
        Ok(tally)
    }

    fn row(
        &self,
        config: &Config,
        pair: &Pair,
        differences: Option<&Differences>,
        clocks: &Clocks,
    ) -> Result<ReportRow, Failure> {
        let policy = config.policy(&pair.policy);
        let state = self.known.pairs.get(pair);
        let report = of_pair(PairFacts {
            state,
            rpo: policy.and_then(|policy| policy.rpo),
            runs: self.runs(pair)?,
            ranges: self.ranges.get(pair).map_or(&[], Vec::as_slice),
        });
        let rpo = policy.and_then(|policy| policy.rpo);
        let good_at = self.known.last_good_at(pair);
        let is_overdue = rpo.zip(state).map(|(rpo, state)| {
            let since = breached_since(rpo, good_at, state.active_from, self.now);
            state.is_active() && since.is_some()
        });
        let age = good_at.map(|at| (self.now - at).max(TimeDelta::zero()));
        let findings = report::findings(&report, self.period, differences, |at| clocks.show(at));
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
            findings,
            ..counts(pair, &report, self.period)
        })
    }
}
