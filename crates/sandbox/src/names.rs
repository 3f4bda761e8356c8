//! The documented forms of identifiers.
//!
//! Owns: the rules of CreateClusterSnapshot and CreateCluster for names. Never looks whether a name is
//! taken. The rules are written out here a second time on purpose: the daemon has its own, and a sandbox
//! that borrowed them would agree with their mistakes.

use super::error::ApiError;
use super::query::invalid_value;

const SNAPSHOT_CHARS_MAX: usize = 255;
const CLUSTER_CHARS_MAX: usize = 63;
const WANTED: &str = "it must consist of letters, digits and hyphens, begin with a letter, not end with \
                      a hyphen, and hold no two hyphens in a row";

/// The partition of AWS that a region is in ("Amazon Resource Names (ARNs)").
pub fn partition(region: &str) -> &'static str {
    const BY_PREFIX: [(&str, &str); 7] = [
        ("cn-", "aws-cn"),
        ("us-gov-", "aws-us-gov"),
        ("eusc-", "aws-eusc"),
        ("us-iso-", "aws-iso"),
        ("us-isob-", "aws-iso-b"),
        ("eu-isoe-", "aws-iso-e"),
        ("us-isof-", "aws-iso-f"),
    ];
    let mut known = BY_PREFIX.iter();
    let known = known.find(|(prefix, _)| region.starts_with(prefix));
    known.map_or("aws", |(_, partition)| partition)
}

/// A SnapshotIdentifier, stored in lower case because the service does not tell cases apart.
///
/// 1 to 255 letters, digits and hyphens (CreateClusterSnapshot, *SnapshotIdentifier*);
/// `InvalidParameterValue` otherwise.
pub fn snapshot_identifier(raw: &str) -> Result<String, ApiError> {
    check("SnapshotIdentifier", raw, SNAPSHOT_CHARS_MAX)?;
    Ok(raw.to_ascii_lowercase())
}

/// A ClusterIdentifier for a new cluster.
///
/// 1 to 63 characters, lower case only (CreateCluster, *ClusterIdentifier*);
/// `InvalidParameterValue` otherwise.
pub fn cluster_identifier(raw: &str) -> Result<String, ApiError> {
    cluster_identifier_named("ClusterIdentifier", raw)
}

/// The same rule for a parameter of another name, as ModifyCluster has it.
pub fn cluster_identifier_named(parameter: &str, raw: &str) -> Result<String, ApiError> {
    check(parameter, raw, CLUSTER_CHARS_MAX)?;
    if raw.contains(|c: char| c.is_ascii_uppercase()) {
        return Err(invalid_value(parameter, raw, "letters must be lower case"));
    }
    Ok(raw.to_owned())
}

fn check(parameter: &str, raw: &str, chars_max: usize) -> Result<(), ApiError> {
    if raw.is_empty() || raw.len() > chars_max {
        let wanted = format!("it must have 1 to {chars_max} characters");
        return Err(invalid_value(parameter, raw, &wanted));
    }
    let well_formed = raw.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
        && raw.starts_with(|c: char| c.is_ascii_alphabetic())
        && !raw.ends_with('-')
        && !raw.contains("--");
    if well_formed {
        Ok(())
    } else {
        Err(invalid_value(parameter, raw, WANTED))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_outside_the_documented_form_are_refused() {
        let long = "a".repeat(256);
        for raw in [
            "", " ", "1a", "-a", "a-", "a--b", "a_b", "a.b", "rs:a", "ä", &long,
        ] {
            assert!(snapshot_identifier(raw).is_err(), "{raw}");
        }
    }

    #[test]
    fn a_snapshot_name_is_kept_in_lower_case_and_a_cluster_name_must_be_so() {
        assert_eq!(snapshot_identifier("My-Snap1").as_deref(), Ok("my-snap1"));
        assert_eq!(
            snapshot_identifier(&"a".repeat(255)).map(|id| id.len()),
            Ok(255)
        );
        assert!(cluster_identifier("Dw").is_err());
        assert!(cluster_identifier(&"a".repeat(64)).is_err());
        assert_eq!(cluster_identifier("dw-1").as_deref(), Ok("dw-1"));
    }
}
