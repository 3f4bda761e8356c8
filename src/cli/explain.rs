//! `redkeep explain`: why a cluster got its snapshots, did not, or will.

use std::io::Write;

use chrono::{DateTime, SecondsFormat, Utc};
use clap::Args;

use crate::config::Config;
use crate::explain::{Explanation, Part, Past, coming, missed_range, relations, run};
use crate::history::{History, MissedRange};
use crate::logging::one_line;
use crate::names::{AccountName, ClusterId, PolicyName, Region, Writer};
use crate::observed::Observed;
use crate::plan::{Extent, Facts};
use crate::run::{OutcomeKind, Run};
use crate::slot::{Pair, rfc3339};
use crate::store::{Reader, RunFilter, StoreError};
use crate::suggest::did_you_mean;

use super::filter::{FilterArgs, Kind, Names};
use super::history::unreadable;
use super::output::{Output, Tone, View, names_of, row, write_rows};
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

AWS is not asked. Exits with 1 when no policy touches the cluster.")]
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
    /// The newest so many slots of each policy
    #[arg(long, value_name = "N", default_value_t = 5)]
    slots: u32,
    #[command(flatten)]
    clocks: ClockArgs,
    #[command(flatten)]
    output: OutputArgs,
}

row! {
    /// What a policy is to the cluster, or what became of one of its slots, or will.
    ExplainRow {
        policy: String,
        account: Option<String>,
        region: Option<String>,
        cluster: String,
        about: &'static str,
        touches: bool,
        scheduled_at: Option<String>,
        local_time: Option<String>,
        starts_at: Option<String>,
        deadline_at: Option<String>,
        snapshot_id: Option<String>,
        state: Option<&'static str>,
        slots: Option<u64>,
        waits_until: Option<String>,
        words: String,
    }
    beside {
        at: Option<DateTime<Utc>>,
    }
}

/// Everything that is known without asking AWS.
struct Known {
    config: Config,
    past: Option<(Reader, History, Writer)>,
    now: DateTime<Utc>,
}

pub(super) async fn explain(args: &ExplainArgs, now: DateTime<Utc>) -> Result<(), Failure> {
    let config = load(&args.config).await?;
    let known = Known {
        past: past(&config)?,
        config,
        now,
    };
    let history = known.past.as_ref().map(|(_, history, _)| history);
    let mut parts = relations(&known.config, history, &args.cluster);
    let filter = FilterArgs {
        policy: args.policy.clone(),
        account: args.account.clone(),
        region: args.region.clone(),
        cluster: Vec::new(),
    };
    let reader = known.past.as_ref().map(|(reader, ..)| reader);
    let wanted = filter.checked(&known.config, reader)?;
    parts.retain(|part| {
        let scope = part.scope.as_ref();
        wanted.has_policy(&part.policy) && scope.is_none_or(|scope| wanted.has_scope(scope))
    });
    let mut rows = Vec::new();
    for part in &parts {
        rows.extend(known.part(part, args)?);
    }
    let mut out = std::io::stdout().lock();
    match args.output.output {
        Output::Table | Output::Wide => {
            let policies = rows.iter().map(|row| row.policy.as_str());
            let clocks = Clocks::choose(args.clocks, &known.config, policies);
            write_text(
                &mut out,
                &args.cluster,
                &rows,
                &View::of(&args.output, clocks),
            )?;
        }
        other => write_rows(&mut out, other, &[], &rows)?,
    }
    known.remarks(&parts, &args.cluster)?;
    match parts.iter().any(|part| part.relation.touches()) {
        true => Ok(()),
        false => Err(Failure::Finding),
    }
}

/// The history; `None` where no daemon has begun it.
fn past(config: &Config) -> Result<Option<(Reader, History, Writer)>, Failure> {
    let reader = match Reader::open(&config.database()) {
        Err(StoreError::Missing { .. }) => return Ok(None),
        reader => reader.map_err(unreadable)?,
    };
    let history = reader.newest().map_err(unreadable)?;
    let (identity, _) = reader.identity().map_err(unreadable)?;
    let writer = config.writer.clone().unwrap_or(identity.installation);
    Ok(Some((reader, history, writer)))
}

impl Known {
    /// What has to be known to read the rows aright, on stderr.
    fn remarks(&self, parts: &[Part], cluster: &ClusterId) -> Result<(), Failure> {
        let mut err = std::io::stderr();
        if parts.is_empty() {
            writeln!(
                err,
                "no policy touches {cluster}{}; `redkeep plan` shows what the policies name",
                self.meant(cluster)?
            )?;
        }
        if self.past.is_none() {
            writeln!(
                err,
                "note: there is no history yet: `redkeep run` begins it"
            )?;
        }
        if let Ok(Holder::Nobody) = holder(&self.config.state_dir) {
            writeln!(
                err,
                "note: no daemon runs on this state directory, and nothing happens until one does"
            )?;
        }
        Ok(())
    }

    /// The cluster that may be meant instead, of those that the file and the history name.
    fn meant(&self, cluster: &ClusterId) -> Result<String, Failure> {
        let reader = self.past.as_ref().map(|(reader, ..)| reader);
        let known = Names::new(&self.config, reader).all(Kind::Cluster)?;
        Ok(did_you_mean(
            cluster.as_str(),
            known.iter().map(String::as_str),
        ))
    }

    /// The rows of one policy: what it is to the cluster, its slots, oldest first, and the next one.
    fn part(&self, part: &Part, args: &ExplainArgs) -> Result<Vec<ExplainRow>, Failure> {
        let mut rows = vec![self.head(part, &args.cluster)];
        let Some(pair) = part.pair(&args.cluster) else {
            return Ok(rows);
        };
        let touches = part.relation.touches();
        rows.extend(self.slots(&pair, touches, args.slots)?);
        if touches {
            rows.extend(self.coming(&pair));
        }
        Ok(rows)
    }

