//! CreateCluster.
//!
//! Checked: ClusterIdentifier, NodeType, MasterUsername (all required), the password or
//! ManageMasterPassword, DBName, ClusterType with NumberOfNodes, Port, both retention periods, tags,
//! the name, the limit of clusters. Not modelled: networks, security groups, encryption keys, IAM roles,
//! versions, maintenance.

use super::{Outcome, Request};
use crate::account::Account;
use crate::cluster::{Cluster, ClusterState};
use crate::error::{ApiError, Code};
use crate::query::{Params, invalid_value};
use crate::{names, retention, tag};

/// The valid values of NodeType in the API model.
const NODE_TYPES: [&str; 10] = [
    "dc2.large",
    "dc2.8xlarge",
    "rg.large",
    "rg.xlarge",
    "rg.4xlarge",
    "rg.12xlarge",
    "ra3.large",
    "ra3.xlplus",
    "ra3.4xlarge",
    "ra3.16xlarge",
];

/// The most nodes any documented node type takes.
const NODES_MAX: i64 = 128;

/// Begins to make a cluster.
///
/// Errors: ClusterAlreadyExists, ClusterQuotaExceeded, the faults of tags and retention periods, and
/// InvalidParameterValue, InvalidParameterCombination or MissingParameter.
pub fn run(account: &mut Account, request: &Request) -> Outcome {
    let mut cluster = cluster(request)?;
    let limits = account.limits.clone();
    let region = account.region_mut(&request.region, request.now);
    if region.is_taken(&cluster.cluster_identifier) {
        let message = format!("Cluster {} already exists.", cluster.cluster_identifier);
        return Err(ApiError::new(Code::ClusterAlreadyExists, message));
    }
    if region.clusters.len() >= usize::try_from(limits.clusters).unwrap_or(usize::MAX) {
        let message = format!(
            "You can have at most {} clusters in a region.",
            limits.clusters
        );
        return Err(ApiError::new(Code::ClusterQuotaExceeded, message));
    }
    cluster.state = ClusterState::Creating {
        until: limits.cluster_done_at(request.now),
    };
    region
        .clusters
        .insert(cluster.cluster_identifier.clone(), cluster.clone());
    Ok(vec![cluster.element(account, &request.region, request.now)])
}

/// The cluster that the parameters describe.
fn cluster(request: &Request) -> Result<Cluster, ApiError> {
    let params = &request.params;
    let identifier = names::cluster_identifier(params.required("ClusterIdentifier")?)?;
    let mut cluster = Cluster::with_defaults(&identifier, &request.region, request.now);
    let properties = &mut cluster.properties;
    node_type(params)?.clone_into(&mut properties.node_type);
    master_username(params)?.clone_into(&mut properties.master_username);
    password(params)?;
    properties.number_of_nodes = number_of_nodes(params)?;
    properties.db_name = db_name(params)?;
    if let Some(port) = params.integer("Port")? {
        properties.port = u16::try_from(port)
            .ok()
            .filter(|port| (1150..=65_535).contains(port))
            .ok_or_else(|| {
                invalid_value("Port", &port.to_string(), "it must be from 1150 to 65535")
            })?;
    }
    if let Some(zone) = params.optional("AvailabilityZone") {
        zone.clone_into(&mut properties.availability_zone);
    }
    if let Some(encrypted) = params.boolean("Encrypted")? {
        properties.encrypted = encrypted;
    }
    if let Some(routing) = params.boolean("EnhancedVpcRouting")? {
        properties.enhanced_vpc_routing = routing;
    }
    if let Some(days) = retention::automated(params)? {
        cluster.automated_snapshot_retention_days = days;
    }
    if let Some(days) = retention::manual(params)? {
        cluster.manual_snapshot_retention_days = days;
    }
    cluster.tags = tag::from_params(params)?;
    Ok(cluster)
}

fn node_type(params: &Params) -> Result<&str, ApiError> {
    let node_type = params.required("NodeType")?;
    if NODE_TYPES.contains(&node_type) {
        return Ok(node_type);
    }
    let wanted = format!("it must be one of {}", NODE_TYPES.join(", "));
    Err(invalid_value("NodeType", node_type, &wanted))
}

/// 1 to 128 lower-case letters, digits and `_+.@-`, first a letter, not `public`.
fn master_username(params: &Params) -> Result<&str, ApiError> {
    let name = params.required("MasterUsername")?;
    let well_formed = (1..=128).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "_+.@-".contains(c))
        && name != "public";
    if well_formed {
        Ok(name)
    } else {
        let wanted =
            "it must have 1 to 128 lower-case letters, digits or _+.@-, and begin with a letter";
        Err(invalid_value("MasterUsername", name, wanted))
    }
}

/// Either ManageMasterPassword or a password.
fn password(params: &Params) -> Result<(), ApiError> {
    let managed = params.boolean("ManageMasterPassword")?.unwrap_or(false);
    let Some(password) = params.raw("MasterUserPassword") else {
        return if managed {
            Ok(())
        } else {
            params.required("MasterUserPassword").map(drop)
        };
    };
    if managed {
        let message = "You can't use MasterUserPassword if ManageMasterPassword is true.";
        return Err(ApiError::new(Code::InvalidParameterCombination, message));
    }
    check_password(password)
}

