//! What is recorded, against what AWS holds.
//!
//! Owns: which recorded snapshots are not there, and which are there and not recorded. Pure: the listing was made by
//! somebody else.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::outline::{Kept, Outline};
use crate::settings::Config;
use crate::slot::{Pair, Scope};
use crate::snapshot::Snapshot;

/// What a scope holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Inventory {
    /// These manual snapshots, by a complete listing.
    At(Vec<Arc<Snapshot>>),
    /// Nobody knows, for this reason.
    Unknown(String),
}

/// How the history and AWS differ over a pair.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Differences {
    /// Recorded as good, and not at AWS.
    pub not_at_aws: Vec<String>,
    /// At AWS with the tags of the pair, and not among the complete snapshots that the history says are there.
    pub not_recorded: Vec<String>,
}

/// The differences of every pair that has one, in the scopes that are known.
///
/// A snapshot whose retention has passed is not missed: the daemon may not have looked since.
pub fn differences(
    config: &Config,
    past: &Outline,
    held: &BTreeMap<Scope, Inventory>,
    now: DateTime<Utc>,
) -> BTreeMap<Pair, Differences> {
    let mut found: BTreeMap<Pair, Differences> = BTreeMap::new();
    for (scope, held) in held {
        let Inventory::At(snapshots) = held else {
            continue;
        };
        let mut ids: Vec<&str> = snapshots
            .iter()
            .map(|snapshot| snapshot.snapshot_identifier.as_str())
            .collect();
        ids.sort_unstable();
        let is_listed = |id: &str| ids.binary_search(&id).is_ok();
        let mut recorded: Vec<&str> = Vec::new();
        for (pair, kept) in past.kept.iter().filter(|(pair, _)| pair.scope == *scope) {
            recorded.extend(kept.iter().map(|one| one.id.as_str()));
            let has_expired = |one: &Kept| one.tenure.told_end().is_some_and(|at| at <= now);
            let lost = { kept.iter() }
                .filter(|one| !is_listed(one.id.as_str()) && !has_expired(one))
                .map(|one| one.id.to_string());
            let lost: Vec<String> = lost.collect();
            if !lost.is_empty() {
                let differences = found.entry(pair.clone()).or_default();
                differences.not_at_aws.extend(lost);
            }
        }
        recorded.sort_unstable();
        for snapshot in snapshots {
            let id = &snapshot.snapshot_identifier;
            let pair = pair(config, scope, snapshot);
            if let Some(pair) = pair.filter(|_| recorded.binary_search(&id.as_str()).is_err()) {
                found.entry(pair).or_default().not_recorded.push(id.clone());
            }
        }
    }
    found
}

/// The pair of a policy of ours that the snapshot's tags name.
fn pair(config: &Config, scope: &Scope, snapshot: &Snapshot) -> Option<Pair> {
    let slot = snapshot.claim(&config.namespace)?.slot(scope);
    let policy = config.policy(&slot.pair.policy)?;
    policy.scopes.contains(scope).then_some(slot.pair)
}
