//! `redkeep plan`: the slots to come, from the configuration alone.

use std::collections::BTreeMap;
use std::io::Write;

use chrono::{DateTime, SecondsFormat, Utc};
use clap::Args;

use crate::config::Config;
use crate::history::History;
use crate::names::Tier;
use crate::names::{ClusterId, PolicyName};
use crate::policy::{ClusterGlob, Policy};
use crate::retention::{self, Choice, TierSlot, choose};
use crate::slot::{Pair, PairFilter, Scope, Slot, rfc3339};
use crate::snapshot::{Generation, SnapshotId};
use crate::store::Reader;
use crate::timing::timing_of_all;

use super::filter::FilterArgs;
use super::history::clocks_of;
use super::output::{Column, View, row, text, write_rows};
use super::times::InstantArg;
use super::view::{ClockArgs, Clocks, OutputArgs};
use super::{ConfigArgs, Failure, load};

/// Lists the slots after --from, up to and including --until, with the snapshots that they will have.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  redkeep plan                                          the next 20 slots
  redkeep plan --until 7d                               every slot of the next 7 days
  redkeep plan --until 2027-01-01                       every slot until then
  redkeep plan --policy nightly --count 3 --output json
  redkeep plan --from 2026-03-28 --until 2026-03-30     around a clock change

Asks AWS nothing. Where a policy selects clusters by a glob or by tags, the table shows the pattern.")]
pub struct PlanArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Only slots after this time: a date, an RFC 3339 time, or a duration from now; by default now
    #[arg(long, alias = "since", value_name = "WHEN", value_parser = InstantArg::read)]
    from: Option<InstantArg>,
    /// Only slots up to this time
    #[arg(long, value_name = "WHEN", value_parser = InstantArg::read)]
    until: Option<InstantArg>,
    /// Show at most this many slots; by default 20, or all up to --until
    #[arg(long, short = 'n', alias = "limit", value_name = "N", value_parser = count)]
    count: Option<usize>,
    #[command(flatten)]
    filter: FilterArgs,
    #[command(flatten)]
    clocks: ClockArgs,
    #[command(flatten)]
    output: OutputArgs,
}

row! {
    /// A slot to come, and the snapshot that it will have.
    PlanRow {
        policy: String,
        account: String,
        region: String,
        cluster: String,
        scheduled_at: String,
        local_time: String,
        starts_at: Option<String>,
        snapshot_id: Option<String>,
        tier: &'static str,
        tier_reason: Option<String>,
        retention_days: i32,
    }
    beside {
        at: String,
        starts: String,
    }
}

const COLUMNS: &[Column<PlanRow>] = &[
    Column("at", |row: &PlanRow| row.at.clone()).zoned(),
    Column("policy", |row: &PlanRow| row.policy.clone()),
    Column("account", |row: &PlanRow| row.account.clone()).where_rows_differ(),
    Column("region", |row: &PlanRow| row.region.clone()).where_rows_differ(),
    Column("cluster", |row: &PlanRow| row.cluster.clone()),
    Column("tier", |row: &PlanRow| row.tier.to_owned()),
    Column("kept", |row: &PlanRow| match row.retention_days {
        -1 => "forever".to_owned(),
        days => format!("{days}d"),
    })
    .right(),
    Column("starts", |row: &PlanRow| row.starts.clone()).where_filled(),
    Column("local_time", |row: &PlanRow| row.local_time.clone()).wide(),
    Column("snapshot_id", |row: &PlanRow| text(&row.snapshot_id)).wide(),
];
const DEFAULT_COUNT: usize = 20;

/// More are nobody's to read, and take as much memory as a history.
const MOST: usize = 1_000_000;

fn count(text: &str) -> Result<usize, String> {
    let count = text.parse().ok().filter(|count| (1..=MOST).contains(count));
    count.ok_or_else(|| format!("wanted a number of slots from 1 to {MOST}"))
}

/// After how many slots the command says that it goes on.
const SIGN_AFTER: usize = 100_000;

/// Says now and then how far a long list is.
struct Progress(usize);

impl Progress {
    fn one(&mut self) {
        self.0 += 1;
        if self.0.is_multiple_of(SIGN_AFTER) {
            // Nobody need read it.
            let _ = writeln!(std::io::stderr(), "{} slots so far", self.0);
        }
    }
}

