//! The proof that a snapshot is ours.
//!
//! Owns: the one rule by which a snapshot that bears the identifier of a slot is adopted or is a conflict. In
//! doubt nothing is touched: any contradiction makes it foreign.

use super::{Generation, Snapshot, SnapshotId, tag};
use crate::names::{Namespace, Tags};
use crate::slot::{Slot, rfc3339};

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

/// Whether `snapshot` is the one that `slot` was to have.
///
/// `account_number` is the account that the credentials belong to, where it is known.
pub fn ownership(
    snapshot: &Snapshot,
    namespace: &Namespace,
    slot: &Slot,
    account_number: Option<&str>,
) -> Ownership {
    match contradiction(snapshot, namespace, slot, account_number) {
        Some(what) => Ownership::Foreign(what),
        None if snapshot.tags.contains_key(tag::SLOT) => Ownership::Proven,
        None => Ownership::ByName,
    }
}

fn contradiction(
    snapshot: &Snapshot,
    namespace: &Namespace,
    slot: &Slot,
    account_number: Option<&str>,
) -> Option<String> {
    let name = snapshot.snapshot_identifier.as_str();
    let derives = [Generation::First, Generation::Second]
        .iter()
        .any(|generation| SnapshotId::derive(namespace, slot, *generation).as_str() == name);
    if !derives {
        return Some(format!("the slot does not derive the name {name:?}"));
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
    contradicting_tag(&snapshot.tags, namespace, slot)
        .or_else(|| contradicting_cluster(snapshot, slot))
}

fn contradicting_tag(tags: &Tags, namespace: &Namespace, slot: &Slot) -> Option<String> {
    let wanted = [
        (tag::NAMESPACE, namespace.to_string()),
        (tag::POLICY, slot.pair.policy.to_string()),
        (tag::CLUSTER, slot.pair.cluster.to_string()),
        (tag::SLOT, rfc3339(slot.scheduled_at)),
    ];
    let any_of_ours = tags.keys().any(|key| key.starts_with("redkeep:"));
    wanted
        .iter()
        .find_map(|(key, wanted)| match tags.get(*key) {
            Some(got) if got == wanted => None,
            Some(got) => Some(format!("its tag {key} is {got:?}, not {wanted:?}")),
            None if any_of_ours => Some(format!("it has tags of redkeep's, but no {key}")),
            None => None,
        })
}

fn contradicting_cluster(snapshot: &Snapshot, slot: &Slot) -> Option<String> {
    let cluster = snapshot.cluster_identifier.as_deref()?;
    let ours = slot.pair.cluster.as_str();
    (cluster != ours).then(|| format!("it is of cluster {cluster:?}, not of {ours:?}"))
}
