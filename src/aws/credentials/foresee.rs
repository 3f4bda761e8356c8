//! What is wrong with the sources of credentials, before anybody is asked for them.
//!
//! Owns: what `redkeep check` says of them. Never runs a command and never sends anything.

use super::chain::{Base, Chain, resolve};
use super::{Lacking, Made, PROFILE, environment, in_files, no_keys, sts, unsupported};
use crate::aws::files::{self, Files};
use crate::config::Problem;
use crate::policy::CredentialSource;

/// What is wrong with where the credentials of an identity begin, as far as nobody has to be asked; and whether the
/// environment itself names what is not there.
pub async fn foreseen(identity: &CredentialSource) -> Option<(Problem, bool)> {
    let is_wrong = match &identity.profile {
        Some(name) => of_profile(name, true).await.err()?,
        None => {
            let named = match environment::keys() {
                Ok(Some(_)) => return None,
                Ok(None) => environment::sound(PROFILE, Made::Text),
                Err(lacking) => Err(lacking),
            };
            let named = match named {
                Ok(named) => named,
                Err(lacking) => return Some((lacking.told, true)),
            };
            let name = named.as_deref().unwrap_or("default");
            let lacking = of_profile(name, false).await.err()?;
            return Some((lacking.told, named.is_some()));
        }
    };
    Some((is_wrong.told, false))
}

/// What cannot be used of a profile; that it says nothing of credentials, where they `must` be there.
async fn of_profile(name: &str, must: bool) -> Result<(), Lacking> {
    let Files { profiles, .. } = files::read().await?;
    match resolve(&profiles, name).map_err(in_files)? {
        None if must => Err(no_keys(name)),
        Some(Chain {
            base: Base::Sso(_),
            profile,
            ..
        }) => Err(unsupported(profile)),
        Some(Chain {
            base: Base::WebIdentity { token_file, .. },
            ..
        }) => sts::token(token_file).map(drop).map_err(|why| {
            Lacking::new(format!(
                "the web_identity_token_file of the profile {name:?} {why}"
            ))
        }),
        _ => Ok(()),
    }
}
