//! Count-based pruning: which snapshots of a pair go, and why each of the others stays.
//!
//! Owns: the verdict on each snapshot. It is the only rule that deletes, so a snapshot goes only if every condition
//! holds, and what cannot be told keeps it. Pure; whether there may be a pass at all is `plan::prune`'s.

use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};

use crate::names::{Namespace, Writer};
use crate::names::{Tier, Trigger};
use crate::observed::SKEW_LIMIT;
use crate::operations::{SnapshotAction, Why};
use crate::ownership::unproven;
use crate::redshift::ServerDate;
use crate::slot::Scope;
use crate::snapshot::{Hold, Snapshot, SnapshotId, SnapshotStatus, tag};

use super::hold::{self, HoldStep};

/// For how long a failed snapshot is kept for people to look at.
const FAILED_KEPT: TimeDelta = TimeDelta::days(7);

/// By what a pair's snapshots are judged.
#[derive(Debug, Clone, Copy)]
pub struct Rules<'a> {
    /// This installation.
    pub writer: &'a Writer,
    /// How many of the newest base-tier snapshots stay.
    pub keep_last: usize,
    /// How many newer good ones of the same incarnation must remain.
    pub min_good: usize,
    /// The time between two slots; `None` where the pair has had none.
    pub interval: Option<TimeDelta>,
    /// Whether the pair is active and AWS has its cluster.
    pub is_alive: bool,
}

/// A snapshot of a pair.
#[derive(Debug, Clone, Copy)]
pub struct Item<'a> {
    /// As listed.
    pub listed: &'a Snapshot,
    /// Whether its tags, its name and the history prove that it is redkeep's.
    pub is_proven: bool,
}

/// What becomes of a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// The snapshot stays, for this reason.
    Keep(Keep),
    /// The snapshot goes.
    Remove(Why),
}

/// Why a snapshot stays: the first of these that holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Keep {
    /// Not everything that proves it redkeep's is there.
    NotProven,
    /// Another installation has made it.
    OtherWriter,
    /// Somebody holds it.
    OnHold,
    /// The snapshot has the tag of a hold, and a period that ends: a hold or a release was not finished.
    HalfHeld,
    /// Shared with other accounts.
    Shared,
    /// Not complete.
    NotAvailable,
    /// Failed less than a week ago.
    JustFailed,
    /// Of a longer tier.
    Tier(Tier),
    /// A person asked for it.
    ByHand,
    /// Which cluster it is of, of those that had the name, is not known.
    UnknownIncarnation,
    /// The cluster is not there, or the policy does not select it.
    ClusterGone,
    /// One of the newest `keep_last`.
    Last,
    /// Fewer than `min_good` newer good ones of its incarnation are there.
    FewNewer,
    /// The newest good one is as old as two intervals.
    NoneNew,
}

impl Keep {
    /// The reason in a few words.
    pub fn words(self) -> &'static str {
        match self {
            Self::NotProven => "not proven to be redkeep's",
            Self::OtherWriter => "made by another installation",
            Self::OnHold => "on hold",
            Self::HalfHeld => "half on hold",
            Self::Shared => "shared with other accounts",
            Self::NotAvailable => "not complete",
            Self::JustFailed => "failed less than a week ago",
            Self::Tier(Tier::Base | Tier::Weekly) => "the weekly one",
            Self::Tier(Tier::Monthly) => "the monthly one",
            Self::Tier(Tier::Yearly) => "the yearly one",
            Self::ByHand => "taken on demand",
            Self::UnknownIncarnation => "of an unknown incarnation of the cluster",
            Self::ClusterGone => "its cluster does not exist or is not selected",
            Self::Last => "one of the newest keep_last",
            Self::FewNewer => "fewer than min_good newer good snapshots",
            Self::NoneNew => "no good snapshot younger than two intervals",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Keep(keep) => f.pad(keep.words()),
            Self::Remove(Why::Surplus) => f.pad("older than the newest keep_last"),
            Self::Remove(Why::Failed) => f.pad("failed more than a week ago"),
        }
    }
}

