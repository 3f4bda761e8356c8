//! Why runs end without a snapshot, beside what AWS refused.
//!
//! Owns: I29. The codes for each reason are written here once more, out of docs/semantics.md, and not taken from the
//! product: a code that is read for another shows.

use redkeep_core::run::{Outcome, Reason, Run, RunState};

use super::Sim;

/// The codes of which one must have come where a run ends for the reason; `None` where the reason needs none.
fn codes_for(reason: &Reason) -> Option<&'static [&'static str]> {
    Some(match reason {
        Reason::Config => &[
            "TagLimitExceededFault",
            "InvalidTagFault",
            "InvalidRetentionPeriodFault",
            "InvalidParameterValue",
            "InvalidParameterCombination",
            "MissingParameter",
            "ValidationError",
            "InvalidQueryParameter",
            "MalformedQueryString",
        ],
        Reason::Quota => &["ClusterSnapshotQuotaExceeded"],
        Reason::ClusterState(_) => &["InvalidClusterState"],
        Reason::NameExists => &["ClusterSnapshotAlreadyExists"],
        _ => return None,
    })
}

impl Sim {
    /// I29, before a change of a run is committed.
    pub(super) fn check_reason(&self, before: Option<&Run>, run: &Run) {
        let RunState::Ended(Outcome::Failed(reason) | Outcome::Expired(reason)) = &run.state else {
            return;
        };
        // What another host has recorded, or this one before, it has not been told here.
        if before.is_none_or(|before| before.is_ended() || before.attempts == 0) {
            return;
        }
        let Some(codes) = codes_for(reason.refusal()) else {
            return;
        };
        let first = run.request.snapshot_id.first();
        let names = [first.second().to_string(), first.to_string()];
        let has_come = self.accounts().any(|aws| {
            let refused = names.iter().filter_map(|name| aws.refused.get(name));
            refused.flatten().any(|code| codes.contains(&code.as_str()))
        });
        assert!(
            has_come,
            "I29: {run} ends for a reason that AWS has not given: {reason:?}"
        );
    }
}
