//! Time zones: the real binary and every zone of IANA's database against Python's zoneinfo, the zones that were wrong
//! with the data of 2025, and data that is renewed while the daemon runs.

#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test that cannot go on fails, and one that is skipped says why"
)]

mod peer;
mod renewal;

use std::path::Path;
use std::process::Command;

use crate::support::{Dir, REDKEEP, credentials, finish};
use serde_json::Value;

/// The file of a zone whose clocks are always so many seconds ahead.
fn fixed_zone(seconds: i32) -> Vec<u8> {
    let mut file = Vec::new();
    for _ in 0..2 {
        file.extend(b"TZif2");
        file.extend([0; 15]);
        for count in [0_u32, 0, 0, 0, 1, 4] {
            file.extend(count.to_be_bytes());
        }
        file.extend(seconds.to_be_bytes());
        file.extend([0, 0]);
        file.extend(b"TST\0");
    }
    file.extend(b"\n\n");
    file
}

/// Writes a system's copy of the data, of that version, in which Berlin's clocks are so many seconds ahead; each file
/// takes the place of the one before, as a package's do.
fn write_copy(directory: &Path, version: &str, seconds: i32) {
    std::fs::create_dir_all(directory.join("Europe")).unwrap();
    let put = |name: &str, content: &[u8]| {
        let new = directory.join("new");
        std::fs::write(&new, content).unwrap();
        std::fs::rename(new, directory.join(name)).unwrap();
    };
    put("Europe/Berlin", &fixed_zone(seconds));
    put("tzdata.zi", format!("# version {version}\n").as_bytes());
}

/// A policy for each of the zones, named after its place among them.
fn policies<'a>(zones: impl IntoIterator<Item = &'a str>) -> String {
    let policy = |(number, zone): (usize, &str)| {
        format!(
            "[[policy]]\nname = \"z{number}\"\nschedule = \"30 2 * * *\"\ntimezone = \"{zone}\"\nclusters = [\"dw\"]\n\
             retention = \"7d\"\n"
        )
    };
    let policies = zones.into_iter().enumerate().map(policy);
    std::iter::once(
        "endpoint = \"sandbox\"\n[[account]]\nname = \"a\"\nregions = [\"eu-west-1\"]\n".to_owned(),
    )
    .chain(policies)
    .collect()
}

/// What `plan` says between two instants, with this directory for the system's copy: policy and instant.
fn planned(file: &Path, tzdir: &Path, from: &str, until: &str) -> Vec<(String, String)> {
    let mut command = Command::new(REDKEEP);
    let output = finish(
        credentials(&mut command)
            .env("TZDIR", tzdir)
            .args([
                "plan", "--output", "json", "--from", from, "--until", until, "--config",
            ])
            .arg(file),
    );
    assert!(output.status.success(), "{output:?}");
    let rows: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    let field = |row: &Value, name: &str| row[name].as_str().unwrap().to_owned();
    let told = |row: &Value| (field(row, "policy"), field(row, "scheduled_at"));
    rows.iter().map(told).collect()
}

/// Zones and links whose rules were changed after IANA's 2025b, and when it is 02:30 there on 28 November 2026, on 15
/// January 2027 and on 1 July 2027. By 2025b the first two are an hour off.
const CHANGED: [(&str, [&str; 3]); 14] = [
    ("America/Vancouver", ["09:30", "09:30", "09:30"]),
    ("Canada/Pacific", ["09:30", "09:30", "09:30"]),
    ("America/Edmonton", ["08:30", "08:30", "08:30"]),
    ("Canada/Mountain", ["08:30", "08:30", "08:30"]),
    ("America/Yellowknife", ["08:30", "08:30", "08:30"]),
    ("America/Inuvik", ["08:30", "08:30", "08:30"]),
    ("America/Winnipeg", ["07:30", "07:30", "07:30"]),
    ("Canada/Central", ["07:30", "07:30", "07:30"]),
    ("America/Rainy_River", ["07:30", "07:30", "07:30"]),
    ("America/Havana", ["06:30", "06:30", "06:30"]),
    ("Cuba", ["06:30", "06:30", "06:30"]),
    ("Africa/Casablanca", ["02:30", "02:30", "02:30"]),
    ("Africa/El_Aaiun", ["02:30", "02:30", "02:30"]),
    ("US/Pacific", ["10:30", "10:30", "09:30"]),
];

#[test]
fn the_zones_that_changed_in_2026_are_planned_by_their_new_rules_whatever_older_data_the_system_has()
 {
    let dir = Dir::new();
    let file = dir.write("redkeep.toml", &policies(CHANGED.map(|(zone, _)| zone)));
    let old = dir.0.join("zoneinfo");
    write_copy(&old, "2025b", 0);
    for system in [old, dir.0.join("nowhere")] {
        for (index, day) in ["2026-11-28", "2027-01-15", "2027-07-01"]
            .into_iter()
            .enumerate()
        {
            let (from, until) = (format!("{day}T00:00:00Z"), format!("{day}T12:00:00Z"));
            let mut got = planned(&file, &system, &from, &until);
            got.sort();
            let wanted = CHANGED.iter().enumerate().map(|(number, (_, times))| {
                (format!("z{number}"), format!("{day}T{}:00Z", times[index]))
            });
            let mut wanted: Vec<_> = wanted.collect();
            wanted.sort();
            assert_eq!(got, wanted);
        }
    }
}

#[test]
fn the_systems_data_counts_where_it_is_newer_and_a_zone_that_it_spoils_is_told() {
    let dir = Dir::new();
    let file = dir.write("redkeep.toml", &policies(["Europe/Berlin", "Europe/Paris"]));
    let system = dir.0.join("zoneinfo");
    write_copy(&system, "9999a", 5 * 3600);
    let got = planned(
        &file,
        &system,
        "2026-11-27T12:00:00Z",
        "2026-11-28T12:00:00Z",
    );
    let at = |policy: &str, at: &str| (policy.to_owned(), at.to_owned());
    assert_eq!(
        got,
        [
            at("z0", "2026-11-27T21:30:00Z"),
            at("z1", "2026-11-28T01:30:00Z")
        ]
    );
    let mut command = Command::new(REDKEEP);
    let command = credentials(&mut command).env("TZDIR", &system);
    let checked = finish(command.args(["check", "--config"]).arg(&file));
    let told = String::from_utf8_lossy(&checked.stderr);
    assert!(checked.status.success(), "{told}");
    assert!(
        told.contains("Europe/Paris: there is no such file"),
        "{told}"
    );
    assert!(!told.contains("Berlin"), "{told}");
}
