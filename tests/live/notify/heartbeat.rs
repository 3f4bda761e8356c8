//! The sign of life: it stops when the daemon is dead, stopped, stuck or blind, and when its history cannot be written.

use std::time::Duration;

use crate::support::receiver::Receiver;
use crate::support::{Daemon, Dir, MINUTE, Sandbox, http, often, soon_and_then_each_minute};

/// A daemon that shows a sign of life each second, and has next to nothing to write.
fn daemon(dir: &Dir, sandbox: &Sandbox, receiver: &Receiver) -> Daemon {
    let life = format!(
        "[[notify]]\nname = \"life\"\nkind = \"healthchecks\"\nurl = \"{}\"\nevents = [\"heartbeat\"]\n\
         repeat_after = \"1s\"\n",
        receiver.url("")
    );
    let policies = often(&soon_and_then_each_minute(), "dw");
    Daemon::start(dir, &sandbox.url, &format!("{policies}{life}"))
}

/// How many signs came while this time passed.
fn signs_in(receiver: &Receiver, span: Duration) -> usize {
    let before = receiver.got().len();
    std::thread::sleep(span);
    receiver.got().len() - before
}

#[test]
fn it_comes_while_the_daemon_works_and_not_when_it_is_stopped_killed_or_halted() {
    let (dir, sandbox, receiver) = (Dir::new(), Sandbox::of(&["dw"]), Receiver::start());
    let mut daemon = daemon(&dir, &sandbox, &receiver);
    receiver.wait(3, MINUTE);
    // That nothing is known yet at the start is no trouble.
    assert!(!daemon.log().contains("no heartbeat"), "{}", daemon.log());
    let metrics = http(daemon.listen, "GET", "/metrics", "").body;
    let failed = "redkeep_notifications_total{name=\"life\",result=\"failed\"} 0";
    assert!(metrics.contains(failed), "{metrics}");
    // A process that stands still.
    daemon.process.signal("-STOP");
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(signs_in(&receiver, Duration::from_secs(3)), 0);
    daemon.process.signal("-CONT");
    receiver.wait(receiver.got().len() + 1, MINUTE);
    daemon.kill_9();
    assert_eq!(signs_in(&receiver, Duration::from_secs(3)), 0);
    daemon.restart(&dir);
    receiver.wait(receiver.got().len() + 1, MINUTE);
    daemon.process.signal("-TERM");
    assert_eq!(daemon.process.exit_code(Duration::from_secs(25)), Some(0));
    assert_eq!(signs_in(&receiver, Duration::from_secs(3)), 0);
}

#[test]
fn it_stops_while_the_history_cannot_be_written_though_nothing_is_to_be_written() {
    let (dir, sandbox, receiver) = (Dir::new(), Sandbox::of(&["dw"]), Receiver::start());
    let _daemon = daemon(&dir, &sandbox, &receiver);
    receiver.wait(3, MINUTE);
    let shell = rusqlite::Connection::open(dir.0.join("state/history.db")).unwrap();
    shell.execute_batch("BEGIN IMMEDIATE").unwrap();
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(signs_in(&receiver, Duration::from_secs(4)), 0);
    shell.execute_batch("ROLLBACK").unwrap();
    receiver.wait(receiver.got().len() + 1, MINUTE);
}

#[test]
fn it_does_not_come_from_a_daemon_that_has_never_reached_aws() {
    let (dir, sandbox, receiver) = (Dir::new(), Sandbox::of(&["dw"]), Receiver::start());
    let rule = r#"{"operation":"*","fault":{"kind":"error","code":"AccessDenied","status":403}}"#;
    sandbox.control("POST", "/_sandbox/faults", rule);
    let daemon = daemon(&dir, &sandbox, &receiver);
    std::thread::sleep(Duration::from_secs(6));
    assert_eq!(receiver.got().len(), 0);
    assert!(
        daemon.log().contains("no heartbeat is sent"),
        "{}",
        daemon.log()
    );
    sandbox.control("DELETE", "/_sandbox/faults", "");
    receiver.wait(1, MINUTE * 2);
}
