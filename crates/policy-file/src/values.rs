//! Single values: endpoints and patterns of clusters.
//!
//! Owns: their grammars, as pure functions from text. Never knows where a text was written.

use std::str::FromStr;

use super::Endpoint;
use super::error::{foreign, quoted};
use super::expected;
use super::network::{host_and_port, is_clear_and_remote};
use redkeep_core::names::ClusterId;
use redkeep_core::policy::ClusterGlob;
use redkeep_core::problem::Problem;
use redkeep_core::suggest::suggestion;

/// Reads an endpoint; the error is the whole message.
pub(super) fn endpoint(text: &str) -> Result<Endpoint, Problem> {
    match text {
        "aws" => return Ok(Endpoint::Aws),
        "sandbox" => return Ok(Endpoint::Sandbox),
        _ => {}
    }
    let rest = text
        .strip_prefix("http://")
        .or_else(|| text.strip_prefix("https://"));
    let (authority, path) = rest.map_or(("", ""), |rest| {
        rest.split_at(rest.find('/').unwrap_or(rest.len()))
    });
    if authority.contains('@') {
        return Err(Problem::hinted(
            "a URL with a user name or password in it",
            "credentials do not belong here",
        ));
    }
    let printable = path
        .bytes()
        .all(|b| b.is_ascii_graphic() && b != b'?' && b != b'#');
    if is_authority(authority) && printable {
        if is_clear_and_remote(text) {
            return Err(format!(
                "got {}, wanted https: credentials go over plain http to a loopback address only",
                quoted(text)
            )
            .into());
        }
        Ok(Endpoint::Url(text.to_owned()))
    } else {
        let problem = format!("got {}, wanted {}", quoted(text), expected::ENDPOINT);
        Err(Problem::from(problem).and_hint(suggestion(text, ["aws", "sandbox"])))
    }
}

/// `host`, `host:port` or `[v6]:port`.
fn is_authority(text: &str) -> bool {
    let (host, port) = host_and_port(text);
    let v6 = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    let valid_host = match v6 {
        Some(address) => std::net::Ipv6Addr::from_str(address).is_ok(),
        None => {
            !host.is_empty()
                && host
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b))
        }
    };
    valid_host && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0))
}

/// An entry of `clusters` or `exclude`.
#[derive(Debug)]
pub(super) enum ClusterPattern {
    Literal(ClusterId),
    Glob(ClusterGlob),
}

/// Reads a cluster identifier, or a glob if it has any of `*?[{`; the error is the whole message.
pub(super) fn cluster_pattern(text: &str) -> Result<ClusterPattern, Problem> {
    let is_glob = text.contains(['*', '?', '[', '{']);
    let wanted = if is_glob {
        "a glob of lower-case letters, digits, hyphens and * ? [a-z] {a,b}"
    } else {
        ClusterId::WANTED
    };
    let lower = text.to_ascii_lowercase();
    if lower != text && read_pattern(&lower, is_glob).is_ok() {
        return Err(format!(
            "got {}, wanted {}: Redshift's identifiers are in lower case",
            quoted(text),
            quoted(&lower)
        )
        .into());
    }
    read_pattern(text, is_glob).map_err(|why| {
        let why = why.map_or_else(String::new, |why| format!(" ({why})"));
        let problem = format!("got {}, wanted {wanted}{why}", quoted(text));
        Problem::from(problem).and_hint(foreign(text))
    })
}

fn read_pattern(text: &str, is_glob: bool) -> Result<ClusterPattern, Option<String>> {
    if !is_glob {
        return text.parse().map(ClusterPattern::Literal).map_err(|_| None);
    }
    // Any other character would make a pattern that no identifier can match.
    let allowed =
        |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-*?[]{},!^".contains(&b);
    if text.len() > 256 || !text.bytes().all(allowed) {
        return Err(None);
    }
    match ClusterGlob::parse(text) {
        Ok(glob) => Ok(ClusterPattern::Glob(glob)),
        Err(error) => Err(Some(error.kind().to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_a_word_or_a_plain_url() {
        for good in [
            "http://127.0.0.1:5439",
            "https://redshift.example.com",
            "http://[::1]:80/x",
        ] {
            assert_eq!(endpoint(good).unwrap(), Endpoint::Url(good.to_owned()));
        }
        for bad in [
            "",
            "AWS",
            "localhost:80",
            "ftp://x",
            "http://",
            "http:///x",
            "http://a b",
            "http://x:0",
            "http://x:99999",
            "http://x/?q",
            "http://x\n",
            "https://[::1",
            "http://ü",
            "http://10.0.0.1:80",
            "http://127.0.0.1.example.com",
            "http://redshift.example.com/x",
        ] {
            assert!(endpoint(bad).is_err(), "{bad:?} was accepted");
        }
        assert!(
            !endpoint("http://me:hunter2@host")
                .unwrap_err()
                .to_string()
                .contains("hunter2")
        );
    }

    #[test]
    fn a_pattern_that_no_identifier_can_match_is_refused() {
        for good in ["*", "dw-*", "dw-[0-9]", "{a,b}-x", "d?"] {
            assert!(
                matches!(cluster_pattern(good), Ok(ClusterPattern::Glob(_))),
                "{good}"
            );
        }
        assert!(matches!(
            cluster_pattern("dw-prod"),
            Ok(ClusterPattern::Literal(_))
        ));
        for bad in [
            "",
            "dw_*",
            "dw\u{2011}*",
            "[a",
            "{a",
            "dw--prod",
            "dw prod",
            "а-prod",
            "*/x",
        ] {
            assert!(cluster_pattern(bad).is_err(), "{bad:?} was accepted");
        }
        assert!(
            cluster_pattern("DW-Prod")
                .unwrap_err()
                .text
                .contains("\"dw-prod\"")
        );
    }
}
