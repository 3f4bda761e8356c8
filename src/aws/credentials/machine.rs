//! Credentials that the machine gives: a container's (ECS, EKS Pod Identity) and an instance's (EC2, IMDSv2).
//!
//! Owns: the SDK's two providers, with what they remember, and their errors in words: what they say themselves holds
//! whole answers. Never decides whether they are asked.

use std::error::Error;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_config::ecs::EcsCredentialsProvider;
use aws_config::imds;
use aws_config::imds::client::error::{ImdsError, TokenError};
use aws_config::imds::credentials::ImdsCredentialsProvider;
use aws_config::profile::Profile;
use aws_config::provider_config::ProviderConfig;
use aws_credential_types::provider::ProvideCredentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_redshift::config::Credentials;
use aws_sdk_redshift::error::SdkError;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;

use super::Lacking;
use super::environment::{set, sound};
use crate::aws::http;
use crate::config::ambient::{Made, flaw};

pub(super) const CONTAINER: &str =
    "the container credentials service (AWS_CONTAINER_CREDENTIALS_RELATIVE_URI or _FULL_URI)";
pub(super) const INSTANCE: &str = "the instance metadata service (IMDSv2)";

const CONTAINER_URIS: [&str; 2] = [
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
];
const TOKEN: &str = "AWS_CONTAINER_AUTHORIZATION_TOKEN";
const TOKEN_FILE: &str = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE";
const DISABLED: &str = "AWS_EC2_METADATA_DISABLED";
const ENDPOINT: &str = "AWS_EC2_METADATA_SERVICE_ENDPOINT";
const MODE: &str = "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE";

/// How long an answer of the instance's metadata is waited for; whether there is one at all shows in a second.
const SLOWEST_ANSWER: Duration = Duration::from_secs(5);
const ATTEMPTS: u32 = 2;

/// The two providers.
pub(super) struct Machine {
    container: EcsCredentialsProvider,
    /// Or what is wrong with its address.
    instance: Result<ImdsCredentialsProvider, String>,
}

impl Machine {
    /// `profile` may say where the instance's metadata are.
    pub(super) fn new(settings: &SdkConfig, profile: Option<&Profile>) -> Self {
        let config = ProviderConfig::without_region().with_region(settings.region().cloned());
        let config = match settings.http_client() {
            Some(client) => config.with_http_client(client),
            None => config,
        };
        Self {
            container: EcsCredentialsProvider::builder().configure(&config).build(),
            instance: instance(&config, profile),
        }
    }

    /// None where no variable says that there is a container.
    pub(super) async fn container(&self) -> Result<Option<Credentials>, Lacking> {
        let mut uri = None;
        for name in CONTAINER_URIS {
            uri = uri.or(sound(name, Made::Word)?.map(|_| name));
        }
        let Some(name) = uri else {
            return Ok(None);
        };
        heeded_though_empty(name)?;
        sound(TOKEN, Made::Text)?;
        if let Some(path) = sound(TOKEN_FILE, Made::Text)? {
            token_file(&path)
                .map_err(|why| Lacking::new(format!("the file of {TOKEN_FILE} {why}")))?;
        }
        let given = self.container.provide_credentials().await;
        given.map(Some).map_err(|error| {
            let told = plainly(&error);
            Lacking::new(format!("no credentials from {CONTAINER}: {told}"))
        })
    }

    /// The instance's, or why there are none.
    pub(super) async fn instance(&self) -> Result<Credentials, String> {
        if set(DISABLED).is_some_and(|value| value.eq_ignore_ascii_case("true")) {
            return Err(format!("switched off by {DISABLED}"));
        }
        sound(ENDPOINT, Made::Word).map_err(|lacking| lacking.told.to_string())?;
        let provider = self.instance.as_ref().map_err(Clone::clone)?;
        let given = provider.provide_credentials().await;
        given.map_err(|error| plainly(&error))
    }
}

