//! What AWS refuses, by its codes.
//!
//! Owns: the codes that a life under the strain `Refusals` is refused with, at least one of each class that
//! docs/semantics.md has. What each of them says stands in `sim::refused`.

use redkeep_sandbox::faults::Fault;

use super::Life;
use super::chaos::refused;
use crate::sim::aws::{CREATE, SNAPSHOTS};

/// AWS's codes with their HTTP statuses.
const CODES: [(&str, u16); 19] = [
    ("Throttling", 400),
    ("RequestLimitExceeded", 503),
    ("ServiceUnavailable", 503),
    ("DependentServiceUnavailableFault", 400),
    ("InternalFailure", 500),
    ("NobodyKnowsIt", 500),
    ("InvalidClusterState", 400),
    ("ClusterNotFound", 404),
    ("ClusterSnapshotQuotaExceeded", 400),
    ("ClusterSnapshotAlreadyExists", 400),
    ("AccessDenied", 403),
    ("UnauthorizedOperation", 403),
    ("ExpiredToken", 403),
    ("InvalidClientTokenId", 403),
    ("RequestExpired", 400),
    ("SignatureDoesNotMatch", 403),
    ("TagLimitExceededFault", 400),
    ("InvalidRetentionPeriodFault", 400),
    ("SomethingNew", 400),
];

/// What is refused, creating most of all.
const OPERATIONS: [&str; 8] = [
    CREATE,
    CREATE,
    CREATE,
    "ModifyClusterSnapshot",
    "DeleteClusterSnapshot",
    "CreateTags",
    "DeleteTags",
    SNAPSHOTS,
];

impl Life {
    /// The next request of a kind, or the next few, are refused.
    pub(super) fn refusals(&mut self) {
        let (code, status) = *self.dice.pick(&CODES);
        let operation = *self.dice.pick(&OPERATIONS);
        let times = u32::try_from(self.dice.between(1, 4)).unwrap_or(1);
        let account = self.any_account();
        self.say(&format!("refuses {operation} {times} times with {code}"));
        let fault: Fault = refused(code, status);
        self.sim
            .account(account)
            .strike(operation, Some(times), fault);
        self.pass(600, 20_000);
        self.sim.heal();
    }
}
