//! The way of a request to AWS: directly, through the proxy that the environment names, or not at all.
//!
//! Owns: the rule that nothing is sent over plain HTTP to another host, whoever named that host (an AWS profile may),
//! which requests a proxy sees, and that no answer is read without a bound. Never looks into a request but at its URL.

use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::{Builder, Connector, tls};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::connector_metadata::ConnectorMetadata;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::{
    RuntimeComponents, RuntimeComponentsBuilder,
};
use aws_smithy_types::config_bag::ConfigBag;

use super::body::bounded;
use crate::config::network;

/// Where instances, containers and pods get their credentials, over plain HTTP: link-local and private addresses
/// that no router forwards ("Instance metadata" in the EC2 User Guide, "Container credential provider" in the AWS
/// SDKs and Tools Reference Guide).
const METADATA: [&str; 5] = [
    "169.254.169.254",
    "169.254.170.2",
    "169.254.170.23",
    "fd00:ec2::23",
    "fd00:ec2::254",
];

/// What a client sends its requests with.
pub(super) fn client() -> SharedHttpClient {
    SharedHttpClient::new(Ways {
        direct: hyper(ProxyConfig::disabled()),
        proxied: hyper(ProxyConfig::from_env()),
    })
}

fn hyper(proxy: ProxyConfig) -> SharedHttpClient {
    Builder::new().build_with_connector_fn(move |settings, components| {
        let crypto = tls::rustls_provider::CryptoMode::Ring;
        let mut connector = Connector::builder()
            .tls_provider(tls::Provider::Rustls(crypto))
            .proxy_config(proxy.clone());
        connector.set_connector_settings(settings.cloned());
        connector.set_sleep_impl(components.and_then(RuntimeComponents::sleep_impl));
        connector.build()
    })
}

/// Why a request was not sent.
#[derive(Debug, thiserror::Error)]
#[error(
    "got the plain-http endpoint of {host}, wanted https: credentials go over plain http to a loopback address only"
)]
pub(super) struct InClear {
    host: String,
}

#[derive(Debug, PartialEq, Eq)]
enum Way {
    Direct,
    /// Through a proxy, where one is set for this host.
    Proxied,
    Nowhere,
}

fn way(url: &str) -> Way {
    let host = network::host(url);
    let near = network::is_loopback(host) || METADATA.contains(&host);
    match (near, network::is_clear(url)) {
        (true, _) => Way::Direct,
        (false, false) => Way::Proxied,
        (false, true) => Way::Nowhere,
    }
}

#[derive(Debug)]
struct Ways<T> {
    direct: T,
    proxied: T,
}

impl HttpClient for Ways<SharedHttpClient> {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(Ways {
            direct: self.direct.http_connector(settings, components),
            proxied: self.proxied.http_connector(settings, components),
        })
    }

    fn validate_base_client_config(
        &self,
        components: &RuntimeComponentsBuilder,
        config: &ConfigBag,
    ) -> Result<(), BoxError> {
        self.proxied.validate_base_client_config(components, config)
    }

    fn connector_metadata(&self) -> Option<ConnectorMetadata> {
        self.proxied.connector_metadata()
    }
}

impl HttpConnector for Ways<SharedHttpConnector> {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let answer = match way(request.uri()) {
            Way::Direct => self.direct.call(request),
            Way::Proxied => self.proxied.call(request),
            Way::Nowhere => {
                let host = network::host(request.uri()).to_owned();
                let error = ConnectorError::user(Box::new(InClear { host }));
                return HttpConnectorFuture::ready(Err(error));
            }
        };
        // Whoever asked: the credentials' sources answer too.
        HttpConnectorFuture::new(async { Ok(answer.await?.map(bounded)) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_goes_in_clear_to_another_host_and_nothing_near_goes_through_a_proxy() {
        for (url, wanted) in [
            ("https://redshift.us-east-1.amazonaws.com/", Way::Proxied),
            ("http://redshift.us-east-1.amazonaws.com/", Way::Nowhere),
            ("http://10.0.0.7:9836/", Way::Nowhere),
            ("http://localhost@example.com/", Way::Nowhere),
            ("http://localhost:80@example.com/", Way::Nowhere),
            ("HTTP://example.com/", Way::Nowhere),
            ("http://127.0.0.1:9836/", Way::Direct),
            ("http://[::1]:9836/", Way::Direct),
            ("https://localhost/", Way::Direct),
            ("http://169.254.169.254/latest/api/token", Way::Direct),
            ("http://[fd00:ec2::254]/latest/api/token", Way::Direct),
            ("http://169.254.169.2/", Way::Nowhere),
        ] {
            assert_eq!(way(url), wanted, "{url}");
        }
    }
}
