//! `redkeep take`: one snapshot now.
//!
//! Owns: the choice of the pair, handing the request in, and the way to its end. Beside a daemon the command
//! only watches; without one it holds the state directory and does what the daemon would, for this run alone.

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use crate::aws::AwsRedshift;
use crate::clock::{Clock, sleep};
use crate::config::{Config, Sources};
use crate::daemon::Mode;
use crate::logging::say;
use crate::names::Tier;
use crate::names::{AccountName, ClusterId, PolicyName, Region, Retention};
use crate::plan::manual_run;
use crate::policy::Policy;
use crate::redshift::Redshift;
use crate::remedy::of_reason;
use crate::run::{Outcome, Run, RunState};
use crate::slot::{Pair, Scope, Slot, rfc3339};
use crate::store::{HandedIn, Inbox, Reader};
use crate::suggest::did_you_mean;
use crate::told::command;

use super::alone::{POLL_INTERVAL, Stopped, work_alone};
use super::history::unreadable;
use super::output::View;
use super::pause::configured;
use super::progress::Progress;
use super::runs::write_runs;
use super::scopes::{ask_each, connector, within};
use super::view::{ClockArgs, Clocks, OutputArgs};
use super::wiring::{inbox, loaded, other};
use super::{ConfigArgs, Failure};

/// Takes one snapshot now, with the retention and the tags of a policy.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  redkeep take --policy nightly --cluster dw-prod
  redkeep take --policy nightly --cluster dw-prod --retention 7d
  redkeep take --policy nightly --cluster dw-prod --no-wait --output json

First asks AWS whether the cluster exists. A running daemon then takes the snapshot while this command
watches; without a daemon this command takes it. If you interrupt the command, a snapshot that AWS has
accepted continues: `redkeep show` shows its state. Exits with 0 when the snapshot is available (with
--no-wait: when it is asked for), 1 when there will be no snapshot.")]
pub struct TakeArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// The policy whose retention and tags the snapshot gets
    #[arg(long, value_name = "NAME")]
    policy: PolicyName,
    /// The cluster; the policy must select it
    #[arg(long, value_name = "ID")]
    cluster: ClusterId,
    /// The cluster's account, where the policy has several
    #[arg(long, value_name = "NAME")]
    account: Option<AccountName>,
    /// The cluster's region, where the policy has several
    #[arg(long, value_name = "REGION")]
    region: Option<Region>,
    /// How long AWS keeps the snapshot, instead of the policy's retention (7d, 8w, 13mo, 2y, forever)
    #[arg(long, value_name = "DURATION")]
    retention: Option<Retention>,
    /// Do not wait until the snapshot is complete
    #[arg(long)]
    no_wait: bool,
    /// Wait until it is complete, as is done anyway
    #[arg(long, hide = true, conflicts_with = "no_wait")]
    wait: bool,
    #[command(flatten)]
    clocks: ClockArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// When nothing has come of a run for so long, the command looks whether anybody works on it.
const JOIN_TIMEOUT: Duration = Duration::from_secs(5);

/// How long AWS is waited for to say whether there is the cluster; without an answer it is asked for the snapshot.
const CLUSTER_TIMEOUT: Duration = Duration::from_secs(4);

pub(super) async fn take(args: TakeArgs, clock: Arc<dyn Clock>) -> Result<(), Failure> {
    let (config, sources) = loaded(&args.config).await?;
    let policy = configured(&config, &args.policy)?.clone();
    if !policy.selector.may_select(&args.cluster) {
        let named = policy.selector.unexcluded_literals().map(ClusterId::as_str);
        let meant = did_you_mean(args.cluster.as_str(), named);
        return Err(Failure::Usage(format!(
            "got the cluster {}, wanted one that the policy {} names and does not exclude{meant}",
            args.cluster, args.policy
        )));
    }
    let place = located(&args, &config, &policy, &clock).await?;
    let inbox = inbox(&config, &sources, clock.now()).await?;
    let run = hand_in(&args, &config, &policy, place, inbox, &*clock).await?;
    let run = follow(&args, &config, &sources, run, clock).await?;
    let clocks = Clocks::choose(args.clocks, &config, [args.policy.as_str()]);
    let view = View::of(&args.output, clocks);
    write_runs(
        &mut std::io::stdout().lock(),
        &view,
        std::slice::from_ref(&run),
    )?;
    conclude(&run, args.no_wait)
}

