//! Roles, their sessions, and who a caller is.
//!
//! Owns: the form of a role's ARN, what the control endpoint says about roles, and how a session calls
//! itself. Every role that is not denied exists and trusts everybody: IAM is not modelled. Never gives
//! credentials out: that is [`super::cloud`]'s part.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::account::is_account_number;
use super::digest;
use crate::names::partition;

/// A role as its ARN names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    /// The account that it belongs to.
    pub account_id: String,
    /// Its name without the path.
    pub name: String,
}

impl Role {
    /// Reads `arn:PARTITION:iam::ACCOUNT:role/PATH/NAME`, of the partition that `region` is in.
    pub fn from_arn(arn: &str, region: &str) -> Option<Self> {
        let rest = arn.strip_prefix("arn:")?.strip_prefix(partition(region))?;
        let (account_id, path) = rest.strip_prefix(":iam::")?.split_once(":role/")?;
        let name = path.rsplit('/').next().unwrap_or_default();
        let well_formed = is_account_number(account_id)
            && (1..=64).contains(&name.len())
            && path.split('/').all(|part| !part.is_empty())
            && path.chars().all(|c| is_word(c) || "+=,.@-/".contains(c));
        well_formed.then(|| Self {
            account_id: account_id.to_owned(),
            name: name.to_owned(),
        })
    }
}

/// What IAM calls `\w`.
pub fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// What the control endpoint says about roles.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RoleRules {
    /// ARNs of roles that nobody may assume.
    pub denied: BTreeSet<String>,
    /// ARNs of roles that are only given to those who say this ExternalId.
    pub external_ids: BTreeMap<String, String>,
    /// How long credentials live, whatever DurationSeconds says; 0 to heed it.
    pub session_seconds: u32,
}

impl RoleRules {
    /// Whether the role may be assumed by somebody who says `external_id`.
    pub fn admit(&self, role_arn: &str, external_id: Option<&str>) -> bool {
        let wanted = self.external_ids.get(role_arn);
        !self.denied.contains(role_arn)
            && wanted.is_none_or(|wanted| Some(wanted.as_str()) == external_id)
    }
}

/// Somebody acting as a role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleSession {
    /// The account of the role, in which its holder acts.
    pub account_id: String,
    /// The role's name.
    pub role_name: String,
    /// What its holder called the session.
    pub session_name: String,
    /// When the credentials end.
    pub expires_at: DateTime<Utc>,
}

impl RoleSession {
    /// The ARN that GetCallerIdentity shows.
    pub fn arn(&self, region: &str) -> String {
        format!(
            "arn:{}:sts::{}:assumed-role/{}/{}",
            partition(region),
            self.account_id,
            self.role_name,
            self.session_name
        )
    }

    /// The identifier of the role, and the session's name.
    pub fn id(&self) -> String {
        let role = digest::hex(&["role", &self.account_id, &self.role_name], 17);
        format!("AROA{}:{}", role.to_ascii_uppercase(), self.session_name)
    }
}

/// Who sends a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// A user of an account; there is one in each.
    User {
        /// The account's number.
        account_id: String,
    },
    /// A holder of temporary credentials.
    Role(RoleSession),
}

impl Caller {
    /// The account in which the caller acts.
    pub fn account_id(&self) -> &str {
        match self {
            Self::User { account_id } => account_id,
            Self::Role(session) => &session.account_id,
        }
    }

    /// The ARN that GetCallerIdentity shows.
    pub fn arn(&self, region: &str) -> String {
        match self {
            Self::User { account_id } => {
                format!("arn:{}:iam::{account_id}:user/sandbox", partition(region))
            }
            Self::Role(session) => session.arn(region),
        }
    }

    /// The UserId that GetCallerIdentity shows.
    pub fn id(&self) -> String {
        match self {
            Self::User { account_id } => {
                let user = digest::hex(&["user", account_id], 17);
                format!("AIDA{}", user.to_ascii_uppercase())
            }
            Self::Role(session) => session.id(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_is_known_by_its_account_and_its_name_without_the_path() {
        let role = Role::from_arn("arn:aws:iam::111122223333:role/ops/redkeep", "us-east-1");
        let wanted = Role {
            account_id: "111122223333".to_owned(),
            name: "redkeep".to_owned(),
        };
        assert_eq!(role, Some(wanted));
        for arn in [
            "arn:aws:iam::111122223333:user/redkeep",
            "arn:aws:iam::1111:role/redkeep",
            "arn:aws:iam::111122223333:role/",
            "arn:aws:iam::111122223333:role/a//b",
            "arn:aws:iam::111122223333:role/a b",
            "arn:aws-cn:iam::111122223333:role/redkeep",
            "redkeep",
        ] {
            assert_eq!(Role::from_arn(arn, "us-east-1"), None, "{arn}");
        }
        assert!(Role::from_arn("arn:aws-cn:iam::111122223333:role/a", "cn-north-1").is_some());
    }

    #[test]
    fn a_role_may_be_denied_or_ask_for_an_external_id() {
        let rules = RoleRules {
            denied: ["broken".to_owned()].into(),
            external_ids: [("shy".to_owned(), "sesame".to_owned())].into(),
            session_seconds: 0,
        };
        assert!(rules.admit("other", None) && rules.admit("shy", Some("sesame")));
        assert!(!rules.admit("broken", None));
        assert!(!rules.admit("shy", None) && !rules.admit("shy", Some("other")));
    }
}
