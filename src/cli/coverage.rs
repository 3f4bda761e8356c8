//! `redkeep coverage`: what nothing protects, and what protects nothing.

use std::io::Write;
use std::sync::Arc;

use clap::Args;

use crate::clock::Clock;
use crate::coverage::{Finding, Seen, findings};
use crate::names::{ClusterId, PolicyName};
use crate::redshift::Redshift;
use crate::slot::{PairFilter, Scope};
use crate::store::Reader;

use super::filter::FilterArgs;
use super::forecast::reader;
use super::history::unreadable;
use super::output::{Column, Tone, View, row, text, write_rows};
use super::scopes::list;
use super::view::OutputArgs;
use super::{ConfigArgs, Failure, load};

/// Asks AWS for all clusters and lists those that no policy protects, and the policies that protect nothing.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  redkeep coverage
  redkeep coverage --output json

Changes nothing, here or at AWS. Exits with 0 when there is nothing to list, 1 when there is something, 69
when AWS did not answer in any account and region.")]
pub struct CoverageArgs {
    #[command(flatten)]
    config: ConfigArgs,
    #[command(flatten)]
    filter: FilterArgs,
    #[command(flatten)]
    output: OutputArgs,
}

row! {
    /// What nothing protects, or what protects nothing.
    CoverageRow {
        finding: &'static str,
        account: Option<String>,
        region: Option<String>,
        cluster: Option<String>,
        policy: Option<String>,
        detail: String,
    }
}

const COLUMNS: &[Column<CoverageRow>] = &[
    Column("finding", |row: &CoverageRow| row.finding.to_owned()).toned(|row| match row.finding {
        "not_seen" => Tone::Warning,
        _ => Tone::Bad,
    }),
    Column("account", |row: &CoverageRow| text(&row.account)).where_rows_differ(),
    Column("region", |row: &CoverageRow| text(&row.region)).where_rows_differ(),
    Column("cluster", |row| text(&row.cluster)),
    Column("policy", |row| text(&row.policy)),
    Column("detail", |row: &CoverageRow| row.detail.clone()).broken(),
];

pub(super) async fn coverage(args: &CoverageArgs, clock: Arc<dyn Clock>) -> Result<(), Failure> {
    let config = load(&args.config).await?;
    let reader = reader(&config)?;
    let history = reader.as_ref().map(Reader::newest).transpose();
    let history = history.map_err(unreadable)?.unwrap_or_default();
    let clusters = |client: Arc<_>| async move { Redshift::clusters(&*client).await };
    let seen: Seen = list(&config, &clock, clusters).await;
    let listed = seen.values().flatten().flatten();
    let listed = listed.map(|cluster| cluster.id.to_string()).collect();
    let wanted = args.filter.checked_with(&config, reader.as_ref(), listed)?;
    let mut findings = findings(&config, &history, &seen);
    findings.retain(|finding| is_wanted(finding, &wanted));
    let rows: Vec<CoverageRow> = findings.iter().map(row).collect();
    let mut out = std::io::stdout().lock();
    if !args.output.output.is_table() || !rows.is_empty() {
        write_rows(&mut out, View::plain(&args.output), COLUMNS, &rows)?;
    }
    let scopes = seen.values().flatten().count();
    if scopes == 0 {
        return Err(Failure::Unreachable(
            "AWS did not answer in any account and region".to_owned(),
        ));
    }
    if !findings.is_empty() {
        return Err(Failure::Finding);
    }
    writeln!(std::io::stderr(), "{}", all_well(&seen, &wanted))?;
    Ok(())
}

/// That there is nothing to report, and of how much that is said.
fn all_well(seen: &Seen, wanted: &PairFilter) -> String {
    let asked = seen.iter().filter(|(scope, _)| wanted.has_scope(scope));
    let (mut scopes, mut clusters) = (0, 0);
    for listed in asked.filter_map(|(_, listed)| listed.as_ref().ok()) {
        scopes += 1;
        clusters += { listed.iter() }
            .filter(|cluster| wanted.has_cluster(&cluster.id))
            .count();
    }
    match *wanted == PairFilter::default() {
        true => format!(
            "nothing to report: policies protect all clusters ({clusters}) in all accounts and regions ({scopes})"
        ),
        false => format!(
            "nothing to report about what was asked for: {clusters} clusters in {scopes} accounts and regions; \
             without a filter `redkeep coverage` reports on all"
        ),
    }
}

/// What a finding is not about keeps none away.
fn is_wanted(finding: &Finding, wanted: &PairFilter) -> bool {
    let (scope, cluster, policy) = about(finding);
    scope.is_none_or(|scope| wanted.has_scope(scope))
        && cluster.is_none_or(|cluster| wanted.has_cluster(cluster))
        && policy.is_none_or(|policy| wanted.has_policy(policy))
}

/// The place, the cluster and the policy that a finding is about.
fn about(finding: &Finding) -> (Option<&Scope>, Option<&ClusterId>, Option<&PolicyName>) {
    match finding {
        Finding::Unprotected { scope, cluster, .. } => (Some(scope), Some(cluster), None),
        Finding::NoGoodSnapshot(pair) => {
            (Some(&pair.scope), Some(&pair.cluster), Some(&pair.policy))
        }
        Finding::MatchesNothing(policy) => (None, None, Some(policy)),
        Finding::NoSuchCluster(policy, cluster, _) => (None, Some(cluster), Some(policy)),
        Finding::NotSeen(scope, _) => (Some(scope), None, None),
    }
}

fn row(finding: &Finding) -> CoverageRow {
    let (scope, cluster, policy) = about(finding);
    CoverageRow {
        finding: finding.word(),
        account: scope.map(|scope| scope.account.to_string()),
        region: scope.map(|scope| scope.region.to_string()),
        cluster: cluster.map(ToString::to_string),
        policy: policy.map(ToString::to_string),
        detail: finding.words(),
    }
}
