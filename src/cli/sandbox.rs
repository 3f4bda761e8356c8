//! `redkeep sandbox`: the embedded Redshift by itself, for other clients.

use std::error::Error;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use tokio::net::TcpListener;
use tracing::{info, warn};

use crate::clock::Clock;
use crate::config::{Log, LogFormat, LogLevel};
use crate::error_chain::with_causes;
use crate::logging;
use crate::sandbox::{FaultPlan, LimitsChange, Sandbox, SandboxOptions, SeedCluster};

use super::{Failure, signals};

/// Serves a strict model of Redshift's control plane, until stopped.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  redkeep sandbox --cluster dw-prod --cluster finance
  export AWS_ENDPOINT_URL=http://127.0.0.1:9836 AWS_ACCESS_KEY_ID=x AWS_SECRET_ACCESS_KEY=x AWS_DEFAULT_REGION=us-east-1
  aws redshift describe-clusters
  aws redshift create-cluster-snapshot --cluster-identifier dw-prod --snapshot-identifier first

Requests must have signatures, but the sandbox does not check them. Faults, states and limits are set under
/_sandbox/, as docs/sandbox.md describes.")]
pub struct SandboxArgs {
    /// The address to listen on
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9836")]
    listen: SocketAddr,
    /// A cluster to start with; may be given more than once
    #[arg(long, value_name = "ID")]
    cluster: Vec<String>,
    /// A region of these clusters; may be given more than once
    #[arg(long, value_name = "REGION", default_value = "us-east-1")]
    region: Vec<String>,
    /// An account of these clusters; may be given more than once, the first is the account of every user
    #[arg(long, value_name = "NUMBER", default_value = ACCOUNT_NUMBER)]
    account: Vec<String>,
    /// Keep the state in this file; by default it is lost when the process ends
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
    /// How many seconds a snapshot takes; by default 5, or what the state file says
    #[arg(long, value_name = "SECONDS")]
    snapshot_seconds: Option<u32>,
    /// How many manual snapshots a region may have; by default 20, or what the state file says
    #[arg(long, value_name = "N")]
    quota: Option<u32>,
    /// A file with a JSON array of fault rules to start with
    #[arg(long, value_name = "FILE")]
    faults: Option<PathBuf>,
}

const LOG: Log = Log {
    format: LogFormat::Auto,
    level: LogLevel::Info,
};

/// No real account has this number.
pub(super) const ACCOUNT_NUMBER: &str = "000000000000";

pub(super) async fn sandbox(args: SandboxArgs, clock: Arc<dyn Clock>) -> Result<(), Failure> {
    logging::init(LOG).map_err(|error| Failure::Other(error.to_string()))?;
    let options = SandboxOptions {
        account_id: args.account.first().cloned().unwrap_or_default(),
        state_file: args.state.clone(),
        clusters: seeds(&args),
        limits: LimitsChange {
            manual_snapshots: args.quota,
            snapshot_seconds: args.snapshot_seconds,
            ..LimitsChange::default()
        },
        faults: args
            .faults
            .as_deref()
            .map_or(Ok(FaultPlan::default()), fault_plan)?,
    };
    let sandbox =
        Sandbox::open(options, clock).map_err(|error| Failure::Other(with_causes(&error)))?;
    let listener = TcpListener::bind(args.listen).await.map_err(|error| {
        Failure::Other(format!(
            "cannot listen on {}: {error}; give another with --listen",
            args.listen
        ))
    })?;
    let address = listener.local_addr()?;
    info!("a sandbox of Amazon Redshift, not AWS; set AWS_ENDPOINT_URL to its address to use it");
    if !address.ip().is_loopback() {
        warn!("other hosts can reach {address}, and there is no log-in");
    }
    writeln!(std::io::stdout(), "http://{address}")?;
    let stopped = signals::stopped().map_err(|error| Failure::Other(error.to_string()))?;
    Arc::new(sandbox).serve(listener, stopped).await;
    Ok(())
}

fn fault_plan(path: &Path) -> Result<FaultPlan, Failure> {
    let unusable = |reason: &dyn Error| {
        let path = path.display();
        Failure::Other(format!("cannot use the fault plan {path}: {reason}"))
    };
    let text = std::fs::read(path).map_err(|error| unusable(&error))?;
    FaultPlan::from_json(&text).map_err(|error| unusable(&error))
}

/// Each cluster in each account and region.
fn seeds(args: &SandboxArgs) -> Vec<SeedCluster> {
    let mut seeds = Vec::new();
    for account in &args.account {
        for region in &args.region {
            let clusters = args.cluster.iter();
            seeds.extend(clusters.map(|cluster| seed(Some(account), region, cluster)));
        }
    }
    seeds
}

pub(super) fn seed(account_id: Option<&str>, region: &str, cluster: &str) -> SeedCluster {
    SeedCluster {
        account_id: account_id.map(str::to_owned),
        region: region.to_owned(),
        cluster_identifier: cluster.to_owned(),
    }
}
