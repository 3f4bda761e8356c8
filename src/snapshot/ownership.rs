//! The proof that a snapshot is ours.
//!
//! Owns: the one rule by which a snapshot that bears the identifier of a slot is adopted or is a conflict. In
//! doubt nothing is touched: any contradiction makes it foreign.

use chrono::{DateTime, Utc};

use super::{Snapshot, tag};
use crate::names::Tags;
use crate::run::Run;

/// Whether a snapshot that bears the identifier of one of our slots is ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ownership {
    /// Manual, in our account, of this cluster, and its tags re-derive its name.
    Proven,
    /// As before, but none of redkeep's tags is there: only the name tells. It may never be deleted.
    ByName,
    /// Something contradicts; the text says what.
    Foreign(String),
}

/// Whether `snapshot` is the one that `run` asked for, or was to ask for.
///
/// What was asked for is taken from the run: a run keeps the configuration that it started with.
/// `account_number` is the account that the credentials belong to, where it is known, and `cluster_created_at`
/// the ClusterCreateTime of the run's cluster: a cluster that was renamed still has it.
pub fn ownership(
    snapshot: &Snapshot,
    run: &Run,
    account_number: Option<&str>,
    cluster_created_at: Option<DateTime<Utc>>,
) -> Ownership {
    let contradiction = contradiction(snapshot, run, account_number)
        .or_else(|| contradicting_cluster(snapshot, run, cluster_created_at));
    match contradiction {
        Some(what) => Ownership::Foreign(what),
        None if snapshot.tags.contains_key(tag::SLOT) => Ownership::Proven,
        None => Ownership::ByName,
    }
}

fn contradiction(snapshot: &Snapshot, run: &Run, account_number: Option<&str>) -> Option<String> {
    let (name, asked) = (
        &snapshot.snapshot_identifier,
        run.request.snapshot_id.as_str(),
    );
    if name != asked {
        return Some(format!("its name is {name:?}, not {asked:?}"));
    }
    if let Some(other) = snapshot
        .snapshot_type
        .as_deref()
        .filter(|kind| *kind != "manual")
    {
        return Some(format!("its type is {other:?}, not \"manual\""));
    }
    if let (Some(owner), Some(ours)) = (snapshot.account_number(), account_number)
        && owner != ours
    {
        return Some(format!("it belongs to account {owner}, not to {ours}"));
    }
    contradicting_tag(&snapshot.tags, &run.request.tags)
}

fn contradicting_tag(tags: &Tags, asked: &Tags) -> Option<String> {
    let any_of_ours = tags.keys().any(|key| key.starts_with(tag::PREFIX));
    let keys = [tag::NAMESPACE, tag::POLICY, tag::CLUSTER, tag::SLOT];
    keys.into_iter()
        .find_map(|key| match (tags.get(key), asked.get(key)) {
            (Some(got), Some(asked)) if got != asked => {
                Some(format!("its tag {key} is {got:?}, not {asked:?}"))
            }
            (None, Some(_)) if any_of_ours => {
                Some(format!("it has tags of redkeep's, but no {key}"))
            }
            _ => None,
        })
}

/// A snapshot follows its cluster into another name ("Renaming clusters", Redshift Management Guide). Then the tag
/// still has the name under which it was taken, and the cluster is still the one that was created then.
fn contradicting_cluster(
    snapshot: &Snapshot,
    run: &Run,
    cluster_created_at: Option<DateTime<Utc>>,
) -> Option<String> {
    let cluster = snapshot.cluster_identifier.as_deref()?;
    let ours = run.slot.pair.cluster.as_str();
    let is_renamed = snapshot.tags.contains_key(tag::CLUSTER)
        && cluster_created_at.is_some()
        && snapshot.cluster_create_time == cluster_created_at;
    (cluster != ours && !is_renamed)
        .then(|| format!("it is of cluster {cluster:?}, not of {ours:?}"))
}
