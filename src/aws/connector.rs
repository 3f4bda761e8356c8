//! Making clients: where they call, with whose credentials, and how long they wait.
//!
//! Owns: the SDK's settings. Never makes a call: credentials are looked for, and a role is assumed, when a client makes
//! its first.

use std::sync::{Arc, RwLock};
use std::time::Duration;

use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_config::sts::AssumeRoleProvider;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region as SdkRegion, SdkConfig};
use aws_sdk_redshift::config::retry::RetryConfig;
use aws_sdk_redshift::config::{Credentials, SharedCredentialsProvider};
use aws_smithy_runtime_api::client::http::SharedHttpClient;

use super::{AwsRedshift, Meter, fresh_client, http};
use crate::clock::Clock;
use crate::names::{Namespace, Region};
use crate::policy::{Identity, Role};

const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(30);
const OPERATION_TIMEOUT: Duration = Duration::from_secs(60);

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
        Self {
            target,
            namespace,
            http: http::client(),
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
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .http_client(self.http.clone())
            .region(SdkRegion::new(region.to_string()))
            .timeout_config(timeouts())
            .retry_config(RetryConfig::disabled());
        if let Some(profile) = &identity.profile {
            loader = loader.profile_name(profile);
        }
        let config = match &self.target {
            Target::Ambient => loader.load().await,
            Target::Url(url) => loader.endpoint_url(url).load().await,
            Target::Sandbox(url) => {
                let nothing = Credentials::new("SANDBOX", "sandbox", None, None, "sandbox");
                // Its URL has no other forms, whatever the environment wants of AWS's.
                let loader = loader.use_fips(false).use_dual_stack(false);
                let loader = loader.endpoint_url(url).credentials_provider(nothing);
                return loader.load().await;
            }
        };
        match &identity.profile {
            Some(profile) => self.of_profile(config, profile),
            None => config,
        }
    }

    /// With the credentials of the profile, which the SDK's own chain would look for after the environment's.
    fn of_profile(&self, config: SdkConfig, profile: &str) -> SdkConfig {
        let settings = ProviderConfig::without_region()
            .with_behavior_version(Some(BehaviorVersion::latest()))
            .with_http_client(self.http.clone())
            .with_region(config.region().cloned())
            .with_use_fips(config.use_fips())
            .with_use_dual_stack(config.use_dual_stack())
            .with_timeout_config(timeouts())
            .with_retry_config(RetryConfig::disabled());
        let provider = ProfileFileCredentialsProvider::builder()
            .configure(&settings)
            .profile_name(profile)
            .build();
        let provider = SharedCredentialsProvider::new(provider);
        config.into_builder().credentials_provider(provider).build()
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

fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder()
        .operation_attempt_timeout(ATTEMPT_TIMEOUT)
        .operation_timeout(OPERATION_TIMEOUT)
        .build()
}
