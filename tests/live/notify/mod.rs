//! Receivers on loopback that hang, fail, redirect and refuse: what they get, and what they cannot hold up.
//!
//! `fakes` are strict about what PagerDuty and healthchecks document; `kills` kills the daemon around every delivery.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test that cannot go on fails, and the tests of the real binary live in real time"
)]

mod fakes;
mod heartbeat;
mod kills;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::receiver::{Behaviour, Got, Receiver};
use crate::support::{
    Daemon, Dir, EACH_TWO_SECONDS, MINUTE, Sandbox, assert_prompt, eventually, http, in_state,
    redkeep,
};

/// The next create calls are refused for good, so that each slot has failed at once.
fn fail(sandbox: &Sandbox, times: u32) {
    let rule = format!(
        r#"{{"operation":"CreateClusterSnapshot","times":{times},"fault":{{"kind":"error","code":"InvalidTagFault","message":"no such tag"}}}}"#
    );
    sandbox.control("POST", "/_sandbox/faults", &rule);
}

fn webhook(receiver: &Receiver) -> String {
    format!(
        "[[notify]]\nname = \"ops\"\nkind = \"webhook\"\nurl = \"{}\"\nsecret_file = \"key\"\n",
        receiver.url("/hook")
    )
}

/// A daemon whose slots come every two seconds, with these receivers.
fn daemon(dir: &Dir, sandbox: &Sandbox, receivers: &str) -> Daemon {
    dir.write("key", "signing-key-that-must-not-leak\n");
    Daemon::start(dir, &sandbox.url, &format!("{EACH_TWO_SECONDS}{receivers}"))
}

fn pending(daemon: &Daemon) -> Vec<Value> {
    let config = daemon.config.to_str().unwrap();
    let told = redkeep(&[
        "notify",
        "--pending",
        "--output",
        "json",
        "--config",
        config,
    ]);
    match told.status.success() {
        true => serde_json::from_slice(&told.stdout).unwrap(),
        // Not there yet: the daemon has not made it.
        false => Vec::new(),
    }
}

fn events(got: &[Got]) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    got.iter()
        .map(|one| (text(&one.json()["event"]), text(&one.json()["state"])))
        .collect()
}

fn told(event: &str, state: &str) -> (String, String) {
    (event.to_owned(), state.to_owned())
}

#[test]
fn a_failure_is_one_message_and_the_next_snapshot_one_recovery() {
    let (dir, sandbox, receiver) = (Dir::new(), Sandbox::of(&["dw"]), Receiver::start());
    fail(&sandbox, 3);
    let daemon = daemon(&dir, &sandbox, &webhook(&receiver));
    let got = receiver.wait(2, MINUTE);
    assert_eq!(
        events(&got),
        [told("failed", "begun"), told("failed", "over")]
    );
    let failed = got[0].json();
    assert_eq!(failed["policy"], "often");
    assert_eq!(failed["cluster"], "dw");
    assert_eq!(failed["severity"], "critical");
    let action = format!("redkeep check --config {}", daemon.config.display());
    assert_eq!(failed["action"], action);
    assert_eq!(got[1].json()["severity"], "info", "it is over");
    assert!(
        failed["reason"].as_str().unwrap().contains("no such tag"),
        "{failed}"
    );
    assert!(
        failed["local_time"].as_str().unwrap().ends_with(" UTC"),
        "{failed}"
    );
    assert_eq!(failed["dedup_key"], got[1].json()["dedup_key"]);
    let signature = got[0].header("redkeep-signature").unwrap();
    assert!(
        signature.starts_with("t=") && signature.contains(",v1="),
        "{signature}"
    );
    let rows = daemon.history();
    assert_eq!(in_state(&rows, "failed").count(), 3);
    assert_eq!(
        receiver.got().len(),
        2,
        "three failures in a row are one message"
    );
    let metrics = daemon.metrics();
    let line = "redkeep_notifications_total{name=\"ops\",result=\"delivered\"} 2";
    assert!(metrics.contains(line), "{metrics}");
    assert!(
        metrics.contains("redkeep_notifications_pending{name=\"ops\"} 0"),
        "{metrics}"
    );
    assert_eq!(pending(&daemon), Vec::<Value>::new());
}

