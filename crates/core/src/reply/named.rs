//! Which of the snapshots that AWS tells of under one name is meant.
//!
//! Owns: telling one of our account's from those that others share with it. Never decides what follows.

use std::sync::Arc;

use crate::snapshot::Snapshot;

/// What is there under a name.
pub(super) enum Named<'a> {
    /// Nothing that could be ours.
    None,
    /// This snapshot, as far as its owner tells.
    One(&'a Arc<Snapshot>),
    /// Nobody knows: several accounts have one and it is not known which of them is this one, or the answer is of other
    /// names.
    Unclear,
}

/// The snapshot of that name among those that AWS tells.
pub(super) fn named<'a>(told: &'a [Arc<Snapshot>], id: &str, account: Option<&str>) -> Named<'a> {
    let mut of_name = told.iter().filter(|one| one.snapshot_identifier == id);
    if !told.is_empty() && { of_name.clone() }.next().is_none() {
        return Named::Unclear;
    }
    let mut ours = of_name.by_ref().filter(|one| !is_shared(one, account));
    match (ours.next(), ours.next()) {
        (None, _) => Named::None,
        (Some(one), None) => Named::One(one),
        (Some(one), Some(other)) if one.account_number() == other.account_number() => {
            Named::One(one)
        }
        _ => Named::Unclear,
    }
}

/// Whether another account shares the snapshot with this one: names are unique within an account only.
pub(super) fn is_shared(snapshot: &Snapshot, account: Option<&str>) -> bool {
    account
        .zip(snapshot.account_number())
        .is_some_and(|(ours, owner)| ours != owner)
}
