//! Why AWS has made no snapshot, beside what it answered.
//!
//! Owns: I29. What each code says is written here once more, out of docs/semantics.md, and not taken from the product: a code
//! that is read for another shows at the first record of it.

use redkeep_core::run::{Outcome, Reason, Run, RunState};

use super::Sim;

/// In the place of a code, where the answer had none or did not come.
pub const NO_CODE: &str = "";

/// What a code of AWS says, in the words of the history.
fn word_of(code: &str) -> &'static str {
    match code {
        NO_CODE | "InternalFailure" | "NobodyKnowsIt" => "no clear answer",
        "Throttling" | "RequestLimitExceeded" | "ServiceUnavailable" => "throttled",
        "DependentServiceUnavailableFault" => "throttled",
        "AccessDenied" | "UnauthorizedOperation" => "access denied",
        "ExpiredToken" | "InvalidClientTokenId" => "credentials",
        "RequestExpired" | "SignatureDoesNotMatch" => "clock skew",
        "ClusterSnapshotAlreadyExists" => "name exists",
        "ClusterSnapshotQuotaExceeded" => "quota",
        "ClusterNotFound" | "ClusterSnapshotNotFound" => "not_found",
        "InvalidClusterState" => "cluster",
        "TagLimitExceededFault" | "InvalidTagFault" | "InvalidRetentionPeriodFault" => "config",
        "InvalidParameterValue" | "InvalidParameterCombination" => "config",
        "MissingParameter" | "ValidationError" => "config",
        _ => "unknown error",
    }
}

/// The word that an answer has to have said where a run is recorded with the reason; `None` where the reason is no answer to
/// a create call.
fn wanted(reason: &Reason) -> Option<String> {
    match reason.refusal() {
        // What never left had no answer; I22 sees to what is asked again.
        Reason::Unreachable
        | Reason::SnapshotFailed
        | Reason::AccountRemoved
        | Reason::Vanished
        | Reason::Recorded(_)
        | Reason::Superseded(_) => None,
        Reason::ClusterState(_) => Some("cluster".to_owned()),
        other => Some(other.to_string()),
    }
}

/// For what reason a run waits, is judged or has ended.
fn reason_of(run: &Run) -> Option<&Reason> {
    let outcome = match &run.state {
        RunState::Waiting { refusal, .. } => return Some(&refusal.why),
        RunState::Concluding { verdict, .. } => verdict,
        RunState::Ended(outcome) => outcome,
        _ => return None,
    };
    match outcome {
        Outcome::Failed(reason) | Outcome::Expired(reason) => Some(reason),
        _ => None,
    }
}

impl Sim {
    /// I29, before a change of a run by a host is committed.
    pub(super) fn check_reason(&self, host: usize, before: Option<&Run>, run: &Run) {
        // What another host has recorded, or this one before, it has not been told here.
        if before.is_none_or(|before| before.is_ended() || before.attempts == 0) {
            return;
        }
        let Some((reason, word)) = reason_of(run).and_then(|one| Some((one, wanted(one)?))) else {
            return;
        };
        let is_unclear = word == word_of(NO_CODE);
        // Who has died with a call under way never had its answer, nor had the instance before.
        let has_died = (self.hosts[host].lives > 1 || self.has_shared(host)) && is_unclear;
        let first = run.request.snapshot_id.first();
        let names = [first.second().to_string(), first.to_string()];
        let has_come = self.accounts().any(|aws| {
            let refused = names.iter().filter_map(|name| aws.refused.get(name));
            let mut said = refused.flatten().map(|code| word_of(code));
            // A name that exists, and that nobody finds, leaves it as unclear as no answer does.
            said.any(|said| said == word || is_unclear && said == "name exists")
        });
        assert!(
            has_come || has_died,
            "I29: {run} is recorded with a reason that AWS has not given: {reason:?}"
        );
    }
}
