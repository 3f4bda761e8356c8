//! Each alert by its real cause: real daemons whose clusters, quota, clock, credentials and files go wrong, and the rules
//! as they are but for their patience.
//!
//! What is not here: a loop that has stopped while scrapes are answered, which takes a disk that hangs.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::prometheus::rules::alerts;
use crate::prometheus::server::Prometheus;
use crate::prometheus::{RULES, program, read};
use crate::support::{Daemon, Dir, Sandbox, eventually, redkeep};

const SOON: Duration = Duration::from_secs(120);

const TROUBLED: &str = r#"
[[policy]]
name = "often"
schedule = "*/5 * * * * *"
clusters = ["dw", "asleep"]
retention = "7d"

[[policy]]
name = "resting"
schedule = "*/5 * * * * *"
clusters = ["resting"]
retention = "1d"

[[policy]]
name = "slow"
schedule = "*/5 * * * * *"
clusters = ["slow"]
retention = "7d"
completion_window = "1m"
"#;

/// Seven may be held, and AWS holds six until its quota is raised.
const FULL: &str = r#"
[[account]]
name = "default"
regions = ["us-east-1"]
snapshot_quota = 7

[[policy]]
name = "often"
schedule = "*/5 * * * * *"
clusters = ["dw"]
retention = "7d"
"#;

const LOCKED_OUT: &str = r#"
[[policy]]
name = "often"
schedule = "*/5 * * * * *"
clusters = ["dw"]
retention = "7d"
"#;

/// The rules with seconds for minutes, hours and days.
fn impatient() -> String {
    let mut rules = read(RULES);
    for alert in alerts() {
        let mut text = alert.text.clone();
        for patience in ["for: 5m", "for: 15m", "for: 1h"] {
            text = text.replace(patience, "for: 0s");
        }
        for (name, long, short) in [
            ("RedkeepSlotNotBegun", "> 300", "> 3"),
            ("RedkeepPolicyPaused", "> 86400", "> 3"),
            ("RedkeepAwsFailing", "[15m]", "[10s]"),
        ] {
            assert!(name != alert.name || text.contains(long), "{name}: {long}");
            if name == alert.name {
                text = text.replace(long, short);
            }
        }
        rules = rules.replace(&alert.text, &text);
    }
    rules
}

/// The alerts that fire for one daemon.
struct Watched<'a> {
    prometheus: &'a Prometheus,
    instance: String,
}

impl<'a> Watched<'a> {
    fn new(prometheus: &'a Prometheus, daemon: &Daemon) -> Self {
        let instance = daemon.listen.to_string();
        Self {
            prometheus,
            instance,
        }
    }

    /// Each as its name and the cluster or policy that it is about.
    fn firing(&self) -> BTreeSet<(String, String)> {
        self.firing_on(&self.instance)
    }

    /// The same with the alerts that are about no single instance.
    fn firing_anywhere(&self) -> BTreeSet<(String, String)> {
        self.firing_on(&format!("{}|", self.instance))
    }

