//! DescribeTags.
//!
//! Checked: ResourceName (an ARN of a cluster or snapshot here) excludes ResourceType, MaxRecords and Marker;
//! ResourceType is one of the documented names, in any case; TagKeys, TagValues (either-or), MaxRecords (10 to
//! 50), Marker. One record a tag, ordered by ARN and key. Not modelled: tags of other resources, so asking for
//! their types answers an empty list; records for resources without tags.

use super::tags::{Resource, resource_not_found};
use super::{Outcome, Request};
use crate::account::{Account, Region};
use crate::error::{ApiError, Code};
use crate::query::{Params, invalid_value};
use crate::tag::{Tag, TagFilter};
use crate::xml::Element;

/// The values of ResourceType in the API model.
const RESOURCE_TYPES: [&str; 11] = [
    "Cluster",
    "CIDR/IP",
    "EC2 security group",
    "Snapshot",
    "Cluster security group",
    "Subnet group",
    "HSM connection",
    "HSM certificate",
    "Parameter group",
    "Snapshot copy grant",
    "Integration",
];

/// One tag of one resource.
struct Tagged<'a> {
    arn: String,
    resource_type: &'static str,
    tag: &'a Tag,
}

/// Lists tags with their resources.
///
/// Errors: ResourceNotFoundFault, InvalidTagFault, InvalidParameterCombination, InvalidParameterValue.
pub fn run(account: &Account, request: &Request) -> Outcome {
    let page = request.page_of(10..=50)?;
    let params = &request.params;
    let wanted = params.optional("ResourceName");
    let resource_type = resource_type(params)?;
    require_alone(params)?;
    let filter = TagFilter::from_params(params)?;
    let region = account.region_at(&request.region, request.now);
    if let Some(arn) = wanted {
        let resource = Resource::from_arn(arn, account, &request.region);
        resource
            .filter(|resource| resource.is_there(&region, request.now))
            .ok_or_else(|| resource_not_found(arn))?;
    }
    let tags = all(&region, account, request)
        .filter(|tagged| wanted.is_none_or(|arn| arn == tagged.arn))
        .filter(|tagged| {
            resource_type.is_none_or(|wanted| wanted.eq_ignore_ascii_case(tagged.resource_type))
        })
        .filter(|tagged| filter.admits_tag(tagged.tag))
        .map(|tagged| (format!("{} {}", tagged.arn, tagged.tag.key), tagged))
        .collect();
    let page = page.cut(tags, &format!("DescribeTags {}", request.region))?;
    let elements = page.records.iter().map(element).collect();
    let marker = page.marker.map(|marker| Element::text("Marker", marker));
    Ok(marker
        .into_iter()
        .chain([Element::group("TaggedResources", elements)])
        .collect())
}

fn resource_type(params: &Params) -> Result<Option<&str>, ApiError> {
    let Some(text) = params.optional("ResourceType") else {
        return Ok(None);
    };
    if RESOURCE_TYPES
        .iter()
        .any(|known| known.eq_ignore_ascii_case(text))
    {
        return Ok(Some(text));
    }
    let wanted = format!("it must be one of {}", RESOURCE_TYPES.join(", "));
    Err(invalid_value("ResourceType", text, &wanted))
}

fn require_alone(params: &Params) -> Result<(), ApiError> {
    let others = ["ResourceType", "MaxRecords", "Marker"];
    let other = others
        .into_iter()
        .find(|name| params.optional(name).is_some());
    match (params.optional("ResourceName"), other) {
        (Some(_), Some(other)) => {
            let message = format!("You can't use {other} together with ResourceName.");
            Err(ApiError::new(Code::InvalidParameterCombination, message))
        }
        _ => Ok(()),
    }
}

/// Every tag that a Describe sees.
fn all<'a>(
    region: &'a Region,
    account: &'a Account,
    request: &'a Request,
) -> impl Iterator<Item = Tagged<'a>> {
    let clusters = region.clusters_at(request.now).map(|cluster| {
        let arn = cluster.arn(account, &request.region);
        (arn, "cluster", &cluster.tags)
    });
    let snapshots = region.snapshots_at(request.now).map(|snapshot| {
        let arn = snapshot.arn(account, &request.region);
        (arn, "snapshot", &snapshot.tags)
    });
    clusters
        .chain(snapshots)
        .flat_map(|(arn, resource_type, tags)| {
            tags.iter().map(move |tag| Tagged {
                arn: arn.clone(),
                resource_type,
                tag,
            })
        })
}