#[test]
fn a_receiver_that_hangs_holds_up_no_slot_no_scrape_and_not_the_end() {
    let (dir, sandbox, receiver) = (Dir::new(), Sandbox::of(&["dw"]), Receiver::start());
    receiver.always(Some(Behaviour::Hang));
    fail(&sandbox, 1);
    let mut daemon = daemon(&dir, &sandbox, &webhook(&receiver));
    daemon.wait("slots go on", MINUTE, |rows| {
        in_state(rows, "available").count() >= 6
    });
    assert!(!receiver.got().is_empty(), "it was asked");
    let asked = Instant::now();
    assert_eq!(http(daemon.listen, "GET", "/metrics", "").status, 200);
    assert!(asked.elapsed() < Duration::from_secs(1));
    assert_prompt(daemon.history().iter());
    eventually("the attempt is given up", Duration::from_secs(20), || {
        let waiting = pending(&daemon);
        waiting
            .iter()
            .any(|one| one["trouble"] == "no answer within 10s")
    });
    let stopped = Instant::now();
    daemon.process.signal("-TERM");
    assert_eq!(daemon.process.exit_code(Duration::from_secs(25)), Some(0));
    assert!(
        stopped.elapsed() < Duration::from_secs(3),
        "{:?}",
        stopped.elapsed()
    );
}

#[test]
fn whatever_a_receiver_does_a_message_comes_once_it_takes_it_under_the_same_id() {
    let (dir, sandbox, receiver) = (Dir::new(), Sandbox::of(&["dw"]), Receiver::start());
    receiver.next([
        Behaviour::Answer(500, ""),
        Behaviour::Close,
        Behaviour::Answer(307, "location: http://127.0.0.1:9/elsewhere\r\n"),
    ]);
    fail(&sandbox, 1);
    let daemon = daemon(&dir, &sandbox, &webhook(&receiver));
    let got = receiver.wait(2, MINUTE * 3);
    let all = receiver.got();
    let ids = |event: usize| -> Vec<Value> {
        let id = got[event].json()["id"].clone();
        all.iter()
            .map(|one| one.json()["id"].clone())
            .filter(|one| *one == id)
            .collect()
    };
    assert!(ids(0).len() + ids(1).len() == all.len(), "{all:#?}");
    assert_eq!(all.len(), 5, "three failures, two successes: {all:#?}");
    assert!(
        all.iter().all(|one| one.path == "/hook"),
        "no redirect is followed"
    );
    let log = daemon.log();
    assert_eq!(
        log.matches("a message cannot be delivered").count(),
        1,
        "told once"
    );
    assert!(log.contains("messages are delivered again"), "{log}");
    let failed = "redkeep_notifications_total{name=\"ops\",result=\"failed\"} 3";
    assert!(daemon.metrics().contains(failed));
}

#[test]
fn retry_after_is_respected() {
    let (dir, sandbox, receiver) = (Dir::new(), Sandbox::of(&["dw"]), Receiver::start());
    receiver.next([Behaviour::Answer(429, "retry-after: 12\r\n")]);
    fail(&sandbox, 1);
    let _daemon = daemon(&dir, &sandbox, &webhook(&receiver));
    receiver.wait(2, MINUTE);
    let got = receiver.got();
    let waited = got[1].at - got[0].at;
    assert!(waited >= Duration::from_millis(11_900), "{waited:?}");
    assert_eq!(got[0].json()["id"], got[1].json()["id"]);
}

#[test]
fn an_answer_without_end_is_not_read_and_no_secret_is_told_anywhere() {
    let (dir, sandbox, receiver) = (Dir::new(), Sandbox::of(&["dw"]), Receiver::start());
    receiver.next([Behaviour::Flood]);
    fail(&sandbox, 1);
    let secret = "token-that-must-not-leak";
    dir.write("url", &receiver.url(&format!("/services/{secret}")));
    let slack = "[[notify]]\nname = \"chat\"\nkind = \"slack\"\nurl_file = \"url\"\n";
    let mut daemon = daemon(&dir, &sandbox, &format!("{slack}{}", webhook(&receiver)));
    receiver.wait(4, MINUTE);
    let text = receiver
        .got()
        .iter()
        .find(|one| one.path.contains(secret))
        .map(|one| one.json());
    let text = text.unwrap()["text"].as_str().unwrap().to_owned();
    assert!(text.contains("often of dw in"), "{text}");
    daemon.process.signal("-TERM");
    assert_eq!(daemon.process.exit_code(Duration::from_secs(25)), Some(0));
    // A receiver that is away: the error text is in the log and in the history.
    let closed = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    dir.write("url", &format!("http://{closed}/services/{secret}"));
    fail(&sandbox, 1);
    daemon.restart(&dir);
    eventually("it cannot be delivered", MINUTE, || {
        pending(&daemon).iter().any(|one| !one["trouble"].is_null())
    });
    let told = format!(
        "{}{}",
        daemon.log(),
        serde_json::to_string(&pending(&daemon)).unwrap()
    );
    let database = ["history.db", "history.db-wal"].map(|name| dir.0.join("state").join(name));
    let bytes: Vec<u8> = database
        .iter()
        .flat_map(|path| std::fs::read(path).unwrap())
        .collect();
    let told = told + &String::from_utf8_lossy(&bytes) + &daemon.metrics();
    for secret in [secret, "signing-key-that-must-not-leak"] {
        assert!(!told.contains(secret), "{secret} is told");
    }
}

