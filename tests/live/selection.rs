//! Clusters that come and go, as the real binary tells of them.

use std::time::Duration;

use crate::support::{Daemon, Dir, Sandbox, eventually, in_state};

const MINUTE: Duration = Duration::from_secs(60);

/// The policy that follows its snapshots makes listings come every second or so.
const POLICIES: &str = r#"
[[policy]]
name = "often"
schedule = "*/2 * * * * *"
clusters = ["anchor"]
retention = "1d"

[[policy]]
name = "by-glob"
schedule = "0 0 1 1 *"
clusters = ["come-*"]
exclude = ["come-not"]
retention = "1d"
"#;

struct Watched {
    daemon: Daemon,
    sandbox: Sandbox,
}

impl Watched {
    /// Enough clusters for two pages, with those that come and go on the second.
    fn start(dir: &Dir) -> Self {
        let names: Vec<String> = (0..110).map(|number| format!("c-{number:03}")).collect();
        let mut arguments = vec![
            "--snapshot-seconds",
            "1",
            "--quota",
            "1000",
            "--cluster",
            "anchor",
        ];
        arguments.extend(names.iter().flat_map(|name| ["--cluster", name]));
        let sandbox = Sandbox::start(&arguments);
        sandbox.control("PUT", "/_sandbox/limits", r#"{"cluster_seconds":1}"#);
        let daemon = Daemon::start(dir, &sandbox.url, POLICIES);
        daemon.wait("the work goes on", MINUTE, |rows| {
            in_state(rows, "available").count() >= 2
        });
        Self { daemon, sandbox }
    }

    fn create(&self, cluster: &str) {
        let form = format!(
            "CreateCluster&ClusterIdentifier={cluster}&NodeType=ra3.xlplus&MasterUsername=admin\
             &MasterUserPassword=Passw0rd1"
        );
        let answer = self.sandbox.aws("AKIAEXAMPLE", &form);
        assert_eq!(answer.status, 200, "{}", answer.body);
    }

    fn delete(&self, cluster: &str) {
        let form =
            format!("DeleteCluster&ClusterIdentifier={cluster}&SkipFinalClusterSnapshot=true");
        let answer = self.sandbox.aws("AKIAEXAMPLE", &form);
        assert_eq!(answer.status, 200, "{}", answer.body);
    }

    /// Lets so many more pages of clusters come well.
    fn pages(&self, count: usize) {
        let come = || {
            let labels = [
                "aws_requests_total",
                "operation=\"DescribeClusters\"",
                "code=\"ok\"",
            ];
            let metrics = self.daemon.metrics();
            let mut lines = metrics.lines();
            let line = lines.find(|line| labels.iter().all(|label| line.contains(label)));
            let value = line.and_then(|line| line.rsplit(' ').next()?.parse::<usize>().ok());
            value.unwrap_or(0)
        };
        let wanted = come() + count;
        eventually("more listings", MINUTE, || come() >= wanted);
    }

    /// Lets listings fail in many ways, on either page, and succeed again after each.
    fn bad_listings(&self) {
        let before = self.failed_listings();
        for (after, times, fault) in [
            (1, 1, r#"{"kind":"error","code":"Throttling"}"#),
            (0, 1, r#"{"kind":"truncate"}"#),
            (1, 1, r#"{"kind":"empty"}"#),
            (0, 1, r#"{"kind":"html","status":502}"#),
            (0, 3, r#"{"kind":"loop_marker"}"#),
        ] {
            let rule = format!(
                r#"[{{"operation":"DescribeClusters","after":{after},"times":{times},"fault":{fault}}}]"#
            );
            self.sandbox.control("PUT", "/_sandbox/faults", &rule);
            eventually("it has struck", MINUTE, || {
                self.sandbox.control("GET", "/_sandbox/faults", "")[0]["times"] == 0
            });
            self.pages(2);
        }
        assert!(
            // The log shows alarms at most each half a second: of one that was over sooner it tells nothing.
            self.failed_listings() > before,
            "{}",
            self.daemon.log()
        );
    }

    fn failed_listings(&self) -> usize {
        self.daemon.log().matches("listing failed").count()
    }

    /// How often the log says of a cluster under a policy that it has come, and that it is gone.
    fn told(&self, policy: &str, cluster: &str) -> (usize, usize) {
        let log = self.daemon.log();
        let (policy, cluster) = (format!("policy={policy} "), format!("cluster={cluster} "));
        let of_it = |line: &&str| line.contains(&policy) && line.contains(&cluster);
        let lines: Vec<&str> = log.lines().filter(of_it).collect();
        let of_kind = |kind: &str| lines.iter().filter(|line| line.contains(kind)).count();
        (of_kind(" INFO active "), of_kind(" INFO no longer active "))
    }

    fn until_told(&self, cluster: &str, wanted: (usize, usize)) {
        eventually("it is told", MINUTE, || {
            self.told("by-glob", cluster) == wanted
        });
    }
}

#[test]
fn a_cluster_that_comes_and_goes_is_told_of_once_each_whatever_listings_fail() {
    let dir = Dir::new();
    let watched = Watched::start(&dir);
    assert_eq!(watched.told("often", "anchor"), (1, 0));

    watched.create("come-a");
    watched.create("come-not");
    watched.until_told("come-a", (1, 0));
    watched.bad_listings();
    assert_eq!(
        watched.told("by-glob", "come-a"),
        (1, 0),
        "{}",
        watched.daemon.log()
    );

    watched.delete("come-a");
    watched.create("come-b");
    watched.until_told("come-a", (1, 1));
    watched.until_told("come-b", (1, 0));
    watched.bad_listings();
    assert_eq!(
        watched.told("by-glob", "come-a"),
        (1, 1),
        "{}",
        watched.daemon.log()
    );

    watched.create("come-a");
    watched.until_told("come-a", (2, 1));
    watched.pages(6);
    assert_eq!(
        watched.told("by-glob", "come-a"),
        (2, 1),
        "{}",
        watched.daemon.log()
    );
    assert_eq!(watched.told("by-glob", "come-b"), (1, 0));
    assert_eq!(watched.told("by-glob", "come-not"), (0, 0));
    assert_eq!(watched.told("often", "anchor"), (1, 0));
}

#[test]
fn a_restart_tells_only_of_what_has_changed_meanwhile() {
    let dir = Dir::new();
    let mut watched = Watched::start(&dir);
    watched.create("come-a");
    watched.create("come-b");
    watched.until_told("come-a", (1, 0));
    watched.until_told("come-b", (1, 0));
    watched.daemon.kill_9();
    watched.delete("come-b");
    watched.create("come-c");
    watched.daemon.restart(&dir);
    watched.until_told("come-c", (1, 0));
    watched.until_told("come-b", (1, 1));
    watched.pages(4);
    assert_eq!(
        watched.told("by-glob", "come-a"),
        (1, 0),
        "{}",
        watched.daemon.log()
    );
    assert_eq!(watched.told("often", "anchor"), (1, 0));
}