/// The verdicts on the snapshots of a pair at `now`. `items` is sorted, the newest first.
pub fn verdicts(rules: Rules<'_>, items: &[Item<'_>], now: DateTime<Utc>) -> Vec<Verdict> {
    let newest_good = items.iter().find(|item| is_good(item));
    let newest_good = newest_good.and_then(|item| item.listed.snapshot_create_time);
    let is_supplied = newest_good
        .zip(rules.interval)
        .is_some_and(|(newest, interval)| now - newest < interval * 2);
    let verdict = |(rank, item): (usize, &Item<'_>)| {
        match alone(rules.writer, *item, now) {
            // Of a cluster that is not there nothing is removed.
            Some(Verdict::Remove(_)) if !rules.is_alive => return Verdict::Keep(Keep::ClusterGone),
            Some(settled) => return settled,
            None => {}
        }
        let newer = &items[..rank];
        let counted = newer.iter().filter(|other| is_counted(other)).count();
        let incarnation = item.listed.cluster_create_time;
        let of_same = |other: &&Item<'_>| other.listed.cluster_create_time == incarnation;
        let good = newer.iter().filter(|other| is_good(other));
        let good = good.filter(of_same).count();
        if !rules.is_alive {
            Verdict::Keep(Keep::ClusterGone)
        } else if counted < rules.keep_last {
            Verdict::Keep(Keep::Last)
        } else if good < rules.min_good.max(1) {
            Verdict::Keep(Keep::FewNewer)
        } else if !is_supplied {
            Verdict::Keep(Keep::NoneNew)
        } else {
            Verdict::Remove(Why::Surplus)
        }
    };
    items.iter().enumerate().map(verdict).collect()
}

/// The verdict that a snapshot's own description settles; `None` where its rank among the others decides.
pub fn alone(writer: &Writer, item: Item<'_>, now: DateTime<Utc>) -> Option<Verdict> {
    let Item { listed, is_proven } = item;
    let tag = |key: &str| listed.tags.get(key).map(String::as_str);
    let tier = tag(tag::TIER).and_then(|word| word.parse().ok());
    let keep = if !is_proven {
        Keep::NotProven
    } else if tag(tag::WRITER) != Some(writer.as_str()) {
        Keep::OtherWriter
    } else if listed.hold() == Hold::Held {
        Keep::OnHold
    } else if listed.hold() == Hold::Half {
        Keep::HalfHeld
    } else if !listed.accounts_with_restore_access.is_empty() {
        Keep::Shared
    } else if listed.cluster_create_time.is_none() {
        Keep::UnknownIncarnation
    } else if listed.status() == SnapshotStatus::Failed {
        let made = listed.snapshot_create_time;
        return Some(match made.is_some_and(|made| now - made >= FAILED_KEPT) {
            true => Verdict::Remove(Why::Failed),
            false => Verdict::Keep(Keep::JustFailed),
        });
    } else if listed.status() != SnapshotStatus::Available || listed.snapshot_create_time.is_none()
    {
        Keep::NotAvailable
    } else if tier != Some(Tier::Base) {
        Keep::Tier(tier.unwrap_or(Tier::Yearly))
    } else if tag(tag::TRIGGER) != Some(Trigger::Schedule.as_str()) {
        Keep::ByHand
    } else {
        return None;
    };
    Some(Verdict::Keep(keep))
}

/// Whether a snapshot counts as a good one, for those that are older.
fn is_good(item: &Item<'_>) -> bool {
    let listed = item.listed;
    item.is_proven
        && listed.status() == SnapshotStatus::Available
        && listed.cluster_create_time.is_some()
}

/// Whether `keep_last` counts a snapshot: those by hand are kept beside them.
fn is_counted(item: &Item<'_>) -> bool {
    let is = |key: &str, word: &str| item.listed.tags.get(key).is_some_and(|got| got == word);
    is_good(item)
        && is(tag::TIER, Tier::Base.as_str())
        && is(tag::TRIGGER, Trigger::Schedule.as_str())
}

