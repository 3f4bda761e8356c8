//! What a seed draws before anything happens: clusters, policies, hosts.
//!
//! Owns: policy tables as the file has them, and their edits. Schedules are mostly such as the oracle can read.

use std::fmt::Write as _;

use redkeep_policy_file::{Config, Sources, load};

use super::strain::Strain;
use crate::sim::aws::REGION;
use crate::sim::dice::Dice;
use crate::sim::journal::scratch;

/// The names that clusters have, come under and are renamed to.
pub const CLUSTERS: [&str; 5] = ["dw", "dx", "finance", "etl-1", "etl-2"];
const SELECTIONS: [&str; 8] = [
    "dw",
    "dx",
    "finance",
    "d?",
    "etl-*",
    "*",
    "*",
    "{dw,finance}",
];
const ZONES: [&str; 8] = [
    "UTC",
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
    "America/Santiago",
    "Pacific/Chatham",
];

/// The names of the accounts.
pub const ACCOUNTS: [&str; 2] = ["prod", "stage"];

pub fn has_two_accounts(strains: &[Strain]) -> bool {
    let two = [Strain::Accounts, Strain::AccountLeaves];
    strains.iter().any(|strain| two.contains(strain))
}

/// A `[[policy]]` table.
#[derive(Debug, Clone)]
pub struct PolicyTable {
    name: String,
    schedule: String,
    zone: &'static str,
    clusters: &'static str,
    retention: &'static str,
    more: String,
    enabled: bool,
}

/// A policy file.
#[derive(Debug, Clone)]
pub struct PolicyFile {
    policies: Vec<PolicyTable>,
    /// The accounts that are in it.
    pub accounts: Vec<&'static str>,
    has_tiers: bool,
    /// How many policies were ever added.
    added: u32,
}

impl PolicyFile {
    pub fn draw(dice: &mut Dice, strains: &[Strain]) -> Self {
        let mut file = Self {
            policies: Vec::new(),
            accounts: ACCOUNTS[..1 + usize::from(has_two_accounts(strains))].to_vec(),
            has_tiers: strains.contains(&Strain::Tiers),
            added: 0,
        };
        (0..dice.between(1, 4)).for_each(|_| file.add(dice));
        file
    }

    fn add(&mut self, dice: &mut Dice) {
        self.added += 1;
        let name = format!("policy-{}", self.added);
        self.policies.push(PolicyTable::draw(name, dice));
    }

    /// One edit, as an operator makes it; says what it is.
    pub fn edit(&mut self, dice: &mut Dice) -> String {
        let kind = dice.between(0, 5);
        if self.policies.is_empty() || (kind == 0 && self.policies.len() < 5) {
            self.add(dice);
            return format!("adds policy-{}", self.added);
        }
        let last = self.policies.len() as u64 - 1;
        let index = usize::try_from(dice.between(0, last)).unwrap();
        let policy = &mut self.policies[index];
        let name = policy.name.clone();
        match kind {
            1 => {
                self.policies.remove(index);
                format!("removes {name}")
            }
            2 | 3 => {
                policy.enabled = !policy.enabled;
                format!("sets {name} enabled = {}", policy.enabled)
            }
            4 => {
                policy.clusters = clusters(&policy.schedule, dice);
                format!("gives {name} the clusters {:?}", policy.clusters)
            }
            _ => {
                let fresh = PolicyTable::draw(name.clone(), dice);
                policy.schedule = fresh.schedule;
                policy.clusters = fresh.clusters;
                policy.retention = fresh.retention;
                policy.zone = fresh.zone;
                policy.more = fresh.more;
                format!(
                    "gives {name} the schedule {:?} in {}",
                    policy.schedule, policy.zone
                )
            }
        }
    }

    /// The file as redkeep reads it.
    pub fn config(&self) -> Config {
        let mut text = "namespace = \"redkeep\"\nstate_dir = \"state\"\nendpoint = \"sandbox\"\n\
             [[blackout]]\nname = \"night\"\nschedule = \"0 2 * * *\"\nduration = \"40m\"\n"
            .to_owned();
        for name in &self.accounts {
            let role = match *name == ACCOUNTS[0] {
                true => "",
                false => "role_arn = \"arn:aws:iam::210987654321:role/redkeep\"\n",
            };
            write!(
                text,
                "[[account]]\nname = \"{name}\"\nregions = [\"{REGION}\"]\n\
                 snapshot_quota = 100000\n{role}"
            )
            .unwrap();
        }
        for policy in &self.policies {
            policy.write(self.has_tiers, &mut text);
        }
        load_text(&(text + RECEIVER))
    }
}

