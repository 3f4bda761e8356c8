//! The embedded control plane as a server: the only part that reads the clock and holds locks.
//!
//! Owns: the account behind a lock, the bench around it (fault plan, request log, clock offset), and the
//! way of a request from bytes to answer. A change is in the state file before its answer goes out, so a
//! kill loses nothing that was acknowledged; the bench is an experiment's and is forgotten at the end.

use std::error::Error;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use chrono::{DateTime, TimeDelta, Utc};
use tokio::net::TcpListener;

use super::account::{Account, AccountLimits};
use super::cluster::Cluster;
use super::error::{ApiError, Code};
use super::faults::{FaultPlan, Suffering};
use super::operations::{Effect, Operation, Outcome, Request};
use super::query::Params;
use super::request_log::{Entry, RequestLog};
use super::state_file::{self, StateFileError};
use super::{auth, control, digest, faults, names, receive};
use crate::clock::Clock;
use crate::http::serve;

/// How a sandbox begins.
#[derive(Debug, Clone)]
pub struct SandboxOptions {
    /// Twelve digits.
    pub account_id: String,
    /// Where the account is kept; `None` keeps it in memory only.
    pub state_file: Option<PathBuf>,
    /// Clusters to have from the beginning; one that is there already is left as it is.
    pub clusters: Vec<SeedCluster>,
    /// Quotas and durations; `None` keeps those of the state file, or the defaults.
    pub limits: Option<AccountLimits>,
    /// What goes wrong.
    pub faults: FaultPlan,
}

/// A cluster to begin with, `available` at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeedCluster {
    /// For example `eu-central-1`.
    pub region: String,
    /// 1 to 63 lower-case letters, digits and hyphens.
    pub cluster_identifier: String,
}

/// Why a sandbox cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The state file is no use.
    #[error(transparent)]
    StateFile(#[from] StateFileError),
    /// The state file belongs to another account.
    #[error("the sandbox's state file {path} holds account {found}, wanted {wanted}")]
    OtherAccount {
        /// The file.
        path: PathBuf,
        /// Whose it is.
        found: String,
        /// Whose it should be.
        wanted: String,
    },
    /// The account number is not twelve digits.
    #[error("the account number '{0}' is not twelve digits")]
    AccountId(String),
    /// A seed's name is not allowed.
    #[error("cannot begin with cluster '{identifier}'")]
    Seed {
        /// The name.
        identifier: String,
        /// What is wrong with it.
        source: ApiError,
    },
}

/// A running account with its HTTP face.
pub struct Sandbox {
    clock: Arc<dyn Clock>,
    state_file: Option<PathBuf>,
    account: Mutex<Account>,
    bench: Mutex<Bench>,
}

/// What surrounds the account while somebody experiments with it.
#[derive(Default)]
pub(super) struct Bench {
    pub(super) faults: FaultPlan,
    pub(super) log: RequestLog,
    pub(super) clock_offset_seconds: i64,
    /// How many request identifiers have been given.
    request_ids: u64,
}

/// A request whose sender and parameters are known.
pub(super) struct Received {
    pub(super) scope: auth::CredentialScope,
    pub(super) params: Params,
}

/// A request that has been written down, with what it is to suffer.
pub(super) struct Admitted {
    pub(super) log_number: u64,
    pub(super) suffering: Suffering,
}

impl Sandbox {
    /// Loads or founds the account, adds the seeds, and keeps the result.
    ///
    /// Blocks on the file system. An absent state file is a new account; a damaged one, or one of another
    /// account, is an error.
    pub fn open(options: SandboxOptions, clock: Arc<dyn Clock>) -> Result<Self, SandboxError> {
        let loaded = match &options.state_file {
            Some(path) => state_file::load(path)?,
            None => None,
        };
        let mut account = account_of(&options, loaded.clone())?;
        for seed in &options.clusters {
            plant(&mut account, seed, clock.now())?;
        }
        if let (Some(path), true) = (&options.state_file, loaded.as_ref() != Some(&account)) {
            state_file::save(path, &account)?;
        }
        Ok(Self {
            clock,
            state_file: options.state_file,
            account: Mutex::new(account),
            bench: Mutex::new(Bench {
                faults: options.faults,
                ..Bench::default()
            }),
        })
    }

    /// Serves the account on `listener` until `shutdown` is ready.
    ///
    /// The listener should be on loopback: no signature is checked, and the control endpoint is open.
    pub async fn serve(self: Arc<Self>, listener: TcpListener, shutdown: impl Future<Output = ()>) {
        serve::serve(listener, self.router(), limits(), shutdown).await;
    }

    /// The operations under `/` and the control endpoint under `/_sandbox/`.
    pub fn router(self: Arc<Self>) -> Router {
        let router = control::routes(receive::routes()).with_state(Arc::clone(&self));
        control::with_date(router, self)
    }

