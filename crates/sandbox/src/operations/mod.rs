//! The operations: one table row and one file each.
//!
//! Owns: which operation belongs to which service and version, and whether it reads or writes. Never does
//! I/O: an operation is a function of the account, the request and the instant in it. A writing operation
//! checks everything before it changes anything, so a refusal leaves the account as it was.

mod assume_role;
mod batch_delete_cluster_snapshots;
mod batch_modify_cluster_snapshots;
mod create_cluster;
mod create_cluster_snapshot;
mod delete_cluster;
mod delete_cluster_snapshot;
mod describe_cluster_snapshots;
mod describe_clusters;
mod describe_events;
mod describe_tags;
mod get_caller_identity;
mod modify_cluster;
mod modify_cluster_snapshot;
mod pause_resume;
mod tags;

use std::ops::RangeInclusive;

use chrono::{DateTime, Utc};

use super::account::Account;
use super::cloud::Cloud;
use super::error::{ApiError, Code};
use super::page::{self, PageRequest};
use super::query::Params;
use super::role::Caller;
use super::xml::Element;

/// One request, with everything an operation may know.
#[derive(Debug, Clone)]
pub struct Request {
    /// From the credential scope.
    pub region: String,
    /// From the body or the query string.
    pub params: Params,
    /// When it is carried out.
    pub now: DateTime<Utc>,
    /// What a fault rule does to it.
    pub twist: Modifier,
}

impl Request {
    /// Reads `MaxRecords` and `Marker`; `InvalidParameterValue` when they are not allowed.
    fn page(&self) -> Result<PageRequest, ApiError> {
        self.page_of(page::RECORDS)
    }

    /// The same for a listing with other pages.
    fn page_of(&self, records: RangeInclusive<i64>) -> Result<PageRequest, ApiError> {
        let page = PageRequest::from_params(&self.params, records)?;
        match self.twist {
            Modifier::LoopMarker => Ok(page.restarted()),
            _ => Ok(page),
        }
    }
}

/// How a fault rule bends an operation from the inside; other faults strike outside of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Modifier {
    /// It does not.
    None,
    /// A new snapshot fails when it would have completed; the text becomes part of the event.
    FailSnapshot {
        /// Why.
        reason: String,
    },
    /// A new snapshot never ends.
    StuckSnapshot,
    /// A new snapshot is invisible to every Describe for so long, as if the service lagged behind itself.
    LateSnapshot {
        /// How long.
        seconds: u32,
    },
    /// A listing begins again from its start whatever the Marker says, and so gives the same one for ever.
    LoopMarker,
}

/// The members of the result, or a refusal.
pub type Outcome = Result<Vec<Element>, ApiError>;

/// An AWS service with its Query version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// Amazon Redshift, version 2012-12-01.
    Redshift,
    /// Security Token Service, version 2011-06-15.
    Sts,
}

impl Service {
    /// The name in a credential scope.
    pub fn signing_name(self) -> &'static str {
        match self {
            Self::Redshift => "redshift",
            Self::Sts => "sts",
        }
    }

    /// The service that a request is signed for, as far as that shows in its refusal.
    pub fn from_signing_name(name: &str) -> Self {
        match name {
            "sts" => Self::Sts,
            _ => Self::Redshift,
        }
    }

    /// The namespace of its answers.
    pub fn namespace(self) -> &'static str {
        match self {
            Self::Redshift => "http://redshift.amazonaws.com/doc/2012-12-01/",
            Self::Sts => "https://sts.amazonaws.com/doc/2011-06-15/",
        }
    }

    /// The service whose Query version this is.
    pub fn from_version(version: &str) -> Option<Self> {
        match version {
            "2012-12-01" => Some(Self::Redshift),
            "2011-06-15" => Some(Self::Sts),
            _ => None,
        }
    }
}

