//! Making clients: where they call, with whose credentials, and how long they wait.
//!
//! Owns: the SDK's settings. Never makes a call: credentials are looked for, and a role is assumed, when a client makes
//! its first.

use std::sync::Arc;
use std::time::Duration;

use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region as SdkRegion, SdkConfig};
use aws_credential_types::provider::ProvideCredentials;
use aws_sdk_redshift::config::retry::RetryConfig;
use aws_sdk_redshift::config::{Credentials, IdentityCache, SharedCredentialsProvider};
use aws_smithy_runtime_api::client::http::SharedHttpClient;

use super::credentials::{Finder, Origin, environment};
use super::{AwsRedshift, Meter, files, http};
use crate::clock::Clock;
use crate::config::ambient::PROFILE;
use crate::names::{Namespace, Region};
use crate::policy::CredentialSource;

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
        let endpoint = match &target {
            Target::Ambient => None,
            Target::Url(url) | Target::Sandbox(url) => Some(url.as_str()),
        };
        Self {
            http: http::client(endpoint),
            target,
            namespace,
            clock,
        }
    }

    /// A client for one region with the credentials of `identity`, whose requests `meter` is told of.
    ///
    /// Calls nothing yet: credentials are looked for, and a role is assumed, when the first call is made, and
    /// again before they expire.
    pub async fn client(
        &self,
        identity: &CredentialSource,
        region: &Region,
        meter: Meter,
    ) -> AwsRedshift {
        let (connector, identity, region) = (self.clone(), identity.clone(), region.clone());
        AwsRedshift::new(connector, identity, region, Arc::clone(&self.clock), meter).await
    }

    /// What the calls of one region are made with: the SDK's settings, with credentials; AWS's own files are read anew.
    pub(super) async fn settings(
        &self,
        identity: &CredentialSource,
        region: &Region,
    ) -> (SdkConfig, Arc<Finder>) {
        let files = files::read().await.unwrap_or_else(|_| files::none());
        let loader = aws_config::defaults(BehaviorVersion::latest())
            .http_client(self.http.clone())
            .region(SdkRegion::new(region.to_string()))
            .timeout_config(timeouts())
            .retry_config(RetryConfig::disabled())
            .profile_files(files.texts.clone())
            .profile_name(profile_name(identity))
            .no_credentials();
        let settings = match &self.target {
            Target::Ambient => loader.load().await,
            Target::Url(url) => loader.endpoint_url(url).load().await,
            Target::Sandbox(url) => {
                // Its URL has no other forms, whatever the environment wants of AWS's.
                let loader = loader.use_fips(false).use_dual_stack(false);
                loader.endpoint_url(url).load().await
            }
        };
        let origin = match &self.target {
            Target::Sandbox(_) => Origin::Given(Credentials::new(
                "SANDBOX", "sandbox", None, None, "sandbox",
            )),
            Target::Ambient | Target::Url(_) => Origin::of(identity),
        };
        let finder = Finder::new(
            origin,
            identity.role.clone(),
            settings.clone(),
            self.namespace.to_string(),
            files.profiles.get_profile(&profile_name(identity)),
            Arc::clone(&self.clock),
        );
        let finder = Arc::new(finder);
        let provider: Arc<dyn ProvideCredentials> = Arc::<Finder>::clone(&finder);
        let provider = SharedCredentialsProvider::from(provider);
        // The finder keeps what it has found: the SDK need not.
        let settings = settings.into_builder().credentials_provider(provider);
        let settings = settings.identity_cache(IdentityCache::no_cache()).build();
        (settings, finder)
    }
}

/// The profile whose settings count; the SDK would take an empty name for one.
fn profile_name(identity: &CredentialSource) -> String {
    let named = identity.profile.clone();
    let named = named.or_else(|| environment::set(PROFILE));
    named.unwrap_or_else(|| "default".to_owned())
}

fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder()
        .operation_attempt_timeout(ATTEMPT_TIMEOUT)
        .operation_timeout(OPERATION_TIMEOUT)
        .build()
}
