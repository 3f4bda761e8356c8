//! The parts that the commands put together when they hold the state directory.
//!
//! Owns: the kind of endpoint, the embedded sandbox, the history and the clients, as `run` and the
//! commands without a running daemon need them. Never starts the work: that is the command's.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::net::TcpListener;
use tracing::warn;

use crate::aws::{self, AwsRedshift, Connector, OutgoingClient, Target};
use crate::clock::{Clock, sleep};
use crate::config::zones::Place;
use crate::config::{
    self, Config, ConfigErrors, Endpoint, Log, LogFormat, LogLevel, Sources, network,
};
use redkeep_core::lease::Fenced;

use crate::daemon::{self, Connect, Parts};
use crate::engine::Engine;
use crate::error_chain::with_causes;
use crate::http::Health;
use crate::logging;
use crate::metrics::Metrics;
use crate::names::Region;
use crate::page::Board;
use crate::policy::{Account, Role};
use crate::safe_file;
use crate::sandbox::{FaultPlan, LimitsChange, Sandbox, SandboxOptions, SeedCluster};
use crate::store::{Check, EndpointKind, Inbox, Opened, Reader, Store, StoreError};
use crate::systemd::Notifier;
use crate::told::command;

use super::database;
use super::policy_file::read;
use super::sandbox::{ACCOUNT_NUMBER, seed};
use super::state_lock::{address_file, hold, sandbox_address};
use super::{ConfigArgs, Failure, invalid, sources};

/// Makes of the configuration and an opened history everything that a daemon is made of.
pub(super) async fn parts(
    config: Config,
    sources: Sources,
    clock: Arc<dyn Clock>,
    opened: Opened,
    shown: Shown,
) -> Result<Parts<Fenced<AwsRedshift, Store>>, Failure> {
    // The history is moved and never copied: it may be most of what the daemon has in memory.
    let Opened {
        store,
        history,
        identity,
        lost,
        trouble,
        is_checked,
    } = opened;
    if let Some(lost) = &lost {
        daemon::tell_lost(lost);
    }
    let writer = config.writer.clone().unwrap_or(identity.installation);
    let target = target(&config, &clock).await?;
    let connector = Connector::new(target, config.namespace.clone(), Arc::clone(&clock));
    Ok(Parts {
        engine: Engine::new(config, history, writer, clock.now()),
        trouble: trouble.as_ref().map(|error| with_causes(error)),
        is_checked,
        connect: connect(connector, Arc::clone(&shown.metrics), store.clone()),
        store,
        zones: Place::of(&sources.environment),
        reload: Box::new(move || Box::pin(reloaded(sources.clone()))),
        clock,
        metrics: shown.metrics,
        health: shown.health,
        board: shown.board,
        notifier: shown.notifier,
        client: OutgoingClient::default(),
    })
}

/// Opens the history that is this machine's alone.
pub(super) fn own_history(
    config: &Config,
    sources: &Sources,
    clock: &dyn Clock,
    check: Check,
) -> Result<Opened, Failure> {
    let kind = endpoint_kind(config, &sources.environment);
    Store::open_or_begin_anew(&config.database(), kind, clock.now(), check).map_err(unusable_store)
}

/// What the outside is shown, which outlives a daemon's term.
#[derive(Clone)]
pub(super) struct Shown {
    pub(super) metrics: Arc<Metrics>,
    pub(super) health: Arc<Health>,
    pub(super) board: Arc<Board>,
    pub(super) notifier: Arc<Notifier>,
}

impl Shown {
    /// Of a process that begins.
    pub(super) fn new(clock: &dyn Clock) -> Result<Self, Failure> {
        Ok(Self {
            metrics: Arc::new(Metrics::new(clock.now()).map_err(other)?),
            health: Arc::new(Health::starting(clock.monotonic())),
            board: Arc::default(),
            notifier: Arc::new(Notifier::from_environment()),
        })
    }
}

/// How often a history that is just being made is looked for, and how long in between: 10 s in all.
const BEGINNING: (u32, Duration) = (50, Duration::from_millis(200));

/// Where requests are handed in: the history of the daemon, or else one that is made now.
pub(super) async fn inbox(
    config: &Config,
    sources: &Sources,
    now: DateTime<Utc>,
) -> Result<Inbox, Failure> {
    if let Some(shared) = &config.database {
        let server = database::server(shared, &sources.environment);
        return Inbox::open_shared(&config.database(), server).map_err(unusable_store);
    }
    let mut looks = 0;
    loop {
        prepare_history(config, sources, now).await?;
        match Inbox::open(&config.database()) {
            Ok(inbox) => return Ok(inbox),
            // Whoever holds the state directory is about to make it.
            Err(StoreError::Missing { .. } | StoreError::OlderSchema { .. })
                if looks < BEGINNING.0 =>
            {
                looks += 1;
                sleep(BEGINNING.1).await;
            }
            Err(error) => return Err(unusable_store(error)),
        }
    }
}

/// Sees to it that there is a history for a command that reads it: one that is there needs nothing to be written.
pub(super) async fn begun(
    config: &Config,
    sources: &Sources,
    now: DateTime<Utc>,
) -> Result<(), Failure> {
    if config.database.is_some() {
        database::catch_up(config, sources).await;
        return Ok(());
    }
    match Reader::open(&config.database()) {
        Err(StoreError::Missing { .. } | StoreError::OlderSchema { .. }) => {
            inbox(config, sources, now).await.map(drop)
        }
        _ => Ok(()),
    }
}

