//! Redshift through the AWS SDK: the only directory that names the SDK.
//!
//! Owns: the calls, and the translation of the SDK's types and errors into redkeep's. `connector` and `client`
//! make the clients, `credentials` finds whose they are, `http` is the way to AWS. Never retries (the run's state machine
//! does) and never decides what an error means for a run.

mod body;
mod client;
mod connector;
mod credentials;
mod database;
mod files;
mod http;
mod members;
mod outgoing;
mod pages;
mod probe;
mod translate;

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_redshift::types::{SourceType, Tag};

use crate::names::Retention;
use crate::redshift::{
    Answer, Cluster, CreateRequest, ErrorClass, Operation, Redshift, RedshiftError, SnapshotEvent,
    found_by_name,
};
use crate::snapshot::{Snapshot, SnapshotId};

pub use client::AwsRedshift;
pub use connector::{Connector, Target};
pub use credentials::foreseen;
pub use database::database_token;
pub use files::profiles;
pub use outgoing::{HttpAnswer, Outgoing, OutgoingClient, Unanswered};
use pages::all_pages;
use probe::Probe;
use translate::{cluster, event, snapshot};

/// What the targets of the SDK's log begin with.
pub const LOG_TARGETS: &str = "aws_";

/// Targets of the SDK that warn at every attempt, to find credentials or to connect, with whole answers: redkeep tells it once,
/// as the reason of what failed.
pub const REPEATING_LOG_TARGETS: [&str; 7] = [
    "aws_config::ecs",
    "aws_config::imds",
    "aws_config::profile",
    "aws_config::provider_config",
    "aws_runtime::env_config",
    "aws_smithy_http_client",
    "hyper",
];

const PAGE_SIZE: i32 = 100;
/// DescribeEvents goes back 14 days.
const EVENTS_KEPT_MINUTES: i32 = 14 * 24 * 60;

