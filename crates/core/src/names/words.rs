//! Words of the tags and of the JSON contract.
//!
//! Owns: retention classes and triggers. Never knows a policy.

use std::str::FromStr;

use super::NameError;

/// The retention class of a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tier {
    /// Kept for the policy's one retention period, or for that of its base tier.
    Base,
    /// The first of an ISO week.
    Weekly,
    /// The first of a month.
    Monthly,
    /// The first of a year.
    Yearly,
}

impl Tier {
    /// All tiers, the shortest first.
    pub const ALL: [Self; 4] = [Self::Base, Self::Weekly, Self::Monthly, Self::Yearly];

    /// The tier's word, as in the tag and in the JSON contract.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Base => "base",
            Self::Weekly => "weekly",
            Self::Monthly => "monthly",
            Self::Yearly => "yearly",
        }
    }
}

impl FromStr for Tier {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let named = Self::ALL.into_iter().find(|tier| tier.as_str() == text);
        named.ok_or_else(|| NameError::Grammar {
            got: text.to_owned(),
            wanted: "a tier: base, weekly, monthly or yearly",
        })
    }
}

/// What made a slot due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Trigger {
    /// The policy's schedule.
    Schedule,
    /// A person.
    Manual,
}

impl Trigger {
    /// The trigger's word, as in the tag and in the JSON contract.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Schedule => "schedule",
            Self::Manual => "manual",
        }
    }
}

impl FromStr for Trigger {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        match text {
            "schedule" => Ok(Self::Schedule),
            "manual" => Ok(Self::Manual),
            _ => Err(NameError::Grammar {
                got: text.to_owned(),
                wanted: "a trigger: schedule or manual",
            }),
        }
    }
}
