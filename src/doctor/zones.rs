//! What is to be said of the time zone data.
//!
//! Owns: from when on the data counts as old. Never looks for it.

use chrono::{DateTime, Datelike, TimeDelta, Utc};

use super::Finding;
use crate::tzdb::{Source, Version, ZoneData};

const CHECK: &str = "time_zones";

/// IANA makes several versions a year. Data of an earlier year than the one that so long ago was is old.
const YOUNG: TimeDelta = TimeDelta::days(270);

/// What is to be said at `now` of the data that schedules are read with.
pub fn finding(data: &ZoneData, now: DateTime<Utc>) -> Finding {
    let found = format!("{data}; {}", other_copy(data));
    let old_before = now.checked_sub_signed(YOUNG).unwrap_or(now).year();
    if data.version.year() >= old_before {
        return Finding::ok(CHECK, found);
    }
    Finding::warning(
        CHECK,
        format!(
            "{found}: IANA has most likely made newer ones since, and a clock change may be missed"
        ),
        "update the system's package (tzdata), which a running redkeep notices, or redkeep itself",
    )
}

/// The copy that does not count.
fn other_copy(data: &ZoneData) -> String {
    match (data.source, &data.system) {
        (Source::System, _) => format!("what is built into redkeep is {}", Version::bundled()),
        (Source::Bundled, None) => "the system has none".to_owned(),
        (Source::Bundled, Some((directory, Some(version)))) => {
            format!(
                "the system's, in {}, is {version}, not newer",
                directory.display()
            )
        }
        (Source::Bundled, Some((directory, None))) => format!(
            "the version of the system's, in {}, is not known, so redkeep does not use it",
            directory.display()
        ),
    }
}
