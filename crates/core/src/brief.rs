//! What is kept in mind of each snapshot that a listing shows.
//!
//! Owns: which members of AWS's description are needed between two listings, and that neighbours share what is the same: a
//! scope may have tens of thousands. Never what is written into the history, which is made of the whole description while
//! the listing is taken in.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::names::{Namespace, Retention};
use crate::shared_tags::SharedTags;
use crate::snapshot::{Hold, RestoreAccess, Snapshot, SnapshotId, SnapshotStatus, hold_of, tag};

/// A snapshot that proves whose it is: by its name, its account, its cluster and its tags.
pub trait Described {
    /// SnapshotIdentifier.
    fn name(&self) -> &str;
    /// SnapshotType.
    fn kind(&self) -> Option<&str>;
    /// The account that owns it.
    fn owner(&self) -> Option<&str>;
    /// ClusterIdentifier.
    fn cluster(&self) -> Option<&str>;
    /// ClusterCreateTime.
    fn cluster_created_at(&self) -> Option<DateTime<Utc>>;
    /// The value of a tag.
    fn tag(&self, key: &str) -> Option<&str>;
    /// Whether it has any of redkeep's tags.
    fn has_tags_of_redkeep(&self) -> bool;
}

impl Described for Snapshot {
    fn name(&self) -> &str {
        &self.snapshot_identifier
    }

    fn kind(&self) -> Option<&str> {
        self.snapshot_type.as_deref()
    }

    fn owner(&self) -> Option<&str> {
        self.account_number()
    }

    fn cluster(&self) -> Option<&str> {
        self.cluster_identifier.as_deref()
    }

    fn cluster_created_at(&self) -> Option<DateTime<Utc>> {
        self.cluster_create_time
    }

    fn tag(&self, key: &str) -> Option<&str> {
        self.tags.get(key).map(String::as_str)
    }

    fn has_tags_of_redkeep(&self) -> bool {
        self.tags.keys().any(|key| key.starts_with(tag::PREFIX))
    }
}

/// A listed snapshot, with what decisions between two listings need.
#[derive(Debug, Clone, PartialEq)]
pub struct Brief {
    id: SnapshotId,
    kind: Option<Arc<str>>,
    owner: Option<Arc<str>>,
    cluster: Option<Arc<str>>,
    cluster_created_at: Option<DateTime<Utc>>,
    created_at: Option<DateTime<Utc>>,
    status: SnapshotStatus,
    tags: SharedTags,
    period: Option<i32>,
    kept_from: Option<DateTime<Utc>>,
    access: Box<[RestoreAccess]>,
}

impl Described for Brief {
    fn name(&self) -> &str {
        self.id.as_str()
    }

    fn kind(&self) -> Option<&str> {
        self.kind.as_deref()
    }

    fn owner(&self) -> Option<&str> {
        self.owner.as_deref()
    }

    fn cluster(&self) -> Option<&str> {
        self.cluster.as_deref()
    }

    fn cluster_created_at(&self) -> Option<DateTime<Utc>> {
        self.cluster_created_at
    }

    fn tag(&self, key: &str) -> Option<&str> {
        self.tags.get(key)
    }

    fn has_tags_of_redkeep(&self) -> bool {
        self.tags.has_any_of(tag::PREFIX)
    }
}

impl From<&Snapshot> for Brief {
    fn from(snapshot: &Snapshot) -> Self {
        let shared = |text: Option<&str>| text.map(Arc::from);
        Self {
            id: SnapshotId::recorded(snapshot.snapshot_identifier.clone()),
            kind: shared(snapshot.snapshot_type.as_deref()),
            owner: shared(snapshot.account_number()),
            cluster: shared(snapshot.cluster_identifier.as_deref()),
            cluster_created_at: snapshot.cluster_create_time,
            created_at: snapshot.snapshot_create_time,
            status: snapshot.status(),
            tags: snapshot.tags.clone().into(),
            period: snapshot.manual_snapshot_retention_period,
            kept_from: snapshot.snapshot_retention_start_time,
            access: snapshot.accounts_with_restore_access.clone().into(),
        }
    }
}

impl Brief {
    /// The same, with everything that other snapshots have as well taken from `known`.
    pub fn shared(mut self, known: &mut Known) -> Self {
        for text in [&mut self.kind, &mut self.owner, &mut self.cluster] {
            known.share(text);
        }
        if let Some(last) = &known.tags {
            self.tags.share_with(last);
        }
        known.tags = Some(self.tags.clone());
        self
    }

    /// SnapshotIdentifier.
    pub fn id(&self) -> &SnapshotId {
        &self.id
    }

    /// SnapshotCreateTime.
    pub fn created_at(&self) -> Option<DateTime<Utc>> {
        self.created_at
    }

