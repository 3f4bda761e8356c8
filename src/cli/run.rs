//! `redkeep run`: picks the real parts, puts them together, and lets the daemon run.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;

use clap::Args;
use redkeep_core::lease::Fenced;
use tokio::sync::{mpsc, watch};
use tracing::{info, warn};

use crate::aws::AwsRedshift;
use crate::clock::Clock;
use crate::config::{self, Config, PageAccess, Sources};
use crate::daemon::{Daemon, Exit, Mode, Signal};
use crate::http::{self, Site};
use crate::logging;
use crate::page;
use crate::store::{self, Check, Opened, Seat, Store};
use crate::told::command;

use super::database;
use super::policy_file::read;
use super::signals::signals;
use super::standby::{COMMAND, Role, Standby, Turn};
use super::state_lock::hold_soon;
use super::wiring::{Shown, bind, endpoint_kind, other, own_history, parts, unusable_store};
use super::{ConfigArgs, Failure, invalid, sources};

/// Takes snapshots as the policies say, until stopped.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  redkeep run --config config/demo.toml     the whole daemon, against the embedded sandbox
  redkeep run                               as systemd starts it
  redkeep run --once                        for your own timer instead of the service

SIGHUP reloads the configuration. SIGTERM stops the daemon; calls under way get 20 seconds. Exits with 75
when another redkeep uses the state directory, 78 when the configuration has an error. With --once it also
exits with 1 when a slot did not get its snapshot or the history could not be written, 69 when AWS could not
be reached.")]
pub struct RunArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Do what is due now, wait for the snapshots that were started, and exit
    #[arg(long)]
    once: bool,
}

pub(super) async fn run(args: RunArgs, clock: Arc<dyn Clock>) -> Result<(), Failure> {
    // First of all: a SIGHUP that nobody listens for ends the process.
    let signals = signals().map_err(other)?;
    // What is told of a command may be read anywhere.
    let file = std::path::absolute(&args.config.config);
    command::note(&file.unwrap_or_else(|_| args.config.config.clone()));
    let sources = sources(&args.config).await;
    let config = read(&sources).map_err(invalid)?;
    logging::init(config.log).map_err(other)?;
    for warning in &config.warnings {
        warn!("{warning}");
    }
    let (listen, access) = (config.listen, config.page);
    let options = command::known().to_owned();
    // Held until the end.
    let lock = hold_soon(&config.state_dir).await?;
    lock.keep_time(Arc::clone(&clock));
    let end_clock = Arc::clone(&clock);
    let process = Process {
        shown: Shown::new(&*clock)?,
        mode: match args.once {
            true => Mode::OnePass,
            false => Mode::Service,
        },
        sources,
        clock,
    };
    // Own histories are opened before anything is served: what is wrong with one ends the process.
    let terms = Terms::begin(config, &process)?;
    let (stop, stopped) = watch::channel(());
    let listener = bind(listen).await?;
    let bound = listener.local_addr()?;
    let (site, source) = (process.site(), process.page(options));
    tell_address(access, bound);
    let page = page::router(source, access, bound);
    let serving = http::listen_apart(listener, Arc::new(site), Some(page), dropped(stopped));
    let serving = serving.await.map_err(other)?;
    let ending = terms.serve(&process, signals).await;
    drop(stop);
    // The listener ends by itself, in bounded time; that it ended badly changes nothing any more.
    serving.end().await;
    lock.sign_off(end_clock.now());
    drop(lock);
    conclude(ending?)
}

/// What outlives the terms of a process.
struct Process {
    sources: Sources,
    clock: Arc<dyn Clock>,
    shown: Shown,
    mode: Mode,
}

impl Process {
    fn site(&self) -> Site {
        Site {
            metrics: Arc::clone(&self.shown.metrics),
            health: Arc::clone(&self.shown.health),
            clock: Arc::clone(&self.clock),
        }
    }

    fn page(&self, options: String) -> page::Source {
        page::Source {
            board: Arc::clone(&self.shown.board),
            metrics: Arc::clone(&self.shown.metrics),
            health: Arc::clone(&self.shown.health),
            clock: Arc::clone(&self.clock),
            forecasts: page::Forecasts::default(),
            options,
        }
    }

    async fn daemon(
        &self,
        config: Config,
        opened: Opened,
    ) -> Result<Daemon<Fenced<AwsRedshift, Store>>, Failure> {
        let (sources, clock) = (self.sources.clone(), Arc::clone(&self.clock));
        let parts = parts(config, sources, clock, opened, self.shown.clone()).await?;
        Ok(Daemon::new(parts))
    }
}

/// By what right this process works.
enum Terms {
    /// Its history is its own: there is one term.
    One(Box<(Config, Opened)>),
    /// It is one of several instances.
    Many(Box<(Config, Standby)>),
}

