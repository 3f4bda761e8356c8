//! The names and small values that everything else is written in: parsed once, valid ever after.
//!
//! Owns: the grammar of namespaces, policy, account, region and cluster names, retention and tags.
//! Never reads a file or a clock. A value of one of these types cannot be wrong, so nothing that takes
//! one has to check it again.

mod words;

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

pub use words::{Tier, Trigger};

/// Why a text is not a valid name or value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The text does not follow the grammar of its kind.
    #[error("{got:?} is not {wanted}")]
    Grammar {
        /// What was given.
        got: String,
        /// What would be right.
        wanted: &'static str,
    },
}

fn grammar(got: &str, wanted: &'static str, valid: bool) -> Result<(), NameError> {
    if valid {
        return Ok(());
    }
    Err(NameError::Grammar {
        got: got.to_owned(),
        wanted,
    })
}

/// `[a-z][a-z0-9]*(-[a-z0-9]+)*`, at most `max` characters: what survives joining with hyphens.
fn is_hyphenated(text: &str, max: usize) -> bool {
    text.len() <= max
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.split('-').all(|part| {
            !part.is_empty()
                && part
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        })
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $wanted:expr, |$text:ident| $valid:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash)]
        pub struct $name(Arc<str>);

        impl Ord for $name {
            /// By their letters, which nobody has to read where both are one text in memory.
            fn cmp(&self, other: &Self) -> Ordering {
                match Arc::ptr_eq(&self.0, &other.0) {
                    true => Ordering::Equal,
                    false => self.0.cmp(&other.0),
                }
            }
        }

        impl PartialOrd for $name {
            fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
                Some(self.cmp(other))
            }
        }

        impl $name {
            /// What a text must be to become one of these, for error messages.
            pub const WANTED: &'static str = $wanted;

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str($text: &str) -> Result<Self, NameError> {
                grammar($text, Self::WANTED, $valid)?;
                Ok(Self($text.into()))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
    };
}

name! {
    /// The name of this installation's family of snapshots, and the prefix of every identifier.
    Namespace,
    "a namespace: at most 32 lower-case letters, digits and single hyphens, starting with a letter",
    |text| is_hyphenated(text, 32)
}

name! {
    /// The name of a policy, a part of every identifier that it makes.
    PolicyName,
    "a policy name: at most 63 lower-case letters, digits and single hyphens, starting with a letter",
    |text| is_hyphenated(text, 63)
}

name! {
    /// The name that the policy file gives to somebody who is told what happens.
    ReceiverName,
    "a receiver's name: at most 63 lower-case letters, digits and single hyphens, starting with a letter",
    |text| is_hyphenated(text, 63)
}

name! {
    /// The name that the policy file gives to credentials and the regions to use them in.
    AccountName,
    "an account name: 1 to 64 letters, digits, '-', '_' and '.', starting with a letter or digit",
    |text| {
        text.len() <= 64
            && text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
    }
}

name! {
    /// An AWS region, such as `eu-central-1`.
    Region,
    "an AWS region such as \"eu-central-1\"",
    |text| text.contains('-') && is_hyphenated(text, 32)
}

impl Region {
    /// The partition of AWS that the region is in.
    pub fn partition(&self) -> &'static str {
        partition(self.as_str())
    }
}

/// The partition of AWS that a region is in.
pub fn partition(region: &str) -> &'static str {
    const BY_PREFIX: [(&str, &str); 7] = [
        ("cn-", "aws-cn"),
        ("us-gov-", "aws-us-gov"),
        ("eusc-", "aws-eusc"),
        ("us-iso-", "aws-iso"),
        ("us-isob-", "aws-iso-b"),
        ("eu-isoe-", "aws-iso-e"),
        ("us-isof-", "aws-iso-f"),
    ];
    let known = BY_PREFIX
        .iter()
        .find(|(prefix, _)| region.starts_with(prefix));
    known.map_or("aws", |(_, partition)| partition)
}

name! {
    /// A cluster identifier as the Redshift Management Guide defines it: 1 to 63 lower-case letters,
    /// digits and hyphens, first a letter, no two hyphens in a row, none at the end.
    ClusterId,
    "a cluster identifier: 1 to 63 lower-case letters, digits and single hyphens, starting with a letter",
    |text| is_hyphenated(text, 63)
}

name! {
    /// The id of the installation that made a snapshot, the value of its `redkeep:writer` tag.
    Writer,
    "a writer id: 1 to 64 letters, digits, '-', '_' and '.'",
    |text| {
        !text.is_empty()
            && text.len() <= 64
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
    }
}

/// The number of the account that an ARN names, where it names one.
pub fn account_in_arn(arn: &str) -> Option<&str> {
    let number = arn.strip_prefix("arn:")?.split(':').nth(3)?;
    let is_number = number.len() == 12 && number.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then_some(number)
}

/// How long AWS keeps a manual snapshot (`ManualSnapshotRetentionPeriod`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Retention {
    /// For so many days, 1 to 3653.
    Days(RetentionDays),
    /// Until somebody deletes it.
    Forever,
}

/// A number of days that `ManualSnapshotRetentionPeriod` accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RetentionDays(u16);

impl Retention {
    /// What a text must be to become a retention, for error messages.
    pub const WANTED: &'static str =
        "1 to 3653 days, as \"35d\", \"8w\", \"13mo\", \"7y\" (at most \"10y\"), or \"forever\"";

    /// The value that the API takes and the JSON contract shows: days, or −1 for ever.
    pub fn days_or_minus_one(self) -> i32 {
        match self {
            Self::Days(days) => i32::from(days.0),
            Self::Forever => -1,
        }
    }