/// 8 to 64 printable characters with an upper-case letter, a lower-case letter and a digit. The value is never
/// kept and never repeated in a message.
pub(super) fn check_password(password: &str) -> Result<(), ApiError> {
    let well_formed = (8..=64).contains(&password.len())
        && password
            .chars()
            .all(|c| (' '..='~').contains(&c) && !"'\"\\/@ ".contains(c))
        && password.contains(|c: char| c.is_ascii_uppercase())
        && password.contains(|c: char| c.is_ascii_lowercase())
        && password.contains(|c: char| c.is_ascii_digit());
    if well_formed {
        Ok(())
    } else {
        let wanted = "it must have 8 to 64 printable characters but '\"\\/@ and space, among them an \
                      upper-case letter, a lower-case letter and a digit";
        Err(invalid_value("MasterUserPassword", "***", wanted))
    }
}

/// One node unless `ClusterType` is `multi-node`, which needs NumberOfNodes of at least 2.
fn number_of_nodes(params: &Params) -> Result<u32, ApiError> {
    let nodes = params.integer("NumberOfNodes")?;
    let range = match params.optional("ClusterType") {
        Some("single-node") => 1..=1,
        Some("multi-node") => 2..=NODES_MAX,
        None => 1..=NODES_MAX,
        Some(other) => {
            return Err(invalid_value(
                "ClusterType",
                other,
                "it must be single-node or multi-node",
            ));
        }
    };
    let nodes = match nodes {
        Some(nodes) => nodes,
        None if range.contains(&1) => 1,
        None => {
            let message = "NumberOfNodes is required when ClusterType is multi-node.";
            return Err(ApiError::new(Code::InvalidParameterCombination, message));
        }
    };
    u32::try_from(nodes)
        .ok()
        .filter(|_| range.contains(&nodes))
        .ok_or_else(|| {
            let wanted = format!("it must be from {} to {}", range.start(), range.end());
            invalid_value("NumberOfNodes", &nodes.to_string(), &wanted)
        })
}

/// 1 to 64 lower-case letters and digits; `dev` by default.
fn db_name(params: &Params) -> Result<String, ApiError> {
    let Some(name) = params.optional("DBName") else {
        return Ok("dev".to_owned());
    };
    let letters = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if name.len() <= 64 && name.chars().all(letters) {
        Ok(name.to_owned())
    } else {
        Err(invalid_value(
            "DBName",
            name,
            "it must have 1 to 64 lower-case letters and digits",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{account, call, refusal};

    const GOOD: &str = "CreateCluster&NodeType=ra3.large&MasterUsername=admin&MasterUserPassword=Passw0rd\
                        &ClusterType=single-node";

    #[test]
    fn a_new_cluster_is_creating_and_then_available() {
        let mut account = account();
        let form = format!("{GOOD}&ClusterIdentifier=new&Tags.Tag.1.Key=env&Tags.Tag.1.Value=prod");
        let made = call(&mut account, 0, &form).unwrap();
        assert_eq!(made.find(&["Cluster", "ClusterStatus"]), Some("creating"));
        assert_eq!(
            made.find(&["Cluster", "Tags", "Tag", "Value"]),
            Some("prod")
        );
        let seen = call(&mut account, 5, "DescribeClusters&ClusterIdentifier=new").unwrap();
        assert_eq!(
            seen.find(&["Clusters", "Cluster", "ClusterStatus"]),
            Some("available")
        );
    }

    #[test]
    fn what_the_documentation_forbids_is_refused_with_its_code() {
        let mut account = account();
        for (form, code) in [
            ("&ClusterIdentifier=dw", "ClusterAlreadyExists"),
            ("", "MissingParameter"),
            ("&ClusterIdentifier=Dw", "InvalidParameterValue"),
            ("&ClusterIdentifier=a&Port=80", "InvalidParameterValue"),
            (
                "&ClusterIdentifier=a&NumberOfNodes=2",
                "InvalidParameterValue",
            ),
            ("&ClusterIdentifier=a&DBName=Dev", "InvalidParameterValue"),
            (
                "&ClusterIdentifier=a&ManageMasterPassword=true",
                "InvalidParameterCombination",
            ),
            (
                "&ClusterIdentifier=a&ManualSnapshotRetentionPeriod=0",
                "InvalidRetentionPeriodFault",
            ),
            (
                "&ClusterIdentifier=a&AutomatedSnapshotRetentionPeriod=36",
                "InvalidRetentionPeriodFault",
            ),
            (
                "&ClusterIdentifier=a&Tags.Tag.1.Key=aws:x",
                "InvalidTagFault",
            ),
        ] {
            assert_eq!(
                refusal(&mut account, 0, &format!("{GOOD}{form}")),
                code,
                "{form}"
            );
        }
        let weak = "CreateCluster&ClusterIdentifier=a&NodeType=ra3.large&MasterUsername=admin&MasterUserPassword=weak";
        assert_eq!(refusal(&mut account, 0, weak), "InvalidParameterValue");
    }

    #[test]
    fn the_limit_of_clusters_holds() {
        let mut account = account();
        account.limits.clusters = 1;
        let code = refusal(&mut account, 0, &format!("{GOOD}&ClusterIdentifier=new"));
        assert_eq!(code, "ClusterQuotaExceeded");
    }
}
