//! Whose credentials a scope's calls are signed with, and where they are found.
//!
//! Owns: the order in which credentials are looked for, which is the SDK's own; what is said where there are none or bad
//! ones, always by the name of the variable or profile and never by the value; and keeping them until they expire.
//! Everything is looked at anew where nothing is kept, so that what somebody has mended is found.
//!
//! The SDK's own chain is not used: it keeps an unreadable file for ever, takes another identity where a profile's name
//! is misspelt, calls STS at AWS whatever the endpoint, leaves hanging commands behind, and panics at a line break in a
//! key. What asks a metadata service is the SDK's.

mod chain;
pub(super) mod environment;
mod foresee;
mod machine;
mod process;
mod sts;

use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex as Lock, PoisonError};
use std::time::Duration;

use aws_config::SdkConfig;
use aws_config::profile::Profile;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, future};
use aws_sdk_redshift::config::Credentials;
use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::Mutex;

pub use self::foresee::foreseen;

use self::chain::{Base, Chain, Step, resolve};
use self::machine::Machine;
use super::files::{self, Files, Unreadable};
use crate::clock::Clock;
use crate::config::Problem;
use crate::config::ambient::{Made, PROFILE, flaw};
use crate::policy::{CredentialSource, Role};
use crate::redshift::ErrorClass;

/// How long credentials are waited for: less than for the call that wants them, so that what is missing can be told.
const CREDENTIALS_TIMEOUT: Duration = Duration::from_secs(20);
/// New credentials are looked for so long before the old ones expire.
const EARLIER: TimeDelta = TimeDelta::seconds(10);

const TOKEN_FILE: &str = "AWS_WEB_IDENTITY_TOKEN_FILE";
const ROLE: &str = "AWS_ROLE_ARN";

/// Why there are no credentials, in words for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{told}")]
pub(super) struct Lacking {
    pub(super) class: ErrorClass,
    pub(super) told: Problem,
}

impl Lacking {
    fn new(told: impl Into<Problem>) -> Self {
        let class = ErrorClass::Credentials;
        let told = told.into();
        Self { class, told }
    }

    /// Whatever became of a call for credentials, the call that wants them was not made.
    fn because(class: ErrorClass, told: String) -> Self {
        let class = match class {
            ErrorClass::Unknown | ErrorClass::Unsent => ErrorClass::Unsent,
            ErrorClass::Throttled | ErrorClass::ClockSkew => class,
            _ => ErrorClass::Credentials,
        };
        let told = told.into();
        Self { class, told }
    }
}

impl From<Unreadable> for Lacking {
    fn from(error: Unreadable) -> Self {
        Self::new(error.to_string())
    }
}

/// Where credentials are looked for.
pub(super) enum Origin {
    /// Nowhere: these are used.
    Given(Credentials),
    /// In this profile.
    Profile(String),
    /// Where the SDK looks for them by itself.
    Ambient,
}

impl Origin {
    /// Where those of an identity are.
    pub(super) fn of(identity: &CredentialSource) -> Self {
        match &identity.profile {
            Some(name) => Self::Profile(name.clone()),
            None => Self::Ambient,
        }
    }
}

/// Finds the credentials of an identity.
pub(super) struct Finder {
    origin: Origin,
    /// The role that is assumed with what is found there.
    role: Option<Role>,
    /// What STS is called with.
    settings: SdkConfig,
    /// The name of the sessions of roles that have none of their own.
    session: String,
    machine: Machine,
    clock: Arc<dyn Clock>,
    kept: Mutex<Kept>,
    /// What is being waited for.
    awaited: Lock<String>,
}

/// What the last look brought.
#[derive(Default)]
struct Kept {
    credentials: Option<Credentials>,
    /// Why it brought nothing, and when it ended, in monotonic time.
    lacking: Option<(Duration, Lacking)>,
}

impl fmt::Debug for Finder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Finder").finish_non_exhaustive()
    }
}

impl ProvideCredentials for Finder {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        let found = async {
            self.credentials()
                .await
                .map_err(CredentialsError::provider_error)
        };
        future::ProvideCredentials::new(found)
    }
}

