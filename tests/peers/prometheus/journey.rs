//! The whole way: sandbox, daemon, Prometheus, Alertmanager, and somebody who is told.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::prometheus::dashboard::queries;
use crate::prometheus::server::{Prometheus, start};
use crate::prometheus::{ROOT, RULES, assert_success, program, promtool, told};
use crate::support::{Daemon, Dir, Process, Sandbox, eventually, free_port};

const POLICIES: &str = r#"
[[notify]]
name = "nobody"
kind = "webhook"
url = "http://127.0.0.1:9/"

[[policy]]
name = "often"
schedule = "*/2 * * * * *"
clusters = ["dw", "finance"]
retention = "7d"
# The first pass only says what it would remove, which the dashboard shows as well.
keep_last = 2
"#;

/// Somebody who takes in the webhooks of Alertmanager.
struct Receiver {
    address: SocketAddr,
    alerts: Arc<Mutex<Vec<Value>>>,
}

impl Receiver {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let alerts = Arc::new(Mutex::new(Vec::new()));
        let receiver = Self {
            address: listener.local_addr().unwrap(),
            alerts: Arc::clone(&alerts),
        };
        thread::spawn(move || {
            for stream in listener.incoming() {
                let stream = stream.unwrap();
                let patience = Some(Duration::from_secs(10));
                stream.set_read_timeout(patience).unwrap();
                let mut reader = BufReader::new(stream);
                let (mut length, mut line) = (0, String::new());
                while reader.read_line(&mut line).unwrap() > 2 {
                    let header = line.to_lowercase();
                    if let Some(value) = header.strip_prefix("content-length:") {
                        length = value.trim().parse().unwrap();
                    }
                    line.clear();
                }
                let mut body = vec![0; length];
                reader.read_exact(&mut body).unwrap();
                let message: Value = serde_json::from_slice(&body).unwrap();
                let told = message["alerts"].as_array().unwrap().clone();
                alerts.lock().unwrap().extend(told);
                let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
                reader.into_inner().write_all(answer).unwrap();
            }
        });
        receiver
    }

    /// The first firing alert of this name.
    fn alert(&self, name: &str) -> Option<Value> {
        let alerts = self.alerts.lock().unwrap();
        let mut wanted = alerts
            .iter()
            .filter(|alert| alert["labels"]["alertname"] == name && alert["status"] == "firing");
        wanted.next().cloned()
    }
}

fn start_alertmanager(program: &Path, dir: &Dir, receiver: SocketAddr) -> (Process, SocketAddr) {
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
    dir.write(
        "alertmanager.yml",
        &format!(
            "route: {{ receiver: somebody, group_wait: 1s, group_interval: 1s, group_by: [alertname] }}\n\
             receivers: [{{ name: somebody, webhook_configs: [{{ url: 'http://{receiver}/' }}] }}]\n"
        ),
    );
    let arguments = [
        "--config.file=alertmanager.yml".to_owned(),
        "--storage.path=alertmanager".to_owned(),
        "--cluster.listen-address=".to_owned(),
        format!("--web.listen-address={address}"),
    ];
    (start(program, dir, &arguments), address)
}

#[test]
fn a_failed_run_is_scraped_counted_and_told_to_somebody() {
    let programs = (
        program(&["prometheus"]),
        program(&["alertmanager", "prometheus-alertmanager"]),
    );
    let (Some(prometheus), Some(alertmanager)) = programs else {
        return;
    };
    let Some(promtool) = promtool() else { return };
    let (dir, receiver) = (Dir::new(), Receiver::start());
    let sandbox = Sandbox::start(&[
        "--cluster",
        "dw",
        "--cluster",
        "finance",
        "--snapshot-seconds",
        "1",
        "--quota",
        "1000",
    ]);
    let daemon = Daemon::start(&dir, &sandbox.url, POLICIES);
    let (_alertmanager, alerted) = start_alertmanager(&alertmanager, &dir, receiver.address);
    let rules = Path::new(ROOT).join(RULES);
    let prometheus = Prometheus::start(&prometheus, &dir, &rules, &[daemon.listen], Some(alerted));
    let soon = Duration::from_secs(60);
    eventually("redkeep is scraped", soon, || {
        prometheus.value(r#"up{job="redkeep"}"#) == Some(1.0)
    });
    let good = r#"redkeep_runs_total{cluster="dw",result="available"}"#;
    eventually("a snapshot is counted", soon, || {
        prometheus.value(good) >= Some(1.0)
    });
    sandbox.control(
        "POST",
        "/_sandbox/faults",
        r#"{"operation": "CreateClusterSnapshot", "cluster": "finance",
            "fault": {"kind": "error", "code": "InvalidTagFault", "message": "no such tag"}}"#,
    );
    eventually("somebody is told", soon, || {
        receiver.alert("RedkeepRunFailed").is_some()
    });
    let alert = receiver.alert("RedkeepRunFailed").unwrap();
    assert_eq!(alert["labels"]["cluster"], "finance");
    assert_eq!(alert["labels"]["result"], "failed");
    assert_eq!(alert["labels"]["severity"], "warning");
    assert_eq!(
        alert["annotations"]["runbook_url"],
        "docs/runbook.md#redkeeprunfailed"
    );
    let failed = r#"redkeep_runs_total{cluster="finance",result="failed"}"#;
    assert!(prometheus.value(failed) >= Some(1.0));
    assert!(receiver.alert("RedkeepDown").is_none());
    let exposed = told(&promtool, &["check", "metrics"], &daemon.metrics());
    assert_success(&exposed);
    the_dashboard_shows_it(&prometheus);
    drop(daemon);
    eventually("redkeep is down", soon, || {
        prometheus.value(r#"up{job="redkeep"}"#) == Some(0.0)
    });
    the_dashboard_shows_that_it_is_down(&prometheus);
}

/// Each query finds something, but the one for a snapshot that is just being made.
fn the_dashboard_shows_it(prometheus: &Prometheus) {
    for (title, query) in queries() {
        let passes_by = query.contains("redkeep_completion_deadline_timestamp_seconds");
        let what = format!("{title} shows something: {query}");
        eventually(&what, Duration::from_secs(30), || {
            let answer = prometheus.ask(&query);
            assert_eq!(answer["status"], "success", "{title}: {query}: {answer}");
            passes_by || prometheus.value(&query).is_some()
        });
    }
}

/// A zero would be green, as if all were well.
fn the_dashboard_shows_that_it_is_down(prometheus: &Prometheus) {
    let queries = queries();
    for title in ["Overdue", "Unprotected clusters", "Paused policies"] {
        let (_, query) = queries.iter().find(|(found, _)| found == title).unwrap();
        assert_eq!(prometheus.value(query), None, "{title}: {query}");
    }
    let (_, daemon) = queries.iter().find(|(found, _)| found == "Daemon").unwrap();
    assert_eq!(prometheus.value(daemon), Some(0.0));
}
