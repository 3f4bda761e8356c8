//! Asking AWS, in every scope at once and not for long.
//!
//! Owns: the questions of [`crate::doctor`] as calls, each with a time limit of its own, so that one that hangs
//! delays nothing by more than that. Never asks for a change.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use crate::aws::{AwsRedshift, Connector};
use crate::clock::Clock;
use crate::config::Config;
use crate::doctor::{Holding, ProbeResult, Question};
use crate::names::Namespace;
use crate::redshift::{Answer, ErrorClass, Redshift, RedshiftError, ServerDate};
use crate::slot::Scope;
use crate::snapshot::{Snapshot, SnapshotId};

/// How long an answer is waited for.
const PROBE_TIMEOUT: Duration = Duration::from_secs(6);

/// What each scope of the configuration answers.
pub(super) async fn scopes(
    config: &Config,
    connector: &Connector,
    clock: &Arc<dyn Clock>,
) -> BTreeMap<Scope, Vec<ProbeResult>> {
    let mut asking = JoinSet::new();
    // A snapshot that redkeep never makes: every name of its own has a hash at the end.
    let nameless = SnapshotId::recorded(format!("{}-doctor", config.namespace));
    for scope in config.scopes() {
        let identity = config
            .account(&scope.account)
            .map(|account| account.identity.clone());
        let (connector, clock, id) = (connector.clone(), Arc::clone(clock), nameless.clone());
        let namespace = config.namespace.clone();
        asking.spawn(async move {
            let client = connector
                .client(
                    &identity.unwrap_or_default(),
                    &scope.region,
                    Arc::new(|_, _, _| {}),
                )
                .await;
            let probes = ask(&client, &id, &*clock, &namespace).await;
            (scope, probes)
        });
    }
    let mut answers = BTreeMap::new();
    while let Some(ended) = asking.join_next().await {
        // A task that did not end well leaves its scope without answers, which is a finding.
        answers.extend(ended.ok());
    }
    answers
}

async fn ask(
    client: &AwsRedshift,
    id: &SnapshotId,
    clock: &dyn Clock,
    namespace: &Namespace,
) -> Vec<ProbeResult> {
    // Credentials may take their time, which is not AWS's.
    if let Err(error) = client.find_credentials().await {
        return vec![ProbeResult {
            question: Question::Identity,
            result: Err(error),
            holding: None,
            server_date: ServerDate::NoAnswer,
            answered_at: clock.now(),
        }];
    }
    let mut holding = None;
    let count = |listed: &Vec<Arc<Snapshot>>| {
        let own = listed.iter().filter(|one| one.claims(namespace)).count();
        let held = listed.len();
        holding = Some(Holding { held, own });
        format!("{held} manual snapshots")
    };
    let (identity, clusters, snapshots, events) = tokio::join!(
        probe(
            Question::Identity,
            client.account_number(),
            clock,
            String::clone
        ),
        probe(Question::Clusters, client.clusters(), clock, |clusters| {
            format!("{} clusters", clusters.len())
        }),
        probe(Question::Snapshots, client.snapshots(), clock, count),
        probe(Question::Events, client.events(id), clock, |_| {
            "AWS answers".to_owned()
        }),
    );
    let snapshots = ProbeResult {
        holding,
        ..snapshots
    };
    vec![identity, clusters, snapshots, events]
}

async fn probe<T>(
    question: Question,
    call: impl Future<Output = Answer<T>>,
    clock: &dyn Clock,
    say: impl FnOnce(&T) -> String,
) -> ProbeResult {
    let answer = tokio::time::timeout(PROBE_TIMEOUT, call).await;
    let answer = answer.unwrap_or_else(|_| Answer {
        result: Err(RedshiftError {
            class: ErrorClass::Unknown,
            code: None,
            message: format!("nothing came within {} s", PROBE_TIMEOUT.as_secs()),
        }),
        server_date: ServerDate::NoAnswer,
        requests: 1,
    });
    ProbeResult {
        question,
        result: answer.result.as_ref().map(say).map_err(Clone::clone),
        holding: None,
        server_date: answer.server_date,
        answered_at: clock.now(),
    }
}
