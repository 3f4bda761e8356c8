//! `redkeep run`: picks the real parts, puts them together, and lets the daemon run.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File, TryLockError};
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;

use clap::Args;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tracing::warn;

use crate::aws::{AwsRedshift, Connector, Target};
use crate::cause::with_causes;
use crate::clock::Clock;
use crate::config::{self, Config, Endpoint};
use crate::daemon::{Connect, Daemon, Ending, Lifetime, Parts, Signal};
use crate::http::{self, Health, Site};
use crate::logging;
use crate::metrics::Metrics;
use crate::sandbox::{AccountLimits, FaultPlan, Sandbox, SandboxOptions};
use crate::store::{EndpointKind, Opened, Store, StoreError};
use crate::systemd::Notifier;
use crate::world::World;

use super::sandbox::{ACCOUNT_NUMBER, seeds};
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
with --once also with 1 when a slot did not get its snapshot, 69 when AWS could not be reached.")]
pub struct RunArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Make one pass, wait for the snapshots that it started, and exit
    #[arg(long)]
    once: bool,
}

pub(super) async fn run(args: RunArgs, clock: Arc<dyn Clock>) -> Result<(), Failure> {
    let sources = sources(&args.config).await;
    let config = config::load(&sources).map_err(invalid)?;
    logging::init(config.log).map_err(other)?;
    for warning in &config.warnings {
        warn!("{warning}");
    }
    let lock = hold(&config.state_dir)?;
    let kind = endpoint_kind(&config, &sources.environment)?;
    let opened = Store::open(&config.database(), kind, clock.now()).map_err(unusable_store)?;
    let target = target(&config, &clock).await?;
    let metrics = Arc::new(Metrics::new(clock.now()).map_err(other)?);
    let health = Arc::new(Health::starting(clock.monotonic()));
    let (stop, stopped) = watch::channel(());
    let listener = bind(config.listen).await?;
    let site = Site {
        metrics: Arc::clone(&metrics),
        health: Arc::clone(&health),
        clock: Arc::clone(&clock),
    };
    let serving = tokio::spawn(http::listen(listener, Arc::new(site), dropped(stopped)));
    let connector = Connector::new(target, config.namespace.clone(), Arc::clone(&clock));
    let parts = Parts {
        world: world(config, &opened, &*clock),
        store: opened.store,
        connect: connect(connector, Arc::clone(&metrics)),
        reload: Box::new(move || config::load(&sources)),
        clock,
        metrics,
        health,
        notifier: Notifier::from_environment(),
    };
    let signals = signals().map_err(other)?;
    let lifetime = if args.once {
        Lifetime::OnePass
    } else {
        Lifetime::Service
    };
    let ending = Daemon::new(parts).run(lifetime, signals).await;
    drop(stop);
    // The listener ends by itself, in bounded time; that it ended badly changes nothing any more.
    let _ = serving.await;
    drop(lock);
    conclude(ending)
}

fn conclude(ending: Ending) -> Result<(), Failure> {
    match ending {
        Ending::Well => Ok(()),
        Ending::WithFailures => Err(Failure::Other("not every slot got its snapshot".to_owned())),
        Ending::Unreachable => Err(Failure::Unreachable("AWS could not be reached".to_owned())),
    }
}

fn world(config: Config, opened: &Opened, clock: &dyn Clock) -> World {
    let writer = config
        .writer
        .clone()
        .unwrap_or_else(|| opened.identity.installation.clone());
    World::new(config, opened.history.clone(), writer, clock.now())
}

fn connect(connector: Connector, metrics: Arc<Metrics>) -> Connect<AwsRedshift> {
    Box::new(move |identity, scope| {
        let (connector, metrics) = (connector.clone(), Arc::clone(&metrics));
        Box::pin(async move {
            let region = scope.region.clone();
            let meter = Arc::new(move |operation, code, duration| {
                metrics.request(&scope, operation, code, duration);
            });
            connector.client(&identity, &region, meter).await
        })
    })
}

/// Creates the state directory and locks it for as long as the file is open.
fn hold(state_dir: &Path) -> Result<File, Failure> {
    let unusable = |error: io::Error| {
        Failure::Other(format!(
            "the state directory {} cannot be used: {error}",
            state_dir.display()
        ))
    };
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(state_dir)
        .map_err(unusable)?;
    let path = state_dir.join("lock");
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .map_err(unusable)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Failure::Busy(format!(
            "another redkeep holds the state directory {}; stop it, or give this one its own `state_dir`",
            state_dir.display()
        ))),
        Err(TryLockError::Error(error)) => Err(unusable(error)),
    }
}

