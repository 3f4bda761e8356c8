//! Redshift through the AWS SDK: the only file that names the SDK.
//!
//! Owns: clients, timeouts, paging, and the translation of the SDK's types and errors into redkeep's. Never
//! retries (the run's state machine does) and never decides what an error means for a run.

mod translate;

use std::error::Error as StdError;
use std::future::Future;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use aws_config::sts::AssumeRoleProvider;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region as SdkRegion, SdkConfig};
use aws_sdk_redshift::Client;
use aws_sdk_redshift::config::retry::RetryConfig;
use aws_sdk_redshift::config::{Credentials, IdentityCache, SharedCredentialsProvider};
use aws_sdk_redshift::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_redshift::types::{SourceType, Tag};
use aws_smithy_http_client::tls;
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::{
    BeforeDeserializationInterceptorContextRef, BeforeTransmitInterceptorContextRef,
};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;
use chrono::{DateTime, Utc};

use crate::clock::Clock;
use crate::names::{Namespace, Region, Retention};
use crate::policy::{Identity, Role};
use crate::redshift::{
    Answer, Cluster, CreateRequest, ErrorClass, Redshift, RedshiftError, ServerDate, SnapshotEvent,
};
use crate::snapshot::{Snapshot, SnapshotId};

use translate::{cluster, error, event, label, snapshot};

const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(30);
const OPERATION_TIMEOUT: Duration = Duration::from_secs(60);
const PAGE_SIZE: i32 = 100;
/// More pages than this are a loop, not a listing: 100,000 snapshots.
const PAGES_MAX: usize = 1000;
/// DescribeEvents goes back 14 days.
const EVENTS_KEPT_MINUTES: i32 = 14 * 24 * 60;

/// Where the calls go, and with whose credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// AWS, or what the SDK's own settings (`AWS_ENDPOINT_URL`) put in its place.
    Ambient,
    /// This URL, with the default credential chain.
    Url(String),
    /// The sandbox at this URL, with credentials that open nothing else.
    Sandbox(String),
}

/// Told of every request: the operation, `ok` or the error's code, and how long it took.
pub type Meter = Arc<dyn Fn(&'static str, &'static str, Duration) + Send + Sync>;

/// Makes clients: what they share is the target, the connections and the clock.
#[derive(Clone)]
pub struct Connector {
    target: Target,
    namespace: Namespace,
    http: SharedHttpClient,
    clock: Arc<dyn Clock>,
}

impl Connector {
    /// A connector to `target`. `namespace` names the sessions of roles that have no name of their own.
    pub fn new(target: Target, namespace: Namespace, clock: Arc<dyn Clock>) -> Self {
        let provider = tls::rustls_provider::CryptoMode::Ring;
        let http = aws_smithy_http_client::Builder::new()
            .tls_provider(tls::Provider::Rustls(provider))
            .build_https();
        Self {
            target,
            namespace,
            http,
            clock,
        }
    }

    /// A client for one region with the credentials of `identity`, whose requests `meter` is told of.
    ///
    /// Calls nothing yet: credentials are looked for, and a role is assumed, when the first call is made, and
    /// again before they expire.
    pub async fn client(&self, identity: &Identity, region: &Region, meter: Meter) -> AwsRedshift {
        let base = self.base_config(identity, region).await;
        let config = match &identity.role {
            None => base,
            Some(role) => self.assume(role, &base).await,
        };
        let region = SdkRegion::new(region.to_string());
        AwsRedshift {
            client: RwLock::new(fresh_client(&config, region.clone())),
            config,
            region,
            clock: Arc::clone(&self.clock),
            meter,
        }
    }

    async fn base_config(&self, identity: &Identity, region: &Region) -> SdkConfig {
        let timeouts = TimeoutConfig::builder()
            .operation_attempt_timeout(ATTEMPT_TIMEOUT)
            .operation_timeout(OPERATION_TIMEOUT)
            .build();
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .http_client(self.http.clone())
            .region(SdkRegion::new(region.to_string()))
            .timeout_config(timeouts)
            .retry_config(RetryConfig::disabled());
        if let Some(profile) = &identity.profile {
            loader = loader.profile_name(profile);
        }
        loader = match &self.target {
            Target::Ambient => loader,
            Target::Url(url) => loader.endpoint_url(url),
            Target::Sandbox(url) => {
                loader
                    .endpoint_url(url)
                    .credentials_provider(Credentials::new(
                        "SANDBOX", "sandbox", None, None, "sandbox",
                    ))
            }
        };
        loader.load().await
    }

