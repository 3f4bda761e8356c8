//! `redkeep prune`: what `keep_last` would remove, and the word that it may.
//!
//! Owns: the dry run, the confirmation, and watching it being carried out. Beside a daemon the command only watches;
//! without one it holds the state directory and does what the daemon would.

use std::collections::BTreeSet;
use std::io::Write;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use clap::Args;

use crate::clock::Clock;
use crate::config::{Config, Sources};
use crate::engine::Engine;
use crate::forecast::{Note, forecast};
use crate::names::PolicyName;
use crate::operations::{Confirmation, MAX_DELETES_PER_PASS, Removal};
use crate::outline::Outline;
use crate::plan::{Blocked, PruneCandidate, PrunePlan};
use crate::retention::prune::{Keep, Verdict};
use crate::slot::{PairFilter, rfc3339};
use crate::snapshot::{SnapshotId, SnapshotStatus, tag};
use crate::store::Reader;

use super::filter::FilterArgs;
use super::history::unreadable;
use super::listed_engine::{listed_engine, trouble};
use super::operations::carried_out;
use super::output::{Column, Tone, View, names_of, row, text, write_rows};
use super::view::{ClockArgs, Clocks, OutputArgs};
use super::wiring::{begun, inbox, loaded};
use super::{ConfigArgs, Failure};

/// Shows which snapshots the policies' keep_last removes, and confirms a plan that removes many.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  redkeep prune
  redkeep prune --policy nightly --output json
  redkeep prune --confirm 3fa9c1d2e4b5
  redkeep prune --acknowledge

Lists the snapshots of the policies that have keep_last, with what happens to each and why, then the plan's
hash, and what blocks the plan. Deletes nothing. --confirm lets the plan with that
hash be carried out, even if it is the first under its rules or deletes many snapshots: 5 at once, then 5 an hour. A
confirmation that is not used within 24 hours is no longer valid. --acknowledge says that you know that the
history was lost; the next pass then only reports what it would delete. Exits with 1 when the plan has
changed, or when something else blocks it.")]
pub struct PruneArgs {
    #[command(flatten)]
    config: ConfigArgs,
    #[command(flatten)]
    filter: FilterArgs,
    /// Confirm the plan with this hash
    #[arg(long, value_name = "HASH", conflicts_with = "acknowledge")]
    confirm: Option<String>,
    /// Allow deleting again after the history was lost and rebuilt
    #[arg(long)]
    acknowledge: bool,
    #[command(flatten)]
    clocks: ClockArgs,
    #[command(flatten)]
    output: OutputArgs,
}

row! {
    /// What becomes of a snapshot, and why.
    PruneRow {
        policy: String,
        account: String,
        region: String,
        cluster: String,
        scheduled_at: String,
        snapshot_id: String,
        created_at: Option<String>,
        tier: Option<String>,
        verdict: &'static str,
        reason: String,
        plan_hash: String,
        blocked: Option<String>,
    }
    beside {
        short_id: String,
    }
}

const COLUMNS: &[Column<PruneRow>] = &[
    Column("policy", |row: &PruneRow| row.policy.clone()),
    Column("account", |row: &PruneRow| row.account.clone()).where_rows_differ(),
    Column("region", |row: &PruneRow| row.region.clone()).where_rows_differ(),
    Column("cluster", |row: &PruneRow| row.cluster.clone()),
    Column("id", |row: &PruneRow| row.short_id.clone()),
    Column("tier", |row: &PruneRow| text(&row.tier)),
    Column("verdict", |row: &PruneRow| row.verdict.to_owned()).toned(|row| match row.verdict {
        "remove" => Tone::Warning,
        _ => Tone::Good,
    }),
    Column("snapshot_id", |row: &PruneRow| row.snapshot_id.clone()).wide(),
    Column("reason", |row: &PruneRow| row.reason.clone()).broken(),
];

pub(super) async fn prune(args: PruneArgs, clock: Arc<dyn Clock>) -> Result<(), Failure> {
    let (config, sources) = loaded(&args.config).await?;
    let reader = Reader::open(&config.database()).ok();
    let wanted = args.filter.checked(&config, reader.as_ref())?;
    if args.acknowledge {
        return acknowledge(&config, &sources, &*clock).await;
    }
    let scopes: BTreeSet<_> = config.scopes().into_iter().collect();
    // The history is made where there is none yet: then there is nothing to remove.
    begun(&config, &sources, clock.now()).await?;
    let engine = listed_engine(&config, &scopes, &clock).await?;
    let judged = engine.judge(clock.now());
    let judged: Vec<(&PolicyName, PrunePlan)> = judged
        .into_iter()
        .filter(|(policy, _)| wanted.has_policy(&policy.name))
        .map(|(policy, judgement)| (&policy.name, judgement))
        .collect();
    let unreachable = trouble(&engine);
    match &args.confirm {
        Some(hash) => confirm(&args, hash, &judged, (&config, &sources), &engine, clock).await,
        None => {
            show(&args, &engine, (&judged, &wanted), clock.now())?;
            for (policy, judgement) in &judged {
                tell_next_pass(&args, &engine, (policy, judgement), clock.now())?;
                tell_lapsed(&args, &engine, policy, clock.now())?;
            }
            unreachable.map_or(Ok(()), |trouble| Err(Failure::Unreachable(trouble)))
        }
    }
}