/// Makes or migrates the history, unless somebody holds the state directory.
async fn prepare_history(
    config: &Config,
    sources: &Sources,
    now: DateTime<Utc>,
) -> Result<(), Failure> {
    let hold = match hold(&config.state_dir) {
        Ok(hold) => hold,
        Err(Failure::Busy(_)) => return Ok(()),
        Err(failure) => return Err(failure),
    };
    let kind = endpoint_kind(config, &sources.environment);
    let opened = Store::open(&config.database(), kind, now).map_err(unusable_store)?;
    let closed = opened.store.close().await.map_err(unusable_store);
    drop(hold);
    closed
}

/// The configuration as it is now: the environment of a process does not change, the files do.
async fn reloaded(sources: Sources) -> Result<Config, ConfigErrors> {
    let profiles = aws::profiles().await;
    config::load(&Sources {
        profiles,
        ..sources
    })
}

fn connect(
    connector: Connector,
    metrics: Arc<Metrics>,
    store: Store,
) -> Connect<Fenced<AwsRedshift, Store>> {
    Box::new(move |identity, scope| {
        let (connector, metrics) = (connector.clone(), Arc::clone(&metrics));
        let store = store.clone();
        Box::pin(async move {
            let region = scope.region.clone();
            let meter = Arc::new(move |operation, code, duration| {
                metrics.request(&scope, operation, code, duration);
            });
            let client = connector.client(&identity, &region, meter).await;
            Fenced::new(client, store)
        })
    })
}

/// Which kind of history the endpoint makes.
pub(super) fn endpoint_kind(config: &Config, environment: &[(String, String)]) -> EndpointKind {
    match &config.endpoint {
        Endpoint::Aws if !network::is_redirected(environment) => EndpointKind::Aws,
        Endpoint::Aws | Endpoint::Url(_) => EndpointKind::Other,
        Endpoint::Sandbox => EndpointKind::Sandbox,
    }
}

/// Where calls go; the embedded sandbox is started here.
async fn target(config: &Config, clock: &Arc<dyn Clock>) -> Result<Target, Failure> {
    Ok(match &config.endpoint {
        Endpoint::Aws => Target::Ambient,
        Endpoint::Url(url) => Target::Url(url.clone()),
        Endpoint::Sandbox => {
            let address = embed_sandbox(config, Arc::clone(clock)).await?;
            command::note_endpoint(Some(format!("http://{address}")));
            warn!("this is the sandbox on http://{address}, not AWS: nothing is really backed up");
            Target::Sandbox(format!("http://{address}"))
        }
    })
}

/// Clusters that the embedded sandbox has from the beginning, in every scope of the configuration.
const DEMO_CLUSTERS: [&str; 3] = ["analytics", "dw-prod", "finance"];

/// The demo clusters, in the accounts that the roles lead to.
fn demo_clusters(config: &Config) -> Vec<SeedCluster> {
    let in_account = |account: &Account| {
        let role = account.identity.role.as_ref();
        let number = role.and_then(Role::account_number);
        let in_region =
            |region: &Region| DEMO_CLUSTERS.map(|cluster| seed(number, region.as_str(), cluster));
        account
            .regions
            .iter()
            .flat_map(in_region)
            .collect::<Vec<_>>()
    };
    config.accounts.iter().flat_map(in_account).collect()
}

/// Starts the sandbox with its state under the state directory, on the address that it had before if that
/// is free, so that a client that knows it finds it again after a restart.
async fn embed_sandbox(config: &Config, clock: Arc<dyn Clock>) -> Result<SocketAddr, Failure> {
    let quotas = config.accounts.iter().map(|account| account.snapshot_quota);
    let options = SandboxOptions {
        account_id: ACCOUNT_NUMBER.to_owned(),
        state_file: Some(config.state_dir.join("sandbox.json")),
        clusters: demo_clusters(config),
        limits: LimitsChange {
            manual_snapshots: quotas.max(),
            ..LimitsChange::default()
        },
        faults: FaultPlan::default(),
    };
    let sandbox = Arc::new(Sandbox::open(options, clock).map_err(other)?);
    let known = sandbox_address(&config.state_dir);
    let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
    let listener = match TcpListener::bind(known.unwrap_or(anywhere)).await {
        Ok(listener) => listener,
        Err(_) => bind(anywhere).await?,
    };
    let address = listener.local_addr()?;
    let told = safe_file::replace(
        &address_file(&config.state_dir),
        format!("{address}\n").as_bytes(),
    );
    if let Err(error) = told {
        // Commands will not find it; snapshots go on.
        warn!(
            reason = with_causes(&error),
            "the sandbox's address cannot be kept"
        );
    }
    tokio::spawn(async move { sandbox.serve(listener, std::future::pending()).await });
    Ok(address)
}

pub(super) async fn bind(address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|error| {
        Failure::Other(format!(
            "cannot listen on {address}: {error}; set `listen` to another"
        ))
    })
}

/// The configuration, and where it came from; warnings are told from here on.
pub(super) async fn loaded(args: &ConfigArgs) -> Result<(Config, Sources), Failure> {
    let sources = sources(args).await;
    let config = read(&sources).map_err(invalid)?;
    let (format, level) = (LogFormat::Text, LogLevel::Warn);
    logging::init(Log { format, level }).map_err(other)?;
    Ok((config, sources))
}

pub(super) fn other(error: impl std::error::Error) -> Failure {
    Failure::Other(with_causes(&error))
}

pub(super) fn unusable_store(error: StoreError) -> Failure {
    match error {
        StoreError::OtherEndpoint { .. } | StoreError::Moved { .. } => {
            Failure::Config(error.to_string())
        }
        error => Failure::Other(with_causes(&error)),
    }
}