    async fn assume(&self, role: &Role, base: &SdkConfig) -> SdkConfig {
        let session = role
            .session_name
            .as_deref()
            .unwrap_or(self.namespace.as_str());
        let mut provider = AssumeRoleProvider::builder(&role.arn).session_name(session);
        if let Some(id) = &role.external_id {
            provider = provider.external_id(id);
        }
        let provider = provider.configure(base).build().await;
        let provider = SharedCredentialsProvider::new(provider);
        base.to_builder().credentials_provider(provider).build()
    }
}

/// The region that the environment or the shared configuration file names, without asking anything over
/// the network.
pub async fn ambient_region() -> Option<Region> {
    use aws_config::environment::region::EnvironmentVariableRegionProvider;
    use aws_config::meta::region::RegionProviderChain;
    use aws_config::profile::region::ProfileFileRegionProvider;
    let chain = RegionProviderChain::first_try(EnvironmentVariableRegionProvider::new())
        .or_else(ProfileFileRegionProvider::new());
    chain.region().await?.as_ref().parse().ok()
}

/// Every client has an identity cache of its own, so that replacing the client drops its credentials.
fn fresh_client(config: &SdkConfig, region: SdkRegion) -> Client {
    let builder = aws_sdk_redshift::config::Builder::from(config)
        .region(region)
        .identity_cache(IdentityCache::lazy().build());
    Client::from_conf(builder.build())
}

/// Redshift in one region with one set of credentials.
pub struct AwsRedshift {
    config: SdkConfig,
    region: SdkRegion,
    client: RwLock<Client>,
    clock: Arc<dyn Clock>,
    meter: Meter,
}

