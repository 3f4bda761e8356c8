//! Tokens by which IAM lets a role into a database.
//!
//! Owns: making one, as Amazon RDS wants it ("IAM database authentication"): the signature of a request that is never sent. It
//! opens new connections for 15 minutes. Never keeps one.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_sigv4::http_request::{
    SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign,
};
use aws_sigv4::sign::v4::SigningParams;
use form_urlencoded::Serializer;

use super::connector::{Connector, Target};
use crate::clock::Clock;
use crate::names::Region;
use crate::policy::CredentialSource;
use crate::settings::{DEFAULT_NAMESPACE, Database};

const LIFETIME: Duration = Duration::from_secs(900);

/// The token for the first host of `database`, with the credentials that redkeep begins with. The error is for people, and
/// names no secret.
///
/// # Errors
/// Where there are no credentials, or no such region.
pub async fn database_token(
    database: &Database,
    region: &str,
    clock: Arc<dyn Clock>,
) -> Result<String, String> {
    let region: Region = region
        .parse()
        .map_err(|_| format!("{region:?} is not an AWS region"))?;
    let namespace = DEFAULT_NAMESPACE
        .parse()
        .map_err(|error| format!("{error}"))?;
    let now = clock.now();
    let connector = Connector::new(Target::Ambient, namespace, clock);
    let (_, finder) = connector
        .settings(&CredentialSource::default(), &region)
        .await;
    let credentials = finder
        .credentials()
        .await
        .map_err(|lacking| lacking.to_string())?;
    let (host, port) = database.hosts.first().ok_or("the database has no host")?;
    let request = format!(
        "{host}:{port}/?{}",
        Serializer::new(String::new())
            .append_pair("Action", "connect")
            .append_pair("DBUser", &database.user)
            .finish()
    );
    signed(&request, &region, credentials, now.into()).map_err(|error| error.to_string())
}

fn signed(
    request: &str,
    region: &Region,
    credentials: aws_credential_types::Credentials,
    now: SystemTime,
) -> Result<String, Box<dyn std::error::Error + Send + Sync>> {
    let mut settings = SigningSettings::default();
    settings.expires_in = Some(LIFETIME);
    settings.signature_location = SignatureLocation::QueryParams;
    let identity = credentials.into();
    let parameters = SigningParams::builder()
        .identity(&identity)
        .region(region.as_str())
        .name("rds-db")
        .time(now)
        .settings(settings)
        .build()?;
    let url = format!("https://{request}");
    let unsigned = SignableRequest::new("GET", &url, std::iter::empty(), SignableBody::Bytes(&[]))?;
    let (instructions, _) = sign(unsigned, &parameters.into())?.into_parts();
    let mut added = Serializer::new(String::new());
    for (name, value) in instructions.params() {
        added.append_pair(name, value);
    }
    Ok(format!("{request}&{}", added.finish()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_credential_types::Credentials;

    /// As `aws rds generate-db-auth-token` of the AWS CLI has it for these keys at this instant.
    #[test]
    fn a_token_is_the_one_of_the_aws_cli() {
        let keys = Credentials::new(
            "AKIDEXAMPLE",
            "secret/key",
            Some("a+b/c=".to_owned()),
            None,
            "test",
        );
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_478_400);
        let request = "db.example.com:5432/?Action=connect&DBUser=redkeep";
        let token = signed(request, &"eu-central-1".parse().unwrap(), keys, now).unwrap();
        let (place, query) = token.split_once("/?").unwrap();
        assert_eq!(place, "db.example.com:5432");
        let mut parts: Vec<&str> = query.split('&').collect();
        parts.sort_unstable();
        let mut wanted = [
            "Action=connect",
            "DBUser=redkeep",
            "X-Amz-Algorithm=AWS4-HMAC-SHA256",
            "X-Amz-Credential=AKIDEXAMPLE%2F20261124%2Feu-central-1%2Frds-db%2Faws4_request",
            "X-Amz-Date=20261124T000000Z",
            "X-Amz-Expires=900",
            "X-Amz-SignedHeaders=host",
            "X-Amz-Security-Token=a%2Bb%2Fc%3D",
            "X-Amz-Signature=8f9c8936ead69d9d10efda8f2d3bfa8c23552dc8358a098b3637da477d75921f",
        ];
        wanted.sort_unstable();
        assert_eq!(parts, wanted);
    }
}
