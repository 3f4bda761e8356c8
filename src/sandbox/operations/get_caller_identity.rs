//! STS GetCallerIdentity.
//!
//! Checked: nothing beyond the credential scope. Every access key is the same user of the sandbox's one
//! account.

use super::{Outcome, Request};
use crate::sandbox::account::{Account, partition};
use crate::sandbox::digest;
use crate::sandbox::xml::Element;

/// Says whose credentials these are.
pub fn run(account: &Account, request: &Request) -> Outcome {
    let partition = partition(&request.region);
    let user = digest::hex(&["user", &account.account_id], 16).to_ascii_uppercase();
    Ok(vec![
        Element::text(
            "Arn",
            format!("arn:{partition}:iam::{}:user/sandbox", account.account_id),
        ),
        Element::text("UserId", format!("AIDA{user}")),
        Element::text("Account", &account.account_id),
    ])
}
