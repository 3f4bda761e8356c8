//! `redkeep hold`, `redkeep release` and `redkeep takeover`: what a person wants done to snapshots that are there.
//!
//! Owns: finding the snapshots, handing the actions in, and watching them. The holder of the state directory carries
//! them out: a running daemon, or else this command.

use std::collections::BTreeSet;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use clap::Args;

use crate::clock::{Clock, sleep};
use crate::config::{Config, Sources};
use crate::daemon::Mode;
use crate::names::PolicyName;
use crate::operations::{ActionKind, SnapshotAction};
use crate::retention::prune::{Keep, Verdict};
use crate::run::Run;
use crate::store::Reader;

use super::alone::{POLL_INTERVAL, Stopped, work_alone};
use super::history::unreadable;
use super::listed_engine::{listed_engine, trouble};
use super::pause::configured;
use super::show::{PlaceArgs, ambiguous, named};
use super::wiring::{inbox, loaded};
use super::{ConfigArgs, Failure};

/// Keeps a snapshot until it is released: AWS does not let it expire, and redkeep does not remove it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  redkeep hold redkeep-nightly-dw-prod-20261124t013000z-3fa9c1d2
  redkeep release redkeep-nightly-dw-prod-20261124t013000z-3fa9c1d2

A hold sets the snapshot's retention period to infinite, and the tag redkeep:hold keeps the period that it
had; a release sets that period again. The snapshot's tags and name must show that redkeep made it. A
running daemon carries this out within 2 seconds; without a daemon this command does it.")]
pub struct HoldArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// The snapshot's identifier, or the 8 characters at its end
    #[arg(value_name = "ID")]
    id: String,
    #[command(flatten)]
    place: PlaceArgs,
}

/// Makes this installation the writer of the snapshots that another one has made.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  redkeep takeover
  redkeep takeover --policy nightly

Only the installation that wrote a snapshot (its tag redkeep:writer) deletes it. After a machine is lost,
its snapshots have a writer that no longer exists, and this command makes them this installation's. Run it
only when the other installation will never run again: two writers would delete what the other one keeps.")]
pub struct TakeoverArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Only the snapshots of this policy
    #[arg(long, value_name = "NAME")]
    policy: Option<PolicyName>,
}

/// What keeps an action from being finished for so long does not pass by itself.
const PASSING: TimeDelta = TimeDelta::seconds(12);
/// What is not carried out after so long is not waited for.
const ACTION_TIMEOUT: Duration = Duration::from_secs(150);

pub(super) async fn hold(args: HoldArgs, clock: Arc<dyn Clock>) -> Result<(), Failure> {
    one(args, ActionKind::Hold, clock).await
}

pub(super) async fn release(args: HoldArgs, clock: Arc<dyn Clock>) -> Result<(), Failure> {
    one(args, ActionKind::Release, clock).await
}

async fn one(args: HoldArgs, wanted: ActionKind, clock: Arc<dyn Clock>) -> Result<(), Failure> {
    let (config, sources) = loaded(&args.config).await?;
    let action = found(&args, &config, wanted, &*clock)?;
    run(&config, &sources, &[action], clock).await
}

/// The snapshot of that name that is still there, by the history.
fn found(
    args: &HoldArgs,
    config: &Config,
    wanted: ActionKind,
    clock: &dyn Clock,
) -> Result<SnapshotAction, Failure> {
    let reader = Reader::open(&config.database()).map_err(unreadable)?;
    let mut there = named(&reader, &args.id, &args.place)?;
    there.retain(Run::has_snapshot);
    let id = &args.id;
    match there.as_slice() {
        [run] => {
            let (slot, snapshot) = (run.slot.clone(), run.request.snapshot_id.clone());
            Ok(SnapshotAction::new(wanted, slot, snapshot, clock.now()))
        }
        [] => Err(Failure::Other(format!(
            "got {id:?}, wanted a snapshot that exists; `redkeep snapshots` lists them"
        ))),
        several => Err(ambiguous(id, several)),
    }
}

