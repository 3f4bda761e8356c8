//! Making the calls that the plan asks for.
//!
//! Owns: the step from a [`Call`] to a [`Reply`]. Never decides anything; an answer goes back as it came.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::plan::Call;
use crate::redshift::{Answer, CreateRequest, ErrorClass, Redshift, RedshiftError, ServerDate};
use crate::reply::Reply;
use crate::snapshot::SnapshotId;

/// A call with all that is needed to make it.
pub(super) struct Errand {
    /// The call.
    pub(super) call: Call,
    /// What a create call asks for.
    pub(super) request: Option<CreateRequest>,
    /// The identifier that the call is about, but for a listing.
    pub(super) snapshot_id: Option<SnapshotId>,
    /// Whether the account's number is still to be asked for.
    pub(super) asks_account: bool,
    /// When the call begins.
    pub(super) began_at: DateTime<Utc>,
}

impl Errand {
    /// Makes the call; `None` when the run that it is for is no longer known.
    pub(super) async fn make<R: Redshift>(self, client: Arc<R>) -> Option<Reply> {
        let reply = match (self.call, self.snapshot_id) {
            (Call::List(scope), _) => {
                let (clusters, snapshots) = tokio::join!(client.clusters(), client.snapshots());
                let account_number = match self.asks_account {
                    true => Some(client.account_number().await),
                    false => None,
                };
                Reply::Listed {
                    scope,
                    began_at: self.began_at,
                    clusters,
                    snapshots,
                    account_number,
                }
            }
            (Call::Create(slot), _) => Reply::Created(slot, client.create(&self.request?).await),
            (Call::Describe(slot), Some(id)) => Reply::Described(slot, client.snapshot(&id).await),
            (Call::Explain(slot), Some(id)) => Reply::Explained(slot, client.events(&id).await),
            (Call::Describe(_) | Call::Explain(_), None) => return None,
        };
        drop_bad_credentials(&reply, client.as_ref());
        Some(reply)
    }
}

/// Expired credentials are resolved anew before the next call.
fn drop_bad_credentials<R: Redshift>(reply: &Reply, client: &R) {
    let class = match reply {
        Reply::Listed {
            clusters,
            snapshots,
            ..
        } => clusters
            .result
            .as_ref()
            .err()
            .or(snapshots.result.as_ref().err())
            .map(|error| error.class),
        Reply::Created(_, answer) => answer.result.as_ref().err().map(|error| error.class),
        Reply::Described(_, answer) => answer.result.as_ref().err().map(|error| error.class),
        Reply::Explained(_, answer) => answer.result.as_ref().err().map(|error| error.class),
    };
    if class == Some(ErrorClass::Credentials) {
        client.drop_credentials();
    }
}

/// The reply to a call whose making ended without one: its outcome is unknown.
pub(super) fn lost(call: Call, began_at: DateTime<Utc>) -> Reply {
    match call {
        Call::List(scope) => Reply::Listed {
            scope,
            began_at,
            clusters: unknown(),
            snapshots: unknown(),
            account_number: None,
        },
        Call::Create(slot) => Reply::Created(slot, unknown()),
        Call::Describe(slot) => Reply::Described(slot, unknown()),
        Call::Explain(slot) => Reply::Explained(slot, unknown()),
    }
}

fn unknown<T>() -> Answer<T> {
    Answer {
        result: Err(RedshiftError {
            class: ErrorClass::Unknown,
            code: None,
            message: "the call ended without an answer".to_owned(),
        }),
        server_date: ServerDate::NoAnswer,
    }
}
