//! The way to AWS, as the real binary takes it: which hosts it calls, through which proxy, and what it refuses to send.

use std::net::TcpListener;

use crate::support::tunnel::Tunnel;
use crate::support::{
    Daemon, Dir, EACH_TWO_SECONDS, MINUTE, Sandbox, eventually, http, in_state, redkeep,
};

/// One account with the credentials at hand, and one with a role.
const ACCOUNTS: &str = r#"
[[account]]
name = "direct"
regions = ["eu-central-1"]

[[account]]
name = "assumed"
regions = ["us-east-1"]
role_arn = "arn:aws:iam::111122223333:role/redkeep"
"#;

/// The hosts that a daemon wants to be led to by its proxy: of both services, with `environment` beside the proxy.
fn tunnels(environment: &[(&str, &str)]) -> Vec<String> {
    let (dir, tunnel) = (Dir::new(), Tunnel::start());
    let url = tunnel.url();
    let proxy = [("HTTPS_PROXY", url.as_str())];
    let policies = format!("{ACCOUNTS}{EACH_TWO_SECONDS}");
    let daemon = Daemon::start_among(&dir, &policies, &[&proxy[..], environment].concat());
    eventually("both services are wanted", MINUTE, || {
        let asked = tunnel.asked();
        let wants = |service: &str| asked.iter().any(|line| line.contains(service));
        wants("redshift") && wants("sts") && asked.len() >= 3
    });
    for head in tunnel.heads() {
        let head = head.to_lowercase();
        assert!(!head.contains("aws4-hmac"), "signed in clear: {head}");
    }
    drop(daemon);
    tunnel.asked()
}

#[test]
fn by_default_each_region_is_called_at_its_own_endpoint() {
    let wanted = [
        "CONNECT redshift.eu-central-1.amazonaws.com:443",
        "CONNECT sts.eu-central-1.amazonaws.com:443",
        "CONNECT sts.us-east-1.amazonaws.com:443",
    ];
    assert_eq!(tunnels(&[]), wanted);
}

#[test]
fn fips_endpoints_are_called_where_they_are_asked_for() {
    let wanted = [
        "CONNECT redshift-fips.eu-central-1.amazonaws.com:443",
        "CONNECT sts-fips.eu-central-1.amazonaws.com:443",
        "CONNECT sts-fips.us-east-1.amazonaws.com:443",
    ];
    assert_eq!(tunnels(&[("AWS_USE_FIPS_ENDPOINT", "true")]), wanted);
}

#[test]
fn dual_stack_endpoints_are_called_where_they_are_asked_for() {
    let wanted = [
        "CONNECT redshift.eu-central-1.api.aws:443",
        "CONNECT sts.eu-central-1.api.aws:443",
        "CONNECT sts.us-east-1.api.aws:443",
    ];
    assert_eq!(tunnels(&[("AWS_USE_DUALSTACK_ENDPOINT", "true")]), wanted);
}

#[test]
fn hosts_in_no_proxy_are_called_directly() {
    // A name that is never found, so that a direct call ends on this host.
    let endpoint = ("AWS_ENDPOINT_URL_REDSHIFT", "https://redshift.invalid");
    let direct = ("NO_PROXY", "example.com, .invalid");
    let sts = "CONNECT sts.us-east-1.amazonaws.com:443";
    let both = ["CONNECT redshift.invalid:443", sts];
    for (environment, wanted) in [(&[endpoint][..], &both[..]), (&[endpoint, direct], &[sts])] {
        let (dir, tunnel) = (Dir::new(), Tunnel::start());
        let url = tunnel.url();
        let proxy = [("HTTPS_PROXY", url.as_str())];
        let daemon = Daemon::start_among(&dir, EACH_TWO_SECONDS, &[&proxy, environment].concat());
        eventually("the listing has failed", MINUTE, || {
            daemon.log().contains("listing failed")
        });
        assert_eq!(tunnel.asked(), wanted, "{}", daemon.log());
    }
}

#[test]
fn what_is_on_this_host_is_never_asked_for_through_a_proxy() {
    let (dir, tunnel) = (Dir::new(), Tunnel::start());
    let sandbox = Sandbox::start(&["--cluster", "dw", "--snapshot-seconds", "1"]);
    let url = tunnel.url();
    let proxies =
        ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY"].map(|name| (name, url.as_str()));
    let policies = format!("endpoint = \"{}\"\n{EACH_TWO_SECONDS}", sandbox.url);
    let daemon = Daemon::start_among(&dir, &policies, &proxies);
    daemon.wait("two", MINUTE, |rows| {
        in_state(rows, "available").count() >= 2
    });
    assert!(tunnel.heads().is_empty(), "{:?}", tunnel.heads());
}