/// What an operation does to the caller's account.
#[derive(Debug, Clone, Copy)]
pub enum Effect {
    /// Only looks.
    Reads(fn(&Account, &Request) -> Outcome),
    /// May change it.
    Writes(fn(&mut Account, &Request) -> Outcome),
    /// Only looks at who asks.
    Identifies(fn(&Caller, &Request) -> Outcome),
    /// May let somebody into another account.
    Grants(fn(&mut Cloud, &Caller, &Request) -> Outcome),
}

/// One row of the table.
#[derive(Debug)]
pub struct Operation {
    /// The service it belongs to.
    pub service: Service,
    /// The value of `Action`.
    pub name: &'static str,
    /// How it is carried out.
    pub effect: Effect,
}

const OPERATIONS: &[Operation] = &[
    sts("AssumeRole", Effect::Grants(assume_role::run)),
    redshift(
        "BatchDeleteClusterSnapshots",
        Effect::Writes(batch_delete_cluster_snapshots::run),
    ),
    redshift(
        "BatchModifyClusterSnapshots",
        Effect::Writes(batch_modify_cluster_snapshots::run),
    ),
    redshift("CreateCluster", Effect::Writes(create_cluster::run)),
    redshift(
        "CreateClusterSnapshot",
        Effect::Writes(create_cluster_snapshot::run),
    ),
    redshift("CreateTags", Effect::Writes(tags::create)),
    redshift("DeleteCluster", Effect::Writes(delete_cluster::run)),
    redshift(
        "DeleteClusterSnapshot",
        Effect::Writes(delete_cluster_snapshot::run),
    ),
    redshift("DeleteTags", Effect::Writes(tags::delete)),
    redshift(
        "DescribeClusterSnapshots",
        Effect::Reads(describe_cluster_snapshots::run),
    ),
    redshift("DescribeClusters", Effect::Reads(describe_clusters::run)),
    redshift("DescribeEvents", Effect::Reads(describe_events::run)),
    redshift("DescribeTags", Effect::Reads(describe_tags::run)),
    sts(
        "GetCallerIdentity",
        Effect::Identifies(get_caller_identity::run),
    ),
    redshift("ModifyCluster", Effect::Writes(modify_cluster::run)),
    redshift(
        "ModifyClusterSnapshot",
        Effect::Writes(modify_cluster_snapshot::run),
    ),
    redshift("PauseCluster", Effect::Writes(pause_resume::pause)),
    redshift("ResumeCluster", Effect::Writes(pause_resume::resume)),
];

const fn redshift(name: &'static str, effect: Effect) -> Operation {
    Operation {
        service: Service::Redshift,
        name,
        effect,
    }
}

const fn sts(name: &'static str, effect: Effect) -> Operation {
    Operation {
        service: Service::Sts,
        name,
        effect,
    }
}

/// A snapshot that an operation on many could not be carried out on.
struct BatchError {
    /// Its name, as it was asked for.
    snapshot: String,
    /// The cluster's, if it was asked for.
    cluster: Option<String>,
    error: ApiError,
}

/// The answer to an operation on many snapshots.
fn batch_answer(done: &[String], errors: &[BatchError]) -> Vec<Element> {
    let done = done.iter().map(|name| Element::text("String", name));
    let errors = errors.iter().map(|one| {
        let cluster = one.cluster.as_ref();
        let members = [Element::text("SnapshotIdentifier", &one.snapshot)]
            .into_iter()
            .chain(cluster.map(|name| Element::text("SnapshotClusterIdentifier", name)))
            .chain([
                Element::text("FailureCode", &one.error.code),
                Element::text("FailureReason", &one.error.message),
            ]);
        Element::group("SnapshotErrorMessage", members.collect())
    });
    vec![
        Element::group("Resources", done.collect()),
        Element::group("Errors", errors.collect()),
    ]
}

/// The refusal for a list that has no member.
fn missing(parameter: &str) -> ApiError {
    let message = format!("The request must contain the parameter {parameter}.");
    ApiError::new(Code::MissingParameter, message)
}