fn show(
    args: &PruneArgs,
    engine: &Engine,
    (judged, wanted): (&[(&PolicyName, PrunePlan)], &PairFilter),
    now: DateTime<Utc>,
) -> Result<(), Failure> {
    let config = engine.config();
    let past = Outline::from(engine.history());
    let backlogs = forecast(config, &past, now, 1).notes.into_iter();
    let backlogs = backlogs.filter(|note| matches!(note, Note::Backlog(policy, ..) if judged.iter().any(|(name, _)| *name == policy)));
    let view = View::of(
        &args.output,
        Clocks::choose(
            args.clocks,
            config,
            judged.iter().map(|(name, _)| name.as_str()),
        ),
    );
    let mut out = std::io::stdout().lock();
    let rows = judged.iter().flat_map(|(_, judgement)| {
        let rows = judgement.judged.iter();
        let rows = rows.filter(|one| wanted.has(&one.slot.pair));
        rows.map(|one| row(one, judgement, engine))
    });
    let rows: Vec<PruneRow> = rows.collect();
    if !args.output.output.is_table() {
        return Ok(write_rows(&mut out, view.clone(), COLUMNS, &rows)?);
    }
    if judged.is_empty() {
        writeln!(out, "no policy has keep_last: redkeep deletes no snapshot")?;
        return Ok(());
    }
    if !rows.is_empty() {
        write_rows(&mut out, view.clone(), COLUMNS, &rows)?;
    }
    for (policy, judgement) in judged {
        writeln!(out, "{policy}: {}", summary(judgement))?;
    }
    for note in backlogs {
        writeln!(out, "note: {note}")?;
    }
    Ok(())
}

/// Says when the daemon makes the next pass, and how many it may remove then.
fn tell_next_pass(
    args: &PruneArgs,
    engine: &Engine,
    (policy, judgement): (&PolicyName, &PrunePlan),
    now: DateTime<Utc>,
) -> Result<(), Failure> {
    let Some(policy) = engine.config().policy(policy) else {
        return Ok(());
    };
    if !args.output.output.is_table() {
        return Ok(());
    }
    let clocks = Clocks::choose(args.clocks, engine.config(), [policy.name.as_str()]);
    let at = engine.next_pass_at(policy, now);
    let when = match at <= now {
        true => "as soon as a daemon runs".to_owned(),
        false => format!("at {} ({})", clocks.show(at), clocks.name()),
    };
    let count = judgement.removals().count().min(MAX_DELETES_PER_PASS);
    let what = match blocked_by(judgement) {
        Some(_) => "it deletes nothing while that blocks it".to_owned(),
        None => format!("it deletes {count}"),
    };
    let name = &policy.name;
    writeln!(
        std::io::stdout(),
        "{name}: the next pass runs {when}, and {what}"
    )?;
    Ok(())
}

/// Says that a plan was confirmed, and that this does not count any more.
fn tell_lapsed(
    args: &PruneArgs,
    engine: &Engine,
    policy: &PolicyName,
    now: DateTime<Utc>,
) -> Result<(), Failure> {
    let policy = engine.config().policy(policy);
    let lapsed = policy.and_then(|policy| Some((policy, engine.lapsed(policy, now)?)));
    if let (Some((policy, lapsed)), true) = (lapsed, args.output.output.is_table()) {
        writeln!(
            std::io::stdout(),
            "{}: the confirmation of {} is no longer valid: it was not used up by {}; confirm the plan again if it \
             is right",
            policy.name,
            rfc3339(lapsed.confirmed_at),
            rfc3339(lapsed.lapses_at())
        )?;
    }
    Ok(())
}

fn summary(judgement: &PrunePlan) -> String {
    let (count, hash) = (judgement.removals().count(), &judgement.hash);
    let all = judgement.judged.len();
    let plan = format!("{count} of {all} snapshots would be deleted; the plan's hash is {hash}");
    match blocked_by(judgement) {
        None => plan,
        Some(blocked) => format!("{plan}; blocked: {blocked}"),
    }
}

/// What keeps a plan from being carried out, for people; `None` where nothing does.
fn blocked_by(judgement: &PrunePlan) -> Option<String> {
    let words = judgement.blocked.iter().map(|blocked| blocked.as_str());
    let words: Vec<&str> = words.collect();
    (!words.is_empty()).then(|| words.join(", "))
}