#[test]
fn the_endpoint_of_the_policy_file_goes_over_those_of_the_environment() {
    let (dir, tunnel) = (Dir::new(), Tunnel::start());
    let elsewhere = tunnel.url();
    let environment = [
        ("AWS_ENDPOINT_URL", elsewhere.as_str()),
        ("AWS_ENDPOINT_URL_REDSHIFT", elsewhere.as_str()),
        ("AWS_ENDPOINT_URL_STS", elsewhere.as_str()),
        ("AWS_USE_FIPS_ENDPOINT", "true"),
        ("AWS_USE_DUALSTACK_ENDPOINT", "true"),
    ];
    let policies = format!("endpoint = \"sandbox\"\n{ACCOUNTS}{EACH_TWO_SECONDS}")
        .replace("\"dw\"", "\"dw-prod\"");
    let daemon = Daemon::start_among(&dir, &policies, &environment);
    daemon.wait("both accounts", MINUTE, |rows| {
        ["direct", "assumed"]
            .iter()
            .all(|account| in_state(rows, "available").any(|row| row["account"] == *account))
    });
    assert!(tunnel.heads().is_empty(), "{:?}", tunnel.heads());
}

#[test]
fn a_url_has_no_fips_form_and_this_is_told() {
    let dir = Dir::new();
    let sandbox = Sandbox::start(&["--cluster", "dw"]);
    let policies = format!("endpoint = \"{}\"\n{EACH_TWO_SECONDS}", sandbox.url);
    let daemon = Daemon::start_among(&dir, &policies, &[("AWS_USE_FIPS_ENDPOINT", "true")]);
    eventually("it is told", MINUTE, || {
        daemon
            .log()
            .contains("FIPS and custom endpoint are not supported")
    });
    let asked = sandbox.control("GET", "/_sandbox/requests", "");
    assert_eq!(asked, serde_json::json!([]));
}

#[test]
fn the_endpoint_of_redshift_alone_can_be_replaced() {
    let dir = Dir::new();
    let sandbox = Sandbox::start(&["--cluster", "dw", "--snapshot-seconds", "1"]);
    let tunnel = Tunnel::start();
    let url = tunnel.url();
    let environment = [
        ("AWS_ENDPOINT_URL_REDSHIFT", sandbox.url.as_str()),
        ("HTTPS_PROXY", url.as_str()),
    ];
    let daemon = Daemon::start_among(&dir, EACH_TWO_SECONDS, &environment);
    daemon.wait("two", MINUTE, |rows| {
        in_state(rows, "available").count() >= 2
    });
    assert_eq!(tunnel.asked(), ["CONNECT sts.us-east-1.amazonaws.com:443"]);
}

/// A server on an address of this host that is not loopback, or `None` where there is no such address.
fn remote() -> Option<TcpListener> {
    let probe = std::net::UdpSocket::bind("0.0.0.0:0").ok()?;
    probe.connect("192.0.2.1:9").ok()?;
    let address = probe.local_addr().ok()?.ip();
    TcpListener::bind((address, 0)).ok()
}

#[test]
fn an_endpoint_in_clear_on_another_host_is_refused_wherever_it_is_named() {
    let dir = Dir::new();
    let policies = format!("{ACCOUNTS}{EACH_TWO_SECONDS}");
    for name in [
        "AWS_ENDPOINT_URL",
        "AWS_ENDPOINT_URL_REDSHIFT",
        "AWS_ENDPOINT_URL_STS",
    ] {
        let environment = [(name, "http://192.0.2.1:9836")];
        let mut daemon = Daemon::start_among(&dir, &policies, &environment);
        assert_eq!(daemon.process.exit_code(MINUTE), Some(78), "{name}");
        assert!(
            daemon.log().contains(&format!("{name}: got")),
            "{}",
            daemon.log()
        );
    }
    let file = dir.write(
        "clear.toml",
        &format!("endpoint = \"http://192.0.2.1\"\n{EACH_TWO_SECONDS}"),
    );
    let output = redkeep(&["check", "--config", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(78), "{output:?}");
}

#[test]
fn an_endpoint_in_clear_that_only_an_aws_profile_names_is_not_called() {
    let (dir, listener) = (Dir::new(), remote());
    let url = listener.as_ref().map_or_else(
        || "http://192.0.2.1:9836".to_owned(),
        |listener| format!("http://{}", listener.local_addr().unwrap()),
    );
    let profile = dir.write("aws-config", &format!("[default]\nendpoint_url = {url}\n"));
    let environment = [("AWS_CONFIG_FILE", profile.to_str().unwrap())];
    let daemon = Daemon::start_among(&dir, EACH_TWO_SECONDS, &environment);
    eventually("it is told", MINUTE, || {
        daemon
            .log()
            .contains("credentials go over plain http to a loopback address only")
    });
    eventually("it is not ready", MINUTE, || {
        http(daemon.listen, "GET", "/readyz", "").status == 503
    });
    if let Some(listener) = listener {
        listener.set_nonblocking(true).unwrap();
        assert!(listener.accept().is_err(), "somebody has connected");
    }
}

#[test]
fn a_proxy_that_cannot_be_used_is_refused_and_its_password_is_not_told() {
    let dir = Dir::new();
    let environment = [("HTTPS_PROXY", "socks5://user:hunter2@127.0.0.1:1080")];
    let mut daemon = Daemon::start_among(&dir, EACH_TWO_SECONDS, &environment);
    assert_eq!(daemon.process.exit_code(MINUTE), Some(78));
    let log = daemon.log();
    assert!(
        log.contains("HTTPS_PROXY") && !log.contains("hunter2"),
        "{log}"
    );
}
