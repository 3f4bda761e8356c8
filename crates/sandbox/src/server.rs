//! The embedded control plane as a server: the only part that reads the clock and holds locks.
//!
//! Owns: the accounts behind a lock, the harness around it (fault plan, request log, clock offset), and the
//! way of a request from bytes to answer. A change is in the state file before its answer goes out, so a
//! kill loses nothing that was acknowledged; the harness is an experiment's and is forgotten at the end.

use std::error::Error;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use tokio::net::TcpListener;

use super::account::{Account, AccountLimits, LimitsChange, is_account_number};
use super::auth::Credential;
use super::cloud::Cloud;
use super::cluster::Cluster;
use super::error::{ApiError, Code};
use super::faults::{FaultEffect, FaultPlan};
use super::operations::{Effect, Operation, Outcome, Request};
use super::query::Params;
use super::request_log::{Entry, RequestLog};
use super::role::Caller;
use super::state_file::{self, StateFileError};
use super::{control, digest, faults, names, receive};
use redkeep_serve::clock::Clock;
use redkeep_serve::listener as serve;

/// How a sandbox begins.
#[derive(Debug, Clone)]
pub struct SandboxOptions {
    /// The account of callers who have not assumed a role; twelve digits.
    pub account_id: String,
    /// Where the accounts are kept; `None` keeps them in memory only.
    pub state_file: Option<PathBuf>,
    /// Clusters to have from the beginning; one that is there already is left as it is.
    pub clusters: Vec<SeedCluster>,
    /// Quotas and durations of every account, where they differ from those of the state file or the defaults.
    pub limits: LimitsChange,
    /// What goes wrong.
    pub faults: FaultPlan,
}

/// A cluster to begin with, `available` at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeedCluster {
    /// The account's number; `None` for that of callers who have not assumed a role.
    pub account_id: Option<String>,
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

/// Running accounts with their HTTP face.
pub struct Sandbox {
    clock: Arc<dyn Clock>,
    state_file: Option<PathBuf>,
    cloud: Mutex<Cloud>,
    harness: Mutex<Harness>,
}

/// What surrounds the accounts while somebody experiments with it.
#[derive(Default)]
pub(super) struct Harness {
    pub(super) faults: FaultPlan,
    pub(super) log: RequestLog,
    pub(super) clock_offset_seconds: i64,
    /// Whether requests count whatever their date.
    pub(super) tolerates_skew: bool,
    /// How many request identifiers have been given.
    request_ids: u64,
}

/// A request whose sender and parameters are known.
pub(super) struct Received {
    pub(super) credential: Credential,
    pub(super) params: Params,
}

/// A request that has been written down, with what it is to suffer.
pub(super) struct Admitted {
    pub(super) log_number: u64,
    pub(super) fault_effect: FaultEffect,
    /// Who sent it, or why nobody may with these credentials at this time.
    pub(super) caller: Result<Caller, ApiError>,
}

impl Sandbox {
    /// Loads or founds the accounts, adds the seeds, and keeps the result.
    ///
    /// Blocks on the file system. An absent state file is a new account; a damaged one, or one with another
    /// default account, is an error.
    pub fn open(options: SandboxOptions, clock: Arc<dyn Clock>) -> Result<Self, SandboxError> {
        let loaded = match &options.state_file {
            Some(path) => state_file::load(path)?,
            None => None,
        };
        let mut cloud = cloud_of(&options, loaded.clone())?;
        for seed in &options.clusters {
            plant(&mut cloud, seed, clock.now())?;
        }
        if let (Some(path), true) = (&options.state_file, loaded.as_ref() != Some(&cloud)) {
            state_file::save(path, &cloud)?;
        }
        Ok(Self {
            clock,
            state_file: options.state_file,
            cloud: Mutex::new(cloud),
            harness: Mutex::new(Harness {
                faults: options.faults,
                ..Harness::default()
            }),
        })
    }

    /// Serves the accounts on `listener` until `shutdown` is ready.
    ///
    /// The listener should be on loopback: no signature is computed, and the control endpoint is open.
    pub async fn serve(self: Arc<Self>, listener: TcpListener, shutdown: impl Future<Output = ()>) {
        serve::serve(listener, self.router(), limits(), shutdown).await;
    }

    /// The operations under `/` and the control endpoint under `/_sandbox/`.
    pub fn router(self: Arc<Self>) -> Router {
        let router = control::routes(receive::routes()).with_state(Arc::clone(&self));
        control::with_date(router, self)
    }

    /// The sandbox's present: the injected clock, and the offset that the control endpoint has set.
    ///
    /// In whole milliseconds, as answers show it: a client that asks for what was made until a time that it was
    /// shown finds what was made then.
    pub fn now(&self) -> DateTime<Utc> {
        let offset = TimeDelta::seconds(self.harness().clock_offset_seconds);
        let now = self.clock.now();
        now.checked_add_signed(offset)
            .unwrap_or(now)
            .trunc_subsecs(3)
    }

