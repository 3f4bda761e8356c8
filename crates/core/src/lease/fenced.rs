//! Redshift for an instance that may not be the only one.
//!
//! Owns: that nothing is deleted, shortened or tagged by an instance that cannot be sure to be the one that works: each such
//! request asks for that just before it leaves. Creating needs no such care: the identifier is the token, and of two
//! instances that ask for the same snapshot one finds it taken.

use std::sync::Arc;
use std::time::Duration;

use crate::names::Retention;
use crate::redshift::{
    Answer, Cluster, CreateRequest, ErrorClass, Redshift, RedshiftError, ServerDate, SnapshotEvent,
};
use crate::snapshot::{Snapshot, SnapshotId};

/// What knows whether an instance is the only one at work.
pub trait Trust: Send + Sync + 'static {
    /// Whether nobody else can be working on the history now.
    fn is_trusted(&self) -> bool;
}

/// A client that keeps what only one instance may do to the one.
pub struct Fenced<R, S> {
    client: R,
    trust: S,
}

impl<R, S: Trust> Fenced<R, S> {
    /// The client of an instance that works while `trust` says that it may.
    pub fn new(client: R, trust: S) -> Self {
        Self { client, trust }
    }

    /// Makes a request that only one instance may make, if this one is that.
    async fn alone<T>(&self, request: impl Future<Output = Answer<T>>) -> Answer<T> {
        match self.trust.is_trusted() {
            true => request.await,
            false => unsent(),
        }
    }
}

/// What a request is answered with that did not leave.
fn unsent<T>() -> Answer<T> {
    Answer {
        result: Err(RedshiftError {
            class: ErrorClass::Unsent,
            code: None,
            message: "not sent: this instance cannot be sure that it is the only one that works"
                .to_owned(),
        }),
        server_date: ServerDate::NoAnswer,
        requests: 0,
    }
}

impl<R: Redshift, S: Trust> Redshift for Fenced<R, S> {
    async fn clusters(&self) -> Answer<Vec<Cluster>> {
        self.client.clusters().await
    }

    async fn snapshots(&self, page_pause: Duration) -> Answer<Vec<Arc<Snapshot>>> {
        self.client.snapshots(page_pause).await
    }

    async fn snapshot(&self, id: &SnapshotId) -> Answer<Vec<Arc<Snapshot>>> {
        self.client.snapshot(id).await
    }

    async fn create(&self, request: &CreateRequest) -> Answer<Arc<Snapshot>> {
        self.client.create(request).await
    }

    async fn keep_for(&self, id: &SnapshotId, retention: Retention) -> Answer<Arc<Snapshot>> {
        self.alone(self.client.keep_for(id, retention)).await
    }

    async fn delete(&self, id: &SnapshotId, cluster: &str) -> Answer<()> {
        self.alone(self.client.delete(id, cluster)).await
    }

    async fn tag(&self, arn: &str, key: &str, value: &str) -> Answer<()> {
        self.alone(self.client.tag(arn, key, value)).await
    }

    async fn untag(&self, arn: &str, key: &str) -> Answer<()> {
        self.alone(self.client.untag(arn, key)).await
    }

    async fn events(&self, id: &SnapshotId) -> Answer<Vec<SnapshotEvent>> {
        self.client.events(id).await
    }

    async fn account_number(&self) -> Answer<String> {
        self.client.account_number().await
    }
}