pub(super) async fn plan(args: &PlanArgs, now: DateTime<Utc>) -> Result<(), Failure> {
    let config = load(&args.config).await?;
    // What the history knows is a name too; where there is none yet, the file's are all.
    let reader = Reader::open(&config.database()).ok();
    let wanted = args.filter.checked(&config, reader.as_ref())?;
    let clocks = clocks_of(args.clocks, &config, &wanted);
    let instant = |arg: InstantArg| arg.after(now, &clocks);
    let range = Range {
        from: args.from.map_or(now, instant),
        until: args.until.map_or(DateTime::<Utc>::MAX_UTC, instant),
        count: args.count.unwrap_or(if args.until.is_some() {
            usize::MAX
        } else {
            DEFAULT_COUNT
        }),
    };
    if range.until < range.from {
        let (from, until) = (rfc3339(range.from), rfc3339(range.until));
        return Err(Failure::Usage(format!(
            "--until {until} is before --from {from}"
        )));
    }
    let mut tiers = Tiers::new(&config, now);
    let rows: Vec<PlanRow> = slots(&config, &wanted, range)
        .iter()
        .map(|planned| planned.row(&config, tiers.of(planned, range.from), &clocks))
        .collect();
    let view = View::of(&args.output, clocks).or_say(
        "There is no slot: none of the enabled policies that you asked for has one in that time.",
    );
    write_rows(&mut std::io::stdout().lock(), view, COLUMNS, &rows)?;
    Ok(())
}

#[derive(Debug, Clone, Copy)]
struct Range {
    from: DateTime<Utc>,
    until: DateTime<Utc>,
    count: usize,
}

/// A cluster by name, or the pattern that will name clusters.
#[derive(Debug, Clone)]
enum PlanTarget {
    Cluster(ClusterId),
    Pattern(String),
}

impl PlanTarget {
    /// A pattern may be of any cluster that it matches.
    fn is_wanted(&self, wanted: &PairFilter) -> bool {
        match self {
            Self::Cluster(cluster) => wanted.has_cluster(cluster),
            Self::Pattern(pattern) => {
                let glob = ClusterGlob::parse(pattern);
                let matches = |cluster| glob.as_ref().is_ok_and(|glob| glob.matches(cluster));
                wanted.clusters.is_empty() || wanted.clusters.iter().any(matches)
            }
        }
    }

    fn as_str(&self) -> &str {
        match self {
            Self::Cluster(cluster) => cluster.as_str(),
            Self::Pattern(pattern) => pattern,
        }
    }
}

struct Planned<'a> {
    scheduled_at: DateTime<Utc>,
    policy: &'a Policy,
    scope: &'a Scope,
    target: PlanTarget,
}

/// The first `range.count` slots of all pairs, oldest first.
fn slots<'a>(config: &'a Config, wanted: &PairFilter, range: Range) -> Vec<Planned<'a>> {
    let mut all = Vec::new();
    let mut progress = Progress(0);
    for policy in config.policies.iter().filter(|policy| policy.enabled) {
        if !wanted.has_policy(&policy.name) {
            continue;
        }
        let instants: Vec<DateTime<Utc>> = policy
            .schedule
            .slots_between(range.from, range.until)
            .take(range.count)
            .inspect(|_| progress.one())
            .collect();
        let is_wanted = |(scope, target): &(&Scope, PlanTarget)| {
            wanted.has_scope(scope) && target.is_wanted(wanted)
        };
        for (scope, target) in targets(policy).filter(is_wanted) {
            all.extend(instants.iter().map(|scheduled_at| Planned {
                scheduled_at: *scheduled_at,
                policy,
                scope,
                target: target.clone(),
            }));
        }
    }
    // A stable sort: at one instant, the order of the file.
    all.sort_by_key(|planned| planned.scheduled_at);
    all.truncate(range.count);
    all
}

fn targets(policy: &Policy) -> impl Iterator<Item = (&Scope, PlanTarget)> {
    policy.scopes.iter().flat_map(|scope| {
        let literals = policy
            .selector
            .unexcluded_literals()
            .cloned()
            .map(PlanTarget::Cluster);
        let globs = policy.selector.globs.iter();
        let patterns = globs.map(|glob| PlanTarget::Pattern(glob.pattern().to_owned()));
        literals.chain(patterns).map(move |target| (scope, target))
    })
}

