//! What must hold once the weather has cleared.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

use super::host::{ENDS, Host, has_ended, pair};
use super::ledger::Creates;
use super::{OURS, SETUPS, THEIRS};
use crate::support::{Sandbox, eventually};

/// More than a page of them, so that every listing has a second one.
const FOREIGN: usize = 120;

/// So long after a snapshot was made AWS does not show it, at the most (`late_snapshot` of the weather).
const LATE: TimeDelta = TimeDelta::seconds(2);

/// Keeps what somebody else had before, to see that it is untouched.
pub struct Judge {
    foreign: BTreeMap<String, Value>,
}

impl Judge {
    /// Makes the snapshots of somebody else; one has our tags, and a name that they do not give.
    pub fn before(sandbox: &Sandbox) -> Self {
        let scopes: BTreeSet<_> = SETUPS
            .iter()
            .map(|setup| (setup.account, setup.region))
            .collect();
        for (account, region) in scopes {
            for number in 0..FOREIGN {
                let form = format!(
                    "CreateClusterSnapshot&SnapshotIdentifier=theirs-{number}&ClusterIdentifier=dw-one\
                     &Tags.Tag.1.Key=redkeep:namespace&Tags.Tag.1.Value=night\
                     &Tags.Tag.2.Key=redkeep:policy&Tags.Tag.2.Value=twos"
                );
                let answer = sandbox.aws_in(region, account, &form);
                assert_eq!(answer.status, 200, "{}", answer.body);
            }
        }
        let foreign = snapshots(sandbox, |id| id.starts_with("theirs-"));
        Self { foreign }
    }

    /// The running daemon counts what its history has.
    pub fn metrics(&self, host: &Host) {
        eventually("metrics and history agree", Duration::from_secs(20), || {
            let before = counted_in_history(host);
            let metrics = counted_in_metrics(&host.daemon.metrics());
            before == counted_in_history(host) && before == metrics
        });
    }

    /// Every slot since a pair became active has exactly one record, and that is final.
    pub fn histories(&self, hosts: &[Host]) {
        for host in hosts {
            let rows = host.daemon.history();
            let active = host.json(&["status"]);
            for row in &active {
                let wanted = wanted(host, row, &rows);
                let end = instant(&last(row, &rows)["scheduled_at"]);
                let of_pair = rows.iter().filter(|other| pair(other) == pair(row));
                let of_pair = of_pair.filter(|other| !is_found(other, row));
                let of_pair = of_pair.filter(|other| instant(&other["scheduled_at"]) <= end);
                let is_pattern = wanted.iter().any(|(_, id)| id.is_none());
                let got = of_pair
                    .map(name)
                    .map(|(at, id)| (at, id.filter(|_| !is_pattern)));
                let got: Vec<_> = got.collect();
                assert_eq!(got, wanted, "{} in {:?}", pair(row), host.dir.0);
            }
            assert_eq!(active.len(), host.pairs().len(), "{active:#?}");
            for row in &rows {
                assert!(has_ended(row), "{row:#}");
                assert_ne!(row["state"], "conflict", "{row:#}");
                assert_eq!(row["slots"], 1, "{row:#}");
            }
            let log = host.daemon.log();
            assert!(!log.contains("panicked"), "{log}");
            assert!(!log.contains("secret-that-must-not-leak"), "{log}");
        }
    }

    /// Of two hosts with the same policies both record the snapshot of a slot. One that has not got it gave the slot up
    /// by a look that the snapshot came too late for: no verdict without a look.
    pub fn twins(&self, one: &Host, other: &Host, wrong_clocks: &[[DateTime<Utc>; 2]]) {
        let told = |host: &Host| -> BTreeMap<(String, String), Value> {
            let rows = host.daemon.history().into_iter();
            rows.map(|row| ((pair(&row), name(&row).0), row)).collect()
        };
        let (of_one, of_other) = (told(one), told(other));
        let (mut both, mut alone) = (0, 0);
        for (slot, row) in &of_one {
            let Some(twin) = of_other.get(slot) else {
                continue;
            };
            let is_good = |row: &Value| row["state"] == "available";
            match (is_good(row), is_good(twin)) {
                (true, true) => both += 1,
                (true, false) => assert_gave_up_in_time(other, twin, row, wrong_clocks),
                (false, true) => assert_gave_up_in_time(one, row, twin, wrong_clocks),
                (false, false) => {}
            }
            alone += u32::from(is_good(row) != is_good(twin));
        }
        assert!(both > 0, "the twins had no snapshot in common");
        eprintln!("{both} snapshots known to both twins, {alone} to one");
    }

