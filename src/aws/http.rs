//! The way of a request to AWS: directly, through the proxy that the environment names, or not at all.
//!
//! Owns: the rule that nothing is sent over plain HTTP to another host, whoever named that host (an AWS profile may);
//! that nothing is sent elsewhere where the policy file names an endpoint; which requests a proxy sees; and that no answer
//! is read without a bound. Never looks into a request but at its URL.

use std::error::Error;
use std::net::UdpSocket;

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

/// What a client sends its requests with: to the `endpoint` of the policy file only, where it names one.
pub(super) fn client(endpoint: Option<&str>) -> SharedHttpClient {
    SharedHttpClient::new(Ways {
        endpoint: endpoint.map(|url| network::host(url).to_owned()),
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
struct InClear {
    host: String,
}

/// Why a request was not sent.
#[derive(Debug, thiserror::Error)]
#[error(
    "redkeep does not call {host}: with an `endpoint` in the policy file it calls nothing else"
)]
struct Elsewhere {
    host: String,
}

/// Whether a request was kept from leaving.
pub(super) fn is_kept_back(error: &(dyn Error + 'static)) -> bool {
    error.is::<InClear>() || error.is::<Elsewhere>()
}

#[derive(Debug, PartialEq, Eq)]
enum Way {
    Direct,
    /// Through a proxy, where one is set for this host.
    Proxied,
    /// In clear: what is sent could be read on the way.
    InClear,
    /// The request is not for the endpoint.
    Elsewhere,
}

fn way(url: &str, endpoint: Option<&str>) -> Way {
    let host = network::host(url);
    let is_near = network::is_loopback(host) || METADATA.contains(&host);
    let is_meant = endpoint.is_none_or(|endpoint| is_within(host, endpoint));
    match (is_meant, is_near, network::is_clear(url)) {
        (false, _, _) => Way::Elsewhere,
        (true, true, _) => Way::Direct,
        (true, false, false) => Way::Proxied,
        (true, false, true) => Way::InClear,
    }
}

/// Whether a host may be called though the policy file names another: one on this machine, and the addresses that
/// credentials come from, unless the endpoint is on this machine and they are not.
fn is_within(host: &str, endpoint: &str) -> bool {
    let is_ours = || UdpSocket::bind((host, 0)).is_ok();
    host.eq_ignore_ascii_case(endpoint)
        || network::is_loopback(host)
        || (METADATA.contains(&host) && (!network::is_loopback(endpoint) || is_ours()))
}

#[derive(Debug)]
struct Ways<T> {
    /// The only host, beside those that credentials come from.
    endpoint: Option<String>,
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
            endpoint: self.endpoint.clone(),
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
        let host = || network::host(request.uri()).to_owned();
        let kept_back: BoxError = match way(request.uri(), self.endpoint.as_deref()) {
            Way::Direct => return bounded_answer(self.direct.call(request)),
            Way::Proxied => return bounded_answer(self.proxied.call(request)),
            Way::InClear => Box::new(InClear { host: host() }),
            Way::Elsewhere => Box::new(Elsewhere { host: host() }),
        };
        HttpConnectorFuture::ready(Err(ConnectorError::user(kept_back)))
    }
}

/// Whoever asked: the credentials' sources answer too.
fn bounded_answer(answer: HttpConnectorFuture) -> HttpConnectorFuture {
    HttpConnectorFuture::new(async { Ok(answer.await?.map(bounded)) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_goes_in_clear_to_another_host_and_nothing_near_goes_through_a_proxy() {
        for (url, wanted) in [
            ("https://redshift.us-east-1.amazonaws.com/", Way::Proxied),
            ("http://redshift.us-east-1.amazonaws.com/", Way::InClear),
            ("http://10.0.0.7:9836/", Way::InClear),
            ("http://localhost@example.com/", Way::InClear),
            ("http://localhost:80@example.com/", Way::InClear),
            ("HTTP://example.com/", Way::InClear),
            ("http://127.0.0.1:9836/", Way::Direct),
            ("http://[::1]:9836/", Way::Direct),
            ("https://localhost/", Way::Direct),
            ("http://169.254.169.254/latest/api/token", Way::Direct),
            ("http://[fd00:ec2::254]/latest/api/token", Way::Direct),
            ("http://169.254.169.2/", Way::InClear),
        ] {
            assert_eq!(way(url, None), wanted, "{url}");
        }
    }

    #[test]
    fn with_an_endpoint_nothing_else_is_called_but_what_credentials_come_from() {
        let here = Some("127.0.0.1");
        let there = Some("redshift.example.com");
        for (url, endpoint, wanted) in [
            ("http://127.0.0.1:9836/", here, Way::Direct),
            ("http://[::1]:1338/latest/api/token", here, Way::Direct),
            ("https://sts.us-east-1.amazonaws.com/", here, Way::Elsewhere),
            (
                "https://sts.us-east-1.amazonaws.com/",
                there,
                Way::Elsewhere,
            ),
            (
                "http://169.254.169.254/latest/api/token",
                here,
                Way::Elsewhere,
            ),
            (
                "http://169.254.169.254/latest/api/token",
                there,
                Way::Direct,
            ),
            ("https://Redshift.example.com/", there, Way::Proxied),
            ("http://redshift.example.com/", there, Way::InClear),
            ("https://127.0.0.1@example.com/", here, Way::Elsewhere),
        ] {
            assert_eq!(way(url, endpoint), wanted, "{url} {endpoint:?}");
        }
    }
}
