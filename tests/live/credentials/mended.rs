//! What is mended while redkeep runs.

use std::fs;
use std::time::Duration;

use crate::credentials::{OF_PROFILE, PRINTS, ROLE, Sources, sandbox};
use crate::support::sources::Mood;
use crate::support::{Daemon, Dir, EACH_TWO_SECONDS, MINUTE, eventually, http, in_state};

const ACCOUNTS: [&str; 5] = ["plain", "process", "instance", "container", "token"];

#[test]
fn what_was_broken_at_the_start_is_taken_up_once_it_is_mended_and_told_once_till_then() {
    let sources = Sources::start();
    let good = sources.profiles(PRINTS);
    let (config, token) = (
        sources.dir.0.join("aws-config"),
        sources.dir.0.join("token"),
    );
    let mut environment = sources.environment();
    fs::write(&config, format!("\u{feff}{good}")).unwrap();
    fs::remove_file(&token).unwrap();
    let script = sources.dir.write("process.sh", "exit 1\n");
    sources.instance.be(Mood::Broken(500, ""));
    sources.container.be(Mood::Broken(403, ""));
    environment.push((
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        sources.container.url(),
    ));
    let environment: Vec<_> = environment
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    let accounts = ACCOUNTS.map(|name| {
        format!("[[account]]\nname = \"{name}\"\nregions = [\"us-east-1\"]\nprofile = \"{name}\"\n")
    });
    let endpoint = format!("endpoint = \"{}\"\n", sources.front.url());
    let policies = format!("{endpoint}{}{EACH_TWO_SECONDS}", accounts.concat());
    let daemon = Daemon::start_among(&sources.dir, &policies, &environment);
    let said = "begins with a byte order mark";
    eventually("it is told", MINUTE, || daemon.log().contains(said));
    eventually("readyz says why", MINUTE, || {
        let ready = http(daemon.listen, "GET", "/readyz", "");
        ready.status == 503 && ready.body.matches(said).count() == ACCOUNTS.len()
    });
    std::thread::sleep(Duration::from_secs(4));
    assert_eq!(
        daemon.log().matches(said).count(),
        ACCOUNTS.len(),
        "{}",
        daemon.log()
    );
    // One profile is still missing, and the others' sources are broken.
    let without = good.replace("[profile plain]", "[profile plane]");
    fs::write(&config, without).unwrap();
    daemon.process.signal("-HUP");
    let causes = [
        "the profile \"plain\" is not found (in ",
        "; did you mean \"plane\"?",
        "the credential_process of the profile \"process\" ended with",
        "the profile \"instance\" begins with the instance metadata service (IMDSv2): it answers with HTTP status 500",
        "no credentials from the container credentials service",
        "the file of web_identity_token_file of the profile \"token\" cannot be read",
    ];
    eventually("readyz says each cause", MINUTE, || {
        let ready = http(daemon.listen, "GET", "/readyz", "");
        causes.iter().all(|cause| ready.body.contains(cause))
    });
    eventually("the log says each cause", MINUTE, || {
        let log = daemon.log().replace("\\\"", "\"");
        causes.iter().all(|cause| log.contains(cause))
    });
    fs::write(&config, &good).unwrap();
    fs::write(&token, "a.jwt.token").unwrap();
    fs::write(&script, PRINTS).unwrap();
    sources.instance.be(Mood::Healthy);
    sources.container.be(Mood::Healthy);
    daemon.wait("one in each account", MINUTE * 2, |rows| {
        let has_one = |name: &&str| in_state(rows, "available").any(|row| row["account"] == **name);
        ACCOUNTS.iter().all(has_one)
    });
    eventually("ready", MINUTE, || {
        http(daemon.listen, "GET", "/readyz", "").status == 200
    });
}

#[test]
fn session_keys_that_expire_are_taken_up_when_they_are_replaced_in_the_file() {
    let (dir, sandbox) = (Dir::new(), sandbox());
    let session = |seconds: u32| {
        let rules = format!(r#"{{"session_seconds":{seconds}}}"#);
        sandbox.control("PUT", "/_sandbox/roles", &rules);
        let form = format!("AssumeRole&RoleArn={ROLE}&RoleSessionName=redkeep");
        let answer = sandbox.sts(OF_PROFILE, &form).body;
        let part = |name: &str| {
            let (_, rest) = answer
                .split_once(&format!("<{name}>"))
                .unwrap_or_else(|| panic!("{answer}"));
            rest.split('<').next().unwrap().to_owned()
        };
        format!(
            "[default]\naws_access_key_id = {}\naws_secret_access_key = {}\naws_session_token = {}\n",
            part("AccessKeyId"),
            part("SecretAccessKey"),
            part("SessionToken")
        )
    };
    let keys = dir.write("credentials", &session(8));
    let path = keys.display().to_string();
    let environment = [
        ("AWS_SHARED_CREDENTIALS_FILE", path.as_str()),
        ("AWS_ACCESS_KEY_ID", ""),
        ("AWS_SECRET_ACCESS_KEY", ""),
    ];
    let policies = format!("endpoint = \"{}\"\n{EACH_TWO_SECONDS}", sandbox.url);
    let daemon = Daemon::start_among(&dir, &policies, &environment);
    daemon.wait("the first", MINUTE, |rows| {
        in_state(rows, "available").count() >= 1
    });
    eventually("they expire", MINUTE, || {
        let metrics = daemon.metrics();
        let mut lines = metrics.lines();
        lines.any(|line| line.contains("code=\"ExpiredToken\"") && !line.ends_with(" 0"))
    });
    fs::write(&keys, session(3600)).unwrap();
    let replaced = chrono::Utc::now().to_rfc3339();
    daemon.wait("the new ones are used", MINUTE, |rows| {
        in_state(rows, "available").any(|row| row["requested_at"].as_str() > Some(&replaced))
    });
}
