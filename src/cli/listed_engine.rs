//! The engine as the daemon would have it, for a command that only looks.
//!
//! Owns: an engine out of the history and one listing of every scope, which the commands about snapshots judge from.
//! The engine is fed by the same functions as the daemon's, so that what a dry run says is what the daemon would do. Never
//! changes anything, here or at AWS.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;

use crate::clock::Clock;
use crate::config::Config;
use crate::daemon::execute;
use crate::engine::Engine;
use crate::plan::Call;
use crate::slot::Scope;
use crate::store::Reader;

use super::Failure;
use super::history::unreadable;
use super::scopes::{ask_each, connector, within};

/// How long a listing of one scope is waited for, its credentials included.
const LISTING_TIMEOUT: Duration = Duration::from_secs(60);

/// The engine as the daemon would have it after one listing of `scopes`.
pub(super) async fn listed_engine(
    config: &Config,
    scopes: &BTreeSet<Scope>,
    clock: &Arc<dyn Clock>,
) -> Result<Engine, Failure> {
    let connector = connector(config, clock).ok_or_else(|| {
        let what = "the embedded sandbox runs inside `redkeep run`, and none is running: start it";
        Failure::Unreachable(what.to_owned())
    })?;
    let listing = |scope, client| {
        let call = Call::List {
            scope,
            page_pause: TimeDelta::zero(),
            asks_account: true,
        };
        within(LISTING_TIMEOUT, execute(call, client, clock.now()))
    };
    let replies = ask_each(config, &connector, scopes.iter().cloned(), listing).await;
    // A listing that did not come leaves its scope unseen, which blocks every pass.
    let replies = replies.into_values().flatten();
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

/// The first reason why AWS could not be listed, for people.
pub(super) fn trouble(engine: &Engine) -> Option<String> {
    let scopes = engine.observed().scopes.iter();
    let mut troubles = scopes.filter_map(|(scope, view)| {
        let trouble = view.trouble.as_ref()?;
        Some(format!("{scope}: {trouble}"))
    });
    troubles.next()
}