impl Finder {
    /// One that has found nothing yet. `settings` are without credentials; the `profile` may say where the machine's
    /// are asked for, and is read again for everything else.
    pub(super) fn new(
        origin: Origin,
        role: Option<Role>,
        settings: SdkConfig,
        session: String,
        profile: Option<&Profile>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            machine: Machine::new(&settings, profile),
            origin,
            role,
            settings,
            session,
            clock,
            kept: Mutex::default(),
            awaited: Lock::default(),
        }
    }

    /// The credentials, those that are kept while they are good.
    pub(super) async fn credentials(&self) -> Result<Credentials, Lacking> {
        let asked_at = self.clock.monotonic();
        let mut kept = self.kept.lock().await;
        // Whoever waited for a look of somebody else's shares what it brought.
        if let Some((_, lacking)) = kept.lacking.as_ref().filter(|(at, _)| *at >= asked_at) {
            return Err(lacking.clone());
        }
        let lives = |credentials: &&Credentials, now: DateTime<Utc>| {
            let expires_at = credentials.expiry().map(DateTime::<Utc>::from);
            expires_at.is_none_or(|expires_at| now < expires_at)
        };
        let soon = self.clock.now() + EARLIER;
        if let Some(good) = kept
            .credentials
            .as_ref()
            .filter(|credentials| lives(credentials, soon))
        {
            return Ok(good.clone());
        }
        match self.within_time().await {
            Ok(found) => Ok(kept.credentials.insert(found).clone()),
            // The last seconds of the old ones are better than nothing.
            Err(lacking) => {
                let now = self.clock.now();
                let old = kept.credentials.as_ref().filter(|old| lives(old, now));
                if let Some(old) = old {
                    return Ok(old.clone());
                }
                kept.lacking = Some((self.clock.monotonic(), lacking.clone()));
                Err(lacking)
            }
        }
    }

    async fn within_time(&self) -> Result<Credentials, Lacking> {
        let found = tokio::time::timeout(CREDENTIALS_TIMEOUT, self.find()).await;
        found.unwrap_or_else(|_| {
            let awaited = self.awaited.lock().unwrap_or_else(PoisonError::into_inner);
            Err(Lacking::new(format!(
                "no credentials came within {}s from {awaited}",
                CREDENTIALS_TIMEOUT.as_secs()
            )))
        })
    }

    /// Waits for what may take long, and notes what that is.
    async fn awaiting<T>(&self, what: impl Into<String>, found: impl Future<Output = T>) -> T {
        *self.awaited.lock().unwrap_or_else(PoisonError::into_inner) = what.into();
        found.await
    }

    async fn find(&self) -> Result<Credentials, Lacking> {
        let base = match &self.origin {
            Origin::Given(credentials) => credentials.clone(),
            Origin::Profile(name) => {
                let found = self.of_profile(name).await?;
                found.ok_or_else(|| no_keys(name))?
            }
            Origin::Ambient => self.ambient().await?,
        };
        let Some(role) = &self.role else {
            return Ok(base);
        };
        let role = Step {
            arn: &role.arn,
            external_id: role.external_id.as_deref(),
            session_name: role.session_name.as_deref(),
        };
        self.assumed(base, role).await
    }

    async fn assumed(&self, with: Credentials, role: Step<'_>) -> Result<Credentials, Lacking> {
        let what = format!("STS for the role {}", role.arn);
        let assumed = sts::assumed(&self.settings, with, role, &self.session);
        self.awaiting(what, assumed).await
    }

    /// What the SDK's chain would look for, in its order.
    async fn ambient(&self) -> Result<Credentials, Lacking> {
        if let Some(keys) = environment::keys()? {
            return Ok(keys);
        }
        let named = environment::sound(PROFILE, Made::Text)?;
        let profile = named.as_deref().unwrap_or("default");
        if let Some(found) = self.of_profile(profile).await? {
            return Ok(found);
        }
        if let Some(found) = self.web_identity().await? {
            return Ok(found);
        }
        if let Some(found) = self.container().await? {
            return Ok(found);
        }
        let why = match self.instance().await {
            Ok(found) => return Ok(found),
            Err(why) => why,
        };
        Err(Lacking::new(format!(
            "no AWS credentials found: none in AWS_ACCESS_KEY_ID, in the profile {profile:?} of {}, in {TOKEN_FILE}, in \
             AWS_CONTAINER_CREDENTIALS_RELATIVE_URI or _FULL_URI, or from {INSTANCE} ({why}); set \
             AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, give the account a `profile`, or this machine a role",
            files::places().display(),
            INSTANCE = machine::INSTANCE
        )))
    }

    async fn of_profile(&self, name: &str) -> Result<Option<Credentials>, Lacking> {
        let Files { profiles, .. } = files::read().await?;
        let chain = resolve(&profiles, name).map_err(in_files)?;
        let Some(Chain {
            base,
            profile,
            roles,
        }) = chain
        else {
            return Ok(None);
        };
        let mut found = self.base(profile, base).await?;
        for role in roles {
            found = self.assumed(found, role).await?;
        }
        Ok(Some(found))
    }

    async fn base(&self, profile: &str, base: Base<'_>) -> Result<Credentials, Lacking> {
        let lacking = |what: &str, why: &str| {
            Lacking::new(format!("the profile {profile:?} begins with {what}: {why}"))
        };
        match base {
            Base::Keys(keys) => {
                let token = keys.token.map(str::to_owned);
                let keys = Credentials::new(keys.access, keys.secret, token, None, "profile");
                usable(keys, &format!("the profile {profile:?}"))
            }
            Base::Environment => environment::keys()?
                .ok_or_else(|| lacking("the keys in the environment", "there are none")),
            Base::Container => {
                let found = self.container().await?;
                found.ok_or_else(|| lacking(machine::CONTAINER, "none is named"))
            }
            Base::Instance => {
                let found = self.instance().await;
                found.map_err(|why| lacking(machine::INSTANCE, &why))
            }
            Base::Process(command) => {
                let origin = format!("the credential_process of the profile {profile:?}");
                let printed = process::credentials(profile, command);
                let printed = self.awaiting(origin.clone(), printed).await?;
                usable(printed, &origin)
            }
            Base::WebIdentity { role, token_file } => {
                let named_by = format!("web_identity_token_file of the profile {profile:?}");
                self.for_token((token_file, &named_by), role).await
            }
            Base::Sso(_) => Err(unsupported(profile)),
        }
    }

    async fn web_identity(&self) -> Result<Option<Credentials>, Lacking> {
        let Some(file) = environment::sound(TOKEN_FILE, Made::Text)? else {
            return Ok(None);
        };
        let arn = environment::sound(ROLE, Made::Word)?;
        let arn =
            arn.ok_or_else(|| Lacking::new(format!("{TOKEN_FILE} is set, and {ROLE} is not")))?;
        let session = environment::sound("AWS_ROLE_SESSION_NAME", Made::Word)?;
        let role = Step {
            arn: &arn,
            external_id: None,
            session_name: session.as_deref(),
        };
        self.for_token((&file, TOKEN_FILE), role).await.map(Some)
    }

    async fn for_token(&self, token: (&str, &str), role: Step<'_>) -> Result<Credentials, Lacking> {
        let what = format!("STS for the role {}", role.arn);
        let given = sts::for_token(&self.settings, token, role, &self.session);
        self.awaiting(what, given).await
    }

    async fn container(&self) -> Result<Option<Credentials>, Lacking> {
        let found = self.awaiting(machine::CONTAINER, self.machine.container());
        let found = found.await?;
        found
            .map(|found| usable(found, machine::CONTAINER))
            .transpose()
    }

    /// The instance's credentials, or why there are none.
    async fn instance(&self) -> Result<Credentials, String> {
        let found = self.awaiting(machine::INSTANCE, self.machine.instance());
        let usable = usable(found.await?, machine::INSTANCE);
        usable.map_err(|lacking| lacking.told.to_string())
    }
}

