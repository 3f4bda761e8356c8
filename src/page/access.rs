//! Who is shown the page.
//!
//! Owns: the rule, as a pure function of where the listener is bound, which way a request came and which host it names. The
//! page has no log-in: it tells of clusters, snapshots and what AWS said, and so it stays on the machine unless the policy
//! file says otherwise. Never looks at what was asked for.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use axum::http::{HeaderMap, Uri, header};
use redkeep_serve::listener::Ends;

use crate::config::PageAccess;

/// What is to become of a request for the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is shown.
    Shown,
    /// There is no page for whoever asks from there.
    NotHere,
    /// It names another host: a browser was led here by a name that somebody else controls.
    ForeignHost,
}

/// Where requests may come from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Door {
    /// What the policy file says.
    pub(super) access: PageAccess,
    /// The address that the listener is bound to.
    pub(super) bound: SocketAddr,
}

impl Door {
    /// Judges a request. Without `open` all three addresses must be of this machine alone: where the listener has another one,
    /// a forwarder in front of it may make every stranger look like a neighbour.
    pub(super) fn judge(self, ends: Option<&Ends>, uri: &Uri, headers: &HeaderMap) -> Verdict {
        if self.access == PageAccess::Open {
            return Verdict::Shown;
        }
        let is_near = ends.is_some_and(|ends| is_loopback(ends.local) && is_loopback(ends.peer));
        if !is_loopback(self.bound) || !is_near {
            return Verdict::NotHere;
        }
        let named = hosts(uri, headers);
        match !named.is_empty() && named.iter().all(|host| is_this_machine(host)) {
            true => Verdict::Shown,
            false => Verdict::ForeignHost,
        }
    }
}

fn is_loopback(address: SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}

/// Every host that a request names, in its target and in its headers. One that is no text is nobody's.
fn hosts<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> Vec<&'a str> {
    let named = headers.get_all(header::HOST).into_iter();
    let named = named.map(|host| host.to_str().unwrap_or_default());
    let target = uri.authority().map(|authority| authority.as_str());
    named.chain(target).collect()
}

/// Whether a host with or without a port is a name that no server of names can lead elsewhere.
fn is_this_machine(host: &str) -> bool {
    let is_port = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
    if let Some(rest) = host.strip_prefix('[') {
        let Some((address, end)) = rest.split_once(']') else {
            return false;
        };
        let is_end = end.is_empty() || end.strip_prefix(':').is_some_and(is_port);
        return is_end
            && matches!(address.parse(), Ok::<Ipv6Addr, _>(address) if IpAddr::V6(address).to_canonical().is_loopback());
    }
    let (name, port) = host.rsplit_once(':').unwrap_or((host, ""));
    if !is_port(port) {
        return false;
    }
    let is_address = name
        .parse()
        .is_ok_and(|address: Ipv4Addr| address.is_loopback());
    is_address || name.eq_ignore_ascii_case("localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(access: PageAccess, bound: &str, local: &str, peer: &str, host: &[&str]) -> Verdict {
        let ends = Ends {
            local: local.parse().unwrap(),
            peer: peer.parse().unwrap(),
        };
        let hosts = host
            .iter()
            .map(|host| (header::HOST, host.parse().unwrap()));
        let door = Door {
            access,
            bound: bound.parse().unwrap(),
        };
        door.judge(Some(&ends), &"/".parse().unwrap(), &hosts.collect())
    }

    #[test]
    fn all_three_addresses_must_be_of_this_machine() {
        let near = "127.0.0.1:9835";
        for (bound, local, peer, wanted) in [
            (near, near, "127.0.0.1:4000", Verdict::Shown),
            ("[::1]:9835", "[::1]:9835", "[::1]:4000", Verdict::Shown),
            (near, near, "[::ffff:127.0.0.1]:4000", Verdict::Shown),
            ("0.0.0.0:9835", near, "127.0.0.1:4000", Verdict::NotHere),
            ("[::]:9835", "[::1]:9835", "[::1]:4000", Verdict::NotHere),
            (
                "10.0.0.5:9835",
                "10.0.0.5:9835",
                "10.0.0.5:4000",
                Verdict::NotHere,
            ),
            (near, near, "10.0.0.9:4000", Verdict::NotHere),
            (near, "10.0.0.5:9835", "127.0.0.1:4000", Verdict::NotHere),
        ] {
            let verdict = judged(PageAccess::Loopback, bound, local, peer, &["localhost"]);
            assert_eq!(verdict, wanted, "{bound} {local} {peer}");
        }
        let open = judged(
            PageAccess::Open,
            "0.0.0.0:1",
            "10.0.0.5:1",
            "10.0.0.9:2",
            &["x"],
        );
        assert_eq!(open, Verdict::Shown);
        let door = Door {
            access: PageAccess::Loopback,
            bound: near.parse().unwrap(),
        };
        let unknown = door.judge(None, &"/".parse().unwrap(), &HeaderMap::new());
        assert_eq!(unknown, Verdict::NotHere);
    }

    #[test]
    fn a_host_that_others_can_lead_here_is_foreign() {
        for (hosts, wanted) in [
            (&["localhost"][..], Verdict::Shown),
            (&["LOCALHOST:9835"], Verdict::Shown),
            (&["127.0.0.1:9835"], Verdict::Shown),
            (&["127.1.2.3"], Verdict::Shown),
            (&["[::1]:9835"], Verdict::Shown),
            (&["[::1]"], Verdict::Shown),
            (&[], Verdict::ForeignHost),
            (&[""], Verdict::ForeignHost),
            (&["evil.example"], Verdict::ForeignHost),
            (&["localhost.evil.example:9835"], Verdict::ForeignHost),
            (&["localhost:99@evil.example"], Verdict::ForeignHost),
            (&["[::1].evil"], Verdict::ForeignHost),
            (&["127.0.0.1.evil.example"], Verdict::ForeignHost),
            (&["10.0.0.5:9835"], Verdict::ForeignHost),
            (&["[fe80::1]:9835"], Verdict::ForeignHost),
            (&["[::1"], Verdict::ForeignHost),
            (&["localhost", "evil.example"], Verdict::ForeignHost),
        ] {
            let near = "127.0.0.1:9835";
            let verdict = judged(PageAccess::Loopback, near, near, "127.0.0.1:4000", hosts);
            assert_eq!(verdict, wanted, "{hosts:?}");
        }
    }

    #[test]
    fn a_target_that_names_another_host_is_foreign_too() {
        let near: SocketAddr = "127.0.0.1:9835".parse().unwrap();
        let door = Door {
            access: PageAccess::Loopback,
            bound: near,
        };
        let ends = Ends {
            local: near,
            peer: near,
        };
        let headers = HeaderMap::from_iter([(header::HOST, "localhost".parse().unwrap())]);
        let uri = "http://evil.example/".parse().unwrap();
        let verdict = door.judge(Some(&ends), &uri, &headers);
        assert_eq!(verdict, Verdict::ForeignHost);
    }
}
