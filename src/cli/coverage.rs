//! `redkeep coverage`: what nothing protects, and what protects nothing.

use std::io::Write;
use std::sync::Arc;

use clap::Args;

use crate::clock::Clock;
use crate::coverage::{Finding, Seen, findings};
use crate::redshift::Redshift;

use super::forecast::known;
use super::listing::ask_scopes;
use super::output::{Output, Row, write_rows};
use super::{ConfigArgs, Failure, load};

/// Asks AWS for all clusters and lists those that no policy protects, and the policies that protect nothing.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  redkeep coverage
  redkeep coverage --output json

Changes nothing, here or at AWS. Exits with 1 when there is anything to list, 69 when AWS answered nowhere.")]
pub struct CoverageArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// The form of the output
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

const FIELDS: &[&str] = &[
    "finding", "account", "region", "cluster", "policy", "detail",
];

pub(super) async fn coverage(args: &CoverageArgs, clock: Arc<dyn Clock>) -> Result<(), Failure> {
    let config = load(&args.config).await?;
    let history = known(&config)?;
    let clusters = |client: Arc<_>| async move { Redshift::clusters(&*client).await };
    let seen: Seen = ask_scopes(&config, &clock, clusters).await;
    let findings = findings(&config, &history, &seen);
    let rows: Vec<Row> = findings.iter().map(row).collect();
    let mut out = std::io::stdout().lock();
    if args.output != Output::Table || !rows.is_empty() {
        write_rows(&mut out, args.output, FIELDS, FIELDS, &rows)?;
    }
    let answered = seen.values().flatten();
    let (scopes, clusters) = answered.fold((0, 0), |(scopes, count), clusters| {
        (scopes + 1, count + clusters.len())
    });
    if scopes == 0 {
        return Err(Failure::Unreachable("AWS answered in no scope".to_owned()));
    }
    if !findings.is_empty() {
        return Err(Failure::Finding);
    }
    writeln!(
        std::io::stderr(),
        "nothing to report: policies protect all clusters ({clusters}) in all accounts and regions ({scopes})"
    )?;
    Ok(())
}

fn row(finding: &Finding) -> Row {
    let row = Row::default().with("finding", finding.word());
    let row = match finding {
        Finding::Unprotected { scope, cluster, .. } => row
            .with("account", scope.account.as_str())
            .with("region", scope.region.as_str())
            .with("cluster", cluster.as_str()),
        Finding::NoGoodSnapshot(pair) => row
            .with("account", pair.scope.account.as_str())
            .with("region", pair.scope.region.as_str())
            .with("cluster", pair.cluster.as_str())
            .with("policy", pair.policy.as_str()),
        Finding::MatchesNothing(policy) => row.with("policy", policy.as_str()),
        Finding::NoSuchCluster(policy, cluster, _) => row
            .with("cluster", cluster.as_str())
            .with("policy", policy.as_str()),
        Finding::NotSeen(scope, _) => row
            .with("account", scope.account.as_str())
            .with("region", scope.region.as_str()),
    };
    row.with("detail", finding.words())
}
