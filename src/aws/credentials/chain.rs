//! What a profile says of its credentials: where they begin, and which roles they lead to.
//!
//! Owns: the reading of a profile, in the order in which the SDK reads one, and what is wrong with it in words. Pure;
//! never looks for credentials.

use aws_config::profile::{Profile, ProfileSet};

use crate::config::Problem;
use crate::config::suggestion;

/// Where credentials begin, and the roles that they lead to, in order.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Chain<'a> {
    pub(super) base: Base<'a>,
    /// The profile that the base stands in.
    pub(super) profile: &'a str,
    pub(super) roles: Vec<Step<'a>>,
}

/// Where credentials begin.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Base<'a> {
    Keys(Keys<'a>),
    /// The variables of the environment.
    Environment,
    /// The container's credentials.
    Container,
    /// The instance's role.
    Instance,
    /// A command that prints them.
    Process(&'a str),
    WebIdentity {
        role: Step<'a>,
        token_file: &'a str,
    },
    Sso(Sso<'a>),
}

/// Keys in a profile.
#[derive(PartialEq, Eq)]
pub(super) struct Keys<'a> {
    pub(super) access: &'a str,
    pub(super) secret: &'a str,
    pub(super) token: Option<&'a str>,
}

impl std::fmt::Debug for Keys<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys")
    }
}

/// A role that is assumed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Step<'a> {
    pub(super) arn: &'a str,
    pub(super) external_id: Option<&'a str>,
    pub(super) session_name: Option<&'a str>,
}

/// A role of IAM Identity Center.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Sso<'a> {
    pub(super) account: &'a str,
    pub(super) role: &'a str,
    pub(super) region: &'a str,
    pub(super) start_url: &'a str,
    pub(super) session: Option<&'a str>,
}

/// What `credential_source` may say.
const SOURCES: [&str; 3] = ["Environment", "Ec2InstanceMetadata", "EcsContainer"];

/// Reads the profile `name`; `None` where it says nothing of credentials, or is `default` and not there.
pub(super) fn resolve<'a>(
    profiles: &'a ProfileSet,
    name: &'a str,
) -> Result<Option<Chain<'a>>, Problem> {
    let (mut name, mut seen, mut roles) = (name, Vec::new(), Vec::new());
    loop {
        let Some(profile) = profiles.get_profile(name) else {
            return missing(profiles, name, &seen);
        };
        if seen.contains(&name) {
            return Err(format!(
                "the profiles {} name each other in a circle (source_profile)",
                listed(&seen)
            )
            .into());
        }
        seen.push(name);
        let keys = (seen.len() > 1).then(|| keys(profile)).transpose()?;
        let (base, next) = match (keys.flatten(), role(profile)) {
            (Some(keys), _) => (Some(Base::Keys(keys)), None),
            (None, None) => (base(profiles, profile)?, None),
            (None, Some(step)) => {
                roles.push(step);
                match source(profile)? {
                    Some(next) => (None, Some(next)),
                    None => (base(profiles, profile)?, None),
                }
            }
        };
        match (base, next) {
            (_, Some(next)) => name = next,
            (Some(base), None) => {
                roles.reverse();
                return Ok(Some(Chain {
                    base,
                    profile: name,
                    roles,
                }));
            }
            (None, None) if seen.len() == 1 && roles.is_empty() => return Ok(None),
            (None, None) => {
                return Err(format!(
                    "the profile {name:?}, which is the source_profile of others, has no credentials"
                )
                .into());
            }
        }
    }
}

fn missing<'a>(
    profiles: &'a ProfileSet,
    name: &str,
    seen: &[&str],
) -> Result<Option<Chain<'a>>, Problem> {
    let text = match seen.last() {
        None if name == "default" => return Ok(None),
        None => format!("the profile {name:?} is not found"),
        Some(last) => {
            format!("the profile {name:?}, which is the source_profile of {last:?}, is not found")
        }
    };
    Err(Problem::from(text).and_hint(suggestion(name, profiles.profiles())))
}

fn listed(names: &[&str]) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("{name:?}")).collect();
    names.join(", ")
}

/// The role that a profile assumes with the credentials of another.
fn role(profile: &Profile) -> Option<Step<'_>> {
    let is_chained = profile.get("web_identity_token_file").is_none();
    step(profile).filter(|_| is_chained)
}