impl AwsRedshift {
    fn client(&self) -> Client {
        self.client
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The next call resolves its credentials anew.
    fn drop_credentials(&self) {
        let fresh = fresh_client(&self.config, self.region.clone());
        *self.client.write().unwrap_or_else(PoisonError::into_inner) = fresh;
    }

    /// Makes one request, in our words, and tells the meter.
    async fn measured<T, E>(
        &self,
        operation: &'static str,
        request: impl Future<Output = Result<T, SdkError<E, HttpResponse>>>,
    ) -> Result<T, RedshiftError>
    where
        E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
    {
        let began = self.clock.monotonic();
        let result = request.await.map_err(error);
        (self.meter)(
            operation,
            label(&result),
            self.clock.monotonic().saturating_sub(began),
        );
        if result
            .as_ref()
            .is_err_and(|error| error.class == ErrorClass::Credentials)
        {
            self.drop_credentials();
        }
        result
    }

    async fn all_clusters(&self, date: &Probe) -> Result<Vec<Cluster>, RedshiftError> {
        let client = self.client();
        all_pages(|marker| async {
            let call = client
                .describe_clusters()
                .max_records(PAGE_SIZE)
                .set_marker(marker);
            let call = call.customize().interceptor(date.clone());
            let page = self.measured("DescribeClusters", call.send()).await?;
            let clusters = page.clusters.unwrap_or_default();
            Ok((
                clusters.into_iter().filter_map(cluster).collect(),
                page.marker,
            ))
        })
        .await
    }

    async fn all_snapshots(&self, date: &Probe) -> Result<Vec<Arc<Snapshot>>, RedshiftError> {
        let client = self.client();
        all_pages(|marker| async {
            let call = client
                .describe_cluster_snapshots()
                .snapshot_type("manual")
                .max_records(PAGE_SIZE)
                .set_marker(marker);
            let call = call.customize().interceptor(date.clone());
            let page = self
                .measured("DescribeClusterSnapshots", call.send())
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
        let client = self.client();
        all_pages(|marker| async {
            let call = client
                .describe_events()
                .source_identifier(id.as_str())
                .source_type(SourceType::ClusterSnapshot)
                .duration(EVENTS_KEPT_MINUTES)
                .max_records(PAGE_SIZE)
                .set_marker(marker);
            let call = call.customize().interceptor(date.clone());
            let page = self.measured("DescribeEvents", call.send()).await?;
            let events = page.events.unwrap_or_default();
            Ok((events.into_iter().map(event).collect(), page.marker))
        })
        .await
    }

    async fn named(
        &self,
        id: &SnapshotId,
        date: &Probe,
    ) -> Result<Vec<Arc<Snapshot>>, RedshiftError> {
        let client = self.client();
        let call = client
            .describe_cluster_snapshots()
            .snapshot_identifier(id.as_str());
        let call = call.customize().interceptor(date.clone());
        match self.measured("DescribeClusterSnapshots", call.send()).await {
            Ok(page) => Ok(page
                .snapshots
                .unwrap_or_default()
                .into_iter()
                .map(snapshot)
                .map(Arc::new)
                .collect()),
            Err(error) if error.class == ErrorClass::SnapshotNotFound => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    async fn ask(&self, request: &CreateRequest, date: &Probe) -> Result<Snapshot, RedshiftError> {
        let tags = request
            .tags
            .iter()
            .map(|(key, value)| Tag::builder().key(key).value(value).build())
            .collect();
        let client = self.client();
        let call = client
            .create_cluster_snapshot()
            .snapshot_identifier(request.snapshot_id.as_str())
            .cluster_identifier(request.cluster.as_str())
            .manual_snapshot_retention_period(request.retention.days_or_minus_one())
            .set_tags(Some(tags));
        let call = call.customize().interceptor(date.clone());
        let answer = self.measured("CreateClusterSnapshot", call.send()).await?;
        answer
            .snapshot
            .map(snapshot)
            .ok_or_else(|| unclear("the answer holds no snapshot"))
    }

    async fn modify(
        &self,
        id: &SnapshotId,
        retention: Retention,
        date: &Probe,
    ) -> Result<Snapshot, RedshiftError> {
        let client = self.client();
        let call = client
            .modify_cluster_snapshot()
            .snapshot_identifier(id.as_str())
            .manual_snapshot_retention_period(retention.days_or_minus_one());
        let call = call.customize().interceptor(date.clone());
        let answer = self.measured("ModifyClusterSnapshot", call.send()).await?;
        answer
            .snapshot
            .map(snapshot)
            .ok_or_else(|| unclear("the answer holds no snapshot"))
    }

    async fn identity(&self, date: &Probe) -> Result<String, RedshiftError> {
        let client = aws_sdk_sts::Client::from_conf(
            aws_sdk_sts::config::Builder::from(&self.config)
                .region(self.region.clone())
                .build(),
        );
        let call = client
            .get_caller_identity()
            .customize()
            .interceptor(date.clone());
        let answer = self.measured("GetCallerIdentity", call.send()).await?;
        answer
            .account
            .ok_or_else(|| unclear("the answer holds no account number"))
    }
}

impl Redshift for AwsRedshift {
    async fn clusters(&self) -> Answer<Vec<Cluster>> {
        let date = Probe::default();
        date.answer(self.all_clusters(&date).await)
    }

    async fn snapshots(&self) -> Answer<Vec<Arc<Snapshot>>> {
        let date = Probe::default();
        date.answer(self.all_snapshots(&date).await)
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

    async fn events(&self, id: &SnapshotId) -> Answer<Vec<SnapshotEvent>> {
        let date = Probe::default();
        date.answer(self.all_events(id, &date).await)
    }

    async fn account_number(&self) -> Answer<String> {
        let date = Probe::default();
        date.answer(self.identity(&date).await)
    }
}

/// Collects all pages; a marker that does not advance is an error, not an endless listing.
async fn all_pages<T, F>(page: impl Fn(Option<String>) -> F) -> Result<Vec<T>, RedshiftError>
where
    F: Future<Output = Result<(Vec<T>, Option<String>), RedshiftError>>,
{
    let (mut all, mut marker) = (Vec::new(), None);
    for _ in 0..PAGES_MAX {
        let (items, next) = page(marker.clone()).await?;
        all.extend(items);
        let next = next.filter(|next| !next.is_empty());
        if next.is_none() {
            return Ok(all);
        }
        if next == marker {
            return Err(unclear("the listing's marker does not advance"));
        }
        marker = next;
    }
    Err(unclear("the listing does not end"))
}

fn unclear(message: &str) -> RedshiftError {
    RedshiftError {
        class: ErrorClass::Unknown,
        code: None,
        message: message.to_owned(),
    }
}

/// Reads the `Date` of the answers to one call, as they come in, whatever they say.
#[derive(Debug, Clone, Default)]
struct Probe {
    seen: Arc<Mutex<Option<ServerDate>>>,
    sent: Arc<AtomicU32>,
}

impl Probe {
    fn answer<T>(&self, result: Result<T, RedshiftError>) -> Answer<T> {
        let seen = *self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        Answer {
            result,
            server_date: seen.unwrap_or(ServerDate::NoAnswer),
            requests: self.sent.load(Ordering::Relaxed),
        }
    }
}

#[aws_smithy_runtime_api::client::interceptors::dyn_dispatch_hint]
impl Intercept for Probe {
    fn name(&self) -> &'static str {
        "Probe"
    }

    fn read_before_transmit(
        &self,
        _context: &BeforeTransmitInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        self.sent.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let date = context
            .response()
            .headers()
            .get("date")
            .and_then(|date| DateTime::parse_from_rfc2822(date).ok())
            .map_or(ServerDate::Undated, |date| {
                ServerDate::At(date.with_timezone(&Utc))
            });
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(date);
        Ok(())
    }
}
