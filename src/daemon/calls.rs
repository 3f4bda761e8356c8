//! The calls to AWS while they are under way.
//!
//! Owns: the clients, a task for each call, and that each call has a reply, also where its task has panicked. Never decides
//! what is asked or what an answer means.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::task::{Id, JoinError};

use super::Daemon;
use crate::clock::sleep;
use crate::execute;
use crate::plan::Call;
use crate::redshift::Redshift;
use crate::reply::Reply;

/// At most this many answers are taken in before one plan: a signal and a tick are heard in between.
const MAX_ANSWERS_PER_TURN: usize = 200;

/// For how long an answer waits for those that come with it: what was asked for together is answered together, and one commit
/// takes them all.
const GATHERING: Duration = Duration::from_millis(3);

impl<R: Redshift> Daemon<R> {
    /// Makes the clients that are missing.
    pub(super) async fn connect(&mut self) {
        for scope in self.parts.engine.observed().scopes.keys() {
            let account = self.parts.engine.config().account(&scope.account);
            if let (Some(account), false) = (account, self.clients.contains_key(scope)) {
                let client = (self.parts.connect)(account.identity.clone(), scope.clone()).await;
                self.clients.insert(scope.clone(), Arc::new(client));
            }
        }
    }

    pub(super) fn dispatch(&mut self, call: Call, planned_at: DateTime<Utc>) {
        let Some(client) = self.clients.get(call.scope()).map(Arc::clone) else {
            let lost = execute::lost(call, planned_at);
            return self.parts.engine.answered(lost, planned_at);
        };
        let call_made = execute::execute(call.clone(), client, planned_at);
        let id = self.calls.spawn(call_made).id();
        self.under_way.insert(id, (call, planned_at));
    }

    pub(super) fn answered(&mut self, joined: Result<(Id, Reply), JoinError>) {
        let (id, reply) = match joined {
            Ok((id, reply)) => (id, Some(reply)),
            Err(panicked) => (panicked.id(), None),
        };
        let Some((call, began_at)) = self.under_way.remove(&id) else {
            return;
        };
        let reply = reply.unwrap_or_else(|| execute::lost(call, began_at));
        self.parts.engine.answered(reply, self.parts.clock.now());
    }

    /// Takes in the answers that come as well: one plan is made for all of them.
    pub(super) async fn take_in_the_others(&mut self) {
        if !self.calls.is_empty() {
            sleep(GATHERING).await;
        }
        for _ in 1..MAX_ANSWERS_PER_TURN {
            let Some(reply) = self.calls.try_join_next_with_id() else {
                return;
            };
            self.answered(reply);
        }
    }
}
