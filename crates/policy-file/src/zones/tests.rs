//! Which copy counts, and what is read of the system's.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use chrono::{DateTime, Utc};

use super::*;

/// A directory of zone files of the test's own.
struct Files(PathBuf);

impl Files {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("redkeep-zones-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn of_version(version: &str) -> Self {
        let files = Self::new();
        files.write("tzdata.zi", format!("# version {version}\n"));
        files
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn open(&self) -> Database {
        Database::open(&place(&self.0))
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn place(directory: &Path) -> Place {
    Place::of(&[("TZDIR".to_owned(), directory.display().to_string())])
}

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

/// A zone file whose clocks are always so many seconds ahead.
fn fixed(seconds: i32) -> Vec<u8> {
    let mut file = Vec::new();
    let sign = if seconds < 0 { "" } else { "-" };
    let footer = format!("\nTST{sign}{}\n", seconds.abs() / 3600);
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
    file.extend(footer.bytes());
    file
}

fn hours_ahead(found: &Found) -> i32 {
    let offset = found.zone.offset(at("2026-06-01T00:00:00Z"));
    offset.local_minus_utc() / 3600
}

#[test]
fn the_newer_of_the_two_copies_counts_and_of_two_equal_ones_the_built_in() {
    let bundled = Version::bundled().to_string();
    for (version, source) in [
        ("2025b", Source::Bundled),
        (bundled.as_str(), Source::Bundled),
        ("9999a", Source::System),
        ("9999a-dirty", Source::System),
        ("unknown", Source::Bundled),
        ("", Source::Bundled),
        ("9999", Source::Bundled),
    ] {
        let files = Files::of_version(version);
        files.write("Europe/Berlin", fixed(5 * 3600));
        let database = files.open();
        assert_eq!(database.data().source, source, "{version}");
        let hours = hours_ahead(&database.zone("Europe/Berlin").unwrap());
        let wanted = if source == Source::System { 5 } else { 2 };
        assert_eq!(hours, wanted, "{version}");
    }
}

#[test]
fn the_version_of_a_system_without_tzdata_zi_is_in_another_file() {
    let files = Files::new();
    assert_eq!(files.open().data().system, Some((files.0.clone(), None)));
    files.write("+VERSION", "9999c\n");
    files.write("Europe/Berlin", fixed(3 * 3600));
    let database = files.open();
    assert_eq!(database.data().source, Source::System);
    assert_eq!(database.data().version.to_string(), "9999c");
    assert_eq!(hours_ahead(&database.zone("Europe/Berlin").unwrap()), 3);
}

#[test]
fn without_a_copy_of_the_system_the_built_in_one_counts() {
    let nowhere = Database::open(&place(Path::new("/nowhere/at/all")));
    assert_eq!(nowhere.data(), &ZoneData::default());
    assert!(nowhere.zone("Europe/Berlin").is_some());
}

#[test]
fn a_zone_that_the_systems_copy_lacks_or_spoils_is_the_built_in_one_and_that_is_told() {
    let files = Files::of_version("9999a");
    files.write("Europe/Paris", b"not a zone");
    files.write("Europe/Rome", vec![0; 2 << 20]);
    fs::create_dir_all(files.0.join("Europe/Madrid")).unwrap();
    let database = files.open();
    for name in [
        "Europe/Berlin",
        "Europe/Paris",
        "Europe/Rome",
        "Europe/Madrid",
    ] {
        let found = database.zone(name).unwrap();
        assert_eq!(hours_ahead(&found), 2, "{name}");
        let trouble = found.trouble.unwrap();
        assert!(
            trouble.contains(&Version::bundled().to_string()),
            "{trouble}"
        );
        assert!(trouble.contains(name), "{trouble}");
    }
}

#[test]
fn a_name_of_former_times_is_followed_to_its_zone_where_the_system_has_no_file_for_it() {
    let files = Files::new();
    files.write(
        "tzdata.zi",
        "# version 9999a\nL Europe/Berlin Arctic/Longyearbyen\nL Arctic/Longyearbyen Old/Name\n",
    );
    files.write("Europe/Berlin", fixed(4 * 3600));
    let database = files.open();
    for name in ["Arctic/Longyearbyen", "Old/Name"] {
        let found = database.zone(name).unwrap();
        assert_eq!(
            (hours_ahead(&found), found.trouble.clone()),
            (4, None),
            "{name}"
        );
        assert_eq!(found.zone.name(), name);
    }
}

#[test]
fn a_zone_that_only_the_newer_copy_has_is_known() {
    let files = Files::of_version("9999a");
    files.write("Europe/Atlantis", fixed(3600));
    assert_eq!(
        hours_ahead(&files.open().zone("Europe/Atlantis").unwrap()),
        1
    );
    assert_eq!(bundled("Europe/Atlantis"), None);
}

#[test]
fn nothing_but_a_zone_is_read_from_the_systems_copy() {
    let files = Files::of_version("9999a");
    let outside = Files::new();
    outside.write("zone", fixed(3600));
    for name in [
        "right/Europe/Berlin",
        "posix/UTC",
        "localtime",
        "posixrules",
        "Factory",
        "europe/berlin",
    ] {
        files.write(name, fixed(3600));
        assert_eq!(files.open().zone(name), None, "{name}");
    }
    for name in [
        "../zone",
        "/etc/localtime",
        "a//b",
        "",
        ".",
        "Europe",
        "tzdata.zi",
        "Europe/Berlin/",
    ] {
        assert_eq!(files.open().zone(name), None, "{name}");
    }
}

#[test]
fn a_zone_file_that_says_nothing_of_later_times_is_read_to_its_end() {
    let files = Files::of_version("9999a");
    let mut short = fixed(7 * 3600);
    let footer = short.len() - "\nTST-7\n".len();
    short.truncate(footer);
    short.extend(b"\n\n");
    files.write("Europe/Berlin", short);
    let found = files.open().zone("Europe/Berlin").unwrap();
    assert_eq!((hours_ahead(&found), found.trouble), (7, None));
}

#[test]
fn a_stamp_changes_with_each_file_that_was_read() {
    let files = Files::of_version("9999a");
    files.write("Europe/Berlin", fixed(3600));
    files.write("Europe/Paris", fixed(3600));
    let stamp = || place(&files.0).stamp(["Europe/Berlin"].into_iter());
    let first = stamp();
    files.write("Europe/Paris", fixed(7200));
    assert_eq!(stamp(), first, "nobody uses that zone");
    let renewed = files.0.join("renewed");
    fs::write(&renewed, fixed(7200)).unwrap();
    fs::rename(renewed, files.0.join("Europe/Berlin")).unwrap();
    let second = stamp();
    assert_ne!(second, first);
    files.write("tzdata.zi", "# version 9999bb\n");
    assert_ne!(stamp(), second);
    assert_eq!(
        Place::nowhere().stamp(["UTC"].into_iter()),
        Stamp::default()
    );
}
