//! The accounts at AWS beside the first, and which of them each name in the policy file stands for.
//!
//! Owns: where a name's home is, and where its credentials lead meanwhile. Never what is in an account (`aws`).

use std::collections::BTreeMap;

use redkeep_core::names::AccountName;
use redkeep_core::slot::Scope;

use super::aws::Aws;

/// The others; 0 is the first, which is not here.
#[derive(Default)]
pub struct Elsewhere {
    pub accounts: Vec<Aws>,
    /// Which account a name stands for, where that is not the first.
    pub homes: BTreeMap<AccountName, usize>,
    /// Where a name's credentials lead, where that is not its home.
    pub misled: BTreeMap<AccountName, usize>,
}

impl Elsewhere {
    pub fn home(&self, account: &AccountName) -> usize {
        self.homes.get(account).copied().unwrap_or_default()
    }

    /// Which account the credentials of a name lead to now.
    pub fn reached(&self, account: &AccountName) -> usize {
        let misled = self.misled.get(account).copied();
        misled.unwrap_or_else(|| self.home(account))
    }

    /// The account that a scope is in, be it this one or the first.
    pub fn home_of<'a>(&'a self, first: &'a Aws, scope: &Scope) -> &'a Aws {
        match self.home(&scope.account) {
            0 => first,
            other => &self.accounts[other - 1],
        }
    }
}
