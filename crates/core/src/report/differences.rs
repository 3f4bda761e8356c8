//! What is recorded, against what AWS holds.
//!
//! Owns: which recorded snapshots are not there, and which are there and not recorded. Pure: the listing was made by
//! somebody else.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::history::History;
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
    /// At AWS with the tags of the pair, and not among the runs that the history keeps in mind.
    pub not_recorded: Vec<String>,
}

/// The differences of every pair that has one, in the scopes that are known.
///
/// A snapshot whose retention has passed is not missed: the daemon may not have looked since.
pub fn differences(
    config: &Config,
    history: &History,
    held: &BTreeMap<Scope, Inventory>,
    now: DateTime<Utc>,
) -> BTreeMap<Pair, Differences> {
    let mut found: BTreeMap<Pair, Differences> = BTreeMap::new();
    for (scope, held) in held {
        let Inventory::At(snapshots) = held else {
            continue;
        };
        let ids: BTreeSet<&str> = snapshots
            .iter()
            .map(|snapshot| snapshot.snapshot_identifier.as_str())
            .collect();
        let mut recorded = BTreeSet::new();
        for run in history
            .runs
            .values()
            .filter(|run| run.slot.pair.scope == *scope)
        {
            let id = run.request.snapshot_id.as_str();
            recorded.insert(id);
            let has_expired = run
                .snapshot
                .as_ref()
                .is_some_and(|told| told.expires_at().is_some_and(|at| at <= now));
            if run.is_good() && !ids.contains(id) && !has_expired {
                let differences = found.entry(run.slot.pair.clone()).or_default();
                differences.not_at_aws.push(id.to_owned());
            }
        }
        for snapshot in snapshots {
            let id = &snapshot.snapshot_identifier;
            let pair = pair(config, scope, snapshot);
            if let Some(pair) = pair.filter(|_| !recorded.contains(id.as_str())) {
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
