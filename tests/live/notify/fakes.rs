//! Strict fakes of services that nobody can run here, written from their documentation: what they refuse there they refuse
//! here.

use serde_json::Value;

use super::{daemon, fail};
use crate::support::receiver::{Got, Receiver};
use crate::support::{Dir, MINUTE, Sandbox};

/// "Events API v2" of PagerDuty: `POST /v2/enqueue`, a routing key of 32 characters, an action, a key of at most 255
/// characters, and with a trigger a payload whose summary (at most 1024 characters), source and severity are required.
/// Accepted with 202, refused with 400.
fn pagerduty(got: &Got) -> Option<(u16, String)> {
    let event = got.json();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let refused = |what: &str| {
        Some((
            400,
            format!("{{\"status\":\"invalid event\",\"message\":\"{what}\"}}"),
        ))
    };
    if got.path != "/v2/enqueue" || !got.head.starts_with("POST ") {
        return Some((404, String::new()));
    }
    if got.header("content-type") != Some("application/json") {
        return Some((415, String::new()));
    }
    if text(&event["routing_key"]).len() != 32 {
        return refused("routing_key");
    }
    let (action, key) = (text(&event["event_action"]), text(&event["dedup_key"]));
    if !["trigger", "acknowledge", "resolve"].contains(&action.as_str()) {
        return refused("event_action");
    }
    if key.len() > 255 || (action != "trigger" && key.is_empty()) {
        return refused("dedup_key");
    }
    if action == "trigger" {
        let payload = &event["payload"];
        let summary = text(&payload["summary"]);
        let severity = text(&payload["severity"]);
        let is_known = ["critical", "error", "warning", "info"].contains(&severity.as_str());
        if summary.is_empty() || summary.chars().count() > 1024 {
            return refused("summary");
        }
        if text(&payload["source"]).is_empty() || !is_known {
            return refused("source or severity");
        }
        let at = text(&payload["timestamp"]);
        if chrono::DateTime::parse_from_rfc3339(&at).is_err() {
            return refused("timestamp");
        }
    }
    let known = [
        "routing_key",
        "event_action",
        "dedup_key",
        "client",
        "client_url",
        "payload",
        "links",
        "images",
    ];
    let keys = event.as_object().into_iter().flatten();
    if let Some((key, _)) = { keys }.find(|(key, _)| !known.contains(&key.as_str())) {
        return refused(key);
    }
    Some((
        202,
        format!(
            "{{\"status\":\"success\",\"message\":\"Event processed\",\"dedup_key\":\"{key}\"}}"
        ),
    ))
}

#[test]
fn pagerduty_gets_a_trigger_and_a_resolve_with_one_key() {
    let (dir, sandbox, receiver) = (
        Dir::new(),
        Sandbox::of(&["dw"]),
        Receiver::strict(pagerduty),
    );
    dir.write("routing", &"k".repeat(32));
    fail(&sandbox, 2);
    let table = format!(
        "[[notify]]\nname = \"pager\"\nkind = \"pagerduty\"\nurl = \"{}\"\nsecret_file = \"routing\"\n",
        receiver.url("/v2/enqueue")
    );
    let daemon = daemon(&dir, &sandbox, &table);
    let got = receiver.wait(2, MINUTE);
    let events: Vec<Value> = got.iter().map(Got::json).collect();
    assert_eq!(events[0]["event_action"], "trigger");
    assert_eq!(events[0]["payload"]["severity"], "critical");
    assert_eq!(events[1]["event_action"], "resolve");
    assert_eq!(events[0]["dedup_key"], events[1]["dedup_key"]);
    assert!(
        receiver.got().iter().all(|one| one.status == 202),
        "{:#?}",
        receiver.got()
    );
    assert!(!daemon.log().contains(&"k".repeat(32)));
}