impl Terms {
    fn begin(config: Config, process: &Process) -> Result<Self, Failure> {
        check_moved(&config)?;
        if let Some(standby) = standby(&config, &process.sources, &process.clock, Role::Daemon)? {
            return Ok(Self::Many(Box::new((config, standby))));
        }
        // One pass may end before a check beside it does.
        let check = match process.mode {
            Mode::OnePass => Check::First,
            _ => Check::LargeBeside,
        };
        let opened = own_history(&config, &process.sources, &*process.clock, check)?;
        Ok(Self::One(Box::new((config, opened))))
    }

    async fn serve(
        self,
        process: &Process,
        mut signals: mpsc::Receiver<Signal>,
    ) -> Result<Exit, Failure> {
        match self {
            Self::One(own) => {
                let (config, opened) = *own;
                let daemon = process.daemon(config, opened).await?;
                Ok(daemon.run(process.mode.clone(), &mut signals).await)
            }
            Self::Many(shared) => {
                let (config, mut standby) = *shared;
                let ending = match process.mode {
                    Mode::OnePass => one_pass(config, &mut standby, process, signals).await,
                    _ => serve_in_turn(config, &mut standby, process, signals).await,
                };
                standby.leave().await;
                ending
            }
        }
    }
}

async fn one_pass(
    config: Config,
    standby: &mut Standby,
    process: &Process,
    mut signals: mpsc::Receiver<Signal>,
) -> Result<Exit, Failure> {
    let Some(opened) = standby.take_if_free().await? else {
        let why = "another instance works on the shared history, and takes the slots that are due";
        return Err(Failure::Busy(why.to_owned()));
    };
    let daemon = process.daemon(config, opened).await?;
    Ok(daemon.run(Mode::OnePass, &mut signals).await)
}

/// Waits for this instance's turn, works while it lasts, and waits again.
async fn serve_in_turn(
    mut config: Config,
    standby: &mut Standby,
    process: &Process,
    mut signals: mpsc::Receiver<Signal>,
) -> Result<Exit, Failure> {
    let shown = &process.shown;
    loop {
        standby.configured(config.fingerprint());
        let turn = standby.wait(shown, &mut signals).await?;
        if matches!(turn, Turn::Reload) {
            shown.notifier.reloading();
        }
        // The files may have changed while others worked; a broken one does not keep this one from working.
        match config::load(&process.sources) {
            Ok(read) => config = read,
            Err(errors) => {
                warn!(reason = %errors, "the configuration is not valid; the previous one stays in use")
            }
        }
        let ending = match turn {
            Turn::Reload => continue,
            Turn::Stopped => return Ok(Exit::Well),
            Turn::Works(opened) => {
                info!("this instance works from now on");
                opened.store.configured(config.fingerprint());
                let daemon = process.daemon(config.clone(), *opened).await?;
                daemon.run(process.mode.clone(), &mut signals).await
            }
            Turn::Orphan(opened) => {
                let daemon = process.daemon(config.clone(), *opened).await?;
                orphan(daemon, standby, &mut signals).await?
            }
        };
        shown.metrics.retire();
        standby.back();
        match ending {
            Exit::Superseded => {}
            Exit::Yielded => standby.yield_for_now(),
            stopped => return Ok(stopped),
        }
    }
}

/// Works without the database, until it is back.
async fn orphan(
    daemon: Daemon<Fenced<AwsRedshift, Store>>,
    standby: &mut Standby,
    signals: &mut mpsc::Receiver<Signal>,
) -> Result<Exit, Failure> {
    let (signal, mut own) = mpsc::channel(4);
    let work = daemon.run(Mode::Service, &mut own);
    until_back(work, &signal, standby.answered(), signals).await
}

/// Lets an instance work until the database has answered, and tells it meanwhile what the process is told.
async fn until_back(
    work: impl Future<Output = Exit>,
    signal: &mpsc::Sender<Signal>,
    answered: impl Future<Output = Result<(), Failure>>,
    signals: &mut mpsc::Receiver<Signal>,
) -> Result<Exit, Failure> {
    tokio::pin!(work);
    let (mut is_back, mut is_stopped) = (false, false);
    let mut untold = VecDeque::new();
    // Kept from one signal to the next: a look that is given up takes the seat with it.
    tokio::pin!(answered);
    loop {
        tokio::select! {
            ending = &mut work => {
                return Ok(match (is_stopped, ending) {
                    (true, Exit::Yielded | Exit::Superseded) => Exit::Well,
                    (false, _) if is_back => Exit::Superseded,
                    (_, ending) => ending,
                });
            }
            answered = &mut answered, if !is_back => {
                answered?;
                is_back = true;
                untold.push_back(Signal::Yield);
            }
            asked = signals.recv(), if !is_stopped => {
                let asked = asked.unwrap_or(Signal::Stop);
                is_stopped = asked == Signal::Stop;
                untold.push_back(asked);
            }
            // The work goes on while it has no room for another signal.
            Ok(room) = signal.reserve(), if !untold.is_empty() => {
                if let Some(next) = untold.pop_front() {
                    room.send(next);
                }
            }
        }
    }
}