pub(super) async fn takeover(args: TakeoverArgs, clock: Arc<dyn Clock>) -> Result<(), Failure> {
    let (config, sources) = loaded(&args.config).await?;
    if let Some(name) = &args.policy {
        configured(&config, name)?;
    }
    drop(inbox(&config, &sources, clock.now()).await?);
    let scopes: BTreeSet<_> = config.scopes().into_iter().collect();
    let engine = listed_engine(&config, &scopes, &clock).await?;
    if let Some(trouble) = trouble(&engine) {
        return Err(Failure::Unreachable(trouble));
    }
    let policies = config.policies.iter();
    let policies = policies.filter(|one| args.policy.as_ref().is_none_or(|name| *name == one.name));
    let of_others = Verdict::Keep(Keep::OtherWriter);
    let actions: Vec<SnapshotAction> = policies
        .flat_map(|policy| engine.judge_all(policy, clock.now()))
        .filter(|one| one.verdict == of_others)
        .map(|one| {
            let snapshot = one.id();
            SnapshotAction::new(ActionKind::Takeover, one.slot, snapshot, clock.now())
        })
        .collect();
    if actions.is_empty() {
        writeln!(
            std::io::stdout(),
            "there is no snapshot of another installation"
        )?;
        return Ok(());
    }
    run(&config, &sources, &actions, clock).await
}

/// Hands the actions in, and waits until they are done.
async fn run(
    config: &Config,
    sources: &Sources,
    actions: &[SnapshotAction],
    clock: Arc<dyn Clock>,
) -> Result<(), Failure> {
    let mut inbox = inbox(config, sources, clock.now()).await?;
    let ids = inbox.ask(actions).map_err(unreadable)?;
    let (Some(first), Some(last)) = (ids.first(), ids.last()) else {
        return Ok(());
    };
    let done = || -> Result<Option<Vec<SnapshotAction>>, Failure> {
        let reader = Reader::open(&config.database()).map_err(unreadable)?;
        let all = reader.actions(*first, *last).map_err(unreadable)?;
        let is_settled =
            |action: &SnapshotAction| action.end.is_some() || is_stuck(action, clock.now());
        Ok(all.iter().all(is_settled).then_some(all))
    };
    let actions = carried_out(config, sources, Arc::clone(&clock), done).await?;
    let mut failed = 0;
    for action in &actions {
        let result = action.end.as_ref().map(|end| &end.result);
        if let Some(Ok(said)) = result {
            writeln!(std::io::stdout(), "{}: {said}", action.snapshot)?;
            continue;
        }
        failed += 1;
        let why = match (result, &action.trouble) {
            (Some(Err(why)), _) => why.to_string(),
            (_, trouble) => format!(
                "{} is half done, and a daemon continues it: {}",
                action.kind.as_str(),
                trouble.as_deref().unwrap_or_default()
            ),
        };
        writeln!(std::io::stderr(), "{}: {why}", action.snapshot)?;
    }
    match failed {
        0 => Ok(()),
        _ => Err(Failure::Other(format!(
            "{failed} of {} failed",
            actions.len()
        ))),
    }
}

/// Whether the action is half done, and what keeps it from being finished has not passed by itself.
fn is_stuck(action: &SnapshotAction, now: DateTime<Utc>) -> bool {
    action.trouble.is_some() && now >= action.asked_at + PASSING
}

/// Waits until what was handed in is `done`; where nobody holds the state directory, does what the daemon would.
pub(super) async fn carried_out<T>(
    config: &Config,
    sources: &Sources,
    clock: Arc<dyn Clock>,
    done: impl Fn() -> Result<Option<T>, Failure>,
) -> Result<T, Failure> {
    let began = clock.monotonic();
    while clock.monotonic().saturating_sub(began) < ACTION_TIMEOUT {
        if let Some(result) = done()? {
            return Ok(result);
        }
        let enough = tokio::time::timeout(ACTION_TIMEOUT, until_done(&done));
        let clock = Arc::clone(&clock);
        let stopped = work_alone(config, sources, clock, Mode::Operations, enough).await?;
        if let Stopped::Enough(Ok(seen)) = stopped {
            seen?;
        }
        // A daemon that asked for the place comes for it now: not to be first again.
        sleep(POLL_INTERVAL).await;
    }
    done()?.ok_or_else(|| {
        let what = "the daemon has the request but has not finished it yet; its log says why, and it keeps trying";
        Failure::Other(what.to_owned())
    })
}

/// Ends when what was handed in is `done`, or cannot be read.
async fn until_done<T>(done: &impl Fn() -> Result<Option<T>, Failure>) -> Result<(), Failure> {
    loop {
        sleep(POLL_INTERVAL).await;
        if done()?.is_some() {
            return Ok(());
        }
    }
}
