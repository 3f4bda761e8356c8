//! Who asks, when, and for which region: the parts of a Signature Version 4.
//!
//! Owns: reading them from the headers or, of a presigned request, from the query string, that none is
//! missing, and that the date is near the present. Never computes a signature and never knows a secret: any
//! signature is let in, so the sandbox must listen on loopback only.

use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};

use super::error::{ApiError, Code};
use super::operations::Service;
use super::query::Params;

const SCHEME: &str = "AWS4-HMAC-SHA256";
const DATE_FORM: &str = "%Y%m%dT%H%M%SZ";

/// How far the date of a request may be off (Redshift API Reference, "Common Errors", *RequestExpired*).
const SKEW_MAX: TimeDelta = TimeDelta::minutes(15);

/// The longest life of a presigned request, a week.
const PRESIGNED_SECONDS_MAX: i64 = 604_800;

/// The parts of a signature that the sandbox uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// Whose key it is signed with.
    pub access_key: String,
    /// The region the request is meant for.
    pub region: String,
    /// The service it is signed for.
    pub service: String,
    /// What goes with the key when it is a temporary one.
    pub security_token: Option<String>,
    /// The date of the request.
    signed_at: DateTime<Utc>,
    /// The same, but later for a presigned request.
    valid_until: DateTime<Utc>,
}

impl Credential {
    /// Reads the headers, or the query string when it names an algorithm.
    ///
    /// `MissingAuthenticationToken` when neither is signed, `IncompleteSignature` when a part is missing or
    /// cannot be read.
    pub fn read<'a>(
        header: impl Fn(&'static str) -> Option<&'a str>,
        query: &'a Params,
    ) -> Result<Self, ApiError> {
        if query.raw("X-Amz-Algorithm").is_some() {
            return Self::from_query(query);
        }
        let Some(authorization) = header("authorization") else {
            let message = "Request is missing Authentication Token";
            return Err(ApiError::new(Code::MissingAuthenticationToken, message));
        };
        let part = |name: &str| {
            let parts = authorization.strip_prefix(SCHEME)?.split(',');
            let mut pairs = parts.filter_map(|part| part.trim().split_once('='));
            pairs.find_map(|(key, value)| (key == name).then_some(value))
        };
        let scope = scope(part("Credential"))?;
        require_parts(part("SignedHeaders"), part("Signature"))?;
        let signed_at = match (header("x-amz-date"), header("date")) {
            (Some(text), _) => basic_date(text)?,
            (None, Some(text)) => http_date(text)?,
            (None, None) => return Err(incomplete("X-Amz-Date")),
        };
        Ok(scope.dated(header("x-amz-security-token"), signed_at, 0))
    }

    /// `RequestExpired` when the request comes more than 15 minutes before or after its date, or the end of
    /// its life when it is presigned.
    pub fn require_fresh(&self, now: DateTime<Utc>) -> Result<(), ApiError> {
        let shown = |instant: DateTime<Utc>| instant.format(DATE_FORM).to_string();
        let (earliest, latest) = (self.signed_at - SKEW_MAX, self.valid_until + SKEW_MAX);
        let message = if now > latest {
            let (until, limit) = (shown(self.valid_until), shown(now - SKEW_MAX));
            format!(
                "Signature expired: {until} is now earlier than {limit} ({} - 15 min.)",
                shown(now)
            )
        } else if now < earliest {
            let (from, limit) = (shown(self.signed_at), shown(now + SKEW_MAX));
            format!(
                "Signature not yet current: {from} is still later than {limit} ({} + 15 min.)",
                shown(now)
            )
        } else {
            return Ok(());
        };
        Err(ApiError::new(Code::RequestExpired, message))
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

    fn from_query(query: &Params) -> Result<Self, ApiError> {
        let part = |name: &str| query.optional(name);
        if part("X-Amz-Algorithm") != Some(SCHEME) {
            return Err(incomplete("X-Amz-Algorithm"));
        }
        let scope = scope(part("X-Amz-Credential"))?;
        require_parts(part("X-Amz-SignedHeaders"), part("X-Amz-Signature"))?;
        let signed_at = basic_date(part("X-Amz-Date").unwrap_or_default())?;
        let seconds = part("X-Amz-Expires")
            .and_then(|text| text.parse().ok())
            .filter(|seconds| (1..=PRESIGNED_SECONDS_MAX).contains(seconds))
            .ok_or_else(|| incomplete("X-Amz-Expires"))?;
        Ok(scope.dated(part("X-Amz-Security-Token"), signed_at, seconds))
    }
}

/// `AKID/date/region/service/aws4_request`, without the date.
struct Scope<'a> {
    access_key: &'a str,
    region: &'a str,
    service: &'a str,
}

impl Scope<'_> {
    fn dated(self, token: Option<&str>, signed_at: DateTime<Utc>, seconds: i64) -> Credential {
        Credential {
            access_key: self.access_key.to_owned(),
            region: self.region.to_owned(),
            service: self.service.to_owned(),
            security_token: token.map(str::to_owned),
            signed_at,
            valid_until: signed_at + TimeDelta::seconds(seconds),
        }
    }
}

fn scope(credential: Option<&str>) -> Result<Scope<'_>, ApiError> {
    credential
        .and_then(parse_scope)
        .ok_or_else(|| incomplete("Credential"))
}

fn parse_scope(credential: &str) -> Option<Scope<'_>> {
    let parts: Vec<&str> = credential.split('/').collect();
    let [access_key, date, region, service, "aws4_request"] = parts[..] else {
        return None;
    };
    let whole = [access_key, date, region, service]
        .iter()
        .all(|part| !part.is_empty());
    whole.then_some(Scope {
        access_key,
        region,
        service,
    })
}

