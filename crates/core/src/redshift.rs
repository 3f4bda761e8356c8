//! The seam to Redshift: what redkeep asks of the service, in redkeep's own types.
//!
//! Owns: the trait that the daemon calls and the operations (`operation`), the description of a cluster, and the classes of
//! refusal. Never
//! names the SDK (that is `aws`) and never decides what follows from an answer (that is `run` and `reply`).

mod code;
mod operation;

use chrono::{DateTime, Utc};

use crate::names::{ClusterId, Retention, Tags};
use crate::snapshot::SnapshotId;

pub use code::{error_class, known};
pub use operation::{Operation, Redshift};

/// A cluster as DescribeClusters describes it, as far as redkeep looks at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cluster {
    /// ClusterIdentifier.
    pub id: ClusterId,
    /// ClusterStatus, in AWS's words.
    pub status: String,
    /// ClusterCreateTime: a cluster recreated under the same name is another cluster.
    pub created_at: Option<DateTime<Utc>>,
    /// The cluster's tags.
    pub tags: Tags,
    /// The account that owns it, as ClusterNamespaceArn tells: a cluster is never shared.
    pub account_number: Option<String>,
}

/// Everything that CreateClusterSnapshot takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateRequest {
    /// SnapshotIdentifier.
    pub snapshot_id: SnapshotId,
    /// ClusterIdentifier.
    pub cluster: ClusterId,
    /// ManualSnapshotRetentionPeriod, always explicit.
    pub retention: Retention,
    /// Tags, in the call itself.
    pub tags: Tags,
}

/// An event of a snapshot (DescribeEvents).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotEvent {
    /// EventId; one that ends in 3503 says that a snapshot failed.
    pub id: String,
    /// AWS's text.
    pub message: String,
}

/// What became of a call, and the time that AWS gave with its answer.
#[derive(Debug, Clone)]
pub struct Answer<T> {
    /// The result of the call.
    pub result: Result<T, RedshiftError>,
    /// What the answer told about AWS's clock.
    pub server_date: ServerDate,
    /// How many requests were sent for it: one for each page.
    pub requests: u32,
}

impl<T> Answer<T> {
    /// The same answer with another result.
    pub fn map_to<U>(self, result: Result<U, RedshiftError>) -> Answer<U> {
        Answer {
            result,
            server_date: self.server_date,
            requests: self.requests,
        }
    }
}

/// The `Date` of the last answer (RFC 9110, section 6.6.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerDate {
    /// No answer arrived.
    NoAnswer,
    /// The answer had no `Date`.
    Undated,
    /// The answer was made at this instant.
    At(DateTime<Utc>),
}

/// Why a call to Redshift did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.told())]
pub struct RedshiftError {
    /// What follows from it.
    pub class: ErrorClass,
    /// AWS's code, where it gave one.
    pub code: Option<String>,
    /// AWS's own message, or what the transport said.
    pub message: String,
}

impl RedshiftError {
    /// Code and message as one text.
    pub fn told(&self) -> String {
        match &self.code {
            Some(code) => format!("{code}: {}", self.message),
            None => self.message.clone(),
        }
    }
}

/// The classes of refusal that lead to different conduct (docs/semantics.md, table of error classes).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ErrorClass {
    /// Throttled, or a dependent service throttled or unavailable: refused for now.
    Throttled,
    /// The request may or may not have been carried out: timeout, reset, 5xx, an answer that cannot be read.
    Unknown,
    /// The request never left: no connection, no name, no credentials.
    Unsent,
    /// InvalidClusterState.
    ClusterState,
    /// ClusterSnapshotAlreadyExists.
    AlreadyExists,
    /// ClusterSnapshotQuotaExceeded.
    Quota,
    /// ClusterNotFound.
    ClusterNotFound,
    /// ClusterSnapshotNotFound.
    SnapshotNotFound,
    /// Not authorised.
    AccessDenied,
    /// The credentials are expired or unknown.
    Credentials,
    /// The signature's time is off.
    ClockSkew,
    /// The request is wrong and stays wrong: tags, retention, other validation.
    Invalid,
    /// A code that redkeep does not know.
    Other,
}

impl ErrorClass {
    /// Whether what was refused passes by itself, so that the same call may soon be made again.
    pub fn is_transient(self) -> bool {
        matches!(self, Self::Throttled | Self::Unknown | Self::Unsent)
    }
}

/// What a look for one name has found: where there is none of the name, AWS answers with an error.
///
/// # Errors
/// Any other error.
pub fn found_by_name<T>(answer: Result<Vec<T>, RedshiftError>) -> Result<Vec<T>, RedshiftError> {
    match answer {
        Err(error) if error.class == ErrorClass::SnapshotNotFound => Ok(Vec::new()),
        answer => answer,
    }
}