    /// The sandbox's present: the injected clock, and the offset that the control endpoint has set.
    pub fn now(&self) -> DateTime<Utc> {
        let offset = TimeDelta::seconds(self.bench().clock_offset_seconds);
        let now = self.clock.now();
        now.checked_add_signed(offset).unwrap_or(now)
    }

    pub(super) fn account(&self) -> MutexGuard<'_, Account> {
        self.account.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn bench(&self) -> MutexGuard<'_, Bench> {
        self.bench.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A request identifier that no other request of this sandbox has had.
    pub(super) fn request_id(&self) -> String {
        let now = self.clock.now().to_rfc3339();
        let mut bench = self.bench();
        bench.request_ids += 1;
        digest::uuid(&["request", &now, &bench.request_ids.to_string()])
    }

    /// Writes a request down and lets the fault plan see it.
    pub(super) fn admit(&self, received: &Received) -> Admitted {
        let received_at = self.now();
        let mut bench = self.bench();
        let params = &received.params;
        let operation = params.optional("Action").unwrap_or_default();
        let cluster = params.optional("ClusterIdentifier");
        let suffering = bench.faults.next(faults::Call {
            operation,
            region: &received.scope.region,
            cluster: cluster.or_else(|| params.optional("SnapshotClusterIdentifier")),
        });
        let log_number = bench.log.push(Entry {
            received_at,
            operation: operation.to_owned(),
            region: received.scope.region.clone(),
            parameters: params.redacted(),
            fault: suffering.fault.as_ref().map(faults::Fault::kind),
            outcome: None,
        });
        Admitted {
            log_number,
            suffering,
        }
    }

    /// Carries out an operation; what it changed is in the state file when this returns.
    ///
    /// Blocks on the file system.
    pub(super) fn execute(
        &self,
        operation: &Operation,
        received: Received,
        admitted: &Admitted,
    ) -> Outcome {
        // The present is read under the lock, so that the order of changes is the order of their dates.
        let request = |now| Request {
            region: received.scope.region,
            params: received.params,
            now,
            twist: admitted.suffering.twist(),
        };
        let outcome = match operation.effect {
            Effect::Reads(run) => {
                let account = self.account();
                run(&account, &request(self.now()))
            }
            Effect::Writes(run) => self.change(|account| run(account, &request(self.now()))),
        };
        let ended = outcome
            .as_ref()
            .map_or_else(|error| error.code.as_str(), |_| "ok");
        self.bench().log.finish(admitted.log_number, ended);
        outcome
    }

    /// Changes the account, in the file first; when either fails nothing is changed.
    ///
    /// Blocks on the file system.
    pub(super) fn change<T>(
        &self,
        change: impl FnOnce(&mut Account) -> Result<T, ApiError>,
    ) -> Result<T, ApiError> {
        let mut account = self.account();
        let mut next = account.clone();
        let value = change(&mut next)?;
        if let Some(path) = &self.state_file {
            state_file::save(path, &next).map_err(|error| {
                tracing::error!(
                    error = &error as &dyn Error,
                    "cannot keep a change of the sandbox"
                );
                ApiError::new(Code::InternalFailure, error.to_string())
            })?;
        }
        *account = next;
        Ok(value)
    }
}

/// Runs `work` where it may block.
///
/// It runs to its end even if the client goes away meanwhile, as a request to AWS would.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(ApiError::new(Code::InternalFailure, error.to_string())),
    }
}

/// Generous, because tests hang on purpose and fleets come at once.
fn limits() -> serve::Limits {
    serve::Limits {
        connections: 1_024,
        header_timeout: Duration::from_secs(60),
        connection_lifetime: Duration::from_secs(3_600),
        drain: Duration::from_secs(2),
        ..serve::Limits::default()
    }
}

fn account_of(options: &SandboxOptions, loaded: Option<Account>) -> Result<Account, SandboxError> {
    let wanted = &options.account_id;
    if wanted.len() != 12 || !wanted.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(SandboxError::AccountId(wanted.clone()));
    }
    let mut account = match loaded {
        Some(account) if account.account_id != *wanted => {
            return Err(SandboxError::OtherAccount {
                path: options.state_file.clone().unwrap_or_default(),
                found: account.account_id,
                wanted: wanted.clone(),
            });
        }
        Some(account) => account,
        None => Account::new(wanted.clone(), AccountLimits::default()),
    };
    if let Some(limits) = &options.limits {
        account.limits = limits.clone();
    }
    Ok(account)
}

fn plant(
    account: &mut Account,
    seed: &SeedCluster,
    now: DateTime<Utc>,
) -> Result<(), SandboxError> {
    let identifier = &seed.cluster_identifier;
    names::cluster_identifier(identifier).map_err(|source| SandboxError::Seed {
        identifier: identifier.clone(),
        source,
    })?;
    account
        .region_mut(&seed.region, now)
        .clusters
        .entry(identifier.clone())
        .or_insert_with(|| Cluster::with_defaults(identifier, &seed.region, now));
    Ok(())
}