/// What is needed to prove once more that a snapshot may be touched, when it is described just before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// The namespace.
    pub namespace: Namespace,
    /// This installation.
    pub writer: Writer,
    /// Where the snapshot is.
    pub scope: Scope,
    /// The account's number.
    pub account_number: String,
    /// The ClusterCreateTime of the cluster that it was taken of, as the history has it.
    pub cluster_created_at: Option<DateTime<Utc>>,
}

impl Proof {
    /// Whether the snapshot belongs to the account, and is not one that another shares under the same name.
    pub fn is_ours(&self, snapshot: &Snapshot) -> bool {
        let number = snapshot.account_number();
        number.is_none_or(|number| number == self.account_number)
    }

    /// The ARN of the snapshot of an action, and what is to be done for it.
    ///
    /// # Errors
    /// Why nothing may or can be done, for people.
    pub fn steps<S: AsRef<Snapshot>>(
        &self,
        action: &SnapshotAction,
        described: &[S],
        now: DateTime<Utc>,
    ) -> Result<(String, Vec<HoldStep>), String> {
        let found = self.proven(&action.snapshot, described)?;
        let snapshot = found.ok_or("AWS has no such snapshot")?;
        let arn = snapshot.snapshot_arn.clone();
        let arn = arn.ok_or("AWS does not report its ARN")?;
        let steps = hold::steps(action.kind, self.writer.as_str(), snapshot, now)?;
        Ok((arn, steps))
    }

    /// The snapshot of that name, if it is there and proves itself to be redkeep's.
    ///
    /// # Errors
    /// What contradicts; `Ok(None)` where there is none.
    pub fn proven<'a, S: AsRef<Snapshot>>(
        &self,
        id: &SnapshotId,
        described: &'a [S],
    ) -> Result<Option<&'a Snapshot>, String> {
        let of_name = |one: &&Snapshot| one.snapshot_identifier == id.as_str();
        let ours = |one: &&Snapshot| self.is_ours(one);
        let mut all = described.iter().map(AsRef::as_ref).filter(of_name);
        let Some(snapshot) = all.find(ours) else {
            return Ok(None);
        };
        let number = Some(self.account_number.as_str());
        let created_at = self.cluster_created_at;
        let region = &self.scope.region;
        match unproven(snapshot, &self.namespace, region, number, created_at) {
            Some(what) => Err(what),
            None => Ok(Some(snapshot)),
        }
    }

    /// Whether the snapshot `id`, planned to go because of `why`, may go by what AWS says of it now and at that
    /// `date`; the cluster that AWS wants named. `Ok(None)` where it is not there.
    ///
    /// # Errors
    /// Why it stays.
    pub fn removable<S: AsRef<Snapshot>>(
        &self,
        id: &SnapshotId,
        why: Why,
        (described, date): (&[S], ServerDate),
        now: DateTime<Utc>,
    ) -> Result<Option<String>, String> {
        let is_in_time = matches!(date, ServerDate::At(at) if (now - at).abs() <= SKEW_LIMIT);
        if !is_in_time {
            return Err("this machine's clock and AWS's do not agree".to_owned());
        }
        let Some(listed) = self.proven(id, described)? else {
            return Ok(None);
        };
        let is_proven = true;
        let verdict = alone(&self.writer, Item { listed, is_proven }, now);
        match (verdict, why) {
            (None, Why::Surplus) | (Some(Verdict::Remove(Why::Failed)), Why::Failed) => {
                let cluster = listed.cluster_identifier.clone();
                cluster
                    .map(Some)
                    .ok_or("AWS names no cluster for it".into())
            }
            (None, Why::Failed) => Err("it is complete".to_owned()),
            (Some(other), _) => Err(other.to_string()),
        }
    }
}
