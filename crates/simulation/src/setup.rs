//! What the scenarios are written with: instants, policies, and what came of the slots.

use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};
use redkeep_core::run::{Run, RunState};
use redkeep_core::slot::{Pair, Slot, rfc3339};
use redkeep_policy_file::Config;

use crate::seed::draw::load_text;
use crate::seed::sharing::add_instance;
use crate::sim::Sim;
use crate::sim::aws::{Aws, REGION};
use crate::sim::host::Host;
use crate::sim::journal::Journal;
use crate::sim::ledger::Ledger;
use crate::sim::shared::Shared;

/// `2026-11-24 02:30` or `2026-11-24 02:30:15`, in UTC.
pub fn at(text: &str) -> DateTime<Utc> {
    let short = NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M");
    short
        .or_else(|_| NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S"))
        .unwrap()
        .and_utc()
}

pub fn hours(hours: i64) -> TimeDelta {
    TimeDelta::hours(hours)
}

pub fn minutes(minutes: i64) -> TimeDelta {
    TimeDelta::minutes(minutes)
}

pub fn seconds(seconds: i64) -> TimeDelta {
    TimeDelta::seconds(seconds)
}

/// A `[[policy]]` table; `more` has further keys, a line each.
pub fn policy(name: &str, schedule: &str, clusters: &str, more: &str) -> String {
    format!(
        "[[policy]]\nname = \"{name}\"\nschedule = \"{schedule}\"\nclusters = [\"{clusters}\"]\n\
         retention = \"35d\"\n{more}\n"
    )
}

/// A configuration of one account with these tables.
pub fn config(tables: &str) -> Config {
    config_with_quota(100_000, tables)
}

pub fn config_with_quota(quota: u32, tables: &str) -> Config {
    let account = format!(
        "[[account]]\nname = \"prod\"\nregions = [\"{REGION}\"]\nsnapshot_quota = {quota}\n"
    );
    config_of(&account, tables)
}

/// A configuration of these `[[account]]` tables.
pub fn config_of(accounts: &str, tables: &str) -> Config {
    let text = format!(
        "namespace = \"redkeep\"\nstate_dir = \"state\"\nendpoint = \"sandbox\"\n{accounts}{tables}"
    );
    load_text(&text)
}

/// A simulation of one host with these policies and the cluster `dw`.
pub fn sim(start: &str, tables: &str) -> Sim {
    sim_of_clusters(start, &["dw"], tables)
}

/// The same with a second AWS account, which the name `other` stands for.
pub fn with_another_account(mut sim: Sim) -> Sim {
    sim.elsewhere.accounts.push(Aws::numbered("222233334444"));
    let other = "other".parse().unwrap_or_else(|_| unreachable!());
    sim.elsewhere.homes.insert(other, 1);
    sim
}

pub fn sim_of_clusters(start: &str, clusters: &[&str], tables: &str) -> Sim {
    let mut sim = Sim::new(at(start));
    for cluster in clusters {
        sim.aws.add_cluster(cluster, at("2026-01-01 00:00"));
    }
    add_host(&mut sim, "host-a", config(tables), Journal::in_memory());
    sim
}

/// A simulation of so many instances of one installation, with these policies and the cluster `dw`; the first one works.
pub fn instances(start: &str, count: usize, tables: &str) -> Sim {
    let mut sim = Sim::new(at(start));
    sim.aws.add_cluster("dw", at("2026-01-01 00:00"));
    for name in &["host-a", "host-b", "host-c"][..count] {
        add_instance(&mut sim, name, config(tables));
    }
    sim.shared = Some(Shared::new(count, sim.now));
    for host in 0..count {
        sim.start(host);
        sim.run_for(seconds(5));
    }
    assert_eq!(sim.holder(), Some(0));
    sim
}

/// One more installation, started at once.
pub fn add_host(sim: &mut Sim, writer: &str, config: Config, journal: Journal) -> usize {
    sim.hosts.push(Host::new(config, writer, journal));
    let host = sim.hosts.len() - 1;
    sim.start(host);
    host
}

pub fn slot(policy: &str, cluster: &str, scheduled_at: &str) -> Slot {
    Slot {
        pair: pair(policy, cluster),
        scheduled_at: at(scheduled_at),
    }
}

pub fn pair(policy: &str, cluster: &str) -> Pair {
    Pair {
        policy: policy.parse().unwrap(),
        scope: redkeep_core::slot::Scope {
            account: "prod".parse().unwrap(),
            region: REGION.parse().unwrap(),
        },
        cluster: cluster.parse().unwrap(),
    }
}

/// A run's end in one line: `available`, `missed(late)`.
pub fn outcome(run: &Run) -> String {
    match &run.state {
        RunState::Ended(outcome) => match outcome.reason() {
            Some(reason) => format!("{}({reason})", outcome.word()),
            None => outcome.word().to_owned(),
        },
        open => format!("open: {open:?}"),
    }
}

impl Sim {
    /// Runs until this instant.
    pub fn until(&mut self, instant: &str) {
        self.run_until(at(instant));
    }

    /// What is recorded: by a host, or by all that share a history.
    fn ledger(&self, host: usize) -> &Ledger {
        match &self.shared {
            Some(shared) => &shared.server.state.ledger,
            None => &self.hosts[host].journal.ledger,
        }
    }

    /// Every record of the first host: `11-24 02:30 nightly/dw available`, ranges last.
    pub fn records(&self) -> Vec<String> {
        self.records_of(0)
    }

    pub fn records_of(&self, host: usize) -> Vec<String> {
        let ledger = self.ledger(host);
        let mut runs: Vec<&Run> = ledger.runs.values().collect();
        runs.sort_by_key(|run| (run.slot.scheduled_at, run.slot.pair.clone()));
        let runs = runs.into_iter().map(|run| {
            let Pair {
                policy, cluster, ..
            } = &run.slot.pair;
            let instant = run.slot.scheduled_at.format("%m-%d %H:%M");
            format!("{instant} {policy}/{cluster} {}", outcome(run))
        });
        let ranges = ledger.ranges.iter().map(|range| {
            let (first, last) = (rfc3339(range.first_at), rfc3339(range.last_at));
            format!("{first} to {last}: {} missed", range.count)
        });
        runs.chain(ranges).collect()
    }

    /// What became of one slot on the first host.
    pub fn outcome(&self, policy: &str, scheduled_at: &str) -> String {
        self.run(policy, scheduled_at)
            .map_or_else(|| "no record".to_owned(), |run| outcome(&run))
    }

    pub fn run(&self, policy: &str, scheduled_at: &str) -> Option<Run> {
        let ledger = self.ledger(0);
        ledger.runs.get(&slot(policy, "dw", scheduled_at)).cloned()
    }

    /// When each accepted create call arrived: `11-24 02:30:00`.
    pub fn accepted(&self) -> Vec<String> {
        let accepted = self.aws.accepted.iter();
        accepted
            .map(|(_, at)| at.format("%m-%d %H:%M:%S").to_string())
            .collect()
    }

    /// Every slot that was due has exactly one record, no run is open, and nothing was made twice.
    pub fn assert_accounted(&self) {
        self.check_accounts(TimeDelta::zero());
    }
}
