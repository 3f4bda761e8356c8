//! What a request changes at AWS.
//!
//! Owns: the operations that make, keep, tag and remove, over the sandbox's model, and what is watched while one is carried
//! out. Never knows what a request suffers on its way.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use redkeep_core::names::Retention;
use redkeep_core::redshift::CreateRequest;
use redkeep_core::snapshot::{Snapshot, SnapshotId, tag};
use redkeep_sandbox::error::ApiError;
use redkeep_sandbox::faults::FaultEffect;
use redkeep_sandbox::operations::{self, Effect, Modifier, Request as ModelRequest};
use redkeep_sandbox::query::Params;
use redkeep_sandbox::tag::Tag;

use super::super::aws::{Aws, CREATE, described, tags};
use super::super::wire::To;
use super::{Served, served};

impl Aws {
    /// Sets a tag, or removes it where it is to have no value.
    pub(super) fn set_tag(
        &mut self,
        fault_effect: &FaultEffect,
        region: &str,
        (arn, key, value): (&str, &str, Option<&str>),
        to: To<()>,
        now: DateTime<Utc>,
    ) -> Served {
        let set = |aws: &mut Self| match aws.forgets_at(now) {
            true => {
                aws.forgotten.insert(arn.to_owned());
                Ok(())
            }
            false => aws.tag(region, arn, (key, value), now),
        };
        let answer = self.answer(fault_effect, now, set);
        let told = match value {
            Some(value) => format!("tags {arn} {key}={value}"),
            None => format!("untags {arn} {key}"),
        };
        let what = format!("the tag {key} of {arn}");
        served(to, answer, &what, |()| Some(told))
    }

    fn forgets_at(&self, now: DateTime<Utc>) -> bool {
        self.forgets_tags && (now.timestamp() / 60).rem_euclid(5) == 0
    }

    pub(super) fn modify(
        &mut self,
        region: &str,
        id: &SnapshotId,
        retention: Retention,
        now: DateTime<Utc>,
    ) -> Result<Arc<Snapshot>, ApiError> {
        self.check_ours(region, id.as_str());
        let days = retention.days_or_minus_one().to_string();
        let parameters = [
            ("SnapshotIdentifier", id.as_str()),
            ("ManualSnapshotRetentionPeriod", &days),
        ];
        let form = form("ModifyClusterSnapshot", &parameters);
        self.perform(region, &form, Modifier::None, now)?;
        self.modified.push((id.to_string(), now));
        let made = &self.account.regions[region].snapshots[id.as_str()];
        Ok(Arc::new(described(&self.account, region, made, now)))
    }

    pub(super) fn remove(
        &mut self,
        region: &str,
        id: &SnapshotId,
        cluster: &str,
        now: DateTime<Utc>,
    ) -> Result<(), ApiError> {
        self.check_ours(region, id.as_str());
        let parameters = [
            ("SnapshotIdentifier", id.as_str()),
            ("SnapshotClusterIdentifier", cluster),
        ];
        let form = form("DeleteClusterSnapshot", &parameters);
        self.perform(region, &form, Modifier::None, now)?;
        self.removed.push((id.to_string(), now));
        Ok(())
    }

    /// Sets a tag, or removes it where there is no value.
    pub(super) fn tag(
        &mut self,
        region: &str,
        arn: &str,
        (key, value): (&str, Option<&str>),
        now: DateTime<Utc>,
    ) -> Result<(), ApiError> {
        let (_, id) = arn.rsplit_once('/').unwrap();
        self.check_ours(region, id);
        let form = match value {
            Some(value) => form(
                "CreateTags",
                &[
                    ("ResourceName", arn),
                    ("Tags.Tag.1.Key", key),
                    ("Tags.Tag.1.Value", value),
                ],
            ),
            None => form(
                "DeleteTags",
                &[("ResourceName", arn), ("TagKeys.TagKey.1", key)],
            ),
        };
        self.perform(region, &form, Modifier::None, now)?;
        // What was told of the snapshot has other tags.
        self.region(now);
        Ok(())
    }

