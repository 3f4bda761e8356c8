//! Which copy of IANA's time zone database counts, and the zones that it has.
//!
//! Owns: the choice between the copy that is built in and the system's, of which the newer counts; it is the only code
//! that reads zone files. Never reads a clock, never decides when to look again: that is the daemon's.
//!
//! The system's copy is not always the newer: a distribution may be a year behind, and a container never changes. Where
//! its version cannot be told, the built-in copy counts, since that one is known. Where both have the same version, the
//! built-in copy counts too, and no zone file is read.

mod system;
#[cfg(test)]
mod tests;

use redkeep_core::schedule::Zone;
use redkeep_core::tzdb::{Source, Version, ZoneData, bundled, is_misspelt, names_a_zone};

pub use system::{Place, Stamp};

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
                    "{why}; redkeep uses its built-in data (IANA {}) for {name}",
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

/// Whether a file of the system's copy may be asked for under that name: a zone's, spelt as IANA spells it.
fn may_be_of_system(name: &str) -> bool {
    let is_part = |part: &str| {
        let known = |c: char| c.is_ascii_alphanumeric() || "_+-".contains(c);
        !part.is_empty() && part.chars().all(known)
    };
    // Beside the zones lie copies of all of them, some of which count leap seconds, and the machine's own zone.
    let others = ["posix", "right", "posixrules", "localtime", "leapseconds"];
    let first = name.split('/').next().unwrap_or_default();
    name.split('/').all(is_part)
        && !others.contains(&first)
        && names_a_zone(name)
        && !is_misspelt(name)
}
