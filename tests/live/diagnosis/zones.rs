//! What `doctor` says of the time zone data.

use redkeep::doctor::{Severity, of_zones};
use redkeep::tzdb::{Source, Version, ZoneData};

use crate::diagnosis::at;

fn version(text: &str) -> Version {
    text.parse().unwrap()
}

fn data(of: &str, source: Source, system: Option<Option<&str>>) -> ZoneData {
    ZoneData {
        version: version(of),
        source,
        system: system.map(|version| ("/usr/share/zoneinfo".into(), version.map(self::version))),
    }
}

#[test]
fn the_version_of_the_data_that_counts_is_told_beside_the_other_copys() {
    let bundled = |system| data("2026f", Source::Bundled, system);
    for (data, words) in [
        (
            bundled(None),
            "IANA 2026f, built into redkeep; the system has none",
        ),
        (
            bundled(Some(Some("2025b"))),
            "IANA 2026f, built into redkeep; the system's, in /usr/share/zoneinfo, is 2025b, not newer",
        ),
        (
            bundled(Some(None)),
            "IANA 2026f, built into redkeep; the version of the system's, in /usr/share/zoneinfo, is not known, so \
             redkeep does not use it",
        ),
    ] {
        let finding = of_zones(&data, at("2026-11-28 12:00"));
        assert_eq!(
            (finding.verdict, finding.found.as_str()),
            (Severity::Ok, words)
        );
    }
    let system = data("2027a", Source::System, Some(Some("2027a")));
    let built_in = Version::bundled();
    assert_eq!(
        of_zones(&system, at("2027-03-01 12:00")).found,
        format!("IANA 2027a of /usr/share/zoneinfo; what is built into redkeep is {built_in}")
    );
}

#[test]
fn data_of_last_year_is_old_from_autumn_on() {
    let data = data("2026f", Source::Bundled, None);
    for (now, verdict) in [
        ("2026-12-31 12:00", Severity::Ok),
        ("2027-09-01 12:00", Severity::Ok),
        ("2027-10-01 12:00", Severity::Warning),
        ("2029-01-01 12:00", Severity::Warning),
    ] {
        let finding = of_zones(&data, at(now));
        assert_eq!(finding.verdict, verdict, "{now}");
        assert_eq!(finding.advice.is_some(), verdict == Severity::Warning);
    }
}
