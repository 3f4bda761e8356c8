//! All of the sandbox's AWS: several accounts, and the temporary credentials that lead into them.
//!
//! Owns: which access key acts in which account, and the credentials that AssumeRole gives. Never checks a
//! request's form and never does I/O. An account is founded when somebody first acts in it.

use std::borrow::Cow;
use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::account::{Account, is_account_number};
use super::digest;
use super::error::{ApiError, Code};
use super::role::{Caller, RoleRules, RoleSession};

/// How temporary access keys begin ("IAM identifiers", IAM User Guide).
const TEMPORARY: &str = "ASIA";

/// How long credentials are remembered after their end, so that they are told from unknown ones.
const MEMORY: TimeDelta = TimeDelta::days(2);

/// Every account, and who may act in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cloud {
    /// The account of callers who have not assumed a role.
    account: Account,
    /// The other accounts by number.
    #[serde(default)]
    accounts: BTreeMap<String, Account>,
    /// What is said about roles.
    #[serde(default)]
    pub roles: RoleRules,
    /// Role sessions by access key, also of late.
    #[serde(default)]
    sessions: BTreeMap<String, RoleSession>,
    /// How many credentials have been given.
    #[serde(default)]
    credentials_given: u64,
}

/// What AssumeRole gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// Names the session.
    pub access_key: String,
    /// Nothing here looks at it.
    pub secret_key: String,
    /// Must come with every request.
    pub session_token: String,
}

impl Cloud {
    /// One account, which is that of every caller without a role.
    pub fn new(account: Account) -> Self {
        Self {
            account,
            accounts: BTreeMap::new(),
            roles: RoleRules::default(),
            sessions: BTreeMap::new(),
            credentials_given: 0,
        }
    }

    /// The account of callers who have not assumed a role.
    pub fn default_account(&self) -> &Account {
        &self.account
    }

    /// The others, by number.
    pub fn other_accounts(&self) -> &BTreeMap<String, Account> {
        &self.accounts
    }

    /// Every account, to change.
    pub fn accounts_mut(&mut self) -> impl Iterator<Item = &mut Account> {
        std::iter::once(&mut self.account).chain(self.accounts.values_mut())
    }

    /// The sessions of roles, without their keys.
    pub fn sessions(&self) -> impl Iterator<Item = &RoleSession> {
        self.sessions.values()
    }

    /// An account to look at; one that nobody has acted in holds nothing.
    pub fn account(&self, account_id: &str) -> Cow<'_, Account> {
        if account_id == self.account.account_id {
            return Cow::Borrowed(&self.account);
        }
        match self.accounts.get(account_id) {
            Some(account) => Cow::Borrowed(account),
            None => Cow::Owned(self.founded(account_id)),
        }
    }

    /// An account to change, founded if need be with the limits of the default account.
    pub fn account_mut(&mut self, account_id: &str) -> &mut Account {
        if account_id == self.account.account_id {
            return &mut self.account;
        }
        let fresh = self.founded(account_id);
        self.accounts.entry(account_id.to_owned()).or_insert(fresh)
    }

    /// The account that an access key acts in, whether or not it still may.
    ///
    /// A key of twelve digits is the user of the account of that number, another lasting key that of the
    /// default account, and a temporary one that of its role's account.
    pub fn account_of<'a>(&'a self, access_key: &'a str) -> Option<&'a str> {
        if access_key.starts_with(TEMPORARY) {
            return Some(&self.sessions.get(access_key)?.account_id);
        }
        let named = is_account_number(access_key).then_some(access_key);
        Some(named.unwrap_or(&self.account.account_id))
    }

    /// Who holds an access key.
    ///
    /// `InvalidClientTokenId` for a temporary key that nobody was given, or with another token than it was
    /// given with; `ExpiredToken` once it is over.
    pub fn caller(
        &self,
        access_key: &str,
        security_token: Option<&str>,
        now: DateTime<Utc>,
    ) -> Result<Caller, ApiError> {
        let refusal = |code, what| {
            let message = format!("The security token included in the request is {what}.");
            Err(ApiError::new(code, message))
        };
        let Some(account_id) = self.account_of(access_key) else {
            return refusal(Code::InvalidClientTokenId, "invalid");
        };
        match self.sessions.get(access_key) {
            None => Ok(Caller::User {
                account_id: account_id.to_owned(),
            }),
            Some(_) if security_token != Some(&session_token(access_key)) => {
                refusal(Code::InvalidClientTokenId, "invalid")
            }
            Some(session) if session.expires_at <= now => refusal(Code::ExpiredToken, "expired"),
            Some(session) => Ok(Caller::Role(session.clone())),
        }
    }

    /// Begins a session: its credentials act in the role's account until it expires.
    pub fn grant(&mut self, session: RoleSession, now: DateTime<Utc>) -> Credentials {
        self.sessions.retain(|_, old| old.expires_at > now - MEMORY);
        self.credentials_given += 1;
        let number = self.credentials_given.to_string();
        let digits = digest::hex(&["key", &number, &now.to_rfc3339(), &session.id()], 16);
        let access_key = format!("{TEMPORARY}{}", digits.to_ascii_uppercase());
        self.account_mut(&session.account_id);
        self.sessions.insert(access_key.clone(), session);
        Credentials {
            secret_key: digest::hex(&["secret", &access_key], 40),
            session_token: session_token(&access_key),
            access_key,
        }
    }

    fn founded(&self, account_id: &str) -> Account {
        Account::new(account_id.to_owned(), self.account.limits.clone())
    }
}

