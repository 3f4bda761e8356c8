//! Notifications against programs of others: a mail server (aiosmtpd) and Alertmanager.
#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a test that cannot go on fails, and says why it is skipped"
)]

mod alertmanager;
mod mail;

use crate::support::Sandbox;

/// The next create calls are refused for good, so that each slot has failed at once.
fn fail(sandbox: &Sandbox, times: u32) {
    let rule = format!(
        r#"{{"operation":"CreateClusterSnapshot","times":{times},"fault":{{"kind":"error","code":"InvalidTagFault","message":"no such tag"}}}}"#
    );
    sandbox.control("POST", "/_sandbox/faults", &rule);
}