    /// Its status.
    pub fn status(&self) -> &SnapshotStatus {
        &self.status
    }

    /// Whether somebody holds it.
    pub fn hold(&self) -> Hold {
        hold_of(self.tag(tag::HOLD).is_some(), self.period)
    }

    /// Whether its tags say that an installation of this namespace made it. That is no proof.
    pub fn claims(&self, namespace: &Namespace) -> bool {
        self.tag(tag::NAMESPACE) == Some(namespace.as_str())
    }

    /// ManualSnapshotRetentionPeriod.
    pub fn period(&self) -> Option<i32> {
        self.period
    }

    /// How long AWS keeps it; `None` where AWS does not tell.
    pub fn retention(&self) -> Option<Retention> {
        Retention::from_days(self.period?.into())
    }

    /// Since when its retention period counts.
    pub fn kept_from(&self) -> Option<DateTime<Utc>> {
        self.kept_from.or(self.created_at)
    }

    /// When AWS lets it go; `None` where that is never, or AWS does not tell.
    pub fn expires_at(&self) -> Option<DateTime<Utc>> {
        self.retention()?.end(self.kept_from()?)
    }

    /// Whether other accounts may restore it.
    pub fn is_shared(&self) -> bool {
        !self.access.is_empty()
    }

    /// AWS's description, as far as it is kept in mind.
    pub fn unfolded(&self) -> Snapshot {
        let text = |shared: &Option<Arc<str>>| shared.as_deref().map(str::to_owned);
        let status = match &self.status {
            SnapshotStatus::Unknown(word) if word.is_empty() => None,
            status => Some(status.word().to_owned()),
        };
        Snapshot {
            snapshot_identifier: self.id.to_string(),
            snapshot_type: text(&self.kind),
            owner_account: text(&self.owner),
            cluster_identifier: text(&self.cluster),
            cluster_create_time: self.cluster_created_at,
            snapshot_create_time: self.created_at,
            status,
            tags: self.tags.to_tags(),
            manual_snapshot_retention_period: self.period,
            snapshot_retention_start_time: self.kept_from,
            accounts_with_restore_access: self.access.to_vec(),
            ..Snapshot::default()
        }
    }
}

/// The texts of the snapshots before, while one after another is made brief.
#[derive(Debug, Default)]
pub struct Known {
    texts: BTreeSet<Arc<str>>,
    tags: Option<SharedTags>,
}

impl Known {
    fn share(&mut self, text: &mut Option<Arc<str>>) {
        let Some(text) = text else { return };
        match self.texts.get(&**text) {
            Some(known) => *text = Arc::clone(known),
            None => drop(self.texts.insert(Arc::clone(text))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::Tags;

    fn snapshot(slot: &str) -> Snapshot {
        let tags = [(tag::NAMESPACE, "redkeep"), (tag::SLOT, slot)];
        Snapshot {
            snapshot_identifier: format!("redkeep-nightly-dw-{slot}"),
            snapshot_type: Some("manual".to_owned()),
            owner_account: Some("111122223333".to_owned()),
            cluster_identifier: Some("dw".to_owned()),
            status: Some("available".to_owned()),
            manual_snapshot_retention_period: Some(7),
            tags: Tags::from(tags.map(|(key, value)| (key.to_owned(), value.to_owned()))),
            ..Snapshot::default()
        }
    }

    #[test]
    fn neighbours_share_their_texts_and_tell_the_same_as_the_whole() {
        let mut known = Known::default();
        let whole = ["a", "b"].map(snapshot);
        let [one, other] = { whole.each_ref() }.map(|one| Brief::from(one).shared(&mut known));
        let is_same = |one: &Option<Arc<str>>, other: &Option<Arc<str>>| {
            one.as_ref()
                .zip(other.as_ref())
                .is_some_and(|(one, other)| Arc::ptr_eq(one, other))
        };
        assert!(is_same(&one.cluster, &other.cluster) && is_same(&one.owner, &other.owner));
        assert_eq!([one.unfolded(), other.unfolded()], whole);
        assert!(one.has_tags_of_redkeep() && one.claims(&"redkeep".parse().unwrap()));
        assert_eq!(one.hold(), whole[0].hold());
    }

    #[test]
    fn a_status_that_aws_left_out_is_left_out_of_what_is_unfolded() {
        let whole = Snapshot {
            status: None,
            ..snapshot("a")
        };
        assert_eq!(Brief::from(&whole).unfolded(), whole);
    }

    #[test]
    fn a_brief_takes_a_few_hundred_bytes() {
        assert!(size_of::<Brief>() <= 240, "{}", size_of::<Brief>());
    }
}
