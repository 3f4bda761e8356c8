//! A life drawn from a seed: some policies and clusters, then one disturbance after the other, then peace.
//!
//! Owns: the course of a life, what comes of it, and the command that replays it. The same seed gives the same life,
//! to the last line of its log.

mod chaos;
pub mod draw;
mod refusals;
pub mod sharing;
pub mod strain;
mod strained;

use std::any::Any;
use std::cell::RefCell;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

use chrono::{DateTime, TimeDelta, Utc};

use crate::sim::Sim;
use crate::sim::aws::Aws;
use crate::sim::bug::Bug;
use crate::sim::dice::Dice;
use crate::sim::host::Host;
use crate::sim::journal::{Journal, scratch};
use crate::sim::log::Log;

use draw::{CLUSTERS, PolicyFile};
use strain::Strain;

/// The longest start window that is drawn, twice, and the making of a snapshot.
const TWO_WINDOWS: TimeDelta = TimeDelta::hours(17);

/// What is to be lived.
#[derive(Debug, Clone, Copy)]
pub struct LifeSpec {
    pub seed: u64,
    pub days: u32,
    pub keeps_log: bool,
    pub leaps: bool,
    pub bug: Option<Bug>,
    /// What weighs on it, in the place of what the seed draws.
    pub strain: Option<Strain>,
}

impl LifeSpec {
    pub fn new(seed: u64, days: u32) -> Self {
        Self {
            seed,
            days,
            keeps_log: false,
            leaps: true,
            bug: None,
            strain: None,
        }
    }
}

/// A seed that nobody has lived, most likely.
pub fn fresh_seed() -> u64 {
    RandomState::new().build_hasher().finish() >> 16
}

/// What came of it.
#[derive(Debug)]
pub struct Past {
    /// What went against an invariant.
    pub failure: Option<String>,
    pub hash: u64,
    pub lines: Vec<String>,
    /// Runs recorded, by all hosts.
    pub runs: usize,
    pub snapshots_made: usize,
    pub crashes: u32,
}

/// A life under way.
struct Life {
    sim: Sim,
    file: PolicyFile,
    dice: Dice,
    strains: Vec<Strain>,
}

/// Lives a seed to its end, or until an invariant is broken.
pub fn live(spec: LifeSpec) -> Past {
    let mut life = Life::draw(spec);
    let lived = quietly(|| life.live(spec));
    let sim = &life.sim;
    Past {
        failure: lived.err(),
        hash: sim.log.hash(),
        lines: sim.log.lines().to_vec(),
        runs: match &sim.shared {
            Some(shared) => shared.server.state.ledger.runs.len(),
            None => { sim.hosts.iter() }
                .map(|host| host.journal.ledger.runs.len())
                .sum(),
        },
        snapshots_made: sim.aws.accepted.len(),
        crashes: sim
            .hosts
            .iter()
            .map(|host| host.lives.saturating_sub(1))
            .sum(),
    }
}

/// A failure as it is told: what went wrong, the last that happened before, and the command that tells it all again.
pub fn told_again(spec: LifeSpec, failure: &str) -> String {
    const LAST: usize = 25;
    let LifeSpec {
        seed, days, strain, ..
    } = spec;
    let strain = strain.map_or_else(String::new, |strain| format!(" --strain {strain:?}"));
    let past = live(LifeSpec {
        keeps_log: true,
        ..spec
    });
    let from = past.lines.len().saturating_sub(LAST);
    let last: String = past.lines[from..]
        .iter()
        .map(|line| format!("  {line}\n"))
        .collect();
    format!(
        "seed {seed}: {failure}\n{last}  \
         cargo run --release --example simulate -- --seed {seed} --days {days}{strain} --log"
    )
}

