//! Making the calls that the plan asks for.
//!
//! Owns: the step from a [`Call`] to a [`Reply`]. Never decides anything; an answer goes back as it came.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::plan::Call;
use crate::redshift::{Answer, ErrorClass, Redshift, RedshiftError, ServerDate};
use crate::reply::{Listed, Reply};

/// Makes `call`, which begins at `began_at`.
pub(super) async fn make<R: Redshift>(
    call: Call,
    client: Arc<R>,
    began_at: DateTime<Utc>,
) -> Reply {
    match call {
        Call::List {
            scope,
            asks_account,
        } => {
            let (clusters, snapshots) = tokio::join!(client.clusters(), client.snapshots());
            let account_number = if asks_account {
                Some(client.account_number().await)
            } else {
                None
            };
            Reply::Listed(Box::new(Listed {
                scope,
                began_at,
                clusters,
                snapshots,
                account_number,
            }))
        }
        Call::Create { slot, request } => Reply::Created(slot, client.create(&request).await),
        Call::Describe { slot, id } => Reply::Described(slot, client.snapshot(&id).await),
        Call::Explain { slot, id } => Reply::Explained(slot, client.events(&id).await),
        Call::Extend { id, extension } => {
            let answer = client.keep_for(&id, extension.to).await;
            Reply::Extended(Box::new(extension), answer)
        }
    }
}

/// The reply to a call whose making ended without one: its outcome is unknown.
pub(super) fn lost(call: Call, began_at: DateTime<Utc>) -> Reply {
    match call {
        Call::List { scope, .. } => Reply::Listed(Box::new(Listed {
            scope,
            began_at,
            clusters: unknown(),
            snapshots: unknown(),
            account_number: None,
        })),
        Call::Create { slot, .. } => Reply::Created(slot, unknown()),
        Call::Describe { slot, .. } => Reply::Described(slot, unknown()),
        Call::Explain { slot, .. } => Reply::Explained(slot, unknown()),
        Call::Extend { extension, .. } => Reply::Extended(Box::new(extension), unknown()),
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
        requests: 1,
    }
}