/// Beside a daemon watches the run; without one does what the daemon would, until one asks for the place.
async fn follow(
    args: &TakeArgs,
    config: &Config,
    sources: &Sources,
    mut run: Run,
    clock: Arc<dyn Clock>,
) -> Result<Run, Failure> {
    let mut progress = Progress::start(&run);
    let interrupted = stop_signal().map_err(other)?;
    tokio::pin!(interrupted);
    while !is_done(args, &run) {
        let mode = match args.no_wait {
            true => Mode::TakeAccepted(run.slot.clone()),
            false => Mode::Take(run.slot.clone()),
        };
        let shown = show_for_ever(config, &run, &mut progress);
        match work_alone(config, sources, Arc::clone(&clock), mode, shown).await? {
            Stopped::Busy => {}
            Stopped::Enough(unreadable) => return Err(unreadable),
            Stopped::Finished => {
                run = look(config, &run.slot)?;
                progress.show(&run);
                break;
            }
            // The daemon comes for it now: not to be first again.
            Stopped::ForDaemon => {
                run = look(config, &run.slot)?;
                progress.show(&run);
            }
        }
        tokio::select! {
            watched = watch(args, config, run.clone(), &mut progress) => run = watched?,
            () = &mut interrupted => {
                drop(progress);
                return Err(goes_on(&look(config, &run.slot)?));
            }
        }
    }
    Ok(run)
}

/// Whether what was asked for is there: the end, or with `--no-wait` somebody who works on it.
fn is_done(args: &TakeArgs, run: &Run) -> bool {
    run.is_ended() || (args.no_wait && run.state != RunState::Due)
}

/// Shows how the run gets on, until it is dropped; returns only that it cannot be read.
async fn show_for_ever(config: &Config, run: &Run, progress: &mut Progress) -> Failure {
    loop {
        sleep(POLL_INTERVAL).await;
        match look(config, &run.slot) {
            Ok(run) => progress.show(&run),
            Err(failure) => return failure,
        }
    }
}

/// Watches the run until it is done, or until nothing has come of it for so long that somebody may be needed.
async fn watch(
    args: &TakeArgs,
    config: &Config,
    run: Run,
    progress: &mut Progress,
) -> Result<Run, Failure> {
    let (mut now, mut unchanged) = (run, 0);
    while !is_done(args, &now) && POLL_INTERVAL * unchanged < JOIN_TIMEOUT {
        sleep(POLL_INTERVAL).await;
        let seen = look(config, &now.slot)?;
        unchanged = if seen == now { unchanged + 1 } else { 0 };
        now = seen;
        progress.show(&now);
    }
    Ok(now)
}

/// The run of `slot` as the history has it now.
fn look(config: &Config, slot: &Slot) -> Result<Run, Failure> {
    let reader = Reader::open(&config.database()).map_err(unreadable)?;
    let found = reader.run(slot).map_err(unreadable)?;
    found.ok_or_else(|| Failure::Other(format!("the run of {slot} is no longer in the history")))
}

/// Commits the request to the history. Two people who ask for the same before AWS begins watch one snapshot.
async fn hand_in(
    args: &TakeArgs,
    config: &Config,
    policy: &Policy,
    place: Option<Scope>,
    mut inbox: Inbox,
    clock: &dyn Clock,
) -> Result<Run, Failure> {
    let pair = Pair {
        policy: policy.name.clone(),
        scope: match place {
            Some(scope) => scope,
            None => scope(args, config, policy)?,
        },
        cluster: args.cluster.clone(),
    };
    let installation = inbox.identity().map_err(unreadable)?.installation;
    let writer = config.writer.clone().unwrap_or(installation);
    let retention = args.retention.unwrap_or(policy.retention.of(Tier::Base));
    loop {
        let run = manual_run(
            config,
            &writer,
            policy,
            pair.clone(),
            retention,
            clock.now(),
        );
        let (at, second) = (run.slot.scheduled_at, TimeDelta::seconds(1));
        let is_schedules = |at| policy.schedule.next_after(at - second) == Some(at);
        if is_schedules(at) && !is_schedules(at + second) {
            // This second is the schedule's own; the next is free.
            sleep(POLL_INTERVAL).await;
            continue;
        }
        match inbox.take(&run).map_err(unreadable)? {
            HandedIn::New => return Ok(run),
            HandedIn::Joined(other) => {
                let at = rfc3339(other.slot.scheduled_at);
                say(&format!(
                    "somebody asked for the same snapshot at {at}, and AWS has not started it: this command waits \
                     for that one"
                ));
                return Ok(*other);
            }
            HandedIn::Occupied => sleep(POLL_INTERVAL).await,
        }
    }
}

/// The account and region that have the cluster, by AWS's answer; `None` where AWS does not tell, or several have one.
///
/// # Errors
/// Where all answer and none has it: no record is made of a slip of the pen.
async fn located(
    args: &TakeArgs,
    config: &Config,
    policy: &Policy,
    clock: &Arc<dyn Clock>,
) -> Result<Option<Scope>, Failure> {
    let possible: BTreeSet<Scope> = possible(args, policy).cloned().collect();
    let Some(connector) = connector(config, clock).filter(|_| !possible.is_empty()) else {
        return Ok(None);
    };
    say(&format!("asking AWS for the cluster {}", args.cluster));
    let question = |_, client: Arc<AwsRedshift>| async move {
        within(CLUSTER_TIMEOUT, async {
            Redshift::clusters(&*client).await.result
        })
        .await
    };
    let asked = ask_each(config, &connector, possible.iter().cloned(), question);
    let Ok(answers) = tokio::time::timeout(CLUSTER_TIMEOUT, asked).await else {
        return Ok(None);
    };
    let answers: Vec<(Scope, Vec<ClusterId>)> = { answers.into_iter() }
        .filter_map(|(scope, answer)| {
            let clusters = answer.ok()?.ok()?;
            Some((scope, clusters.into_iter().map(|one| one.id).collect()))
        })
        .collect();
    let mut having = answers
        .iter()
        .filter(|(_, ids)| ids.contains(&args.cluster));
    match (having.next(), having.next()) {
        (Some((scope, _)), None) => Ok(Some(scope.clone())),
        // In doubt the snapshot is taken.
        (None, _) if answers.len() == possible.len() => {
            let ids = answers
                .iter()
                .flat_map(|(_, ids)| ids.iter().map(ClusterId::as_str));
            let meant = did_you_mean(args.cluster.as_str(), ids);
            let places: Vec<String> = possible.iter().map(ToString::to_string).collect();
            Err(Failure::Usage(format!(
                "got the cluster {:?}, but AWS has no cluster of that name in {}{meant}; no snapshot was asked for",
                args.cluster.as_str(),
                places.join(", ")
            )))
        }
        _ => Ok(None),
    }
}