    fn head(&self, part: &Part, cluster: &ClusterId) -> ExplainRow {
        let mut words = part.relation.words();
        if let Some(policy) = self.config.policy(&part.policy) {
            let schedule = &policy.schedule;
            words = format!(
                "{words}; schedule {:?} in {}",
                schedule.expression(),
                schedule.timezone()
            );
        }
        let scope = part.scope.as_ref();
        ExplainRow {
            policy: part.policy.to_string(),
            account: scope.map(|scope| scope.account.to_string()),
            region: scope.map(|scope| scope.region.to_string()),
            cluster: cluster.to_string(),
            about: "policy",
            touches: part.relation.touches(),
            words,
            ..ExplainRow::default()
        }
    }

    fn slots(&self, pair: &Pair, touches: bool, limit: u32) -> Result<Vec<ExplainRow>, Failure> {
        let Some((reader, history, writer)) = &self.past else {
            return Ok(Vec::new());
        };
        // One more, since the run before may be what an outcome is about.
        let filter = RunFilter {
            policy: Some(pair.policy.clone()),
            account: Some(pair.scope.account.clone()),
            region: Some(pair.scope.region.clone()),
            cluster: Some(pair.cluster.clone()),
            limit: Some(limit.saturating_add(1)),
            ..RunFilter::default()
        };
        let recent = reader.runs(&filter).map_err(unreadable)?;
        let ranges = reader.missed_ranges(&filter).map_err(unreadable)?;
        let past = Past {
            facts: Facts {
                config: &self.config,
                observed: &Observed::default(),
                history,
                writer,
                extent: &Extent::Endless,
                is_written: true,
                now: self.now,
            },
            recent: &recent,
        };
        let mut rows: Vec<(DateTime<Utc>, ExplainRow)> = recent
            .iter()
            .map(|one| {
                (
                    one.slot.scheduled_at,
                    self.slot(one, touches, run(one, past)),
                )
            })
            .chain(
                ranges
                    .iter()
                    .map(|range| (range.first_at, range_row(range, touches))),
            )
            .collect();
        rows.sort_by_key(|(scheduled_at, _)| *scheduled_at);
        let surplus = rows.len().saturating_sub(limit as usize);
        Ok(rows.into_iter().skip(surplus).map(|(_, row)| row).collect())
    }

    fn slot(&self, run: &Run, touches: bool, told: Explanation) -> ExplainRow {
        let pair = &run.slot.pair;
        ExplainRow {
            touches,
            at: Some(run.slot.scheduled_at),
            scheduled_at: Some(rfc3339(run.slot.scheduled_at)),
            local_time: self.local(pair, run.slot.scheduled_at),
            starts_at: Some(rfc3339(run.request.starts_at)),
            deadline_at: Some(rfc3339(run.request.deadline)),
            snapshot_id: Some(run.request.snapshot_id.to_string()),
            state: Some(run.word()),
            slots: Some(1),
            waits_until: told.waits_until.map(rfc3339),
            words: told.words,
            ..row_of(pair, "slot")
        }
    }

    fn coming(&self, pair: &Pair) -> Option<ExplainRow> {
        let policy = self.config.policy(&pair.policy)?;
        let history = self.past.as_ref().map(|(_, history, _)| history);
        let state = history.and_then(|history| history.pairs.get(pair));
        let after = state.map_or(self.now, |state| state.watermark);
        let paused_since = history.and_then(|history| history.pauses.since(&pair.policy));
        let next = coming(
            &self.config.namespace,
            policy,
            pair,
            after,
            paused_since,
            self.now,
        )?;
        Some(ExplainRow {
            touches: true,
            at: Some(next.slot.scheduled_at),
            scheduled_at: Some(rfc3339(next.slot.scheduled_at)),
            local_time: self.local(pair, next.slot.scheduled_at),
            starts_at: next.timing.starts_at.map(rfc3339),
            deadline_at: Some(rfc3339(next.timing.deadline)),
            snapshot_id: Some(next.snapshot_id.to_string()),
            slots: Some(1),
            waits_until: next.told.waits_until.map(rfc3339),
            words: next.told.words,
            ..row_of(pair, "next")
        })
    }

    fn local(&self, pair: &Pair, at: DateTime<Utc>) -> Option<String> {
        let zone = self.config.policy(&pair.policy)?.schedule.timezone();
        let local = zone.local(at);
        Some(local.to_rfc3339_opts(SecondsFormat::Secs, false))
    }
}

fn range_row(range: &MissedRange, touches: bool) -> ExplainRow {
    ExplainRow {
        touches,
        at: Some(range.first_at),
        scheduled_at: Some(rfc3339(range.first_at)),
        state: Some(OutcomeKind::Missed.as_str()),
        slots: Some(range.count),
        words: missed_range(range),
        ..row_of(&range.pair, "slot")
    }
}

fn row_of(pair: &Pair, about: &'static str) -> ExplainRow {
    let [policy, account, region, cluster] = names_of(pair);
    ExplainRow {
        policy,
        account: Some(account),
        region: Some(region),
        cluster,
        about,
        ..ExplainRow::default()
    }
}

/// A paragraph for each policy: what it is to the cluster, then a line for each slot.
fn write_text(
    out: &mut impl Write,
    cluster: &ClusterId,
    rows: &[ExplainRow],
    view: &View,
) -> Result<(), Failure> {
    if rows.iter().any(|row| row.at.is_some()) {
        writeln!(out, "Slots are told in {}.", view.clocks.name())?;
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
