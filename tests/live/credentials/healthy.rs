//! Sources that work, at once or slowly.

use std::time::Duration;

use crate::credentials::{PRINTS, Sources};
use crate::support::sources::Mood;
use crate::support::tunnel::Tunnel;

#[test]
fn every_supported_source_leads_to_its_account_and_nothing_is_asked_elsewhere() {
    let (sources, tunnel) = (Sources::start(), Tunnel::start());
    for mut way in sources.ways() {
        for name in ["HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY"] {
            way.environment.push((name, tunnel.url()));
        }
        let wanted = ("ok".to_owned(), format!("account {}", way.number));
        assert_eq!(
            sources.identity(&way),
            wanted,
            "{} {}",
            way.name,
            way.account
        );
    }
    // With the endpoint of the policy file on this machine, STS and whatever else is asked are there too.
    assert_eq!(tunnel.heads(), [""; 0]);
    assert!(!sources.sandbox.requests("AssumeRole").is_empty());
}

#[test]
fn a_source_that_is_slow_is_waited_for() {
    let sources = Sources::start();
    let slow = || Mood::Slow(Duration::from_millis(2500));
    sources.instance.be(slow());
    sources.container.be(slow());
    sources.front.be(slow());
    let ways = sources.ways();
    sources
        .dir
        .write("process.sh", &format!("sleep 7\n{PRINTS}"));
    for way in ways {
        if ["instance", "container", "token", "process"].contains(&way.name) {
            let config = sources.profiles(&format!("sleep 7\n{PRINTS}"));
            sources.dir.write("aws-config", &config);
            let wanted = ("ok".to_owned(), format!("account {}", way.number));
            assert_eq!(sources.identity(&way), wanted, "{}", way.name);
        }
    }
}