fn unsupported(profile: &str) -> Lacking {
    in_files(format!(
        "the profile {profile:?} is one of SSO (IAM Identity Center), which redkeep does not support: such a login \
         belongs to a person and expires; give redkeep a role"
    ))
}

/// Refuses what the SDK would panic at or AWS could only refuse.
fn usable(credentials: Credentials, origin: &str) -> Result<Credentials, Lacking> {
    let parts = [
        ("access key id", Some(credentials.access_key_id())),
        ("secret access key", Some(credentials.secret_access_key())),
        ("session token", credentials.session_token()),
    ];
    let flaws = parts.iter().find_map(|(part, value)| {
        let value = (*value)?;
        let flaw = flaw(value, Made::Word).or(value.is_empty().then_some("is empty"))?;
        Some(format!("the {part} from {origin} {flaw}"))
    });
    match flaws {
        Some(told) => Err(Lacking::new(told)),
        None => Ok(credentials),
    }
}

fn in_files(why: impl Into<Problem>) -> Lacking {
    let Problem { text, hint } = why.into();
    let text = format!("{text} (in {})", files::places().display());
    Lacking::new(Problem { text, hint })
}

fn no_keys(name: &str) -> Lacking {
    in_files(format!(
        "the profile {name:?} has no credentials: wanted keys, a role_arn, a credential_process or a \
         web_identity_token_file"
    ))
}
