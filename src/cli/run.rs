//! `redkeep run`: picks the real parts, puts them together, and lets the daemon run.

use std::net::SocketAddr;
use std::sync::Arc;

use clap::Args;
use tokio::sync::watch;
use tracing::{info, warn};

use crate::clock::Clock;
use crate::config::{self, PageAccess, Sources};
use crate::daemon::{Daemon, Exit, Mode};
use crate::http::{self, Site};
use crate::logging;
use crate::page;
use crate::store::Check;

use super::signals::signals;
use super::state_lock::hold_soon;
use super::wiring::{bind, other, parts};
use super::{ConfigArgs, DEFAULT_CONFIG, Failure, invalid, sources};

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
    let sources = sources(&args.config).await;
    let config = config::load(&sources).map_err(invalid)?;
    logging::init(config.log).map_err(other)?;
    for warning in &config.warnings {
        warn!("{warning}");
    }
    let (listen, access) = (config.listen, config.page);
    let options = options(&sources);
    let lock = hold_soon(&config.state_dir).await?;
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

/// What a command needs to read the same policy file.
fn options(sources: &Sources) -> String {
    let file = sources.file.display().to_string();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@%,".contains(c);
    match file {
        file if file == DEFAULT_CONFIG => String::new(),
        file if file.chars().all(is_plain) => format!(" --config {file}"),
        file => format!(" --config '{}'", file.replace('\'', r"'\''")),
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

async fn dropped(mut watched: watch::Receiver<()>) {
    while watched.changed().await.is_ok() {}
}
