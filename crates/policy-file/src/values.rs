//! Single values: durations, endpoints and patterns of clusters.
//!
//! Owns: their grammars, as pure functions from text. Never knows where a text was written.

use std::str::FromStr;

use chrono::TimeDelta;

use super::Endpoint;
use super::error::{foreign, quoted};
use super::expected;
use super::network::{host_and_port, is_clear_and_remote};
use redkeep_core::names::ClusterId;
use redkeep_core::policy::ClusterGlob;
use redkeep_core::suggest::did_you_mean;

/// The bounds of a duration, both included, and how they are written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    least: (u64, &'static str),
    most: (u64, &'static str),
}

const DAY: u64 = 86_400;

/// The bounds of `jitter`.
pub(super) const JITTER: Bounds = Bounds {
    least: (0, "0s"),
    most: (DAY, "24h"),
};
/// The bounds of `start_window`.
pub(super) const START_WINDOW: Bounds = Bounds {
    least: (60, "60s"),
    most: (30 * DAY, "30d"),
};
/// The bounds of `completion_window`.
pub(super) const COMPLETION_WINDOW: Bounds = Bounds {
    least: (60, "1m"),
    most: (30 * DAY, "30d"),
};
/// The bounds of `rpo`.
pub(super) const RPO: Bounds = Bounds {
    least: (60, "1m"),
    most: (3653 * DAY, "3653d"),
};
/// The bounds of `guard_gone`.
pub(super) const GUARD_GONE: Bounds = Bounds {
    least: (DAY, "1d"),
    most: (3653 * DAY, "3653d"),
};
/// The bounds of a blackout's `duration`.
pub(super) const BLACKOUT: Bounds = Bounds {
    least: (60, "1m"),
    most: (31 * DAY, "31d"),
};

/// Reads `90s`, `15m`, `4h`, `35d`, `8w`, or several of these as `1h30m`; the error is what is wanted.
pub(super) fn duration(text: &str, bounds: Bounds) -> Result<TimeDelta, String> {
    // humantime knows more units, among them months and years of a fixed length, and allows blanks.
    let unit = |c: char| "smhdw".contains(c);
    let plain = text.ends_with(unit)
        && text.split_inclusive(unit).all(|part| {
            let count = part.trim_end_matches(unit);
            part.len() == count.len() + 1
                && !count.is_empty()
                && count.bytes().all(|b| b.is_ascii_digit())
        });
    let parsed = plain
        .then(|| humantime::parse_duration(text).ok())
        .flatten();
    parsed
        .filter(|duration| (bounds.least.0..=bounds.most.0).contains(&duration.as_secs()))
        .and_then(|duration| TimeDelta::from_std(duration).ok())
        .ok_or_else(|| {
            let Bounds { least, most } = bounds;
            format!(
                "a duration in s, m, h, d or w such as \"90s\" or \"4h\", from {} to {}",
                least.1, most.1
            )
        })
}

/// Reads an endpoint; the error is the whole message.
pub(super) fn endpoint(text: &str) -> Result<Endpoint, String> {
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
        return Err(
            "a URL with a user name or password in it; credentials do not belong here".to_owned(),
        );
    }
    let printable = path
        .bytes()
        .all(|b| b.is_ascii_graphic() && b != b'?' && b != b'#');
    if is_authority(authority) && printable {
        if is_clear_and_remote(text) {
            return Err(format!(
                "got {}, wanted https: credentials go over plain http to a loopback address only",
                quoted(text)
            ));
        }
        Ok(Endpoint::Url(text.to_owned()))
    } else {
        let hint = did_you_mean(text, ["aws", "sandbox"]);
        Err(format!(
            "got {}, wanted {}{hint}",
            quoted(text),
            expected::ENDPOINT
        ))
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
pub(super) fn cluster_pattern(text: &str) -> Result<ClusterPattern, String> {
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
        ));
    }
    read_pattern(text, is_glob).map_err(|why| {
        let why = why.map_or_else(String::new, |why| format!(" ({why})"));
        format!(
            "got {}, wanted {wanted}{why}{}",
            quoted(text),
            foreign(text)
        )
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
    fn durations_have_five_units_and_bounds() {
        for (text, seconds) in [
            ("0s", 0),
            ("90s", 90),
            ("15m", 900),
            ("4h", 14_400),
            ("1d", 86_400),
            ("1h30m", 5_400),
        ] {
            assert_eq!(
                duration(text, JITTER).unwrap().num_seconds(),
                seconds,
                "{text}"
            );
        }
        assert_eq!(duration("2w", START_WINDOW).unwrap().num_days(), 14);
        for bad in [
            "",
            "0",
            "5",
            "m",
            "5M",
            "5 m",
            "5mo",
            "5min",
            "1y",
            "-5m",
            "1.5h",
            "25h",
            "5ms",
            "5sm",
            "99999999999999999999s",
            "٣m",
        ] {
            assert!(duration(bad, JITTER).is_err(), "{bad:?} was accepted");
        }
        assert!(duration("59s", START_WINDOW).is_err());
    }

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
                .contains("\"dw-prod\"")
        );
    }
}
