//! The way to AWS: what a URL means for it, and what the environment says of it beside the policy file.
//!
//! Owns: the refusal of endpoints in clear on other hosts and of proxies that cannot be used. Never connects to
//! anything. The variables are the AWS SDK's own ("Service-specific endpoints" in the AWS SDKs and Tools Reference
//! Guide), and those that curl made common.

use std::net::IpAddr;

use super::Endpoint;
use super::error::{Location, quoted};
use super::report::Report;

/// Each replaces AWS's own endpoint of the services that are called.
pub(super) const ENDPOINTS: [&str; 3] = [
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_REDSHIFT",
    "AWS_ENDPOINT_URL_STS",
];
/// By falling precedence; of two spellings the first that is set counts, as in curl.
const PROXIES: [[&str; 2]; 2] = [["HTTPS_PROXY", "https_proxy"], ["ALL_PROXY", "all_proxy"]];

/// The host of a URL, without brackets; empty where there is none.
pub fn host(url: &str) -> &str {
    let (_, rest) = url.split_once("://").unwrap_or(("", url));
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let (_, authority) = authority.rsplit_once('@').unwrap_or(("", authority));
    let (host, _) = host_and_port(authority);
    host.trim_start_matches('[').trim_end_matches(']')
}

/// An authority without user information, taken apart.
pub(super) fn host_and_port(authority: &str) -> (&str, Option<&str>) {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (authority, None),
    }
}

/// Whether what is sent to a URL can be read on the way.
pub fn is_clear(url: &str) -> bool {
    let scheme = url.split_once("://").map(|(scheme, _)| scheme);
    !scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case("https"))
}

/// Whether a host is this one.
pub fn is_loopback(host: &str) -> bool {
    let address: Option<IpAddr> = host.parse().ok();
    address.is_some_and(|address| address.is_loopback()) || host.eq_ignore_ascii_case("localhost")
}

/// Whether a URL sends signed requests and session tokens in clear to another host.
pub(super) fn is_clear_and_remote(url: &str) -> bool {
    is_clear(url) && !is_loopback(host(url))
}

/// Whether the environment puts something else in the place of AWS's Redshift.
pub fn is_redirected(environment: &[(String, String)]) -> bool {
    let ours = &ENDPOINTS[..2];
    heeded(environment).any(|(name, _)| ours.contains(&name))
}

/// Refuses what would send credentials in clear, and a proxy that would be passed by in silence.
pub(super) fn check(
    endpoint: Option<&Endpoint>,
    environment: &[(String, String)],
    report: &mut Report,
) {
    if endpoint == Some(&Endpoint::Aws) {
        for (name, url) in heeded(environment).filter(|(_, url)| is_clear_and_remote(url)) {
            let url = quoted(url);
            report.at(
                Location::variable(name),
                format!("got {url}, wanted https: credentials go over plain http to a loopback address only"),
            );
        }
    }
    let proxies = PROXIES.iter().filter_map(|spellings| {
        let mut set = spellings.iter().map(|name| variable(environment, name));
        set.find_map(|found| found)
    });
    for (name, url) in proxies.filter(|(_, url)| !url.is_empty() && !is_proxy(url)) {
        // Not shown: a proxy's URL may hold a password.
        let scheme = url.split_once("://").map_or("", |(scheme, _)| scheme);
        let scheme = quoted(scheme);
        report.at(
            Location::variable(name),
            format!(
                "got a URL with the scheme {scheme}, wanted the http:// or https:// URL of a proxy"
            ),
        );
    }
}

/// The variables that the SDK takes an endpoint from.
fn heeded(environment: &[(String, String)]) -> impl Iterator<Item = (&str, &str)> {
    let ignore = variable(environment, "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS");
    let heeds = !ignore.is_some_and(|(_, value)| value.eq_ignore_ascii_case("true"));
    let found = ENDPOINTS
        .iter()
        .filter_map(|name| variable(environment, name));
    found.filter(move |(_, url)| heeds && !url.is_empty())
}

pub(super) fn variable<'a>(
    environment: &'a [(String, String)],
    name: &str,
) -> Option<(&'a str, &'a str)> {
    let found = environment.iter().find(|(known, _)| known == name);
    found.map(|(name, value)| (name.as_str(), value.as_str()))
}

/// Whether the HTTP client can use it; without a scheme it is http, as in curl.
fn is_proxy(url: &str) -> bool {
    url.parse::<http::Uri>().is_ok_and(|url| {
        let spoken = matches!(url.scheme_str(), None | Some("http" | "https"));
        spoken && url.host().is_some_and(|host| !host.is_empty())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zones::{Database, Place};

    fn told(endpoint: Endpoint, variables: &[(&str, &str)]) -> Vec<String> {
        let environment: Vec<(String, String)> = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let mut report = Report::new(Database::open(&Place::nowhere()));
        check(Some(&endpoint), &environment, &mut report);
        report
            .finish(None)
            .unwrap_err()
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn an_endpoint_in_clear_on_another_host_is_refused_where_the_sdk_would_heed_it() {
        for name in ENDPOINTS {
            let remote = [(name, "http://10.0.0.7:9836")];
            let told_of = told(Endpoint::Aws, &remote);
            assert!(told_of[0].starts_with(name), "{told_of:?}");
            assert!(told_of[0].contains("got \"http://10.0.0.7:9836\", wanted https"));
            assert!(told(Endpoint::Sandbox, &remote).is_empty());
            let ignored = [remote[0], ("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true")];
            assert!(told(Endpoint::Aws, &ignored).is_empty());
            for fine in ["https://10.0.0.7", "http://127.0.0.1:9836", "http://[::1]"] {
                assert!(told(Endpoint::Aws, &[(name, fine)]).is_empty());
            }
        }
    }

    #[test]
    fn a_proxy_that_cannot_be_used_is_refused_and_its_password_not_shown() {
        let socks = "socks5://user:hunter2@proxy:1080";
        let told_of = told(Endpoint::Aws, &[("HTTPS_PROXY", socks)]);
        assert!(told_of[0].starts_with("HTTPS_PROXY: got a URL with the scheme \"socks5\""));
        assert!(!told_of[0].contains("hunter2"), "{told_of:?}");
        assert_eq!(told(Endpoint::Aws, &[("all_proxy", "http://")]).len(), 1);
        for fine in [
            "http://user:hunter2@proxy:3128",
            "https://proxy",
            "proxy:3128",
            "",
        ] {
            assert!(
                told(Endpoint::Aws, &[("HTTPS_PROXY", fine)]).is_empty(),
                "{fine}"
            );
        }
        let first = [("https_proxy", socks), ("HTTPS_PROXY", "http://proxy:3128")];
        assert!(
            told(Endpoint::Aws, &first).is_empty(),
            "the first spelling counts"
        );
    }

    #[test]
    fn only_what_replaces_redshift_makes_another_kind_of_history() {
        let set = |name: &str| [(name.to_owned(), "http://127.0.0.1:9836".to_owned())];
        assert!(is_redirected(&set("AWS_ENDPOINT_URL")));
        assert!(is_redirected(&set("AWS_ENDPOINT_URL_REDSHIFT")));
        assert!(!is_redirected(&set("AWS_ENDPOINT_URL_STS")));
    }
}