    /// The sandbox has the good snapshots of the histories, the failed first ones, and nothing else of ours.
    pub fn snapshots(&self, sandbox: &Sandbox, hosts: &[Host]) {
        let mut good = BTreeSet::new();
        let mut failed = BTreeSet::new();
        for host in hosts {
            let scope = format!("{} {}", host.setup.account, host.setup.region);
            for row in host.daemon.history() {
                let id = row["snapshot_id"].as_str().unwrap();
                let first = id.strip_suffix("-r1").unwrap_or(id);
                if row["state"] == "available" {
                    good.insert(format!("{scope} {id}"));
                    assert_eq!(row["gone_at"], Value::Null, "{row:#}");
                }
                failed.extend(
                    (first != id || row["state"] == "failed").then(|| format!("{scope} {first}")),
                );
            }
        }
        let ours = snapshots(sandbox, |id| id.starts_with("night-"));
        let is_failed = |snapshot: &Value| !snapshot["fate"]["fails"].is_null();
        let (broken, whole): (BTreeMap<_, _>, _) =
            ours.into_iter().partition(|(_, it)| is_failed(it));
        let whole: BTreeSet<String> = whole.into_keys().collect();
        assert_eq!(
            whole,
            good,
            "differ: {:?}",
            whole.symmetric_difference(&good)
        );
        for id in broken.keys() {
            assert!(
                failed.contains(id) || id.ends_with("-r1"),
                "{id} failed and is in no record"
            );
        }
        let foreign = snapshots(sandbox, |id| id.starts_with("theirs-"));
        assert_eq!(foreign, self.foreign, "what was not ours was touched");
        eprintln!("{} good snapshots, {} failed", whole.len(), broken.len());
    }

    /// No name was accepted twice, and no name is in use for two slots.
    pub fn creates(&self, creates: &Creates) {
        let mut accepted: BTreeMap<&[String], usize> = BTreeMap::new();
        let ok = creates
            .iter()
            .filter(|(_, outcome)| outcome.as_deref() == Some("ok"));
        for (key, _) in ok {
            *accepted.entry(&key[1..]).or_default() += 1;
        }
        let twice: Vec<_> = accepted.iter().filter(|(_, times)| **times > 1).collect();
        assert!(twice.is_empty(), "accepted twice: {twice:?}");
        eprintln!(
            "{} create calls, {} accepted",
            creates.len(),
            accepted.len()
        );
    }
}

/// The last listing that a host had begun before it gave a slot up began before AWS could show it the twin's snapshot: one
/// that began later has it, unless the sandbox's clock was wrong then, which hides what was late.
///
/// When that listing ended says nothing. In a trace of a storm on a busy machine six seconds passed between its two pages,
/// where the weather alone makes the second at most 1.2 s late (three faults of 400 ms).
fn assert_gave_up_in_time(
    host: &Host,
    without: &Value,
    good: &Value,
    wrong_clocks: &[[DateTime<Utc>; 2]],
) {
    let given_up_at = instant(&without["ended_at"]);
    let listings = host.proxy.all("DescribeClusterSnapshots").into_iter();
    let first_pages = listings.filter(|listing| {
        let names = ["Marker", "SnapshotIdentifier"];
        listing.status == 200 && names.map(|name| listing.get(name)) == ["", ""]
    });
    let begun = first_pages.map(|listing| listing.arrived_at);
    let last = begun.filter(|begun_at| *begun_at < given_up_at).max();
    let last = last.unwrap();
    // It is recorded in whole seconds.
    let end = given_up_at + TimeDelta::seconds(1);
    let is_hidden = |[from, until]: &[DateTime<Utc>; 2]| *from < end && *until > last;
    let shown_at = instant(&good["snapshot"]["snapshot_create_time"]) + LATE;
    assert!(
        last < shown_at || wrong_clocks.iter().any(is_hidden),
        "given up by a listing of {last}: {good:#} {without:#}"
    );
}