    /// When a period that counts from `start` ends; `None` where it never does.
    pub fn end(self, start: DateTime<Utc>) -> Option<DateTime<Utc>> {
        match self {
            Self::Days(days) => start.checked_add_signed(TimeDelta::days(days.0.into())),
            Self::Forever => None,
        }
    }

    /// The inverse of [`Retention::days_or_minus_one`]; `None` outside −1 and 1…3653.
    pub fn from_days(days: i64) -> Option<Self> {
        match days {
            -1 => Some(Self::Forever),
            1..=3653 => u16::try_from(days)
                .ok()
                .map(|days| Self::Days(RetentionDays(days))),
            _ => None,
        }
    }
}

impl FromStr for Retention {
    type Err = NameError;

    /// Months and years are rounded up from 30.4375 and 365.25 days, so that nothing is kept for less
    /// than was asked.
    fn from_str(text: &str) -> Result<Self, NameError> {
        let parsed = if text == "forever" {
            Some(Self::Forever)
        } else {
            days_in(text)
                .filter(|days| *days > 0)
                .and_then(Self::from_days)
        };
        parsed.ok_or_else(|| NameError::Grammar {
            got: text.to_owned(),
            wanted: Self::WANTED,
        })
    }
}

fn days_in(text: &str) -> Option<i64> {
    let unit_at = text.find(|c: char| !c.is_ascii_digit())?;
    let (count, unit) = text.split_at(unit_at);
    let count: i64 = count.parse().ok().filter(|count| *count <= 100_000)?;
    match unit {
        "d" => Some(count),
        "w" => Some(count * 7),
        "mo" => Some((count * 304_375 + 9_999) / 10_000),
        "y" => Some((count * 36_525 + 99) / 100),
        _ => None,
    }
}

impl fmt::Display for Retention {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Days(days) => f.pad(&format!("{}d", days.0)),
            Self::Forever => f.pad("forever"),
        }
    }
}

/// Tags by key.
pub type Tags = BTreeMap<String, String>;

/// Says what is wrong with a tag, by the rules of "Tagging resources in Amazon Redshift"; `None` when
/// nothing is.
pub fn tag_fault(key: &str, value: &str) -> Option<String> {
    let allowed = |text: &str| {
        text.chars()
            .all(|c| c.is_alphanumeric() || c == ' ' || "_.:/=+-@".contains(c))
    };
    if !(1..=128).contains(&key.chars().count()) {
        Some(format!(
            "the key has {} characters, wanted 1 to 128",
            key.chars().count()
        ))
    } else if value.chars().count() > 256 {
        Some(format!(
            "the value has {} characters, wanted at most 256",
            value.chars().count()
        ))
    } else if key.to_lowercase().starts_with("aws:") {
        Some("keys that begin with \"aws:\" are reserved by AWS".to_owned())
    } else if key.to_lowercase().starts_with("redkeep:") {
        Some("keys that begin with \"redkeep:\" are reserved by redkeep".to_owned())
    } else if !allowed(key) || !allowed(value) {
        Some("only letters, digits, spaces and _ . : / = + - @ are allowed".to_owned())
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_would_make_an_ambiguous_or_illegal_identifier_are_refused() {
        for bad in [
            "",
            "-a",
            "a-",
            "a--b",
            "A",
            "1a",
            "a_b",
            "a.b",
            "ä",
            &"a".repeat(64),
        ] {
            assert!(bad.parse::<PolicyName>().is_err(), "{bad:?} was accepted");
        }
        for good in ["a", "a1", "nightly", "dw-prod-2"] {
            assert!(good.parse::<PolicyName>().is_ok(), "{good:?} was refused");
        }
        assert!("a".repeat(33).parse::<Namespace>().is_err());
    }

    #[test]
    fn retention_is_rounded_up_to_whole_days_and_bounded() {
        for (text, days) in [
            ("1d", 1),
            ("8w", 56),
            ("13mo", 396),
            ("7y", 2557),
            ("10y", 3653),
            ("1mo", 31),
        ] {
            let retention: Retention = text.parse().unwrap();
            assert_eq!(retention.days_or_minus_one(), days, "{text}");
        }
        assert_eq!(
            "forever".parse::<Retention>().unwrap().days_or_minus_one(),
            -1
        );
        for bad in [
            "0d",
            "3654d",
            "11y",
            "12h",
            "35",
            "d",
            "-1d",
            "1.5d",
            "35 d",
            "Forever",
            "99999999999999999999d",
        ] {
            assert!(bad.parse::<Retention>().is_err(), "{bad:?} was accepted");
        }
    }

    #[test]
    fn an_arn_names_an_account_or_none() {
        for (arn, account) in [
            (
                "arn:aws:redshift:eu-central-1:111122223333:namespace:a-b",
                Some("111122223333"),
            ),
            (
                "arn:aws-cn:redshift:cn-north-1:111122223333:cluster:dw",
                Some("111122223333"),
            ),
            ("arn:aws:s3:::bucket", None),
            ("arn:aws:redshift:eu-central-1:1111:cluster:dw", None),
            ("111122223333", None),
            ("", None),
        ] {
            assert_eq!(account_in_arn(arn), account, "{arn}");
        }
    }

    #[test]
    fn tags_follow_the_rules_of_aws_and_leave_the_reserved_keys_alone() {
        assert_eq!(tag_fault("team", "data / größe"), None);
        for (key, value) in [
            ("", "x"),
            ("aws:x", ""),
            ("redkeep:slot", ""),
            ("a\n", ""),
            ("k", "<"),
        ] {
            assert!(
                tag_fault(key, value).is_some(),
                "{key:?}={value:?} was accepted"
            );
        }
        assert!(tag_fault("k", &"v".repeat(257)).is_some());
    }
}
