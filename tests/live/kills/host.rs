//! One daemon with its state directory, and the proxy between it and the sandbox.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::dice::Dice;
use super::points::{POINTS, Point};
use super::{OURS, THEIRS};
use crate::support::proxy::Proxy;
use crate::support::{Daemon, Dir, Sandbox, free_port, redkeep};

/// What a host is set up for.
pub struct Setup {
    pub region: &'static str,
    pub account: &'static str,
    /// Name, seconds field, clusters.
    pub policies: &'static [(&'static str, &'static str, &'static str)],
}

pub struct Host {
    pub setup: Setup,
    pub dir: Dir,
    pub proxy: Proxy,
    pub daemon: Daemon,
    pub dice: Dice,
    /// Counts the reloads: each one changes a tag.
    pub edition: u32,
    pub killed: usize,
    /// How often each point was reached, and how often it was tried.
    pub reached: BTreeMap<Point, (u32, u32)>,
    to_come: Vec<Point>,
}

/// The states from which nothing leads away.
pub const ENDS: [&str; 6] = [
    "available",
    "failed",
    "missed",
    "skipped",
    "expired",
    "conflict",
];

impl Host {
    pub fn start(sandbox: &Sandbox, setup: Setup, dice: Dice) -> Self {
        let (dir, proxy, port) = (
            Dir::new(),
            Proxy::start(sandbox.address(), &[]),
            free_port(),
        );
        let config = dir.write("redkeep.toml", &policy_file(&setup, &proxy, port, 0));
        let daemon = Daemon::start_with(&dir, &config, port);
        Self {
            setup,
            dir,
            proxy,
            daemon,
            dice,
            edition: 0,
            killed: 0,
            reached: BTreeMap::new(),
            to_come: Vec::new(),
        }
    }

    pub fn policy_file(&self) -> String {
        let port = self.daemon.listen.port();
        policy_file(&self.setup, &self.proxy, port, self.edition)
    }

    /// Kills the daemon once, at each point in turn.
    pub fn suffer(&mut self) {
        if self.to_come.is_empty() {
            self.to_come = POINTS.to_vec();
            self.dice.shuffle(&mut self.to_come);
        }
        let Some(point) = self.to_come.pop() else {
            return;
        };
        let hit = self.kill_at(point);
        let count = self.reached.entry(point).or_default();
        *count = (count.0 + u32::from(hit), count.1 + 1);
    }

    /// Kills the daemon; one that SIGTERM has ended before does not count.
    pub fn kill(&mut self) {
        let child = &mut self.daemon.process.0;
        child.kill().unwrap();
        let status = child.wait().unwrap();
        match status.signal() {
            Some(9) => self.killed += 1,
            _ => assert!(
                status.success(),
                "it ended by itself: {status}\n{}",
                self.daemon.log()
            ),
        }
    }

    pub fn restart(&mut self) {
        self.daemon.restart(&self.dir);
    }

    pub fn kill_and_start(&mut self) {
        self.kill();
        self.restart();
    }

    /// Waits until every slot up to now has its outcome and every pair has had a snapshot since.
    pub fn settle(&mut self, within: Duration) {
        let healed_at = now();
        let later = |row: &&Value| row["scheduled_at"].as_str() > Some(&healed_at);
        let started = Instant::now();
        loop {
            let rows = self.daemon.history();
            let open = rows.iter().filter(|row| !later(row) && !has_ended(row));
            let good = rows
                .iter()
                .filter(later)
                .filter(|row| row["state"] == "available");
            let mut pairs: Vec<String> = good.map(pair).collect();
            pairs.sort();
            pairs.dedup();
            let open: Vec<&Value> = open.collect();
            if open.is_empty() && pairs.len() == self.pairs().len() {
                return;
            }
            assert!(
                started.elapsed() < within,
                "not settled: good pairs {pairs:?}, open {open:#?}\n{}",
                self.daemon.log()
            );
            std::thread::sleep(Duration::from_millis(500));
        }
    }

    /// Stops the daemon in good order, and lets one pass finish what it has begun.
    pub fn finish(&mut self) {
        self.daemon.process.signal("-TERM");
        let code = self.daemon.process.exit_code(Duration::from_secs(25));
        assert_eq!(code, Some(0), "{}", self.daemon.log());
        let once = self.command(&["run", "--once"]);
        assert!(once.status.code().is_some_and(|code| code <= 1), "{once:?}");
    }

    pub fn command(&self, arguments: &[&str]) -> std::process::Output {
        let config = self.daemon.config.to_str().unwrap();
        redkeep(&[arguments, &["--config", config]].concat())
    }

    pub fn json(&self, arguments: &[&str]) -> Vec<Value> {
        let output = self.command(&[arguments, &["--output", "json"]].concat());
        assert!(output.status.success(), "{output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Policy and cluster of every pair.
    pub fn pairs(&self) -> Vec<String> {
        let policies = self.setup.policies.iter();
        let mut pairs: Vec<String> = policies
            .flat_map(|(policy, _, clusters)| match clusters.strip_suffix('*') {
                Some(stem) => vec![format!("{policy} {stem}one"), format!("{policy} {stem}two")],
                None => vec![format!("{policy} {clusters}")],
            })
            .collect();
        pairs.sort();
        pairs
    }
}

pub fn has_ended(row: &Value) -> bool {
    ENDS.iter().any(|end| row["state"] == *end)
}

/// Policy and cluster of a row.
pub fn pair(row: &Value) -> String {
    format!(
        "{} {}",
        row["policy"].as_str().unwrap(),
        row["cluster"].as_str().unwrap()
    )
}

fn now() -> String {
    chrono::Utc::now().format("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn policy_file(setup: &Setup, proxy: &Proxy, port: u16, edition: u32) -> String {
    let (endpoint, region) = (proxy.address, setup.region);
    let role = match setup.account {
        OURS => String::new(),
        _ => format!("role_arn = \"arn:aws:iam::{THEIRS}:role/redkeep\"\n"),
    };
    let mut text = format!(
        "namespace = \"night\"\nstate_dir = \"state\"\nlisten = \"127.0.0.1:{port}\"\n\
         endpoint = \"http://{endpoint}\"\n\
         [[account]]\nname = \"home\"\nregions = [\"{region}\"]\n{role}"
    );
    for (name, seconds, clusters) in setup.policies {
        text += &format!(
            "[[policy]]\nname = \"{name}\"\nschedule = \"{seconds} * * * * *\"\n\
             clusters = [\"{clusters}\"]\nretention = \"7d\"\ntags = {{ edition = \"{edition}\" }}\n"
        );
    }
    text
}