/// Told of every request: the operation, `ok` or the error's code, and how long it took.
pub type Meter = Arc<dyn Fn(Operation, &'static str, Duration) + Send + Sync>;

impl AwsRedshift {
    async fn all_clusters(&self, date: &Probe) -> Result<Vec<Cluster>, RedshiftError> {
        let client = self.client().await;
        all_pages(Duration::ZERO, |marker| async {
            let call = client
                .describe_clusters()
                .max_records(PAGE_SIZE)
                .set_marker(marker);
            let call = call.customize().interceptor(date.clone());
            let page = self
                .measured(Operation::DescribeClusters, call.send())
                .await?;
            let clusters = page.clusters.unwrap_or_default();
            Ok((
                clusters.into_iter().filter_map(cluster).collect(),
                page.marker,
            ))
        })
        .await
    }

    async fn all_snapshots(
        &self,
        date: &Probe,
        page_pause: Duration,
    ) -> Result<Vec<Arc<Snapshot>>, RedshiftError> {
        let client = self.client().await;
        all_pages(page_pause, |marker| async {
            let call = client
                .describe_cluster_snapshots()
                .snapshot_type("manual")
                .max_records(PAGE_SIZE)
                .set_marker(marker);
            let call = call.customize().interceptor(date.clone());
            let page = self
                .measured(Operation::DescribeClusterSnapshots, call.send())
                .await?;
            let snapshots = page.snapshots.unwrap_or_default();
            let snapshots = snapshots.into_iter().map(snapshot).map(Arc::new);
            Ok((snapshots.collect(), page.marker))
        })
        .await
    }

    async fn all_events(
        &self,
        id: &SnapshotId,
        date: &Probe,
    ) -> Result<Vec<SnapshotEvent>, RedshiftError> {
        let client = self.client().await;
        all_pages(Duration::ZERO, |marker| async {
            let call = client
                .describe_events()
                .source_identifier(id.as_str())
                .source_type(SourceType::ClusterSnapshot)
                .duration(EVENTS_KEPT_MINUTES)
                .max_records(PAGE_SIZE)
                .set_marker(marker);
            let call = call.customize().interceptor(date.clone());
            let page = self
                .measured(Operation::DescribeEvents, call.send())
                .await?;
            let events = page.events.unwrap_or_default();
            let events = events.into_iter().filter_map(|one| event(one, id.as_str()));
            Ok((events.collect(), page.marker))
        })
        .await
    }

    async fn named(
        &self,
        id: &SnapshotId,
        date: &Probe,
    ) -> Result<Vec<Arc<Snapshot>>, RedshiftError> {
        let client = self.client().await;
        let call = client
            .describe_cluster_snapshots()
            .snapshot_identifier(id.as_str());
        let call = call.customize().interceptor(date.clone());
        let page = self.measured(Operation::DescribeClusterSnapshots, call.send());
        found_by_name(page.await.map(|page| {
            let snapshots = page.snapshots.unwrap_or_default().into_iter();
            snapshots.map(snapshot).map(Arc::new).collect()
        }))
    }

    async fn ask(&self, request: &CreateRequest, date: &Probe) -> Result<Snapshot, RedshiftError> {
        let tags = request
            .tags
            .iter()
            .map(|(key, value)| Tag::builder().key(key).value(value).build())
            .collect();
        let client = self.client().await;
        let call = client
            .create_cluster_snapshot()
            .snapshot_identifier(request.snapshot_id.as_str())
            .cluster_identifier(request.cluster.as_str())
            .manual_snapshot_retention_period(request.retention.days_or_minus_one())
            .set_tags(Some(tags));
        let call = call.customize().interceptor(date.clone());
        let answer = self
            .measured(Operation::CreateClusterSnapshot, call.send())
            .await?;
        answer
            .snapshot
            .map(snapshot)
            .ok_or_else(|| unclear("the answer has no snapshot"))
    }

    async fn modify(
        &self,
        id: &SnapshotId,
        retention: Retention,
        date: &Probe,
    ) -> Result<Snapshot, RedshiftError> {
        let client = self.client().await;
        let call = client
            .modify_cluster_snapshot()
            .snapshot_identifier(id.as_str())
            .manual_snapshot_retention_period(retention.days_or_minus_one());
        let call = call.customize().interceptor(date.clone());
        let answer = self
            .measured(Operation::ModifyClusterSnapshot, call.send())
            .await?;
        answer
            .snapshot
            .map(snapshot)
            .ok_or_else(|| unclear("the answer has no snapshot"))
    }

    async fn remove(
        &self,
        id: &SnapshotId,
        cluster: &str,
        date: &Probe,
    ) -> Result<(), RedshiftError> {
        let client = self.client().await;
        let call = client
            .delete_cluster_snapshot()
            .snapshot_identifier(id.as_str())
            .snapshot_cluster_identifier(cluster);
        let call = call.customize().interceptor(date.clone());
        let sent = self.measured(Operation::DeleteClusterSnapshot, call.send());
        sent.await.map(drop)
    }

    async fn set_tag(
        &self,
        arn: &str,
        (key, value): (&str, &str),
        date: &Probe,
    ) -> Result<(), RedshiftError> {
        let client = self.client().await;
        let tag = Tag::builder().key(key).value(value).build();
        let call = client.create_tags().resource_name(arn).tags(tag);
        let call = call.customize().interceptor(date.clone());
        self.measured(Operation::CreateTags, call.send())
            .await
            .map(drop)
    }

    async fn remove_tag(&self, arn: &str, key: &str, date: &Probe) -> Result<(), RedshiftError> {
        let client = self.client().await;
        let call = client.delete_tags().resource_name(arn).tag_keys(key);
        let call = call.customize().interceptor(date.clone());
        self.measured(Operation::DeleteTags, call.send())
            .await
            .map(drop)
    }

    async fn identity(&self, date: &Probe) -> Result<String, RedshiftError> {
        let client = self.made().await.sts.clone();
        let call = client
            .get_caller_identity()
            .customize()
            .interceptor(date.clone());
        let answer = self
            .measured(Operation::GetCallerIdentity, call.send())
            .await?;
        answer
            .account
            .ok_or_else(|| unclear("the answer has no account number"))
    }
}

impl Redshift for AwsRedshift {
    async fn clusters(&self) -> Answer<Vec<Cluster>> {
        let date = Probe::default();
        date.answer(self.all_clusters(&date).await)
    }

    async fn snapshots(&self, page_pause: Duration) -> Answer<Vec<Arc<Snapshot>>> {
        let date = Probe::default();
        date.answer(self.all_snapshots(&date, page_pause).await)
    }

    async fn snapshot(&self, id: &SnapshotId) -> Answer<Vec<Arc<Snapshot>>> {
        let date = Probe::default();
        date.answer(self.named(id, &date).await)
    }

    async fn create(&self, request: &CreateRequest) -> Answer<Arc<Snapshot>> {
        let date = Probe::default();
        date.answer(self.ask(request, &date).await.map(Arc::new))
    }

    async fn keep_for(&self, id: &SnapshotId, retention: Retention) -> Answer<Arc<Snapshot>> {
        let date = Probe::default();
        date.answer(self.modify(id, retention, &date).await.map(Arc::new))
    }

    async fn delete(&self, id: &SnapshotId, cluster: &str) -> Answer<()> {
        let date = Probe::default();
        date.answer(self.remove(id, cluster, &date).await)
    }

    async fn tag(&self, arn: &str, key: &str, value: &str) -> Answer<()> {
        let date = Probe::default();
        date.answer(self.set_tag(arn, (key, value), &date).await)
    }

    async fn untag(&self, arn: &str, key: &str) -> Answer<()> {
        let date = Probe::default();
        date.answer(self.remove_tag(arn, key, &date).await)
    }

    async fn events(&self, id: &SnapshotId) -> Answer<Vec<SnapshotEvent>> {
        let date = Probe::default();
        date.answer(self.all_events(id, &date).await)
    }

    async fn account_number(&self) -> Answer<String> {
        let date = Probe::default();
        date.answer(self.identity(&date).await)
    }
}

fn unclear(message: &str) -> RedshiftError {
    RedshiftError {
        class: ErrorClass::Unknown,
        code: None,
        message: message.to_owned(),
    }
}
