//! The key `retention`: one period, or a table of them by tier.
//!
//! Owns: both forms, and the rule that a longer tier is kept no shorter. Never knows which slot takes which
//! tier: that is `retention`'s.

use std::fmt;

use schemars::JsonSchema;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde::{Deserialize, Serialize};

use super::path::KeyPath;
use super::report::Report;
use super::schema_types;
use super::validate::parsed;
use redkeep_core::names::Retention;
use redkeep_core::names::Tier;
use redkeep_core::policy::Retentions;

/// `retention` as it is written.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum RawRetention {
    One(String),
    Tiers(RawTiers),
}

/// How long AWS keeps the snapshots of each tier.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["base"]))]
pub(super) struct RawTiers {
    /// Of every snapshot that is of no longer tier.
    #[schemars(schema_with = "schema_types::period")]
    pub(super) base: Option<String>,
    /// Of the first snapshot of each ISO week.
    #[schemars(schema_with = "schema_types::period")]
    pub(super) weekly: Option<String>,
    /// Of the first snapshot of each month.
    #[schemars(schema_with = "schema_types::period")]
    pub(super) monthly: Option<String>,
    /// Of the first snapshot of each year.
    #[schemars(schema_with = "schema_types::period")]
    pub(super) yearly: Option<String>,
}

impl<'de> Deserialize<'de> for RawRetention {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = RawRetention;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a period or a table of periods")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<RawRetention, E> {
                Ok(RawRetention::One(text.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<RawRetention, A::Error> {
                RawTiers::deserialize(MapAccessDeserializer::new(map)).map(RawRetention::Tiers)
            }
        }
        deserializer.deserialize_any(Either)
    }
}

/// Reads `retention`; `None` where it is missing or wrong, which is reported.
pub(super) fn retentions(
    path: &KeyPath,
    raw: Option<&RawRetention>,
    report: &mut Report,
) -> Option<Retentions> {
    let key = path.key("retention");
    match raw {
        None => {
            report.missing(path, "retention", Retention::WANTED);
            None
        }
        Some(RawRetention::One(text)) => {
            let base: Retention = parsed(&key, text, Retention::WANTED, report)?;
            Some(Retentions::from(base))
        }
        Some(RawRetention::Tiers(tiers)) => table(&key, tiers, report),
    }
}

fn table(path: &KeyPath, tiers: &RawTiers, report: &mut Report) -> Option<Retentions> {
    if tiers.base.is_none() {
        report.missing(path, "base", Retention::WANTED);
    }
    let written = [
        (Tier::Base, &tiers.base),
        (Tier::Weekly, &tiers.weekly),
        (Tier::Monthly, &tiers.monthly),
        (Tier::Yearly, &tiers.yearly),
    ];
    let mut retentions: Option<Retentions> = None;
    let mut before: Option<(Tier, Retention)> = None;
    for (tier, text) in written {
        let Some(text) = text else { continue };
        let path = path.key(tier.as_str());
        let period: Retention = parsed(&path, text, Retention::WANTED, report)?;
        if let Some((shorter, kept)) = before.filter(|(_, kept)| *kept > period) {
            let wanted = format!("at least the {} period, {kept}", shorter.as_str());
            report.wrong(&path, text, wanted);
        }
        before = Some((tier, period));
        retentions = Some(match retentions {
            None => Retentions::from(period),
            Some(retentions) => retentions.with(tier, period),
        });
    }
    retentions.filter(|_| tiers.base.is_some())
}
