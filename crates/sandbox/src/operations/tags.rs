//! CreateTags and DeleteTags.
//!
//! Checked: ResourceName must be the ARN of a cluster or snapshot of this account and of the request's region;
//! the rules of tags, and 50 of them in all. A key that is there already gets the new value; one that is not
//! there is deleted without a word. Not modelled: tags of any other resource.

use chrono::{DateTime, Utc};

use super::{Outcome, Request, missing};
use crate::account::{Account, Region};
use crate::error::{ApiError, Code};
use crate::tag::{self, Tag};

/// Adds tags to a cluster or snapshot.
///
/// Errors: MissingParameter, ResourceNotFoundFault, InvalidTagFault, TagLimitExceededFault.
pub fn create(account: &mut Account, request: &Request) -> Outcome {
    let added = tag::from_params(&request.params)?;
    if added.is_empty() {
        return Err(missing("Tags"));
    }
    let tags = tags_mut(account, request)?;
    let kept = tags
        .iter()
        .filter(|old| added.iter().all(|new| new.key != old.key));
    let together: Vec<Tag> = kept.chain(&added).cloned().collect();
    tag::require_few(together.len())?;
    *tags = together;
    Ok(Vec::new())
}

/// Removes tags from a cluster or snapshot.
///
/// Errors: MissingParameter, ResourceNotFoundFault.
pub fn delete(account: &mut Account, request: &Request) -> Outcome {
    let keys = request.params.strings("TagKeys", "TagKey");
    if keys.is_empty() {
        return Err(missing("TagKeys"));
    }
    tags_mut(account, request)?.retain(|tag| !keys.contains(&tag.key));
    Ok(Vec::new())
}

fn tags_mut<'a>(account: &'a mut Account, request: &Request) -> Result<&'a mut Vec<Tag>, ApiError> {
    let arn = request.params.required("ResourceName")?;
    let resource =
        Resource::from_arn(arn, account, &request.region).ok_or_else(|| resource_not_found(arn))?;
    let region = account.region_mut(&request.region, request.now);
    if !resource.is_there(region, request.now) {
        return Err(resource_not_found(arn));
    }
    let tags = match resource {
        Resource::Cluster(name) => region.clusters.get_mut(name).map(|one| &mut one.tags),
        Resource::Snapshot { name, .. } => region.snapshots.get_mut(name).map(|one| &mut one.tags),
    };
    tags.ok_or_else(|| resource_not_found(arn))
}

/// What can have tags here.
#[derive(Debug, Clone, Copy)]
pub(super) enum Resource<'a> {
    /// A cluster.
    Cluster(&'a str),
    /// A snapshot of a cluster.
    Snapshot {
        /// The cluster's name.
        cluster: &'a str,
        /// Its own name.
        name: &'a str,
    },
}

impl<'a> Resource<'a> {
    /// Reads an ARN of this account and region.
    pub(super) fn from_arn(arn: &'a str, account: &Account, region: &str) -> Option<Self> {
        let resource = arn.strip_prefix(&account.arn(region, ""))?;
        match resource.split_once(':')? {
            ("cluster", name) => Some(Self::Cluster(name)),
            ("snapshot", path) => {
                let (cluster, name) = path.split_once('/')?;
                Some(Self::Snapshot { cluster, name })
            }
            _ => None,
        }
    }

    /// Whether a Describe sees it at `now`.
    pub(super) fn is_there(self, region: &Region, now: DateTime<Utc>) -> bool {
        match self {
            Self::Cluster(name) => region.has_cluster(name, now),
            Self::Snapshot { cluster, name } => region.snapshots_at(now).any(|snapshot| {
                snapshot.snapshot_identifier == name && snapshot.cluster_identifier == cluster
            }),
        }
    }
}

/// The refusal for an ARN that names nothing here.
pub(super) fn resource_not_found(arn: &str) -> ApiError {
    ApiError::new(Code::ResourceNotFound, format!("Resource {arn} not found."))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{account, call, refusal};

    const CREATE: &str = "CreateClusterSnapshot&ClusterIdentifier=dw&SnapshotIdentifier=a&Tags.Tag.1.Key=k&Tags.Tag.1.Value=old";
    const ARN: &str = "ResourceName=arn:aws:redshift:eu-central-1:123456789012:snapshot:dw/a";

    #[test]
    fn a_tag_is_replaced_added_and_removed() {
        let mut account = account();
        call(&mut account, 0, CREATE).unwrap();
        let form =
            format!("CreateTags&{ARN}&Tags.Tag.1.Key=k&Tags.Tag.1.Value=new&Tags.Tag.2.Key=l");
        call(&mut account, 1, &form).unwrap();
        let tags = |account: &crate::account::Account| -> Vec<String> {
            let tags = &account.regions["eu-central-1"].snapshots["a"].tags;
            tags.iter()
                .map(|tag| format!("{}={}", tag.key, tag.value))
                .collect()
        };
        assert_eq!(tags(&account), ["k=new", "l="]);
        let form = format!("DeleteTags&{ARN}&TagKeys.TagKey.1=k&TagKeys.TagKey.2=never");
        call(&mut account, 2, &form).unwrap();
        assert_eq!(tags(&account), ["l="]);
    }

    #[test]
    fn a_resource_that_is_not_there_and_a_tag_too_many_are_refused() {
        let mut account = account();
        call(&mut account, 0, CREATE).unwrap();
        for name in [
            "snapshot:other/a",
            "snapshot:dw/b",
            "cluster:x",
            "namespace:dw",
        ] {
            let form = format!(
                "CreateTags&ResourceName=arn:aws:redshift:eu-central-1:123456789012:{name}&Tags.Tag.1.Key=k"
            );
            assert_eq!(
                refusal(&mut account, 0, &form),
                "ResourceNotFoundFault",
                "{name}"
            );
        }
        let many: String = (1..=50)
            .map(|n| format!("&Tags.Tag.{n}.Key=n{n}"))
            .collect();
        assert_eq!(
            refusal(&mut account, 0, &format!("CreateTags&{ARN}{many}")),
            "TagLimitExceededFault"
        );
        assert_eq!(
            refusal(&mut account, 0, &format!("CreateTags&{ARN}")),
            "MissingParameter"
        );
    }
}