/// Which kind of history the endpoint makes.
fn endpoint_kind(
    config: &Config,
    environment: &[(String, String)],
) -> Result<EndpointKind, Failure> {
    let redirected = environment.iter().find(|(name, value)| {
        ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_REDSHIFT"].contains(&name.as_str())
            && !value.is_empty()
    });
    match (&config.endpoint, redirected) {
        (Endpoint::Aws, Some((name, url))) if config::is_clear_and_remote(url) => {
            Err(Failure::Config(format!(
                "{name}: got {url:?}, wanted https: credentials go over plain http to a loopback address only"
            )))
        }
        (Endpoint::Aws, None) => Ok(EndpointKind::Aws),
        (Endpoint::Aws, Some(_)) | (Endpoint::Url(_), _) => Ok(EndpointKind::Other),
        (Endpoint::Sandbox, _) => Ok(EndpointKind::Sandbox),
    }
}

/// Where calls go; the embedded sandbox is started here.
async fn target(config: &Config, clock: &Arc<dyn Clock>) -> Result<Target, Failure> {
    Ok(match &config.endpoint {
        Endpoint::Aws => Target::Ambient,
        Endpoint::Url(url) => Target::Url(url.clone()),
        Endpoint::Sandbox => {
            let address = embed_sandbox(config, Arc::clone(clock)).await?;
            warn!("this is the sandbox on http://{address}, not AWS: nothing is really backed up");
            Target::Sandbox(format!("http://{address}"))
        }
    })
}

/// Clusters that the embedded sandbox has from the beginning, in every region of the configuration.
const DEMO_CLUSTERS: [&str; 3] = ["analytics", "dw-prod", "finance"];

/// Starts the sandbox with its state under the state directory, on the address that it had before if that
/// is free, so that a client that knows it finds it again after a restart.
async fn embed_sandbox(config: &Config, clock: Arc<dyn Clock>) -> Result<SocketAddr, Failure> {
    let regions: BTreeSet<String> = config
        .scopes()
        .iter()
        .map(|scope| scope.region.to_string())
        .collect();
    let quotas = config.accounts.iter().map(|account| account.snapshot_quota);
    let limits = AccountLimits {
        manual_snapshots: quotas.max().unwrap_or_default(),
        ..AccountLimits::default()
    };
    let options = SandboxOptions {
        account_id: ACCOUNT_NUMBER.to_owned(),
        state_file: Some(config.state_dir.join("sandbox.json")),
        clusters: seeds(&DEMO_CLUSTERS, &regions),
        limits: Some(limits),
        faults: FaultPlan::default(),
    };
    let sandbox = Arc::new(Sandbox::open(options, clock).map_err(other)?);
    let address_file = config.state_dir.join("sandbox.address");
    let known: Option<SocketAddr> = fs::read_to_string(&address_file)
        .ok()
        .and_then(|text| text.trim().parse().ok());
    let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
    let listener = match TcpListener::bind(known.unwrap_or(anywhere)).await {
        Ok(listener) => listener,
        Err(_) => bind(anywhere).await?,
    };
    let address = listener.local_addr()?;
    fs::write(address_file, format!("{address}\n"))?;
    tokio::spawn(async move { sandbox.serve(listener, std::future::pending()).await });
    Ok(address)
}

async fn bind(address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|error| {
        Failure::Other(format!(
            "cannot listen on {address}: {error}; set `listen` to another"
        ))
    })
}

fn signals() -> io::Result<mpsc::Receiver<Signal>> {
    let (sender, receiver) = mpsc::channel(4);
    for (kind, meaning) in [
        (SignalKind::hangup(), Signal::Reload),
        (SignalKind::terminate(), Signal::Stop),
        (SignalKind::interrupt(), Signal::Stop),
    ] {
        let (mut stream, sender) = (signal(kind)?, sender.clone());
        tokio::spawn(async move {
            while stream.recv().await.is_some() {
                if sender.send(meaning).await.is_err() {
                    break;
                }
            }
        });
    }
    Ok(receiver)
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

fn other(error: impl std::error::Error) -> Failure {
    Failure::Other(with_causes(&error))
}

fn unusable_store(error: StoreError) -> Failure {
    match error {
        StoreError::OtherEndpoint { .. } => Failure::Config(error.to_string()),
        error => Failure::Other(error.to_string()),
    }
}
