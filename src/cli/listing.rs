//! Asking AWS what there is, for the commands that only look.
//!
//! Owns: the clients of every scope and the time that an answer is waited for. Never asks for a change, and never
//! says what follows from an answer.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use crate::aws::{AwsRedshift, Connector};
use crate::clock::Clock;
use crate::config::Config;
use crate::redshift::Answer;
use crate::slot::Scope;

use super::state_lock::{Holder, holder, target};

/// How long an answer is waited for, all pages of a listing together.
const LISTING_TIMEOUT: Duration = Duration::from_secs(10);

/// What every scope of the configuration answers to `question`, or why it does not; all are asked at once.
pub(super) async fn ask_scopes<T, F>(
    config: &Config,
    clock: &Arc<dyn Clock>,
    question: impl Fn(Arc<AwsRedshift>) -> F,
) -> BTreeMap<Scope, Result<T, String>>
where
    T: Send + 'static,
    F: Future<Output = Answer<T>> + Send + 'static,
{
    let is_held = holder(&config.state_dir).is_ok_and(|holder| holder != Holder::Nobody);
    let nobody =
        "nobody to ask: the embedded sandbox runs inside `redkeep run`, which does not run";
    let scopes = config.scopes().into_iter();
    let mut answers: BTreeMap<Scope, Result<T, String>> = scopes
        .map(|scope| (scope, Err(nobody.to_owned())))
        .collect();
    let Some(target) = target(config, is_held) else {
        return answers;
    };
    let connector = Connector::new(target, config.namespace.clone(), Arc::clone(clock));
    let mut asking = JoinSet::new();
    for (scope, answer) in &mut answers {
        *answer = Err("the question was not carried out".to_owned());
        let account = config.account(&scope.account);
        let identity = account.map(|account| account.identity.clone());
        let identity = identity.unwrap_or_default();
        let client = connector.client(&identity, &scope.region, Arc::new(|_, _, _| {}));
        let client = Arc::new(client.await);
        let call = question(Arc::clone(&client));
        let scope = scope.clone();
        asking.spawn(async move {
            // Credentials may take their time, which is not AWS's.
            let answer = match client.find_credentials().await {
                Ok(()) => patiently(call).await,
                Err(error) => Err(error.told()),
            };
            (scope, answer)
        });
    }
    while let Some(ended) = asking.join_next().await {
        answers.extend(ended.ok());
    }
    answers
}

async fn patiently<T>(call: impl Future<Output = Answer<T>>) -> Result<T, String> {
    match tokio::time::timeout(LISTING_TIMEOUT, call).await {
        Ok(answer) => answer.result.map_err(|error| error.told()),
        Err(_) => Err(format!(
            "nothing came within {} s",
            LISTING_TIMEOUT.as_secs()
        )),
    }
}