    pub(super) fn cloud(&self) -> MutexGuard<'_, Cloud> {
        self.cloud.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn harness(&self) -> MutexGuard<'_, Harness> {
        self.harness.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A request identifier that no other request of this sandbox has had.
    pub(super) fn request_id(&self) -> String {
        let now = self.clock.now().to_rfc3339();
        let mut harness = self.harness();
        harness.request_ids += 1;
        digest::uuid(&["request", &now, &harness.request_ids.to_string()])
    }

    /// Writes a request down and lets the fault plan see it.
    pub(super) fn admit(&self, received: &Received) -> Admitted {
        let received_at = self.now();
        let credential = &received.credential;
        let (caller, account) = self.identify(credential, received_at);
        let mut harness = self.harness();
        let params = &received.params;
        let operation = params.optional("Action").unwrap_or_default();
        let cluster = params.optional("ClusterIdentifier");
        let fault_effect = harness.faults.next(faults::Call {
            operation,
            account: account.as_deref(),
            region: &credential.region,
            cluster: cluster.or_else(|| params.optional("SnapshotClusterIdentifier")),
        });
        let log_number = harness.log.push(Entry {
            received_at,
            operation: operation.to_owned(),
            account,
            region: credential.region.clone(),
            parameters: params.redacted(),
            fault: fault_effect.fault.as_ref().map(faults::Fault::kind),
            outcome: None,
        });
        Admitted {
            log_number,
            fault_effect,
            caller,
        }
    }

    /// Who holds these credentials, and the account that the key leads to even if it may not be used.
    fn identify(
        &self,
        credential: &Credential,
        now: DateTime<Utc>,
    ) -> (Result<Caller, ApiError>, Option<String>) {
        let tolerates_skew = self.harness().tolerates_skew;
        let cloud = self.cloud();
        let (key, token) = (&credential.access_key, credential.security_token.as_deref());
        let fresh = match tolerates_skew {
            true => Ok(()),
            false => credential.require_fresh(now),
        };
        let caller = fresh.and_then(|()| cloud.caller(key, token, now));
        (caller, cloud.account_of(key).map(str::to_owned))
    }

    /// Carries out an operation in the caller's account; what it changed is in the state file when this returns.
    ///
    /// Blocks on the file system.
    pub(super) fn execute(
        &self,
        operation: &Operation,
        caller: &Caller,
        received: Received,
        admitted: &Admitted,
    ) -> Outcome {
        // The present is read under the lock, so that the order of changes is the order of their dates.
        let request = |now| Request {
            region: received.credential.region,
            params: received.params,
            now,
            twist: admitted.fault_effect.twist(),
        };
        let account_id = caller.account_id();
        let outcome = match operation.effect {
            Effect::Reads(run) => {
                let cloud = self.cloud();
                run(&cloud.account(account_id), &request(self.now()))
            }
            Effect::Writes(run) => self.change(|cloud| {
                let account = cloud.account_mut(account_id);
                run(account, &request(self.now()))
            }),
            Effect::Identifies(run) => run(caller, &request(self.now())),
            Effect::Grants(run) => self.change(|cloud| run(cloud, caller, &request(self.now()))),
        };
        let ended = outcome
            .as_ref()
            .map_or_else(|error| error.code.as_str(), |_| "ok");
        self.harness().log.finish(admitted.log_number, ended);
        outcome
    }

    /// Changes the accounts, in the file first; when either fails nothing is changed.
    ///
    /// Blocks on the file system.
    pub(super) fn change<T>(
        &self,
        change: impl FnOnce(&mut Cloud) -> Result<T, ApiError>,
    ) -> Result<T, ApiError> {
        let mut cloud = self.cloud();
        let mut next = cloud.clone();
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
        *cloud = next;
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

fn cloud_of(options: &SandboxOptions, loaded: Option<Cloud>) -> Result<Cloud, SandboxError> {
    let wanted = &options.account_id;
    require_account_number(wanted)?;
    let fresh = || Cloud::new(Account::new(wanted.clone(), AccountLimits::default()));
    let mut cloud = loaded.unwrap_or_else(fresh);
    let found = &cloud.default_account().account_id;
    if found != wanted {
        return Err(SandboxError::OtherAccount {
            path: options.state_file.clone().unwrap_or_default(),
            found: found.clone(),
            wanted: wanted.clone(),
        });
    }
    for account in cloud.accounts_mut() {
        options.limits.apply(&mut account.limits);
    }
    Ok(cloud)
}

fn require_account_number(text: &str) -> Result<(), SandboxError> {
    match is_account_number(text) {
        true => Ok(()),
        false => Err(SandboxError::AccountId(text.to_owned())),
    }
}

fn plant(cloud: &mut Cloud, seed: &SeedCluster, now: DateTime<Utc>) -> Result<(), SandboxError> {
    let default = cloud.default_account().account_id.clone();
    let account_id = seed.account_id.as_ref().unwrap_or(&default);
    require_account_number(account_id)?;
    let identifier = &seed.cluster_identifier;
    names::cluster_identifier(identifier).map_err(|source| SandboxError::Seed {
        identifier: identifier.clone(),
        source,
    })?;
    cloud
        .account_mut(account_id)
        .region_mut(&seed.region, now)
        .clusters
        .entry(identifier.clone())
        .or_insert_with(|| Cluster::with_defaults(identifier, &seed.region, now));
    Ok(())
}