/// The tiers of the slots to come, as if every one of them brought its snapshot.
struct Tiers {
    now: DateTime<Utc>,
    history: History,
    held: BTreeMap<(PolicyName, Scope, String), Vec<TierSlot>>,
}

impl Tiers {
    /// Begins with what the history holds, where it can be read.
    fn new(config: &Config, now: DateTime<Utc>) -> Self {
        let history = Reader::open(&config.database()).and_then(|reader| reader.history());
        Self {
            now,
            history: history.unwrap_or_default(),
            held: BTreeMap::new(),
        }
    }

    /// The tier of the next slot of its pair in the list, which begins after `from`.
    fn of(&mut self, planned: &Planned<'_>, from: DateTime<Utc>) -> Choice {
        let target = planned.target.as_str().to_owned();
        let key = (planned.policy.name.clone(), planned.scope.clone(), target);
        let held = self.held.entry(key);
        let held = held.or_insert_with(|| held_before(&self.history, planned, self.now, from));
        let others: Vec<TierSlot> = held
            .iter()
            .filter(|held| held.scheduled_at != planned.scheduled_at)
            .copied()
            .collect();
        let choice = choose(planned.policy, planned.scheduled_at, &others);
        held.push(TierSlot {
            scheduled_at: planned.scheduled_at,
            tier: choice.tier,
        });
        held.retain(|held| held.tier != Tier::Base);
        choice
    }
}

/// What the pair holds when the list begins: what it has, and what the slots until then will bring.
fn held_before(
    history: &History,
    planned: &Planned<'_>,
    now: DateTime<Utc>,
    from: DateTime<Utc>,
) -> Vec<TierSlot> {
    let pair = planned.slot().map(|slot| slot.pair);
    let runs = pair.iter().flat_map(|pair| history.of_pair(pair));
    let mut held: Vec<TierSlot> = runs.filter_map(retention::held).collect();
    let policy = planned.policy;
    if policy.retention.longer_tiers().next().is_none() {
        return held;
    }
    for scheduled_at in policy.schedule.slots_between(now, from) {
        let tier = choose(policy, scheduled_at, &held).tier;
        if tier != Tier::Base {
            held.push(TierSlot { scheduled_at, tier });
        }
    }
    held
}

impl Planned<'_> {
    fn row(&self, config: &Config, choice: Choice, clocks: &Clocks) -> PlanRow {
        let local = self.policy.schedule.timezone().local(self.scheduled_at);
        let slot = self.slot();
        let timing = match &slot {
            Some(slot) => Some(slot.timing(self.policy)),
            None => timing_of_all(self.policy, self.scheduled_at),
        };
        let id = slot.map(|slot| SnapshotId::derive(&config.namespace, &slot, Generation::First));
        let retention = self.policy.retention.of(choice.tier);
        let starts_at = timing.and_then(|timing| timing.starts_at);
        let is_delayed = starts_at != Some(self.scheduled_at);
        let starts = match (starts_at, timing) {
            (Some(at), _) => clocks.show(at),
            (None, Some(_)) => "not at all (blackout)".to_owned(),
            (None, None) => "depends on the cluster (jitter)".to_owned(),
        };
        PlanRow {
            policy: self.policy.name.to_string(),
            account: self.scope.account.to_string(),
            region: self.scope.region.to_string(),
            cluster: self.target.as_str().to_owned(),
            scheduled_at: rfc3339(self.scheduled_at),
            local_time: local.to_rfc3339_opts(SecondsFormat::Secs, false),
            at: clocks.show(self.scheduled_at),
            starts: if is_delayed { starts } else { String::new() },
            starts_at: starts_at.map(rfc3339),
            snapshot_id: id.map(|id| id.to_string()),
            tier: choice.tier.as_str(),
            tier_reason: choice.why,
            retention_days: retention.days_or_minus_one(),
        }
    }

    fn slot(&self) -> Option<Slot> {
        let PlanTarget::Cluster(cluster) = &self.target else {
            return None;
        };
        Some(Slot {
            pair: Pair {
                policy: self.policy.name.clone(),
                scope: self.scope.clone(),
                cluster: cluster.clone(),
            },
            scheduled_at: self.scheduled_at,
        })
    }
}
