//! The proof that a snapshot is ours.
//!
//! Owns: the one rule by which a snapshot that bears the identifier of a slot is adopted or is a conflict. In
//! doubt nothing is touched: any contradiction makes it foreign.

use chrono::{DateTime, Utc};

use crate::brief::Described;
use crate::names::{Namespace, Region};
use crate::run::Run;
use crate::shared_tags::SharedTags;
use crate::snapshot::{Generation, Snapshot, SnapshotId, tag};

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
    snapshot: &impl Described,
    run: &Run,
    account_number: Option<&str>,
    cluster_created_at: Option<DateTime<Utc>>,
) -> Ownership {
    let contradiction = contradiction(snapshot, run, account_number)
        .or_else(|| contradicting_cluster(snapshot, run, cluster_created_at));
    match contradiction {
        Some(what) => Ownership::Foreign(what),
        None if snapshot.tag(tag::SLOT).is_some() => Ownership::Proven,
        None => Ownership::ByName,
    }
}

fn contradiction(
    snapshot: &impl Described,
    run: &Run,
    account_number: Option<&str>,
) -> Option<String> {
    let (name, asked) = (snapshot.name(), run.request.snapshot_id.as_str());
    if name != asked {
        return Some(format!("its name is {name:?}, not {asked:?}"));
    }
    if let Some(other) = snapshot.kind().filter(|kind| *kind != "manual") {
        return Some(format!("its type is {other:?}, not \"manual\""));
    }
    if let (Some(owner), Some(ours)) = (snapshot.owner(), account_number)
        && owner != ours
    {
        return Some(format!("it belongs to account {owner}, not to {ours}"));
    }
    contradicting_tag(snapshot, &run.request.tags)
}

fn contradicting_tag(snapshot: &impl Described, asked: &SharedTags) -> Option<String> {
    let any_of_ours = snapshot.has_tags_of_redkeep();
    let keys = [tag::NAMESPACE, tag::POLICY, tag::CLUSTER, tag::SLOT];
    keys.into_iter()
        .find_map(|key| match (snapshot.tag(key), asked.get(key)) {
            (Some(got), Some(asked)) if got != asked => {
                Some(format!("its tag {key} is {got:?}, not {asked:?}"))
            }
            (None, Some(_)) if any_of_ours => Some(format!("it has tags of redkeep, but no {key}")),
            _ => None,
        })
}

/// A snapshot follows its cluster into another name ("Renaming clusters", Redshift Management Guide). Then the tag
/// still has the name under which it was taken, and the cluster is still the one that was created then.
fn contradicting_cluster(
    snapshot: &impl Described,
    run: &Run,
    cluster_created_at: Option<DateTime<Utc>>,
) -> Option<String> {
    let cluster = snapshot.cluster()?;
    let ours = run.slot.pair.cluster.as_str();
    let is_renamed = snapshot.tag(tag::CLUSTER).is_some()
        && cluster_created_at.is_some()
        && snapshot.cluster_created_at() == cluster_created_at;
    (cluster != ours && !is_renamed).then(|| format!("its cluster is {cluster:?}, not {ours:?}"))
}

/// What keeps a snapshot from proving by its own description alone that it is redkeep's; `None` where it does.
///
/// Stricter than [`ownership`], for what cannot be undone: every tag is there, the name is derived from them, the
/// type and the account are told, and it is of the cluster that it was taken of: of that name still, or by the history
/// the one that was created at `cluster_created_at`, which another name does not change.
pub fn unproven(
    snapshot: &Snapshot,
    namespace: &Namespace,
    region: &Region,
    account_number: Option<&str>,
    cluster_created_at: Option<DateTime<Utc>>,
) -> Option<String> {
    let tag = |key: &str| snapshot.tags.get(key).map(String::as_str);
    let keys = [tag::WRITER, tag::TIER, tag::TRIGGER];
    if let Some(missing) = keys.into_iter().find(|key| tag(key).is_none()) {
        return Some(format!("it has no tag {missing}"));
    }
    if tag(tag::NAMESPACE) != Some(namespace.as_str()) {
        return Some("it has another namespace".to_owned());
    }
    if snapshot.snapshot_type.as_deref() != Some("manual") {
        return Some("it is not known to be manual".to_owned());
    }
    let owner = snapshot.account_number();
    if owner.is_none() || owner != account_number {
        return Some("it is not known to belong to this account".to_owned());
    }
    let is_renamed = snapshot.cluster_identifier.is_some()
        && cluster_created_at.is_some()
        && snapshot.cluster_create_time == cluster_created_at;
    if snapshot.cluster_identifier.as_deref() != tag(tag::CLUSTER) && !is_renamed {
        return Some("its cluster is not the one that its tag names".to_owned());
    }
    let named = named_by_tags(snapshot, namespace, region);
    let is_its = |id: &SnapshotId| id.as_str() == snapshot.snapshot_identifier;
    let is_named = named.is_some_and(|first| first.generations().iter().any(is_its));
    (!is_named).then(|| "its name is not derived from its tags".to_owned())
}

/// The first name of the slot that a snapshot's tags tell.
fn named_by_tags(
    snapshot: &Snapshot,
    namespace: &Namespace,
    region: &Region,
) -> Option<SnapshotId> {
    let claim = snapshot.claim(namespace)?;
    Some(SnapshotId::from_parts(
        namespace,
        region,
        &claim.policy,
        &claim.cluster,
        claim.scheduled_at,
        Generation::First,
    ))
}
