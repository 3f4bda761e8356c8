//! Who asks, and for which region: the credential scope of a Signature Version 4 header.
//!
//! Owns: reading `Credential=AKID/date/region/service/aws4_request`. Never checks a signature and never
//! knows a secret: any access key is let in, so the sandbox must listen on loopback only.

use super::error::{ApiError, Code};
use super::operations::Service;

const SCHEME: &str = "AWS4-HMAC-SHA256";

/// The part of the header that the sandbox uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CredentialScope {
    /// The region the request is meant for.
    pub region: String,
    /// The service it is signed for.
    pub service: String,
}

impl CredentialScope {
    /// Reads the `Authorization` header.
    ///
    /// `MissingAuthenticationToken` without one, `IncompleteSignature` when it has no whole scope.
    pub fn from_header(header: Option<&str>) -> Result<Self, ApiError> {
        let Some(header) = header else {
            let message = "Request is missing Authentication Token";
            return Err(ApiError::new(Code::MissingAuthenticationToken, message));
        };
        Self::parse(header).ok_or_else(|| {
            let message = "Authorization header requires a 'Credential' parameter of the form \
                           KEY/DATE/REGION/SERVICE/aws4_request.";
            ApiError::new(Code::IncompleteSignature, message)
        })
    }

    /// `SignatureDoesNotMatch` unless the request is signed for `service`.
    pub fn require_service(&self, service: Service) -> Result<(), ApiError> {
        let wanted = service.signing_name();
        if self.service == wanted {
            return Ok(());
        }
        let message = format!("Credential should be scoped to correct service: '{wanted}'.");
        Err(ApiError::new(Code::SignatureDoesNotMatch, message))
    }

    fn parse(header: &str) -> Option<Self> {
        let credential = header
            .strip_prefix(SCHEME)?
            .split(',')
            .find_map(|part| part.trim().strip_prefix("Credential="))?;
        let mut parts = credential.split('/');
        let mut part = || {
            parts
                .next()
                .filter(|part| !part.is_empty())
                .map(str::to_owned)
        };
        let (_access_key, _date, region, service) = (part()?, part()?, part()?, part()?);
        (part()? == "aws4_request").then_some(Self { region, service })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_region_comes_from_the_credential_scope() {
        let header = "AWS4-HMAC-SHA256 Credential=AKID/20261124/eu-central-1/redshift/aws4_request, \
                      SignedHeaders=host, Signature=00";
        let scope = CredentialScope::from_header(Some(header)).unwrap();
        assert_eq!(scope.region, "eu-central-1");
        assert_eq!(scope.require_service(Service::Redshift), Ok(()));
        assert_eq!(
            scope.require_service(Service::Sts).unwrap_err().code,
            "SignatureDoesNotMatch"
        );
    }

    #[test]
    fn a_missing_and_a_broken_header_are_told_apart() {
        let code = |header| CredentialScope::from_header(header).unwrap_err().code;
        assert_eq!(code(None), "MissingAuthenticationToken");
        for header in [
            "Basic x",
            "AWS4-HMAC-SHA256 Credential=a/b/c/d",
            "AWS4-HMAC-SHA256 Credential=a//c/d/aws4_request",
        ] {
            assert_eq!(code(Some(header)), "IncompleteSignature", "{header}");
        }
    }
}
