//! A real Prometheus on loopback, which scrapes and evaluates each second.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::support::{Dir, Process, eventually, free_port, http};

/// Starts a program whose files and log are in `dir`.
pub fn start(program: &Path, dir: &Dir, arguments: &[String]) -> Process {
    let log = std::fs::File::create(dir.0.join(program.file_name().unwrap())).unwrap();
    let child = Command::new(program)
        .args(arguments)
        .current_dir(&dir.0)
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap();
    Process(child)
}

pub struct Prometheus {
    _process: Process,
    address: SocketAddr,
}

impl Prometheus {
    /// Scrapes these daemons and evaluates this file of rules; firing alerts go to `alertmanager`.
    pub fn start(
        program: &Path,
        dir: &Dir,
        rules: &Path,
        scraped: &[SocketAddr],
        alertmanager: Option<SocketAddr>,
    ) -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let quoted = |address: &SocketAddr| format!("'{address}'");
        let targets = scraped.iter().map(quoted).collect::<Vec<_>>().join(", ");
        let told = alertmanager.iter().map(quoted).collect::<String>();
        let rules = rules.display();
        dir.write(
            "prometheus.yml",
            &format!(
                "global: {{ scrape_interval: 1s, scrape_timeout: 900ms, evaluation_interval: 1s }}\n\
                 rule_files: ['{rules}']\n\
                 scrape_configs: [{{ job_name: redkeep, static_configs: [{{ targets: [{targets}] }}] }}]\n\
                 alerting: {{ alertmanagers: [{{ static_configs: [{{ targets: [{told}] }}] }}] }}\n"
            ),
        );
        let arguments = [
            "--config.file=prometheus.yml".to_owned(),
            "--storage.tsdb.path=tsdb".to_owned(),
            format!("--web.listen-address={address}"),
        ];
        let prometheus = Self {
            _process: start(program, dir, &arguments),
            address,
        };
        eventually("Prometheus listens", Duration::from_secs(60), || {
            std::net::TcpStream::connect(address).is_ok()
        });
        prometheus
    }

    /// The answer to a query.
    pub fn ask(&self, query: &str) -> Value {
        let encoded: String = form_urlencoded::byte_serialize(query.as_bytes()).collect();
        let path = format!("/api/v1/query?query={encoded}");
        let answer = http(self.address, "GET", &path, "");
        serde_json::from_str(&answer.body).unwrap_or(Value::Null)
    }

    /// The value of the first series of the answer.
    pub fn value(&self, query: &str) -> Option<f64> {
        let answer = self.ask(query);
        answer["data"]["result"][0]["value"][1]
            .as_str()?
            .parse()
            .ok()
    }
}