impl PolicyTable {
    fn draw(name: String, dice: &mut Dice) -> Self {
        let (schedule, retention) = schedule(dice);
        let clusters = clusters(&schedule, dice);
        Self {
            name,
            schedule,
            zone: dice.pick::<&str>(&ZONES),
            clusters,
            retention,
            more: more(dice),
            enabled: dice.permille(950),
        }
    }

    fn write(&self, has_tiers: bool, text: &mut String) {
        let Self {
            name,
            schedule,
            zone,
            clusters,
            retention,
            more,
            enabled,
        } = self;
        let retention = match has_tiers {
            true => format!(
                "{{ base = \"{retention}\", weekly = \"50d\", monthly = \"100d\", yearly = \"1095d\" }}"
            ),
            false => format!("\"{retention}\""),
        };
        write!(
            text,
            "[[policy]]\nname = \"{name}\"\nschedule = \"{schedule}\"\ntimezone = \"{zone}\"\n\
             clusters = [\"{clusters}\"]\nretention = {retention}\nenabled = {enabled}\n{more}"
        )
        .unwrap();
    }
}

/// Some clusters; of those that are due every hour only one, or a life would be about nothing else.
fn clusters(schedule: &str, dice: &mut Dice) -> &'static str {
    match schedule.ends_with(" * * * *") {
        true => dice.pick::<&str>(&SELECTIONS[..3]),
        false => dice.pick::<&str>(&SELECTIONS),
    }
}

/// A schedule, and a retention that keeps some dozens of its snapshots.
fn schedule(dice: &mut Dice) -> (String, &'static str) {
    let (minute, hour) = (dice.between(0, 59), dice.between(0, 23));
    match dice.between(0, 29) {
        0 => ("*/15 * * * *".to_owned(), "1d"),
        1 | 2 => (format!("{minute} * * * *"), "2d"),
        3..=5 => (format!("{} */6 * * *", dice.between(0, 59)), "7d"),
        6..=8 => (
            format!("{minute} {},{} * * *", hour / 2, 12 + hour / 2),
            "10d",
        ),
        9 | 10 => (format!("{minute} {hour} * * {}", dice.between(0, 6)), "35d"),
        11 => (format!("{minute} {hour} 13 * 5"), "35d"),
        12 => (format!("{minute} {hour} 1,15 * *"), "35d"),
        13 => (format!("{minute} {hour} L * *"), "35d"),
        // Where many zones change their clocks.
        14..=16 => (format!("{minute} 2 * * *"), "14d"),
        _ => (format!("{minute} {hour} * * *"), "14d"),
    }
}

fn more(dice: &mut Dice) -> String {
    let mut more = String::new();
    let mut line = |chance: u64, lines: &[&str]| {
        if dice.permille(chance) {
            more += dice.pick::<&str>(lines);
            more.push('\n');
        }
    };
    line(250, &["jitter = \"2m\"", "jitter = \"20m\""]);
    line(
        300,
        &[
            "start_window = \"5m\"",
            "start_window = \"40m\"",
            "start_window = \"3h\"",
        ],
    );
    line(150, &["catch_up = false"]);
    line(200, &["blackout = [\"night\"]"]);
    line(200, &["completion_window = \"1h\""]);
    line(150, &["guard = false"]);
    line(
        450,
        &[
            "min_good = 1",
            "min_good = 3",
            "keep_last = 3",
            "keep_last = 8",
            "min_good = 1\nkeep_last = 2",
            "min_good = 4\nkeep_last = 4",
        ],
    );
    line(150, &["guard_gone = \"5d\"", "guard_gone = \"30d\""]);
    more
}

/// Somebody who is told everything.
const RECEIVER: &str = "
[[notify]]
name = \"ops\"
kind = \"webhook\"
url = \"https://example.com/hook\"
severity = \"info\"
";

/// Reads a policy file's text, by way of a file as the program does.
pub fn load_text(text: &str) -> Config {
    let directory = scratch();
    std::fs::create_dir_all(&directory).unwrap();
    let file = directory.join("redkeep.toml");
    std::fs::write(&file, text).unwrap();
    let loaded = load(&Sources {
        file,
        environment: Vec::new(),
        profiles: Default::default(),
    });
    std::fs::remove_dir_all(directory).unwrap();
    loaded.unwrap_or_else(|errors| panic!("{errors}\n{text}"))
}