    fn firing_on(&self, instance: &str) -> BTreeSet<(String, String)> {
        let query = format!(r#"ALERTS{{alertstate="firing",instance=~"{instance}"}}"#);
        let answer = self.prometheus.ask(&query);
        let series = answer["data"]["result"].as_array().into_iter().flatten();
        let word = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        let about = |labels: &serde_json::Value| match &labels["cluster"] {
            serde_json::Value::Null => word(&labels["policy"]),
            cluster => word(cluster),
        };
        series
            .map(|series| &series["metric"])
            .map(|labels| (word(&labels["alertname"]), about(labels)))
            .collect()
    }

    fn fires(&self, alert: &str, about: &str) {
        let wanted = (format!("Redkeep{alert}"), about.to_owned());
        eventually(&format!("{alert} fires"), SOON, || {
            self.firing_anywhere().contains(&wanted)
        });
    }

    fn ends(&self, alert: &str) {
        let name = format!("Redkeep{alert}");
        eventually(&format!("{alert} ends"), SOON, || {
            self.firing().iter().all(|(firing, _)| *firing != name)
        });
    }

    /// Scraped for a while, with a good snapshot of each cluster, and nothing to be told.
    fn is_calm(&self, clusters: usize) {
        let instance = &self.instance;
        let good =
            format!(r#"count(redkeep_runs_total{{instance="{instance}",result="available"}} > 0)"#);
        eventually("each cluster has a snapshot", SOON, || {
            self.prometheus.value(&good) == Some(clusters as f64)
        });
        let scrapes = format!(r#"count_over_time(up{{instance="{instance}"}}[1m])"#);
        eventually("the rules have been evaluated", SOON, || {
            self.prometheus.value(&scrapes) > Some(5.0)
        });
        // Not at once: on a machine with too much to do ten seconds without a snapshot are a matter of course.
        eventually("nothing is to be told", SOON, || self.firing().is_empty());
    }
}

fn sandbox(arguments: &str) -> Sandbox {
    let arguments = format!("{arguments} --snapshot-seconds 1");
    Sandbox::start(&arguments.split_whitespace().collect::<Vec<_>>())
}

/// A running daemon with what it works on.
struct Host {
    dir: Dir,
    sandbox: Sandbox,
    daemon: Daemon,
}

impl Host {
    fn start(sandbox: Sandbox, policies: &str) -> Self {
        let dir = Dir::new();
        let daemon = Daemon::start(&dir, &sandbox.url, policies);
        Self {
            dir,
            sandbox,
            daemon,
        }
    }

    fn fault(&self, rule: &str) {
        self.sandbox.control("POST", "/_sandbox/faults", rule);
    }

    fn tell(&self, command: &str, policy: &str) {
        let config = self.daemon.config.to_str().unwrap();
        let output = redkeep(&[command, policy, "--config", config]);
        assert!(output.status.success(), "{output:?}");
    }
}

/// What clusters, policies and the policy file can do.
fn trouble(host: &Host, alerts: &Watched<'_>) {
    host.fault(
        r#"{"operation": "CreateClusterSnapshot", "cluster": "slow",
            "fault": {"kind": "stuck_snapshot"}}"#,
    );
    let answer = host.sandbox.aws(
        "test",
        "CreateCluster&ClusterIdentifier=spare&NodeType=ra3.large&NumberOfNodes=2\
         &MasterUsername=admin&MasterUserPassword=Passw0rd1",
    );
    assert_eq!(answer.status, 200, "{}", answer.body);
    host.fault(
        r#"{"operation": "CreateClusterSnapshot", "cluster": "dw",
            "fault": {"kind": "error", "code": "InvalidTagFault", "message": "no such tag"}}"#,
    );
    let paused = r#"{"region": "us-east-1", "status": "paused"}"#;
    let path = "/_sandbox/clusters/asleep/state";
    host.sandbox.control("POST", path, paused);
    host.tell("pause", "resting");
    let valid = std::fs::read_to_string(&host.daemon.config).unwrap();
    host.dir
        .write("redkeep.toml", &format!("nonsense = 1\n{valid}"));
    host.daemon.process.signal("-HUP");

    alerts.fires("ReloadFailed", "");
    alerts.fires("RunFailed", "dw");
    alerts.fires("RunMissed", "asleep");
    alerts.fires("SnapshotOverdue", "asleep");
    alerts.fires("GuardAtWork", "resting");
    alerts.fires("PolicyPaused", "resting");
    alerts.fires("UnprotectedClusters", "");
    alerts.fires("SnapshotStuck", "slow");

    host.dir.write("redkeep.toml", &valid);
    host.daemon.process.signal("-HUP");
    alerts.ends("ReloadFailed");
    host.tell("resume", "resting");
    alerts.ends("PolicyPaused");
}

/// What an account can do.
fn fill_up(host: &Host, alerts: &Watched<'_>) {
    alerts.fires("QuotaNear", "");
    let skewed = r#"{"offset_seconds": -90, "tolerate_skew": true}"#;
    host.sandbox.control("PUT", "/_sandbox/clock", skewed);
    let more = r#"{"manual_snapshots": 100}"#;
    host.sandbox.control("PUT", "/_sandbox/limits", more);
    alerts.fires("QuotaReached", "");
    alerts.ends("QuotaNear");
    alerts.fires("ClockSkew", "");
}

/// What credentials and the network can do, and a daemon that is not there.
fn lock_out(host: &mut Host, alerts: &Watched<'_>) {
    host.fault(
        r#"{"operation": "*", "fault": {"kind": "error", "code": "AccessDenied", "status": 403}}"#,
    );
    alerts.fires("AwsFailing", "");
    host.daemon.kill_9();
    alerts.fires("Down", "");
    host.sandbox.process.signal("-KILL");
    host.daemon.restart(&host.dir);
    alerts.ends("Down");
    alerts.fires("SlotNotBegun", "dw");
}

#[test]
fn each_alert_is_silent_while_all_is_well_and_fires_by_its_real_cause() {
    let Some(prometheus) = program(&["prometheus"]) else {
        return;
    };
    let clusters = "--cluster dw --cluster asleep --cluster resting --cluster slow";
    let troubled = Host::start(sandbox(&format!("{clusters} --quota 1000")), TROUBLED);
    let full = Host::start(sandbox("--cluster dw --quota 6"), FULL);
    let mut locked_out = Host::start(sandbox("--cluster dw --quota 1000"), LOCKED_OUT);
    let dir = Dir::new();
    let rules = dir.write("rules.yml", &impatient());
    let daemons = [&troubled, &full, &locked_out].map(|host| host.daemon.listen);
    let prometheus = Prometheus::start(&prometheus, &dir, &rules, &daemons, None);
    let watched =
        [&troubled, &full, &locked_out].map(|host| Watched::new(&prometheus, &host.daemon));
    let [at_trouble, at_full, at_locked_out] = &watched;
    at_trouble.is_calm(4);
    at_locked_out.is_calm(1);
    std::thread::scope(|scope| {
        scope.spawn(|| trouble(&troubled, at_trouble));
        scope.spawn(|| fill_up(&full, at_full));
        scope.spawn(|| lock_out(&mut locked_out, at_locked_out));
    });
}