    /// I2: what is to be changed is of redkeep's.
    fn check_ours(&self, region: &str, id: &str) {
        let region = self.account.region(region);
        let Some(snapshot) = region.and_then(|region| region.snapshots.get(id)) else {
            return;
        };
        let ours = tags(&snapshot.tags).contains_key(tag::NAMESPACE);
        assert!(ours, "I2: {id} is not ours, and is changed");
    }

    pub(in crate::sim) fn create(
        &mut self,
        region: &str,
        wanted: &CreateRequest,
        twist: Modifier,
        now: DateTime<Utc>,
    ) -> Result<Arc<Snapshot>, ApiError> {
        let days = wanted.retention.days_or_minus_one().to_string();
        let parameters = [
            ("SnapshotIdentifier", wanted.snapshot_id.as_str()),
            ("ClusterIdentifier", wanted.cluster.as_str()),
            ("ManualSnapshotRetentionPeriod", &days),
        ];
        let tags = wanted.tags.iter().enumerate();
        let tags = tags.flat_map(|(number, (key, value))| {
            let place = format!("Tags.Tag.{}", number + 1);
            [
                (format!("{place}.Key"), key),
                (format!("{place}.Value"), value),
            ]
        });
        let tags: Vec<(String, &String)> = tags.collect();
        let tags = tags
            .iter()
            .map(|(place, text)| (place.as_str(), text.as_str()));
        let parameters: Vec<(&str, &str)> = parameters.into_iter().chain(tags).collect();
        self.perform(region, &form(CREATE, &parameters), twist, now)?;
        let id = wanted.snapshot_id.to_string();
        self.check_one_a_slot(region, wanted, now);
        self.accepted.push((id.clone(), now));
        let held = self.account.regions[region].snapshots_at(now).count();
        self.most_held = self.most_held.max(held);
        let made = &self.account.regions[region].snapshots[&id];
        Ok(Arc::new(described(&self.account, region, made, now)))
    }

    pub(super) fn perform(
        &mut self,
        region: &str,
        form: &str,
        twist: Modifier,
        now: DateTime<Utc>,
    ) -> Result<(), ApiError> {
        let request = ModelRequest {
            region: region.to_owned(),
            params: Params::parse(form.as_bytes()),
            now,
            twist,
        };
        match operations::find(&request.params)?.effect {
            Effect::Reads(run) => run(&self.account, &request)?,
            Effect::Writes(run) => run(&mut self.account, &request)?,
            Effect::Identifies(_) | Effect::Grants(_) => {
                unreachable!("this asks for snapshots only")
            }
        };
        Ok(())
    }

    /// I3: one snapshot for each slot and generation, and the second only where the first has failed.
    fn check_one_a_slot(&self, region: &str, wanted: &CreateRequest, now: DateTime<Utc>) {
        let id = wanted.snapshot_id.as_str();
        let keys = [tag::SLOT, tag::POLICY, tag::CLUSTER];
        // Somebody who gives no tags names no slot.
        let names_slot = keys.iter().all(|key| wanted.tags.contains_key(*key));
        let is_same = |tag: &Tag| wanted.tags.get(&tag.key) == Some(&tag.value);
        let held = self.account.regions[region].snapshots.values();
        let same_slot = held.filter(|held| {
            let has = |key: &str| held.tags.iter().any(|tag| tag.key == key && is_same(tag));
            names_slot && held.snapshot_identifier != id && keys.iter().all(|key| has(key))
        });
        for other in same_slot {
            let (name, status) = (&other.snapshot_identifier, other.status(now));
            let second = wanted.snapshot_id.as_str() == format!("{name}-r1");
            assert!(
                second && status == "failed",
                "I3: {id} is made for a slot that has {name}, which is {status}"
            );
        }
    }
}

fn form(action: &str, parameters: &[(&str, &str)]) -> String {
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.append_pair("Version", "2012-12-01")
        .append_pair("Action", action)
        .extend_pairs(parameters);
    form.finish()
}
