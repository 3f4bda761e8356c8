//! DescribeClusters.
//!
//! Checked: MaxRecords, Marker, ClusterIdentifier (case-sensitive; not together with Marker), TagKeys and
//! TagValues (either-or). Ordered by identifier. Not modelled: anything beyond the members that `Cluster` answers.

use super::{Outcome, Request};
use crate::account::{Account, cluster_not_found};
use crate::error::{ApiError, Code};
use crate::tag::TagFilter;
use crate::xml::Element;

/// Lists clusters.
///
/// Errors: ClusterNotFound for a name that is not there, InvalidTagFault, InvalidParameterCombination,
/// InvalidParameterValue.
pub fn run(account: &Account, request: &Request) -> Outcome {
    let page = request.page()?;
    let wanted = request.params.optional("ClusterIdentifier");
    if wanted.is_some() && page.has_marker() {
        let message = "You can specify either the ClusterIdentifier parameter or the Marker parameter, but not both.";
        return Err(ApiError::new(Code::InvalidParameterCombination, message));
    }
    let tags = TagFilter::from_params(&request.params)?;
    let region = account.region_at(&request.region, request.now);
    if let Some(identifier) = wanted
        && !region.has_cluster(identifier, request.now)
    {
        return Err(cluster_not_found(identifier));
    }
    let clusters = region
        .clusters_at(request.now)
        .filter(|cluster| wanted.is_none_or(|identifier| cluster.cluster_identifier == identifier))
        .filter(|cluster| tags.admits(&cluster.tags))
        .map(|cluster| (cluster.cluster_identifier.clone(), cluster))
        .collect();
    let page = page.cut(clusters, &format!("DescribeClusters {}", request.region))?;
    let elements = page
        .records
        .iter()
        .map(|cluster| cluster.element(account, &request.region, request.now))
        .collect();
    let marker = page.marker.map(|marker| Element::text("Marker", marker));
    Ok(marker
        .into_iter()
        .chain([Element::group("Clusters", elements)])
        .collect())
}

#[cfg(test)]
mod tests {
    use super::super::tests::{account, call, refusal};

    #[test]
    fn a_name_that_is_not_there_is_an_error_and_a_tag_that_matches_nothing_is_not() {
        let mut account = account();
        assert_eq!(
            refusal(&mut account, 0, "DescribeClusters&ClusterIdentifier=DW"),
            "ClusterNotFound"
        );
        let none = call(&mut account, 0, "DescribeClusters&TagKeys.TagKey.1=env").unwrap();
        assert_eq!(
            none.find(&["Clusters", "Cluster", "ClusterIdentifier"]),
            None
        );
    }

    #[test]
    fn a_name_and_a_marker_exclude_one_another() {
        let code = refusal(
            &mut account(),
            0,
            "DescribeClusters&ClusterIdentifier=dw&Marker=x",
        );
        assert_eq!(code, "InvalidParameterCombination");
    }
}
