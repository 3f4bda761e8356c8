//! STS GetCallerIdentity.
//!
//! Checked: nothing beyond the credentials. Not modelled: users; there is one in each account.

use super::{Outcome, Request};
use crate::role::Caller;
use crate::xml::Element;

/// Says whose credentials these are.
pub fn run(caller: &Caller, request: &Request) -> Outcome {
    Ok(vec![
        Element::text("Arn", caller.arn(&request.region)),
        Element::text("UserId", caller.id()),
        Element::text("Account", caller.account_id()),
    ])
}