/// The operation that `Action` and `Version` name.
///
/// `MissingAction` without an Action; `InvalidAction` when that version has no such operation here.
pub fn find(params: &Params) -> Result<&'static Operation, ApiError> {
    let action = params.optional("Action").ok_or_else(|| {
        ApiError::new(
            Code::MissingAction,
            "The request must contain the parameter Action.",
        )
    })?;
    let version = params.optional("Version").unwrap_or_default();
    let service = Service::from_version(version);
    OPERATIONS
        .iter()
        .find(|operation| operation.name == action && Some(operation.service) == service)
        .ok_or_else(|| {
            let message = format!("Could not find operation {action} for version {version}.");
            ApiError::new(Code::InvalidAction, message)
        })
}

#[cfg(test)]
pub(crate) mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::account::AccountLimits;
    use crate::cluster::Cluster;

    pub(crate) const REGION: &str = "eu-central-1";

    /// 2026-11-24T00:00:00Z.
    pub(crate) fn start() -> DateTime<Utc> {
        DateTime::from_timestamp(1_795_478_400, 0).unwrap()
    }

    /// An account with the cluster `dw` in [`REGION`].
    pub(crate) fn account() -> Account {
        let mut account = Account::new("123456789012".to_owned(), AccountLimits::default());
        let cluster = Cluster::with_defaults("dw", REGION, start());
        account
            .region_mut(REGION, start())
            .clusters
            .insert("dw".to_owned(), cluster);
        account
    }

    /// Carries out `Action=…&…` so many seconds after the start.
    pub(crate) fn call(
        account: &mut Account,
        seconds: i64,
        form: &str,
    ) -> Result<Element, ApiError> {
        call_with(account, seconds, form, Modifier::None)
    }

    pub(crate) fn call_with(
        account: &mut Account,
        seconds: i64,
        form: &str,
        twist: Modifier,
    ) -> Result<Element, ApiError> {
        let params = Params::parse(format!("Version=2012-12-01&Action={form}").as_bytes());
        let operation = find(&params)?;
        let request = Request {
            region: REGION.to_owned(),
            params,
            now: start() + TimeDelta::seconds(seconds),
            twist,
        };
        let members = match operation.effect {
            Effect::Reads(run) => run(account, &request),
            Effect::Writes(run) => run(account, &request),
            Effect::Identifies(_) | Effect::Grants(_) => {
                unreachable!("these have tests of their own")
            }
        };
        members.map(|members| Element::group("Result", members))
    }

    /// The code of the refusal.
    pub(crate) fn refusal(account: &mut Account, seconds: i64, form: &str) -> String {
        match call(account, seconds, form) {
            Ok(result) => format!("no refusal but {result:?}"),
            Err(error) => error.code,
        }
    }

    #[test]
    fn the_documentation_has_a_row_of_every_operation() {
        let page = include_str!("../../../../docs/sandbox.md");
        let first_cells = page.lines().filter_map(|line| line.split('|').nth(1));
        let documented: Vec<&str> = first_cells
            .flat_map(|cell| cell.split(','))
            .map(|name| name.trim().trim_end_matches(" (STS)"))
            .collect();
        for operation in OPERATIONS {
            assert!(documented.contains(&operation.name), "{}", operation.name);
        }
    }

    #[test]
    fn an_operation_is_found_by_its_name_and_version() {
        let code = |form: &str| match find(&Params::parse(form.as_bytes())) {
            Ok(operation) => operation.name.to_owned(),
            Err(error) => error.code,
        };
        assert_eq!(
            code("Action=PauseCluster&Version=2012-12-01"),
            "PauseCluster"
        );
        assert_eq!(
            code("Action=PauseCluster&Version=2011-06-15"),
            "InvalidAction"
        );
        assert_eq!(code("Action=PauseCluster"), "InvalidAction");
        assert_eq!(code("Action=Pause&Version=2012-12-01"), "InvalidAction");
        assert_eq!(code("Version=2012-12-01"), "MissingAction");
    }
}