/// Derived from the key, so that it need not be kept.
fn session_token(access_key: &str) -> String {
    ["token", "more", "still more"]
        .map(|part| digest::hex(&[part, access_key], 64))
        .concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operations::tests::{account, start};

    fn session() -> RoleSession {
        RoleSession {
            account_id: "111122223333".to_owned(),
            role_name: "redkeep".to_owned(),
            session_name: "night".to_owned(),
            expires_at: start() + TimeDelta::hours(1),
        }
    }

    #[test]
    fn a_key_acts_in_its_own_account() {
        let mut cloud = Cloud::new(account());
        let given = cloud.grant(session(), start());
        let token = Some(given.session_token.as_str());
        let whose = |key: &str| cloud.caller(key, token, start()).unwrap();
        assert_eq!(whose("AKIAEXAMPLE").account_id(), "123456789012");
        assert_eq!(whose("444455556666").account_id(), "444455556666");
        assert_eq!(whose(&given.access_key), Caller::Role(session()));
        assert_eq!(
            whose(&given.access_key).arn("us-east-1"),
            "arn:aws:sts::111122223333:assumed-role/redkeep/night"
        );
        assert!(cloud.other_accounts().contains_key("111122223333"));
    }

    #[test]
    fn temporary_keys_are_refused_when_unknown_without_their_token_and_when_they_are_over() {
        let mut cloud = Cloud::new(account());
        let given = cloud.grant(session(), start());
        let again = cloud.grant(session(), start());
        assert_ne!(given.access_key, again.access_key);
        let code = |key: &str, token: Option<&str>, hours| {
            let now = start() + TimeDelta::hours(hours);
            cloud.caller(key, token, now).unwrap_err().code
        };
        let token = Some(given.session_token.as_str());
        assert_eq!(code("ASIAUNKNOWN", token, 0), "InvalidClientTokenId");
        assert_eq!(code(&given.access_key, None, 0), "InvalidClientTokenId");
        assert_eq!(code(&again.access_key, token, 0), "InvalidClientTokenId");
        assert_eq!(code(&given.access_key, token, 1), "ExpiredToken");
    }

    #[test]
    fn an_account_that_nobody_acted_in_is_empty_and_has_the_same_limits() {
        let mut cloud = Cloud::new(account());
        cloud.account_mut("123456789012").limits.manual_snapshots = 7;
        let seen = cloud.account("444455556666").into_owned();
        assert!(seen.regions.is_empty());
        assert_eq!(seen.limits.manual_snapshots, 7);
        assert!(cloud.other_accounts().is_empty());
    }
}