fn row(one: &PruneCandidate, judgement: &PrunePlan, engine: &Engine) -> PruneRow {
    let verdict = match one.verdict {
        Verdict::Keep(_) => "keep",
        Verdict::Remove(_) => "remove",
    };
    let [policy, account, region, cluster] = names_of(&one.slot.pair);
    PruneRow {
        policy,
        account,
        region,
        cluster,
        scheduled_at: rfc3339(one.slot.scheduled_at),
        snapshot_id: one.listed.snapshot_identifier.clone(),
        created_at: one.listed.snapshot_create_time.map(rfc3339),
        tier: one.listed.tags.get(tag::TIER).cloned(),
        verdict,
        reason: reason(one, engine),
        short_id: SnapshotId::recorded(one.listed.snapshot_identifier.clone())
            .short()
            .to_owned(),
        plan_hash: judgement.hash.clone(),
        blocked: blocked_by(judgement),
    }
}

/// Why it stays or goes. What redkeep is just making is not proven yet, since that takes a run that has ended.
fn reason(one: &PruneCandidate, engine: &Engine) -> String {
    let run = engine.history().runs.get(&one.slot);
    let is_being_made = one.listed.status() == SnapshotStatus::Creating
        && run.is_some_and(|run| !run.is_ended() && run.request.snapshot_id == one.id());
    match one.verdict {
        Verdict::Keep(Keep::NotProven) if is_being_made => "being made".to_owned(),
        verdict => verdict.to_string(),
    }
}

async fn confirm(
    args: &PruneArgs,
    hash: &str,
    judged: &[(&PolicyName, PrunePlan)],
    (config, sources): (&Config, &Sources),
    engine: &Engine,
    clock: Arc<dyn Clock>,
) -> Result<(), Failure> {
    let Some((policy, judgement)) = judged.iter().find(|(_, one)| one.hash == hash) else {
        show(args, engine, (judged, &PairFilter::default()), clock.now())?;
        return Err(Failure::Other(format!(
            "got the hash {hash:?}, wanted the hash of the current plan: look at the plan again"
        )));
    };
    let lasting = |blocked: &&Blocked| !matches!(blocked, Blocked::FirstPass | Blocked::Breaker);
    if let Some(blocked) = judgement.blocked.iter().find(lasting) {
        return Err(Failure::Other(format!(
            "no snapshot of {policy} can be deleted now: {}",
            blocked.as_str()
        )));
    }
    if judgement.removals().next().is_none() {
        return Err(Failure::Other(format!(
            "{policy} has no snapshot to delete"
        )));
    }
    let confirmed_at = clock.now();
    let mut inbox = inbox(config, sources, confirmed_at).await?;
    let id = inbox
        .confirm(&Confirmation {
            id: 0,
            policy: (*policy).clone(),
            rules: judgement.rules.clone(),
            plan_hash: hash.to_owned(),
            plan: judgement.plan(),
            confirmed_at,
            is_begun: false,
        })
        .map_err(unreadable)?;
    let done = || -> Result<Option<Vec<Removal>>, Failure> {
        let reader = Reader::open(&config.database()).map_err(unreadable)?;
        let history = reader.history().map_err(unreadable)?;
        let newest = history.confirmations.get(*policy);
        // It is void, and no more there, where a daemon goes by other rules than this file's.
        let is_begun = newest.is_none_or(|one| one.id > id || one.is_begun);
        let removals = reader.removals(policy, confirmed_at).map_err(unreadable)?;
        let is_over = is_begun && removals.iter().all(|removal| removal.end.is_some());
        Ok(is_over.then_some(removals))
    };
    let removals = carried_out(config, sources, clock, done).await;
    let removals = removals.map_err(|failure| match failure {
        Failure::Other(why) => {
            let until = rfc3339(confirmed_at + Confirmation::VALID_FOR);
            Failure::Other(format!(
                "{why}; the confirmation is valid until {until} if it is not used before"
            ))
        }
        failure => failure,
    })?;
    tell(&removals, judgement.removals().count())
}

fn tell(removals: &[Removal], planned: usize) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    let mut done = 0;
    for removal in removals {
        let Some(end) = &removal.end else { continue };
        match &end.result {
            Ok(_) => {
                done += 1;
                writeln!(out, "deleted {}", removal.id)?;
            }
            Err(why) => writeln!(out, "kept {}: {why}", removal.id)?,
        }
    }
    let left = planned.saturating_sub(done);
    if left > 0 {
        writeln!(
            out,
            "{left} more are confirmed; a daemon deletes them, 5 an hour"
        )?;
    }
    if done == 0 {
        return Err(Failure::Other("no snapshot was deleted".to_owned()));
    }
    Ok(())
}

async fn acknowledge(config: &Config, sources: &Sources, clock: &dyn Clock) -> Result<(), Failure> {
    let mut inbox = inbox(config, sources, clock.now()).await?;
    let since = inbox.acknowledge().map_err(unreadable)?;
    let mut out = std::io::stdout().lock();
    match since {
        Some(at) => writeln!(
            out,
            "acknowledged: redkeep found at {} that the history was lost; the next pass only reports what it would \
             delete",
            rfc3339(at)
        )?,
        None => writeln!(
            out,
            "there is nothing to acknowledge: the history was not lost"
        )?,
    }
    Ok(())
}