fn instance(
    config: &ProviderConfig,
    profile: Option<&Profile>,
) -> Result<ImdsCredentialsProvider, String> {
    let said = |variable: &str, key: &str| {
        let of_profile = || {
            profile
                .and_then(|profile| profile.get(key))
                .map(str::to_owned)
        };
        set(variable).or_else(of_profile)
    };
    let mode = said(MODE, "ec2_metadata_service_endpoint_mode");
    let by_mode = match mode.as_deref().map(str::to_lowercase).as_deref() {
        None | Some("ipv4") => "http://169.254.169.254",
        Some("ipv6") => "http://[fd00:ec2::254]",
        Some(_) => return Err(format!("{MODE} is wrong: wanted IPv4 or IPv6")),
    };
    let endpoint = said(ENDPOINT, "ec2_metadata_service_endpoint");
    let client = imds::Client::builder()
        .configure(config)
        .endpoint(endpoint.as_deref().unwrap_or(by_mode))
        .map_err(|_| format!("{ENDPOINT} is not a URL"))?
        .read_timeout(SLOWEST_ANSWER)
        .max_attempts(ATTEMPTS)
        .build();
    Ok(ImdsCredentialsProvider::builder()
        .configure(config)
        .imds_client(client)
        .build())
}

/// What the SDK takes for set though it is empty.
fn heeded_though_empty(uri: &str) -> Result<(), Lacking> {
    let is_empty = |name: &&str| std::env::var_os(name).is_some() && set(name).is_none();
    let before = CONTAINER_URIS.iter().take_while(|name| **name != uri);
    let found = before.chain(&[TOKEN_FILE]).find(|name| is_empty(name));
    match found {
        Some(name) => Err(Lacking::new(format!("{name} is empty: unset it"))),
        None => Ok(()),
    }
}

/// What the SDK would refuse to send as a header, without saying whose it is.
fn token_file(path: &str) -> Result<(), String> {
    let token = std::fs::read(path).map_err(|error| format!("cannot be read: {error}"))?;
    let token = String::from_utf8(token).map_err(|_| "is not text in UTF-8".to_owned())?;
    match flaw(&token, Made::Text) {
        Some(flaw) => Err(flaw.to_owned()),
        None if token.is_empty() => Err("is empty".to_owned()),
        None => Ok(()),
    }
}

/// An error of one of the providers, without the frames that the SDK puts around it.
fn plainly(error: &CredentialsError) -> String {
    let frames = [
        "dispatch failure",
        "service error",
        "failed to load IMDS session token",
        "unhandled error",
        "io error",
        "other",
        "error trying to connect",
        "client error (Connect)",
    ];
    let mut told: Vec<String> = Vec::new();
    let mut cause = error.source();
    while let Some(inner) = cause {
        if let Some(status) = status(inner) {
            told.push(format!("it answers with HTTP status {status}"));
            break;
        }
        if http::is_kept_back(inner) {
            told.clear();
        }
        let text = inner.to_string();
        let is_frame = frames.contains(&text.as_str());
        if !is_frame && !told.iter().any(|before| before.contains(&text)) {
            told.push(text);
        }
        cause = inner.source();
    }
    let told = told.join(": ");
    let words: Vec<&str> = told.split_whitespace().collect();
    words.join(" ")
}

fn status(error: &(dyn Error + 'static)) -> Option<u16> {
    if let Some(ImdsError::ErrorResponse(context)) = error.downcast_ref() {
        return Some(context.response().status().as_u16());
    }
    if let Some(token) = error.downcast_ref::<SdkError<TokenError, HttpResponse>>() {
        let status = token.raw_response()?.status();
        return (!status.is_success()).then_some(status.as_u16());
    }
    let text = error.to_string();
    let (_, rest) =
        text.split_once("Non-success status from HTTP credential provider: StatusCode(")?;
    rest.trim_end_matches(')').parse().ok()
}
