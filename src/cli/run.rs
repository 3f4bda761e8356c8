//! `redkeep run`: picks the real parts, puts them together, and lets the daemon run.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tracing::{info, warn};

use crate::clock::Clock;
use crate::config::{self, PageAccess};
use crate::daemon::{Daemon, Exit, Mode, Signal};
use crate::http::{self, Site};
use crate::logging;
use crate::page;
use crate::store::Check;
use crate::told::command;

use super::state_lock::hold_soon;
use super::wiring::{bind, other, parts};
use super::{ConfigArgs, Failure, invalid, sources};

/// Takes snapshots as the policies say, until stopped.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  redkeep run --config config/demo.toml     the whole daemon, against the embedded sandbox
  redkeep run                               as systemd starts it
  redkeep run --once                        one pass, for people with a timer of their own

SIGHUP reloads the configuration, SIGTERM stops; calls in flight get 20 s.
Exits with 75 when another instance holds the state directory, 78 when the configuration is bad;
with --once also with 1 when a slot did not get its snapshot or the history could not be written,
69 when AWS could not be reached.")]
pub struct RunArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Make one pass, wait for the snapshots that it started, and exit
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
    let config = config::load(&sources).map_err(invalid)?;
    logging::init(config.log).map_err(other)?;
    for warning in &config.warnings {
        warn!("{warning}");
    }
    let (listen, access) = (config.listen, config.page);
    let options = command::known().to_owned();
    let lock = hold_soon(&config.state_dir).await?;
    lock.keep_time(Arc::clone(&clock));
    let end_clock = Arc::clone(&clock);
    // One pass may end before a check beside it does.
    let check = match args.once {
        true => Check::First,
        false => Check::LargeBeside,
    };
    let (parts, lock) = parts(config, sources, clock, lock, check).await?;
    let (stop, stopped) = watch::channel(());
    let listener = bind(listen).await?;
    let site = Site {
        metrics: Arc::clone(&parts.metrics),
        health: Arc::clone(&parts.health),
        clock: Arc::clone(&parts.clock),
    };
    let bound = listener.local_addr()?;
    let source = page::Source {
        board: Arc::clone(&parts.board),
        metrics: Arc::clone(&parts.metrics),
        health: Arc::clone(&parts.health),
        clock: Arc::clone(&parts.clock),
        forecasts: page::Forecasts::default(),
        options,
    };
    tell_address(access, bound);
    let page = page::router(source, access, bound);
    let serving = http::listen(listener, Arc::new(site), Some(page), dropped(stopped));
    let serving = tokio::spawn(serving);
    let mode = if args.once {
        Mode::OnePass
    } else {
        Mode::Service
    };
    let ending = Daemon::new(parts).run(mode, signals).await;
    drop(stop);
    // The listener ends by itself, in bounded time; that it ended badly changes nothing any more.
    let _ = serving.await;
    lock.sign_off(end_clock.now());
    drop(lock);
    conclude(ending)
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
        Exit::Well => Ok(()),
        Exit::WithFailures => Err(Failure::Other("not every slot got its snapshot".to_owned())),
        Exit::Unreachable => Err(Failure::Unreachable("AWS could not be reached".to_owned())),
        Exit::Unwritten => Err(Failure::Other(
            "the history could not be written, and what this pass did is not recorded: mend what the log names; the next \
             pass finds the snapshots by their tags"
                .to_owned(),
        )),
    }
}

pub(super) fn signals() -> io::Result<mpsc::Receiver<Signal>> {
    let (sender, receiver) = mpsc::channel(4);
    forward_signals(&sender)?;
    Ok(receiver)
}

/// Sends what the process is asked by signals.
pub(super) fn forward_signals(to: &mpsc::Sender<Signal>) -> io::Result<()> {
    for (kind, meaning) in [
        (SignalKind::hangup(), Signal::Reload),
        (SignalKind::terminate(), Signal::Stop),
        (SignalKind::interrupt(), Signal::Stop),
    ] {
        let (mut stream, sender) = (signal(kind)?, to.clone());
        tokio::spawn(async move {
            while stream.recv().await.is_some() {
                if sender.send(meaning).await.is_err() {
                    break;
                }
            }
        });
    }
    Ok(())
}

/// Ends when the process is asked to stop.
pub(super) fn stopped() -> io::Result<impl Future<Output = ()>> {
    let mut signals = signals()?;
    Ok(async move {
        while let Some(signal) = signals.recv().await {
            if signal == Signal::Stop {
                break;
            }
        }
    })
}

async fn dropped(mut watched: watch::Receiver<()>) {
    while watched.changed().await.is_ok() {}
}