fn element(tagged: &Tagged<'_>) -> Element {
    Element::group(
        "TaggedResource",
        vec![
            tagged.tag.element(),
            Element::text("ResourceName", &tagged.arn),
            Element::text("ResourceType", tagged.resource_type),
        ],
    )
}

#[cfg(test)]
mod tests {
    use super::super::tests::{account, call, refusal};
    use crate::account::Account;

    const KEY: [&str; 4] = ["TaggedResources", "TaggedResource", "Tag", "Key"];
    const ARN: &str = "arn:aws:redshift:eu-central-1:123456789012";

    /// The cluster has env and team, the snapshot env and slot.
    fn tagged() -> Account {
        let mut account = account();
        let tags = |second: &str| {
            format!("&Tags.Tag.1.Key=env&Tags.Tag.1.Value=prod&Tags.Tag.2.Key={second}")
        };
        for form in [
            format!("CreateTags&ResourceName={ARN}:cluster:dw{}", tags("team")),
            format!(
                "CreateClusterSnapshot&ClusterIdentifier=dw&SnapshotIdentifier=a{}",
                tags("slot")
            ),
        ] {
            call(&mut account, 0, &form).unwrap();
        }
        account
    }

    #[test]
    fn each_filter_finds_what_it_should() {
        let mut account = tagged();
        for (form, wanted) in [
            ("", &["env", "team", "env", "slot"][..]),
            ("&ResourceType=Snapshot", &["env", "slot"]),
            ("&ResourceType=cluster", &["env", "team"]),
            ("&ResourceType=Parameter+group", &[]),
            (
                &format!("&ResourceName={ARN}:snapshot:dw/a"),
                &["env", "slot"],
            ),
            (
                "&TagKeys.TagKey.1=team&TagKeys.TagKey.2=slot",
                &["team", "slot"],
            ),
            (
                "&TagKeys.TagKey.1=team&TagValues.TagValue.1=prod",
                &["env", "team", "env"],
            ),
        ] {
            let answer = call(&mut account, 1, &format!("DescribeTags{form}")).unwrap();
            assert_eq!(answer.texts(&KEY), wanted, "{form}");
        }
    }

    #[test]
    fn what_cannot_be_asked_is_refused_with_its_code() {
        let mut account = tagged();
        let named = format!("&ResourceName={ARN}:cluster:dw");
        for (form, code) in [
            (
                format!("{named}&ResourceType=Cluster"),
                "InvalidParameterCombination",
            ),
            (
                format!("{named}&MaxRecords=10"),
                "InvalidParameterCombination",
            ),
            ("&ResourceType=Table".to_owned(), "InvalidParameterValue"),
            ("&MaxRecords=9".to_owned(), "InvalidParameterValue"),
            ("&MaxRecords=51".to_owned(), "InvalidParameterValue"),
            ("&TagKeys.TagKey.1=".to_owned(), "InvalidTagFault"),
            (
                format!("&ResourceName={ARN}:cluster:other"),
                "ResourceNotFoundFault",
            ),
        ] {
            assert_eq!(
                refusal(&mut account, 0, &format!("DescribeTags{form}")),
                code,
                "{form}"
            );
        }
    }

    #[test]
    fn ten_to_fifty_tags_make_a_page() {
        let mut account = account();
        let tags: String = (10..30)
            .map(|n| format!("&Tags.Tag.{n}.Key=k{n}"))
            .collect();
        let form = format!("CreateTags&ResourceName={ARN}:cluster:dw{tags}");
        call(&mut account, 0, &form).unwrap();
        let first = call(&mut account, 0, "DescribeTags&MaxRecords=12").unwrap();
        let marker = first.find(&["Marker"]).unwrap();
        let form = format!("DescribeTags&MaxRecords=12&Marker={marker}");
        let rest = call(&mut account, 0, &form).unwrap();
        let keys = [first.texts(&KEY), rest.texts(&KEY)];
        assert_eq!(keys.each_ref().map(Vec::len), [12, 8]);
        assert_eq!(keys[1][0], "k22");
        assert_eq!(rest.find(&["Marker"]), None);
    }
}
