//! What receivers and Prometheus are told by several instances.

use std::collections::BTreeMap;
use std::fs;

use super::host::{Host, Shared, WORKS, until};
use crate::support::receiver::{Behaviour, Receiver};
use crate::support::{EACH_FIVE_SECONDS, MINUTE, eventually};

const PENDING: &str = "redkeep_notifications_pending{name=\"hc\"}";

fn key(got: &crate::support::receiver::Got) -> String {
    got.header("idempotency-key").unwrap().to_owned()
}

#[test]
fn a_message_under_way_when_its_sender_dies_is_sent_once_more_under_its_id() {
    let Some(shared) = Shared::of(&["dw"]) else {
        return;
    };
    let (database, receiver) = (&shared.database, Receiver::start());
    let policies = format!(
        "{EACH_FIVE_SECONDS}[[notify]]\nname = \"hc\"\nkind = \"healthchecks\"\nurl = \"{}\"\npolicies = [\"often\"]\n",
        receiver.url("")
    );
    let mut a = shared.host("a", &policies);
    receiver.wait(2, MINUTE);
    let b = shared.host("b", &policies);
    until(database, 30, "SELECT count(*) FROM redkeep.instances", "2");
    let before = receiver.got().len();
    receiver.always(Some(Behaviour::Hang));
    eventually("a message is under way", MINUTE, || {
        receiver.got().len() > before
    });
    a.kill_9();
    receiver.always(None);
    let under_way: Vec<String> = receiver.got()[before..].iter().map(key).collect();
    until(database, 45, WORKS, "b");
    eventually("what was under way is taken", MINUTE, || {
        let taken: Vec<String> = receiver.taken().iter().map(key).collect();
        under_way.iter().all(|one| taken.contains(one))
    });
    let mut times: BTreeMap<String, usize> = BTreeMap::new();
    for got in receiver.got() {
        *times.entry(key(&got)).or_default() += 1;
    }
    for (message, times) in times {
        let most = if under_way.contains(&message) { 2 } else { 1 };
        assert!(times <= most, "{message} was sent {times} times");
    }
    a.restart();
    each_tells_of_the_other(&a, &b, &shared);
}

fn each_tells_of_the_other(a: &Host, b: &Host, shared: &Shared) {
    let both = |what: &str, series: &str, value: f64| {
        eventually(what, MINUTE, || {
            [a, b].iter().all(|host| host.metric(series) == Some(value))
        });
    };
    // The one that was killed is not seen any more, the one that was started again is.
    both("two instances", "redkeep_instances", 2.0);
    both(
        "with one configuration",
        "redkeep_instances_configured_otherwise",
        0.0,
    );
    assert!(b.metric(PENDING).is_some() && a.metric(PENDING).is_none());
    assert!(b.run(&["yield"]).status.success());
    eventually(
        "who works tells what waits, and nobody else",
        MINUTE,
        || a.metric(PENDING).is_some() && b.metric(PENDING).is_none(),
    );
    let configure = |host: &Host, retention: &str| {
        let text = fs::read_to_string(&host.config).unwrap();
        let (before, after) = text.split_once("retention = \"").unwrap();
        let after = after.split_once('"').unwrap().1;
        let text = format!("{before}retention = \"{retention}\"{after}");
        fs::write(&host.config, text).unwrap();
        host.process.signal("-HUP");
    };
    let otherwise = "redkeep_instances_configured_otherwise";
    configure(b, "8d");
    both(
        "the one that stands by has another configuration",
        otherwise,
        1.0,
    );
    configure(a, "8d");
    both("the one that works has it too", otherwise, 0.0);
    assert_eq!(shared.database.sql(WORKS), "a");
}
