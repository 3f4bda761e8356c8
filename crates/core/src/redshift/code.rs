//! AWS's codes, and what follows from each.
//!
//! Owns: the table of codes. Never knows the SDK: a code is a text.

use super::ErrorClass;

/// Every code that redkeep knows, with its class: from the API model, "Common errors" of the Redshift API
/// reference, and what AWS's other services send for the same causes.
const CODES: &[(&str, ErrorClass)] = &[
    ("ClusterSnapshotAlreadyExists", ErrorClass::AlreadyExists),
    ("InvalidClusterState", ErrorClass::ClusterState),
    ("ClusterNotFound", ErrorClass::ClusterNotFound),
    ("ClusterSnapshotNotFound", ErrorClass::SnapshotNotFound),
    ("ClusterSnapshotQuotaExceeded", ErrorClass::Quota),
    ("TagLimitExceededFault", ErrorClass::Invalid),
    ("InvalidTagFault", ErrorClass::Invalid),
    ("InvalidRetentionPeriodFault", ErrorClass::Invalid),
    ("InvalidParameterValue", ErrorClass::Invalid),
    ("InvalidParameterCombination", ErrorClass::Invalid),
    ("MissingParameter", ErrorClass::Invalid),
    ("ValidationError", ErrorClass::Invalid),
    ("InvalidQueryParameter", ErrorClass::Invalid),
    ("MalformedQueryString", ErrorClass::Invalid),
    ("Throttling", ErrorClass::Throttled),
    ("ThrottlingException", ErrorClass::Throttled),
    ("ThrottledException", ErrorClass::Throttled),
    ("RequestLimitExceeded", ErrorClass::Throttled),
    ("RequestThrottled", ErrorClass::Throttled),
    ("RequestThrottledException", ErrorClass::Throttled),
    ("TooManyRequestsException", ErrorClass::Throttled),
    ("SlowDown", ErrorClass::Throttled),
    ("ServiceUnavailable", ErrorClass::Throttled),
    (
        "DependentServiceRequestThrottlingFault",
        ErrorClass::Throttled,
    ),
    ("DependentServiceUnavailableFault", ErrorClass::Throttled),
    ("AccessDenied", ErrorClass::AccessDenied),
    ("AccessDeniedException", ErrorClass::AccessDenied),
    ("UnauthorizedOperation", ErrorClass::AccessDenied),
    ("NotAuthorized", ErrorClass::AccessDenied),
    ("OptInRequired", ErrorClass::AccessDenied),
    ("DependentServiceAccessDenied", ErrorClass::AccessDenied),
    ("ExpiredToken", ErrorClass::Credentials),
    ("ExpiredTokenException", ErrorClass::Credentials),
    ("InvalidClientTokenId", ErrorClass::Credentials),
    ("InvalidToken", ErrorClass::Credentials),
    ("UnrecognizedClientException", ErrorClass::Credentials),
    ("MissingAuthenticationToken", ErrorClass::Credentials),
    ("AuthFailure", ErrorClass::Credentials),
    ("SignatureDoesNotMatch", ErrorClass::ClockSkew),
    ("RequestExpired", ErrorClass::ClockSkew),
    ("RequestTimeTooSkewed", ErrorClass::ClockSkew),
    ("InvalidSignatureException", ErrorClass::ClockSkew),
    ("InternalFailure", ErrorClass::Unknown),
];

/// The code as the table has it, with its class.
pub fn known(code: &str) -> Option<&'static (&'static str, ErrorClass)> {
    CODES.iter().find(|(known, _)| *known == code)
}

/// A code's class. An answer without a code, and a server's fault, say nothing of what was done.
pub fn error_class(code: Option<&str>, status: u16) -> ErrorClass {
    match code {
        None | Some("") => ErrorClass::Unknown,
        Some(code) => match known(code) {
            Some((_, class)) => *class,
            None if status >= 500 => ErrorClass::Unknown,
            None => ErrorClass::Other,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redshift::Operation;

    #[test]
    fn each_documented_error_of_the_create_call_has_its_class() {
        let cases = [
            ("ClusterSnapshotAlreadyExists", ErrorClass::AlreadyExists),
            ("InvalidClusterState", ErrorClass::ClusterState),
            ("ClusterNotFound", ErrorClass::ClusterNotFound),
            ("ClusterSnapshotQuotaExceeded", ErrorClass::Quota),
            ("TagLimitExceededFault", ErrorClass::Invalid),
            ("InvalidTagFault", ErrorClass::Invalid),
            ("InvalidRetentionPeriodFault", ErrorClass::Invalid),
        ];
        for (code, expected) in cases {
            assert_eq!(error_class(Some(code), 400), expected, "{code}");
        }
    }

    #[test]
    fn every_code_that_the_metrics_begin_with_is_one_that_they_can_have() {
        for operation in Operation::ALL {
            for code in operation
                .codes()
                .filter(|code| !["ok", "other"].contains(code))
            {
                assert!(known(code).is_some(), "{operation:?} {code}");
            }
        }
    }

    #[test]
    fn an_answer_that_does_not_say_what_was_done_leaves_the_outcome_open() {
        assert_eq!(error_class(None, 502), ErrorClass::Unknown);
        assert_eq!(
            error_class(Some("InternalFailure"), 500),
            ErrorClass::Unknown
        );
        assert_eq!(error_class(None, 200), ErrorClass::Unknown);
    }

    #[test]
    fn a_refusal_with_a_code_that_nobody_knows_is_not_taken_for_permanent() {
        assert_eq!(error_class(Some("SomethingNew"), 400), ErrorClass::Other);
        assert_eq!(
            error_class(Some("ServiceUnavailable"), 503),
            ErrorClass::Throttled
        );
    }
}
