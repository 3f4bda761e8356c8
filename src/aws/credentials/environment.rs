//! Credentials in the environment.
//!
//! Owns: reading a variable: an empty one is not set. Never repeats a value.

use aws_sdk_redshift::config::Credentials;

use super::Lacking;
use crate::config::ambient::{ACCESS_KEY, Made, SECRET_KEYS, flaw};

/// The value of a variable that is set and not empty; what is not UTF-8 in it is U+FFFD.
pub(in crate::aws) fn set(name: &str) -> Option<String> {
    let value = std::env::var_os(name)?.to_string_lossy().into_owned();
    Some(value).filter(|value| !value.trim().is_empty())
}

/// The same, where it can be right.
pub(super) fn sound(name: &str, made: Made) -> Result<Option<String>, Lacking> {
    let value = set(name);
    match value.as_deref().and_then(|value| flaw(value, made)) {
        Some(flaw) => Err(Lacking::new(format!("the value of {name} {flaw}"))),
        None => Ok(value),
    }
}

/// The keys in the environment; none where there are none.
pub(super) fn keys() -> Result<Option<Credentials>, Lacking> {
    let access = sound(ACCESS_KEY, Made::Word)?;
    let secret = match sound(SECRET_KEYS[0], Made::Word)? {
        Some(secret) => Some(secret),
        None => sound(SECRET_KEYS[1], Made::Word)?,
    };
    let token = sound("AWS_SESSION_TOKEN", Made::Word)?;
    let half = |there: &str, lacking: &str| {
        Err(Lacking::new(format!(
            "{there} is set, and {lacking} is not"
        )))
    };
    match (access, secret) {
        (Some(access), Some(secret)) => Ok(Some(Credentials::new(
            access,
            secret,
            token,
            None,
            "environment",
        ))),
        (Some(_), None) => half(ACCESS_KEY, SECRET_KEYS[0]),
        (None, Some(_)) => half(SECRET_KEYS[0], ACCESS_KEY),
        (None, None) => Ok(None),
    }
}