/// Refuses to share a history while there is one of this machine's own that nobody has moved.
fn check_moved(config: &Config) -> Result<(), Failure> {
    let own = config.own_history();
    let is_left_out = config.database.is_some() && own.exists();
    match is_left_out && store::moved_to(&own).is_none() {
        false => Ok(()),
        true => Err(Failure::Config(format!(
            "{} holds a history, and the policy file has a table [database]; move it by \"redkeep migrate --to postgres\", or \
             put it elsewhere",
            own.display()
        ))),
    }
}

/// The place of this process beside others, where the configuration has a database.
pub(super) fn standby(
    config: &Config,
    sources: &Sources,
    clock: &Arc<dyn Clock>,
    role: Role,
) -> Result<Option<Standby>, Failure> {
    let Some(shared) = &config.database else {
        return Ok(None);
    };
    let server = database::server(shared, &sources.environment);
    let mut instance = database::instance(shared, config).map_err(unusable_store)?;
    if role == Role::Command {
        instance.name.push_str(COMMAND);
    }
    let path = config.database();
    let seat = Seat::new(server.clone(), &path, instance, clock.now()).map_err(unusable_store)?;
    let kind = endpoint_kind(config, &sources.environment);
    let standby = Standby::new(seat, server, path, kind, Arc::clone(clock));
    Ok(Some(standby))
}

/// Where the page is, for whoever reads the log; or who is not shown it.
fn tell_address(access: PageAccess, bound: SocketAddr) {
    match access == PageAccess::Open || bound.ip().is_loopback() {
        true => info!("the page is at http://{bound}/"),
        false => info!(
            "only metrics and health are served at {bound}: the page is for this machine alone"
        ),
    }
}

fn conclude(ending: Exit) -> Result<(), Failure> {
    match ending {
        Exit::Well | Exit::Superseded | Exit::Yielded => Ok(()),
        Exit::WithFailures => Err(Failure::Other("not every slot got its snapshot".to_owned())),
        Exit::Unreachable => Err(Failure::Unreachable("AWS could not be reached".to_owned())),
        Exit::Unwritten => Err(Failure::Other(
            "the history could not be written, and what this command did is not recorded: fix what the log names; \
             the next start finds the snapshots by their tags"
                .to_owned(),
        )),
    }
}

async fn dropped(mut watched: watch::Receiver<()>) {
    while watched.changed().await.is_ok() {}
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What an instance without a database was told before it ended, and how that was taken.
    async fn told(from_outside: &[Signal], answers: bool) -> (Vec<Signal>, Exit) {
        let (signal, mut own) = mpsc::channel(4);
        let (outside, mut signals) = mpsc::channel(4);
        for one in from_outside {
            outside.send(*one).await.unwrap();
        }
        let mut heard = Vec::new();
        let work = async {
            while let Some(one) = own.recv().await {
                heard.push(one);
                if one != Signal::Reload {
                    break;
                }
            }
            Exit::Well
        };
        let (answer, answered) = tokio::sync::oneshot::channel::<()>();
        if answers {
            answer.send(()).unwrap();
        }
        let back = async {
            match answered.await {
                Ok(()) => Ok(()),
                Err(_) => std::future::pending().await,
            }
        };
        let ended = until_back(work, &signal, back, &mut signals).await;
        (heard, ended.unwrap())
    }

    #[tokio::test]
    async fn without_a_database_a_reload_ends_nothing_and_a_stop_does() {
        let asked = [Signal::Reload, Signal::Reload, Signal::Stop];
        assert_eq!(told(&asked, false).await, (asked.to_vec(), Exit::Well));
    }

    #[tokio::test]
    async fn a_stop_is_heard_behind_any_number_of_reloads_and_while_the_work_without_a_database_ends()
     {
        let (signal, mut own) = mpsc::channel(4);
        let (outside, mut signals) = mpsc::channel(16);
        for _ in 0..12 {
            outside.send(Signal::Reload).await.unwrap();
        }
        let work = async {
            // What is under way when the database comes back takes its time.
            while own.recv().await != Some(Signal::Yield) {}
            outside.send(Signal::Stop).await.unwrap();
            while own.recv().await != Some(Signal::Stop) {}
            Exit::Yielded
        };
        let ended = until_back(work, &signal, async { Ok(()) }, &mut signals).await;
        assert_eq!(ended.unwrap(), Exit::Well);
    }

    #[tokio::test]
    async fn when_the_database_is_back_the_work_without_it_ends_and_the_process_stands_by() {
        let ended = told(&[], true).await;
        assert_eq!(ended, (vec![Signal::Yield], Exit::Superseded));
    }
}
