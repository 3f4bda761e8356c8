//! Commands that go on until they are stopped.

use std::process::{Command, Stdio};
use std::time::Duration;

use chrono::{DurationRound, TimeDelta, Utc};
use redkeep::history::Change;
use redkeep::run::{Event, Run};
use redkeep::store::{EndpointKind, Store};
use serde_json::Value;

use super::{POLICY, nights, run, seen, told};
use crate::support::{Dir, MINUTE, REDKEEP, Sandbox, credentials, eventually, finish};

#[test]
fn a_take_that_waits_is_never_silent_for_long_and_says_on_ctrl_c_that_the_snapshot_goes_on() {
    let dir = Dir::new();
    let sandbox = Sandbox::start(&["--cluster", "dw", "--snapshot-seconds", "600"]);
    let policy = "[[account]]\nname = \"default\"\nregions = [\"us-east-1\"]\n[[policy]]\nname = \"yearly\"\n\
                  schedule = \"0 0 1 1 *\"\nclusters = [\"dw\"]\nretention = \"7d\"\n";
    let daemon = crate::support::Daemon::start(&dir, &sandbox.url, policy);
    let is_up = || std::net::TcpStream::connect(daemon.listen).is_ok();
    eventually("the listener", MINUTE, is_up);
    let said = dir.0.join("said");
    let mut command = Command::new(REDKEEP);
    let mut person = credentials(&mut command)
        .args(["take", "--policy", "yearly", "--cluster", "dw", "--config"])
        .arg(&daemon.config)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(&said).unwrap())
        .spawn()
        .unwrap();
    let lines = || std::fs::read_to_string(&said).unwrap();
    eventually("it is made", MINUTE, || lines().contains(" is creating"));
    let before = lines().lines().count();
    std::thread::sleep(Duration::from_secs(7));
    assert!(lines().lines().count() > before, "{}", lines());
    assert!(lines().contains("still creating"), "{}", lines());
    finish(Command::new("kill").args(["-INT", &person.id().to_string()]));
    let status = person.wait().unwrap();
    assert_eq!(status.code(), Some(1), "{}", lines());
    let last = lines().lines().last().unwrap().to_owned();
    assert!(
        last.contains("AWS has accepted the snapshot and continues to make it; `redkeep show "),
        "{last}"
    );
}

#[test]
fn a_take_that_aws_refuses_says_why_and_what_helps_and_on_ctrl_c_that_there_is_no_snapshot() {
    let dir = Dir::new();
    let sandbox = Sandbox::start(&["--cluster", "dw"]);
    let policy = "[[account]]\nname = \"default\"\nregions = [\"us-east-1\"]\n[[policy]]\nname = \"yearly\"\n\
                  schedule = \"0 0 1 1 *\"\nclusters = [\"dw\"]\nretention = \"7d\"\n";
    let daemon = crate::support::Daemon::start(&dir, &sandbox.url, policy);
    let is_up = || std::net::TcpStream::connect(daemon.listen).is_ok();
    eventually("the listener", MINUTE, is_up);
    let paused = r#"{"region": "us-east-1", "status": "paused"}"#;
    sandbox.control("POST", "/_sandbox/clusters/dw/state", paused);
    let said = dir.0.join("said");
    let mut command = Command::new(REDKEEP);
    let mut person = credentials(&mut command)
        .args(["take", "--policy", "yearly", "--cluster", "dw", "--config"])
        .arg(&daemon.config)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(&said).unwrap())
        .spawn()
        .unwrap();
    let lines = || std::fs::read_to_string(&said).unwrap();
    let helps = format!(
        "; `aws redshift resume-cluster --cluster-identifier dw --region us-east-1 --endpoint-url {}` helps",
        sandbox.url
    );
    eventually("AWS refuses", MINUTE, || {
        lines().contains(" is refused by AWS (cluster ") && lines().contains(&helps)
    });
    finish(Command::new("kill").args(["-INT", &person.id().to_string()]));
    assert_eq!(person.wait().unwrap().code(), Some(1), "{}", lines());
    let last = lines().lines().last().unwrap().to_owned();
    assert!(
        last.contains("AWS has not accepted the snapshot yet (cluster paused: InvalidClusterState")
            && last.contains(&helps)
            && last.contains("the daemon keeps asking until "),
        "{last}"
    );
}

#[tokio::test]
async fn history_follows_what_becomes_of_slots_from_now_on() {
    let dir = Dir::new();
    let (config, _) = nights(&dir).await;
    let said = dir.0.join("followed");
    let mut command = Command::new(REDKEEP);
    let mut person = credentials(&mut command)
        .args(["history", "--follow", "-n", "2", "-o", "json", "--config"])
        .arg(&config)
        .stdin(Stdio::null())
        .stdout(std::fs::File::create(&said).unwrap())
        .spawn()
        .unwrap();
    let lines = || -> Vec<Value> {
        let text = std::fs::read_to_string(&said).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    };
    eventually("the last two", MINUTE, || lines().len() == 2);
    let database = dir.0.join("state/history.db");
    let now = Utc::now().duration_trunc(TimeDelta::seconds(1)).unwrap();
    let opened = Store::open(&database, EndpointKind::Other, now).unwrap();
    let fresh = run(POLICY, now, &[Event::Asked]);
    let change = |run: &Run| vec![Change::Run(Box::new(run.clone()))];
    opened.store.commit(change(&fresh)).await.unwrap();
    eventually("what is new", MINUTE, || lines().len() == 3);
    let good = fresh.apply(seen(now), now).unwrap();
    opened.store.commit(change(&good)).await.unwrap();
    eventually("what became of it", MINUTE, || lines().len() == 4);
    let states = lines();
    let states: Vec<&str> = states
        .iter()
        .map(|row| row["state"].as_str().unwrap())
        .collect();
    assert_eq!(states, ["expired", "missed", "requested", "available"]);
    person.kill().unwrap();
    person.wait().unwrap();
    opened.store.close().await.unwrap();
}

#[tokio::test]
async fn status_watches_until_it_is_stopped() {
    let dir = Dir::new();
    let (config, _) = nights(&dir).await;
    let said = dir.0.join("watched");
    let mut command = Command::new(REDKEEP);
    let mut person = credentials(&mut command)
        .args(["status", "--watch", "1", "--config"])
        .arg(&config)
        .stdin(Stdio::null())
        .stdout(std::fs::File::create(&said).unwrap())
        .spawn()
        .unwrap();
    let shown = || std::fs::read_to_string(&said).unwrap();
    eventually("two pictures", MINUTE, || {
        shown().matches("POLICY ").count() >= 2
    });
    assert_eq!(person.try_wait().unwrap(), None);
    person.kill().unwrap();
    person.wait().unwrap();
    assert_eq!(
        told(&config, &["status", "--watch", "--check"])
            .status
            .code(),
        Some(2)
    );
}
