//! The running daemon and the system's time zone data: renewed under it, and other than another host's.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::support::{Daemon, Dir, REDKEEP, Sandbox, credentials, eventually, finish, in_state};
use crate::zones::write_copy;

const PATIENCE: Duration = Duration::from_secs(120);

fn start(dir: &Dir, sandbox: &Sandbox, schedule: &str, tzdir: &Path) -> Daemon {
    let policy = format!(
        "endpoint = \"{}\"\n[[account]]\nname = \"a\"\nregions = [\"us-east-1\"]\n[[policy]]\nname = \"nightly\"\n\
         schedule = \"{schedule}\"\ntimezone = \"Europe/Berlin\"\nclusters = [\"dw\"]\nretention = \"7d\"\n",
        sandbox.url
    );
    Daemon::start_among(dir, &policy, &[("TZDIR", tzdir.to_str().unwrap())])
}

/// The second of the UTC day at which the next run is.
fn next_second(daemon: &Daemon) -> Option<u64> {
    let metrics = daemon.metrics();
    let line = metrics
        .lines()
        .find(|line| line.starts_with("redkeep_next_run_timestamp_seconds{"))?;
    let at: f64 = line.rsplit_once(' ')?.1.parse().ok()?;
    Some(at as u64 % 86_400)
}

fn is_up(daemon: &Daemon) -> bool {
    std::net::TcpStream::connect(daemon.listen).is_ok()
}

#[test]
fn data_that_is_renewed_is_taken_up_while_the_daemon_runs() {
    let (dir, sandbox) = (Dir::new(), Sandbox::of(&["dw"]));
    let zones = dir.0.join("zoneinfo");
    write_copy(&zones, "9999a", 0);
    let daemon = start(&dir, &sandbox, "30 2 * * *", &zones);
    let half_past_two = 2 * 3600 + 1800;
    eventually("the first slot is known", PATIENCE, || {
        is_up(&daemon) && next_second(&daemon) == Some(half_past_two)
    });
    let info =
        |version: &str| format!("redkeep_tzdb_info{{version=\"{version}\",source=\"system\"}} 1");
    assert!(daemon.metrics().contains(&info("9999a")));
    assert!(daemon.log().contains("9999a"), "{}", daemon.log());
    write_copy(&zones, "9999b", 5 * 3600);
    eventually("the slot is by the new clocks", PATIENCE, || {
        next_second(&daemon) == Some(half_past_two + 19 * 3600)
    });
    assert!(daemon.metrics().contains(&info("9999b")));
    assert!(!daemon.metrics().contains(&info("9999a")));
    let log = daemon.log();
    assert!(log.contains("time zone data renewed"), "{log}");
    assert!(log.contains("Europe/Berlin"), "{log}");
    let doctor = finish(
        credentials(&mut Command::new(REDKEEP))
            .env("TZDIR", &zones)
            .args(["doctor", "--output", "json", "--config"])
            .arg(&daemon.config),
    );
    let rows: Vec<Value> = serde_json::from_slice(&doctor.stdout).unwrap();
    let row = rows
        .iter()
        .find(|row| row["check"] == "time_zones")
        .unwrap();
    let found = row["found"].as_str().unwrap();
    assert!(found.starts_with("IANA 9999b of "), "{found}");
}

#[test]
fn a_host_with_other_data_is_told_from_this_one_in_the_log() {
    let (here, there, sandbox) = (Dir::new(), Dir::new(), Sandbox::of(&["dw"]));
    let (zones, others) = (here.0.join("zoneinfo"), there.0.join("zoneinfo"));
    write_copy(&zones, "9999a", 0);
    // Their clocks are five seconds ahead.
    write_copy(&others, "9999b", 5);
    let daemon = start(&here, &sandbox, "*/10 * * * * *", &zones);
    daemon.wait("a snapshot of this host", PATIENCE, |rows| {
        in_state(rows, "available").next().is_some()
    });
    let other = start(&there, &sandbox, "*/10 * * * * *", &others);
    other.wait("a snapshot of the other host", PATIENCE, |rows| {
        in_state(rows, "available").any(|row| row["attempts"] != 0)
    });
    let said =
        "another host made this snapshot for an instant at which the schedule here has no slot";
    eventually("the other host is told", PATIENCE, || {
        daemon.log().contains(said)
    });
    let log = daemon.log();
    let line = log.lines().find(|line| line.contains(said)).unwrap();
    assert!(line.contains("9999a"), "{line}");
}
