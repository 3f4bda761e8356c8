//! What the control plane refuses, in the words and codes of the wire.
//!
//! Owns: the error codes this sandbox can answer, each with its HTTP status, from the API model
//! (`redshift/2012-12-01`) and from the list of errors common to all Query services. Never decides
//! when one applies: that is the operations' part.

/// A refusal as the client sees it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct ApiError {
    /// The code on the wire, for example `ClusterNotFound`; not the name of the SDK's type.
    pub code: String,
    /// The HTTP status.
    pub status: u16,
    /// The text for people.
    pub message: String,
}

impl ApiError {
    /// A refusal with one of the documented codes.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        let (wire, status) = code.wire();
        Self {
            code: wire.to_owned(),
            status,
            message: message.into(),
        }
    }
}

/// The codes this sandbox answers by its own judgement; a fault rule can answer any other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// The role may not be assumed, or not in this way.
    AccessDenied,
    /// More than 100 snapshots to delete at once.
    BatchDeleteRequestSizeExceeded,
    /// More than 100 snapshots to modify at once.
    BatchModifyClusterSnapshotsLimitExceeded,
    /// The cluster's name is taken.
    ClusterAlreadyExists,
    /// There is no such cluster.
    ClusterNotFound,
    /// The region's limit of clusters is reached.
    ClusterQuotaExceeded,
    /// The snapshot's name is taken, whatever cluster holds it.
    ClusterSnapshotAlreadyExists,
    /// There is no such snapshot.
    ClusterSnapshotNotFound,
    /// The region's limit of manual snapshots is reached.
    ClusterSnapshotQuotaExceeded,
    /// The temporary credentials are over.
    ExpiredToken,
    /// A part of the signature is not there or could not be read.
    IncompleteSignature,
    /// The sandbox itself failed.
    InternalFailure,
    /// No such operation in that version.
    InvalidAction,
    /// Temporary credentials that nobody was given here.
    InvalidClientTokenId,
    /// The cluster is not exactly `available` (or, for ResumeCluster, not `paused`).
    InvalidClusterState,
    /// The snapshot is still `creating`.
    InvalidClusterSnapshotState,
    /// Two parameters that exclude one another, or one that lacks its partner.
    InvalidParameterCombination,
    /// A value outside its documented range or form.
    InvalidParameterValue,
    /// A retention period that is neither -1 nor 1 to 3,653 days.
    InvalidRetentionPeriod,
    /// A tag outside the documented rules.
    InvalidTag,
    /// Neither the query string nor the body names an operation.
    MissingAction,
    /// No signature, neither in the headers nor in the query string.
    MissingAuthenticationToken,
    /// A required parameter is absent.
    MissingParameter,
    /// The body is longer than the sandbox reads.
    RequestEntityTooLarge,
    /// The request is dated more than 15 minutes before or after the present.
    RequestExpired,
    /// The body did not arrive in time.
    RequestTimeout,
    /// An ARN that names nothing here.
    ResourceNotFound,
    /// The request is signed for another service.
    SignatureDoesNotMatch,
    /// More than 50 tags.
    TagLimitExceeded,
    /// A change that the real service makes and this one does not.
    UnsupportedOperation,
    /// A parameter of STS that is not there, or is outside its documented range or form.
    ValidationError,
}

impl Code {
    /// The code on the wire and its HTTP status.
    fn wire(self) -> (&'static str, u16) {
        match self {
            Self::AccessDenied => ("AccessDenied", 403),
            Self::BatchDeleteRequestSizeExceeded => ("BatchDeleteRequestSizeExceeded", 400),
            Self::BatchModifyClusterSnapshotsLimitExceeded => {
                ("BatchModifyClusterSnapshotsLimitExceededFault", 400)
            }
            Self::ClusterAlreadyExists => ("ClusterAlreadyExists", 400),
            Self::ClusterNotFound => ("ClusterNotFound", 404),
            Self::ClusterQuotaExceeded => ("ClusterQuotaExceeded", 400),
            Self::ClusterSnapshotAlreadyExists => ("ClusterSnapshotAlreadyExists", 400),
            Self::ClusterSnapshotNotFound => ("ClusterSnapshotNotFound", 404),
            Self::ClusterSnapshotQuotaExceeded => ("ClusterSnapshotQuotaExceeded", 400),
            Self::ExpiredToken => ("ExpiredToken", 403),
            Self::IncompleteSignature => ("IncompleteSignature", 400),
            Self::InternalFailure => ("InternalFailure", 500),
            Self::InvalidAction => ("InvalidAction", 400),
            Self::InvalidClientTokenId => ("InvalidClientTokenId", 403),
            Self::InvalidClusterState => ("InvalidClusterState", 400),
            Self::InvalidClusterSnapshotState => ("InvalidClusterSnapshotState", 400),
            Self::InvalidParameterCombination => ("InvalidParameterCombination", 400),
            Self::InvalidParameterValue => ("InvalidParameterValue", 400),
            Self::InvalidRetentionPeriod => ("InvalidRetentionPeriodFault", 400),
            Self::InvalidTag => ("InvalidTagFault", 400),
            Self::MissingAction => ("MissingAction", 400),
            Self::MissingAuthenticationToken => ("MissingAuthenticationToken", 403),
            Self::MissingParameter => ("MissingParameter", 400),
            Self::RequestEntityTooLarge => ("RequestEntityTooLarge", 413),
            Self::RequestExpired => ("RequestExpired", 400),
            Self::RequestTimeout => ("RequestTimeout", 408),
            Self::ResourceNotFound => ("ResourceNotFoundFault", 404),
            Self::SignatureDoesNotMatch => ("SignatureDoesNotMatch", 403),
            Self::TagLimitExceeded => ("TagLimitExceededFault", 400),
            Self::UnsupportedOperation => ("UnsupportedOperation", 400),
            Self::ValidationError => ("ValidationError", 400),
        }
    }
}