/// The policy's scopes that the arguments allow.
fn possible<'a>(args: &'a TakeArgs, policy: &'a Policy) -> impl Iterator<Item = &'a Scope> {
    policy.scopes.iter().filter(|scope| {
        let account = args.account.as_ref();
        let region = args.region.as_ref();
        account.is_none_or(|name| *name == scope.account)
            && region.is_none_or(|name| *name == scope.region)
    })
}

/// Where the cluster is: the policy's one scope, or the one of several that was asked for or has it.
fn scope(args: &TakeArgs, config: &Config, policy: &Policy) -> Result<Scope, Failure> {
    let possible: BTreeSet<&Scope> = possible(args, policy).collect();
    let history = Reader::open(&config.database()).and_then(|reader| reader.history());
    let history = history.map_err(unreadable)?;
    let has = |scope: &&&Scope| {
        let pair = Pair {
            policy: policy.name.clone(),
            scope: Scope::clone(scope),
            cluster: args.cluster.clone(),
        };
        history
            .pairs
            .get(&pair)
            .is_some_and(|state| state.is_active())
    };
    let active: Vec<&&Scope> = possible.iter().filter(has).collect();
    let all: Vec<&&Scope> = possible.iter().collect();
    match (active.as_slice(), all.as_slice()) {
        ([scope], _) | (_, [scope]) => Ok(Scope::clone(scope)),
        _ => Err(Failure::Usage(format!(
            "got {} in {}, wanted one account and region: say --account and --region, of {}",
            args.cluster,
            counted(possible.len()),
            policy
                .scopes
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(", ")
        ))),
    }
}

fn counted(scopes: usize) -> String {
    match scopes {
        0 => "none of the policy's accounts and regions".to_owned(),
        _ => format!("any of {scopes} accounts and regions"),
    }
}

/// Ends when a person stops the command.
fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

/// That only the watching has ended.
fn goes_on(run: &Run) -> Failure {
    let id = run.request.snapshot_id.short().to_owned();
    let show = command::whole(&format!("redkeep show {id}")).into_owned();
    let stands = match &run.state {
        RunState::Ended(outcome) => format!("the slot has ended as {}", outcome.word()),
        _ if run.accepted_at.is_some() => {
            "AWS has accepted the snapshot and continues to make it".to_owned()
        }
        _ => unaccepted(run, "the daemon"),
    };
    Failure::Other(format!(
        "stopped watching; {stands}; `{show}` shows what becomes of it"
    ))
}

/// That AWS has not accepted the snapshot, why, who asks until when, and what helps.
fn unaccepted(run: &Run, who: &str) -> String {
    let why = run.refusal().map(|why| {
        let said = run.message.as_ref().map(|said| format!(": {said}"));
        format!(" ({why}{})", said.unwrap_or_default())
    });
    let helps = run.refusal().map(|why| {
        let helps = of_reason(why, &run.slot.pair);
        format!("; `{}` helps", command::whole(&helps))
    });
    format!(
        "AWS has not accepted the snapshot yet{}, and {who} keeps asking until {}{}",
        why.unwrap_or_default(),
        rfc3339(run.request.deadline),
        helps.unwrap_or_default()
    )
}

fn conclude(run: &Run, no_wait: bool) -> Result<(), Failure> {
    let id = &run.request.snapshot_id;
    match &run.state {
        RunState::Ended(Outcome::Available) => Ok(()),
        RunState::Ended(outcome) => Err(Failure::Other(format!(
            "no snapshot: {}{}",
            outcome.word(),
            run.reason()
                .map(|reason| format!(" ({reason})"))
                .unwrap_or_default()
        ))),
        _ if no_wait => Ok(()),
        _ => Err(Failure::Other(format!(
            "{id} is not complete yet: {}; `{}` shows what becomes of it",
            match run.accepted_at {
                Some(_) => "AWS continues to make it".to_owned(),
                None => unaccepted(run, "the next daemon"),
            },
            command::whole(&format!("redkeep show {}", id.short()))
        ))),
    }
}