fn require_parts(signed_headers: Option<&str>, signature: Option<&str>) -> Result<(), ApiError> {
    for (name, part) in [("SignedHeaders", signed_headers), ("Signature", signature)] {
        if part.is_none_or(str::is_empty) {
            return Err(incomplete(name));
        }
    }
    Ok(())
}

fn basic_date(text: &str) -> Result<DateTime<Utc>, ApiError> {
    let parsed = NaiveDateTime::parse_from_str(text, DATE_FORM);
    parsed.map(|date| date.and_utc()).map_err(|_| {
        let message = format!("Date must be in ISO-8601 'basic format'. Got '{text}'.");
        ApiError::new(Code::IncompleteSignature, message)
    })
}

fn http_date(text: &str) -> Result<DateTime<Utc>, ApiError> {
    let parsed = DateTime::parse_from_rfc2822(text);
    parsed
        .map(|date| date.to_utc())
        .map_err(|_| incomplete("X-Amz-Date"))
}

fn incomplete(part: &str) -> ApiError {
    let message = match part {
        "Credential" => "Authorization header requires a 'Credential' parameter of the form \
                         KEY/DATE/REGION/SERVICE/aws4_request."
            .to_owned(),
        "X-Amz-Date" => "Authorization header requires existence of either a 'X-Amz-Date' or a \
                         'Date' header."
            .to_owned(),
        part => format!("The signature requires a valid '{part}' parameter."),
    };
    ApiError::new(Code::IncompleteSignature, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    const AUTHORIZATION: &str = "AWS4-HMAC-SHA256 Credential=AKID/20261124/eu-central-1/redshift/aws4_request, \
                                 SignedHeaders=host, Signature=00";
    const DATE: &str = "20261124T000000Z";

    fn read(authorization: Option<&str>, date: Option<&str>) -> Result<Credential, ApiError> {
        let header = |name| match name {
            "authorization" => authorization,
            "x-amz-date" => date,
            _ => None,
        };
        Credential::read(header, &Params::default())
    }

    fn presigned(change: (&str, &str)) -> Result<Credential, ApiError> {
        let form = format!(
            "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKID/20261124/eu-central-1/redshift/aws4_request\
             &X-Amz-Date={DATE}&X-Amz-Expires=60&X-Amz-SignedHeaders=host&X-Amz-Signature=00"
        );
        Credential::read(
            |_| None,
            &Params::parse(form.replace(change.0, change.1).as_bytes()),
        )
    }

    fn after(seconds: i64) -> DateTime<Utc> {
        basic_date(DATE).unwrap() + TimeDelta::seconds(seconds)
    }

    #[test]
    fn who_asks_for_what_is_read_from_the_header_and_from_the_query_string() {
        for credential in [read(Some(AUTHORIZATION), Some(DATE)), presigned(("", ""))] {
            let credential = credential.unwrap();
            assert_eq!(
                (credential.access_key.as_str(), credential.region.as_str()),
                ("AKID", "eu-central-1")
            );
            assert_eq!(credential.require_service(Service::Redshift), Ok(()));
            let other = credential.require_service(Service::Sts).unwrap_err();
            assert_eq!(other.code, "SignatureDoesNotMatch");
        }
    }

    #[test]
    fn an_absent_signature_and_a_broken_one_are_told_apart() {
        fn code(authorization: Option<&str>, date: Option<&str>) -> String {
            read(authorization, date).unwrap_err().code
        }
        assert_eq!(code(None, Some(DATE)), "MissingAuthenticationToken");
        let whole = AUTHORIZATION;
        for broken in [
            "Basic x".to_owned(),
            whole.replace("/aws4_request", ""),
            whole.replace("20261124", ""),
            whole.replace("SignedHeaders", "Headers"),
            whole.replace("Signature=00", "Signature="),
            whole.replace("SHA256", "SHA1"),
        ] {
            assert_eq!(
                code(Some(&broken), Some(DATE)),
                "IncompleteSignature",
                "{broken}"
            );
        }
        for date in [None, Some("2026-11-24T00:00:00Z")] {
            assert_eq!(code(Some(whole), date), "IncompleteSignature", "{date:?}");
        }
        for change in [
            ("HMAC", "ECDSA"),
            ("X-Amz-Signature", "X"),
            ("Expires=60", "Expires=604801"),
            ("X-Amz-Date", "X"),
        ] {
            assert_eq!(
                presigned(change).unwrap_err().code,
                "IncompleteSignature",
                "{change:?}"
            );
        }
    }

    #[test]
    fn a_request_is_good_for_15_minutes_around_its_date() {
        let signed = read(Some(AUTHORIZATION), Some(DATE)).unwrap();
        for seconds in [-900, 0, 900] {
            assert_eq!(signed.require_fresh(after(seconds)), Ok(()), "{seconds}");
        }
        for (seconds, text) in [(901, "is now earlier than"), (-901, "is still later than")] {
            let error = signed.require_fresh(after(seconds)).unwrap_err();
            assert_eq!((error.code.as_str(), error.status), ("RequestExpired", 400));
            assert!(error.message.contains(text), "{}", error.message);
        }
        let presigned = presigned(("", "")).unwrap();
        assert_eq!(presigned.require_fresh(after(960)), Ok(()));
        assert!(presigned.require_fresh(after(961)).is_err());
    }

    #[test]
    fn the_date_header_counts_where_there_is_no_other() {
        let header = |name| match name {
            "authorization" => Some(AUTHORIZATION),
            "date" => Some("Tue, 24 Nov 2026 00:00:00 GMT"),
            _ => None,
        };
        let credential = Credential::read(header, &Params::default()).unwrap();
        assert_eq!(credential.signed_at, after(0));
    }
}