impl Life {
    fn draw(spec: LifeSpec) -> Self {
        let mut dice = Dice::new(spec.seed);
        let start = DateTime::<Utc>::from_timestamp(1_767_225_600, 0).unwrap();
        let start = start + TimeDelta::minutes(dice.minutes_of(365));
        let mut sim = Sim::new(start);
        sim.dice = Dice::new(spec.seed ^ 0xabcd);
        sim.log = Log::new(spec.keeps_log);
        sim.leaps = spec.leaps;
        sim.aws.account.limits.snapshot_seconds = match dice.between(0, 9) {
            0 => u32::try_from(dice.between(120, 6_000)).unwrap(),
            _ => u32::try_from(dice.between(5, 90)).unwrap(),
        };
        for (number, name) in CLUSTERS.into_iter().enumerate() {
            if dice.permille(600) {
                sim.aws.add_cluster(name, created_at(start, 40, number));
            }
        }
        sim.aws
            .add_cluster("elsewhere", start - TimeDelta::days(40));
        sim.aws.add_foreign_snapshots("elsewhere", 2, start);
        sim.aws.snapshot_mut("foreign-0", start).retention_days = 3_000;
        sim.aws.remove_cluster("elsewhere", start);
        let strains = match spec.strain {
            Some(strain) => strain.under(spec.seed),
            None => Strain::draw(spec.seed),
        };
        let file = PolicyFile::draw(&mut dice, &strains);
        add_accounts(&mut sim, &strains, spec.seed);
        sim.aws.forgets_tags = strains.contains(&Strain::Actions) && spec.seed.is_multiple_of(3);
        let is_shared = strains.contains(&Strain::Shared);
        if is_shared {
            sharing::add_instances(&mut sim, &file, &mut dice);
        }
        let count = if dice.permille(250) { 2 } else { 1 };
        for number in 0..(if is_shared { 0 } else { count }) {
            let journal = match dice.permille(150) {
                true => Journal::on_disk(scratch()),
                false => Journal::in_memory(),
            };
            let name = ["host-a", "host-b"][number];
            let mut host = Host::new(file.config(), name, journal);
            host.born_at(start);
            sim.hosts.push(host);
        }
        Self {
            sim,
            file,
            dice,
            strains,
        }
    }

    fn live(&mut self, spec: LifeSpec) {
        if let Some(bug) = spec.bug {
            self.sim.plant(bug);
        }
        let end = self.sim.now + TimeDelta::days(spec.days.into());
        for host in 0..self.sim.hosts.len() {
            self.sim.start(host);
            let seconds = i64::try_from(self.dice.between(1, 100)).unwrap();
            self.sim.run_for(TimeDelta::seconds(seconds));
        }
        while self.sim.now < end {
            let minutes = i64::try_from(self.dice.between(5, 3_600)).unwrap();
            let rest = TimeDelta::minutes(minutes);
            self.sim.run_until(end.min(self.sim.now + rest));
            self.disturb();
        }
        self.heal();
        self.sim.run_for(TWO_WINDOWS);
        self.sim.settle_shared();
        self.sim.check_shared();
        self.sim.check_accounts(TWO_WINDOWS);
        self.sim.check_own();
    }
}

/// When a cluster of the beginning was created: no two at once, since AWS tells by it which is which where one takes the
/// name of another.
fn created_at(start: DateTime<Utc>, days: i64, number: usize) -> DateTime<Utc> {
    let minutes = i64::try_from(number).unwrap();
    start - TimeDelta::days(days) + TimeDelta::minutes(minutes)
}

/// The accounts beside the first: with clusters of the same names.
fn add_accounts(sim: &mut Sim, strains: &[Strain], seed: u64) {
    let mut dice = Dice::new(seed ^ 0x00ac_c000);
    let has = |strain| strains.contains(&strain);
    let start = sim.now;
    let mut add = |number: &str, chance: u64| {
        let mut aws = Aws::numbered(number);
        aws.account.limits.snapshot_seconds = sim.aws.account.limits.snapshot_seconds;
        for (number, name) in CLUSTERS.into_iter().enumerate() {
            if dice.permille(chance) {
                aws.add_cluster(name, created_at(start, 30, number));
            }
        }
        sim.elsewhere.accounts.push(aws);
    };
    if draw::has_two_accounts(strains) {
        add("210987654321", 400);
        let stage = draw::ACCOUNTS[1].parse().unwrap();
        sim.elsewhere.homes.insert(stage, 1);
    }
    if has(Strain::Misled) {
        add("333333333333", 400);
    }
}

thread_local! {
    static CAUGHT: RefCell<Option<String>> = const { RefCell::new(None) };
    static LISTENS: RefCell<bool> = const { RefCell::new(false) };
}

/// Runs what may panic, and gives the panic's text instead of printing it.
fn quietly(work: impl FnOnce()) -> Result<(), String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if LISTENS.with_borrow(|listens| *listens) {
                let place = info
                    .location()
                    .map(|at| format!(" ({}:{})", at.file(), at.line()));
                let text = format!("{}{}", told(info.payload()), place.unwrap_or_default());
                CAUGHT.with_borrow_mut(|caught| *caught = Some(text));
            } else {
                before(info);
            }
        }));
    });
    LISTENS.with_borrow_mut(|listens| *listens = true);
    let done = panic::catch_unwind(AssertUnwindSafe(work));
    LISTENS.with_borrow_mut(|listens| *listens = false);
    done.map_err(|_| CAUGHT.take().unwrap_or_default())
}

fn told(payload: &dyn Any) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a panic without a text")
}
