//! Credentials that STS gives: for a role that is assumed, with other credentials or with a token of another identity
//! provider.
//!
//! Owns: the two calls, at the endpoint of the settings that they are given. Never tries twice.

use std::fs::File;
use std::io::Read;
use std::time::SystemTime;

use aws_config::SdkConfig;
use aws_sdk_redshift::config::{Credentials, IdentityCache, SharedCredentialsProvider};
use aws_sdk_redshift::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sts::Client;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;

use super::Lacking;
use super::chain::Step;
use crate::aws::translate;
use crate::config::ambient::{Made, flaw};

/// A larger file is no token.
const BYTES_MAX: u64 = 64 << 10;

/// The credentials of the role, which `with` may assume; `session` is the name of a session that has none.
pub(super) async fn assumed(
    settings: &SdkConfig,
    with: Credentials,
    role: Step<'_>,
    session: &str,
) -> Result<Credentials, Lacking> {
    let settings = settings
        .to_builder()
        .credentials_provider(SharedCredentialsProvider::new(with))
        .identity_cache(IdentityCache::no_cache())
        .build();
    sound(role)?;
    let call = Client::new(&settings)
        .assume_role()
        .role_arn(role.arn)
        .set_external_id(role.external_id.map(str::to_owned))
        .role_session_name(role.session_name.unwrap_or(session));
    let answer = call.send().await.map_err(|error| refused(role, error))?;
    given(answer.credentials, role)
}

/// The credentials of the role for whoever has the token in the file; `named_by` is what names the file.
pub(super) async fn for_token(
    settings: &SdkConfig,
    (file, named_by): (&str, &str),
    role: Step<'_>,
    session: &str,
) -> Result<Credentials, Lacking> {
    sound(role)?;
    let token = token(file).map_err(|why| Lacking::new(format!("the file of {named_by} {why}")))?;
    let call = Client::new(settings)
        .assume_role_with_web_identity()
        .role_arn(role.arn)
        .role_session_name(role.session_name.unwrap_or(session))
        .web_identity_token(token);
    let answer = call.send().await.map_err(|error| refused(role, error))?;
    given(answer.credentials, role)
}

/// The text of a file with a token; the line break that an editor puts at its end is no part of it.
pub(super) fn token(path: &str) -> Result<String, String> {
    let mut text = String::new();
    let file = File::open(path).and_then(|file| file.take(BYTES_MAX).read_to_string(&mut text));
    file.map_err(|error| format!("cannot be read: {error}"))?;
    let token = text.trim_end_matches(['\n', '\r']);
    match flaw(token, Made::Word) {
        Some(flaw) => Err(format!("has a token that {flaw}")),
        None if token.is_empty() => Err("is empty".to_owned()),
        None => Ok(token.to_owned()),
    }
}

fn sound(role: Step<'_>) -> Result<(), Lacking> {
    let parts = [
        ("ARN", Some(role.arn)),
        ("external id", role.external_id),
        ("session name", role.session_name),
    ];
    let flaws = parts.iter().filter_map(|(part, text)| {
        let flaw = flaw((*text)?, Made::Word)?;
        Some(format!("the {part} of a role {flaw}"))
    });
    flaws.map(Lacking::new).next().map_or(Ok(()), Err)
}

fn refused<E>(role: Step<'_>, error: SdkError<E, HttpResponse>) -> Lacking
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    let error = translate::error(error);
    Lacking::because(
        error.class,
        format!("the role {} cannot be assumed: {}", role.arn, error.told()),
    )
}

fn given(
    credentials: Option<aws_sdk_sts::types::Credentials>,
    role: Step<'_>,
) -> Result<Credentials, Lacking> {
    let expires_at =
        |given: &aws_sdk_sts::types::Credentials| SystemTime::try_from(given.expiration).ok();
    let given = credentials.and_then(|given| Some((expires_at(&given)?, given)));
    let Some((expires_at, given)) = given else {
        let told = format!("STS gave no credentials for the role {}", role.arn);
        return Err(Lacking::new(told));
    };
    Ok(Credentials::new(
        given.access_key_id,
        given.secret_access_key,
        Some(given.session_token),
        Some(expires_at),
        "sts",
    ))
}
