//! Asking AWS in every account and region at once, for the commands that only look.
//!
//! Owns: the clients, and that one scope which hangs delays no other. Never asks for a change, and never says what
//! follows from an answer.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use crate::aws::{AwsRedshift, Connector};
use crate::clock::Clock;
use crate::config::Config;
use crate::redshift::{Answer, ErrorClass, RedshiftError};
use crate::slot::Scope;

use super::state_lock::{Holder, holder, target};

/// How long all pages of a listing are waited for: 20,000 snapshots have two hundred.
const LISTING_TIMEOUT: Duration = Duration::from_secs(60);

/// What makes the clients of a command; `None` where the embedded sandbox does not run, so that there is nobody to ask.
pub(super) fn connector(config: &Config, clock: &Arc<dyn Clock>) -> Option<Connector> {
    let is_held = holder(&config.state_dir).is_ok_and(|holder| holder != Holder::Nobody);
    let target = target(config, is_held)?;
    Some(Connector::new(
        target,
        config.namespace.clone(),
        Arc::clone(clock),
    ))
}

/// What each of `scopes` answers to `question`, which limits its own time. A question that did not end well leaves its
/// scope without an answer.
pub(super) async fn ask_each<T, F>(
    config: &Config,
    connector: &Connector,
    scopes: impl IntoIterator<Item = Scope>,
    question: impl Fn(Scope, Arc<AwsRedshift>) -> F,
) -> BTreeMap<Scope, T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let mut asking = JoinSet::new();
    for scope in scopes {
        let account = config.account(&scope.account);
        let identity = account.map(|account| account.identity.clone());
        let identity = identity.unwrap_or_default();
        let client = connector.client(&identity, &scope.region, Arc::new(|_, _, _| {}));
        let asked = question(scope.clone(), Arc::new(client.await));
        asking.spawn(async move { (scope, asked.await) });
    }
    let mut answers = BTreeMap::new();
    while let Some(ended) = asking.join_next().await {
        answers.extend(ended.ok());
    }
    answers
}

/// What `call` answers, if that comes within `limit`.
pub(super) async fn within<T>(
    limit: Duration,
    call: impl Future<Output = T>,
) -> Result<T, RedshiftError> {
    let answer = tokio::time::timeout(limit, call).await;
    answer.map_err(|_| RedshiftError {
        class: ErrorClass::Unknown,
        code: None,
        message: format!("no answer within {}s", limit.as_secs()),
    })
}

/// What every scope of the configuration answers to one call, or why it does not, for people.
pub(super) async fn list<T, F>(
    config: &Config,
    clock: &Arc<dyn Clock>,
    call: impl Fn(Arc<AwsRedshift>) -> F,
) -> BTreeMap<Scope, Result<T, String>>
where
    T: Send + 'static,
    F: Future<Output = Answer<T>> + Send + 'static,
{
    let connector = connector(config, clock);
    let untold = match connector {
        Some(_) => "the question was not carried out",
        None => "nobody to ask: the embedded sandbox runs inside `redkeep run`, which does not run",
    };
    let scopes = config.scopes().into_iter();
    let mut answers: BTreeMap<Scope, Result<T, String>> = scopes
        .map(|scope| (scope, Err(untold.to_owned())))
        .collect();
    if let Some(connector) = connector {
        let question = |_, client: Arc<AwsRedshift>| {
            let call = call(Arc::clone(&client));
            async move {
                // Credentials may take their time, which is not AWS's.
                client.find_credentials().await?;
                within(LISTING_TIMEOUT, call).await?.result
            }
        };
        let told = ask_each(config, &connector, config.scopes(), question).await;
        let told = told.into_iter();
        answers.extend(told.map(|(scope, answer)| (scope, answer.map_err(|error| error.told()))));
    }
    answers
}