/// Whether it is the other twin's, of a slot before this one's pair became active, and was found without a record.
fn is_found(row: &Value, active: &Value) -> bool {
    row["attempts"] == 0 && instant(&row["scheduled_at"]) <= instant(&active["active_since"])
}

fn instant(value: &Value) -> DateTime<Utc> {
    value.as_str().unwrap().parse().unwrap()
}

/// Slot and identifier of the first attempt; a plan for a pattern has none.
fn name(row: &Value) -> (String, Option<String>) {
    let id = row["snapshot_id"].as_str();
    let first = id.map(|id| id.strip_suffix("-r1").unwrap_or(id).to_owned());
    (row["scheduled_at"].as_str().unwrap().to_owned(), first)
}

/// The last record of a pair that is its host's own. One that was found in the last listing, and that the other twin had
/// made meanwhile, may be of a slot for which this host's time had not come when it was stopped.
fn last<'a>(active: &Value, rows: &'a [Value]) -> &'a Value {
    let of_pair = rows.iter().filter(|row| pair(row) == pair(active));
    let mut own = of_pair.filter(|row| row["attempts"] != 0 || row["state"] != "available");
    own.next_back().unwrap()
}

/// The slots of a pair from its activation to its last record, as `plan` has them.
fn wanted(host: &Host, active: &Value, rows: &[Value]) -> Vec<(String, Option<String>)> {
    let last = last(active, rows);
    let [from, until, policy] = [
        &active["active_since"],
        &last["scheduled_at"],
        &active["policy"],
    ]
    .map(|value| value.as_str().unwrap());
    let plan = host.json(&["plan", "--policy", policy, "--from", from, "--until", until]);
    let is_pattern = |row: &&Value| row["snapshot_id"].is_null();
    plan.iter()
        .filter(|row| is_pattern(row) || pair(row) == pair(active))
        .map(name)
        .collect()
}

/// Our or other snapshots in all accounts and regions, by account, region and name.
fn snapshots(sandbox: &Sandbox, wanted: fn(&str) -> bool) -> BTreeMap<String, Value> {
    let mut found = BTreeMap::new();
    for account in [OURS, THEIRS] {
        let path = format!("/_sandbox/state?account={account}");
        let state = sandbox.control("GET", &path, "");
        for (region, held) in state["regions"].as_object().unwrap() {
            for (id, snapshot) in held["snapshots"].as_object().unwrap() {
                if wanted(id) {
                    found.insert(format!("{account} {region} {id}"), snapshot.clone());
                }
            }
        }
    }
    found
}

fn counted_in_history(host: &Host) -> BTreeMap<String, u64> {
    let mut counts = zeros(host);
    for row in host.daemon.history().iter().filter(|row| has_ended(row)) {
        let key = format!("{} {}", pair(row), row["state"].as_str().unwrap());
        *counts.entry(key).or_default() += row["slots"].as_u64().unwrap();
    }
    counts
}

fn zeros(host: &Host) -> BTreeMap<String, u64> {
    let pairs = host.pairs().into_iter();
    pairs
        .flat_map(|pair| ENDS.map(|end| (format!("{pair} {end}"), 0)))
        .collect()
}

fn counted_in_metrics(text: &str) -> BTreeMap<String, u64> {
    let lines = text
        .lines()
        .filter(|line| line.starts_with("redkeep_runs_total{"));
    let label = |line: &str, name: &str| {
        let (_, rest) = line.split_once(&format!("{name}=\"")).unwrap();
        rest.split('"').next().unwrap().to_owned()
    };
    lines
        .map(|line| {
            let [policy, cluster, result] =
                ["policy", "cluster", "result"].map(|name| label(line, name));
            let count = line.rsplit(' ').next().unwrap().parse().unwrap();
            (format!("{policy} {cluster} {result}"), count)
        })
        .collect()
}