#[test]
fn one_receiver_that_is_away_delays_no_other() {
    let (dir, sandbox) = (Dir::new(), Sandbox::of(&["dw"]));
    let (away, there) = (Receiver::start(), Receiver::start());
    away.always(Some(Behaviour::Hang));
    fail(&sandbox, 1);
    let second = webhook(&there).replace("\"ops\"", "\"there\"");
    let _daemon = daemon(&dir, &sandbox, &format!("{}{second}", webhook(&away)));
    let began = Instant::now();
    there.wait(1, Duration::from_secs(15));
    assert!(began.elapsed() < Duration::from_secs(15));
}

#[test]
fn what_waits_is_delivered_after_a_restart_and_of_a_receiver_that_is_gone_forgotten() {
    let (dir, sandbox, receiver) = (Dir::new(), Sandbox::of(&["dw"]), Receiver::start());
    receiver.always(Some(Behaviour::Answer(503, "")));
    fail(&sandbox, 1);
    let mut daemon = daemon(&dir, &sandbox, &webhook(&receiver));
    eventually("both wait", MINUTE, || pending(&daemon).len() == 2);
    let id = |one: &Value| one["id"].as_str().unwrap().to_owned();
    let ids: BTreeSet<String> = pending(&daemon).iter().map(id).collect();
    daemon.kill_9();
    receiver.always(None);
    daemon.restart(&dir);
    let got = receiver.wait(2, MINUTE);
    let got: BTreeSet<String> = got.iter().map(|one| id(&one.json())).collect();
    assert_eq!(got, ids);
    receiver.always(Some(Behaviour::Answer(503, "")));
    fail(&sandbox, 1);
    eventually("one waits", MINUTE, || !pending(&daemon).is_empty());
    let text = std::fs::read_to_string(&daemon.config).unwrap();
    let (without, _) = text.split_once("[[notify]]").unwrap();
    std::fs::write(&daemon.config, without).unwrap();
    daemon.process.signal("-HUP");
    eventually("it is forgotten", MINUTE, || pending(&daemon).is_empty());
    assert!(!daemon.metrics().contains("redkeep_notifications_total{"));
}

#[test]
fn a_test_is_sent_at_once_and_its_answer_shown() {
    let (dir, receiver) = (Dir::new(), Receiver::start());
    dir.write("key", "k");
    let config = dir.policy_file(
        "sandbox",
        &format!(
            "[[account]]\nname = \"a\"\nregions = [\"us-east-1\"]\n{}",
            webhook(&receiver)
        ),
    );
    let config = config.to_str().unwrap();
    let run = |name: &str| redkeep(&["notify", "--test", name, "--config", config]);
    let told = run("ops");
    assert!(told.status.success(), "{told:?}");
    assert_eq!(
        String::from_utf8_lossy(&told.stdout),
        "ops accepted the message: HTTP 200: ok\n"
    );
    assert_eq!(receiver.got()[0].json()["event"], "test");
    receiver.next([Behaviour::Answer(403, "")]);
    let told = run("ops");
    assert_eq!(told.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&told.stderr).contains("HTTP 403"),
        "{told:?}"
    );
    assert_eq!(run("opps").status.code(), Some(2));
    assert!(String::from_utf8_lossy(&run("opps").stderr).contains("did you mean"));
}

#[test]
fn one_pass_delivers_before_it_ends() {
    let (dir, sandbox, receiver) = (Dir::new(), Sandbox::of(&["dw"]), Receiver::start());
    dir.write("key", "k");
    fail(&sandbox, 1000);
    let mut daemon = daemon(&dir, &sandbox, &webhook(&receiver));
    receiver.wait(1, MINUTE);
    daemon.process.signal("-TERM");
    assert_eq!(daemon.process.exit_code(Duration::from_secs(25)), Some(0));
    sandbox.control("DELETE", "/_sandbox/faults", "");
    std::thread::sleep(Duration::from_secs(3));
    let once = redkeep(&["run", "--once", "--config", daemon.config.to_str().unwrap()]);
    assert!(once.status.code().is_some_and(|code| code <= 1), "{once:?}");
    // A slot may have been missed between the two, which is over then too.
    let got = receiver.got();
    assert!(events(&got).contains(&told("failed", "over")), "{got:#?}");
}
