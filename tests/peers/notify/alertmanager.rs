//! The real Alertmanager, told by redkeep itself.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::prometheus::program;
use crate::prometheus::server::start;
use crate::support::{
    Daemon, Dir, EACH_TWO_SECONDS, MINUTE, Process, Sandbox, eventually, free_port, http,
};

fn start_alertmanager(program: &Path, dir: &Dir, address: SocketAddr) -> Process {
    dir.write(
        "alertmanager.yml",
        "route: { receiver: nobody }\nreceivers: [{ name: nobody }]\n",
    );
    let arguments = [
        "--config.file=alertmanager.yml".to_owned(),
        "--storage.path=alertmanager".to_owned(),
        "--cluster.listen-address=".to_owned(),
        format!("--web.listen-address={address}"),
    ];
    let process = start(program, dir, &arguments);
    eventually("Alertmanager is ready", MINUTE, || {
        let is_there = std::net::TcpStream::connect(address).is_ok();
        is_there && http(address, "GET", "/-/ready", "").status == 200
    });
    process
}

fn alerts(address: SocketAddr) -> Vec<Value> {
    let answer = http(address, "GET", "/api/v2/alerts", "");
    assert_eq!(answer.status, 200, "{}", answer.body);
    serde_json::from_str(&answer.body).unwrap()
}

#[test]
fn an_alert_stands_while_it_goes_on_also_over_a_restart_of_alertmanager_and_is_resolved() {
    let Some(program) = program(&["alertmanager", "prometheus-alertmanager"]) else {
        return;
    };
    let (dir, sandbox) = (Dir::new(), Sandbox::of(&["dw"]));
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let alertmanager = start_alertmanager(&program, &dir, address);
    super::fail(&sandbox, 100_000);
    let table =
        format!("[[notify]]\nname = \"am\"\nkind = \"alertmanager\"\nurl = \"http://{address}\"\n");
    let mut daemon = Daemon::start(&dir, &sandbox.url, &format!("{EACH_TWO_SECONDS}{table}"));
    eventually("it fires", MINUTE, || alerts(address).len() == 1);
    let fired = &alerts(address)[0];
    assert_eq!(fired["labels"]["alertname"], "RedkeepFailed");
    assert_eq!(fired["labels"]["policy"], "often");
    assert_eq!(fired["labels"]["cluster"], "dw");
    assert_eq!(fired["labels"]["severity"], "critical");
    let action = fired["annotations"]["action"].as_str().unwrap();
    assert!(action.starts_with("redkeep check --config "), "{action}");
    // An Alertmanager that has forgotten everything, and a daemon that reminds it when it starts.
    drop(alertmanager);
    std::fs::remove_dir_all(dir.0.join("alertmanager")).unwrap();
    let _alertmanager = start_alertmanager(&program, &dir, address);
    assert_eq!(alerts(address), Vec::<Value>::new());
    daemon.kill_9();
    daemon.restart(&dir);
    eventually("it is reminded", MINUTE, || alerts(address).len() == 1);
    assert_eq!(alerts(address)[0]["fingerprint"], fired["fingerprint"]);
    sandbox.control("DELETE", "/_sandbox/faults", "");
    eventually("it is resolved", MINUTE, || alerts(address).is_empty());
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(alerts(address), Vec::<Value>::new());
}