fn step(profile: &Profile) -> Option<Step<'_>> {
    Some(Step {
        arn: profile.get("role_arn")?,
        external_id: profile.get("external_id"),
        session_name: profile.get("role_session_name"),
    })
}

/// The profile that a role is assumed with; `None` for this one itself.
fn source(profile: &Profile) -> Result<Option<&str>, Problem> {
    let name = profile.name();
    match (
        profile.get("source_profile"),
        profile.get("credential_source"),
    ) {
        (Some(_), Some(_)) => Err(format!(
            "the profile {name:?} has source_profile and credential_source, wanted one of them"
        )
        .into()),
        (None, None) => Err(format!(
            "the profile {name:?} has a role_arn and neither source_profile nor credential_source"
        )
        .into()),
        (Some(source), None) => Ok(Some(source).filter(|source| *source != name)),
        (None, Some(_)) => Ok(None),
    }
}

fn base<'a>(profiles: &'a ProfileSet, profile: &'a Profile) -> Result<Option<Base<'a>>, Problem> {
    let name = profile.name();
    if let Some(source) = profile.get("credential_source") {
        let known = SOURCES.map(str::to_lowercase);
        let known = known.iter().position(|one| *one == source.to_lowercase());
        return match known {
            Some(0) => Ok(Some(Base::Environment)),
            Some(1) => Ok(Some(Base::Instance)),
            Some(2) => Ok(Some(Base::Container)),
            _ => Err(Problem::from(format!(
                "the profile {name:?} has the credential_source {source:?}, wanted one of {}",
                SOURCES.join(", ")
            ))
            .and_hint(suggestion(source, SOURCES))),
        };
    }
    if let Some(token_file) = profile.get("web_identity_token_file") {
        let role = step(profile).ok_or_else(|| {
            format!("the profile {name:?} has a web_identity_token_file and no role_arn")
        })?;
        return Ok(Some(Base::WebIdentity { role, token_file }));
    }
    if let Some(sso) = sso(profiles, profile)? {
        return Ok(Some(Base::Sso(sso)));
    }
    if profile.get("login_session").is_some() {
        return Err(format!(
            "the profile {name:?} has a login_session, which redkeep does not support: it needs a person who logs in"
        ).into());
    }
    if let Some(command) = profile.get("credential_process") {
        return Ok(Some(Base::Process(command)));
    }
    Ok(keys(profile)?.map(Base::Keys))
}

fn keys(profile: &Profile) -> Result<Option<Keys<'_>>, Problem> {
    let name = profile.name();
    let half = |there: &str, lacking: &str| {
        Err(format!("the profile {name:?} has {there} and no {lacking}").into())
    };
    let (access, secret) = ("aws_access_key_id", "aws_secret_access_key");
    match (profile.get(access), profile.get(secret)) {
        (Some(access), Some(secret)) => Ok(Some(Keys {
            access,
            secret,
            token: profile.get("aws_session_token"),
        })),
        (Some(_), None) => half(access, secret),
        (None, Some(_)) => half(secret, access),
        (None, None) => Ok(None),
    }
}

/// The keys of IAM Identity Center, of which `sso_session` puts two into a section of their own.
fn sso<'a>(profiles: &'a ProfileSet, profile: &'a Profile) -> Result<Option<Sso<'a>>, Problem> {
    const KEYS: [&str; 5] = [
        "sso_session",
        "sso_account_id",
        "sso_role_name",
        "sso_region",
        "sso_start_url",
    ];
    if KEYS.iter().all(|key| profile.get(key).is_none()) {
        return Ok(None);
    }
    let name = profile.name();
    let session = profile.get("sso_session");
    let section = match session {
        None => None,
        Some(session) => Some(profiles.sso_session(session).ok_or_else(|| {
            let text = format!("the sso-session {session:?} of the profile {name:?} is not found");
            Problem::from(text).and_hint(suggestion(session, profiles.sso_sessions()))
        })?),
    };
    let get = |key: &str| match section {
        Some(section) if key == "sso_region" || key == "sso_start_url" => section.get(key),
        _ => profile.get(key),
    };
    let wanted = |key: &str| {
        get(key).ok_or_else(|| format!("the profile {name:?} is one of SSO and has no {key}"))
    };
    Ok(Some(Sso {
        account: wanted("sso_account_id")?,
        role: wanted("sso_role_name")?,
        region: wanted("sso_region")?,
        start_url: wanted("sso_start_url")?,
        session,
    }))
}
