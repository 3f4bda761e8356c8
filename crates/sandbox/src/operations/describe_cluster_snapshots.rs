//! DescribeClusterSnapshots.
//!
//! Checked: MaxRecords, Marker; SnapshotIdentifier and SnapshotArn exclude one another and
//! ClusterIdentifier (not documented, but observed); a name or ARN that is not there is
//! ClusterSnapshotNotFound, a cluster without snapshots is an empty list; SnapshotType, StartTime, EndTime,
//! OwnerAccount, TagKeys, TagValues, ClusterExists (true needs ClusterIdentifier), SortingEntities (one per
//! attribute). Ordered by identifier when nothing else is asked. Not modelled: automated snapshots and
//! those of other accounts, so asking for them answers an empty list.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use super::{Outcome, Request};
use crate::account::{Account, Region, snapshot_not_found};
use crate::error::{ApiError, Code};
use crate::query::{Params, invalid_value};
use crate::snapshot::Snapshot;
use crate::tag::TagFilter;
use crate::xml::Element;

/// Lists snapshots.
///
/// Errors: ClusterSnapshotNotFound, InvalidTagFault, InvalidParameterCombination, InvalidParameterValue.
pub fn run(account: &Account, request: &Request) -> Outcome {
    let page = request.page()?;
    let filter = Filter::from_params(&request.params)?;
    let order = Order::from_params(&request.params)?;
    let region = account.region_at(&request.region, request.now);
    let found: Vec<&Snapshot> = region
        .snapshots_at(request.now)
        .filter(|snapshot| filter.admits(account, &region, snapshot, request))
        .collect();
    if let (Some(name), true) = (filter.one_snapshot(), found.is_empty()) {
        return Err(snapshot_not_found(name));
    }
    let placed = found
        .into_iter()
        .map(|snapshot| (order.place(snapshot), snapshot))
        .collect();
    let scope = format!(
        "DescribeClusterSnapshots {} {}",
        request.region, order.spelling
    );
    let page = page.cut(placed, &scope)?;
    let elements = page
        .records
        .iter()
        .map(|snapshot| snapshot.element(account, &request.region, request.now))
        .collect();
    let marker = page.marker.map(|marker| Element::text("Marker", marker));
    Ok(marker
        .into_iter()
        .chain([Element::group("Snapshots", elements)])
        .collect())
}

/// Which snapshots are wanted.
struct Filter {
    snapshot_identifier: Option<String>,
    snapshot_arn: Option<String>,
    cluster_identifier: Option<String>,
    cluster_exists: Option<bool>,
    snapshot_type: Option<String>,
    owner_account: Option<String>,
    from: Option<DateTime<Utc>>,
    until: Option<DateTime<Utc>>,
    tags: TagFilter,
}

impl Filter {
    fn from_params(params: &Params) -> Result<Self, ApiError> {
        let text = |name: &str| params.optional(name).map(str::to_owned);
        let filter = Self {
            snapshot_identifier: text("SnapshotIdentifier").map(|name| name.to_ascii_lowercase()),
            snapshot_arn: text("SnapshotArn"),
            cluster_identifier: text("ClusterIdentifier"),
            cluster_exists: params.boolean("ClusterExists")?,
            snapshot_type: text("SnapshotType"),
            owner_account: text("OwnerAccount"),
            from: params.instant("StartTime")?,
            until: params.instant("EndTime")?,
            tags: TagFilter::from_params(params)?,
        };
        filter.check()?;
        Ok(filter)
    }

    fn check(&self) -> Result<(), ApiError> {
        let combination =
            |message: &str| Err(ApiError::new(Code::InvalidParameterCombination, message));
        let named = [
            &self.snapshot_identifier,
            &self.snapshot_arn,
            &self.cluster_identifier,
        ];
        if named.into_iter().flatten().count() > 1 {
            return combination(
                "Only one of SnapshotIdentifier, SnapshotArn and ClusterIdentifier can be given.",
            );
        }
        if self.cluster_exists == Some(true) && self.cluster_identifier.is_none() {
            return combination("ClusterIdentifier is required when ClusterExists is true.");
        }
        match self.snapshot_type.as_deref() {
            None | Some("manual" | "automated") => Ok(()),
            Some(other) => Err(invalid_value(
                "SnapshotType",
                other,
                "it must be automated or manual",
            )),
        }
    }

