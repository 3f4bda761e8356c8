//! A look at AWS through the eyes of the daemon.
//!
//! Owns: an engine out of the history and one listing of every scope, which the commands about snapshots judge from.
//! It is fed by the same functions as the daemon's, so that what a dry run says is what the daemon would do. Never
//! changes anything, here or at AWS.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use crate::aws::{AwsRedshift, Connector};
use crate::clock::Clock;
use crate::config::Config;
use crate::daemon::execute;
use crate::engine::Engine;
use crate::plan::Call;
use crate::slot::Scope;
use crate::store::Reader;

use super::Failure;
use super::history::unreadable;
use super::state_lock::{Holder, holder, target};

/// How long a listing is waited for.
const LISTING_TIMEOUT: Duration = Duration::from_secs(60);

/// The engine as the daemon would have it after one listing of `scopes`.
pub(super) async fn survey(
    config: &Config,
    scopes: &BTreeSet<Scope>,
    clock: &Arc<dyn Clock>,
) -> Result<Engine, Failure> {
    let is_held = holder(&config.state_dir).is_ok_and(|holder| holder != Holder::Nobody);
    let target = target(config, is_held).ok_or_else(|| {
        let what = "the embedded sandbox runs inside `redkeep run`, and none is running: start it";
        Failure::Unreachable(what.to_owned())
    })?;
    let connector = Connector::new(target, config.namespace.clone(), Arc::clone(clock));
    let mut asking = JoinSet::new();
    for scope in scopes {
        let client = client(config, &connector, scope).await;
        let call = Call::List {
            scope: scope.clone(),
            asks_account: true,
        };
        let listing = execute(call, client, clock.now());
        asking.spawn(tokio::time::timeout(LISTING_TIMEOUT, listing));
    }
    let mut replies = Vec::new();
    while let Some(ended) = asking.join_next().await {
        // A listing that did not come leaves its scope unseen, which blocks every pass.
        replies.extend(ended.ok().and_then(Result::ok));
    }
    // Read after the listings: whatever a daemon beside this command has made by then has its record here.
    let mut engine = known(config, &**clock)?;
    for reply in replies {
        engine.observe(reply, clock.now());
    }
    Ok(engine)
}

/// The engine as the history tells it.
fn known(config: &Config, clock: &dyn Clock) -> Result<Engine, Failure> {
    let reader = Reader::open(&config.database()).map_err(unreadable)?;
    let history = reader.history().map_err(unreadable)?;
    let (identity, _) = reader.identity().map_err(unreadable)?;
    let writer = config.writer.clone().unwrap_or(identity.installation);
    Ok(Engine::new(config.clone(), history, writer, clock.now()))
}

async fn client(config: &Config, connector: &Connector, scope: &Scope) -> Arc<AwsRedshift> {
    let identity = config
        .account(&scope.account)
        .map(|account| account.identity.clone())
        .unwrap_or_default();
    let meter = Arc::new(|_, _, _| {});
    Arc::new(connector.client(&identity, &scope.region, meter).await)
}

/// The first reason why AWS could not be listed, for people.
pub(super) fn trouble(engine: &Engine) -> Option<String> {
    let scopes = engine.observed().scopes.iter();
    let mut troubles = scopes.filter_map(|(scope, view)| {
        let trouble = view.trouble.as_ref()?;
        Some(format!("{scope}: {trouble}"))
    });
    troubles.next()
}
