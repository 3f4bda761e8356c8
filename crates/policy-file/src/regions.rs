//! The regions of AWS that are known by name.
//!
//! Owns: the doubt about a region that nobody knows, which is a slip more often than a region that is new. Never
//! refuses one: AWS opens regions, and an endpoint of one's own may call them anything.

use super::Endpoint;
use super::error::quoted;
use super::path::KeyPath;
use super::raw::RawAccount;
use super::report::Report;
use redkeep_core::problem::Problem;
use redkeep_core::suggest::suggestion;

/// The regions of all partitions, as the AWS SDK's endpoint rules list them (November 2026).
const KNOWN: [&str; 46] = [
    "af-south-1",
    "ap-east-1",
    "ap-east-2",
    "ap-northeast-1",
    "ap-northeast-2",
    "ap-northeast-3",
    "ap-south-1",
    "ap-south-2",
    "ap-southeast-1",
    "ap-southeast-2",
    "ap-southeast-3",
    "ap-southeast-4",
    "ap-southeast-5",
    "ap-southeast-6",
    "ap-southeast-7",
    "ca-central-1",
    "ca-west-1",
    "eu-central-1",
    "eu-central-2",
    "eu-north-1",
    "eu-south-1",
    "eu-south-2",
    "eu-west-1",
    "eu-west-2",
    "eu-west-3",
    "il-central-1",
    "me-central-1",
    "me-south-1",
    "mx-central-1",
    "sa-east-1",
    "us-east-1",
    "us-east-2",
    "us-west-1",
    "us-west-2",
    "cn-north-1",
    "cn-northwest-1",
    "eusc-de-east-1",
    "us-iso-east-1",
    "us-iso-west-1",
    "us-isob-east-1",
    "us-isob-west-1",
    "eu-isoe-west-1",
    "us-isof-east-1",
    "us-isof-south-1",
    "us-gov-east-1",
    "us-gov-west-1",
];

/// Warns of every region of an account that AWS is not known to have.
pub(super) fn doubt(endpoint: Option<&Endpoint>, accounts: &[RawAccount], report: &mut Report) {
    if endpoint.is_some_and(|endpoint| *endpoint != Endpoint::Aws) {
        return;
    }
    for (index, account) in accounts.iter().enumerate() {
        let path = KeyPath::top("account").item(index).key("regions");
        let regions = account.regions.iter().flatten().enumerate();
        for (index, region) in regions.filter_map(|(index, text)| Some((index, text.as_ref()?))) {
            if !KNOWN.contains(&region.as_str()) {
                let text = format!("AWS is not known to have a region {}", quoted(region));
                let problem = Problem::from(text).and_hint(suggestion(region, KNOWN));
                report.warn(&path.item(index), problem);
            }
        }
    }
}