    /// The one snapshot that was asked for, if it was one.
    fn one_snapshot(&self) -> Option<&str> {
        self.snapshot_identifier
            .as_deref()
            .or(self.snapshot_arn.as_deref())
    }

    fn admits(
        &self,
        account: &Account,
        region: &Region,
        snapshot: &Snapshot,
        request: &Request,
    ) -> bool {
        let cluster = &snapshot.cluster_identifier;
        let is = |wanted: &Option<String>, got: &str| {
            wanted.as_deref().is_none_or(|wanted| wanted == got)
        };
        is(&self.snapshot_identifier, &snapshot.snapshot_identifier)
            && is(&self.snapshot_arn, &snapshot.arn(account, &request.region))
            && is(&self.cluster_identifier, cluster)
            && is(&self.snapshot_type, "manual")
            && is(&self.owner_account, &account.account_id)
            && self.from.is_none_or(|from| snapshot.created_at >= from)
            && self.until.is_none_or(|until| snapshot.created_at <= until)
            && self.tags.admits(&snapshot.tags)
            && self
                .cluster_exists
                .is_none_or(|wanted| wanted == region.has_cluster(cluster, request.now))
    }
}

/// The order that SortingEntities ask for; ties are broken by identifier.
struct Order {
    keys: Vec<(Attribute, Direction)>,
    /// Part of the marker's scope: a marker is a place in one order only.
    spelling: String,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Attribute {
    SourceType,
    TotalSize,
    CreateTime,
}

#[derive(Clone, Copy)]
enum Direction {
    Ascending,
    Descending,
}

impl Order {
    fn from_params(params: &Params) -> Result<Self, ApiError> {
        let entities = params.members("SortingEntities", "SnapshotSortingEntity");
        let mut keys = Vec::new();
        let mut seen = BTreeSet::new();
        for entity in &entities {
            let attribute = attribute(entity.get("Attribute").copied().unwrap_or_default())?;
            if !seen.insert(attribute) {
                let message = "Each attribute can be given only once in SortingEntities.";
                return Err(ApiError::new(Code::InvalidParameterCombination, message));
            }
            keys.push((attribute, direction(entity.get("SortOrder").copied())?));
        }
        Ok(Self {
            keys,
            spelling: format!("{entities:?}"),
        })
    }

    /// A text whose alphabetical order is this order: numbers are padded, and descending ones turned round.
    fn place(&self, snapshot: &Snapshot) -> String {
        let mut place = String::new();
        for (attribute, direction) in &self.keys {
            let value = match attribute {
                // Every snapshot here is manual.
                Attribute::SourceType => 0,
                Attribute::TotalSize => snapshot.total_megabytes(),
                Attribute::CreateTime => {
                    u64::try_from(snapshot.created_at.timestamp_millis()).unwrap_or_default()
                }
            };
            let value = match direction {
                Direction::Ascending => value,
                Direction::Descending => u64::MAX - value,
            };
            place.push_str(&format!("{value:020} "));
        }
        place + &snapshot.snapshot_identifier
    }
}

fn attribute(text: &str) -> Result<Attribute, ApiError> {
    match text {
        "SOURCE_TYPE" => Ok(Attribute::SourceType),
        "TOTAL_SIZE" => Ok(Attribute::TotalSize),
        "CREATE_TIME" => Ok(Attribute::CreateTime),
        other => {
            let wanted = "it must be SOURCE_TYPE, TOTAL_SIZE or CREATE_TIME";
            Err(invalid_value("Attribute", other, wanted))
        }
    }
}

fn direction(text: Option<&str>) -> Result<Direction, ApiError> {
    match text {
        None | Some("" | "ASC") => Ok(Direction::Ascending),
        Some("DESC") => Ok(Direction::Descending),
        Some(other) => Err(invalid_value("SortOrder", other, "it must be ASC or DESC")),
    }
}

#[cfg(test)]
mod tests;
