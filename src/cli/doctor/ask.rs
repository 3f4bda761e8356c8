//! Asking AWS, in every scope at once and not for long.
//!
//! Owns: the questions of [`crate::doctor`] as calls, each with a time limit of its own, so that one that hangs
//! delays nothing by more than that. Never asks for a change.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use crate::aws::{AwsRedshift, Connector};
use crate::clock::Clock;
use crate::config::Config;
use crate::doctor::{Holding, ProbeResult, Question};
use crate::names::Namespace;
use crate::redshift::{Answer, Redshift, ServerDate};
use crate::slot::Scope;
use crate::snapshot::{Snapshot, SnapshotId};

use crate::cli::scopes::{ask_each, within};

/// How long the answer to one question is waited for.
const PROBE_TIMEOUT: Duration = Duration::from_secs(6);

/// What each scope of the configuration answers.
pub(super) async fn scopes(
    config: &Config,
    connector: &Connector,
    clock: &Arc<dyn Clock>,
) -> BTreeMap<Scope, Vec<ProbeResult>> {
    // A snapshot that redkeep never makes: every name of its own has a hash at the end.
    let nameless = SnapshotId::recorded(format!("{}-doctor", config.namespace));
    let question = |_, client: Arc<AwsRedshift>| {
        let (clock, id) = (Arc::clone(clock), nameless.clone());
        let namespace = config.namespace.clone();
        async move { ask(&client, &id, &*clock, &namespace).await }
    };
    // A scope without answers is a finding.
    ask_each(config, connector, config.scopes(), question).await
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
        probe(
            Question::Snapshots,
            client.snapshots(Duration::ZERO),
            clock,
            count
        ),
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
    let answer = within(PROBE_TIMEOUT, call).await;
    let answer = answer.unwrap_or_else(|error| Answer {
        result: Err(error),
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
