//! Requests to others than AWS, with the client and the TLS that are linked for AWS anyway.
//!
//! Owns: that a request to another host goes over the proxy of the environment, that no redirect is followed, that
//! certificates are verified, and that no more of an answer is read than a person would. Never retries, and never shows a
//! URL in an error: it may be a secret.

use std::pin::Pin;
use std::sync::Arc;

use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::{Connector, tls};
use aws_smithy_runtime_api::client::http::HttpConnector;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use http_body::Body;

use crate::config::network;
use crate::error_chain::with_causes;

/// How many bytes of an answer are read; the rest is left.
const ANSWER_MAX: usize = 16 << 10;

/// A request to a receiver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// Where to.
    pub url: String,
    /// Beside those that every request has.
    pub headers: Vec<(&'static str, String)>,
    /// What is sent.
    pub body: String,
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpAnswer {
    /// The HTTP status.
    pub status: u16,
    /// The header Retry-After.
    pub retry_after: Option<String>,
    /// The beginning of the body.
    pub body: String,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unanswered(String);

/// The client.
#[derive(Debug, Clone)]
pub struct OutgoingClient {
    direct: Arc<Connector>,
    proxied: Arc<Connector>,
}

impl Default for OutgoingClient {
    fn default() -> Self {
        Self {
            direct: connector(ProxyConfig::disabled()),
            proxied: connector(ProxyConfig::from_env()),
        }
    }
}

impl OutgoingClient {
    /// Posts a request. Whoever calls it bounds the time.
    ///
    /// # Errors
    /// [`Unanswered`] where there is no answer with a status.
    pub async fn post(&self, outgoing: Outgoing) -> Result<HttpAnswer, Unanswered> {
        let connector = match network::is_loopback(network::host(&outgoing.url)) {
            true => &self.direct,
            false => &self.proxied,
        };
        let told = |error: &dyn std::error::Error| {
            Unanswered(without_url(&with_causes(error), &outgoing.url))
        };
        let mut request = HttpRequest::new(SdkBody::from(outgoing.body.clone()));
        let unusable = |_| Unanswered("the URL cannot be used".to_owned());
        request.set_method("POST").map_err(|error| told(&error))?;
        request.set_uri(outgoing.url.as_str()).map_err(unusable)?;
        let agent = concat!("redkeep/", env!("CARGO_PKG_VERSION"));
        request.headers_mut().insert("user-agent", agent);
        for (name, value) in &outgoing.headers {
            let kept = request.headers_mut().try_insert(*name, value.clone());
            kept.map_err(|_| Unanswered(format!("the header {name} cannot be sent")))?;
        }
        let answer = connector
            .call(request)
            .await
            .map_err(|error| told(&error))?;
        let retry_after = answer.headers().get("retry-after").map(str::to_owned);
        let status = answer.status().as_u16();
        Ok(HttpAnswer {
            status,
            retry_after,
            body: beginning(answer.into_body()).await,
        })
    }
}

fn connector(proxy: ProxyConfig) -> Arc<Connector> {
    let crypto = tls::rustls_provider::CryptoMode::Ring;
    let connector = Connector::builder()
        .tls_provider(tls::Provider::Rustls(crypto))
        .proxy_config(proxy)
        // A connection that a receiver has closed meanwhile would look like a receiver that is down.
        .pool_max_idle_per_host(0)
        .build();
    Arc::new(connector)
}

/// The beginning of a body; what cannot be read is left out.
async fn beginning(mut body: SdkBody) -> String {
    let mut read = Vec::new();
    while read.len() < ANSWER_MAX {
        let next = std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await;
        let Some(Ok(frame)) = next else { break };
        read.extend(frame.into_data().unwrap_or_default());
    }
    read.truncate(ANSWER_MAX);
    String::from_utf8_lossy(&read).into_owned()
}

/// The text without what may be a secret: the URL, and all of it that stands behind the host.
fn without_url(text: &str, url: &str) -> String {
    let behind = url.split_once("://").map_or(url, |(_, rest)| rest);
    let path = behind.find('/').and_then(|at| behind.get(at..));
    let text = text.replace(url, "the URL");
    match path.filter(|path| path.len() > 1) {
        Some(path) => text.replace(path, "/…"),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_error_shows_the_secret_part_of_a_url() {
        let url = "https://hooks.example.com/services/T0/B0/hunter2";
        let told = without_url(
            &format!("error for {url}: /services/T0/B0/hunter2 is gone"),
            url,
        );
        assert!(!told.contains("hunter2"), "{told}");
        assert_eq!(without_url("a/b", "https://x/"), "a/b");
    }
}