#[test]
fn an_event_that_pagerduty_refuses_is_not_sent_again_and_holds_nothing_up() {
    let (dir, sandbox, receiver) = (
        Dir::new(),
        Sandbox::of(&["dw"]),
        Receiver::strict(pagerduty),
    );
    dir.write("routing", "too-short");
    fail(&sandbox, 1);
    let table = format!(
        "[[notify]]\nname = \"pager\"\nkind = \"pagerduty\"\nurl = \"{}\"\nsecret_file = \"routing\"\n",
        receiver.url("/v2/enqueue")
    );
    let daemon = daemon(&dir, &sandbox, &table);
    crate::support::eventually("both are refused", MINUTE, || {
        let refused = "redkeep_notifications_total{name=\"pager\",result=\"refused\"}";
        let metrics = daemon.metrics();
        let line = metrics.lines().find(|line| line.starts_with(refused));
        line.is_some_and(|line| line.ends_with(" 2") || line.ends_with(" 3"))
    });
    crate::support::eventually("neither waits", MINUTE, || {
        super::pending(&daemon).is_empty()
    });
    assert!(receiver.got().iter().all(|one| one.status == 400));
}

/// "Pinging API" of healthchecks.io: by the check's UUID or by ping key and slug, bare or with `/start`, `/fail`, `/log` or
/// an exit status; `rid` has to be a UUID. Answers 200 "OK", 400 for what is no such URL, and 404 for a check that there is not.
fn healthchecks(got: &Got) -> Option<(u16, String)> {
    let (path, query) = got.path.split_once('?').unwrap_or((&got.path, ""));
    let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    let signals = ["start", "fail", "log"];
    let is_signal = |part: &&str| signals.contains(part) || part.parse::<u8>().is_ok();
    let known = match parts.as_slice() {
        ["ping-key", "often"] => true,
        ["ping-key", "often", signal] => is_signal(signal),
        _ => false,
    };
    if !known {
        return Some((404, "not found".to_owned()));
    }
    let pairs = form_urlencoded::parse(query.as_bytes());
    for (name, value) in pairs {
        let groups: Vec<usize> = value.split('-').map(str::len).collect();
        let is_uuid =
            groups == [8, 4, 4, 4, 12] && value.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
        match &*name {
            "rid" if is_uuid => {}
            "create" => {}
            _ => return Some((400, "invalid url format".to_owned())),
        }
    }
    (got.body.len() > 100_000).then(|| (413, String::new()))
}

#[test]
fn healthchecks_gets_start_success_and_fail_with_the_id_of_the_run() {
    let (dir, sandbox, receiver) = (
        Dir::new(),
        Sandbox::of(&["dw"]),
        Receiver::strict(healthchecks),
    );
    dir.write("ping", &receiver.url("/ping-key/{policy}?create=1"));
    fail(&sandbox, 1);
    let table = "[[notify]]\nname = \"hc\"\nkind = \"healthchecks\"\nurl_file = \"ping\"\npolicies = [\"often\"]\n";
    let _daemon = daemon(&dir, &sandbox, table);
    let got = receiver.wait(6, MINUTE);
    let signal = |one: &Got| -> (String, String) {
        let (path, query) = one.path.split_once('?').unwrap();
        let (_, rid) = query.split_once("rid=").unwrap();
        (
            path.trim_start_matches("/ping-key/often").to_owned(),
            rid.to_owned(),
        )
    };
    let pings: Vec<(String, String)> = got.iter().map(signal).collect();
    let of = |name: &str| pings.iter().filter(|(path, _)| path == name).count();
    assert_eq!(pings[0].0, "/start");
    assert_eq!(pings[1].0, "/fail");
    assert_eq!(pings[0].1, pings[1].1);
    assert_eq!(of("/fail"), 1, "{pings:?}");
    let (_, good) = pings.iter().find(|(path, _)| path.is_empty()).unwrap();
    assert!(pings.contains(&("/start".to_owned(), good.clone())));
    assert!(got[1].body.contains("no such tag"), "{}", got[1].body);
    assert!(
        receiver.got().iter().all(|one| one.status == 200),
        "{:#?}",
        receiver.got()
    );
}
